"""One restic repository: format and storage together, and the order in which files are saved."""
