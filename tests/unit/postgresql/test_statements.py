"""What pg_dump writes, told apart statement by statement."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.backup.sources.postgresql.catalog import quote, quote_text
from include.backup.sources.postgresql.statements import (
    of_database,
    of_roles,
    renamed,
    statements,
    without_owners,
)
from tests.unit.postgresql.test_names import names

odd = names.filter(lambda name: not re.search(r"[\n\r]", name))  # pg_dump refuses such databases


@given(old=odd, new=odd, role=names, text=st.text(st.characters(exclude_characters="\0\r")))
def test_a_database_is_made_under_another_name(old: str, new: str, role: str, text: str) -> None:
    """Every statement about it is about the new one, and no text is touched."""
    about = [
        "CREATE DATABASE \0 WITH TEMPLATE = template0 ENCODING = 'UTF8';",
        f"ALTER DATABASE \0 OWNER TO {quote(role)};",
        f"COMMENT ON DATABASE \0 IS {quote_text(text)};",
        f"ALTER DATABASE \0 SET search_path TO {quote_text(text)};",
        f"ALTER ROLE {quote(role)} IN DATABASE \0 SET application_name TO {quote_text(text)};",
        f"REVOKE CONNECT,TEMPORARY ON DATABASE \0 FROM {quote(role)};",
        f"GRANT ALL ON DATABASE \0 TO {quote(role)} WITH GRANT OPTION;",
    ]
    template = "UPDATE pg_catalog.pg_database SET datistemplate = 't' WHERE datname = \0;"

    def written(name: str, *, plain: bool = False) -> list[str]:
        spelled = name if plain else quote(name)
        return [
            *(one.replace("\0", spelled, 1) for one in about),
            template.replace("\0", quote_text(name)),
        ]

    is_plain = bool(re.fullmatch(r"[a-z_][a-z0-9_$]*", old))
    for plain in {False, is_plain}:
        lines = written(old, plain=plain)
        script = "--\n-- it's a; comment\n--\n\\restrict x\n" + "\n\n".join(lines)
        script += f"\n\\connect {quote(old)}\n"
        read = statements(script)
        assert read == lines
        assert [renamed(one, old, new) for one in read] == written(new)


def test_a_database_gets_another_owner_and_place() -> None:
    """Owner, privileges and settings of roles go with the owner; the tablespace by itself."""
    text = (
        "CREATE DATABASE erp WITH TEMPLATE = template0 TABLESPACE = fast;\n\n"
        "ALTER DATABASE erp OWNER TO anna;\n"
        "COMMENT ON DATABASE erp IS 'in TABLESPACE = fast;';\n"
        "REVOKE ALL ON DATABASE erp FROM PUBLIC;\n"
        "ALTER ROLE anna IN DATABASE erp SET x TO 'y';\n"
        "ALTER DATABASE erp SET search_path TO 'shop';\n"
    )
    found = list(of_database(text, old="erp", new="erp", owner="keeper", tablespaces=False))
    assert found == [
        'CREATE DATABASE "erp" WITH TEMPLATE = template0;',
        "COMMENT ON DATABASE \"erp\" IS 'in TABLESPACE = fast;';",
        "ALTER DATABASE \"erp\" SET search_path TO 'shop';",
        'ALTER DATABASE "erp" OWNER TO "keeper";',
    ]
    kept = list(of_database(text, old="erp", new="erp", owner=None, tablespaces=True))
    assert len(kept) == len(statements(text))
    assert kept[0].endswith(" TABLESPACE = fast;")


def test_other_databases_keep_their_names() -> None:
    """One whose name only begins so is another."""
    for line in ("ALTER DATABASE erp2 SET a TO 'b';", 'ALTER DATABASE "erp x" SET a TO 1;'):
        assert renamed(line, "erp", "new") == line


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
    [found] = of_roles(line)
    assert found.role == name
    assert found.makes_it == line.startswith("CREATE")
    assert "GRANTED BY" not in found.sql
    assert "NOSUPERUSER" not in found.sql


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
    assert b"".join(without_owners(cut, "")) == kept
