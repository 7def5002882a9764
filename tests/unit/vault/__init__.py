"""Layout, envelopes, leases and the state of a dataset, one law a test."""
