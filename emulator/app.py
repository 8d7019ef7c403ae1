"""Composition root: builds the engine, the market, the gateways and the links; starts and stops them."""

import asyncio
import errno
import gc
import os
import signal
import ssl
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from emulator import settings as settings_
from emulator.clock import Clock, duration
from emulator.engine.accounts import Account
from emulator.engine.commands import Deposit
from emulator.engine.instruments import Catalogue, scaled
from emulator.engine.spot import SpotEngine
from emulator.gateways.front import server as front
from emulator.gateways.front.tls import Authority, over_tls
from emulator.gateways.keys import PERMISSIONS, ApiKey, KeyRing, demo_credentials
from emulator.gateways.spot_rest import server as spot_rest
from emulator.gateways.spot_ws_v2 import server as spot_ws_v2
from emulator.gateways.spot_ws_v2.session import Gateway
from emulator.gateways.tape import Tape
from emulator.gateways.tokens import Tokens
from emulator.gateways.venue import Venue
from emulator.link import ladder, listener, tiers
from emulator.link.timer import DueQueue
from emulator.market.driver import Driver
from emulator.market.history import SyntheticPast
from emulator.market.profile import MarketProfileError
from emulator.market.profile import load as load_market
from emulator.market.synthetic import SyntheticMarket
from emulator.settings import AccountProfile, Settings, SettingsError

MARKET_ACCOUNT = "market"
StartError = (SettingsError, tiers.ProfileError, ladder.LinkError, MarketProfileError)
"""What can be wrong with what the user asked for; each is one line."""
CALLS_WITHIN_US = 10_000
"""Tiers nearer than this are measured with more calls when the venue gets ready."""
IDLE_STEP_S = 0.02
"""Pause between steps of work that nobody waits for."""
PORT_STEP = 100
"""Distance between the ports of one tier and the next."""


class TierEndpoints(msgspec.Struct, frozen=True):
    """Where one tier is reached."""

    name: str
    rtt_us: float
    rung: str
    host: str
    http_port: int
    tls_port: int
    measured_us: float | None = None
    """Round trip of a REST call through the link when the venue became ready."""


