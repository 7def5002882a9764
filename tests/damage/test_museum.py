"""A museum of damage: one fault in one file of each kind, and what every command makes of it.

Laws of every exhibit: whatever is restored is right; what cannot be restored is named; a backup
never calls itself kept over damage that it can see; and after a check the next backup is whole.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest

from include.backup.actions.back_up import back_up
from include.backup.actions.check import Reading, check
from include.backup.actions.outcome import attached_outcome
from include.backup.errors import BackupError, DamageFound, LedgerBroken
from include.backup.evidence.wording import moment
from include.backup.format.ids import BlobType
from include.backup.policy.model import Method
from include.backup.repository import packer
from include.backup.vault.coverage import SHARES, coverage
from tests.damage.site import Site, kept

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_PACK_BYTES = 64 << 10
_WHOLE = ""


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many small packs."""
    monkeypatch.setattr(packer, "TARGET_BYTES", _PACK_BYTES)


def flipped(data: bytes) -> bytes:
    """One bit is another."""
    spoilt = bytearray(data)
    spoilt[len(data) // 2] ^= 1
    return bytes(spoilt)


def flipped_early(data: bytes) -> bytes:
    """The same, near the beginning: in a pack of trees, where the first tree of the data is."""
    return data[:40] + bytes([data[40] ^ 1]) + data[41:]


def cut(data: bytes) -> bytes:
    """The second half is lost."""
    return data[: len(data) // 2]


def emptied(data: bytes) -> bytes:
    """The name is there, and nothing in it."""
    return data[:0]


def gone(_: bytes) -> None:
    """The file is not there."""


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """A damaged file, and what is then said, as patterns; "" where nothing is wrong."""

    kind: str
    fault: Callable[[bytes], bytes | None]
    checked: str = _WHOLE
    backed_up: str = _WHOLE  # without a check before
    full: str = _WHOLE  # restoring the older recovery point
    incremental: str = _WHOLE  # restoring the newer one

    def __str__(self) -> str:
        return f"{self.kind} {self.fault.__name__}"


def _of(kind: str, **said: str) -> list[Exhibit]:
    """The same is said of what is flipped, cut and emptied."""
    return [Exhibit(kind=kind, fault=fault, **said) for fault in (flipped, cut, emptied)]


_NAME = "does not match its name"
_SEAL = "the seal of config does not match|config is too short"
_OTHER_ENVELOPE = "the envelope of crm/2026.* is not the one that the ledger names"
_NO_ENVELOPE = "the envelope of crm/2026.* is gone"
_SIZE = r"pack [0-9a-f]{8} has \d+ bytes, the index says \d+"
_GONE = r"pack [0-9a-f]{8} is gone"
_SNAPSHOT_GONE = r"snapshot [0-9a-f]{8} of a recorded recovery point is gone"
_SNAPSHOT_LOST = r"has lost the snapshot [0-9a-f]{8} of a recorded recovery point"
_ENTRY = r"1 entry is damaged and left out: a/\d: .*; hint: everything else was restored"

EXHIBITS = [
    # Reading needs no config, and an index can be made again from the packs.
    *_of("config", checked=_SEAL, backed_up=_SEAL),
    Exhibit(
        kind="config", fault=gone, checked="has lost its config", backed_up="has lost its config"
    ),
    *_of("index", checked=f"index/[0-9a-f]{{8}} .* {_NAME}", backed_up=f"index/.* {_NAME}"),
    Exhibit(kind="index", fault=gone, checked="is in no index"),  # a backup makes it again
    # Without the key of a generation nobody can read it.
    *_of("key file", checked=_NAME, backed_up=_NAME, full=_NAME, incremental=_NAME),
    Exhibit(
        kind="key file",
        fault=gone,
        checked="no key file is left",
        backed_up="no key file is left",
        full="no key file is left",
        incremental="no key file is left",
    ),
    *_of(
        "envelope",
        checked=_OTHER_ENVELOPE,
        backed_up=_OTHER_ENVELOPE,
        full=_OTHER_ENVELOPE,
        incremental=_OTHER_ENVELOPE,
    ),
    Exhibit(
        kind="envelope",
        fault=gone,
        checked=_NO_ENVELOPE,
        backed_up=_NO_ENVELOPE,
        full=_NO_ENVELOPE,
        incremental=_NO_ENVELOPE,
    ),
    # A pack of another size is seen by every backup; other bytes only by whoever reads them.
    Exhibit(kind="data pack", fault=flipped, checked=_NAME, full=_ENTRY, incremental=_ENTRY),
    Exhibit(
        kind="data pack",
        fault=cut,
        checked=_SIZE,
        backed_up=_SIZE,
        full=_ENTRY,
        incremental=_ENTRY,
    ),
    Exhibit(
        kind="data pack",
        fault=emptied,
        checked=_SIZE,
        backed_up=_SIZE,
        full=_ENTRY,
        incremental=_ENTRY,
    ),
    Exhibit(
        kind="data pack",
        fault=gone,
        checked=_GONE,
        backed_up=_GONE,
        full=_ENTRY,
        incremental=_ENTRY,
    ),
    Exhibit(
        kind="newest tree pack",
        fault=flipped_early,
        checked=_NAME,
        backed_up="the seal of tree blob .* does not match",
        incremental="the seal of tree blob .* does not match",
    ),
    Exhibit(
        kind="newest tree pack",
        fault=cut,
        checked=_SIZE,
        backed_up=_SIZE,
        incremental="tree blob .* (is too short|does not match)",
    ),
    Exhibit(
        kind="newest tree pack",
        fault=gone,
        checked=_GONE,
        backed_up=_GONE,
        incremental="tree blob .* is in a pack that is gone",
    ),
    # The other recovery points of the generation are untouched.
    *_of("newest snapshot", checked=_NAME, backed_up=_NAME, incremental=_NAME),
    Exhibit(
        kind="newest snapshot",
        fault=gone,
        checked=_SNAPSHOT_GONE,
        backed_up=_SNAPSHOT_LOST,
        incremental=_SNAPSHOT_GONE,
    ),
    *_of("oldest snapshot", checked=_NAME, full=_NAME),
    Exhibit(
        kind="oldest snapshot",
        fault=gone,
        checked=_SNAPSHOT_GONE,
        backed_up=_SNAPSHOT_LOST,
        full=_SNAPSHOT_GONE,
    ),
    # Leases and locks are no data.
    *_of("lease"),
    Exhibit(kind="lease", fault=gone),
]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A dataset with a full and an incremental recovery point."""
    dice = random.Random(1)
    site = Site(tmp_path)
    # Each file fills a pack of its own, so that one lost pack is one lost file.
    site.write(**{f"a__{number}": dice.randbytes(_PACK_BYTES) for number in range(3)})
    assert kept(back_up(site.setting(), "crm", method=Method.FULL))
    site.wait(days=1)
    site.write(b__0=dice.randbytes(_PACK_BYTES))
    assert kept(back_up(site.setting(), "crm", method=Method.INCREMENTAL))
    site.wait(days=1)
    return site


def find(site: Site, kind: str) -> str:
    """A file of a kind in the vault."""
    points = site.place().state().points
    names = [info.name for info in site.memory.list()]

    def only(part: str) -> str:
        return next(name for name in names if part in name)

    if kind.endswith("pack"):
        return only(_pack(site, kind))
    return only(
        {
            "config": "/config",
            "index": "/index/",
            "key file": "Z/keys/",
            "envelope": "crm/keys/",
            "oldest snapshot": points[0].snapshot,
            "newest snapshot": points[-1].snapshot,
            "lease": "/leases/incremental/",
        }[kind]
    )


def _pack(site: Site, kind: str) -> str:
    """The pack of the file a/0, or of the newest root tree."""
    place = site.place()
    repository = place.repository(place.state().generations[0])
    repository.load_index()
    root = repository.load_snapshot(bytes.fromhex(place.state().points[-1].snapshot)).tree
    if kind == "newest tree pack":
        return repository.index.locations(BlobType.TREE, root)[0].pack.hex()
    tree = root
    for name in (b"crm", b"a"):
        tree = next(n.subtree for n in repository.load_tree(tree) if n.name == name)  # type: ignore[assignment]
    [file] = [node for node in repository.load_tree(tree) if node.name == b"0"]
    assert file.content
    return repository.index.locations(BlobType.DATA, file.content[0])[0].pack.hex()


def spoil(site: Site, exhibit: Exhibit) -> None:
    """Do to the file what the exhibit shows."""
    name = find(site, exhibit.kind)
    spoilt = exhibit.fault(site.memory.load(name))
    if spoilt is None:
        site.memory.delete([name])
    else:
        site.memory.damage(name, spoilt)


def said(act: Callable[[], object]) -> str:
    """What an act fails with; "" when it does not."""
    try:
        act()
    except BackupError as error:
        return str(error)
    return ""


def as_expected(heard: str, pattern: str) -> None:
    """Compare what was said, in one line, with a pattern; "" is silence."""
    assert "\n" not in heard
    assert re.search(pattern, heard) if pattern else not heard, heard


@pytest.mark.parametrize("exhibit", EXHIBITS, ids=str)
def test_what_can_be_restored_is_and_the_rest_is_named(site: Site, exhibit: Exhibit) -> None:
    """Whole, or one error that names what is lost; never a wrong byte."""
    whole = site.content()
    first = {name: data for name, data in whole.items() if name.startswith("a/")}
    full, incremental = site.place().state().points
    spoil(site, exhibit)
    for point, content, pattern in (
        (full, first, exhibit.full),
        (incremental, whole, exhibit.incremental),
    ):
        as_expected(said(partial(site.restored, point.snapshot)), pattern)
        target = site.folder / f"restored-{site.restores}"
        brought = site.content(target) if target.exists() else {}
        assert brought.items() <= content.items()
        if pattern in {_WHOLE, _ENTRY}:
            assert len(brought) == len(content) - (pattern == _ENTRY)


@pytest.mark.parametrize("exhibit", EXHIBITS, ids=str)
def test_a_check_names_it_and_the_next_backup_is_whole(site: Site, exhibit: Exhibit) -> None:
    """Nothing builds on what was found damaged, and earlier recovery points stay as they are."""
    before = site.place().state().points
    spoil(site, exhibit)
    _, damages = check(site.setting(), "crm", reading=Reading.ALL)
    as_expected("; ".join(damages), exhibit.checked)
    site.write(c__0=b"new")
    outcome = back_up(site.setting(), "crm", method=Method.INCREMENTAL)
    assert kept(outcome), outcome.sentence
    assert ("the newest generation is damaged" in outcome.sentence) is bool(exhibit.checked)
    assert site.restored() == site.content()
    assert site.place().state().points[: len(before)] == before


@pytest.mark.parametrize("exhibit", EXHIBITS, ids=str)
def test_a_backup_over_damage_fails_once_and_the_next_is_whole(
    site: Site, exhibit: Exhibit
) -> None:
    """It fails with one error and one record, without a recovery point; then a full is taken."""
    before = site.place().state().points
    spoil(site, exhibit)
    site.write(c__0=b"new")
    heard = said(lambda: back_up(site.setting(), "crm", method=Method.INCREMENTAL))
    as_expected(heard, exhibit.backed_up)
    if not exhibit.backed_up:
        return
    state = site.place().state()
    assert state.points == before
    assert state.failures == 1
    assert re.search(exhibit.backed_up, state.failure)
    head = site.place().ledger.head()
    assert head is not None
    assert head.kind == "failed"
    assert head.sentence.startswith("BROKEN 3.1 4.1 · critical/crm · incremental backup failed")
    assert "no recovery point is known to be whole (limit 48 h)" in head.sentence
    site.wait(minutes=5)
    outcome = back_up(site.setting(), "crm", method=Method.INCREMENTAL)
    assert kept(outcome), outcome.sentence
    assert "full recovery point" in outcome.sentence
    assert site.restored() == site.content()


@pytest.mark.parametrize("fault", [flipped, cut, emptied])
@pytest.mark.parametrize("which", ["first", "newest"])
def test_a_damaged_record_is_named_and_nothing_is_written_after_it(
    site: Site, which: str, fault: Callable[[bytes], bytes]
) -> None:
    """An auditor's check names it; a newest one stops every act, and its failure is spooled."""
    records = [info.name for info in site.memory.list() if "/ledger/" in info.name]
    name = records[0] if which == "first" else records[-1]
    number = int(name[-15:-5])
    site.memory.damage(name, fault(site.memory.load(name)))
    with pytest.raises(LedgerBroken, match=f"record {number} of crm.*RUNBOOK"):
        check(site.setting(), "crm", reading=Reading.NOTHING)
    if which == "first":  # the newest record says all that the next act needs
        assert kept(back_up(site.setting(), "crm", method=Method.INCREMENTAL))
        return
    before = len(records)
    with pytest.raises(LedgerBroken, match=f"record {number} of crm") as caught:
        back_up(site.setting(), "crm", method=Method.INCREMENTAL)
    outcome = attached_outcome(caught.value)
    assert outcome is not None
    assert "incremental backup failed" in outcome.sentence
    assert "the record waits in the spool" in outcome.sentence
    assert len([i for i in site.memory.list() if "/ledger/" in i.name]) == before
    assert list((site.folder / "state" / "spool").rglob("*.json"))


def test_a_record_that_is_gone_is_named(site: Site) -> None:
    """A gap in the ledger is no shorter ledger."""
    records = [info.name for info in site.memory.list() if "/ledger/" in info.name]
    site.memory.delete([records[1]])
    with pytest.raises(LedgerBroken, match="record 2 of crm is absent"):
        back_up(site.setting(), "crm", method=Method.INCREMENTAL)


def test_the_other_key_opens_nothing_and_marks_nothing(site: Site) -> None:
    """A wrong master key is a slip of the hand, no damage: the right one goes on as before."""
    right = site.keys["backup_master_key"]
    site.keys["backup_master_key"] = "d3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmcgd3I="
    before = site.place().state()
    heard = said(lambda: back_up(site.setting(), "crm", method=Method.INCREMENTAL))
    assert re.search("opens with master key [0-9a-f]{16}, and local [0-9a-f]{16} was given", heard)
    assert "wrong wrong" not in heard
    with pytest.raises(BackupError, match="opens with master key"):
        site.restored()
    assert site.place().state().points == before.points
    assert not any(generation.damaged for generation in site.place().state().generations)
    site.keys["backup_master_key"] = right
    outcome = back_up(site.setting(), "crm", method=Method.INCREMENTAL)
    assert "incremental recovery point" in outcome.sentence


def test_two_faults_at_once_are_both_named(site: Site) -> None:
    """A check does not stop at the first."""
    for kind in ("data pack", "index"):
        spoil(site, Exhibit(kind=kind, fault=flipped))
    _, damages = check(site.setting(), "crm", reading=Reading.ALL)
    assert len(damages) > 1
    with pytest.raises(DamageFound):
        site.restored()


def test_a_rotating_check_reads_all_of_it_in_twelve_rounds(site: Site) -> None:
    """And finds a flipped byte in whatever pack, at the latest in the twelfth round after it."""
    for _ in range(SHARES):
        site.wait(days=7)
        outcome, damages = check(site.setting(), "crm", reading=Reading.NEXT)
        assert damages == []
    found = coverage(site.place().state().generations, now=site.now)
    assert found.oldest_at is not None
    assert site.now - found.oldest_at < timedelta(days=7 * SHARES)
    assert f"all of it was read again since {moment(found.oldest_at)}:" in outcome.sentence
    packs = [info.name for info in site.memory.list() if "/data/" in info.name]
    assert (found.read, found.packs) == (SHARES, len(packs))
    spoil(site, Exhibit(kind="data pack", fault=flipped))
    for _ in range(SHARES):
        site.wait(days=7)
        _, damages = check(site.setting(), "crm", reading=Reading.NEXT)
        if damages:
            break
    assert "does not match its name" in damages[0]
    assert site.place().state().generations[0].damaged
    before = site.now
    for _ in range(SHARES):  # what is damaged goes on being read: more may rot
        site.wait(days=7)
        check(site.setting(), "crm", reading=Reading.NEXT)
    found = coverage(site.place().state().generations, now=site.now)
    assert found.oldest_at is not None
    assert found.oldest_at > before


def test_a_check_of_everything_is_a_round_as_well(site: Site) -> None:
    """Nothing is read again that was just read."""
    check(site.setting(), "crm", reading=Reading.ALL)
    assert coverage(site.place().state().generations, now=site.now).is_whole
