"""Lending a session to a client program: `mariadb-dump` and `mariadb` without a password.

    server  ⇄  session (PyMySQL: TLS, password or token, snapshot)
                  ⇅  this relay, packet by packet
            unix socket in a private folder  ⇄  client program

The program connects to the socket and is greeted as by the server itself; then its commands go to
the session, and the answers come back. What it says good-bye with is kept from the server, so the
session stays, with its snapshot, for the next program. Thus

* a snapshot opened under the read lock serves any number of dumps, one after the other;
* no secret is in an argument, an environment or a file: programs get none;
* the server is asked for patience, and FLOATs can be asked for with all their digits (`rewrite`).

Should this process be killed, its end of the socket closes, and the programs end.

Source: MariaDB's "Connecting" (Protocol::HandshakeV10, HandshakeResponse41, OK_Packet).
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import struct
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from pymysql.constants import CLIENT

from include.backup.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.backup.sources.mariadb.session import Session

_OFFERED: Final = (
    CLIENT.LONG_PASSWORD
    | CLIENT.LONG_FLAG
    | CLIENT.CONNECT_WITH_DB
    | CLIENT.PROTOCOL_41
    | CLIENT.TRANSACTIONS
    | CLIENT.SECURE_CONNECTION
    | CLIENT.MULTI_STATEMENTS
    | CLIENT.MULTI_RESULTS
    | CLIENT.PLUGIN_AUTH
)
_UTF8MB4: Final = 45
_AUTOCOMMIT: Final = 2
_OK: Final = b"\x07\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00"
_QUIT: Final = b"\x01"
_QUERY: Final = 3
_BLOCK: Final = 256 << 10
_MOST_PATH: Final = 80
_ACCEPT_SECONDS: Final = 60
_CREDENTIALS: Final = struct.Struct("3i")  # pid, uid, gid


class Child(Protocol):
    """The program that is to connect."""

    pid: int

    def poll(self) -> int | None:
        """Its return code once it has ended."""


class Relay:
    """One program's way to a session: start it with `arguments`, `serve` it, `finish`, `close`.

    Args:
        rewrite: changes a statement of the program before the server sees it.
    """

    def __init__(
        self, session: Session, *, rewrite: Callable[[bytes], bytes] | None = None
    ) -> None:
        self._session = session
        self._rewrite = rewrite
        self._folder = _private_folder()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path = Path(self._folder.name) / "s"
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._thread: threading.Thread | None = None
        self._client: socket.socket | None = None
        self.arguments = ("--no-defaults", f"--socket={path}", "--user=holdfast", "--skip-ssl")
        self.clean = False  # whether the program said good-bye and left nothing unanswered
        self.given = 0  # bytes that the server was sent

    def close(self) -> None:
        """Take the session back, whatever the program is doing."""
        if self._client is not None:
            with contextlib.suppress(OSError):
                self._client.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self._listener.close()
        if self._thread is not None:
            self._thread.join()
        self._folder.cleanup()

    def serve(self, child: Child) -> None:
        """Begin to serve a program that has just been started."""
        self._thread = threading.Thread(target=self._serve, args=(child,), daemon=True)
        self._thread.start()

    def finish(self) -> bool:
        """Wait for the end; return whether the session can be used again."""
        if self._thread is not None:
            self._thread.join()
        return self.clean

    def _serve(self, child: Child) -> None:
        try:
            client = self._accept(child)
            if client is None:
                self.clean = True  # it ended before it had said anything
                return
            self._folder.cleanup()  # nobody else is expected; nothing is left if we are killed
            with client:
                self._client = client
                self._greet(client)
                self._join(client, self._session.socket)
        except (OSError, ValueError, AttributeError, SourceError):
            self.clean = False  # the program, or the session, tells its own story of it

    def _accept(self, child: Child) -> socket.socket | None:
        waiting = select.poll()
        waiting.register(self._listener, select.POLLIN)
        for _ in range(_ACCEPT_SECONDS * 20):
            if waiting.poll(50):
                client, _ = self._listener.accept()
                told = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
                if _CREDENTIALS.unpack(told)[0] == child.pid:
                    return client
                client.close()  # somebody else of this account: not invited
            if child.poll() is not None:
                return None
        raise SourceError("the client program did not connect")

    def _greet(self, client: socket.socket) -> None:
        salt = os.urandom(20).replace(b"\0", b"\1")
        greeting = b"".join((
            b"\x0a",
            self._session.version.encode() + b"\0",
            struct.pack("<I", self._session.thread_id),
            salt[:8] + b"\0",
            struct.pack("<HBH", _OFFERED & 0xFFFF, _UTF8MB4, _AUTOCOMMIT),
            struct.pack("<HB", _OFFERED >> 16, len(salt) + 1),
            bytes(10),
            salt[8:] + b"\0",
            b"mysql_native_password\0",
        ))
        client.sendall(_header(len(greeting), 0) + greeting)
        _packet(client)  # who it is does not matter: see _accept
        client.sendall(_OK)

    def _join(self, client: socket.socket, server: socket.socket) -> None:
        """Carry commands and answers until the program says good-bye."""
        buffer = memoryview(bytearray(_BLOCK))
        waiting = select.poll()  # `select` knows no descriptor above 1023
        for end in (client, server):
            waiting.register(end, select.POLLIN)
        while True:
            ready = {fd for fd, _ in waiting.poll()}
            if server.fileno() in ready and not _carry(server, client, buffer):
                return  # the server is gone: closing tells the program
            if client.fileno() in ready:
                header, payload = _packet(client)
                if not header:
                    return  # gone without a good-bye: whatever it asked may still be answered
                if payload == _QUIT and not header[3]:
                    self.clean = True
                    return
                if self._rewrite is not None and payload[:1] == bytes([_QUERY]) and not header[3]:
                    payload = b"\x03" + self._rewrite(payload[1:])
                    header = _header(len(payload), 0)
                server.sendall(header + payload)
                self.given += len(payload)


def _carry(server: socket.socket, client: socket.socket, buffer: memoryview) -> bool:
    """Hand on what the server has sent; return whether it is still there."""
    while True:
        count = _receive(server, buffer)
        if count == 0:
            return False
        if count is not None:
            client.sendall(buffer[:count])
        if count is None or not isinstance(server, ssl.SSLSocket) or not server.pending():
            return True


def _receive(server: socket.socket, buffer: memoryview) -> int | None:
    """What the server has sent; None when that was something of TLS's own, as a new key.

    Waiting for more would leave the program unheard.
    """
    if not isinstance(server, ssl.SSLSocket):
        return server.recv_into(buffer)
    server.settimeout(0)
    try:
        return server.recv_into(buffer)
    except ssl.SSLWantReadError:
        return None
    finally:
        server.settimeout(None)


def _private_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for this user alone, whose name leaves room: an address of a socket is short."""
    folder = tempfile.gettempdir()
    return tempfile.TemporaryDirectory(
        prefix="holdfast-",
        dir=folder if len(os.fsencode(folder)) < _MOST_PATH else "/tmp",  # noqa: S108
    )


def _header(length: int, sequence: int) -> bytes:
    return length.to_bytes(3, "little") + bytes([sequence])


def _packet(client: socket.socket) -> tuple[bytes, bytes]:
    """The next packet, header and payload; empty when the other end is closed."""
    header = _exactly(client, 4)
    if not header:
        return b"", b""
    length = int.from_bytes(header[:3], "little")
    payload = _exactly(client, length)
    return (header, payload) if len(payload) == length else (b"", b"")


def _exactly(client: socket.socket, count: int) -> bytes:
    read = bytearray(count)
    view, done = memoryview(read), 0
    while done < count:
        got = client.recv_into(view[done:])
        if not got:
            return b""
        done += got
    return bytes(read)
