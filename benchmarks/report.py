"""Figures as Markdown, and the gates they are held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.measure import Cost, middle

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from benchmarks.rounds import Costs, Step

MIB: Final = 1 << 20
OURS: Final = "holdfast"
BASELINE: Final = "restic"  # stock restic at its defaults = 1.00


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A promise about one figure."""

    what: str
    limit: float
    figure: float
    unit: str = ""  # none: a ratio to stock restic

    @property
    def kept(self) -> bool:
        """Whether the figure is within the limit."""
        return self.figure <= self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One part of the report."""

    title: str
    lines: Sequence[str]
    gates: Sequence[Gate] = ()


def ratio(costs: Costs, step: Step, figure: str) -> float:
    """Our median of a figure (a field of Cost) over that of stock restic."""
    ours, theirs = (getattr(middle(costs[step][name]), figure) for name in (OURS, BASELINE))
    return float(ours / theirs)


def cost_table(costs: Costs) -> list[str]:
    """Medians of all steps and programs; ratios to stock restic in brackets."""
    rows: list[tuple[str, ...]] = [
        ("step", "program", "wall s", "(from-to)", "CPU s", "peak MiB", "stored MiB")
    ]
    for step, by_name in costs.items():
        baseline = middle(by_name[BASELINE])
        rows += [_cost_row(step, name, runs, baseline) for name, runs in by_name.items()]
    return list(_markdown(rows))


def gate_table(gates: Iterable[Gate]) -> list[str]:
    """Each gate with its limit, its figure and the verdict."""
    rows = [("gate", "limit", "measured", "")]
    for gate in gates:
        digits = 0 if gate.unit == "MiB" else 2
        limit, figure = (
            f"{value:.{digits}f} {gate.unit}".rstrip() for value in (gate.limit, gate.figure)
        )
        rows.append((gate.what, f"≤ {limit}", figure, "kept" if gate.kept else "**missed**"))
    return list(_markdown(rows))


def figure_table(head: tuple[str, str], figures: Mapping[str, str]) -> list[str]:
    """Two columns."""
    return list(_markdown([head, *figures.items()]))


def _cost_row(step: Step, name: str, runs: Sequence[Cost], baseline: Cost) -> tuple[str, ...]:
    cost = middle(runs)
    walls = [run.wall_seconds for run in runs]
    stored = ""
    if cost.stored_bytes:
        stored = _with_ratio(cost.stored_bytes / MIB, baseline.stored_bytes / MIB, digits=1)
    return (
        step,
        name,
        _with_ratio(cost.wall_seconds, baseline.wall_seconds, digits=2),
        f"{min(walls):.2f}-{max(walls):.2f}",
        _with_ratio(cost.cpu_seconds, baseline.cpu_seconds, digits=2),
        _with_ratio(cost.peak_bytes / MIB, baseline.peak_bytes / MIB, digits=0),
        stored,
    )


def _with_ratio(value: float, baseline: float, *, digits: int) -> str:
    return f"{value:.{digits}f} ({value / baseline:.2f})"


def _markdown(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        yield f"| {' | '.join(cells)} |"
        if number == 0:
            yield f"|{'|'.join('-' * (width + 2) for width in widths)}|"
