"""MariaDB: our backups and restores beside mariadb-dump through zstd, on one server.

The way that people take who have no more than the client programs: one process, a pipe, a file
that is neither encrypted nor deduplicated. About 1 GB of rows at scale 1.
"""

from __future__ import annotations

import os
import shlex
import shutil
from typing import TYPE_CHECKING, Final

from benchmarks.databases import TABLE_HEAD, OurSide, medians, table_rows
from benchmarks.measure import BenchmarkFailedError, Command, Cost, measure
from benchmarks.programs import DATASET
from benchmarks.report import MIB, Gate, Section
from tests.servers.mariadb import PASSWORD, make_server, server_program

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.servers.mariadb import Mariadb

_SERVER: Final = {
    "innodb-flush-log-at-trx-commit": "1",
    "innodb-buffer-pool-size": "1G",
    "innodb-log-file-size": "1G",
    "innodb-doublewrite": "ON",
    "skip-log-bin": "",
    "max-allowed-packet": "64M",
}
_NAME, _AGAIN = "bench", "again"
_SCHEMA: Final = """
CREATE TABLE customers (
  id INT PRIMARY KEY, name VARCHAR(60), email VARCHAR(80) UNIQUE, address JSON, notes TEXT,
  created DATETIME(6), score DECIMAL(8, 3));
CREATE TABLE orders (
  id INT PRIMARY KEY, customer INT, placed DATE, state ENUM('new', 'paid', 'sent', 'returned'),
  total DECIMAL(12, 2), KEY (customer));
CREATE TABLE order_items (
  order_id INT, line INT, sku VARCHAR(20), quantity INT, price DECIMAL(10, 2),
  PRIMARY KEY (order_id, line), KEY (sku));
CREATE TABLE events (id INT PRIMARY KEY, at DATETIME, kind VARCHAR(20), payload TEXT);
CREATE TABLE documents (id INT PRIMARY KEY, name VARCHAR(60), body MEDIUMBLOB);
"""


def mariadb(work: Path, *, scale: float, rounds: int) -> Section:
    """Run the whole comparison."""
    if (program := server_program()) is None or shutil.which("zstd") is None:
        raise BenchmarkFailedError("MariaDB or zstd is not on this machine")
    work.mkdir()
    server = make_server(program, **_SERVER)
    try:
        _fill(server, scale)
        costs: dict[str, list[Cost]] = {}
        for number in range(rounds + 1):
            for name, cost in _one_round(server, work).items():
                costs.setdefault(name, [])
                costs[name] += [cost] if number else []  # the first only warms up
    finally:
        server.remove()
    return _section(medians(costs))


def _one_round(server: Mariadb, work: Path) -> dict[str, Cost]:
    ours = OurSide(
        work=work,
        source={"type": "mariadb", "connection": "bench"},
        connections={"bench": server.variable(_NAME), "scratch": server.variable()},
    )
    client = f"--no-defaults --socket={shlex.quote(str(server.socket))} --user=admin"
    dump = work / "dump.sql.zst"
    costs = {"full": ours.full()}
    costs["mariadb-dump to zstd"] = _shell(
        work, f"mariadb-dump {client} --single-transaction --routines --events {_NAME} "
        f"| zstd -q -f -o {shlex.quote(str(dump))}"
    )  # fmt: skip
    server.make_database(_AGAIN)
    costs["zstd to mariadb"] = _shell(
        work, f"zstd -q -d -c {shlex.quote(str(dump))} | mariadb {client} {_AGAIN}"
    )
    server.run(f"DROP DATABASE {_AGAIN}")
    costs["restore"] = ours.run(
        "restore",
        DATASET,
        "--to",
        f"connection:scratch/{_AGAIN}",
        "--jobs",
        "2",
        "--into-source",
        "scratch",
    )
    server.run(f"DROP DATABASE {_AGAIN}")
    costs["unchanged"] = ours.incremental()
    server.run("UPDATE orders SET total = total + 1 ORDER BY id DESC LIMIT 10000", database=_NAME)
    costs["recent 1 % of orders changed"] = ours.incremental()
    return costs


def _section(costs: Mapping[str, Cost]) -> Section:
    def wall(name: str) -> float:
        return costs[name].wall_seconds

    peak = max(cost.peak_bytes for cost in costs.values()) / MIB
    return Section(
        title="MariaDB, about 1 GB of rows; one server on loopback",
        lines=[*TABLE_HEAD, *table_rows(costs)],
        gates=[
            Gate(what="full: wall, of mariadb-dump to zstd", limit=0.7,
                 figure=wall("full") / wall("mariadb-dump to zstd")),
            Gate(what="peak memory of any step, two jobs", limit=300 + 2 * 64, figure=peak,
                 unit="MiB"),
        ],
    )  # fmt: skip


def _shell(work: Path, line: str) -> Cost:
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "MYSQL_PWD": PASSWORD}
    arguments = ("bash", "-c", f"set -o pipefail; {line}")
    command = Command(arguments=arguments, environment=environment, folder=work)
    return measure(command, log=work / "log")


def _fill(server: Mariadb, scale: float) -> None:
    server.make_database(_NAME)
    server.feed(_SCHEMA, database=_NAME)
    customers, orders, events, documents = (
        max(1, round(count * scale)) for count in (300_000, 1_000_000, 600_000, 2_000)
    )
    server.run(
        f"""INSERT INTO customers SELECT seq, CONCAT('Customer ', seq),
              CONCAT('c', seq, '@example.com'),
              JSON_OBJECT('street', MD5(seq), 'zip', seq % 99999, 'city', 'City'),
              REPEAT(MD5(seq * 7), 18), '2026-01-01' + INTERVAL seq SECOND, seq % 1000 / 7
              FROM seq_1_to_{customers}""",
        f"""INSERT INTO orders SELECT seq, seq % 300000 + 1, '2026-01-01' + INTERVAL seq % 380 DAY,
              ELT(seq % 4 + 1, 'new', 'paid', 'sent', 'returned'), seq % 900
              FROM seq_1_to_{orders}""",
        f"""INSERT INTO order_items SELECT g.seq, l.seq, CONCAT('SKU-', g.seq * l.seq % 5000),
              g.seq % 9 + 1, g.seq % 10000 / 100 FROM seq_1_to_{orders} g, seq_1_to_3 l""",
        f"""INSERT INTO events SELECT seq, '2026-01-01' + INTERVAL seq SECOND,
              CONCAT('kind', seq % 9), JSON_OBJECT('id', seq, 'text', MD5(seq))
              FROM seq_1_to_{events}""",
        f"""INSERT INTO documents SELECT g.seq, CONCAT('doc ', g.seq),
              UNHEX(GROUP_CONCAT(MD5(g.seq * l.seq) SEPARATOR ''))
              FROM seq_1_to_{documents} g, seq_1_to_3000 l GROUP BY g.seq""",
        database=_NAME,
    )  # fmt: skip
