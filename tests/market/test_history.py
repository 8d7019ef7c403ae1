from functools import cache
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.engine.instruments import Catalogue
from emulator.market.candles import Candle, aggregate
from emulator.market.history import INTERVALS_MIN, SyntheticPast
from emulator.market.prices import initial_prices
from emulator.market.profile import MarketProfile, load
from tests.market.conftest import PROFILES

DAY_S = 86_400
MIDNIGHT_S = 1_762_041_600
CATALOGUE = Catalogue.from_json((PROFILES / "instruments" / "spot.json").read_bytes())
PROFILE = load(PROFILES / "market" / "default.toml", CATALOGUE)
PAIRS = st.sampled_from(sorted(CATALOGUE.pairs))
STARTS = st.one_of(
    st.integers(MIDNIGHT_S, MIDNIGHT_S + 20 * DAY_S),
    st.integers(0, 20).map(lambda days: MIDNIGHT_S + days * DAY_S),
    st.integers(0, 20 * 24).map(lambda hours: MIDNIGHT_S + hours * 3600 + 60),
)


@cache
def past(start_s: int, seed: int = 7) -> SyntheticPast:
    return SyntheticPast(CATALOGUE, PROFILE, seed, start_s * 10**9 + 999)


def sane(candle: Candle) -> None:
    assert 0 < candle.low <= min(candle.open, candle.close) <= max(candle.open, candle.close) <= candle.high
    assert candle.low * candle.volume <= candle.cost <= candle.high * candle.volume
    assert candle.volume >= candle.trades >= 0
    assert (candle.volume == 0) == (candle.trades == 0)
    if candle.trades < 4:
        assert candle.high == candle.low


def all_candles(source: SyntheticPast, pair: str, minutes: int, limit: int) -> list[Candle]:
    """Return the last ``limit`` candles and what there is of the running one."""
    running = source.partial(pair, minutes)
    return source.candles(pair, minutes, limit) + ([running] if running else [])


@settings(max_examples=40, deadline=None)
@given(PAIRS, STARTS, st.sampled_from(INTERVALS_MIN), st.integers(0, 3))
def test_candles_are_aligned_continuous_and_sane(pair: str, start_s: int, minutes: int, seed: int) -> None:
    source = past(start_s, seed)
    candles = source.candles(pair, minutes, 40)
    running = source.partial(pair, minutes)
    assert len(candles) == 40
    assert source.end_s == start_s // 60 * 60
    for candle in candles:
        assert candle.start_s % (minutes * 60) == 0
        sane(candle)
    for before, after in pairwise([*candles, running] if running else candles):
        assert after.start_s - before.start_s == minutes * 60
        assert after.open == before.close
    end_s = candles[-1].start_s + minutes * 60
    assert end_s <= source.end_s < end_s + minutes * 60
    assert (running is None) == (end_s == source.end_s)
    assert (running or candles[-1]).close == initial_prices(PROFILE, CATALOGUE)[pair]


