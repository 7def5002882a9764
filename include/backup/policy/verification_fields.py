"""What may be written about verifications in datasets.yaml: where restores are tried (3.4).

    verification:
      encrypted: true                   somebody says so: customers' data lies there for a while
      filesystem: /srv/scratch          a directory
      postgresql: scratch_db            a connection that may make databases
      mariadb: scratch_my               the same
      s3: scratch_store/bucket/prefix   a connection, and a place in a bucket

Each kind of source has its place; a dataset whose kind has none is read, and not restored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from include.backup.errors import ConfigurationInvalid
from include.backup.policy.document import quoted
from include.backup.policy.fields import FLAG, TEXT, Field, Section, Text
from include.backup.policy.vault_fields import parse_path

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationSettings:
    """Where restores are tried."""

    places: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))  # by source
    encrypted: bool | None = None  # whether those places are; None: nobody has said


def _parse_directory(text: str) -> str:
    path = parse_path(text)
    if path == "/":
        raise ConfigurationInvalid("is the root of the file system")
    return path


def _parse_place(text: str) -> str:
    connection, _, place = text.partition("/")
    if not connection or not place.strip("/"):
        raise ConfigurationInvalid(
            f"{quoted(text)} is no place for objects", hint="write CONNECTION/BUCKET/PREFIX"
        )
    return f"{connection}/{place.strip('/')}"


_PLACES: Final = {
    "filesystem": Field(
        kind=Text(parse=_parse_directory), meaning="a directory for files", default=None
    ),
    "postgresql": Field(kind=TEXT, meaning="a connection that may make databases", default=None),
    "mariadb": Field(kind=TEXT, meaning="a connection that may make databases", default=None),
    "s3": Field(
        kind=Text(parse=_parse_place), meaning="CONNECTION/BUCKET/PREFIX for objects", default=None
    ),
}
_SECTION: Final = Section(
    what="verification",
    fields={
        "encrypted": Field(
            kind=FLAG, meaning="whether what lies in these places is encrypted", default=None
        ),
        **_PLACES,
    },
)
VERIFICATION: Final = Field(
    kind=_SECTION, meaning="3.4: where restores are tried, as in {filesystem: /srv/scratch}",
    default=None,
)  # fmt: skip


def verification_of(values: dict[str, Any] | None) -> VerificationSettings:
    """Settings from what the table has read."""
    if values is None:
        return VerificationSettings()
    places = {kind: values[kind] for kind in _PLACES if values[kind] is not None}
    return VerificationSettings(places=places, encrypted=values["encrypted"])
