"""PostgreSQL: our backups and restores beside pg_dump and pg_restore, on one server.

The database is of a realistic kind: wide customers, partitioned orders, narrow order items, events
without a key, documents with binary content, large objects, and pgbench's tables; 2 GB on disk at
scale 1. The server's own work is not in the CPU figures: they are those of the client programs.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.measure import BenchmarkFailedError, Command, Cost, measure, middle
from benchmarks.programs import key_connection
from benchmarks.report import MIB, Gate, Section
from tests.servers.postgresql import PASSWORD, debian_binaries, make_server

if TYPE_CHECKING:
    from tests.servers.postgresql import Postgres

ROOT: Final = Path(__file__).resolve().parents[1]
_SERVER: Final = {
    "fsync": "on",
    "shared_buffers": "512MB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    "autovacuum": "off",
}

_SCHEMA: Final = """
CREATE SCHEMA shop;
CREATE TYPE shop.status AS ENUM ('new', 'paid', 'sent', 'returned');
CREATE TABLE shop.customers (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, email text UNIQUE,
  address jsonb, notes text, tags text[], created timestamptz, score numeric(8, 3));
CREATE TABLE shop.orders (
  id bigint, customer bigint, placed date NOT NULL, state shop.status, total numeric(12, 2),
  PRIMARY KEY (id, placed)) PARTITION BY RANGE (placed);
CREATE TABLE shop.order_items (
  order_id bigint, line int, sku text, quantity int, price numeric(10, 2),
  amount numeric(12, 2) GENERATED ALWAYS AS (quantity * price) STORED,
  PRIMARY KEY (order_id, line));
CREATE INDEX ON shop.order_items (sku);
CREATE TABLE shop.events (at timestamptz, kind text, payload jsonb);
CREATE TABLE shop.documents (id int PRIMARY KEY, name text, body bytea);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where one benchmark works."""

    server: Postgres
    work: Path
    scale: float

    def environment(self) -> dict[str, str]:
        """What a client program is given."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.work),
            "LANG": "C.UTF-8",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.server.port),
            "PGUSER": "postgres",
            "PGPASSWORD": PASSWORD,
        }


def postgresql(work: Path, *, scale: float, rounds: int) -> Section:
    """Run the whole comparison; the database grows fourfold for the last step."""
    if (binaries := debian_binaries()) is None:
        raise BenchmarkFailedError("PostgreSQL is not on this machine")
    work.mkdir()
    server = make_server(binaries, **_SERVER)
    try:
        place = _Place(server=server, work=work, scale=scale)
        _fill(place, "bench", scale)
        small = _compare(place, rounds)
        _grow(place, "bench", times=4)
        large = _incrementals(place, 1)
    finally:
        server.remove()
    return _section(small, large)


def _compare(place: _Place, rounds: int) -> dict[str, list[Cost]]:
    """Fulls and restores in turn; the first round only warms up."""
    costs: dict[str, list[Cost]] = {}
    for number in range(rounds + 1):
        found = _one_round(place)
        if number:
            for name, cost in found.items():
                costs.setdefault(name, []).append(cost)
    return costs | {
        name: found for name, found in _incrementals(place, rounds).items() if name != "full"
    }


def _one_round(place: _Place) -> dict[str, Cost]:
    work, environment = place.work, place.environment()
    custom, folder = work / "dump.custom", work / "dump.folder"
    costs = {"full": _full(place)}
    costs["pg_dump -Fc"] = _run(
        place, environment, "pg_dump", "-Fc", "-d", "bench", "-f", str(custom)
    )
    costs["pg_dump -Fd -j2 -Z0"] = _run(
        place, environment, "pg_dump", "-Fd", "-j2", "-Z0", "-d", "bench", "-f", str(folder)
    )
    place.server.make_database("again")
    costs["pg_restore -Fd -j2"] = _run(
        place, environment, "pg_restore", "-j2", "-d", "again", str(folder)
    )
    place.server.run("DROP DATABASE again WITH (FORCE)")
    costs["restore"] = _holdfast(
        place, "restore", "bench", "--to", "connection:scratch/again", "--jobs", "2"
    )
    place.server.run("DROP DATABASE again WITH (FORCE)")
    custom.unlink()
    shutil.rmtree(folder)
    return costs


