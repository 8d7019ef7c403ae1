"""WebSocket connections: frames in, messages out, with a straight road for orders.

The handshake is the websockets library's. A whole, unfragmented text frame is unmasked and answered
inside ``data_received``: no task, no queue. Everything else (control frames, fragments, what is wrong) takes
the other road, through ``_other_frame``.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from websockets.http11 import Request as Handshake
from websockets.protocol import State
from websockets.server import ServerProtocol

from emulator.gateways.doors import CLOSE_S, Doors, Visit
from emulator.gateways.fragments import LARGEST_MESSAGE, Fragments
from emulator.gateways.framing import (
    CLOSE,
    CONTROL,
    GOING_AWAY,
    INTERNAL_ERROR,
    INVALID_DATA,
    NORMAL,
    PING,
    PONG,
    TEXT,
    FaultError,
    check_close,
    check_header,
    close_frame,
    control_frame,
    frame_bounds,
    is_text,
    text_frame,
)
from emulator.gateways.outflow import Outflow
from emulator.gateways.turns import SLICE_S

try:
    from websockets.speedups import apply_mask
except ImportError:  # no compiled wheel for this platform: 5 us a frame slower
    from websockets.utils import apply_mask

HANDSHAKE_S = 20.0
"""How long a handshake's head may take that does not come whole."""
HEARTBEAT_S = 1.0
FIRST_HEARTBEAT_S = 0.5
IDLE_S = 60.0
"""A connection without subscriptions is closed after this long without a whole message, ping or pong."""
MOST_IGNORED = 1 << 20
"""Bytes that a client may still send after the end of its session; more are not read."""
FLUSH_CHUNK = 16
"""Connections written to before the loop gets a turn."""

_PLAIN_TEXT = 0x80 | TEXT
_LONGEST_HEADER = 14
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_END = b"\r\n\r\n"
_log = logging.getLogger(__name__)


class Session(Protocol):
    """What a connection carries: one client's state in one version of the protocol."""

    def receive(self, data: bytes) -> None:
        """Take one message from the client and answer it."""

    def close(self) -> None:
        """Leave everything; the connection is gone."""

    @property
    def busy(self) -> bool:
        """Whether the client has subscribed to anything."""


class Server:
    """Makes connections, keeps count of them, and joins the market data of one moment into one write.

    ``ids`` are those of connections; servers that share them give no id twice.
    """

    def __init__(self, heartbeat: bytes, ids: Iterator[int], doors: Doors | None = None) -> None:
        self.heartbeat = heartbeat
        self.doors = doors or Doors()
        self.connections: set[Connection] = set()
        self._ids = ids
        self._waiting: deque[Connection] = deque()
        self._flushing = False

    def connect(self, session: Callable[["Connection", int], Session]) -> "Connection":
        """Return the protocol of one new connection, whose ``session`` is made when it is open."""
        return Connection(self, session, next(self._ids))

    def wait_to_flush(self, connection: "Connection") -> None:
        """Write the connection's posted frames at the end of this turn of the loop."""
        self._waiting.append(connection)
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        for _ in range(min(FLUSH_CHUNK, len(self._waiting))):
            self._waiting.popleft().flush()
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        else:
            self._flushing = False

    def close(self) -> None:
        """Close every connection as the protocol says: going away."""
        for connection in list(self.connections):
            connection.close(GOING_AWAY)


