"""What the probes send: orders far from the market, and their cancellation, in Kraken's own form.

Signing: docs.kraken.com/exchange/guides/rest/authentication; over FIX, reference: FIX 1.6.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlencode

from emulator.gateways.fix import wire

PAIR, SYMBOL = "XBTUSD", "BTC/USD"
PRICE, VOLUME = 1000.0, 0.001
FIX_TARGET = "KRAKEN-TRD"
TIME = "GET /0/public/Time HTTP/1.1\r\nHost: api.kraken.com\r\n\r\n"


class Account:
    """A key of the endpoints file, and requests that are signed with it."""

    def __init__(self, key: str, secret: str) -> None:
        self._key = key
        self._secret = base64.b64decode(secret)
        self._nonce = time.time_ns()

    def signed(self, method: str, **fields: object) -> str:
        """Give a whole private request."""
        self._nonce += 1
        path = f"/0/private/{method}"
        body = urlencode({"nonce": self._nonce, **fields})
        digest = hashlib.sha256(f"{self._nonce}{body}".encode()).digest()
        signature = base64.b64encode(hmac.digest(self._secret, path.encode() + digest, "sha512")).decode()
        return (
            f"POST {path} HTTP/1.1\r\nHost: api.kraken.com\r\n"
            f"API-Key: {self._key}\r\nAPI-Sign: {signature}\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        )

    def rest_orders(self, count: int) -> Iterator[str]:
        """Give `count` orders, each followed by its cancellation."""
        order = {"pair": PAIR, "type": "buy", "ordertype": "limit", "price": PRICE, "volume": VOLUME}
        for number in range(count):
            yield self.signed("AddOrder", **order, cl_ord_id=_name("r", number))
            yield self.signed("CancelOrder", cl_ord_id=_name("r", number))


class FixAccount:
    """A FIX key of the endpoints file, and sessions of its SenderCompID; each numbers anew."""

    def __init__(self, key: str, secret: str, sender_comp_id: str) -> None:
        self._key = key
        self._secret = base64.b64decode(secret)
        self._sender = sender_comp_id
        self._nonce_ms = 0
        self._id_us = 0

    def session(self, count: int = 0) -> dict[str, str | list[str]]:
        """Give a `logon`, `messages` with `count` orders, each cancelled behind itself, and a `logout`.

        The venue takes the Logon for 5 s only; heartbeats come every hour. ClOrdIDs are times in
        microseconds, and increase from session to session too.
        """
        stamp = wire.timestamp(time.time_ns())
        self._id_us = max(self._id_us, time.time_ns() // 10**3)
        messages = []
        for number in range(2, 2 * count + 2, 2):
            order, cancellation = self._id_us + number, self._id_us + number + 1
            terms = {54: 1, 55: SYMBOL, 60: stamp}
            limit = {38: VOLUME, 40: 2, 44: PRICE, 59: 1}
            messages += [
                self._message("D", number, stamp, {11: order, **limit, **terms}),
                self._message("F", number + 1, stamp, {11: cancellation, 41: order, **terms}),
            ]
        self._id_us += 2 * count + 2
        logout = self._message("5", 2 * count + 2, stamp, {})
        return {"messages": messages, "logout": logout, "logon": self._logon()}

    def _logon(self) -> str:
        now_ns = time.time_ns()
        self._nonce_ms = max(self._nonce_ms + 1, now_ns // 10**6)
        nonce = str(self._nonce_ms)
        signed = wire.password(self._secret, self._key, self._sender, FIX_TARGET, "1", nonce)
        fields = {98: 0, 108: 3600, 141: "Y", 553: self._key, 554: signed, 5025: nonce}
        return self._message("A", 1, wire.timestamp(now_ns), fields)

    def _message(self, msg_type: str, number: int, stamp: str, fields: Mapping[int, object]) -> str:
        head = {35: msg_type, 34: number, 49: self._sender, 52: stamp, 56: FIX_TARGET}
        spelled = (f"{tag}={value}{wire.SOH}" for tag, value in (*head.items(), *sorted(fields.items())))
        return wire.encode("".join(spelled)).decode()


def websocket_orders(count: int, token: str, *, cancelled: str = "each") -> list[str]:
    """Give `count` orders, numbered from 1; `each` is cancelled behind itself, or `all` are at the end."""
    order = {
        "order_type": "limit",
        "side": "buy",
        "symbol": SYMBOL,
        "order_qty": VOLUME,
        "limit_price": PRICE,
        "token": token,
    }
    messages = []
    for number in range(count):
        name = _name("w", number)
        messages.append({"method": "add_order", "params": {**order, "cl_ord_id": name}})
        if cancelled == "each":
            messages.append({"method": "cancel_order", "params": {"cl_ord_id": [name], "token": token}})
    if cancelled == "all":
        messages.append({"method": "cancel_all", "params": {"token": token}})
    return _numbered(messages)


def pings(count: int) -> list[str]:
    """Give `count` pings, numbered from 1."""
    return _numbered([{"method": "ping"}] * count)


def subscription() -> str:
    """Give the subscription that a cold start waits for the snapshot of."""
    return json.dumps({"method": "subscribe", "params": {"channel": "book", "symbol": [SYMBOL], "depth": 10}})


def _numbered(messages: Sequence[Mapping[str, object]]) -> list[str]:
    return [json.dumps({**message, "req_id": place}) for place, message in enumerate(messages, 1)]


def _name(kind: str, number: int) -> str:
    return f"m{kind}{number:016d}"
