"""The client programs: where they are, and one of them at work in a lent session."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from include.backup.errors import SourceError, ToolMissing
from include.backup.sources.mariadb.relay import Relay
from include.backup.sources.mariadb.session import scrubbed
from include.backup.sources.pipes import widen, writing_much

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from include.backup.sources.mariadb.session import Session

DUMP: Final = "mariadb-dump"
CLIENT: Final = "mariadb"
_TOLD_BYTES: Final = 2000
_VARIABLES: Final = ("PATH", "TMPDIR", "LD_LIBRARY_PATH")


class ProgramFailed(SourceError):
    """A client program ended with an error; `told` is what it said, without values of rows."""

    def __init__(self, name: str, told: str) -> None:
        super().__init__(f"{name}: {told}")
        self.told = told


def find(name: str) -> str:
    """Where a client program is.

    Raises:
        ToolMissing.
    """
    if found := shutil.which(name):
        return found
    raise ToolMissing(
        f"{name} is not on this machine",
        hint="install MariaDB's client programs, which serve MySQL as well: "
        "apt-get install mariadb-client",
    )


class Program:
    """A client program that works in a session until it ends, or is killed.

    Args:
        feed: it is written to (`stdin`); else it is read from (`stdout`).
    """

    def __init__(
        self,
        name: str,
        session: Session,
        arguments: Sequence[str],
        *,
        feed: bool = False,
        rewrite: Callable[[bytes], bytes] | None = None,
    ) -> None:
        self.name = name
        path = find(name)
        self._told = os.memfd_create("told")
        self._relay = Relay(session, rewrite=rewrite)
        try:
            self._process = subprocess.Popen(  # noqa: S603  no shell; names come after "--"
                writing_much([path, *self._relay.arguments, *arguments]),
                stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
                stdout=subprocess.DEVNULL if feed else subprocess.PIPE,
                stderr=self._told,
                bufsize=0,
                env=_environment(),
                start_new_session=True,  # Ctrl-C is for us, and we end it in order
            )
        except BaseException:
            self._relay.close()
            os.close(self._told)
            raise
        self._relay.serve(self._process)
        widen(self.fd)

    @property
    def fd(self) -> int:
        """Where it is read from, or written to."""
        pipe = self._process.stdin or self._process.stdout
        assert pipe is not None
        return pipe.fileno()

    def close_input(self) -> None:
        """Say that nothing more comes."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    def finish(self) -> None:
        """Wait until it has ended by itself, and done what it should.

        Raises:
            ProgramFailed.
        """
        code = self._process.wait()
        clean = self._relay.finish()
        if code:
            raise ProgramFailed(self.name, self._said() or f"ended with {code}")
        if not clean:
            raise ProgramFailed(self.name, "the connection to the server was lost")

    def close(self) -> None:
        """End it if it still runs; whatever it was told is lost."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._relay.close()
        os.close(self._told)

    def _said(self) -> str:
        """The line of the error; not the statement, which the client repeats before it."""
        size = os.fstat(self._told).st_size
        said = os.pread(self._told, _TOLD_BYTES, max(0, size - _TOLD_BYTES))
        lines = said.decode("utf-8", "replace").splitlines()
        errors = [line for line in lines if line.startswith(("ERROR ", f"{self.name}:"))]
        return scrubbed(errors[-1]) if errors else ""


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    return {**kept, "LC_ALL": "C.UTF-8"}
