from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.engine.events import Traded
from emulator.market.candles import Candle
from emulator.market.history import SyntheticPast
from emulator.market.prices import initial_prices
from tests.market.test_history import CATALOGUE, DAY_S, MIDNIGHT_S, PAIRS, PROFILE, STARTS, past

MINUTE_NS = 60 * 10**9


def assert_makes_up(minute: Candle, trades: list[Traded]) -> None:
    assert len(trades) == minute.trades
    assert sum(trade.qty for trade in trades) == minute.volume
    assert all(trade.qty > 0 for trade in trades)
    assert all(0 <= trade.time_ns - minute.start_s * 10**9 < MINUTE_NS for trade in trades)
    if trades:
        prices = [trade.price for trade in trades]
        assert (prices[0], prices[-1]) == (minute.open, minute.close)
        assert (max(prices), min(prices)) == (minute.high, minute.low)
        cost = sum(trade.price * trade.qty for trade in trades)
        assert cost == pytest.approx(minute.cost, rel=1e-6)


@settings(max_examples=25, deadline=None)
@given(PAIRS, STARTS)
def test_the_trades_of_a_minute_make_up_its_candle(pair: str, start_s: int) -> None:
    source = past(start_s)
    minutes = source.candles(pair, 1, 20)
    trades = source.trades(pair, minutes[0].start_s * 10**9 - 1, 100_000)
    for minute in minutes:
        first_ns = minute.start_s * 10**9
        assert_makes_up(minute, [t for t in trades if first_ns <= t.time_ns < first_ns + MINUTE_NS])


@settings(max_examples=25, deadline=None)
@given(PAIRS, STARTS, st.integers(1, 400))
def test_last_trades_end_at_the_start_with_consecutive_ids(pair: str, start_s: int, limit: int) -> None:
    source = past(start_s)
    trades = source.last_trades(pair, limit)
    assert len(trades) == limit
    assert trades[-1].trade_id == source.first_trade_id(pair) - 1
    assert trades[-1].price == initial_prices(PROFILE, CATALOGUE)[pair]
    assert trades[-1].time_ns < source.end_s * 10**9
    for before, after in pairwise(trades):
        assert after.trade_id == before.trade_id + 1
        assert after.time_ns > before.time_ns
    assert source.trades(pair, trades[0].time_ns - 1, limit) == trades


@settings(max_examples=15, deadline=None)
@given(PAIRS, st.integers(1, 700 * DAY_S), st.integers(50, 300))
def test_paging_forward_meets_every_trade_once(pair: str, ago_s: int, page: int) -> None:
    source = past(MIDNIGHT_S + 7_777)
    since = (source.end_s - ago_s) * 10**9 + 5
    whole = source.trades(pair, since, 3 * page)
    paged: list[Traded] = []
    for _ in range(3):
        found = source.trades(pair, paged[-1].time_ns if paged else since, page)
        paged += found
    assert paged == whole
    assert all(trade.time_ns > since for trade in whole)
    assert all(after.trade_id == before.trade_id + 1 for before, after in pairwise(whole))


@pytest.mark.parametrize("pair", sorted(CATALOGUE.pairs))
def test_the_oldest_trade_has_a_positive_id(pair: str) -> None:
    source = past(MIDNIGHT_S + 7_777)
    [oldest] = source.trades(pair, 0, 1)
    assert oldest.trade_id >= 1
    assert oldest.time_ns // 10**9 - source.begin_s < DAY_S


def test_ids_do_not_depend_on_the_start_but_on_the_seed() -> None:
    pair = "XXBTZUSD"
    assert past(MIDNIGHT_S).first_trade_id(pair) == past(MIDNIGHT_S + DAY_S).first_trade_id(pair)
    assert past(MIDNIGHT_S).first_trade_id(pair) != past(MIDNIGHT_S, 8).first_trade_id(pair)


def test_the_whole_last_hours_are_paged_to_the_end() -> None:
    source: SyntheticPast = past(MIDNIGHT_S + 7_777)
    since = (source.end_s - 7_200) * 10**9
    count = sum(c.trades for c in source.candles("SOLUSD", 1, 120))
    found: list[Traded] = []
    while page := source.trades("SOLUSD", found[-1].time_ns if found else since - 1, 100):
        found += page
    assert len(found) == count
    assert found[-1].trade_id == source.first_trade_id("SOLUSD") - 1
    assert len({trade.trade_id for trade in found}) == count


def test_nothing_follows_the_end() -> None:
    source = past(MIDNIGHT_S)
    assert source.trades("SOLUSD", source.end_s * 10**9, 10) == []
    assert source.last_trades("SOLUSD", 0) == []
