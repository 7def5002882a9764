"""What somebody else did to write-once files of a storage that keeps versions."""

from __future__ import annotations

from typing import NamedTuple


class Tampering(NamedTuple):
    """One name that holds something else than the one version that was saved.

    We save each name once and delete it whole, so more than one version means that somebody has
    overwritten the file, a delete marker that somebody has hidden it, and no version at all that
    somebody has destroyed it. The oldest version is the file; reading returns it still.
    """

    name: str
    versions: int
    markers: int
