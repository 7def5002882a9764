"""Storages of a vault: opaque named files, each written once."""
