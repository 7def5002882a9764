"""The sentences of restores, checks and exported passwords: golden cases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from include.backup.evidence import rescue_sentences as sentences
from include.backup.evidence.rescue_sentences import Restored
from include.backup.evidence.sentences import Subject
from include.backup.evidence.wording import Several

TAKEN_AT = datetime(2026, 11, 23, 1, 0, 4, tzinfo=UTC)
CRM = Subject(data_class="critical", dataset="crm")
HOURS = timedelta(hours=1)
DOCUMENTED = (
    "requested by ann@example.com, outside approval, documented by this record; "
    "NOT TESTED 4.3: nobody has checked whether who restores was trained"
)


@pytest.mark.parametrize(("took", "verdict"), [(48, "KEPT"), (49, "BROKEN")])
def test_restore_is_judged_by_its_time(took: int, verdict: str) -> None:
    """Longer than the RTO broke a promise, though the data is back; training is never kept."""
    done = Restored(
        taken_at=TAKEN_AT,
        destination="/srv/back",
        contents="3 files",
        bytes_written=1,
        took=took * HOURS,
        limit=48 * HOURS,
        by="ann@example.com",
    )
    notes = Several.of(["a: owner not set", "b: owner not set", "c: owner not set"])
    assert sentences.restored(CRM, done, notes=notes) == (
        f"{verdict} 4.2 · critical/crm · recovery point 2026-11-23 01:00:04 UTC restored to "
        f"/srv/back: 3 files, 1 byte; it took {took} h (limit 48 h); "
        f"3 notes: a: owner not set, b: owner not set and 1 more; {DOCUMENTED}"
    )
    assert "note" not in sentences.restored(CRM, done)


def test_restore_that_failed_broke_the_promise() -> None:
    """And says where it was to go, who waits for it, and last what to do."""
    assert sentences.restore_failed(
        CRM, destination="/srv/back", reason="no space", by="ann@example.com", hint="make room"
    ) == (
        "BROKEN 4.2 · critical/crm · restore to /srv/back failed: no space; "
        f"{DOCUMENTED}; hint: make room"
    )


def test_check_of_the_structure_alone_proves_nothing_about_the_bytes() -> None:
    """Only what was read is called kept; damage is counted, and the first two are named."""
    assert sentences.checked(CRM, generations=2, points=9, bytes_read=None, damages=[]) == (
        "NOT TESTED 3.4 · critical/crm · the structure of 9 recovery points in 2 generations is "
        "whole; the stored bytes were not read"
    )
    assert sentences.checked(CRM, generations=2, points=9, bytes_read=5 << 30, damages=[]) == (
        "KEPT 3.2 · critical/crm · 9 recovery points in 2 generations are whole: all 5 GiB were "
        "read and fit their ids"
    )
    assert "1 recovery point in 1 generation is whole" in sentences.checked(
        CRM, generations=1, points=1, bytes_read=1, damages=[]
    )
    assert sentences.checked(
        CRM, generations=2, points=9, bytes_read=0, damages=["pack 77ab is gone", "x", "y"]
    ) == (
        "BROKEN 3.2 · critical/crm · 9 recovery points in 2 generations checked, 3 damages found: "
        "pack 77ab is gone, x and 1 more"
    )


@pytest.mark.parametrize(("damaged", "verdict"), [(True, "BROKEN"), (False, "NOT TESTED")])
def test_check_that_could_not_be_done_is_no_failed_backup(damaged: bool, verdict: str) -> None:
    """It talks of the check alone: no recovery point was to be made."""
    assert sentences.check_failed(CRM, reason="no answer", damaged=damaged, hint="wait") == (
        f"{verdict} 3.4 · critical/crm · check failed: no answer; "
        "it says nothing about the recovery points; hint: wait"
    )


def test_password_in_the_hands_of_a_person_is_a_risk_to_encryption() -> None:
    """3.3 asks for encryption at rest, which is worth what the secrecy of the password is worth."""
    assert sentences.password_exported(CRM, generation="20261101T010000Z", by="cli/ann") == (
        "AT RISK 3.3 · critical/crm · the repository password of generation 20261101T010000Z was "
        "handed to cli/ann; the data stays encrypted, and whoever has the password can read and "
        "change it until this generation has expired"
    )
    assert sentences.export_failed(CRM, generation="g", reason="wrong key", hint="the other") == (
        "NOT TESTED 3.3 · critical/crm · the repository password of generation g was not handed "
        "out: wrong key; hint: the other"
    )
