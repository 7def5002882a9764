"""What the DAGs of a class are called in Airflow; see also cli/airflow_pools.py."""

from __future__ import annotations

RESTORE_DAG = "holdfast_restore"  # one for all classes
HOLD_DAG = "holdfast_hold"  # the same


def dag_id(data_class: str, method: str) -> str:
    """The DAG that takes the backups of a class by a method, ``full`` or ``incremental``."""
    return f"holdfast_back_up_{data_class}_{method}"


def check_dag_id(data_class: str) -> str:
    """The DAG that reads again what is stored of a class."""
    return f"holdfast_check_{data_class}"


def expire_dag_id(data_class: str) -> str:
    """The DAG that removes what has expired of a class."""
    return f"holdfast_expire_{data_class}"


def replicate_dag_id(data_class: str) -> str:
    """The DAG that copies what is stored of a class to other vaults."""
    return f"holdfast_replicate_{data_class}"


def backups_asset(data_class: str) -> str:
    """The asset that every backup of a class updates."""
    return f"holdfast_{data_class}"


def verify_dag_id(data_class: str) -> str:
    """The DAG that tries restores of a class."""
    return f"holdfast_verify_recovery_{data_class}"
