"""The closing sentences: golden cases, for they are what compliance staff read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from include.backup.evidence import sentences
from include.backup.evidence.sentences import Ages, Copies, Restored, Subject, Taken
from include.backup.evidence.wording import one_line, size
from include.backup.policy.objectives import Verdict
from tests.unit.evidence.samples import append, ledger_on, memory

TAKEN_AT = datetime(2026, 11, 23, 1, 0, 4, tzinfo=UTC)
CRM = Subject(data_class="critical", dataset="crm")
HOURS = timedelta(hours=1)
COPIES = Copies(newest_at=TAKEN_AT, age=26 * HOURS, limit=48 * HOURS)
TAKEN = Taken(
    method="incremental",
    taken_at=TAKEN_AT,
    where="s3://backups/crm (eu-west-1)",
    contents="48 tables",
    bytes_read=13_207_024_435,
    bytes_new=45 << 20,
    sent="sent over TLS 1.3",
    expires_at=datetime(2026, 12, 23, 1, 0, 4, tzinfo=UTC),
)


def test_backup_in_time_is_kept() -> None:
    """The example of the design, word by word."""
    ages = Ages(
        before=24 * HOURS, greatest=timedelta(hours=24, minutes=48), limit=timedelta(hours=48)
    )
    assert sentences.backed_up(CRM, TAKEN, ages) == (
        "KEPT 3.1 3.3 4.1 · critical/crm · incremental recovery point 2026-11-23 01:00:04 UTC "
        "complete in s3://backups/crm (eu-west-1): 48 tables, 12.3 GiB read, 45 MiB new; "
        "encrypted AES-256, sent over TLS 1.3; the newest copy has never been older than "
        "24 h 48 min (limit 48 h); kept until 2026-12-23"
    )


@pytest.mark.parametrize(
    ("before", "greatest", "verdict", "says"),
    [
        (None, None, "KEPT", "it is the first recovery point (limit 48 h between two)"),
        (48, 48, "KEPT", "the newest copy has never been older than 48 h (limit 48 h)"),
        (49, 49, "BROKEN", "the newest copy had become 49 h old (limit 48 h)"),
        (24, 60, "KEPT", "the newest copy was 1 day old before (limit 48 h), and once 60 h"),
        (30, 26, "KEPT", "the newest copy has never been older than 30 h (limit 48 h)"),
    ],
)
def test_verdict_of_a_backup_is_that_of_the_gap_it_ends(
    before: int | None, greatest: int | None, verdict: str, says: str
) -> None:
    """A copy that had become too old breaks the promise, though a new one exists now."""
    ages = Ages(
        before=None if before is None else before * HOURS,
        greatest=None if greatest is None else greatest * HOURS,
        limit=48 * HOURS,
    )
    sentence = sentences.backed_up(CRM, TAKEN, ages, remarks=["became a full: no generation"])
    assert sentence.startswith(f"{verdict} 3.1")
    assert f"; {says}; became a full: no generation; kept until" in sentence


def test_other_endings_of_a_backup() -> None:
    """Each says what happened, what it means, and how old the newest copy is."""
    newest = "the newest recovery point is of 2026-11-23 01:00:04 UTC, 26 h old (limit 48 h)"
    assert sentences.failed(
        CRM,
        verdict=Verdict.AT_RISK,
        method="incremental",
        reason="/srv/crm is gone",
        copies=COPIES,
        next_try="it is tried again at 2026-11-24 01:00 UTC",
    ) == (
        "AT RISK 3.1 4.1 · critical/crm · incremental backup failed: /srv/crm is gone; "
        "no recovery point was made, those made before are untouched; "
        f"{newest}; it is tried again at 2026-11-24 01:00 UTC"
    )
    assert sentences.already_running(
        CRM,
        verdict=Verdict.KEPT,
        method="full",
        holder="already running since 2026-11-23 01:00:00 UTC (owner airflow)",
        copies=COPIES,
    ) == (
        "KEPT 3.1 4.1 · critical/crm · full backup not started: already running since "
        f"2026-11-23 01:00:00 UTC (owner airflow); this is no failure; {newest}"
    )
    assert sentences.nothing_due(
        CRM, verdict=Verdict.KEPT, method="full", reason="one was just completed", copies=COPIES
    ) == (
        f"KEPT 3.1 4.1 · critical/crm · no full backup was needed: one was just completed; {newest}"
    )
    assert sentences.interrupted(
        CRM,
        verdict=Verdict.BROKEN,
        action="full backup",
        began_at=TAKEN_AT,
        copies=Copies(newest_at=None, age=None, limit=48 * HOURS),
    ) == (
        "BROKEN 3.1 4.1 · critical/crm · the full backup begun 2026-11-23 01:00:04 UTC was "
        "interrupted: its process ended without a word; it made no recovery point; what it had "
        "stored is kept and used by the next run; there is no recovery point yet (limit 48 h)"
    )
    assert sentences.adopted(
        CRM, method="full", taken_at=TAKEN_AT, where="file:///srv/vault", expires_at=TAKEN_AT
    ) == (
        "KEPT 3.1 3.3 4.1 · critical/crm · full recovery point 2026-11-23 01:00:04 UTC was found "
        "complete in file:///srv/vault, its record missing; its data was checked and it is "
        "recorded now; kept until 2026-11-23"
    )


@pytest.mark.parametrize(("took", "verdict"), [(48, "KEPT"), (49, "BROKEN")])
def test_restore_is_judged_by_its_time(took: int, verdict: str) -> None:
    """A restore that took longer than the RTO broke a promise, though the data is back."""
    done = Restored(
        taken_at=TAKEN_AT,
        destination="/srv/back",
        contents="3 files",
        bytes_written=1,
        took=took * HOURS,
        limit=48 * HOURS,
        by="ann@example.com",
    )
    assert sentences.restored(CRM, done, remarks=["1 file left out"]) == (
        f"{verdict} 4.2 4.3 · critical/crm · recovery point 2026-11-23 01:00:04 UTC restored to "
        f"/srv/back: 3 files, 1 byte; it took {took} h (limit 48 h); 1 file left out; "
        "requested by ann@example.com"
    )


def test_restore_that_failed_broke_the_promise() -> None:
    """And says where it was to go and who waits for it."""
    assert sentences.restore_failed(
        CRM, destination="/srv/back", reason="no space", by="ann@example.com"
    ) == (
        "BROKEN 4.2 4.3 · critical/crm · restore to /srv/back failed: no space; "
        "requested by ann@example.com"
    )


def test_check_of_the_structure_alone_proves_nothing_about_the_bytes() -> None:
    """Only what was read is called kept, and damage is listed."""
    assert sentences.checked(CRM, generations=2, points=9, bytes_read=None, damages=[]) == (
        "NOT TESTED 3.4 · critical/crm · the structure of 9 recovery points in 2 generations is "
        "whole; the stored bytes were not read"
    )
    assert sentences.checked(CRM, generations=2, points=9, bytes_read=5 << 30, damages=[]) == (
        "KEPT 3.2 · critical/crm · 9 recovery points in 2 generations are whole: all 5 GiB were "
        "read and fit their ids"
    )
    assert sentences.checked(
        CRM, generations=2, points=9, bytes_read=0, damages=["pack 77ab is gone", "x"]
    ) == (
        "BROKEN 3.2 · critical/crm · 9 recovery points in 2 generations checked, 2 damaged; "
        "pack 77ab is gone; x"
    )


def test_evidence_names_the_record() -> None:
    """The log's sentence ends with where it stands and its digest."""
    record = append(ledger_on(memory()), "a", sentence="KEPT")
    assert sentences.with_evidence(record.sentence, record) == (
        f"KEPT · evidence crm/1 sha256 {record.sha256[:16]}…"
    )


def test_no_text_from_outside_can_fake_a_line() -> None:
    """Line breaks and terminal codes in a reason become spaces."""
    assert one_line("gone\nKEPT 3.1\r\x1b[2K  all well\u2028x") == "gone KEPT 3.1 [2K all well x"
    sentence = sentences.restore_failed(CRM, destination="/a\nb", reason="x\ny", by="z\n")
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("count_bytes", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (102_349, "100 KiB"),
        (1_048_063, "1023 KiB"),
        (1_048_064, "1 MiB"),
        (45 << 20, "45 MiB"),
        (13_207_024_435, "12.3 GiB"),
        (1 << 50, "1 PiB"),
        (5000 << 50, "5000 PiB"),
    ],
)
def test_sizes_have_three_digits_and_the_right_unit(count_bytes: int, text: str) -> None:
    """Rounding never gives 1024 of a unit."""
    assert size(count_bytes) == text
