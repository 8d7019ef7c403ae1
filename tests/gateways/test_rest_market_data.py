"""Public REST endpoints: shapes, names, number formats and paging."""

from datetime import UTC, datetime

import pytest

from emulator.gateways.parameters import Params
from emulator.gateways.spot_rest import codec
from emulator.gateways.spot_rest.endpoints import PUBLIC
from emulator.gateways.wires import Wires
from tests.gateways.venue import CATALOGUE, START_NS, START_S, XBTUSD, Kraken, refused

ONE_PAIR = ("OHLC", "Depth", "Trades", "Spread")
BY_PAIR = ("Ticker", "AssetPairs", *ONE_PAIR)


@pytest.fixture
def traded(kraken):
    """Asks at 64000.1 and .5, bids at 63999.9 and 63990, two trades of 2 minutes ago and now."""
    kraken.clock.ns -= 120 * 10**9
    kraken.trade("0.25", "64000.1")
    kraken.clock.ns += 120 * 10**9
    kraken.trade("0.5", "64000", taker="sell")
    for side, qty, price in (
        *(("sell", "0.5004", "64000.1"), ("sell", "1.25", "64000.5")),
        *(("buy", "2", "63999.9"), ("buy", "0.0005", "63990")),
    ):
        kraken.place("bob", side, qty, price)
    return kraken


def test_time_is_an_integer_and_a_date_with_a_padded_day_and_a_short_year(kraken):
    kraken.clock.ns = int(datetime(2026, 8, 2, 5, 6, 45, tzinfo=UTC).timestamp()) * 10**9 + 999
    assert kraken.public("Time") == {"unixtime": 1_785_647_205, "rfc1123": "Sun,  2 Aug 26 05:06:45 +0000"}


def test_system_is_online(kraken):
    assert kraken.public("SystemStatus") == {
        "status": "online",
        "timestamp": "2026-11-02T10:00:00Z",
        "upcoming_maintenance": [],
        "emergency": [],
    }


# -- names -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", BY_PAIR)
def test_result_stands_under_the_id_the_asked_name_with_a_slash_or_the_modern_name(kraken, method):
    kraken.trade("1", "64000")
    for asked in ("XXBTZUSD", "XBTUSD", "BTCUSD", "xbtusd"):
        assert next(iter(kraken.public(method, pair=asked))) == "XXBTZUSD"
    assert next(iter(kraken.public(method, pair="BTC/USD"))) == "BTC/USD"
    with refused("EQuery:Unknown asset pair"):
        kraken.public(method, pair="XBT/USD")
    kraken.venue.wires = Wires(slashed_pairs="any")
    for asked in ("XBT/USD", "BTC/USD"):
        assert next(iter(kraken.public(method, pair=asked))) == asked
    for flag in ("1", "true", "True"):
        assert next(iter(kraken.public(method, pair="XBTUSD", assetVersion=flag))) == "BTC/USD"
    for flag in ("0", "false", "False", ""):
        assert next(iter(kraken.public(method, pair="XBTUSD", assetVersion=flag))) == "XXBTZUSD"


@pytest.mark.parametrize("method", BY_PAIR)
def test_unknown_pair_fails_the_whole_request(kraken, method):
    with refused("EQuery:Unknown asset pair"):
        kraken.public(method, pair="XBTUSD,NOPE" if method in ("Ticker", "AssetPairs") else "NOPE")


@pytest.mark.parametrize("method", ONE_PAIR)
def test_pair_is_required_where_one_is_meant(kraken, method):
    for params in ({}, {"pair": ""}):
        with refused("EGeneral:Invalid arguments:pair"):
            kraken.public(method, **params)


@pytest.mark.parametrize("method", [*BY_PAIR, "Time", "SystemStatus", "Assets"])
def test_unknown_parameters_are_ignored(kraken, method):
    params = {"pair": "XBTUSD"} if method in BY_PAIR else {}
    assert kraken.public(method, **params, type="spot", trading_agreement="agree") == kraken.public(
        method, **params
    )


def test_several_pairs_may_be_asked_for_with_blanks_around_the_commas(kraken):
    assert list(kraken.public("Ticker", pair="SOLUSD, XBTUSD ,ETH/BTC")) == ["SOLUSD", "XXBTZUSD", "ETH/BTC"]
    assert list(kraken.public("Ticker")) == list(kraken.public("AssetPairs")) == list(CATALOGUE.pairs)


# -- assets and pairs ------------------------------------------------------------------------------------


