"""FIX without sockets: the gateway on a venue whose clock is turned by hand, and clients that speak to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emulator.engine import commands
from emulator.engine.accounts import Account
from emulator.engine.instruments import Side
from emulator.engine.orders import OrderType
from emulator.gateways.access import OPEN
from emulator.gateways.fix.gateway import Gateway
from emulator.gateways.fix.logon import Member
from emulator.gateways.fix.services import SERVICES
from emulator.gateways.fix.session import Session
from emulator.gateways.fix.wire import SOH, encode, password, timestamp
from emulator.gateways.keys import ApiKey, fix_credentials
from tests.fix.client import Message, Reader
from tests.gateways.venue import SEED, XBTUSD, Kraken

DICTIONARY = Path(__file__).parents[2] / "profiles" / "fix" / "KRAKEN-FIX44.xml"
SYMBOL = "BTC/USD"
HOUSE = "house"
_SERVICES = {service.name: service for service in SERVICES}
Fields = tuple[tuple[int, object], ...]


class Peer:
    """One client on one service; its connection is what the session writes to."""

    def __init__(self, venue: "Venue", service: str, account: str) -> None:
        self.kraken = venue.kraken
        self.service = _SERVICES[service]
        self.comp_id = account.upper()
        self.number = 1
        self.closed = False
        self.messages: list[Message] = []
        self.session: Session | None = None
        self._gateway = venue.gateway
        self._key = venue.members[self.comp_id].key
        self._reader = Reader()
        self._taken = 0

    # -- the connection under the session ---------------------------------------------------------

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.messages += [Message(raw) for raw in self._reader.feed(data)]

    def close(self) -> None:
        self.closed = True

    # -- what a client does -----------------------------------------------------------------------

    def raw(self, msg_type: str, *fields: tuple[int, object], number: int | None = None) -> bytes:
        """Return a message with the next number, or with ``number``."""
        if number is None:
            number, self.number = self.number, self.number + 1
        head = f"35={msg_type}{SOH}34={number}{SOH}49={self.comp_id}{SOH}"
        head += f"52={self.now()}{SOH}56={self.service.target}{SOH}"
        return encode(head + "".join(f"{tag}={value}{SOH}" for tag, value in fields))

    def now(self) -> str:
        return timestamp(self.kraken.clock.ns)

    def new_id(self) -> str:
        self.kraken.clock.ns += 1_000
        return str(self.kraken.clock.ns // 1_000)

    def log_on(self, *fields: tuple[int, object], reset: bool = True) -> Message:
        """Log on over a new connection; return the answer."""
        body: list[tuple[int, object]] = [(98, 0), (108, 30)]
        if reset:
            self.number = 1
            body.append((141, "Y"))
        if self.service.trading:
            self.kraken.clock.ns += 10**6
            nonce = str(self.kraken.clock.ns // 10**6)
            signed = password(
                self._key.secret, self._key.key, self.comp_id, self.service.target, str(self.number), nonce
            )
            body += [(553, self._key.key), (554, signed), (5025, nonce)]
        self.closed = False
        logon = self.raw("A", *body, *fields)
        self.session = self._gateway.log_on(self.service, logon, self, OPEN, "127.0.0.1")
        return self.take()[0]

    def send(self, msg_type: str, *fields: tuple[int, object], number: int | None = None) -> list[Message]:
        """Send a message; return all that came of it."""
        self._taken = len(self.messages)
        assert self.session is not None
        self.session.receive(self.raw(msg_type, *fields, number=number))
        if self.session.ended:
            self.hang_up()
        return self.take()

    def hang_up(self) -> None:
        """Lose the connection."""
        assert self.session is not None
        self.closed = True
        self.session.detach()

    def take(self) -> list[Message]:
        """Return what came since the last call."""
        new, self._taken = self.messages[self._taken :], len(self.messages)
        return new

    # -- what a market data client asks for -------------------------------------------------------

    def subscribe(
        self,
        *symbols: str,
        depth: object = 10,
        types: str = "01",
        level3: bool = False,
        request: str = "md1",
        **fields: object,
    ) -> list[Message]:
        """Send a MarketDataRequest; ``fields`` (``t265=…``) change it, None leaves one out."""
        values: dict[int, object] = {262: request, 263: "1", 264: depth, 266: "N" if level3 else None}
        values.update({int(name[1:]): value for name, value in fields.items()})
        wanted = symbols or (SYMBOL,)
        return self.send(
            "V",
            (146, len(wanted)),
            *((55, symbol) for symbol in wanted),
            *((tag, value) for tag, value in sorted(values.items()) if value is not None),
            (267, len(types)),
            *((269, kind) for kind in types),
        )

    def unsubscribe(self, request: str = "md1") -> list[Message]:
        return self.subscribe(request=request, t263="2")

    def order(self, **fields: object) -> list[Message]:
        """Send a NewOrderSingle, a limit order to buy unless ``fields`` (``t44="…"``) say otherwise."""
        values: dict[int, object] = {11: self.new_id(), 38: "0.1", 40: "2", 44: "64000.1", 54: "1"}
        values |= {55: SYMBOL, 59: "1", 60: self.now()}
        values.update({int(name[1:]): value for name, value in fields.items()})
        return self.send("D", *sorted((tag, value) for tag, value in values.items() if value is not None))


class Venue:
    """A venue, its FIX gateway, and a SenderCompID for each account: the account's name in capitals."""

    def __init__(self, kraken: Kraken | None = None) -> None:
        self.kraken = kraken or Kraken()
        self.members = {}
        for name in self.kraken.engine.accounts:
            key = ApiKey(name, *fix_credentials(SEED, name), name="fix")
            self.members[name.upper()] = Member(name.upper(), name, key)
        self.kraken.engine.accounts[HOUSE] = Account(HOUSE, house=True)
        self.gateway = Gateway(self.kraken.venue, self.members, DICTIONARY)
        self.gateway.publisher._soon = Session.flush  # nothing waits for the next turn of a loop: none turns

    def connect(self, service: str = "spot_md", account: str = "alice", **options: Any) -> Peer:
        """Return a client that has logged on."""
        client = Peer(self, service, account)
        assert client.log_on(**options).type == "A"
        return client

    def client(self, service: str = "spot_md", account: str = "alice") -> Peer:
        """Return a client that has not logged on."""
        return Peer(self, service, account)

    def quote(self, buy: bool, price: int, qty: int = 10**6) -> None:
        """Let the market itself, which no limit holds back, offer to trade BTC/USD; units of the pair."""
        self.kraken.execute(
            commands.PlaceOrder(
                account=HOUSE,
                pair=XBTUSD,
                side=Side.BUY if buy else Side.SELL,
                type=OrderType.LIMIT,
                qty=qty,
                price=price,
            )
        )

    def close(self) -> None:
        self.gateway.close()


@contextmanager
def venue(kraken: Kraken | None = None) -> Iterator[Venue]:
    """A venue that is closed at the end."""
    made = Venue(kraken)
    try:
        yield made
    finally:
        made.close()
