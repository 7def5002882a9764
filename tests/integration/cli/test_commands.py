"""The command line as a shell sees it: exit codes, output, one-line errors."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from include.backup.evidence.signing import Signer
from tests.integration.cli.shell import ENTRY, Shell, connection

if TYPE_CHECKING:
    from pathlib import Path


def test_a_backup_says_what_it_read_and_stored(shell: Shell) -> None:
    """The sentence opens with the verdict, and the figures follow."""
    printed = shell("back-up", "crm")
    assert printed.startswith("KEPT 3.1 3.3 4.1 · critical/crm · full recovery point")
    assert "taken as a full: there was no generation to add to" in printed
    assert "14 bytes read" in printed


def test_recovery_points_are_listed_newest_first(shell: Shell) -> None:
    """Text and JSON tell the same points in the same order."""
    shell("back-up", "crm")
    shell("back-up", "crm")
    shell("back-up", "crm", "--full")
    points = shell.json("recovery-points", "crm")
    assert [point["method"] for point in points] == ["full", "incremental", "full"]
    assert points[0]["generation"] != points[1]["generation"] == points[2]["generation"]
    lines = shell("recovery-points", "crm").splitlines()
    assert [line.split()[0] for line in lines[1:]] == [p["snapshot"][:8] for p in points]


def test_a_restore_brings_back_what_was_there_then(shell: Shell) -> None:
    """By id, and by a pattern; a directory that is not empty is refused without the flag."""
    shell("back-up", "crm")
    first = shell.json("recovery-points", "crm")[0]["snapshot"]
    (shell.site / "crm" / "customers.csv").write_text("changed\n")
    (shell.site / "crm" / "new.csv").write_text("new\n")
    shell("back-up", "crm")
    shell("restore", "crm", "--to", "old", "--recovery-point", first[:10])
    assert (shell.site / "old" / "customers.csv").read_text() == "id,name\n1,Ada\n"
    shell("restore", "crm", "--to", "part", "--path", "new.*")
    assert [path.name for path in (shell.site / "part").iterdir()] == ["new.csv"]
    refused = shell("restore", "crm", "--to", "old", code=1)
    assert "is not empty; hint: name an empty or a new directory, or give --overwrite" in refused
    shell("restore", "crm", "--to", "old", "--overwrite")
    assert (shell.site / "old" / "customers.csv").read_text() == "changed\n"


def test_a_check_names_each_damage_and_fails(shell: Shell) -> None:
    """Exit 1, one line for each damage; the next backup does not build on it."""
    shell("back-up", "crm")
    assert "in 1 generation is whole" in shell("check", "crm", "--read-data")
    for pack in (shell.site / "vault").rglob("data/*/*"):
        pack.chmod(0o600)
        data = bytearray(pack.read_bytes())
        data[len(data) // 2] ^= 1
        pack.write_bytes(data)
    printed = shell("check", "crm", "--read-data", code=1)
    assert "damage: " in printed
    assert "does not match its name" in printed
    assert "taken as a full: the newest generation is damaged" in shell("back-up", "crm")


def test_status_counts_and_its_exit_code_tells_broken(shell: Shell) -> None:
    """Everything kept: 0. Something broken: 1."""
    shell("back-up", "crm")
    assert "1 of 1 kept" in shell("status")
    [found] = shell.json("status")
    assert found["verdict"] == "KEPT"
    assert found["points"] == 1
    shell.datasets(ENTRY + "  odd: {{class: critcal, owner: a@example.com}}\n")
    assert "1 of 2 kept" in shell("status", code=1)


def test_the_ledger_is_verified_and_its_first_misfit_named(shell: Shell) -> None:
    """A byte changed in a record is found, and the record named."""
    shell("back-up", "crm")
    assert "crm: 4 records fit" in shell("ledger", "verify", "crm")
    record = shell.site / "vault" / "datasets" / "crm" / "ledger" / "0000000002.json"
    record.chmod(0o600)
    record.write_bytes(record.read_bytes().replace(b"opened", b"opemed", 1))
    assert "record 2" in shell("ledger", "verify", "crm", code=1)


def test_an_exported_password_stands_alone_on_the_last_line(shell: Shell) -> None:
    """And the export is in the ledger."""
    shell("back-up", "crm")
    generation = shell.json("recovery-points", "crm")[0]["generation"]
    printed = shell("keys", "export", "crm", generation)
    assert len(printed.splitlines()[-1]) == 64
    assert "AT RISK 3.3" in printed
    assert "has no generation" in shell("keys", "export", "crm", "20200101T000000Z", code=2)


def test_wrong_use_is_exit_two_with_a_hint(shell: Shell) -> None:
    """Unknown datasets, unreadable files and missing keys are the user's to mend."""
    assert "did you mean" in shell("back-up", "crn", code=2)
    assert "hint" in shell("restore", "crm", "--to", "x", "--at", "2020-01-01", code=2)
    del shell.environment["AIRFLOW_CONN_BACKUP_MASTER_KEY"]
    assert "AIRFLOW_CONN_BACKUP_MASTER_KEY" in shell("back-up", "crm", code=2)
    del shell.environment["AIRFLOW_CONN_BACKUP_SIGNING_KEY"]
    told = shell("status", code=2)
    assert "AIRFLOW_CONN_BACKUP_SIGNING_KEY" in told
    assert "BROKEN" not in told
    (shell.site / "config" / "policy.yaml").write_text("classes: [")
    shell("policy", code=2)


