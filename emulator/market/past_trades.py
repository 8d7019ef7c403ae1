"""The trades inside a past minute, such that they make up its candle."""

from itertools import pairwise
from random import Random

from emulator.engine.events import Traded
from emulator.market.candles import LENGTHS_S, MINUTE, MOVING, Candle

_MINUTE_NS = LENGTHS_S[MINUTE] * 10**9
_FOLLOWS_TICK = 0.85
"""Share of trades whose taker's side is the direction in which the price went."""


def trades_of_minute(pair_id: str, minute: Candle, first_id: int, tick: int, rng: Random) -> list[Traded]:
    """Return the trades of a one-minute candle, oldest first, numbered from ``first_id``.

    Count and volume are the candle's, the first is its open and the last its close, high and low
    are among them, and their average price is the candle's vwap up to rounding.
    """
    prices = _prices(minute, tick, rng)
    quantities = _quantities(minute, prices, rng)
    times = sorted(int(rng.random() * (_MINUTE_NS - minute.trades)) for _ in prices)
    trades = []
    before, buy = prices[0] if prices else 0, rng.random() < 0.5
    for index, (price, quantity) in enumerate(zip(prices, quantities, strict=True)):
        went_up = price > before if price != before else buy
        buy = went_up if rng.random() < _FOLLOWS_TICK else not went_up
        time_ns = minute.start_s * 10**9 + times[index] + index
        market = rng.random() < 0.5
        trades.append(Traded(pair_id, first_id + index, price, quantity, buy, market, time_ns))
        before = price
    return trades


def _prices(minute: Candle, tick: int, rng: Random) -> list[int]:
    """Return open ... close with the high and the low at two places between."""
    count = minute.trades
    if count < MOVING:
        return [minute.open] * count
    inner = [(rng.randrange(1, count - 1), minute.high), (rng.randrange(1, count - 1), minute.low)]
    if inner[0][0] == inner[1][0]:
        inner[1] = (inner[0][0] % (count - 2) + 1, minute.low)
    anchors = [(0, minute.open), *sorted(inner), (count - 1, minute.close)]
    prices = [minute.open]
    for (start, left), (end, right) in pairwise(anchors):
        for index in range(start + 1, end):
            level = left + (right - left) * (index - start) / (end - start)
            noise = rng.gauss(0.0, 0.15 * (minute.high - minute.low))
            prices.append(min(max(round((level + noise) / tick) * tick, minute.low), minute.high))
        prices.append(right)
    return prices


def _quantities(minute: Candle, prices: list[int], rng: Random) -> list[int]:
    """Share out the volume, more of it above or below the vwap so that the average comes out."""
    weights = [rng.lognormvariate(0.0, 1.0) for _ in prices]
    if minute.high > minute.low:
        _tilt(weights, prices, minute.cost / minute.volume)
    total = sum(weights)
    free = minute.volume - len(prices)
    quantities = [1 + int(free * (weight / total)) for weight in weights]
    if quantities:
        quantities[quantities.index(max(quantities))] += minute.volume - sum(quantities)
    return quantities


def _tilt(weights: list[float], prices: list[int], vwap: float) -> None:
    """Scale the weights below and above ``vwap`` so that the weighted mean of the prices is ``vwap``."""
    below = above = 0.0
    for weight, price in zip(weights, prices, strict=True):
        if price <= vwap:
            below += weight * (vwap - price)
        else:
            above += weight * (price - vwap)
    if below > 0.0 and above > 0.0:
        for index, price in enumerate(prices):
            weights[index] *= above if price <= vwap else below
