"""An HTTP connection: whole requests reach aiohttp, however they were cut, and nobody takes endless time.

A head is kept until it is whole, so that what a request is does not depend on TCP's segments. Time is limited
for a head, for a body, and for the pause before the next request.
"""

import asyncio
import logging
import time
from typing import Any, Final, cast

from aiohttp import StreamReader, web

from emulator.gateways.doors import Doors, Visit
from emulator.gateways.http_requests import END, LARGEST_HEAD, Requests
from emulator.gateways.turns import SLICE_S

HEAD_S = 20.0
"""How long a client may take to send a request's head, and before the first one."""
BODY_S = 30.0
"""How long a client may take to send a body; REST answers 408 before."""
IDLE_S = 400.0
"""How long a connection may be kept without a further request, as at Cloudflare, which is before Kraken."""
LINGERING_S = 2.0
"""How long aiohttp reads on, when it has answered before a body was whole."""
PIECE = 4 << 10
"""Bytes that are taken in one go: many small chunks, or requests, are more work than one large one."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_EMPTY_LINE: Final = b"\r\n"
_WRONG = b"\0"
"""Stands for what is no request: aiohttp answers it with 400, in its turn."""


class Handler(web.RequestHandler):
    """aiohttp's end of a connection."""

    __slots__ = ("connection",)
    connection: "HttpConnection"


class BodyError(Exception):
    """A body that was cut off, or is not what its head says."""


class HttpConnection(asyncio.Protocol):
    """One connection to ``http``; what a subclass ``takes`` is not for aiohttp."""

    def __init__(self, doors: Doors, http: web.Server) -> None:
        self._doors = doors
        self._http = http
        self._requests = Requests()
        self._head = b""
        """The beginning of a head."""
        self._inner: Handler | None = None
        self.body: StreamReader | None = None
        """The body that is being read."""
        self.rest: bytes | None = None
        """What came after a request that was taken; None when none was."""
        self._visit: Visit | None = None
        self._unread = False
        self._left = b""
        """What is left of a large piece that has come."""
        self._held = False
        """Whether aiohttp held the client, too, when that was put off."""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request, within bounds."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self._transport = transport
        self._visit = self._doors.enter(transport, HEAD_S, transport.close)

    def takes(self, head: bytes) -> bool:
        """Tell whether a request is not one for aiohttp; ``taken`` gets it then."""
        return False

    def taken(self, head: bytes) -> None:
        """Get a request that this takes; all before is in aiohttp's hands, what follows is in ``rest``."""

    def data_received(self, data: bytes) -> None:
        """Pass on what is whole; keep the beginning of a head, and what follows a request that was taken."""
        visit = self._visit
        if visit is None:
            return
        if self._left:
            self._left += data
            self._held = False  # or it would not have come
            self._transport.pause_reading()
        elif self._inner is not None and not self._head and self.rest is None and self._requests.is_one(data):
            visit.within(IDLE_S, waits=True)
            self._inner.data_received(data)
        elif len(data) > PIECE:
            self._left = data
            self._go_on()
        else:
            self._feed(data, visit)

    def _go_on(self) -> None:
        """Take what has come piece by piece, for a slice of time; the rest waits for another turn."""
        visit, transport = self._visit, self._transport
        if visit is None or not self._left or transport.is_closing():
            return
        self._held = self._held and not transport.is_reading()
        if not self._held and not self._unread:
            transport.resume_reading()  # so that it can be seen whether aiohttp holds it
        ends_s = time.perf_counter() + SLICE_S
        while True:
            piece, self._left = self._left[:PIECE], self._left[PIECE:]
            self._feed(piece, visit)
            if not self._left:
                return
            if time.perf_counter() >= ends_s:
                break
        self._held = not transport.is_reading() and not self._unread
        transport.pause_reading()
        self._doors.turns.later(self._go_on)

    def _feed(self, data: bytes, visit: Visit) -> None:
        """Pass on what is whole of a piece."""
        if self.rest is not None:
            self.rest += data
            self._transport.pause_reading()
            return
        if goes_on := bool(self._head):
            data = self._head + data
            self._head = b""
        begin = at = heads = 0
        size, requests = len(data), self._requests
        while at < size and not requests.lost:
            if requests.in_body:
                at = requests.skip(data, at)
            else:
                self.pass_on(data[begin:at])  # requests go one by one: a wrong one spoils none before it
                begin, at = self._next(data, at, size)
                heads += 1
        if requests.lost:
            self.spoil()
        else:
            self.pass_on(data[begin:] if begin else data)
        if requests.in_body:
            if heads:
                visit.within(BODY_S, waits=True)
        elif not self._head:
            visit.within(IDLE_S, waits=True)
        elif heads > 1 or not goes_on:
            visit.within(HEAD_S, waits=True)

    def _next(self, data: bytes, at: int, size: int) -> tuple[int, int]:
        """Take the next head, as far as it is there; return up to where data is done with, and looked at."""
        head = _head_at(data, at, size)
        if head is None:
            self._head = data[at:]
            return size, size
        if not head:
            self._requests.give_up()
            self.pass_on(_WRONG)
            return size, size
        end = at + len(head)
        if self.takes(head.lstrip(_EMPTY_LINE)):
            self.rest, self._left = data[end:] + self._left, b""
            self.taken(head.lstrip(_EMPTY_LINE))
            return size, size
        self._requests.begin(head)
        if self._requests.in_chunks or self._requests.lost:  # may be wrong, or is: in either case by itself
            self.pass_on(head)
            return end, end
        return at, end

    def pass_on(self, data: bytes) -> None:
        """Give bytes to aiohttp."""
        if not data:
            return
        if self._inner is None:
            self._inner = Handler(self._http, loop=asyncio.get_running_loop(), **_OPTIONS)
            self._inner.connection = self
            self._inner.connection_made(self._transport)
        self._inner.data_received(data)

    @property
    def lost(self) -> bool:
        """Whether what came last was no request, nor part of one."""
        return self._requests.lost

    def spoil(self) -> None:
        """Let a body that is being read, and goes on wrong, end with that."""
        if self.body is not None:
            self.body.set_exception(web.RequestPayloadError("wrong chunks"))

    def close(self) -> None:
        """End the connection."""
        self._transport.close()

    def eof_received(self) -> None:
        """Pass the end of the client's stream on."""
        if self._inner is not None:
            self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        self.leave()
        if self._inner is not None:
            # Not before aiohttp's own task has begun, which it does not expect.
            asyncio.get_running_loop().call_soon(self._inner.connection_lost, exc)

    def leave(self) -> None:
        """Another has the connection, or nobody."""
        if self._visit is not None:
            self._visit.leave()

    def pause_writing(self) -> None:
        """Pass the transport's back-pressure on, to the client too: who does not read is not read from."""
        self._unread = True
        self._transport.pause_reading()
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass the end of the transport's back-pressure on."""
        self._unread = False
        self._transport.resume_reading()
        if self._inner is not None:
            self._inner.resume_writing()


