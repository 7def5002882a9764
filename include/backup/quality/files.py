"""A directory that was restored, compared with its recovery point: every entry, every byte.

The files are read again from the disk, block by block, and each block is compared with the id that
the recovery point has of it. What a restore has noted as not as it was (an owner that only root may
set) is known, and no fault; content is never excused.
"""

from __future__ import annotations

import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from include.backup.evidence.wording import count
from include.backup.format.times import nanoseconds_of_text
from include.backup.format.tree import Node, NodeType
from include.backup.quality.blocks import first_difference
from include.backup.quality.comparing import Compared
from include.backup.sources.file_nodes import attributes_of, node_of, permissions, shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from include.backup.quality.comparing import Restored

_JOBS: Final = 2
_AHEAD: Final = 64  # files whose comparison has begun
_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


def compare_folder(restored: Restored, folder: bytes) -> Compared:
    """Compare a directory with the recovery point that was restored there.

    Raises:
        DamageFound, StorageError: the recovery point cannot be read.
    """
    comparing = _Comparing(restored, folder)
    comparing.run(restored.tree)
    comparing.found.contents = count(comparing.files, "file")
    return comparing.found


class _Comparing:
    """One directory while it is compared."""

    def __init__(self, restored: Restored, folder: bytes) -> None:
        self._repository = restored.repository
        self._folder = folder
        self._wanted = restored.wanted
        self._alone = restored.alone
        self._excused = restored.excused
        self._progress = restored.progress
        self._owners = os.geteuid() == 0  # only root may have given files away
        self.found = Compared()
        self.files = 0
        self._lock = threading.Lock()

    def run(self, tree: bytes) -> None:
        """Compare all of it."""
        with ThreadPoolExecutor(_JOBS, thread_name_prefix="compare") as pool:
            begun: list[Future[None]] = []
            for path, node in self._entries(tree):
                if not self._compare_entry(path, node) or node.type != NodeType.FILE:
                    continue
                begun.append(pool.submit(self._compare_content, path, node))
                if len(begun) >= _AHEAD:
                    begun.pop(0).result()
            for future in begun:
                future.result()

    def _entries(self, tree: bytes) -> Iterator[tuple[bytes, Node]]:
        """Every entry that is on both sides; what is on one side alone is noted."""
        waiting = [(b"", tree)]
        while waiting:
            folder, subtree = waiting.pop()
            nodes = self._repository.load_tree(subtree)
            there = self._names(folder)
            for name in sorted(there - {node.name for node in nodes}) if self._alone else ():
                self._note(_below(folder, name), "was not in the recovery point")
            for node in nodes:
                path = _below(folder, node.name)
                if not self._wanted(path):
                    if node.subtree is not None:
                        waiting.append((path, node.subtree))
                elif node.name in there:
                    yield path, node
                    if node.subtree is not None:
                        waiting.append((path, node.subtree))
                elif not self._is_excused(path, node):
                    self._note(path, "missing")

    def _names(self, folder: bytes) -> set[bytes]:
        try:
            return set(os.listdir(self._at(folder)))  # noqa: PTH208  bytes
        except OSError as error:
            is_missing = isinstance(error, FileNotFoundError)
            if not is_missing or not folder or self._wanted(folder):
                self._note(folder, f"cannot be listed: {error.strerror}")
            return set()  # of a directory that is not wanted nothing has to be there

    def _compare_entry(self, path: bytes, node: Node) -> bool:
        """Compare what is said of an entry; return whether it is of the same type and size."""
        place = self._at(path)
        try:
            status = os.lstat(place)
            target = os.readlink(place) if stat.S_ISLNK(status.st_mode) else b""  # noqa: PTH115
            attributes = attributes_of(place) if node.extended_attributes else ()
        except OSError as error:
            self._note(path, f"cannot be read: {error.strerror}")
            return False
        here = node_of(node.name, status, linktarget=target)
        if here.type != node.type and self._is_excused(path, node):
            return False
        if here.type != node.type:
            self._note(path, f"is a {here.type}, and was a {node.type}")
            return False
        if here.type == NodeType.FILE and here.size != node.size:
            self._note(path, f"has {here.size:,} bytes, and had {node.size:,}")
            return False
        if here.linktarget != node.linktarget:
            self._note(path, f"points to {shown(target)}, and did to {shown(node.linktarget)}")
        if shown(path) not in self._excused:
            for what in self._differences(here._replace(extended_attributes=attributes), node):
                self._note(path, what)
        return True

    def _is_excused(self, path: bytes, node: Node) -> bool:
        """Whether an entry need not be there: a socket, and what the restore could not make."""
        if node.type == NodeType.FILE:
            return False
        return node.type == NodeType.SOCKET or shown(path) in self._excused

    def _differences(self, here: Node, node: Node) -> Iterator[str]:
        is_link = node.type == NodeType.SYMLINK
        if not is_link and here.mode != node.mode:
            yield f"has mode {permissions(here.mode):04o}, and had {permissions(node.mode):04o}"
        if nanoseconds_of_text(here.mtime) != nanoseconds_of_text(node.mtime):
            yield f"is of {here.mtime}, and was of {node.mtime}"
        if self._owners and (here.uid, here.gid) != (node.uid, node.gid):
            yield f"belongs to {here.uid}:{here.gid}, and did to {node.uid}:{node.gid}"
        if here.device != node.device:
            yield "is another device"
        lacking = set(node.extended_attributes) - set(here.extended_attributes)
        if lacking:
            yield f"lacks attributes: {', '.join(sorted(name for name, _ in lacking))}"

    def _compare_content(self, path: bytes, node: Node) -> None:
        try:
            with os.fdopen(os.open(self._at(path), _FLAGS), "rb", buffering=0) as file:
                offset = first_difference(
                    self._repository, node.content or (), file.readinto, progress=self._count
                )
        except PermissionError as error:  # of its own mode, as it was backed up
            self.found.faults.add(path, f"not compared: {error.strerror}")
            return
        except OSError as error:
            self._note(path, f"cannot be read: {error.strerror}")
            return
        if offset is not None:
            self._note(path, f"other content from byte {offset:,} on")
            return
        with self._lock:
            self.files += 1

    def _count(self, size_bytes: int) -> None:
        self._progress.add(bytes_done=size_bytes)
        with self._lock:
            self.found.size_bytes += size_bytes

    def _at(self, path: bytes) -> bytes:
        return self._folder + b"/" + path if path else self._folder

    def _note(self, path: bytes, what: str) -> None:
        self.found.fault(path, what)


def _below(folder: bytes, name: bytes) -> bytes:
    return folder + b"/" + name if folder else name
