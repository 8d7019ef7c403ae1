"""WebSocket v2: triggers, schedules, conditional close, spending, margin, counters; status frames."""

import pytest

from emulator.engine.commands import SetIndex, SetStatus
from emulator.engine.limits import Counter
from emulator.engine.status import TradingStatus
from tests.gateways.venue import START_NS, XBTUSD, Client

STOP = {
    "order_type": "stop-loss",
    "side": "sell",
    "order_qty": 0.5,
    "symbol": "BTC/USD",
    "triggers": {"price": 59000},
}


class Trader(Client):
    """A client of alice's that hears of its executions."""

    def __init__(self, kraken, **subscription):
        super().__init__(kraken.gateway)
        self.kraken = kraken
        [key] = [key for key in kraken.ring if key.account == "alice"]
        self.token = kraken.venue.tokens.issue(key, START_NS)
        self.subscribe("executions", token=self.token, **subscription)
        self.take()

    def add(self, **fields):
        """Place an order; return the rows that tell of it."""
        reply, *messages = self.ask("add_order", **fields, token=self.token)
        assert reply["success"], reply
        return [row for message in messages for row in message["data"]]

    def rows(self):
        return [row for m in self.take() if m.get("channel") == "executions" for row in m["data"]]


@pytest.fixture
def trader(kraken):
    """The last trade was at 60000."""
    kraken.trade("0.001", "60000")
    return Trader(kraken)


@pytest.mark.parametrize(
    ("fields", "triggers"),
    [
        ({}, {"price": "59000.0", "price_type": "static", "reference": "last"}),
        (
            {"triggers": {"price": -2, "price_type": "pct"}},
            {"reference": "last", "price": "-2.0000", "price_type": "pct", "actual_price": "58800.0"},
        ),
        (
            {"order_type": "trailing-stop", "triggers": {"price": 500}},
            {
                "reference": "last",
                "price": "500.0",
                "price_type": "quote",
                "actual_price": "59500.0",
                "peak_price": "60000.0",
            },
        ),
        (
            {"order_type": "trailing-stop", "triggers": {"price": 1.5, "price_type": "pct"}},
            {
                "reference": "last",
                "price": "1.5000",
                "price_type": "pct",
                "actual_price": "59100.0",
                "peak_price": "60000.0",
            },
        ),
    ],
)
def test_waiting_order_tells_its_trigger(trader, fields, triggers):
    pending, new = trader.add(**(STOP | fields))
    assert pending["exec_type"] == "pending_new"
    assert pending["triggers"] == {**triggers, "status": "untriggered"}
    assert list(pending["triggers"]) == sorted(pending["triggers"])
    price = triggers.get("actual_price", triggers["price"])
    assert (pending["trigger"], pending["stop_price"]) == ("last", price)
    assert new["exec_type"] == "new"
    snapshot = Trader(trader.kraken)
    snapshot.say({"method": "unsubscribe", "params": {"channel": "executions", "token": snapshot.token}})
    [_, message] = snapshot.subscribe("executions", token=snapshot.token)
    [row] = message["data"]
    assert (row["exec_type"], row["order_status"]) == ("pending_new", "pending_new")


def test_deprecated_twins_of_triggers_are_taken(trader):
    fields = {name: value for name, value in STOP.items() if name != "triggers"}
    trader.kraken.execute(SetIndex(XBTUSD, 600_000))
    pending, _ = trader.add(**fields, stop_price=59000, trigger="index")
    assert pending["triggers"]["reference"] == "index"


def test_order_that_is_set_off_tells_so_and_then_trades(trader):
    trader.kraken.place("bob", "buy", "1", "58000")
    trader.add(**STOP)
    trader.kraken.trade("0.001", "59000")
    status, trade, filled = trader.rows()
    assert (status["exec_type"], status["order_status"], status["triggers"]["status"]) == (
        *("status", "triggered", "triggered"),
    )
    assert status["triggers"]["last_price"] == "59000.0"
    assert (trade["exec_type"], trade["last_price"], trade["order_type"]) == ("trade", "58000.0", "stop-loss")
    assert filled["exec_type"] == "filled"


def test_trailing_trigger_that_moves_is_told(trader):
    trader.add(**(STOP | {"order_type": "trailing-stop", "triggers": {"price": 500}}))
    trader.kraken.trade("0.001", "60700")
    [row] = trader.rows()
    assert (row["exec_type"], row["triggers"]["actual_price"], row["triggers"]["peak_price"]) == (
        *("status", "60200.0", "60700.0"),
    )


def test_stop_limit_tells_its_limit_and_rests_when_it_is_set_off(trader):
    pending, _ = trader.add(**(STOP | {"order_type": "stop-loss-limit", "limit_price": 58900}))
    assert (pending["limit_price"], pending["limit_price_type"]) == ("58900.0", "static")
    trader.kraken.place("bob", "buy", "0.01", "59000")
    trader.kraken.place("carol", "sell", "0.01", "59000")
    [row] = trader.rows()
    assert row["exec_type"] == "status"
    book = trader.kraken.engine.markets[XBTUSD].book
    assert book.asks.best().price == 589_000


def test_waiting_order_is_amended(trader):
    trader.add(**STOP)
    [order] = trader.kraken.engine.accounts["alice"].open.values()
    trader.ask("amend_order", order_id=order.txid, trigger_price=58500, order_qty=0.25, token=trader.token)
    assert (order.trigger.price, order.qty) == (585_000, 25 * 10**6)


