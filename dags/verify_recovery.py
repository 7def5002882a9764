"""Airflow DAGs that try restores: one per class of the policy (3.4, 4.2)."""

from include.orchestration.control_dags import verify_dag
from include.orchestration.setting import policy_of_dags

_policy = policy_of_dags()
for _data_class in _policy.classes:
    _dag = verify_dag(_policy, _data_class)
    globals()[_dag.dag_id] = _dag