def test_why_a_class_cannot_be_kept_is_said_once(shell: Shell) -> None:
    """Beside the class, with the schedule that would do; the error names the class alone."""
    path = shell.site / "config" / "policy.yaml"
    path.write_text(path.read_text().replace("rpo: 48 hours", "rpo: 12 hours"))
    told = shell("policy", code=2)
    assert told.count("no schedule keeps an RPO of 12 h") == 1
    assert "error: class critical cannot keep its promises" in told


def test_a_review_is_recorded_and_looked_up(shell: Shell) -> None:
    """The finding about an overdue review goes when somebody reviews (8)."""
    assert "review-overdue" in shell("policy")
    assert "KEPT 8" in shell("policy", "review", "--by", "Ada", "--note", "no changes")
    printed = shell("policy")
    assert "review-overdue" not in printed
    assert "last review: 20" in printed


def test_the_doctor_tells_what_would_stop_a_backup(shell: Shell) -> None:
    """All is well at first; a lost directory and a lost key are named with a hint."""
    (shell.site / "vault").mkdir()
    assert "all is well" in shell("doctor")
    (shell.site / "crm" / "customers.csv").unlink()
    (shell.site / "crm").rmdir()
    del shell.environment["AIRFLOW_CONN_BACKUP_SIGNING_KEY"]
    printed = shell("doctor", code=1)
    assert "FAIL  dataset crm" in printed
    assert "FAIL  signing key" in printed
    assert "2 to mend" in printed


def test_a_failed_backup_is_one_sentence_and_one_error(shell: Shell) -> None:
    """The dataset's sentence on standard output, the error with its hint below."""
    (shell.site / "crm" / "customers.csv").unlink()
    (shell.site / "crm").rmdir()
    printed = shell("back-up", "crm", code=1)
    assert "full backup failed" in printed
    assert "error: " in printed
    assert "hint: is the volume mounted" in printed


