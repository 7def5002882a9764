"""What RUNBOOK.md says of a vault that cannot be written, and of a mount that is gone."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from include.backup.cli.main import main
from include.backup.errors import AccessRefused
from include.backup.storage.local import LocalStorage

if TYPE_CHECKING:
    import pytest

    from tests.integration.cli.shell import Shell


def test_reading_commands_need_no_right_to_write(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that the runbook names work on a vault that is read-only or full."""
    shell("back-up", "crm")

    def refuse(storage: LocalStorage, name: str, *_: object, **__: object) -> None:
        raise AccessRefused(f"{name} in {storage.url} could not be saved: read-only file system")

    monkeypatch.setattr(LocalStorage, "save", refuse)
    for name, value in shell.environment.items():
        monkeypatch.setenv(name, value)
    for command in (
        ["status"],
        ["recovery-points", "crm"],
        ["ledger", "verify"],
        ["policy"],
        ["restore", "crm", "--to", str(shell.site / "rescued")],
        ["check", "crm"],
    ):
        assert main(command) == 0, command
    assert list((shell.site / "rescued").iterdir())
    assert main(["doctor"]) == 1
    assert main(["doctor", "--reader"]) == 0
    assert main(["back-up", "crm"]) == 1


_TWO = """
  crm:
    class: critical
    owner: crm-team@example.com
    source: {{type: filesystem, path: {site}/crm, exclude: [/attachments/*]}}
  attachments:
    class: critical
    owner: crm-team@example.com
    source: {{type: filesystem, path: {site}/{name}}}
"""


def test_a_mount_that_vanished_is_noticed_where_it_is_a_dataset(shell: Shell) -> None:
    """Below a dataset it looks like a deletion; by way of a link it may be a dataset of its own."""
    inner = shell.site / "crm" / "attachments"
    inner.mkdir()
    (inner / "scan.pdf").write_text("scan")
    shell("back-up", "crm")
    shutil.rmtree(inner)
    inner.mkdir()  # what is left when its volume is not mounted
    assert "KEPT" in shell("back-up", "crm")
    (inner / "scan.pdf").write_text("scan")
    (shell.site / "crm-attachments").symlink_to(inner)
    shell.datasets(_TWO.replace("{name}", "crm/attachments"))
    assert "lies inside dataset crm" in shell("back-up", "attachments", code=2)
    shell.datasets(_TWO.replace("{name}", "crm-attachments"))
    shell("back-up", "attachments")
    shell("restore", "attachments", "--to", "out")
    assert (shell.site / "out" / "scan.pdf").read_text() == "scan"
    (inner / "scan.pdf").unlink()
    assert "hint: is the volume mounted?" in shell("back-up", "attachments", code=1)
    assert "KEPT" in shell("back-up", "crm")
