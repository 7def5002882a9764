"""Every backup DAG through a real scheduler, with failing datasets beside good ones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from include.orchestration.names import dag_id
from tests.e2e.conftest import CLASSES

if TYPE_CHECKING:
    from scripts.airflow_api import AirflowApi
    from scripts.airflow_site import Site

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
    assert backed_up == {
        f"{short}-gone": "failed",
        f"{short}-one": "success",
        f"{short}-two": "success",
        "odd": "failed",
    }
    others = {found.task: found.state for found in instances if found.task != "back_up"}
    assert others == {"due": "success", "summary": "success", "watcher": "failed"}
    told = airflow.log_of(dag, run, "summary")
    assert "2 of 4 kept" in told
    worst_first = [line.split("  ")[0] for line in told.splitlines() if f"/{short}-" in line]
    assert worst_first[0] != "KEPT"
    assert "No such file or directory; hint: is the volume mounted" in told
    assert '"critcal" is no class of the policy' in told
    assert f"KEPT 3.1 3.3 4.1 · {data_class}/{short}-one · {method} recovery point" in told


def test_no_log_of_any_task_shows_a_key(
    airflow: AirflowApi, runs: dict[str, str], site: Site
) -> None:
    """Logs, components' output and Airflow's database hold neither key."""
    secrets = [json.loads(value)["password"].encode() for value in site.variables.values()]
    looked_at = 0
    for path in [*site.home.rglob("*.log"), *site.home.glob("airflow.db*")]:
        content = path.read_bytes()
        looked_at += len(content)
        assert not any(secret in content for secret in secrets), path
    assert looked_at
