"""The Airflow DAG that restores what somebody asks for and somebody else approves (4.2, 4.3)."""

from include.orchestration.restore_dag import restore_dag
from include.orchestration.setting import policy_of_dags

holdfast_restore = restore_dag(policy_of_dags())
