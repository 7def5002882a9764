"""A campaign: one parser after the other, guided by the code that its inputs reach.

    python -m tests.fuzz [--seconds 60] [--seed N] [TARGET …]

The seed is printed; with it, and the same time, a campaign is much the same again. What is found
lies in the folder that is named then, and the input as bytes of Python stands in what is printed.
Each target runs in a process of its own, for a fault in C ends it. Nothing is kept of the inputs
that reached new code: they are found again in seconds.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from tests.damage.tally import LOST, tell

LONGEST_BYTES = 1 << 14
LONGEST_SECONDS = 10  # for one input: more is a fault
MOST_MIB = 2048  # of memory: more is a fault


def main() -> int:
    """Run the targets that are named, else all; exit 1 if one of them found a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1 << 31))
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("target", nargs="*")
    options = parser.parse_args()
    if options.inside:
        return _fuzz(options.target[0], options.seconds, options.seed)
    from tests.fuzz.targets import TARGETS  # noqa: PLC0415  not instrumented here

    failed = []
    for name in options.target or TARGETS:
        given = [name, "--inside", "--seconds", str(options.seconds), "--seed", str(options.seed)]
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzz", *given],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        runs = sum(map(int, re.findall(r"^Done (\d+) runs", done.stderr, flags=re.MULTILINE)))
        print(f"{name}: seed {options.seed}, {options.seconds} s", end="")
        tell(f"parser: {name}", {"inputs": runs} | ({LOST: 1} if done.returncode else {}))
        if done.returncode:
            failed.append(name)
            print(done.stdout[-4000:], done.stderr[-6000:], sep="\n", flush=True)
    print(f"faults in: {', '.join(failed)}" if failed else "no faults")
    return 1 if failed else 0


def _fuzz(name: str, seconds: int, seed: int) -> int:
    import atheris  # noqa: PLC0415  only here, and only where there is a wheel of it

    with atheris.instrument_imports(include=["include.backup", "json", "yaml"]):
        from include.backup.errors import BackupError  # noqa: PLC0415
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415

    target = TARGETS[name]
    with tempfile.TemporaryDirectory(prefix="holdfast-corpus-") as corpus:
        for number, one in enumerate(target.seeds()):
            (Path(corpus) / str(number)).write_bytes(one)

        def parse(data: bytes) -> None:
            with suppress(BackupError):
                target.parse(data)

        found = tempfile.mkdtemp(prefix="holdfast-found-")
        arguments = [
            f"-max_total_time={seconds}",
            f"-seed={seed or 1}",
            f"-max_len={LONGEST_BYTES}",
            f"-timeout={LONGEST_SECONDS}",
            f"-rss_limit_mb={MOST_MIB}",
            f"-artifact_prefix={found}/",
            "-print_final_stats=1",
        ]
        atheris.Setup([sys.argv[0], *arguments, corpus], parse)
        atheris.Fuzz()
    with suppress(OSError):
        os.rmdir(found)  # noqa: PTH106  only if it is empty
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
