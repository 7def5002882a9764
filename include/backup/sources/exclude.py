"""What a dataset leaves out: patterns as in a .gitignore, and marked caches.

Source: gitignore(5), as pathspec implements it; the Cache Directory Tagging Specification.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_SIGNATURE: Final = b"Signature: 8a477f597d28d172789f06886806bc55"


class Exclusion:
    """Patterns relative to the root of a dataset. False when there are none."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._spec = None
        if patterns:
            import pathspec  # noqa: PLC0415  only datasets with patterns need it

            self._spec = pathspec.GitIgnoreSpec.from_lines(patterns)

    def __bool__(self) -> bool:
        return self._spec is not None

    def covers(self, path: bytes, *, is_folder: bool) -> bool:
        """Whether an entry, and all below it, is left out."""
        if self._spec is None:
            return False
        text = os.fsdecode(path)
        return self._spec.match_file(f"{text}/" if is_folder else text)


def is_cache_folder(fd: int) -> bool:
    """Whether an open directory holds a valid CACHEDIR.TAG."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    try:
        tag = os.open(b"CACHEDIR.TAG", flags, dir_fd=fd)
    except OSError:
        return False
    try:
        return os.read(tag, len(_SIGNATURE)) == _SIGNATURE
    except OSError:  # a directory, or a pipe with nothing in it
        return False
    finally:
        os.close(tag)
