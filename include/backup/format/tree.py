"""Trees: one directory as a blob, its nodes ascending by name.

    tree = JSON {"nodes":[node,…]} newline

Fields stand in restic's order and are left out when empty, so that a directory nobody touched
gets the same id from stock restic and from us. Names of no use to restic are refused: what
Holdfast wants to remember beside a tree goes into a file of the snapshot.

Source: restic design document, "Trees and Data"; restic's internal/data (Node).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from include.backup.errors import DamageFound
from include.backup.format.ids import parse_id
from include.backup.format.names import go_escaped, json_name, json_text, unquote
from include.backup.format.times import ZERO_TIME
from include.backup.format.unpacked import MALFORMED

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_TREE_BYTES = 1 << 30


class NodeType(StrEnum):
    """What a node stands for."""

    FILE = "file"
    DIR = "dir"
    SYMLINK = "symlink"
    DEVICE = "dev"
    CHAR_DEVICE = "chardev"
    FIFO = "fifo"
    SOCKET = "socket"


class Node(NamedTuple):
    """One entry of a directory. A tuple, for there may be a million of them.

    Times are RFC 3339 text (see `times`), names and link targets raw bytes, `mode` the bits of
    Go's os.FileMode, sizes in bytes.
    """

    name: bytes
    type: str
    mode: int = 0
    mtime: str = ZERO_TIME
    atime: str = ZERO_TIME
    ctime: str = ZERO_TIME
    uid: int = 0
    gid: int = 0
    user: str = ""
    group: str = ""
    inode: int = 0
    device_id: int = 0
    size: int = 0
    links: int = 0
    linktarget: bytes = b""
    extended_attributes: tuple[tuple[str, bytes], ...] = ()
    generic_attributes: str = ""  # JSON text as it was read; Windows only
    device: int = 0
    content: tuple[bytes, ...] | None = None
    subtree: bytes | None = None
    error: str = ""


# The types that the fields of a node may have when it was read: one look-up checks them all.
_UP_TO_OWNER = (bytes, str, int, str, str, str, int, int, str, str)
_UP_TO_DEVICE = (*_UP_TO_OWNER, int, int, int, int, bytes, tuple, str, int)
_SHAPES = frozenset(
    (*_UP_TO_DEVICE, content, subtree, str)
    for content in (tuple, type(None))
    for subtree in (bytes, type(None))
)
_KINDS = frozenset(map(str, NodeType))
_LETTERS_OF_TIMES = re.compile("[-0-9:T.Z+]+").fullmatch  # times are written again as they are


def encode_tree(nodes: Iterable[Node]) -> bytes:
    """The blob of a directory. `nodes` are ascending by name, without duplicates."""
    return f'{{"nodes":[{",".join(map(_encode_node, nodes))}]}}\n'.encode()


def decode_tree(text: bytes, *, what: str) -> list[Node]:
    """The nodes of a directory, ascending by name.

    Raises:
        DamageFound: not a tree; out of order; a name that is empty, "." or "..", or has "/" or
            NUL in it; a file without content; a directory without subtree.
    """
    try:
        document = json.loads(text)
        nodes = [_decode_node(fields, what) for fields in document["nodes"]]
    except (*MALFORMED, RecursionError) as error:
        raise DamageFound(f"{what} is not a tree: {error!r}") from error
    before = b""
    for node in nodes:
        if (
            tuple(map(type, node)) not in _SHAPES
            or node.type not in _KINDS
            or not _LETTERS_OF_TIMES(node.mtime + node.atime + node.ctime)
        ):
            raise DamageFound(f"{what} holds a field that cannot be in {node.name[:80]!r}")
        if node.name <= before:
            raise DamageFound(f"{what} is out of order at {node.name!r}")
        before = node.name
    return nodes


def _encode_node(node: Node) -> str:
    (name, kind, mode, mtime, atime, ctime, uid, gid, user, group, inode, device_id) = node[:12]
    parts = [f'{{"name":{json_name(name)},"type":"{kind}"']
    if mode:
        parts.append(f',"mode":{mode}')
    parts.append(f',"mtime":"{mtime}","atime":"{atime}","ctime":"{ctime}","uid":{uid},"gid":{gid}')
    if user:
        parts.append(f',"user":{json_text(user)}')
    if group:
        parts.append(f',"group":{json_text(group)}')
    if inode:
        parts.append(f',"inode":{inode}')
    if device_id:
        parts.append(f',"device_id":{device_id}')
    if node.size:
        parts.append(f',"size":{node.size}')
    if node.links:
        parts.append(f',"links":{node.links}')
    _encode_rest(node, parts)
    return "".join(parts)


def _encode_rest(node: Node, parts: list[str]) -> None:
    if node.linktarget:
        target = node.linktarget.decode("utf-8", "surrogateescape")
        parts.append(f',"linktarget":{json_text(target)}')
        if not _is_utf8(node.linktarget):
            parts.append(f',"linktarget_raw":"{_base64(node.linktarget)}"')
    if node.extended_attributes:
        pairs = ",".join(
            f'{{"name":{json_text(name)},"value":"{_base64(value)}"}}'
            for name, value in node.extended_attributes
        )
        parts.append(f',"extended_attributes":[{pairs}]')
    if node.generic_attributes:
        parts.append(f',"generic_attributes":{node.generic_attributes}')
    if node.device:
        parts.append(f',"device":{node.device}')
    if node.content is None:
        parts.append(',"content":null')
    elif node.content:
        ids = '","'.join([blob_id.hex() for blob_id in node.content])
        parts.append(f',"content":["{ids}"]')
    else:
        parts.append(',"content":[]')
    if node.subtree is not None:
        parts.append(f',"subtree":"{node.subtree.hex()}"')
    if node.error:
        parts.append(f',"error":{json_text(node.error)}')
    parts.append("}")


def _decode_node(fields: dict[str, Any], what: str) -> Node:
    get = fields.get
    name = unquote(fields["name"])
    if name in {b"", b".", b".."} or b"/" in name or b"\0" in name:
        raise DamageFound(f"{what} holds the name {name[:80]!r}, which no directory can have")
    kind = fields["type"]
    content = get("content")
    subtree = get("subtree")
    if (kind == "file" and content is None) or (kind == "dir" and subtree is None):
        raise DamageFound(f"{what} holds a {kind} {name[:80]!r} without its content")
    return Node(
        name,
        kind,
        get("mode", 0),
        fields["mtime"],
        fields["atime"],
        fields["ctime"],
        fields["uid"],
        fields["gid"],
        get("user", ""),
        get("group", ""),
        get("inode", 0),
        get("device_id", 0),
        get("size", 0),
        get("links", 0),
        _link_target(fields) if kind == "symlink" else b"",
        _attributes(get("extended_attributes"), what),
        _generic(get("generic_attributes")),
        get("device", 0),
        None if content is None else tuple([parse_id(text, where=what) for text in content]),
        None if subtree is None else parse_id(subtree, where=what),
        get("error", ""),
    )


def _link_target(fields: dict[str, Any]) -> bytes:
    if raw := fields.get("linktarget_raw"):
        return base64.b64decode(raw, validate=True)
    target: str = fields.get("linktarget", "")
    return target.encode("utf-8", "surrogatepass")


def _attributes(pairs: Any, what: str) -> tuple[tuple[str, bytes], ...]:  # noqa: ANN401  JSON
    if not pairs:
        return ()
    try:
        return tuple(
            (str(pair["name"]), base64.b64decode(pair["value"] or "", validate=True))
            for pair in pairs
        )
    except binascii.Error as error:
        raise DamageFound(f"{what} holds a broken extended attribute") from error


def _generic(value: Any) -> str:  # noqa: ANN401  JSON of any shape, kept as it is
    if not value:
        return ""
    return go_escaped(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
