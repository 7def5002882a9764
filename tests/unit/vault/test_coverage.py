"""Which share of a generation is read next, and when all of it has been."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.backup.errors import LedgerBroken, RecordRefused
from include.backup.evidence.kinds import Kind
from include.backup.vault import bodies
from include.backup.vault.coverage import (
    LONGEST,
    SHARES,
    Read,
    Share,
    coverage,
    next_shares,
    share_of,
    shares_of,
    with_reads,
)
from tests.unit.vault.samples import DAY, Life

NOW = datetime(2026, 11, 24, tzinfo=UTC)
WEEK = timedelta(days=7)
READS = st.lists(
    st.builds(
        Read,
        st.integers(0, SHARES - 1),
        st.integers(0, 400).map(lambda days: NOW + timedelta(days=days)),
        st.integers(0, 9),
        st.integers(0, 1 << 40),
    ),
    max_size=30,
)

LATER = NOW + 60 * DAY


@given(reads=READS, more=READS)
def test_the_latest_record_of_a_share_stays(reads: list[Read], more: list[Read]) -> None:
    """Whatever its clock said."""
    found = with_reads(with_reads([], reads), more)
    assert len({read.share for read in found}) == len(found)
    for read in found:
        assert read == [one for one in (*reads, *more) if one.share == read.share][-1]
    assert [Read.of_json(read.to_json(), what="x") for read in found] == list(found)


@given(
    reads=READS,
    packs=st.lists(st.integers(0, 2), min_size=SHARES, max_size=SHARES),
    lost=st.lists(st.booleans(), min_size=60, max_size=60),
)
def test_nothing_stays_unread_for_a_quarter(
    reads: list[Read], packs: list[int], lost: list[bool]
) -> None:
    """Whatever was read before, clocks of the future included, and though weeks are lost."""
    held = [Share(share, packs[share], 10) for share in range(SHARES)]
    known = with_reads([], reads)
    start = NOW + timedelta(days=200)
    missed = False
    for week in range(60):
        at = start + week * WEEK
        if lost[week] and not missed:
            missed = True  # but never two in a row
            continue
        missed = False
        shares = next_shares(known, held, opened_at=start, now=at)
        assert len(set(shares)) == len(shares)
        assert any(packs[share] for share in shares) == any(packs)
        known = with_reads(known, [Read(share, at, packs[share], 1) for share in shares])
        if week > SHARES:
            oldest = {read.share: at - read.at for read in known}
            assert set(oldest) == set(range(SHARES))
            assert max(oldest.values()) + 2 * WEEK <= LONGEST + WEEK
            assert min(oldest.values()) >= timedelta()


def test_a_week_reads_one_share_when_none_was_lost() -> None:
    """Twelve weeks, twelve shares, each once."""
    held = [Share(share, 1, 10) for share in range(SHARES)]
    known: tuple[Read, ...] = ()
    for week in range(1, 3 * SHARES):
        shares = next_shares(known, held, opened_at=NOW, now=NOW + week * WEEK)
        assert shares == [(week - 1) % SHARES]
        known = with_reads(known, [Read(shares[0], NOW + week * WEEK, 1, 10)])


@given(ids=st.lists(st.binary(min_size=32, max_size=32), unique=True, max_size=50))
def test_every_pack_is_in_one_share(ids: list[bytes]) -> None:
    """And the shares hold all of them."""
    shares = shares_of((one, 10) for one in ids)
    assert [one.share for one in shares] == list(range(SHARES))
    assert sum(one.packs for one in shares) == len(ids)
    assert sum(one.size_bytes for one in shares) == 10 * len(ids)
    for one in ids:
        assert shares[share_of(one)].packs


def test_what_a_check_has_read_is_in_the_state() -> None:
    """Dated by its record; a share that is none, and a generation that is none, are refused."""
    life = Life()
    name = life.full(at=NOW)
    body = bodies.checked(damaged=[], read={name: [Share(3, 7, 700)]})
    life.record(Kind.CHECKED, "c", body)
    [generation] = life.state.generations
    [read] = generation.reads
    assert (read.share, read.packs, read.size_bytes) == (3, 7, 700)
    found = coverage(life.state.generations, now=NOW + 9 * DAY)
    assert (found.shares, found.read, found.packs) == (SHARES, 1, 7)
    assert not found.is_whole
    for bad in ({name: [Share(SHARES, 1, 1)]}, {"20990101T000000Z": [Share(0, 1, 1)]}):
        with pytest.raises(RecordRefused):
            life.record(Kind.CHECKED, "d", bodies.checked(damaged=[], read=bad))
    with pytest.raises(LedgerBroken):
        Read.of_json({**read.to_json(), "share": SHARES}, what="x")


def test_what_has_expired_is_not_missed() -> None:
    """Only generations that hold points count."""
    life = Life()
    first = life.full(at=NOW)
    life.full(at=NOW + DAY)
    assert coverage(life.state.generations, now=NOW + 9 * DAY).shares == 2 * SHARES
    life.record(Kind.BEGUN, "e", bodies.begun(action="expire"))
    life.record(Kind.EXPIRING, "e", bodies.of_generation(first) | {"retired": True}, at=LATER)
    life.record(Kind.EXPIRED, "e", bodies.of_generation(first))
    assert coverage(life.state.generations, now=NOW + 9 * DAY).shares == SHARES
