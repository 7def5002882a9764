"""Against real MariaDB servers on loopback."""
