"""Erasure requests: what is erased again from whatever is restored (GDPR, article 17).

    erasures/<act>/<master key id>.json    sealed (see sealed.py): {version, salt, paths |
                                           statements, database?}
    digest = HMAC-SHA256 of that without its salt, keyed with the salt, in hex: it stands in the
             ledger, and tells nothing of a content that somebody might guess

A backup is not rewritten for a request: what was erased at the source lives on in recovery points
that were taken before, until they expire. It must not come back with a restore.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from include.backup.errors import DamageFound, FileAbsent, LedgerBroken
from include.backup.evidence.fields import Fields, canonical, parse_canonical
from include.backup.format.times import text_of_datetime
from include.backup.vault.generations import GenerationState
from include.backup.vault.sealed import seal, unseal

if TYPE_CHECKING:
    from datetime import datetime

    from include.backup.storage.base import Storage
    from include.backup.vault.generations import Point
    from include.backup.vault.keyring import KeyProvider
    from include.backup.vault.state import DatasetState

ERASURES: Final = "erasures/"  # in the folder of a dataset
LARGEST_BYTES: Final = 1 << 20
_KIND: Final = "erasure"
_VERSION: Final = 1
_SALT_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """A request, as the ledger knows it."""

    id: str  # of the act that registered it
    at: datetime  # when it was registered
    erased_at: datetime  # when it was erased at the source: earlier recovery points hold it
    digest: str  # of what is to be erased

    def concerns(self, point: Point) -> bool:
        """Whether a recovery point may hold what is to be erased."""
        return point.taken_at <= self.erased_at

    def to_json(self) -> dict[str, object]:
        """The request as in the state."""
        return {
            "id": self.id,
            "at": text_of_datetime(self.at),
            "erased_at": text_of_datetime(self.erased_at),
            "digest": self.digest,
        }

    @classmethod
    def of_json(cls, document: object, *, what: str) -> Erasure:
        """Read a request of a state.

        Raises:
            LedgerBroken: names `what` and the field.
        """
        fields = Fields(document, what=what, error=LedgerBroken)
        return cls(
            id=fields.text("id"),
            at=fields.moment("at"),
            erased_at=fields.moment("erased_at"),
            digest=fields.text("digest", shape="[0-9a-f]{64}"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What is to be erased. Names of people may stand in it: it is stored sealed, and not told."""

    paths: tuple[str, ...] = ()  # patterns, as those of `restore --path`
    statements: str = ""  # SQL
    database: str = ""  # in which they are run; empty: the only one

    def to_json(self) -> dict[str, object]:
        """Without what is not there."""
        document: dict[str, object] = {"version": _VERSION}
        optional: dict[str, object] = {
            "paths": list(self.paths),
            "statements": self.statements,
            "database": self.database,
        }
        return document | {name: value for name, value in optional.items() if value}


def still_in(state: DatasetState, erasure: Erasure) -> list[str]:
    """The generations that may hold it: bytes of expired recovery points too, until they die."""
    return [
        one.id
        for one in state.generations
        if one.state is not GenerationState.EXPIRED and one.opened_at <= erasure.erased_at
    ]


def new_file(erased: Erased, provider: KeyProvider, *, dataset: str, act: str) -> tuple[bytes, str]:
    """The file of a request, and the digest for the ledger.

    Raises:
        KeyUnusable: the provider refused.
    """
    salt = secrets.token_bytes(_SALT_BYTES)
    document = erased.to_json()
    content = canonical(document | {"salt": salt.hex()})
    sealed = seal(content, provider, kind=_KIND, dataset=dataset, act=act)
    return sealed, _digest(salt, document)


def file_name(act: str, master_key_id: str) -> str:
    """The name of the file in the folder of its dataset."""
    return f"{ERASURES}{act}/{master_key_id}.json"


def load_erased(
    folder: Storage, provider: KeyProvider, erasure: Erasure, *, dataset: str
) -> Erased:
    """Load what a request is about.

    Raises:
        DamageFound: it is gone, or not what the ledger names.
        KeyUnusable: it opens with another master key.
        StorageError.
    """
    return _parsed(_content(folder, provider, erasure, dataset=dataset), erasure)


def reseal(
    folder: Storage, old: KeyProvider, new: KeyProvider, erasure: Erasure, *, dataset: str
) -> bytes:
    """The file of a request, sealed with another master key.

    Raises:
        as `load_erased`.
    """
    content = _content(folder, old, erasure, dataset=dataset)
    _parsed(content, erasure)
    return seal(content, new, kind=_KIND, dataset=dataset, act=erasure.id)


def _content(folder: Storage, provider: KeyProvider, erasure: Erasure, *, dataset: str) -> bytes:
    try:
        data = folder.load(file_name(erasure.id, provider.master_key_id))
    except FileAbsent:
        raise DamageFound(
            f"erasure {erasure.id} has no file that master key {provider.master_key_id} opens",
            hint="give the key of its time; another copy of the vault may have the file",
        ) from None
    return unseal(data, provider, kind=_KIND, dataset=dataset, act=erasure.id)


def _parsed(content: bytes, erasure: Erasure) -> Erased:
    what = f"erasure {erasure.id}"
    document = dict(
        parse_canonical(content, what=what, largest_bytes=2 * LARGEST_BYTES, error=DamageFound)
    )
    fields = Fields(document, what=what, error=DamageFound)
    salt = bytes.fromhex(fields.text("salt", shape="[0-9a-f]{64}"))
    del document["salt"]
    if not hmac.compare_digest(_digest(salt, document), erasure.digest):
        raise DamageFound(f"{what} is not the one that the ledger names")
    return Erased(
        paths=tuple(fields.texts("paths")),
        statements=fields.text("statements", ""),
        database=fields.text("database", ""),
    )


def _digest(salt: bytes, document: dict[str, object]) -> str:
    return hmac.new(salt, canonical(document), "sha256").hexdigest()
