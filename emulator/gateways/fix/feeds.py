"""Market data as FIX prints it: snapshots (W) and updates (X), each encoded once for all subscribers."""

from collections.abc import Sequence

from emulator.engine.book import BookSide
from emulator.engine.events import BookChanged, Traded
from emulator.engine.instruments import Instrument
from emulator.engine.market import Market
from emulator.engine.spot import SpotEngine
from emulator.gateways import checksums
from emulator.gateways.depth_view import View
from emulator.gateways.fix.reports import shortest
from emulator.gateways.fix.wire import time_only
from emulator.gateways.level3_view import Level3View
from emulator.gateways.numbers import rfc3339

BID, OFFER, TRADE = "0", "1", "2"
"""Values of 269."""
NEW, UPDATE, DELETE = "0", "1", "2"
"""Values of 279."""
_LEVEL3_ACTIONS = {"add": NEW, "modify": UPDATE, "delete": DELETE, "left": DELETE}


def _entry(pair: Instrument, entry_type: str, id_: str, price: str, quantity: int, time_ns: int) -> str:
    """Return one entry of a group, without its action."""
    return (
        f"269={entry_type}\x01278={id_}\x01270={price}\x01"
        f"271={shortest(quantity, pair.lot_decimals)}\x01273={time_only(time_ns)}\x01"
    )


def _level(pair: Instrument, side: BookSide, price: int, quantity: int, time_ns: int) -> str:
    digits = shortest(price, pair.price_decimals)
    kind, letter = (BID, "B") if side.sign > 0 else (OFFER, "O")
    return _entry(pair, kind, f"{letter}{digits}", digits, quantity, time_ns)


class BookFeed:
    """The aggregated book of one pair at one depth."""

    __slots__ = ("_depth", "_market", "_views")

    def __init__(self, market: Market, depth: int) -> None:
        self._market = market
        self._depth = depth
        self._views = {True: View(market.book.bids, depth), False: View(market.book.asks, depth)}

    def snapshot(self) -> str:
        """Return the group of a W: offers low to high, then bids high to low."""
        book, pair = self._market.book, self._market.instrument
        rows = [
            _level(pair, side, level.price, level.qty, level.changed_ns)
            for side in (book.asks, book.bids)
            for level in side.top(self._depth)
        ]
        return f"268={len(rows)}\x01{''.join(rows)}"

    def update(self, event: BookChanged) -> str | None:
        """Return the group of an X and the checksum, or None when nothing within the depth changed."""
        rows: list[str] = []
        pair = self._market.instrument
        for key, quantity in event.changes:
            side = self._market.book.side(key > 0)
            view = self._views[key > 0]
            action = UPDATE if key in view.quantities else NEW
            for place, (level_key, size) in enumerate(view.change(side, key, quantity)):
                level = side.levels.get(level_key)
                # The second one came into the depth because the first one left it: it has its old time.
                time_ns = event.time_ns if level is None or not place else level.changed_ns
                kind = NEW if place else action if size else DELETE
                rows.append(f"279={kind}\x01{_level(pair, side, level_key * side.sign, size, time_ns)}")
            if view.pushed_out is not None:
                gone, size = view.pushed_out
                entry = _level(pair, side, gone * side.sign, size, event.time_ns)
                rows.append(f"279={DELETE}\x01{entry}")
        if not rows:
            return None
        checksum = checksums.of_levels(self._market, self._depth)
        return f"268={len(rows)}\x01{''.join(rows)}5041={checksum}\x01"


class Level3Feed:
    """The book of one pair at one depth, order by order."""

    __slots__ = ("_market", "_view")

    def __init__(self, engine: SpotEngine, market: Market, depth: int) -> None:
        self._market = market
        self._view = Level3View(engine, market, depth)

    def snapshot(self) -> str:
        """Return the group of a W: offers low to high, then bids high to low, each level in queue order."""
        rows = [
            self._row(buy=buy, price=price, id_=entry.order_id, quantity=entry.qty, time_ns=entry.time_ns)
            for buy in (False, True)
            for price, entry in self._view.orders(buy=buy)
        ]
        return f"268={len(rows)}\x01{''.join(rows)}"

    def update(self, event: BookChanged) -> str | None:
        """Return the group of an X and the checksum, or None when nothing within the depth changed."""
        rows = []
        for kind, buy, price, entry in self._view.update(event):
            quantity = 0 if kind == "delete" else entry.qty
            time_ns = event.time_ns if kind in ("delete", "left") else entry.time_ns
            row = self._row(buy=buy, price=price, id_=entry.order_id, quantity=quantity, time_ns=time_ns)
            rows.append(f"279={_LEVEL3_ACTIONS[kind]}\x01{row}")
        if not rows:
            return None
        checksum = checksums.of_orders(self._market, self._view.depth)
        return f"268={len(rows)}\x01{''.join(rows)}5041={checksum}\x01"

    def _row(self, *, buy: bool, price: int, id_: str, quantity: int, time_ns: int) -> str:
        pair = self._market.instrument
        digits = shortest(price, pair.price_decimals)
        stamp = rfc3339(time_ns, 9)
        row = _entry(pair, BID if buy else OFFER, id_, digits, quantity, time_ns)
        return f"{row}5060={stamp}\x015273={stamp}\x01"


def trades(pair: Instrument, rows: Sequence[Traded]) -> str:
    """Return the group of an X that tells trades."""
    group = "".join(
        f"279={NEW}\x01"
        + _entry(
            pair,
            TRADE,
            str(trade.trade_id),
            shortest(trade.price, pair.price_decimals),
            trade.qty,
            trade.time_ns,
        )
        + f"40={'1' if trade.market_order else '2'}\x012446={'1' if trade.taker_buy else '2'}\x01"
        for trade in rows
    )
    return f"268={len(rows)}\x01{group}"