async def read_body(request: web.BaseRequest, most: int) -> bytes:
    """Return a request's body, or a little more of it than is allowed.  BodyError.

    A client that asks whether to send it is told so, unless it has sent it all.
    """
    connection = cast(Handler, request.protocol).connection
    connection.body, body = request.content, bytearray()
    try:
        if connection.lost:
            connection.spoil()
        elif request.headers.get("Expect", "").lower() == "100-continue" and not request.content.is_eof():
            await request.writer.write(CONTINUE)
            request.writer.output_size = 0  # the answer itself has not begun
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > most:
                break
    except (web.RequestPayloadError, ConnectionError):
        raise BodyError from None
    finally:
        connection.body = None
    return bytes(body)


def _head_at(data: bytes, at: int, size: int) -> bytes | None:
    """Return the head at a place, with empty lines before it; None while it is not whole.

    It is empty when there will be none: garbage is answered at once.
    """
    begin = at
    while data.startswith(_EMPTY_LINE, begin):
        begin += len(_EMPTY_LINE)
    end = data.find(END, begin) + len(END)
    if (size if end < len(END) else end) - at > LARGEST_HEAD:
        return b""
    first = data[begin : begin + 1]
    if first.isalpha():
        return data[at:end] if end >= len(END) else None
    return None if begin == size or data[begin:] == _EMPTY_LINE[:1] else b""


_quiet = logging.getLogger(f"{__name__}.http")
_quiet.addHandler(logging.NullHandler())
_quiet.propagate = False
_OPTIONS: dict[str, Any] = {"access_log": None, "logger": _quiet, "lingering_time": LINGERING_S}
