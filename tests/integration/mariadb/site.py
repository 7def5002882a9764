"""An installation whose dataset is a database, and what a recovery point holds of it."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from include.backup.format.ids import BlobType
from include.backup.policy.source_model import MariadbSettings
from include.backup.sources.mariadb.source import MariadbSource
from include.backup.sources.mariadb.target import MariadbTarget
from include.backup.sources.mariadb.window import Patience
from tests.interop.archives import Archives

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from include.backup.actions.outcome import Outcome
    from include.backup.actions.setting import Setting
    from include.backup.format.tree import Node
    from include.backup.repository.repository import Repository
    from include.backup.sources.base import PutBack
    from include.backup.sources.connection import Connection
    from include.backup.sources.mariadb.reading import MariadbReading
    from include.backup.storage.base import Storage
    from tests.servers.mariadb import Mariadb

HURRIED = Patience(seconds=1, tries=2, pause_seconds=0.1)


class MariadbSite(Archives):
    """The dataset `crm` is databases of a server."""

    def __init__(self, folder: Path, server: Mariadb, *databases: str) -> None:
        super().__init__(folder)
        self.server = server
        self.database = databases[0]
        self.connection = server.connection(databases[0])
        self.settings = MariadbSettings(connection="shop", databases=databases)

    def setting(self, storage: Storage | None = None) -> Setting:
        """See Site."""
        made = super().setting(storage)
        dataset = replace(made.datasets.good["crm"], source=self.settings)
        datasets = replace(made.datasets, good={"crm": dataset})
        known = made.connection
        return replace(
            made,
            datasets=datasets,
            connection=lambda name: self.connection if name == "shop" else known(name),
        )

    def source(self, **changes: Any) -> MariadbSource:
        """What reads the dataset, in a hurry."""
        values: dict[str, Any] = {
            "name": "shop",
            "connection": self.connection,
            "databases": self.settings.databases,
            "patience": HURRIED,
        }
        return MariadbSource(**{**values, **changes})

    def stored(self, outcome: Outcome) -> Stored:
        """What a recovery point holds."""
        return Stored(self.repository(outcome), self.tree(outcome))

    def put_back(self, outcome: Outcome, database: str = "", **options: Any) -> PutBack:
        """Restore a recovery point into the same server, under another name."""
        options = {"connection": self.server.connection(), **options}
        target = MariadbTarget(options.pop("connection"), database=database, **options)
        target.prepare()
        return target.put(self.stored(outcome), lambda _: None)


class Stored:
    """A recovery point as a restore reads it; see sources.base.StoredFiles."""

    def __init__(self, repository: Repository, tree: bytes, name: bytes = b"crm") -> None:
        self._repository = repository
        self._tree = tree
        self._name = name

    def _nodes(self, path: bytes) -> list[Node]:
        nodes = self._repository.load_tree(self._tree)
        for part in path.split(b"/"):
            [found] = [node for node in nodes if node.name == part]
            assert found.subtree is not None
            nodes = self._repository.load_tree(found.subtree)
        return nodes

    def list(self, path: bytes) -> list[Node]:
        """See StoredFiles."""
        return self._nodes(self._name + (b"/" + path if path else b""))

    def find(self, path: bytes) -> Node | None:
        """See StoredFiles."""
        return self._at(self._name + b"/" + path)

    def _at(self, path: bytes) -> Node | None:
        folder, _, name = path.rpartition(b"/")
        return next((node for node in self._nodes(folder) if node.name == name), None)

    def load(self, path: bytes) -> bytes:
        """See StoredFiles."""
        return b"".join(self.stream(path))

    def stream(self, path: bytes) -> Iterator[bytes]:
        """See StoredFiles."""
        node = self.find(path)
        assert node is not None, path
        return self._blobs(node)

    def about(self, name: str) -> bytes | None:
        """See StoredFiles."""
        node = self._at(b".holdfast/" + name.encode())
        return None if node is None else b"".join(self._blobs(node))

    def manifest(self) -> dict[str, Any]:
        """What the recovery point says of itself."""
        found: dict[str, Any] = json.loads(self.about("manifest.json") or b"")
        return found

    def _blobs(self, node: Node) -> Iterator[bytes]:
        for blob in node.content or ():
            yield self._repository.load_blob(BlobType.DATA, blob)


def relations(stored: Stored, database: str) -> dict[str, dict[str, Any]]:
    """The relations of one database, by name, as the manifest has them."""
    [found] = [one for one in stored.manifest()["databases"] if one["name"] == database]
    return {one["name"]: one for one in found["relations"]}


@contextmanager
def reading_of(source: MariadbSource) -> Iterator[MariadbReading]:
    """One pass, now."""
    with source.read(now=datetime.now(UTC), parent=None) as reading:
        yield reading


def read_all(reading: MariadbReading) -> dict[str, bytes]:
    """Every file of a dataset by its path, read one after the other; and those about it."""
    found: dict[str, bytes] = {}
    waiting = [b""]
    while waiting:
        folder = waiting.pop()
        for node in reading.list(folder):
            path = folder + b"/" + node.name if folder else node.name
            if node.type == "dir":
                waiting.append(path)
            else:
                found[path.decode()] = read_one(reading, path, node)
    return found | {f".holdfast/{name}": data for name, data in reading.about().items()}


def read_one(reading: MariadbReading, path: bytes, node: Node) -> bytes:
    """The content of one file."""
    if node.size <= 512 << 10:
        read = reading.read_small(path, node)
        assert read is not None
        if read[1] is not None:
            return read[1]
    data, buffer = bytearray(), memoryview(bytearray(100_000))
    with reading.open(path, node, None) as content:
        for part in content.parts():
            while count := part.readinto(buffer):
                data += buffer[:count]
        content.settle(last=True)
    return bytes(data)


def connection_of(server: Mariadb, user: str, password: str, **changes: Any) -> Connection:
    """A connection of another account."""
    return server.connection(login=user, password=password, **changes)
