"""Trees that no directory can have are refused before anything is restored from them."""

from __future__ import annotations

import json

import pytest

from include.backup.errors import DamageFound
from include.backup.format.names import json_text, unquote
from include.backup.format.times import ZERO_TIME
from include.backup.format.tree import Node, decode_tree, encode_tree

FIELDS: dict[str, object] = {
    "name": "a",
    "type": "file",
    "mtime": ZERO_TIME,
    "atime": ZERO_TIME,
    "ctime": ZERO_TIME,
    "uid": 0,
    "gid": 0,
    "content": [],
}


def tree_of(*changes: dict[str, object]) -> bytes:
    return json.dumps({"nodes": [FIELDS | change for change in changes]}).encode()


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/", "a\\x00b", "\\x2e\\x2e", "\0"])
def test_names_that_lead_elsewhere_are_refused(name: str) -> None:
    """No restored name can climb out of its directory, however it is quoted."""
    with pytest.raises(DamageFound, match="which no directory can have"):
        decode_tree(tree_of({"name": name}), what="tree 1f3c")


@pytest.mark.parametrize("names", [("b", "a"), ("a", "a"), ("a", "b", "b"), ("\\xff", "ü")])
def test_disorder_is_refused(names: tuple[str, ...]) -> None:
    """Names ascend by their bytes, and none comes twice."""
    with pytest.raises(DamageFound, match="out of order"):
        decode_tree(tree_of(*({"name": name} for name in names)), what="tree")


@pytest.mark.parametrize(
    "change",
    [
        {"content": None},
        {"type": "dir", "content": None},
        {"content": ["ab"]},
        {"content": "ab" * 32},
        {"content": 1},
        {"type": "dir", "subtree": "x" * 64},
        {"type": 1},
        {"type": "irregular"},
        {"type": "\ud800"},
        {"ctime": '"'},
        {"atime": "2026\n"},
        {"mode": "493"},
        {"mode": 1.5},
        {"uid": None},
        {"uid": True},
        {"mtime": 5},
        {"user": None},
        {"size": "1"},
        {"device": []},
        {"error": 1},
        {"name": 1},
        {"extended_attributes": [{"name": "user.a"}]},
        {"extended_attributes": [{"name": "user.a", "value": "!"}]},
        {"extended_attributes": 5},
        {"type": "symlink", "linktarget_raw": "!"},
        {"type": "symlink", "linktarget": 5},
    ],
)
def test_fields_of_the_wrong_kind_are_refused(change: dict[str, object]) -> None:
    """Whoever restores can rely on the types of a node that was read."""
    assert decode_tree(tree_of({}), what="tree 1f3c")
    with pytest.raises(DamageFound, match="tree 1f3c"):
        decode_tree(tree_of(change), what="tree 1f3c")


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}", b'{"nodes":null}', b'{"nodes":[1]}', b"[" * 9999]
)
def test_what_is_no_tree_is_refused(text: bytes) -> None:
    """Other JSON, and what is not JSON."""
    with pytest.raises(DamageFound, match="tree 1f3c is not a tree"):
        decode_tree(text, what="tree 1f3c")


@pytest.mark.parametrize("text", ["\\", "\\q", 'a"b', "\\x1", "\\ud800", "\\U00110000", "\\u12"])
def test_badly_quoted_names_are_refused(text: str) -> None:
    """A backslash that begins no escape, a bare quotation mark, and what is no character."""
    with pytest.raises(DamageFound, match="the name"):
        unquote(text)


def test_a_target_that_is_not_utf8_survives() -> None:
    """The raw target is the true one; the readable one is for readers that do not know it."""
    node = Node(name=b"l", type="symlink", linktarget=b"\xff\xe2\x82/x")
    assert decode_tree(encode_tree([node]), what="tree") == [node]


def test_bytes_that_are_no_text_become_one_replacement_each() -> None:
    """As in Go; a real U+FFFD stays itself."""
    assert json_text(b"\xff\xfe\xef\xbf\xbd".decode("utf-8", "surrogateescape")) == (
        '"\\ufffd\\ufffd\N{REPLACEMENT CHARACTER}"'
    )
