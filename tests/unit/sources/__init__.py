"""Sources: what needs no server."""
