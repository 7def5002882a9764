"""What may be written in datasets.yaml and datasets.d/*.yaml, as tables of fields."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from include.backup.errors import ConfigurationInvalid
from include.backup.policy.dataset_model import VaultSettings
from include.backup.policy.document import (
    Problems,
    did_you_mean,
    is_null,
    pairs_of,
    quoted,
    text_of,
)
from include.backup.policy.fields import (
    DATE,
    FLAG,
    TEXT,
    TEXTS,
    Field,
    Section,
    Text,
    below,
    choice,
)

if TYPE_CHECKING:
    from yaml.nodes import Node

NAME: Final = "[a-z0-9][a-z0-9_-]{0,62}"
RESERVED: Final = frozenset({"all", "datasets", "defaults", "none", "policy", "vault"})
NOT_BUILT: Final = ("postgresql", "mariadb", "s3")
_BUCKET_ONLY: Final = ("connection", "region", "endpoint_url", "object_lock")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)


def _parse_path(text: str) -> str:
    if "\0" in text or not text.startswith("/"):
        raise ConfigurationInvalid(
            f"{quoted(text)} is no absolute path", hint="begin it with /: nothing is expanded"
        )
    parts = [part for part in text.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise ConfigurationInvalid(f"{quoted(text)} climbs with ..", hint="write the path itself")
    return f"/{'/'.join(parts)}"


def _parse_vault_url(text: str) -> str:
    form = "write file:///srv/vault or s3://bucket/prefix"
    try:
        split = urlsplit(text)
    except ValueError as error:
        raise ConfigurationInvalid("is no URL", hint=form) from error
    if "@" in split.netloc or split.query or split.fragment:
        # Not repeated in the message: what stands there may be a secret.
        raise ConfigurationInvalid(
            "holds more than a place", hint="credentials belong into the connection"
        )
    if split.scheme == "file" and split.netloc in {"", "localhost"}:
        return f"file://{_parse_path(split.path)}"
    prefix = [part for part in split.path.split("/") if part]
    if split.scheme == "s3" and _BUCKET.fullmatch(split.netloc) and ".." not in prefix:
        return "/".join([f"s3://{split.netloc}", *prefix])
    raise ConfigurationInvalid(f"{quoted(text)} is no place for a vault", hint=form)


def _parse_endpoint(text: str) -> str:
    try:
        split = urlsplit(text)
        host = split.hostname
    except ValueError:
        host = None
    if not host or split.scheme not in {"http", "https"} or "@" in split.netloc:
        raise ConfigurationInvalid("is no address", hint="write it as in https://s3.example.com")
    return text.rstrip("/")


def _parse_provider(text: str) -> str:
    if text == "aws_kms":
        raise ConfigurationInvalid("aws_kms is not built yet", hint="use provider: local")
    if text != "local":
        raise ConfigurationInvalid(f"{quoted(text)} is no key provider", hint="use local")
    return text


CHANGING: Final = choice("error", "keep")
UNREADABLE: Final = choice("error", "skip")
READING: Final = {
    "exclude": Field(kind=TEXTS, meaning="patterns of what is left out", default=None),
    "one_file_system": Field(
        kind=FLAG, meaning="stay on the file system of the path", default=None
    ),
    "exclude_caches": Field(
        kind=FLAG, meaning="leave out what a CACHEDIR.TAG marks as a cache", default=None
    ),
}
_CARE: Final = {
    "changing": Field(
        kind=CHANGING, meaning="a file that keeps changing while read: error or keep", default=None
    ),
    "unreadable": Field(
        kind=UNREADABLE, meaning="a file that cannot be read: error or skip", default=None
    ),
}
_FILESYSTEM: Final = Section(
    what="a filesystem source",
    fields={
        "type": Field(kind=choice("filesystem"), meaning="filesystem"),
        "path": Field(kind=Text(parse=_parse_path), meaning="the directory, as in /srv/crm"),
        **READING,
        **_CARE,
    },
)


class _Source:
    """A source, whose keys depend on its type."""

    def read(self, node: Node, path: str, problems: Problems) -> object:
        """See fields.Kind.read."""
        beside = problems.beside()  # the section below complains about the rest by itself
        pairs, _ = pairs_of(node, path, beside, what="a source")
        kind = text_of(pairs["type"][1]) if "type" in pairs else None
        if kind is None or kind == "filesystem":
            return _FILESYSTEM.read(node, path, problems)
        known = ("filesystem", *NOT_BUILT)
        if kind in NOT_BUILT:
            message, hint = f"sources of type {kind} are not built yet", "so far: filesystem"
        else:
            message, hint = f"{quoted(kind)} is no type of source", did_you_mean(kind, known)
        problems.add(pairs["type"][1], below(path, "type"), message, hint)
        return None

    def schema(self) -> dict[str, Any]:
        """See fields.Kind.schema."""
        return _FILESYSTEM.schema()


DEFAULTS: Final = Section(
    what="defaults",
    fields={
        "class": Field(kind=TEXT, meaning="a class of the policy", default=None),
        "owner": Field(kind=TEXT, meaning="who answers for the data", default=None),
        "vault": Field(kind=TEXT, meaning="the name of a vault", default=None),
        **READING,
        **_CARE,
    },
)
ENTRY: Final = Section(
    what="a dataset",
    fields={
        "class": Field(kind=TEXT, meaning="a class of the policy", default=None),
        "owner": Field(
            kind=TEXT, meaning="who answers for the data, as in crm@example.com", default=None
        ),
        "source": Field(
            kind=_Source(), meaning="what to read, as in {type: filesystem, path: /srv/crm}"
        ),
        "vault": Field(
            kind=TEXT, meaning="the name of a vault; the first one if left out", default=None
        ),
        "description": Field(kind=TEXT, meaning="what the data is", default=""),
        **READING,
        "retired": Field(
            meaning="it is no longer backed up: {date, reason, by}",
            default=None,
            kind=Section(
                what="a retirement",
                fields={
                    "date": Field(kind=DATE, meaning="since when, as in 2026-11-24"),
                    "reason": Field(kind=TEXT, meaning="why it needs no protection any more"),
                    "by": Field(kind=TEXT, meaning="who decided"),
                },
            ),
        ),
        "insecure_reason": Field(
            kind=TEXT, meaning="why sending it unencrypted is accepted; recorded", default=""
        ),
    },
)
_VAULT: Final = Section(
    what="a vault",
    fields={
        "url": Field(
            kind=Text(parse=_parse_vault_url), meaning="file:///srv/vault or s3://bucket/prefix"
        ),
        "connection": Field(
            kind=TEXT, meaning="the connection with the credentials of a bucket", default=""
        ),
        "region": Field(kind=TEXT, meaning="the region of a bucket", default=""),
        "endpoint_url": Field(
            kind=Text(parse=_parse_endpoint), meaning="the address of another S3 server", default=""
        ),
        "object_lock": Field(
            kind=choice("governance", "compliance"),
            meaning="lock what is saved until it expires",
            default="",
        ),
        "insecure_reason": Field(
            kind=TEXT, meaning="why plain http or unverified TLS is accepted; recorded", default=""
        ),
    },
)


class Vaults:
    """The mapping of vault names to vaults."""

    def read(self, node: Node, path: str, problems: Problems) -> object:
        """See fields.Kind.read."""
        before = len(problems.found)
        pairs, repeated = pairs_of(node, path, problems, what="the vaults")
        for name, key_node in repeated.items():
            problems.add(key_node, below(path, name), "is written twice", "remove one of the two")
        if not pairs and len(problems.found) == before:
            problems.add(node, path, "is empty", "name one: {primary: {url: file:///srv/vault}}")
        vaults: dict[str, VaultSettings] = {}
        for name, (key_node, value_node) in pairs.items():
            if not re.fullmatch(NAME, name):
                problems.add(key_node, path, f"{quoted(name)} cannot name a vault", NAME_HINT)
            elif values := _VAULT.read(value_node, below(path, name), problems):
                vault = VaultSettings(name=name, **values)
                for message in _contradictions(vault, vaults):
                    problems.add(key_node, below(path, name), message)
                vaults[name] = vault
        return vaults

    def schema(self) -> dict[str, Any]:
        """See fields.Kind.schema."""
        return {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": False,
            "patternProperties": {f"^{NAME}$": _VAULT.schema()},
        }


NAME_HINT: Final = "use a-z, 0-9, _ and -, at most 63, beginning with a letter or digit"


def _contradictions(vault: VaultSettings, others: dict[str, VaultSettings]) -> list[str]:
    found = [f"is the same place as {one.name}" for one in others.values() if one.url == vault.url]
    if vault.local_path:
        given = (key for key in _BUCKET_ONLY if getattr(vault, key))
        found.extend(f"{key} has no meaning for a directory" for key in given)
        if vault.local_path == "/":
            found.append("is the root of the file system")
    elif not vault.connection:
        found.append("a bucket needs a connection")
    return found


class Entries(NamedTuple):
    """The entries of one file, unread, so that each can fail alone."""

    pairs: dict[str, tuple[Node, Node]]
    repeated: dict[str, Node]


class EntriesKind:
    """The mapping of dataset names to entries."""

    def read(self, node: Node, path: str, problems: Problems) -> Entries:
        """See fields.Kind.read."""
        if is_null(node):
            return Entries({}, {})
        return Entries(*pairs_of(node, path, problems, what="the datasets"))

    def schema(self) -> dict[str, Any]:
        """See fields.Kind.schema."""
        return {
            "type": ["object", "null"],
            "additionalProperties": False,
            "patternProperties": {f"^{NAME}$": ENTRY.schema()},
        }


NO_ENTRIES: Final = Entries({}, {})
_DATASETS: Final = Field(kind=EntriesKind(), meaning="the datasets by name", default=NO_ENTRIES)
_NO_DEFAULTS: Final[dict[str, Any]] = dict.fromkeys(DEFAULTS.fields)
_DEFAULTS: Final = Field(
    kind=DEFAULTS, meaning="what entries of this file leave out", default=_NO_DEFAULTS
)
TEAM_FILE: Final = Section(
    what="a file of datasets", fields={"defaults": _DEFAULTS, "datasets": _DATASETS}
)
MAIN_FILE: Final = Section(
    what="datasets.yaml",
    fields={
        "key": Field(
            meaning="the master key: {provider: local, connection: backup_master_key}",
            kind=Section(
                what="the master key",
                fields={
                    "provider": Field(
                        kind=Text(parse=_parse_provider, form={"enum": ["local"]}),
                        meaning="local: the connection's password is the key",
                    ),
                    "connection": Field(kind=TEXT, meaning="the connection that holds the key"),
                },
            ),
        ),
        "signing_key": Field(
            meaning="the key that signs the ledger: {connection: backup_signing_key}",
            kind=Section(
                what="the signing key",
                fields={"connection": Field(kind=TEXT, meaning="the connection that holds it")},
            ),
        ),
        "vaults": Field(kind=Vaults(), meaning="where recovery points lie, by name"),
        "defaults": Field(
            kind=DEFAULTS, meaning="what entries leave out, in every file", default=_NO_DEFAULTS
        ),
        "datasets": _DATASETS,
    },
)