class App:
    """One venue behind its tiers."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.accounts = settings_.load_accounts(settings)
        self.catalogue = Catalogue.from_json((settings_.PROFILES / "instruments" / "spot.json").read_bytes())
        self.tiers = load_tiers(settings)
        self.rung = ladder.choose(settings.link)
        self.authority = Authority(settings_.state_folder(settings))
        self.endpoints: tuple[TierEndpoints, ...] = ()
        self._servers: list[asyncio.Server] = []
        self._stops: list[Callable[[], None]] = []
        self._front: front.Server | None = None
        self._link: listener.Link | None = None

    async def start(self) -> None:
        """Open everything; return when every listener answers."""
        venue = self._build_venue()
        gateway = Gateway(venue)
        first_id = int.from_bytes(os.urandom(7), "big") << 8
        self._front = front.Server(spot_rest.Server(venue), spot_ws_v2.Server(gateway, first_id))
        queue = DueQueue(asyncio.get_running_loop())
        self._stops.append(queue.close)
        self._link = await self.rung.open(self.tiers, queue, self.settings.seed)
        step = 0 if self._link.own_addresses else PORT_STEP
        plain = [
            await self._listen(tier, self._front.protocol, self.settings.http_port + place * step)
            for place, tier in enumerate(self.tiers)
        ]
        secure = over_tls(self._front.protocol, self._tls_context(at.host for at in plain))
        endpoints = []
        for place, (tier, plain_at) in enumerate(zip(self.tiers, plain, strict=True)):
            tls_at = await self._listen(tier, secure, self.settings.tls_port + place * step)
            endpoints.append(
                TierEndpoints(
                    tier.name,
                    tier.rtt_us,
                    self.rung.name,
                    _reachable(plain_at.host),
                    plain_at.port,
                    tls_at.port,
                )
            )
        # What exists now lives as long as the process: keep the collector from walking it while orders flow.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 50, 100_000)
        self.endpoints = tuple([await self._answering(endpoint) for endpoint in endpoints])
        self._in_idle_turns(venue.tape.load_days(venue.clock.now_ns()))

    async def stop(self) -> None:
        """Close everything, clients first."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        if self._front is not None:
            await self._front.close()
            # The goodbyes are on their way now, and the links have to outlive them.
            if self.rung.name != "none":
                await asyncio.sleep(max(tier.rtt_us for tier in self.tiers) / 1e6)
        if self._link is not None:
            await self._link.close()
        for stop in reversed(self._stops):
            stop()

    # -- building ---------------------------------------------------------------------------------

    def _build_venue(self) -> Venue:
        settings, clock = self.settings, Clock()
        now_ns = clock.now_ns()
        profile = past = None
        if settings.market == "synthetic":
            path = settings_.profile("market", settings.market_profile)
            profile = load_market(path, self.catalogue)
            past = SyntheticPast(self.catalogue, profile, settings.seed, now_ns)
        accounts = [_account(row) for row in self.accounts]
        accounts.append(Account(MARKET_ACCOUNT, house=True))
        engine = SpotEngine(
            self.catalogue,
            accounts,
            seed=settings.seed,
            first_trade_ids={name: past.first_trade_id(name) for name in self.catalogue.pairs}
            if past
            else None,
            post_only_rejects=settings.post_only == "reject",
        )
        for row in self.accounts:
            for name, amount in (row.balances or {}).items():
                asset = self.catalogue.assets.get(name)
                if asset is None:
                    raise SettingsError(f"account {row.name}: unknown asset {name!r}")
                engine.apply(Deposit(row.name, name, _amount(row, name, amount, asset.decimals)), now_ns)
        keys = KeyRing(_key(settings.seed, row) for row in self.accounts)
        venue = Venue(engine, clock, keys, Tokens(settings.seed), Tape(engine, past, now_ns))
        self._stops.append(venue.close)
        if profile is not None:
            market = SyntheticMarket(engine, MARKET_ACCOUNT, profile, settings.seed, venue.publish)
            driver = Driver(market, clock.now_ns)
            driver.start()
            self._stops.append(driver.stop)
        return venue

    def _in_idle_turns(self, steps: Iterator[None]) -> None:
        """Carry out ``steps`` with the loop free in between."""
        loop = asyncio.get_running_loop()

        def step() -> None:
            if self._servers and next(steps, steps) is None:
                loop.call_later(IDLE_STEP_S, step)

        step()

    def _tls_context(self, hosts: Iterable[str]) -> ssl.SSLContext:
        try:
            return self.authority.context(hosts)
        except (ssl.SSLError, ValueError):
            reason = "its files are damaged, remove them"
        except OSError as error:
            reason = str(error.strerror)
        where = self.authority.ca_path.parent
        raise SettingsError(
            f"cannot keep the certificate authority in {where} (see --state-folder): {reason}"
        )

    async def _listen(
        self, tier: tiers.Tier, factory: Callable[[], asyncio.BaseProtocol], port: int
    ) -> listener.Listener:
        """Open one listener behind a tier."""
        assert self._link is not None  # noqa: S101 - start() has opened it
        wanted, host = 0 if self.settings.ports == "auto" else port, self.settings.host
        try:
            opened = await self._link.listen(tier, factory, host, wanted)
        except (OSError, OverflowError) as error:
            taken = getattr(error, "errno", None) == errno.EADDRINUSE
            reason = "is taken (another emulator? use --ports auto)" if taken else f"cannot be bound: {error}"
            raise SettingsError(f"port {wanted} on {host} {reason}") from None
        self._servers.append(opened.server)
        return opened

    async def _answering(self, endpoint: TierEndpoints) -> TierEndpoints:
        """Return ``endpoint`` with its measured round trip once both of its listeners have answered."""
        host = endpoint.host
        trusting = ssl.create_default_context(cafile=str(self.authority.ca_path))
        rounds = 2 if endpoint.rtt_us >= CALLS_WITHIN_US else 10
        plain, _ = await asyncio.gather(
            _round_trip(host, endpoint.http_port, None, rounds),
            _round_trip(host, endpoint.tls_port, trusting, 1),
        )
        return msgspec.structs.replace(endpoint, measured_us=plain)

    # -- telling ----------------------------------------------------------------------------------

    def endpoints_json(self) -> dict[str, Any]:
        """Return the endpoints in the form of ``--endpoints-file`` (docs/architecture.md)."""
        accounts = []
        for row in self.accounts:
            key, secret = demo_credentials(self.settings.seed, row.name)
            accounts.append({"name": row.name, "spot": {"key": key, "secret": secret}})
        return {
            "tiers": {
                e.name: {
                    "rung": e.rung,
                    "rtt_us": e.rtt_us,
                    **_urls(e.host, e.http_port, ""),
                    "tls": {**_urls(e.host, e.tls_port, "s"), "ca": str(self.authority.ca_path)},
                }
                for e in self.endpoints
            },
            "accounts": accounts,
            "pid": os.getpid(),
        }


