"""Public trades, candles and 24-hour statistics, across the start of the venue."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.engine.commands import CancelOrder
from emulator.engine.events import Traded
from emulator.engine.orders import TimeInForce
from emulator.gateways.tape import INTERVALS, Candle, PairTape
from tests.gateways.venue import START_NS, START_S, XBTUSD, Kraken, in_loop

MINUTE_NS = 60 * 10**9
DAY_S = 86_400


def traded(number, time_ns, price=640_000, qty=10**8, taker_buy=True):
    return Traded(XBTUSD, number, price, qty, taker_buy, False, time_ns)


class FakePast:
    """What traded before the start: given trades, and candles summed up from them."""

    def __init__(self, *rows):
        self.rows = list(rows)

    def has(self, pair):
        return True

    def _candles(self, minutes, since_s, until_s):
        found = {}
        for trade in self.rows:
            start = trade.time_ns // 10**9 // (60 * minutes) * 60 * minutes
            if since_s <= start < until_s:
                candle = found.setdefault(start, Candle(start, *[trade.price] * 4))
                candle.add(trade.price, trade.qty)
        return [found[start] for start in sorted(found)]

    def candles(self, pair, interval_minutes, limit):
        end = START_S // (60 * interval_minutes) * 60 * interval_minutes
        return self._candles(interval_minutes, end - limit * 60 * interval_minutes, end)

    def partial(self, pair, interval_minutes):
        end = START_S // (60 * interval_minutes) * 60 * interval_minutes
        rows = self._candles(interval_minutes, end, START_S + 60)
        return rows[0] if rows else None

    def trades(self, pair, since_ns, limit):
        return [trade for trade in self.rows if trade.time_ns > since_ns][:limit]

    def last_trades(self, pair, limit):
        return self.rows[-limit:]


def past_minutes(count):
    """One trade in the middle of each of the last ``count`` minutes, at rising prices."""
    first = START_NS - count * MINUTE_NS + MINUTE_NS // 2
    return FakePast(*(traded(n + 1, first + n * MINUTE_NS, 600_000 + n) for n in range(count)))


def new_tape(past=None):
    return PairTape(XBTUSD, past, START_NS)


# -- candles ---------------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(0, 3 * 86_400), st.integers(1, 50), st.integers(1, 9)), max_size=40),
    st.sampled_from(INTERVALS),
)
def test_candles_are_what_their_trades_add_up_to(drawn, interval):
    tape, expected = new_tape(), {}
    for second, price, qty in sorted(drawn, key=lambda row: row[0]):
        tape.trade(traded(1, START_NS + second * 10**9, price, qty))
        start = (START_S + second) // (60 * interval) * 60 * interval
        expected.setdefault(start, []).append((price, qty))
    candles = tape.candles(interval)
    assert [candle.start_s for candle in candles] == sorted(expected)
    for candle in candles:
        rows = expected[candle.start_s]
        prices = [price for price, _ in rows]
        assert (candle.open, candle.close) == (prices[0], prices[-1])
        assert (candle.high, candle.low) == (max(prices), min(prices))
        assert (candle.volume, candle.trades) == (sum(qty for _, qty in rows), len(rows))
        assert candle.cost == sum(price * qty for price, qty in rows)


@given(st.lists(st.integers(0, 2000), min_size=1, max_size=20), st.integers(0, 1000))
def test_filled_candles_have_no_gap_end_now_and_repeat_the_close(minutes, silence):
    tape = new_tape()
    for number, minute in enumerate(sorted(minutes)):
        tape.trade(traded(number, START_NS + minute * MINUTE_NS, 100 + number))
    now_ns = START_NS + (max(minutes) + silence) * MINUTE_NS
    rows = tape.filled_candles(1, now_ns)
    assert rows[-1].start_s == now_ns // 10**9
    assert len(rows) == min(721, max(minutes) + silence - min(minutes) + 1)
    for before, after in pairwise(rows):
        assert after.start_s - before.start_s == 60
        if not after.trades:
            assert after.open == after.high == after.low == after.close == before.close
            assert after.volume == after.cost == 0


def test_part_of_the_past_joins_the_first_live_candle():
    tape = new_tape(past_minutes(90))
    tape.trade(traded(91, START_NS + 10**9, 700_000, 5))
    hour = tape.candles(60)[-1]
    assert hour.start_s == START_S
    day = tape.candles(1440)[-1]
    assert day.start_s == START_S - START_S % DAY_S
    assert (day.open, day.low, day.high, day.close) == (600_000, 600_000, 700_000, 700_000)
    assert (day.trades, day.volume) == (91, 90 * 10**8 + 5)
    running = tape.running(1440)
    assert (running.trades, running.open) == (91, 600_000)
    tape.trade(traded(92, START_NS + 2 * 10**9, 500_000, 1))
    assert (tape.candles(1440)[-1].low, tape.candles(1440)[-1].trades) == (500_000, 92)


def test_candles_of_past_and_live_follow_each_other_without_overlap():
    tape = new_tape(past_minutes(90))
    for minute in range(3):
        tape.trade(traded(91 + minute, START_NS + minute * MINUTE_NS + 1))
    for interval in INTERVALS:
        candles = tape.candles(interval)
        starts = [candle.start_s for candle in candles]
        assert starts == sorted(set(starts))
        assert sum(candle.trades for candle in candles) == 93


def test_at_most_720_committed_candles_and_the_running_one_are_kept():
    tape = new_tape(past_minutes(800))
    assert len(tape.candles(1)) == 720
    for minute in range(800):
        tape.trade(traded(801 + minute, START_NS + minute * MINUTE_NS))
        assert len(tape.candles(1)) == 721
    assert tape.candles(1)[0].start_s == START_S + 79 * 60


# -- statistics ------------------------------------------------------------------------------------------


def test_day_rolls_minute_by_minute_and_today_starts_at_midnight():
    tape = new_tape()
    assert tape.day(START_NS).trades == 0
    for hour in range(30):
        tape.trade(traded(hour + 1, START_NS + hour * 60 * MINUTE_NS, 600_000 + hour))
    now_ns = START_NS + 29 * 60 * MINUTE_NS
    day, today = tape.day(now_ns), tape.today(now_ns)
    assert (day.trades, day.volume) == (25, 25 * 10**8)
    assert (day.low, day.high, day.open) == (600_005, 600_029, 600_005)
    assert day.cost == sum((600_000 + hour) * 10**8 for hour in range(5, 30))
    assert (today.trades, today.open, today.low) == (16, 600_014, 600_014)
    later_ns = now_ns + 60 * MINUTE_NS
    assert (tape.day(later_ns).trades, tape.day(later_ns).low) == (24, 600_006)
    empty = tape.day(now_ns + 30 * 60 * MINUTE_NS)
    assert (empty.trades, empty.volume, empty.cost, empty.high, empty.low, empty.open) == (0,) * 6


@given(
    st.lists(
        st.tuples(st.integers(0, 4000), st.integers(1, 50), st.integers(1, 9)),
        max_size=60,
        unique_by=lambda row: row[0],
    )
)
def test_day_is_the_sum_of_the_trades_of_its_minutes(drawn):
    tape = new_tape()
    tape.day(START_NS)
    rows = sorted(drawn)
    for number, (minute, price, qty) in enumerate(rows):
        now_ns = START_NS + minute * MINUTE_NS
        tape.trade(traded(number, now_ns, price, qty))
        window = [row for row in rows[: number + 1] if row[0] >= minute - 1440]
        day = tape.day(now_ns)
        assert (day.trades, day.open) == (len(window), window[0][1])
        assert (day.volume, day.cost) == (
            sum(row[2] for row in window),
            sum(row[1] * row[2] for row in window),
        )
        assert (day.high, day.low) == (max(row[1] for row in window), min(row[1] for row in window))


def test_day_begins_with_the_past():
    tape = new_tape(past_minutes(90))
    tape.trade(traded(91, START_NS + 10**9, 700_000))
    day, today = tape.day(START_NS + 2 * 10**9), tape.today(START_NS + 2 * 10**9)
    assert (day.trades, day.open, day.high, day.low) == (91, 600_000, 700_000, 600_000)
    assert (today.trades, today.open) == (91, 600_000)
    tape.trade(traded(92, START_NS + 3 * 10**9, 500_000))
    assert (tape.day(START_NS + 3 * 10**9).trades, tape.day(START_NS + 3 * 10**9).low) == (92, 500_000)


def test_days_are_loaded_a_pair_a_step(kraken):
    steps = sum(1 for _ in kraken.venue.tape.load_days(START_NS))
    assert steps == len(kraken.venue.tape.pairs)


# -- trades ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [1, 2, 7, 1000])
@pytest.mark.parametrize("live", [0, 1, 20])
def test_paging_crosses_the_start_without_gap_or_repeat(page, live):
    tape = new_tape(past_minutes(30))
    for number in range(live):
        tape.trade(traded(31 + number, START_NS + number * 10**9))
    since, seen = 0, []
    while rows := tape.trades_after(since, page):
        assert len(rows) <= page
        seen += [row.trade_id for row in rows]
        since = rows[-1].time_ns
    assert seen == list(range(1, 31 + live))


@pytest.mark.parametrize("limit", [1, 5, 20, 25, 100])
def test_newest_trades_reach_back_into_the_past(limit):
    tape = new_tape(past_minutes(30))
    for number in range(20):
        tape.trade(traded(31 + number, START_NS + number * 10**9))
    assert [row.trade_id for row in tape.last_trades(limit)] == list(range(1, 51))[-limit:]
    assert new_tape(past_minutes(3)).last_price() == (600_002, 10**8)
    assert new_tape().last_price() == (0, 0)


# -- what the tape hears ---------------------------------------------------------------------------------


def test_tape_hears_of_trades_and_of_changes_of_the_best_prices(kraken):
    tape = kraken.venue.tape.pairs[XBTUSD]
    order = kraken.place("bob", "sell", "1", "64000")
    assert not tape.spreads, "one side alone is no spread"
    kraken.place("bob", "buy", "1", "63999")
    kraken.place("bob", "buy", "1", "63998")
    kraken.place("carol", "buy", "0.5", "64000")
    assert list(tape.spreads) == [(START_S, 639_990, 640_000)]
    kraken.execute(CancelOrder(account="bob", txid=order.txid))
    kraken.place("bob", "sell", "1", "64001")
    assert list(tape.spreads)[1:] == [(START_S, 639_990, 640_010)]
    assert tape.last_price() == (640_000, 50_000_000)


def test_past_shows_on_every_endpoint():
    kraken = Kraken(past=past_minutes(90))
    assert kraken.public("Ticker", pair="XBTUSD")["XXBTZUSD"]["t"] == [90, 90]
    assert len(kraken.public("Trades", pair="XBTUSD")["XXBTZUSD"]) == 90
    candles = kraken.public("OHLC", pair="XBTUSD")["XXBTZUSD"]
    assert (len(candles), candles[-1][0], candles[-1][7]) == (91, START_S, 0)
    _, snapshot = kraken.client().subscribe("ohlc", "BTC/USD")
    assert len(snapshot["data"]) == 9  # ten with the running one, which has had no trade yet


@in_loop
async def test_venue_wakes_up_by_itself_when_the_engine_wants_to(kraken):
    soon = {"tif": TimeInForce.GTD, "expire_ns": START_NS + 5_000_000}
    order = kraken.place("alice", "buy", "1", "60000", **soon)
    kraken.clock.ns += 5_000_000
    async with asyncio.timeout(30):
        while order.status.value == "open":
            await asyncio.sleep(0.001)
    assert order.status.value == "expired"
    kraken.venue.close()
