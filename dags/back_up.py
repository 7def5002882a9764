"""Airflow DAGs that take backups: one or two per class of the policy (3.1, 3.3)."""

from include.orchestration.dags import back_up_dags
from include.orchestration.policy_in_force import policy_in_force

_in_force = policy_in_force()
for _data_class in _in_force.policy.classes:
    for _dag in back_up_dags(_in_force.policy, _data_class):
        globals()[_dag.dag_id] = _dag