def load_tiers(settings: Settings) -> tuple[tiers.Tier, ...]:
    """Return the tiers that were asked for; raises SettingsError or ProfileError."""
    known = tiers.load_tiers(*settings_.tier_folders(settings))
    for name in settings.tier:
        if name not in known:
            raise SettingsError(f"unknown tier {name!r}; there are: {', '.join(known)}")
    return tuple(known[name] for name in settings.tier)


def _reachable(host: str) -> str:
    """Return an address that clients on this machine reach a listener on ``host`` by."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


def _account(row: AccountProfile) -> Account:
    if row.name == MARKET_ACCOUNT:
        raise SettingsError(f"account {row.name}: this name is the synthetic market's")
    return Account(row.name, tier=row.tier, vip=row.vip, volume_usd=row.volume_usd)


def _key(seed: int, row: AccountProfile) -> ApiKey:
    unknown = set(row.permissions or ()) - PERMISSIONS
    if unknown:
        raise SettingsError(f"account {row.name}: unknown permission {min(unknown)!r}")
    public, secret = demo_credentials(seed, row.name)
    permissions = PERMISSIONS if row.permissions is None else row.permissions
    return ApiKey(row.name, public, secret, permissions=permissions, nonce_window=row.nonce_window)


def _amount(row: AccountProfile, asset: str, amount: str, decimals: int) -> int:
    try:
        value = scaled(amount, decimals)
    except (ValueError, ArithmeticError):
        value = -1
    if value < 0:
        raise SettingsError(f"account {row.name}: bad balance {amount!r} of {asset}")
    return value


def _urls(host: str, port: int, tls: str) -> dict[str, str]:
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return {"rest": f"http{tls}://{where}", "ws": f"ws{tls}://{where}", "ws_auth": f"ws{tls}://{where}"}


async def _round_trip(host: str, port: int, context: ssl.SSLContext | None, rounds: int) -> float:
    """Return the best round trip of some REST calls on one connection, in microseconds."""
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
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


# -- running ---------------------------------------------------------------------------------------------


def run(settings: Settings, *, as_json: bool) -> None:
    """Run the venue until SIGINT or SIGTERM."""
    app = App(settings)
    asyncio.run(_run(app, as_json=as_json))


async def _run(app: App, *, as_json: bool) -> None:
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    file = Path(app.settings.endpoints_file) if app.settings.endpoints_file else None
    try:
        if file is not None:
            remove(file)  # what an earlier run wrote would be taken for this one's
        await app.start()
        endpoints = app.endpoints_json()
        if file is not None:
            write_atomically(file, msgspec.json.encode(endpoints))
        print(msgspec.json.encode(endpoints).decode() if as_json else ready_text(app), flush=True)
        await stopped.wait()
    finally:
        await app.stop()


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file whole: a reader sees all of it or nothing."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise SettingsError(f"cannot write {path}: {error.strerror}") from None


def remove(path: Path) -> None:
    """Remove a file that may be there; raises SettingsError when none can be written there either."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise SettingsError(f"cannot write {path}: {error.strerror}") from None


def ready_text(app: App) -> str:
    """Return what a person reads when the venue is ready."""
    settings, endpoints = app.settings, app.endpoints_json()
    market = (
        "no market" if settings.market == "off" else f"{len(app.catalogue.pairs)} pairs, synthetic market"
    )
    lines = [f"Kraken spot, seed {settings.seed}, {market}", ""]
    for tier in app.endpoints:
        urls = endpoints["tiers"][tier.name]
        lines += [
            f"{tier.name:<8}{_distance(tier)} (a REST call just took {duration(tier.measured_us or 0)})",
            f"  REST       {urls['rest']}      {urls['tls']['rest']}",
            f"  WebSocket  {urls['ws']}/v2     {urls['tls']['ws']}/v2",
        ]
    lines += ["", f"CA       {app.authority.ca_path}", "accounts (API key, private key):"]
    shown = endpoints["accounts"][:3]
    lines += [f"  {row['name']:<8}{row['spot']['key']}\n          {row['spot']['secret']}" for row in shown]
    rest = ", ".join(row["name"] for row in endpoints["accounts"][3:])
    lines += [f"  and {rest}: --json or --endpoints-file gives all keys", "", "ready; Ctrl-C stops"]
    return "\n".join(lines)


def _distance(tier: TierEndpoints) -> str:
    if tier.rung == "none":
        return "link none: not shaped"
    return f"{duration(tier.rtt_us)} RTT, link {tier.rung}"
