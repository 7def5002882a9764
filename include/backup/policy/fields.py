"""Tables of what may be written in a file: one table reads it and describes it to editors.

A `Section` is a table of `Field`s; each field has a kind. Every kind does two things, so that the
loader and the JSON schema cannot drift apart: `read` turns a node into a value, noting problems
instead of raising; `schema` describes what it reads as JSON schema (draft 2020-12).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

import yaml

from include.backup.errors import ConfigurationInvalid
from include.backup.policy.document import (
    Problems,
    closest,
    did_you_mean,
    is_null,
    pairs_of,
    quoted,
    text_of,
)
from include.backup.policy.durations import format_duration, parse_duration, parse_frequency

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from yaml.nodes import Node

REQUIRED: Final = object()  # a default that says there is none


class Kind(Protocol):
    """One kind of value in a file."""

    def read(self, node: Node, path: str, problems: Problems) -> object:
        """The value at `node`; what is wrong with it is noted, and then the result is None."""

    def schema(self) -> dict[str, Any]:
        """The JSON schema of what `read` accepts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One value, understood by a function that raises ConfigurationInvalid for what it refuses."""

    parse: Callable[[str], object]
    form: Mapping[str, Any] = field(default_factory=dict)  # its JSON schema beyond the type

    def read(self, node: Node, path: str, problems: Problems) -> object:
        """See Kind.read."""
        text = text_of(node)
        if is_null(node) or text is None or not text.strip():
            empty = is_null(node) or text is not None
            problems.add(node, path, "is empty" if empty else "is not one plain value")
            return None
        try:
            return self.parse(text)
        except ConfigurationInvalid as error:
            problems.add(node, path, error.message, error.hint)
            return None

    def schema(self) -> dict[str, Any]:
        """See Kind.schema."""
        return {"type": "string", "minLength": 1, **self.form}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """True or false."""

    def read(self, node: Node, path: str, problems: Problems) -> object:
        """See Kind.read."""
        text = text_of(node)
        if text is None or text.lower() not in {"true", "false"}:
            problems.add(node, path, "is neither true nor false")
            return None
        return text.lower() == "true"

    def schema(self) -> dict[str, Any]:
        """See Kind.schema."""
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Each:
    """A list whose items are of one kind, as a tuple."""

    kind: Kind

    def read(self, node: Node, path: str, problems: Problems) -> object:
        """See Kind.read."""
        if not isinstance(node, yaml.SequenceNode):
            problems.add(node, path, "is no list", 'write it as in ["*.tmp", "cache/"]')
            return None
        items = enumerate(node.value)
        return tuple(self.kind.read(item, f"{path}[{number}]", problems) for number, item in items)

    def schema(self) -> dict[str, Any]:
        """See Kind.schema."""
        return {"type": "array", "items": self.kind.schema()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One key of a section."""

    kind: Kind
    meaning: str  # shown by editors
    default: object = REQUIRED


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A mapping with known keys, as a dictionary in which every key has its value or default."""

    fields: Mapping[str, Field]
    what: str  # "a class", in messages

    def read(self, node: Node, path: str, problems: Problems) -> dict[str, Any] | None:
        """See Kind.read. None when anything below was wrong."""
        before = len(problems.found)
        pairs, repeated = pairs_of(node, path, problems, what=self.what)
        for key, key_node in repeated.items():
            problems.add(key_node, below(path, key), "is written twice", "remove one of the two")
        unknown = [key for key in pairs if key not in self.fields]
        for key in unknown:
            message = f"{self.what} has no key {quoted(key)}"
            problems.add(pairs[key][0], below(path, key), message, did_you_mean(key, self.fields))
        misspelt = {closest(key, self.fields) for key in unknown}
        if not isinstance(node, yaml.MappingNode):
            return None
        values = {}
        for key, one in self.fields.items():
            if key in pairs:
                values[key] = one.kind.read(pairs[key][1], below(path, key), problems)
            elif one.default is REQUIRED and key not in misspelt:
                problems.add(node, below(path, key), "is missing", one.meaning)
            else:
                values[key] = one.default
        return values if len(problems.found) == before else None

    def schema(self) -> dict[str, Any]:
        """See Kind.schema."""
        return {
            "type": "object",
            "additionalProperties": False,
            "required": [key for key, one in self.fields.items() if one.default is REQUIRED],
            "properties": {
                key: {"description": one.meaning, **one.kind.schema()}
                for key, one in self.fields.items()
            },
        }


def below(path: str, key: str) -> str:
    """The path of a key of the mapping at `path`."""
    return f"{path}.{key}" if path else key


def choice(*words: str) -> Text:
    """One of some words."""

    def parse(text: str) -> str:
        if text not in words:
            raise ConfigurationInvalid(
                f"{quoted(text)} is not one of {', '.join(words)}", hint=did_you_mean(text, words)
            )
        return text

    return Text(parse=parse, form={"enum": list(words)})


_TIME_OF_DAY: Final = "([01]?[0-9]|2[0-3]):([0-5][0-9])"


def _parse_text(text: str) -> str:
    if not text.replace("\n", "").replace("\t", "").isprintable():
        raise ConfigurationInvalid("holds control characters")
    return text.strip()


def _parse_date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationInvalid(
            f"{quoted(text)} is no date", hint="write it as in 2026-11-24"
        ) from error


def _parse_time_of_day(text: str) -> time:
    if found := re.fullmatch(_TIME_OF_DAY, text, re.ASCII):
        return time(int(found[1]), int(found[2]))
    raise ConfigurationInvalid(
        f"{quoted(text)} is no time of day", hint='write it as in "01:00", UTC'
    )


def _parse_positive_duration(text: str) -> timedelta:
    if not (length := parse_duration(text)):
        raise ConfigurationInvalid(f"{quoted(text)} is no time at all: {format_duration(length)}")
    return length


_DURATION_FORM: Final = {"examples": ["48 hours", "30 days", "90 min"]}

TEXT: Final = Text(parse=_parse_text)
TEXTS: Final = Each(kind=TEXT)
FLAG: Final = Flag()
DATE: Final = Text(parse=_parse_date, form={"format": "date"})
TIME_OF_DAY: Final = Text(parse=_parse_time_of_day, form={"pattern": f"^{_TIME_OF_DAY}$"})
DURATION: Final = Text(parse=_parse_positive_duration, form=_DURATION_FORM)
DURATION_OR_NONE: Final = Text(parse=parse_duration, form=_DURATION_FORM)
FREQUENCY: Final = Text(
    parse=parse_frequency, form={"examples": ["daily", "weekly", "monthly", "every 6 days"]}
)
