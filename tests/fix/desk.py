"""FIX without sockets: a client at a venue whose clock is turned by hand."""

import time
from typing import Any

from emulator.gateways.access import OPEN
from emulator.gateways.fix.gateway import Gateway
from emulator.gateways.fix.logon import Member
from emulator.gateways.fix.services import SERVICES
from emulator.gateways.fix.session import Session
from emulator.gateways.fix.wire import Framer
from emulator.gateways.keys import ApiKey, fix_credentials
from emulator.settings import PROFILES
from tests.fix.client import FixClient, Message
from tests.gateways.venue import SEED, Kraken

DICTIONARY = PROFILES / "fix" / "KRAKEN-FIX44.xml"
TRADING = next(service for service in SERVICES if service.trading)
COMP_IDS = {"ALICE": "alice", "ALICE2": "alice", "BOB": "bob", "CAROL": "carol", "DAVE": "dave"}
"""Who has them; alice has two."""


def fix_gateway(kraken: Kraken) -> Gateway:
    """Return the FIX side of a venue; ``close`` it at the end."""
    members = {}
    for comp_id, account in COMP_IDS.items():
        key = ApiKey(account, *fix_credentials(SEED, account), name="fix")
        members[comp_id] = Member(comp_id, account, key)
    return Gateway(kraken.venue, members, DICTIONARY)


def stamp(seconds: float) -> str:
    """Return a time since the epoch as FIX has it."""
    ms = round(seconds * 1000)
    return time.strftime("%Y%m%d-%H:%M:%S", time.gmtime(ms // 1000)) + f".{ms % 1000:03d}"


class Desk(FixClient):
    """A client whose messages are carried out at once: ``take`` returns what has come of them."""

    def __init__(self, gateway: Gateway, comp_id: str) -> None:
        public, secret = fix_credentials(SEED, COMP_IDS[comp_id])
        self.account: dict[str, Any] = {"fix": {"key": public, "secret": secret}}
        self.comp_id = comp_id
        self.target = TRADING.target
        self.number = 1
        self.messages: list[Message] = []
        self.closed = False
        self.session: Session
        self._framer = Framer()
        self._waiting: list[Message] = []
        self._gateway = gateway
        self._attached = False
        self._nonce = 0

    # -- the client's side ------------------------------------------------------------------------

    def logon(
        self, *fields: tuple[int, object], reset: bool = True, heartbeat: int = 30, **_: object
    ) -> Message:
        self.closed = self._attached = False
        return super().logon(*fields, reset=reset, heartbeat=heartbeat)

    def credentials(self, number: int, nonce: int | None = None) -> list[tuple[int, object]]:
        venue_ms = self._gateway.venue.clock.now_ns() // 10**6
        self._nonce = max(self._nonce + 1, venue_ms)
        return super().credentials(number, nonce or self._nonce)

    def raw(self, data: bytes) -> None:
        for message in Framer().feed(data):
            if self._attached:
                self.session.receive(message)
                continue
            session = self._gateway.log_on(TRADING, message, self, OPEN, "127.0.0.1")
            assert session is not None, "the logon was refused"
            self.session, self._attached = session, True

    def _more(self) -> bool:
        raise AssertionError("no message has come")

    def take(self) -> list[Message]:
        """Return what has come and was not read yet."""
        found, self._waiting = self._waiting, []
        return found

    def lose(self) -> None:
        """Let the connection break."""
        self.session.detach()
        self._attached = False

    # -- the venue's side: an outlet --------------------------------------------------------------

    def write(self, data: bytes) -> None:
        for raw in self._framer.feed(data):
            message = Message(raw)
            self._waiting.append(message)
            self.messages.append(message)

    def close(self) -> None:
        self.closed = True

    # -- requests and what comes of them ----------------------------------------------------------

    def ordered(self, **fields: object) -> list[Message]:
        self.order(**fields)
        return self.take()

    def resting(self, **fields: object) -> Message:
        """Place an order that rests; return its last report."""
        reports = self.ordered(**fields)
        assert states(reports) == ["AA", "00"], reports
        return reports[-1]

    def canceled(
        self, order_id: str | None = None, orig: str | None = None, **fields: object
    ) -> list[Message]:
        self.cancel(order_id, orig, **fields)
        return self.take()

    def replaced(self, report: Message, **fields: object) -> list[Message]:
        self.replace(report, **fields)
        return self.take()

    def status(self, order_id: str, **fields: object) -> list[Message]:
        self._send("H", {11: self.fresh(), 37: order_id, 55: "BTC/USD"}, fields)
        return self.take()

    def mass_cancel(self, scope: str, **fields: object) -> list[Message]:
        self._send("q", {11: self.fresh(), 60: stamp(time.time()), 530: scope}, fields)
        return self.take()

    def refusal(self, **fields: object) -> tuple[str, str]:
        """Send an order that must be refused by one j; return its 380 and 58."""
        id_ = self.order(**fields)
        (refusal,) = self.take()
        assert (refusal.type, refusal[45], refusal[372], refusal[379]) == ("j", "0", "D", id_)
        return refusal[380], refusal[58]

    def session_reject(self, **fields: object) -> tuple[str, str, str]:
        """Send an order that must be refused by one 3; return its 371, 373 and 58."""
        number = self.number
        self.order(**fields)
        (refusal,) = self.take()
        assert (refusal.type, refusal[45], refusal[372]) == ("3", str(number), "D")
        return refusal[371], refusal[373], refusal[58]

    @staticmethod
    def fresh() -> str:
        from tests.fix.client import new_id

        return new_id()

    def _send(self, msg_type: str, values: dict[int, object], fields: dict[str, object]) -> None:
        values.update({int(name[1:]): value for name, value in fields.items()})
        self.send(msg_type, *sorted((tag, value) for tag, value in values.items() if value is not None))


def states(messages: list[Message]) -> list[str]:
    """Return 150 and 39 of reports, and the types of other messages."""
    return [m[150] + m[39] if m.type == "8" else m.type for m in messages]
