"""Lean blocking clients: what is measured is the server and the loopback, hardly the client."""

import base64
import socket
import time
from collections.abc import Callable
from urllib.parse import urlencode

import msgspec

from emulator.gateways.fix import wire as fix_wire
from emulator.gateways.keys import sign

MASK = bytes(4)


class Connection:
    """A blocking TCP connection that reads whole HTTP answers and WebSocket frames."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""

    def _more(self) -> None:
        data = self.socket.recv(1 << 16)
        if not data:
            raise ConnectionError("the server closed the connection")
        self._buffer += data

    def http(self) -> bytes:
        """Return the body of the next HTTP answer."""
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, _, rest = self._buffer.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
        while len(rest) < length:
            self._more()
            rest = self._buffer.partition(b"\r\n\r\n")[2]
        self._buffer = rest[length:]
        return rest[:length]

    def frame(self) -> bytes:
        """Return the payload of the next frame."""
        while True:
            buffer = self._buffer
            if len(buffer) >= 4:
                length, start = buffer[1] & 0x7F, 2
                if length == 126:
                    length, start = int.from_bytes(buffer[2:4], "big"), 4
                if len(buffer) >= start + length:
                    self._buffer = buffer[start + length :]
                    return buffer[start : start + length]
            self._more()

    def upgrade(self) -> None:
        """Become a WebSocket connection."""
        self.socket.sendall(
            b"GET /v2 HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        self._buffer = self._buffer.partition(b"\r\n\r\n")[2]

    def send_frame(self, payload: bytes) -> None:
        """Send a text frame (masked with zeros)."""
        size = len(payload)
        head = bytes((0x81, 0x80 | size)) if size < 126 else b"\x81\xfe" + size.to_bytes(2, "big")
        self.socket.sendall(head + MASK + payload)

    def send_form(self, path: str, fields: dict[str, str], key: str, secret: bytes) -> None:
        """Send a signed POST."""
        fields = {"nonce": str(time.time_ns()), **fields}
        body = urlencode(fields).encode()
        signature = sign(secret, path, fields["nonce"], body)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAPI-Key: {key}\r\nAPI-Sign: {signature}\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.socket.sendall(head.encode() + body)


def timed(count: int, send: Callable[[int], None], receive: Callable[[], object]) -> list[int]:
    """Return the round trips in nanoseconds of ``count`` calls."""
    taken = []
    for number in range(count):
        began = time.perf_counter_ns()
        send(number)
        receive()
        taken.append(time.perf_counter_ns() - began)
    return taken


def echo(port: int, count: int) -> list[int]:
    """Round trips of 150 bytes over raw TCP."""
    connection = Connection(port)
    payload = b"x" * 150

    def receive() -> None:
        left = len(payload)
        while left:
            left -= len(connection.socket.recv(left))

    return timed(count, lambda _: connection.socket.sendall(payload), receive)


def order_frame(number: int, token: str, side: str = "buy") -> bytes:
    """Return an ``add_order`` request whose order rests."""
    params = {
        "order_type": "limit",
        "side": side,
        "symbol": "BTC/USD",
        "order_qty": msgspec.Raw(b"0.01000000"),
        "limit_price": msgspec.Raw(b"50000.1"),
        "cl_ord_id": f"b{number}",
        "token": token,
    }
    return msgspec.json.encode({"method": "add_order", "params": params, "req_id": number})


def websocket_orders(port: int, count: int, token: str) -> list[int]:
    """Round trips of WebSocket orders; each is cancelled off the clock when the server is the venue."""
    connection = Connection(port)
    connection.upgrade()
    if token:
        connection.frame()  # status
    taken = []
    for number in range(count):
        taken += timed(1, lambda n: connection.send_frame(order_frame(n, token)), connection.frame)
        if token:
            cancel = {"cl_ord_id": ["b0"], "token": token}
            connection.send_frame(
                msgspec.json.encode({"method": "cancel_order", "params": cancel, "req_id": number})
            )
            reply = connection.frame()
            assert b'"success":true' in reply, reply
    return taken


def rest_orders(port: int, count: int, key: str, secret: bytes, *, venue: bool) -> list[int]:
    """Round trips of signed REST orders; each is cancelled off the clock when the server is the venue."""
    connection = Connection(port)
    order = {"ordertype": "limit", "type": "buy", "pair": "XBTUSD", "volume": "0.01", "price": "50000.1"}
    taken = []
    for _ in range(count):
        send = lambda _: connection.send_form("/0/private/AddOrder", order, key, secret)  # noqa: E731
        taken += timed(1, send, connection.http)
        if venue:
            connection.send_form("/0/private/CancelAll", {}, key, secret)
            assert connection.http() == b'{"error":[],"result":{"count":1}}'
    return taken


class FixOrders:
    """FIX orders over one session of a lean client: until the first report of each."""

    def __init__(self, port: int, account: dict | None) -> None:
        self._venue = account is not None
        self._comp_id = account["fix"]["sender_comp_id"] if account else "BENCH"
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._number = 0
        self._id = time.time_ns() // 1000
        self._buffer = b""
        fields = "98=0|108=3600|141=Y|"
        if account is not None:
            nonce = str(time.time_ns() // 10**6)
            key, secret = account["fix"]["key"], base64.b64decode(account["fix"]["secret"])
            signed = fix_wire.password(secret, key, self._comp_id, "KRAKEN-TRD", "1", nonce)
            fields += f"553={key}|554={signed}|5025={nonce}|"
        self.send(self._message("A", fields))
        self.until(b"\x0135=A\x01")

    def _message(self, msg_type: str, fields: str) -> bytes:
        self._number += 1
        head = f"35={msg_type}|34={self._number}|49={self._comp_id}|52=20260101-00:00:00.000|56=KRAKEN-TRD|"
        return fix_wire.encode((head + fields).replace("|", "\x01"))

    def order(self, side: int = 1) -> bytes:
        """Return the next order."""
        self._id += 1
        terms = f"38=0.01|40=2|44=50000.1|54={side}|55=BTC/USD|59=1|60=20260101-00:00:00.000|"
        return self._message("D", f"11={self._id}|{terms}")

    def cancel(self) -> None:
        """Cancel the last order."""
        self._id += 1
        terms = f"11={self._id}|41={self._id - 1}|54=1|55=BTC/USD|60=20260101-00:00:00.000|"
        self.send(self._message("F", terms))
        self.until(b"\x01150=4\x01")

    def send(self, data: bytes) -> None:
        """Send a message."""
        self._socket.sendall(data)

    def until(self, mark: bytes) -> bytes:
        """Return what comes up to ``mark`` and with it."""
        while mark not in self._buffer:
            data = self._socket.recv(1 << 16)
            if not data:
                raise ConnectionError("the server closed the connection")
            self._buffer += data
        got, self._buffer = self._buffer, b""
        return got

    def __call__(self, count: int) -> list[int]:
        """Return round trips in nanoseconds; at the venue each order is cancelled off the clock."""
        taken = []
        for _ in range(count):
            order = self.order()  # encoding it is not what is measured
            began = time.perf_counter_ns()
            self.send(order)
            got = self.until(b"\x01150=")
            taken.append(time.perf_counter_ns() - began)
            if self._venue:
                if b"\x01150=0\x01" not in got:
                    self.until(b"\x01150=0\x01")
                self.cancel()
        return taken


class FixFills:
    """FIX orders that trade at once: until the report of the fill, which comes after those of the order.

    What they trade with was placed over WebSocket: one order, three reports.
    """

    def __init__(self, port: int, taker: dict, websocket_port: int, token: str) -> None:
        self._taker = FixOrders(port, taker)
        self._maker = Connection(websocket_port)
        self._maker.upgrade()
        self._maker.frame()  # status
        self._token = token

    def __call__(self, count: int) -> list[int]:
        """Return round trips in nanoseconds."""
        taken = []
        for number in range(count):  # the two take turns at buying, so that neither runs out of funds
            self._maker.send_frame(order_frame(number, self._token, "buy" if number % 2 else "sell"))
            reply = self._maker.frame()
            assert b'"success":true' in reply, reply
            order = self._taker.order(2 if number % 2 else 1)
            began = time.perf_counter_ns()
            self._taker.send(order)
            self._taker.until(b"\x01150=F\x01")
            taken.append(time.perf_counter_ns() - began)
        return taken


def token_for(port: int, key: str, secret: bytes) -> str:
    """Return a WebSocket token."""
    connection = Connection(port)
    connection.send_form("/0/private/GetWebSocketsToken", {}, key, secret)
    return str(msgspec.json.decode(connection.http())["result"]["token"])
