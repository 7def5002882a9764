"""Signed, hash-linked records of what was done, and the sentences that people read."""
