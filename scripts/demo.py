"""`make demo`: the main job on real data, through a real Airflow scheduler, in ./.demo.

Fulls of every class, one of them killed with -9 and resumed; data changes; incrementals; restores
tried, compared and judged, as each quarter; what has expired removed; the most critical class
copied to a second vault after each backup; one point restored by us and by stock restic, and
compared with the source byte for byte.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from include.backup.cli.airflow_pools import pool_of
from include.backup.evidence.table import aligned
from include.backup.evidence.wording import moment, size
from include.backup.policy.durations import format_duration
from include.backup.policy.objectives import Verdict
from include.backup.policy.retention import KEPT_POINTS
from include.orchestration.names import dag_id, expire_dag_id, replicate_dag_id, verify_dag_id
from scripts.airflow_api import ApiError
from scripts.airflow_site import LOCK, ROOT, Site, SiteError, end_leftovers, only_one, running
from scripts.demo_data import DemoData
from scripts.demo_database import NAME, SCRATCH, FlightsDatabase
from scripts.keys_file import keys

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from include.backup.policy.model import Policy
    from scripts.airflow_api import AirflowApi

FOLDER: Final = ROOT / ".demo"
_KILLED: Final = ("important", "full", "handbook")
_WATCH_SECONDS: Final = 0.005
_START_SECONDS: Final = 120
_KILL_TRIES: Final = 3
_COPY_SECONDS: Final = 90
_SHORT_LIVED: Final = "short_lived"  # a class, and its only dataset; see demo_data.py
_RETENTION_SECONDS: Final = 31
_VERDICTS: Final = tuple(map(str, Verdict))


class DemoError(Exception):
    """Something did not come out as it must."""


def demo_site(folder: Path = FOLDER, *, database: FlightsDatabase | None = None) -> Site:
    """The demo's Airflow. Its database, if there was one, has ended with the demo."""
    data = DemoData(folder=folder)
    return Site(
        home=folder / "airflow",
        config=data.config,
        state=folder / "state",
        variables=keys(folder / "keys.env", config=data.config)
        | (database.variables() if database else {}),
    )


