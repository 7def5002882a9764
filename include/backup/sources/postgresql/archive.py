"""schema.dump at hand: an archive of pg_dump in memory, and pg_restore at work with it.

Its entries are as `pg_restore --list` has them, and choose what is restored:

    12; 1262 5 DATABASE - erp postgres        3456; 0 0 ACL public TABLE orders anna
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Final, Self

from include.backup.sources.postgresql import memory_file
from include.backup.sources.postgresql.address import as_argument
from include.backup.sources.postgresql.programs import Program

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from include.backup.sources.postgresql.address import Address

OF_DATABASE: Final = re.compile(
    r"\d+; \d+ \d+ (DATABASE|(ACL|COMMENT|SECURITY LABEL) - DATABASE)( |$)"
)
# Privileges come last, as pg_restore has them where it restores all at once: an index may need a
# function that its table's owner was not to call later.
PRIVILEGES: Final = re.compile(r"\d+; \d+ \d+ (DEFAULT ACL |ACL (?!- DATABASE ))")
_FOREIGN_KEY: Final = re.compile(r"\d+; \d+ \d+ FK CONSTRAINT ")
_FASTER: Final = "-c synchronous_commit=off"  # what is committed last waits for the disk


class Archive:
    """The definitions of one database.

    Args:
        pieces: of what pg_dump wrote in its custom format.
        address: of the database that it is from, or goes to.
    """

    def __init__(
        self,
        pieces: Iterable[bytes],
        address: Address,
        pg_restore: str,
    ) -> None:
        self._address = address
        self._pg_restore = pg_restore
        self._file = memory_file.make(pieces)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the memory."""
        os.close(self._file)

    def whole(self) -> bytes:
        """All of it."""
        return os.pread(self._file, os.fstat(self._file).st_size, 0)

    @cached_property
    def entries(self) -> tuple[str, ...]:
        """What it holds, one line each; bytes that are no UTF-8 are kept as surrogates.

        Raises:
            BackupError.
        """
        lines = self._run("--create", "--list").split(b"\n")
        return tuple(
            line.decode("utf-8", "surrogateescape") for line in lines if line[:1].isdigit()
        )

    def sql(self, *arguments: str, only: Iterable[str] | None = None) -> bytes:
        """The SQL that would restore it.

        Args:
            only: some entries; None: all.

        Raises:
            BackupError.
        """
        with _listed(only) as chosen:
            return self._run("-f", "-", *arguments, only=chosen)

    def restore(
        self, *arguments: str, what: str = "pg_restore", only: Iterable[str] | None = None
    ) -> None:
        """Restore it into its database; the first error ends it.

        Args:
            what: names the step in errors.
            only: some entries; None: all.

        Raises:
            BackupError.
        """
        database = f"--dbname={as_argument(self._address.database)}"
        connected = ("--no-password", "--exit-on-error", database)
        with _listed(only) as chosen:
            self._run(*connected, *arguments, what=what, only=chosen, is_silent=True)

    @property
    def privileges(self) -> list[str]:
        """The entries that grant and revoke; see PRIVILEGES."""
        return list(filter(PRIVILEGES.match, self.entries))

    def without_foreign_keys(self) -> list[str]:
        """The entries but for what needs the rows of other tables."""
        return [line for line in self.entries if not _FOREIGN_KEY.match(line)]

    def _run(
        self,
        *arguments: str,
        what: str = "pg_restore",
        only: int | None = None,
        is_silent: bool = False,
    ) -> bytes:
        environment = self._address.environment()
        environment["PGOPTIONS"] = f"{environment.get('PGOPTIONS', '')} {_FASTER}".strip()
        chosen = [] if only is None else ["-L", memory_file.path_of(only)]
        with Program(
            [self._pg_restore, *arguments, *chosen, memory_file.path_of(self._file)],
            what=f"{self._address.shown}: {what}",
            environment=environment,
            open_files=[self._file, *([] if only is None else [only])],
            is_silent=is_silent,
            error=self._address.error,
        ) as program:
            return program.read()


@contextmanager
def _listed(entries: Iterable[str] | None) -> Iterator[int | None]:
    """A file for ``pg_restore -L``, as a descriptor."""
    if entries is None:
        yield None
        return
    lines = (line.encode("utf-8", "surrogateescape") + b"\n" for line in entries)
    with memory_file.made(lines) as descriptor:
        yield descriptor
