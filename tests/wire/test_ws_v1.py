"""WebSocket v1 beside recordings of the real one (``ws_v1_shapes``): every message's keys and numbers."""

import functools
import json
from typing import Any

import pytest

from emulator.gateways.advisories import Emergency
from tests.gateways.test_ws_v1 import ORDER, V1
from tests.gateways.venue import Kraken
from tests.wire.shape import assert_shape, read
from tests.wire.ws_v1_shapes import SHAPES

XBTUSD = {"price": 5, "cost": 5}


class Said:
    """Everything that was said in one session of the venue, under the names of the table."""

    def __init__(self) -> None:
        self.messages: dict[str, list[bytes]] = {}
        kraken = self.kraken = Kraken()
        kraken.trade("1", "60000")
        kraken.place("bob", "buy", "1", "59999")
        kraken.place("bob", "sell", "1", "60001")
        self.public()
        self.private()
        self.trading()

    def note(self, client: V1, *names: str | None) -> None:
        """Give the messages since the last time these names; None leaves one out."""
        texts = client.raw[client._taken :]
        client.take()
        assert len(texts) == len(names), (names, texts)
        for name, text in zip(names, texts, strict=True):
            if name is not None:
                self.messages.setdefault(name, []).append(text)

    def ask(self, client: V1, *names: str | None, **message: Any) -> None:
        client.session.receive(json.dumps({"reqid": 5, **message}))
        self.note(client, *names)

    def public(self) -> None:
        kraken = self.kraken
        client = V1(kraken)
        self.note(client, "status")
        kraken.venue.advisories.set(kraken.clock.ns, None, (Emergency(title="x"),))
        self.note(client, "status told to all")
        client.session.receive(b"x")
        self.note(client, "malformed")
        self.ask(client, "pong", event="ping")
        trade = {"name": "trade"}
        self.ask(client, "refused pair", event="subscribe", pair=["BTC/USD"], subscription=trade)
        for names, asked in (
            (("ack ticker", "ticker"), {"name": "ticker"}),
            (("ack trade",), trade),
            (("ack spread", "spread"), {"name": "spread"}),
            (("ack book", "book snapshot"), {"name": "book", "depth": 25}),
            (("ack ohlc", "ohlc"), {"name": "ohlc", "interval": 5}),
        ):
            self.ask(client, *names, event="subscribe", pair=["XBT/USD"], subscription=asked)
        kraken.place("bob", "buy", "1", "59998")
        self.note(client, "book")
        kraken.place("carol", "sell", "0.5")
        self.note(client, "ticker", "spread", "book", "ticker", "trade", "ohlc")
        book = {"name": "book", "depth": 25}
        self.ask(client, "left book", event="unsubscribe", pair=["XBT/USD"], subscription=book)
        client.session.close()

    def private(self) -> None:
        kraken, token = self.kraken, self.kraken.token()
        kraken.place("alice", "buy", "0.1", "50000", cl_ord_id="mine")
        kraken.place("alice", "sell", "0.1")
        client, fills = V1(kraken), V1(kraken)
        for one in (client, fills):
            self.note(one, None)
        orders, trades = ({"name": name, "token": token} for name in ("openOrders", "ownTrades"))
        self.ask(client, "ack openOrders", "orders", event="subscribe", subscription=orders)
        self.ask(fills, "ack ownTrades", "trades", event="subscribe", subscription=trades)
        kraken.place("alice", "sell", "0.1")
        self.note(client, "order pending", "order open", "order filled", "order closed")
        self.note(fills, "own trade")
        client.session.close()
        fills.session.close()

    def trading(self) -> None:
        kraken, client = self.kraken, V1(self.kraken)
        self.note(client, None)
        ask = functools.partial(self.ask, client, token=kraken.token())
        order = ORDER | {"price": "50000"}
        ask("added", event="addOrder", **order)
        ask("add refused", event="addOrder", **(order | {"volume": "0.00001"}))
        ask("field refused", event="addOrder", **order, refid="x")
        ask("field refused", event="addOrder", **order, price2=None)
        *_, txid = kraken.engine.accounts["alice"].open
        ask("amended", event="amendOrder", txid=txid, volume="0.2")
        ask("edited", event="editOrder", orderid=txid, pair="XBT/USD", price="51000")
        *_, txid = kraken.engine.accounts["alice"].open
        ask("cancelled", event="cancelOrder", txid=[txid])
        ask("all cancelled", event="cancelAll")
        ask("cancelled after", event="cancelAllOrdersAfter", timeout=60)


@functools.cache
def said() -> dict[str, list[bytes]]:
    return Said().messages


@pytest.mark.parametrize("name", SHAPES)
def test_message_has_the_recorded_shape(name):
    for text in said()[name]:
        assert_shape(read(text), SHAPES[name], **XBTUSD)


def test_every_message_of_the_session_is_in_the_table():
    assert said().keys() == SHAPES.keys()
