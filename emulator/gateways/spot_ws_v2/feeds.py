"""Public feeds: one state per channel and pair; each update is encoded once for all subscribers."""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import islice

from emulator.engine.events import BookChanged, Traded
from emulator.engine.instruments import Instrument
from emulator.engine.market import Market
from emulator.engine.spot import SpotEngine
from emulator.gateways import checksums
from emulator.gateways.candle_rows import CandleRows
from emulator.gateways.depth_view import View
from emulator.gateways.feed import Feed
from emulator.gateways.numbers import rfc3339, text
from emulator.gateways.spot_ws_v2 import rows
from emulator.gateways.tape import Candle, PairTape, Statistics

SNAPSHOT_TRADES = 50
SNAPSHOT_CANDLES = 10
"""Candles in the snapshot of ``ohlc``, the running one counted even when it has had no trade yet."""


class BookFeed(Feed):
    """``book`` of one pair at one depth."""

    __slots__ = ("_asks", "_bids", "_depth", "_market")

    def __init__(self, market: Market, depth: int) -> None:
        super().__init__()
        self._market = market
        self._depth = depth
        self._bids = View(market.book.bids, depth)
        self._asks = View(market.book.asks, depth)

    def snapshot(self, now_ns: int) -> bytes:
        """Return the snapshot message: bids high to low, asks low to high."""
        book = self._market.book
        bids = [(level.price, level.qty) for level in book.bids.top(self._depth)]
        asks = [(level.price, level.qty) for level in book.asks.top(self._depth)]
        return self._message("snapshot", bids, asks, checksums.of_levels(self._market), now_ns)

    def update(self, event: BookChanged, crc: int) -> bytes | None:
        """Return the update message, or None when nothing within the depth changed."""
        book = self._market.book
        bids: list[tuple[int, int]] = []
        asks: list[tuple[int, int]] = []
        for key, quantity in event.changes:
            if key > 0:
                bids.extend(self._bids.change(book.bids, key, quantity))
            else:
                asks.extend((-level, size) for level, size in self._asks.change(book.asks, key, quantity))
        if not bids and not asks:
            return None
        return self._message("update", bids, asks, crc, event.time_ns)

    def _message(
        self,
        kind: str,
        bids: Sequence[tuple[int, int]],
        asks: Sequence[tuple[int, int]],
        crc: int,
        time_ns: int,
    ) -> bytes:
        pair = self._market.instrument
        bid_rows = ",".join(rows.level_row(pair, price, quantity) for price, quantity in bids)
        ask_rows = ",".join(rows.level_row(pair, price, quantity) for price, quantity in asks)
        return (
            f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{pair.symbol}","bids":[{bid_rows}],'
            f'"asks":[{ask_rows}],"checksum":{crc},"timestamp":"{rfc3339(time_ns)}"}}]}}'
        ).encode()


class TradeFeed(Feed):
    """``trade`` of one pair."""

    __slots__ = ("_pair",)

    def __init__(self, pair: Instrument) -> None:
        super().__init__()
        self._pair = pair

    def message(self, kind: str, trades: Sequence[Traded]) -> bytes:
        """Return a snapshot or an update; several fills of one order go in one message."""
        data = ",".join(self._row(trade) for trade in trades)
        return f'{{"channel":"trade","type":"{kind}","data":[{data}]}}'.encode()

    def _row(self, trade: Traded) -> str:
        pair = self._pair
        return (
            f'{{"symbol":"{pair.symbol}","side":"{"buy" if trade.taker_buy else "sell"}",'
            f'"price":{text(trade.price, pair.price_decimals)},"qty":{text(trade.qty, pair.lot_decimals)},'
            f'"ord_type":"{"market" if trade.market_order else "limit"}","trade_id":{trade.trade_id},'
            f'"timestamp":"{rfc3339(trade.time_ns)}"}}'
        )


class TickerFeed(Feed):
    """``ticker`` of one pair; with trigger ``bbo`` on each change of the top, else on each trade.

    ``in_usd`` gives the quote asset's price in USD where the wire tells ``volume_usd`` for ``trades``.
    """

    __slots__ = ("_in_usd", "_market", "_tape", "_top")

    def __init__(self, market: Market, tape: PairTape, in_usd: Callable[[], Fraction | None]) -> None:
        super().__init__()
        self._market = market
        self._tape = tape
        self._in_usd = in_usd
        self._top = self._best()

    def top_moved(self) -> bool:
        """Tell whether price or quantity of the best levels changed since the last call."""
        top = self._best()
        moved = top != self._top
        self._top = top
        return moved

    def message(self, kind: str, now_ns: int) -> bytes:
        """Return the whole ticker."""
        pair = self._market.instrument
        bid, bid_qty, ask, ask_qty = self._best()
        day = self._tape.day(now_ns)
        last = self._tape.last_price()[0]
        change = last - day.open
        percent = (20_000 * change + day.open) // (2 * day.open) if day.open else 0
        price, size = pair.price_decimals, pair.lot_decimals
        vwap = pair.average_price(day.cost, day.volume, price)
        return (
            f'{{"channel":"ticker","type":"{kind}","data":[{{"symbol":"{pair.symbol}",'
            f'"bid":{text(bid, price)},"bid_qty":{text(bid_qty, size)},'
            f'"ask":{text(ask, price)},"ask_qty":{text(ask_qty, size)},"last":{text(last, price)},'
            f'"volume":{text(day.volume, size)},"vwap":{text(vwap, price)},"low":{text(day.low, price)},'
            f'"high":{text(day.high, price)},"change":{text(change, price)},"change_pct":{text(percent, 2)},'
            f'{self._activity(day, last)},"timestamp":"{rfc3339(now_ns)}"}}]}}'
        ).encode()

    def _activity(self, day: Statistics, last: int) -> str:
        """Return how many trades there were, or what the volume is worth now."""
        rate = self._in_usd()
        if rate is None:
            return f'"trades":{day.trades}'
        cents = Fraction(day.volume * last, 10 ** (self._market.instrument.exact_decimals - 2))
        return f'"volume_usd":{text(round(cents * rate), 2)}'

    def _best(self) -> tuple[int, int, int, int]:
        bid, ask = self._market.book.bids.best(), self._market.book.asks.best()
        bid_top = (bid.price, bid.qty) if bid is not None else (0, 0)
        return bid_top + ((ask.price, ask.qty) if ask is not None else (0, 0))


