"""A small Airflow for the tests of DAGs: own home, SQLite, the project's own DAG folder."""

from __future__ import annotations

import base64
import json
import os
import secrets
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_HOME = Path(tempfile.mkdtemp(prefix="holdfast-airflow-"))
_SITE = _HOME / "site"


def _key() -> str:
    password = base64.b64encode(secrets.token_bytes(32)).decode()
    return json.dumps({"conn_type": "generic", "password": password})


# Airflow reads these when it is imported, so they must be there before any test is.
os.environ.update({
    "AIRFLOW_HOME": str(_HOME),
    "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_HOME}/airflow.db",
    "AIRFLOW_CONN_BACKUP_MASTER_KEY": _key(),
    "AIRFLOW_CONN_BACKUP_SIGNING_KEY": _key(),
    "HOLDFAST_CONFIG": str(_SITE / "config"),
    "HOLDFAST_STATE": str(_SITE / "state"),
})


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with config/, data/ and vault/, and the shipped policy."""
    config = tmp_path / "config"
    config.mkdir()
    policy = (ROOT / "include" / "config" / "policy.yaml").read_text(encoding="utf-8")
    (config / "policy.yaml").write_text(policy)
    write_datasets(tmp_path, {})
    monkeypatch.setenv("HOLDFAST_CONFIG", str(config))
    monkeypatch.setenv("HOLDFAST_STATE", str(tmp_path / "state"))
    return tmp_path


def write_datasets(site: Path, entries: dict[str, dict[str, object]], **more: object) -> None:
    """Write datasets.yaml (JSON is YAML) with a local vault and these entries."""
    document = {
        "key": {"provider": "local", "connection": "backup_master_key"},
        "signing_key": {"connection": "backup_signing_key"},
        "vaults": {"primary": {"url": f"file://{site}/vault"}},
        "datasets": entries,
        **more,
    }
    (site / "config" / "datasets.yaml").write_text(json.dumps(document))


def entry(
    site: Path, name: str, *, data_class: str = "critical", files: int = 3
) -> dict[str, object]:
    """A dataset with a few files of its own."""
    folder = site / "data" / name
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        (folder / f"{number}.txt").write_text(f"{name} {number}\n")
    source = {"type": "filesystem", "path": str(folder)}
    return {"class": "critical", "owner": "team@example.com", "source": source}


@pytest.fixture(scope="session")
def airflow_db() -> None:
    """Airflow's tables, and the pools of the shipped policy's classes."""
    from airflow.models.pool import Pool
    from airflow.utils.db import initdb
    from airflow.utils.session import create_session

    initdb()
    with create_session() as session:
        for name in ("critical", "important", "non_essential"):
            Pool.create_or_update_pool(f"holdfast_{name}", 2, "", False, session=session)
