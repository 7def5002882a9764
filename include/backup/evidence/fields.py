"""Reading JSON objects that others may have written: every field typed, every error our own.

A document is read field by field; what is absent, of another type or unknown is refused with the
place of the document and the name of the field. Also here: the canonical form in which documents
are signed and hashed.

    canonical = JSON in UTF-8, keys sorted by code point, no spaces, no escapes that are not needed
                integers, texts, true, false, null, arrays and objects; never a fraction

Fractions are left out because no two languages write them alike.
"""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias, TypeVar

from include.backup.errors import BackupError, DamageFound, LedgerBroken
from include.backup.format.times import datetime_of_text, text_of_datetime

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

JsonObject: TypeAlias = "Mapping[str, object]"

_DEEPEST: Final = 64

Scalar = TypeVar("Scalar", str, int, bool)


def canonical(document: JsonObject) -> bytes:
    """The bytes of `document` that are signed, hashed and stored.

    Texts that are no Unicode (names of files may be anything) are written with backslashes.

    Raises:
        TypeError: it holds something else than the canonical form knows; an error of the caller.
    """
    return json.dumps(
        as_json(document),
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    ).encode()


def as_json(value: object, depth: int = 0) -> object:
    """A copy of `value` made of what the canonical form knows.

    Raises:
        TypeError: it holds something else, or is nested too deeply.
    """
    if depth > _DEEPEST:
        raise TypeError("nested too deeply for a record")
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, (list, tuple)):
        return [as_json(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {_key(key): as_json(item, depth + 1) for key, item in value.items()}
    raise TypeError(f"a record cannot hold {type(value).__name__}")


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a record cannot hold a key of type {type(key).__name__}")
    return key.encode("utf-8", "backslashreplace").decode()


def parse_canonical(
    data: bytes,
    *,
    what: str,
    largest_bytes: int,
    error: type[BackupError] = LedgerBroken,
) -> JsonObject:
    """Read a document that `canonical` wrote; any other bytes are refused.

    Args:
        what: names the document in errors.
        error: the class of errors raised.
    """
    if len(data) > largest_bytes:
        raise error(f"{what} has {len(data)} bytes; the limit is {largest_bytes}")
    try:
        document = json.loads(data, parse_float=_no_fractions, parse_constant=_no_fractions)
        if isinstance(document, dict) and canonical(document) == data:
            return document
    except (ValueError, TypeError, RecursionError) as problem:
        raise error(f"{what} is not canonical JSON: {str(problem)[:80]}") from problem
    raise error(f"{what} is not a canonical JSON object")


def _no_fractions(text: str) -> NoReturn:
    raise ValueError(f"number {text[:20]} is no integer")


class Fields:
    """The fields of one JSON object."""

    def __init__(
        self, document: object, *, what: str, error: type[BackupError] = LedgerBroken
    ) -> None:
        self._what = what
        self.error = error
        if not isinstance(document, dict):
            raise error(f"{what} is no object")
        self._document: JsonObject = document

    def only(self, required: Collection[str], optional: Collection[str] = ()) -> None:
        """Refuse a document that lacks a required field or has an unknown one."""
        for name in required:
            if name not in self._document:
                raise self.error(f"{self._what}: field {name} is missing")
        for name in self._document:
            if name not in required and name not in optional:
                raise self.error(f"{self._what}: field {name[:40]!r} is unknown")

    def text(self, name: str, default: str | None = None, *, shape: str = "") -> str:
        """A text; `shape` is a regular expression for all of it."""
        value = self._typed(name, str, default)
        if shape and re.fullmatch(shape, value, re.ASCII) is None:
            self.refuse(name, value)
        return value

    def number(self, name: str, default: int | None = None, *, least: int = 0) -> int:
        """A whole number, `least` or more."""
        value = self._typed(name, int, default)
        if value < least:
            self.refuse(name, value)
        return value

    def seconds(self, name: str) -> timedelta | None:
        """A length of time in whole seconds; None when the field is absent."""
        if name not in self._document:
            return None
        seconds = self.number(name)
        try:
            return timedelta(seconds=seconds)
        except OverflowError:
            self.refuse(name, seconds)

    def flag(self, name: str, *, default: bool | None = None) -> bool:
        """True or false."""
        return self._typed(name, bool, default)

    def moment(self, name: str) -> datetime:
        """A time, written as this package writes times: UTC, and no digit more than needed."""
        text = self.text(name)
        try:
            moment = datetime_of_text(text)
        except (DamageFound, OverflowError):
            self.refuse(name, text)
        if text_of_datetime(moment) != text:
            self.refuse(name, text)
        return moment

    def moment_or_none(self, name: str) -> datetime | None:
        """A time; None when the field is absent or null."""
        return None if self._document.get(name) is None else self.moment(name)

    def document(self, name: str) -> JsonObject:
        """An object; empty when the field is absent."""
        value = self._document.get(name, {})
        return value if isinstance(value, dict) else self.refuse(name, value)

    def rows(self, name: str) -> list[object]:
        """An array; empty when the field is absent."""
        value = self._document.get(name, [])
        return value if isinstance(value, list) else self.refuse(name, value)

    def texts(self, name: str) -> list[str]:
        """An array of texts; empty when the field is absent."""
        rows = self.rows(name)
        texts = [row for row in rows if isinstance(row, str)]
        return texts if len(texts) == len(rows) else self.refuse(name, rows)

    def numbers(self, name: str) -> list[int]:
        """An array of whole numbers; empty when the field is absent."""
        rows = self.rows(name)
        found = [row for row in rows if isinstance(row, int) and not isinstance(row, bool)]
        return found if len(found) == len(rows) else self.refuse(name, rows)

    def refuse(self, name: str, value: object) -> NoReturn:
        """Say that a field does not hold what it must."""
        raise self.error(f"{self._what}: field {name} holds {str(value)[:60]!r}")

    def _typed(self, name: str, kind: type[Scalar], default: Scalar | None) -> Scalar:
        if name not in self._document and default is not None:
            return default
        value = self._document.get(name)
        # True is an int in Python, and no number in JSON.
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            self.refuse(name, value)
        return value
