"""What every DAG that works through datasets has in common: its run, and units of datasets.

    due → one task for each unit → summary → watcher

A unit is a list of datasets that one task works through one after the other: a single one, unless
more than 500 are due.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from include.backup.errors import ConfigurationInvalid

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from include.backup.actions.due import DueDataset

    Unit = list[dict[str, Any]]

MOST_UNITS: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a DAG."""

    data_class: str
    owner: str
    tick: datetime  # the moment that the run stands for
    manual: bool  # started by a person: takes what is named, or everything, due or not
    names: tuple[str, ...] = ()


def of_context(data_class: str, context: Any) -> dict[str, Any]:  # noqa: ANN401  Airflow's
    """What a run is made of, by what Airflow says of it."""
    dag_run = context["dag_run"]
    return {
        "data_class": data_class,
        "owner": f"airflow/{dag_run.dag_id}/{dag_run.run_id}",
        "tick": dag_run.run_after,
        "manual": str(getattr(dag_run.run_type, "value", dag_run.run_type)) == "manual",
        "names": tuple(context["params"].get("datasets") or ()),
    }


def chosen_of(found: Sequence[DueDataset], run: Run) -> list[DueDataset]:
    """What a run works through: what is due; started by a person, what is named, or everything.

    Raises:
        ConfigurationInvalid: a name is no dataset of the class.
    """
    if not run.names:
        return [dataset for dataset in found if dataset.due or run.manual]
    known = {dataset.name: dataset for dataset in found}
    if unknown := [name for name in run.names if name not in known]:
        raise ConfigurationInvalid(
            f"{', '.join(unknown)}: no such dataset in class {run.data_class}",
            hint=f"there are: {', '.join(known) or 'none'}",
        )
    return [known[name] for name in run.names]


def units(datasets: Sequence[dict[str, Any]]) -> list[Unit]:
    """Spread datasets over at most 500 tasks."""
    size = -(-len(datasets) // MOST_UNITS) or 1
    return [list(datasets[start : start + size]) for start in range(0, len(datasets), size)]


def unit_name(unit: Unit) -> str:
    """What a task is called in the UI."""
    first, last = unit[0]["name"], unit[-1]["name"]
    return str(first) if len(unit) == 1 else f"{len(unit)} datasets, {first} … {last}"
