"""The DAG for holds: its form, and what an answer comes to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from include.backup.errors import ConfigurationInvalid, NotApproved
from include.orchestration import hold_tasks
from include.orchestration.names import HOLD_DAG
from include.orchestration.setting import task_setting
from tests.dags.conftest import entry, write_datasets
from tests.dags.test_back_up_dags import load, run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(240)
RUN = (f"airflow/{HOLD_DAG}/manual__1", "anna")
FORM = {
    "what": "hold",
    "dataset": "crm",
    "recovery_points": [],
    "hold": None,
    "reason": "a lawsuit",
}


@pytest.fixture
def backed_up(site: Path, airflow_db: None) -> Path:
    """A dataset with a recovery point."""
    write_datasets(site, {"crm": entry(site, "crm")})
    done, told = run("holdfast_back_up_critical_full")
    assert done.state == "success", told
    return site


def answered(who: str, what: str = "Approve") -> dict[str, Any]:
    """What Airflow hands over."""
    user = {"id": "7", "name": who} if who else None
    return {
        "chosen_options": [what],
        "responded_by_user": user,
        "responded_at": datetime.now(UTC) if who else None,
    }


def kinds() -> list[str]:
    """The kinds of the records of the dataset."""
    from include.backup.actions.dataset_vault import DatasetVault

    place = DatasetVault.open(task_setting("tests"), "crm")
    return [record.kind for record in place.ledger.read()]


def holds() -> list[Any]:
    """The holds on the dataset."""
    from include.backup.actions.dataset_vault import DatasetVault

    return list(DatasetVault.open(task_setting("tests"), "crm").state().holds)


def test_it_has_a_form_and_quotes_the_policy(site: Path, airflow_db: None) -> None:
    """Started by hand; what it needs can be filled in, the rest stay empty."""
    dag = load()[HOLD_DAG]
    assert {"holdfast", "clause:3.2"} <= set(dag.tags)
    assert set(dag.params) == set(FORM)
    assert [task.task_id for task in dag.topological_sort()] == ["ask", "approve"]


def test_what_two_people_want_is_held_and_lifted(backed_up: Path) -> None:
    """The records name both; what is asked tells what it covers."""
    asked = hold_tasks.ask(RUN, FORM)
    assert asked["subject"] == "put crm on hold: everything"
    hold_tasks.decide(RUN, FORM, answered("bob"))
    [hold] = holds()
    assert (hold.reason, hold.requested_by, hold.approved_by) == ("a lawsuit", "anna", "bob")
    lift = FORM | {"what": "lift", "hold": hold.id, "reason": "it is settled"}
    assert hold_tasks.ask(RUN, lift)["subject"] == f"lift hold {hold.id} of crm"
    hold_tasks.decide(RUN, lift, answered("bob"))
    assert holds() == []


@pytest.mark.parametrize(
    ("user", "event", "why"),
    [
        ("anna", answered("anna"), "may not approve it as well"),
        ("anna", answered("Anna"), "may not approve it as well"),
        ("anna", answered("bob", "Reject"), "bob rejected it"),
        ("anna", answered(""), "nobody answered within"),
        ("", answered("bob"), "nobody knows who asked"),
    ],
)
def test_what_nobody_else_wants_is_not_held(
    backed_up: Path, user: str, event: dict[str, Any], why: str
) -> None:
    """And that is recorded."""
    with pytest.raises(NotApproved, match=why):
        hold_tasks.decide((RUN[0], user), FORM, event)
    assert holds() == []
    assert kinds()[-1] == "refused"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"reason": " "}, "needs a dataset and a reason"),
        ({"what": "lift"}, "to lift a hold takes its id"),
        ({"hold": "abc"}, "to lift a hold takes its id"),
        ({"what": "lift", "hold": "abc"}, "has no hold abc"),
        ({"dataset": "crn"}, "no dataset is called"),
        ({"recovery_points": ["ffff"]}, "no recovery points begin with"),
    ],
)
def test_a_slip_in_the_form_is_told_before_anybody_is_asked(
    backed_up: Path, change: dict[str, Any], told: str
) -> None:
    """Nothing is recorded of it."""
    before = kinds()
    with pytest.raises(ConfigurationInvalid, match=told):
        hold_tasks.ask(RUN, FORM | change)
    assert kinds() == before
