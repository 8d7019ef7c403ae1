"""The days before start: one price path per asset backwards from the start, one candle per pair and day."""

import math
from random import Random

from emulator.engine.instruments import Catalogue, Instrument
from emulator.market.balance import natural_place
from emulator.market.candles import MOVING, Candle
from emulator.market.prices import mid_price, on_tick
from emulator.market.profile import DAY_S, AssetMarket, MarketProfile
from emulator.market.seeds import place_in, stream

DAYS = 720
"""Whole days of history before the day of the start."""
_PULL = 0.99
"""Going back, a price keeps this share of its distance from today's a day, so it stays plausible."""
_BUSIEST_DAY = 3.0
"""Most trades of a day, as a multiple of the mean."""


class PastDays:
    """Day candles of every pair, the last of which ends at ``start_s``.

    Days count from the epoch; ``last`` is the day of the last moment before the start.
    """

    def __init__(self, catalogue: Catalogue, profile: MarketProfile, seed: int, start_s: int) -> None:
        self._catalogue = catalogue
        self._profile = profile
        self._seed = seed
        self._start_s = start_s
        self.last = (start_s - 1) // DAY_S
        self.first = self.last - DAYS
        self._streams = {name: stream(seed, name) for name in catalogue.pairs}
        self._paths: dict[str, _PathBack] = {}
        self._rng = Random(0)

    def first_trade_id(self, pair_id: str) -> int:
        """Return the id of the first trade after the start; all past ids are at least 1."""
        most = self._profile.pairs[pair_id].trades_per_day * _BUSIEST_DAY + MOVING
        return int(most * (DAYS + 2)) + self._streams[pair_id] % 1_000_000 + 1

    def candle(self, pair_id: str, day: int) -> Candle:
        """Return the candle of ``day``; the last one ends at the start."""
        pair = self._catalogue.pairs[pair_id]
        rng = self._rng
        rng.seed(place_in(self._streams[pair_id], day))
        share = min(self._start_s - day * DAY_S, DAY_S) / DAY_S
        prices = self._prices(pair, day, share, rng)
        trades = self._trades(pair_id, share, rng)
        if prices[1] > prices[2]:
            trades = max(trades, MOVING)
        volume = self._volume(pair, day, trades, rng)
        place = natural_place(prices) + rng.randrange(-80, 81)
        cost = volume * prices[2] + volume * (prices[1] - prices[2]) * place // 1000
        return Candle(day * DAY_S, *prices, volume, cost, trades)

    def _prices(self, pair: Instrument, day: int, share: float, rng: Random) -> tuple[int, int, int, int]:
        """Return open, high, low and close of a day, or of the ``share`` of it that has passed."""
        base, quote = self._profile.assets[pair.base.id], self._profile.assets[pair.quote.id]
        first, last = self._boundary(pair, day), self._boundary(pair, day + 1)
        sigma = math.hypot(base.daily_volatility, quote.daily_volatility) * math.sqrt(share)
        high = max(first, last) * (1.0 + abs(rng.gauss(0.0, 0.5 * sigma)))
        low = min(first, last) / (1.0 + abs(rng.gauss(0.0, 0.5 * sigma)))
        return first, on_tick(pair, high), on_tick(pair, low), last

    def _trades(self, pair_id: str, share: float, rng: Random) -> int:
        busy = min(rng.lognormvariate(-0.03, 0.25), _BUSIEST_DAY)
        return round(self._profile.pairs[pair_id].trades_per_day * share * busy)

    def _volume(self, pair: Instrument, day: int, trades: int, rng: Random) -> int:
        """Return a day's volume in lot units, at least one a trade."""
        base_usd = math.exp(self._log(pair.base.id, day + 1))
        size = self._profile.pairs[pair.id].mean_trade_usd / base_usd * 10.0**pair.lot_decimals
        return max(int(trades * size * (0.8 + 0.4 * rng.random())), trades)

    def _boundary(self, pair: Instrument, day: int) -> int:
        """Return the price at the beginning of ``day``; of the day after the last it is the start's."""
        return on_tick(pair, mid_price(pair, self._log(pair.base.id, day), self._log(pair.quote.id, day)))

    def _log(self, asset_id: str, day: int) -> float:
        """Return the logarithm of an asset's USD price at the beginning of ``day``."""
        path = self._paths.get(asset_id)
        if path is None:
            share = (self._start_s - self.last * DAY_S) / DAY_S
            rng = Random(stream(self._seed, f"{asset_id} past"))
            path = self._paths[asset_id] = _PathBack(self._profile.assets[asset_id], share, rng)
        return path.log(self.last + 1 - day)


class _PathBack:
    """Logarithms of one asset's USD price at the start and at the midnights before, newest first."""

    def __init__(self, asset: AssetMarket, share: float, rng: Random) -> None:
        """Let the last day be a ``share`` of a whole one."""
        self._rng = rng
        self._volatility = asset.daily_volatility
        self._origin = math.log(asset.price_usd)
        self._distance = rng.gauss(0.0, asset.daily_volatility) * math.sqrt(share)
        self._logs = [self._origin, self._origin + self._distance]

    def log(self, midnights: int) -> float:
        """Return the logarithm ``midnights`` before the start; 0 is the start itself."""
        while len(self._logs) <= midnights:
            self._distance = self._distance * _PULL + self._rng.gauss(0.0, self._volatility)
            self._logs.append(self._origin + self._distance)
        return self._logs[midnights]
