"""What an account's verification tier allows (Kraken's trading rate limits guide)."""

from enum import StrEnum
from fractions import Fraction

import msgspec


class AccountTier(StrEnum):
    """Kraken's account tiers, in the names of its rate-limit tables."""

    STARTER = "starter"
    INTERMEDIATE = "intermediate"
    PRO = "pro"


class TierLimits(msgspec.Struct, frozen=True):
    """Limits of one account tier."""

    open_orders: int
    """Most open orders per pair."""
    engine_counter: int
    """Threshold of the matching-engine counter per pair (``maxratecount`` on WebSocket)."""
    engine_decay: int
    """What that counter loses a second, in hundredths."""
    rest_counter: int
    """Most that the counter of REST calls per key may reach."""
    rest_decay: int
    """What that counter loses a second, in hundredths."""


LIMITS = {
    AccountTier.STARTER: TierLimits(60, 60, 100, 15, 33),
    AccountTier.INTERMEDIATE: TierLimits(80, 125, 234, 20, 50),
    AccountTier.PRO: TierLimits(225, 180, 375, 20, 100),
}

SCHEDULED_ORDERS = 50
"""Most orders of an account that wait for their start time; Kraken's number is not published."""


class Counter:
    """A counter that decays with time, as all of Kraken's rate limits are.  Integers only."""

    __slots__ = ("_decay", "_time_ns", "_value")

    UNIT = 100 * 10**9
    """Internal units of one: a decay of hundredths a second is whole units a nanosecond."""

    def __init__(self, decay: int) -> None:
        self._decay = decay
        self._value = 0
        self._time_ns = 0

    def at(self, now_ns: int) -> int:
        r"""Return its value, in ``UNIT``\ s, and let it decay to now."""
        passed = now_ns - self._time_ns
        if passed > 0:
            self._value = max(self._value - passed * self._decay, 0)
            self._time_ns = now_ns
        return self._value

    def add(self, halves: int, now_ns: int) -> None:
        """Add a number of halves."""
        self._value = self.at(now_ns) + halves * (self.UNIT // 2)

    def count(self, now_ns: int) -> Fraction:
        """Return its value as a number, for reports."""
        return Fraction(self.at(now_ns), self.UNIT)


class AgeCosts(msgspec.Struct, frozen=True):
    """What a transaction adds to the engine counter by the order's age: ``(below seconds, cost)``."""

    steps: tuple[tuple[int, int], ...]

    def of(self, age_ns: int) -> int:
        """Return the cost at an age."""
        for seconds, cost in self.steps:
            if age_ns < seconds * 10**9:
                return cost
        return 0


AMEND = AgeCosts(((5, 3), (10, 2), (15, 1)))
EDIT = AgeCosts(((5, 6), (10, 5), (15, 4), (45, 2), (90, 1)))
CANCEL = AgeCosts(((5, 8), (10, 6), (15, 5), (45, 4), (90, 2), (300, 1)))
