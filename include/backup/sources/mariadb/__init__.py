"""MariaDB and MySQL: databases of one server, read at one moment and put back."""
