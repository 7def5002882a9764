"""Objects as nodes of a tree: what a store says of an object beside its bytes, and back.

    user.s3.etag          the entity tag that was listed, without its quotes
    user.s3.version-id    the version, where the bucket keeps them
    user.s3.headers       JSON, named as boto3 names them: ContentType, Metadata, StorageClass, …
    user.s3.tags          JSON: the tags by name

They are extended attributes of the file, as stock restic knows and restores them: an object that
has not changed takes them over from the parent without a request, and the bytes of the tree that
hold them are stored once. What every object has that was uploaded without a word (the content type
binary/octet-stream, the class STANDARD) is left out. Time of change is Last-Modified.

Not kept: ACLs, Object Lock, encryption at rest, checksums, replication. They belong to the bucket.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from include.backup.errors import DamageFound
from include.backup.format.times import datetime_of_text, text_of_datetime
from include.backup.format.tree import Node, NodeType
from include.backup.sources.s3.bucket import Stored

if TYPE_CHECKING:
    from collections.abc import Mapping

ETAG: Final = "user.s3.etag"
VERSION: Final = "user.s3.version-id"
HEADERS: Final = "user.s3.headers"
TAGS: Final = "user.s3.tags"
_SYSTEM: Final = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "WebsiteRedirectLocation",
    "StorageClass",
)
_KNOWN: Final = frozenset({*_SYSTEM, "Expires", "Metadata"})
_USUAL: Final = {"ContentType": "binary/octet-stream", "StorageClass": "STANDARD"}
# Personal data: restored by stock restic, it shall be nobody else's to read.
_FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 1 << 31 | 0o700  # as Go's os.FileMode has it
_EPOCH: Final = "1970-01-01T00:00:00Z"  # prefixes have no time


def node_of(name: bytes, of: Stored) -> Node:
    """The node of an object, as far as a listing tells."""
    changed = text_of_datetime(of.modified_at)
    pairs = [(ETAG, of.etag.strip('"').encode())]
    if of.version_id:
        pairs.append((VERSION, of.version_id.encode()))
    return Node(
        name,
        str(NodeType.FILE),
        _FILE_MODE,
        changed,
        changed,
        changed,
        size=of.size_bytes,
        links=1,
        extended_attributes=tuple(pairs),
    )


def folder_node(name: bytes) -> Node:
    """The node of a prefix."""
    return Node(name, str(NodeType.DIR), _FOLDER_MODE, _EPOCH, _EPOCH, _EPOCH)


def stored_of(key: str, node: Node) -> Stored:
    """What a listing said of an object, by its node."""
    pairs = dict(node.extended_attributes)
    return Stored(
        key=key,
        etag=f'"{pairs[ETAG].decode()}"',
        size_bytes=node.size,
        modified_at=datetime_of_text(node.mtime),
        version_id=pairs.get(VERSION, b"").decode(),
    )


def is_same(entry: Node, parent: Node) -> bool:
    """Whether two nodes are of the same object, by all that a listing tells."""
    return (
        entry.type == parent.type
        and entry.size == parent.size
        and entry.mtime == parent.mtime
        and entry.extended_attributes
        == parent.extended_attributes[: len(entry.extended_attributes)]
    )


def is_fixed(entry: Node) -> bool:
    """Whether an object is a version, which never changes."""
    pairs = entry.extended_attributes
    return len(pairs) > 1 and pairs[1][0] == VERSION and pairs[1][1] != b"null"


def with_metadata(node: Node, answer: Mapping[str, Any], tags: Mapping[str, str]) -> Node:
    """A node with what the store said of its object when it was read."""
    headers = {
        name: value for name in _SYSTEM if (value := answer.get(name)) and value != _USUAL.get(name)
    }
    if expires := answer.get("ExpiresString"):  # as it was written: many are no dates
        headers["Expires"] = expires
    if metadata := answer.get("Metadata"):
        headers["Metadata"] = metadata
    pairs = [*node.extended_attributes]
    for name, value in ((HEADERS, headers), (TAGS, dict(tags))):
        if value:
            text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
            pairs.append((name, text.encode("utf-8", "surrogatepass")))
    return node._replace(extended_attributes=tuple(pairs))


def metadata_of(node: Node) -> tuple[dict[str, Any], dict[str, str]]:
    """The headers, named as boto3 names them, and the tags of an object that was backed up.

    Raises:
        DamageFound: they are no JSON, or hold what no object was ever read with: other arguments
            of an upload, as who may read it, are not for whoever wrote a recovery point to choose.
    """
    pairs = dict(node.extended_attributes)
    try:
        headers = json.loads(pairs.get(HEADERS, b"{}"))
        tags = json.loads(pairs.get(TAGS, b"{}"))
    except (ValueError, RecursionError) as error:
        raise DamageFound("its metadata cannot be read") from error
    if not isinstance(headers, dict) or not headers.keys() <= _KNOWN or not _are_texts(tags):
        raise DamageFound("its metadata cannot be that of an object")
    texts = {name: value for name, value in headers.items() if name != "Metadata"}
    if not _are_texts(texts) or not _are_texts(headers.get("Metadata", {})):
        raise DamageFound("its metadata cannot be that of an object")
    return headers, tags


def _are_texts(found: Any) -> bool:  # noqa: ANN401  JSON
    return isinstance(found, dict) and all(isinstance(value, str) for value in found.values())
