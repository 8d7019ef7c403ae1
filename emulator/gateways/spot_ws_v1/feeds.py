"""Public feeds of WebSocket v1: one state per channel and pair; each update is encoded once."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from zlib import crc32

from emulator.engine.book import Level
from emulator.engine.events import BookChanged, Traded
from emulator.engine.market import Market
from emulator.gateways.depth_view import View
from emulator.gateways.feed import Feed
from emulator.gateways.spot_ws_v1 import codec
from emulator.gateways.tape import Candle, PairTape, Statistics

CHECKSUM_LEVELS = 10


def checksum(market: Market) -> int:
    """Return the CRC-32 of the ten best levels a side, asks first, over the texts that are printed.

    A text without its point and leading zeros is just the scaled integer.
    """
    pair, book = market.instrument, market.book
    scale = 10 ** (codec.price_decimals(pair) - pair.price_decimals)
    best = (*book.asks.top(CHECKSUM_LEVELS), *book.bids.top(CHECKSUM_LEVELS))
    return crc32("".join([f"{level.price * scale}{level.qty}" for level in best]).encode())


class V1Feed(Feed, ABC):
    """A feed with its channel's number and name."""

    __slots__ = ("_channel", "_id", "_market", "_pair")

    def __init__(self, market: Market, channel_id: int, channel: str) -> None:
        super().__init__()
        self._market = market
        self._pair = market.instrument
        self._id = channel_id
        self._channel = channel

    def _frame(self, *payloads: str) -> bytes:
        return codec.public(self._id, list(payloads), self._channel, self._pair)

    @abstractmethod
    def snapshot(self, now_ns: int) -> bytes | None:
        """Return what a new subscriber gets first; None for nothing."""


class BookFeed(V1Feed):
    """``book-D``: snapshots of both sides, then the levels that change."""

    __slots__ = ("_depth", "_views")

    def __init__(self, market: Market, channel_id: int, depth: int) -> None:
        super().__init__(market, channel_id, f"book-{depth}")
        self._depth = depth
        self._views = {True: View(market.book.bids, depth), False: View(market.book.asks, depth)}

    def snapshot(self, now_ns: int) -> bytes:
        """Return both sides, the best levels first."""
        book = self._market.book
        asks, bids = (
            ",".join(self._level(level.price, level.qty, level.changed_ns) for level in side.top(self._depth))
            for side in (book.asks, book.bids)
        )
        return self._frame(f'{{"as":[{asks}],"bs":[{bids}]}}')

    def update(self, event: BookChanged) -> bytes | None:
        """Return what changed within the depth; None when nothing did."""
        rows: dict[bool, list[str]] = {True: [], False: []}
        book = self._market.book
        for key, quantity in event.changes:
            buy = key > 0
            side = book.side(buy)
            changes = self._views[buy].change(side, key, quantity)
            for place, (level_key, size) in enumerate(changes):
                level: Level | None = side.levels.get(level_key)
                time_ns = event.time_ns if level is None or not place else level.changed_ns
                # The second one came into the depth because the first one left it: back into it, with the
                # time that it had, unless it is itself new or another one.
                again = place == 1 and all(level_key != changed for changed, _ in event.changes)
                rows[buy].append(self._level(level_key * side.sign, size, time_ns, again=again))
        if not (rows[True] or rows[False]):
            return None
        crc = f'"c":"{checksum(self._market)}"'
        if rows[True] and rows[False]:
            return self._frame(
                f'{{"a":[{",".join(rows[False])}]}}', f'{{"b":[{",".join(rows[True])}],{crc}}}'
            )
        name, changed = ("b", rows[True]) if rows[True] else ("a", rows[False])
        return self._frame(f'{{"{name}":[{",".join(changed)}],{crc}}}')

    def _level(self, price: int, quantity: int, time_ns: int, *, again: bool = False) -> str:
        pair = self._pair
        mark = ',"r"' if again else ""
        return (
            f'["{codec.price(pair, price)}","{codec.volume(pair, quantity)}",'
            f'"{codec.seconds(time_ns)}"{mark}]'
        )


class TradeFeed(V1Feed):
    """``trade``: the fills of one taker in one message; no snapshot."""

    __slots__ = ()

    def __init__(self, market: Market, channel_id: int, _: int) -> None:
        super().__init__(market, channel_id, "trade")

    def snapshot(self, now_ns: int) -> None:
        """Return nothing: none was recorded."""

    def update(self, trades: Sequence[Traded]) -> bytes:
        """Return the trades."""
        return self._frame(f"[{','.join(map(self._row, trades))}]")

    def _row(self, trade: Traded) -> str:
        pair = self._pair
        return (
            f'["{codec.price(pair, trade.price)}","{codec.volume(pair, trade.qty)}",'
            f'"{codec.seconds(trade.time_ns)}","{"b" if trade.taker_buy else "s"}",'
            f'"{"m" if trade.market_order else "l"}",""]'
        )


