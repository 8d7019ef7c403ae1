"""A FIX client of our own: blocking sockets, strict reading, nothing done by itself."""

import re
import socket
import ssl
import time
from collections.abc import Iterable
from typing import Any

from emulator.gateways.fix.wire import SOH, encode, pairs, password

PATIENCE_S = 20.0
_last_id = [0]
_HEAD = re.compile(rb"8=FIX\.4\.4\x019=(\d+)\x01")
_TRAILER = 7


class Reader:
    """Cuts a stream into messages of any length: 9 and 10 must be right, and nothing may stand in between."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes in; return the messages that are whole."""
        buffer, at, found = self._buffer + data, 0, []
        while head := _HEAD.match(buffer, at):
            end = head.end() + int(head[1]) + _TRAILER
            if len(buffer) < end:
                break
            message = buffer[at:end]
            assert message[-_TRAILER:] == b"10=%03d\x01" % (sum(message[:-_TRAILER]) % 256), message
            found.append(message)
            at = end
        self._buffer = buffer[at:]
        assert b"8=FIX.4.4\x019=".startswith(self._buffer[:12]), self._buffer
        return found


class Message:
    """A message as it came: fields in their order, and by tag."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.pairs = pairs(raw.decode())
        self._first = dict(reversed(self.pairs))

    def __getitem__(self, tag: int) -> str:
        return self._first[str(tag)]

    def get(self, tag: int) -> str | None:
        return self._first.get(str(tag))

    def all(self, tag: int) -> list[str]:
        """Return every value of a tag: groups repeat them."""
        return [value for name, value in self.pairs if name == str(tag)]

    def groups(self, first: int) -> list[dict[int, str]]:
        """Return the entries of the group that begins with tag ``first``."""
        entries: list[dict[int, str]] = []
        for name, value in self.pairs:
            if name == str(first):
                entries.append({})
            if entries and int(name) not in entries[-1]:
                entries[-1][int(name)] = value
        return entries

    @property
    def type(self) -> str:
        return self[35]

    def __repr__(self) -> str:
        return self.raw.decode().replace(SOH, "|")


def new_id() -> str:
    """Return a ClOrdID: microseconds, ever increasing in this process."""
    _last_id[0] = max(_last_id[0] + 1, time.time_ns() // 1000)
    return str(_last_id[0])


def now() -> str:
    """Return the time as FIX has it."""
    ns = time.time_ns()
    return time.strftime("%Y%m%d-%H:%M:%S", time.gmtime(ns // 10**9)) + f".{ns // 10**6 % 1000:03d}"


class FixClient:
    """One connection.  ``account`` is that part of the endpoints file."""

    def __init__(
        self,
        place: str,
        account: dict[str, Any],
        target: str,
        *,
        comp_id: str | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        host, _, port = place.rpartition(":")
        self.account = account
        self.comp_id = comp_id or account["fix"]["sender_comp_id"]
        self.target = target
        self.number = 1
        self.messages: list[Message] = []
        self._reader = Reader()
        self._waiting: list[Message] = []
        self._end: socket.socket = socket.create_connection((host, int(port)), timeout=PATIENCE_S)
        self._end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            self._end = context.wrap_socket(self._end, server_hostname="colo-london.vip-fix.kraken.com")

    # -- sending ----------------------------------------------------------------------------------

    def raw(self, data: bytes) -> None:
        self._end.sendall(data)

    def message(self, msg_type: str, *fields: tuple[int, object], number: int | None = None) -> bytes:
        """Return a message with the next number, or with ``number``."""
        if number is None:
            number, self.number = self.number, self.number + 1
        body = "".join(f"{tag}={value}{SOH}" for tag, value in fields)
        head = f"35={msg_type}{SOH}34={number}{SOH}49={self.comp_id}{SOH}52={now()}{SOH}56={self.target}{SOH}"
        return encode(head + body)

    def send(self, msg_type: str, *fields: tuple[int, object], number: int | None = None) -> None:
        self.raw(self.message(msg_type, *fields, number=number))

    def credentials(self, number: int, nonce: int | None = None) -> list[tuple[int, object]]:
        """Return 553, 554 and 5025."""
        import base64

        fix = self.account["fix"]
        stamp = str(nonce or time.time_ns() // 10**6)
        secret = base64.b64decode(fix["secret"])
        signed = password(secret, fix["key"], self.comp_id, self.target, str(number), stamp)
        return [(553, fix["key"]), (554, signed), (5025, stamp)]

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

    def order(self, **fields: object) -> str:
        """Send a NewOrderSingle, a limit order to buy unless ``fields`` (``t44="…"``) say otherwise."""
        values: dict[int, object] = {
            11: new_id(),
            38: "0.01",
            40: "2",
            44: "50000.0",
            54: "1",
            55: "BTC/USD",
            59: "1",
            60: now(),
        }
        values.update({int(name[1:]): value for name, value in fields.items()})
        present = sorted((tag, value) for tag, value in values.items() if value is not None)
        self.send("D", *present)
        return str(values[11])

    def cancel(self, order_id: str | None = None, orig: str | None = None, **fields: object) -> str:
        """Send an OrderCancelRequest."""
        values: dict[int, object] = {11: new_id(), 37: order_id, 41: orig, 54: "1", 55: "BTC/USD", 60: now()}
        values.update({int(name[1:]): value for name, value in fields.items()})
        self.send("F", *sorted((tag, value) for tag, value in values.items() if value is not None))
        return str(values[11])

    def replace(self, report: Message, **fields: object) -> str:
        """Send an OrderCancelReplaceRequest for the order of ``report``."""
        values: dict[int, object] = {
            11: new_id(),
            37: report[37],
            38: report[38],
            40: report[40],
            41: report[11],
            44: report.get(44),
            54: report[54],
            55: report[55],
            59: report[59],
            60: now(),
            99: report.get(99),
        }
        values.update({int(name[1:]): value for name, value in fields.items()})
        self.send("G", *sorted((tag, value) for tag, value in values.items() if value is not None))
        return str(values[11])

    # -- reading ----------------------------------------------------------------------------------

    def _more(self) -> bool:
        data = self._end.recv(1 << 16)
        for raw in self._reader.feed(data):
            message = Message(raw)
            self._waiting.append(message)
            self.messages.append(message)
        return bool(data)

    def read(self) -> Message:
        """Return the next message."""
        while not self._waiting:
            if not self._more():
                raise ConnectionError("the venue closed the connection")
        return self._waiting.pop(0)

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

    def close(self) -> None:
        self._end.close()

    def __enter__(self) -> "FixClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def entries(*pairs_: tuple[int, object]) -> Iterable[tuple[int, object]]:
    """Return fields in the order given: for groups."""
    return pairs_
