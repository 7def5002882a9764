"""Master keys that lie elsewhere."""
