"""RECOVERY.txt and unwrap.py at the root of a vault: written once, like everything else there.

    RECOVERY.txt    unwrap.py         the first ones
    RECOVERY-2.txt  unwrap-2.py  …    another text: of a later release, or for another address

Whoever backs up sees that the very texts of its release are there under some number, and saves
those that are not under the next one. So two releases side by side write each text once, and no
name is ever written again: no right to overwrite or delete is needed, and locks hold.

A hostile script would steal the master key, and who may write to the vault can leave one. So the
digests of what we saved stand in the signed records, that of unwrap.py on the recovery sheet too;
what no record names is told by `check` and `doctor`.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from include.backup.errors import NameTaken
from include.backup.vault.recovery_text import recovery_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from include.backup.storage.base import FileInfo, Storage

RECOVERY: Final = "RECOVERY.txt"
UNWRAP: Final = "unwrap.py"
_MOST: Final = 999  # of each; somebody who fills the numbers up is told
_LARGEST_BYTES: Final = 1 << 20
_ROUNDS: Final = 5  # against others who save at the same moment


@dataclass(frozen=True, slots=True, kw_only=True)
class RescueFile:
    """A file of this kind that lies in a vault."""

    name: str
    sha256: str  # in hex; of one that is far too large that of nothing


def unwrap_script() -> bytes:
    """The script that opens envelopes without Holdfast."""
    return Path(__file__).with_name(UNWRAP).read_bytes()


def unwrap_sha256() -> str:
    """Its digest, in hex."""
    return sha256(unwrap_script()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Locking:
    """How these files are locked, where the vault locks."""

    until: datetime
    again_before: datetime  # what was saved before is locked anew


def keep_rescue_files(
    vault: Storage,
    *,
    url: str,
    locking: Locking | None = None,
    announce: Callable[[dict[str, str]], None] | None = None,
) -> dict[str, str]:
    """See that the texts of this release are in a vault; save those that are not.

    Args:
        vault: the root of its storage.
        url: its address, for people.
        locking: None where nothing is locked.
        announce: told the names and digests of both before anything is saved, so that a record
            answers for what a run that dies leaves; not called where both are there.

    Returns:
        The names of both, and their digests in hex.

    Raises:
        NameTaken: every number is.
        StorageError.
    """
    script = unwrap_script()
    unwrap, script_there = _find(vault, UNWRAP, lambda _: script)

    def text(name: str) -> bytes:
        return _recovery(vault, name, url=url, unwrap=unwrap)

    def kept(recovery: str) -> dict[str, str]:
        return {recovery: sha256(text(recovery)).hexdigest(), unwrap: unwrap_sha256()}

    recovery, text_there = _find(vault, RECOVERY, text)
    if announce is not None and not (script_there and text_there):
        announce(kept(recovery))
    wanted = unwrap
    unwrap = _keep(vault, UNWRAP, lambda _: script, locking, wanted, script_there)
    if unwrap != wanted:  # another has taken that name: the text has to name this one
        recovery, text_there = _find(vault, RECOVERY, text)
    return kept(_keep(vault, RECOVERY, text, locking, recovery, text_there))


def rescue_files(vault: Storage) -> list[RescueFile]:
    """Every file of this kind in a vault.

    Raises:
        StorageError.
    """
    found = []
    for first in (RECOVERY, UNWRAP):
        for info in _there(vault, first).values():
            data = vault.load(info.name) if info.size_bytes <= _LARGEST_BYTES else b""
            found.append(RescueFile(name=info.name, sha256=sha256(data).hexdigest()))
    return found


def own_texts(vault: Storage, files: Sequence[RescueFile], *, url: str) -> dict[str, str]:
    """The names among those in a vault that hold a text of this release, with their digests."""
    scripts = [one.name for one in files if one.sha256 == unwrap_sha256()]
    digests = {one.name: one.sha256 for one in files}
    own = dict.fromkeys(scripts, unwrap_sha256())
    for script in scripts:
        for name, digest in digests.items():
            text = _recovery(vault, name, url=url, unwrap=script)
            if sha256(text).hexdigest() == digest:
                own[name] = digest
    return own


def _recovery(vault: Storage, name: str, *, url: str, unwrap: str) -> bytes:
    return recovery_text(
        url=url,
        restic_address=vault.restic_address,
        name=name,
        unwrap=unwrap,
        unwrap_sha256=unwrap_sha256(),
    )


def _find(vault: Storage, first: str, text: Callable[[str], bytes]) -> tuple[str, FileInfo | None]:
    """The name of what `text` makes for its own name, and its file; or the next name, and None.

    Raises:
        NameTaken: every number is.
        StorageError.
    """
    there = _there(vault, first)
    for info in there.values():
        wanted = text(info.name)
        if info.size_bytes == len(wanted) and vault.load(info.name) == wanted:
            return info.name, info
    number = max(there, default=0) + 1
    if number > _MOST:
        raise NameTaken(
            f"no number is left for {first} in {vault.url}",
            hint="somebody has taken them all: who may write there? See VAULTS.md",
        )
    return _name(first, number), None


def _keep(
    vault: Storage,
    first: str,
    text: Callable[[str], bytes],
    locking: Locking | None,
    name: str,
    found: FileInfo | None,
) -> str:
    """Save what was not found, under that name or a later one; lock what was, if that is due."""
    for _ in range(_ROUNDS):
        if found is not None:
            if locking is not None and found.modified_at < locking.again_before:
                vault.extend_lock([name], locking.until)
            return name
        with suppress(NameTaken):  # another was quicker, perhaps with the very same
            vault.save(name, text(name), locked_until=locking.until if locking else None)
            return name
        name, found = _find(vault, first, text)
    raise NameTaken(f"others keep taking the names of {first} in {vault.url}")


def _there(vault: Storage, first: str) -> dict[int, FileInfo]:
    """The files of one kind, by their numbers."""
    stem, _, ending = first.partition(".")
    shape = re.compile(rf"{stem}(?:-([0-9]{{1,3}}))?\.{ending}", re.ASCII)
    found = {}
    for info in vault.list(stem):
        if (fits := shape.fullmatch(info.name)) is not None:
            found[int(fits[1] or 1)] = info
    return found


def _name(first: str, number: int) -> str:
    stem, _, ending = first.partition(".")
    return first if number == 1 else f"{stem}-{number}.{ending}"