def test_only_the_command_for_it_shows_a_secret(shell: Shell) -> None:
    """Keys and passwords appear in nothing printed, recorded or kept, whatever goes wrong."""
    printed = shell("back-up", "crm") + shell("status") + shell("doctor")
    generation = shell.json("recovery-points", "crm")[0]["generation"]
    password = shell("keys", "export", "crm", generation).splitlines()[-1]
    printed += shell("restore", "crm", "--to", "out") + shell("check", "crm", "--read-data")
    right = dict(shell.environment)
    for name in ("MASTER", "SIGNING"):
        for value in (
            connection(9),
            '{"password": "c2hvcnQ="}',
            "generic://:c2hvcnQ=@",
            "c2hvcnQ=",
        ):
            shell.environment[f"AIRFLOW_CONN_BACKUP_{name}_KEY"] = value
            for command in (("back-up", "crm"), ("restore", "crm", "--to", "no"), ("doctor",)):
                printed += shell(*command, code=None)
            shell.environment = dict(right)
    kept = [path.read_bytes() for path in shell.site.rglob("*.json")]
    keys = [bytes([number]) * 32 for number in (1, 2, 9)]
    secrets = [password, "c2hvcnQ=", *(base64.b64encode(key).decode() for key in keys)]
    for secret in secrets:
        assert secret not in printed
        assert not any(secret.encode() in content for content in kept)


def test_a_changed_signing_key_is_followed_if_the_old_one_is_listed(shell: Shell) -> None:
    """Backups and restores go on, and both keys' records are believed; a stranger's are not."""
    shell("back-up", "crm")
    shell("policy", "review", "--by", "Ada", "--note", "fine")
    old = Signer(bytes([2]) * 32).public_key.hex()
    shell.environment["AIRFLOW_CONN_BACKUP_SIGNING_KEY"] = connection(7)
    assert "is signed with key" in shell("back-up", "crm", code=1)
    assert "policy: record 1" in shell("ledger", "verify", code=1)
    path = shell.site / "config" / "datasets.yaml"
    changed = f"backup_signing_key, trusted: [{old}]}}"
    path.write_text(path.read_text().replace("backup_signing_key}", changed))
    assert "KEPT" in shell("back-up", "crm")
    shell("restore", "crm", "--to", "out")
    assert "signed by" in shell("ledger", "verify")
    path.write_text(path.read_text().replace(old, old[:60]))
    assert "is no public key" in shell("back-up", "crm", code=2)


def test_every_ledger_of_the_vault_is_verified(shell: Shell) -> None:
    """Those of datasets whose entry is wrong or gone, too."""
    shell("back-up", "crm")
    assert "\n1 dataset, 0 entries that cannot be used" in shell("policy")
    shell.datasets("\n  crm: {{clas: critical}}\n")
    assert "\n0 datasets, 1 entry that cannot be used" in shell("policy", code=2)
    assert "crm: 4 records fit" in shell("ledger", "verify")


def test_what_was_asked_for_is_restored_or_refused(shell: Shell) -> None:
    """No empty restore is called kept, and no variable that was not set is a wish."""
    shell("back-up", "crm")
    point = shell.json("recovery-points", "crm")[0]
    listed = point["taken_at"][:19]
    shell("restore", "crm", "--to", "at", "--at", listed)
    shell("restore", "crm", "--to", "day", "--at", listed[:10])
    shell("restore", "crm", "--to", "part", "--path", "./customers.csv")
    before = shell("ledger", "verify", "crm")
    told = shell("restore", "crm", "--to", "none", "--path", "nosuch/*", code=2)
    assert "nothing in recovery point" in told
    assert "hint: patterns are relative" in told
    for wrong in ("/etc", "../x"):
        assert "leads out" in shell("restore", "crm", "--to", "no", "--path", wrong, code=2)
    for option in ("--to", "--path", "--recovery-point"):
        arguments = {"--to": "no", option: ""}
        words = [word for pair in arguments.items() for word in pair]
        assert "it is empty" in shell("restore", "crm", *words, code=2)
    shell("restore", "crm", "--to", "no", "--recovery-point", "ffff", code=2)
    told = shell("restore", "crm", "--to", "no", "--recovery-point", point["id"][:3], code=2)
    assert "is too short" in told
    assert "lies in the vault" in shell("restore", "crm", "--to", "vault/x", code=2)
    assert "lies in the dataset crm" in shell("restore", "crm", "--to", "crm/x", code=2)
    assert "BROKEN" not in before
    assert "\n1 of 1 kept\n" in shell("status")


