"""Cutting one stream into chunks and storing them; a buffer and a chunker for each thread."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from include.backup.format.chunker import MAX_BYTES, Chunker
from include.backup.format.ids import BlobType

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.backup.repository.progress import Progress
    from include.backup.repository.repository import Repository
    from include.backup.repository.writer import WriteSession
    from include.backup.sources.base import Content

_BUFFER_BYTES: Final = 2 * MAX_BYTES


class Cutter:
    """Stores streams of any length in memory for one buffer. Safe to use from several threads.

    Args:
        go_on: called before each buffer; raises when this run must stop.
    """

    def __init__(
        self,
        repository: Repository,
        session: WriteSession,
        *,
        progress: Progress,
        go_on: Callable[[], None],
    ) -> None:
        self._polynomial = repository.config.chunker_polynomial
        self._session = session
        self._progress = progress
        self._go_on = go_on
        self._tools = threading.local()

    def cut(self, content: Content) -> tuple[list[bytes], int]:
        """Read a stream to its end; return its blobs, in order, and its size in bytes.

        Raises:
            what the content, the session and `go_on` raise.
        """
        buffer, chunker = self._buffer_and_chunker()
        ids: list[bytes] = []
        held = size = 0
        final = False
        while not final:
            self._go_on()
            while held < len(buffer):
                count = content.readinto(buffer[held:])
                if not count:
                    final = True
                    break
                held += count
                size += count
            end = 0
            for start, length in chunker.cut(buffer[:held], final=final):
                ids.append(self._session.add_blob(BlobType.DATA, buffer[start : start + length]))
                end = start + length
                self._progress.add(bytes_done=length)
            rest = held - end
            buffer[:rest] = bytes(buffer[end:held])
            held = rest
        return ids, size

    def _buffer_and_chunker(self) -> tuple[memoryview, Chunker]:
        made: tuple[memoryview, Chunker] | None = getattr(self._tools, "made", None)
        if made is None:
            buffer = memoryview(bytearray(_BUFFER_BYTES))
            made = self._tools.made = (buffer, Chunker(self._polynomial))
        return made
