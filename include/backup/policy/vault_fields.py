"""What may be written about vaults in datasets.yaml, as a table of fields."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from include.backup.errors import ConfigurationInvalid
from include.backup.policy.dataset_model import VaultSettings
from include.backup.policy.document import Problems, pairs_of, quoted
from include.backup.policy.fields import TEXT, Field, Flag, Section, Text, below, choice

if TYPE_CHECKING:
    from yaml.nodes import Node

NAME: Final = "[a-z0-9][a-z0-9_-]{0,62}"
NAME_HINT: Final = "use a-z, 0-9, _ and -, at most 63, beginning with a letter or digit"
_NO_CONNECTION: Final = "a bucket needs a connection"
_HINTS: Final = {
    _NO_CONNECTION: "connection: backup_vault, and an Airflow connection of that name, type aws, "
    "whose login and password are the access key"
}
_BUCKET_ONLY: Final = (
    *("connection", "expirer", "region", "endpoint_url"),
    *("object_lock", "envelope_lock"),
)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)


def parse_path(text: str) -> str:
    """An absolute path without detours.

    Raises:
        ConfigurationInvalid.
    """
    if "\0" in text or not text.startswith("/"):
        raise ConfigurationInvalid(
            f"{quoted(text)} is no absolute path", hint="begin it with /: nothing is expanded"
        )
    parts = [part for part in text.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise ConfigurationInvalid(f"{quoted(text)} climbs with ..", hint="write the path itself")
    return f"/{'/'.join(parts)}"


def parse_vault_url(text: str) -> str:
    """The address of a vault, without a "/" at its end.

    Raises:
        ConfigurationInvalid.
    """
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
        return f"file://{parse_path(split.path)}"
    if split.scheme == "s3":
        return parse_bucket_url(text)
    raise ConfigurationInvalid(f"{quoted(text)} is no place for a vault", hint=form)


def parse_bucket_url(text: str) -> str:
    """A bucket and a prefix, without a "/" at its end.

    Raises:
        ConfigurationInvalid.
    """
    place = text.removeprefix("s3://")
    bucket, *prefix = place.split("/")
    prefix = [part for part in prefix if part]
    if place == text or not _BUCKET.fullmatch(bucket) or ".." in prefix:
        raise ConfigurationInvalid(
            f"{quoted(text)} is no place in a bucket", hint="write s3://bucket/prefix"
        )
    return "/".join([f"s3://{bucket}", *prefix])


def parse_endpoint(text: str) -> str:
    """The address of an S3 server.

    Raises:
        ConfigurationInvalid.
    """
    try:
        split = urlsplit(text)
        host = split.hostname
    except ValueError:
        host = None
    if not host or split.scheme not in {"http", "https"} or "@" in split.netloc:
        raise ConfigurationInvalid("is no address", hint="write it as in https://s3.example.com")
    return text.rstrip("/")


_VAULT: Final = Section(
    what="a vault",
    fields={
        "url": Field(
            kind=Text(parse=parse_vault_url), meaning="file:///srv/vault or s3://bucket/prefix"
        ),
        "connection": Field(
            kind=TEXT, meaning="the connection with the credentials of a bucket", default=""
        ),
        "expirer": Field(
            kind=TEXT,
            meaning="the connection that may delete what has expired; else the other one does",
            default="",
        ),
        "region": Field(kind=TEXT, meaning="the region of a bucket", default=""),
        "endpoint_url": Field(
            kind=Text(parse=parse_endpoint), meaning="the address of another S3 server", default=""
        ),
        "object_lock": Field(
            kind=choice("governance", "compliance"),
            meaning="lock what is saved until it expires",
            default="",
        ),
        "envelope_lock": Field(
            kind=choice("governance"),
            meaning="let who may bypass governance erase generations early, by their keys",
            default="",
        ),
        "insecure_reason": Field(
            kind=TEXT, meaning="why plain http or unverified TLS is accepted; recorded", default=""
        ),
        "offsite": Field(
            kind=Flag(),
            meaning="3.5: whether it lies where no disaster reaches both it and the data",
            default=None,
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
                    problems.add(key_node, below(path, name), message, _HINTS.get(message, ""))
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


def _contradictions(vault: VaultSettings, others: dict[str, VaultSettings]) -> list[str]:
    found = [f"is the same place as {one.name}" for one in others.values() if one.url == vault.url]
    if vault.local_path:
        given = (key for key in _BUCKET_ONLY if getattr(vault, key))
        found.extend(f"{key} has no meaning for a directory" for key in given)
        if vault.local_path == "/":
            found.append("is the root of the file system")
        return found
    if not vault.connection:
        found.append(_NO_CONNECTION)
    if vault.envelope_lock and vault.object_lock != "compliance":
        found.append("envelope_lock has a meaning beside object_lock: compliance only")
    return found
