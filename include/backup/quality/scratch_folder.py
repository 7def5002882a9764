"""A directory for restores that are tried: one folder below it for each, whose owner is told.

/srv/scratch/holdfast-verify-5f2c…/owner.json     the process that restores
                                   data/          what was restored
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final

from include.backup.errors import RestoreRefused, StorageFull
from include.backup.evidence.wording import size
from include.backup.quality.data import Files
from include.backup.quality.files import compare_folder
from include.backup.quality.scratch import LONGEST
from include.backup.sources.directory import Directory
from include.backup.vault.owners import Owner

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from include.backup.errors import BackupError
    from include.backup.quality.comparing import Compared, Restored
    from include.backup.quality.scratch import Scratch

PREFIX: Final = "holdfast-verify-"
OWNER: Final = "owner.json"
DATA: Final = "data"
_ROOM: Final = 1.05  # of what is restored: blocks that are not full


class FolderScratch:
    """See scratch.Scratch."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.destination = Directory(path)

    def compare(self, restored: Restored) -> Compared:
        """See Scratch.compare."""
        return compare_folder(restored, os.fsencode(self._path))

    def data(self, restored: Restored) -> Files:
        """See Scratch.data."""
        del restored
        return Files(open=self._open, size_bytes=lambda path: self._at(path).stat().st_size)

    def _open(self, path: str) -> BinaryIO:
        return self._at(path).open("rb")

    def _at(self, path: str) -> Path:
        """A file that was restored. A link that was may lead anywhere: it is not followed out."""
        found = (self._path / path).resolve()
        if not found.is_relative_to(self._path.resolve()) or not found.is_file():
            raise FileNotFoundError(path)
        return found


class FolderPlace:
    """See scratch.ScratchPlace."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.address = str(folder)

    def sweep(self, now: datetime) -> list[str]:
        """See ScratchPlace.sweep."""
        try:
            left = [path for path in self._folder.iterdir() if path.name.startswith(PREFIX)]
        except OSError as error:
            raise RestoreRefused(
                f"{self._folder}: {error.strerror}",
                hint="verification.filesystem names a directory that is there, on an encrypted "
                "disk, and may be written to",
            ) from error
        dead = [path for path in left if _is_dead(path, now)]
        for path in dead:
            _remove(path)
        return [str(path) for path in dead]

    def blames_data(self, error: BackupError) -> bool:
        """See ScratchPlace.blames_data: an empty directory takes any files."""
        del error
        return False

    @contextmanager
    def make(self, name: str, owner: Owner, size_bytes: int) -> Iterator[Scratch]:
        """See ScratchPlace.make."""
        self._require_room(size_bytes)
        path = self._folder / f"{PREFIX}{name}"
        try:
            path.mkdir(mode=0o700)
        except OSError as error:
            raise RestoreRefused(f"{path}: {error.strerror}") from error
        try:
            (path / OWNER).write_text(json.dumps(owner.to_json()), encoding="utf-8")
            yield FolderScratch(path / DATA)
        finally:
            _remove(path)

    def _require_room(self, size_bytes: int) -> None:
        free = shutil.disk_usage(self._folder).free
        if free < size_bytes * _ROOM:
            raise StorageFull(
                f"{self._folder} has room for {size(free)}, and {size(size_bytes)} are restored",
                hint="a larger disk; restores are tried one after the other",
            )


def _is_dead(path: Path, now: datetime) -> bool:
    """Whether nobody restores there any more."""
    try:
        owner = Owner.of_json(json.loads((path / OWNER).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        owner = None  # just made, or half removed
    if owner is not None and owner.is_dead():
        return True
    try:
        return now.timestamp() - path.stat().st_mtime > LONGEST.total_seconds()
    except OSError:
        return False


def _remove(path: Path) -> None:
    """Remove a folder with directories in it that may not be written to.

    Raises:
        RestoreRefused: something is left; names it.
    """
    try:
        for folder, names, _ in os.walk(path):
            for inner in (os.path.join(folder, name) for name in names):  # noqa: PTH118
                if not os.path.islink(inner):  # noqa: PTH114  chmod would follow it
                    os.chmod(inner, 0o700)  # noqa: PTH101
        if (data := path / DATA).exists():
            shutil.rmtree(data)  # before the mark: whoever finds half of it knows whose it was
        shutil.rmtree(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise RestoreRefused(
            f"customers' data is left in {path}: {error.strerror}", hint="remove it by hand"
        ) from error