def test_ctrl_c_and_sigterm_end_in_order(shell: Shell) -> None:
    """One line, no traceback, a record of the failure; the next run takes what was stored."""
    for number in range(3):
        (shell.site / "crm" / f"large{number}").write_bytes(os.urandom(96 << 20))
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        before = len(stored_packs(shell))
        process = subprocess.Popen(
            [sys.executable, "-m", "include.backup", "back-up", "crm"],
            env=shell.environment,
            cwd=shell.site,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        while len(stored_packs(shell)) <= before and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal_number)
        printed, _ = process.communicate(timeout=60)
        assert process.returncode == 1, printed
        assert "Traceback" not in printed
        assert "it was stopped by a signal" in printed
        assert "error: stopped; what was stored is kept" in printed
    figures = shell.json("back-up", "crm")["details"]
    assert figures["bytes_new"] < figures["bytes_read"]  # the rest was stored before


def stored_packs(shell: Shell) -> list[Path]:
    """The packs in the vault."""
    return list(shell.site.glob("vault/datasets/crm/generations/*/data/*/*"))


@pytest.mark.parametrize("slip", ["policy", "entry", "removed", "class"])
def test_no_slip_of_the_hand_takes_the_way_back(shell: Shell, slip: str) -> None:
    """What a vault holds is listed, checked, restored and opened, and what is wrong is told."""
    shell("back-up", "crm")
    generation = shell.json("recovery-points", "crm")[0]["generation"]
    policy = shell.site / "config" / "policy.yaml"
    if slip == "policy":
        policy.write_text("classes: [")
        told = "policy.yaml is not valid, the last valid policy is in force"
    elif slip == "entry":
        shell.datasets(ENTRY.replace("owner:", "ownr:"))
        told = "crm is backed up no more"
    elif slip == "removed":
        shell.datasets(" {{}}")
        told = "crm is backed up no more"
    else:
        policy.write_text(policy.read_text().replace("  critical:", "  vital:"))
        told = "crm is backed up no more"
    assert told in shell("recovery-points", "crm")
    assert told in shell("check", "crm", "--read-data")
    assert told in shell("restore", "crm", "--to", "back")
    assert (shell.site / "back" / "customers.csv").read_text() == "id,name\n1,Ada\n"
    shell("keys", "export", "crm", generation)
    shell("ledger", "verify", "crm")
    if slip != "policy":
        assert "crm" in shell("back-up", "crm", code=2)


def test_the_vault_remembers_the_policy_for_the_command_line(shell: Shell) -> None:
    """On another machine, with a policy.yaml that is none."""
    shell("back-up", "crm")
    (shell.site / "config" / "policy.yaml").write_text("")
    shell.environment["HOLDFAST_STATE"] = str(shell.site / "other-state")
    assert "the last valid policy is in force" in shell("restore", "crm", "--to", "back")
    assert "error" in shell("policy", code=2)


def test_a_new_entry_does_not_stop_what_has_recovery_points(shell: Shell) -> None:
    """Of two that lie inside one another the newcomer has to go."""
    shell("back-up", "crm")
    (shell.site / "team").mkdir()
    outer = (
        "\n  everything: {{class: critical, owner: o@example.com, "
        "source: {{type: filesystem, path: '{site}'}}, vault: other}}"
    )
    shell.datasets(outer + ENTRY)
    path = shell.site / "config" / "datasets.yaml"
    path.write_text(
        path
        .read_text()
        .replace("vaults: {", "vaults: {other: {url: 'file:///nowhere/vault'}, ")
        .replace(f"primary: {{url: 'file://{shell.site}/vault'}}", "primary: {url: 'file:///x/y'}")
    )
    shown = shell("policy", code=2)
    assert "holds dataset crm" in shown
    assert "1 dataset, 1 entry that cannot be used" in shown
