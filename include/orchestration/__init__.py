"""The only part of the project that knows Airflow: connections, tasks, DAGs, alerts."""
