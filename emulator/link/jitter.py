"""Jitter: one-way extra delay, drawn from three stated quantiles.

The inverse distribution runs through (0, 0), (0.5, p50), (0.99, p99) and (0.999, p999). It is linear up to
the median and linear in the logarithm of the survival probability above it, which is a chain of exponential
tails: what queues leave behind. It goes on at the last slope and ends, bounded, at the 0.9999 quantile.
"""

from __future__ import annotations

from functools import lru_cache
from math import log
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

    from emulator.link.tiers import Jitter, Tier

NS_PER_US = 1_000
_LAST_SURVIVAL = 1e-4
_STEPS = 256


class JitterCurve:
    """The distribution of a one-way extra delay: nanoseconds, never negative, bounded."""

    __slots__ = ("_p50_ns", "_p99_ns", "_tail_ns", "_upper_ns")

    def __init__(self, jitter: Jitter) -> None:
        self._p50_ns = jitter.p50_us * NS_PER_US
        self._p99_ns = jitter.p99_us * NS_PER_US
        # How much the delay grows while the survival probability falls by a factor of e.
        self._upper_ns = (self._p99_ns - self._p50_ns) / log(50)
        self._tail_ns = (jitter.p999_us * NS_PER_US - self._p99_ns) / log(10)

    def quantile_ns(self, share: float) -> int:
        """Give the delay that `share` (0 to 1) of all draws stay below."""
        if share <= 0.5:
            return round(2 * share * self._p50_ns)
        survival = max(1 - share, _LAST_SURVIVAL)
        if survival >= 0.01:
            return round(self._p50_ns + self._upper_ns * log(0.5 / survival))
        return round(self._p99_ns + self._tail_ns * log(0.01 / survival))

    def draw_ns(self, rng: Random) -> int:
        """Draw one delay; generators in the same state give the same delay."""
        return self.quantile_ns(rng.random())


@lru_cache(maxsize=64)
def median_of_sum_ns(there: Jitter, back: Jitter) -> int:
    """Give the median of the sum of two independent draws, one of each, in nanoseconds.

    Deterministic: the sum over all pairs of evenly spaced quantiles, and a bisection for the value that half
    of the pairs stay below.
    """
    first, second = _evenly_spaced(there), _evenly_spaced(back)
    low, high = first[0] + second[0], first[-1] + second[-1]
    while low < high:
        middle = (low + high) // 2
        if 2 * _pairs_within(first, second, middle) >= _STEPS * _STEPS:
            high = middle
        else:
            low = middle + 1
    return low


def _evenly_spaced(jitter: Jitter) -> list[int]:
    curve = JitterCurve(jitter)
    return [curve.quantile_ns((step + 0.5) / _STEPS) for step in range(_STEPS)]


def _pairs_within(first: list[int], second: list[int], limit: int) -> int:
    pairs = 0
    partners = len(second)
    for delay in first:
        while partners and delay + second[partners - 1] > limit:
            partners -= 1
        pairs += partners
    return pairs


def base_one_way_ns(tier: Tier) -> int:
    """Give the fixed part of a tier's one-way delay, in nanoseconds.

    Chosen so that base + draw + base + draw has the tier's RTT as its median. 0 when the jitter alone takes
    longer than that, which no tier read by `load_tiers` does.
    """
    both_ns = median_of_sum_ns(tier.jitter, tier.jitter)
    return max(0, (round(tier.rtt_us * NS_PER_US) - both_ns) // 2)
