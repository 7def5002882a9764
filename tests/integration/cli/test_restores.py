"""`restores`, `people`, and what `restore` asks: who, why, since when (4.2, 4.3)."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.integration.cli.test_json import PEOPLE

if TYPE_CHECKING:
    from tests.integration.cli.shell import Shell


def test_a_restore_by_command_is_listed_as_outside_approval(shell: Shell) -> None:
    """With who, why and how long; one document tells all of it, as text and as a page."""
    assert "nothing was ever restored" in shell("restores")
    shell("back-up", "crm")
    printed = shell(
        *("restore", "crm", "--to", "out", "--requested-by", "anna", "--reason", "the disk died"),
        *("--compare", "--ticket", "INC-7", "--incident-began", "2026-01-01"),
    )
    assert printed.startswith("BROKEN 4.2 · critical/crm · ")
    assert " read again, and as they were" in printed
    assert "after the incident began (limit 48 h)" in printed
    assert "requested by anna (the disk died), outside approval" in printed
    heading, row = shell("restores").splitlines()
    assert heading.split()[0] == "id"
    for told in ("critical/crm", "anna", "outside approval", "restored", "the disk died"):
        assert told in row
    text = shell("restores", "crm", "--act", row.split()[0])
    for told in ("Restoration record: critical/crm", "INC-7", "outside approval", "sha256"):
        assert told in text
    shell("restores", "crm", "--act", row.split()[0], "--to", "page.html")
    assert "outside approval" in (shell.site / "page.html").read_text()
    assert "hint: restores DATASET --act ID" in shell("restores", "--act", "abcd", code=2)


def test_times_and_places_that_cannot_be_are_refused(shell: Shell) -> None:
    """Before anything is done."""
    shell("back-up", "crm")
    told = shell("restore", "crm", "--to", "out", "--incident-began", "2099-01-01", code=2)
    assert "is yet to come" in told
    told = shell("restore", "crm", "--to", "out", "--incident-began", "soon", code=2)
    assert "is no time" in told
    assert not (shell.site / "out").exists()


def test_somebody_at_a_terminal_is_asked_who_and_why(shell: Shell) -> None:
    """Enter leaves it open: a rescue goes on."""
    shell("back-up", "crm")
    assert "anna (the disk died)" in answered(shell, "one", b"anna\nthe disk died\n")
    assert "(" not in answered(shell, "two", b"\n\n").split("requested by ")[1].split(",")[0]


def answered(shell: Shell, target: str, typed: bytes) -> str:
    """Restore at a terminal; what it printed on standard output."""
    ours, theirs = pty.openpty()
    os.write(ours, typed)
    done = subprocess.run(
        [sys.executable, "-m", "include.backup", "restore", "crm", "--to", target],
        env=shell.environment,
        cwd=shell.site,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        check=True,
        timeout=60,
    )
    os.close(theirs)
    asked = os.read(ours, 10_000)
    os.close(ours)
    assert b"Who asked for it?" in asked
    return done.stdout.decode()


def test_who_may_approve(shell: Shell) -> None:
    """And why others may not; nobody without a file; doctor says how many."""
    assert "names nobody" in shell("people")
    assert "0 may approve restores today" in shell("doctor", code=None)
    (shell.site / "config" / "people.yaml").write_text(PEOPLE)
    _, anna, carl = shell("people").splitlines()
    assert anna.split()[-2:] == ["yes", "2036-02-27"]
    assert carl.endswith("Carl Example (carl) has no training")
    assert "1 may approve restores today" in shell("doctor", code=None)
    (shell.site / "config" / "people.yaml").write_text("people: {anna: {}}")
    assert "FAIL  person anna:" in shell("doctor", code=1)
    (shell.site / "config" / "people.yaml").write_text("people: []")
    assert "FAIL  people:" in shell("doctor", code=1)


def test_what_is_listed_no_more_is_told_as_well(shell: Shell) -> None:
    """Whatever has become of its entry; what cannot be read is told, and the code is 1."""
    shell("back-up", "crm")
    shell("restore", "crm", "--to", "out")
    shell.datasets("\n  crm: {{class: critcal}}\n")
    assert "outside approval" in shell("restores")
    shell.datasets(" {{}}\n")
    assert "outside approval" in shell("restores")
    shell.newest_record("crm").write_text("{}")
    assert "crm: " in shell("restores", code=1)
    assert "--act ID names it" in shell("restores", "--to", "page.html", code=2)
