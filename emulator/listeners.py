"""The listeners of one link: all ports of every path of every tier, calibrated, and answering."""

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast
from weakref import WeakSet

import msgspec

from emulator.addresses import apart
from emulator.calibration import Calibration
from emulator.endpoints import Endpoint
from emulator.gateways.authority import WILDCARDS, Certificate
from emulator.gateways.doors import Doors
from emulator.gateways.fix.services import SERVICES, Service
from emulator.gateways.front.proxy import ESTABLISHED, FIX_PORT, PLAIN_PORT, TLS_PORT, places
from emulator.gateways.front.targets import Place
from emulator.gateways.handover import hand_over
from emulator.gateways.hosts import HOSTNAMES
from emulator.gateways.tls import ContextSource, over_tls
from emulator.link.listener import Link, LinkError, Listener
from emulator.link.stream import ProtocolFactory
from emulator.link.tiers import Path, Tier
from emulator.ports import PATH_STEP, PROXY_PATH_STEP, step
from emulator.settings import Settings, SettingsError

LEAST_TLS, LEAST_FIX_TLS = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
"""Oldest versions that are spoken; Kraken's FIX guide asks for 1.3."""
CALLS_WITHIN_US = 10_000
"""Tiers nearer than this are called more often when the venue gets ready."""
ANSWER_WITHIN_S = 15.0
"""How long the first answers through a link may take, round trips aside."""


