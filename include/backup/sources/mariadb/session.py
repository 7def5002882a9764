"""Sessions with a server, and what its refusals mean.

A session is PyMySQL's. Its socket can be lent to a client program (see relay.py), which then
speaks with the server as if the session were its own: it needs no password, and sees the snapshot
that the session holds.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
from typing import TYPE_CHECKING, Any, Final

import pymysql
from pymysql.constants import CLIENT

from include.backup.errors import SourceError, SourceGone
from include.backup.sources.mariadb.address import CA_HINT

if TYPE_CHECKING:
    from include.backup.sources.mariadb.address import Address

_CONNECT_SECONDS: Final = 10
_PATIENT_SECONDS: Final = 7 * 24 * 3600  # the vault may be slow; the server's default is a minute
ACCESS_DENIED: Final = frozenset({1044, 1045, 1142, 1143, 1227, 1370, 1095, 1698})
LOCK_TIMEOUT: Final = 1205
# The end may be missing: a program tells a line of what may have several. Not as in "couldn't".
_QUOTED_VALUE: Final = re.compile(r"(?<!\w)'(?:[^'\\]|\\.|'')*(?:'|\Z)", re.DOTALL)
# Their texts name accounts, tables and hosts, and no value of a row.
_HARMLESS: Final = ACCESS_DENIED | {1046, 1049, 1051, 1130, 1146, 1193, 1305, 1356, 1412, 1449}
_NUMBER: Final = re.compile(r"(?:ERROR|Error:?) (\d{4})|\((\d{4})\)")
# Keepalive: a server whose machine is gone is noticed after two minutes, not after two hours.
_KEEPALIVE: Final = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))


class SqlFailed(SourceError):
    """The server refused a statement; carries its error number."""

    def __init__(self, code: int, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class Session:
    """One session. For one thread at a time.

    Raises:
        SourceGone: the server cannot be reached, or is not who it should be.
        SourceError: it refuses the account.
    """

    def __init__(self, address: Address, *, database: str = "") -> None:
        self.address = address
        context = address.tls()
        password = address.secret()
        try:
            self._raw = pymysql.connect(
                host=address.host,
                port=address.port,
                unix_socket=address.unix_socket or None,
                user=address.user,
                password=password.encode(),
                database=database or None,
                charset="utf8mb4",
                ssl=context,
                ssl_disabled=context is None,
                autocommit=True,
                connect_timeout=_CONNECT_SECONDS,
                client_flag=CLIENT.MULTI_STATEMENTS,
                program_name="holdfast",
            )
        except pymysql.MySQLError as error:
            raise _not_connected(address, error) from None  # its cause may hold the account's name
        self._keep_alive()
        self._be_patient()

    @property
    def socket(self) -> socket.socket:
        """What a client program is lent; nothing is read ahead between two statements."""
        found: socket.socket = self._raw._sock  # noqa: SLF001  see the module
        return found

    @property
    def driver(self) -> pymysql.connections.Connection[Any]:
        """The connection itself, for libraries that want one of PyMySQL's."""
        return self._raw

    @property
    def version(self) -> str:
        """As the server says it, as in `5.5.5-10.11.18-MariaDB`."""
        return str(self._raw.server_version)

    @property
    def is_mariadb(self) -> bool:
        """Whether it is MariaDB; else Oracle's MySQL, or like it."""
        return "mariadb" in self.version.lower()

    @property
    def thread_id(self) -> int:
        """The server's number of this session."""
        return int(self._raw.thread_id())

    @property
    def encrypted(self) -> str:
        """The protocol, as in `TLSv1.3`; empty when nothing is encrypted."""
        found = self.socket
        return found.version() or "" if isinstance(found, ssl.SSLSocket) else ""

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement; return its rows.

        Raises:
            SqlFailed.
        """
        try:
            with self._raw.cursor() as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall())
        except pymysql.MySQLError as error:
            code, message = _parts(error)
            raise SqlFailed(code, f"{self.address.shown}: {message} ({code})") from None
        except (OSError, AttributeError):  # the socket is gone, or closed by another thread
            raise SqlFailed(0, f"{self.address.shown}: the connection was lost") from None

    def run_all(self, statements: str) -> int:
        """Run statements in one transaction; return how many rows they changed.

        Raises:
            SqlFailed: nothing was changed in tables that know transactions.
        """
        self.query("START TRANSACTION")
        rows = 0
        try:
            with self._raw.cursor() as cursor:
                rows += max(cursor.execute(statements), 0)
                while cursor.nextset():
                    rows += max(cursor.rowcount, 0)
        except pymysql.MySQLError as error:
            code, message = _parts(error)
            raise SqlFailed(code, f"{self.address.shown}: {message} ({code})") from None
        self.query("COMMIT")
        return int(rows)

    def variable(self, name: str) -> str:
        """A variable of the session or server; empty if there is none of that name."""
        with contextlib.suppress(SqlFailed):
            return str(self.query(f"SELECT @@{name}")[0][0] or "")
        return ""

    def use(self, database: str) -> None:
        """Choose the database that names without one mean."""
        try:
            self._raw.select_db(database)
        except pymysql.MySQLError as error:
            code, message = _parts(error)
            raise SqlFailed(code, f"{self.address.shown}: {message} ({code})") from None

    def close(self) -> None:
        """End it, and with it its transaction and its locks; also from another thread."""
        with contextlib.suppress(OSError, AttributeError):
            self.socket.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError, AttributeError, ValueError):
            self._raw._force_close()  # noqa: SLF001  `close` would wait for the server

    def _keep_alive(self) -> None:
        if self.socket.family == socket.AF_UNIX:
            return
        for option, value in _KEEPALIVE:
            if (number := getattr(socket, option, None)) is not None:
                self.socket.setsockopt(socket.IPPROTO_TCP, number, value)

    def _be_patient(self) -> None:
        """See `be_patient`; also that no statement is ended for taking long."""
        self.be_patient()
        limit = "max_statement_time" if self.is_mariadb else "max_execution_time"
        for setting in ("sql_mode=''", "time_zone='+00:00'", f"{limit}=0"):
            with contextlib.suppress(SqlFailed):
                self.query(f"SET SESSION {setting}")

    def be_patient(self) -> None:
        """Ask the server to wait for us: a vault that is slow must not end the session.

        By default a server gives up a reader that takes nothing for 60 seconds.
        """
        for name in ("net_write_timeout", "net_read_timeout", "wait_timeout"):
            self.query(f"SET SESSION {name}={_PATIENT_SECONDS}")


def scrubbed(message: str, code: int = 0) -> str:
    """What a server or client program said, on one line and without values of rows."""
    line = " ".join(message.split())
    if not code and (found := _NUMBER.search(line)):
        code = int(found[1] or found[2])
    return line if code in _HARMLESS else _QUOTED_VALUE.sub("'…'", line)


def _parts(error: pymysql.MySQLError) -> tuple[int, str]:
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    text = str(error.args[1]) if len(error.args) > 1 else str(error)
    return code, scrubbed(text, code)


def _not_connected(address: Address, error: pymysql.MySQLError) -> SourceError:
    code, message = _parts(error)
    cause = getattr(error, "original_exception", None)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return SourceGone(
            f"{address.shown}: its certificate cannot be verified ({cause.verify_message})",
            hint=CA_HINT,
        )
    if isinstance(cause, ssl.SSLError) or "SSL is required" in message:
        return SourceGone(f"{address.shown}: no TLS ({message})", hint=CA_HINT)
    if code in ACCESS_DENIED:
        return SourceError(
            f"{address.shown} refuses {address.user} ({code})",
            hint=f"are login and password of connection {address.name} right, and may the account "
            "come from this machine?",
        )
    if isinstance(cause, OSError) or not code:
        why = cause.strerror or type(cause).__name__ if isinstance(cause, OSError) else message
        return SourceGone(
            f"{address.shown} cannot be reached ({why})", hint="does the server run, and listen?"
        )
    return SourceGone(f"{address.shown}: {message} ({code})")
