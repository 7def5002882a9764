"""``make bench``: run the sections, print the report, keep it in build/.

Exit codes: 0 measured; 1 a program failed, or with --gate a promise was missed; 2 wrong use.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.measure import BenchmarkFailedError
from benchmarks.programs import on_path
from benchmarks.report import Section, gate_table
from benchmarks.sections import SECTIONS, USUAL, Bench

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT: Final = Path(__file__).resolve().parents[1]
FOLDER_VARIABLE: Final = "BENCH_DIR"


def main() -> int:
    """Run what was asked for."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was made is removed
    corpora = Path(os.environ.get(FOLDER_VARIABLE) or ROOT / ".cache" / "bench").absolute()
    corpora.mkdir(parents=True, exist_ok=True)
    try:
        head = _head(options.scale)
        with tempfile.TemporaryDirectory(prefix="work-", dir=corpora) as work:
            bench = Bench(
                corpora=corpora, work=Path(work), scale=options.scale, rounds=options.rounds
            )
            sections = [SECTIONS[name](bench) for name in options.section]
    except BenchmarkFailedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    report = "\n".join([*head, *_body(sections)])
    print(report)
    kept = ROOT / "build" / f"bench-{time.strftime('%Y-%m-%d-%H%M', time.gmtime())}.md"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(f"{report}\n", encoding="utf-8")
    missed = [gate for section in sections for gate in section.gates if not gate.kept]
    return 1 if options.gate and missed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Our command line beside the restic and borg on PATH, in turn, in one run.",
        epilog=f"Corpora are kept in ./.cache/bench, or where {FOLDER_VARIABLE} says.",
    )
    parser.add_argument(
        "--section",
        action="extend",
        nargs="+",
        choices=[*SECTIONS, "all"],
        help=f"which parts; {' '.join(USUAL)} if left out. tiny and huge take long",
    )
    parser.add_argument("--rounds", type=int, default=3, help="after a warm-up; 3")
    parser.add_argument("--scale", type=float, default=1.0, help="to try the benchmark itself")
    parser.add_argument("--gate", action="store_true", help="exit 1 when a promise is missed")
    options = parser.parse_args()
    if options.rounds < 1 or not 0 < options.scale <= 1:
        parser.error("--rounds is at least 1, and --scale more than 0 and at most 1")
    if options.gate and options.scale != 1:
        parser.error("the promises are about the whole corpus: --gate needs --scale 1")
    chosen = options.section or list(USUAL)
    options.section = list(SECTIONS) if "all" in chosen else list(dict.fromkeys(chosen))
    return options


def _head(scale: float) -> list[str]:
    """When, where and with which versions."""
    load = os.getloadavg()[0]
    lines = [
        f"# Benchmark of {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC",
        "",
        *(f"- {factory.version()}" for factory in on_path()),
        f"- Python {platform.python_version()}, {platform.system()} {platform.release()}",
        f"- {_processor()}, {os.cpu_count()} cores, load {load:.1f} at the start",
        "",
        "Medians of whole processes, fsync on; in brackets, the ratio to stock restic.",
    ]
    if scale != 1:
        lines += [
            "",
            f"**At {scale:g} of the size: this tries the benchmark, and proves nothing.**",
        ]
    return lines


def _body(sections: Sequence[Section]) -> list[str]:
    lines = []
    for section in sections:
        lines += ["", f"## {section.title}", "", *section.lines]
    if gates := [gate for section in sections for gate in section.gates]:
        lines += ["", "## Promises", "", *gate_table(gates)]
    return lines


def _processor() -> str:
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in told if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    raise SystemExit(main())
