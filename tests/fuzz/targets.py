"""What is fuzzed: each parser with good documents, and what is done with what it returns.

A target takes any bytes. It returns, or raises an error of ours: anything else is a fault. What
lies sealed or signed in a vault is given to it as it is before that, for no fuzzer finds a seal.
"""

from __future__ import annotations

import base64
import json
import tempfile
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.backup.actions.back_up import back_up
from include.backup.errors import BackupError
from include.backup.evidence.fields import canonical, parse_canonical
from include.backup.evidence.records import Draft, open_draft, open_record
from include.backup.evidence.signing import Signer
from include.backup.evidence.wording import size
from include.backup.format.compression import compress, decompress
from include.backup.format.config import open_config
from include.backup.format.crypto import MasterKey, seal
from include.backup.format.ids import BlobType
from include.backup.format.index import decode_index, encode_index
from include.backup.format.keys import open_key_file
from include.backup.format.lock import decode_lock
from include.backup.format.names import quote, unquote
from include.backup.format.pack import PackedBlob, decode_trailer
from include.backup.format.snapshot import decode_snapshot
from include.backup.format.tree import Node, decode_tree, encode_tree
from include.backup.format.unpacked import unseal_document
from include.backup.policy.datasets import load_datasets
from include.backup.policy.expectations import load_expectations
from include.backup.policy.load import parse_policy
from include.backup.policy.model import Method
from include.backup.policy.people import load_people
from include.backup.repository.blob_index import BlobIndex
from include.backup.repository.check import check_trees
from include.backup.sources.mariadb.manifest import decoded
from include.backup.sources.postgresql import manifest
from include.backup.sources.postgresql.wanted import Rules, wanted_of
from include.backup.sources.s3.about import bucket_and_prefix
from include.backup.sources.s3.metadata import HEADERS, TAGS, metadata_of
from include.backup.vault.erasures import Erased, Erasure, load_erased
from include.backup.vault.fold import fold
from include.backup.vault.keyring import Envelope, KeyContext, LocalKey, load_secret
from include.backup.vault.lease_files import LeaseFile
from include.backup.vault.owners import this_process
from include.backup.vault.sealed import seal as seal_beside
from include.backup.vault.sealed import unseal as unseal_beside
from include.backup.vault.state import DatasetState
from tests.damage.site import MASTER_KEY, ROOT, SIGNING_KEY, Site
from tests.unit.repository.samples import memory

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = MasterKey(encrypt=b"e" * 32, mac_k=b"k" * 16, mac_r=b"r" * 16)
NOW = datetime(2026, 11, 24, 1, tzinfo=UTC)
MASTER = LocalKey.of_text(MASTER_KEY)
SIGNER = Signer.of_text(SIGNING_KEY)
ID = b"\x07" * 32
DATA, TREE = BlobType.DATA, BlobType.TREE
CLASSES = ["critical", "important", "non_essential"]


@dataclass(frozen=True, kw_only=True)
class Target:
    """A parser, and what it accepts."""

    seeds: Callable[[], list[bytes]]
    parse: Callable[[bytes], object]
    text: bool = True  # JSON, or YAML: mutations may follow its structure


def sealed(open_: Callable[[bytes], object]) -> Callable[[bytes], object]:
    """The same for what is sealed with the key of the repository."""
    return lambda data: open_(seal(KEY, data))


def one(text: object) -> Callable[[], list[bytes]]:
    """One seed, of JSON."""
    return lambda: [json.dumps(text).encode()]


# --- the format -------------------------------------------------------------------------------


def _index(data: bytes) -> None:
    index = BlobIndex()
    for pack, blobs in decode_index(KEY, data, what="index"):
        index.add_pack(pack, blobs)
        for blob in blobs:
            assert index.locations(blob.type, blob.id)
    for found in index.by_pack().values():
        assert found


def _index_seed() -> list[bytes]:
    blobs = [PackedBlob(DATA, ID, 0, 99, 300), PackedBlob(TREE, bytes(32), 99, 40, 0)]
    document = unseal_document(KEY, encode_index(KEY, [(ID, blobs)]), what="")
    return [json.dumps(document).encode(), b"\x02" + compress(json.dumps(document).encode())]


