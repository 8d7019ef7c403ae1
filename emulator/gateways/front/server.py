"""The protocol that every HTTP connection starts with.

It reads the first request's head and hands the connection to aiohttp (REST) or to a WebSocket
gateway.  A later upgrade on a connection that REST has used is handed over as well: pooled clients
do that when everything is on one port.
"""

import asyncio
import logging
import re
import resource
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from aiohttp import web

from emulator.gateways.access import Entrance
from emulator.gateways.front.targets import Refusal, absolute
from emulator.gateways.hosts import websocket_role
from emulator.gateways.roles import Role
from emulator.gateways.spot_rest import server as spot_rest
from emulator.gateways.spot_ws_v1 import server as spot_ws_v1
from emulator.gateways.spot_ws_v1 import session as v1
from emulator.gateways.spot_ws_v2 import server as spot_ws_v2
from emulator.gateways.spot_ws_v2 import session as v2
from emulator.gateways.tap import Tap, tapped
from emulator.gateways.venue import Venue

HEAD_TIMEOUT_S = 20.0
"""How long a client may take to send its first request's head."""
LARGEST_HEAD = 16 << 10
MOST_CONNECTIONS = 4_096
SPARE_DESCRIPTORS = 64
"""File descriptors left for everything but clients."""
WHAT_THERE_IS = "there are REST below /0/public/ and /0/private/, WebSocket v1 at / and v2 at /v2"
SHUTDOWN_S = 0.2
"""How long answers that are being written may take when the venue stops."""

