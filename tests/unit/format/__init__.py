"""Bytes and objects: what is refused, and at the edges, one law a test."""
