"""YAML files as nodes with lines, and the problems found in them.

Nodes, not values, are what the rest of this room reads: a node knows its line, shows duplicate
keys, and has not yet been guessed at (to YAML 1.1, 13:30 is the number 810). Nothing is ever
constructed from a tag. Problems are collected, so that a person sees all of them at once.
"""

from __future__ import annotations

import difflib
import json
import os
import pwd
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

import yaml

from include.backup.errors import ConfigurationInvalid

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from yaml.nodes import Node

_DEEPEST: Final = 30
_LISTED: Final = 20  # words that a hint lists at most
_SHOWN: Final = 80  # characters of a text that messages repeat
_SIZE_LIMIT: Final = 64 << 20
_TAGS: Final = {
    yaml.ScalarNode: "tag:yaml.org,2002:str",
    yaml.SequenceNode: "tag:yaml.org,2002:seq",
    yaml.MappingNode: "tag:yaml.org,2002:map",
}
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})

_Invalid = TypeVar("_Invalid", bound=ConfigurationInvalid)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong in a file, and where."""

    path: str  # as in "classes.critical.rpo"
    message: str
    file: str  # as in "policy.yaml" or "datasets.d/team.yaml"
    line: int  # from 1
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return f"{where}{self._placed()}{f'; hint: {self.hint}' if self.hint else ''}"

    def _placed(self) -> str:
        return f"{self.message} ({self.file} line {self.line})"


@dataclass(slots=True)
class Problems:
    """The problems of one file, or of one entry of it, in the order found."""

    file: str
    found: list[Problem] = field(default_factory=list)

    def add(self, node: Node, path: str, message: str, hint: str = "") -> None:
        """Note what is wrong at `node`."""
        self.found.append(
            Problem(path=path, message=message, file=self.file, line=line_of(node), hint=hint)
        )

    def beside(self) -> Problems:
        """An empty collection for one entry of the same file, which is to fail alone."""
        return Problems(self.file)


def as_error(kind: type[_Invalid], found: Iterable[Problem]) -> _Invalid:
    """One error for all problems: the path of the first, a line for each."""
    first, *others = found
    if not others:
        return kind(first._placed(), path=first.path, hint=first.hint)  # noqa: SLF001  # same module
    lines = [str(problem) for problem in (first, *others)]
    lines[0] = lines[0].removeprefix(f"{first.path}: ")
    return kind("\n".join(lines), path=first.path)


class _DocumentError(yaml.YAMLError):
    """The file is YAML, and yet nothing we would read."""


class _Loader(yaml.CSafeLoader):
    """Nodes without guesses about their type, and without a depth that overflows C's stack."""

    _depth = 0

    def descend_resolver(self, current_node: object, current_index: object) -> None:  # noqa: ARG002  # PyYAML's own signature
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _DocumentError(f"nested more than {_DEEPEST} levels deep")

    def ascend_resolver(self) -> None:
        self._depth -= 1

    def resolve(self, kind: type[Node], value: object, implicit: object) -> str:  # noqa: ARG002  # PyYAML's own signature
        return _TAGS[kind]


def read_document(path: Path, *, file: str, kind: type[ConfigurationInvalid]) -> Node | None:
    """The root node of a YAML file, or None for an empty one.

    Raises:
        kind: the file is absent, cannot be read, is no YAML or holds more than one document.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise kind(f"{path} does not exist", hint="name the folder with --config") from error
    except OSError as error:
        raise kind(f"{path} cannot be read: {error.strerror}", hint=reading_hint(error)) from error
    return parse_document(data, file=file, kind=kind)


def reading_hint(error: OSError) -> str:
    """What to do about a file or a folder of the configuration that cannot be read."""
    if not isinstance(error, PermissionError):
        return ""
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # no such user in this container
        user = f"user {os.geteuid()}"
    return f"let {user} read it, and enter the folders above it"


def parse_document(data: bytes, *, file: str, kind: type[ConfigurationInvalid]) -> Node | None:
    """See read_document; for bytes that are here already."""
    if len(data) > _SIZE_LIMIT:
        raise kind(f"{file} is larger than {_SIZE_LIMIT >> 20} MiB", hint="is it the right file?")
    try:
        return yaml.compose(data, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f" line {mark.line + 1}" if mark else ""
        what = error.problem or error.context or "it cannot be parsed"
        raise kind(f"{file}{line} is not YAML: {what}", hint=_yaml_hint(data, what)) from error
    except yaml.YAMLError as error:
        what = " ".join(str(error).split())
        raise kind(f"{file} is not YAML: {what}", hint=_yaml_hint(data, what)) from error


def _yaml_hint(data: bytes, what: str) -> str:
    if b"\t" in data and ("token" in what or "indent" in what or "character" in what):
        return "indent with spaces, never with tabs"
    if "alias" in what:
        return "put quotes around a text that begins with * or &"
    if "document" in what:
        return "one file holds one document: remove the line ---"
    return ""


def line_of(node: Node) -> int:
    """The line where the node begins, from 1."""
    return int(node.start_mark.line) + 1


def is_null(node: Node) -> bool:
    """Whether nothing is written there."""
    return (
        isinstance(node, yaml.ScalarNode)
        and node.style not in {"'", '"', "|", ">"}
        and node.value in _NULLS
    )


def text_of(node: Node) -> str | None:
    """The text of a scalar without a tag of its own, else None."""
    if isinstance(node, yaml.ScalarNode) and node.tag == _TAGS[yaml.ScalarNode]:
        return str(node.value)
    return None


def pairs_of(
    node: Node, path: str, problems: Problems, *, what: str
) -> tuple[dict[str, tuple[Node, Node]], dict[str, Node]]:
    """The keys of a mapping, each with its key node and its value node; and the repeated ones.

    The first of several definitions stands in the first dictionary; the second holds the key
    node of the last. What is no mapping, or has keys that are no text, is noted as a problem.
    """
    pairs: dict[str, tuple[Node, Node]] = {}
    repeated: dict[str, Node] = {}
    if not isinstance(node, yaml.MappingNode) or node.tag != _TAGS[yaml.MappingNode]:
        written = "nothing" if is_null(node) else _NODE_WORDS.get(type(node), "something else")
        problems.add(node, path, f"is {written}, not {what}", "write it as key: value lines")
        return pairs, repeated
    for key_node, value_node in node.value:
        key = text_of(key_node)
        if key is None:
            problems.add(key_node, path, "has a key that is no plain text")
        elif key == "<<" and key_node.style not in {"'", '"'}:
            problems.add(
                key_node, path, "merges another mapping (<<)", "use defaults: at the top instead"
            )
        elif key in pairs:
            repeated[key] = key_node
        else:
            pairs[key] = (key_node, value_node)
    return pairs, repeated


_NODE_WORDS: Final = {
    yaml.ScalarNode: "a single value",
    yaml.SequenceNode: "a list",
    yaml.MappingNode: "a mapping with a tag",
}


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint for a word that is not among the known ones."""
    choices = list(known)
    if close := closest(word, choices):
        return f"did you mean {close}?"
    if len(choices) > _LISTED:
        return ""
    return f"known here: {', '.join(choices)}" if choices else ""


def closest(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant; empty when none is close."""
    return next(iter(difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)), "")


def quoted(text: str) -> str:
    """A text of the user's as it appears in a message: one line, cut when long."""
    return json.dumps(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...", ensure_ascii=False)
