"""FIX connections: sockets, TLS or not, whole messages out of the stream, bounds."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from math import inf
from typing import cast

from emulator.gateways.access import Entrance
from emulator.gateways.doors import CLOSE_S, Doors, Visit
from emulator.gateways.fix import wire
from emulator.gateways.fix.gateway import Gateway
from emulator.gateways.fix.services import Service
from emulator.gateways.fix.session import Session
from emulator.gateways.handover import hand_over
from emulator.gateways.outflow import Outflow
from emulator.gateways.tap import Tap, tapped
from emulator.gateways.tls import ContextSource, over_tls
from emulator.gateways.turns import SLICE_S

LOGON_TIMEOUT_S = 10
"""How long a client may take to log on; before that, to say its first word, and for TLS."""
MOST_CONNECTIONS = 1_024
TICK_S = 1.0
_TLS_HANDSHAKE = 0x16
_ALERT_PROTOCOL_VERSION = b"\x15\x03\x03\x00\x02\x02\x46"
_log = logging.getLogger(__name__)


class Server:
    """What all FIX connections share; ``protocols`` gives a factory of them for each way in and service.

    Clients may come over TLS or without, on the same port: the first byte tells.  With ``tls_only`` those
    without get an alert, as at Kraken.  ``tap`` hears all connections, above TLS; ``doors`` counts
    them.
    """

    def __init__(
        self,
        gateway: Gateway,
        *,
        tls_only: bool = False,
        tap: Tap | None = None,
        doors: Doors | None = None,
    ) -> None:
        self.gateway = gateway
        self.tls_only = tls_only
        self.doors = doors or Doors()
        self.connections: set[Connection] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._tap = tap

    def protocols(
        self, service: Service, entrance: Entrance, contexts: ContextSource
    ) -> Callable[[], asyncio.BaseProtocol]:
        """Return a factory of protocols for connections to ``service`` that come in by ``entrance``."""

        connection = tapped(lambda: Connection(self, service, entrance), self._tap, "fix")
        secure = over_tls(connection, contexts, self.doors)
        return lambda: Door(self.doors, None if self.tls_only else connection, secure)

    def start(self) -> None:
        """Look at all sessions once a second from now on."""
        loop = asyncio.get_running_loop()

        def tick() -> None:
            self._timer = loop.call_later(TICK_S, tick)
            self.gateway.tick()

        self._timer = loop.call_later(TICK_S, tick)

    def close(self) -> None:
        """Log everybody out."""
        if self._timer is not None:
            self._timer.cancel()
        self.gateway.close()
        for connection in list(self.connections):
            connection.close()


class Door(asyncio.Protocol):
    """Looks at the first byte, then steps aside for TLS or for plain FIX."""

    def __init__(
        self,
        doors: Doors,
        plain: Callable[[], asyncio.BaseProtocol] | None,
        over_tls: Callable[[], asyncio.BaseProtocol],
    ) -> None:
        self._doors = doors
        self._plain = plain
        self._over_tls = over_tls
        self._visit: Visit | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first byte, within bounds."""
        self._transport = cast(asyncio.Transport, transport)
        self._visit = self._doors.enter(self._transport, LOGON_TIMEOUT_S)

    def data_received(self, data: bytes) -> None:
        """Choose."""
        if self._visit is None:
            return
        make = self._over_tls if data[0] == _TLS_HANDSHAKE else self._plain
        if make is None:
            self._transport.write(_ALERT_PROTOCOL_VERSION)
            self._transport.close()
            return
        self._visit.leave()
        hand_over(self._transport, make(), data)

    def connection_lost(self, _: Exception | None) -> None:
        """Nobody came in."""
        if self._visit is not None:
            self._visit.leave()


