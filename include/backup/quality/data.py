"""Restored data as expectations want it: tables of databases, or files.

A scratch tells what it holds (`Scratch.data`); expectations.py asks it, whatever it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from include.backup.quality.enforced import Enforced


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """One database that was restored.

    Args:
        dialect: as SQLAlchemy calls it, as in ``postgresql+psycopg``.
        connect: opens a connection of that dialect's driver.
        relations: tables and views in SQL, by the names that users write.
        quote: an identifier in SQL.
        errors: of the driver.
        enforced: what its constraints do not let be otherwise.
    """

    dialect: str
    connect: Callable[[], Any] = field(repr=False)
    relations: Mapping[str, str]
    quote: Callable[[str], str]
    errors: type[Exception]
    enforced: Enforced


@dataclass(frozen=True, slots=True, kw_only=True)
class Databases:
    """Databases by the names that they had."""

    by_name: Mapping[str, Database]


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Files of a directory, or objects of a bucket.

    Args:
        open: opens one by its path in the dataset.
            Raises: FileNotFoundError, OSError.
        size_bytes: how large it is.
            Raises: FileNotFoundError, OSError.
    """

    open: Callable[[str], BinaryIO]
    size_bytes: Callable[[str], int]


Data = Databases | Files
