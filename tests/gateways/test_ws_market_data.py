"""Public channels of WebSocket v2 other than ``book``: what they send and when."""

import json

import pytest

from emulator.gateways.framing import text_frame
from emulator.gateways.wires import Wires
from tests.gateways.venue import CATALOGUE, Digits


def test_ticker_shows_top_of_book_and_the_day_and_follows_trades_or_the_top(kraken, client):
    kraken.trade("0.5", "64000")
    kraken.place("bob", "buy", "2", "63999.9")
    kraken.place("bob", "sell", "0.5", "64000.1")
    _, snapshot = client.subscribe("ticker", "BTC/USD")
    assert snapshot["type"] == "snapshot"
    assert list(snapshot["data"][0].items()) == [
        ("symbol", "BTC/USD"),
        *(("bid", "63999.9"), ("bid_qty", "2.00000000"), ("ask", "64000.1"), ("ask_qty", "0.50000000")),
        *(("last", "64000.0"), ("volume", "0.50000000"), ("vwap", "64000.0")),
        *(("low", "64000.0"), ("high", "64000.0"), ("change", "0.0"), ("change_pct", "0.00")),
        *(("trades", 1), ("timestamp", "2026-11-02T10:00:00.000000Z")),
    ]
    client.subscribe("ticker", "BTC/USD", event_trigger="bbo", snapshot=False)
    kraken.place("bob", "sell", "1", "64000.5")
    assert client.take() == []
    kraken.place("bob", "buy", "1", "63999.9")
    [update] = client.take()
    assert (update["type"], update["data"][0]["bid_qty"]) == ("update", "3.00000000")
    kraken.place("carol", "buy", "0.1")
    assert [message["data"][0]["last"] for message in client.take()] == ["64000.1", "64000.1"]


def test_trades_of_one_order_come_in_one_message_and_fifty_in_the_snapshot(kraken, client):
    client.subscribe("trade", "BTC/USD")
    for price in ("64000", "64000.1", "64000.2"):
        kraken.place("bob", "sell", "0.1", price)
    kraken.place("carol", "buy", "0.25")
    [message] = client.take()
    assert list(message) == ["channel", "type", "data"]
    assert list(message["data"][2].items()) == [
        *(("symbol", "BTC/USD"), ("side", "buy"), ("price", "64000.2"), ("qty", "0.05000000")),
        *(("ord_type", "market"), ("trade_id", 3), ("timestamp", "2026-11-02T10:00:00.000000Z")),
    ]
    assert [row["trade_id"] for row in message["data"]] == [1, 2, 3]
    for _ in range(50):
        kraken.trade("0.1", "64000")
    client.ask("unsubscribe", channel="trade", symbol=["BTC/USD"])
    _, snapshot = client.subscribe("trade", "BTC/USD", snapshot=True)
    assert [row["trade_id"] for row in snapshot["data"]] == list(range(4, 54))


@pytest.mark.parametrize("runs", [True, False])
def test_ohlc_snapshot_is_the_last_ten_candles_with_the_running_one_counted(kraken, client, runs):
    for minute in range(13):
        if minute != 6:  # a quiet minute is left out, and another one told in its place
            kraken.trade("1", "64000")
        kraken.wait(60)
    if runs:
        kraken.trade("1", "64000")
    _, snapshot = client.subscribe("ohlc", "BTC/USD")
    minutes = [int(row["interval_begin"][14:16]) for row in snapshot["data"]]
    assert minutes == [3, 4, 5, 7, 8, 9, 10, 11, 12] + [13] * runs


def test_older_ticker_tells_what_the_volume_is_worth(kraken):
    kraken.venue.wires = Wires(ticker="volume_usd")
    client = kraken.client()
    kraken.trade("0.5", "64000")
    kraken.trade("2", "0.05", pair="XETHXXBT")
    for symbol, worth in (("BTC/USD", "32000.00"), ("ETH/BTC", "6400.00")):
        _, snapshot = client.subscribe("ticker", symbol)
        assert list(snapshot["data"][0].items())[-3:-1] == [
            ("change_pct", "0.00"),
            ("volume_usd", worth),
        ]
    kraken.venue.wires = Wires()  # a running venue can change it
    _, snapshot = kraken.client().subscribe("ticker", "BTC/USD")
    assert snapshot["data"][0]["trades"] == 1


def test_ohlc_sends_the_running_candle_with_each_trade_and_nothing_without(kraken, client):
    kraken.trade("1", "64000")
    kraken.wait(125)
    kraken.trade("1", "64001")
    _, snapshot = client.subscribe("ohlc", "BTC/USD")
    assert list(snapshot) == ["channel", "type", "timestamp", "data"]
    assert [row["interval_begin"][11:19] for row in snapshot["data"]] == ["10:00:00", "10:02:00"]
    kraken.wait(5)
    kraken.trade("0.5", "63999")
    [update] = client.take()
    assert update["timestamp"] == "2026-11-02T10:02:10.000000000Z"
    assert list(update["data"][0].items()) == [
        *(("symbol", "BTC/USD"), ("open", "64001.0"), ("high", "64001.0"), ("low", "63999.0")),
        *(("close", "63999.0"), ("trades", 2), ("volume", "1.50000000"), ("vwap", "64000.3")),
        ("interval_begin", "2026-11-02T10:02:00.000000000Z"),
        *(("interval", 1), ("timestamp", "2026-11-02T10:03:00.000000Z")),
    ]
    kraken.wait(600)
    assert client.take() == []


def test_instrument_lists_all_assets_and_pairs_as_an_object(client):
    ack, snapshot = client.subscribe("instrument")
    assert ack["result"]["warnings"] == ["tick_size is deprecated, use price_increment"]
    data = snapshot["data"]
    assert (len(data["assets"]), len(data["pairs"])) == (len(CATALOGUE.assets), len(CATALOGUE.pairs))
    btc = next(pair for pair in data["pairs"] if pair["symbol"] == "BTC/USD")
    assert list(btc.items()) == [
        *(("symbol", "BTC/USD"), ("base", "BTC"), ("quote", "USD"), ("status", "online")),
        *(("qty_precision", 8), ("qty_increment", "0.00000001"), ("price_precision", 1)),
        *(("cost_precision", 5), ("marginable", True), ("has_index", False)),
        *(("ws_display_price_precision", 1), ("cost_min", "0.50")),
        *(("margin_initial", "0.10"), ("position_limit_long", 350), ("position_limit_short", 250)),
        *(("tick_size", "0.1"), ("price_increment", "0.1"), ("qty_min", "0.00005000")),
    ]
    assert all(isinstance(asset["collateral_value"], Digits | int) for asset in data["assets"])
    assert [asset["precision"] for asset in data["assets"] if asset["id"] == "BTC"] == [10]
    assert client.subscribe("instrument")[0]["error"] == "Already subscribed"
    assert client.result("unsubscribe", channel="instrument") == {"channel": "instrument"}


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_frames_are_whole_unmasked_and_of_the_shortest_length_form(size):
    frame = text_frame(b"x" * size)
    header = {1: 2, 2: 4, 3: 10}[1 + (size > 125) + (size > 65_535)]
    assert len(frame) == header + size
    assert frame[0] == 0x81


def test_market_data_is_compact_json_in_which_the_channel_comes_first(kraken, client):
    client.subscribe("book", "BTC/USD")
    kraken.trade("1", "64000")
    for text in client.raw:
        assert text.startswith(('{"channel":"', '{"method":"'))
        assert ": " not in text
        assert json.loads(text)
