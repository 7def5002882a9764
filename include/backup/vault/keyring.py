"""Envelopes: the password of each generation's repository, wrapped with a master key.

    secret    = 256 random bits, new for every generation
    password  = secret as 64 hex digits: what `restic` asks for
    envelope  = canonical JSON {version, provider, master_key_id, dataset, generation, wrapped,
                                created_at, offline?}
    version   = 1; 2 if there is a second recipient: `offline`, see offline.py
    wrapped   = base64 of what the provider made of the secret
                local: AES key wrap of the 32 bytes with the 256-bit master key (40 bytes)
    master key id (local) = first 16 hex digits of SHA-256("holdfast master key" + key)

Key wrap binds the secret to no place; that an envelope is the one that was made for its generation
is shown by its SHA-256, which stands in the signed `opened` record.

Source: RFC 3394; NIST SP 800-38F.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Protocol

from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap,
    aes_key_wrap,
)

from include.backup.errors import DamageFound, FileAbsent, KeyUnusable
from include.backup.evidence.fields import Fields, canonical, parse_canonical
from include.backup.evidence.signing import KEY_SIZE, key_bytes_of_text
from include.backup.format.times import text_of_datetime
from include.backup.storage.retry import reread
from include.backup.vault.layout import envelope_folder, envelope_name
from include.backup.vault.offline import OfflineCopy, seal_offline

if TYPE_CHECKING:
    from datetime import datetime

    from include.backup.storage.base import Storage

VERSION: Final = 1
WITH_OFFLINE: Final = 2
LARGEST_BYTES: Final = 1 << 16
SECRET_SIZE: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositorySecret:
    """What opens one repository. Never printed: `repr` shows nothing of it."""

    secret: bytes = field(repr=False)  # 32 bytes

    @property
    def password(self) -> str:
        """The password for stock restic: 64 hex digits."""
        return self.secret.hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyContext:
    """What a secret is for. Providers that can bind it into the wrapping do."""

    dataset: str
    generation: str


class KeyProvider(Protocol):
    """Something that wraps secrets with a master key and unwraps them again."""

    @property
    def name(self) -> str:
        """The provider as envelopes name it: ``local``."""

    @property
    def master_key_id(self) -> str:
        """Which master key it is, in 16 hex digits that tell nothing about the key."""

    def wrap(self, secret: bytes, context: KeyContext) -> bytes:
        """Encrypt a secret of 32 bytes.

        Raises:
            KeyUnusable: the provider refused.
        """

    def unwrap(self, wrapped: bytes, context: KeyContext) -> bytes:
        """Decrypt what `wrap` made in the same context.

        Raises:
            KeyUnusable: another key, another context, or changed bytes.
        """


class LocalKey:
    """The provider ``local``: a 256-bit master key that this process was given."""

    __slots__ = ("_key", "master_key_id")

    name: Final = "local"
    master_key_id: str

    def __init__(self, key: bytes) -> None:
        """Take the key.

        Raises:
            KeyUnusable: not 32 bytes.
        """
        if len(key) != KEY_SIZE:
            raise KeyUnusable(f"the master key has {len(key)} bytes, not {KEY_SIZE}")
        self._key = key
        self.master_key_id = sha256(b"holdfast master key" + key).hexdigest()[:16]

    @classmethod
    def of_text(cls, text: str) -> LocalKey:
        """Take the key from the password of its connection.

        Raises:
            ConfigurationInvalid: it does not hold 32 bytes in base64.
        """
        return cls(key_bytes_of_text(text, what="the master key"))

    def wrap(self, secret: bytes, context: KeyContext) -> bytes:  # noqa: ARG002 of the contract
        """See KeyProvider.wrap. Key wrap has no place for a context."""
        return aes_key_wrap(self._key, secret)

    def unwrap(self, wrapped: bytes, context: KeyContext) -> bytes:
        """See KeyProvider.unwrap."""
        try:
            return aes_key_unwrap(self._key, wrapped)
        except (InvalidUnwrap, ValueError):
            raise KeyUnusable(
                f"master key {self.master_key_id} does not open the envelope of "
                f"{context.dataset}/{context.generation}",
                hint="the envelope was changed; another copy of the vault may have it whole",
            ) from None

    def __repr__(self) -> str:
        return f"LocalKey({self.master_key_id})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """The file that holds a wrapped secret, in which nothing is secret."""

    provider: str
    master_key_id: str
    dataset: str
    generation: str
    wrapped: bytes
    created_at: datetime
    offline: OfflineCopy | None = None

    def to_bytes(self) -> bytes:
        """The file."""
        offline = {} if self.offline is None else {"offline": self.offline.to_json()}
        return canonical({
            "version": WITH_OFFLINE if offline else VERSION,
            "provider": self.provider,
            "master_key_id": self.master_key_id,
            "dataset": self.dataset,
            "generation": self.generation,
            "wrapped": base64.b64encode(self.wrapped).decode(),
            "created_at": text_of_datetime(self.created_at),
            **offline,
        })

    @property
    def sha256(self) -> str:
        """The digest of the file, in hex, as the `opened` record holds it."""
        return sha256(self.to_bytes()).hexdigest()

    @property
    def name(self) -> str:
        """The name of the file in the folder of its dataset."""
        return envelope_name(self.generation, self.master_key_id)

    @classmethod
    def parse(cls, data: bytes, *, what: str = "the envelope") -> Envelope:
        """Read the file of an envelope.

        Raises:
            DamageFound: it is none; names `what` and the field.
        """
        document = parse_canonical(data, what=what, largest_bytes=LARGEST_BYTES, error=DamageFound)
        fields = Fields(document, what=what, error=DamageFound)
        if (version := fields.number("version")) not in {VERSION, WITH_OFFLINE}:
            fields.refuse("version", version)
        names = ["provider", "master_key_id", "dataset", "generation", "wrapped", "created_at"]
        fields.only(["version", *names, *(["offline"] if version == WITH_OFFLINE else [])])
        try:
            wrapped = base64.b64decode(fields.text("wrapped").encode(), validate=True)
        except binascii.Error:
            fields.refuse("wrapped", "no base64")
        return cls(
            provider=fields.text("provider"),
            master_key_id=fields.text("master_key_id"),
            dataset=fields.text("dataset"),
            generation=fields.text("generation"),
            wrapped=wrapped,
            created_at=fields.moment("created_at"),
            offline=OfflineCopy.parse(fields.document("offline"), what=what)
            if version == WITH_OFFLINE
            else None,
        )


def new_envelope(
    provider: KeyProvider, context: KeyContext, *, now: datetime, offline: bytes = b""
) -> tuple[Envelope, RepositorySecret]:
    """Draw the secret of a new generation and wrap it. Nothing is saved.

    Args:
        offline: the public key of a second recipient; empty: there is none.

    Raises:
        KeyUnusable: the provider refused.
    """
    secret = RepositorySecret(secret=secrets.token_bytes(SECRET_SIZE))
    return envelope_of(secret, provider, context, now=now, offline=offline), secret


def envelope_of(
    secret: RepositorySecret,
    provider: KeyProvider,
    context: KeyContext,
    *,
    now: datetime,
    offline: bytes = b"",
) -> Envelope:
    """Wrap the secret of a generation. Nothing is saved.

    Args:
        offline: as for `new_envelope`.

    Raises:
        KeyUnusable: the provider refused.
    """
    where = f"{context.dataset}/{context.generation}"
    envelope = Envelope(
        provider=provider.name,
        master_key_id=provider.master_key_id,
        dataset=context.dataset,
        generation=context.generation,
        wrapped=provider.wrap(secret.secret, context),
        created_at=now,
        offline=seal_offline(offline, secret.secret, where) if offline else None,
    )
    # What cannot be opened again must not protect anything.
    open_envelope(envelope, provider, context)
    return envelope


def open_envelope(
    envelope: Envelope, provider: KeyProvider, context: KeyContext
) -> RepositorySecret:
    """Unwrap the secret of a generation.

    Raises:
        KeyUnusable: it is the envelope of another generation or master key, or was changed.
    """
    where = f"{context.dataset}/{context.generation}"
    if (envelope.dataset, envelope.generation) != (context.dataset, context.generation):
        raise KeyUnusable(
            f"the envelope of {where} is that of {envelope.dataset}/{envelope.generation}",
            hint="somebody has moved it; another copy of the vault may have the right one",
        )
    if (envelope.provider, envelope.master_key_id) != (provider.name, provider.master_key_id):
        raise KeyUnusable(
            f"{where} opens with {envelope.provider} master key {envelope.master_key_id}, "
            f"and {provider.name} {provider.master_key_id} was given",
            hint="give the master key of that id",
        )
    secret = provider.unwrap(envelope.wrapped, context)
    if len(secret) != SECRET_SIZE:
        raise KeyUnusable(f"the envelope of {where} holds {len(secret)} bytes, not {SECRET_SIZE}")
    return RepositorySecret(secret=secret)


def load_secret(
    dataset_folder: Storage,
    provider: KeyProvider,
    context: KeyContext,
    *,
    envelope_sha256: str = "",
) -> RepositorySecret:
    """Load the envelope of a generation and open it; one that does not open is read again.

    Args:
        envelope_sha256: the digest that the `opened` record holds, if the envelope is to be the
            one made then; empty when master keys were changed since.

    Raises:
        KeyUnusable: no envelope for this master key; names those that there are.
        DamageFound: the envelope is not what was written, or all of them are gone.
        StorageError.
    """
    name = envelope_name(context.generation, provider.master_key_id)

    def load() -> RepositorySecret:
        return _opened(dataset_folder.load(name), provider, context, envelope_sha256)

    try:
        return reread(load, wrong=(DamageFound, KeyUnusable))
    except FileAbsent:
        raise _no_envelope(dataset_folder, provider, context) from None


def _opened(
    data: bytes, provider: KeyProvider, context: KeyContext, envelope_sha256: str
) -> RepositorySecret:
    where = f"{context.dataset}/{context.generation}"
    if envelope_sha256 and sha256(data).hexdigest() != envelope_sha256:
        raise DamageFound(
            f"the envelope of {where} is not the one that the ledger names",
            hint="another copy of the vault may have the right one",
        )
    envelope = Envelope.parse(data, what=f"the envelope of {where}")
    return open_envelope(envelope, provider, context)


def _no_envelope(
    dataset_folder: Storage, provider: KeyProvider, context: KeyContext
) -> KeyUnusable | DamageFound:
    where = f"{context.dataset}/{context.generation}"
    prefix = envelope_folder(context.generation)
    ids = [
        info.name.removeprefix(prefix).removesuffix(".json") for info in dataset_folder.list(prefix)
    ]
    if not ids:
        return DamageFound(
            f"the envelope of {where} is gone",
            hint="without it nobody can read this generation; look in other copies of the vault",
        )
    return KeyUnusable(
        f"{where} opens with master key {' or '.join(ids)}, "
        f"and {provider.name} {provider.master_key_id} was given",
        hint="give the master key of that id",
    )
