r"""Names in files' names, in statements and on command lines."""

from __future__ import annotations

import re
import shlex
from urllib.parse import unquote

import psycopg.conninfo
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.backup.sources.postgresql.address import as_argument
from include.backup.sources.postgresql.catalog import Relation
from include.backup.sources.postgresql.manifest import escaped, file_name, ranges_name
from include.backup.sources.postgresql.steps import _word

# A name is 63 bytes at most, and holds no NUL.
names = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1
).filter(lambda name: len(name.encode()) <= 63)


def relation(schema: str, name: str, oid: int = 1) -> Relation:
    return Relation(
        oid=oid, schema=schema, name=name, kind="r", persistence="p", access_method="heap",
        filenode=1, bytes_main=1, bytes_all=1, populated=True, extension="", condition=None,
        fingerprint="", columns=("a",), readable=True, row_security=False,
    )  # fmt: skip


@given(schema=names, name=names)
def test_a_file_is_named_by_its_table(schema: str, name: str) -> None:
    """Any file system takes the name, and it can be read back, or is the oid."""
    file = file_name(relation(schema, name, oid=4711))
    assert len(file.encode()) <= 255
    assert len(ranges_name("x", file).rpartition("/")[2].encode()) <= 255
    assert "/" not in file
    assert not re.search(r"[\x00-\x1f\x7f]", file)
    first, _, second = file.removesuffix(".copy").partition(".")
    if first == "oid-4711":
        assert not second
    else:
        assert (unquote(first), unquote(second)) == (schema, name)


@given(first=st.tuples(names, names), second=st.tuples(names, names))
def test_two_tables_are_two_files(first: tuple[str, str], second: tuple[str, str]) -> None:
    """Whatever dots, slashes and per cents are in their names."""
    if first != second:
        assert file_name(relation(*first, oid=1)) != file_name(relation(*second, oid=2))


@pytest.mark.parametrize(
    ("schema", "name"), [("oid-1", "copy"), ("a.b", "c"), ("a", "b.c"), ("a%2Eb", "c"), (".", "..")]
)
def test_names_made_to_collide_do_not(schema: str, name: str) -> None:
    """Each is one file of its own, and none a path."""
    others = {("oid-1", "copy"), ("a.b", "c"), ("a", "b.c"), ("a%2Eb", "c"), (".", "..")}
    mine = file_name(relation(schema, name))
    assert mine not in {
        file_name(relation(*other)) for other in others if other != (schema, name)
    } | {file_name(relation("/" * 63, "/" * 63, oid=1))}
    assert not mine.startswith(".")


@given(name=names)
def test_a_folder_of_a_database_is_one_name(name: str) -> None:
    """Never a file's, and never a way out."""
    folder = escaped(name)
    assert folder not in {".", "..", "roles.sql"}
    assert len(folder.encode()) <= 255
    assert unquote(folder) == name


@given(name=names)
def test_a_database_is_no_connection_string(name: str) -> None:
    """Programs that take either get the very name."""
    given = as_argument(name)
    if given != name:
        assert psycopg.conninfo.conninfo_to_dict(given) == {"dbname": name}
    else:
        assert "=" not in name
        assert not name.startswith(("postgres://", "postgresql://"))


@given(text=st.text(st.characters(exclude_characters="\0", codec="utf-8")))
def test_a_word_of_a_command_is_one_line(text: str) -> None:
    """RESTORE.md is followed line by line."""
    word = _word(text)
    assert "\n" not in word
    if not word.startswith("$'"):
        assert shlex.split(word) == [text]
