"""Making, opening and reading repositories."""

from __future__ import annotations

from datetime import timedelta

import pytest

from include.backup.errors import (
    BlobMismatch,
    ConfigurationInvalid,
    DamageFound,
    FileAbsent,
    KeyUnusable,
    SealBroken,
)
from include.backup.format.config import open_config, seal_config
from include.backup.format.crypto import MasterKey, seal
from include.backup.format.ids import BlobType, digest
from include.backup.format.index import encode_index
from include.backup.format.keys import seal_key_file
from include.backup.format.pack import PackedBlob, encode_trailer
from include.backup.format.snapshot import Snapshot, encode_snapshot
from include.backup.format.tree import Node, encode_tree
from include.backup.repository.repository import REREADS, Repository, data_name
from tests.unit.repository.samples import (
    KEY,
    NOW,
    PASSWORD,
    Flipping,
    bare,
    create,
    memory,
    names,
    reopened,
    store,
)


def test_a_new_repository_opens_with_its_password_only() -> None:
    """What was made opens, under the same key and with the same config."""
    storage = memory()
    made = create(storage)
    opened = Repository.open(storage, PASSWORD)
    assert (opened.key, opened.config) == (made.key, made.config)
    with pytest.raises(KeyUnusable, match="opens none of 1 key files"):
        Repository.open(storage, "another")


def test_every_file_of_a_new_repository_is_locked() -> None:
    """Neither the config nor the key can be deleted before the date."""
    storage = memory()
    until = NOW + timedelta(days=30)
    Repository.create(storage, PASSWORD, now=NOW, locked_until=until)
    assert len(names(storage)) == 2
    assert {storage.locked_until(name) for name in names(storage)} == {until}


def test_where_nothing_is_there_is_no_repository() -> None:
    """Absence is told apart from a wrong password."""
    with pytest.raises(FileAbsent):
        Repository.open(memory(), PASSWORD)


@pytest.mark.parametrize("name", ["config", "keys/" + "ab" * 32, "snapshots/" + "ab" * 32])
def test_no_repository_is_made_over_another(name: str) -> None:
    """Whatever is left of one, nothing is added to it."""
    storage = memory()
    storage.save(name, b"old")
    with pytest.raises(ConfigurationInvalid, match="holds a repository already"):
        create(storage)
    assert names(storage) == [name]


def add_key_file(storage_name: str, key: MasterKey, password: str) -> tuple[str, bytes]:
    data = seal_key_file(key, password, now=NOW, hostname=storage_name)
    return f"keys/{digest(data).hex()}", data


def test_any_of_several_passwords_opens() -> None:
    """Key files are independent of each other."""
    storage = memory()
    made = create(storage)
    storage.save(*add_key_file("a", made.key, "second"))
    assert Repository.open(storage, "second").key == made.key
    assert Repository.open(storage, PASSWORD).key == made.key


def test_at_most_twenty_key_files_are_tried() -> None:
    """As with stock restic: more would make a wrong password take minutes to refuse."""
    storage = memory()
    made = create(storage)
    [ours] = names(storage, "keys/")
    for number in range(20):  # made cheaply: not of our repository, and damaged
        storage.save(f"keys/{number:064x}", b"{}")
    assert ours > f"keys/{20:064x}"
    with pytest.raises(DamageFound):
        Repository.open(storage, PASSWORD)
    storage.delete([f"keys/{0:064x}"])
    assert Repository.open(storage, PASSWORD).key == made.key


def test_a_key_beyond_the_twentieth_is_spoken_of() -> None:
    """The message says that there are more key files than were tried."""
    storage = memory()
    create(storage)
    [(name, data)] = [(name, storage.load(name)) for name in names(storage, "keys/")]
    storage.delete([name])
    cheap = data.replace(b'"N":16384', b'"N":2')
    for number in range(21):
        copy = cheap + b" " * number
        storage.save(f"keys/{digest(copy).hex()}", copy)
    with pytest.raises(KeyUnusable, match="opens none of 20 key files of memory:, which has 21"):
        Repository.open(storage, "wrong")


def test_a_damaged_key_file_does_not_hide_a_good_one() -> None:
    """One of two key files is enough; if it is the only one, its damage is what is told."""
    storage = memory()
    made = create(storage)
    [name] = names(storage, "keys/")
    storage.save(*add_key_file("a", made.key, PASSWORD))
    storage.damage(name, b"{}")
    assert Repository.open(storage, PASSWORD).key == made.key
    storage.delete([other for other in names(storage, "keys/") if other != name])
    with pytest.raises(DamageFound, match="does not match its name"):
        Repository.open(storage, PASSWORD)


@pytest.mark.parametrize("prefix", ["config", "keys/"])
def test_opening_reads_again_what_came_wrong(prefix: str) -> None:
    """A cable that flips a byte twice does not close a repository; damage does."""
    storage = memory()
    made = create(storage)
    flipping = Flipping(storage, prefix, times=REREADS)
    assert Repository.open(flipping, PASSWORD).key == made.key
    with pytest.raises(DamageFound):
        Repository.open(Flipping(storage, prefix, times=99), PASSWORD)


