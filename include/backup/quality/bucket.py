"""Objects that were restored, compared with their recovery point: every key, byte, header and tag.

The objects are read again from the store, as a backup would, and compared block by block with the
ids of the recovery point. What a restore has noted as not as it was (a storage class that this
store has not) is known, and no fault; content is never excused.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from include.backup.errors import RestoreRefused, SourceError
from include.backup.evidence.wording import count
from include.backup.format.tree import Node, NodeType
from include.backup.quality.blocks import first_difference
from include.backup.quality.comparing import Compared
from include.backup.sources.s3.metadata import metadata_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from include.backup.quality.comparing import Restored
    from include.backup.sources.s3.reading import S3Reading
    from include.backup.sources.s3.source import S3Source

_JOBS: Final = 8
_AHEAD: Final = 64  # objects whose comparison has begun


def compare_bucket(restored: Restored, source: S3Source) -> Compared:
    """Compare a prefix with the recovery point that was restored there.

    Raises:
        DamageFound, StorageError: the recovery point cannot be read.
        RestoreRefused: the store cannot be asked.
    """
    try:
        with source.read(now=restored.now, parent=None) as reading:
            comparing = _Comparing(restored, reading)
            comparing.run()
    except SourceError as error:
        raise RestoreRefused(error.message, hint=error.hint) from None
    comparing.found.contents = count(comparing.objects, "object")
    return comparing.found


class _Comparing:
    """One prefix while it is compared."""

    def __init__(self, restored: Restored, reading: S3Reading) -> None:
        self._restored = restored
        self._reading = reading
        self._excused = restored.excused
        self._lock = threading.Lock()
        self.found = Compared()
        self.objects = 0

    def run(self) -> None:
        with ThreadPoolExecutor(_JOBS, thread_name_prefix="compare") as pool:
            begun: list[Future[None]] = []
            for path, node, here in self._pairs():
                begun.append(pool.submit(self._compare, path, node, here))
                if len(begun) >= _AHEAD:
                    begun.pop(0).result()
            for future in begun:
                future.result()

    def _pairs(self) -> Iterator[tuple[bytes, Node, Node]]:
        """Every object that is on both sides; what is on one side alone is noted."""
        waiting = [(b"", self._restored.tree)]
        while waiting:
            folder, subtree = waiting.pop()
            there = {node.name: node for node in self._reading.list(folder)}
            for node in self._restored.repository.load_tree(subtree):
                path = folder + b"/" + node.name if folder else node.name
                here = there.pop(node.name, None)
                if not self._restored.wanted(path):
                    if node.subtree is not None:
                        waiting.append((path, node.subtree))
                elif here is None:
                    self.found.fault(path, "missing")
                elif node.subtree is not None:
                    waiting.append((path, node.subtree))
                elif node.type == NodeType.FILE:
                    yield path, node, here
            for name in sorted(there) if self._restored.alone else ():
                path = folder + b"/" + name if folder else name
                self.found.fault(path, "was not in the recovery point")

    def _compare(self, path: bytes, node: Node, here: Node) -> None:
        if here.size != node.size:
            self.found.fault(path, f"has {here.size:,} bytes, and had {node.size:,}")
            return
        small = self._reading.read_small(path, here)
        if small is None:
            self.found.fault(path, "is gone")
            return
        complete: Node | None
        complete, data = small
        if data is None:
            with self._reading.open(path, here, None) as content:
                if content is None:
                    self.found.fault(path, "is gone")
                    return
                [part] = content.parts()
                offset = self._first_difference(node, part.readinto)
                complete = None if offset is not None else content.settle(last=True)
        else:
            offset = self._first_difference(node, _readinto(data))
        if offset is not None:
            self.found.fault(path, f"other content from byte {offset:,} on")
        if complete is None or path.decode() in self._excused:
            pass
        elif metadata_of(complete) != metadata_of(node):
            self.found.fault(path, "other headers, metadata or tags")
        with self._lock:
            self.objects += 1
            self.found.size_bytes += node.size

    def _first_difference(self, node: Node, readinto: Callable[[memoryview], int]) -> int | None:
        return first_difference(
            self._restored.repository,
            node.content or (),
            readinto,
            progress=lambda size: self._restored.progress.add(bytes_done=size),
        )


def _readinto(data: bytes) -> Callable[[memoryview], int]:
    left = memoryview(data)

    def readinto(target: memoryview) -> int:
        nonlocal left
        count = min(len(left), len(target))
        target[:count] = left[:count]
        left = left[count:]
        return count

    return readinto
