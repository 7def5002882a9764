"""What may be written in datasets.yaml and datasets.d/*.yaml, as tables of fields."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from include.backup.errors import ConfigurationInvalid
from include.backup.policy.document import (
    Problems,
    is_null,
    pairs_of,
    quoted,
)
from include.backup.policy.fields import (
    DATE,
    TEXT,
    Each,
    Field,
    Section,
    Text,
)
from include.backup.policy.recovery_fields import RECOVERY
from include.backup.policy.source_fields import CARE, READING, Source
from include.backup.policy.vault_fields import NAME, Vaults
from include.backup.policy.verification_fields import VERIFICATION

if TYPE_CHECKING:
    from yaml.nodes import Node

RESERVED: Final = frozenset({"all", "datasets", "defaults", "none", "policy", "vault"})
PROVIDERS: Final = ("local", "aws_kms")
_KEY_ARN: Final = "arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]{8,64}"
_SHARE: Final = "[0-9]{1,3} ?%"
_WHOLE: Final = 100
_HEX_KEY: Final = "^[0-9a-f]{64}$"


def _parse_public_key(text: str) -> str:
    if not re.fullmatch(_HEX_KEY, text):
        raise ConfigurationInvalid(
            f"{quoted(text)} is no public key", hint="64 hex digits, as on the recovery sheet"
        )
    return text


def _parse_provider(text: str) -> str:
    if text not in PROVIDERS:
        raise ConfigurationInvalid(
            f"{quoted(text)} is no key provider", hint=f"use {' or '.join(PROVIDERS)}"
        )
    return text


def _parse_share(text: str) -> float:
    if not re.fullmatch(_SHARE, text) or (share := int(text.rstrip(" %"))) > _WHOLE:
        raise ConfigurationInvalid(f"{quoted(text)} is no share", hint="write it as in 80%")
    return share / _WHOLE


def _parse_key_id(text: str) -> str:
    if not re.fullmatch(_KEY_ARN, text):
        raise ConfigurationInvalid(
            f"{quoted(text)} is no ARN of a key",
            hint="as in arn:aws:kms:eu-west-1:111122223333:key/…; an alias may come to mean "
            "another key",
        )
    return text


DEFAULTS: Final = Section(
    what="defaults",
    fields={
        "class": Field(kind=TEXT, meaning="a class of the policy", default=None),
        "owner": Field(kind=TEXT, meaning="who answers for the data", default=None),
        "vault": Field(kind=TEXT, meaning="the name of a vault", default=None),
        "replicas": Field(
            kind=Each(kind=TEXT), meaning="names of vaults that hold copies", default=None
        ),
        "shrink_tolerance": Field(
            kind=Text(parse=_parse_share, form={"pattern": _SHARE}),
            meaning="how much may be gone in one backup without a doubt, as in 80%; else 50%",
            default=None,
        ),
        **READING,
        **CARE,
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
            kind=Source(), meaning="what to read, as in {type: filesystem, path: /srv/crm}"
        ),
        "vault": Field(
            kind=TEXT, meaning="the name of a vault; the first one if left out", default=None
        ),
        "replicas": Field(
            kind=Each(kind=TEXT),
            meaning="names of vaults that hold copies of what is in `vault`",
            default=None,
        ),
        "shrink_tolerance": Field(
            kind=Text(parse=_parse_share, form={"pattern": _SHARE}),
            meaning="how much of it may be gone in one backup without a doubt, as in 80%; else 50%",
            default=None,
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
                        kind=Text(parse=_parse_provider, form={"enum": [*PROVIDERS]}),
                        meaning="local: the connection's password is the key; aws_kms: key_id is",
                    ),
                    "connection": Field(
                        kind=TEXT,
                        meaning="the connection that holds the key, or, of type aws, reaches KMS",
                    ),
                    "key_id": Field(
                        kind=Text(parse=_parse_key_id), meaning="aws_kms: its ARN", default=""
                    ),
                    "offline_recipient": Field(
                        kind=Text(parse=_parse_public_key, form={"pattern": _HEX_KEY}),
                        meaning="a public key, in hex: envelopes open with its private key, which "
                        "lies on paper, as well (`holdfast keys offline` makes one)",
                        default="",
                    ),
                },
            ),
        ),
        "signing_key": Field(
            meaning="the key that signs the ledger: {connection: backup_signing_key}",
            kind=Section(
                what="the signing key",
                fields={
                    "connection": Field(kind=TEXT, meaning="the connection that holds it"),
                    "trusted": Field(
                        kind=Each(kind=Text(parse=_parse_public_key, form={"pattern": _HEX_KEY})),
                        meaning="public keys of former signing keys, in hex, as the sheet has them",
                        default=(),
                    ),
                },
            ),
        ),
        "vaults": Field(kind=Vaults(), meaning="where recovery points lie, by name"),
        "offsite_waiver": Field(
            meaning="3.5: copies count although no vault is offsite: {reason, by, until}",
            default=None,
            kind=Section(
                what="a waiver",
                fields={
                    "reason": Field(kind=TEXT, meaning="why nothing is offsite for now"),
                    "by": Field(kind=TEXT, meaning="who decided"),
                    "until": Field(kind=DATE, meaning="until when it holds, as in 2027-03-31"),
                },
            ),
        ),
        "verification": VERIFICATION,
        "recovery": RECOVERY,
        "defaults": Field(
            kind=DEFAULTS, meaning="what entries leave out, in every file", default=_NO_DEFAULTS
        ),
        "datasets": _DATASETS,
    },
)
