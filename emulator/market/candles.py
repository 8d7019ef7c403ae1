"""Candles of the past: the value, its levels, and how short ones add up to a long one.

A candle with fewer than ``MOVING`` trades does not move: open, high, low and close are the close
before it.  From ``MOVING`` trades on there is one each for open, high, low and close.
"""

from collections.abc import Sequence

import msgspec

MOVING = 4
"""Least trades of a candle whose price moves."""
LENGTHS_S = (86_400, 14_400, 3_600, 1_800, 900, 300, 60)
"""Lengths of the candles of each level; a candle of one level is cut into those of the next."""
DAY, MINUTE = 0, len(LENGTHS_S) - 1


class Candle(msgspec.Struct, frozen=True, gc=False):
    """One candle, in the pair's units: prices in price units, volume in lot units."""

    start_s: int
    """Start in seconds since the epoch."""
    open: int
    high: int
    low: int
    close: int
    volume: int
    cost: int
    """Exact cost (price x quantity) of what traded; divided by the volume it is the vwap."""
    trades: int


def aggregate(candles: Sequence[Candle], start_s: int) -> Candle:
    """Return the candle from ``start_s`` on that consecutive ``candles`` make up."""
    return Candle(
        start_s,
        candles[0].open,
        max(candle.high for candle in candles),
        min(candle.low for candle in candles),
        candles[-1].close,
        sum(candle.volume for candle in candles),
        sum(candle.cost for candle in candles),
        sum(candle.trades for candle in candles),
    )
