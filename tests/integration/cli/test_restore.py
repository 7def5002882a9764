"""`restore` into places that are not as they should be."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.integration.cli.shell import Shell


def test_a_file_is_no_place_to_restore_to(shell: Shell) -> None:
    """Nor is one below it; nothing is recorded as a failure."""
    shell("back-up", "crm")
    (shell.site / "file").write_text("mine")
    for place in ("file", "file/below"):
        assert "hint: name a directory" in shell("restore", "crm", "--to", place, code=1)
    assert (shell.site / "file").read_text() == "mine"
    assert json.loads(shell.newest_record("crm").read_text())["kind"] == "recovery-point"


def test_a_directory_in_the_place_of_a_file_stops_only_that_file(shell: Shell) -> None:
    """Whatever the file is; the rest comes back, those entries are named, the exit code is 1."""
    crm, out = shell.site / "crm", shell.site / "out"
    (crm / "link").symlink_to("customers.csv")
    (crm / "twin").write_text("two names")
    os.link(crm / "twin", crm / "twin-too")
    (crm / "zebra.csv").write_text("last")
    shell("back-up", "crm")
    for name in ("customers.csv", "link", "twin-too"):
        (out / name / "inner").mkdir(parents=True)
    (out / "zebra.csv").write_text("old")
    printed = shell("restore", "crm", "--to", "out", "--overwrite", code=1)
    assert "3 entries were not put back: " in printed
    for name in ("customers.csv", "link"):
        assert f"{name}: a directory stands in its place" in printed
    assert "twin-too: link to twin not made" in printed
    assert "hint: everything else was restored" in printed
    assert (out / "zebra.csv").read_text() == "last"
    assert (out / "twin").read_text() == "two names"
    assert (out / "customers.csv" / "inner").is_dir()
    assert not [path for path in out.rglob("*") if "holdfast" in path.name]
    assert json.loads(shell.newest_record("crm").read_text())["kind"] == "failed"
    assert "\n1 of 1 kept\n" in shell("status")
    assert "is whole" in shell("check", "crm")


def test_a_vault_that_cannot_be_made_is_told_with_a_hint(shell: Shell) -> None:
    """A file stands where a directory above it should be."""
    (shell.site / "vault").write_text("")
    assert "hint: correct the url of the vault" in shell("back-up", "crm", code=1)
    shell.datasets("\n  crm: {{}}\n")
    path = shell.site / "config" / "datasets.yaml"
    path.write_text(path.read_text().replace(f"'file://{shell.site}/vault'", "s3://bucket"))
    assert "hint: connection: backup_vault" in shell("policy", code=2)
