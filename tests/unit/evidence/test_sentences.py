"""The closing sentences: golden cases, for they are what compliance staff read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from include.backup.evidence import sentences
from include.backup.evidence.sentences import Ages, Copies, Subject, Taken
from include.backup.evidence.wording import Several, count, one_line, size, some_of
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


def test_what_an_interrupted_run_had_stored_is_told_apart() -> None:
    """The bytes of the run that was killed are no new ones, and are not hidden either."""
    ages = Ages(before=None, greatest=None, limit=48 * HOURS)
    told = sentences.backed_up(CRM, replace(TAKEN, bytes_found=120 << 20), ages)
    assert ", 45 MiB new, 120 MiB stored before by an interrupted run; encrypted" in told


def test_a_recovery_point_after_damaged_ones_is_not_the_first() -> None:
    """It is the one that can be relied on."""
    ages = Ages(before=None, greatest=None, limit=48 * HOURS, damaged=True)
    told = sentences.backed_up(CRM, TAKEN, ages)
    assert "; it is the only whole recovery point (limit 48 h between two);" in told


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
        hint="is the volume mounted?",
    ) == (
        "AT RISK 3.1 4.1 · critical/crm · incremental backup failed: /srv/crm is gone; "
        "no recovery point was made, those made before are untouched; "
        f"{newest}; hint: is the volume mounted?"
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


def test_what_cannot_be_read_is_not_said_to_be_absent() -> None:
    """A ledger that does not answer is no ledger without recovery points."""
    told = sentences.failed(
        CRM,
        verdict=Verdict.BROKEN,
        method="full",
        reason="no answer from s3://backups",
        copies=Copies(newest_at=None, age=None, limit=48 * HOURS, known=False),
    )
    assert "how old the newest recovery point is cannot be told (limit 48 h)" in told
    assert "there is no recovery point" not in told


def test_an_interrupted_restore_says_nothing_about_a_next_run() -> None:
    """What is said of a backup that was killed holds for backups alone."""
    told = sentences.interrupted(
        CRM, verdict=Verdict.KEPT, action="restore", began_at=TAKEN_AT, copies=COPIES
    )
    assert "the restore begun 2026-11-23 01:00:04 UTC was interrupted" in told
    assert "it made and removed no recovery point; the newest" in told


def test_numbers_agree_with_their_nouns() -> None:
    """One file, many files; and of many things two are named."""
    assert count(1, "file") == "1 file"
    assert count(0, "file") == "0 files"
    assert count(1204, "entry", "entries") == "1,204 entries"
    assert count(1, "entry", "entries") == "1 entry"
    assert some_of(Several.of(["a"])) == "a"
    assert some_of(Several.of(["a", "b"])) == "a, b"
    assert some_of(Several.of(["a", "b", "c", "d"])) == "a, b and 2 more"
    assert some_of(Several(["a", "b", "c"], 1_000_000)) == "a, b and 999,998 more"


def test_evidence_names_the_record() -> None:
    """The log's sentence ends with where it stands and its digest."""
    record = append(ledger_on(memory()), "a", sentence="KEPT")
    assert sentences.with_evidence(record.sentence, record) == (
        f"KEPT · evidence crm/1 sha256 {record.sha256[:16]}…"
    )


def test_no_text_from_outside_can_fake_a_line() -> None:
    """Line breaks and terminal codes in a reason become spaces."""
    assert one_line("gone\nKEPT 3.1\r\x1b[2K  all well\u2028x") == "gone KEPT 3.1 [2K all well x"
    sentence = sentences.failed(
        CRM, verdict=Verdict.BROKEN, method="full\n", reason="x\ny", copies=COPIES, hint="z\n"
    )
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
