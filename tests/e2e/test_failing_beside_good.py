"""Every backup DAG through a real scheduler, with failing datasets beside good ones."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from include.backup.actions.dataset_vault import DatasetVault
from include.backup.actions.export_key import export_key
from include.backup.cli.environment import load_setting
from include.orchestration.names import dag_id
from scripts.airflow_site import ROOT
from tests.e2e.conftest import CLASSES

if TYPE_CHECKING:
    from scripts.airflow_api import AirflowApi
    from scripts.airflow_site import Site
    from tests.e2e.conftest import Arguments

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

DAGS = [
    (data_class, method)
    for data_class in CLASSES
    for method in ("full", "incremental")
    if (data_class, method) != ("non_essential", "incremental")
]


@pytest.fixture(scope="module")
def runs(airflow: AirflowApi) -> dict[str, str]:
    """A run of each DAG: fulls at once, then incrementals. The run ids, all of them ended."""
    ids = [dag_id(*names) for names in DAGS]
    airflow.wait_for_dags(ids)
    started: dict[str, str] = {}
    for method in ("full", "incremental"):
        wave = [found for found in ids if found.endswith(method)]
        for found in wave:
            airflow.unpause(found)
            started[found] = airflow.trigger(found)
        for found in wave:
            airflow.wait(found, started[found])
    return started


@pytest.mark.parametrize(("data_class", "method"), DAGS)
def test_good_datasets_are_kept_and_the_run_is_red_and_says_why(
    airflow: AirflowApi, runs: dict[str, str], data_class: str, method: str
) -> None:
    """The good ones succeed, each failure stays with its dataset, and the summary explains it."""
    dag = dag_id(data_class, method)
    run = runs[dag]
    short = data_class.replace("_", "-")
    assert airflow.state(dag, run) == "failed"
    instances = airflow.instances(dag, run)
    backed_up = {found.name: found.state for found in instances if found.task == "back_up"}
    wanted = {
        f"{short}-gone": "failed",
        f"{short}-one": "success",
        f"{short}-two": "success",
    }
    # An entry whose class nobody can read is told by one DAG of each class.
    own = method == "full" if data_class == "non_essential" else method == "incremental"
    assert backed_up == {**wanted, **({"odd": "failed"} if own else {})}
    others = {found.task: found.state for found in instances if found.task != "back_up"}
    assert others == {"due": "success", "summary": "success", "watcher": "failed"}
    told = airflow.log_of(dag, run, "summary")
    assert ("2 of 4 kept" if own else "2 of 3 kept") in told
    worst_first = [line.split("  ")[0] for line in told.splitlines() if f"/{short}-" in line]
    assert worst_first[0] != "KEPT"
    assert "No such file or directory" in told
    assert "; hint: is the volume mounted" in told
    assert ('"critcal" is no class of the policy' in told) == own
    assert f"KEPT 3.1 3.3 4.1 · {data_class}/{short}-one · {method} recovery point" in told


def test_no_secret_shows_anywhere(
    runs: dict[str, str], site: Site, arguments: Arguments, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither logs, XCom and the rest of Airflow's database, ledgers nor process arguments."""
    for name, value in site.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOLDFAST_STATE", str(site.state))
    found = repository_passwords(site)
    assert len(found) == 2 * len(CLASSES)  # a full of each of the good datasets
    found |= {json.loads(value)["password"] for value in site.variables.values()}
    secrets = [secret.encode() for secret in found]
    secrets += [base64.b64decode(secret) for secret in found if not secret.isalnum()]
    vault = site.config.parent / "vault"
    places = [
        *site.home.rglob("*.log"),
        *site.home.glob("airflow.db*"),
        *(path for path in site.state.rglob("*") if path.is_file()),
        *vault.rglob("ledger/*.json"),
        *vault.rglob("policy/**/*.json"),
    ]
    assert {path.suffix for path in places} >= {".log", ".db", ".json"}
    for path in places:
        content = path.read_bytes()
        assert not any(secret in content for secret in secrets), path
    assert any(b"airflow" in line for line in arguments.seen)
    for line in arguments.seen:
        assert not any(secret in line for secret in secrets)


def test_the_doctor_misses_a_pool(airflow: AirflowApi, site: Site, tmp_path: Path) -> None:
    """A task whose pool is not there waits for ever, and nothing turns red."""
    command = [sys.executable, "-m", "include.backup", "--config", str(tmp_path), "doctor"]
    policy = yaml.safe_load((site.config / "policy.yaml").read_text())
    shutil.copy(site.config / "datasets.yaml", tmp_path)
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "AIRFLOW_HOME": str(site.home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{site.home}/airflow.db",
        "HOLDFAST_STATE": str(tmp_path / "state"),
        **site.variables,
    }

    def doctor() -> str:
        (tmp_path / "policy.yaml").write_text(json.dumps(policy, default=str))
        return subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False
        ).stdout

    assert "ok    pools of Airflow: holdfast_critical 2, holdfast_important 2" in doctor()
    policy["classes"]["archive"] = policy["classes"]["important"]
    told = doctor()
    assert "FAIL  pools of Airflow: Airflow has no pool holdfast_archive" in told
    assert "hint: airflow pools set holdfast_archive 4" in told


def repository_passwords(site: Site) -> set[str]:
    """The password of every repository in the vault."""
    setting = load_setting(site.config)
    return {
        export_key(setting, name, generation.id)[1]
        for name in setting.datasets.good
        for generation in DatasetVault.open(setting, name).state().generations
        if generation.points
    }
