"""Writing through the stock client `mariadb`: SQL of one file, or a part of it, into a database."""

from __future__ import annotations

import os
import re
from contextlib import closing, suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from include.backup.errors import RestoreRefused, SourceError
from include.backup.sources.mariadb.names import quoted
from include.backup.sources.mariadb.programs import CLIENT, Program, ProgramFailed
from include.backup.sources.mariadb.session import Session, SqlFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from include.backup.sources.mariadb.address import Address

_OPTIONS: Final = (
    "--binary-mode",  # line ends in bodies of routines stay as they are
    "--comments",  # and so do comments
    "--default-character-set=utf8mb4",
    "--max-allowed-packet=1G",
)
# Each is tried by itself: a server that has no such variable does without.
_SETTINGS: Final = ("foreign_key_checks=0", "unique_checks=0", "system_versioning_insert_history=1")
# The server says so, or hangs up in the midst of a statement that is too large for it.
_TOO_LARGE: Final = (
    "1153",
    "max_allowed_packet",
    "2006",
    "2013",
    "connection to the server was lost",
)
_DEFINER: Final = "1227"
_DISTRUST: Final = "1419"
_BEGINNING: Final = re.compile(
    rb"^DROP (?:TABLE|SEQUENCE) IF EXISTS (`(?:[^`]|``)*`);$", re.MULTILINE
)

# Where the statements of one trigger begin, and of which table it is.
_TRIGGER: Final = re.compile(rb"^/\*!50003 SET @saved_cs_client .*$", re.MULTILINE)
_NAME: Final = rb"(?:`(?:[^`]|``)*`|[^\s`.]+)"
_WATCHES: Final = re.compile(
    rb"\bTRIGGER (?:" + _NAME + rb"\.)?" + _NAME + rb"\s+(?:BEFORE|AFTER)\s+\w+\s+ON\s+"
    rb"(?:" + _NAME + rb"\.)?(" + _NAME + rb")",
    re.IGNORECASE,
)


class Loader:
    """Puts SQL into databases of one server; for several threads, each file with its session."""

    def __init__(self, address: Address, progress: Callable[[int], None]) -> None:
        self._address = address
        self._progress = progress

    def session(self) -> Session:
        """A new session."""
        return Session(self._address)

    def load(self, what: str, database: str, pieces: Iterable[bytes]) -> None:
        """Run SQL in a database.

        Raises:
            RestoreRefused: the server refused a statement; `what` is named.
            what `pieces` raise.
        """
        try:
            with closing(self.session()) as session:
                for setting in _SETTINGS:
                    with suppress(SqlFailed):
                        session.query(f"SET SESSION {setting}")
                session.use(database)
                self._feed(session, pieces)
        except ProgramFailed as error:
            raise refused(what, error.told) from None
        except SourceError as error:
            raise RestoreRefused(f"{what}: {error.message}", hint=error.hint) from None

    def _feed(self, session: Session, pieces: Iterable[bytes]) -> None:
        program = Program(CLIENT, session, _OPTIONS, feed=True)
        try:
            with suppress(BrokenPipeError):  # it has ended; why, it says below
                for piece in pieces:
                    view = memoryview(piece)
                    while view:
                        view = view[os.write(program.fd, view) :]
                    self._progress(len(piece))
            program.close_input()
            program.finish()
        finally:
            program.close()


def refused(what: str, told: str) -> RestoreRefused:
    """The error for what a server said."""
    hint = ""
    if any(mark in told for mark in _TOO_LARGE):
        hint = (
            "if a row is too large for the server: SET GLOBAL max_allowed_packet=1073741824 there, "
            "then restore again"
        )
    elif _DEFINER in told:
        hint = (
            "only an account with SET USER (MySQL: SET_ANY_DEFINER) may define objects in the "
            "name of another: restore with one that has it"
        )
    elif _DISTRUST in told:
        hint = (
            "the server writes a binary log: restore with an account that has SUPER, or "
            "SET GLOBAL log_bin_trust_function_creators=1 meanwhile"
        )
    return RestoreRefused(f"{what} was not restored: {told}", hint=hint)


def only_triggers(triggers: bytes, wanted: set[str]) -> bytes:
    """Of all triggers of a database those of some tables; empty: they have none.

    Raises:
        RestoreRefused: it cannot be told of which table one is.
    """
    starts = [found.start() for found in _TRIGGER.finditer(triggers)]
    if not starts:
        return b""
    tail = triggers.rfind(b"/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */")
    kept = []
    for start, end in pairwise([*starts, tail]):
        if (found := _WATCHES.search(triggers, start, end)) is None:
            raise RestoreRefused("a trigger of the backup does not say of which table it is")
        if _plain(found[1]) in wanted:
            kept.append(triggers[start:end])
    return b"".join([triggers[: starts[0]], *kept, triggers[tail:]]) if kept else b""


def renamed(sql: bytes, *, old: str, new: str) -> bytes:
    """SQL that changes the database it is loaded into, and not one that has the name it had.

    Some dump programs surround routines and triggers, made before the database had another
    character set, with statements that give it back the former one for a moment, by its name.
    """
    return re.sub(
        rb"^(/\*!\d+ )?ALTER DATABASE " + re.escape(quoted(old).encode()) + rb"(?= CHARACTER SET )",
        lambda found: (found[1] or b"") + b"ALTER DATABASE " + quoted(new).encode(),
        sql,
        flags=re.MULTILINE,
    )


def only(schema: bytes, wanted: set[str]) -> Iterator[bytes]:
    """Of the definitions of tables, those of some, with what surrounds them all."""
    starts = list(_BEGINNING.finditer(schema))
    if not starts:
        yield schema
        return
    yield schema[: starts[0].start()]
    tail = schema.rfind(b"/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */")
    for number, found in enumerate(starts):
        end = starts[number + 1].start() if number + 1 < len(starts) else tail
        if _plain(found[1]) in wanted:
            yield schema[found.start() : end]
    yield schema[tail:]


def _plain(name: bytes) -> str:
    """A name without its ticks, if it has any."""
    return (name[1:-1].replace(b"``", b"`") if name[:1] == b"`" else name).decode()
