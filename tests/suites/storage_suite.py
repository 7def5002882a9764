"""The laws that every storage keeps, whatever it is made of.

A tenant is one storage, empty, together with what a test must be able to do to it from outside:
refuse, change the bytes of a file, wait for the store's time to pass.
"""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from include.backup.errors import (
    AccessRefused,
    ConfigurationInvalid,
    DamageFound,
    FileAbsent,
    NameTaken,
)
from include.backup.storage.base import Folder, Storage

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

MANY = 1050  # more than one page of any store
WRITERS = 16
ODD_NAMES = (
    "plain",
    "with space",
    "plus+and=equals",
    "percent%41%2F",
    "colon:semi;comma,",
    "tilde~'quotes\"",
    "hash#question?",
    "brackets[]{}()<>|^`",
    "ampersand&at@dollar$star*!",
    "trailing.dot.",
    "a/b/c/d/e/f/g",
    "double..dot/x..y",
    "x" * 255,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """One empty storage and the outside world's power over it."""

    storage: Storage
    refusing: Callable[[str], AbstractContextManager[None]]  # 403 below a prefix, while it lasts
    replace: Callable[[str, bytes], None]  # other bytes under a name, behind the storage's back
    overwrite: Callable[..., None] | None = None  # a second version, perhaps with a lock date
    newest: Callable[[str], bytes | None] | None = None  # what stock restic would see
    hide: Callable[[str], None] | None = None  # a delete marker
    remains: Callable[[str], int] | None = None  # versions and markers left under a name
    wait: Callable[[timedelta], None] | None = None


class StorageSuite:
    """One test per law. Tenants come from the fixture `tenant`."""

    def test_what_was_saved_is_loaded(self, tenant: Tenant) -> None:
        """The bytes come back whole, from any kind of buffer, with and without a digest."""
        storage = tenant.storage
        for number, data in enumerate((b"bytes", bytearray(b"array"), memoryview(b"view"))):
            storage.save(f"kinds/{number}", data)
            assert storage.load(f"kinds/{number}") == bytes(data)
        body = bytes(range(256)) * 300
        storage.save("kinds/digest", body, sha256=hashlib.sha256(body).digest())
        assert storage.load("kinds/digest") == body

    def test_names_are_written_once(self, tenant: Tenant) -> None:
        """A second save finds the name taken, and the first bytes stay."""
        tenant.storage.save("ledger/0000000001.json", b"first")
        for other in (b"other", b"of another length", b""):
            with pytest.raises(NameTaken):
                tenant.storage.save("ledger/0000000001.json", other)
        assert tenant.storage.load("ledger/0000000001.json") == b"first"

    def test_one_of_many_racing_writers_wins(self, tenant: Tenant) -> None:
        """Of sixteen writers to one name exactly one succeeds, and its bytes are the file."""
        start = threading.Barrier(WRITERS)

        def write(number: int) -> int | None:
            start.wait()
            try:
                tenant.storage.save("races/one", b"writer %d" % number)
            except NameTaken:
                return None
            return number

        with ThreadPoolExecutor(WRITERS) as pool:
            winners = [won for won in pool.map(write, range(WRITERS)) if won is not None]
        assert len(winners) == 1
        assert tenant.storage.load("races/one") == b"writer %d" % winners[0]

    def test_an_absent_file_is_said_to_be_absent(self, tenant: Tenant) -> None:
        """Load and stat raise FileAbsent, lists are empty, delete has nothing to do."""
        storage = tenant.storage
        storage.save("here/file", b"x")
        for name in ("nowhere/file", "here/other", "here", "here/file/below"):
            with pytest.raises(FileAbsent):
                storage.load(name)
            with pytest.raises(FileAbsent):
                storage.load(name, offset=1, length=2)
            with pytest.raises(FileAbsent):
                storage.stat(name)
        assert list(storage.list("nowhere/")) == []
        assert storage.folders("nowhere/") == []
        storage.delete(["nowhere/file", "here/other"])
        assert storage.load("here/file") == b"x"

    def test_refusal_is_not_absence(self, tenant: Tenant) -> None:
        """A store that refuses is never read as a store that is empty."""
        storage = tenant.storage
        storage.save("closed/file", b"x")
        with tenant.refusing("closed/"):
            for ask in (
                lambda: storage.load("closed/file"),
                lambda: storage.load("closed/none"),
                lambda: storage.stat("closed/file"),
                lambda: list(storage.list("closed/")),
                lambda: storage.folders("closed/"),
                lambda: storage.save("closed/new", b"y"),
                lambda: storage.delete(["closed/file"]),
            ):
                with pytest.raises(AccessRefused):
                    ask()
        assert storage.load("closed/file") == b"x"
        assert [info.name for info in storage.list("closed/")] == ["closed/file"]

    def test_many_names_are_listed_in_order_and_deleted_at_once(self, tenant: Tenant) -> None:
        """More names than a request can carry: all are listed, ascending, once; all are deleted."""
        names = [f"many/{number % 3}/{number:05}" for number in range(MANY)]
        others = ["many-more/x", "many.json", "many/00"]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda name: tenant.storage.save(name, b"."), [*names, *others]))
        assert [info.name for info in tenant.storage.list()] == sorted([*names, *others])
        assert [i.name for i in tenant.storage.list("many/")] == sorted([*names, "many/00"])
        assert [i.name for i in tenant.storage.list("many/1/0000")] == [
            "many/1/00001",
            "many/1/00004",
            "many/1/00007",
        ]
        tenant.storage.delete(names)
        assert [info.name for info in tenant.storage.list()] == others

    def test_folders_are_those_with_files_below(self, tenant: Tenant) -> None:
        """Folders are single parts, ascending; files beside them and deleted ones are none."""
        for name in ("datasets/crm/a", "datasets/crm-eu/b", "datasets/b/c/d", "datasets/file"):
            tenant.storage.save(name, b"x")
        tenant.storage.save("datasets/gone/deep/x", b"x")
        tenant.storage.delete(["datasets/gone/deep/x"])
        assert tenant.storage.folders("datasets/") == ["b", "crm", "crm-eu"]
        assert tenant.storage.folders() == ["datasets"]
        assert tenant.storage.folders("datasets/b/") == ["c"]
        with pytest.raises(ConfigurationInvalid):
            tenant.storage.folders("datasets")

    def test_any_range_can_be_loaded(self, tenant: Tenant) -> None:
        """Offset and length give exactly those bytes, up to the very end and no further."""
        storage, data = tenant.storage, bytes(range(200))
        storage.save("range", data)
        assert storage.load("range", offset=10, length=5) == data[10:15]
        assert storage.load("range", offset=150) == data[150:]
        assert storage.load("range", offset=0, length=200) == data
        assert storage.load("range", offset=199, length=1) == data[199:]
        assert storage.load("range", offset=50, length=0) == b""
        assert storage.load("range", offset=200) == b""
        for offset, length in ((199, 2), (200, 1), (500, 1), (201, None), (201, 0)):
            with pytest.raises(DamageFound):
                storage.load("range", offset=offset, length=length)

    def test_a_file_cut_short_is_damage(self, tenant: Tenant) -> None:
        """Asking for bytes that a file must have and has not is damage, not a short answer."""
        tenant.storage.save("packs/one", b"0123456789")
        tenant.replace("packs/one", b"01234")
        with pytest.raises(DamageFound):
            tenant.storage.load("packs/one", offset=3, length=4)
        assert tenant.storage.load("packs/one", offset=1, length=4) == b"1234"

    def test_delete_frees_the_name(self, tenant: Tenant) -> None:
        """What is deleted is absent and can be saved anew; the neighbours stay."""
        storage = tenant.storage
        for name in ("leases/1", "leases/2", "leases/3"):
            storage.save(name, name.encode())
        storage.delete(["leases/1", "leases/2", "leases/1"])
        assert [info.name for info in storage.list("leases/")] == ["leases/3"]
        with pytest.raises(FileAbsent):
            storage.load("leases/1")
        storage.save("leases/1", b"again")
        assert storage.load("leases/1") == b"again"
        storage.delete([])

    def test_stat_tells_size_and_time(self, tenant: Tenant) -> None:
        """Sizes are exact, times aware and in order, and list says the same as stat."""
        tenant.storage.save("facts/1", b"x" * 1234)
        tenant.storage.save("facts/2", b"")
        first, second = tenant.storage.stat("facts/1"), tenant.storage.stat("facts/2")
        assert (first.name, first.size_bytes, second.size_bytes) == ("facts/1", 1234, 0)
        assert first.modified_at.utcoffset() == timedelta(0)
        assert first.modified_at <= second.modified_at + timedelta(seconds=1)
        listed = list(tenant.storage.list("facts/"))
        assert [info[:2] for info in listed] == [first[:2], second[:2]]
        for one, other in zip(listed, (first, second), strict=True):
            assert abs(one.modified_at - other.modified_at) < timedelta(seconds=1)

    def test_an_empty_file_is_a_file(self, tenant: Tenant) -> None:
        """A file without bytes is loaded, listed, and keeps its name."""
        tenant.storage.save("empty", b"", sha256=hashlib.sha256(b"").digest())
        assert tenant.storage.load("empty") == b""
        assert [info.size_bytes for info in tenant.storage.list()] == [0]
        with pytest.raises(NameTaken):
            tenant.storage.save("empty", b"x")

    @pytest.mark.parametrize("size_bytes", [0, 10, 3 << 20])
    def test_bytes_that_do_not_match_their_digest_are_refused(
        self, tenant: Tenant, size_bytes: int
    ) -> None:
        """A wrong SHA-256 is damage, and nothing is stored."""
        with pytest.raises(DamageFound):
            tenant.storage.save("wrong", b"x" * size_bytes, sha256=hashlib.sha256(b"y").digest())
        assert list(tenant.storage.list()) == []

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_odd_names_are_names(self, tenant: Tenant, name: str) -> None:
        """Every printable character but the backslash is just a character."""
        tenant.storage.save(f"odd/{name}", name.encode())
        assert tenant.storage.load(f"odd/{name}") == name.encode()
        assert [info.name for info in tenant.storage.list("odd/")] == [f"odd/{name}"]
        assert tenant.storage.stat(f"odd/{name}").size_bytes == len(name)
        tenant.storage.delete([f"odd/{name}"])
        assert list(tenant.storage.list()) == []

    @pytest.mark.parametrize(
        "name",
        ["", "/", "/etc/passwd", "a//b", "a/", "../up", "a/../b", "a/.", ".hidden", "a/.tmp",
         "back\\slash", "nul\0", "line\n", "ünï", "x" * 256, "y/" * 500 + "y"],
    )  # fmt: skip
    def test_illegal_names_are_refused(self, tenant: Tenant, name: str) -> None:
        """Names that could leave the storage, or mean something to a system, are wrong use."""
        for act in (
            lambda: tenant.storage.save(name, b"x"),
            lambda: tenant.storage.load(name),
            lambda: tenant.storage.stat(name),
            lambda: tenant.storage.delete([name]),
        ):
            with pytest.raises(ConfigurationInvalid):
                act()
        assert list(tenant.storage.list()) == []

    def test_nothing_was_tampered_with_in_a_fresh_storage(self, tenant: Tenant) -> None:
        """Files as they were saved are no tampering, and undeletion leaves them as they are."""
        tenant.storage.save("datasets/a", b"x")
        assert list(Folder(tenant.storage, "datasets").tampering()) == []
        assert tenant.storage.undelete(["datasets/a", "datasets/absent"]) == []
        assert tenant.storage.undelete([]) == []
        assert tenant.storage.load("datasets/a") == b"x"
        with pytest.raises(ConfigurationInvalid):
            tenant.storage.undelete(["../up"])

    def test_a_folder_is_a_storage_of_its_own(self, tenant: Tenant) -> None:
        """Names in a folder are relative, and what lies outside is not seen."""
        folder = Folder(tenant.storage, "datasets/crm")
        tenant.storage.save("datasets/crm-eu/x", b"other")
        folder.save("a/b", b"x")
        assert tenant.storage.load("datasets/crm/a/b") == folder.load("a/b") == b"x"
        assert [info.name for info in folder.list()] == ["a/b"]
        assert folder.stat("a/b").name == "a/b"
        assert folder.folders() == ["a"]
        folder.delete(["a/b"])
        assert list(folder.list()) == []

    def test_the_address_names_the_store(self, tenant: Tenant) -> None:
        """An address for people has a scheme."""
        assert tenant.storage.url.partition(":")[0] in {"memory", "file", "s3"}


