"""Composition root: builds the engine, the market, the gateways and the links; starts and stops them."""

import asyncio
import gc
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from emulator import accounts, addresses, instruments, ports
from emulator import settings as settings_
from emulator.advertised import Advertised
from emulator.asked import choose_link, load_tiers
from emulator.bundle import share
from emulator.calibration import YARDSTICK, Calibration, Watch
from emulator.clock import Clock
from emulator.control import server as control
from emulator.control.managed import ManagedControl
from emulator.control.rules import Rules
from emulator.control.tls import TlsControl
from emulator.control.venue import VenueControl
from emulator.endpoints import Endpoint, as_values, place
from emulator.engine.accounts import Account
from emulator.engine.commands import Deposit
from emulator.engine.spot import SpotEngine
from emulator.entrances import entrances
from emulator.gateways.access import guarded
from emulator.gateways.authority import WILDCARDS, Authority, Certificate
from emulator.gateways.doors import Doors, ask_for_descriptors
from emulator.gateways.front import proxy
from emulator.gateways.front import server as front
from emulator.gateways.front.targets import Place
from emulator.gateways.keys import ApiKey, KeyRing, demo_credentials, fix_credentials
from emulator.gateways.offers import Offers
from emulator.gateways.rate_limits import RateLimits
from emulator.gateways.tap import Tap
from emulator.gateways.tape import Tape
from emulator.gateways.tls import ContextSource, Tls
from emulator.gateways.tokens import Tokens
from emulator.gateways.venue import Venue
from emulator.gateways.wires import Wires
from emulator.link import ladder, tiers
from emulator.link.live import Live
from emulator.link.stream import ProtocolFactory, at_hand
from emulator.link.timer import DueQueue
from emulator.listeners import Listeners, reachable, refused
from emulator.market.driver import Driver
from emulator.market.history import SyntheticPast
from emulator.market.profile import MarketProfileError
from emulator.market.profile import load as load_market
from emulator.market.synthetic import SyntheticMarket
from emulator.measure.prober import ProbeError, Prober
from emulator.scratch import Scratch
from emulator.settings import Settings, SettingsError
from emulator.state import State

if TYPE_CHECKING:
    from emulator.gateways.fix.server import Server as FixServer
    from emulator.gateways.fix.services import Service

_log = logging.getLogger(__name__)
StartError = (SettingsError, tiers.ProfileError, ladder.LinkError, MarketProfileError)
"""What can be wrong with what the user asked for; each is one line."""
IDLE_STEP_S = 0.02
"""Pause between steps of work that nobody waits for."""


