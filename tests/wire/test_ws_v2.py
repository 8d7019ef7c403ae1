"""WebSocket v2 beside recordings of the real one (``ws_v2_shapes``): every message's keys and numbers."""

import functools
import json
from typing import Any

import pytest

from emulator.engine.commands import CancelOrder
from emulator.gateways.advisories import Emergency, Maintenance
from emulator.gateways.spot_ws_v2.codec import HEARTBEAT
from emulator.gateways.wires import Wires
from tests.gateways.venue import Client, Kraken
from tests.wire.shape import assert_shape, read
from tests.wire.ws_v2_shapes import SHAPES

BTC = {"price": 1, "qty": 8, "cost": 5, "equivalent": 5, "usd": 4}
ORDER = {"symbol": "BTC/USD", "side": "buy", "order_type": "limit", "order_qty": 0.1, "limit_price": 60000}


class Said:
    """Everything that was said in one session of the venue, under the names of the table."""

    def __init__(self) -> None:
        self.messages: dict[str, list[str]] = {}
        kraken = self.kraken = Kraken()
        kraken.trade("1", "60000")
        kraken.place("bob", "buy", "1", "59999")
        kraken.place("bob", "sell", "1", "60001")
        self.public()
        self.private()
        self.trading()

    def note(self, client: Client, *names: str | None) -> None:
        """Give the messages since the last time these names; None leaves one out."""
        texts = client.take_raw()
        assert len(texts) == len(names), (names, texts)
        for name, text in zip(names, texts, strict=True):
            if name is not None:
                self.messages.setdefault(name, []).append(text)

    def public(self) -> None:
        kraken = self.kraken
        client = Client(kraken.gateway)
        self.note(client, "status")
        now = kraken.clock.ns
        kraken.venue.advisories.set(now, (Maintenance(starts_in_s=7_200),), (Emergency(title="x"),))
        self.note(client, "status told to all")
        other = Client(kraken.gateway)
        self.note(other, "status")
        other.session.close()
        for request, name in (
            ('{"method":"ping"}', "pong"),
            ('{"method":"ping","req_id":7}', "pong"),
            ("x", "malformed"),
            ('{"method":"subscribe","params":{"channel":"books"}}', "refused"),
            ('{"method":"subscribe","params":{"channel":"book","symbol":["XBT/USD"]}}', "refused symbol"),
        ):
            client.session.receive(request)
            self.note(client, name)
        for channel, *names in (
            ("ticker", "ack ticker", "ticker"),
            ("trade", "ack trade"),
            ("book", "ack book", "book snapshot"),
            ("ohlc", "ack ohlc", "ohlc snapshot"),
        ):
            _tell(client, "subscribe", channel=channel, symbol=["BTC/USD"])
            self.note(client, *names)
        _tell(client, "subscribe", channel="instrument")
        self.note(client, "ack instrument", "instrument")
        kraken.place("bob", "sell", "1", "60000.5")
        self.note(client, "book")
        kraken.place("carol", "buy", "0.5")
        self.note(client, "book", "trade", None, "ohlc")
        _tell(client, "unsubscribe", channel="ticker", symbol=["BTC/USD"])
        self.note(client, "left ticker")
        kraken.venue.wires = Wires(ticker="volume_usd")
        _tell(client, "subscribe", channel="ticker", symbol=["BTC/USD"])
        self.note(client, "ack ticker", "ticker of January")
        kraken.venue.wires = Wires()
        _tell(client, "unsubscribe", channel="trade", symbol=["BTC/USD"])
        _tell(client, "subscribe", channel="trade", symbol=["BTC/USD"], snapshot=True)
        self.note(client, None, None, "trade snapshot")
        deep = kraken.client()
        _tell(deep, "subscribe", channel="level3", symbol=["BTC/USD"], token=kraken.token())
        self.note(deep, None, "level3 snapshot")
        kraken.place("bob", "sell", "1", "60000.7")
        self.note(deep, "level3")
        client.session.close()
        deep.session.close()

    def private(self) -> None:
        kraken = self.kraken
        client, funds = kraken.client(), kraken.client()
        _tell(client, "subscribe", channel="executions", token="none")
        self.note(client, "invalid session")
        _tell(client, "subscribe", channel="executions", token=kraken.token())
        self.note(client, "ack executions", "no executions")
        _tell(funds, "subscribe", channel="balances", token=kraken.token("dave"))
        self.note(funds, "ack balances", "balances")
        order = kraken.place("alice", "buy", "0.1", "50000", cl_ord_id="mine")
        self.note(client, "pending", "new")
        token = kraken.token()
        _tell(client, "amend_order", order_id=order.txid, order_qty=0.2, token=token)
        self.note(client, None, "amended")
        kraken.execute(CancelOrder(account="alice", txid=order.txid))
        self.note(client, "canceled")
        stop = {"order_type": "stop-loss-limit", "triggers": {"price": 70000}, "limit_price": 70001}
        _tell(client, "add_order", **(ORDER | stop), token=token)
        self.note(client, None, "stop pending", "new")
        kraken.place("alice", "buy", "0.1")
        self.note(client, None, "new", "fill", "filled")
        kraken.place("dave", "buy", "0.0001")
        self.note(funds, "balance", "balance")
        _tell(client, "unsubscribe", channel="executions", token=token)
        self.note(client, "left executions")
        _tell(client, "subscribe", channel="executions", token=token, snap_orders=False, snap_trades=True)
        self.note(client, "ack executions", "fills before")
        client.session.close()
        funds.session.close()

    def trading(self) -> None:
        kraken = self.kraken
        client, token = kraken.client(), kraken.token()
        row = {name: value for name, value in ORDER.items() if name != "symbol"} | {"limit_price": 50000}
        order = ORDER | {"limit_price": 50000}
        dear = row | {"order_qty": 1_000_000}
        named = row | {"cl_ord_id": "b"}
        batch = {"symbol": "BTC/USD"}
        for name, method, params in (
            ("added", "add_order", order),
            ("added with cl_ord_id", "add_order", order | {"cl_ord_id": "a"}),
            ("added with userref", "add_order", order | {"order_userref": 5}),
            ("add validated", "add_order", order | {"cl_ord_id": "c", "validate": True}),
            ("add refused", "add_order", order | {"order_qty": 0.00001}),
            ("amend", "amend_order", {"cl_ord_id": "a", "order_qty": 0.2}),
            ("cancel", "cancel_order", {"cl_ord_id": ["a"]}),
            ("cancel refused", "cancel_order", {"cl_ord_id": ["a"]}),
            ("cancel all", "cancel_all", {}),
            ("cancel after", "cancel_all_orders_after", {"timeout": 60}),
            ("batch", "batch_add", batch | {"orders": [named, row]}),
            ("batch partly", "batch_add", batch | {"orders": [named | {"cl_ord_id": "d"}, dear]}),
            ("batch validated", "batch_add", batch | {"orders": [row, row], "validate": True}),
        ):
            _tell(client, method, **{**params, "token": token})
            self.note(client, name)
        orders = kraken.engine.accounts["alice"].open.values()
        ids = [order.txid for order in orders if order.cl_ord_id is None]
        _tell(client, "edit_order", order_id=ids[-1], symbol="BTC/USD", limit_price=51000, token=token)
        self.note(client, "edit")
        _tell(client, "batch_cancel", orders=[ids[0], "OQCLML-BW3P3-BUCMWZ"], token=token)
        self.note(client, "batch cancel")


