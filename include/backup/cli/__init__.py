"""The command line: for the day Airflow is the casualty, for tests, and for curious hands."""
