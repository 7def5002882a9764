"""The form of a restore: what was filled in, and what is refused of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from include.backup.actions.request import Form, request_id
from include.backup.errors import ConfigurationInvalid

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
FILLED = {"datasets": ["crm"], "destination": "/srv/back", "reason": "the disk died"}


def form(**values: Any) -> Form:
    return Form.of(FILLED | values, now=NOW)


def test_what_is_left_empty_has_its_usual_value() -> None:
    """The newest point, all of it, compared, nothing replaced, the RTO from the request."""
    found = form(recovery_point="latest", path="", incident_began=None, data_class=None)
    assert (found.at, found.recovery_point, found.path) == (None, "", "")
    assert (found.compare, found.overwrite, found.incident_began) == (True, False, None)


@pytest.mark.parametrize(
    ("text", "at", "recovery_point"),
    [
        ("latest", None, ""),
        ("", None, ""),
        ("2026-11-23T01:00", datetime(2026, 11, 23, 1, 0, 0, 999999, UTC), ""),
        ("2026-11-23", datetime(2026, 11, 23, 23, 59, 59, 999999, UTC), ""),
        ("2026-11-23T01:00+01:00", datetime(2026, 11, 23, 0, 0, 0, 999999, UTC), ""),
        ("beef", None, "beef"),
        ("20261123", None, "20261123"),
    ],
)
def test_a_recovery_point_is_named_in_three_ways(
    text: str, at: datetime | None, recovery_point: str
) -> None:
    """The newest; a time, to its end; the beginning of an id."""
    found = form(recovery_point=text)
    assert (found.at, found.recovery_point) == (at, recovery_point)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"datasets": []}, "datasets, data_class"),
        ({"data_class": "critical"}, "datasets, data_class"),
        ({"destination": " "}, "destination is empty"),
        ({"destination": "relative/dir"}, "is relative to nothing"),
        ({"destination": "~/back"}, "is relative to nothing"),
        ({"reason": None}, "reason is empty"),
        ({"recovery_point": "yesterday"}, "names none"),
        ({"recovery_point": "2026-13-01"}, "is no time"),
        ({"path": "../etc"}, "leads out"),
        ({"incident_began": "2026-11-24T04:00"}, "is yet to come"),
        ({"incident_began": "soon"}, "is no time"),
    ],
)
def test_what_cannot_be_meant_is_refused(values: dict[str, Any], told: str) -> None:
    """With the field."""
    with pytest.raises(ConfigurationInvalid, match=told):
        form(**values)


def test_each_of_several_has_a_place_of_its_own() -> None:
    """By its name; a server has one for each anyway, as long as no database is named."""
    several = form(datasets=["crm", "orders"], destination="/srv/{dataset}/back")
    assert several.place("crm", several=True).address == "/srv/crm/back"
    server = form(destination="connection:scratch")
    assert server.place("crm", several=True).to == "connection:scratch"
    for destination in ("/srv/back", "connection:scratch/again"):
        one = form(destination=destination)
        assert one.place("crm", several=False).to == destination
        with pytest.raises(ConfigurationInvalid, match="several datasets"):
            one.place("crm", several=True)


def test_ids_are_those_of_the_run_and_the_dataset() -> None:
    """The same for each attempt, and no other's."""
    ids = {request_id(run, name) for run in ("a", "b") for name in ("crm", "orders", "a\ncrm")}
    assert len(ids) == 6
    assert request_id("a", "crm") == request_id("a", "crm")
