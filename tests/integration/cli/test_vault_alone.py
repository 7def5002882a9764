"""A stranger with the vault and the master key, and nothing else (invariant 10)."""

from __future__ import annotations

import base64
import shutil
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from include.backup.cli.main import main
from include.backup.errors import StorageFull
from include.backup.evidence.signing import Signer
from include.backup.storage.local import LocalStorage
from tests.integration.cli.shell import ENTRY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.cli.shell import Shell

    Run = Callable[..., str]

_TWO = (
    ENTRY
    + """
  billing:
    class: critical
    owner: billing-team@example.com
    description: invoices
    source: {{type: filesystem, path: {site}/billing}}
"""
)
_SIGNER = Signer(bytes([2]) * 32)


def files(folder: Path) -> dict[str, str]:
    """Every file below a folder, by its digest."""
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def run(shell: Shell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run commands on a machine that has neither configuration nor connections."""
    shell.datasets(_TWO)
    (shell.site / "billing").mkdir()
    (shell.site / "billing" / "invoice").write_text("42")
    shell("back-up", "crm")
    shell("back-up", "billing")
    for name in shell.environment:
        if name.startswith(("AIRFLOW_CONN", "HOLDFAST")):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOLDFAST_CONFIG", str(shell.site / "there is none"))
    monkeypatch.setenv("HOLDFAST_STATE", str(shell.site / "strange"))
    monkeypatch.setenv("HOLDFAST_MASTER_KEY", base64.b64encode(bytes([1]) * 32).decode())
    monkeypatch.chdir(shell.site)

    def command(*arguments: str, code: int = 0) -> str:
        capsys.readouterr()
        assert main(["--vault", f"file://{shell.site}/vault", *arguments]) == code
        told = capsys.readouterr()
        return told.out + told.err

    return command


def test_the_vault_tells_all_that_is_needed(shell: Shell, run: Run) -> None:
    """Which datasets there are, whose, by which promises; nothing in it changes meanwhile."""
    before = files(shell.site / "vault")
    listed = run("datasets")
    assert "billing-team@example.com" in listed
    assert "crm" in listed
    assert "48 h" in listed
    assert "full" in run("recovery-points", "crm")
    told = run("restore", "--class", "critical", "--to", "out", "--reason", "the house burned")
    assert "2 of 2 datasets of class critical restored" in told
    assert files(shell.site / "out" / "crm") == files(shell.site / "crm")
    assert files(shell.site / "out" / "billing") == files(shell.site / "billing")
    assert "KEPT 3.2 · critical/crm" in run("check", "crm", "--read-data")
    generation = next((shell.site / "vault" / "datasets" / "crm" / "generations").iterdir()).name
    assert len(run("keys", "export", "crm", generation).splitlines()[-1]) == 64
    assert files(shell.site / "vault") == before


def test_the_ledger_is_verified_by_the_key_of_the_sheet(run: Run) -> None:
    """Who signed is named, and refused if it is another than the one that is on paper."""
    assert f"signed by {_SIGNER.key_id}" in run("ledger", "verify", "crm")
    run("ledger", "verify", "crm", "--public-key", _SIGNER.public_key.hex())
    other = Signer(bytes([3]) * 32).public_key.hex()
    assert "not trusted" in run("ledger", "verify", "crm", "--public-key", other, code=1)


def test_what_a_stranger_did_is_adopted_and_flagged(shell: Shell, run: Run) -> None:
    """Nobody had signed it; a second time nothing new is recorded."""
    run("restore", "crm", "--to", "out", "--reason", "the house burned")
    told = shell("ledger", "adopt", "crm", "--spool", str(shell.site / "strange"))
    assert "the house burned" in told
    assert "nobody had signed it" in told
    assert "1 record of crm adopted" in told
    before = shell("ledger", "verify", "crm")
    shell("ledger", "adopt", "crm", "--spool", str(shell.site / "strange"))
    assert shell("ledger", "verify", "crm") == before
    [listed] = shell.json("restores", "crm")
    document = shell("restores", "crm", "--act", listed["id"])
    assert "the house burned" in document
    assert "had been signed by nobody" in document
    told = shell("ledger", "adopt", "crm", "--spool", str(shell.site / "crm"), code=2)
    assert "no record of crm waits in" in told


def test_a_draft_of_an_unknown_key_is_refused(
    shell: Shell, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who signs with a key of their own is no unsigned rescue: somebody has to look at it."""
    key = base64.b64encode(bytes([9]) * 32).decode()
    monkeypatch.setenv("AIRFLOW_CONN_BACKUP_SIGNING_KEY", f"generic://:{key.replace('=', '%3D')}@")
    run("restore", "crm", "--to", "out")
    told = shell("ledger", "adopt", "crm", "--spool", str(shell.site / "strange"), code=1)
    assert "refused: " in told
    assert "not trusted" in told


@pytest.mark.parametrize("fate", ["changed", "gone"])
def test_a_ledger_that_cannot_be_believed_stops_no_rescue(
    shell: Shell, run: Run, fate: str
) -> None:
    """The repositories themselves tell what can be restored, and every sentence says so."""
    record = shell.newest_record("crm")
    if fate == "gone":
        shutil.rmtree(record.parent)
    else:
        record.chmod(0o600)
        record.write_text(record.read_text().replace("KEPT", "KEPP"))
    told = run("restore", "crm", "--to", "out")
    assert "AT RISK 6 · the ledger of crm cannot be believed" in told
    assert files(shell.site / "out") == files(shell.site / "crm")
    told = run("check", "crm", code=1)
    assert ("the ledger is gone" if fate == "gone" else "the signature does not fit") in told
    assert "sound" in run("recovery-points", "crm")


def test_one_that_cannot_be_restored_holds_up_no_other(shell: Shell, run: Run) -> None:
    """It is named, the others are there, and the exit code tells."""
    (shell.site / "out" / "billing").mkdir(parents=True)
    (shell.site / "out" / "billing" / "mine").write_text("not to be touched")
    told = run("restore", "--class", "critical", "--to", "out", code=1)
    assert "1 of 2 datasets of class critical restored" in told
    assert "not restored: billing" in told
    assert files(shell.site / "out" / "crm") == files(shell.site / "crm")
    told = run("restore", "--class", "critical", "--to", "next", "--to", "billing=elsewhere")
    assert files(shell.site / "elsewhere") == files(shell.site / "billing")
    assert files(shell.site / "next" / "crm") == files(shell.site / "crm")
    assert not (shell.site / "next" / "billing").exists()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("restore", "--to", "out"), "name one dataset, or a class"),
        (("restore", "crm", "--class", "critical", "--to", "out"), "name one dataset, or a class"),
        (("restore", "crm", "--to", "one", "--to", "two"), "one dataset goes to one place"),
        (("restore", "--class", "gold", "--to", "out"), "no class of the policy"),
        (("restore", "--class", "important", "--to", "out"), "no dataset is of class important"),
        (("restore", "--class", "critical", "--to", "connection:pg"), "one directory for all"),
        (("restore", "--class", "critical", "--to", "crm=out"), "one directory for all"),
        (("restore", "--class", "critical", "--to", "out", "--path", "a"), "a single dataset"),
    ],
)
def test_what_is_not_clear_is_refused(run: Run, arguments: tuple[str, ...], why: str) -> None:
    """Before anything is restored."""
    assert why in run(*arguments, code=2)