class Listeners:
    """Everything that is open behind one link."""

    def __init__(
        self, rung: str, link: Link, settings: Settings, addresses: Mapping[tuple[str, str], str]
    ) -> None:
        """Take the addresses that paths listen at, by tier and path, where the link does not decide."""
        self.rung = rung
        self.link = link
        self._addresses = addresses
        self._apart = link.own_addresses or apart(settings.host)
        self.endpoints: tuple[Endpoint, ...] = ()
        self.servers: list[asyncio.Server] = []
        self._open: set[tuple[str, int]] = set()
        self.not_served: tuple[str, ...] = ()
        """Why Kraken's plain port could not be had, once for each address without it."""
        self._settings = settings
        self._connections: WeakSet[asyncio.Transport] = WeakSet()

    async def open(
        self,
        tiers: Sequence[Tier],
        plain: Callable[[Tier], ProtocolFactory],
        guard: Callable[[Tier, ProtocolFactory], ProtocolFactory],
        contexts: Callable[[Iterable[str], ssl.TLSVersion], ContextSource],
        fix: Callable[[Tier, Service, ContextSource], ProtocolFactory] | None = None,
        proxy: Callable[[Tier, Mapping[Place, ProtocolFactory]], ProtocolFactory] | None = None,
        *,
        doors: Doors | None = None,
        kraken_ports: bool = False,
    ) -> None:
        """Open the ports of all tiers; SettingsError for a port that cannot be had.

        ``plain`` gives each tier's protocols, ``guard`` puts below them what looks at a connection before all
        else, ``contexts`` gives TLS contexts from a version on, ``fix`` the protocols of a FIX service,
        ``proxy`` those of an HTTP proxy to the places that it is given; ``doors`` counts TLS
        handshakes.  With ``kraken_ports`` each address also listens on the ports that Kraken has; without its
        plain port where that cannot be had.
        """
        settings = self._settings
        ways_in = [(t, p, tier, path) for t, tier in enumerate(tiers) for p, path in enumerate(tier.paths)]
        steps = [self._step(t, p, PATH_STEP) for t, p, _, _ in ways_in]
        opened = [
            await self._listen(
                tier, path, guard(tier, plain(tier)), settings.http_port + further, "http_port"
            )
            for further, (_, _, tier, path) in zip(steps, ways_in, strict=True)
        ]
        hosts = [*(at.host for at in opened), *settings.tls_names]
        tls, fix_tls = (contexts(hosts, least) for least in (LEAST_TLS, LEAST_FIX_TLS))
        rows = []
        for further, plain_at, (t, p, tier, path) in zip(steps, opened, ways_in, strict=True):
            secure = over_tls(plain(tier), tls, doors)
            tls_at = await self._listen(
                tier, path, guard(tier, secure), settings.tls_port + further, "tls_port"
            )
            as_kraken = kraken_ports and (self._apart or (t, p) == (0, 0))
            if as_kraken:
                if tls_at.port != TLS_PORT:
                    await self._listen(tier, path, guard(tier, secure), TLS_PORT)
                if plain_at.port != PLAIN_PORT:
                    await self._listen_if_free(tier, path, guard(tier, plain(tier)), PLAIN_PORT)
            services = {} if fix is None else {service: fix(tier, service, fix_tls) for service in SERVICES}
            fix_ports = {}
            for service, factory in services.items():
                port = (FIX_PORT if as_kraken else settings.fix_port + further) + service.offset
                setting = None if as_kraken else "fix_port"
                at = await self._listen(tier, path, guard(tier, factory), port, setting)
                fix_ports[service.name] = at.port
            proxy_port = 0
            if proxy is not None:
                by_offset = {service.offset: factory for service, factory in services.items()}
                way_in = guard(tier, proxy(tier, places(plain(tier), secure, by_offset)))
                port = settings.proxy_port + self._step(t, p, PROXY_PATH_STEP)
                proxy_port = (await self._listen(tier, path, way_in, port, "proxy_port")).port
            rtt_us = tier.rtt_us + 2 * path.extra_one_way_us
            rows.append(
                Endpoint(
                    tier=tier.name,
                    path=path.name,
                    rung=self.rung,
                    rtt_us=rtt_us,
                    host=reachable(plain_at.host),
                    everywhere=plain_at.host in WILDCARDS,
                    http_port=plain_at.port,
                    tls_port=tls_at.port,
                    fix_ports=fix_ports,
                    proxy_port=proxy_port,
                )
            )
        self.endpoints = tuple(rows)

    async def calibrate(self, tiers: Sequence[Tier], calibration: Calibration) -> None:
        """Measure what orders take on each path beyond being held, and hold them that much less."""
        rows = []
        for tier, endpoint in zip(_for_each_path(tiers), self.endpoints, strict=True):
            floor_us, over_us = await calibration(self.link, tier, endpoint.path)
            reachable_us = endpoint.rtt_us + over_us
            rows.append(msgspec.structs.replace(endpoint, floor_us=floor_us, reachable_us=reachable_us))
        self.endpoints = tuple(rows)

    async def check(self, ca: str) -> None:
        """Return when every listener has answered through its link; LinkError when one does not."""
        trusting = ssl.create_default_context(cafile=ca)
        self.endpoints = tuple([await self._answering(endpoint, trusting) for endpoint in self.endpoints])

    async def close(self, flight_s: float) -> None:
        """Close everything: ``flight_s`` for what is on the way still, then connections and the link."""
        self.stop_listening()
        if flight_s:
            await asyncio.sleep(flight_s)
        for connection in list(self._connections):
            connection.abort()
        await asyncio.sleep(0)  # sockets are closed in the next turn
        await self.link.close()

    def stop_listening(self) -> None:
        """Take no new connection."""
        for server in self.servers:
            server.close()
        self.servers.clear()

    def _step(self, tier: int, path: int, path_step: int) -> int:
        """Return how far a port is from the setting, by the places of its tier and path."""
        return 0 if self._apart else step(tier, path, path_step)

    async def _listen(
        self, tier: Tier, path: Path, factory: ProtocolFactory, port: int, setting: str | None = None
    ) -> Listener:
        """Listen on a port that counts from a setting, or that is Kraken's own."""
        settings = self._settings
        wanted = 0 if settings.ports == "auto" and setting else port
        host = self._addresses[tier.name, path.name]
        try:
            opened = await self.link.listen(
                tier, _remembered(factory, self._connections), host, wanted, path=path.name
            )
        except OverflowError:
            counted = "further tiers, paths and services count up from --http-port, --tls-port and so on"
            said = f"{settings.said(setting)}: " if setting else ""
            raise SettingsError(f"{said}port {wanted}: ports go up to 65535 ({counted})") from None
        except socket.gaierror as error:
            named = "" if host == settings.host else f"{host}: "
            raise SettingsError(f"{settings.said('host')}: {named}{error.strerror}") from None
        except OSError as error:
            said = f"{settings.said(setting)}: " if setting else ""
            other = "(another emulator? use --ports auto)" if setting else "by another program"
            if wanted and (host, wanted) in self._open:
                other = "by this emulator already"
            raise refused(error, settings, "host", f"{said}port {wanted} on {host}", other) from None
        self._open.add((host, opened.port))
        self.servers.append(opened.server)
        return opened

    async def _listen_if_free(self, tier: Tier, path: Path, factory: ProtocolFactory, port: int) -> None:
        """Listen on a port that others may have on all addresses of the machine: then go on without it."""
        try:
            await self._listen(tier, path, factory, port)
        except SettingsError as error:
            self.not_served += (str(error),)

    async def _answering(self, endpoint: Endpoint, trusting: ssl.SSLContext) -> Endpoint:
        flawed = self._settings.certificate != Certificate.VALID
        name = Certificate.VALID.host if flawed else None
        rounds = 2 if endpoint.rtt_us >= CALLS_WITHIN_US else 10
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S + 20 * endpoint.rtt_us / 1e6):
                plain_us, *_ = await asyncio.gather(
                    _round_trip_us(endpoint.host, endpoint.http_port, rounds),
                    _round_trip_us(endpoint.host, endpoint.tls_port, 1, ssl=trusting, server_hostname=name),
                    *(_hangs_up(endpoint.host, port) for port in endpoint.fix_ports.values()),
                    *(_tunnels(endpoint.host, port) for port in [endpoint.proxy_port] if port),
                )
        except (OSError, EOFError) as error:
            where = f"{endpoint.host} (tier {endpoint.tier}, link {endpoint.rung})"
            raise LinkError(f"nothing answers at {where}: {error or 'no answer in time'}") from None
        return msgspec.structs.replace(endpoint, measured_us=plain_us)


