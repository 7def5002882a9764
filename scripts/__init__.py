"""`make demo`, `make up`, and the Airflow that they, the tests and a benchmark use."""
