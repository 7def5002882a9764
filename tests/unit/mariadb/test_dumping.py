"""What is counted in a dump, cut out of it, and asked for otherwise."""

from __future__ import annotations

import hashlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.backup.errors import EntryUnreadable
from include.backup.sources.mariadb.catalog import Table
from include.backup.sources.mariadb.dumping import Figures, Rewriter, split
from include.backup.sources.mariadb.loading import renamed
from include.backup.sources.mariadb.session import scrubbed

DUMP = b"""\
SET NAMES utf8mb4;

LOCK TABLES `a` WRITE;
INSERT INTO `a` VALUES
(1,'x'),
(2,'),\\n(3'),
(3,'y');
INSERT INTO `a` VALUES
(4,'z');
UNLOCK TABLES;

LOCK TABLES `b``c` WRITE;
UNLOCK TABLES;

LOCK TABLES `h` WRITE;
INSERT INTO `h` (`id`, row_start) VALUES (1,'2026'),
(2,'2026');
UNLOCK TABLES;
SET SQL_NOTES=1;
"""


@given(cuts=st.lists(st.integers(0, len(DUMP))))
def test_rows_are_counted_wherever_pieces_end(cuts: list[int]) -> None:
    """Also in the midst of a mark, and in pieces of a byte."""
    figures = Figures()
    edges = [0, *sorted(cuts), len(DUMP)]
    for start, end in itertools.pairwise(edges):
        figures.add(DUMP[start:end])
    assert figures.rows == 6
    assert figures.bytes == len(DUMP)
    assert figures.sha256 == hashlib.sha256(DUMP).hexdigest()


def test_rows_are_counted_byte_by_byte() -> None:
    """The smallest pieces there are."""
    figures = Figures()
    for byte in DUMP:
        figures.add(bytes([byte]))
    assert figures.rows == 6


def table(name: str) -> Table:
    return Table(database="shop", name=name, kind="table", engine="InnoDB")


def test_a_dump_of_many_is_cut_into_dumps_of_one() -> None:
    """Each with what surrounds them all."""
    found = split(DUMP, [table("a"), table("b`c"), table("h")])
    for name, rows in {"a": 4, "b`c": 0, "h": 2}.items():
        assert found[name].startswith(b"SET NAMES utf8mb4;\n\n")
        assert found[name].endswith(b"\nSET SQL_NOTES=1;\n")
        assert b"LOCK TABLES" not in found[name]
        figures = Figures()
        figures.add(found[name])
        assert figures.rows == rows
    with pytest.raises(EntryUnreadable, match=r"shop\.gone"):
        split(DUMP, [table("a"), table("gone")])


def test_some_columns_are_asked_for_as_another_type() -> None:
    """In the list of columns alone, whatever names stand there; all else goes through."""
    rewriter = Rewriter({"f": "DOUBLE", "we`ird": "BINARY"})
    plain = b"SHOW FIELDS FROM `f`"
    assert rewriter(plain) == plain
    assert not rewriter.applied
    asked = b"SELECT /*!40001 SQL_NO_CACHE */ `id`, `f`, `we``ird`, `ff` FROM `f` ORDER BY `f`"
    assert rewriter(asked) == (
        b"SELECT /*!40001 SQL_NO_CACHE */ `id`, CAST(`f` AS DOUBLE) AS `f`, "
        b"CAST(`we``ird` AS BINARY) AS `we``ird`, `ff` FROM `f` ORDER BY `f`"
    )
    assert rewriter.applied
    versioned = (
        b"SELECT /*!40001 SQL_NO_CACHE */ `f`, row_start, row_end FROM `t` FOR SYSTEM_TIME ALL"
    )
    assert rewriter(versioned).startswith(
        b"SELECT /*!40001 SQL_NO_CACHE */ CAST(`f` AS DOUBLE) AS `f`, row_start, row_end FROM"
    )


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("ERROR 1062 (23000) at line 3: Duplicate entry 'a''b@x.org' for key 'u'",
         "ERROR 1062 (23000) at line 3: Duplicate entry '…' for key '…'"),
        ("ERROR 1062 (23000) at line 3: Duplicate entry 'the first line of a value",
         "ERROR 1062 (23000) at line 3: Duplicate entry '…'"),
        ("mariadb-dump: Couldn't execute 'SHOW TABLES': gone (2006)",
         "mariadb-dump: Couldn't execute '…': gone (2006)"),
        ("ERROR 1366 (22007): Incorrect value: '\\xF0\\'\\x9F' for column `s`.`t`",
         "ERROR 1366 (22007): Incorrect value: '…' for column `s`.`t`"),
        ("ERROR 1146 (42S02) at line 1: Table 'shop.t' doesn't exist",
         "ERROR 1146 (42S02) at line 1: Table 'shop.t' doesn't exist"),
        ("mariadb-dump: Error 1412: Table definition has changed when dumping table `t` at row: 0",
         "mariadb-dump: Error 1412: Table definition has changed when dumping table `t` at row: 0"),
    ],
)  # fmt: skip
def test_values_of_rows_are_not_told(said: str, told: str) -> None:
    """What quotes hold is left out, except where it can only be a name."""
    assert scrubbed(said) == told


def test_statements_about_the_database_go_with_it() -> None:
    """As mysqldump writes them around routines from before another character set."""
    sql = (
        b"ALTER DATABASE `a``b` CHARACTER SET latin1 COLLATE latin1_bin ;\n"
        b"CREATE PROCEDURE `p`() SELECT 'ALTER DATABASE `a``b` CHARACTER SET latin1' ;;\n"
        b"/*!50003 ALTER DATABASE `a``b` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */ ;\n"
        b"ALTER DATABASE `other` CHARACTER SET latin1 ;\n"
    )
    lines = renamed(sql, old="a`b", new="c\\1").splitlines()
    assert lines[0] == b"ALTER DATABASE `c\\1` CHARACTER SET latin1 COLLATE latin1_bin ;"
    assert lines[1] == sql.splitlines()[1]
    assert lines[2].startswith(b"/*!50003 ALTER DATABASE `c\\1` CHARACTER SET utf8mb4")
    assert lines[3] == sql.splitlines()[3]
