"""The exact text and bytes of every kind of file, as restic's design document spells them."""

from __future__ import annotations

import json

from include.backup.format.compression import compress, decompress
from include.backup.format.config import Config, seal_config
from include.backup.format.crypto import unseal
from include.backup.format.ids import BlobType
from include.backup.format.index import encode_index
from include.backup.format.lock import LockFile, encode_lock
from include.backup.format.pack import PackedBlob, encode_trailer
from include.backup.format.snapshot import Snapshot, SnapshotSummary, encode_snapshot
from include.backup.format.tree import Node, encode_tree
from tests.vectors.samples import KEY, NOW, ONE, THREE, TWO, fixed_nonces

BLOBS = [
    PackedBlob(BlobType.DATA, ONE, 0, 0x1234, 0),
    PackedBlob(BlobType.DATA, TWO, 0x1234, 100, 0x56789),
]


def document(sealed: bytes) -> str:
    """The JSON in a sealed and compressed file."""
    plaintext = unseal(KEY, sealed)
    assert plaintext[0] == 2
    return decompress(plaintext[1:]).decode()


def test_pack_header_is_what_the_design_document_says() -> None:
    """A type byte, lengths in little-endian order, the id; then the sealed length of it all."""
    trailer = encode_trailer(KEY, BLOBS)
    assert unseal(KEY, trailer[:-4]).hex() == (
        "00" + "34120000" + ONE.hex() + "02" + "64000000" + "89670500" + TWO.hex()
    )
    assert int.from_bytes(trailer[-4:], "little") == len(trailer) - 4 == 37 + 41 + 32


def test_pack_header_knows_trees() -> None:
    """Trees have types of their own."""
    blobs = [blob._replace(type=BlobType.TREE) for blob in BLOBS]
    header = unseal(KEY, encode_trailer(KEY, blobs)[:-4])
    assert (header[0], header[37]) == (1, 3)


def test_sealed_trailer_is_what_it_was() -> None:
    """One key and one nonce give one trailer, to the last byte."""
    with fixed_nonces():
        trailer = encode_trailer(KEY, BLOBS[:1])
    assert trailer.hex() == (
        "404142434445464748494a4b4c4d4e4fa34acd3f97114ffdbc4f279348606f790bf9cc244b3f044b5dd87e4bf5"
        "8199d3d90726ae373ea13fef3465aa835f393d6362a95a4145000000"
        ""
    )


def test_index_text() -> None:
    """Plain blobs have no uncompressed length."""
    text = document(encode_index(KEY, [(THREE, BLOBS), (ONE, [])]))
    assert text == (
        f'{{"packs":[{{"id":"{THREE.hex()}","blobs":['
        f'{{"id":"{ONE.hex()}","type":"data","offset":0,"length":4660}},'
        f'{{"id":"{TWO.hex()}","type":"data","offset":4660,"length":100,'
        f'"uncompressed_length":354185}}]}},{{"id":"{ONE.hex()}","blobs":[]}}]}}'
    )


def test_snapshot_text() -> None:
    """Fields stand in restic's order; the summary is the one of restic 0.17."""
    snapshot = Snapshot(
        time=NOW,
        tree=ONE,
        paths=("/crm",),
        hostname="holdfast",
        username="backup",
        parent=TWO,
        tags=("critical", "naïve"),
        program_version="holdfast 0.1.0",
        summary=SnapshotSummary(backup_start=NOW, backup_end=NOW, files_new=1, data_added=7),
    )
    assert document(encode_snapshot(KEY, snapshot)) == (
        f'{{"time":"2026-11-01T02:03:04.5Z","parent":"{TWO.hex()}","tree":"{ONE.hex()}",'
        '"paths":["/crm"],"hostname":"holdfast","username":"backup","tags":["critical","naïve"],'
        '"program_version":"holdfast 0.1.0","summary":{"backup_start":"2026-11-01T02:03:04.5Z",'
        '"backup_end":"2026-11-01T02:03:04.5Z","files_new":1,"files_changed":0,'
        '"files_unmodified":0,"dirs_new":0,"dirs_changed":0,"dirs_unmodified":0,"data_blobs":0,'
        '"tree_blobs":0,"data_added":7,"data_added_packed":0,"total_files_processed":0,'
        '"total_bytes_processed":0}}'
    )


