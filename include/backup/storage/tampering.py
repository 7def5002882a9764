"""What somebody else did to write-once files of a storage that keeps versions."""

from __future__ import annotations

from typing import NamedTuple


class Tampering(NamedTuple):
    """One name that holds something else than the one version that was saved.

    We save each name once and delete it whole, so more than one version means that somebody has
    overwritten the file, a delete marker that somebody has hidden it, and no version at all that
    somebody has destroyed it, or put a marker where no file was. The oldest version is the file;
    reading returns it still.
    """

    name: str
    versions: int
    markers: int

    @property
    def told(self) -> str:
        """What was done, for people."""
        if not self.versions:
            return f"{self.name} is gone, or never was: only a delete marker is there"
        done = [
            "hidden by a delete marker" if self.markers else "",
            "overwritten" if self.versions > 1 else "",
        ]
        return f"{self.name} was {' and '.join(one for one in done if one)}"


class Remains(NamedTuple):
    """What could not be removed from over a file."""

    name: str
    why: str
    hidden: bool  # from who reads newest versions, as stock restic does
