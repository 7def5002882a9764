"""A server far away: each message takes its time, and what is set there ends who dawdles."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from include.backup.sources.postgresql.address import Address
from include.backup.sources.postgresql.snapshot import DatabaseSnapshot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.postgresql import Postgres

pytestmark = pytest.mark.integration
NAME = "far_away"
MESSAGE_SECONDS = 0.02
MUST_ANSWER = "2ms"


def test_a_table_is_scanned_beside_before_the_server_loses_patience(postgres: Postgres) -> None:
    """A session of its own begins in one message: between two, it would be idle for too long."""
    postgres.make_database(NAME)
    postgres.run("CREATE TABLE t AS SELECT i FROM generate_series(1, 3) i", database=NAME)
    postgres.run(f"ALTER DATABASE {NAME} SET idle_in_transaction_session_timeout = '{MUST_ANSWER}'")
    with _slow_line(postgres.port) as port:
        address = Address.of(postgres.connection(NAME, port=port))
        with closing(DatabaseSnapshot(address, elapsed=timedelta(0))) as snapshot:
            (table,) = (one for one in snapshot.relations if one.name == "t")
            assert snapshot.run_beside(table, "SELECT sum(i) FROM ONLY public.t") == [(6,)]
    postgres.run(f"DROP DATABASE {NAME} WITH (FORCE)")


@contextmanager
def _slow_line(server: int) -> Iterator[int]:
    """A port of a server that each message to it reaches late."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        threading.Thread(target=_accept, args=(listener, server), daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, server: int) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        peer = socket.create_connection(("127.0.0.1", server))
        for ends in ((client, peer, MESSAGE_SECONDS), (peer, client, 0.0)):
            threading.Thread(target=_forward, args=ends, daemon=True).start()


def _forward(source: socket.socket, sink: socket.socket, seconds: float) -> None:
    try:
        while data := source.recv(65536):
            time.sleep(seconds)
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        source.close()
        sink.close()