def test_smallest_snapshot_text() -> None:
    """What is empty is left out."""
    snapshot = Snapshot(time=NOW, tree=ONE, paths=("/crm",))
    assert document(encode_snapshot(KEY, snapshot)) == (
        f'{{"time":"2026-11-01T02:03:04.5Z","tree":"{ONE.hex()}","paths":["/crm"]}}'
    )


def test_lock_text() -> None:
    """A lock says since when, who, and whether alone."""
    lock = LockFile(time=NOW, exclusive=False, hostname="holdfast/crm/1", username="h", pid=7)
    assert document(encode_lock(KEY, lock)) == (
        '{"time":"2026-11-01T02:03:04.5Z","exclusive":false,"hostname":"holdfast/crm/1",'
        '"username":"h","pid":7}'
    )


def test_config_text() -> None:
    """The config is not compressed."""
    config = Config(version=2, id=ONE.hex(), chunker_polynomial=0x3DA3358B4DC173)
    assert unseal(KEY, seal_config(KEY, config)).decode() == (
        f'{{"version":2,"id":"{ONE.hex()}","chunker_polynomial":"3da3358b4dc173"}}'
    )


def test_tree_text() -> None:
    """Every field of every type of node, as Go writes it."""
    nodes = [
        Node(
            name=b'a "b"\\<&>',
            type="file",
            mode=0o4755 & 0o777 | 1 << 23,
            mtime="2026-01-02T03:04:05.123456789Z",
            atime="2026-01-02T03:04:05+01:00",
            ctime="2026-01-02T03:04:05Z",
            uid=1,
            gid=2,
            user="u<",
            group="g\u2028",
            inode=3,
            device_id=4,
            size=5,
            links=2,
            extended_attributes=(("user.a", b"\x00\xff"), ("user.b", b"")),
            content=(ONE, TWO),
        ),
        Node(name=b"b", type="file", content=()),
        Node(name=b"c", type="dir", mode=1 << 31 | 0o755, subtree=THREE),
        Node(name=b"d", type="symlink", linktarget=b"../x\xe2\x82\xff\xc3\xbc"),
        Node(name=b"e", type="chardev", device=0x501, error="lost"),
        Node(name=b"f\xff\n\x7f\xc2\xad", type="fifo", generic_attributes='{"x":1}'),
    ]
    zero = '"mtime":"0001-01-01T00:00:00Z","atime":"0001-01-01T00:00:00Z"'
    zero += ',"ctime":"0001-01-01T00:00:00Z","uid":0,"gid":0'
    assert encode_tree(nodes).decode() == (
        r'{"nodes":[{"name":"a \\\"b\\\"\\\\\u003c\u0026\u003e","type":"file","mode":8389101,'
        '"mtime":"2026-01-02T03:04:05.123456789Z","atime":"2026-01-02T03:04:05+01:00",'
        r'"ctime":"2026-01-02T03:04:05Z","uid":1,"gid":2,"user":"u\u003c","group":"g\u2028",'
        '"inode":3,"device_id":4,"size":5,"links":2,"extended_attributes":['
        '{"name":"user.a","value":"AP8="},{"name":"user.b","value":""}],'
        f'"content":["{ONE.hex()}","{TWO.hex()}"]}},'
        f'{{"name":"b","type":"file",{zero},"content":[]}},'
        f'{{"name":"c","type":"dir","mode":2147484141,{zero},"content":null,'
        f'"subtree":"{THREE.hex()}"}},'
        # Go escapes each of the three broken bytes by itself; the raw target is the true one.
        f'{{"name":"d","type":"symlink",{zero},'
        r'"linktarget":"../x\ufffd\ufffd\ufffdü","linktarget_raw":"Li4veOKC/8O8","content":null},'
        f'{{"name":"e","type":"chardev",{zero},"device":1281,"content":null,"error":"lost"}},'
        rf'{{"name":"f\\xff\\n\\x7f\\u00ad","type":"fifo",{zero},'
        '"generic_attributes":{"x":1},"content":null}]}\n'
    )


def test_empty_tree() -> None:
    """An empty directory has an empty list, and the newline belongs to it."""
    assert encode_tree([]) == b'{"nodes":[]}\n'


def test_frames_say_their_size_and_no_checksum() -> None:
    """The magic number, a descriptor with the content size and without checksum, the size."""
    frame = compress(bytes(300))
    assert frame[:4].hex() == "28b52ffd"
    assert frame[4] == 0b0110_0000  # two bytes of size, one segment, no checksum, no dictionary
    assert int.from_bytes(frame[5:7], "little") == 300 - 256
    assert json.loads(decompress(compress(b"[1]"))) == [1]
