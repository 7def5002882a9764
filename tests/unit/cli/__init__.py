"""Commands, one law a test."""
