"""The setting of a command: how long a vault is waited for, and who may not read what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from include.backup.cli.environment import load_setting, open_storage
from include.backup.errors import ConfigurationInvalid
from include.backup.policy.dataset_model import VaultSettings

ROOT = Path(__file__).resolve().parents[3]


def longest_silence_seconds(storage: Any) -> float:
    """How long one operation can go on without an answer: tries until the patience ends."""
    config = storage._bucket.client.meta.config
    one_try = (
        max(config.connect_timeout, config.read_timeout) * config.retries["total_max_attempts"]
    )
    return float(storage._patience.deadline.total_seconds() + one_try)


def test_a_hurried_command_waits_seconds_not_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """`doctor` gives a bucket that does not answer some 15 seconds, other commands longer."""
    monkeypatch.setenv(
        "AIRFLOW_CONN_VAULT", '{"conn_type": "aws", "login": "a", "password": "b", "extra": {}}'
    )
    vault = VaultSettings(name="v", url="s3://bucket", connection="vault", region="eu-west-1")
    assert longest_silence_seconds(open_storage(vault, hurried=True)) <= 20
    assert longest_silence_seconds(open_storage(vault)) > 120


@pytest.mark.parametrize("name", ["policy.yaml", "datasets.yaml"])
def test_a_file_that_may_not_be_read_is_named_with_its_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The hint says who lacks the right to which file."""
    policy = (ROOT / "include" / "config" / "policy.yaml").read_text(encoding="utf-8")
    (tmp_path / "policy.yaml").write_text(policy)
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == name:
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(ConfigurationInvalid, match="let root read it") as refused:
        load_setting(tmp_path)
    assert str(tmp_path / name) in str(refused.value)