def main() -> int:
    """Run the demo; 0 when everything in it held."""
    argparse.ArgumentParser(prog="make demo", description=__doc__).parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        with only_one(FOLDER):
            Demo().run()
    except (DemoError, SiteError, ApiError, subprocess.CalledProcessError) as error:
        print(f"\nthe demo failed: {error}", file=sys.stderr)
        print(f"logs: {FOLDER}/airflow/components, {FOLDER}/airflow/logs", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; Airflow has been ended", file=sys.stderr)
        return 1
    return 0


class Demo:
    """The story, told as it goes."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._database: FlightsDatabase | None = None
        self._data = DemoData(folder=FOLDER)

    def run(self) -> None:
        """All of it.

        Raises:
            DemoError, SiteError, ApiError.
        """
        self._clear()
        self._database = FlightsDatabase.start()
        try:
            self._run()
        finally:
            if self._database is not None:
                self._database.remove()

    def _run(self) -> None:
        self._data = DemoData(folder=FOLDER, database=self._database)
        if self._database is None:
            self._tell("no PostgreSQL server is installed: the flights are backed up as files")
        else:
            version = self._database.version()
            self._tell(f"PostgreSQL {version} on loopback: the flights are a database")
        self._tell("collecting real data: flight tables, documents")
        airflow_logs = FOLDER / "airflow" / "logs"
        policy = self._data.make(logs=airflow_logs)
        site = demo_site(database=self._database)
        self._tell("starting Airflow: SQLite, LocalExecutor, loopback only")
        with running(site) as api:
            self._tell(f"healthy at {api.address}")
            self._prepare(api, policy)
            self._fulls(api, policy)
            self._tell(f"a day passes: {self._data.change()}")
            self._incrementals(api, policy)
            self._verify(api, policy)
            self._expire(api)
            self._replicated(api, policy)
        self._tell("Airflow has ended; what follows needs the vault and the keys alone")
        if self._database is None:
            self._restore("flights")
        else:
            self._restore_database(self._database)
        self._close()

    def _tell(self, text: str) -> None:
        print(f"[{time.monotonic() - self._began:5.0f} s] {text}", flush=True)

    def _clear(self) -> None:
        end_leftovers(Site(home=FOLDER / "airflow", config=FOLDER, state=FOLDER))
        for path in FOLDER.iterdir():
            if path.name == LOCK:
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def _prepare(self, api: AirflowApi, policy: Policy) -> None:
        expected = []
        for data_class in policy.classes:
            api.make_pool(pool_of(data_class.name), 2, f"{data_class.name} backups at a time")
            expected += [dag_id(data_class.name, method) for method in _methods(data_class)]
            expected += [verify_dag_id(data_class.name), expire_dag_id(data_class.name)]
            expected += [replicate_dag_id(data_class.name)]
        api.wait_for_dags(expected)
        for dag in expected:
            api.unpause(dag)
        self._tell(f"{len(expected)} DAGs from the policy, a pool for each class")

    def _fulls(self, api: AirflowApi, policy: Policy) -> None:
        self._kill_one(api)
        runs = [
            (dag, api.trigger(dag))
            for dag in (dag_id(found.name, "full") for found in policy.classes)
            if dag != dag_id(*_KILLED[:2])
        ]
        self._await(api, runs)

    def _incrementals(self, api: AirflowApi, policy: Policy) -> None:
        dags = [dag_id(found.name, "incremental") for found in policy.classes if _adds(found)]
        self._await(api, [(dag, api.trigger(dag)) for dag in dags])

    def _verify(self, api: AirflowApi, policy: Policy) -> None:
        """Try restores of the most critical class, compared and judged, and look at the page."""
        dag = verify_dag_id(policy.most_critical.name)
        self._await(api, [(dag, api.trigger(dag))])
        if left := list((FOLDER / "scratch").iterdir()):
            raise DemoError(f"the trial left {left[0]}")
        page = FOLDER / "verification.html"
        self._say("report", NAME, "--to", str(page))

    def _expire(self, api: AirflowApi) -> None:
        """Three recovery points of a class whose retention is over: the newest two never expire."""
        for _ in range(2):
            self._holdfast("back-up", _SHORT_LIVED, "--full")
        time.sleep(_RETENTION_SECONDS)
        self._say("expire", _SHORT_LIVED, "--dry-run")
        dag = expire_dag_id(_SHORT_LIVED)
        self._await(api, [(dag, api.trigger(dag))])
        if len(left := self._json("recovery-points", _SHORT_LIVED)) != KEPT_POINTS:
            raise DemoError(f"{len(left)} recovery points are left, not {KEPT_POINTS}")
        self._tell(
            "what has expired is gone; the newest two recovery points stay, whatever their age"
        )

    def _replicated(self, api: AirflowApi, policy: Policy) -> None:
        """Nobody started it: each backup of the class does. The copy is a vault of its own."""
        dag, deadline = (
            replicate_dag_id(policy.most_critical.name),
            time.monotonic() + _COPY_SECONDS,
        )
        while not self._is_copied(api, dag):
            if time.monotonic() > deadline:
                raise DemoError(f"{dag} has not copied everything after {_COPY_SECONDS} s")
            time.sleep(1)
        self._tell(f"{dag}: ran by itself after the backups")
        self._say("vault", "list")
        self._say("check", NAME, "--from", "second", "--read-data")

    def _is_copied(self, api: AirflowApi, dag: str) -> bool:
        runs = api.ask("GET", f"dags/{dag}/dagRuns")["dag_runs"]
        if any(run["state"] == "failed" for run in runs):
            raise DemoError(f"{dag} failed")
        if not any(run["run_type"] == "asset_triggered" for run in runs):
            return False
        [replica] = next(one["replicas"] for one in self._json("status") if one["dataset"] == NAME)
        return replica["held"] > 1 and not replica["behind"]

    def _await(self, api: AirflowApi, runs: Sequence[tuple[str, str]]) -> None:
        for dag, run in runs:
            state = api.wait(dag, run)
            told = api.log_of(dag, run, "summary")
            self._tell(f"{dag}: {state}")
            for line in told.splitlines():
                if line.startswith(_VERDICTS) and " · " in line:
                    print(f"          {line}")
            if state != "success":
                raise DemoError(f"{dag} ended {state}; its summary says:\n{told}")

    def _kill_one(self, api: AirflowApi) -> None:
        """Kill a full with -9 while it stores, and see it resume in the same generation."""
        data_class, method, dataset = _KILLED
        dag, vault = dag_id(data_class, method), self._data.vault / "datasets" / dataset
        for _ in range(_KILL_TRIES):
            run = api.trigger(dag)
            killed = _kill_while_storing(vault)
            if killed is not None:
                break
            api.wait(dag, run)
            self._tell("that full was too quick to be killed; once more")
        else:
            raise DemoError(f"{dag} could not be interrupted: it ends before anyone can")
        pid, generation, stored = killed
        self._tell(
            f"{dag}: kill -9 of process {pid} in generation {generation}, "
            f"{size(stored)} of packs uploaded, no recovery point yet"
        )
        while _state_of(api, dag, run) not in {"up_for_retry", "failed"}:
            time.sleep(0.2)
        self._tell("Airflow would try again in five minutes; we clear the task, as a person may")
        api.run_again(dag, run, "back_up")
        self._await(api, [(dag, run)])
        points = self._json("recovery-points", dataset)
        if [point["generation"] for point in points] != [generation]:
            raise DemoError(f"the next attempt did not resume generation {generation}")
        found, again = points[0]["bytes_found"], points[0]["bytes_stored"]
        if not found:
            raise DemoError("the next attempt used nothing of what was uploaded")
        self._tell(
            f"resumed in the same generation: {size(found)} of blobs were found in those packs and "
            f"not uploaded again, {size(again)} were missing"
        )

    def _restore(self, dataset: str) -> None:
        source, ours = self._data.source(dataset), FOLDER / "restored"
        self._say("restore", dataset, "--to", str(ours), "--reason", "demo")
        _require_same(source, ours)
        self._tell("restored by us: identical with the source, byte for byte")
        if (theirs := self._restore_by_restic(dataset)) is not None:
            _require_same(source, theirs)
            self._tell("stock restic: check --read-data clean, restore identical, byte for byte")

    def _restore_database(self, database: FlightsDatabase) -> None:
        wanted, name = database.rows(), "flights_restored"
        self._say("restore", NAME, "--to", f"connection:{SCRATCH}/{name}", "--reason", "demo")
        _require_rows(wanted, database.rows(name), "the restored database")
        self._tell("restored by us into another database: every row is identical, byte for byte")
        if (theirs := self._restore_by_restic(NAME)) is not None:
            folder = theirs / NAME / "data"
            found = {path.name: path.read_bytes() for path in folder.iterdir()}
            _require_rows(wanted, found, "what stock restic restored")
            self._tell("stock restic: check --read-data clean, the rows of every table identical")

    def _restore_by_restic(self, dataset: str) -> Path | None:
        """Check and restore with stock restic; return where the dataset is; None without restic."""
        theirs = FOLDER / "restic"
        if (restic := shutil.which("restic")) is None:
            self._tell("stock restic is not installed, so it was not asked (apt install restic)")
            return None
        generation = self._json("recovery-points", dataset)[0]["generation"]
        password = self._holdfast("keys", "export", dataset, generation).splitlines()[-1]
        repository = self._data.vault / "datasets" / dataset / "generations" / generation
        environment = {
            **os.environ,
            "RESTIC_PASSWORD": password,
            "RESTIC_REPOSITORY": str(repository),
        }
        for arguments in (["check", "--read-data"], ["restore", "latest", "--target", str(theirs)]):
            subprocess.run(
                [restic, "--quiet", "--no-cache", *arguments],
                env=environment,
                check=True,
                stdin=subprocess.DEVNULL,
            )
        return theirs / dataset

    def _close(self) -> None:
        standing = self._json("status")
        rows = [(
            "verdict", "dataset", "class", "points", "read", "new", "stored", "stored before",
            "greatest age", "limit", "time left", "next due",
        )]  # fmt: skip
        for found in standing:
            points = self._json("recovery-points", found["dataset"])
            if found["verdict"] == "BROKEN" or not points:
                raise DemoError(f"{found['dataset']}: {found['reason']}")
            rows.append((
                found["verdict"],
                found["dataset"],
                found["class"],
                str(len(points)),
                *(
                    size(sum(point[key] for point in points))
                    for key in ("bytes_read", "bytes_new", "bytes_stored", "bytes_found")
                ),
                _length(found["greatest_age_seconds"]),
                _length(found["rpo_seconds"]),
                _length(found["time_left_seconds"]),
                _when(found["next_due_at"]),
            ))
        print()
        print("\n".join(aligned(rows)))
        print(f"\nall of this held, in {time.monotonic() - self._began:.0f} s.")
        if self._database is not None:
            print("The flights' database has ended with the demo: another run of it would fail.")
        print("To look around in the demo's Airflow:\n\n    make demo-ui\n")

    def _say(self, *arguments: str) -> None:
        print(f"          $ holdfast {' '.join(arguments)}")
        for line in self._holdfast(*arguments).splitlines():
            print(f"          {line}")

    def _json(self, *arguments: str) -> Any:  # noqa: ANN401  JSON
        return json.loads(self._holdfast(*arguments, "--json"))

    def _holdfast(self, *arguments: str) -> str:
        """Run a command as a person does."""
        site = demo_site(database=self._database)
        done = subprocess.run(
            [sys.executable, "-m", "include.backup", "--config", str(site.config), *arguments],
            cwd=ROOT,
            env={**os.environ, **site.variables, "HOLDFAST_STATE": str(site.state)},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            raise DemoError(f"holdfast {' '.join(arguments)} ended with {done.returncode}")
        return done.stdout


def _methods(data_class: Any) -> list[str]:  # noqa: ANN401  DataClass
    return ["incremental", "full"] if _adds(data_class) else ["full"]


def _adds(data_class: Any) -> bool:  # noqa: ANN401  DataClass
    return str(data_class.method) == "incremental"


def _kill_while_storing(vault: Path) -> tuple[int, str, int] | None:
    """Kill the process that fills a new generation as soon as a pack is stored.

    Returns:
        Its pid, the generation, and the bytes in its packs; None when it was quicker than we.
    """
    before = set(_generations(vault))
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        for generation in set(_generations(vault)) - before:
            folder = vault / "generations" / generation
            if not _stored(folder):
                continue
            pid = _holder(vault)
            if pid is None:
                return None
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            if any((folder / "snapshots").glob("*")):
                return None
            return pid, generation, _stored(folder)
        time.sleep(_WATCH_SECONDS)
    raise DemoError("the full did not begin to store anything")


def _generations(vault: Path) -> list[str]:
    with suppress(FileNotFoundError):
        return os.listdir(vault / "generations")  # noqa: PTH208  names alone
    return []


def _stored(generation: Path) -> int:
    """Bytes of whole packs; what is not renamed yet does not count."""
    found = (generation / "data").glob("*/*")
    return sum(path.stat().st_size for path in found if len(path.name) == 64)  # noqa: PLR2004


def _holder(vault: Path) -> int | None:
    """The process that holds the lease of the full, as its newest file says."""
    newest = max((vault / "leases" / "full").glob("*.json"), default=None)
    if newest is None:
        return None
    lease = json.loads(newest.read_bytes())
    return None if lease["released"] else int(lease["owner"]["pid"])


def _state_of(api: AirflowApi, dag: str, run: str) -> str:
    states = [found.state for found in api.instances(dag, run) if found.task == "back_up"]
    return states[0] if states else "none"


def _require_same(left: Path, right: Path) -> None:
    """Compare two trees: names, and every byte.

    Raises:
        DemoError: names the first difference.
    """
    names = [sorted(p.relative_to(top) for p in top.rglob("*")) for top in (left, right)]
    if names[0] != names[1]:
        odd = sorted(set(names[0]) ^ set(names[1]))
        raise DemoError(f"{left} and {right} do not hold the same names: {odd[0]}")
    for name in names[0]:
        one, other = left / name, right / name
        if one.is_file() and not filecmp.cmp(one, other, shallow=False):
            raise DemoError(f"{one} and {other} differ")


def _require_rows(wanted: dict[str, bytes], found: dict[str, bytes], where: str) -> None:
    """Compare the rows of all tables.

    Raises:
        DemoError: names the first table that differs.
    """
    for name, rows in wanted.items():
        if found.get(name) != rows:
            raise DemoError(f"{name} in {where} is not what the source has")


def _length(seconds: float | None) -> str:
    return "none" if seconds is None else format_duration(timedelta(seconds=round(seconds)))


def _when(text: str | None) -> str:
    return moment(datetime.fromisoformat(text)) if text else "none"


if __name__ == "__main__":
    raise SystemExit(main())
