"""Manifests of databases and buckets that somebody has written to do harm.

The SQL in a dump is the dump's own affair: whoever restores it runs it. But what a manifest says is
put into statements of ours: names are quoted, whatever they are, and what cannot be quoted is
refused unless it can be meant as what it stands for.
"""

from __future__ import annotations

import copy
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.backup.errors import BackupError, DamageFound
from include.backup.format.tree import Node
from include.backup.sources.mariadb import names as mariadb_names
from include.backup.sources.mariadb.manifest import decoded
from include.backup.sources.postgresql import manifest
from include.backup.sources.postgresql.catalog import quote
from include.backup.sources.postgresql.wanted import Rules, wanted_of
from include.backup.sources.s3 import put_objects
from include.backup.sources.s3.about import bucket_and_prefix
from include.backup.sources.s3.metadata import HEADERS, TAGS, metadata_of
from tests.property.format.strategies import spoilt

if TYPE_CHECKING:
    from collections.abc import Callable

MARIADB: dict[str, Any] = {
    "format": 1,
    "source": "mariadb",
    "server": "10.11.6-MariaDB",
    "databases": [
        {
            "name": "odd\"`\n\\'name",
            "character_set": "utf8mb4",
            "collation": "utf8mb4_0900_ai_ci",
            "relations": [
                {"name": "a", "kind": "table", "file": "f", "rows": 1, "bytes": 2, "sha256": "x"},
                {"name": "b", "kind": "view"},
            ],
        }
    ],
}
POSTGRESQL: dict[str, Any] = {
    "format": 1,
    "kind": "postgresql",
    "databases": {
        "odd\"`\n\\'name": {
            "server_version": 150004,
            "encoding": "UTF8",
            "tablespaces": [],
            "relations": {
                "public.a": {
                    "schema": "public",
                    "name": "a",
                    "kind": "r",
                    "rows": "all",
                    "file": "data/public.a.copy",
                    "columns": ["id"],
                    "indexes": [],
                    "sequences": [],
                    "count": 1,
                    "bytes": 2,
                }
            },
        }
    },
}
BUCKET: dict[str, Any] = {"kind": "s3", "bucket": "b", "prefix": "p/"}
READERS: dict[str, tuple[dict[str, Any], Callable[[bytes], object]]] = {
    "mariadb": (MARIADB, decoded),
    "postgresql": (POSTGRESQL, lambda data: wanted_of(manifest.decode(data), Rules())),
    "s3": (BUCKET, bucket_and_prefix),
    "state of postgresql": (
        {"format": 1, "databases": {"d": {"xmin": 1, "types": "", "durable": True, "runs": 0}}},
        lambda data: manifest.state_of(manifest.decode(data), "d"),
    ),
    "ranges of postgresql": (
        {"filenode": 1, "fingerprint": "", "pages": 1, "rows": [1], "blobs": [0]},
        manifest.table_state,
    ),
}


def changed(document: dict[str, Any], path: list[Any], value: object) -> bytes:
    """The document with another value in one place."""
    made = copy.deepcopy(document)
    place: Any = made
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return json.dumps(made).encode()


@pytest.mark.parametrize("kind", READERS)
def test_good_manifests_are_read(kind: str) -> None:
    """With any name in them; else the laws below would prove nothing."""
    document, read = READERS[kind]
    assert read(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (["character_set"], "utf8; DROP DATABASE x"),
        (["character_set"], "utf8\n"),
        (["collation"], "utf8_bin`"),
        (["collation"], None),
        (["name"], "mysql"),
        (["name"], "Information_Schema"),
        (["name"], "a\0b"),
        (["name"], "\udc80"),
        (["name"], ""),
        (["name"], 7),
        (["relations"], {"a": 1}),
        (["relations", 0, "name"], ["a"]),
        (["relations", 0, "bytes"], "many"),
        (["relations", 0, "file"], 7),
        (["relations", 0], {"name": "a"}),
    ],
)
def test_what_no_server_has_is_refused_for_mariadb(place: list[Any], value: object) -> None:
    """The server's own databases among it: nothing is restored over them."""
    with pytest.raises(DamageFound, match=r"manifest\.json of the recovery point cannot be read"):
        decoded(changed(MARIADB, ["databases", 0, *place], value))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (["encoding"], "UTF8') FROM PROGRAM 'id"),
        (["encoding"], "UTF8\n"),
        (["encoding"], 8),
        (["server_version"], "new"),
        (["tablespaces"], [None]),
        (["relations"], []),
        (["relations", "public.a", "name"], "a\0"),
        (["relations", "public.a", "columns"], ["\ud800"]),
        (["relations", "public.a", "count"], None),
        (["relations", "public.a", "bytes"], float("inf")),
        (["relations", "public.a", "file"], {"a": 1}),
    ],
)
def test_what_no_server_has_is_refused_for_postgresql(place: list[Any], value: object) -> None:
    """An encoding stands in COPY as it is."""
    [name] = POSTGRESQL["databases"]
    with pytest.raises(DamageFound, match=r"manifest\.json of the recovery point cannot be read"):
        wanted_of(manifest.decode(changed(POSTGRESQL, ["databases", name, *place], value)), Rules())


