"""Reading many blobs: grouped by pack, neighbours in one request, in parallel.

Pieces (a blob and where it goes) arrive in the order of the files. They are gathered into windows
of 64 MiB, in which each blob is read once however many files hold it; blobs that lie close together
in a pack are read with one request. A damaged blob is looked for in other packs; if none has it
whole, its pieces are told so, and the others go on.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from include.backup.errors import DamageFound, FileAbsent
from include.backup.format.ids import BlobType, short
from include.backup.repository.repository import Repository, data_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from include.backup.repository.blob_index import Location

READERS: Final = 3
WINDOW_BYTES: Final = 64 << 20
WINDOW_PIECES: Final = 20_000
_REQUEST_BYTES: Final = 8 << 20
_GAP_BYTES: Final = 256 << 10  # reading over it is cheaper than another request
# Below this the interpreter is the limit; see actions/archive.py.
_TINY_BYTES: Final = 16 << 10


class Target(Protocol):
    """What pieces go into. Called from several threads."""

    def write(self, data: bytes, offset: int) -> None:
        """Take one piece."""

    def spoil(self, damage: DamageFound) -> None:
        """Learn that a piece will never come."""


class Piece(NamedTuple):
    """One blob of one file."""

    blob_id: bytes
    target: Target
    offset: int  # in the file, bytes


@dataclass(slots=True)
class _Request:
    """One read: some neighbours in one pack."""

    pack: bytes
    start: int
    end: int
    blobs: list[tuple[bytes, Location]] = field(default_factory=list)


class BlobReader:
    """Reads the data blobs of one repository for many targets."""

    def __init__(self, repository: Repository, *, readers: int = READERS) -> None:
        self._repository = repository
        self._readers = readers
        self._room = threading.Semaphore(2 * readers)
        self._failure: BaseException | None = None

    def read(self, pieces: Iterable[Piece]) -> None:
        """Deliver every piece, in no particular order.

        Raises:
            StorageError, and whatever a target raises on `write`.
        """
        with ThreadPoolExecutor(self._readers, thread_name_prefix="restore") as pool:
            window: dict[bytes, list[Piece]] = {}
            size = count = 0
            for piece in pieces:
                if (known := window.get(piece.blob_id)) is not None:
                    known.append(piece)
                else:
                    places = self._repository.index.locations(BlobType.DATA, piece.blob_id)
                    if not places:
                        what = f"data blob {short(piece.blob_id)} is in no index"
                        piece.target.spoil(DamageFound(what))
                        continue
                    window[piece.blob_id] = [piece]
                    size += places[0].length
                count += 1
                if size >= WINDOW_BYTES or count >= WINDOW_PIECES:
                    self._submit(pool, window, size)
                    window, size, count = {}, 0, 0
            self._submit(pool, window, size)
        if self._failure is not None:
            raise self._failure

    def _submit(
        self, pool: ThreadPoolExecutor, window: dict[bytes, list[Piece]], size: int
    ) -> None:
        inline = size < len(window) * _TINY_BYTES
        for request in _requests(self._repository, window):
            if self._failure is not None:
                raise self._failure
            if inline:
                self._serve(request, window)
            else:
                self._room.acquire()
                pool.submit(self._work, request, window)

    def _work(self, request: _Request, window: dict[bytes, list[Piece]]) -> None:
        try:
            if self._failure is None:
                self._serve(request, window)
        except BaseException as error:  # noqa: BLE001  `read` raises it
            self._failure = self._failure or error
        finally:
            self._room.release()

    def _serve(self, request: _Request, window: dict[bytes, list[Piece]]) -> None:
        for blob_id, place, sealed in _load(self._repository, request):
            try:
                blob = _open(self._repository, blob_id, place, sealed)
            except DamageFound as damage:
                for piece in window[blob_id]:
                    piece.target.spoil(damage)
                continue
            for piece in window[blob_id]:
                piece.target.write(blob, piece.offset)


def load_blobs(repository: Repository, blob_ids: Iterable[bytes]) -> dict[bytes, bytes]:
    """Read some data blobs of the index, neighbours in one request.

    Raises:
        DamageFound: one of them is not what was written.
        StorageError.
    """
    return {
        blob_id: _open(repository, blob_id, place, sealed)
        for request in _requests(repository, dict.fromkeys(blob_ids))
        for blob_id, place, sealed in _load(repository, request)
    }


def _requests(repository: Repository, blob_ids: Iterable[bytes]) -> list[_Request]:
    """Group blobs by pack, and neighbours into requests."""
    places = []
    for blob_id in blob_ids:
        place = repository.index.locations(BlobType.DATA, blob_id)[0]
        places.append((place.pack, place.offset, blob_id, place))
    places.sort(key=lambda row: row[:2])
    requests: list[_Request] = []
    for pack, offset, blob_id, place in places:
        last = requests[-1] if requests else None
        if (
            last is None
            or last.pack != pack
            or offset - last.end > _GAP_BYTES
            or offset + place.length - last.start > _REQUEST_BYTES
        ):
            last = _Request(pack, offset, offset)
            requests.append(last)
        last.end = offset + place.length
        last.blobs.append((blob_id, place))
    return requests


def _load(
    repository: Repository, request: _Request
) -> Iterator[tuple[bytes, Location, memoryview]]:
    try:
        data = memoryview(
            repository.storage.load(
                data_name(request.pack),
                offset=request.start,
                length=request.end - request.start,
            )
        )
    except (DamageFound, FileAbsent):
        data = memoryview(b"")  # the pack is gone or cut: each blob is looked for elsewhere
    for blob_id, place in request.blobs:
        start = place.offset - request.start
        yield blob_id, place, data[start : start + place.length]


def _open(repository: Repository, blob_id: bytes, place: Location, sealed: memoryview) -> bytes:
    try:
        return repository.open_blob(BlobType.DATA, blob_id, place, sealed)
    except DamageFound:  # read again, and from every copy there is
        return repository.load_blob(BlobType.DATA, blob_id)
