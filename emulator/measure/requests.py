"""What the probes send: orders far from the market, and their cancellation, in Kraken's own form.

Signing: docs.kraken.com/exchange/guides/rest/authentication.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlencode

PAIR, SYMBOL = "XBTUSD", "BTC/USD"
PRICE, VOLUME = 1000.0, 0.001
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