NODES = [
    Node(b"a \\ \xff", "file", 0o644, content=(ID,), size=5, links=2, inode=3),
    Node(
        b"b",
        "dir",
        1 << 31,
        subtree=ID,
        extended_attributes=(("user.x", b"y"),),
        user="root",
        uid=1000,
    ),
    Node(b"c", "symlink", linktarget=b"/etc/\xff"),
    Node(b"d", "dev", device=7),
]


class _OneTree:
    """A repository that has one tree and no blobs."""

    def __init__(self, nodes: list[Node]) -> None:
        self._nodes = nodes
        self.index = BlobIndex()

    def load_tree(self, tree_id: bytes) -> list[Node]:
        """Whatever is asked for."""
        del tree_id
        return self._nodes


def _tree(data: bytes) -> None:
    nodes = decode_tree(data, what="tree")
    encode_tree(nodes)
    list(check_trees(_OneTree(nodes), [("root", ID)]))  # type: ignore[arg-type]
    for node in nodes:
        with suppress(BackupError):
            metadata_of(node)


def _snapshot(data: bytes) -> None:
    snapshot = decode_snapshot(KEY, data, what="snapshot")
    if snapshot.summary is not None:
        size(snapshot.summary.total_bytes_processed)  # as a plan tells it


def _pack(data: bytes) -> None:
    header = seal(KEY, data)
    trailer = header + len(header).to_bytes(4, "little")
    for pack_bytes in (len(trailer) + 99, len(trailer) + 139):
        with suppress(BackupError):
            decode_trailer(KEY, trailer, pack_bytes, what="pack")


def _pack_seed() -> list[bytes]:
    entry = (99).to_bytes(4, "little")
    return [b"\x00" + entry + ID, b"\x02" + entry + (300).to_bytes(4, "little") + ID]


def _key_file() -> dict[str, Any]:
    return {
        "created": "2026-11-01T02:03:04Z",
        "username": "u",
        "hostname": "h",
        "kdf": "scrypt",
        "N": 16,
        "r": 1,
        "p": 1,
        "salt": base64.b64encode(bytes(64)).decode(),
        "data": base64.b64encode(bytes(100)).decode(),
    }


SUMMARY = {
    "backup_start": "2026-11-01T02:03:04Z",
    "backup_end": "2026-11-01T02:03:05Z",
    "files_new": 1,
    "total_bytes_processed": 12,
}
SNAPSHOT = {
    "time": "2026-11-01T02:03:04.5+01:00",
    "tree": ID.hex(),
    "parent": ID.hex(),
    "paths": ["/crm"],
    "hostname": "holdfast",
    "tags": ["class=critical"],
    "summary": SUMMARY,
}
LOCK = {
    "time": "2026-11-01T02:03:04Z",
    "exclusive": False,
    "hostname": "holdfast",
    "username": "",
    "pid": 7,
}
CONFIG = {"version": 2, "id": ID.hex(), "chunker_polynomial": "3da3358b4dc173"}


# --- the vault --------------------------------------------------------------------------------


@cache
def life() -> dict[str, list[bytes]]:
    """What a vault holds after a full, an incremental and a hold, by kind."""
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        for number in range(2):
            site.write(**{f"file{number}": "content"})
            assert back_up(site.setting(), "crm", method=Method.INCREMENTAL).ok
            site.wait(days=1)
        held = site.memory
        found: dict[str, list[bytes]] = {"ledger": [], "keys": [], "leases": []}
        for info in held.list("datasets/crm/"):
            if (kind := info.name.split("/")[2]) in found:
                found[kind].append(held.load(info.name))
    return found


def signed(data: bytes) -> bytes:
    """A document with a signature that fits, if it is one at all."""
    try:
        document = json.loads(data)
        named = dict(document) | {"key": SIGNER.key_id, "public_key": SIGNER.public_key.hex()}
        named.pop("signature", None)
        return canonical(named | {"signature": SIGNER.sign(canonical(named)).hex()})
    except (ValueError, TypeError, RecursionError):
        return data


def _record(data: bytes) -> None:
    for candidate in (data, signed(data)):
        with suppress(BackupError):
            record = open_record(candidate, subject="crm", sequence=3)
            use(DatasetState.of_json(record.state))


