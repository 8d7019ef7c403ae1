"""A FIX client of our own: what it says and how it reads, whatever carries its bytes; nothing done by itself.

``sockets.py`` has the one that connects to a venue, ``inside.py`` the one that stands right at the gateway.
"""

import base64
import time
from abc import ABC, abstractmethod
from typing import Self

from emulator.gateways.fix.wire import SOH, encode, password
from tests.fix.messages import Message, Reader, new_id, now, states


class FixClient(ABC):
    """One client on one service.

    Keyword ``fields`` of a request (``t44="…"``) change it; None leaves one out.
    """

    def __init__(self, comp_id: str, target: str, key: str, secret: str) -> None:
        self.comp_id = comp_id
        self.target = target
        self.key = key
        self.secret = secret
        self.number = 1
        self._reader = Reader()
        self._heard: list[Message] = []
        self._waiting: list[Message] = []

    # -- what carries it --------------------------------------------------------------------------

    @abstractmethod
    def raw(self, data: bytes) -> None:
        """Send bytes."""

    @abstractmethod
    def close(self) -> None:
        """Lose the connection."""

    @abstractmethod
    def _more(self) -> bool:
        """Take in what has come, at least something; tell whether there can be more."""

    def nonce(self) -> int:
        """Return the nonce of the next logon."""
        return time.time_ns() // 10**6

    # -- sending ----------------------------------------------------------------------------------

    def message(self, msg_type: str, *fields: tuple[int, object], number: int | None = None) -> bytes:
        """Return a message with the next number, or with ``number``."""
        if number is None:
            number, self.number = self.number, self.number + 1
        head = f"35={msg_type}{SOH}34={number}{SOH}49={self.comp_id}{SOH}"
        head += f"52={now()}{SOH}56={self.target}{SOH}"
        return encode(head + "".join(f"{tag}={value}{SOH}" for tag, value in fields))

    def send(self, msg_type: str, *fields: tuple[int, object], number: int | None = None) -> None:
        self.raw(self.message(msg_type, *fields, number=number))

    def ask(self, msg_type: str, *fields: tuple[int, object], number: int | None = None) -> list[Message]:
        """Send a message; return all that has come then."""
        self.send(msg_type, *fields, number=number)
        return self.take()

    def credentials(self, number: int, nonce: int | None = None) -> list[tuple[int, object]]:
        """Return 553, 554 and 5025."""
        stamp = str(nonce or self.nonce())
        secret = base64.b64decode(self.secret)
        signed = password(secret, self.key, self.comp_id, self.target, str(number), stamp)
        return [(553, self.key), (554, signed), (5025, stamp)]

    def logon(self, *fields: tuple[int, object], reset: bool = True, heartbeat: int = 30) -> Message:
        """Log on and return the answer."""
        if reset:
            self.number = 1
        body: list[tuple[int, object]] = [(98, 0), (108, heartbeat)]
        if reset:
            body.append((141, "Y"))
        if self.target.endswith("TRD"):
            body += self.credentials(self.number)
        self.send("A", *body, *fields)
        return self.read()

    # -- requests: sent, or sent and answered by all that has come then ----------------------------

    def order(self, **fields: object) -> str:
        """Send a NewOrderSingle, a limit order to buy unless ``fields`` say otherwise; return its ClOrdID."""
        values: dict[int, object] = {38: "0.01", 40: "2", 44: "50000.0", 54: "1", 55: "BTC/USD", 59: "1"}
        return self._request("D", values | {60: now()}, fields)

    def ordered(self, **fields: object) -> list[Message]:
        self.order(**fields)
        return self.take()

    def resting(self, **fields: object) -> Message:
        """Place an order that rests; return its last report."""
        reports = self.ordered(**fields)
        assert states(reports) == ["AA", "00"], reports
        return reports[-1]

    def cancel(self, order_id: str | None = None, orig: str | None = None, **fields: object) -> str:
        """Send an OrderCancelRequest; return its ClOrdID."""
        values: dict[int, object] = {37: order_id, 41: orig, 54: "1", 55: "BTC/USD", 60: now()}
        return self._request("F", values, fields)

    def canceled(
        self, order_id: str | None = None, orig: str | None = None, **fields: object
    ) -> list[Message]:
        self.cancel(order_id, orig, **fields)
        return self.take()

    def replace(self, report: Message, **fields: object) -> str:
        """Send an OrderCancelReplaceRequest for the order of ``report``; return its ClOrdID."""
        values: dict[int, object] = {tag: report[tag] for tag in (37, 38, 40, 54, 55, 59)}
        values |= {41: report[11], 44: report.get(44), 60: now(), 99: report.get(99)}
        return self._request("G", values, fields)

    def replaced(self, report: Message, **fields: object) -> list[Message]:
        self.replace(report, **fields)
        return self.take()

    def status(self, order_id: str, **fields: object) -> list[Message]:
        """Ask for the status of an order."""
        self._request("H", {37: order_id, 55: "BTC/USD"}, fields)
        return self.take()

    def mass_cancel(self, scope: str, **fields: object) -> list[Message]:
        self._request("q", {60: now(), 530: scope}, fields)
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

    def subscribe(
        self,
        *symbols: str,
        depth: object = 10,
        types: str = "01",
        level3: bool = False,
        request: str = "md1",
        **fields: object,
    ) -> None:
        """Send a MarketDataRequest, of BTC/USD unless there are ``symbols``."""
        values: dict[int, object] = {262: request, 263: "1", 264: depth, 266: "N" if level3 else None}
        wanted = symbols or ("BTC/USD",)
        self.send(
            "V",
            (146, len(wanted)),
            *((55, symbol) for symbol in wanted),
            *_changed(values, fields),
            (267, len(types)),
            *((269, kind) for kind in types),
        )

    def subscribed(self, *symbols: str, **options: object) -> list[Message]:
        self.subscribe(*symbols, **options)  # type: ignore[arg-type]
        return self.take()

    def unsubscribed(self, request: str = "md1") -> list[Message]:
        return self.subscribed(request=request, t263="2")

    def _request(self, msg_type: str, values: dict[int, object], fields: dict[str, object]) -> str:
        """Send a message with fields in the order of their tags; return its ClOrdID."""
        sent = dict(_changed({11: new_id()} | values, fields))
        self.send(msg_type, *sent.items())
        return str(sent.get(11))

    # -- reading ----------------------------------------------------------------------------------

    @property
    def messages(self) -> list[Message]:
        """All that has been read so far, over all connections."""
        return self._heard

    def _hear(self, data: bytes) -> None:
        messages = [Message(raw) for raw in self._reader.feed(data)]
        self._waiting += messages
        self._heard += messages

    def read(self) -> Message:
        """Return the next message."""
        while not self._waiting:
            if not self._more():
                raise ConnectionError("the venue closed the connection")
        return self._waiting.pop(0)

    def take(self) -> list[Message]:
        """Return all that has come and was not read yet."""
        return self.sync()

    def reports(self, count: int) -> list[Message]:
        """Return the next messages, which must be ExecutionReports."""
        found = [self.read() for _ in range(count)]
        assert [message.type for message in found] == ["8"] * count, found
        return found

    def until(self, *types: str) -> Message:
        """Read until a message of one of these types comes; return it."""
        while True:
            message = self.read()
            if message.type in types:
                return message

    def rest(self) -> list[Message]:
        """Return what comes until the venue closes the connection."""
        try:
            while self._more():
                pass
        except ConnectionError:
            pass
        found, self._waiting = self._waiting, []
        return found

    def sync(self) -> list[Message]:
        """Return everything that has come before the answer to a TestRequest that is sent now."""
        name = new_id()
        self.send("1", (112, name))
        found = []
        while True:
            message = self.read()
            if message.type == "0" and message.get(112) == name:
                return found
            found.append(message)

    # -- ending -----------------------------------------------------------------------------------

    def logout(self) -> Message:
        """Log out in order; return the answer."""
        self.send("5")
        answer = self.until("5")
        assert self.rest() == []
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _changed(values: dict[int, object], fields: dict[str, object]) -> list[tuple[int, object]]:
    """Return values with those of ``fields`` in their place, by tag, without those that are None."""
    values = values | {int(name[1:]): value for name, value in fields.items()}
    return sorted((tag, value) for tag, value in values.items() if value is not None)
