"""What connections that come in by one tier may do, and how long its gateways take to answer.

Kraken asks something of clients on every way in but the internet: VIP status, an address that it was given, a
subscription with a network provider. The rules are data of the tier; they are off unless they are asked for.
"""

import asyncio
import contextlib
import ipaddress
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec

from emulator.gateways.errors import PERMISSION_DENIED, VenueError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_RESET = struct.pack("ii", 1, 0)


class Entrance(msgspec.Struct, frozen=True, kw_only=True):
    """One tier's way in. By default everybody may do everything, and answers take no extra time."""

    apis: tuple[str, ...] | None = None
    """APIs that are offered here (``rest``, ``websocket``, ``fix``); None: all."""
    vip: bool = False
    """Whether private calls are for accounts with VIP status only."""
    sources: tuple[Network, ...] | None = None
    """Networks that connections may come from; None: anywhere."""
    connected: bool = True
    """Whether there is a route at all: the provider's subscription."""
    rest_us: float = 0.0
    """What an answer over REST takes beyond the tier's RTT, in microseconds."""
    websocket_us: float = 0.0
    """What an answer over WebSocket takes beyond the tier's RTT, in microseconds."""
    fix_us: float = 0.0
    """What an answer over FIX takes beyond the tier's RTT, in microseconds."""
    marks: Mapping[str, int] = {}
    """The DSCP of an API's answers where they take time: by it links that see packets only know."""

    def offers(self, api: str) -> bool:
        """Tell whether an API is offered here."""
        return self.apis is None or api in self.apis

    def admits(self, address: str) -> bool:
        """Tell whether a connection from this address comes through, or ends at the firewall."""
        if not self.connected or self.sources is None:
            return self.connected
        source = ipaddress.ip_address(address.partition("%")[0])
        source = getattr(source, "ipv4_mapped", None) or source
        return any(source in network for network in self.sources)

    def check(self, *, vip: bool) -> None:
        """Refuse an account that may not trade here; VenueError."""
        if self.vip and not vip:
            raise VenueError(PERMISSION_DENIED, "this tier is for accounts with VIP status only")

    def serve(self, transport: asyncio.Transport, api: str) -> Any:
        """Let a connection's answers take an API's time from now on; give its delay line, if it has one."""
        took_us: float = getattr(self, f"{api}_us")
        line: Any = transport.get_extra_info("delay_line")
        if line is not None:
            line.service_ns = round(took_us * 1000)
        end = transport.get_extra_info("socket")
        if end is not None and (took_us or self.rest_us):  # a WebSocket may have been REST before
            with contextlib.suppress(OSError):
                end.setsockopt(
                    socket.IPPROTO_IP, socket.IP_TOS, self.marks.get(api, 0) << 2 if took_us else 0
                )
        return line

    @property
    def closed_to_some(self) -> bool:
        """Whether there are connections that do not come through."""
        return self.sources is not None or not self.connected


OPEN = Entrance()


def guarded(
    factory: Callable[[], asyncio.BaseProtocol], entrance: Entrance, active: Callable[[], bool]
) -> Callable[[], asyncio.BaseProtocol]:
    """Return a factory whose connections are reset at once unless ``entrance`` admits their address.

    It stands below TLS, as a firewall does, and lets everybody through while it is not ``active``.
    """
    return (lambda: _Guard(factory, entrance, active)) if entrance.closed_to_some else factory


class _Guard(asyncio.Protocol):
    """Looks at where a connection comes from, then steps aside or resets it."""

    def __init__(
        self, factory: Callable[[], asyncio.BaseProtocol], entrance: Entrance, active: Callable[[], bool]
    ) -> None:
        self._factory = factory
        self._entrance = entrance
        self._active = active

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Decide."""
        stream = cast(asyncio.Transport, transport)
        peer = stream.get_extra_info("peername")
        if not self._active() or (peer and self._entrance.admits(peer[0])):
            protocol = self._factory()
            stream.set_protocol(protocol)
            protocol.connection_made(stream)
            return
        end = stream.get_extra_info("socket")
        if end is not None:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        stream.abort()
