"""Cutting streams into chunks and storing them; a buffer and a chunker for each thread."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from include.backup.errors import DamageFound
from include.backup.format.chunker import MAX_BYTES, Chunker
from include.backup.format.ids import BlobType, short
from include.backup.sources.base import Reused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from include.backup.repository.progress import Progress
    from include.backup.repository.repository import Repository
    from include.backup.repository.writer import WriteSession
    from include.backup.sources.base import Content, Part

_BUFFER_BYTES: Final = 2 * MAX_BYTES


@dataclass(slots=True)
class Cut:
    """What became of a content."""

    blobs: list[bytes] = field(default_factory=list)  # their ids, in order
    size_bytes: int = 0
    reused_bytes: int = 0  # of these, taken over from the parent without reading


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
        self._index = repository.index
        self._polynomial = repository.config.chunker_polynomial
        self._session = session
        self._progress = progress
        self._go_on = go_on
        self._tools = threading.local()

    def store(self, content: Content) -> Cut:
        """Read a content to its end, and store it.

        Raises:
            DamageFound: a part is said to be in the repository, and is not.
            what the content, the session and `go_on` raise.
        """
        cut = Cut()
        for part in content.parts():
            if isinstance(part, Reused):
                self._go_on()
                blobs, length = list(part.blobs), self._size_of(part.blobs)
                cut.reused_bytes += length
            else:
                blobs, length = self._cut(part)
            content.stored(blobs, length)
            cut.blobs += blobs
            cut.size_bytes += length
        return cut

    def _size_of(self, blobs: Sequence[bytes]) -> int:
        size = 0
        for blob_id in blobs:
            place = next(iter(self._index.locations(BlobType.DATA, blob_id)), None)
            if place is None:
                raise DamageFound(f"data blob {short(blob_id)} of the parent is in no index")
            size += place.plaintext_bytes
        self._progress.add(bytes_done=size)
        return size

    def _cut(self, part: Part) -> tuple[list[bytes], int]:
        """The blobs of one part, and its size."""
        buffer, chunker = self._buffer_and_chunker()
        ids: list[bytes] = []
        held = size = 0
        final = False
        while not final:
            self._go_on()
            while held < len(buffer):
                count = part.readinto(buffer[held:])
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
