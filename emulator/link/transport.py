"""The outbound half of a delay line: the transport that a protocol behind the line writes to."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from emulator.link.delay import LOST_NS, Direction, StreamPath

if TYPE_CHECKING:
    from emulator.link.stream import DelayLine
    from emulator.link.timer import DueQueue

logger = logging.getLogger(__name__)

UNSENT_LIMIT_BYTES = 64 * 1024 * 1024
_HIGH_WATER_BYTES = 64 * 1024
CHUNK_BYTES = 256
"""What holding a chunk takes beside its bytes: many small ones are bounded too."""
_MOST_CHUNKS = 16_384
"""Chunks that may be on the way before the protocol is told to pause, however small."""
_LINE_BYTES_PER_S = 125_000_000  # 1 Gbit/s: what may be on the way without counting as a slow reader
_NS_PER_S = 1_000_000_000

Bytes = bytes | bytearray | memoryview


class LineTransport(asyncio.Transport):
    """A transport whose writes reach the real one after the path's delay, in order.

    What is written while the protocol handles received bytes is timed from the moment those bytes were due,
    not from the clock: the protocol's own work is inside the tier's RTT. With `answers_later` set that holds
    until the next bytes come, for a protocol that answers from a task. `service_ns` is what such answers take
    beyond that. Other writes are timed from now.

    Held and unsent bytes together decide when the protocol is told to pause writing. Unless it sets limits
    of its own, what a line of 1 Gbit/s carries in one way may be held on top of asyncio's usual 64 KiB.
    """

    _start_tls_compatible = True

    def __init__(
        self, line: DelayLine, real: asyncio.Transport, queue: DueQueue, path: StreamPath, outbound: Direction
    ) -> None:
        super().__init__()
        self.answers_later = False
        self.service_ns = 0
        self.delivering = False
        self.delivered_due_ns = 0
        self._established_ns = queue.now_ns() + path.rtt_ns + max(0, path.to_venue.fixed_ns)
        self._line = line
        self._real = real
        self._queue = queue
        self._path = path
        self._outbound = outbound
        self._held: deque[tuple[int, bytes | Callable[[], None]]] = deque()
        self._held_bytes = 0
        self._armed = False
        self._eof = False
        self._closing = False
        self._gone = False
        self._error: BaseException | None = None
        self._writing_paused = False
        in_flight = max(0, path.to_client.fixed_ns) * _LINE_BYTES_PER_S // _NS_PER_S
        self.set_write_buffer_limits(_HIGH_WATER_BYTES + in_flight)

    # What a protocol calls

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Give what the real transport knows; under "delay_line", from above TLS too, this transport.

        The socket is not there any more when the real transport is gone, while what came before is delivered.
        """
        if name == "delay_line":
            return self
        if name == "socket" and self._gone:
            return default
        return self._real.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Deliver to another protocol from the next chunk on."""
        self._line.set_inner(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Give the protocol that chunks are delivered to."""
        return self._line.inner

    def is_reading(self) -> bool:
        """Tell whether received bytes are being delivered."""
        return not self._closing and not self._line.paused

    def pause_reading(self) -> None:
        """Hold deliveries, beyond their due times too."""
        if not self._closing:
            self._line.pause()

    def resume_reading(self) -> None:
        """Deliver again, what is overdue first."""
        if not self._closing:
            self._line.resume()

    def write(self, data: Bytes) -> None:
        """Hold bytes until they are due at the client, then write them to the real transport."""
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
        if self._eof:
            raise RuntimeError("Cannot call write() after write_eof()")
        if not data or self._closing or self._gone:
            return
        chunk = bytes(data)
        self._hold(chunk, len(chunk))
        self._held_bytes += len(chunk)
        self._pause_writing_if_high()

    def writelines(self, list_of_data: Iterable[Bytes]) -> None:
        """Write several chunks as one."""
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """Tell whether the real transport can close its write end."""
        return self._real.can_write_eof()

    def write_eof(self) -> None:
        """Close the write end when all that was written is out and the end of it is due."""
        if not (self._eof or self._closing or self._gone):
            self._eof = True
            self._hold(self._real.write_eof)

    def is_closing(self) -> bool:
        """Tell whether the protocol has closed this transport, or has lost it."""
        return self._closing

    def close(self) -> None:
        """Deliver nothing more; close the real transport when all that was written is out and this is due."""
        if self._closing:
            return
        self._closing = True
        self._line.drop()
        if self._gone:
            self._queue.loop.call_soon(self._line.lose, None)
        else:
            self._hold(self._real.close)

    def abort(self) -> None:
        """Drop what is held in both directions and close the real transport at once."""
        self._force_close(None)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the sizes in bytes at which the protocol is told to pause and to resume writing."""
        if high is None:
            high = _HIGH_WATER_BYTES if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self._high, self._low = high, low
        # The real transport reports when it falls to our low mark: that is when we look again.
        self._real.set_write_buffer_limits(high=low, low=low)
        self._pause_writing_if_high()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Give the low and the high limit in bytes."""
        return self._low, self._high

    def get_write_buffer_size(self) -> int:
        """Give the bytes that are held or that the kernel has not taken yet."""
        return self._held_bytes + self._real.get_write_buffer_size()

    # What the line calls

    def resume_writing_if_low(self) -> None:
        """Tell the protocol to go on when few enough bytes are left."""
        if (
            self._writing_paused
            and len(self._held) <= _MOST_CHUNKS // 4
            and self.get_write_buffer_size() <= self._low
        ):
            self._writing_paused = False
            self._tell("resume_writing")

    def take_over(self, high: int, low: int, *, writing_paused: bool) -> None:
        """Go on for a protocol that wrote to the real transport so far."""
        self._writing_paused = writing_paused
        self.set_write_buffer_limits(high, low)
        self.resume_writing_if_low()

    def restored(self) -> None:
        """Send again what was lost on its way to the client."""
        self._outbound.send_again(self._held, self._queue.now_ns())
        self._arm()

    def real_is_gone(self) -> BaseException | None:
        """Note that the real transport has ended: writes lead nowhere. Gives the error it was ended for."""
        self._gone = True
        self._drop()
        return self._error

    def lost(self) -> None:
        """Note that the protocol now learns about the end."""
        self._closing = True
        self._writing_paused = False

    # Inside

    def _sent_ns(self) -> int:
        if (self.delivering or self.answers_later) and self.delivered_due_ns:
            return self.delivered_due_ns + self.service_ns
        return max(self._queue.now_ns(), self._established_ns)

    def _hold(self, item: bytes | Callable[[], None], size: int = 0) -> None:
        self._held.append((self._outbound.due_ns(self._sent_ns(), size), item))
        self._arm()

    def _arm(self) -> None:
        if self._held and not self._armed and self._held[0][0] < LOST_NS:
            self._armed = True
            self._queue.at(self._held[0][0], self._release, spin=self._path.spin)

    def _release(self) -> None:
        """Hand over everything that is due, neighbouring chunks in one write."""
        self._armed = False
        held, now_ns = self._held, self._queue.now_ns()
        chunks: list[bytes] = []
        while held and held[0][0] <= now_ns:
            _, item = held.popleft()
            if isinstance(item, bytes):
                chunks.append(item)
                self._held_bytes -= len(item)
            else:
                self._send(chunks)
                chunks = []
                item()
        self._send(chunks)
        self._arm()
        self.resume_writing_if_low()

    def _send(self, chunks: list[bytes]) -> None:
        if chunks:
            self._real.write(chunks[0] if len(chunks) == 1 else b"".join(chunks))

    def _drop(self) -> None:
        self._held.clear()
        self._held_bytes = 0

    def _force_close(self, error: BaseException | None) -> None:
        """Abort, and tell the protocol this error; asyncio's SSLProtocol calls it by this name."""
        self._closing = True
        self._error = error
        self._line.drop()
        self._drop()
        if self._gone:
            self._queue.loop.call_soon(self._line.lose, error)
        else:
            self._real.abort()

    def _pause_writing_if_high(self) -> None:
        unsent, chunks = self.get_write_buffer_size(), len(self._held)
        if unsent + chunks * CHUNK_BYTES > UNSENT_LIMIT_BYTES:
            logger.warning(
                "connection from %s aborted: it left more than %d MiB unread behind tier %s",
                self.get_extra_info("peername"),
                UNSENT_LIMIT_BYTES // 2**20,
                self._path.tier_name,
            )
            self.abort()
        elif (unsent > self._high or chunks > _MOST_CHUNKS) and not self._writing_paused:
            self._writing_paused = True
            self._tell("pause_writing")

    def _tell(self, what: str) -> None:
        protocol = self._line.inner
        try:
            getattr(protocol, what)()
        except Exception as error:
            context = {"message": f"protocol.{what}() failed", "exception": error}
            self._queue.loop.call_exception_handler({**context, "transport": self, "protocol": protocol})
