"""Names of files and of SQL."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from include.backup.sources.mariadb.names import file_name, name_of_file, quoted, text

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=64)


@given(name=NAMES)
def test_a_file_name_leads_back(name: str) -> None:
    """It is one name of one file, and says which table it is."""
    made = file_name(name)
    assert name_of_file(made) == name
    assert not set(made) & set(b"/\0\n.\\")
    assert made not in {b"", b".", b".."}


@given(one=NAMES, other=NAMES)
def test_two_names_are_two_files(one: str, other: str) -> None:
    """Also where they differ in a letter's case alone."""
    assert (file_name(one) == file_name(other)) == (one == other)


def test_most_names_stay_readable() -> None:
    """An operator finds a table without a decoder."""
    assert file_name("Kunden und Aufträge 漢") == "Kunden und Aufträge 漢".encode()
    assert file_name("a.b/c%") == b"a%2Eb%2Fc%25"
    assert file_name("users.sql") == b"users%2Esql"


def test_sql_cannot_be_left() -> None:
    """Ticks and quotes are doubled; a backslash, which may mean something, is not written."""
    assert quoted("a`; DROP") == "`a``; DROP`"
    assert text("it's") == "'it''s'"
    assert text("a\\' OR 1") == "CONVERT(0x615c27204f522031 USING utf8mb4)"
