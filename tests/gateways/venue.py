"""A venue without sockets: a clock turned by hand, funded accounts, REST calls and WebSocket clients."""

import asyncio
import functools
import json
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from emulator.engine import commands
from emulator.engine.accounts import Account
from emulator.engine.events import Accepted, Event
from emulator.engine.instruments import Catalogue, Side, scaled
from emulator.engine.orders import Order, OrderType
from emulator.engine.spot import SpotEngine
from emulator.gateways.errors import VenueError, check_state
from emulator.gateways.keys import PERMISSIONS, ApiKey, KeyRing, demo_credentials
from emulator.gateways.offers import Offers
from emulator.gateways.parameters import Params
from emulator.gateways.permissions import allow
from emulator.gateways.roles import Role
from emulator.gateways.spot_rest import codec
from emulator.gateways.spot_rest.endpoints import PRIVATE, PUBLIC
from emulator.gateways.spot_ws_v2.session import Gateway, Session
from emulator.gateways.tape import Past, Tape
from emulator.gateways.tokens import Tokens
from emulator.gateways.venue import Venue

INSTRUMENTS = Path(__file__).parents[1] / "instruments" / "2026-03-06.json"
"""Instruments and fees of one day: what tests calculate with does not move when Kraken's data does."""
CATALOGUE = Catalogue.from_json(INSTRUMENTS.read_bytes())
START = datetime(2026, 11, 2, 10, tzinfo=UTC)
START_S = int(START.timestamp())
START_NS = START_S * 10**9
OFFERS = Offers.read(CATALOGUE)
XBTUSD = "XXBTZUSD"
RICH = dict.fromkeys(("ZUSD", "ZEUR", "ZJPY", "XXBT", "XETH", "DOT", "XXDG", "USDC"), "1000000000")
SEED = 7


class Clock:
    """A clock that moves only when told."""

    def __init__(self) -> None:
        self.ns = START_NS

    def now_ns(self) -> int:
        return self.ns

    reaches_ns = now_ns

    def seconds_until(self, due_ns: int) -> float:
        return max(due_ns - self.ns, 0) / 1e9

    def near(self, time_ns: int, within_ns: int) -> bool:
        return abs(time_ns - self.ns) <= within_ns

    turned = False

    def reset(self) -> None:
        """It is the test's to turn."""

    def listen(self, listener: Callable[[], None]) -> None:
        """Nothing turns it but the test, which lets happen what is due."""


class Digits(str):
    """A JSON number with a fraction, as it stands on the wire; a JSON string is a plain ``str``."""

    __slots__ = ()


def wire(text: bytes | str) -> Any:
    """Read JSON; numbers with a point stay text, so that trailing zeros can be seen."""
    return json.loads(text, parse_float=Digits)


