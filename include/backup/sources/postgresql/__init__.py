"""PostgreSQL: consistent, parallel, streaming backups, and restores into a server."""