class App:
    """One venue behind its tiers."""

    def __init__(
        self,
        settings: Settings,
        *,
        kraken_ports: bool = False,
        shares_process: bool = False,
        tap: Tap | None = None,
    ) -> None:
        """Read all that is needed, and choose the link; raises one of StartError.

        With ``kraken_ports`` the venue also listens on the port that Kraken's hostnames are called on. One
        that ``shares_process`` with other code leaves the garbage collector and limits alone. ``tap`` hears
        what crosses the venue's edge.
        """
        self.settings = settings
        self.accounts = settings_.load_accounts(settings)
        self.instruments = instruments.load(settings)
        self.catalogue = self.instruments.catalogue
        self.quiet: tuple[str, ...] = ()
        """Symbols of pairs that the market does not trade in, as it knows no price of them."""
        self.tiers = load_tiers(settings)
        self._far = any(tier.rtt_us for tier in self.tiers)
        self.choice = choose_link(settings, self.tiers)
        own_addresses = settings.link != "auto" and self.choice.rung.own_addresses
        ports.check(settings, self.tiers, apart=own_addresses or addresses.apart(settings.host))
        self.entrances = entrances(settings, self.tiers)
        with settings.blamed("advertise"):
            self.advertised = Advertised(settings.advertise, settings.tier)
        self.state = State(settings)
        if self.state.warning:
            _log.warning("%s", self.state.warning)
        self.authority = Authority(self.state.folder)
        self.tls = Tls(self.authority, Certificate(settings.certificate))
        self.listeners: list[Listeners] = []
        """The listeners of the chosen link; after them, when ``auto`` chose one that has addresses of its
        own, those of the link that has not."""
        self._kraken_ports = kraken_ports
        self._shares_process = shares_process
        self._tap = tap
        self._ready = False
        self.shared_ca: Path | None = None
        """The copy of the authority's certificate in the trust folder, if there is one."""
        self._control: control.Server | None = None
        self._control_listener: asyncio.Server | None = None
        self._control_port = 0
        self._addresses: Mapping[tuple[str, str], str] = {}
        self._stops: list[Callable[[], None]] = []
        self._deposits: list[Deposit] = []
        """What the profile gives to the accounts."""
        self._front: front.Server | None = None
        self._doors = Doors()
        """Everybody who is connected to a port of the venue."""
        self._fix: FixServer | None = None
        self._fix_state = self.state.folder / "fix" if settings.state and settings.fix == "on" else None
        self.goes_on = self._fix_state is not None and any(self._fix_state.glob("*"))
        """Whether there are FIX sessions of an earlier run, whose clients know its orders."""
        self._watches: list[tuple[asyncio.Task[None], Scratch]] = []

    @property
    def control_url(self) -> str:
        """Where the control API is, once it is."""
        return f"http://{place(reachable(self.settings.control_host), self._control_port)}"

    @property
    def control_url_outside(self) -> str:
        """Where clients outside see the control API."""
        here = reachable(self.settings.control_host), self._control_port
        return f"http://{place(*self.advertised.place(*here))}"

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Where each path is reached, the chosen link's first."""
        return tuple(endpoint for listeners in self.listeners for endpoint in listeners.endpoints)

    async def start(self) -> None:
        """Open everything; return when every listener answers."""
        queue = DueQueue(asyncio.get_running_loop())
        self._stops.append(queue.close)
        venue = self._build(queue) if self._shares_process else self._build_for_good(queue)
        await self._open_links(queue)
        if self.settings.trust_folder:
            with self.settings.blamed("trust_folder"):
                self.shared_ca = share(Path(self.settings.trust_folder), self.authority.ca_path)
        await self._open_control(venue)
        self._ready = True
        self._in_idle_turns(venue.tape.load_days(venue.clock.now_ns()))

    def _build_for_good(self, queue: DueQueue) -> Venue:
        """Build what lives as long as the process, and keep the collector from walking it in a busy hour."""
        ask_for_descriptors()
        gc.disable()
        try:
            venue = self._build(queue)
            gc.collect()
            gc.freeze()
            gc.set_threshold(50_000, 50, 100_000)
        finally:
            gc.enable()
        return venue

    def _build(self, queue: DueQueue) -> Venue:
        """Build the venue and its gateways."""
        venue = self._build_venue()
        first_id = int.from_bytes(os.urandom(7), "big") << 8
        self._doors = Doors()  # now, as it depends on the limit of open files
        self._front = front.Server(venue, first_id, queue.until, self._tap, self._doors)
        if self.settings.fix == "on":
            self._fix = self._fix_server(venue)
            self._fix.start()
        return venue

    async def _open_links(self, queue: DueQueue) -> None:
        """Open the chosen link; where that fails and the choice was ours, the next best one."""
        automatic = self.settings.link == "auto"
        self._addresses = await addresses.find(self.settings.host, self.tiers)
        while True:
            try:
                await self._open_link(self.choice.rung, queue)
                break
            except ladder.LinkError as error:
                if not (automatic and self.choice.rung.own_addresses):
                    raise
                self.choice = self.choice.after(str(error))
        if automatic and self.choice.rung.own_addresses and not addresses.apart(self.settings.host):
            await self._open_link(ladder.choose("auto", nearby=True).rung, queue)

    async def _open_link(self, rung: ladder.Rung, queue: DueQueue) -> None:
        assert self._front is not None  # noqa: S101 - start() has made it
        protocols = {tier.name: self._front.protocols(self.entrances[tier.name]) for tier in self.tiers}

        def below(tier: tiers.Tier, factory: ProtocolFactory) -> ProtocolFactory:
            """Put below TLS what a tier needs there: lines for the service time, unless the link has them."""
            takes_time = tier.service.websocket_us or tier.service.fix_us
            if takes_time and not (rung.name == "stream" and tier.rtt_us):
                factory = at_hand(queue, factory)
            return self._guard(tier, factory)

        apart = addresses.apart(self.settings.host)
        measured = rung.name != "none" and self._far and not self.settings.raw_delay
        yardsticks = (YARDSTICK,) if measured else ()
        listeners = Listeners(
            rung.name,
            await rung.open(
                (*self.tiers, *yardsticks), queue, self.settings.seed, self._addresses if apart else {}
            ),
            self.settings,
            self._addresses,
        )
        try:
            await listeners.open(
                self.tiers,
                lambda tier: protocols[tier.name],
                below,
                self.tls.contexts,
                self._fix_protocols if self._fix is not None else None,
                self._proxy_protocols if self.settings.proxy else None,
                doors=self._doors,
                kraken_ports=self._kraken_ports,
            )
            if measured:
                await self._calibrate(listeners, queue)
            await listeners.check(str(self.authority.ca_path))
        except BaseException:
            await listeners.close(0)
            raise
        self.listeners.append(listeners)

    def _fix_protocols(
        self, tier: tiers.Tier, service: "Service", contexts: ContextSource
    ) -> ProtocolFactory:
        assert self._fix is not None  # noqa: S101 - asked for only when it is there
        return self._fix.protocols(service, self.entrances[tier.name], contexts)

    def _proxy_protocols(self, tier: tiers.Tier, table: Mapping[Place, ProtocolFactory]) -> ProtocolFactory:
        assert self._front is not None  # noqa: S101 - start() has made it
        return proxy.protocols(self._front, self.entrances[tier.name], table)

    def _fix_server(self, venue: Venue) -> "FixServer":
        """Build the FIX gateway; QuickFIX is imported here, when it is wanted."""
        settings, members = self.settings, {}
        try:
            from emulator.gateways.fix.gateway import Gateway
            from emulator.gateways.fix.logon import Member
            from emulator.gateways.fix.server import Server
        except ImportError as error:
            raise SettingsError(
                f"FIX needs QuickFIX, which cannot be had here (--fix off): {error}"
            ) from None
        for row in self.accounts:
            key = ApiKey(row.name, *fix_credentials(settings.seed, row.name), name="fix")
            members.update({comp_id: Member(comp_id, row.name, key) for comp_id in row.comp_ids})
        try:
            gateway = Gateway(
                venue,
                members,
                settings_.PROFILES / "fix" / "KRAKEN-FIX44.xml",
                displace=settings.fix_logon == "displace",
                state_folder=self._fix_state,
            )
        except OSError as error:
            raise SettingsError(f"cannot keep FIX sessions (--state): {error}") from None
        return Server(gateway, tls_only=settings.fix_tls == "only", tap=self._tap, doors=self._doors)

    async def _open_control(self, venue: Venue) -> None:
        """Open the port by which links are changed while clients are connected."""
        settings = self.settings
        live = Live(self.listeners[0].link, self.tiers, [at.link for at in self.listeners[1:]])
        control_, tls = VenueControl(venue), TlsControl(self.tls, self.authority)
        self._control = control.Server(
            live,
            control_,
            ManagedControl(venue, control_, self._deposits, keeps_market=settings.market == "synthetic"),
            tls,
            Rules(venue, tls, self._fix),
            settings_.PROFILES / "schedules",
            control.Names.of(settings.control_host, (settings.host, *settings.tls_names)),
            self.endpoints_json,
        )
        host, port = settings.control_host, 0 if settings.ports == "auto" else settings.control_port
        try:
            self._control_listener = await self._control.listen(host, port)
        except OSError as error:
            named = f"{settings.said('control_port')}: port {port} on {host}"
            raise refused(error, settings, "control_host", named) from None
        self._control_port = int(self._control_listener.sockets[0].getsockname()[1])

    def _guard(self, tier: tiers.Tier, factory: ProtocolFactory) -> ProtocolFactory:
        """Look at connections before all else, but not at our own, which come before the venue is ready."""
        return guarded(factory, self.entrances[tier.name], lambda: self._ready)

    async def _calibrate(self, listeners: Listeners, queue: DueQueue) -> None:
        """Take the venue's own time off what paths hold, measured at a venue of the same kind."""
        scratch = Scratch(instruments.kraken(), self.settings.seed, queue.until)
        watched = False
        try:
            async with Prober() as prober:
                await listeners.calibrate(self.tiers, Calibration(prober, scratch))
            floors_us = {(at.tier, at.path): at.floor_us for at in listeners.endpoints}
            watch = Watch(listeners.link, scratch).run(self.tiers, floors_us)
            self._watches.append((asyncio.create_task(watch), scratch))
            watched = True
        except (ProbeError, OSError) as error:
            _log.warning(
                "link %s could not be measured, so its own time comes on top: %s", listeners.rung, error
            )
        finally:
            if not watched:
                await scratch.close()

    async def stop(self) -> None:
        """Close everything, clients first."""
        for task, scratch in self._watches:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await scratch.close()
        self._watches.clear()
        if self._control_listener is not None:
            self._control_listener.close()
        if self._control is not None:
            await self._control.close()
        for listeners in self.listeners:
            listeners.stop_listening()
        if self._fix is not None:
            self._fix.close()
        if self._front is not None:
            await self._front.close()
        # The goodbyes are on their way now, and the links have to outlive them.
        farthest_s = max(tier.rtt_us for tier in self.tiers) / 1e6
        for listeners in self.listeners:
            await listeners.close(0 if listeners.rung == "none" else farthest_s)
            farthest_s = 0
        self.listeners.clear()
        for stop in reversed(self._stops):
            stop()
        self.state.close()

    # -- building ---------------------------------------------------------------------------------

    def _build_venue(self) -> Venue:
        settings, clock = self.settings, Clock()
        now_ns = clock.now_ns()
        profile = past = None
        if settings.market == "synthetic":
            path, own = settings_.profile("market", settings.market_profile), self.instruments
            profile = load_market(path, self.catalogue, own.prices, own.own, own.rows)
            pairs = self.catalogue.pairs.items()
            self.quiet = tuple(pair.symbol for name, pair in pairs if name not in profile.pairs)
            past = SyntheticPast(self.catalogue, profile, settings.seed, now_ns)
        owners = [*map(accounts.account, self.accounts), Account(accounts.MARKET, house=True)]
        engine = SpotEngine(
            self.catalogue,
            owners,
            seed=settings.seed ^ now_ns if self.goes_on else settings.seed,  # ids are others than theirs
            first_trade_ids={name: past.first_trade_id(name) for name in profile.pairs}
            if past and profile
            else None,
            post_only_rejects=settings.post_only == "reject",
            rate_limits=settings.rate_limits == "on",
        )
        offers = Offers.read(
            self.catalogue,
            settings_.profile("funding", settings.funding),
            settings_.profile("earn", settings.earn),
        )
        for row in self.accounts:
            for deposit in accounts.deposits(row, self.catalogue, offers, settings.seed):
                self._deposits.append(deposit)
                engine.apply(deposit, now_ns)
        keys = KeyRing(key for row in self.accounts for key in accounts.keys(settings.seed, row, now_ns))
        limits = RateLimits(on=settings.rate_limits == "on")
        tokens, tape = Tokens(settings.seed), Tape(engine, past, now_ns)
        wires = Wires(**{name: getattr(settings, name) for name in Wires.__struct_fields__})
        venue = Venue(engine, clock, keys, tokens, tape, limits, offers, settings.seed, wires)
        self._stops.append(venue.close)
        if profile is not None:
            market = SyntheticMarket(engine, accounts.MARKET, profile, settings.seed, venue.publish)
            driver = Driver(market, clock)
            driver.start()
            self._stops.append(driver.stop)
        return venue

    def _in_idle_turns(self, steps: Iterator[None]) -> None:
        """Carry out ``steps`` with the loop free in between."""
        loop = asyncio.get_running_loop()

        def step() -> None:
            if self.listeners and next(steps, steps) is None:
                loop.call_later(IDLE_STEP_S, step)

        step()

    # -- telling ----------------------------------------------------------------------------------

    def endpoints_json(self, ca: Path | None = None, asked_as: str = "", port: int = 0) -> dict[str, Any]:
        """Return the endpoints in the form of ``--endpoints-file`` (docs/architecture.md).

        ``ca`` is a copy of the authority's certificate, for those who cannot read the authority's folder.
        What listens on every address is told by the name that was ``asked_as``, if any: that one reaches it.
        Who asked by the ``port`` that is advertised is told the places that are.
        """
        accounts = []
        for row in self.accounts:
            key, secret = demo_credentials(self.settings.seed, row.name)
            account: dict[str, Any] = {"name": row.name, "spot": {"key": key, "secret": secret}}
            if self._fix is not None:
                public, private = fix_credentials(self.settings.seed, row.name)
                account["fix"] = {"key": public, "secret": private, "sender_comp_id": row.comp_ids[0]}
                if len(row.comp_ids) > 1:
                    account["fix"]["sender_comp_ids"] = row.comp_ids
            for own in row.keys:
                public, private = demo_credentials(self.settings.seed, f"{row.name}/{own.name}")
                account.setdefault("keys", {})[own.name] = {"key": public, "secret": private}
            accounts.append(account)
        endpoints, control_url = self.endpoints, self.control_url
        if asked_as:
            endpoints = tuple(
                msgspec.structs.replace(at, host=asked_as) if at.everywhere else at for at in endpoints
            )
            if self.settings.control_host in WILDCARDS:
                control_url = f"http://{place(asked_as, self._control_port)}"
            if self.advertised.asked_outside(asked_as, port, self._control_port):
                endpoints = self.advertised.seen(endpoints, asked_as)
                control_url = f"http://{place(*self.advertised.place(asked_as, self._control_port))}"
        tiers_ = as_values(endpoints, ca or self.shared_ca or self.authority.ca_path)
        return {"tiers": tiers_, "accounts": accounts, "control": control_url, "pid": os.getpid()}