class Client:
    """One WebSocket v2 connection: what a session sends, in order."""

    peer = "127.0.0.1:40312"

    def __init__(self, gateway: Gateway, role: Role = Role.ANY) -> None:
        self.raw: list[str] = []
        self.writes = 0
        self.heartbeat = False
        self.closed: int | None = None
        self._taken = 0
        self.session = Session(gateway, self, role, 11_754_023_117_765_420_033)

    def send(self, *payloads: bytes) -> None:
        self.writes += 1
        self.raw += [payload.decode() for payload in payloads]

    def post(self, frame: bytes) -> None:
        assert frame[0] == 0x81, "one whole text frame"
        size, start = frame[1], 2
        if size == 126:
            size, start = int.from_bytes(frame[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(frame[2:10], "big"), 10
        assert len(frame) == start + size
        self.raw.append(frame[start:].decode())

    def subscribed(self) -> None:
        self.heartbeat = True

    def close(self, code: int, reason: str = "") -> None:
        self.closed = code
        self.session.close()

    def later(self, callback: Callable[[], None]) -> None:
        callback()

    def take_raw(self) -> list[str]:
        """Messages since the last call, as text."""
        new, self._taken = self.raw[self._taken :], len(self.raw)
        return new

    def take(self) -> list[Any]:
        """Messages since the last call."""
        return [wire(text) for text in self.take_raw()]

    def say(self, message: Any) -> list[Any]:
        """Send a message (text, bytes, or JSON to be) and return all that came of it."""
        self.take_raw()
        sent = message if isinstance(message, str | bytes) else json.dumps(message)
        self.session.receive(sent)
        return self.take()

    def ask(self, method: str, req_id: int | None = None, **params: Any) -> list[Any]:
        """Make a request."""
        message: dict[str, Any] = {"method": method} | ({"params": params} if params else {})
        if req_id is not None:
            message["req_id"] = req_id
        return self.say(message)

    def subscribe(self, channel: str, *symbols: str, **params: Any) -> list[Any]:
        if symbols:
            params["symbol"] = list(symbols)
        return self.ask("subscribe", channel=channel, **params)

    def result(self, method: str, **params: Any) -> Any:
        """Return the result of a request that must succeed."""
        reply = self.ask(method, **params)[0]
        assert reply["success"], reply
        return reply["result"]

    def error(self, method: str, **params: Any) -> str:
        """Return the error of a request that must fail, and cause nothing else."""
        replies = self.ask(method, **params)
        assert len(replies) == 1
        reply = replies[0]
        assert reply["success"] is False
        assert "result" not in reply
        return str(reply["error"])


class StillVenue(Venue):
    """A venue that needs no loop: what happens by itself happens when the test lets time pass."""

    def _arm(self) -> None:
        with suppress(RuntimeError):
            super()._arm()


class Kraken:
    """The venue as a test speaks to it."""

    def __init__(self, *, past: Past | None = None, **options: Any) -> None:
        self.clock = Clock()
        accounts = [Account(name) for name in ("alice", "bob", "carol", "dave")]
        self.engine = SpotEngine(CATALOGUE, accounts, seed=SEED, **options)
        for name in ("alice", "bob", "carol"):
            for asset, amount in RICH.items():
                units = scaled(amount, CATALOGUE.assets[asset].decimals)
                self.engine.apply(commands.Deposit(name, asset, units), START_NS)
        self.engine.apply(commands.Deposit("dave", "ZUSD", scaled("100", 4)), START_NS)
        self.ring = [ApiKey(name, *demo_credentials(SEED, name)) for name in self.engine.accounts]
        tape = Tape(self.engine, past, START_NS)
        self.venue = StillVenue(
            self.engine, self.clock, KeyRing(self.ring), Tokens(SEED), tape, offers=OFFERS
        )
        self.gateway = Gateway(self.venue)

    # -- time -------------------------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        """Let time pass, and whatever is due happen."""
        self.clock.ns += int(seconds * 10**9)
        self.venue.publish(self.engine.advance(self.clock.ns))

    # -- trading behind the gateways' back --------------------------------------------------------

    def execute(self, command: commands.Command) -> list[Event]:
        return self.venue.execute(command)

    def place(
        self,
        account: str,
        side: str,
        qty: str,
        price: str | None = None,
        *,
        pair: str = XBTUSD,
        display: str | None = None,
        **terms: Any,
    ) -> Order:
        """Place an order; it must be accepted."""
        known = CATALOGUE.pairs[pair]
        kind = OrderType.MARKET if price is None else OrderType.LIMIT
        if display is not None:
            kind, terms["display"] = OrderType.ICEBERG, scaled(display, known.lot_decimals)
        events = self.execute(
            commands.PlaceOrder(
                account=account,
                pair=pair,
                side=Side(side),
                type=kind,
                qty=scaled(qty, known.lot_decimals),
                price=None if price is None else scaled(price, known.price_decimals),
                **terms,
            )
        )
        accepted = events[0]
        assert isinstance(accepted, Accepted), events
        return accepted.order

    def trade(self, qty: str, price: str, *, pair: str = XBTUSD, taker: str = "buy") -> None:
        """Let bob make and carol take one trade."""
        maker = "sell" if taker == "buy" else "buy"
        self.place("bob", maker, qty, price, pair=pair)
        self.place("carol", taker, qty, price, pair=pair)

    # -- REST -------------------------------------------------------------------------------------

    def key(self, account: str = "alice", permissions: Iterable[str] = PERMISSIONS) -> ApiKey:
        return ApiKey(account, *demo_credentials(SEED, account), permissions=permissions)

    def public(self, method: str, **params: Any) -> Any:
        """Call a public endpoint and return its result as it stands on the wire."""
        return self._call(lambda p: PUBLIC[method](self.venue, p), Params.from_query(urlencode(params)))

    def private(self, method: str, account: str = "alice", **params: Any) -> Any:
        """Call a private endpoint with form parameters."""
        return self.submit(method, urlencode(params), account)

    def submit(
        self, method: str, body: Any, account: str = "alice", permissions: Iterable[str] = PERMISSIONS
    ) -> Any:
        """Call a private endpoint with a body: form text, or anything else as JSON."""
        if isinstance(body, str):
            params = Params.from_body(body.encode(), "application/x-www-form-urlencoded")
        else:
            params = Params.from_body(json.dumps(body).encode(), "application/json; charset=utf-8")
        key, endpoint = self.key(account, permissions), PRIVATE[method]
        allow(key, endpoint.needs)
        check_state(self.engine.accounts[account].state, trades=endpoint.trades)
        return self._call(lambda p: endpoint.call(self.venue, key, p), params)

    @staticmethod
    def _call(function: Callable[[Params], Any], params: Params) -> Any:
        answer = json.loads(codec.result(done(function(params))))
        assert answer["error"] == []
        return answer["result"]

    # -- WebSocket --------------------------------------------------------------------------------

    def client(self, role: Role = Role.ANY) -> Client:
        """Open a connection whose status frame has been read."""
        client = Client(self.gateway, role)
        client.take_raw()
        return client

    def token(self, account: str = "alice", permissions: Iterable[str] = PERMISSIONS) -> str:
        return self.venue.tokens.issue(self.key(account, permissions), self.clock.ns)


def done(answer: Any) -> Any:
    """Return a REST answer, also one that is made a slice at a time; nothing else has a turn."""
    if not isinstance(answer, Coroutine):
        return answer
    while True:
        try:
            answer.send(None)
        except StopIteration as stopped:
            return stopped.value


@contextmanager
def refused(error: str) -> Iterator[None]:
    """Expect the venue to refuse in exactly these words."""
    with pytest.raises(VenueError) as caught:
        yield
    assert str(caught.value) == error


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Let an async test run in an event loop of its own."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run
