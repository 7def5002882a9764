"""PostgreSQL's own client programs: finding them, and running them so that none is left behind."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from include.backup.errors import ToolMissing

_WRAPPER: Final = "pg_wrapper"  # of Debian, in Perl


def find_tool(name: str, *, at_least: int) -> str:
    """The path of a client program.

    Args:
        at_least: the major version of the server: an older program may not know all it has.

    Raises:
        ToolMissing: there is none, or only older ones.
    """
    found = [(_version(path), place, path) for place, path in enumerate(_candidates(name))]
    # The nearest version: what a newer one writes or sets, an older server may not know.
    for _, _, path in sorted(one for one in found if one[0] >= at_least):
        return path
    newest = max((version for version, _, _ in found), default=0)
    what = f"{name} is of version {newest}" if newest else f"{name} is not on this machine"
    raise ToolMissing(
        f"{what}, and the server is of version {at_least}",
        hint=f"install the client programs of PostgreSQL {at_least} or newer, as in "
        f"apt-get install postgresql-client-{at_least}",
    )


def _candidates(name: str) -> list[str]:
    on_path = shutil.which(name)
    if on_path and Path(on_path).resolve().name == _WRAPPER:
        on_path = None  # it would start one of those beside, and choose by settings of its own
    beside = [
        *Path("/usr/lib/postgresql").glob(f"*/bin/{name}"),
        *Path("/usr").glob(f"pgsql-*/bin/{name}"),
    ]
    beside.sort(key=lambda path: path.parent.parent.name, reverse=True)
    return [*([on_path] if on_path else []), *map(str, beside)]


@functools.cache
def _version(path: str) -> int:
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return 0
    number = re.search(r"\(PostgreSQL\) (\d+)", done.stdout)
    return int(number[1]) if number else 0


@functools.cache
def takes_restrict_key(path: str) -> bool:
    """Whether a program that writes SQL lets one choose the key of psql's restricted mode."""
    done = subprocess.run([path, "--help"], capture_output=True, text=True, check=False)
    return "--restrict-key" in done.stdout
