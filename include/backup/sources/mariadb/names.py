"""Names of databases and tables: as SQL writes them, and as names of files.

    file name = name of the database or table, in UTF-8, with %XX for each byte that is a control
                character, a backslash, or one of  % / .

So `a.b/c` becomes `a%2Eb%2Fc`, everything else stays readable, and no name can leave its
directory, hide, or look like one of our own files (`schema.sql`): those have a dot.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Mapping

DATA: Final = b"data"  # the directory of a database's rows
SCHEMA: Final = b"schema.sql"
VIEWS: Final = b"views.sql"
TRIGGERS: Final = b"triggers.sql"
ROUTINES: Final = b"routines.sql"
USERS: Final = b"users.sql"
ROWS_END: Final = b".sql"
_ODD: Final = re.compile(r"[\x00-\x1f\x7f%/\\.]")


def quoted(name: str) -> str:
    """An identifier as SQL writes it."""
    return "`" + name.replace("`", "``") + "`"


def text(value: str) -> str:
    """A string as SQL writes it, whatever the mode of the session says of backslashes."""
    if "\\" in value:
        return f"CONVERT(0x{value.encode().hex()} USING utf8mb4)"
    return "'" + value.replace("'", "''") + "'"


def file_name(name: str) -> bytes:
    """The name of the directory of a database, or of a table without `.sql`."""
    return _ODD.sub(lambda odd: f"%{ord(odd[0]):02X}", name).encode()


def name_of_file(name: bytes) -> str:
    """The name that `file_name` made a file name of."""
    return unquote(name.decode(), errors="strict")


def path_of(folder: bytes, relation: Mapping[str, object]) -> bytes:
    """The file of a relation's rows; of one without rows, where they would be.

    Args:
        folder: of its database.
        relation: what the manifest says of it.
    """
    file = relation.get("file")
    own = folder + b"/" + DATA + b"/" + file_name(str(relation["name"])) + b".sql"
    return str(file).encode() if file else own
