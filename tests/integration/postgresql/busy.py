"""A database that people work in: writers of every kind, and somebody who changes its tables.

Each writer and the administrator is a thread with sessions of its own. What they do is drawn by a
seeded generator; when it happens is up to the machine.
"""

from __future__ import annotations

import contextlib
import threading
from random import Random
from typing import TYPE_CHECKING, Any, Self

import psycopg

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.postgresql import Postgres

TABLES = ("plain", "nokey", "docs", "part_a", "part_b")
_SCHEMA = """
CREATE TYPE mood AS ENUM ('calm', 'busy');
CREATE TABLE plain (id bigint PRIMARY KEY, a int, b text, m mood DEFAULT 'calm')
  WITH (fillfactor = 85);
CREATE INDEX ON plain (a);
CREATE TABLE nokey (a int, b text);
CREATE TABLE docs (id int PRIMARY KEY, body text);
CREATE TABLE part (id int, region text, v int) PARTITION BY LIST (region);
CREATE TABLE part_a PARTITION OF part FOR VALUES IN ('a');
CREATE TABLE part_b PARTITION OF part DEFAULT;
INSERT INTO plain SELECT g, g % 100, md5(g::text) FROM generate_series(1, 20000) g;
INSERT INTO nokey SELECT g % 50, 'row ' || g % 50 FROM generate_series(1, 20000) g;
INSERT INTO docs SELECT g, repeat(md5(g::text), 200 + g % 100) FROM generate_series(1, 400) g;
INSERT INTO part SELECT g, CASE g % 2 WHEN 0 THEN 'a' ELSE 'b' END, g
  FROM generate_series(1, 20000) g;
"""
_REFILL = "INSERT INTO docs SELECT g, repeat(md5(g::text), 250) FROM generate_series(1, 400) g"
# What a statement may fail with when others are at work; the next one is drawn.
_EXPECTED = (
    psycopg.errors.DeadlockDetected,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.SerializationFailure,
    psycopg.errors.UniqueViolation,
    psycopg.errors.UndefinedObject,
    psycopg.errors.ObjectInUse,
    psycopg.errors.QueryCanceled,
)


class Busy:
    """Work that goes on in a database until it is stopped."""

    def __init__(self, server: Postgres, database: str, *, seed: int, writers: int = 4) -> None:
        self._server = server
        self._database = database
        self._stopped = threading.Event()
        self._paused = threading.Event()
        self.failures: list[BaseException] = []
        work: list[Callable[[Random], None]] = [self._write] * writers
        self._threads = [
            threading.Thread(target=self._run, args=(one, Random(f"{seed}/{number}")))
            for number, one in enumerate([*work, self._administer])
        ]

    @staticmethod
    def prepare(server: Postgres, database: str) -> None:
        """Make the database with its tables."""
        server.make_database(database)
        server.run(_SCHEMA, database=database)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        for row in self._server.run("SELECT gid FROM pg_prepared_xacts", database=self._database):
            self._server.run(f"ROLLBACK PREPARED '{row[0]}'", database=self._database)
        if self.failures:
            raise self.failures[0]

    def _run(self, work: Callable[[Random], None], draw: Random) -> None:
        try:
            while not self._stopped.is_set():
                with contextlib.suppress(*_EXPECTED):
                    work(draw)
        except BaseException as error:  # noqa: BLE001  raised by __exit__
            self.failures.append(error)

    def _session(self) -> psycopg.Connection[Any]:
        session = self._server.connect(self._database, autocommit=False)
        session.execute("SET lock_timeout = '300ms'")
        session.execute("SET deadlock_timeout = '50ms'")
        session.commit()
        return session

    def _write(self, draw: Random) -> None:
        with self._session() as session:
            for _ in range(draw.randint(1, 30)):
                if self._stopped.is_set():
                    return
                with contextlib.suppress(*_EXPECTED):
                    self._transaction(session, draw)
                    continue
                session.rollback()

    def _transaction(self, session: psycopg.Connection[Any], draw: Random) -> None:
        run = session.execute
        for _ in range(draw.randint(1, 3)):
            _one_statement(run, draw)
        if draw.random() < 0.2:  # more subtransactions than a snapshot remembers
            for number in range(draw.choice([1, 3, 70])):
                run(f"SAVEPOINT s{number}")
                _one_statement(run, draw)
                if draw.random() < 0.3:
                    run(f"ROLLBACK TO SAVEPOINT s{number}")
        if draw.random() < 0.3:
            self._stopped.wait(draw.random() * 0.05)  # in progress for longer than a backup
        if draw.random() < 0.1:
            name = f"held-{draw.getrandbits(60)}"
            run(f"PREPARE TRANSACTION '{name}'")
            session.commit()
            self._stopped.wait(draw.random() * 0.1)
            session.autocommit = True
            session.execute(f"{draw.choice(['COMMIT', 'ROLLBACK'])} PREPARED '{name}'")
            session.autocommit = False
        elif draw.random() < 0.1:
            session.rollback()
        else:
            session.commit()

    def _administer(self, draw: Random) -> None:
        self._stopped.wait(0.02 + draw.random() * 0.3)
        with self._session() as session:
            session.autocommit = True
            table = draw.choice(TABLES)
            column = f"c{draw.getrandbits(30)}"
            statements = draw.choice([
                [f"VACUUM {table}"],
                [f"VACUUM FREEZE {table}"],
                [f"VACUUM FULL {table}"],
                ["CLUSTER plain USING plain_pkey"],
                [f"REINDEX TABLE {table}"],
                [f"ALTER TABLE plain ADD COLUMN {column} int DEFAULT {draw.randint(1, 9)}",
                 f"ALTER TABLE plain DROP COLUMN {column}"],
                ["ALTER TABLE plain ALTER COLUMN a TYPE bigint",
                 "ALTER TABLE plain ALTER COLUMN a TYPE int USING (a % 1000)::int"],
                ["TRUNCATE nokey"],
                [f"BEGIN; TRUNCATE docs; {_REFILL}; COMMIT"],
                [f"ALTER TYPE mood ADD VALUE 'm{draw.getrandbits(30)}'"],
                ["CHECKPOINT"],
            ])  # fmt: skip
            for statement in statements:
                session.execute(statement)


def _one_statement(run: Callable[..., Any], draw: Random) -> None:
    low = draw.randint(1, 20_000)
    high = low + draw.choice([0, 0, 1, 5, 200])
    some = f"generate_series({low}, {high})"
    run(
        draw.choice([
            f"UPDATE plain SET b = md5(random()::text) WHERE id BETWEEN {low} AND {high}",
            f"UPDATE plain SET a = a + 1 WHERE id BETWEEN {low} AND {high}",
            f"UPDATE plain SET m = 'busy' WHERE id = {low}",
            f"DELETE FROM plain WHERE id BETWEEN {low} AND {high}",
            f"INSERT INTO plain SELECT g, 1, 'new' FROM {some} g ON CONFLICT DO NOTHING",
            f"INSERT INTO nokey SELECT {low % 50}, 'row {low % 50}' FROM {some}",
            f"DELETE FROM nokey WHERE ctid = '({low % 100},{low % 30})'",
            f"UPDATE nokey SET b = b WHERE ctid = '({low % 100},{low % 30})'",
            f"UPDATE docs SET body = body || 'x' WHERE id = {low % 400}",
            f"UPDATE part SET region = CASE region WHEN 'a' THEN 'b' ELSE 'a' END WHERE id = {low}",
            f"DELETE FROM part WHERE id BETWEEN {low} AND {high}",
            f"INSERT INTO part SELECT g, 'a', g FROM {some} g",
        ])
    )