def _tell(client: Client, method: str, **params: Any) -> None:
    client.session.receive(json.dumps({"method": method, "params": params, "req_id": 5}))


@functools.cache
def said() -> dict[str, list[str]]:
    return Said().messages


@pytest.mark.parametrize("name", SHAPES)
def test_message_has_the_recorded_shape(name):
    for text in said()[name]:
        assert_shape(read(text), SHAPES[name], **BTC)


def test_every_message_of_the_session_is_in_the_table():
    assert said().keys() == SHAPES.keys()


def test_numbers_of_a_pair_not_quoted_in_usd_have_its_own_decimals():
    """Recorded in January 2026 on BTC/USDT: cost with five, the fee in USD with USD's four."""
    kraken = Kraken()
    client = kraken.client()
    _tell(client, "subscribe", channel="executions", token=kraken.token())
    client.take_raw()
    kraken.place("alice", "buy", "1", "0.05", pair="XETHXXBT")
    pending, _ = client.take_raw()
    pair = kraken.engine.catalogue.pairs["XETHXXBT"]
    decimals = {"price": pair.price_decimals, "qty": 8, "cost": pair.cost_decimals}
    assert_shape(read(pending), SHAPES["pending"], **decimals, equivalent=4)


def test_short_frames_are_compact_and_exact():
    """Clients compare them as text, or by their first characters."""
    assert HEARTBEAT == b'{"channel":"heartbeat"}'
    for texts in said().values():
        for text in texts:
            assert '": ' not in text
            assert text.startswith(('{"channel":"', '{"method":"', '{"error":"'))