@settings(max_examples=400, deadline=None)
@given(kind=st.sampled_from(sorted(READERS)), data=st.data())
def test_manifests_of_any_kind(kind: str, data: st.DataObject) -> None:
    """Any value in any place, and any bytes: read, or refused by an error of ours."""
    document, read = READERS[kind]
    text = data.draw(spoilt(document) | st.binary(max_size=40) | st.just(b"[" * 100_000))
    try:
        read(text)
    except BackupError:
        return


@given(name=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_no_name_ends_its_quotes(name: str) -> None:
    """Read as a server reads it, the quoted name is the name, and nothing follows it."""
    assert mariadb_names.quoted(name)[1:-1].replace("``", "`") == name
    assert "`" not in mariadb_names.quoted(name)[1:-1].replace("``", "")
    assert quote(name)[1:-1].replace('""', '"') == name
    assert '"' not in quote(name)[1:-1].replace('""', "")
    text = mariadb_names.text(name)
    assert "\\" not in text
    assert text.startswith("CONVERT(0x") or "'" not in text[1:-1].replace("''", "")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (HEADERS, {"ACL": "public-read"}),
        (HEADERS, {"Bucket": "another", "Key": "another"}),
        (HEADERS, {"Metadata": ["a"]}),
        (HEADERS, {"Metadata": {"a": 1}}),
        (HEADERS, {"ContentType": {"a": 1}}),
        (HEADERS, 7),
        (TAGS, ["a"]),
        (TAGS, {"a": None}),
    ],
)
def test_no_metadata_chooses_how_objects_are_uploaded(name: str, value: object) -> None:
    """Who may read an object, or where it goes, is not for a recovery point to say."""
    node = Node(b"a", "file", extended_attributes=((name, json.dumps(value).encode()),))
    with pytest.raises(DamageFound, match="its metadata cannot be that of an object"):
        metadata_of(node)
    good = {
        HEADERS: {"ContentType": "a/b", "Metadata": {"k": "v"}, "Expires": "x"},
        TAGS: {"t": ""},
    }
    pairs = tuple((key, json.dumps(told).encode()) for key, told in good.items())
    assert metadata_of(node._replace(extended_attributes=pairs)) == (good[HEADERS], good[TAGS])


def test_the_program_beside_a_bucket_takes_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It uploads files, not what links lead to; and of an attribute what belongs to an object."""
    (tmp_path / "secret").write_text("local")
    files = tmp_path / "files"
    files.mkdir()
    (files / "object").write_text("ours")
    (files / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(files / "pipe")
    said = {"ACL": "public-read", "ContentType": "a/b"}
    monkeypatch.setattr(put_objects, "attribute", lambda _, name: said if name == HEADERS else {})
    sent: dict[str, Any] = {}

    class Client:
        def upload_file(self, path: str, bucket: str, key: str, **more: Any) -> None:
            sent[key] = (Path(path).read_text(), bucket, more["ExtraArgs"])

    monkeypatch.setattr(boto3, "client", lambda _: Client())
    monkeypatch.setattr(sys, "argv", ["put_objects.py", str(files), "s3://b/p"])
    assert put_objects.main() == 0
    assert sent == {"p/object": ("ours", "b", {"ContentType": "a/b"})}
