"""REST: grouped book, level 3, pre- and post-trade transparency, maintenance."""

import pytest

from tests.gateways.venue import START_NS, refused


@pytest.fixture
def quoted(kraken):
    for price, qty in (("60000.1", "1"), ("60000.9", "2"), ("60010", "4")):
        kraken.place("bob", "sell", qty, price)
    for price, qty in (("59999.9", "1"), ("59999.1", "2"), ("59990", "4")):
        kraken.place("bob", "buy", qty, price)
    return kraken


def test_groups_round_bids_down_and_asks_up(quoted):
    book = quoted.public("GroupedBook", pair="XBTUSD", grouping="10")
    assert list(book) == ["pair", "grouping", "bids", "asks"]
    assert (book["pair"], book["grouping"]) == ("BTC/USD", 10)
    assert book["asks"] == [
        {"price": "60001.00000", "qty": "3.00000000"},
        {"price": "60010.00000", "qty": "4.00000000"},
    ]
    assert book["bids"] == [
        {"price": "59999.00000", "qty": "3.00000000"},
        {"price": "59990.00000", "qty": "4.00000000"},
    ]
    assert len(quoted.public("GroupedBook", pair="XBTUSD")["asks"]) == 3
    for name, value in (("depth", "11"), ("grouping", "2"), ("grouping", "x")):
        with refused(f"EGeneral:Invalid arguments:{name}"):
            quoted.public("GroupedBook", pair="XBTUSD", **{name: value})
    with refused("EQuery:Unknown asset pair"):
        quoted.public("GroupedBook", pair="NOPE")


def test_orders_one_by_one(quoted):
    second = quoted.place("carol", "sell", "0.5", "60000.1")
    book = quoted.private("Level3", pair="XBTUSD", depth="10")
    assert list(book) == ["pair", "bids", "asks"]
    assert [(row["price"], row["qty"]) for row in book["asks"]] == [
        *(("60000.10000", "1.00000000"), ("60000.10000", "0.50000000")),
        *(("60000.90000", "2.00000000"), ("60010.00000", "4.00000000")),
    ]
    assert (book["asks"][1]["order_id"], book["asks"][1]["timestamp"]) == (second.txid, START_NS)
    assert len(quoted.private("Level3", pair="XBTUSD", depth="0")["bids"]) == 3
    with refused("EGeneral:Invalid arguments:depth"):
        quoted.private("Level3", pair="XBTUSD", depth="5")


def test_pre_trade(quoted):
    book = quoted.public("PreTrade", symbol="BTC/USD")
    assert (book["venue"], book["system"], book["quote_notation"]) == ("PGSL", "CLOB", "MONE")
    assert book["asks"][0] == {
        "side": "SELL",
        "price": "60000.1",
        "qty": "1.00000000",
        "count": 1,
        "submission_ts": "2026-11-02T10:00:00.000000Z",
        "publication_ts": "2026-11-02T10:00:00.000000Z",
    }
    with refused("EGeneral:Invalid arguments:symbol"):
        quoted.public("PreTrade")


def test_post_trade(kraken):
    assert kraken.public("PostTrade")["trades"] == []
    kraken.trade("1", "60000")
    kraken.clock.ns += 10**9
    kraken.trade("2", "60001")
    result = kraken.public("PostTrade", symbol="BTC/USD")
    assert list(result) == ["last_ts", "count", "trades"]
    assert [trade["quantity"] for trade in result["trades"]] == ["1.00000000", "2.00000000"]
    first, second = (trade["trade_ts"] for trade in result["trades"])
    assert kraken.public("PostTrade", from_ts=first)["count"] == 1
    assert kraken.public("PostTrade", to_ts=first)["count"] == 1
    assert kraken.public("PostTrade", count="1")["trades"][0]["trade_ts"] == second == result["last_ts"]
    for name, value in (("from_ts", "x"), ("count", "0"), ("count", "1e2")):
        with refused(f"EGeneral:Invalid arguments:{name}"):
            kraken.public("PostTrade", **{name: value})
