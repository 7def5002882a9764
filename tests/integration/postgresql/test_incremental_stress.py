"""Incrementals under fire: each recovery point's rows are those of a full read in its snapshot.

Not the engine is tested here, but what the source says is unchanged. Two negative controls show
that the harness sees a wrong rule: a horizon that forgets subtransactions and what is in progress,
and a rule that does not count rows.
"""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from include.backup.policy.source_model import PostgresqlSettings
from include.backup.sources.base import Reused
from include.backup.sources.postgresql import manifest, ranges, rows
from include.backup.sources.postgresql.address import Address
from include.backup.sources.postgresql.source import PostgresSource
from tests.integration.postgresql.busy import TABLES, Busy
from tests.servers.postgresql import (
    debian_binaries,
    make_server,
    postgres,  # noqa: F401 a fixture
    wind_forward,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from include.backup.format.tree import Node
    from include.backup.sources.base import Content, Part
    from include.backup.sources.postgresql.reading import PostgresReading
    from tests.servers.postgresql import Postgres

pytestmark = pytest.mark.integration

ROUNDS = int(os.environ.get("HOLDFAST_STRESS_ROUNDS", "12"))
SEED = int(os.environ.get("HOLDFAST_SEED", "0") or 0) or int.from_bytes(os.urandom(4))
_BLOB_BYTES = 20_000


def _cut(part: Part) -> Iterator[bytes]:
    """The same blobs for the same bytes, however they come."""
    text, buffer = bytearray(), memoryview(bytearray(1 << 16))
    while size := part.readinto(buffer):
        text += buffer[:size]
    for start in range(0, len(text), _BLOB_BYTES):
        yield bytes(text[start : start + _BLOB_BYTES])


class Store:
    """What an engine keeps: blobs by their ids, and the files of the newest recovery point."""

    def __init__(self) -> None:
        self.blobs: dict[bytes, bytes] = {}
        self.files: dict[bytes, Node] = {}
        self.about: dict[str, bytes] = {}
        self.reused_ranges = self.read_ranges = 0

    def load(self, name: str) -> bytes | None:
        """See sources.base.Parent."""
        return self.about.get(name)

    @property
    def taken_at(self) -> datetime:
        """See sources.base.Parent."""
        return datetime.now(UTC)

    def keep(self, content: Content) -> tuple[bytes, ...]:
        """Store a content; return its blobs."""
        ids: list[bytes] = []
        for part in content.parts():
            if isinstance(part, Reused):
                self.reused_ranges += 1
                made = list(part.blobs)
            else:
                self.read_ranges += 1
                made = []
                for blob in _cut(part):
                    made.append(sha256(blob).digest())
                    self.blobs[made[-1]] = blob
            content.stored(made, sum(len(self.blobs[one]) for one in made))
            ids += made
        return tuple(ids)

    def back_up(self, reading: PostgresReading, folder: bytes) -> dict[bytes, bytes]:
        """Read the tables of a database as the engine would; return their rows as text."""
        told, nodes = {}, {}
        for node in reading.list(folder + b"/data"):
            path = folder + b"/data/" + node.name
            with reading.open(path, node, self.files.get(path)) as content:
                blobs = self.keep(content)
                settled = content.settle(last=True)
            assert settled is not None
            nodes[path] = settled._replace(content=blobs)
            told[node.name] = b"".join(self.blobs[one] for one in blobs)
        for node in reading.list(folder):
            if node.name not in {b"data", b"schema.dump"}:
                reading.read_small(folder + b"/" + node.name, node)
        self.files, self.about = nodes, dict(reading.about())
        return told


def rounds(server: Postgres, name: str, store: Store, number: int) -> Iterator[list[str]]:
    """Back up over and over; the tables that came out wrong, each time."""
    address = Address.of(server.connection(name))
    for round_number in range(number):
        source = PostgresSource(address, PostgresqlSettings(connection="c"))
        parent = store if round_number else None
        with source.read(now=datetime.now(UTC), parent=parent) as reading:
            told = store.back_up(reading, name.encode())
            database = reading._databases[name]
            wrong = []
            for file, relation in database.tables.items():
                full = b"".join(database.snapshot.copied(relation.select()))
                if told[file.encode()] != full:
                    wrong.append(relation.name)
            yield wrong


@pytest.fixture
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges of a few pages, so that small tables have many."""
    monkeypatch.setattr(ranges, "RANGE_PAGES", 4)


def test_every_recovery_point_is_what_a_full_read_gives(
    postgres: Postgres,  # noqa: F811
    small_ranges: None,
) -> None:
    """Byte for byte, whatever writers and administrators do; and much is not read again."""
    store = Store()
    Busy.prepare(postgres, "busy")
    with Busy(postgres, "busy", seed=SEED):
        for number, wrong in enumerate(rounds(postgres, "busy", store, ROUNDS)):
            assert wrong == [], f"round {number}, HOLDFAST_SEED={SEED}"
    assert store.reused_ranges > ROUNDS
    assert {name.decode().split(".")[1] for name in _names(store)} == set(TABLES)


def test_transaction_ids_that_begin_anew(small_ranges: None) -> None:
    """Across 2^32 an old id is larger than a new one; nothing is lost by that."""
    binaries = debian_binaries()
    assert binaries is not None
    server = make_server(binaries)
    try:
        wind_forward(server, left=2500)
        store = Store()
        Busy.prepare(server, "busy")
        before = after = 0
        with Busy(server, "busy", seed=SEED):
            for number, wrong in enumerate(rounds(server, "busy", store, 60)):
                assert wrong == [], f"round {number}, HOLDFAST_SEED={SEED}"
                [(xmin,)] = server.run("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::int8")
                before += xmin < 1 << 32
                after += xmin >= 1 << 32
                if after >= ROUNDS // 4:
                    break
        assert before
        assert after
        assert store.reused_ranges > before + after
    finally:
        server.remove()


def test_an_idle_database_is_not_read_but_for_the_audit(
    postgres: Postgres,  # noqa: F811
    small_ranges: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each range is read once in so many incrementals, and the others are taken over."""
    monkeypatch.setattr(ranges, "AUDITED", 6)
    store = Store()
    Busy.prepare(postgres, "idle")
    found = rounds(postgres, "idle", store, 1 + ranges.AUDITED)
    assert next(found) == []
    whole, store.read_ranges = store.read_ranges, 0
    assert all(wrong == [] for wrong in found)
    assert store.read_ranges == whole
    assert store.reused_ranges == whole * (ranges.AUDITED - 1)


def test_without_counting_rows_deletions_are_lost(
    postgres: Postgres,  # noqa: F811
    small_ranges: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Negative control: a range without new rows is not therefore unchanged."""
    decide = ranges.decide

    def blind(
        scanned: Sequence[tuple[int, int, int]],
        before: ranges.TableState,
        content: tuple[bytes, ...],
        *,
        turn: int,
    ) -> list[ranges.Range]:
        known = dict(enumerate(before.rows))
        same = [(number, known.get(number, every), fresh) for number, every, fresh in scanned]
        decided = decide(same, before, content, turn=turn)
        return [one._replace(rows=None) if one.reused is None else one for one in decided]

    monkeypatch.setattr(ranges, "decide", blind)
    assert is_seen(postgres, monkeypatch)


def test_a_horizon_that_forgets_what_was_in_progress_loses_changes(
    postgres: Postgres,  # noqa: F811
    small_ranges: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Negative control: xmax instead of xmin takes what was not over for what was."""
    document = manifest.state_document

    def late(state: ranges.DatabaseState) -> dict[str, Any]:
        return document(replace(state, xmin=_newest_xmax(postgres)))

    monkeypatch.setattr(manifest, "state_document", late)
    assert is_seen(postgres, monkeypatch)


def is_seen(server: Postgres, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the harness finds a wrong recovery point, or the source's own audit one."""
    monkeypatch.setattr(rows, "DamageFound", _Audited)
    Busy.prepare(server, "wrong")
    with Busy(server, "wrong", seed=SEED):
        for _ in range(10):
            try:
                if any(rounds(server, "wrong", Store(), 8)):
                    return True
            except _Audited:
                return True
    return False


def _newest_xmax(server: Postgres) -> int:
    query = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text"
    return int(server.run(query, database="wrong")[0][0])


class _Audited(Exception):
    """The audit has found a range that was wrongly taken for unchanged."""

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__("found by the audit")


def _names(store: Store) -> list[bytes]:
    return [path.rpartition(b"/")[2] for path in store.files]
