"""A dataset of databases in a vault on disk, and what is compared after a restore."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from include.backup.actions.choosing import Order
from include.backup.actions.open_server import ServerOrder, open_server
from include.backup.actions.restore import restore
from include.backup.format.ids import BlobType
from include.backup.policy.datasets import load_datasets
from include.backup.sources.connection import Connection
from include.backup.sources.postgresql.catalog import quote
from tests.interop.archives import Archives

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from include.backup.actions.outcome import Outcome
    from include.backup.actions.setting import Setting
    from include.backup.repository.repository import Repository
    from tests.servers.postgresql import Postgres

SOURCE = "erp_source"  # the connection that is backed up


class DatabaseSite(Archives):
    """One dataset, crm, of some databases of one server.

    Args:
        options: of the source, as in ``", jobs: 3"``.
    """

    def __init__(
        self, folder: Path, connection: Connection, databases: Sequence[str] = (), options: str = ""
    ) -> None:
        super().__init__(folder)
        self.connections: dict[str, Connection] = {SOURCE: connection}
        self.databases = databases
        self.options = options
        self._opened: dict[str, tuple[Repository, bytes]] = {}

    def setting(self, storage: Any = None) -> Setting:
        """The setting of one act."""
        setting = super().setting(storage)
        config = self.folder / "databases"
        config.mkdir(exist_ok=True)
        named = f", databases: {json.dumps(list(self.databases))}" if self.databases else ""
        path = config / "datasets.yaml"
        path.write_text(
            "key: {provider: local, connection: backup_master_key}\n"
            "signing_key: {connection: backup_signing_key}\n"
            f"vaults: {{primary: {{url: '{self.vault_url}'}}}}\n"
            f"{self.verification}"
            "datasets:\n"
            "  crm:\n"
            "    class: critical\n"
            "    owner: crm-team@example.com\n"
            f"    source: {{type: postgresql, connection: {SOURCE}{named}{self.options}}}\n"
            f"{self.entry_options}"
        )
        names = [data_class.name for data_class in setting.policy.classes]
        return replace(setting, datasets=load_datasets(names, path), connection=self._connection)

    def _connection(self, name: str) -> Connection:
        if name in self.keys:
            return Connection(password=self.keys[name])
        return self.connections[name]

    def restore_to(
        self, outcome: Outcome, connection: str, *, place: str = "", path: str = "", **rules: Any
    ) -> Outcome:
        """Restore a recovery point into a server, as the command line does."""
        setting = self.setting()
        server = open_server(
            self.place(), ServerOrder(connection=connection, place=place, pattern=path, **rules)
        )
        order = Order(
            recovery_point=outcome.details["snapshot"],
            address=f"connection:{connection}/{place}",
            requested_by="tests",
            path=path,
        )
        return restore(setting, "crm", server, order)

    def about(self, outcome: Outcome, name: str) -> Any:
        """One of the files below `/.holdfast/`."""
        return json.loads(self.file(outcome, ".holdfast/" + name))

    def file(self, outcome: Outcome, path: str) -> bytes:
        """A file of a recovery point, by its path from the root."""
        return b"".join(self.pieces(outcome, path))

    def pieces(self, outcome: Outcome, path: str) -> list[bytes]:
        """Its blobs."""
        snapshot = outcome.details["snapshot"]
        if snapshot not in self._opened:
            self._opened[snapshot] = self.repository(outcome), self.tree(outcome)
        repository, tree = self._opened[snapshot]
        node = None
        for part in path.encode().split(b"/"):
            node = next(one for one in repository.load_tree(tree) if one.name == part)
            tree = node.subtree
        assert node is not None
        return [repository.load_blob(BlobType.DATA, one) for one in node.content]


def definitions(server: Postgres, database: str) -> str:
    """All definitions as pg_dump writes them, without what is another each time."""
    text = server.tool("pg_dump", "-s", database=conninfo(database))
    return re.sub(r"^\\(un)?restrict .*$", "", text, flags=re.MULTILINE)


def properties(server: Postgres, database: str) -> list[Any]:
    """The database itself, and its settings."""
    return server.run(_PROPERTIES.format(name=database.replace("'", "''")))


def conninfo(database: str) -> str:
    """A name as an argument that cannot be taken for a connection string."""
    escaped = database.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{escaped}'"


def streams(server: Postgres, database: str) -> dict[str, tuple[int, int, str]]:
    """Rows, bytes and digest of each table's rows as COPY writes them, in their order."""
    found = {}
    with server.connect(database) as session:
        for name, value in _SETTINGS.items():
            session.execute(f"SET {name} = '{value}'")
        session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        for schema, name, columns in session.execute(_TABLES).fetchall():
            table = f"{quote(schema)}.{quote(name)}"
            named = ", ".join(map(quote, columns or ()))
            digest, size, rows = sha256(), 0, 0
            query = f"COPY (SELECT {named} FROM ONLY {table}) TO STDOUT (ENCODING 'SQL_ASCII')"
            with session.cursor().copy(query) as stream:
                for piece in stream:
                    digest.update(piece)
                    size += len(piece)
                    rows += bytes(piece).count(b"\n")
            found[table] = (rows, size, digest.hexdigest())
        session.execute("ROLLBACK")
    return found


