"""Storages against real servers, and what lies between."""
