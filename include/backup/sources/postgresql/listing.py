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
    from collections.abc import Iterator, Mapping

    from include.backup.errors import BackupError

OF_DATABASE: Final = re.compile(
    r"\d+; \d+ \d+ (DATABASE|(ACL|COMMENT|SECURITY LABEL) - DATABASE)( |$)"
)
# Privileges come last, as pg_restore has them where it restores all at once: an index may need a
# function that its table's owner was not to call later.
PRIVILEGES: Final = re.compile(r"\d+; \d+ \d+ (DEFAULT ACL |ACL (?!- DATABASE ))")


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
    with Program(
        [pg_restore, "--create", "--list", f"/proc/self/fd/{archive}"],
        what="pg_restore --list",
        environment=environment,
        open_files=[archive],
        error=error,
    ) as program:
        listed = program.read().split(b"\n")
    lines = [line for line in listed if wanted.match(line.decode(errors="replace"))]
    descriptor = os.memfd_create("holdfast-list", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.writelines(line + b"\n" for line in lines)
        yield descriptor
    finally:
        os.close(descriptor)
