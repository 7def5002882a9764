"""Airflow DAGs that remove what has expired: one per class of the policy (3.2)."""

from include.orchestration.control_dags import expire_dag
from include.orchestration.setting import policy_of_dags

_policy = policy_of_dags()
for _data_class in _policy.classes:
    _dag = expire_dag(_policy, _data_class)
    globals()[_dag.dag_id] = _dag