class Connection(asyncio.Protocol):
    """One WebSocket connection."""

    def __init__(
        self, server: Server, session: Callable[["Connection", int], Session], connection_id: int
    ) -> None:
        self._server = server
        self._make_session = session
        self._id = connection_id
        self._buffer = bytearray()
        self._needed = 0
        """Bytes at which to look at the buffer again: its first frame is whole then, or that one's header."""
        self._shaking = True
        """Whether the handshake is still to come."""
        self._open = False
        """Whether messages are taken and sent."""
        self._reading = False
        """Whether frames are read: while it is open, and then until the client's Close."""
        self._ignored = 0
        """Bytes that came after the end."""
        self._fragments = Fragments()
        self._session: Session | None = None
        self._posted: list[bytes] = []
        self._waiting = False
        self._heartbeat: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport
        self._visit: Visit
        self._out: Outflow

    # -- the transport's side ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start with a transport that may already carry a request (the front hands it over)."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self._transport = transport
        doors = self._server.doors
        self._out = Outflow(transport, doors, lambda: f"connection {self._id}", self._end_session)
        visit = doors.enter(transport, HANDSHAKE_S, self._overdue)
        if visit is None:
            self._shaking = False
            return
        self._visit = visit
        self._server.connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes in; whole text frames are answered at once."""
        try:
            if self._buffer:
                self._buffer += data
                if len(self._buffer) < self._needed:
                    self._look_ahead()
                    return
                data = bytes(self._buffer)
                self._buffer.clear()
            if self._reading:
                self._frames(data)
            elif self._shaking:
                self._shake_hands(data)
            else:
                self._ignore(len(data))
        except FaultError as fault:
            self._fail(fault)

    def _ignore(self, size: int) -> None:
        """Leave what comes after the end; one who sends without end is not read, and soon cut off."""
        self._ignored += size
        if self._ignored > MOST_IGNORED:
            self._transport.pause_reading()

    def _frames(self, data: bytes) -> None:
        position, size, ends_s = 0, len(data), 0.0
        while True:
            payload, end = frame_bounds(data, position, size)
            if end > size:
                self._keep(data, position, payload, end)
                break
            if end < size and not ends_s:
                ends_s = time.perf_counter() + SLICE_S
            self._frame(data, position, payload, end)
            position = end
            if position == size or not self._reading:  # the first, after nearly every message
                break
            if time.perf_counter() >= ends_s or self._transport.is_closing():
                self._transport.pause_reading()
                self._server.doors.turns.later(self._go_on)
                self._buffer += data[position:]
                self._needed = 0
                break
        if self._posted and not self._waiting:  # pongs
            self._write_posted()

    def _go_on(self) -> None:
        """Answer what was left over for another turn."""
        if self._transport.is_closing():
            return
        self._transport.resume_reading()
        if self._reading:
            self.data_received(b"")

    def _keep(self, data: bytes, start: int, payload: int, end: int) -> None:
        """Keep the beginning of a frame until there is more, unless it is wrong already."""
        header_is_whole = payload <= len(data)
        if header_is_whole:
            self._check(data[start], data[start + 1], end - payload)
        self._buffer += data[start:] if start else data
        self._needed = (end if header_is_whole else payload) - start
        self._look_ahead()

    def _look_ahead(self) -> None:
        """Look at what there is of a frame: what can be no UTF-8 any more need not become whole."""
        head = bytes(self._buffer[:_LONGEST_HEADER])
        payload, _ = frame_bounds(head, 0, len(head))
        seen = self._fragments.unseen(head[0] & 0x0F, len(self._buffer) - payload) if head else None
        if seen is not None and self._reading:
            mask, turn = head[payload - 4 : payload], seen & 3
            part = bytes(self._buffer[payload + seen :])
            self._fragments.look(apply_mask(part, mask[turn:] + mask[:turn]))

    def eof_received(self) -> None:
        """The client has said all: so have we when what is written is out."""
        self._end_session()
        self._out.end()

    def pause_writing(self) -> None:
        """The client does not read as fast as we write."""
        self._out.pause()

    def resume_writing(self) -> None:
        """The client has read on."""
        self._out.resume()

    def connection_lost(self, _: Exception | None) -> None:
        """Forget the client."""
        self._end_session()
        self._out.drop()
        self._server.connections.discard(self)
        if hasattr(self, "_visit"):
            self._visit.leave()

    def _end_session(self) -> None:
        """Nothing more is sent from now on, but a Close."""
        self._open = False
        self._posted.clear()
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        if self._session is not None:
            self._session.close()
            self._session = None

    def _hang_up(self) -> None:
        """End the connection when all is written; its client may take a moment to do so too."""
        self._end_session()
        self._shaking = self._reading = False
        self._buffer.clear()
        self._fragments.forget()
        self._out.end(half=True)
        self._visit.within(CLOSE_S)

    def _overdue(self) -> None:
        """End what takes too long; a connection without subscriptions that says nothing is closed."""
        if not self._open:
            self._transport.abort()
        elif self._session is not None and self._session.busy:
            self._visit.within(IDLE_S)
        else:
            self.close(NORMAL)

    # -- the handshake ----------------------------------------------------------------------------

    def _shake_hands(self, data: bytes) -> None:
        head, end, rest = data.partition(_END)
        if not end:  # the front gives it whole
            self._buffer += data
            self._needed = 0
            return
        core = ServerProtocol(logger=_quiet)
        core.receive_data(head + end)
        for event in core.events_received():
            assert isinstance(event, Handshake)  # noqa: S101 - it was given nothing else
            core.send_response(core.accept(event))
        self._out.write(b"".join(core.data_to_send()) or _BAD_REQUEST)
        self._shaking = False
        if core.state is not State.OPEN:
            self._hang_up()
            return
        self._open = self._reading = True
        self._visit.within(IDLE_S)
        self._session = self._make_session(self, self._id)
        if rest:
            self.data_received(rest)

    # -- frames -----------------------------------------------------------------------------------

    def _frame(self, data: bytes, start: int, payload: int, end: int) -> None:
        """Handle one whole frame whose payload starts at ``payload``."""
        first, second = data[start], data[start + 1]
        fragments = self._fragments
        plain_text = first == _PLAIN_TEXT and second & 0x80 and not fragments.opcode
        if plain_text and end - payload <= LARGEST_MESSAGE:
            message = apply_mask(data[payload:end], data[payload - 4 : payload])
            if not is_text(message):
                raise FaultError(INVALID_DATA, "invalid UTF-8 in a text message")
            fragments.whole()
            self._visit.since_s = 0.0
            self._message(message)
            return
        self._check(first, second, end - payload)
        self._other_frame(first, apply_mask(data[payload:end], data[payload - 4 : payload]))

    def _check(self, first: int, second: int, length: int) -> None:
        """Check a frame, by its header and what was before it.  FaultError."""
        check_header(first, second, length, continues=bool(self._fragments.opcode))
        if not first & CONTROL:
            self._fragments.admit(length)

    def _other_frame(self, first: int, payload: bytes) -> None:
        """Handle a sound frame that is not a whole text message."""
        opcode = first & 0x0F
        if opcode == CLOSE:
            self._goodbye(payload)
        elif opcode in (PING, PONG):
            self._visit.since_s = 0.0
            if opcode == PING and self._open:
                self._posted.append(control_frame(PONG, payload))
        else:
            message = self._fragments.add(opcode, payload, final=bool(first & 0x80))
            if message is not None:
                opcode = self._fragments.opcode
                self._fragments.forget()
                self._visit.since_s = 0.0
                self._message(message, opcode)

    def _message(self, payload: bytes, opcode: int = TEXT) -> None:
        session = self._session
        if session is None:
            return
        try:
            session.receive(payload)
        except Exception:
            _log.exception("connection %d: a request failed", self._id)
            self.close(INTERNAL_ERROR)

    def _goodbye(self, payload: bytes) -> None:
        """Answer the client's Close with its own, unless it answers ours, and end the connection."""
        check_close(payload)
        if self._open:
            self._write_last(control_frame(CLOSE, payload))
        self._hang_up()

    def _fail(self, fault: FaultError) -> None:
        """Fail the connection (RFC 6455, 7.1.7): nothing more is read."""
        if self._open:
            self._write_last(close_frame(fault.code, str(fault)))
        self._hang_up()

    @property
    def peer(self) -> str:
        """Where the client is: ``127.0.0.1:40312``."""
        host, port = (self._transport.get_extra_info("peername") or ("an unknown address", 0))[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    # -- the session's side -----------------------------------------------------------------------

    def send(self, *payloads: bytes) -> None:
        """Send messages at once, in one write."""
        if self._open:
            # What was posted before goes first: no update of an old subscription after a new snapshot.
            for payload in payloads:
                self._posted.append(text_frame(payload))
            self._write_posted()

    def post(self, frame: bytes) -> None:
        """Send a ready frame together with the other market data of this turn of the loop."""
        if self._open:
            self._posted.append(frame)
        if not self._waiting:
            self._waiting = True
            self._server.wait_to_flush(self)

    def flush(self) -> None:
        """Write the posted frames."""
        self._waiting = False
        if self._open and self._posted:
            self._write_posted()

    def _write_posted(self) -> None:
        frames, self._posted = self._posted, []
        self._out.write(frames[0] if len(frames) == 1 else b"".join(frames))

    def _write_last(self, frame: bytes) -> None:
        """Write a Close behind what was posted; nothing comes after it."""
        self._posted.append(frame)
        self._write_posted()

    def subscribed(self) -> None:
        """Start the heartbeat: one a second from the first subscribe request on."""
        if self._heartbeat is None:
            loop = asyncio.get_running_loop()
            self._heartbeat = loop.call_later(FIRST_HEARTBEAT_S, self._beat, loop)

    def later(self, callback: Callable[[], None]) -> None:
        """Call back when all that waits has had its turn, while the connection is open."""

        def call() -> None:
            if self._open:
                callback()

        self._server.doors.turns.later(call)

    def close(self, code: int, reason: str = "") -> None:
        """Close the connection as the protocol says: the client's Close is waited for."""
        if self._open:
            self._write_last(close_frame(code, reason))
            self._end_session()
            self._fragments.forget()
            self._visit.within(CLOSE_S)
        elif self._shaking:
            self._transport.close()

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._open:
            self.send(self._server.heartbeat)
            self._heartbeat = loop.call_later(HEARTBEAT_S, self._beat, loop)


_quiet = logging.getLogger(f"{__name__}.core")
_quiet.addHandler(logging.NullHandler())
_quiet.propagate = False
