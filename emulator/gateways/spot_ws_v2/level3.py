"""``level3``: every order of the best price levels, in queue order (Kraken's level 3 guide).

The depth counts price levels.  A level that comes into it brings all its orders; one that falls out
of it goes silently.  Nothing is kept for a pair that nobody listens to.
"""

from typing import NamedTuple
from zlib import crc32

from emulator.engine.book import BookSide, Level
from emulator.engine.events import BookChanged
from emulator.engine.market import Market
from emulator.engine.spot import SpotEngine
from emulator.gateways.depth_view import View
from emulator.gateways.feed import Feed
from emulator.gateways.numbers import rfc3339, text
from emulator.gateways.spot_ws_v2.feeds import CHECKSUM_LEVELS

DEPTHS = (10, 100, 1000)


class _Entry(NamedTuple):
    """An order as it was last published."""

    order_id: str
    place: int
    """Where it came into the queue: another number after it has lost its priority."""
    qty: int
    time_ns: int


def entries(engine: SpotEngine, level: Level) -> list[_Entry]:
    """Return the orders of a level, oldest first; hidden parts of icebergs are not there."""
    found = []
    order = level.head
    while order is not None:
        found.append(_Entry(engine.order_id(order), order.place, order.shown, order.touched_ns))
        order = order.next
    return found


def checksum(market: Market) -> int:
    """Return the CRC-32 of all orders of the ten best levels a side, asks first."""
    parts = []
    for side in (market.book.asks, market.book.bids):
        for level in side.top(CHECKSUM_LEVELS):
            order = level.head
            while order is not None:
                parts.append(f"{level.price}{order.shown}")
                order = order.next
    return crc32("".join(parts).encode())


class Level3Feed(Feed):
    """``level3`` of one pair at one depth."""

    __slots__ = ("_depth", "_engine", "_market", "_published", "_views")

    def __init__(self, engine: SpotEngine, market: Market, depth: int) -> None:
        super().__init__()
        self._engine = engine
        self._market = market
        self._depth = depth
        self._views = {True: View(market.book.bids, depth), False: View(market.book.asks, depth)}
        self._published: dict[int, list[_Entry]] = {}
        for side in (market.book.bids, market.book.asks):
            for level in side.top(depth):
                self._published[level.price * side.sign] = entries(engine, level)

    def snapshot(self, now_ns: int) -> bytes:
        """Return the snapshot message."""
        bids, asks = (
            [
                self._row(level.price, entry)
                for level in side.top(self._depth)
                for entry in entries(self._engine, level)
            ]
            for side in (self._market.book.bids, self._market.book.asks)
        )
        return (
            f'{{"channel":"level3","type":"snapshot","data":[{{"symbol":"{self._market.instrument.symbol}",'
            f'"checksum":{checksum(self._market)},"bids":[{",".join(bids)}],"asks":[{",".join(asks)}],'
            f'"timestamp":"{rfc3339(now_ns, 9)}"}}]}}'
        ).encode()

    def update(self, event: BookChanged) -> bytes | None:
        """Return the update message, or None when nothing within the depth changed."""
        rows: dict[bool, list[str]] = {True: [], False: []}
        for key, quantity in event.changes:
            buy = key > 0
            side = self._market.book.side(buy)
            view = self._views[buy]
            known = key in view.quantities
            shown = [level for level, _ in view.change(side, key, quantity)]
            if not shown and known:
                shown = [key]  # its quantity is what it was, but not its orders
            for level_key in shown:
                if level_key != key or not known:
                    self._published.pop(level_key, None)  # of the last time it was within the depth
                rows[buy] += self._changes(side, level_key, event.time_ns)
            if len(self._published) > 4 * self._depth:
                self._forget_fallen_out()
        if not rows[True] and not rows[False]:
            return None
        return (
            f'{{"channel":"level3","type":"update","data":[{{"checksum":{checksum(self._market)},'
            f'"symbol":"{self._market.instrument.symbol}","bids":[{",".join(rows[True])}],'
            f'"asks":[{",".join(rows[False])}],"timestamp":"{rfc3339(event.time_ns, 9)}"}}]}}'
        ).encode()

    def _changes(self, side: BookSide, key: int, now_ns: int) -> list[str]:
        """Return the rows that lead from what was published of a level to what it is."""
        price, level = key * side.sign, side.levels.get(key)
        before = self._published.pop(key, [])
        now = [] if level is None else entries(self._engine, level)
        places = {entry.place: entry for entry in now}
        known = {entry.place: entry for entry in before}
        rows = [self._row(price, entry, "delete", now_ns) for entry in before if entry.place not in places]
        for entry in now:
            old = known.get(entry.place)
            if old is None:
                rows.append(self._row(price, entry, "add"))
            elif old.qty != entry.qty:
                rows.append(self._row(price, entry, "modify"))
        if now:
            self._published[key] = now
        return rows

    def _forget_fallen_out(self) -> None:
        bids, asks = (self._views[buy].quantities for buy in (True, False))
        self._published = {key: rows for key, rows in self._published.items() if key in bids or key in asks}

    def _row(self, price: int, entry: _Entry, event: str = "", time_ns: int = 0) -> str:
        pair = self._market.instrument
        kind = f'"event":"{event}",' if event else ""
        return (
            f'{{{kind}"order_id":"{entry.order_id}","limit_price":{text(price, pair.price_decimals)},'
            f'"order_qty":{text(entry.qty, pair.lot_decimals)},'
            f'"timestamp":"{rfc3339(time_ns or entry.time_ns, 9)}"}}'
        )
