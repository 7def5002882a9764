"""How long recovery points and generations live (3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime, timedelta


def expires_at(taken_at: datetime, retention: timedelta) -> datetime:
    """When the promise to keep a recovery point ends; it counts from its consistency point."""
    return taken_at + retention


def closes_at(opened_at: datetime, full_interval: timedelta, grace: timedelta) -> datetime:
    """When a generation stops growing. The next full is due before, by the length of `grace`."""
    return opened_at + full_interval + grace


def longest_life(retention: timedelta, full_interval: timedelta, grace: timedelta) -> timedelta:
    """How long the bytes of a generation can live, from its opening on.

    A generation dies whole. Its last incremental may be taken just before it closes, is kept for
    its retention, and needs the full all that time.
    """
    return full_interval + grace + retention
