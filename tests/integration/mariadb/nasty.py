"""A database with everything that has ever been lost by a dump."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.servers.mariadb import Mariadb

ODD_NAMES = [
    *("we`ird", 'quo"ted', "it's", "a.b", "with space", "sla/sh", "per%cent", "-dash", "#hash"),
    *("ünïcödé 漢字", "back\\slash", "SELECT", "T", "t", "schema", "users"),
]
SCHEMA = Path(__file__).with_name("nasty.sql")
_COMMENTED = """\
CREATE TRIGGER after_it AFTER INSERT ON watched FOR EACH ROW BEGIN\r
  INSERT INTO seen (watched_id) VALUES (NEW.id); -- 'quote; and `tick`\r
  SET @x = '😀;;';
END"""
_ORPHANED = """\
CREATE DEFINER=`gone`@`nowhere` PROCEDURE orphaned(OUT n INT) COMMENT 'it''s' BEGIN
  DECLARE CONTINUE HANDLER FOR NOT FOUND SET n = 0; SELECT COUNT(*) INTO n FROM texts; END"""
_NIGHTLY = """\
CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' DISABLE
DO DELETE FROM seen WHERE id < 0"""
# By its name it comes before what it reads, and updates: a view on a view on a function.
_VIEW_ON_VIEW = """\
CREATE ALGORITHM=MERGE SQL SECURITY INVOKER VIEW `a view's` AS SELECT * FROM zz_base WHERE id > 0
WITH CASCADED CHECK OPTION"""
BODIES = [
    "CREATE TRIGGER before_it BEFORE INSERT ON watched FOR EACH ROW SET NEW.seen = NEW.seen + 1",
    _COMMENTED,
    "CREATE TRIGGER second AFTER INSERT ON watched FOR EACH ROW FOLLOWS after_it SET @y = 1",
    "CREATE FUNCTION doubled(x INT) RETURNS INT DETERMINISTIC SQL SECURITY INVOKER RETURN x * 2",
    _ORPHANED,
    _NIGHTLY,
    "CREATE VIEW zz_base AS SELECT id, doubled(id) AS twice FROM numbers",
    _VIEW_ON_VIEW,
    "CREATE VIEW `漢 view` AS SELECT 'ü' AS x, t FROM texts",
]


def fill(server: Mariadb, database: str) -> None:
    """Put all of it into an empty database."""
    server.feed(SCHEMA.read_text(encoding="utf-8"), database=database)
    server.run(
        *(
            statement
            for name in ODD_NAMES
            for statement in (
                f"CREATE TABLE {_quoted(name)} ({_quoted(name)} INT PRIMARY KEY, `o``dd` TEXT)",
                f"INSERT INTO {_quoted(name)} VALUES (1, 'x'), (2, NULL)",
            )
        ),
        *BODIES,
        database=database,
    )


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
