"""`/.holdfast/RESTORE.md` is followed to the letter, by stock restic alone."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.damage.site import MASTER_KEY
from tests.interop.archives import Archives
from tests.interop.survey import differences, survey
from tests.interop.test_recovery_txt import tools

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


def test_the_page_opens_its_own_repository(
    restic: Restic, archives: Archives, tmp_path: Path
) -> None:
    """By the lines that need the master key, and the script at the root of the vault."""
    archives.write(one=b"1")
    outcome = archives.back_up()
    page = archives.restic(restic, outcome, "dump", "latest", "/.holdfast/RESTORE.md")
    [opening] = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    done = subprocess.run(
        ["bash", "-euc", opening],
        input=MASTER_KEY,
        env={"PATH": f"{tools(tmp_path)}:/usr/bin:/bin", "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "password").read_text() == archives.password(outcome)


def test_the_page_tells_how_much_there_is_and_where(restic: Restic, archives: Archives) -> None:
    """The bytes that have to be free, and the largest directories at the top, largest first."""
    (archives.data / "attachments" / "deep").mkdir(parents=True)
    (archives.data / "attachments" / "deep" / "scan").write_bytes(b"s" * 5000)
    for number in range(13):
        (archives.data / f"small{number:02}").mkdir()
        (archives.data / f"small{number:02}" / "file").write_bytes(b"s" * (number + 1))
    (archives.data / "empty").mkdir()
    outcome = archives.back_up()
    page = archives.restic(restic, outcome, "dump", "latest", "/.holdfast/RESTORE.md")
    assert f"-gt {5000 + sum(range(14))}\n" in page
    parts = re.findall(r"^\* `(.*)`: (.*)$", page, re.MULTILINE)
    assert parts[:2] == [("attachments", "4.9 KiB"), ("small12", "13 bytes")]
    assert len(parts) == 12
    second = archives.back_up()
    assert page == archives.restic(restic, second, "dump", "latest", "/.holdfast/RESTORE.md")


def test_what_has_not_changed_is_stored_once(archives: Archives) -> None:
    """The page of an unchanged dataset is the parent's, and so is the root tree."""
    (archives.data / "file").write_bytes(b"content")
    archives.hold_still()
    first, second = archives.back_up(), archives.back_up()
    assert archives.tree(first) == archives.tree(second)
    assert second.details["bytes_stored"] == 0
