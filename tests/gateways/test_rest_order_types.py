"""REST: triggered orders, relative prices, schedules, conditional close, spending, and margin."""

import pytest

from emulator.engine.commands import SetIndex
from tests.gateways.venue import START_S, XBTUSD, refused

STOP = {"pair": "XBTUSD", "type": "sell", "ordertype": "stop-loss", "volume": "0.5", "price": "59000"}


@pytest.fixture
def traded(kraken):
    """The last trade was at 60000."""
    kraken.trade("0.001", "60000")
    return kraken


def add(kraken, account="alice", **fields):
    """Place an order; return its answer and the order as OpenOrders or ClosedOrders shows it."""
    answer = kraken.private("AddOrder", account, **fields)
    [txid] = answer["txid"]
    return answer, kraken.private("QueryOrders", account, txid=txid)[txid]


@pytest.mark.parametrize(
    ("fields", "line", "price", "price2"),
    [
        ({}, "stop loss 59000.0", "59000.0", "0"),
        ({"ordertype": "take-profit", "price": "61000"}, "take profit 61000.0", "61000.0", "0"),
        (
            {"ordertype": "stop-loss-limit", "price2": "58900"},
            "stop loss 59000.0 -> limit 58900.0",
            "59000.0",
            "58900.0",
        ),
        (
            {"ordertype": "take-profit-limit", "price": "61000", "price2": "-10"},
            "take profit 61000.0 -> limit -10.0",
            "61000.0",
            "-10.0",
        ),
        ({"price": "-1.5%"}, "stop loss -1.5000%", "-1.5000%", "0"),
        ({"price": "#100"}, "stop loss -100.0", "-100.0", "0"),
        (
            {"ordertype": "take-profit", "type": "sell", "price": "#1%"},
            "take profit +1.0000%",
            "+1.0000%",
            "0",
        ),
        ({"ordertype": "trailing-stop", "price": "+50%"}, "trailing stop +50.0000%", "+50.0000%", "0"),
        (
            {"ordertype": "trailing-stop-limit", "price": "+500", "price2": "-2%"},
            "trailing stop +500.0 -> limit -2.0000%",
            "+500.0",
            "-2.0000%",
        ),
        (
            {"leverage": "5", "ordertype": "stop-loss"},
            "stop loss 59000.0 with 5:1 leverage",
            "59000.0",
            "0",
        ),
    ],
)
def test_orders_are_described_in_the_venues_grammar(traded, fields, line, price, price2):
    answer, order = add(traded, **(STOP | fields))
    assert answer["descr"] == {"order": f"sell 0.50000000 XBTUSD @ {line}"}
    assert order["descr"]["order"] == f"sell 0.50000000 XBTUSD @ {line}"
    assert (order["descr"]["price"], order["descr"]["price2"]) == (price, price2)
    assert (order["status"], order["misc"]) == ("open", "")
    validated = traded.private("AddOrder", **(STOP | fields), validate="true")
    assert "txid" not in validated


def test_trailing_order_shows_where_it_stands_and_its_best_price(traded):
    _, order = add(traded, **(STOP | {"ordertype": "trailing-stop", "price": "+1%"}))
    assert (order["stopprice"], order["limitprice"]) == ("59400.00000", "60000.00000")
    _, order = add(traded, **STOP)
    assert (order["stopprice"], order["limitprice"]) == ("0.00000", "0.00000")


@pytest.mark.parametrize(
    ("kind", "price", "word"), [("stop-loss", "59000", "stopped"), ("take-profit", "60500", "touched")]
)
def test_order_that_was_set_off_says_so(traded, kind, price, word):
    answer, _ = add(traded, **(STOP | {"ordertype": kind, "price": price}))
    traded.place("bob", "buy", "1", "58000")
    traded.trade("0.001", price)
    [txid] = answer["txid"]
    fill = next(iter(traded.private("TradesHistory")["trades"].values()))
    assert (fill["ordertype"], fill["tradeordertype"]) == (kind, "market")
    order = traded.private("QueryOrders", txid=txid)[txid]
    assert (order["status"], order["misc"], order["price"]) == ("closed", word, "58000.0")


