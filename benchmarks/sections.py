"""The parts of the benchmark: what each measures, and the promises it is held to."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks import parsing, primitives
from benchmarks.mariadb import mariadb
from benchmarks.measure import BenchmarkFailedError, middle
from benchmarks.postgresql import postgresql
from benchmarks.programs import Borg, Holdfast, on_path
from benchmarks.report import MIB, OURS, Gate, Section, cost_table, figure_table, ratio
from benchmarks.rounds import Costs, Plan, Step, play
from benchmarks.verification import verification

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT: Final = Path(__file__).resolve().parents[1]
HUGE_BYTES: Final = 10 << 30
TINY_FILES: Final = 1_000_000
LARGE_STEPS: Final = (Step.FULL, Step.UNCHANGED, Step.RESTORE, Step.CHECK)
# The corpus, three vaults and what one program restores, with room to spare.
COPIES_OF_HUGE: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What all sections share."""

    corpora: Path  # kept from run to run
    work: Path  # gone at the end
    scale: float
    rounds: int


def mixed(bench: Bench) -> Section:
    """The corpus of the issue against a vault in a directory."""
    plan = Plan(corpus=_mixed_corpus(bench), factories=on_path(), steps=tuple(Step))
    costs = play(plan, bench.work / "mixed", rounds=bench.rounds, warm_up=True)
    return Section(
        title="512 MiB of noise, 512 MiB of CSV, 10,000 small files; vault in a directory",
        lines=cost_table(costs),
        gates=[
            _gate(costs, Step.FULL, "wall_seconds", 0.55),
            _gate(costs, Step.FULL, "cpu_seconds", 0.55),
            _gate(costs, Step.UNCHANGED, "wall_seconds", 1.0),
            _gate(costs, Step.RESTORE, "wall_seconds", 0.8),
            _gate(costs, Step.CHECK, "wall_seconds", 1.0),
            _gate(costs, Step.FULL, "stored_bytes", 1.05),
            _gate(costs, Step.CHANGED, "stored_bytes", 1.05),
            _peak(costs, "peak memory of any step"),
        ],
    )


def s3(bench: Bench) -> Section:
    """The same against an S3 server over TLS, with the programs that know S3."""
    factories = [factory for factory in on_path() if factory is not Borg]
    plan = Plan(corpus=_mixed_corpus(bench), factories=factories, steps=tuple(Step), on_s3=True)
    costs = play(plan, bench.work / "s3", rounds=bench.rounds, warm_up=True)
    return Section(
        title="The same; vault on a local Ceph RGW over TLS, which shares the processor",
        lines=cost_table(costs),
        gates=[_peak(costs, "peak memory of any step, vault on S3")],
    )


def huge(bench: Bench) -> Section:
    """One single file of 10 GiB: memory must not follow the size of a file."""
    size_bytes = int(HUGE_BYTES * bench.scale)
    if shutil.disk_usage(bench.work).free < COPIES_OF_HUGE * size_bytes:
        raise BenchmarkFailedError(
            f"{bench.work} has no {COPIES_OF_HUGE * size_bytes:,} bytes free"
        )
    corpus = _make(bench, "huge", str(size_bytes))
    plan = Plan(corpus=corpus, factories=on_path(), steps=LARGE_STEPS)
    costs = play(plan, bench.work / "huge", rounds=1, warm_up=False)
    beside = Plan(corpus=_mixed_corpus(bench), factories=[Holdfast], steps=LARGE_STEPS)
    usual = play(beside, bench.work / "beside", rounds=1, warm_up=False)
    return Section(
        title="One file of 10 GiB; a single pass",
        lines=cost_table(costs),
        gates=[
            Gate(
                what=f"{step}: peak memory, of that on the mixed corpus + 15 %",
                limit=1.15 * usual[step][OURS][0].peak_bytes / MIB,
                figure=costs[step][OURS][0].peak_bytes / MIB,
                unit="MiB",
            )
            for step in LARGE_STEPS
        ],
    )


