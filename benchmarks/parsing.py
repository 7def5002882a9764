"""How long Airflow takes to parse all our DAG files, beyond importing what is Airflow's own.

python -m benchmarks.parsing names     prints the modules of Airflow that our DAG files import
python -m benchmarks.parsing time      reads those names from standard input, imports them, then
                                       parses all files; prints seconds and the number of DAGs

Each is a fresh process with a home of its own, as each parse by Airflow is.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from benchmarks.measure import BenchmarkFailedError
from benchmarks.programs import write_config

if TYPE_CHECKING:
    from types import ModuleType

ROOT: Final = Path(__file__).resolve().parents[1]
COUNTS: Final = (10, 10_000)  # datasets
RUNS: Final = 7


def parse_seconds(work: Path) -> dict[int, float]:
    """Median seconds by number of datasets.

    Raises:
        BenchmarkFailedError: a DAG file cannot be parsed, or there are no DAGs.
    """
    found = {}
    for count in COUNTS:
        folder = work / f"parse-{count}"
        datasets = {f"dataset-{number:05d}": Path(f"/srv/{number}") for number in range(count)}
        write_config(folder / "config", vault={"url": "file:///srv/vault"}, datasets=datasets)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "AIRFLOW_HOME": str(folder / "airflow"),
            "HOLDFAST_CONFIG": str(folder / "config"),
            "HOLDFAST_STATE": str(folder / "state"),
        }
        names = _ask("names", environment)
        runs = [json.loads(_ask("time", environment, names)) for _ in range(RUNS + 1)]
        if not all(run["dags"] for run in runs):
            raise BenchmarkFailedError("the DAG files made no DAG")
        found[count] = median(run["seconds"] for run in runs[1:])  # the first wrote bytecode
    return found


def _ask(verb: str, environment: dict[str, str], given: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.parsing", verb],
        cwd=ROOT,
        env=environment,
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchmarkFailedError(done.stderr)
    return done.stdout.splitlines()[-1]  # Airflow may have said something before


def _load(path: Path) -> ModuleType:
    spec = spec_from_file_location(f"dag_file_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Answer one question about this process."""
    files = sorted((ROOT / "dags").glob("*.py"))
    if sys.argv[1] == "names":
        for path in files:
            _load(path)
        print(json.dumps([name for name in sys.modules if name.partition(".")[0] == "airflow"]))
        return
    for name in json.load(sys.stdin):
        importlib.import_module(name)
    started = time.perf_counter()
    modules = [_load(path) for path in files]
    seconds = time.perf_counter() - started
    from airflow.sdk import DAG  # noqa: PLC0415  after what is measured

    dags = sum(isinstance(value, DAG) for module in modules for value in vars(module).values())
    print(json.dumps({"seconds": seconds, "dags": dags}))


if __name__ == "__main__":
    main()