class Connection(asyncio.Protocol):
    """One FIX connection: the outlet of the session that logs on over it."""

    def __init__(self, server: Server, service: Service, entrance: Entrance) -> None:
        self._server = server
        self._service = service
        self._entrance = entrance
        self._framer = wire.Framer()
        self._session: Session | None = None
        self._left: deque[bytes] = deque()
        """Messages that are not answered yet."""
        self._waits = False
        """Whether the rest is for another turn."""
        self._closing = False
        self._visit: Visit | None = None
        self._transport: asyncio.Transport
        self._out: Outflow

    # -- the transport's side ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a Logon, within bounds."""
        self._transport = cast(asyncio.Transport, transport)
        server = self._server
        self._out = Outflow(self._transport, server.doors, lambda: f"FIX {self._session}", self._cut_off)
        if len(server.connections) >= MOST_CONNECTIONS or not self._entrance.offers("fix"):
            _log.warning("FIX connection refused")
            self._closing = True  # what it has said already is not heard
            self._transport.abort()
            return
        self._visit = server.doors.enter(self._transport, LOGON_TIMEOUT_S, self.close)
        if self._visit is None:
            self._closing = True
            return
        server.connections.add(self)
        self._entrance.serve(self._transport, "fix")

    def data_received(self, data: bytes) -> None:
        """Take bytes in; whole messages are answered at once."""
        if self._closing:
            return
        try:
            messages = self._framer.feed(data)
        except wire.TooLargeError:
            _log.warning("FIX connection cut off: a message of more than %d bytes", wire.LARGEST_MESSAGE)
            self._transport.abort()
            return
        self._left += messages
        if not self._waits:
            self._answer()

    def _answer(self) -> None:
        """Answer messages; what goes beyond a slice of time waits for another turn."""
        left, ends_s = self._left, 0.0
        while True:
            session = self._session
            if session is not None and session.unfinished is not None:
                session.go_on()
            elif left and not self._take(left.popleft(), session):
                self.close()
                return
            if not left and (session is None or session.unfinished is None):
                return
            now_s = time.perf_counter()
            if not ends_s:
                ends_s = now_s + SLICE_S
            elif now_s >= ends_s:
                self._wait(session)
                return

    def _take(self, message: bytes, session: Session | None) -> bool:
        """Answer one message; tell whether the connection goes on."""
        if session is None:
            return self._log_on(message) is not None
        session.more = bool(self._left)
        session.receive(message)
        return not (self._closing or session.ended)

    def _wait(self, session: Session | None) -> None:
        """Leave the rest for another turn."""
        if session is not None:
            session.flush()
        self._waits = True
        self._transport.pause_reading()
        self._server.doors.turns.later(self._go_on)

    def _go_on(self) -> None:
        """Answer what was left over for another turn."""
        if self._closing or self._transport.is_closing():
            return
        self._waits = False
        self._transport.resume_reading()
        self._answer()

    def _log_on(self, message: bytes) -> Session | None:
        peer = self._transport.get_extra_info("peername")
        session = self._server.gateway.log_on(
            self._service, message, self, self._entrance, peer[0] if peer else ""
        )
        if session is not None:
            self._session = session
            if self._visit is not None:
                self._visit.within(inf)
            _log.info("FIX %s: logged on", session)
        return session

    def eof_received(self) -> None:
        """The client has said all: the transport closes."""

    def pause_writing(self) -> None:
        """The client does not read as fast as we write."""
        self._out.pause()

    def resume_writing(self) -> None:
        """The client has read on."""
        self._out.resume()

    def connection_lost(self, _: Exception | None) -> None:
        """Forget the client."""
        self._closing = True
        self._out.drop()
        self._server.connections.discard(self)
        if self._visit is not None:
            self._visit.leave()
        self._leave()

    def _leave(self) -> None:
        """Let the session go: its client may log on again over another connection."""
        session, self._session = self._session, None
        if session is not None and session.outlet is self:
            session.detach()
            _log.info("FIX %s: disconnected", session)

    # -- the session's side -----------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send whole messages at once."""
        self._out.write(data)

    def _cut_off(self) -> None:
        """Hear nothing more from a client that does not read."""
        self._closing = True

    def close(self) -> None:
        """End the connection when all that was written is out, but do not wait for that for long."""
        if not self._closing:
            self._closing = True
            self._leave()  # over TLS the end of the connection itself waits for the client
            self._out.end()
            if self._visit is not None:
                self._visit.overdue = self._transport.abort
                self._visit.within(CLOSE_S)