class VersionedSuite:
    """Further laws of storages that keep versions. Tenants: the fixture `versioned`."""

    def test_the_oldest_version_is_the_file(self, versioned: Tenant) -> None:
        """Overwriting a write-once name changes nothing of what is read."""
        assert versioned.overwrite
        versioned.storage.save("config", b"original")
        versioned.storage.save("configs/next", b"neighbour")
        versioned.overwrite("config", b"forged, and longer")
        versioned.overwrite("config", b"forged twice")
        assert versioned.storage.load("config") == b"original"
        assert versioned.storage.load("config", offset=2, length=3) == b"igi"
        assert versioned.storage.stat("config").size_bytes == len(b"original")
        sizes = {info.name: info.size_bytes for info in versioned.storage.list("config")}
        assert sizes == {"config": len(b"original"), "configs/next": len(b"neighbour")}

    def test_a_delete_marker_hides_nothing(self, versioned: Tenant) -> None:
        """A file under a delete marker is there, and its name is not free."""
        assert versioned.hide
        versioned.storage.save("folder/file", b"original")
        versioned.hide("folder/file")
        assert versioned.storage.load("folder/file") == b"original"
        assert versioned.storage.stat("folder/file").size_bytes == len(b"original")
        assert [info.name for info in versioned.storage.list()] == ["folder/file"]
        assert versioned.storage.folders() == ["folder"]
        with pytest.raises(NameTaken):
            versioned.storage.save("folder/file", b"anew")
        assert versioned.storage.load("folder/file") == b"original"

    def test_a_bare_delete_marker_is_not_absence(self, versioned: Tenant) -> None:
        """Where only a marker is left, somebody destroyed a file: damage, and no free name."""
        assert versioned.hide
        versioned.hide("ledger/1")
        with pytest.raises(DamageFound):
            versioned.storage.load("ledger/1")
        with pytest.raises(DamageFound):
            versioned.storage.stat("ledger/1")
        assert list(versioned.storage.list()) == []
        with pytest.raises(NameTaken):
            versioned.storage.save("ledger/1", b"x")

    def test_tampering_is_told(self, versioned: Tenant) -> None:
        """Overwritten and hidden names are listed with what lies over them; others are not."""
        assert versioned.overwrite
        assert versioned.hide
        for name in ("a", "b", "c", "d"):
            versioned.storage.save(name, b"x")
        versioned.overwrite("b", b"y")
        versioned.hide("c")
        versioned.hide("never-saved")
        told = list(versioned.storage.tampering())
        assert told == [("b", 2, 0), ("c", 1, 1), ("never-saved", 0, 1)]

    @pytest.mark.parametrize("among", [0, 30])
    def test_undeletion_lets_every_file_be_seen(self, versioned: Tenant, among: int) -> None:
        """Of what was overwritten and hidden only the oldest version is left; the rest stays."""
        assert versioned.overwrite
        assert versioned.hide
        assert versioned.newest
        assert versioned.remains
        folder = Folder(versioned.storage, "f")
        others = [f"g/{number:02}" for number in range(among)]
        for name in ["a", "b", "c", *others]:
            folder.save(name, name.encode())
        for name in ["f/a", *(f"f/{name}" for name in others)]:
            versioned.hide(name)
        versioned.overwrite("f/b", b"forged")
        versioned.hide("f/b")
        versioned.overwrite("f/b", b"forged again")
        versioned.hide("f/bare")
        wanted = [told.name for told in folder.tampering()]
        assert wanted == ["a", "b", "bare", *others]
        for _ in range(2):  # what is done is done again without harm
            assert folder.undelete(wanted) == []
            assert list(folder.tampering()) == []
            for name in ["a", "b", "c", *others]:
                assert versioned.remains(f"f/{name}") == 1
                assert versioned.newest(f"f/{name}") == folder.load(name) == name.encode()
        folder.save("bare", b"free again")
        assert folder.load("bare") == b"free again"

    @pytest.mark.parametrize("among", [0, 30])
    def test_delete_takes_every_version_and_marker(self, versioned: Tenant, among: int) -> None:
        """After a delete nothing of a name is left, whatever was done to it before."""
        assert versioned.overwrite
        assert versioned.hide
        assert versioned.remains
        others = [f"f/{number}" for number in range(among)]
        for name in ["f/file", *others, "f/file-kept"]:
            versioned.storage.save(name, b"1")
        versioned.overwrite("f/file", b"2")
        versioned.hide("f/file")
        versioned.overwrite("f/file", b"3")
        assert versioned.remains("f/file") == 4
        versioned.storage.delete(["f/file", *others])
        assert versioned.remains("f/file") == 0
        assert [info.name for info in versioned.storage.list()] == ["f/file-kept"]


