"""Content-defined chunks: where to cut a stream so that equal parts give equal blobs.

FastCDC 2020 with a table seeded by the repository's polynomial. A cut depends on the bytes since
the cut before it and on nothing else, so an insertion moves the cuts near it and no others. Any
cutting can be read by stock restic; only restic's own backups do not share our blobs.

Source: W. Xia et al., "The Design of Fast Content-Defined Chunking for Data Deduplication Based
Storage Systems", IEEE TPDS 2020; pyfastcdc, whose cuts equal those of fastcdc-rs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from include.backup.errors import ToolMissing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MIN_BYTES = 512 << 10
AVERAGE_BYTES = 1 << 20
MAX_BYTES = 4 << 20
_NORMALIZATION: Final = 1


class Chunker:
    """Cuts streams for one repository. Not to be shared between threads."""

    def __init__(self, polynomial: int) -> None:
        require_compiled_chunker()
        import pyfastcdc  # noqa: PLC0415  heavy enough to wait until something is cut

        self._cutter = pyfastcdc.FastCDC(
            AVERAGE_BYTES,
            min_size=MIN_BYTES,
            max_size=MAX_BYTES,
            normalized_chunking=_NORMALIZATION,
            seed=polynomial,
        )

    def cut(self, buffer: memoryview, *, final: bool) -> list[tuple[int, int]]:
        """(offset, length) of each whole chunk at the beginning of `buffer`, in bytes.

        Unless `final`, what follows the last cut is left out: the next bytes decide on it.
        """
        pieces = [(chunk.offset, chunk.length) for chunk in self._cutter.cut_buf(buffer)]
        if pieces and not final and pieces[-1][1] < MAX_BYTES:
            pieces.pop()
        return pieces


def chunks(pieces: Iterable[bytes], polynomial: int) -> Iterator[bytes]:
    """Cut a stream given in arbitrary pieces. For streams small enough to be joined in memory."""
    chunker = Chunker(polynomial)
    rest = b""
    for piece in pieces:
        rest += piece
        if len(rest) > 2 * MAX_BYTES:
            end = 0
            for start, length in chunker.cut(memoryview(rest), final=False):
                yield rest[start : start + length]
                end = start + length
            rest = rest[end:]
    for start, length in chunker.cut(memoryview(rest), final=True):
        yield rest[start : start + length]


def require_compiled_chunker() -> None:
    """Refuse pyfastcdc's pure-Python fallback, which is 200 times slower.

    Raises:
        ToolMissing: with how to get the compiled one.
    """
    import pyfastcdc  # noqa: PLC0415  see above

    module = pyfastcdc.FastCDC.__module__
    if ".cy" not in module:
        raise ToolMissing(
            f"pyfastcdc runs without its compiled core ({module})",
            hint="install a C compiler and the Python headers, then "
            "PYFASTCDC_REQUIRE_CYTHON=1 pip install --force-reinstall --no-cache-dir pyfastcdc",
        )
