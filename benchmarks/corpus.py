"""The corpora that the benchmarks read, made from a seed: the same bytes on every machine.

mixed/random/*.bin   512 MiB in 4 files that no compressor can shrink
mixed/csv/*.csv      512 MiB in 4 files of order lines, as an export of a shop would hold them
mixed/json/*/*.json  10,000 files of 200 to 2,000 bytes
tiny/*/record-*      1,000,000 files of 100 bytes
huge/huge.bin        one file of 10 GiB, half of it compressible

python -m benchmarks.corpus FOLDER mixed SCALE | tiny COUNT | huge BYTES     prints the folder
"""

from __future__ import annotations

import json
import random
import sys
from datetime import date, timedelta
from pathlib import Path

MIB = 1 << 20
CITIES = ("Amsterdam", "Bergen", "Córdoba", "Dresden", "Évora", "Firenze", "Gdańsk", "Hobart")
STATES = ("paid", "shipped", "returned", "cancelled", "open")


def make_mixed(root: Path, *, scale: float = 1.0) -> Path:
    """Write the mixed corpus below `root` unless it stands there already; return its folder.

    `scale` shrinks every part, for trying the benchmark itself.
    """
    done = root / f"mixed-{scale:g}"
    if done.exists():
        return done
    unfinished = done.with_suffix(".part")
    for number in range(4):
        _random_file(unfinished / "random" / f"{number}.bin", int(128 * MIB * scale), seed=number)
        _csv_file(unfinished / "csv" / f"orders-{number}.csv", int(128 * MIB * scale), seed=number)
    _json_files(unfinished / "json", int(10_000 * scale))
    unfinished.rename(done)
    return done


def change_one_percent(corpus: Path, *, seed: int) -> None:
    """Overwrite 1 % of each large file in one place, append to it, and rewrite 1 % of the small."""
    dice = random.Random(seed)
    for path in sorted([*corpus.glob("random/*"), *corpus.glob("csv/*")]):
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.seek(dice.randrange(size - size // 100))
            file.write(dice.randbytes(size // 200))
            file.seek(0, 2)
            file.write(dice.randbytes(size // 200))
    small = sorted(corpus.glob("json/*/*"))
    for path in dice.sample(small, len(small) // 100):
        path.write_text(json.dumps({"changed": dice.random(), "seed": seed}))


def make_tiny(root: Path, count: int) -> Path:
    """Write `count` files of 100 bytes, 1,000 to a folder, unless they stand there already."""
    done = root / f"tiny-{count}"
    if done.exists():
        return done
    unfinished = done.with_suffix(".part")
    dice = random.Random(count)
    for number in range(count):
        folder = unfinished / f"{number // 1000:04d}"
        if number % 1000 == 0:
            folder.mkdir(parents=True, exist_ok=True)
        (folder / f"record-{number:07d}").write_bytes(dice.randbytes(100))
    unfinished.rename(done)
    return done


def make_huge(root: Path, size_bytes: int) -> Path:
    """Write one file of `size_bytes`, half of it compressible, unless it stands there already."""
    done = root / f"huge-{size_bytes}"
    if done.exists():
        return done
    unfinished = done.with_suffix(".part")
    unfinished.mkdir(parents=True, exist_ok=True)
    dice = random.Random(size_bytes)
    with (unfinished / "huge.bin").open("wb") as file:
        while file.tell() < size_bytes:
            noise = dice.randbytes(MIB // 2)
            file.write(noise + noise.hex().encode()[: MIB // 2])
        file.truncate(size_bytes)
    unfinished.rename(done)
    return done


def _random_file(path: Path, size_bytes: int, *, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    dice = random.Random(f"random {seed}")
    with path.open("wb") as file:
        for start in range(0, size_bytes, MIB):
            file.write(dice.randbytes(min(MIB, size_bytes - start)))


def _csv_file(path: Path, size_bytes: int, *, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    dice = random.Random(f"csv {seed}")
    days = [str(date(2025, 1, 1) + timedelta(days=day)) for day in range(730)]
    with path.open("w", newline="") as file:
        file.write("order,customer,city,day,quantity,price,state,note\n")
        order = seed * 10_000_000
        while file.tell() < size_bytes:
            lines = []
            for _ in range(10_000):
                order += 1
                bits = dice.getrandbits(64)
                lines.append(
                    f"{order},C{bits % 300_000:06d},{CITIES[bits >> 20 & 7]},"
                    f"{days[(bits >> 23) % 730]},{bits >> 33 & 15},"
                    f"{(bits >> 37) % 100_000 / 100:.2f},{STATES[(bits >> 54) % 5]},"
                    f"{'gift wrap' if bits >> 60 == 0 else ''}\n"
                )
            file.write("".join(lines))
        file.truncate(size_bytes)


def _json_files(folder: Path, count: int) -> None:
    dice = random.Random("json")
    for number in range(count):
        path = folder / f"{number // 500:03d}" / f"event-{number:06d}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        event = {
            "id": f"{dice.getrandbits(64):016x}",
            "customer": f"C{dice.randrange(300_000):06d}",
            "city": dice.choice(CITIES),
            "items": [
                {"sku": dice.randrange(50_000), "price": dice.randrange(10_000) / 100}
                for _ in range(dice.randrange(4, 45))
            ],
        }
        path.write_text(json.dumps(event))


def main() -> None:
    """Make one corpus in a process of its own: its memory must not count as that of others."""
    folder, kind, size = sys.argv[1:]
    root = Path(folder)
    match kind:
        case "mixed":
            print(make_mixed(root, scale=float(size)))
        case "tiny":
            print(make_tiny(root, int(size)))
        case "huge":
            print(make_huge(root, int(size)))
        case _:
            raise SystemExit(f"there is no corpus {kind!r}")


if __name__ == "__main__":
    main()
