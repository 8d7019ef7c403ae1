"""Rate limits at the venue's edge: calls per key, calls and connections per address, lockouts.

Sources: Kraken's rate-limit guides and support pages (reference: spot REST 2.1 and 2.2, WebSocket 1.3).  What
the engine counts per account and pair is in ``engine/limits.py``.
"""

from collections.abc import Callable
from typing import TypeVar

from emulator.engine.limits import LIMITS, AccountTier, Counter
from emulator.gateways.errors import VenueError

PUBLIC_BURST = 30
"""Public calls that an address may make at once; it was recorded that the 31st is refused."""
PUBLIC_REFILL = 100
"""Public calls that it regains, in hundredths a second."""
PER_PAIR = frozenset({"Trades", "OHLC"})
"""Public calls that are counted per address and pair."""
HISTORY_COST = 2
"""What calls for ledgers and trades cost; one of Kraken's pages says 2, an older one 4."""
MOST_CONNECTIONS = 150
"""WebSocket connections that an address may open in ``CONNECTIONS_NS``."""
CONNECTIONS_NS = 600 * 10**9
"""After too many, the address is refused for as long."""
MOST_FAILURES = 50
"""Bad keys, signatures and nonces in a row that lock an address out; Kraken's number is not published."""
LOCKOUT_NS = 900 * 10**9
MOST_ADDRESSES = 10_000
"""Addresses (and keys) that are remembered; the oldest is forgotten first."""
_T = TypeVar("_T")


class _Visitor:
    """What is remembered of an address."""

    __slots__ = ("attempts", "failures", "locked_until_ns", "public", "refused_until_ns")

    def __init__(self) -> None:
        self.public: dict[str, Counter] = {}
        self.attempts: list[int] = []
        self.refused_until_ns = 0
        self.failures = 0
        self.locked_until_ns = 0


class RateLimits:
    """Counts, and refuses what is too much; everything passes while they are off."""

    def __init__(self, *, on: bool = True) -> None:
        self.on = on
        self._visitors: dict[str, _Visitor] = {}
        self._keys: dict[str, Counter] = {}

    def forget(self) -> None:
        """Forget what was counted, and who is locked out."""
        self._visitors.clear()
        self._keys.clear()

    def public(self, address: str, method: str, pair: str, now_ns: int) -> None:
        """Count a public call; VenueError when there were too many."""
        if not self.on:
            return
        counters = self._visitor(address).public
        scope = f"{method} {pair.upper()}" if method in PER_PAIR else ""
        counter = _remembered(counters, scope, lambda: Counter(PUBLIC_REFILL))
        if counter.at(now_ns) > (PUBLIC_BURST - 1) * counter.UNIT:
            raise VenueError(
                "EGeneral:Too many requests",
                "{} made {} public calls at once; it regains one a second",
                address,
                PUBLIC_BURST,
            )
        counter.add(2, now_ns)

    def private(self, key: str, tier: AccountTier, cost: int, now_ns: int) -> None:
        """Count a private call of a key; VenueError when its counter is above the tier's."""
        if not self.on or not cost:
            return
        limits = LIMITS[tier]
        counter = _remembered(self._keys, key, lambda: Counter(limits.rest_decay))
        top = limits.rest_counter * counter.UNIT
        if counter.at(now_ns) + cost * counter.UNIT > top:
            raise VenueError(
                "EAPI:Rate limit exceeded",
                "the key's counter is {:.2f} of {}, and the call costs {}",
                counter.at(now_ns) / counter.UNIT,
                limits.rest_counter,
                cost,
            )
        counter.add(2 * cost, now_ns)

    def connects(self, address: str, now_ns: int) -> bool:
        """Count an attempt to open a WebSocket; tell whether it may go on."""
        if not self.on:
            return True
        visitor = self._visitor(address)
        if now_ns < visitor.refused_until_ns:
            return False
        visitor.attempts = [at for at in visitor.attempts if at > now_ns - CONNECTIONS_NS]
        visitor.attempts.append(now_ns)
        if len(visitor.attempts) > MOST_CONNECTIONS:
            visitor.attempts.clear()
            visitor.refused_until_ns = now_ns + CONNECTIONS_NS
            return False
        return True

    def check_lockout(self, address: str, now_ns: int) -> None:
        """Refuse an address that has failed to authenticate too often; VenueError."""
        if self.on and now_ns < self._visitor(address).locked_until_ns:
            left_s = (self._visitor(address).locked_until_ns - now_ns) / 1e9
            raise VenueError(
                "EGeneral:Temporary lockout",
                "{} failed {} times to authenticate; {:.0f} s are left",
                address,
                MOST_FAILURES,
                left_s,
            )

    def authenticated(self, address: str, now_ns: int, *, well: bool) -> None:
        """Remember how an authentication went."""
        if not self.on:
            return
        visitor = self._visitor(address)
        visitor.failures = 0 if well else visitor.failures + 1
        if visitor.failures >= MOST_FAILURES:
            visitor.failures = 0
            visitor.locked_until_ns = now_ns + LOCKOUT_NS

    def _visitor(self, address: str) -> _Visitor:
        return _remembered(self._visitors, address, _Visitor)


def _remembered(known: dict[str, _T], name: str, make: Callable[[], _T]) -> _T:
    """Return what is known by ``name``, made when it is new; the oldest one gives way."""
    found = known.get(name)
    if found is None:
        if len(known) >= MOST_ADDRESSES:
            del known[next(iter(known))]
        found = known[name] = make()
    return found
