"""The synthetic market: seeded counter-flow in every pair, on one schedule."""

import heapq
import math
from random import Random

from emulator.engine.spot import SpotEngine
from emulator.market.model import Publish
from emulator.market.pair_market import PairMarket
from emulator.market.prices import UsdWalk, mid_price
from emulator.market.profile import MarketProfile

LATE_NS = 250 * 10**6
"""Steps that are later than this are skipped: the schedule starts again from now."""
_HURRY_NS = 50 * 10**6
"""A pair whose ladder is not whole acts again after this at the latest."""


class SyntheticMarket:
    """A ``MarketModel``: Poisson event times per pair, prices from one random walk per asset.

    The same seed, the same times given to ``open`` and ``act`` and the same commands of the clients
    in between give the same orders.  ``account_name`` must be a house account of the engine.
    """

    def __init__(
        self, engine: SpotEngine, account_name: str, profile: MarketProfile, seed: int, publish: Publish
    ) -> None:
        if not engine.accounts[account_name].house:
            raise ValueError(f"{account_name} is not a house account")
        self._rng = rng = Random(seed)
        self._walks = {
            name: UsdWalk(asset.price_usd, asset.daily_volatility, rng)
            for name, asset in profile.assets.items()
        }
        self._instruments = [pair for pair in engine.catalogue.pairs.values() if pair.id in profile.pairs]
        self._rates = [profile.pairs[pair.id].events_per_second / 1e9 for pair in self._instruments]
        self._markets = [
            PairMarket(engine, account_name, engine.markets[pair.id], profile.pairs[pair.id], rng, publish)
            for pair in self._instruments
        ]
        self._due: list[tuple[int, int]] = []
        self._last_ns = 0

    def open(self, now_ns: int) -> None:
        """Fill every book around its initial price; call it once, before the rest."""
        for walk in self._walks.values():
            walk.start(now_ns)
        for index, market in enumerate(self._markets):
            mid, base_usd = self._prices(index, now_ns)
            market.open(mid, base_usd, now_ns)
        self._schedule(now_ns)

    def due_ns(self) -> int:
        """Return when the next step is due."""
        return self._due[0][0]

    def act(self, now_ns: int) -> None:
        """Take the one step that has been due longest; nothing happens before it is due.

        After a pause, or when the clock went backwards, the schedule starts again from ``now_ns``.
        """
        due_ns, index = self._due[0]
        if now_ns > due_ns + LATE_NS or now_ns < self._last_ns - LATE_NS:
            self._schedule(now_ns)
            return
        self._last_ns = now_ns
        if now_ns < due_ns:
            return
        mid, base_usd = self._prices(index, now_ns)
        whole = self._markets[index].act(mid, base_usd, now_ns)
        gap = self._gap(index)
        heapq.heapreplace(self._due, (due_ns + (gap if whole else min(gap, _HURRY_NS)), index))

    def _prices(self, index: int, now_ns: int) -> tuple[float, float]:
        """Return the pair's mid in price units and the base asset's price in USD."""
        pair = self._instruments[index]
        base = self._walks[pair.base.id].step(now_ns)
        return mid_price(pair, base, self._walks[pair.quote.id].step(now_ns)), math.exp(base)

    def _schedule(self, now_ns: int) -> None:
        self._last_ns = now_ns
        self._due = [(now_ns + self._gap(index), index) for index in range(len(self._markets))]
        heapq.heapify(self._due)

    def _gap(self, index: int) -> int:
        return int(self._rng.expovariate(self._rates[index])) + 1
