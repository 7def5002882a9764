"""PostgreSQL as a source and as a place to restore to, on real servers."""