def test_scheduled_order_is_new_when_its_time_comes(trader):
    limit = {"order_type": "limit", "side": "sell", "order_qty": 0.5, "symbol": "BTC/USD"}
    [pending] = trader.add(**limit, limit_price=70000, effective_time="2026-11-02T10:01:00Z")
    assert (pending["exec_type"], pending["effective_time"]) == ("pending_new", "2026-11-02T10:01:00.000000Z")
    trader.kraken.wait(60)
    [row] = trader.rows()
    assert (row["exec_type"], row["timestamp"]) == ("new", "2026-11-02T10:01:00.000000Z")


def test_conditional_close_is_told_and_refers_to_its_order(trader):
    buy = {"order_type": "limit", "side": "buy", "order_qty": 0.5, "symbol": "BTC/USD", "limit_price": 59000}
    close = {"order_type": "stop-loss-limit", "trigger_price": -5, "trigger_price_type": "pct"}
    close |= {"limit_price": -10, "limit_price_type": "quote"}
    pending, _ = trader.add(**buy, conditional=close)
    assert pending["contingent"] == {
        "order_type": "stop-loss-limit",
        "trigger_price": "-5.0000",
        "trigger_price_type": "pct",
        "limit_price": "-10.0",
        "limit_price_type": "quote",
    }
    trader.kraken.place("bob", "sell", "0.5", "59000")
    rows = trader.rows()
    child = next(row for row in rows if row["exec_type"] == "pending_new")
    assert child["ord_ref_id"] == pending["order_id"]
    assert (child["side"], child["stop_price"], child["limit_price"]) == ("sell", "56050.0", "-10.0")
    refused = trader.error("add_order", **buy, conditional=close, cl_ord_id="x", token=trader.token)
    assert refused == "EGeneral:Invalid arguments"


def test_spending_order_tells_what_it_spends(trader):
    trader.kraken.place("bob", "sell", "1", "60000")
    rows = trader.add(order_type="market", side="buy", cash_order_qty=600, symbol="BTC/USD")
    assert rows[0]["cash_order_qty"] == "600.00000"
    assert "order_qty" not in rows[0]
    assert (rows[2]["exec_type"], rows[2]["last_qty"]) == ("trade", "0.01000000")


def test_margin_order_tells_what_it_opens_and_closes(trader):
    trader.kraken.place("bob", "sell", "1", "60000")
    rows = trader.add(order_type="market", side="buy", order_qty=1, symbol="BTC/USD", margin=True)
    [order] = trader.kraken.engine.accounts["alice"].closed.values()
    assert order.leverage == 10
    assert rows[0]["margin"] is True
    assert (rows[2]["margin_borrow"], rows[2]["position_status"]) == (True, "opened")
    trader.kraken.place("bob", "buy", "1", "60000")
    rows = trader.add(
        order_type="market", side="sell", order_qty=1, symbol="BTC/USD", margin=True, reduce_only=True
    )
    assert (rows[2]["margin_borrow"], rows[2]["position_status"]) == (False, "closing")


def test_rows_tell_the_engines_counter_when_asked_for(kraken):
    kraken.engine.rate_limits = True
    kraken.engine.accounts["alice"].rates[XBTUSD] = Counter(0)
    trader = Trader(kraken, ratecounter=True)
    limit = {"order_type": "limit", "side": "buy", "order_qty": 0.5, "symbol": "BTC/USD"}
    rows = trader.add(**limit, limit_price=50000)
    assert [row["ratecount"] for row in rows] == ["1.00", "1.00"]
    assert "ratecount" not in Trader(kraken).add(**limit, limit_price=50000)[0]
    trader.take()
    trader.ask("cancel_order", order_id=[rows[0]["order_id"]], token=trader.token)
    assert kraken.engine.accounts["alice"].rate(XBTUSD).count(START_NS) == 10


# -- status ----------------------------------------------------------------------------------------------


def test_status_of_the_venue_is_told_to_everybody(kraken):
    first, second = Client(kraken.gateway), Client(kraken.gateway)
    assert first.take()[0]["data"][0]["system"] == "online"
    second.take()
    kraken.execute(SetStatus(TradingStatus.CANCEL_ONLY))
    told = {"channel": "status", "type": "update"}
    data = [
        {
            "version": "2.0.10",
            "system": "cancel_only",
            "api_version": "v2",
            "upcoming_maintenance": [],
            "emergency": [],
        }
    ]
    for client in (first, second):
        assert client.take() == [told | {"data": data}]
    assert Client(kraken.gateway).take()[0]["data"][0]["system"] == "cancel_only"
    assert kraken.public("SystemStatus")["status"] == "cancel_only"


def test_maintenance_ends_connections_after_telling(kraken):
    client = Client(kraken.gateway)
    client.take()
    kraken.execute(SetStatus(TradingStatus.MAINTENANCE))
    assert client.take()[0]["data"][0]["system"] == "maintenance"
    assert client.closed == 1001
    kraken.execute(SetStatus(TradingStatus.ONLINE))
    assert client.take() == []


def test_status_of_a_pair_is_told_on_instrument_and_over_rest(kraken):
    client = Client(kraken.gateway)
    client.subscribe("instrument")
    kraken.execute(SetStatus(TradingStatus.POST_ONLY, XBTUSD))
    [message] = client.take()
    assert (message["type"], message["data"]["assets"]) == ("update", [])
    [pair] = message["data"]["pairs"]
    assert (pair["symbol"], pair["status"]) == ("BTC/USD", "post_only")
    pairs = kraken.public("AssetPairs")
    assert pairs[XBTUSD]["status"] == "post_only"
    assert pairs["XETHZUSD"]["status"] == "online"
    other = Client(kraken.gateway)
    [_, snapshot] = other.subscribe("instrument")[-2:]
    shown = {row["symbol"]: row["status"] for row in snapshot["data"]["pairs"]}
    assert (shown["BTC/USD"], shown["ETH/USD"]) == ("post_only", "online")
