"""Whatever is stored or written, every parser returns, or refuses it by an error of ours.

The targets are those of the campaigns behind `make torture` (tests/fuzz). Here documents are
changed by structure: each field in turn is another type, a number without end, half a character,
or gone; and bytes are flipped, cut and put together anew.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.backup.actions.back_up import back_up
from include.backup.actions.check import Reading, check
from include.backup.cli.progress_line import progress_text
from include.backup.errors import BackupError, DamageFound, LedgerBroken
from include.backup.format.compression import compress, decompress
from include.backup.format.crypto import seal
from include.backup.format.snapshot import decode_snapshot
from include.backup.format.unpacked import MAX_DOCUMENT_BYTES, unseal_document
from include.backup.policy.model import Method
from include.backup.repository.progress import Progress
from include.backup.storage.memory import MemoryStorage
from include.backup.vault.owners import this_process
from include.backup.vault.replicas import Replica
from include.backup.vault.state import DatasetState
from tests.damage.site import Site
from tests.fuzz.targets import KEY, SNAPSHOT, SUMMARY, TARGETS
from tests.property.format.strategies import mutated, spoilt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from include.backup.storage.base import FileInfo

FEW = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
WHOLE = {  # bytes that no document begins with, and bombs
    b"",
    b"\0",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"9" * 5000,
    b"1e999",
    b"NaN",
    b'"\\ud800"',
    b"null",
    b"[]",
    b"{}",
    b"\xff\xfe",
    b"a: &a [*a]",
    b"&a [" + b"*a, " * 100 + b"]",
    b"- " * 10_000,
    b"{" * 10_000,
    b"? " * 10_000,
    b"!!python/object:os.system x",
    b"a: 0000-00-00",
    b"\x28\xb5\x2f\xfd" + b"\xff" * 20,
}


@pytest.mark.parametrize("name", TARGETS)
def test_good_documents_are_read_or_refused_for_a_reason(name: str) -> None:
    """What the changes below begin with gets through, but for what needs a key to fit."""
    target = TARGETS[name]
    seeds = target.seeds()
    assert seeds
    for seed in seeds:
        if name in {"key file", "erasure", "frame"}:
            with suppress(BackupError):
                target.parse(seed)
        else:
            target.parse(seed)


@pytest.mark.parametrize("name", TARGETS)
def test_bombs_are_refused(name: str) -> None:
    """Depth, length, and what a loader might construct."""
    for data in WHOLE:
        with suppress(BackupError):
            TARGETS[name].parse(data)


@FEW
@given(data=st.data())
@pytest.mark.parametrize("name", TARGETS)
def test_changed_documents_are_read_or_refused(name: str, data: st.DataObject) -> None:
    """By structure where there is one, else by bytes."""
    target = TARGETS[name]
    seed = data.draw(st.sampled_from(target.seeds()))
    other = data.draw(st.sampled_from(target.seeds()))
    changes = [mutated(seed), st.just(seed[: len(seed) // 2] + other[len(other) // 3 :])]
    try:
        document = json.loads(seed)
    except ValueError:
        pass
    else:
        changes += [spoilt(document)] * 4
    with suppress(BackupError):
        target.parse(data.draw(st.one_of(changes)))


# What was found by these laws and by campaigns, each for itself.


def test_a_lease_of_a_process_that_cannot_be_stops_nobody() -> None:
    """Whoever may write leases may write any number: nothing is known of such a process."""
    here = this_process("somebody")
    assert not replace(here, pid=10**30).is_dead()
    assert not replace(here, pid=1 << 63).is_dead()


@pytest.mark.parametrize("seconds", [10**30, 86_400 * 10**9])
def test_an_age_beyond_all_times_is_refused(seconds: int) -> None:
    """In the state of a dataset, and of a replica."""
    seed = json.loads(TARGETS["state"].seeds()[-1])
    with pytest.raises(LedgerBroken, match="greatest_age_seconds"):
        DatasetState.of_json(seed | {"greatest_age_seconds": seconds})
    replica = {"vault": "v", "url": "u", "at": "2026-11-01T02:03:04Z", "sequence": 1}
    assert Replica.of_json(replica, what="r").greatest_age is None
    with pytest.raises(LedgerBroken, match="greatest_age_seconds"):
        Replica.of_json(replica | {"greatest_age_seconds": seconds}, what="r")


@pytest.mark.parametrize("count", [-1, 1 << 64, "1", 1.5, True, None])
def test_a_snapshot_counts_as_restic_counts(count: object) -> None:
    """Other numbers would end the display of progress, or of a plan."""
    document = SNAPSHOT | {"summary": SUMMARY | {"total_bytes_processed": count}}
    with pytest.raises(DamageFound, match="is not a snapshot"):
        decode_snapshot(KEY, seal(KEY, json.dumps(document).encode()), what="snapshot")


def test_progress_towards_any_size_can_be_shown() -> None:
    """The greatest that a snapshot can claim, at the slowest rate."""
    progress = Progress()
    progress.bytes_total = (1 << 64) - 1
    progress.bytes_done = 1
    assert "left" not in progress_text(progress, elapsed_seconds=10**6)


class Heavy(MemoryStorage):
    """A storage in which some files are larger than any memory: who loads one is dead."""

    heavy = ""

    def stat(self, name: str) -> FileInfo:
        """See Storage."""
        return self._weighed(super().stat(name))

    def list(self, prefix: str = "") -> Iterator[FileInfo]:
        """See Storage."""
        return map(self._weighed, super().list(prefix))

    def load(self, name: str, **options: Any) -> bytes:
        """See Storage."""
        assert not self.heavy or self.heavy not in name, f"{name} would fill the memory"
        return super().load(name, **options)

    def _weighed(self, info: FileInfo) -> FileInfo:
        heavy = self.heavy and self.heavy in info.name
        return info._replace(size_bytes=5 << 30) if heavy else info


@pytest.fixture
def heavy(tmp_path: Path) -> tuple[Site, Heavy]:
    """A vault with a recovery point."""
    site = Site(tmp_path)
    site.memory = site.storage = storage = Heavy(site.clock)
    site.write(file="content")
    assert back_up(site.setting(), "crm", method=Method.INCREMENTAL).ok
    return site, storage


def test_huge_files_in_the_place_of_small_ones_are_not_loaded(heavy: tuple[Site, Heavy]) -> None:
    """Whoever may write can put anything there: it is refused by its size, or passed over."""
    site, storage = heavy
    generation = f"datasets/crm/generations/{site.place().state().generations[0].id}"
    storage.save(f"{generation}/locks/{'0' * 64}", b"x")
    storage.heavy = "/locks/"
    assert back_up(site.setting(), "crm", method=Method.INCREMENTAL).ok
    storage.heavy = "/leases/"
    with suppress(BackupError):  # a lease whose owner nobody can read is only old
        back_up(site.setting(), "crm", method=Method.INCREMENTAL)
    for name in ("/index/", "/snapshots/", f"{generation}/keys/"):
        storage.heavy = name
        outcome, damages = check(site.setting(), "crm", reading=Reading.NOTHING)
        assert "cannot be what it is" in " ".join(damages), outcome.sentence
    storage.heavy = "/ledger/"
    with pytest.raises(LedgerBroken, match="5368709120 bytes; it is none"):
        site.place().ledger.verify()


def test_a_frame_that_grows_beyond_any_document_is_refused() -> None:
    """By what it says of itself; and where it says nothing, by what comes out."""
    bomb = compress(bytes(MAX_DOCUMENT_BYTES + 1))
    assert len(bomb) < 1 << 20
    with pytest.raises(DamageFound, match="would decompress to"):
        unseal_document(KEY, seal(KEY, b"\x02" + bomb), what="index")
    silent = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    with pytest.raises(DamageFound, match="is not a zstd frame"):
        decompress(silent.compress(bytes(3 << 20)) + silent.flush(), largest=1 << 20)
