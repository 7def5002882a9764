"""Some entries of an archive of pg_dump: what pg_restore is told to restore, in a file.

12; 1262 5 DATABASE - erp postgres        3456; 0 0 ACL public TABLE orders anna
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from include.backup.errors import SourceError
from include.backup.sources.postgresql.programs import Program

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from include.backup.errors import BackupError

OF_DATABASE: Final = re.compile(
    r"\d+; \d+ \d+ (DATABASE|(ACL|COMMENT|SECURITY LABEL) - DATABASE)( |$)"
)
# Privileges come last, as pg_restore has them where it restores all at once: an index may need a
# function that its table's owner was not to call later.
PRIVILEGES: Final = re.compile(r"\d+; \d+ \d+ (DEFAULT ACL |ACL (?!- DATABASE ))")


def listed(
    pg_restore: str,
    archive: int,
    *,
    environment: Mapping[str, str],
    error: type[BackupError] = SourceError,
) -> list[str]:
    """The entries of an archive, one line each; bytes that are no UTF-8 are kept as surrogates.

    Raises:
        BackupError: of the type of `error`.
    """
    with Program(
        [pg_restore, "--create", "--list", f"/proc/self/fd/{archive}"],
        what="pg_restore --list",
        environment=environment,
        open_files=[archive],
        error=error,
    ) as program:
        lines = program.read().split(b"\n")
    return [line.decode("utf-8", "surrogateescape") for line in lines if line[:1].isdigit()]


@contextmanager
def entries_file(lines: Iterable[str]) -> Iterator[int]:
    """A file for ``pg_restore -L``, as a descriptor."""
    descriptor = os.memfd_create("holdfast-list", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.writelines(line.encode("utf-8", "surrogateescape") + b"\n" for line in lines)
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def chosen(
    pg_restore: str,
    archive: int,
    wanted: re.Pattern[str],
    *,
    environment: Mapping[str, str],
    error: type[BackupError] = SourceError,
) -> Iterator[int]:
    """A file for ``pg_restore -L``, as a descriptor: the entries that fit.

    Raises:
        BackupError: of the type of `error`.
    """
    lines = listed(pg_restore, archive, environment=environment, error=error)
    with entries_file(filter(wanted.match, lines)) as descriptor:
        yield descriptor
