"""The Airflow DAG that puts on hold what somebody asks for and somebody else approves (3.2)."""

from include.orchestration.hold_dag import hold_dag
from include.orchestration.setting import policy_of_dags

holdfast_hold = hold_dag(policy_of_dags())