def refused(
    error: OSError,
    settings: Settings,
    host: str,
    port: str,
    other: str = "(another emulator? use --ports auto)",
) -> SettingsError:
    """Say in plain words why a port cannot be listened at; ``host`` is the setting that gave its address."""
    if error.errno == errno.EADDRINUSE:
        return SettingsError(f"{port} is taken {other}")
    # Since Python 3.13 asyncio passes over what is no address of this machine, and has no number for it.
    code = error.errno or errno.EADDRNOTAVAIL
    reason = os.strerror(code) if code > 0 else str(error.strerror)
    if error.errno in (errno.EACCES, errno.EPERM):
        return SettingsError(f"{port} cannot be listened at: {reason}")
    return SettingsError(f"{settings.said(host)}: cannot be listened at: {reason}")


def _remembered(factory: ProtocolFactory, connections: WeakSet[asyncio.Transport]) -> ProtocolFactory:
    """Return a factory whose connections can be ended, whatever became of their protocols."""
    return lambda: _Remembered(factory, connections)


class _Remembered(asyncio.Protocol):
    """Remembers a connection, then steps aside."""

    def __init__(self, factory: ProtocolFactory, connections: WeakSet[asyncio.Transport]) -> None:
        self._factory = factory
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast(asyncio.Transport, transport)
        self._connections.add(stream)
        hand_over(stream, self._factory())


def _for_each_path(tiers: Sequence[Tier]) -> list[Tier]:
    return [tier for tier in tiers for _ in tier.paths]


def reachable(host: str) -> str:
    """Return an address that clients on this machine reach a listener on ``host`` by."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


async def _hangs_up(host: str, port: int) -> None:
    """Return when a FIX service has hung up on somebody who does not begin with a Logon: it is there."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"8=FIX.4.4\x019=5\x0135=0\x0110=163\x01")
    await reader.read()
    writer.close()


async def _tunnels(host: str, port: int) -> None:
    """Return when a proxy has opened a tunnel to Kraken's plain port; EOFError when it does not."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"CONNECT {HOSTNAMES[0]}:{PLAIN_PORT} HTTP/1.1\r\n\r\n".encode())
    answer = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    if answer != ESTABLISHED:
        raise EOFError(f"the proxy says {answer!r}")


async def _round_trip_us(host: str, port: int, rounds: int, **tls: Any) -> float:
    """Return the best round trip of some REST calls on one connection, in microseconds."""
    reader, writer = await asyncio.open_connection(host, port, **tls)
    loop, taken_s = asyncio.get_running_loop(), []
    for _ in range(rounds):
        began = loop.time()
        writer.write(b"GET /0/public/Time HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        await reader.readexactly(length)
        taken_s.append(loop.time() - began)
    writer.close()
    return min(taken_s) * 1e6
