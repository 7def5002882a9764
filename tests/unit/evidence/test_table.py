"""The table of a run: worst first, and how many are kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from include.backup.evidence.table import Row, table
from include.backup.policy.objectives import Verdict

NEWEST = datetime(2026, 11, 23, 1, 0, 4, tzinfo=UTC)


def row(verdict: Verdict, dataset: str, what: str, *, hours: int | None = 1) -> Row:
    """A dataset whose newest copy is so old."""
    return Row(
        verdict=verdict,
        data_class="critical",
        dataset=dataset,
        newest_at=None if hours is None else NEWEST,
        age=None if hours is None else timedelta(hours=hours),
        limit=timedelta(hours=48),
        what=what,
    )


def test_worst_come_first_and_the_kept_are_counted() -> None:
    """What needs a person is at the top, whatever the order of the run."""
    rows = [
        row(Verdict.KEPT, "crm", "complete"),
        row(Verdict.NOT_TESTED, "new", "due 2026-11-24", hours=None),
        row(Verdict.BROKEN, "orders", "the vault\nis full", hours=49),
        row(Verdict.KEPT, "accounts", "complete"),
        row(Verdict.AT_RISK, "web", "/srv/web is gone", hours=26),
    ]
    assert table(rows).splitlines() == [
        "verdict     dataset            newest copy              age   limit  what happened",
        "BROKEN      critical/orders    2026-11-23 01:00:04 UTC  49 h  48 h   the vault is full",
        "AT RISK     critical/web       2026-11-23 01:00:04 UTC  26 h  48 h   /srv/web is gone",
        "NOT TESTED  critical/new       none                           48 h   due 2026-11-24",
        "KEPT        critical/accounts  2026-11-23 01:00:04 UTC  1 h   48 h   complete",
        "KEPT        critical/crm       2026-11-23 01:00:04 UTC  1 h   48 h   complete",
        "2 of 5 kept",
    ]


def test_run_without_datasets_has_no_table() -> None:
    """It says so in its only line."""
    assert table([]) == "0 of 0 kept"


def test_what_is_not_known_is_not_said() -> None:
    """A ledger that cannot be read has no "none"; an entry that is not valid has no limit."""
    rows = [
        Row(
            verdict=Verdict.BROKEN,
            data_class="?",
            dataset="odd",
            newest_at=None,
            age=None,
            limit=None,
            known=False,
            what="no such class",
        )
    ]
    assert table(rows).splitlines()[1:] == [
        "BROKEN   ?/odd    unknown                  no such class",
        "0 of 1 kept",
    ]