class SpreadFeed(V1Feed):
    """``spread``: best bid and ask, whenever one of them changes."""

    __slots__ = ("_last",)

    def __init__(self, market: Market, channel_id: int, _: int) -> None:
        super().__init__(market, channel_id, "spread")
        self._last = self.best()

    def best(self) -> tuple[int, int, int, int]:
        """Return price and quantity of the best bid and ask; zeros for an empty side."""
        bid, ask = self._market.book.bids.best(), self._market.book.asks.best()
        top = (bid.price, bid.qty) if bid is not None else (0, 0)
        return top + ((ask.price, ask.qty) if ask is not None else (0, 0))

    def snapshot(self, now_ns: int) -> bytes:
        """Return the spread as it is."""
        pair = self._pair
        bid, bid_qty, ask, ask_qty = self.best()
        return self._frame(
            f'["{codec.price(pair, bid)}","{codec.price(pair, ask)}","{codec.seconds(now_ns)}",'
            f'"{codec.volume(pair, bid_qty)}","{codec.volume(pair, ask_qty)}"]'
        )

    def update(self, event: BookChanged) -> bytes | None:
        """Return the new spread; None when it is what it was."""
        best = self.best()
        if best == self._last:
            return None
        self._last = best
        return self.snapshot(event.time_ns)


class TickerFeed(V1Feed):
    """``ticker``: today's numbers and those of 24 hours, on every trade and every change of the best."""

    __slots__ = ("_spread", "_tape")

    def __init__(self, market: Market, channel_id: int, tape: PairTape) -> None:
        super().__init__(market, channel_id, "ticker")
        self._tape = tape
        self._spread = SpreadFeed(market, channel_id, 0)

    def moved(self, event: BookChanged) -> bool:
        """Tell whether the best levels changed."""
        return self._spread.update(event) is not None

    def snapshot(self, now_ns: int) -> bytes:
        """Return the whole ticker."""
        pair = self._pair
        today, day = self._tape.today(now_ns), self._tape.day(now_ns)
        bid, bid_qty, ask, ask_qty = self._spread.best()
        last_price, last_qty = self._tape.last_price()

        def both(value: str, *names: int) -> str:
            return f'"{value}":[{",".join(map(str, names))}]'

        def prices(name: str, pick: str) -> str:
            # Before today's first trade its prices are the last one, as over REST.
            first, second = (codec.price(pair, getattr(part, pick) or last_price) for part in (today, day))
            return f'"{name}":["{first}","{second}"]'

        return self._frame(
            "{"
            + ",".join(
                (
                    self._side("a", ask, ask_qty),
                    self._side("b", bid, bid_qty),
                    f'"c":["{codec.price(pair, last_price)}","{codec.volume(pair, last_qty)}"]',
                    f'"v":["{codec.volume(pair, today.volume)}","{codec.volume(pair, day.volume)}"]',
                    f'"p":["{self._vwap(today)}","{self._vwap(day)}"]',
                    both("t", today.trades, day.trades),
                    prices("l", "low"),
                    prices("h", "high"),
                    prices("o", "open"),
                )
            )
            + "}"
        )

    def _side(self, name: str, price: int, qty: int) -> str:
        pair = self._pair
        whole = qty // 10**pair.lot_decimals
        return f'"{name}":["{codec.price(pair, price)}",{whole},"{codec.volume(pair, qty)}"]'

    def _vwap(self, part: Statistics) -> str:
        return codec.average(self._pair, part.cost, part.volume)


class OhlcFeed(V1Feed):
    """``ohlc-N``: the running candle, on every trade."""

    __slots__ = ("_interval", "_tape")

    def __init__(self, market: Market, channel_id: int, interval: int, tape: PairTape) -> None:
        super().__init__(market, channel_id, f"ohlc-{interval}")
        self._interval = interval
        self._tape = tape

    def snapshot(self, now_ns: int) -> bytes | None:
        """Return the last candle that had trades."""
        candles = self._tape.candles(self._interval)
        return self._candle(candles[-1], now_ns) if candles else None

    def update(self, now_ns: int) -> bytes | None:
        """Return the running candle."""
        candle = self._tape.running(self._interval)
        return None if candle is None else self._candle(candle, now_ns)

    def _candle(self, candle: Candle, now_ns: int) -> bytes:
        pair = self._pair
        end_ns = (candle.start_s + self._interval * 60) * 10**9
        values = (
            codec.seconds(now_ns),
            codec.seconds(end_ns),
            *(codec.price(pair, getattr(candle, name)) for name in ("open", "high", "low", "close")),
            codec.average(pair, candle.cost, candle.volume),
            codec.volume(pair, candle.volume),
        )
        texts = ",".join(f'"{value}"' for value in values)
        return self._frame(f"[{texts},{candle.trades}]")
