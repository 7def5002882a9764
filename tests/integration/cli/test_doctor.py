"""`doctor` looks before a backup does: at directories, at keys, at what is listed."""

from __future__ import annotations

import json
import shutil

from include.backup.evidence.signing import Signer
from include.backup.vault.rescue import unwrap_script, unwrap_sha256
from tests.integration.cli.shell import ENTRY, Shell, connection


def test_the_directory_of_a_vault_is_never_made(shell: Shell) -> None:
    """Its volume may not be mounted; a file in its place is no vault either."""
    told = shell("doctor", code=1)
    assert f"FAIL  vault primary: {shell.site}/vault is not there" in told
    assert f"is the volume mounted? For a new vault: mkdir -p -m 700 {shell.site}/vault" in told
    assert not (shell.site / "vault").exists()
    (shell.site / "vault").write_text("")
    assert "is no directory" in shell("doctor", code=1)


def test_keys_that_do_not_fit_the_vault_are_told_with_both_ids(shell: Shell) -> None:
    """Before the night in which every backup fails; the right ones, and a trusted old one, fit."""
    (shell.site / "vault").mkdir()
    assert "ok    keys and vault primary: no records yet\n" in shell("doctor")
    shell("back-up", "crm")
    assert "primary: both fit the newest records of 1 dataset\n" in shell("doctor")
    generation = json.loads(shell.newest_record("crm").read_text())["state"]["generations"][0]
    shell.environment["AIRFLOW_CONN_BACKUP_MASTER_KEY"] = connection(8)
    told = shell("doctor", code=1)
    assert f"the newest generation of crm has master key {generation['key']}, and " in told
    assert "1 to mend" in told
    shell.environment["AIRFLOW_CONN_BACKUP_MASTER_KEY"] = connection(1)
    shell.environment["AIRFLOW_CONN_BACKUP_SIGNING_KEY"] = connection(9)
    old, new = Signer(bytes([2]) * 32), Signer(bytes([9]) * 32)
    told = shell("doctor", code=1)
    assert f"signed with key {old.key_id}, and {new.key_id} was given; hint: " in told
    path = shell.site / "config" / "datasets.yaml"
    trusted = f"backup_signing_key, trusted: ['{old.public_key.hex()}']}}"
    path.write_text(path.read_text().replace("backup_signing_key}", trusted))
    assert "all is well" in shell("doctor")


def test_of_many_datasets_only_some_are_read(shell: Shell) -> None:
    """And it says how many are not."""
    shell("back-up", "crm")
    stored = shell.site / "vault" / "datasets"
    entries = ENTRY
    for number in range(30):
        name = f"old{number:02d}"
        shutil.copytree(stored / "crm" / "leases", stored / name / "leases", dirs_exist_ok=True)
        (stored / name / "keys").mkdir()
        (stored / name / "keys" / "something").write_text("")
        (shell.site / name).mkdir()
        entries += (
            f"  {name}: {{{{class: critical, owner: a@example.com, "
            f"source: {{{{type: filesystem, path: {shell.site}/{name}}}}}}}}}\n"
        )
    shell.datasets(entries)
    assert "fit the newest records of 1 dataset; 11 more not looked at\n" in shell("doctor")


def test_an_empty_list_is_told(shell: Shell) -> None:
    """All is well, and nothing is backed up: somebody should know."""
    (shell.site / "vault").mkdir()
    shell.datasets(" {{}}\n")
    assert "note  datasets: none is listed, so nothing is backed up" in shell("doctor")


def test_a_script_that_somebody_left_in_the_vault_stops_at_the_door(shell: Shell) -> None:
    """With the digest of ours while all is well; a stranger's is a FAIL, by its name."""
    vault = shell.site / "vault"
    vault.mkdir()
    assert "RECOVERY.txt and unwrap.py come with the next backup" in shell("doctor", code=None)
    shell("back-up", "crm")
    assert f"RECOVERY.txt, unwrap.py; SHA-256 of unwrap.py: {unwrap_sha256()}" in shell("doctor")
    (vault / "unwrap-2.py").write_bytes(unwrap_script() + b"steal(given)\n")
    told = shell("doctor", code=1)
    assert "FAIL  rescue from vault primary: unwrap-2.py of file://" in told
    assert "none of ours" in told
