"""The content of one large object: ranges fetched in parallel, handed on in their order.

    windows of 8 MiB, as many at a time as all contents of the reading together may hold

Every window is asked for with the entity tag of the listing. One that is refused for it ends the
content, and the object is read again from its beginning as it is then.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from include.backup.errors import EntryUnreadable
from include.backup.sources.base import MOST_TRIES
from include.backup.sources.s3.bucket import Changed, Gone

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from concurrent.futures import Executor, Future
    from threading import Semaphore
    from typing import Any

    from include.backup.format.tree import Node
    from include.backup.sources.s3.bucket import SourceBucket, Stored

WINDOW_BYTES: Final = 8 << 20


class Window:
    """The bytes of a content that are at hand, and the answer that brought them."""

    def __init__(self, body: bytes, answer: Mapping[str, Any]) -> None:
        self.left = memoryview(body)
        self.answer = answer


class ObjectContent:
    """One object while it is read, by one thread.

    Args:
        first: its first window, which holds one permit of `room`.
        room: how many windows may be on their way or at hand, for all contents.
    """

    def __init__(
        self,
        bucket: SourceBucket,
        of: Stored,
        node: Node,
        first: Window,
        pool: Executor,
        room: Semaphore,
    ) -> None:
        self._bucket = bucket
        self._of = of
        self._node = node
        self._window: Window | None = first
        self._pool = pool
        self._room = room
        self._coming: deque[Future[Window]] = deque()
        self._asked = len(first.left)  # where the next window begins
        self._read = 0
        self._ended = False

    def parts(self) -> Iterator[ObjectContent]:
        """See Content.parts."""
        yield self

    def stored(self, blobs: Sequence[bytes], size_bytes: int) -> None:
        """See Content.stored."""

    def readinto(self, buffer: memoryview) -> int:
        """See Part.readinto."""
        self._ask_ahead()
        while self._window is None or not self._window.left:
            self._drop()
            self._ask_ahead(at_least_one=True)
            if self._ended or not self._coming:
                return 0
            try:
                self._window = self._coming.popleft().result()
            except (Changed, Gone):
                self._room.release()
                self._ended = True
            except BaseException:
                self._room.release()
                raise
        count = min(len(buffer), len(self._window.left))
        buffer[:count] = self._window.left[:count]
        self._window.left = self._window.left[count:]
        self._read += count
        return count

    def settle(self, *, last: bool) -> Node | None:
        """See Content.settle."""
        if self._read == self._of.size_bytes:
            return self._node
        if not last:
            return None
        raise changing(self._bucket.url(self._of.key))

    def close(self) -> None:
        """Give back what is at hand and on its way."""
        self._ended = True
        self._drop()
        while self._coming:
            self._coming.popleft().cancel()
            self._room.release()

    def _ask_ahead(self, *, at_least_one: bool = False) -> None:
        """Ask for more windows while there is room; wait for it only if nothing is coming."""
        while not self._ended and self._asked < self._of.size_bytes:
            if not self._room.acquire(blocking=at_least_one and not self._coming):
                return
            offset = self._asked
            length = min(WINDOW_BYTES, self._of.size_bytes - offset)
            self._asked += length
            self._coming.append(self._pool.submit(self._fetch, offset, length))

    def _fetch(self, offset: int, length: int) -> Window:
        return Window(*self._bucket.get(self._of, offset, length))

    def _drop(self) -> None:
        if self._window is not None:
            self._window = None
            self._room.release()


def changing(what: str) -> EntryUnreadable:
    """The error for an object that never held still."""
    return EntryUnreadable(
        f"{what} changed each of the {MOST_TRIES} times it was read",
        hint="let the bucket keep versions: then it is read as it was at one instant",
    )
