"""RECOVERY.txt and unwrap.py at the root of a vault: each text once, none ever again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from include.backup.errors import NameTaken
from include.backup.storage.memory import MemoryStorage
from include.backup.vault.rescue import (
    Locking,
    keep_rescue_files,
    own_texts,
    rescue_files,
    unwrap_script,
    unwrap_sha256,
)
from tests.unit.vault.samples import NOW

URL = "s3://bucket/vault"


def memory() -> MemoryStorage:
    """An empty vault."""
    return MemoryStorage(lambda: NOW)


def names(vault: MemoryStorage) -> list[str]:
    """Every file in it."""
    return [info.name for info in vault.list()]


def test_the_script_can_be_read_by_who_has_to_trust_it() -> None:
    """Sixty lines at most, `cryptography` and what comes with Python, nothing else."""
    lines = unwrap_script().decode().splitlines()
    assert len(lines) <= 60
    imported = [line.split()[1].partition(".")[0] for line in lines if " import " in f" {line}"]
    imports = {one for line, one in zip(lines, imported, strict=False) if one}
    assert imports <= {"base64", "json", "shlex", "sys", "getpass", "hashlib", "pathlib",
                       "cryptography"}  # fmt: skip


def test_each_text_is_saved_once() -> None:
    """However often somebody backs up."""
    vault = memory()
    first = keep_rescue_files(vault, url=URL)
    assert names(vault) == ["RECOVERY.txt", "unwrap.py"]
    assert first["unwrap.py"] == unwrap_sha256()
    assert keep_rescue_files(vault, url=URL) == first
    assert names(vault) == ["RECOVERY.txt", "unwrap.py"]


def test_another_release_adds_its_own_and_the_first_goes_on_with_the_old_ones() -> None:
    """Two side by side write each text once, whoever comes last."""
    vault = memory()
    vault.save("RECOVERY.txt", b"of an earlier release")
    vault.save("unwrap.py", b"of an earlier release")
    kept = keep_rescue_files(vault, url=URL)
    assert list(kept) == ["RECOVERY-2.txt", "unwrap-2.py"]
    assert b'cp "$VAULT"/unwrap-2.py' in vault.load("RECOVERY-2.txt")
    vault.save("RECOVERY-3.txt", b"of a later release")
    assert keep_rescue_files(vault, url=URL) == kept
    assert len(names(vault)) == 5


def test_the_text_names_its_own_script() -> None:
    """Also when the two have other numbers."""
    vault = memory()
    vault.save("unwrap.py", b"somebody else's")
    keep_rescue_files(vault, url=URL)
    text = vault.load("RECOVERY.txt").decode()
    assert "unwrap-2.py must have the SHA-256" in text
    assert unwrap_sha256() in text


def test_they_are_locked_and_locked_again() -> None:
    """Nobody deletes them before; what was saved long ago is locked anew."""
    now = NOW
    vault = MemoryStorage(lambda: now)
    until = NOW + timedelta(days=365)
    keep_rescue_files(vault, url=URL, locking=Locking(until=until, again_before=NOW))
    now = NOW + timedelta(days=364)
    later = now + timedelta(days=365)
    keep_rescue_files(vault, url=URL, locking=Locking(until=later, again_before=now))
    now = until + timedelta(days=300)
    with pytest.raises(Exception, match="locked until"):
        vault.delete(["unwrap.py"])


def test_what_others_left_is_told_from_ours() -> None:
    """By every byte, and whatever its number."""
    vault = memory()
    kept = keep_rescue_files(vault, url=URL)
    vault.save("unwrap-7.py", unwrap_script() + b"send(key)")
    vault.save("RECOVERY-2.txt", vault.load("RECOVERY.txt"))  # it calls itself RECOVERY.txt
    vault.save("RECOVERY-x.txt", b"has no number: nobody is told to follow it")
    files = rescue_files(vault)
    assert {one.name for one in files} == {*kept, "unwrap-7.py", "RECOVERY-2.txt"}
    assert own_texts(vault, files, url=URL) == kept
    assert own_texts(vault, files, url="s3://another/vault") == {"unwrap.py": unwrap_sha256()}


def test_somebody_who_takes_all_numbers_is_told() -> None:
    """There is no number 1000."""
    vault = memory()
    vault.save("unwrap-999.py", b"")
    with pytest.raises(NameTaken, match=r"no number is left for unwrap\.py"):
        keep_rescue_files(vault, url=URL)