def test_asset_shows_margin_fields_only_when_it_has_them(kraken):
    btc = kraken.public("Assets", asset="BTC")["XXBT"]
    assert list(btc) == [
        *("aclass", "altname", "decimals", "display_decimals", "collateral_value", "margin_rate", "status")
    ]
    assert (btc["aclass"], btc["altname"], btc["status"]) == ("currency", "XBT", "enabled")
    assert (btc["decimals"], btc["display_decimals"]) == (10, 5)
    assert isinstance(btc["collateral_value"], float)
    assert isinstance(btc["margin_rate"], str)
    paxg = kraken.public("Assets", asset="PAXG")["PAXG"]
    assert list(paxg) == ["aclass", "altname", "decimals", "display_decimals", "status"]


def test_assets_are_found_by_any_name_all_without_one_and_none_among_tokens(kraken):
    assert list(kraken.public("Assets", asset="xbt, DOGE,ZUSD")) == ["XXBT", "XXDG", "ZUSD"]
    assert list(kraken.public("Assets", asset="XBT,USD", assetVersion="1")) == ["BTC", "USD"]
    assert list(kraken.public("Assets")) == list(CATALOGUE.assets)
    assert kraken.public("Assets", aclass="tokenized_asset") == {}
    with refused("EQuery:Unknown asset"):
        kraken.public("Assets", asset="XBT,NOPE")


def test_asset_pair_has_the_recorded_keys_and_types(kraken):
    row = kraken.public("AssetPairs", pair="XBTUSD")["XXBTZUSD"]
    assert row == {
        "altname": "XBTUSD",
        "wsname": "XBT/USD",
        "aclass_base": "currency",
        "base": "XXBT",
        "aclass_quote": "currency",
        "quote": "ZUSD",
        "lot": "unit",
        "cost_decimals": 5,
        "pair_decimals": 1,
        "lot_decimals": 8,
        "lot_multiplier": 1,
        "leverage_buy": [2, 3, 4, 5, 6, 7, 8, 9, 10],
        "leverage_sell": [2, 3, 4, 5, 6, 7, 8, 9, 10],
        "fees": [],
        "fees_maker": [],
        "fee_volume_currency": "ZUSD",
        "margin_call": 80,
        "margin_stop": 40,
        "ordermin": "0.00005",
        "costmin": "0.5",
        "tick_size": "0.1",
        "status": "online",
        "execution_venue": "international",
        "long_position_limit": 350,
        "short_position_limit": 250,
    }


@pytest.mark.parametrize("view", [{}, {"info": "fees"}])
def test_a_setting_gives_the_older_wire_with_whole_fee_schedules(kraken, view):
    assert kraken.public("AssetPairs", pair="XBTUSD", **view)["XXBTZUSD"]["fees"] == []
    kraken.venue.wires = Wires(pair_fees="schedules")
    row = kraken.public("AssetPairs", pair="XBTUSD", **view)["XXBTZUSD"]
    fees, maker = row["fees"], row["fees_maker"]
    schedule = CATALOGUE.pairs[XBTUSD].fees
    assert [percent for _, percent in fees] == [ppm / 10_000 for _, ppm in schedule.taker]
    assert [volume for volume, _ in maker] == [volume for volume, _ in schedule.maker]
    for volume, percent in (*fees, *maker):
        assert type(volume) is int
        assert type(percent) is float


def test_pair_without_margin_has_empty_leverages_and_no_limits(kraken):
    row = kraken.public("AssetPairs", pair="XBTJPY")["XXBTZJPY"]
    assert row["leverage_buy"] == row["leverage_sell"] == []
    assert "long_position_limit" not in row
    assert (row["tick_size"], row["pair_decimals"]) == ("1", 0)


def test_asset_pair_views_and_modern_names(kraken):
    def view(**params):
        return next(iter(kraken.public("AssetPairs", pair="XBTUSD", **params).values()))

    assert list(view(info="leverage")) == ["leverage_buy", "leverage_sell"]
    assert list(view(info="fees")) == ["fees", "fees_maker", "fee_volume_currency"]
    assert list(view(info="margin")) == ["margin_call", "margin_stop"]
    modern = view(assetVersion="1")
    names = [modern[name] for name in ("altname", "wsname", "base", "quote", "fee_volume_currency")]
    assert names == ["XBTUSD", "XBT/USD", "BTC", "USD", "USD"]
    assert kraken.public("AssetPairs", aclass_base="tokenized_asset") == {}
    assert kraken.public("AssetPairs", execution_venue="bitnomial_exchange") == {}
    with refused("EGeneral:Invalid arguments:info"):
        kraken.public("AssetPairs", info="everything")


