"""PostgreSQL: our backups and restores beside pg_dump, pg_restore and pgBackRest, on one server.

The server's own work is not in the CPU figures: they are those of the client programs. pgBackRest
copies the server's files, where it has to run, and is there for orientation. Our restore gathers
statistics, which pg_restore leaves to vacuumdb: like is compared with like, without them and with.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from benchmarks.databases import TABLE_HEAD, OurSide, medians, table_rows
from benchmarks.measure import BenchmarkFailedError, Command, Cost, measure
from benchmarks.pgbackrest import PgBackRest
from benchmarks.postgresql_corpus import change_recent, fill, grow
from benchmarks.programs import DATASET
from benchmarks.report import MIB, Gate, Section
from tests.servers.postgresql import PASSWORD, debian_binaries, make_server

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.servers.postgresql import Postgres

_NAME, _AGAIN = "bench", "again"
_VACUUMDB: Final = "its vacuumdb --analyze-only -j2"
SERVER: Final = {
    "fsync": "on",
    "shared_buffers": "512MB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    "autovacuum": "off",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where one benchmark works."""

    server: Postgres
    work: Path
    ours: OurSide
    others: PgBackRest | None

    def stock(self, program: str, *arguments: str) -> Cost:
        """Run a client program of the server."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.work),
            "LANG": "C.UTF-8",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.server.port),
            "PGUSER": "postgres",
            "PGPASSWORD": PASSWORD,
        }
        words = (str(self.server.binaries / program), *arguments)
        command = Command(arguments=words, environment=environment, folder=self.work)
        self.ours.settle()
        return measure(command, log=self.work / "log")


def postgresql(work: Path, *, scale: float, rounds: int) -> Section:
    """Run the whole comparison; the database grows fourfold for the last step."""
    if (binaries := debian_binaries()) is None:
        raise BenchmarkFailedError("PostgreSQL is not on this machine")
    work.mkdir()
    server = make_server(binaries, **SERVER)
    try:
        ours = OurSide(
            work=work,
            source={"type": "postgresql", "connection": "bench"},
            connections={"bench": server.variable(_NAME), "scratch": server.variable("postgres")},
            settle=lambda: server.run("CHECKPOINT"),
        )
        others = PgBackRest.of(server)
        place = _Place(server=server, work=work, ours=ours, others=others)
        fill(server, _NAME, scale=scale)
        small = _fulls(place, rounds) | _incrementals(place, rounds)
        grow(server, _NAME, scale=scale, times=4)
        large = {"full": [ours.full()]} | _incrementals(place, rounds)
    finally:
        server.remove()
    return _section(small, large)


def _fulls(place: _Place, rounds: int) -> dict[str, list[Cost]]:
    """Fulls and restores in turn; the first round only warms up."""
    costs: dict[str, list[Cost]] = {}
    for number in range(rounds + 1):
        for name, cost in _one_round(place).items():
            costs.setdefault(name, [])
            costs[name] += [cost] if number else []
    return costs


def _one_round(place: _Place) -> dict[str, Cost]:
    server, custom, folder = place.server, place.work / "dump.custom", place.work / "dump.folder"
    costs = {"full": place.ours.full()}
    costs["pg_dump -Fc"] = place.stock("pg_dump", "-Fc", "-d", _NAME, "-f", str(custom))
    costs["pg_dump -Fd -j2 -Z0"] = place.stock(
        "pg_dump", "-Fd", "-j2", "-Z0", "-d", _NAME, "-f", str(folder)
    )
    if place.others is not None:
        costs |= {"pgBackRest, full": place.others.full()}
    server.make_database(_AGAIN)
    costs["pg_restore -Fd -j2"] = place.stock("pg_restore", "-j2", "-d", _AGAIN, str(folder))
    costs[_VACUUMDB] = place.stock("vacuumdb", "--analyze-only", "-j2", "-q", "-d", _AGAIN)
    server.run(f"DROP DATABASE {_AGAIN} WITH (FORCE)")
    to_server = ("restore", DATASET, "--to", f"connection:scratch/{_AGAIN}", "--jobs", "2")
    for name, more in {"restore": (), "restore, no statistics": ("--no-statistics",)}.items():
        costs[name] = place.ours.run(*to_server, *more)
        server.run(f"DROP DATABASE {_AGAIN} WITH (FORCE)")
    custom.unlink()
    shutil.rmtree(folder)
    return costs


def _incrementals(place: _Place, rounds: int) -> dict[str, list[Cost]]:
    """Incrementals after the most recent hundredth was changed, and after nothing was."""
    costs: dict[str, list[Cost]] = {"incremental": [], "unchanged": [], "changed": []}
    nothing = Cost(wall_seconds=0, cpu_seconds=0, peak_bytes=0)
    for _ in range(rounds):
        costs["unchanged"].append(place.ours.incremental())
        changed_bytes = change_recent(place.server, _NAME)
        costs["changed"].append(replace(nothing, stored_bytes=changed_bytes))
        if place.others is not None:
            costs.setdefault("pgBackRest, incremental", []).append(place.others.incremental())
        costs["incremental"].append(place.ours.incremental())
    return costs


def _section(small: Mapping[str, list[Cost]], large: Mapping[str, list[Cost]]) -> Section:
    at, large_at = medians(small), medians(large)
    changed = at.pop("changed").stored_bytes
    del large_at["changed"]

    def wall(name: str, of: Mapping[str, Cost] = at) -> float:
        return of[name].wall_seconds

    ours = ("full", "incremental", "unchanged", "restore")
    peak = (
        max(found[name].peak_bytes for found in (at, large_at) for name in ours if name in found)
        / MIB
    )
    return Section(
        title="PostgreSQL 15, a realistic database of 2 GB, then of 8 GB; one server on loopback",
        lines=[*TABLE_HEAD, *table_rows(at), *table_rows(large_at, "8 GB: ")],
        gates=[
            Gate(what="full: wall, of pg_dump -Fc", limit=0.65,
                 figure=wall("full") / wall("pg_dump -Fc")),
            Gate(what="full: wall, of pg_dump -Fd -j2 -Z0", limit=2.0,
                 figure=wall("full") / wall("pg_dump -Fd -j2 -Z0")),
            Gate(what="recent 1 % changed: wall, of our full, 2 GB", limit=0.40,
                 figure=wall("incremental") / wall("full")),
            Gate(what="recent 1 % changed: wall, of our full, 8 GB", limit=0.25,
                 figure=wall("incremental", large_at) / wall("full", large_at)),
            Gate(what="recent 1 % changed: stored, of the changed bytes", limit=2.0,
                 figure=at["incremental"].stored_bytes / changed),
            Gate(what="restore, no statistics: wall, of pg_restore -Fd -j2", limit=1.1,
                 figure=wall("restore, no statistics") / wall("pg_restore -Fd -j2")),
            Gate(what="restore: wall, of pg_restore and vacuumdb", limit=1.1,
                 figure=wall("restore") / (wall("pg_restore -Fd -j2") + wall(_VACUUMDB))),
            Gate(what="peak memory of any step, two jobs", limit=300 + 2 * 64, figure=peak,
                 unit="MiB"),
        ],
    )  # fmt: skip
