"""What users expect of their data after a restore: `expectations/<dataset>.yaml` (3.4).

    expectations:
      - table: public.orders          a table or view of a database; or  file: customers.csv
        expectation: expect_column_values_to_not_be_null
        column: customer              the rest are its arguments, as Great Expectations names them
      - table: public.orders
        expectation: newest           our own: the newest value is not older than that
        column: placed                at the time of the recovery point
        not_older_than: 2 days
      - table: public.items
        suite: items.json             a suite in Great Expectations' own form, beside this file

`database` says which one, where a dataset has several. Which expectations there are, and what
arguments they take, only Great Expectations knows: see quality/expectations.py.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import yaml

from include.backup.errors import ConfigurationInvalid
from include.backup.policy.document import (
    Problems,
    as_error,
    is_null,
    pairs_of,
    read_document,
    text_of,
)
from include.backup.policy.durations import format_duration, parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import timedelta
    from pathlib import Path

    from yaml.nodes import Node

NEWEST: Final = "newest"
_OURS: Final = ("table", "file", "database", "expectation", "suite", "not_older_than")
_NUMBER: Final = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_FLAGS: Final = {"true": True, "false": False}
_QUOTED: Final = frozenset({"'", '"', "|", ">"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """One thing that is expected of a table or a file."""

    table: str = ""
    file: str = ""  # a path in the dataset
    database: str = ""  # empty: the only one
    kind: str  # as Great Expectations calls it, or NEWEST
    arguments: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    not_older_than: timedelta | None = None  # of NEWEST
    where: str = ""  # file and line, for messages

    @property
    def subject(self) -> str:
        """What it is expected of, for people."""
        return "/".join(filter(None, (self.database, self.table or self.file)))

    @property
    def text(self) -> str:
        """What is expected, for people."""
        told = dict(self.arguments)
        if self.not_older_than is not None:
            told["not older than"] = format_duration(self.not_older_than)
        return f"{self.kind} ({', '.join(f'{key}: {value}' for key, value in told.items())})"


def load_expectations(folder: Path, dataset: str) -> tuple[Expectation, ...]:
    """What is expected of a dataset; nothing where nobody has written anything.

    Raises:
        ConfigurationInvalid: what is written cannot be understood.
    """
    name = f"{dataset}.yaml"
    if not (folder / name).exists():
        return ()
    root = read_document(folder / name, file=f"expectations/{name}", kind=ConfigurationInvalid)
    if root is None:
        return ()
    problems = Problems(f"expectations/{name}")
    pairs, _ = pairs_of(root, "", problems, what="a file of expectations")
    listed = pairs.get("expectations", (None, None))[1]
    if not isinstance(listed, yaml.SequenceNode):
        problems.add(root, "expectations", "is no list", "write `expectations:` and a list below")
        raise as_error(ConfigurationInvalid, problems.found)
    found: list[Expectation] = []
    for number, node in enumerate(listed.value):
        found += _entry(node, f"expectations[{number}]", problems, folder)
    if problems.found:
        raise as_error(ConfigurationInvalid, problems.found)
    return tuple(found)


def _entry(node: Node, path: str, problems: Problems, folder: Path) -> list[Expectation]:
    """The expectations of one entry; what is wrong is noted."""
    pairs, repeated = pairs_of(node, path, problems, what="an expectation")
    for key, key_node in repeated.items():
        problems.add(key_node, f"{path}.{key}", "is written twice", "remove one of the two")
    told = {key: text_of(pairs[key][1]) or "" for key in _OURS if key in pairs}
    arguments = {key: value_of(pair[1]) for key, pair in pairs.items() if key not in _OURS}
    if bool(told.get("table")) == bool(told.get("file")):
        problems.add(node, path, "has to name a table or a file", "as in table: public.orders")
    if bool(told.get("expectation")) == bool(told.get("suite")):
        hint = "as in expectation: expect_column_values_to_not_be_null"
        problems.add(node, path, "has to name an expectation or a suite", hint)
        return []
    where = f"{problems.file} line {node.start_mark.line + 1}"
    subject: dict[str, Any] = {key: told.get(key, "") for key in ("table", "file", "database")}
    try:
        if suite := told.get("suite"):
            return [
                Expectation(kind=kind, arguments=kwargs, where=f"expectations/{suite}", **subject)
                for kind, kwargs in _suite(folder, suite)
            ]
        age = parse_duration(told["not_older_than"]) if told.get("not_older_than") else None
        one = Expectation(
            kind=told["expectation"],
            arguments=arguments,
            not_older_than=age,
            where=where,
            **subject,
        )
        _require_sense(one)
    except ConfigurationInvalid as error:
        problems.add(node, path, error.message, error.hint)
        return []
    return [one]


def _require_sense(one: Expectation) -> None:
    is_newest = one.kind == NEWEST
    if is_newest and (set(one.arguments) != {"column"} or one.not_older_than is None):
        raise ConfigurationInvalid(
            f"{NEWEST} takes a column and not_older_than", hint="as in not_older_than: 2 days"
        )
    if not is_newest and one.not_older_than is not None:
        raise ConfigurationInvalid(f"not_older_than belongs to the expectation {NEWEST}")


def _suite(folder: Path, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The expectations of a suite in Great Expectations' own form.

    Raises:
        ConfigurationInvalid: it cannot be read, or is none.
    """
    if "/" in name or name.startswith("."):
        raise ConfigurationInvalid(f"suite {name} does not lie beside the file")
    try:
        document = json.loads((folder / name).read_bytes())
        for one in document["expectations"]:
            yield str(one.get("type") or one["expectation_type"]), dict(one["kwargs"])
    except OSError as error:
        raise ConfigurationInvalid(f"suite {name} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationInvalid(
            f"suite {name} is no suite of Great Expectations",
            hint='{"expectations": [{"type": "expect_…", "kwargs": {…}}]}',
        ) from error


def value_of(node: Node) -> Any:  # noqa: ANN401  whatever is written
    """A value as it is written: numbers, true, false and null are such; dates stay text."""
    if isinstance(node, yaml.SequenceNode):
        return [value_of(one) for one in node.value]
    if isinstance(node, yaml.MappingNode):
        return {str(key.value): value_of(one) for key, one in node.value}
    text = str(node.value)
    if not isinstance(node, yaml.ScalarNode) or node.style in _QUOTED:
        return text
    if found := _NUMBER.fullmatch(text):
        return float(text) if found[1] or found[2] else int(text)
    return None if is_null(node) else _FLAGS.get(text, text)
