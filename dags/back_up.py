"""Airflow DAGs that take backups: one or two per class of the policy (3.1, 3.3)."""

from include.orchestration.dags import back_up_dags
from include.orchestration.setting import policy_of_dags

_policy = policy_of_dags()
for _data_class in _policy.classes:
    for _dag in back_up_dags(_policy, _data_class):
        globals()[_dag.dag_id] = _dag