def _incrementals(place: _Place, rounds: int) -> dict[str, list[Cost]]:
    """A full, and incrementals after the most recent hundredth was changed."""
    costs: dict[str, list[Cost]] = {"full": [_full(place)], "incremental": [], "unchanged": []}
    for _ in range(rounds):
        costs["unchanged"].append(_holdfast(place, "back-up", "bench"))
        changed = _change_recent(place, "bench")
        before = _stored(place)
        cost = _holdfast(place, "back-up", "bench")
        stored = _stored(place) - before
        costs["incremental"].append(
            Cost(
                wall_seconds=cost.wall_seconds,
                cpu_seconds=cost.cpu_seconds,
                peak_bytes=cost.peak_bytes,
                stored_bytes=stored,
            )
        )
        costs.setdefault("changed", []).append(
            Cost(wall_seconds=0, cpu_seconds=0, peak_bytes=0, stored_bytes=changed)
        )
    return costs


def _section(small: dict[str, list[Cost]], large: dict[str, list[Cost]]) -> Section:
    at = {name: middle(costs) for name, costs in small.items()}
    large_at = {name: middle(costs) for name, costs in large.items()}
    lines = ["| what | wall s | CPU s (client) | peak MiB | stored MiB |", "|---|---|---|---|---|"]
    for prefix, found in (("", at), ("8 GB: ", large_at)):
        lines += [
            f"| {prefix}{name} | {cost.wall_seconds:.2f} | {cost.cpu_seconds:.2f} | "
            f"{cost.peak_bytes / MIB:.0f} | {cost.stored_bytes / MIB:.1f} |"
            for name, cost in found.items()
            if name != "changed"
        ]

    def wall(name: str, of: dict[str, Cost] = at) -> float:
        return of[name].wall_seconds

    peak = max(cost.peak_bytes for found in (at, large_at) for cost in found.values()) / MIB
    return Section(
        title="PostgreSQL 15, a realistic database of 2 GB, then of 8 GB; one server on loopback",
        lines=lines,
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
                 figure=at["incremental"].stored_bytes / at["changed"].stored_bytes),
            Gate(what="restore: wall, of pg_restore -Fd -j2", limit=1.1,
                 figure=wall("restore") / wall("pg_restore -Fd -j2")),
            Gate(what="peak memory of any step, two jobs", limit=300 + 2 * 64, figure=peak,
                 unit="MiB"),
        ],
    )  # fmt: skip


def _full(place: _Place) -> Cost:
    """A first full into an empty vault."""
    for name in ("vault", "state"):
        shutil.rmtree(place.work / name, ignore_errors=True)
    (place.work / "vault").mkdir()
    cost = _holdfast(place, "back-up", "bench", "--full")
    return Cost(
        wall_seconds=cost.wall_seconds,
        cpu_seconds=cost.cpu_seconds,
        peak_bytes=cost.peak_bytes,
        stored_bytes=_stored(place),
    )


def _holdfast(place: _Place, *arguments: str) -> Cost:
    work = place.work
    config = work / "config"
    if not config.exists():
        config.mkdir()
        shutil.copy(ROOT / "include" / "config" / "policy.yaml", config)
        document = {
            "key": {"provider": "local", "connection": "backup_master_key"},
            "signing_key": {"connection": "backup_signing_key"},
            "vaults": {"primary": {"url": f"file://{work}/vault"}},
            "datasets": {
                "bench": {
                    "class": "critical",
                    "owner": "bench@example.com",
                    "source": {"type": "postgresql", "connection": "bench"},
                }
            },
        }
        (config / "datasets.yaml").write_text(json.dumps(document))
        (work / "keys").write_text(json.dumps([key_connection(), key_connection()]))
    master, signing = json.loads((work / "keys").read_text())
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(work),
        "LANG": "C.UTF-8",
        "HOLDFAST_STATE": str(work / "state"),
        "AIRFLOW_CONN_BACKUP_MASTER_KEY": master,
        "AIRFLOW_CONN_BACKUP_SIGNING_KEY": signing,
        "AIRFLOW_CONN_BENCH": place.server.variable("bench"),
        "AIRFLOW_CONN_SCRATCH": place.server.variable("postgres"),
    }
    program = (sys.executable, "-m", "include.backup", "--config", str(config))
    command = Command(arguments=(*program, *arguments), environment=environment, folder=ROOT)
    return measure(command, log=work / "log")


def _run(place: _Place, environment: dict[str, str], program: str, *arguments: str) -> Cost:
    path = str(place.server.binaries / program)
    command = Command(arguments=(path, *arguments), environment=environment, folder=place.work)
    return measure(command, log=place.work / "log")


def _stored(place: _Place) -> int:
    return sum(path.stat().st_size for path in (place.work / "vault").rglob("*") if path.is_file())


