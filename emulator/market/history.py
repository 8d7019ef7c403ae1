"""The synthetic past: candles and trades before the start, generated from the seed when asked for.

A day's candle comes from one price path per asset; each candle is cut into shorter ones by a
random stream of its own (``subdivide``), down to minutes, and a minute into its trades.  So any
stretch of it can be had without the rest, it is always the same, and everything adds up.
"""

from array import array
from collections import OrderedDict
from collections.abc import Iterator
from random import Random

from emulator.engine.events import Traded
from emulator.engine.instruments import Catalogue
from emulator.market.candles import DAY, LENGTHS_S, MINUTE, Candle, aggregate
from emulator.market.past_days import PastDays
from emulator.market.past_trades import trades_of_minute
from emulator.market.profile import DAY_S, MarketProfile
from emulator.market.seeds import place_in, stream
from emulator.market.subdivide import subdivide

INTERVALS_MIN = (1, 5, 15, 30, 60, 240, 1440, 10_080, 21_600)
"""Candle lengths in minutes, as in REST ``OHLC``; each is aligned to multiples of itself."""

_LEVELS = {length // 60: level for level, length in enumerate(LENGTHS_S)}
_HOUR = _LEVELS[60]
_CACHED = 12_000
"""Most candles whose children are remembered, and most days."""
_MADE = 400
"""Minutes whose trades are remembered, those made last."""
_COUNTED = 40
"""Days whose trades are counted in one step."""


class SyntheticPast:
    """The past of every pair, by pair id.  Its end is ``start_ns`` rounded down to the minute."""

    def __init__(self, catalogue: Catalogue, profile: MarketProfile, seed: int, start_ns: int) -> None:
        self.end_s = start_ns // (60 * 10**9) * 60
        """Where the past ends, in seconds since the epoch."""
        self._pairs = {name: pair for name, pair in catalogue.pairs.items() if name in profile.pairs}
        self._days = PastDays(catalogue, profile, seed, self.end_s)
        self._streams = {name: stream(seed, f"{name} candles") for name in self._pairs}
        self._rng = Random(0)
        self._made: OrderedDict[tuple[str, int], list[Traded]] = OrderedDict()
        self._counts: dict[str, array[int]] = {}
        """Trades of the last 0, 1, 2, … days, by pair."""
        self._cache: OrderedDict[tuple[str, int, int], tuple[Candle, ...]] = OrderedDict()

    @property
    def begin_s(self) -> int:
        """Where the past begins, in seconds since the epoch."""
        return self._days.first * DAY_S

    def has(self, pair_id: str) -> bool:
        """Tell whether a pair was traded in at all."""
        return pair_id in self._pairs

    # -- candles ----------------------------------------------------------------------------------

    def candles(self, pair_id: str, interval_minutes: int, limit: int) -> list[Candle]:
        """Return the last ``limit`` whole candles before the end, oldest first."""
        length = _length_s(interval_minutes)
        end = self.end_s // length * length
        oldest = -(-self.begin_s // length) * length
        first = max(end - limit * length, oldest)
        nodes = self._between(pair_id, min(length, DAY_S), first, end)
        if length <= DAY_S:
            return nodes
        days = length // DAY_S
        return [aggregate(nodes[at : at + days], nodes[at].start_s) for at in range(0, len(nodes), days)]

    def partial(self, pair_id: str, interval_minutes: int) -> Candle | None:
        """Return the past minutes of the candle that runs at the end; None when it begins there."""
        length = _length_s(interval_minutes)
        start = self.end_s // length * length
        nodes = self._between(pair_id, min(length, DAY_S), start, self.end_s)
        return aggregate(nodes, start) if nodes else None

    def _between(self, pair_id: str, length: int, from_s: int, to_s: int) -> list[Candle]:
        """Return the candles of ``length`` seconds that begin in [from_s, to_s)."""
        if from_s >= to_s:
            return []
        nodes = [self._day(pair_id, day) for day in range(from_s // DAY_S, (to_s - 1) // DAY_S + 1)]
        for level in range(_LEVELS[length // 60]):
            step = LENGTHS_S[level + 1]
            nodes = [
                child
                for node in nodes
                for child in self._children(pair_id, level, node)
                if from_s < child.start_s + step and child.start_s < to_s
            ]
        return nodes

    def _day(self, pair_id: str, day: int) -> Candle:
        key = (pair_id, -1, day)
        found = self._cached(key)
        return found[0] if found else self._remember(key, (self._days.candle(pair_id, day),))[0]

    def _children(self, pair_id: str, level: int, node: Candle) -> tuple[Candle, ...]:
        """Return the candles of the next level inside ``node``."""
        key = (pair_id, level, node.start_s)
        found = self._cached(key)
        if found is not None:
            return found
        rng = self._rng
        rng.seed(place_in(self._streams[pair_id], node.start_s + level))
        end_s = min(node.start_s + LENGTHS_S[level], self.end_s)
        return self._remember(key, subdivide(node, level, end_s, self._pairs[pair_id].tick, rng))

    def _cached(self, key: tuple[str, int, int]) -> tuple[Candle, ...] | None:
        found = self._cache.get(key)
        if found is not None:
            self._cache.move_to_end(key)
        return found

    def _remember(self, key: tuple[str, int, int], candles: tuple[Candle, ...]) -> tuple[Candle, ...]:
        self._cache[key] = candles
        if len(self._cache) > _CACHED:
            self._cache.popitem(last=False)
        return candles

    # -- trades -----------------------------------------------------------------------------------

    def first_trade_id(self, pair_id: str) -> int:
        """Return the id that the first live trade gets; the last past one has the id before it."""
        return self._days.first_trade_id(pair_id)

    def trades(self, pair_id: str, since_ns: int, limit: int) -> list[Traded]:
        """Return the oldest ``limit`` trades after ``since_ns`` (exclusive), oldest first."""
        from_s = max(since_ns // (60 * 10**9) * 60, self.begin_s)
        found: list[Traded] = []
        trade_id = self.first_trade_id(pair_id) - self._count_from(pair_id, from_s)
        for hour_s in range(from_s - from_s % LENGTHS_S[_HOUR], self.end_s, LENGTHS_S[_HOUR]):
            for minute in self._minutes(pair_id, max(hour_s, from_s), hour_s + LENGTHS_S[_HOUR]):
                made = self._trades_of(pair_id, minute, trade_id)
                trade_id += minute.trades
                found.extend(trade for trade in made if trade.time_ns > since_ns)
                if len(found) >= limit:
                    return found[:limit]
        return found

    def last_trades(self, pair_id: str, limit: int) -> list[Traded]:
        """Return the last ``limit`` trades of the past, oldest first."""
        minutes: list[Candle] = []
        count = 0
        hour_s = (self.end_s - 1) // LENGTHS_S[_HOUR] * LENGTHS_S[_HOUR]
        while count < limit and hour_s >= self.begin_s:
            for minute in reversed(self._minutes(pair_id, hour_s, hour_s + LENGTHS_S[_HOUR])):
                if count < limit:
                    minutes.append(minute)
                    count += minute.trades
            hour_s -= LENGTHS_S[_HOUR]
        found: list[Traded] = []
        trade_id = self.first_trade_id(pair_id) - count
        for minute in reversed(minutes):
            found.extend(self._trades_of(pair_id, minute, trade_id))
            trade_id += minute.trades
        return found[-limit:] if limit > 0 else []

    def _minutes(self, pair_id: str, from_s: int, to_s: int) -> list[Candle]:
        """Return the minutes in [from_s, to_s) that have trades."""
        nodes = self._between(pair_id, LENGTHS_S[MINUTE], from_s, min(to_s, self.end_s))
        return [node for node in nodes if node.trades]

    def _trades_of(self, pair_id: str, minute: Candle, first_id: int) -> list[Traded]:
        key = (pair_id, minute.start_s)
        made = self._made.get(key)
        if made is None:
            rng = self._rng
            rng.seed(place_in(self._streams[pair_id], minute.start_s + MINUTE))
            made = trades_of_minute(pair_id, minute, first_id, self._pairs[pair_id].tick, rng)
            self._made[key] = made
            if len(self._made) > _MADE:
                self._made.popitem(last=False)
        return made

    def _count_from(self, pair_id: str, from_s: int) -> int:
        """Return how many trades there are from the minute ``from_s`` on."""
        if from_s >= self.end_s:
            return 0
        day = from_s // DAY_S
        count = self._count_of_days(pair_id, self._days.last - day)
        node = self._day(pair_id, day)
        for level in range(DAY, MINUTE):
            children = self._children(pair_id, level, node)
            at = (from_s - node.start_s) // LENGTHS_S[level + 1]
            count += sum(child.trades for child in children[at + 1 :])
            node = children[at]
        return count + node.trades

    def load(self) -> Iterator[None]:
        """Count the trades of all days, some of a pair a step: numbering the oldest ones takes all counts."""
        for pair_id in self._pairs:
            for days in range(_COUNTED, self._days.last - self._days.first + _COUNTED, _COUNTED):
                self._count_of_days(pair_id, min(days, self._days.last - self._days.first))
                yield

    def _count_of_days(self, pair_id: str, days: int) -> int:
        """Return how many trades the last ``days`` days have."""
        counts = self._counts.setdefault(pair_id, array("q", [0]))
        while len(counts) <= days:
            day = self._days.last + 1 - len(counts)
            counts.append(counts[-1] + self._days.candle(pair_id, day).trades)
        return counts[days]


def _length_s(interval_minutes: int) -> int:
    if interval_minutes not in INTERVALS_MIN:
        raise ValueError(f"no candles of {interval_minutes} minutes")
    return interval_minutes * 60
