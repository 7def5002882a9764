"""Where the time of a first full goes at best: each primitive alone, on one core, on the corpus.

Their sum is the limit for a program that does nothing else and nothing twice. "Open again" is
the price of noticing memory faults: every sealed blob is unsealed, decompressed and hashed once
more before it reaches the vault.

python -m benchmarks.primitives CORPUS FOLDER     writes into FOLDER; prints seconds as JSON
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.measure import BenchmarkFailedError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parents[1]
SMALL_BYTES: Final = 64 << 10
BATCH: Final = 256
POLYNOMIAL: Final = 0x3DA3358B4DC173


def cpu_seconds(corpus: Path, work: Path) -> dict[str, float]:
    """Processor seconds by primitive, measured in a process of its own.

    Raises:
        BenchmarkFailedError: it ended with an error.
    """
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.primitives", str(corpus), str(work)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchmarkFailedError(done.stderr)
    return {str(name): float(seconds) for name, seconds in json.loads(done.stdout).items()}


class _Bench:
    """Does to files what a backup does, one primitive at a time."""

    def __init__(self, work: Path) -> None:
        from include.backup.format import chunker, compression, crypto  # noqa: PLC0415  numpy

        self._cutter = chunker.Chunker(POLYNOMIAL)
        self._compress, self._decompress = compression.compress, compression.decompress
        self._crypto = crypto
        self._key = crypto.MasterKey.generate()
        self._work = work
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        started = time.thread_time()
        try:
            yield
        finally:
            self.seconds[name] += time.thread_time() - started

    def read(self, path: Path) -> bytes:
        with self._timed("read"):
            return path.read_bytes()

    def cut(self, data: bytes) -> list[bytes]:
        view = memoryview(data)
        with self._timed("chunk"):
            cuts = self._cutter.cut(view, final=True)
        return [data[start : start + length] for start, length in cuts]

    def digest(self, blobs: list[bytes]) -> None:
        with self._timed("SHA-256 of blobs"):
            for blob in blobs:
                hashlib.sha256(blob).digest()

    def pack(self, blobs: list[bytes], *, together: bool) -> None:
        crypto, key = self._crypto, self._key
        with self._timed("compress"):
            frames = [self._compress(blob) for blob in blobs]
        payloads = [min(frame, blob, key=len) for frame, blob in zip(frames, blobs, strict=True)]
        with self._timed("seal"):
            if together:
                sealed = crypto.seal_many(key, payloads)
            else:
                sealed = [crypto.seal(key, payload) for payload in payloads]
        with self._timed("open again"):
            if together:
                opened = crypto.unseal_many(key, sealed)
            else:
                opened = [crypto.unseal(key, one) for one in sealed]
            for payload, blob in zip(opened, blobs, strict=True):
                compressed = len(payload) < len(blob)
                hashlib.sha256(self._decompress(payload) if compressed else payload).digest()
        self._store(b"".join(sealed))

    def _store(self, pack: bytes) -> None:
        with self._timed("SHA-256 of packs"):
            hashlib.sha256(pack).digest()
        with tempfile.TemporaryFile(dir=self._work) as file, self._timed("write"):
            file.write(pack)


def main() -> None:
    """Measure and print."""
    corpus, work = map(Path, sys.argv[1:])
    bench = _Bench(work)
    small: list[bytes] = []
    for path in sorted(path for path in corpus.rglob("*") if path.is_file()):
        data = bench.read(path)
        if len(data) <= SMALL_BYTES:
            small.append(data)
            continue
        blobs = bench.cut(data)
        bench.digest(blobs)
        bench.pack(blobs, together=False)
    for start in range(0, len(small), BATCH):
        batch = small[start : start + BATCH]
        bench.digest(batch)
        bench.pack(batch, together=True)
    print(json.dumps(bench.seconds))


if __name__ == "__main__":
    main()
