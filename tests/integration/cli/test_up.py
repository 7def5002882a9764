"""`make up`: with which keys its Airflow would run. None is started here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from include.backup.errors import KeyUnusable
from include.backup.evidence.signing import Signer
from include.backup.vault.keyring import LocalKey
from scripts import up
from tests.integration.cli.shell import Shell, connection

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of `make up`, in an environment without keys."""
    for name in ("MASTER", "SIGNING"):
        monkeypatch.delenv(f"AIRFLOW_CONN_BACKUP_{name}_KEY", raising=False)
    monkeypatch.setenv("HOLDFAST_CONFIG", shell.environment["HOLDFAST_CONFIG"])
    monkeypatch.setattr(up, "FOLDER", tmp_path / "up")
    return tmp_path / "up"


def test_a_vault_with_records_gets_no_new_keys(
    shell: Shell, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are expected are named; given, they are taken."""
    shell("policy", "review", "--by", "Ada", "--note", "fine")
    signing, master = Signer(bytes([2]) * 32).key_id, LocalKey(bytes([1]) * 32).master_key_id
    with pytest.raises(KeyUnusable, match=f"records signed with key {signing}; new keys"):
        up.own_site()
    shell("back-up", "crm")
    with pytest.raises(KeyUnusable, match=f"generations of master key {master}; new keys") as told:
        up.own_site()
    assert f"or copy it to {folder}/keys.env" in told.value.hint
    assert not (folder / "keys.env").exists()
    monkeypatch.setenv("AIRFLOW_CONN_BACKUP_MASTER_KEY", connection(1))
    assert up.own_site().variables["AIRFLOW_CONN_BACKUP_MASTER_KEY"] == connection(1)


def test_new_keys_are_told_once_with_their_place(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For a new vault; the next `make up` takes them again, and says nothing."""
    made = up.own_site().variables
    assert f"NEW KEYS WERE MADE: {folder}/keys.env" in capsys.readouterr().out
    assert up.own_site().variables == made
    assert "NEW KEYS" not in capsys.readouterr().out