def test_a_config_of_another_repository_is_refused() -> None:
    """Its seal is of another key."""
    storage = memory()
    made = create(storage)
    storage.damage("config", seal_config(MasterKey.generate(), made.config))
    with pytest.raises(SealBroken, match="the seal of config"):
        Repository.open(storage, PASSWORD)
    with pytest.raises(SealBroken):
        open_config(made.key, storage.load("config"))


@pytest.mark.parametrize("kind", list(BlobType))
def test_blobs_are_read_again_when_they_come_wrong(kind: BlobType) -> None:
    """Two wrong answers are survived; with the third the blob is named as damaged."""
    storage = memory()
    [blob_id] = store(bare(storage), b"some text " * 99, kind=kind)
    good = reopened(bare(Flipping(storage, "data/", times=REREADS)))
    assert good.load_blob(kind, blob_id) == b"some text " * 99
    bad = reopened(bare(Flipping(storage, "data/", times=REREADS + 1)))
    with pytest.raises(SealBroken, match=f"{kind} blob {blob_id.hex()[:8]} in pack "):
        bad.load_blob(kind, blob_id)


def test_index_and_snapshots_are_read_again_when_they_come_wrong() -> None:
    """Files named by their hash are compared with it, three times at most."""
    storage = memory()
    repository = bare(storage)
    store(repository, b"x")
    data = encode_snapshot(KEY, Snapshot(time=NOW, tree=bytes(32), paths=("/x",)))
    storage.save(f"snapshots/{digest(data).hex()}", data)
    once = bare(Flipping(storage, "", times=1))
    once.load_index()
    assert once.index.count(BlobType.DATA) == 1
    assert bare(Flipping(storage, "snapshots/", times=2)).load_snapshot(digest(data)).time == NOW
    with pytest.raises(DamageFound, match=r"snapshots/\w{8} .* does not match its name"):
        bare(Flipping(storage, "snapshots/", times=3)).load_snapshot(digest(data))
    with pytest.raises(DamageFound, match=r"index/\w{8}\w* .* does not match its name"):
        bare(Flipping(storage, "index/", times=3)).load_index()


def test_another_copy_stands_in_for_a_damaged_one() -> None:
    """Two writers stored the same blob; one copy may be damaged, or gone."""
    storage = memory()
    [blob_id] = store(bare(storage), b"twice")
    [first] = names(storage, "data/")
    store(bare(storage), b"twice")
    [second] = set(names(storage, "data/")) - {first}
    for name in (first, second):
        good = storage.load(name)
        storage.damage(name, bytes(len(good)))
        assert reopened(bare(storage)).load_blob(BlobType.DATA, blob_id) == b"twice"
        storage.damage(name, good)
    storage.delete([first])
    assert reopened(bare(storage)).load_blob(BlobType.DATA, blob_id) == b"twice"
    storage.delete([second])
    with pytest.raises(
        DamageFound, match=f"data blob {blob_id.hex()[:8]} is in a pack that is gon"
    ):
        reopened(bare(storage)).load_blob(BlobType.DATA, blob_id)


def test_data_and_trees_are_looked_up_apart() -> None:
    """A data blob is not found where a tree is asked for, whatever its id."""
    storage = memory()
    text = encode_tree([Node(name=b"a", type="file", content=())])
    [blob_id] = store(bare(storage), text)
    repository = reopened(bare(storage))
    with pytest.raises(DamageFound, match=f"tree blob {blob_id.hex()[:8]} is in no index"):
        repository.load_tree(blob_id)
    store(bare(storage), text, kind=BlobType.TREE)
    assert [node.name for node in reopened(bare(storage)).load_tree(blob_id)] == [b"a"]


def test_a_blob_in_the_place_of_another_is_found_out() -> None:
    """The seal is right, the content is not what was asked for: only the id can tell."""
    storage = memory()
    repository = bare(storage)
    sealed = seal(KEY, b"something else")
    wanted = PackedBlob(BlobType.DATA, digest(b"wanted"), 0, len(sealed), 0)
    pack = sealed + encode_trailer(KEY, [wanted])
    storage.save(data_name(digest(pack)), pack)
    index = encode_index(KEY, [(digest(pack), [wanted])])
    storage.save(f"index/{digest(index).hex()}", index)
    repository.load_index()
    with pytest.raises(BlobMismatch, match=f"blob {wanted.id.hex()[:8]} in pack"):
        repository.load_blob(BlobType.DATA, wanted.id)


def test_names_that_are_no_ids_are_passed_over() -> None:
    """Somebody's notes beside the index files do no harm, as with stock restic."""
    storage = memory()
    store(bare(storage), b"x")
    storage.save("index/notes.txt", b"remember the milk")
    storage.save("index/" + "AB" * 32, b"capitals are no id either")
    assert len(bare(storage).file_ids("index")) == 1
    assert reopened(bare(storage)).index.count(BlobType.DATA) == 1