def test_without_a_key_nothing_opens(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is wanted is said; a wrong one is told from a damaged envelope."""
    monkeypatch.setenv("HOLDFAST_MASTER_KEY", base64.b64encode(bytes([7]) * 32).decode())
    assert "give the master key of that id" in run("restore", "crm", "--to", "out", code=1)
    monkeypatch.delenv("HOLDFAST_MASTER_KEY")
    assert "set HOLDFAST_MASTER_KEY" in run("restore", "crm", "--to", "out", code=2)


def test_a_folder_without_a_vault_is_refused(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty mount is told from an empty vault, and other commands want a configuration."""
    assert main(["--vault", f"file://{tmp_path}/nothing", "datasets"]) == 2
    assert "is the volume mounted?" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run("status")


def test_the_glass_is_broken_with_a_reason(
    shell: Shell, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No missing signing key stops a restore; the record waits, and is adopted by the next act."""
    del run
    monkeypatch.undo()
    monkeypatch.chdir(shell.site)
    key = "AIRFLOW_CONN_BACKUP_SIGNING_KEY"
    for name, value in shell.environment.items():
        if name != key:
            monkeypatch.setenv(name, value)
    monkeypatch.delenv(key, raising=False)
    assert main(["restore", "crm", "--to", "out"]) == 2
    assert "--break-glass --reason" in capsys.readouterr().err
    assert main(["restore", "crm", "--to", "out", "--break-glass"]) == 2
    command = ["restore", "crm", "--to", "out", "--break-glass", "--reason", "the key is lost"]
    assert main(command) == 0
    assert files(shell.site / "out") == files(shell.site / "crm")
    shell("back-up", "crm")
    [listed] = shell.json("restores", "crm")
    assert listed["reason"] == "the key is lost"
    assert "Glass broken" in shell("restores", "crm", "--act", listed["id"])


def test_an_inventory_that_cannot_be_read_is_passed_over(shell: Shell, run: Run) -> None:
    """It is advice: what lies in the vault is found without it, by its ledger."""
    for path in (shell.site / "vault" / "policy").rglob("*.json"):
        path.chmod(0o600)
        path.write_text("{}")
    told = run("datasets")
    assert "unknown" in told  # whose it is
    assert "48 h" in told
    run("restore", "crm", "--to", "out")
    assert files(shell.site / "out") == files(shell.site / "crm")


def test_a_full_disk_keeps_no_record_from_being_told(
    shell: Shell, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data is there, and the sentence says that its record is nowhere."""

    def refuse(storage: LocalStorage, name: str, *_: object, **__: object) -> None:
        raise StorageFull(f"{name} in {storage.url} could not be saved: no space left on device")

    monkeypatch.setattr(LocalStorage, "save", refuse)
    told = run("restore", "crm", "--to", "out")
    assert "the record could not be kept anywhere" in told
    assert files(shell.site / "out") == files(shell.site / "crm")
