"""The tape: public trades, candles, 24-hour statistics and spreads of every pair.

It hears the engine's events, and it can be given a past: what traded before the venue started.
Amounts are integers in the pair's units (see ``engine.instruments``).
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import attrgetter
from typing import Protocol

from emulator.engine.events import BookChanged, Event, Traded
from emulator.engine.spot import SpotEngine

INTERVALS = (1, 5, 15, 30, 60, 240, 1440, 10080, 21600)
"""Candle intervals in minutes."""
CANDLES = 720
"""Committed candles kept per interval."""
TRADES = 10_000
"""Live trades kept per pair."""
SPREADS = 250
"""Spread rows kept per pair."""

_DAY_S = 86_400
_PAST_BUCKET = 15
"""Minutes per bucket of the past in the 24-hour statistics."""


class Candle:
    """One candle; ``cost`` is the exact cost of its trades, so vwap = cost / volume."""

    __slots__ = ("close", "cost", "high", "low", "open", "start_s", "trades", "volume")

    def __init__(
        self,
        start_s: int,
        open_: int,
        high: int,
        low: int,
        close: int,
        volume: int = 0,
        cost: int = 0,
        trades: int = 0,
    ) -> None:
        self.start_s = start_s
        self.open = open_
        self.high = high
        self.low = low
        self.close = close
        self.volume = volume
        self.cost = cost
        self.trades = trades

    def add(self, price: int, quantity: int) -> None:
        """Take a trade in."""
        if price > self.high:  # not max(): nine candles are told of each trade
            self.high = price
        elif price < self.low:
            self.low = price
        self.close = price
        self.volume += quantity
        self.cost += price * quantity
        self.trades += 1

    @classmethod
    def of(cls, row: "PastCandle") -> "Candle":
        """Return a copy of a candle of the past."""
        return cls(row.start_s, row.open, row.high, row.low, row.close, row.volume, row.cost, row.trades)

    def joined(self, later: "Candle") -> "Candle":
        """Return this candle followed by ``later``."""
        return Candle(
            self.start_s,
            self.open,
            max(self.high, later.high),
            min(self.low, later.low),
            later.close,
            self.volume + later.volume,
            self.cost + later.cost,
            self.trades + later.trades,
        )


class PastCandle(Protocol):
    """A candle of the past; fields as of Candle."""

    @property
    def start_s(self) -> int: ...  # noqa: D102
    @property
    def open(self) -> int: ...  # noqa: D102
    @property
    def high(self) -> int: ...  # noqa: D102
    @property
    def low(self) -> int: ...  # noqa: D102
    @property
    def close(self) -> int: ...  # noqa: D102
    @property
    def volume(self) -> int: ...  # noqa: D102
    @property
    def cost(self) -> int: ...  # noqa: D102
    @property
    def trades(self) -> int: ...  # noqa: D102


class Past(Protocol):
    """What traded before the venue started (see ``emulator.market.history``)."""

    def has(self, pair: str) -> bool:
        """Tell whether a pair was traded in at all."""

    def candles(self, pair: str, interval_minutes: int, limit: int) -> Sequence[PastCandle]:
        """Return the last ``limit`` candles that ended before the start, oldest first."""

    def partial(self, pair: str, interval_minutes: int) -> PastCandle | None:
        """Return the part of the candle running at the start that lies before it."""

    def trades(self, pair: str, since_ns: int, limit: int) -> Sequence[Traded]:
        """Return the oldest ``limit`` trades after ``since_ns``."""

    def last_trades(self, pair: str, limit: int) -> Sequence[Traded]:
        """Return the newest ``limit`` trades, oldest first."""

    def load(self) -> Iterator[None]:
        """Prepare, a little a step, what would hold up the first who asks for it."""


class Statistics:
    """Totals over a window that ends now: the last 24 hours, or since midnight UTC."""

    __slots__ = ("buckets", "cost", "high", "low", "trades", "volume")

    def __init__(self) -> None:
        self.buckets: deque[Candle] = deque()
        self.volume = 0
        self.cost = 0
        self.trades = 0
        self.high = 0
        self.low = 0

    @property
    def open(self) -> int:
        """First price of the window."""
        return self.buckets[0].open if self.buckets else 0

    def append(self, bucket: Candle) -> None:
        """Add a bucket at the end."""
        self.buckets.append(bucket)
        self.volume += bucket.volume
        self.cost += bucket.cost
        self.trades += bucket.trades
        self._stretch(bucket.high, bucket.low)

    def trade(self, minute_s: int, price: int, quantity: int) -> None:
        """Take a trade in."""
        if not self.buckets or self.buckets[-1].start_s < minute_s:
            self.buckets.append(Candle(minute_s, price, price, price, price))
        self.buckets[-1].add(price, quantity)
        self.volume += quantity
        self.cost += price * quantity
        self.trades += 1
        self._stretch(price, price)

    def drop_before(self, start_s: int) -> None:
        """Forget the buckets that started before ``start_s``."""
        extremes_left = False
        while self.buckets and self.buckets[0].start_s < start_s:
            old = self.buckets.popleft()
            self.volume -= old.volume
            self.cost -= old.cost
            self.trades -= old.trades
            extremes_left = extremes_left or old.high == self.high or old.low == self.low
        if extremes_left:
            self.high = max((b.high for b in self.buckets), default=0)
            self.low = min((b.low for b in self.buckets), default=0)

    def _stretch(self, high: int, low: int) -> None:
        self.high = max(self.high, high)
        self.low = min(self.low, low) if self.low else low


class PairTape:
    """The tape of one pair."""

    def __init__(self, pair: str, past: Past | None, start_ns: int) -> None:
        self._pair = pair
        self._past = past
        self._start_s = start_ns // 10**9 // 60 * 60
        self._live: dict[int, list[Candle]] = {interval: [] for interval in INTERVALS}
        self._past_rows: dict[int, list[Candle]] = {}
        self._newest: list[Traded] = []
        self._newest_asked = 0
        self._day: Statistics | None = None
        self._today = Statistics()
        self._today_s = 0
        self.live_trades: deque[Traded] = deque(maxlen=TRADES)
        self.spreads: deque[tuple[int, int, int]] = deque(maxlen=SPREADS)
        """Rows of (second, best bid, best ask), one per change."""

    def trade(self, trade: Traded) -> None:
        """Take a public trade in."""
        self.live_trades.append(trade)
        seconds = trade.time_ns // 10**9
        for interval, rows in self._live.items():
            start = seconds - seconds % (interval * 60)
            if not rows or rows[-1].start_s < start:
                rows.append(Candle(start, trade.price, trade.price, trade.price, trade.price))
                if len(rows) > CANDLES + 1:
                    del rows[0]
            rows[-1].add(trade.price, trade.qty)
        if self._day is not None:
            minute = seconds - seconds % 60
            self._roll(seconds)
            self._day.trade(minute, trade.price, trade.qty)
            self._today.trade(minute, trade.price, trade.qty)

    def forget(self) -> None:
        """Forget what has traded since the start."""
        self._live = {interval: [] for interval in INTERVALS}
        self._day, self._today, self._today_s = None, Statistics(), 0
        self.live_trades.clear()
        self.spreads.clear()

    # -- trades -----------------------------------------------------------------------------------

    def trades_after(self, since_ns: int, limit: int) -> list[Traded]:
        """Return the oldest ``limit`` trades later than ``since_ns``."""
        rows: list[Traded] = []
        if self._past is not None and since_ns < self._start_s * 10**9:
            rows.extend(self._past.trades(self._pair, since_ns, limit))
        rows.extend(self.live_after(since_ns, limit - len(rows)))
        return rows

    def live_after(self, since_ns: int, limit: int) -> Iterator[Traded]:
        """Return the oldest ``limit`` trades since the start that are later than ``since_ns``."""
        first = bisect_right(self.live_trades, since_ns, key=attrgetter("time_ns"))
        return islice(self.live_trades, first, first + limit)

    def last_trades(self, limit: int) -> list[Traded]:
        """Return the newest ``limit`` trades, oldest first."""
        live = list(islice(reversed(self.live_trades), limit))[::-1]
        missing = limit - len(live)
        if missing and self._past is not None:
            return [*self._past_newest(missing), *live]
        return live

    def _past_newest(self, limit: int) -> list[Traded]:
        """Return the newest trades from before the start; the most that anybody asked for are kept."""
        if self._past is not None and limit > self._newest_asked:
            self._newest_asked = limit
            self._newest = list(self._past.last_trades(self._pair, limit))
        return self._newest[-limit:]

    def last_price(self) -> tuple[int, int]:
        """Return price and quantity of the last trade; zeros when nothing has traded yet."""
        last = self.last_trades(1)
        return (last[-1].price, last[-1].qty) if last else (0, 0)

    # -- candles ----------------------------------------------------------------------------------

    def candles(self, interval: int) -> list[Candle]:
        """Return the candles that had trades, oldest first, at most 720 and the running one."""
        past, live = self._past_candles(interval), self._live[interval]
        if past and live and past[-1].start_s == live[0].start_s:
            return [*past[:-1], past[-1].joined(live[0]), *live[1:]][-CANDLES - 1 :]
        return [*past, *live][-CANDLES - 1 :]

    def _past_candles(self, interval: int) -> list[Candle]:
        """Return the candles from before the start; the last may have been cut short by it."""
        if self._past is None:
            return []
        rows = self._past_rows.get(interval)
        if rows is None:
            rows = [Candle.of(row) for row in self._past.candles(self._pair, interval, CANDLES)]
            partial = self._past.partial(self._pair, interval)
            if partial is not None:
                rows.append(Candle.of(partial))
            self._past_rows[interval] = rows
        return rows

    def running(self, interval: int) -> Candle | None:
        """Return the newest candle that had a trade since the start, with its past part."""
        live = self._live[interval]
        return self.candles(interval)[-1] if len(live) == 1 else live[-1] if live else None

    def filled_candles(self, interval: int, now_ns: int) -> list[Candle]:
        """Return the candles without gaps up to the running one; a quiet one repeats the last close."""
        step = interval * 60
        end = now_ns // 10**9 // step * step
        rows: list[Candle] = []
        for candle in self.candles(interval):
            if rows and candle.start_s - rows[-1].start_s > step:
                rows.extend(_quiet(rows[-1], candle.start_s, step))
            rows.append(candle)
        if rows:
            rows.extend(_quiet(rows[-1], end + step, step))
        return rows[-CANDLES - 1 :]

    # -- statistics -------------------------------------------------------------------------------

    def day(self, now_ns: int) -> Statistics:
        """Return the statistics of the last 24 hours."""
        if self._day is None:
            self._day = self._load(now_ns // 10**9)
        self._roll(now_ns // 10**9)
        return self._day

    def today(self, now_ns: int) -> Statistics:
        """Return the statistics since 00:00 UTC."""
        self.day(now_ns)
        return self._today

    def _load(self, seconds: int) -> Statistics:
        """Gather the past day once, when it is first asked for."""
        day = Statistics()
        self._today_s = seconds - seconds % _DAY_S
        for bucket in (*self._past_day(), *self._live[1]):
            day.append(Candle.of(bucket))
            if bucket.start_s >= self._today_s:
                self._today.append(Candle.of(bucket))
        return day

    def _past_day(self) -> list[PastCandle]:
        if self._past is None:
            return []
        rows = self._past.candles(self._pair, _PAST_BUCKET, _DAY_S // 60 // _PAST_BUCKET)
        partial = self._past.partial(self._pair, _PAST_BUCKET)
        return [*rows, partial] if partial is not None else [*rows]

    def _roll(self, seconds: int) -> None:
        if self._day is not None:
            self._day.drop_before(seconds - _DAY_S)
        if seconds - self._today_s >= _DAY_S:
            self._today_s = seconds - seconds % _DAY_S
            self._today.drop_before(self._today_s)


def _quiet(last: Candle, until_s: int, step: int) -> Iterable[Candle]:
    starts = range(last.start_s + step, until_s, step)
    return (Candle(start, last.close, last.close, last.close, last.close) for start in starts[-CANDLES - 1 :])


class Tape:
    """The tapes of all pairs."""

    def __init__(self, engine: SpotEngine, past: Past | None, start_ns: int) -> None:
        self._engine = engine
        self._past = past
        self.pairs = {
            name: PairTape(name, past if past is not None and past.has(name) else None, start_ns)
            for name in engine.markets
        }
        self._best: dict[str, tuple[int, int]] = {}

    def load_days(self, now_ns: int) -> Iterator[None]:
        """Gather the 24-hour statistics, then what the past prepares, in steps that hold nobody up."""
        for pair in self.pairs.values():
            pair.day(now_ns)
            yield
        if self._past is not None:
            yield from self._past.load()

    def forget(self) -> None:
        """Forget what has happened since the start."""
        for pair in self.pairs.values():
            pair.forget()
        self._best.clear()

    def hear(self, events: list[Event]) -> None:
        """Take a batch of events in."""
        for event in events:
            if type(event) is Traded:
                self.pairs[event.pair].trade(event)
            elif type(event) is BookChanged:
                self._note_spread(event)

    def _note_spread(self, event: BookChanged) -> None:
        book = self._engine.markets[event.pair].book
        bids, asks = book.bids.keys, book.asks.keys
        best = (bids[-1] if bids else 0, -asks[-1] if asks else 0)
        if self._best.get(event.pair) != best:
            self._best[event.pair] = best
            if best[0] and best[1]:
                self.pairs[event.pair].spreads.append((event.time_ns // 10**9, *best))
