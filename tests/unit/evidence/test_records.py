"""Records: one way to write each, and none other is read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.backup.errors import LedgerBroken
from include.backup.evidence.fields import as_json, canonical
from include.backup.evidence.records import (
    Draft,
    Spooled,
    open_draft,
    open_record,
    seal_draft,
    seal_record,
)
from tests.unit.evidence.samples import HOUR, NOW, OTHER_SIGNER, SIGNER

DRAFT = Draft(
    id="00112233445566ff",
    at=NOW,
    subject="crm",
    kind="recovery-point",
    act="a1",
    body={"entries": 3, "names": ["ä", "b"], "none": None, "yes": True},
    sentence="KEPT 3.1 · critical/crm · done",
    after=6,
)
DATA = seal_record(
    DRAFT, sequence=7, previous="ab" * 32, state={"count": 7}, signer=SIGNER, spooled=None
)


def changed(**fields: object) -> bytes:
    """The record with fields changed or removed (None), and signed anew by whoever changed it."""
    document = json.loads(DATA) | fields
    document.pop("signature")
    document = {name: value for name, value in document.items() if value is not ...}
    return canonical(document | {"signature": SIGNER.sign(canonical(document)).hex()})


def test_record_is_read_as_it_was_written() -> None:
    """Nothing is lost, and the signer is known by the record alone."""
    record = open_record(DATA, subject="crm", sequence=7)
    assert (record.id, record.at, record.kind, record.act) == (DRAFT.id, NOW, DRAFT.kind, "a1")
    assert record.body == DRAFT.body
    assert record.state == {"count": 7}
    assert record.sentence == DRAFT.sentence
    assert record.previous == "ab" * 32
    assert record.key == SIGNER.key_id
    assert record.spooled is None
    assert record.happened_at == NOW


def test_record_that_waited_holds_both_times() -> None:
    """When it happened and when it was adopted, and whose the draft was."""
    spooled = Spooled(at=NOW - HOUR, key=OTHER_SIGNER.key_id)
    data = seal_record(DRAFT, sequence=1, previous="", state={}, signer=SIGNER, spooled=spooled)
    record = open_record(data, subject="crm", sequence=1)
    assert record.spooled == spooled
    assert (record.at, record.happened_at) == (NOW, NOW - HOUR)


@given(place=st.integers(0, len(DATA) - 1), flip=st.integers(1, 255))
def test_any_changed_byte_is_found(place: int, flip: int) -> None:
    """There is no bit of a record's file that can change unnoticed."""
    data = bytearray(DATA)
    data[place] ^= flip
    with pytest.raises(LedgerBroken):
        open_record(bytes(data), subject="crm", sequence=7)


@given(data=st.binary(max_size=300))
def test_any_bytes_give_our_own_error(data: bytes) -> None:
    """Whatever lies in the vault, reading it ends in one error that names the record."""
    with pytest.raises(LedgerBroken, match="record 7 of crm"):
        open_record(data, subject="crm", sequence=7)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(field=st.sampled_from(sorted(json.loads(DATA))), value=JSON)
def test_any_signed_nonsense_gives_our_own_error(field: str, value: object) -> None:
    """Even who can sign cannot make the reader stumble: a field is right, or it is named."""
    try:
        data = changed(**{field: value})
    except (TypeError, ValueError):
        data = json.dumps(json.loads(DATA) | {field: value}).encode()
    try:
        open_record(data, subject="crm", sequence=7)
    except LedgerBroken as error:
        assert "record 7 of crm" in str(error)  # noqa: PT017 not raised when the value is legal


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (changed(sequence=8), "field sequence holds '8'"),
        (changed(sequence=True), "field sequence holds 'True'"),
        (changed(subject="hr"), "field subject holds 'hr'"),
        (changed(version=2), "a newer version of Holdfast"),
        (changed(previous=""), "field previous"),
        (changed(at="2026-11-23 01:00"), "field at"),
        (changed(at="2026-11-23T02:00:04+01:00"), "field at"),
        (changed(id="XY"), "field id"),
        (changed(state=...), "field state is missing"),
        (changed(more=1), "field 'more' is unknown"),
        (changed(spooled={"at": "x"}), "field spooled: field key is missing"),
        (changed(key="0" * 16), "field key holds"),
        (b"{}", "field version"),
        (b"[]", "is not a canonical JSON object"),
        (b"[" * 100_000, "not canonical JSON"),
        (b'{"a":' * 100_000, "not canonical JSON"),
        (b'{"a":1.5}', "is no integer"),
        (b'{"a":NaN}', "is no integer"),
        (b'{"a":' + b"9" * 10_000 + b"}", "not canonical JSON"),
        (DATA + b"\n", "is not a canonical JSON object"),
        (DATA.replace(b'"act"', b'"act" '), "is not a canonical JSON object"),
        (b"\xff", "not canonical JSON"),
        (b" " * (9 << 20), "the limit is 8388608"),
    ],
)
def test_error_names_the_field(data: bytes, says: str) -> None:
    """What does not fit is refused with the place, also when it is signed properly."""
    with pytest.raises(LedgerBroken) as caught:
        open_record(data, subject="crm", sequence=7)
    assert "record 7 of crm" in str(caught.value)
    assert says in str(caught.value)


def test_key_that_is_not_trusted_is_refused() -> None:
    """A record that is whole, and signed by somebody else, is somebody else's."""
    assert open_record(DATA, subject="crm", sequence=7, trusted=[SIGNER.public_key])
    with pytest.raises(LedgerBroken, match="which is not trusted"):
        open_record(DATA, subject="crm", sequence=7, trusted=[OTHER_SIGNER.public_key])


def test_draft_is_read_as_it_was_written() -> None:
    """Signed or, in a rescue without a key, saying that it is not."""
    data = seal_draft(DRAFT, signer=SIGNER)
    assert open_draft(data, what="draft") == (DRAFT, SIGNER.key_id)
    assert open_draft(seal_draft(DRAFT, signer=None), what="draft") == (DRAFT, "")
    with pytest.raises(LedgerBroken, match="draft: the signature does not fit"):
        open_draft(data.replace(b'"after":6', b'"after":5'), what="draft")


def test_names_that_are_no_unicode_can_be_recorded() -> None:
    """A file name of any bytes becomes evidence, never an error on the way to it."""
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert canonical({"names": (name,), name: 1}) == b'{"caf\\\\udce9":1,"names":["caf\\\\udce9"]}'


@pytest.mark.parametrize("value", [1.5, b"bytes", {1: 2}, {"a": {3, 4}}, NOW])
def test_what_has_no_single_form_is_refused_when_it_is_written(value: object) -> None:
    """A fraction is written differently by every language, so none is."""
    with pytest.raises(TypeError):
        as_json({"value": value})