@settings(max_examples=40, deadline=None)
@given(PAIRS, STARTS, st.sampled_from(list(pairwise(INTERVALS_MIN))))
def test_long_candles_are_the_sums_of_the_short_ones_inside(
    pair: str, start_s: int, minutes: tuple[int, int]
) -> None:
    short, long = minutes
    if long % short:
        short = 1440
    source = past(start_s)
    parents = all_candles(source, pair, long, 5)
    children = all_candles(source, pair, short, 7 * long // short)
    for parent in parents:
        inside = [c for c in children if parent.start_s <= c.start_s < parent.start_s + long * 60]
        assert aggregate(inside, parent.start_s) == parent


@pytest.mark.parametrize("pair", ["XXBTZUSD", "AVAXUSD", "USDCUSD"])
def test_a_day_is_the_sum_of_its_minutes(pair: str) -> None:
    source = past(MIDNIGHT_S + 5 * 3600 + 1234)
    today = source.partial(pair, 1440)
    minutes = source.candles(pair, 1, 5 * 60 + 20)
    assert today == aggregate(minutes, MIDNIGHT_S)
    [yesterday] = source.candles(pair, 1440, 1)
    assert yesterday == aggregate(source.candles(pair, 1, 1760)[:1440], yesterday.start_s)


@settings(max_examples=20, deadline=None)
@given(STARTS)
def test_pairs_are_coherent_at_every_midnight(start_s: int) -> None:
    source = past(start_s)
    closes = {
        pair: [c.close / 10 ** CATALOGUE.pairs[pair].price_decimals for c in source.candles(pair, 1440, 30)]
        for pair in ("XXBTZUSD", "XXBTZEUR", "ZEURZUSD")
    }
    for usd, eur, rate in zip(*closes.values(), strict=True):
        assert usd / eur == pytest.approx(rate, rel=2e-5)


def test_history_reaches_720_days_back_and_no_further() -> None:
    source = past(MIDNIGHT_S + 3600)
    days = source.candles("XETHZUSD", 1440, 10_000)
    assert len(days) == 720
    assert days[0].start_s == source.begin_s == MIDNIGHT_S - 720 * DAY_S
    weeks = source.candles("XETHZUSD", 10_080, 720)
    assert len(weeks) == 102
    assert weeks[0].start_s >= source.begin_s


def test_what_is_asked_for_first_makes_no_difference() -> None:
    one, other = past(MIDNIGHT_S + 4321), past.__wrapped__(MIDNIGHT_S + 4321)
    other.last_trades("SOLUSD", 50)
    other.candles("XXBTZUSD", 15, 30)
    assert one.candles("SOLUSD", 1, 100) == other.candles("SOLUSD", 1, 100)
    assert one.candles("SOLUSD", 1, 100) != past(MIDNIGHT_S + 4321, 8).candles("SOLUSD", 1, 100)


def test_counting_ahead_changes_no_trade() -> None:
    one, other = past(MIDNIGHT_S + 4321), past.__wrapped__(MIDNIGHT_S + 4321)
    for _ in other.load():
        pass
    assert {len(counts) for counts in other._counts.values()} == {721}
    for since_s in (0, MIDNIGHT_S - 100 * DAY_S - 77, MIDNIGHT_S - 1):
        assert one.trades("SOLUSD", since_s * 10**9, 50) == other.trades("SOLUSD", since_s * 10**9, 50)


def test_short_candles_range_as_a_random_walk_of_the_days_volatility_does() -> None:
    source = past(MIDNIGHT_S)
    for minutes, count in ((1, 14_400), (15, 1440), (240, 1440)):
        candles = source.candles("XXBTZUSD", minutes, count)
        mean = sum((c.high - c.low) / c.open for c in candles) / len(candles)
        scaled = mean / (minutes / 1440) ** 0.5
        assert 0.5 < scaled / (1.6 * PROFILE.assets["XXBT"].daily_volatility) < 1.8


def test_days_turn_over_what_the_live_flow_does() -> None:
    flow = PROFILE.pairs["XXBTZUSD"]
    days = past(MIDNIGHT_S).candles("XXBTZUSD", 1440, 100)
    assert sum(d.trades for d in days) / 100 == pytest.approx(flow.trades_per_day, rel=0.15)
    usd = sum(d.cost for d in days) / 100 / 1e9
    assert usd == pytest.approx(flow.trades_per_day * flow.mean_trade_usd, rel=0.2)


@settings(max_examples=15, deadline=None)
@given(PAIRS, STARTS, st.floats(1e-4, 0.02))
def test_pairs_that_hardly_trade_add_up_too(pair: str, start_s: int, events_per_second: float) -> None:
    quiet = msgspec.structs.replace(PROFILE.pairs[pair], events_per_second=events_per_second)
    profile = MarketProfile(assets=PROFILE.assets, pairs={**PROFILE.pairs, pair: quiet})
    source = SyntheticPast(CATALOGUE, profile, 7, start_s * 10**9)
    minutes = source.candles(pair, 1, 2880)
    for candle in minutes:
        sane(candle)
    for hour in source.candles(pair, 60, 47):
        inside = [c for c in minutes if hour.start_s <= c.start_s < hour.start_s + 3600]
        assert aggregate(inside, hour.start_s) == hour
    trades = source.last_trades(pair, 30)
    assert source.trades(pair, trades[0].time_ns - 1, 30) == trades


def test_unknown_interval_is_an_error() -> None:
    with pytest.raises(ValueError, match="no candles of 7 minutes"):
        past(MIDNIGHT_S).candles("SOLUSD", 7, 1)