class OhlcFeed(Feed):
    """``ohlc`` of one pair at one interval (minutes)."""

    __slots__ = ("_interval", "_pair", "_rows", "_tape")

    def __init__(self, pair: Instrument, interval: int, tape: PairTape, candle_rows: CandleRows) -> None:
        super().__init__()
        self._pair = pair
        self._interval = interval
        self._tape = tape
        self._rows = candle_rows

    def snapshot(self, now_ns: int) -> bytes:
        """Return the last candles that had trades, oldest first."""
        last = list(islice(self._traded(), SNAPSHOT_CANDLES))
        if last and (last[0].start_s + 60 * self._interval) * 10**9 <= now_ns:
            del last[SNAPSHOT_CANDLES - 1 :]  # the running one is counted, though it is not told
        return self._message("snapshot", last[::-1], now_ns)

    def _traded(self) -> Iterator[Candle]:
        """Give the candles that had trades, newest first."""
        return (candle for candle in reversed(self._tape.candles(self._interval)) if candle.trades)

    def update(self, now_ns: int) -> bytes | None:
        """Return the running candle."""
        candle = self._tape.running(self._interval)
        return None if candle is None else self._message("update", [candle], now_ns)

    def _message(self, kind: str, candles: Sequence[Candle], now_ns: int) -> bytes:
        data = b",".join(self._rows.rows(rows.candle_row, self._pair, self._interval, candles))
        head = f'{{"channel":"ohlc","type":"{kind}","timestamp":"{rfc3339(now_ns, 9)}","data":['
        return head.encode() + data + b"]}"


def instrument_snapshot(engine: SpotEngine) -> bytes:
    """Return the ``instrument`` snapshot: all assets and pairs (``data`` is an object here)."""
    assets = ",".join(
        f'{{"id":"{asset.name}","status":"{asset.status}","precision":{asset.decimals},'
        f'"precision_display":{asset.display_decimals},'
        f'"borrowable":{"true" if asset.margin_rate else "false"},'
        f'"collateral_value":{_padded(asset.collateral_value or "0", 3)},"class":"currency"'
        f'{f""","margin_rate":{_padded(asset.margin_rate, 6)}""" if asset.margin_rate else ""}}}'
        for asset in engine.catalogue.assets.values()
    )
    pairs = ",".join(_instrument_row(market) for market in engine.markets.values())
    return (
        f'{{"channel":"instrument","type":"snapshot","data":{{"assets":[{assets}],"pairs":[{pairs}]}}}}'
    ).encode()


def _padded(value: str, decimals: int) -> str:
    """Return a number of the catalogue with this many decimals at least."""
    whole, _, fraction = value.partition(".")
    fraction = fraction.ljust(decimals, "0")
    return f"{whole}.{fraction}" if fraction else whole


def instrument_update(market: Market) -> bytes:
    """Return the update of one pair."""
    row = _instrument_row(market)
    return f'{{"channel":"instrument","type":"update","data":{{"assets":[],"pairs":[{row}]}}}}'.encode()


def _instrument_row(market: Market) -> str:
    pair, margin = market.instrument, ""
    has_index = "true" if market.index_price else "false"
    if pair.leverage_buy:
        initial = 100 // max(pair.leverage_buy)
        margin = (
            f'"margin_initial":{text(initial, 2)},"position_limit_long":{pair.long_position_limit or 0},'
            f'"position_limit_short":{pair.short_position_limit or 0},'
        )
    return (
        f'{{"symbol":"{pair.symbol}","base":"{pair.base.name}","quote":"{pair.quote.name}",'
        f'"status":"{market.status.value}",'
        f'"qty_precision":{pair.lot_decimals},"qty_increment":{text(1, pair.lot_decimals)},'
        f'"price_precision":{pair.price_decimals},"cost_precision":{pair.cost_decimals},'
        f'"marginable":{"true" if pair.leverage_buy else "false"},"has_index":{has_index},'
        f'"ws_display_price_precision":{pair.price_decimals},'
        f'"cost_min":{_padded(pair.cost_min_text, pair.quote.display_decimals)},{margin}'
        f'"tick_size":{pair.tick_text},'
        f'"price_increment":{pair.tick_text},"qty_min":{text(pair.order_min, pair.lot_decimals)}}}'
    )
