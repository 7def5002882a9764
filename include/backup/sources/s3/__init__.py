"""Buckets: reading the objects below a prefix, and putting them back."""