class LockedSuite:
    """Further laws of storages with Object Lock. Tenants: the fixture `locked`."""

    def test_a_lock_date_is_kept(self, locked: Tenant) -> None:
        """Nobody deletes a file before its lock date; after it, the same request succeeds."""
        assert locked.wait
        locked.storage.save("clock", b"")
        saved_at = locked.storage.stat("clock").modified_at
        assert saved_at.tzinfo is UTC or saved_at.utcoffset() == timedelta(0)
        until = saved_at + timedelta(seconds=4)
        locked.storage.save("packs/locked", b"x", locked_until=until)
        locked.storage.save("packs/open", b"x")
        with pytest.raises(AccessRefused, match=r"packs/locked.*locked until"):
            locked.storage.delete(["packs/locked"])
        assert locked.storage.load("packs/locked") == b"x"
        locked.storage.delete(["packs/open"])
        locked.wait(timedelta(seconds=6))
        locked.storage.delete(["packs/locked"])
        assert [info.name for info in locked.storage.list("packs/")] == []

    def test_a_lock_date_can_be_extended_and_not_shortened(self, locked: Tenant) -> None:
        """An earlier date changes nothing; a file without one gets one."""
        storage = locked.storage
        assert locked.wait
        storage.save("clock2", b"")
        now = storage.stat("clock2").modified_at
        storage.save("packs/long", b"x", locked_until=now + timedelta(seconds=2))
        storage.save("packs/none", b"x")
        Folder(storage, "packs").extend_lock(["long", "none"], now + timedelta(seconds=5))
        storage.extend_lock(["packs/long"], now + timedelta(seconds=1))
        locked.wait(timedelta(seconds=3))
        for name in ("packs/long", "packs/none"):
            with pytest.raises(AccessRefused):
                storage.delete([name])
        with pytest.raises(FileAbsent):
            storage.extend_lock(["packs/gone"], now + timedelta(seconds=5))
        locked.wait(timedelta(seconds=4))
        storage.delete(["packs/long", "packs/none"])

    def test_over_a_forged_version_with_a_lock_a_copy_is_put(self, locked: Tenant) -> None:
        """Nobody can remove it; who reads the newest version sees the file all the same."""
        assert locked.overwrite
        assert locked.newest
        storage = locked.storage
        storage.save("clock", b"")
        until = storage.stat("clock").modified_at + timedelta(seconds=60)
        storage.save("snapshots/one", b"ours", locked_until=until)
        locked.overwrite("snapshots/one", b"forged", locked_until=until)
        locked.overwrite("snapshots/one", b"forged again")
        for _ in range(2):
            [left] = storage.undelete(["snapshots/one"])
            assert left.name == "snapshots/one"
            assert "locked until" in left.why
            assert not left.hidden
            assert locked.newest("snapshots/one") == storage.load("snapshots/one") == b"ours"
            assert [told.versions for told in storage.tampering()] == [3]

    def test_what_is_on_hold_cannot_be_deleted(self, locked: Tenant) -> None:
        """Until the hold is taken off, whatever its lock date."""
        storage = locked.storage
        storage.save("packs/held", b"x")
        Folder(storage, "packs").hold(["held"], on=True)
        with pytest.raises(AccessRefused):
            storage.delete(["packs/held"])
        assert storage.load("packs/held") == b"x"
        storage.hold(["packs/held"], on=False)
        storage.delete(["packs/held"])


def utc(seconds: float) -> datetime:
    """An aware datetime from seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC)
