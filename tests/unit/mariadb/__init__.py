"""What MariaDB sources decide without a server."""
