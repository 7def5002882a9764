"""The state of a dataset under any sequence of records."""
