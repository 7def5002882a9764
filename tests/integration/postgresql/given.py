"""A database in a vault, and a server to restore it to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from include.backup.actions.put_back import PointFiles
from tests.integration.postgresql.bed import DatabaseSite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pytest

    from include.backup.actions.outcome import Outcome
    from tests.servers.postgresql import Postgres

NAME, OTHER = "shop db", "shop restored"
SECRET = "a value of a row"  # never in an error


class Given:
    """A database in a vault, and a server to restore to: that of the source, by another name."""

    def __init__(self, server: Postgres, folder: Path) -> None:
        self.server = server
        server.make_database(NAME)
        server.run(
            "CREATE TABLE t (id int PRIMARY KEY, content text CHECK (content <> ''))",
            f"INSERT INTO t SELECT i, '{SECRET}' FROM generate_series(1, 30000) i",
            "CREATE TABLE small AS SELECT 1 AS x",
            "CREATE SCHEMA inner_rooms",
            "CREATE VIEW inner_rooms.v AS SELECT * FROM t",
            "SELECT lo_from_bytea(77, 'large')",
            "ALTER LARGE OBJECT 77 OWNER TO plain_owner",
            "GRANT SELECT ON LARGE OBJECT 77 TO PUBLIC",
            "COMMENT ON LARGE OBJECT 77 IS 'x\nGRANT SELECT ON LARGE OBJECT 1'",
            "ALTER TABLE small OWNER TO plain_owner",
            database=NAME,
        )
        self.site = DatabaseSite(folder, server.connection(NAME))
        self.site.connections["target"] = server.connection()
        self.outcome = self.site.back_up()

    def restore(self, connection: str = "target", place: str = OTHER, **rules: Any) -> Outcome:
        """Restore to the database of the other name."""
        return self.site.restore_to(self.outcome, connection, place=place, **rules)

    def newest(self) -> dict[str, Any]:
        """The newest record of the dataset."""
        folder = self.site.vault / "datasets/crm/ledger"
        return json.loads(max(folder.iterdir()).read_bytes())


def change_rows(
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[bytes], bytes],
    name: bytes = b"public.t.copy",
) -> None:
    """Other rows than were stored."""
    original = PointFiles.stream

    def stream(self: PointFiles, path: bytes) -> Iterator[bytes]:
        if not path.endswith(name):
            yield from original(self, path)
            return
        yield change(b"".join(original(self, path)))

    monkeypatch.setattr(PointFiles, "stream", stream)
