"""What was restored is compared before it is handed over, and what is known is no alarm."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from include.backup.actions.back_up import back_up
from include.backup.actions.choosing import Order
from include.backup.actions.restore import restore
from include.backup.policy.model import Method
from include.backup.quality import files
from include.backup.sources import noting
from include.backup.sources.directory import Directory
from tests.damage.site import Site

if TYPE_CHECKING:
    from pathlib import Path

    from include.backup.actions.outcome import Outcome


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Files, links, a pipe and three sockets, in a recovery point."""
    made = Site(tmp_path)
    made.write(a="first", sub__b="second", closed="closed")
    (made.data / "closed").chmod(0)
    (made.data / "link").symlink_to("a")
    os.link(made.data / "a", made.data / "twin")
    os.mkfifo(made.data / "pipe")
    for number in range(3):
        with socket.socket(socket.AF_UNIX) as one:
            here = os.getcwd()  # noqa: PTH109  the name of a socket must be short
            os.chdir(made.data)
            one.bind(f"socket {number}")
            os.chdir(here)
    back_up(made.setting(), "crm", method=Method.FULL)
    return made


def compared(site: Site, *, over: bool = False) -> Outcome:
    """Restore all of it, and compare."""
    target = site.folder / "back"
    order = Order(address=str(target), requested_by="tests", compare=True, overwrites=over)
    return restore(site.setting(), "crm", Directory(target, overwrite=over), order)


def test_every_kind_of_entry_is_as_it_was(site: Site) -> None:
    """Sockets are not there, and need not be; once more over itself the same comes of it."""
    assert compared(site).details["compared"] == "4 files"
    assert compared(site, over=True).details["compared"] == "4 files"


def test_what_stands_in_the_place_of_a_socket_is_no_difference(site: Site) -> None:
    """Its program has made it again, as something else maybe."""
    (site.folder / "back").mkdir()
    (site.folder / "back" / "socket 1").write_text("mine")
    assert compared(site, over=True).details["compared"] == "4 files"


def test_more_notes_than_are_kept_are_no_alarm(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which entries they were about nobody knows any more; content is compared all the same."""
    monkeypatch.setattr(noting, "MOST_KEPT", 1)
    outcome = compared(site)
    assert outcome.details["notes"] == 3
    assert outcome.details["compared"] == "4 files"


def test_a_file_that_nobody_may_read_is_not_compared(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its mode is as it was backed up: root alone reads it."""
    opened = os.open

    def refused(path: Any, *arguments: Any, **more: Any) -> int:
        if os.fsencode(path).endswith(b"/closed"):
            raise PermissionError(13, "Permission denied")
        return opened(path, *arguments, **more)

    compare = files.compare_folder

    def without_right(restored: Any, path: bytes) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(files.os, "open", refused)
            found = compare(restored, path)
        assert [note.text for note in found.faults] == ["closed: not compared: Permission denied"]
        return found

    monkeypatch.setattr("include.backup.quality.handed_over.compare_folder", without_right)
    assert compared(site).details["compared"] == "3 files"
