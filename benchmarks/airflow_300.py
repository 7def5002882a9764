"""300 small datasets through Airflow on LocalExecutor: what a run costs for each dataset.

python -m benchmarks.airflow_300 [--datasets N] [--parallelism N]
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from include.backup.cli.airflow_pools import pool_of
from include.orchestration.names import dag_id
from scripts.airflow_site import ROOT, Site, running
from scripts.keys_file import keys

if TYPE_CHECKING:
    from scripts.airflow_api import AirflowApi

_FILES = 20
_MOST_SECONDS = 3600.0


def main() -> int:
    """Run a full of each dataset, and then an incremental; print what that took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", type=int, default=300)
    parser.add_argument("--parallelism", type=int, default=os.cpu_count() or 2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="holdfast-300-") as folder:
        site = _site(Path(folder), options.datasets, options.parallelism)
        with running(site) as api:
            api.make_pool(pool_of("critical"), options.parallelism, "")
            print(f"{options.datasets} datasets of {_FILES} files, {options.parallelism} at a time")
            for method in ("full", "incremental"):
                _measure(api, method, options.datasets)
    return 0


def _measure(api: AirflowApi, method: str, count: int) -> None:
    dag = dag_id("critical", method)
    api.wait_for_dags([dag])
    api.unpause(dag)
    began = time.monotonic()
    run = api.trigger(dag)
    state = api.wait(dag, run, seconds=_MOST_SECONDS)
    seconds = time.monotonic() - began
    kept = api.log_of(dag, run, "summary")
    tasks = api.ask("GET", f"dags/{dag}/dagRuns/{run}/taskInstances?limit=1")["total_entries"]
    print(
        f"{method}: {state}, {seconds:.1f} s wall, {tasks} tasks, "
        f"{seconds / count:.3f} s for each dataset; "
        + next(line for line in kept.splitlines() if line.endswith(" kept")),
        flush=True,
    )


def _site(folder: Path, count: int, parallelism: int) -> Site:
    config = folder / "config"
    config.mkdir()
    shipped = ROOT / "include" / "config" / "policy.yaml"
    (config / "policy.yaml").write_bytes(shipped.read_bytes())
    datasets = {}
    for number in range(count):
        name = f"d{number:03d}"
        source = folder / "data" / name
        source.mkdir(parents=True)
        for file in range(_FILES):
            (source / f"{file}.json").write_text(json.dumps({"dataset": name, "row": file}) * 20)
        datasets[name] = {
            "class": "critical",
            "owner": "bench@example.com",
            "source": {"type": "filesystem", "path": str(source)},
        }
    document = {
        "key": {"provider": "local", "connection": "backup_master_key"},
        "signing_key": {"connection": "backup_signing_key"},
        "vaults": {"primary": {"url": f"file://{folder}/vault"}},
        "datasets": datasets,
    }
    (config / "datasets.yaml").write_text(json.dumps(document))
    return Site(
        home=folder / "airflow",
        config=config,
        state=folder / "state",
        variables=keys(folder / "keys.env", config=config),
        parallelism=parallelism,
    )


if __name__ == "__main__":
    raise SystemExit(main())