def _draft(data: bytes) -> None:
    for candidate in (data, signed(data)):
        with suppress(BackupError):
            draft, _ = open_draft(candidate, what="draft", trusted=[SIGNER.public_key])
            _folded(draft)


def _draft_seed() -> list[bytes]:
    found = []
    for data in life()["ledger"]:
        document = json.loads(data)
        for name in ("sequence", "previous", "state", "spooled"):
            del document[name]
        found.append(canonical(document | {"after": 0}))
    return found


@cache
def _states() -> list[DatasetState]:
    documents = [json.loads(data)["state"] for data in life()["ledger"]]
    return [DatasetState(), *map(DatasetState.of_json, documents)]


def _folded(draft: Draft) -> None:
    for state in _states():
        with suppress(BackupError):
            use(fold(state, draft, 9))


def use(state: DatasetState) -> None:
    """What every act asks of a state."""
    for now in (NOW, NOW + timedelta(days=40)):
        state.age(now)
        state.greatest_age(now)
    assert DatasetState.of_json(json.loads(json.dumps(state.to_json()))) == state


def _state(data: bytes) -> None:
    use(DatasetState.of_json(parse_canonical(data, what="state", largest_bytes=1 << 20)))


def _envelope(data: bytes) -> None:
    envelope = Envelope.parse(data)
    storage = memory()
    with suppress(BackupError):
        storage.save(envelope.name, data)
        context = KeyContext(dataset="crm", generation=envelope.generation)
        load_secret(storage, MASTER, context, envelope_sha256="")


def _lease(data: bytes) -> None:
    file = LeaseFile.parse(data)
    if file is not None:
        here = this_process("")
        replace(file.owner, boot=here.boot, namespace=here.namespace).is_dead()


def _beside(data: bytes) -> None:
    unseal_beside(data, MASTER, kind="report", dataset="crm", act="a" * 16)


def _beside_seed() -> list[bytes]:
    return [seal_beside(b"page", MASTER, kind="report", dataset="crm", act="a" * 16)]


def _erasure(data: bytes) -> None:
    storage = memory()
    file = seal_beside(data, MASTER, kind="erasure", dataset="crm", act="a" * 16)
    storage.save(f"erasures/{'a' * 16}/{MASTER.master_key_id}.json", file)
    erasure = Erasure(id="a" * 16, at=NOW, erased_at=NOW, digest="0" * 64)
    load_erased(storage, MASTER, erasure, dataset="crm")


def _erasure_seed() -> list[bytes]:
    return [canonical(Erased(paths=("a/*",)).to_json() | {"salt": "00" * 32})]


# --- what lies beside data, and what users write ------------------------------------------------

MARIADB = {
    "format": 1,
    "source": "mariadb",
    "server": "10.11.6-MariaDB",
    "databases": [
        {
            "name": "crm",
            "character_set": "utf8mb4",
            "collation": "utf8mb4_bin",
            "relations": [
                {"name": "a", "kind": "table", "file": "f", "rows": 1, "bytes": 2},
                {"name": "b", "kind": "view"},
            ],
        }
    ],
}
RELATION = {
    "schema": "public",
    "name": "a",
    "rows": "all",
    "file": "data/public.a.copy",
    "columns": ["id"],
    "indexes": [],
    "sequences": [],
    "count": 1,
    "bytes": 2,
}
POSTGRESQL = {
    "format": 1,
    "kind": "postgresql",
    "databases": {
        "crm": {"server_version": 150004, "encoding": "UTF8", "relations": {"public.a": RELATION}}
    },
}
STATE = {
    "format": 1,
    "databases": {
        "d": {
            "token": {
                "system_identifier": "7",
                "timeline": 1,
                "started_at": "x",
                "database_oid": 5,
            },
            "xmin": 1,
            "types": "",
            "durable": True,
            "runs": 0,
        }
    },
}
RANGES = {"filenode": 1, "fingerprint": "", "pages": 1, "rows": [1], "blobs": [0]}


def _metadata(name: str) -> Callable[[bytes], object]:
    return lambda data: metadata_of(Node(b"a", "file", extended_attributes=((name, data),)))