def _fill(place: _Place, name: str, scale: float) -> None:
    """Make the database."""
    server = place.server
    server.make_database(name)
    server.tool("pgbench", "-i", "-q", "-s", str(max(1, round(50 * scale))), "-n", database=name)
    months = [f"2026-{month:02}-01" for month in range(1, 13)] + ["2027-01-01"]
    partitions = [
        f"CREATE TABLE shop.orders_{number:02} PARTITION OF shop.orders "
        f"FOR VALUES FROM ('{start}') TO ('{end}')"
        for number, (start, end) in enumerate(pairwise(months), 1)
    ]
    server.run(_SCHEMA, *partitions, database=name)
    server.run("CREATE TABLE shop.orders_rest PARTITION OF shop.orders DEFAULT", database=name)
    _insert(server, name, first=0, scale=scale)
    server.run(
        "SELECT lo_from_bytea(0, convert_to(repeat(md5(g::text), 300), 'UTF8')) "
        f"FROM generate_series(1, {round(400 * scale) or 1}) g",
        database=name,
    )
    server.run("VACUUM ANALYZE", "CHECKPOINT", database=name)


def _insert(server: Postgres, name: str, *, first: int, scale: float) -> None:
    """Add rows behind those that are there; `first` is how often that was done before."""
    customers, orders, events, documents = (
        round(count * scale) for count in (300_000, 1_100_000, 600_000, 2_000)
    )
    server.run(
        f"""INSERT INTO shop.customers (name, email, address, notes, tags, created, score)
            SELECT 'Customer ' || g, 'c' || g || '@example.com',
                   jsonb_build_object('street', md5(g::text), 'zip', g % 99999, 'city', 'City'),
                   repeat(md5((g * 7)::text), 18), ARRAY['a' || g % 7, 'b' || g % 3],
                   timestamptz '2026-01-01 00:00Z' + g * interval '1 second', g % 1000 / 7.0
              FROM generate_series({first * customers} + 1, {(first + 1) * customers}) g""",
        f"""INSERT INTO shop.orders
            SELECT g, g % 300000 + 1, date '2026-01-01' + (g % 380)::int,
                   (ARRAY['new', 'paid', 'sent', 'returned'])[g % 4 + 1]::shop.status, g % 900
              FROM generate_series({first * orders} + 1, {(first + 1) * orders}) g""",
        f"""INSERT INTO shop.order_items (order_id, line, sku, quantity, price)
            SELECT g, l, 'SKU-' || (g * l) % 5000, g % 9 + 1, (g % 10000) / 100.0
              FROM generate_series({first * orders} + 1, {(first + 1) * orders}) g,
                   generate_series(1, 3) l""",
        f"""INSERT INTO shop.events
            SELECT timestamptz '2026-01-01 00:00Z' + g * interval '1 second', 'kind' || g % 9,
                   jsonb_build_object('id', g, 'text', md5(g::text))
              FROM generate_series({first * events} + 1, {(first + 1) * events}) g""",
        f"""INSERT INTO shop.documents
            SELECT g, 'doc ' || g, decode(string_agg(md5((g * s)::text), ''), 'hex')
              FROM generate_series({first * documents} + 1, {(first + 1) * documents}) g,
                   generate_series(1, 3000) s GROUP BY g""",
        database=name,
    )


def _grow(place: _Place, name: str, *, times: int) -> None:
    server = place.server
    accounts = round(50 * place.scale) * 100_000
    for number in range(1, times):
        _insert(server, name, first=number, scale=place.scale)
        server.run(
            "INSERT INTO pgbench_accounts (aid, bid, abalance, filler) "
            f"SELECT g, 1, 0, '' FROM generate_series({number * accounts} + 1, "
            f"{(number + 1) * accounts}) g",
            database=name,
        )
    server.run("VACUUM ANALYZE", "CHECKPOINT", database=name)


def _change_recent(place: _Place, name: str) -> int:
    """Update the newest hundredth of the big tables; return the bytes of those rows as text."""
    changed = 0
    for table, key, column in (
        ("pgbench_accounts", "aid", "abalance = abalance + 1"),
        ("shop.order_items", "order_id", "quantity = quantity + 1"),
        ("shop.customers", "id", "score = score + 1"),
    ):
        newest = f"{key} > (SELECT max({key}) * 0.99 FROM {table})"
        place.server.run(f"UPDATE {table} SET {column} WHERE {newest}", database=name)
        [(size,)] = place.server.run(
            f"SELECT sum(length(t::text)) FROM {table} t WHERE {newest}", database=name
        )
        changed += int(size)
    return changed
