"""Airflow DAGs that copy recovery points to other vaults: one per class of the policy (3.5)."""

from include.orchestration.control_dags import replicate_dag
from include.orchestration.setting import policy_of_dags

_policy = policy_of_dags()
for _data_class in _policy.classes:
    _dag = replicate_dag(_policy, _data_class)
    globals()[_dag.dag_id] = _dag
