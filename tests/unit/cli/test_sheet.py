"""The recovery sheet that `init` prints, and the one of an offline key."""

from __future__ import annotations

import base64
import re
from argparse import Namespace
from typing import TYPE_CHECKING

from include.backup.cli import keys
from include.backup.cli.kit_folder import ROOT
from include.backup.vault.keyring import LocalKey
from include.backup.vault.offline import open_offline, seal_offline
from include.backup.vault.rescue import unwrap_sha256

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

ARN = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def typed(sheet: str, beside: str) -> bytes:
    """The key that stands below some words, as somebody types it."""
    found = re.search(rf"{beside}.*\n#     (.*)\n", sheet)
    assert found is not None
    return base64.b64decode(found[1].replace(" ", ""), validate=True)


def test_the_sheet_has_all_that_a_rescue_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One page: the key with its id, where to keep it, the script's digest, what comes first."""
    keys.init(Namespace(config=str(tmp_path)))
    printed = capsys.readouterr().out
    sheet = printed.partition("\n\n")[2]
    assert len(sheet.splitlines()) <= 45
    key = typed(sheet, "master key [0-9a-f]{16}")
    assert f"master key {LocalKey(key).master_key_id}\n" in sheet
    assert base64.b64encode(key).decode() in printed.partition("\n\n")[0]
    for words in (unwrap_sha256(), "in two places", "RECOVERY.txt", "keys escrowed", "restore"):
        assert words in sheet


def test_a_key_in_kms_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only the signing key is; the sheet says where the other lies, and how one is had."""
    policy = ROOT / "include" / "config" / "policy.yaml"
    (tmp_path / "policy.yaml").write_bytes(policy.read_bytes())
    (tmp_path / "datasets.yaml").write_text(
        f"key: {{provider: aws_kms, connection: backup_kms, key_id: '{ARN}'}}\n"
        "signing_key: {connection: backup_signing_key}\n"
        "vaults: {primary: {url: 'file:///srv/vault'}}\ndatasets: {}\n"
    )
    keys.init(Namespace(config=str(tmp_path)))
    printed = capsys.readouterr().out
    assert "BACKUP_KMS" not in printed
    assert "BACKUP_SIGNING_KEY" in printed
    assert ARN in printed
    assert "keys offline" in printed


def test_an_offline_key_opens_what_its_public_part_seals(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The line for datasets.yaml and the key on paper belong together."""
    keys.offline(Namespace())
    sheet = capsys.readouterr().out
    found = re.search(r"offline_recipient: ([0-9a-f]{64})\n", sheet)
    assert found is not None
    sealed = seal_offline(bytes.fromhex(found[1]), b"s" * 32, "crm/20261101T010000Z")
    private = typed(sheet, "typed in the place of the master key.\n#")
    assert open_offline(sealed, private, "crm/20261101T010000Z") == b"s" * 32
