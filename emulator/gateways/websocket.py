"""WebSocket connections: the websockets library's sans-I/O core, with a straight road for orders.

A whole, unfragmented text frame is unmasked and answered inside ``data_received``: no task, no
queue.  Everything else (handshake, control frames, fragments, oversize, errors) goes through the
library's protocol object, which is only ever fed whole frames.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Protocol

from websockets.frames import Frame, Opcode
from websockets.http11 import Request as Handshake
from websockets.protocol import State
from websockets.server import ServerProtocol

from emulator.gateways.framing import text_frame

try:
    from websockets.speedups import apply_mask
except ImportError:  # no compiled wheel for this platform: 5 us a frame slower
    from websockets.utils import apply_mask

LARGEST_MESSAGE = 1 << 20
"""Bytes; a larger message closes the connection with code 1009."""
MOST_UNSENT = 16 << 20
"""Bytes that may wait for a slow client before it is cut off."""
HEARTBEAT_S = 1.0
FIRST_HEARTBEAT_S = 0.5
IDLE_S = 60.0
"""A connection without subscriptions is closed after this long without a message."""
CLOSE_S = 2.0
"""How long a peer may take to answer a close."""
FRAMES_AT_ONCE = 64
"""Frames of one connection that are answered before others get a turn."""
FLUSH_CHUNK = 16
"""Connections written to before the loop gets a turn."""

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
    """Makes connections, keeps count of them, and joins the market data of one moment into one write."""

    def __init__(self, heartbeat: bytes, first_connection_id: int) -> None:
        self.heartbeat = heartbeat
        self.connections: set[Connection] = set()
        self._next_id = first_connection_id
        self._waiting: deque[Connection] = deque()
        self._flushing = False

    def connect(self, session: Callable[["Connection", int], Session]) -> "Connection":
        """Return the protocol of one new connection, whose ``session`` is made when it is open."""
        self._next_id += 1
        return Connection(self, session, self._next_id)

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
            connection.close(1001)


class Connection(asyncio.Protocol):
    """One WebSocket connection."""

    def __init__(
        self, server: Server, session: Callable[["Connection", int], Session], connection_id: int
    ) -> None:
        self._server = server
        self._make_session = session
        self._id = connection_id
        self._core = ServerProtocol(max_size=LARGEST_MESSAGE, logger=_quiet)
        self._buffer = bytearray()
        self._needed = 0
        """Bytes that the frame at the start of the buffer needs to be whole, as far as is known."""
        self._open = False
        self._fragmented = False
        self._parts: list[bytes] = []
        self._session: Session | None = None
        self._posted: list[bytes] = []
        self._waiting = False
        self._heartbeat: asyncio.TimerHandle | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._active = False
        self._transport: asyncio.Transport
        self._write: Callable[[bytes], None]

    # -- the transport's side ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start with a transport that may already carry a request (the front hands it over)."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self._transport = transport
        self._write = transport.write
        self._server.connections.add(self)
        self._watch_idle()

    def data_received(self, data: bytes) -> None:
        """Take bytes in; whole text frames are answered at once."""
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._needed:
                return
            data = bytes(self._buffer)
            self._buffer.clear()
        if not self._open:
            self._feed(data)
            return
        self._active = True
        position, size = 0, len(data)
        for _ in range(FRAMES_AT_ONCE):
            if not self._open:
                break
            payload, end = _frame_bounds(data, position, size)
            if end > size and end - payload <= LARGEST_MESSAGE:
                break
            # A frame that announces too much goes to the library as it is: it refuses the header.
            self._frame(data, position, payload, end)
            position = min(end, size)
            if position == size:  # as after nearly every message
                break
        else:  # more frames may be there: go on in the next turn
            self._transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._go_on)
        rest = data[position:]
        if self._open:
            self._buffer += rest
            self._needed = max(end - position, 0)
        elif rest:
            self._feed(rest)

    def _go_on(self) -> None:
        """Answer what was left over for this turn of the loop."""
        if not self._transport.is_closing():
            self._transport.resume_reading()
        if self._open:
            self.data_received(b"")

    def eof_received(self) -> None:
        """Let the library answer the end of the stream."""
        if self._core.state is not State.CLOSED:
            self._core.receive_eof()
            self._send_core()

    def connection_lost(self, _: Exception | None) -> None:
        """Forget the client."""
        self._end_session()
        self._server.connections.discard(self)
        for timer in (self._heartbeat, self._idle):
            if timer is not None:
                timer.cancel()

    def _end_session(self) -> None:
        """Nothing more is sent from now on, but what the library has to say."""
        self._open = False
        self._posted.clear()
        if self._session is not None:
            self._session.close()
            self._session = None

    # -- frames -----------------------------------------------------------------------------------

    def _frame(self, data: bytes, start: int, payload: int, end: int) -> None:
        """Handle one whole frame whose payload starts at ``payload``."""
        first = data[start]
        plain_text = first == 0x81 and data[start + 1] & 0x80 and not self._fragmented
        if plain_text and end - payload <= LARGEST_MESSAGE:
            self._message(apply_mask(data[payload:end], data[payload - 4 : payload]))
            return
        if first & 0x0F < 0x08:
            self._fragmented = not first & 0x80
        self._feed(data[start:end])

    def _feed(self, data: bytes) -> None:
        """Let the library handle ``data`` and carry out what it says."""
        core = self._core
        core.receive_data(data)
        for event in core.events_received():
            if isinstance(event, Handshake):
                self._accept(event)
            else:
                self._library_frame(event)
        self._send_core()
        if self._open and core.state is not State.OPEN:
            self._end_session()

    def _accept(self, handshake: Handshake) -> None:
        response = self._core.accept(handshake)
        self._core.send_response(response)
        self._send_core()
        if self._core.state is State.OPEN:
            self._open = True
            self._session = self._make_session(self, self._id)

    def _library_frame(self, frame: object) -> None:
        """Collect a message from frames that took the library's road."""
        assert isinstance(frame, Frame)  # noqa: S101 - the only other event there is
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return
        self._parts.append(bytes(frame.data))
        if frame.fin:
            message = b"".join(self._parts)
            self._parts.clear()
            self._message(message)

    def _message(self, payload: bytes) -> None:
        session = self._session
        if session is None:
            return
        try:
            session.receive(payload)
        except Exception:
            _log.exception("connection %d: a request failed", self._id)
            self.close(1011)

    def _send_core(self) -> None:
        """Write what the library wants written; close when it says so."""
        for chunk in self._core.data_to_send():
            if chunk:
                self._write(chunk)
            elif self._transport.can_write_eof():
                self._transport.write_eof()
            else:  # TLS has no half-close
                self._transport.close()
        if self._core.close_expected():
            asyncio.get_running_loop().call_later(CLOSE_S, self._transport.abort)

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
        self._write(frames[0] if len(frames) == 1 else b"".join(frames))
        if self._transport.get_write_buffer_size() > MOST_UNSENT:
            self._cut_off()

    def subscribed(self) -> None:
        """Start the heartbeat: one a second from the first subscribe request on."""
        if self._heartbeat is None:
            loop = asyncio.get_running_loop()
            self._heartbeat = loop.call_later(FIRST_HEARTBEAT_S, self._beat, loop)

    def later(self, callback: Callable[[], None]) -> None:
        """Call back in the next turn of the loop, while the connection is open."""

        def call() -> None:
            if self._open:
                callback()

        asyncio.get_running_loop().call_soon(call)

    def close(self, code: int, reason: str = "") -> None:
        """Close the connection as the protocol says."""
        if self._core.state is State.OPEN:
            self._core.send_close(code, reason)
            self._end_session()
            self._send_core()
        elif self._core.state is State.CONNECTING:
            self._transport.close()

    def _cut_off(self) -> None:
        _log.warning("connection %d cut off: more than %d bytes unsent", self._id, MOST_UNSENT)
        self._end_session()
        self._transport.abort()

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._open:
            self.send(self._server.heartbeat)
            self._heartbeat = loop.call_later(HEARTBEAT_S, self._beat, loop)

    def _watch_idle(self) -> None:
        """Close a connection that neither subscribes nor says anything."""
        loop = asyncio.get_running_loop()
        self._active = False

        def look() -> None:
            session = self._session
            if session is None:
                self._transport.close()
            elif self._active or session.busy:
                self._watch_idle()
            else:
                self.close(1000)

        self._idle = loop.call_later(IDLE_S, look)


def _frame_bounds(data: bytes, start: int, size: int) -> tuple[int, int]:
    """Return where the payload of the frame at ``start`` begins and ends.

    While the header is not all there, both are where it ends as far as is known: beyond ``size``.
    """
    if size - start < 2:
        return start + 2, start + 2
    second = data[start + 1]
    length, header = second & 0x7F, 2
    if length >= 126:
        header = 4 if length == 126 else 10
        if size - start < header:
            return start + header, start + header
        length = int.from_bytes(data[start + 2 : start + header], "big")
    payload = start + header + (4 if second & 0x80 else 0)
    return payload, payload + length


_quiet = logging.getLogger(f"{__name__}.core")
_quiet.addHandler(logging.NullHandler())
_quiet.propagate = False
