"""A bit flipped on the way of one read is no damage at rest: the file is read again."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from include.backup.actions.back_up import back_up
from include.backup.actions.check import Reading, check
from include.backup.actions.replicate import replicate
from include.backup.errors import DamageFound, StorageError
from include.backup.policy.model import Method
from include.backup.storage.base import Folder
from include.backup.storage.memory import MemoryStorage
from include.backup.vault.lease_files import LeaseFile, create, newest_holder
from include.backup.vault.owners import this_process
from tests.damage.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from include.backup.storage.base import FileInfo, Storage


class Flipping(Folder):
    """A storage whose answers for one part of the vault have a flipped bit, so many times."""

    def __init__(self, storage: Storage, part: str, *, times: int = 1) -> None:
        super().__init__(storage, "")
        self._part = part
        self.left = times

    def load(self, name: str, **options: Any) -> bytes:
        """See Storage."""
        data = super().load(name, **options)
        if self._part not in name or not self.left or not data:
            return data
        self.left -= 1
        middle = len(data) // 2
        return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A dataset with two recovery points."""
    made = Site(tmp_path)
    for number in range(2):
        made.write(**{f"file{number}": b"x" * 5000})
        assert back_up(made.setting(), "crm", method=Method.INCREMENTAL).ok
        made.wait(days=1)
    return made


PARTS = ("ledger/", "/keys/", "leases/incremental/", "/config", "/index/", "/snapshots/", "/data/")


@pytest.mark.parametrize("part", PARTS)
def test_one_flipped_read_spoils_no_backup(site: Site, part: str) -> None:
    """It is taken, and nothing is recorded as damaged, nor anybody else as running."""
    site.write(more=b"more")
    flipping = Flipping(site.memory, part)
    outcome = back_up(site.setting(flipping), "crm", method=Method.INCREMENTAL)
    assert outcome.kind == "recovery-point", outcome.sentence
    assert flipping.left == 0
    assert [one.damaged for one in site.place().state().generations] == [False]


@pytest.mark.parametrize("part", [part for part in PARTS if "leases" not in part])
def test_one_flipped_read_is_no_finding_of_a_check(site: Site, part: str) -> None:
    """What stays flipped is."""
    flipping = Flipping(site.memory, part)
    assert check(site.setting(flipping), "crm", reading=Reading.ALL)[1] == []
    assert flipping.left == 0
    stuck = Flipping(site.memory, part, times=10_000)
    try:
        assert check(site.setting(stuck), "crm", reading=Reading.ALL)[1] != []
    except DamageFound:
        return


def test_a_flipped_bit_makes_no_holder_of_a_lease_dead(site: Site) -> None:
    """The process that holds it lives; read wrongly once, another's number would be taken."""
    owner = this_process("tests")
    data = LeaseFile(token="0" * 32, owner=owner, since=site.now)
    create(site.memory, "full", 1, data)
    dead = replace(data, owner=replace(owner, started=owner.started ^ 1))

    class Wrong(Flipping):
        def load(self, name: str, **options: Any) -> bytes:
            self.left -= 1
            return dead.to_bytes() if self.left == 0 else super().load(name, **options)

    found = newest_holder(Wrong(site.memory, "nothing"), "full")
    assert found is not None
    assert found.file == data


class Misnaming(Folder):
    """A storage whose listings have one wrong character in a name, or a wrong size."""

    def __init__(self, storage: Storage, part: str, *, sizes: bool = False) -> None:
        super().__init__(storage, "")
        self._part = part
        self._sizes = sizes

    def list(self, prefix: str = "") -> Iterator[FileInfo]:
        """See Storage."""
        for info in super().list(prefix):
            if self._part not in info.name:
                yield info
            elif self._sizes:
                yield info._replace(size_bytes=info.size_bytes ^ 1)
            else:
                other = "0" if info.name[-1] != "0" else "1"
                yield info._replace(name=info.name[:-1] + other)


@pytest.mark.parametrize(("part", "sizes"), [("/data/", 0), ("/data/", 1), ("/snapshots/", 0)])
def test_what_a_listing_calls_otherwise_is_asked_for_by_its_name(
    site: Site, part: str, *, sizes: int
) -> None:
    """A check finds nothing, and no backup calls the generation damaged."""
    wrong = Misnaming(site.memory, part, sizes=bool(sizes))
    assert check(site.setting(wrong), "crm", reading=Reading.ALL)[1] == []
    with suppress(StorageError):  # a snapshot that nobody recorded is looked for, in vain
        back_up(site.setting(wrong), "crm", method=Method.INCREMENTAL)
    assert [one.damaged for one in site.place().state().generations] == [False]


@pytest.mark.parametrize("part", ["/keys/2", "/config", "ledger/", "/index/", "/data/"])
@pytest.mark.parametrize("where", ["home", "copy"])
def test_one_flipped_read_spoils_no_copy(site: Site, part: str, where: str) -> None:
    """What is copied is what lies at home; nothing that is whole is called damaged, on either side.

    An envelope and a config have no name by their bytes: read wrongly once, the copy would be wrong
    for ever.
    """
    site.second = MemoryStorage(site.clock)
    for _ in range(2):  # nothing is there, then all of it
        home = Flipping(site.memory, part) if where == "home" else site.memory
        second = Flipping(site.second, part) if where == "copy" else site.second
        outcome = replicate(site.setting(home, second), "crm", "second")
        assert not outcome.details["unmet"], outcome.sentence
    assert site.restored(replica="second") == site.content()
    assert check(site.setting(), "crm", reading=Reading.ALL, replica="second")[1] == []
    state = site.place().state()
    assert [one.damaged for one in state.generations] == [False]
    assert state.replica("s3://second/vault").damaged == ()


@pytest.mark.parametrize("where", ["home", "copy"])
@pytest.mark.parametrize(("part", "sizes"), [("/data/", 0), ("/data/", 1), ("/snapshots/", 0)])
def test_one_spoiled_listing_spoils_no_copy(
    site: Site, where: str, part: str, *, sizes: int
) -> None:
    """What is listed and not there is listed anew before it counts as lost."""
    site.second = MemoryStorage(site.clock)
    assert replicate(site.setting(), "crm", "second").ok
    site.write(more=b"more")
    assert back_up(site.setting(), "crm", method=Method.INCREMENTAL).ok

    class Once(Misnaming):
        def list(self, prefix: str = "") -> Iterator[FileInfo]:
            if "/data/" not in prefix and "/snapshots/" not in prefix:
                return self._storage.list(prefix)
            found, self._part = list(super().list(prefix)), "nothing"
            return iter(found)

    home = Once(site.memory, part, sizes=bool(sizes)) if where == "home" else site.memory
    second = Once(site.second, part, sizes=bool(sizes)) if where == "copy" else site.second
    outcome = replicate(site.setting(home, second), "crm", "second")
    assert not outcome.details["unmet"], outcome.sentence
    assert site.restored(replica="second") == site.content()
    assert [one.damaged for one in site.place().state().generations] == [False]