def test_trigger_on_the_index_says_so(traded):
    with refused("EGeneral:Invalid arguments:Index unavailable"):
        add(traded, **STOP, trigger="index")
    traded.execute(SetIndex(XBTUSD, 600_000))
    _, order = add(traded, **STOP, trigger="index")
    assert order["trigger"] == "index"


def test_relative_limit_price_is_resolved_when_the_order_comes(traded):
    for price, line in (("+100", "60100.0"), ("-1%", "59400.0"), ("#50", "60050.0")):
        answer, _ = add(traded, **(STOP | {"ordertype": "limit", "price": price}))
        assert answer["descr"]["order"].endswith(f"limit {line}") or price.startswith("-")


def test_order_may_be_scheduled(traded):
    _, order = add(traded, **(STOP | {"ordertype": "limit", "price": "70000"}), starttm="+60")
    assert (order["status"], float(order["starttm"])) == ("pending", START_S + 60)


def test_conditional_close_is_described_and_refers_to_its_order(traded):
    fields = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "volume": "0.5", "price": "59000"}
    close = {"close[ordertype]": "stop-loss-limit", "close[price]": "58000", "close[price2]": "57900"}
    answer, order = add(traded, **fields, **close)
    text = "close position @ stop loss 58000.0 -> limit 57900.0"
    assert answer["descr"]["close"] == order["descr"]["close"] == text
    traded.place("bob", "sell", "0.5", "59000")
    [(_, child)] = traded.private("OpenOrders")["open"].items()
    assert child["refid"] == answer["txid"][0]
    assert child["descr"]["order"] == "sell 0.50000000 XBTUSD @ stop loss 58000.0 -> limit 57900.0"
    body = {"pair": "XBTUSD", "orders": [fields | {"close": {"ordertype": "limit", "price": "60000"}}] * 2}
    entries = traded.submit("AddOrderBatch", body)["orders"]
    assert [entry["close"] for entry in entries] == ["close position @ limit 60000.0"] * 2


def test_spending_order_shows_what_it_spends(traded):
    traded.place("bob", "sell", "1", "60000")
    answer, order = add(
        traded, pair="XBTUSD", type="buy", ordertype="market", volume="600", oflags="viqc,fciq"
    )
    assert answer["descr"]["order"] == "buy 600.00000000 XBTUSD @ market"
    assert (order["vol"], order["vol_exec"], order["cost"]) == ("600.00000000", "0.01000000", "600.00000")
    assert order["oflags"] == "fciq,viqc"


def test_waiting_order_is_amended_and_edited(traded):
    answer, _ = add(traded, **STOP)
    [txid] = answer["txid"]
    traded.private("AmendOrder", txid=txid, trigger_price="59500", order_qty="0.4")
    order = traded.private("QueryOrders", txid=txid)[txid]
    assert order["descr"]["order"] == "sell 0.40000000 XBTUSD @ stop loss 59500.0"
    assert order["misc"] == "amended"
    edited = traded.private("EditOrder", txid=txid, pair="XBTUSD", price="58000", volume="0.3")
    assert (edited["price"], edited["price2"]) == ("58000.0", "0")
    assert edited["descr"]["order"] == "sell 0.30000000 XBTUSD @ stop loss 58000.0"


# -- margin ----------------------------------------------------------------------------------------------

LONG = {"pair": "XBTUSD", "type": "buy", "ordertype": "market", "volume": "1", "leverage": "5"}


@pytest.fixture
def long(traded):
    """Alice is long one XBT, bought at 60000 with 5:1."""
    traded.place("bob", "sell", "1", "60000")
    add(traded, **LONG)
    return traded


