"""restic repository format v2: bytes to objects and back. No file is read or written here."""
