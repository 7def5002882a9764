"""What of PostgreSQL needs no server."""
