"""An installation whose dataset is a database, and what a recovery point holds of it."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from include.backup.policy.source_model import MariadbSettings
from include.backup.sources.mariadb.address import address_of
from include.backup.sources.mariadb.source import MariadbSource
from include.backup.sources.mariadb.target import MariadbTarget
from include.backup.sources.mariadb.window import Patience
from tests.interop.archives import Archives

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from include.backup.actions.outcome import Outcome
    from include.backup.actions.put_back import PointFiles
    from include.backup.actions.setting import Setting
    from include.backup.format.tree import Node
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
        self.connections: dict[str, Connection] = {}  # others, by name
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
            connection=lambda name: (
                self.connection if name == "shop" else self.connections.get(name) or known(name)
            ),
        )

    def source(self, **changes: Any) -> MariadbSource:
        """What reads the dataset, in a hurry."""
        values: dict[str, Any] = {
            "address": address_of("shop", self.connection),
            "databases": self.settings.databases,
            "patience": HURRIED,
        }
        return MariadbSource(**{**values, **changes})

    def put_back(self, outcome: Outcome, database: str = "", **options: Any) -> PutBack:
        """Restore a recovery point into the same server, under another name."""
        options = {"connection": self.server.connection(), **options}
        address = address_of("target", options.pop("connection"))
        target = MariadbTarget(address, database=database, **options)
        target.prepare()
        return target.put(self.stored(outcome), lambda _: None)


def manifest(stored: PointFiles) -> dict[str, Any]:
    """What a recovery point says of itself."""
    found: dict[str, Any] = json.loads(stored.about("manifest.json") or b"")
    return found


def relations(stored: PointFiles, database: str) -> dict[str, dict[str, Any]]:
    """The relations of one database, by name, as the manifest has them."""
    [found] = [one for one in manifest(stored)["databases"] if one["name"] == database]
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
