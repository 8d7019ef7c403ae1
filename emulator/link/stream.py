"""The stream rung: an in-process delay line between a listener's sockets and its protocols.

Each direction of a connection holds chunks until they are due. The kernel answers the client's handshake at
once, so what comes first on a new connection waits one RTT more. No system privilege is needed, and what TCP
itself would do with the distance (handshake, slow start) is not there: a loss is a stall of one
retransmission time-out, a path that is cut a reset.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
from collections import deque
from collections.abc import Callable
from random import Random
from typing import cast

from emulator.link.delay import LOST_NS, Direction, StreamPath
from emulator.link.shape import Shape, Ways, ways
from emulator.link.tiers import Tier
from emulator.link.timer import DueQueue
from emulator.link.transport import CHUNK_BYTES, LineTransport
from emulator.link.transport import Bytes as Bytes

ProtocolFactory = Callable[[], asyncio.BaseProtocol]

HELD_LIMIT_BYTES = 4 * 1024 * 1024  # per connection; 60 MB/s over the longest tier


def wrap(
    tier: Tier, queue: DueQueue, factory: ProtocolFactory, *, path: str | None = None, seed: int = 0
) -> ProtocolFactory:
    """Give a protocol factory for `loop.create_server` whose connections are as far away as the tier says.

    `path` names one of the tier's paths, the first by default; ProfileError when there is no such path. A
    tier with RTT 0 needs no line: its factory comes back as it is.
    """
    if not tier.rtt_us:
        tier.path(path)
        return factory
    stream_path = StreamPath(tier.name, tier.path(path).name, ways(tier, path))
    return over(stream_path, queue, factory, seed)


def over(path: StreamPath, queue: DueQueue, factory: ProtocolFactory, seed: int) -> ProtocolFactory:
    """Give a protocol factory whose connections lead over a path.

    For the same seed, tier and path the n-th connection draws the same jitter.
    """
    connections = itertools.count()

    def line() -> DelayLine:
        seed_of_line = f"{seed}/{path.tier_name}/{path.path_name}/{next(connections)}"
        return DelayLine(factory(), queue, path, seed_of_line)

    return line


def at_hand(queue: DueQueue, factory: ProtocolFactory) -> ProtocolFactory:
    """Give a protocol factory over lines without distance, whose answers can still take `service_ns`.

    For gateways that take time behind a link that holds packets elsewhere.
    """
    return over(StreamPath("", "", Ways(Shape(), Shape())), queue, factory, 0)


class DelayLine(asyncio.Protocol):
    """The protocol of a real connection: delivers what arrives to an inner protocol, one way later.

    This is the inbound half; the inner protocol's transport is the other one. Deliveries of all connections
    happen in the order of their due times.
    """

    def __init__(self, inner: asyncio.BaseProtocol, queue: DueQueue, path: StreamPath, seed: str) -> None:
        self.paused = False
        self.set_inner(inner)
        self._queue = queue
        self._path = path
        rng = Random(seed)
        self._inbound = Direction(path.to_venue, rng, f"{seed}/to venue")
        self._outbound = Direction(path.to_client, rng, f"{seed}/to client")
        self._open_ns = 0
        self._held: deque[tuple[int, bytes]] = deque()  # b"" is the end of the stream
        self._held_bytes = 0
        self._armed = False
        self._real_paused = False
        self._begun = False
        self._untold: list[Exception | None] = []  # the connection's end, when the news of it were lost
        self._over = False

    # What the real transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: the inner protocol gets its transport at once; on a path that is cut it never does.

        Where one direction is lost no handshake ends, so it gets it when that is over.
        """
        self._real = cast(asyncio.Transport, transport)
        self._path.connections.add(self)
        if self._path.cut:
            self.cut()
        elif self._path.lost:
            self._real.pause_reading()
        else:
            self._begin()

    def _begin(self) -> None:
        self._begun = True
        self._open_ns = self._queue.now_ns() + self._path.rtt_ns
        self.transport = LineTransport(self, self._real, self._queue, self._path, self._outbound)
        self.inner.connection_made(self.transport)

    def take_over(self, real: asyncio.Transport) -> LineTransport:
        """Stand from now on below the protocol of an open connection, which is to write to what this gives.

        What that protocol has set stays: its limits, and whether it reads and is told to write no more.
        """
        low, high = real.get_write_buffer_limits()
        reading, writing_paused = real.is_reading(), getattr(real, "_protocol_paused", False)
        self._real, self._begun = real, True
        self._path.connections.add(self)
        real.set_protocol(self)
        self.transport = LineTransport(self, real, self._queue, self._path, self._outbound)
        self.transport.take_over(high, low, writing_paused=writing_paused)
        if not reading and not real.is_closing():
            self.paused = True
            real.resume_reading()
        return self.transport

    def cut(self) -> None:
        """End with a reset: the path is gone."""
        if self._untold:
            self.lose(self._untold.pop())
        end = self._real.get_extra_info("socket")
        if end is not None:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._real.abort()

    def data_received(self, data: bytes) -> None:
        """Hold a chunk until it is due at the inner protocol."""
        arrived_ns = self._queue.now_ns()
        if self.transport.is_closing():
            return
        self._hold(arrived_ns, data)
        if self._path.spin:
            self._queue.stay_awake()
        self._held_bytes += len(data) + CHUNK_BYTES
        if self._held_bytes > HELD_LIMIT_BYTES and not self._real_paused:
            self._real_paused = True
            self._real.pause_reading()

    def eof_received(self) -> bool:
        """Hold the end of the stream like a chunk; the inner protocol decides what follows."""
        if not self.transport.is_closing():
            self._hold(self._queue.now_ns(), b"")
        return True

    def resume_writing(self) -> None:
        """Look again at what is unsent: the kernel has taken some."""
        self.transport.resume_writing_if_low()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the inner protocol: at once when it has closed, else when the news would have got there."""
        self._path.connections.discard(self)
        if not self._begun:
            return
        error = self.transport.real_is_gone()
        if self.transport.is_closing():
            self.lose(error or exc)
        else:
            self._tell_end(exc)

    def _tell_end(self, exc: Exception | None) -> None:
        now_ns = self._queue.now_ns()
        due_ns = self._inbound.due_ns(max(now_ns, self._open_ns))
        if self._path.cut:  # the reset is not news, but what was on the way comes first
            due_ns = max((due_ns for due_ns, _ in self._held if due_ns < LOST_NS), default=now_ns)
        elif due_ns >= LOST_NS:
            self._untold.append(exc)
            self._path.connections.add(self)
            return
        # One later than the last chunk, so that chunks come first however they are re-armed.
        self._queue.at(due_ns + 1, self.lose, exc, spin=self._path.spin)

    def restored(self) -> None:
        """Send again what was lost, in both directions; begin, if that is what was waited for."""
        if self._begun:
            self._inbound.send_again(self._held, self._queue.now_ns())
            self._arm()
            self.transport.restored()
            if self._untold:
                self._path.connections.discard(self)
                self._tell_end(self._untold.pop())
        elif not self._path.lost:
            self._begin()
            self._real.resume_reading()

    # What the inner protocol's transport calls

    def set_inner(self, inner: asyncio.BaseProtocol) -> None:
        """Deliver to this protocol from the next chunk on."""
        self.inner = inner
        if isinstance(inner, asyncio.BufferedProtocol):
            self._deliver: Callable[[bytes], None] = self._fill_buffers
        else:
            self._deliver = cast(asyncio.Protocol, inner).data_received

    def pause(self) -> None:
        """Hold chunks beyond their due times."""
        self.paused = True

    def resume(self) -> None:
        """Deliver again."""
        self.paused = False
        self._arm()

    def drop(self) -> None:
        """Forget what is held, and read on for nobody until the real transport ends."""
        self._held.clear()
        self._held_bytes = 0
        self._resume_real()

    def lose(self, error: BaseException | None) -> None:
        """Tell the inner protocol, once, that the connection is over."""
        if self._over:
            return
        self._over = True
        self._path.connections.discard(self)
        self._held.clear()
        self.transport.lost()
        self.inner.connection_lost(cast("Exception | None", error))

    # Inside

    def _hold(self, arrived_ns: int, data: bytes) -> None:
        self._held.append((self._inbound.due_ns(max(arrived_ns, self._open_ns), len(data)), data))
        self._arm()

    def _arm(self) -> None:
        if self._held and not self._armed and not self.paused and self._held[0][0] < LOST_NS:
            self._armed = True
            self._queue.at(self._held[0][0], self._release, spin=self._path.spin)

    def _release(self) -> None:
        """Deliver one chunk. Its answers count from when it was due, however late this call is."""
        self._armed = False
        if self.paused or not self._held:
            return
        due_ns, data = self._held.popleft()
        self._held_bytes -= len(data) + CHUNK_BYTES if data else 0
        if self._held_bytes < HELD_LIMIT_BYTES // 2:
            self._resume_real()
        self._arm()
        transport = self.transport
        transport.delivered_due_ns = due_ns
        transport.delivering = True
        try:
            if data:
                self._deliver(data)
            elif not cast(asyncio.Protocol, self.inner).eof_received():
                transport.close()
        except Exception as error:
            self._fail(error)
        finally:
            transport.delivering = False

    def _resume_real(self) -> None:
        if self._real_paused:
            self._real_paused = False
            self._real.resume_reading()

    def _fill_buffers(self, data: bytes) -> None:
        inner = cast(asyncio.BufferedProtocol, self.inner)
        rest = memoryview(data)
        while rest:
            buffer = memoryview(inner.get_buffer(len(rest)))
            taken = min(len(buffer), len(rest))
            if not taken:
                raise RuntimeError("get_buffer() returned an empty buffer")
            buffer[:taken] = rest[:taken]
            inner.buffer_updated(taken)
            rest = rest[taken:]

    def _fail(self, error: Exception) -> None:
        context = {"message": "Fatal error: the protocol failed on received bytes.", "exception": error}
        self._queue.loop.call_exception_handler(
            {**context, "transport": self.transport, "protocol": self.inner}
        )
        self.transport._force_close(error)
