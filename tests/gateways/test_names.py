"""Every spelling of a pair or an asset."""

import pytest

from emulator.gateways.names import Names
from tests.gateways.venue import CATALOGUE

NAMES = Names(CATALOGUE)
SPELLINGS = {
    "XXBTZUSD": "XXBTZUSD XBTUSD XBT/USD BTC/USD BTCUSD XXBT/ZUSD",
    "XXBTZJPY": "XXBTZJPY XBTJPY XBT/JPY BTC/JPY BTCJPY XXBT/ZJPY",
    "XBTUSDT": "XBTUSDT XBT/USDT BTC/USDT BTCUSDT XXBT/USDT",
    "XETHXXBT": "XETHXXBT ETHXBT ETH/XBT ETH/BTC ETHBTC XETH/XXBT",
    "SOLUSD": "SOLUSD SOL/USD SOL/ZUSD",
    "SOLXBT": "SOLXBT SOL/XBT SOL/BTC SOLBTC SOL/XXBT",
    "XDGUSD": "XDGUSD XDG/USD DOGE/USD DOGEUSD XXDG/ZUSD",
    "XDGUSDT": "XDGUSDT XDG/USDT DOGE/USDT DOGEUSDT XXDG/USDT",
    "USDTZUSD": "USDTZUSD USDTUSD USDT/USD USDT/ZUSD",
    "USDCUSDT": "USDCUSDT USDC/USDT",
    "ZEURZUSD": "ZEURZUSD EURUSD EUR/USD ZEUR/ZUSD",
}
ASSETS = {
    "XXBT": "XXBT XBT BTC",
    "XXDG": "XXDG XDG DOGE",
    "XETH": "XETH ETH",
    "ZUSD": "ZUSD USD",
    "USDT": "USDT",
    "SOL": "SOL",
}


@pytest.mark.parametrize("pair", SPELLINGS)
@pytest.mark.parametrize("case", [str, str.lower, str.title])
def test_pair_is_found_by_each_of_its_spellings_in_any_case(pair, case):
    for name in SPELLINGS[pair].split():
        found = NAMES.pair(case(name))
        assert found is not None, name
        assert found.id == pair, name


def test_every_pair_is_found_by_id_altname_wsname_symbol_and_both_joined_forms():
    assert len(CATALOGUE.pairs) == 51
    for pair in CATALOGUE.pairs.values():
        joined = pair.symbol.replace("/", "")
        ids = f"{pair.base.id}/{pair.quote.id}"
        for name in (pair.id, pair.altname, pair.wsname, pair.symbol, joined, ids):
            assert NAMES.pair(name) is pair, name


def test_websocket_knows_the_modern_symbol_only():
    assert NAMES.symbol("BTC/USD") is CATALOGUE.pairs["XXBTZUSD"]
    for name in ("XBT/USD", "XDG/USD", "BTCUSD", "btc/usd", "XXBTZUSD", ""):
        assert NAMES.symbol(name) is None
    assert {pair.symbol for pair in CATALOGUE.pairs.values() if NAMES.symbol(pair.symbol) is pair} == {
        pair.wsname.replace("XBT", "BTC").replace("XDG", "DOGE") for pair in CATALOGUE.pairs.values()
    }


@pytest.mark.parametrize(
    "name", ["", "/", "XXBT", "USD/BTC", "USDXBT", "BTC/USD/EUR", "BTC//USD", "BTC USD", "ß"]
)
def test_other_names_are_no_pair(name):
    assert NAMES.pair(name) is None


@pytest.mark.parametrize("asset", ASSETS)
def test_asset_is_found_by_each_of_its_spellings_in_any_case(asset):
    for name in ASSETS[asset].split():
        assert NAMES.asset(name) is CATALOGUE.assets[asset]
        assert NAMES.asset(name.lower()) is CATALOGUE.assets[asset]
    assert NAMES.asset(asset + "X") is None