def tiny(bench: Bench) -> Section:
    """A million files of 100 bytes: what an entry costs, in time and in memory."""
    corpus = _make(bench, "tiny", str(int(TINY_FILES * bench.scale)))
    steps = (Step.FULL, Step.UNCHANGED)
    plan = Plan(corpus=corpus, factories=on_path(), steps=steps)
    costs = play(plan, bench.work / "tiny", rounds=1, warm_up=False)
    peak = max(costs[step][OURS][0].peak_bytes for step in steps)
    return Section(
        title="1,000,000 files of 100 bytes; a single pass",
        lines=cost_table(costs),
        gates=[
            _gate(costs, Step.FULL, "wall_seconds", 1.5),
            _gate(costs, Step.UNCHANGED, "wall_seconds", 1.0),
            Gate(what="peak memory of any step", limit=1024, figure=peak / MIB, unit="MiB"),
        ],
    )


def postgres(bench: Bench) -> Section:
    """Databases of a PostgreSQL server beside its own dump and restore."""
    return postgresql(bench.work / "postgresql", scale=bench.scale, rounds=bench.rounds)


def maria(bench: Bench) -> Section:
    """Databases of a MariaDB server beside its own dump."""
    return mariadb(bench.work / "mariadb", scale=bench.scale, rounds=bench.rounds)


def verified(bench: Bench) -> Section:
    """A verification beside the restore that is in it."""
    return verification(bench.work / "verification", scale=bench.scale, rounds=bench.rounds)


def parse(bench: Bench) -> Section:
    """Parsing all DAG files beyond importing Airflow."""
    seconds = parsing.parse_seconds(bench.work)
    few, many = (seconds[count] for count in parsing.COUNTS)
    return Section(
        title="Parsing all DAG files, beyond importing Airflow",
        lines=figure_table(
            ("datasets", "seconds"),
            {f"{count:,}": f"{found:.3f}" for count, found in seconds.items()},
        ),
        gates=[
            Gate(what="parsing, 10,000 datasets", limit=0.1, figure=many, unit="s"),
            # "The same": what parsing the list of datasets would add is seconds.
            Gate(
                what="parsing, 10,000 beyond 10 datasets", limit=0.02, figure=many - few, unit="s"
            ),
        ],
    )


def limit(bench: Bench) -> Section:
    """Where the time goes: the primitives alone, and how far a first full is from their sum."""
    corpus = _mixed_corpus(bench)
    seconds = primitives.cpu_seconds(corpus, bench.work)
    plan = Plan(corpus=corpus, factories=[Holdfast], steps=[Step.FULL])
    costs = play(plan, bench.work / "limit", rounds=bench.rounds, warm_up=True)
    ours = middle(costs[Step.FULL][OURS])
    total = sum(seconds.values())
    figures = {name: f"{value:.2f}" for name, value in seconds.items()}
    figures["**sum: the limit**"] = f"{total:.2f}"
    figures["**our first full**"] = f"{ours.cpu_seconds:.2f} ({ours.cpu_seconds / total:.2f})"
    return Section(
        title="Where the CPU time of a first full goes",
        lines=figure_table(("primitive, alone on one core", "CPU s"), figures),
    )


SECTIONS: Final[dict[str, Callable[[Bench], Section]]] = {
    "mixed": mixed,
    "s3": s3,
    "parse": parse,
    "limit": limit,
    "tiny": tiny,
    "huge": huge,
    "postgresql": postgres,
    "mariadb": maria,
    "verification": verified,
}
USUAL: Final = ("mixed", "s3", "parse", "limit")

_WORDS: Final = {"wall_seconds": "wall", "cpu_seconds": "CPU", "stored_bytes": "stored bytes"}


def _gate(costs: Costs, step: Step, figure: str, most: float) -> Gate:
    what = f"{step}: {_WORDS[figure]}"
    return Gate(what=what, limit=most, figure=ratio(costs, step, figure))


def _peak(costs: Costs, what: str) -> Gate:
    peak = max(middle(by_name[OURS]).peak_bytes for by_name in costs.values())
    return Gate(what=what, limit=300, figure=peak / MIB, unit="MiB")


def _mixed_corpus(bench: Bench) -> Path:
    return _make(bench, "mixed", f"{bench.scale:g}")


def _make(bench: Bench, *what: str) -> Path:
    print(f"corpus {' '.join(what)}", file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.corpus", str(bench.corpora), *what],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Path(done.stdout.strip())
