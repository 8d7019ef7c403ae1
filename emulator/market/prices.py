"""Prices: every asset has one price in USD, and a pair's mid is the ratio of two of them.

So BTC/USD, BTC/EUR and EUR/USD agree at every moment, live and in the past.
"""

import math
from random import Random

from emulator.engine.instruments import Catalogue, Instrument
from emulator.market.profile import MarketProfile

_DAY_NS = 86_400 * 10**9
_LONGEST_STEP_NS = 5 * 10**9
"""After a pause prices go on from where they stood: no step is drawn for more time than this."""


def mid_price(pair: Instrument, base_log: float, quote_log: float) -> float:
    """Return the middle of ``pair`` in price units; the arguments are logarithms of USD prices."""
    return math.exp(base_log - quote_log) * float(10**pair.price_decimals)


def on_tick(pair: Instrument, price: float) -> int:
    """Return ``price`` (in price units) rounded to the tick, one tick at least."""
    return max(round(price / pair.tick), 1) * pair.tick


def initial_prices(profile: MarketProfile, catalogue: Catalogue) -> dict[str, int]:
    """Return the price at start of every pair, by pair id, in price units and on the tick.

    The past ends at it and the live market begins around it.
    """
    logs = {name: math.log(asset.price_usd) for name, asset in profile.assets.items()}
    return {
        name: on_tick(pair, mid_price(pair, logs[pair.base.id], logs[pair.quote.id]))
        for name, pair in catalogue.pairs.items()
    }


class UsdWalk:
    """The live USD price of one asset: a random walk of its logarithm in time."""

    __slots__ = ("_last_ns", "_per_root_ns", "_rng", "log")

    def __init__(self, price_usd: float, daily_volatility: float, rng: Random) -> None:
        self.log = math.log(price_usd)
        """Logarithm of the price in USD."""
        self._per_root_ns = daily_volatility / math.sqrt(_DAY_NS)
        self._rng = rng
        self._last_ns = 0

    def start(self, now_ns: int) -> None:
        """Let time begin at ``now_ns``."""
        self._last_ns = now_ns

    def step(self, now_ns: int) -> float:
        """Move on to ``now_ns`` and return the logarithm of the price there."""
        passed = min(now_ns - self._last_ns, _LONGEST_STEP_NS)
        if passed > 0 and self._per_root_ns:
            self.log += self._rng.gauss(0.0, self._per_root_ns * math.sqrt(passed))
        self._last_ns = now_ns
        return self.log