# -- prices ----------------------------------------------------------------------------------------------


def test_ticker_prints_prices_at_cost_decimals_and_sizes_in_whole_lots_one_at_least(traded):
    assert traded.public("Ticker", pair="XBTUSD")["XXBTZUSD"] == {
        "a": ["64000.10000", "1", "1.000"],
        "b": ["63999.90000", "2", "2.000"],
        "c": ["64000.00000", "0.50000000"],
        "v": ["0.75000000", "0.75000000"],
        "p": ["64000.03333", "64000.03333"],
        "t": [2, 2],
        "l": ["64000.00000", "64000.00000"],
        "h": ["64000.10000", "64000.10000"],
        "o": "64000.10000",
    }
    keys = list(traded.public("Ticker", pair="XBTUSD")["XXBTZUSD"])
    assert keys == ["a", "b", "c", "v", "p", "t", "l", "h", "o"]


def test_depth_is_sorted_cut_and_printed_with_three_decimals_of_volume(traded):
    full = traded.public("Depth", pair="XBTUSD")["XXBTZUSD"]
    assert list(full) == ["asks", "bids"]
    assert full["asks"] == [["64000.10000", "0.500", START_S], ["64000.50000", "1.250", START_S]]
    assert full["bids"] == [["63999.90000", "2.000", START_S], ["63990.00000", "0.001", START_S]]
    one = traded.public("Depth", pair="XBTUSD", count="1")["XXBTZUSD"]
    assert one == {"asks": full["asks"][:1], "bids": full["bids"][:1]}


def test_a_count_above_what_there_may_be_is_cut(traded):
    assert traded.public("Depth", pair="XBTUSD", count="501") == traded.public("Depth", pair="XBTUSD")
    trades = traded.public("Trades", pair="XBTUSD")["XXBTZUSD"]
    assert traded.public("Trades", pair="XBTUSD", count="12000")["XXBTZUSD"] == trades
    assert traded.public("PostTrade", count="1001")["count"] == len(trades)


@pytest.mark.parametrize("count", ["0", "-1", "x", "1.5", "1_0", " 5", "+5", "1e2", "٣", "9" * 5000])
def test_depth_count_is_a_number_of_rows(traded, count):
    with refused("EGeneral:Invalid arguments:count"):
        traded.public("Depth", pair="XBTUSD", count=count)


def test_trade_row_has_seven_typed_fields_and_last_is_text_in_nanoseconds(traded):
    result = traded.public("Trades", pair="XBTUSD")
    assert list(result) == ["XXBTZUSD", "last"]
    assert result["XXBTZUSD"] == [
        ["64000.10000", "0.25000000", float(START_S - 120), "b", "l", "", 1],
        ["64000.00000", "0.50000000", float(START_S), "s", "l", "", 2],
    ]
    assert result["last"] == str(START_NS)
    raw = codec.result(PUBLIC["Trades"](traded.venue, Params.from_query("pair=XBTUSD&count=1")))
    assert f"{START_S}.0000000,".encode() in raw


def test_market_order_is_marked_m(kraken):
    kraken.place("bob", "sell", "1", "64000")
    kraken.place("alice", "buy", "1")
    assert kraken.public("Trades", pair="XBTUSD")["XXBTZUSD"][0][3:6] == ["b", "m", ""]


def test_trades_page_forward_from_since_in_seconds_or_nanoseconds(kraken):
    for _ in range(7):
        kraken.clock.ns += 10**9 + 1
        kraken.trade("1", "64000")

    def page(**params):
        result = kraken.public("Trades", pair="XBTUSD", **params)
        return [row[6] for row in result["XXBTZUSD"]], result["last"]

    assert page(count="3")[0] == [5, 6, 7]
    assert page(since=str(START_S + 2), count="3")[0] == [2, 3, 4]
    seen, since = [], "0"
    while True:
        ids, since = page(since=since, count="3")
        if not ids:
            break
        seen += ids
    assert seen == [1, 2, 3, 4, 5, 6, 7]
    assert since == str(kraken.clock.ns)
    assert page(since=since)[0] == []
    with refused("EGeneral:Invalid arguments:since"):
        page(since="yesterday")
    with refused("EGeneral:Invalid arguments:count"):
        page(count="0")


