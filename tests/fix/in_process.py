"""The FIX gateway without sockets: a clock turned by hand, and clients right at its sessions."""

from pathlib import Path
from typing import Any

from emulator.gateways.access import OPEN
from emulator.gateways.fix.gateway import Gateway
from emulator.gateways.fix.logon import Member
from emulator.gateways.fix.services import SERVICES
from emulator.gateways.fix.session import Session
from emulator.gateways.fix.wire import Framer
from emulator.gateways.keys import ApiKey, fix_credentials
from tests.fix.client import FixClient, Message, Reader
from tests.gateways.venue import SEED, Kraken

DICTIONARY = Path(__file__).parents[2] / "profiles" / "fix" / "KRAKEN-FIX44.xml"
ADDRESS = "127.0.0.1"
_SERVICES = {service.name: service for service in SERVICES}


class Outlet:
    """The venue's end of a connection: what was written, and whether it was closed."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True


class Direct(FixClient):
    """A client whose bytes go straight to the gateway; reading what has not come is an error."""

    def __init__(self, floor: "Floor", name: str, service: str) -> None:
        key, secret = fix_credentials(SEED, name.lower())
        self.account = {"fix": {"key": key, "secret": secret}}
        self.comp_id = name
        self.service = _SERVICES[service]
        self.target = self.service.target
        self.number = 1
        self.messages: list[Message] = []
        self.outlet = Outlet()
        self.session: Session | None = None
        self._floor = floor
        self._reader, self._incoming = Reader(), Framer()
        self._waiting: list[Message] = []

    def raw(self, data: bytes) -> None:
        for message in self._incoming.feed(data):
            if self.outlet.closed:
                return
            if self.session is not None:
                self.session.receive(message)
                ended = self.session.ended
            else:
                gateway = self._floor.gateway
                self.session = gateway.log_on(self.service, message, self.outlet, OPEN, ADDRESS)
                ended = self.session is None
            if ended:
                self.outlet.close()
                self.close()

    def credentials(self, number: int, nonce: int | None = None) -> list[tuple[int, object]]:
        return super().credentials(number, nonce or self._floor.next_nonce())

    def close(self) -> None:
        """Lose the connection."""
        session, self.session = self.session, None
        if session is not None and session.outlet is self.outlet:
            session.detach()

    def _more(self) -> bool:
        data, self.outlet.written = self.outlet.written, b""
        for raw in self._reader.feed(data):
            message = Message(raw)
            self._waiting.append(message)
            self.messages.append(message)
        assert data or self.outlet.closed, "the venue has nothing to say"
        return bool(data)

    def take(self) -> list[Message]:
        """Return all that has come."""
        if self.outlet.written:
            self._more()
        found, self._waiting = self._waiting, []
        return found


class Floor:
    """A venue with a FIX gateway; alice, bob, carol and dave may log on by their names in capitals."""

    def __init__(self, kraken: Kraken | None = None, **options: Any) -> None:
        self.kraken = kraken or Kraken()
        self.accounts = self.kraken.engine.accounts
        self.members = {
            name.upper(): Member(name.upper(), name, ApiKey(name, *fix_credentials(SEED, name), name="fix"))
            for name in self.accounts
        }
        self.clients: list[Direct] = []
        self._nonce = 0
        self.gateway = Gateway(self.kraken.venue, self.members, DICTIONARY, **options)

    def client(self, name: str = "ALICE", service: str = "spot_trading") -> Direct:
        """Open a connection."""
        client = Direct(self, name, service)
        self.clients.append(client)
        return client

    def trader(self, name: str = "ALICE", *fields: tuple[int, object], reset: bool = True) -> Direct:
        """Open a connection and log on to trade."""
        client = self.client(name)
        assert client.logon(*fields, reset=reset).type == "A"
        return client

    def next_nonce(self) -> int:
        """Return milliseconds of the venue's clock, or one more than the last time."""
        self._nonce = max(self._nonce + 1, self.kraken.clock.ns // 10**6)
        return self._nonce

    def wait(self, seconds: float) -> None:
        """Let time pass; connections that the venue has closed are lost."""
        self.kraken.wait(seconds)
        self.gateway.tick()
        for client in self.clients:
            if client.outlet.closed:
                client.close()
