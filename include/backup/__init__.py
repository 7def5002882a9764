"""The engine of Holdfast: free of Airflow, usable and testable in a plain interpreter."""
