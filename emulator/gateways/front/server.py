"""The protocol that every HTTP connection starts with.

Requests go to aiohttp (REST); one that asks for a WebSocket takes the connection to that gateway, be it the
first or a later one: pooled clients do that when everything is on one port.
"""

import asyncio
import logging
import re
import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from typing import Protocol, cast

from aiohttp import web

from emulator.gateways.access import Entrance
from emulator.gateways.doors import Doors
from emulator.gateways.front.targets import Refusal, absolute
from emulator.gateways.hosts import websocket_role
from emulator.gateways.http_connection import Handler, HttpConnection
from emulator.gateways.roles import Role
from emulator.gateways.spot_rest import server as spot_rest
from emulator.gateways.spot_ws_v1 import server as spot_ws_v1
from emulator.gateways.spot_ws_v1 import session as v1
from emulator.gateways.spot_ws_v2 import server as spot_ws_v2
from emulator.gateways.spot_ws_v2 import session as v2
from emulator.gateways.tap import Tap, tapped
from emulator.gateways.venue import Venue

WHAT_THERE_IS = "there are REST below /0/public/ and /0/private/, WebSocket v1 at / and v2 at /v2"
SHUTDOWN_S = 0.2
"""How long answers that are being written may take when the venue stops."""

_UPGRADE = re.compile(rb"^upgrade:[ \t]*websocket[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_HOST = re.compile(rb"^host:[ \t]*([^\r\n]*?)[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_TOO_MANY = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_TURN = f"/{secrets.token_hex(16)}"
"""The target of the request that stands for an upgrade in aiohttp's queue."""
Refuse = Callable[[str, str], Refusal | None]
"""Says why a request (its method and target) is not one for us, None when it is."""
_log = logging.getLogger(__name__)


class Open(Protocol):
    """A connection that is closed with the venue."""

    def close(self) -> None:
        """End the connection."""


class Server:
    """What all connections of the front share; ``protocols`` gives a factory of them for each way in.

    ``until`` waits for a moment of the monotonic clock, in nanoseconds; ``tap`` hears all connections,
    ``doors`` counts them.
    """

    def __init__(
        self,
        venue: Venue,
        first_connection_id: int,
        until: Callable[[int], Awaitable[None]],
        tap: Tap | None = None,
        doors: Doors | None = None,
    ) -> None:
        self.venue = venue
        self.doors = doors or Doors()
        self._until = until
        self._tap = tap
        self._rest = spot_rest.Server(venue)
        ids = count(first_connection_id)
        self.ws_v1 = spot_ws_v1.Server(v1.Gateway(venue), ids, self.doors)
        self.ws_v2 = spot_ws_v2.Server(v2.Gateway(venue), ids, self.doors)
        self._websockets: dict[bytes, Callable[[Role, Entrance], asyncio.Protocol]] = {
            b"": self.ws_v1.connection,
            b"/v2": self.ws_v2.connection,
        }
        self._sockets = (self.ws_v1, self.ws_v2)
        self._https: list[web.Server] = []
        self.fronts: set[Open] = set()

    def protocols(self, entrance: Entrance) -> Callable[[], asyncio.BaseProtocol]:
        """Return a factory of protocols for connections that come in by ``entrance``."""
        http = web.Server(partial(self._handle, entrance))
        self._https.append(http)
        return tapped(lambda: Front(self, entrance, http), self._tap, "http")

    def proxied(self, entrance: Entrance, refuse: Refuse) -> Callable[[], asyncio.BaseProtocol]:
        """Return such a factory for clients to whom we are an HTTP proxy: each request's target is judged."""
        http = web.Server(partial(self._handle_proxied, entrance, refuse))
        self._https.append(http)
        return tapped(lambda: Front(self, entrance, http, refuse), self._tap, "http")

    def admits(self, address: str) -> bool:
        """Count an address's attempt to open a WebSocket; tell whether it may."""
        return self.venue.limits.connects(address, self.venue.clock.now_ns())

    def websocket(self, head: bytes) -> Callable[[Entrance], asyncio.Protocol] | None:
        """Return how to make a connection of the gateway that ``head`` asks for, None when there is none."""
        target, header = _target(head), _HOST.search(head)
        host = header[1].decode("latin-1") if header else ""
        if (whole := absolute(target.decode("latin-1"))) is not None:  # it counts, whatever Host says
            host, target = whole.host, whole.path.encode("latin-1")
        make = self._websockets.get(target.partition(b"?")[0].rstrip(b"/"))
        return None if make is None else partial(make, websocket_role(host))

    async def close(self) -> None:
        """Say goodbye to every client: close frames to WebSockets, the end of the stream to others."""
        for version in self._sockets:
            version.close()
        await asyncio.gather(*(http.shutdown(timeout=SHUTDOWN_S) for http in self._https))
        for front in list(self.fronts):
            front.close()

    async def _handle(self, entrance: Entrance, request: web.BaseRequest) -> web.StreamResponse:
        if not request.path.startswith((spot_rest.PUBLIC_PATH, spot_rest.PRIVATE_PATH)):
            if request.path == _TURN:
                cast(Front, cast(Handler, request.protocol).connection).upgrade()
                return _NoAnswer()
            _log.debug("%.100r of %s refused: 404 (%s)", request.path, request.remote, WHAT_THERE_IS)
            return web.Response(status=404, text="Not Found\n")
        if not entrance.offers("rest"):
            _log.debug("%.100r of %s refused: 403 (no REST at this tier)", request.path, request.remote)
            return web.Response(status=403, text="Forbidden\n")
        return await self._rest.handle(request, entrance, self._until)

    async def _handle_proxied(
        self, entrance: Entrance, refuse: Refuse, request: web.BaseRequest
    ) -> web.StreamResponse:
        if request.path == _TURN or (refusal := refuse(request.method, request.raw_path)) is None:
            return await self._handle(entrance, request)
        _log.warning("refused: %s", refusal.reason)
        answer = web.Response(status=refusal.status, text=f"{refusal.reason}\n")
        answer.force_close()
        return answer


class _NoAnswer(web.StreamResponse):
    """What a request is answered with whose connection has been handed over: nothing."""

    async def prepare(self, request: web.BaseRequest) -> None:
        """Begin nothing."""

    async def write_eof(self, data: bytes = b"") -> None:
        """End nothing."""


class Front(HttpConnection):
    """A connection whose requests are REST's, until one asks for a WebSocket."""

    def __init__(
        self, server: Server, entrance: Entrance, http: web.Server, refuse: Refuse | None = None
    ) -> None:
        super().__init__(server.doors, http)
        self._server = server
        self._entrance = entrance
        self._refuse = refuse
        self._asked = b""
        """The head of the request for a WebSocket, when it is there."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request, within bounds."""
        super().connection_made(transport)
        self._server.fronts.add(self)
        self._serve("rest")

    def takes(self, head: bytes) -> bool:
        """Tell whether a request is one for a WebSocket that there is."""
        if not head.startswith(b"GET ") or _UPGRADE.search(head) is None:
            return False
        if self._refuse is not None and self._refuse("GET", _target(head).decode("latin-1")) is not None:
            return False
        return self._server.websocket(head) is not None

    def taken(self, head: bytes) -> None:
        """Hand the connection over, after what aiohttp still has to answer."""
        self._asked = head
        if self._inner is None:
            self.upgrade()
            return
        self._transport.pause_reading()
        self.pass_on(f"GET {_TURN} HTTP/1.1\r\nHost: {_TURN[1:]}\r\n\r\n".encode())

    def upgrade(self) -> None:
        """Give the connection to the WebSocket gateway, unless it may not have it."""
        assert self.rest is not None  # noqa: S101 - there is a request that was taken
        head, transport = self._asked, self._transport
        if transport.is_closing():
            return
        refusal = self._refusal()
        make = self._server.websocket(head)
        if refusal or make is None:
            transport.write(refusal)
            transport.close()
            return
        self._leave_aiohttp()
        self._server.fronts.discard(self)
        self.leave()
        self._serve("websocket")
        websocket = make(self._entrance)
        transport.set_protocol(websocket)
        websocket.connection_made(transport)
        if self._unread:
            websocket.pause_writing()
        else:
            transport.resume_reading()
        websocket.data_received(head + self.rest)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        self._server.fronts.discard(self)
        super().connection_lost(exc)

    def _refusal(self) -> bytes:
        """Return the answer to a request for a WebSocket that is refused here, or nothing."""
        if not self._entrance.offers("websocket"):
            _log.debug("a WebSocket refused: 403 (there is none at this tier)")
            return _FORBIDDEN
        peer = self._transport.get_extra_info("peername")
        if self._server.admits(peer[0] if peer else ""):
            return b""
        _log.debug("a WebSocket of %s refused: 429 (it opened too many)", peer and peer[0])
        return _TOO_MANY

    def _leave_aiohttp(self) -> None:
        if self._inner is not None:
            self._inner.transport = None  # or it would close the connection, which goes on
            self._inner.connection_lost(None)
            self._inner = None

    def _serve(self, api: str) -> None:
        """Tell the links below that an API's answers come from now on; those from aiohttp come later."""
        line = self._entrance.serve(self._transport, api)
        if line is not None:
            line.answers_later = api == "rest"


def _target(head: bytes) -> bytes:
    return head.split(b" ", 2)[1]
