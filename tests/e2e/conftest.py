"""One real Airflow for all tests of this folder: scheduler, DAG processor, API, LocalExecutor.

It ends with the last of them: idle, it takes a quarter of a processor.
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from include.backup.cli.airflow_pools import pool_of
from include.backup.policy.load import load_policy
from scripts.airflow_site import ROOT, Site, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.airflow_api import AirflowApi

CLASSES = ("critical", "important", "non_essential")


def person(user: str, trained: str) -> dict[str, object]:
    training = {
        "course": "Restore with Holdfast",
        "date": trained,
        "valid_for": "365 days",
        "certified_by": "dora",
        "evidence": "intranet, training 42",
    }
    return {
        "name": f"{user.title()} Example",
        "role": "operations",
        "trainings": [training],
    }


THIS_YEAR = (datetime.now(UTC) - timedelta(days=30)).date().isoformat()
PEOPLE = {
    "people": {
        "anna": person("anna", THIS_YEAR),
        "bob": person("bob", THIS_YEAR),
        "carl": person("carl", "2024-03-01"),
    }
}


def key() -> str:
    password = base64.b64encode(secrets.token_bytes(32)).decode()
    return json.dumps({"conn_type": "generic", "password": password})


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Two good datasets in each class beside one that is gone, and one of a class that is none."""
    folder = tmp_path_factory.mktemp("e2e")
    config = folder / "config"
    config.mkdir()
    policy = (ROOT / "include" / "config" / "policy.yaml").read_text(encoding="utf-8")
    (config / "policy.yaml").write_text(policy)
    datasets = {"odd": entry(folder, "odd", "critcal")}
    for data_class in CLASSES:
        short = data_class.replace("_", "-")
        for name in (f"{short}-one", f"{short}-two"):
            datasets[name] = entry(folder, name, data_class)
        datasets[f"{short}-gone"] = entry(folder, f"{short}-gone", data_class, files=0)
    document = {
        "key": {"provider": "local", "connection": "backup_master_key"},
        "signing_key": {"connection": "backup_signing_key"},
        "vaults": {"primary": {"url": f"file://{folder}/vault"}},
        "datasets": datasets,
    }
    (config / "datasets.yaml").write_text(json.dumps(document))
    (config / "people.yaml").write_text(json.dumps(PEOPLE))
    return Site(
        home=folder / "airflow",
        config=config,
        state=folder / "state",
        people=tuple(PEOPLE["people"]),
        variables={
            "AIRFLOW_CONN_BACKUP_MASTER_KEY": key(),
            "AIRFLOW_CONN_BACKUP_SIGNING_KEY": key(),
        },
    )


def entry(folder: Path, name: str, data_class: str, *, files: int = 3) -> dict[str, object]:
    """A dataset; without files its directory does not even exist."""
    source = folder / "data" / name
    for number in range(files):
        source.mkdir(parents=True, exist_ok=True)
        (source / f"{number}.txt").write_text(f"{name} {number}\n")
    return {
        "class": data_class,
        "owner": "team@example.com",
        "source": {"type": "filesystem", "path": str(source)},
    }


class Arguments:
    """Looks at the arguments of every process of this machine, many times a second."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.1):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    self.seen.add(path.read_bytes())


@pytest.fixture(scope="package")
def arguments() -> Iterator[Arguments]:
    """What was seen while Airflow ran."""
    with Arguments() as looking:
        yield looking


@pytest.fixture(scope="package")
def airflow(site: Site, arguments: Arguments) -> Iterator[AirflowApi]:
    """It is healthy, knows the DAGs, and has a pool for each class."""
    with running(site) as api:
        for data_class in load_policy(site.config / "policy.yaml").classes:
            api.make_pool(pool_of(data_class.name), 2, "")
        yield api
