"""What may be written under `source`, by its type."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from include.backup.errors import ConfigurationInvalid
from include.backup.policy.document import Problems, did_you_mean, pairs_of, quoted, text_of
from include.backup.policy.fields import (
    DURATION,
    FLAG,
    TEXT,
    TEXTS,
    Each,
    Field,
    Section,
    Text,
    below,
    choice,
)
from include.backup.policy.source_model import (
    FilesystemSettings,
    MariadbSettings,
    PostgresqlSettings,
    S3Settings,
    SourceSettings,
)
from include.backup.policy.vault_fields import parse_bucket_url, parse_endpoint, parse_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from yaml.nodes import Node

MOST_JOBS: Final = 64


def _parse_jobs(text: str) -> int:
    if not re.fullmatch("[1-9][0-9]?", text) or int(text) > MOST_JOBS:
        raise ConfigurationInvalid(
            f"{quoted(text)} is no number of jobs", hint=f"write a number from 1 to {MOST_JOBS}"
        )
    return int(text)


def _parse_table(text: str) -> str:
    if text.count(".") != 1:
        raise ConfigurationInvalid(
            f"{quoted(text)} is no pattern of tables", hint="write it as in audit.* or shop.log_*"
        )
    return text


class _Databases:
    """One name, a list of them, or "*"."""

    _one = Text(parse=str)
    _many = Each(kind=_one)

    def read(self, node: Node, path: str, problems: Problems) -> object:
        """See fields.Kind.read."""
        if text_of(node) is None:
            return self._many.read(node, path, problems)
        one = self._one.read(node, path, problems)
        return None if one is None else (one,)

    def schema(self) -> dict[str, Any]:
        """See fields.Kind.schema."""
        return {"anyOf": [self._one.schema(), self._many.schema()]}


_JOBS: Final = Field(
    kind=Text(parse=_parse_jobs, form={"type": "integer", "minimum": 1, "maximum": MOST_JOBS}),
    meaning="how many streams are read at a time",
    default=None,
)
_DATABASES: Final = Field(
    kind=_Databases(),
    meaning='names of databases, or "*" for all there are; that of the connection if left out',
    default=None,
)
_SCHEMA_ONLY: Final = Field(
    kind=Each(kind=Text(parse=_parse_table)),
    meaning="patterns of tables whose rows are left out, as in audit.*",
    default=None,
)
READING: Final = {
    "exclude": Field(kind=TEXTS, meaning="patterns of what is left out", default=None),
    "one_file_system": Field(
        kind=FLAG, meaning="stay on the file system of the path", default=None
    ),
    "exclude_caches": Field(
        kind=FLAG, meaning="leave out what a CACHEDIR.TAG marks as a cache", default=None
    ),
}
CARE: Final = {
    "changing": Field(
        kind=choice("error", "keep"),
        meaning="a file that keeps changing while read: error or keep",
        default=None,
    ),
    "unreadable": Field(
        kind=choice("error", "skip"),
        meaning="a file that cannot be read: error or skip",
        default=None,
    ),
}


class _Kind(NamedTuple):
    """One type of source: what may be written, and what becomes of it."""

    section: Section
    settings: Callable[..., SourceSettings]


def _section(kind: str, fields: dict[str, Field]) -> Section:
    named = {"type": Field(kind=choice(kind), meaning=kind), **fields}
    return Section(what=f"a {kind} source", fields=named)


KINDS: Final = {
    "filesystem": _Kind(
        _section(
            "filesystem",
            {
                "path": Field(kind=Text(parse=parse_path), meaning="the directory, as in /srv/crm"),
                **READING,
                **CARE,
            },
        ),
        FilesystemSettings,
    ),
    "postgresql": _Kind(
        _section(
            "postgresql",
            {
                "connection": Field(kind=TEXT, meaning="the connection to the server"),
                "databases": _DATABASES,
                "schema_only": _SCHEMA_ONLY,
                "unlogged": Field(
                    kind=choice("rows", "schema_only"),
                    meaning="whether the rows of unlogged tables are backed up",
                    default=None,
                ),
                "full_read": Field(
                    kind=FLAG,
                    meaning="read every page each time, instead of those that changed",
                    default=None,
                ),
                "jobs": _JOBS,
                "max_snapshot_age": Field(
                    kind=DURATION,
                    meaning="fail rather than hold back vacuum for longer, as in 4 hours",
                    default=None,
                ),
            },
        ),
        PostgresqlSettings,
    ),
    "mariadb": _Kind(
        _section(
            "mariadb",
            {
                "connection": Field(kind=TEXT, meaning="the connection to the server"),
                "databases": _DATABASES,
                "schema_only": _SCHEMA_ONLY,
                "non_transactional": Field(
                    kind=choice("refuse", "lock"),
                    meaning="tables of engines without transactions: refuse, or lock them",
                    default=None,
                ),
                "jobs": _JOBS,
            },
        ),
        MariadbSettings,
    ),
    "s3": _Kind(
        _section(
            "s3",
            {
                "url": Field(kind=Text(parse=parse_bucket_url), meaning="as in s3://bucket/prefix"),
                "connection": Field(kind=TEXT, meaning="the connection to the bucket"),
                "region": Field(kind=TEXT, meaning="the region of the bucket", default=None),
                "endpoint_url": Field(
                    kind=Text(parse=parse_endpoint),
                    meaning="the address of another S3 server",
                    default=None,
                ),
                "exclude": READING["exclude"],
                "tags": Field(
                    kind=choice("read", "skip"),
                    meaning="whether the tags of objects are backed up",
                    default=None,
                ),
                "jobs": _JOBS,
            },
        ),
        S3Settings,
    ),
}


class Source:
    """A source, whose keys depend on its type: a dictionary, `type` included."""

    def read(self, node: Node, path: str, problems: Problems) -> object:
        """See fields.Kind.read."""
        beside = problems.beside()  # the section below complains about the rest by itself
        pairs, _ = pairs_of(node, path, beside, what="a source")
        kind = text_of(pairs["type"][1]) if "type" in pairs else "filesystem"
        if kind in KINDS:
            return KINDS[kind].section.read(node, path, problems)
        message = f"{quoted(str(kind))} is no type of source"
        hint = did_you_mean(str(kind), KINDS)
        problems.add(pairs["type"][1], below(path, "type"), message, hint)
        return None

    def schema(self) -> dict[str, Any]:
        """See fields.Kind.schema."""
        return {"oneOf": [one.section.schema() for one in KINDS.values()]}


def make_settings(kind: str, values: dict[str, Any]) -> SourceSettings:
    """The settings of a source; None stands for what was not written."""
    given = {key: value for key, value in values.items() if value is not None}
    return KINDS[kind].settings(**given)
