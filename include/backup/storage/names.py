r"""Names of stored files: what is legal, the same for every storage.

    name = part ("/" part)*
    part = 1 to 255 printable ASCII characters other than "/" and "\", not beginning with "."

A part never begins with a dot, so that no name can climb out of the storage ("..") and a storage
has names of its own for temporary files. What lies in a storage under other names is not ours:
listings pass over it.
"""

from __future__ import annotations

import re

from include.backup.errors import ConfigurationInvalid

LONGEST_NAME = 900  # S3 allows 1024 bytes, the prefix of the vault included

_PART = r"(?!\.)[ -.0-\[\]-~]{1,255}"
_NAME = re.compile(rf"{_PART}(?:/{_PART})*")
_PREFIX = re.compile(rf"(?:{_PART}/)*(?:{_PART})?")


def is_name(text: str) -> bool:
    """Whether `text` can be the name of a stored file."""
    return len(text) <= LONGEST_NAME and _NAME.fullmatch(text) is not None


def checked_name(name: str) -> str:
    """Return `name`.

    Raises:
        ConfigurationInvalid: it is not legal.
    """
    if not is_name(name):
        raise ConfigurationInvalid(f"{name!r} is not a legal name for a stored file")
    return name


def checked_prefix(prefix: str) -> str:
    """Return `prefix`: the beginning of a legal name, cut anywhere.

    Raises:
        ConfigurationInvalid: no legal name begins like that.
    """
    if len(prefix) > LONGEST_NAME or _PREFIX.fullmatch(prefix) is None:
        raise ConfigurationInvalid(f"no name of a stored file can begin with {prefix!r}")
    return prefix


def checked_folder(prefix: str) -> str:
    """Return `prefix`: empty, or a legal name with "/" at its end.

    Raises:
        ConfigurationInvalid: it is something else.
    """
    if prefix and not prefix.endswith("/"):
        raise ConfigurationInvalid(f"{prefix!r} is not a folder: it does not end with a slash")
    return checked_prefix(prefix)
