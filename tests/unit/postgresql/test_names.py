r"""Names in files' names, in statements and on command lines."""

from __future__ import annotations

import re
import shlex
from urllib.parse import unquote

import psycopg.conninfo
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.backup.sources.postgresql import making
from include.backup.sources.postgresql.address import as_argument
from include.backup.sources.postgresql.catalog import Relation, quote, quote_text
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


odd = names.filter(lambda name: not re.search(r"[\n\r]", name))  # pg_dump refuses such databases


@given(old=odd, new=odd, role=names, text=st.text(st.characters(exclude_characters="\0\r")))
def test_a_database_is_made_under_another_name(old: str, new: str, role: str, text: str) -> None:
    """Every statement about it is about the new one, and no text is touched."""
    about = [
        "CREATE DATABASE {} WITH TEMPLATE = template0 ENCODING = 'UTF8';",
        f"ALTER DATABASE {{}} OWNER TO {quote(role)};",
        f"COMMENT ON DATABASE {{}} IS {quote_text(text)};",
        f"ALTER DATABASE {{}} SET search_path TO {quote_text(text)};",
        f"ALTER ROLE {quote(role)} IN DATABASE {{}} SET application_name TO {quote_text(text)};",
        f"REVOKE CONNECT,TEMPORARY ON DATABASE {{}} FROM {quote(role)};",
        f"GRANT ALL ON DATABASE {{}} TO {quote(role)} WITH GRANT OPTION;",
    ]
    template = "UPDATE pg_catalog.pg_database SET datistemplate = 't' WHERE datname = {};"

    def written(name: str, *, plain: bool = False) -> list[str]:
        spelled = name if plain else quote(name)
        return [
            *(one.replace("{}", spelled, 1) for one in about),
            template.replace("{}", quote_text(name)),
        ]

    is_plain = bool(re.fullmatch(r"[a-z_][a-z0-9_$]*", old))
    for plain in {False, is_plain}:
        lines = written(old, plain=plain)
        script = "--\n-- it's a; comment\n--\n\\restrict x\n" + "\n\n".join(lines)
        script += f"\n\\connect {quote(old)}\n"
        read = making.statements(script)
        assert read == lines
        assert [making._renamed(one, old, new) for one in read] == written(new)


def test_other_databases_keep_their_names() -> None:
    """One whose name only begins so is another."""
    for line in ("ALTER DATABASE erp2 SET a TO 'b';", 'ALTER DATABASE "erp x" SET a TO 1;'):
        assert making._renamed(line, "erp", "new") == line


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ('CREATE ROLE "a;b ""c""";', 'a;b "c"'),
        ("ALTER ROLE anna WITH NOSUPERUSER LOGIN;", "anna"),
        ("ALTER ROLE anna SET search_path TO 'x';", "anna"),
        ("COMMENT ON ROLE \"an na\" IS 'x\nGRANT';", "an na"),
        ('GRANT "x TO y" TO "an na" WITH ADMIN OPTION GRANTED BY postgres;', "an na"),
        ("GRANT readers TO anna WITH INHERIT TRUE GRANTED BY postgres;", "anna"),
    ],
)
def test_whose_role_a_statement_is_about(line: str, name: str) -> None:
    """Only what is about a new role is run."""
    [statement] = making.statements(line)
    found = making._ABOUT_ROLE.match(statement)
    assert found is not None
    assert making.unquoted(found["name"]) == name
    short = making._without_defaults(statement)
    assert "GRANTED BY" not in short
    assert "NOSUPERUSER" not in short


@given(
    pieces=st.lists(
        st.sampled_from([
            b"SELECT pg_catalog.lo_create('5');\n",
            b"ALTER LARGE OBJECT 5 OWNER TO anna;\n",
            b"GRANT SELECT ON LARGE OBJECT 5 TO anna;\n",
            b"COMMENT ON LARGE OBJECT 5 IS 'it''s\nGRANT x ON LARGE OBJECT 5\n';\n",
        ])
    ),
    size=st.integers(1, 60),
)
def test_large_objects_lose_their_owners_and_nothing_else(pieces: list[bytes], size: int) -> None:
    """However the file is cut into pieces."""
    data = b"".join(pieces)
    cut = [data[at : at + size] for at in range(0, len(data), size)]
    kept = b"".join(one for one in pieces if not one.startswith((b"ALTER", b"GRANT")))
    assert b"".join(making.without_owners(cut, "")) == kept
