"""A proxy on loopback that passes requests to an S3 server and spoils those it is told to.

It speaks plain HTTP, one request per connection, and keeps the Host header, so that signatures
stay valid. A fault hits the requests whose line matches, as many times as it says.
"""

from __future__ import annotations

import asyncio
import re
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

Kind = Literal[
    "status",  # an error instead of passing the request on
    "reset before",  # the connection breaks before anything is read
    "reset mid body",  # it breaks when half of the request's body was read
    "lost reply",  # the server does it, the answer is lost
    "flip request",  # one bit of the body changes on the way there
    "flip reply",  # one bit of the body changes on the way back
    "short reply",  # the body of the answer ends early
]
HEAD_END = b"\r\n\r\n"


@dataclass(slots=True, kw_only=True)
class Fault:
    """What to do to matching requests."""

    kind: Kind
    line: str  # pattern of the request line, as in "PUT .*packs"
    times: int = 1
    status: int = 503
    code: str = "SlowDown"
    hits: int = 0


class FaultProxy:
    """One running proxy. `seen` holds the request line of everything that came."""

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname or "", parts.port or 80)
        self._faults: list[Fault] = []
        self.seen: list[str] = []
        self.port = 0

    @property
    def endpoint(self) -> str:
        """The address to talk to."""
        return f"http://127.0.0.1:{self.port}"

    def inject(self, fault: Fault) -> Fault:
        """Spoil what comes from now on; faults given earlier go first."""
        self._faults.append(fault)
        return fault

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handle one connection."""
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._handle(reader, writer)
        finally:
            writer.close()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(HEAD_END)
        line = head.split(b"\r\n", 1)[0].decode()
        self.seen.append(line)
        fault = self._fault_for(line)
        kind = fault.kind if fault else None
        if kind == "reset before":
            return _reset(writer)
        length = _content_length(head)
        if re.search(rb"\r\nexpect: *100-continue", head, flags=re.IGNORECASE):
            writer.write(b"HTTP/1.1 100 Continue" + HEAD_END)  # boto3 waits a second for it
            await writer.drain()
        if kind == "reset mid body":
            await reader.readexactly(length // 2)
            return _reset(writer)
        body = await reader.readexactly(length)
        if fault and kind == "status":
            writer.write(_error(fault))
            return await writer.drain()
        if kind == "flip request":
            body = _flipped(body)
        answer = await self._pass_on(head, body)
        if kind == "lost reply":
            return _reset(writer)
        if kind in {"flip reply", "short reply"}:
            answer_head, _, answer_body = answer.partition(HEAD_END)
            spoiled = _flipped(answer_body) if kind == "flip reply" else answer_body[:-10]
            answer = answer_head + HEAD_END + spoiled
        writer.write(answer)
        return await writer.drain()

    async def _pass_on(self, head: bytes, body: bytes) -> bytes:
        closing = re.sub(rb"\r\n(connection|expect):[^\r]*", b"", head, flags=re.IGNORECASE)
        closing = closing[: -len(HEAD_END)] + b"\r\nConnection: close" + HEAD_END
        reader, writer = await asyncio.open_connection(*self._upstream)
        try:
            writer.write(closing + body)
            await writer.drain()
            return await reader.read()
        finally:
            writer.close()

    def _fault_for(self, line: str) -> Fault | None:
        for fault in self._faults:
            if fault.hits < fault.times and re.match(fault.line, line):
                fault.hits += 1
                return fault
        return None


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


def _content_length(head: bytes) -> int:
    found = re.search(rb"\r\ncontent-length: *(\d+)", head, flags=re.IGNORECASE)
    return int(found.group(1)) if found else 0


def _flipped(body: bytes) -> bytes:
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]


def _error(fault: Fault) -> bytes:
    body = f"<Error><Code>{fault.code}</Code><Message>no</Message></Error>".encode()
    head = f"HTTP/1.1 {fault.status} no\r\nContent-Type: application/xml\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


@contextmanager
def fault_proxy(upstream: str) -> Iterator[FaultProxy]:
    """A proxy to the http server `upstream`, running in a thread of its own while this lasts."""
    proxy, loop = FaultProxy(upstream), asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(proxy.serve, "127.0.0.1", 0))
    proxy.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