_UPGRADE = re.compile(rb"^upgrade:[ \t]*websocket[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_HOST = re.compile(rb"^host:[ \t]*([^\r\n]*?)[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_TOO_MANY = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_END = b"\r\n\r\n"
Refuse = Callable[[str, str], Refusal | None]
"""Says why a request (its method and target) is not one for us, None when it is."""
_log = logging.getLogger(__name__)


class Open(Protocol):
    """A connection that counts, and is closed with the venue."""

    def close(self) -> None:
        """End the connection."""


class Server:
    """What all connections of the front share; ``protocols`` gives a factory of them for each way in.

    ``until`` waits for a moment of the monotonic clock, in nanoseconds; ``tap`` hears all connections.
    """

    def __init__(
        self,
        venue: Venue,
        first_connection_id: int,
        until: Callable[[int], Awaitable[None]],
        tap: Tap | None = None,
    ) -> None:
        self.venue = venue
        self._until = until
        self._tap = tap
        self._rest = spot_rest.Server(venue)
        self.ws_v1 = spot_ws_v1.Server(v1.Gateway(venue), first_connection_id)
        self.ws_v2 = spot_ws_v2.Server(v2.Gateway(venue), first_connection_id)
        self._websockets: dict[bytes, Callable[[Role, Entrance], asyncio.Protocol]] = {
            b"": self.ws_v1.connection,
            b"/v2": self.ws_v2.connection,
        }
        self._sockets = (self.ws_v1, self.ws_v2)
        self._https: list[web.Server] = []
        self.fronts: set[Open] = set()
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.most_connections = min(MOST_CONNECTIONS, descriptors - SPARE_DESCRIPTORS)

    def protocols(self, entrance: Entrance) -> Callable[[], asyncio.BaseProtocol]:
        """Return a factory of protocols for connections that come in by ``entrance``."""
        http = web.Server(partial(self._handle, entrance), access_log=None, logger=_quiet)
        self._https.append(http)
        return tapped(lambda: Front(self, entrance, http), self._tap, "http")

    def proxied(self, entrance: Entrance, refuse: Refuse) -> Callable[[], asyncio.BaseProtocol]:
        """Return such a factory for clients to whom we are an HTTP proxy: each request's target is judged."""
        http = web.Server(partial(self._handle_proxied, entrance, refuse), access_log=None, logger=_quiet)
        self._https.append(http)
        return tapped(lambda: Front(self, entrance, http, refuse), self._tap, "http")

    def enter(self, connection: Open, transport: asyncio.Transport) -> bool:
        """Count a connection in; one too many is aborted."""
        if self.connections() >= self.most_connections:
            _log.warning("connection refused: %d are open", self.most_connections)
            transport.abort()
            return False
        self.fronts.add(connection)
        return True

    def connections(self) -> int:
        """Return how many clients are connected."""
        return len(self.fronts) + sum(len(version.connections) for version in self._sockets)

    def admits(self, address: str) -> bool:
        """Count an address's attempt to open a WebSocket; tell whether it may."""
        return self.venue.limits.connects(address, self.venue.clock.now_ns())

    def websocket(self, head: bytes, entrance: Entrance) -> asyncio.Protocol | None:
        """Return the protocol of the WebSocket gateway that ``head`` asks for, None when there is none."""
        target, header = head.split(b" ", 2)[1], _HOST.search(head)
        host = header[1].decode("latin-1") if header else ""
        if (whole := absolute(target.decode("latin-1"))) is not None:  # it counts, whatever Host says
            host, target = whole.host, whole.path.encode("latin-1")
        make = self._websockets.get(target.partition(b"?")[0].rstrip(b"/"))
        return None if make is None else make(websocket_role(host), entrance)

    async def close(self) -> None:
        """Say goodbye to every client: close frames to WebSockets, the end of the stream to others."""
        for version in self._sockets:
            version.close()
        await asyncio.gather(*(http.shutdown(timeout=SHUTDOWN_S) for http in self._https))
        for front in list(self.fronts):
            front.close()

    async def _handle(self, entrance: Entrance, request: web.BaseRequest) -> web.StreamResponse:
        if not request.path.startswith((spot_rest.PUBLIC_PATH, spot_rest.PRIVATE_PATH)):
            _log.debug("%.100r of %s refused: 404 (%s)", request.path, request.remote, WHAT_THERE_IS)
            return web.Response(status=404, text="Not Found\n")
        if not entrance.offers("rest"):
            _log.debug("%.100r of %s refused: 403 (no REST at this tier)", request.path, request.remote)
            return web.Response(status=403, text="Forbidden\n")
        return await self._rest.handle(request, entrance, self._until)

    async def _handle_proxied(
        self, entrance: Entrance, refuse: Refuse, request: web.BaseRequest
    ) -> web.StreamResponse:
        if (refusal := refuse(request.method, request.raw_path)) is None:
            return await self._handle(entrance, request)
        _log.warning("refused: %s", refusal.reason)
        answer = web.Response(status=refusal.status, text=f"{refusal.reason}\n")
        answer.force_close()
        return answer


class Front(asyncio.Protocol):
    """A connection whose protocol is not known yet; later, the way in for its REST requests."""

    def __init__(
        self, server: Server, entrance: Entrance, http: web.Server, refuse: Refuse | None = None
    ) -> None:
        self._server = server
        self._entrance = entrance
        self._http = http
        self._refuse = refuse
        self._head = b""
        self._inner: asyncio.Protocol | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request, within bounds."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self._transport = transport
        if not self._server.enter(self, transport):
            return
        self._timer = asyncio.get_running_loop().call_later(HEAD_TIMEOUT_S, transport.close)

    def data_received(self, data: bytes) -> None:
        """Find out what the client wants, or pass its bytes on."""
        if self._inner is not None:
            if data.startswith(b"GET ") and _END in data and _UPGRADE.search(data):
                if isinstance(self._inner, web.RequestHandler):
                    self._inner.transport = None  # or it would close the connection, which goes on
                self._inner.connection_lost(None)
                self._choose(data)
            else:
                self._inner.data_received(data)
            return
        self._head += data
        if _END in self._head or len(self._head) > LARGEST_HEAD or not _looks_like_http(self._head):
            head, self._head = self._head, b""
            self._choose(head)

    def _choose(self, head: bytes) -> None:
        if self._timer is not None:
            self._timer.cancel()
        upgrade = head.startswith(b"GET ") and bool(_UPGRADE.search(head.partition(_END)[0] + b"\r\n"))
        if upgrade and self._refuse is not None:
            upgrade = self._refuse("GET", head.split(b" ", 2)[1].decode("latin-1")) is None
        websocket = None
        if upgrade:
            if not self._entrance.offers("websocket"):
                _log.debug("a WebSocket refused: 403 (there is none at this tier)")
                self._transport.write(_FORBIDDEN)
                self._transport.close()
                return
            peer = self._transport.get_extra_info("peername")
            if not self._server.admits(peer[0] if peer else ""):
                _log.debug("a WebSocket of %s refused: 429 (it opened too many)", peer and peer[0])
                self._transport.write(_TOO_MANY)
                self._transport.close()
                return
            websocket = self._server.websocket(head, self._entrance)
        line = self._entrance.serve(self._transport, "rest" if websocket is None else "websocket")
        if line is not None:
            line.answers_later = websocket is None
        if websocket is not None:
            self._server.fronts.discard(self)
            self._transport.set_protocol(websocket)
        self._inner = websocket or self._http()
        self._inner.connection_made(self._transport)
        self._inner.data_received(head)

    def close(self) -> None:
        """End the connection."""
        self._transport.close()

    def eof_received(self) -> bool | None:
        """Pass the end of the client's stream on."""
        return None if self._inner is None else self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        self._server.fronts.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._inner is not None:
            self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass the transport's back-pressure on."""
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass the end of the transport's back-pressure on."""
        if self._inner is not None:
            self._inner.resume_writing()


def ask_for_descriptors() -> None:
    """Let this process have as many descriptors open as most connections need, as far as that is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + SPARE_DESCRIPTORS
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _looks_like_http(head: bytes) -> bool:
    """Tell whether a request line may still come of ``head``: garbage is answered at once."""
    return head[:1].isalpha() or not head


_quiet = logging.getLogger(f"{__name__}.http")
_quiet.addHandler(logging.NullHandler())
_quiet.propagate = False
