"""Restores, and a hold, through a real scheduler: approved, refused, untrained, too late."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from include.orchestration.names import HOLD_DAG, RESTORE_DAG, dag_id

if TYPE_CHECKING:
    from scripts.airflow_api import AirflowApi
    from scripts.airflow_site import Site

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]
# Airflow 3.3 may fail a task that is answered the moment it asks, with LocalExecutor and SQLite.
_BEFORE_ANSWERING = 9.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One restore: who asks, who answers, and what comes of it."""

    asks: str
    answers: tuple[str, str] | None
    state: str
    told: str  # by the summary


STORIES = {
    "approved": Story(
        asks="anna",
        answers=("bob", "Approve"),
        state="success",
        told="approved by Bob Example (bob), trained until ",
    ),
    "rejected": Story(
        asks="anna", answers=("bob", "Reject"), state="failed", told="not done: bob rejected it"
    ),
    "self-approved": Story(
        asks="bob",
        answers=("bob", "Approve"),
        state="failed",
        told="bob asked for it, and may not approve it as well (four eyes)",
    ),
    "untrained": Story(
        asks="anna",
        answers=("carl", "Approve"),
        state="failed",
        told="the training of Carl Example (carl) has been invalid since 2025-03-01",
    ),
    "too late": Story(
        asks="anna", answers=None, state="failed", told="not done: nobody answered within 20 s"
    ),
}


@pytest.fixture(scope="module")
def runs(site: Site, airflow: AirflowApi) -> dict[str, str]:
    """A run of each story; the ids, all of them ended."""
    backup = dag_id("critical", "full")
    airflow.wait_for_dags([backup, RESTORE_DAG, HOLD_DAG])
    for dag in (backup, RESTORE_DAG, HOLD_DAG):
        airflow.unpause(dag)
    airflow.wait(backup, airflow.trigger(backup, datasets=["critical-one", "critical-two"]))
    started = {}
    _answer_within(site, "20 s")
    started["too late"] = _ask(airflow, site, "too late")
    airflow.wait_for_question(RESTORE_DAG, started["too late"], "approve")
    _answer_within(site, "1 hour")
    others = [name for name, story in STORIES.items() if story.answers]
    started |= {name: _ask(airflow, site, name) for name in others}
    with airflow.as_user("anna", site.password_of("anna")) as api:
        held = api.trigger(HOLD_DAG, what="hold", dataset="critical-one", reason="a lawsuit")
    for name in others:
        airflow.wait_for_question(RESTORE_DAG, started[name], "approve")
    airflow.wait_for_question(HOLD_DAG, held, "approve")
    time.sleep(_BEFORE_ANSWERING)
    with airflow.as_user("carl", site.password_of("carl")) as api:
        api.answer(HOLD_DAG, held, "approve", "Approve")
    for name in others:
        answers = STORIES[name].answers
        assert answers is not None
        who, what = answers
        with airflow.as_user(who, site.password_of(who)) as api:
            api.answer(RESTORE_DAG, started[name], "approve", what)
    for run in started.values():
        airflow.wait(RESTORE_DAG, run)
    airflow.wait(HOLD_DAG, held)
    return started | {"held": held}


def _answer_within(site: Site, length: str) -> None:
    path = site.config / "datasets.yaml"
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "recovery": {"approve_within": length}}))


def _ask(airflow: AirflowApi, site: Site, name: str) -> str:
    asks = STORIES[name].asks
    form = {
        "datasets": ["critical-one", "critical-two"],
        "destination": str(site.config.parent / name / "{dataset}"),
        "reason": "the disk of crm-1 died",
        "ticket": "INC-7",
        "incident_began": datetime.now(UTC).isoformat(),
    }
    with airflow.as_user(asks, site.password_of(asks)) as api:
        return api.trigger(RESTORE_DAG, **form)


@pytest.mark.parametrize("name", STORIES)
def test_it_ends_as_it_must_and_says_why(
    site: Site, airflow: AirflowApi, runs: dict[str, str], name: str
) -> None:
    """Only what another, trained person approved is restored; each has its document."""
    story, run = STORIES[name], runs[name]
    told = airflow.log_of(RESTORE_DAG, run, "summary")
    assert airflow.state(RESTORE_DAG, run) == story.state, told
    assert story.told in told
    assert told.count("Restoration record: critical/critical-") == 2
    assert "INC-7" in told
    folder = site.config.parent / name
    if story.state == "success":
        assert "2 of 2 restored" in told
        assert (folder / "critical-one" / "0.txt").read_text() == "critical-one 0\n"
        assert (folder / "critical-two" / "2.txt").read_text() == "critical-two 2\n"
    else:
        assert "0 of 2 restored" in told
        assert not folder.exists()


def test_a_hold_takes_two_people(airflow: AirflowApi, runs: dict[str, str]) -> None:
    """One asks, another answers, and the dataset is on hold, recorded with both names."""
    told = airflow.log_of(HOLD_DAG, runs["held"], "approve")
    assert airflow.state(HOLD_DAG, runs["held"]) == "success", told
    assert "critical/critical-one" in told
    assert "a lawsuit" in told
    assert "approved by carl" in told
