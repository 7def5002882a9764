"""Records: one piece of evidence each, signed, and linked to the one before.

    record = canonical JSON {version, sequence, previous, id, at, subject, kind, act, body, state,
                             sentence, spooled, key, public_key, signature}
    previous  = SHA-256 (hex) of the file of the record before; empty in the first
    id        = 16 random hex digits, drawn before the first try to save it: found again, it shows
                that a save whose answer was lost did happen
    at        = when it was appended; spooled = null, or {at, key} of a draft that waited in a spool
    state     = what the subject looks like after this record
    public_key= Ed25519, hex; key = its id
    signature = Ed25519 over the canonical JSON of everything else, hex

Each record carries its public key, so that one record alone shows that it is whole; whose key it
is, only a list of trusted keys can tell. A file is valid only if it is byte for byte the canonical
form of its record: there is one way to write a record, and no bit of the file that can change.

A draft is what an act has to say before it has a place in the ledger. Drafts that had to wait are
signed in the same way; a draft of a rescue without a signing key has empty key and signature.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from include.backup.errors import LedgerBroken
from include.backup.evidence.fields import Fields, JsonObject, canonical, parse_canonical
from include.backup.evidence.signing import key_id_of, signature_fits
from include.backup.format.times import text_of_datetime

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from include.backup.evidence.signing import Signer

VERSION: Final = 1
LARGEST_BYTES: Final = 8 << 20

_ID = "[0-9a-f]{16}"
_HASH = "[0-9a-f]{64}"
_KIND = "[a-z][a-z-]{0,39}"
_SIGNATURE = "[0-9a-f]{128}"
_DRAFT_FIELDS = ("version", "id", "at", "subject", "kind", "act", "body", "sentence")
_SEAL_FIELDS = ("key", "public_key", "signature")
_RECORD_FIELDS = (*_DRAFT_FIELDS, *_SEAL_FIELDS, "sequence", "previous", "state", "spooled")


def new_id() -> str:
    """An id for an act or a draft: 16 random hex digits."""
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What an act has to say, before it has a place in the ledger."""

    id: str
    at: datetime  # when it happened
    subject: str  # the dataset, or "policy"
    kind: str  # see kinds.Kind
    act: str  # the id of the act it belongs to
    body: JsonObject
    sentence: str = ""  # the closing sentence of the act's log
    after: int = 0  # records up to this number were there before the draft, so it is none of them

    def fields(self) -> dict[str, object]:
        """The fields that a draft and its record share."""
        return {
            "version": VERSION,
            "id": self.id,
            "at": text_of_datetime(self.at),
            "subject": self.subject,
            "kind": str(self.kind),
            "act": self.act,
            "body": self.body,
            "sentence": self.sentence,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Spooled:
    """That a record waited in a spool."""

    at: datetime  # when it happened; the record's own time is that of its adoption
    key: str  # the id of the key that had signed the draft; empty: nobody had


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record of a ledger, with the digest of its file."""

    sequence: int  # from 1
    previous: str
    id: str
    at: datetime
    subject: str
    kind: str
    act: str
    body: JsonObject
    state: JsonObject
    sentence: str
    spooled: Spooled | None
    key: str
    sha256: str  # hex, of the file

    @property
    def happened_at(self) -> datetime:
        """When it happened, which is before `at` if the record waited in a spool."""
        return self.at if self.spooled is None else self.spooled.at


def seal_record(
    draft: Draft,
    *,
    sequence: int,
    previous: str,
    state: JsonObject,
    signer: Signer,
    spooled: Spooled | None = None,
) -> bytes:
    """The file of a record: `draft` at its place in the ledger, signed."""
    waited = spooled and {"at": text_of_datetime(spooled.at), "key": spooled.key}
    return _seal(
        draft.fields()
        | {"sequence": sequence, "previous": previous, "state": state, "spooled": waited},
        signer,
    )


def open_record(
    data: bytes, *, subject: str, sequence: int, trusted: Collection[bytes] = ()
) -> Record:
    """Read the file of a record and verify it.

    Args:
        subject: whose ledger it was found in.
        sequence: the number in its name.
        trusted: public keys (32 raw bytes) that may have signed it; empty: any that fits.

    Raises:
        LedgerBroken: it is not what was written there; names sequence and field.
    """
    what = f"record {sequence} of {subject}"
    document = parse_canonical(data, what=what, largest_bytes=LARGEST_BYTES)
    fields = Fields(document, what=what)
    _check_version(fields)
    fields.only(_RECORD_FIELDS)
    key = _check_seal(document, fields, trusted, what=what)
    if fields.number("sequence", least=1) != sequence:
        fields.refuse("sequence", document["sequence"])
    if fields.text("subject") != subject:
        fields.refuse("subject", document["subject"])
    return Record(
        sequence=sequence,
        previous=fields.text("previous", shape="()" if sequence == 1 else _HASH),
        id=fields.text("id", shape=_ID),
        at=fields.moment("at"),
        subject=subject,
        kind=fields.text("kind", shape=_KIND),
        act=fields.text("act"),
        body=fields.document("body"),
        state=fields.document("state"),
        sentence=fields.text("sentence"),
        spooled=_spooled(document, what=what),
        key=key,
        sha256=sha256(data).hexdigest(),
    )


def seal_draft(draft: Draft, *, signer: Signer | None) -> bytes:
    """The file of a draft in a spool. Without a signer it says itself that nobody signed."""
    fields = draft.fields() | {"after": draft.after}
    if signer is None:
        return canonical(fields | dict.fromkeys(_SEAL_FIELDS, ""))
    return _seal(fields, signer)


def open_draft(data: bytes, *, what: str, trusted: Collection[bytes] = ()) -> tuple[Draft, str]:
    """Read the file of a draft and verify it.

    Returns:
        The draft, and the id of the key that signed it; empty when nobody did.

    Raises:
        LedgerBroken: it is not what was written there; names `what` and the field.
    """
    document = parse_canonical(data, what=what, largest_bytes=LARGEST_BYTES)
    fields = Fields(document, what=what)
    _check_version(fields)
    fields.only((*_DRAFT_FIELDS, *_SEAL_FIELDS, "after"))
    unsigned = all(document[name] == "" for name in _SEAL_FIELDS)
    key = "" if unsigned else _check_seal(document, fields, trusted, what=what)
    draft = Draft(
        id=fields.text("id", shape=_ID),
        at=fields.moment("at"),
        subject=fields.text("subject"),
        kind=fields.text("kind", shape=_KIND),
        act=fields.text("act"),
        body=fields.document("body"),
        sentence=fields.text("sentence"),
        after=fields.number("after"),
    )
    return draft, key


def _seal(fields: dict[str, object], signer: Signer) -> bytes:
    named = fields | {"key": signer.key_id, "public_key": signer.public_key.hex()}
    return canonical(named | {"signature": signer.sign(canonical(named)).hex()})


def _check_version(fields: Fields) -> None:
    # Before all else: a newer version may have other fields, and this error says what to do.
    if fields.number("version") > VERSION:
        fields.refuse("version", "a newer version of Holdfast wrote it")
    if fields.number("version") != VERSION:
        fields.refuse("version", fields.number("version"))


def _check_seal(
    document: JsonObject, fields: Fields, trusted: Collection[bytes], *, what: str
) -> str:
    public_key = bytes.fromhex(fields.text("public_key", shape=_HASH))
    signature = bytes.fromhex(fields.text("signature", shape=_SIGNATURE))
    key = fields.text("key", shape=_ID)
    if key != key_id_of(public_key):
        fields.refuse("key", key)
    unsigned = {name: value for name, value in document.items() if name != "signature"}
    if not signature_fits(public_key, signature, canonical(unsigned)):
        raise LedgerBroken(f"{what}: the signature does not fit")
    if trusted and public_key not in trusted:
        raise LedgerBroken(
            f"{what} is signed with key {key}, which is not trusted",
            hint="if the signing key was changed, list the old one under signing_key: trusted",
        )
    return key


def _spooled(document: JsonObject, *, what: str) -> Spooled | None:
    if document["spooled"] is None:
        return None
    fields = Fields(document["spooled"], what=f"{what}: field spooled")
    fields.only(("at", "key"))
    return Spooled(at=fields.moment("at"), key=fields.text("key", shape=f"({_ID})?"))
