"""A tap on connections: what their gateways hear and say, above TLS, for who wants to show it.

It is there only when it is asked for; without one, connections are as they always were.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Protocol, cast

Bytes = bytes | bytearray | memoryview
Factory = Callable[[], asyncio.BaseProtocol]


class Listener(Protocol):
    """Hears one connection.  It must raise nothing."""

    def received(self, data: bytes) -> None:
        """Hear bytes of the client, before the gateway does."""

    def sent(self, data: bytes) -> None:
        """Hear bytes of the gateway, as it writes them."""

    def closed(self) -> None:
        """The connection is over."""


Tap = Callable[[str], Listener]
"""Gives the listener of a new connection, which speaks ``http`` (WebSockets begin so) or ``fix``."""


def tapped(factory: Factory, tap: Tap | None, protocol: str) -> Factory:
    """Return ``factory`` with ``tap`` on each of its connections; None leaves it as it is."""
    if tap is None:
        return factory
    return lambda: _Tapped(factory(), tap(protocol))


class _Tapped(asyncio.Protocol):
    """Passes everything on to the protocol that a connection has now."""

    def __init__(self, inner: asyncio.BaseProtocol, listener: Listener) -> None:
        self.inner = cast(asyncio.Protocol, inner)
        self.listener = listener

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.inner.connection_made(_Transport(self, cast(asyncio.Transport, transport)))

    def data_received(self, data: bytes) -> None:
        self.listener.received(data)
        self.inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self.inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.listener.closed()
        self.inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self.inner.pause_writing()

    def resume_writing(self) -> None:
        self.inner.resume_writing()


class _Transport(asyncio.Transport):
    """What a tapped protocol writes to: the connection's own transport, but for what it must hear of."""

    def __init__(self, tapped: _Tapped, real: asyncio.Transport) -> None:
        super().__init__()
        self._tapped = tapped
        self._real = real

    def write(self, data: Bytes) -> None:
        self._tapped.listener.sent(bytes(data))
        self._real.write(data)

    def writelines(self, list_of_data: Iterable[Bytes]) -> None:
        self.write(b"".join(list_of_data))

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._tapped.inner = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._tapped.inner

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._real.get_extra_info(name, default)

    def is_closing(self) -> bool:
        return self._real.is_closing()

    def close(self) -> None:
        self._real.close()

    def abort(self) -> None:
        self._real.abort()

    def write_eof(self) -> None:
        self._real.write_eof()

    def can_write_eof(self) -> bool:
        return self._real.can_write_eof()

    def get_write_buffer_size(self) -> int:
        return self._real.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._real.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._real.set_write_buffer_limits(high, low)

    def is_reading(self) -> bool:
        return self._real.is_reading()

    def pause_reading(self) -> None:
        self._real.pause_reading()

    def resume_reading(self) -> None:
        self._real.resume_reading()
