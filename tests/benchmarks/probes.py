"""Lean blocking clients: what is measured is the server and the loopback, hardly the client."""

import socket
import time
from collections.abc import Callable
from urllib.parse import urlencode

import msgspec

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


def order_frame(number: int, token: str) -> bytes:
    """Return an ``add_order`` request whose order rests."""
    params = {
        "order_type": "limit",
        "side": "buy",
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


def token_for(port: int, key: str, secret: bytes) -> str:
    """Return a WebSocket token."""
    connection = Connection(port)
    connection.send_form("/0/private/GetWebSocketsToken", {}, key, secret)
    return str(msgspec.json.decode(connection.http())["result"]["token"])
