"""FIX without sockets: a venue whose clock is turned by hand, and clients right at its FIX gateway."""

from typing import Any, Self

from emulator.engine import commands
from emulator.engine.accounts import Account
from emulator.engine.instruments import Side
from emulator.engine.orders import OrderType
from emulator.gateways.access import OPEN
from emulator.gateways.fix.gateway import Gateway
from emulator.gateways.fix.logon import Member
from emulator.gateways.fix.services import SERVICES
from emulator.gateways.fix.session import Session
from emulator.gateways.fix.wire import Framer
from emulator.gateways.keys import ApiKey, fix_credentials
from emulator.settings import PROFILES
from tests.fix.client import FixClient
from tests.fix.messages import Message
from tests.gateways.venue import SEED, XBTUSD, Kraken

DICTIONARY = PROFILES / "fix" / "KRAKEN-FIX44.xml"
ADDRESS = "127.0.0.1"
HOUSE = "house"
MORE_COMP_IDS = {"ALICE2": "alice"}
"""Whose they are; each account has its own name in capitals besides."""
_SERVICES = {service.name: service for service in SERVICES}


class Outlet:
    """The venue's end of a connection: what was written, and whether it was closed."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed, "written to a connection that the venue has closed"
        self.written += data

    def close(self) -> None:
        self.closed = True


class Direct(FixClient):
    """A client whose bytes go straight to the gateway; reading what has not come is an error.

    A connection begins with the first message; a logon after its end makes another one.
    """

    def __init__(self, inside: "FixVenue", comp_id: str, service: str) -> None:
        self.service = _SERVICES[service]
        account = MORE_COMP_IDS.get(comp_id, comp_id.lower())
        super().__init__(comp_id, self.service.target, *fix_credentials(SEED, account))
        self.outlet = Outlet()
        self.session: Session | None = None
        self._inside = inside
        self._incoming = Framer()

    @property
    def closed(self) -> bool:
        """Whether the venue has closed the connection."""
        return self.outlet.closed

    def nonce(self) -> int:
        return self._inside.next_nonce()

    def logon(self, *fields: tuple[int, object], reset: bool = True, heartbeat: int = 30) -> Message:
        if self.session is None:
            self._hear_written()
            self.outlet, self._incoming = Outlet(), Framer()
        return super().logon(*fields, reset=reset, heartbeat=heartbeat)

    def raw(self, data: bytes) -> None:
        for message in self._incoming.feed(data):
            if self.closed:
                return
            session = self.session
            if session is not None:
                session.receive(message)
                while session.unfinished is not None:
                    session.go_on()
                ended = session.ended
            else:
                gateway = self._inside.gateway
                self.session = gateway.log_on(self.service, message, self.outlet, OPEN, ADDRESS)
                ended = self.session is None
            if ended:
                self.outlet.close()
                self.close()

    def close(self) -> None:
        """Lose the connection."""
        session, self.session = self.session, None
        if session is not None and session.outlet is self.outlet:
            session.detach()

    def take(self) -> list[Message]:
        self._hear_written()
        found, self._waiting = self._waiting, []
        return found

    @property
    def messages(self) -> list[Message]:
        self._hear_written()
        return self._heard

    def _more(self) -> bool:
        assert self.outlet.written or self.closed, "the venue has nothing to say"
        return self._hear_written()

    def _hear_written(self) -> bool:
        data, self.outlet.written = self.outlet.written, b""
        self._hear(data)
        return bool(data)


class FixVenue:
    """A venue with a FIX gateway: alice, bob and carol with plenty of everything, dave with 100 USD.

    ``options`` are those of the gateway.
    """

    def __init__(self, kraken: Kraken | None = None, **options: Any) -> None:
        self.kraken = kraken or Kraken()
        self.accounts = self.kraken.engine.accounts
        comp_ids = {name.upper(): name for name in self.accounts} | MORE_COMP_IDS
        self.members = {
            comp_id: Member(comp_id, name, ApiKey(name, *fix_credentials(SEED, name), name="fix"))
            for comp_id, name in comp_ids.items()
        }
        self.accounts[HOUSE] = Account(HOUSE, house=True)
        self.clients: list[Direct] = []
        self.gateway = Gateway(self.kraken.venue, self.members, DICTIONARY, **options)
        self.gateway.publisher._soon = Session.flush  # nothing waits for the next turn of a loop: none turns
        self._nonce = 0

    def in_a_loop(self) -> None:
        """Let updates wait for the next turn of the loop: now there is one that turns."""
        del self.gateway.publisher._soon

    # -- clients ----------------------------------------------------------------------------------

    def client(self, comp_id: str = "ALICE", service: str = "spot_trading") -> Direct:
        """Return a client that has not logged on."""
        client = Direct(self, comp_id, service)
        self.clients.append(client)
        return client

    def trader(self, comp_id: str = "ALICE", *fields: tuple[int, object], reset: bool = True) -> Direct:
        """Return a client that has logged on to trade."""
        client = self.client(comp_id)
        assert client.logon(*fields, reset=reset).type == "A"
        return client

    def reader(self, comp_id: str = "ALICE", service: str = "spot_md") -> Direct:
        """Return a client that has logged on to read market data."""
        client = self.client(comp_id, service)
        assert client.logon().type == "A"
        return client

    def next_nonce(self) -> int:
        """Return milliseconds of the venue's clock, or one more than the last time."""
        self._nonce = max(self._nonce + 1, self.kraken.clock.ns // 10**6)
        return self._nonce

    # -- what happens by itself -------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        """Let time pass; connections that the venue has closed are lost."""
        self.kraken.wait(seconds)
        self.gateway.tick()
        for client in self.clients:
            if client.closed:
                client.close()

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

    def cancel(self, account: str, txid: str) -> None:
        """Cancel an order behind FIX's back."""
        self.kraken.execute(commands.CancelOrder(account=account, txid=txid))

    # -- the end ----------------------------------------------------------------------------------

    def close(self) -> None:
        self.gateway.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
