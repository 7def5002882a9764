"""`/.holdfast/RESTORE.md` is followed to the letter, by stock restic alone."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.interop.archives import Archives
from tests.interop.survey import differences, survey

if TYPE_CHECKING:
    from pathlib import Path

    from include.backup.actions.outcome import Outcome
    from tests.interop.conftest import Restic


@pytest.fixture
def archives(tmp_path: Path) -> Archives:
    """A dataset, crm, and its vault on disk."""
    return Archives(tmp_path)


def commands(text: str) -> list[str]:
    """The lines that stand as code in a page of Markdown."""
    return re.findall(r"^    (\S.*)$", text, re.MULTILINE)


def follow(restic: Restic, archives: Archives, outcome: Outcome, target: Path) -> str:
    """Read RESTORE.md out of the snapshot and run each of its commands; return what they print."""
    page = archives.restic(restic, outcome, "dump", "latest", "/.holdfast/RESTORE.md")
    script = "\n".join(commands(page)).replace("/where/there/is/room", str(target))
    done = subprocess.run(
        ["bash", "-euxc", script],
        env={
            "PATH": f"{restic.binary.rpartition('/')[0]}:/usr/bin:/bin",
            "HOME": str(restic.home),
            "RESTIC_PASSWORD": archives.password(outcome),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return page


def test_a_directory_comes_back_by_what_its_recovery_point_says(
    restic: Restic, archives: Archives, tmp_path: Path
) -> None:
    """The page names the dataset, its extent and the repository, and its commands do."""
    (archives.data / "some" / "folder").mkdir(parents=True)
    (archives.data / "some" / "folder" / "file").write_bytes(b"content")
    (archives.data / "link").symlink_to("some")
    wanted = survey(archives.data)
    outcome = archives.back_up()
    page = follow(restic, archives, outcome, tmp_path / "target")
    assert "Dataset `crm` of class `critical`" in page
    assert ": 1 file, 7 bytes." in page
    assert differences(wanted, survey(tmp_path / "target" / "crm")) == []


def test_what_has_not_changed_is_stored_once(archives: Archives) -> None:
    """The page of an unchanged dataset is the parent's, and so is the root tree."""
    (archives.data / "file").write_bytes(b"content")
    archives.hold_still()
    first, second = archives.back_up(), archives.back_up()
    assert archives.tree(first) == archives.tree(second)
    assert second.details["bytes_stored"] == 0
