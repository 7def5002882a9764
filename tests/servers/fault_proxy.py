"""A proxy on loopback that passes requests to an S3 server and spoils those it is told to.

It speaks plain HTTP, one request per connection, and keeps the Host header, so that signatures
stay valid. A fault hits the requests whose line matches, as many times as it says; `weather` may
spoil any other.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

Kind = Literal[
    "status",  # an error instead of passing the request on
    "reset before",  # the connection breaks before anything is read
    "reset mid body",  # it breaks when half of the request's body was read
    "lost reply",  # the server does it, the answer is lost
    "hang",  # nothing happens until the client gives up
    "flip request",  # one bit of the body changes on the way there
    "flip reply",  # one bit of the body changes on the way back
    "short reply",  # the body of the answer ends early
]
HEAD_END = b"\r\n\r\n"
LONGEST_HANG_SECONDS = 60


@dataclass(slots=True, kw_only=True)
class Fault:
    """What to do to matching requests."""

    kind: Kind
    line: str  # pattern of the request line, as in "PUT .*packs"
    times: int = 1
    skip: int = 0  # so many matching requests pass before the first that is hit
    status: int = 503
    code: str = "SlowDown"
    place: float = 0.5  # which byte is flipped, as a part of the body: 0 is the first
    hits: int = 0
    idle: int = 0  # hits that changed nothing: there was no body to spoil


Weather: TypeAlias = Callable[[bytes], Fault | None]  # head of a request → what to do to it


class FaultProxy:
    """One running proxy. `seen` holds the request line of everything that came."""

    def __init__(self, upstream: str, host: str) -> None:
        self._host = host
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname or "", parts.port or 80)
        self._faults: list[Fault] = []
        self.weather: Weather | None = None
        self.seen: list[str] = []
        self.port = 0

    @property
    def endpoint(self) -> str:
        """The address to talk to."""
        return f"http://{self._host}:{self.port}"

    def inject(self, fault: Fault) -> Fault:
        """Spoil what comes from now on; faults given earlier go first."""
        self._faults.append(fault)
        return fault

    def clear(self) -> list[str]:
        """Spoil nothing more, and return the request lines seen until now."""
        self._faults, self.weather, seen = [], None, self.seen
        self.seen = []
        return seen

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
        fault = self._fault_for(line, head)
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
        if kind == "hang":
            with suppress(TimeoutError):
                await asyncio.wait_for(reader.read(), LONGEST_HANG_SECONDS)
            return _reset(writer)
        if fault and kind == "status":
            writer.write(_error(fault))
            return await writer.drain()
        if fault and kind == "flip request":
            body = _flipped(body, fault)
        answer = await self._pass_on(head, body)
        if kind == "lost reply":
            return _reset(writer)
        if fault and kind in {"flip reply", "short reply"}:
            answer_head, _, answer_body = answer.partition(HEAD_END)
            spoil = _flipped if kind == "flip reply" else _shortened
            answer = answer_head + HEAD_END + spoil(answer_body, fault)
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

    def _fault_for(self, line: str, head: bytes) -> Fault | None:
        for fault in self._faults:
            if fault.hits < fault.times and re.match(fault.line, line):
                if fault.skip:
                    fault.skip -= 1
                    continue
                fault.hits += 1
                return fault
        return self.weather(head) if self.weather else None


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


def _content_length(head: bytes) -> int:
    found = re.search(rb"\r\ncontent-length: *(\d+)", head, flags=re.IGNORECASE)
    return int(found.group(1)) if found else 0


def _flipped(body: bytes, fault: Fault) -> bytes:
    if not body:
        fault.idle += 1
        return body
    at = min(int(fault.place * len(body)), len(body) - 1)
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


def _shortened(body: bytes, fault: Fault) -> bytes:
    fault.idle += not body
    return body[: -min(10, len(body))] if body else body


def _error(fault: Fault) -> bytes:
    body = f"<Error><Code>{fault.code}</Code><Message>no</Message></Error>".encode()
    head = f"HTTP/1.1 {fault.status} no\r\nContent-Type: application/xml\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


@contextmanager
def fault_proxy(upstream: str, *, host: str = "127.0.0.1") -> Iterator[FaultProxy]:
    """A proxy to the http server `upstream`, running in a thread of its own while this lasts."""
    proxy, loop = FaultProxy(upstream, host), asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(proxy.serve, host, 0))
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