def others(server: Postgres, database: str) -> dict[str, Any]:
    """Large objects, sequences, and which views are filled."""
    with server.connect(database) as session:
        session.execute("SET statement_timeout = 0")
        objects = session.execute(_OBJECTS).fetchall()
        sequences = {
            name: session.execute(f"SELECT last_value, is_called FROM {name}").fetchone()
            for (name,) in session.execute(_SEQUENCES).fetchall()
        }
        views = session.execute(_VIEWS).fetchall()
        filled = {
            name: session.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
            for name, populated in views
            if populated
        }
    return {"objects": objects, "sequences": sequences, "views": views, "filled": filled}


def roles(server: Postgres, wanted: Callable[[str], bool]) -> list[str]:
    """What pg_dumpall says of roles, some of them, without passwords."""
    text = server.tool(
        "pg_dumpall", "--roles-only", "--no-role-passwords", database="dbname=postgres"
    )
    text = re.sub(r" GRANTED BY \S+;", ";", text)
    return [line for line in text.split("\n") if wanted(line)]


_SETTINGS = {
    "idle_in_transaction_session_timeout": "0",
    "statement_timeout": "0",
    "synchronize_seqscans": "off",
    "row_security": "off",
    "search_path": "",
    "timezone": "UTC",
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "lc_monetary": "C",
}
_PROPERTIES = """
SELECT pg_encoding_to_char(encoding), datcollate, datctype, datistemplate, datconnlimit,
       datdba::regrole::text,
       (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(datacl) a),
       shobj_description(d.oid, 'pg_database'),
       (SELECT array_agg((CASE WHEN setrole <> 0 THEN setrole::regrole::text END, setconfig)::text
               ORDER BY setrole <> 0) FROM pg_db_role_setting WHERE setdatabase = d.oid)
  FROM pg_database d WHERE datname = '{name}'"""
_TABLES = """
SELECT n.nspname::text, c.relname::text,
       (SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute a WHERE attrelid = c.oid
           AND attnum > 0 AND NOT attisdropped AND attgenerated = '')
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND n.nspname !~ '^(pg_|information_schema)' ORDER BY 1, 2"""
_OBJECTS = """
SELECT m.oid::int8, m.lomowner::regrole::text, m.lomacl::text,
       obj_description(m.oid, 'pg_largeobject'), length(lo_get(m.oid)), md5(lo_get(m.oid))
  FROM pg_largeobject_metadata m ORDER BY 1"""
_SEQUENCES = """
SELECT c.oid::regclass::text FROM pg_class c WHERE relkind = 'S'
   AND relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_') ORDER BY 1"""
_VIEWS = """
SELECT oid::regclass::text, relispopulated FROM pg_class
 WHERE relkind = 'm' AND relname <> 'on_emptied' ORDER BY 1"""
