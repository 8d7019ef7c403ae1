"""An HTTP connection: whole requests reach aiohttp, however they were cut, and nobody takes endless time.

A head is kept until it is whole, so that what a request is does not depend on TCP's segments. Time is limited
for a head, for a body, and for the pause before the next request.
"""

import asyncio
from typing import Final

from aiohttp import web

from emulator.gateways.doors import Doors, Visit
from emulator.gateways.http_requests import END, LARGEST_HEAD, Requests

HEAD_S = 20.0
"""How long a client may take to send a request's head, and before the first one."""
BODY_S = 30.0
"""How long a client may take to send a body; REST answers 408 before."""
IDLE_S = 400.0
"""How long a connection may be kept without a further request, as at Cloudflare, which is before Kraken."""
_EMPTY_LINE: Final = b"\r\n"


class HttpConnection(asyncio.Protocol):
    """One connection to ``http``; what a subclass ``takes`` is not for aiohttp."""

    def __init__(self, doors: Doors, http: web.Server) -> None:
        self._doors = doors
        self._http = http
        self._requests = Requests()
        self._head = b""
        """The beginning of a head."""
        self._inner: web.RequestHandler | None = None
        self._visit: Visit | None = None
        self._unread = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request, within bounds."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self._transport = transport
        self._visit = self._doors.enter(transport, HEAD_S, transport.close)

    def takes(self, head: bytes) -> bool:
        """Tell whether a request is not one for aiohttp; ``taken`` gets it then."""
        return False

    def taken(self, head: bytes, rest: bytes) -> None:
        """Get a request that this takes, and what follows it; all before is in aiohttp's hands."""

    def data_received(self, data: bytes) -> None:
        """Pass on what is whole; keep the beginning of a head."""
        visit = self._visit
        if visit is None:
            return
        if goes_on := bool(self._head):
            data = self._head + data
            self._head = b""
        at, size, requests, further = 0, len(data), self._requests, False
        while at < size:
            if requests.in_body:
                at = requests.skip(data, at)
                continue
            head = _head_at(data, at, size)
            if head is None:
                self._head = data[at:]
                break
            if head and self.takes(head.lstrip(_EMPTY_LINE)):
                self.pass_on(data[:at])
                self.taken(head.lstrip(_EMPTY_LINE), data[at + len(head) :])
                return
            requests.begin(head)
            at += len(head)
            further = True
        self.pass_on(data if at == size else data[:at])
        if requests.in_body:
            if further:
                visit.within(BODY_S)
        elif not self._head:
            visit.within(IDLE_S, waits=True)
        elif at or not goes_on:
            visit.within(HEAD_S, waits=True)

    def pass_on(self, data: bytes) -> None:
        """Give bytes to aiohttp."""
        if not data:
            return
        if self._inner is None:
            self._inner = self._http()
            self._inner.connection_made(self._transport)
        self._inner.data_received(data)

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
