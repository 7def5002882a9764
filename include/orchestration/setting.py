"""The setting of a task: configuration files, Airflow's connections, the clock."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from include.backup.actions.seen import Seen
from include.backup.actions.setting import Setting
from include.backup.cli.environment import config_folder, now, state_folder
from include.backup.cli.policy_in_force import policy_in_force
from include.backup.policy.datasets import load_datasets
from include.backup.policy.expectations import load_expectations
from include.backup.policy.people import load_people
from include.orchestration.connections import connection, kms, open_storage, s3_client

if TYPE_CHECKING:
    from include.backup.policy.model import Policy


def policy_of_dags() -> Policy:
    """The policy that DAGs are made from, whether or not it can be kept: tasks look at that.

    Raises:
        PolicyInvalid: there is no valid policy, and never was.
    """
    return policy_in_force(open_storage).policy


def task_setting(owner: str) -> Setting:
    """Read the configuration as it is now.

    Args:
        owner: who acts, as in ``airflow/holdfast_back_up_critical_full/<run id>``.

    Raises:
        ConfigurationInvalid: datasets.yaml cannot be used at all.
        PolicyInvalid: there is no valid policy, and never was.
    """
    in_force = policy_in_force(open_storage, today=now().date())
    names = [data_class.name for data_class in in_force.policy.classes]
    return Setting(
        policy=in_force.policy,
        datasets=load_datasets(
            names,
            config_folder(None) / "datasets.yaml",
            established=partial(Seen.established, state_folder()),
        ),
        connection=connection,
        open_storage=open_storage,
        s3_client=s3_client,
        kms=kms,
        state_folder=state_folder(),
        clock=now,
        owner=owner,
        warnings=(in_force.warning,) if in_force.warning else (),
        expectations=partial(load_expectations, config_folder(None) / "expectations"),
        people=partial(load_people, config_folder(None)),
    )