def _written(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """For readers of files: the bytes in a file of that name."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-fuzz-"))

    def parse(data: bytes) -> object:
        (folder / name).write_bytes(data)
        return read(folder)

    return parse


def _shipped(name: str, more: str = "") -> Callable[[], list[bytes]]:
    own = (ROOT / "include/config" / name).read_bytes()
    return lambda: [own, more.encode()] if more else [own]


DATASETS = """
key: {provider: local, connection: m}
signing_key: {connection: s}
vaults: {primary: {url: 's3://backups/v', connection: c, object_lock: compliance}}
datasets:
  crm: {class: critical, owner: a@example.com, source: {type: filesystem, path: /srv/crm}}
  db: {class: important, owner: a@example.com, source: {type: postgresql, connection: p}}
"""
PEOPLE = """
people:
  anna:
    name: Anna Example
    role: operations
    trainings:
      - {course: Restore, date: 2026-03-01, valid_for: 365 days, certified_by: bob, evidence: "42"}
"""
EXPECTATIONS = """
expectations:
  - {expectation: expect_column_values_to_not_be_null, table: public.orders, column: id}
"""

TARGETS: dict[str, Target] = {
    "pack header": Target(seeds=_pack_seed, parse=_pack, text=False),
    "index": Target(seeds=_index_seed, parse=sealed(_index)),
    "tree": Target(seeds=lambda: [encode_tree(NODES)], parse=_tree),
    "snapshot": Target(seeds=one(SNAPSHOT), parse=sealed(_snapshot)),
    "lock": Target(seeds=one(LOCK), parse=sealed(lambda data: decode_lock(KEY, data, what="lock"))),
    "config": Target(seeds=one(CONFIG), parse=sealed(lambda data: open_config(KEY, data))),
    "key file": Target(
        seeds=one(_key_file()), parse=lambda data: open_key_file(data, "password", what="key")
    ),
    "frame": Target(
        seeds=lambda: [compress(b"x" * 300)],
        parse=lambda data: decompress(data, size=1 << 20),
        text=False,
    ),
    "name": Target(
        seeds=lambda: [quote(b'a\n\xff"\\').encode()],
        parse=lambda data: unquote(data.decode("utf-8", "surrogateescape")),
        text=False,
    ),
    "envelope": Target(seeds=lambda: life()["keys"], parse=_envelope),
    "record": Target(seeds=lambda: life()["ledger"], parse=_record),
    "draft": Target(seeds=_draft_seed, parse=_draft),
    "state": Target(
        seeds=lambda: [canonical(state.to_json()) for state in _states()[1:]], parse=_state
    ),
    "lease": Target(seeds=lambda: life()["leases"], parse=_lease),
    "sealed report": Target(seeds=_beside_seed, parse=_beside),
    "erasure": Target(seeds=_erasure_seed, parse=_erasure),
    "manifest of mariadb": Target(seeds=one(MARIADB), parse=decoded),
    "manifest of postgresql": Target(
        seeds=one(POSTGRESQL), parse=lambda data: wanted_of(manifest.decode(data), Rules())
    ),
    "state of postgresql": Target(
        seeds=one(STATE), parse=lambda data: manifest.state_of(manifest.decode(data), "d")
    ),
    "ranges of postgresql": Target(seeds=one(RANGES), parse=manifest.table_state),
    "manifest of s3": Target(
        seeds=one({"kind": "s3", "bucket": "b", "prefix": "p/"}), parse=bucket_and_prefix
    ),
    "headers of s3": Target(
        seeds=one({"ContentType": "a/b", "Metadata": {"k": "v"}}), parse=_metadata(HEADERS)
    ),
    "tags of s3": Target(seeds=one({"a": "b"}), parse=_metadata(TAGS)),
    "policy.yaml": Target(seeds=_shipped("policy.yaml"), parse=parse_policy),
    "datasets.yaml": Target(
        seeds=_shipped("datasets.yaml", DATASETS),
        parse=_written(
            "datasets.yaml", lambda folder: load_datasets(CLASSES, folder / "datasets.yaml")
        ),
    ),
    "people.yaml": Target(
        seeds=_shipped("people.yaml", PEOPLE), parse=_written("people.yaml", load_people)
    ),
    "expectations": Target(
        seeds=lambda: [EXPECTATIONS.encode()],
        parse=_written("crm.yaml", lambda folder: load_expectations(folder, "crm")),
    ),
}
