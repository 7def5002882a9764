"""Putting databases back into a server.

    refuse ─ CREATE DATABASE ─ tables and sequences ─ rows, several tables at a time, each counted
    ─ routines and events ─ views ─ triggers ─ the same relations as in the manifest?

Triggers come last, so none fires for a row that is put back. Whatever the server says no to ends
the restore with an error that names the table: what is there then is no restored database.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, Final

from include.backup.errors import RestoreRefused, SourceError
from include.backup.evidence.wording import count
from include.backup.sources.base import PutBack
from include.backup.sources.erasing import database_of
from include.backup.sources.mariadb.catalog import SYSTEM
from include.backup.sources.mariadb.database_back import DatabaseBack
from include.backup.sources.mariadb.loading import Loader
from include.backup.sources.mariadb.manifest import MANIFEST, decoded
from include.backup.sources.mariadb.programs import CLIENT, find
from include.backup.sources.mariadb.session import Session, SqlFailed
from include.backup.sources.noting import Notes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from include.backup.sources.base import StoredFiles
    from include.backup.sources.erasing import ToErase
    from include.backup.sources.mariadb.address import Address

_ABSENT: Final = frozenset({1054, 1146})  # a column, a table
_IDENTITY: Final = ("server_uuid", "server_uid", "hostname", "port", "datadir", "server_id")


class MariadbTarget:
    """A server, or one database of it, that a recovery point is put back into.

    Args:
        address: of the server.
        database: another name for the one database that the recovery point holds.
        renamed: another name for each of several databases.
        overwrite: replace tables of the same names; others stay.
        source: what the dataset is read from; into it only if `into_source`.
        wanted: which files are put back, by their paths below the dataset.
        jobs: how many tables are filled at a time.
    """

    def __init__(  # noqa: PLR0913  keywords
        self,
        address: Address,
        *,
        database: str = "",
        renamed: Callable[[str], str] = lambda name: name,
        overwrite: bool = False,
        source: Address | None = None,
        into_source: bool = False,
        wanted: Callable[[bytes], bool] = lambda _: True,
        jobs: int = 2,
    ) -> None:
        self.address = self._address = address
        self._database = database
        self._renamed = renamed
        self._overwrite = overwrite
        self._source = source
        self._into_source = into_source
        self._wanted = wanted
        self._jobs = jobs

    def prepare(self) -> None:
        """See Server.prepare."""
        find(CLIENT)
        if self._database in SYSTEM:
            raise RestoreRefused(f"{self._database} is the server's own database")
        try:
            with closing(Session(self._address)) as session:
                if self._source is not None and not self._into_source:
                    _refuse_source(session, self._source)
        except SourceError as error:
            raise RestoreRefused(error.message, hint=error.hint) from None

    def standing(self, files: StoredFiles) -> list[str]:
        """See Server.standing."""
        self.prepare()
        plan = self._plan(Loader(self._address, lambda _: None), files)
        try:
            with closing(Session(self._address)) as session:
                if not self._overwrite:
                    for part in plan:
                        part.require_room(session)
                return [told for part in plan for told in part.standing(session)]
        except SourceError as error:
            raise RestoreRefused(error.message, hint=error.hint) from None

    def name_of(self, database: str) -> str:
        """What a database of the recovery point is called there."""
        return self._database or self._renamed(database)

    def wants(self, path: bytes) -> bool:
        """Whether a file of the dataset is put back."""
        return self._wanted(path)

    def put(self, files: StoredFiles, progress: Callable[[int], None]) -> PutBack:
        """See Server.put."""
        loader, notes = Loader(self._address, progress), Notes()
        plan = self._plan(loader, files)
        try:
            with closing(loader.session()) as session:
                for part in plan:
                    if not self._overwrite:
                        part.require_room(session)
                for part in plan:
                    part.begin(session)
                self._fill(plan)
                for part in plan:
                    notes.extend(part.finish(session))
        except SourceError as error:
            raise RestoreRefused(error.message, hint=error.hint) from None
        tables = sum(len(part.tables) for part in plan)
        return PutBack(
            files=sum(part.files for part in plan),
            bytes_written=sum(part.bytes for part in plan),
            contents=f"{count(tables, 'table')} of {count(len(plan), 'database')}",
            notes=notes,
        )

    def erase(self, files: StoredFiles, requests: Sequence[ToErase]) -> list[int]:
        """See Server.erase: the statements of a request are one transaction."""
        plan = self._plan(Loader(self._address, lambda _: None), files)
        restored = [(one["name"], self.name_of(one["name"])) for one in self._databases(files)]
        there = {part.target for part in plan}
        restored = [(known, own) for known, own in restored if own in there]
        whole = len(there) == len(self._databases(files)) and all(part.whole for part in plan)
        return [self._erase(one, database_of(one, restored), whole=whole) for one in requests]

    def _erase(self, request: ToErase, database: str, *, whole: bool) -> int:
        if not database:
            return 0
        try:
            with closing(Session(self._address, database=database)) as session:
                return session.run_all(request.statements)
        except SqlFailed as error:
            if error.code in _ABSENT and not whole:  # its table was not among those restored
                return 0
            raise RestoreRefused(
                f"a statement of erasure {request.id} failed in {database} ({error.code})",
                hint="see `erasures show`; nothing is handed over as long as it fails",
            ) from None
        except SourceError as error:
            raise RestoreRefused(error.message, hint=error.hint) from None

    def _plan(self, loader: Loader, files: StoredFiles) -> list[DatabaseBack]:
        plan = [
            DatabaseBack(loader, files, one, name=self.name_of(one["name"]), wanted=self._wanted)
            for one in self._databases(files)
        ]
        plan = [part for part in plan if part.has_any]
        if self._database and len(plan) > 1:
            raise RestoreRefused(
                f"the recovery point holds {len(plan)} databases, not one to be called "
                f"{self._database}",
                hint="restore them under their own names, or one of them by its path",
            )
        return plan

    def _databases(self, files: StoredFiles) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = decoded(files.about(MANIFEST))["databases"]
        return found

    def _fill(self, plan: list[DatabaseBack]) -> None:
        """Put the rows back, the largest tables first."""
        jobs = [(part, table) for part in plan for table in part.tables if table.get("file")]
        jobs.sort(key=lambda job: int(job[1]["bytes"]), reverse=True)
        failed: list[BaseException] = []

        def fill(job: tuple[DatabaseBack, dict[str, Any]]) -> None:
            if failed:
                return
            try:
                job[0].fill(job[1])
            except BaseException as error:
                failed.append(error)
                raise

        with ThreadPoolExecutor(self._jobs, thread_name_prefix="mariadb") as pool:
            for done in [pool.submit(fill, job) for job in jobs]:
                done.result()


def _refuse_source(session: Session, source: Address) -> None:
    """Refuse a server that is the one the dataset is read from, by whatever name it is reached.

    A source that does not answer is not this server, which does.
    """
    target = session.address
    same = (source.host, source.port, source.unix_socket) == (
        target.host, target.port, target.unix_socket,
    )  # fmt: skip
    if not same:
        with suppress(SourceError), closing(Session(source)) as other:
            same = _identity(other) == _identity(session)
    if same:
        raise RestoreRefused(
            f"{target.shown} is the server that the dataset is read from",
            hint="restore into another server; into this one only if it is named twice: "
            "--into-source CONNECTION",
        )


def _identity(session: Session) -> list[str]:
    return [session.variable(name) for name in _IDENTITY]
