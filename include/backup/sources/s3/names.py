"""Keys of objects as paths of files, and back: every key has one path, and every path one key.

A key is any text of at most 1024 bytes. Split at "/", most of its parts can name a file and do:
``2026/report.pdf`` is the file ``report.pdf`` in the directory ``2026``. A part that cannot is
escaped as in a URL, behind a mark:

    ~s3~name~…       an empty part (``a//b``, and the ``a/`` that consoles make), ".", "..", a part
                     with NUL in it, or one that begins with ~s3~
    ~s3~object~…     an object beside a directory of its name: ``a`` where there is ``a/b``
    ~s3~begin~…      the beginning of a part longer than 255 bytes: a directory, in which it goes on

Behind a mark "%" and NUL are escaped, and the dots of "." and "..". Restored by stock restic, such
a path is what it is here; put_objects.py, which lies beside each recovery point, and `S3Target`
make the key of it again.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

MARK: Final = "~s3~"
_NAME: Final = f"{MARK}name~"
_OBJECT: Final = f"{MARK}object~"
_BEGIN: Final = f"{MARK}begin~"
_LONGEST_BYTES: Final = 255  # of the name of a file
_BEGINNING_BYTES: Final = 160  # of an escaped part that go into its first name
_ESCAPE: Final = re.compile("%([0-9A-F]{2})")
_NO_NAMES: Final = frozenset({"", ".", ".."})


class Below(NamedTuple):
    """Which keys are in a directory."""

    prefix: str  # what they begin with, relative to the dataset
    heads: tuple[str, ...]  # beginnings of the part that is too long for one name, if this is one

    def rest(self, part: str, *, is_folder: bool, beside_folder: bool) -> str | None:
        """What is left of a part in this directory; None if it has its name elsewhere."""
        for head in self.heads:
            name = name_of(part, is_folder=is_folder, beside_folder=beside_folder)
            if not begins_a_name(name) or _part_of(name) != head:
                return None
            part = part[len(head) :]
        return part


def name_of(part: str, *, is_folder: bool, beside_folder: bool = False) -> str:
    """The name of one part of a key, or of the rest of one, in its directory.

    Args:
        is_folder: more parts follow.
        beside_folder: it is an object, and there is a directory of this name as well.

    Returns:
        A name of at most 255 bytes; if it `begins_a_name`, a directory that holds the rest.
    """
    beside = beside_folder and not is_folder
    possible = part not in _NO_NAMES and "\0" not in part and not part.startswith(MARK)
    if possible and not beside and len(part.encode()) <= _LONGEST_BYTES:
        return part
    escaped = _escape(part)
    name = (_OBJECT if beside else _NAME) + escaped
    if len(name.encode()) <= _LONGEST_BYTES:
        return name
    return _BEGIN + _beginning(escaped)


def begins_a_name(name: str) -> bool:
    """Whether a name is the directory of a part that is too long for one name."""
    return name.startswith(_BEGIN)


def key_of(path: str) -> str:
    """The key of a file by its path, both relative to the dataset.

    Raises:
        ValueError: no object has this path.
    """
    folder, _, name = path.rpartition("/")
    if begins_a_name(name):
        raise ValueError(path)
    return below(folder).prefix + _part_of(name)


def below(folder: str) -> Below:
    """Which keys are in a directory, by its path; "" is the dataset's own.

    Raises:
        ValueError: no key is in a directory of this path.
    """
    prefix, heads = "", []
    for name in folder.split("/") if folder else ():
        part = _part_of(name)
        prefix += part
        if begins_a_name(name):
            heads.append(part)
        else:
            prefix += "/"
            heads.clear()
    return Below(prefix, tuple(heads))


def _part_of(name: str) -> str:
    if name in _NO_NAMES:
        raise ValueError(name)
    if not name.startswith(MARK):
        return name
    for mark in (_NAME, _OBJECT, _BEGIN):
        if name.startswith(mark):
            return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), name.removeprefix(mark))
    raise ValueError(name)


def _escape(part: str) -> str:
    if part in {".", ".."}:
        return "%2E" * len(part)
    return part.replace("%", "%25").replace("\0", "%00")


def _beginning(escaped: str) -> str:
    """As much of an escaped part as goes into one name: whole characters, whole escapes."""
    taken = escaped.encode()[:_BEGINNING_BYTES].decode("utf-8", "ignore")
    end = taken.find("%", len(taken) - 2)
    return taken if end < 0 else taken[:end]
