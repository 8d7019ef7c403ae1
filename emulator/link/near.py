"""Paths without distance: no delay line while they do nothing, one for every connection once they do."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable
from typing import Any, cast
from weakref import WeakSet

from emulator.link.delay import StreamPath
from emulator.link.shape import Shape, Ways
from emulator.link.stream import Bytes, DelayLine, ProtocolFactory
from emulator.link.timer import DueQueue

IDLE = Ways(Shape(), Shape())
"""What a path does that does nothing."""


class NearPath(StreamPath):
    """A path that may do nothing: its connections have no delay line then, and get one when it is changed.

    A line stays below a connection that got it, and holds nothing when the path does nothing again.
    """

    def __init__(self, tier_name: str, path_name: str, now: Ways, queue: DueQueue) -> None:
        super().__init__(tier_name, path_name, now)
        self._queue = queue
        self._direct: WeakSet[DirectTransport] = WeakSet()
        self._count = itertools.count()

    def over(self, factory: ProtocolFactory, seed: int) -> ProtocolFactory:
        """Give a protocol factory whose connections lead over this path.

        For the same seed, tier and path the n-th connection draws the same jitter.
        """
        return lambda: _Beginning(self, factory, f"{seed}/{self.tier_name}/{self.path_name}")

    def begin(self, real: asyncio.Transport, inner: asyncio.BaseProtocol, seed: str) -> None:
        """Let a new connection's protocol have it, over a line if the path does something."""
        seed = f"{seed}/{next(self._count)}"
        if self.now == IDLE:
            direct = DirectTransport(real, seed)
            self._direct.add(direct)
            real.set_protocol(inner)
            inner.connection_made(direct)
        else:
            line = DelayLine(inner, self._queue, self, seed)
            real.set_protocol(line)
            line.connection_made(real)

    def change(self, to: Ways) -> None:
        """Treat what is sent from now on another way, on connections without a line too."""
        if to != IDLE and self.now == IDLE:
            for direct in list(self._direct):
                direct.lead_over(self, self._queue)
            self._direct.clear()
        super().change(to)


class _Beginning(asyncio.Protocol):
    """Decides whether a new connection gets a line, and steps aside."""

    def __init__(self, path: NearPath, factory: ProtocolFactory, seed: str) -> None:
        self._path = path
        self._factory = factory
        self._seed = seed

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._path.begin(cast(asyncio.Transport, transport), self._factory(), self._seed)


class DirectTransport(asyncio.Transport):
    """The transport of a connection without a line: the real one's calls, until there is a line.

    Protocols keep their transport, so the one that they have is what can lead elsewhere. It never has a
    "delay_line": who asks for that counts on one from the beginning.
    """

    _start_tls_compatible = True

    def __init__(self, real: asyncio.Transport, seed: str) -> None:
        super().__init__()
        self._to = real
        self._seed = seed

    def lead_over(self, path: StreamPath, queue: DueQueue) -> None:
        """Put a line below the connection, unless it is ending."""
        if not self._to.is_closing():
            line = DelayLine(self._to.get_protocol(), queue, path, self._seed)
            self._to = line.take_over(self._to)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Give what the real transport knows."""
        return default if name == "delay_line" else self._to.get_extra_info(name, default)

    def write(self, data: Bytes) -> None:
        """Send."""
        self._to.write(data)

    def writelines(self, list_of_data: Iterable[Bytes]) -> None:
        """Send several chunks."""
        self._to.writelines(list_of_data)

    def can_write_eof(self) -> bool:
        """Tell whether the write end can be closed."""
        return self._to.can_write_eof()

    def write_eof(self) -> None:
        """Close the write end when all is written."""
        self._to.write_eof()

    def is_closing(self) -> bool:
        """Tell whether the connection is ending."""
        return self._to.is_closing()

    def close(self) -> None:
        """Close when all is written."""
        self._to.close()

    def abort(self) -> None:
        """Close at once."""
        self._to.abort()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Deliver to another protocol."""
        self._to.set_protocol(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Give the protocol that is delivered to."""
        return self._to.get_protocol()

    def is_reading(self) -> bool:
        """Tell whether received bytes are being delivered."""
        return self._to.is_reading()

    def pause_reading(self) -> None:
        """Deliver nothing."""
        self._to.pause_reading()

    def resume_reading(self) -> None:
        """Deliver again."""
        self._to.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the sizes in bytes at which the protocol is told to pause and to resume writing."""
        self._to.set_write_buffer_limits(high, low)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Give the low and the high limit in bytes."""
        return self._to.get_write_buffer_limits()

    def get_write_buffer_size(self) -> int:
        """Give the bytes that the kernel has not taken yet."""
        return self._to.get_write_buffer_size()

    def _force_close(self, error: BaseException | None) -> None:
        """Abort, and tell the protocol this error; asyncio's SSLProtocol calls it by this name."""
        self._to._force_close(error)  # type: ignore[attr-defined]
