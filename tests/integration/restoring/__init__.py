"""Restores that are asked for, approved or refused, carried out, and documented."""