def test_trade_balance_tells_every_field(long):
    long.trade("0.001", "61000")
    balance = long.private("TradeBalance", "alice")
    assert (balance["c"], balance["v"], balance["n"], balance["m"]) == (
        *("60000.0000", "61000.0000", "1000.0000", "12000.0000"),
    )
    equity = float(balance["tb"]) + 1000
    assert float(balance["e"]) == pytest.approx(equity, abs=1e-3)
    assert float(balance["mf"]) == pytest.approx(equity - 12000, abs=1e-3)
    assert float(balance["ml"]) == pytest.approx(equity / 120, rel=1e-6)


def test_positions_one_by_one(long):
    long.trade("0.001", "61000")
    [(txid, row)] = long.private("OpenPositions", docalcs="true").items()
    assert list(row) == [
        *("ordertxid", "posstatus", "pair", "class", "time", "type", "ordertype", "cost", "fee", "vol"),
        *("vol_closed", "margin", "value", "net", "terms", "rollovertm", "misc", "oflags"),
    ]
    assert txid[0] == "T"
    assert (row["pair"], row["type"], row["cost"], row["margin"]) == (
        *("XXBTZUSD", "buy", "60000.00000", "12000.00000"),
    )
    assert (row["value"], row["net"], row["terms"]) == ("61000.00000", "+1000.0000", "0.0250% per 4 hours")
    assert "value" not in long.private("OpenPositions")[txid]
    assert long.private("OpenPositions", txid="TNOSUC-HTHING-ATALLX") == {}


def test_positions_together(long):
    long.place("bob", "sell", "0.5", "60000")
    add(long, **(LONG | {"volume": "0.5"}))
    [row] = long.private("OpenPositions", consolidation="market")
    assert (row["pair"], row["positions"], row["type"], row["leverage"], row["vol"]) == (
        *("XBTUSD", "2", "buy", "5.00000", "1.50000000"),
    )
    assert long.private("OpenPositions", "bob", consolidation="market") == []
    assert long.private("OpenPositions", "bob") == {}
    with refused("EGeneral:Invalid arguments:consolidation"):
        long.private("OpenPositions", consolidation="pair")


def test_history_tells_which_trades_opened_and_closed(long):
    long.place("bob", "buy", "1", "61000")
    add(long, **(LONG | {"type": "sell", "reduce_only": "true"}))
    [closing, opening] = long.private("TradesHistory")["trades"].values()
    assert (
        opening["posstatus"],
        opening["net"],
        opening["margin"],
        opening["leverage"],
        opening["misc"],
    ) == (*("closed", "1000.0000", "12000.00000", "5", ""),)
    assert (opening["cprice"], opening["ccost"], opening["cvol"]) == (
        *("61000.00000", "61000.00000", "1.00000000"),
    )
    assert (closing["misc"], closing["margin"]) == ("closing", "0.00000")
    assert "posstatus" not in closing
    for kind, count in (
        ("all", 2),
        ("any position", 2),
        ("closed position", 1),
        ("closing position", 1),
        ("no position", 0),
    ):
        assert len(long.private("TradesHistory", type=kind)["trades"]) == count


def test_position_can_be_settled(long):
    answer, order = add(
        *(long, "alice"),
        pair="XBTUSD",
        type="sell",
        ordertype="settle-position",
        volume="0",
        leverage="5",
    )
    assert answer["descr"]["order"] == "sell 1.00000000 XBTUSD @ settle position with 5:1 leverage"
    assert order["status"] == "closed"
    assert long.private("OpenPositions") == {}


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"leverage": "11"}, "EGeneral:Invalid arguments:leverage"),
        ({"type": "sell", "volume": "1000"}, "EOrder:Margin position size exceeded"),
        ({"pair": "XETHZUSD", "reduce_only": "true"}, "EOrder:Reduce only:No position exists"),
        ({"reduce_only": "true"}, "EOrder:Reduce only:Non-PC"),
        ({"pair": "XETHZUSD", "ordertype": "settle-position"}, "EOrder:Unknown position"),
    ],
)
def test_margin_refusals(long, fields, error):
    with refused(error):
        long.private("AddOrder", **(LONG | fields))
