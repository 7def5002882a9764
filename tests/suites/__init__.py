"""One conformance suite per contract: every tenant of a room passes the same laws."""
