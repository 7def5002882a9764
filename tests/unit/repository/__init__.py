"""Repositories: made, opened, written and read, one law a test."""
