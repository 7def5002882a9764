"""What the DAGs and pools of a class are called in Airflow."""

from __future__ import annotations


def dag_id(data_class: str, method: str) -> str:
    """The DAG that takes the backups of a class by a method, ``full`` or ``incremental``."""
    return f"holdfast_back_up_{data_class}_{method}"


def pool_of(data_class: str) -> str:
    """The pool that bounds how many datasets of a class are backed up at a time."""
    return f"holdfast_{data_class}"
