"""An HTTP proxy that leads Kraken's hostnames to the venue, and to nothing else.

A tunnel is no second connection: when CONNECT has been answered, the protocols of the tier's own TLS, plain
or FIX port get the connection, the link beneath it included.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from typing import cast

from emulator.gateways.access import Entrance
from emulator.gateways.authority import TEST_HOSTS
from emulator.gateways.doors import Visit
from emulator.gateways.front.server import Server
from emulator.gateways.front.targets import Place, Refusal, absolute, authority
from emulator.gateways.handover import hand_over
from emulator.gateways.hosts import FIX_HOSTNAME, HOSTNAMES
from emulator.gateways.http_connection import HEAD_S
from emulator.gateways.http_requests import LARGEST_HEAD

PLAIN_PORT, TLS_PORT, FIX_PORT = 80, 443, 4000
"""Kraken's ports; FIX services count up from theirs."""
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"

Factory = Callable[[], asyncio.BaseProtocol]

_CONNECT = b"CONNECT "
_END = b"\r\n\r\n"
_LINE = re.compile(rb"CONNECT ([!-~]+) HTTP/1\.[01]\r\n")
_PHRASES = {400: "Bad Request", 403: "Forbidden"}
_log = logging.getLogger(__name__)


def places(plain: Factory, tls: Factory, fix: Mapping[int, Factory]) -> dict[Place, Factory]:
    """Return where each of Kraken's places leads, and those with flawed certificates.

    ``fix`` has the services by their distance from 4000.
    """
    return {
        **{(name, PLAIN_PORT): plain for name in HOSTNAMES},
        **{(name, TLS_PORT): tls for name in (*HOSTNAMES, *TEST_HOSTS)},
        **{(FIX_HOSTNAME, FIX_PORT + offset): factory for offset, factory in fix.items()},
    }


def protocols(server: Server, entrance: Entrance, table: Mapping[Place, Factory]) -> Factory:
    """Return a factory of a proxy's connections; they come by ``entrance`` and go where ``table`` says."""

    def refuse(method: str, target: str) -> Refusal | None:
        return _refusal(table, method, target)

    plain = server.proxied(entrance, refuse)
    return lambda: Connection(server, table, plain)


class Connection(asyncio.Protocol):
    """A connection to the proxy that has not said yet where it wants to go."""

    def __init__(self, server: Server, table: Mapping[Place, Factory], plain: Factory) -> None:
        self._server = server
        self._table = table
        self._plain = plain
        self._head = b""
        self._visit: Visit | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request, within bounds."""
        self._transport = cast(asyncio.Transport, transport)
        self._visit = self._server.doors.enter(self._transport, HEAD_S)
        self._server.fronts.add(self)

    def data_received(self, data: bytes) -> None:
        """Open a tunnel once its request is whole; plain HTTP is for the venue's own front to read."""
        if self._transport.is_closing():
            return
        self._head += data
        if not self._head.startswith(_CONNECT[: len(self._head)]):
            self._step_aside(self._plain, self._head)
            return
        request, end, rest = self._head.partition(_END)
        if len(request) > LARGEST_HEAD:
            self._refuse(Refusal(400, f"a request's head of more than {LARGEST_HEAD} bytes"))
        elif end:
            self._tunnel(request + end, rest)

    def _tunnel(self, request: bytes, rest: bytes) -> None:
        line = _LINE.match(request)
        place = authority(line[1].decode("ascii")) if line else None
        if place is None:
            self._refuse(Refusal(400, "bad CONNECT: HOST:PORT is meant"))
        elif (factory := self._table.get(place)) is None:
            self._refuse(_elsewhere(self._table, place))
        else:
            self._transport.write(ESTABLISHED)
            self._step_aside(factory, rest)

    def _step_aside(self, factory: Factory, data: bytes) -> None:
        self._forget()
        hand_over(self._transport, factory(), data)

    def _refuse(self, refusal: Refusal) -> None:
        _log.warning("refused: %s", refusal.reason)
        body = f"{refusal.reason}\n".encode()
        head = (
            f"HTTP/1.1 {refusal.status} {_PHRASES[refusal.status]}\r\n"
            f"Content-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self._transport.write(head.encode() + body)
        self._transport.close()

    def close(self) -> None:
        """End the connection."""
        self._transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        """Nobody wants to go anywhere."""
        self._forget()

    def _forget(self) -> None:
        self._server.fronts.discard(self)
        if self._visit is not None:
            self._visit.leave()


def _refusal(table: Mapping[Place, Factory], method: str, target: str) -> Refusal | None:
    """Say why a plain request is not answered, None when it is one for Kraken's plain port."""
    if method == "CONNECT":
        return Refusal(400, "CONNECT needs a connection of its own")
    url = absolute(target)
    if url is None:
        return Refusal(400, "this is an HTTP proxy: CONNECT HOST:PORT, or an http:// URL, is meant")
    place = url.host, url.port
    if place not in table:
        return _elsewhere(table, place)
    if url.scheme in ("https", "wss") or url.port != PLAIN_PORT:
        return Refusal(403, f"{url.host}:{url.port} is reached by CONNECT only")
    return None


def _elsewhere(table: Mapping[Place, Factory], place: Place) -> Refusal:
    host, port = place
    ports = sorted(known for name, known in table if name == host)
    if ports:
        served = ", ".join(map(str, ports))
        return Refusal(403, f"{host}:{port} is not served by the emulator; on {host} it has {served}")
    if host == "kraken.com" or host.endswith(".kraken.com"):
        return Refusal(403, f"{host}:{port} is Kraken's, but not served by the emulator")
    return Refusal(403, f"{host}:{port} is not Kraken's")
