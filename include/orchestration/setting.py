"""The setting of a task: configuration files, Airflow's connections, the clock."""

from __future__ import annotations

from include.backup.actions.setting import Setting
from include.backup.cli.environment import config_folder, now, state_folder
from include.backup.policy.datasets import load_datasets
from include.orchestration.connections import connection, open_storage
from include.orchestration.policy_in_force import policy_in_force


def task_setting(owner: str) -> Setting:
    """Read the configuration as it is now.

    Args:
        owner: who acts, as in ``airflow/holdfast_back_up_critical_full/<run id>``.

    Raises:
        ConfigurationInvalid: datasets.yaml cannot be used at all.
        PolicyInvalid: there is no valid policy, and never was.
    """
    in_force = policy_in_force()
    names = [data_class.name for data_class in in_force.policy.classes]
    return Setting(
        policy=in_force.policy,
        datasets=load_datasets(names, config_folder(None) / "datasets.yaml"),
        connection=connection,
        open_storage=open_storage,
        state_folder=state_folder(),
        clock=now,
        owner=owner,
        warnings=(in_force.warning,) if in_force.warning else (),
    )