def test_trades_of_one_sweep_survive_a_page_boundary(kraken):
    for price in ("64000", "64001", "64002"):
        kraken.place("bob", "sell", "1", price)
    kraken.place("carol", "buy", "3", "64002")
    first = kraken.public("Trades", pair="XBTUSD", since="0", count="2")
    second = kraken.public("Trades", pair="XBTUSD", since=first["last"], count="2")
    assert [row[6] for row in second["XXBTZUSD"]][-1] == 3


def test_candles_ascend_end_with_the_running_one_and_quiet_minutes_repeat_the_close(traded):
    result = traded.public("OHLC", pair="XBTUSD", interval="1")
    assert list(result) == ["XXBTZUSD", "last"]
    assert result["XXBTZUSD"] == [
        [START_S - 120, "64000.1", "64000.1", "64000.1", "64000.1", "64000.1", "0.25000000", 1],
        [START_S - 60, "64000.1", "64000.1", "64000.1", "64000.1", "0.0", "0.00000000", 0],
        [START_S, "64000.0", "64000.0", "64000.0", "64000.0", "64000.0", "0.50000000", 1],
    ]
    assert result["last"] == START_S - 60


def test_since_is_exclusive_for_candles_and_does_not_move_last(traded):
    result = traded.public("OHLC", pair="XBTUSD", since=str(START_S - 120))
    assert [row[0] for row in result["XXBTZUSD"]] == [START_S - 60, START_S]
    assert result["last"] == START_S - 60


def test_prices_of_a_quiet_candle_have_the_pairs_decimals(kraken):
    kraken.trade("1", "3000", pair="XETHZUSD")
    kraken.wait(60)
    quiet = kraken.public("OHLC", pair="ETHUSD")["XETHZUSD"][-1]
    assert quiet[1:] == ["3000.00", "3000.00", "3000.00", "3000.00", "0.00", "0.00000000", 0]


@pytest.mark.parametrize("interval", [1, 5, 15, 30, 60, 240, 1440, 10080, 21600])
def test_candles_of_every_interval_start_at_multiples_of_it(traded, interval):
    for row in traded.public("OHLC", pair="XBTUSD", interval=interval)["XXBTZUSD"]:
        assert row[0] % (60 * interval) == 0


@pytest.mark.parametrize("interval", ["2", "0", "-1", "1.0", "x"])
def test_other_intervals_are_refused(traded, interval):
    with refused("EGeneral:Invalid arguments:interval"):
        traded.public("OHLC", pair="XBTUSD", interval=interval)


def test_at_most_721_candles_are_shown(kraken):
    kraken.trade("1", "64000")
    kraken.wait(60 * 2000)
    rows = kraken.public("OHLC", pair="XBTUSD")["XXBTZUSD"]
    assert len(rows) == 721
    assert rows[-1][0] == START_S + 60 * 2000


def test_spread_has_a_row_per_change_of_the_best_prices(kraken):
    kraken.place("bob", "buy", "1", "63999")
    kraken.place("bob", "sell", "1", "64001")
    kraken.place("bob", "sell", "1", "64002")
    kraken.clock.ns += 5 * 10**9
    kraken.place("bob", "buy", "1", "64000")
    result = kraken.public("Spread", pair="XBTUSD")
    assert list(result) == ["XXBTZUSD", "last"]
    assert result["XXBTZUSD"] == [
        [START_S, "63999.00000", "64001.00000"],
        [START_S + 5, "64000.00000", "64001.00000"],
    ]
    assert result["last"] == START_S + 5
    assert len(kraken.public("Spread", pair="XBTUSD", since=START_S + 1)["XXBTZUSD"]) == 1


def test_pair_that_never_traded_has_an_empty_but_well_formed_answer():
    kraken = Kraken()
    assert kraken.public("Trades", pair="SOLUSD") == {"SOLUSD": [], "last": str(START_NS)}
    assert kraken.public("Depth", pair="SOLUSD") == {"SOLUSD": {"asks": [], "bids": []}}
    assert kraken.public("OHLC", pair="SOLUSD")["SOLUSD"] == []
    assert type(kraken.public("OHLC", pair="SOLUSD")["last"]) is int
    assert type(kraken.public("Spread", pair="SOLUSD")["last"]) is int
    ticker = kraken.public("Ticker", pair="SOLUSD")["SOLUSD"]
    assert ticker["a"] == ticker["b"] == ["0.00000", "0", "0.000"]
    assert ticker["t"] == [0, 0]
