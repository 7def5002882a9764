"""PostgreSQL as a source and as a place to restore to, on real servers.

Not tested here, and why: managed services, poolers and other machines (there are none); another
lc_monetary than C (the machines of the tests have no such locale; sessions set C on both sides);
millions of large objects, and transaction ids that wrap around (they take minutes: see
test_incremental_stress.py and benchmarks/). Where the server's extensions cannot be written to,
the tables of an extension are not among the nasty ones, and the test of a missing one is skipped.
"""
