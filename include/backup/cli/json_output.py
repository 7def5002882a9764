"""What the commands print with ``--json``. JSON.md tells its fields; a test compares the two.

Standard output holds one JSON document, whatever happens; all else goes to standard error. Times
are those of format/times.py: UTC, as in 2026-11-23T01:00:04Z.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from include.backup.format.times import text_of_datetime

if TYPE_CHECKING:
    from datetime import date

    from include.backup.actions.assess import Assessment
    from include.backup.policy.people import Person
    from include.backup.vault.expiry import ExpiryPlan
    from include.backup.vault.generations import Point


def print_json(value: object) -> None:
    """Print one document."""
    json.dump(value, sys.stdout, indent=2)
    print()


def planned_json(one: Assessment, owner: str) -> dict[str, Any]:
    """One dataset in the order of a recovery."""
    document = one.to_json()
    tested = document["tested"]
    return {
        "dataset": document["dataset"],
        "class": document["class"],
        "owner": owner,
        "rto_seconds": tested["rto_seconds"],
        "forecast_seconds": tested["forecast_seconds"],
        "tested": tested["verdict"],
        "newest_at": document["newest_at"],
    }


def person_json(one: Person, today: date) -> dict[str, Any]:
    """Somebody who may, or may not, approve a restore on a day."""
    training = one.training(today)
    return {
        "user": one.user,
        "name": one.name,
        "role": one.role,
        "may_approve": training is not None,
        "until": training.ends.isoformat() if training else None,
        "why_not": one.why_untrained(today),
    }


def plan_json(name: str, plan: ExpiryPlan) -> dict[str, Any]:
    """What of a dataset expires, and what stays."""
    return {
        "dataset": name,
        "recovery_points": [
            {
                "id": one.snapshot,
                "generation": one.generation,
                "taken_at": text_of_datetime(one.taken_at),
                "recorded_until": text_of_datetime(one.recorded),
                "until": text_of_datetime(one.until),
                "keep": not one.expires,
                "why": one.why,
            }
            for one in plan.verdicts
        ],
        "generations": [
            {"id": fate.generation, "dies": fate.dies, "why": fate.why} for fate in plan.fates
        ],
    }


def point_json(point: Point, *, damaged: bool) -> dict[str, Any]:
    """A recovery point, with the fields that the ledger leaves out at their usual value."""
    usual = {"slot": None, "adopted": False, "bytes_found": 0, "bytes_all": 0, "verified_at": None}
    return {
        "id": point.snapshot,
        "generation": point.generation,
        **usual,
        **point.to_json(),
        "damaged": damaged,
    }
