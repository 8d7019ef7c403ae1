"""What subscribers of one depth see of a book order by order, and what they must be told when it changes.

The depth counts price levels.  A level that comes into it brings all its orders.
"""

from typing import NamedTuple

from emulator.engine.book import BookSide, Level
from emulator.engine.events import BookChanged
from emulator.engine.market import Market
from emulator.engine.spot import SpotEngine
from emulator.gateways.depth_view import View


class Entry(NamedTuple):
    """An order as it was last published."""

    order_id: str
    place: int
    """Where it came into the queue: another number after it has lost its priority."""
    qty: int
    time_ns: int


class Change(NamedTuple):
    """What happened to one order."""

    kind: str
    """``add``, ``modify``, ``delete``, or ``left`` for an order whose level has fallen out of the depth."""
    buy: bool
    price: int
    entry: Entry


def entries(engine: SpotEngine, level: Level) -> list[Entry]:
    """Return the orders of a level, oldest first; hidden parts of icebergs are not there."""
    found = []
    order = level.head
    while order is not None:
        found.append(Entry(engine.order_id(order), order.place, order.shown, order.touched_ns))
        order = order.next
    return found


def _net(changes: list[Change]) -> list[Change]:
    """Return what changes of several levels come to: an order that moved goes before it comes back.

    Clients know orders by id, so it must not be added where it is before it is deleted where it was.
    """
    by_place: dict[int, list[Change]] = {}
    for change in changes:
        by_place.setdefault(change.entry.place, []).append(change)
    gone, there = [], []
    for steps in by_place.values():
        first, last = steps[0], steps[-1]
        known = first.kind != "add"
        if last.kind in ("delete", "left"):
            if known:
                gone.append(last)
        elif not known or last.kind == "modify":
            there.append(last._replace(kind="modify" if known else "add"))
        elif first.entry.qty != last.entry.qty:
            there.append(last._replace(kind="modify"))  # its level left the depth, and came back
    return gone + there


class Level3View:
    """The best levels of both sides, order by order, as they were last published."""

    __slots__ = ("_engine", "_market", "_published", "_views", "depth")

    def __init__(self, engine: SpotEngine, market: Market, depth: int) -> None:
        self.depth = depth
        self._engine = engine
        self._market = market
        self._views = {True: View(market.book.bids, depth), False: View(market.book.asks, depth)}
        self._published: dict[int, list[Entry]] = {}
        for side in (market.book.bids, market.book.asks):
            for level in side.top(depth):
                self._published[level.price * side.sign] = entries(engine, level)

    def orders(self, *, buy: bool) -> list[tuple[int, Entry]]:
        """Return the orders of a side within the depth, with their prices, best first."""
        return [
            (level.price, entry)
            for level in self._market.book.side(buy).top(self.depth)
            for entry in entries(self._engine, level)
        ]

    def update(self, event: BookChanged) -> list[Change]:
        """Take changed levels in; return what changed within the depth: first what went, then the rest."""
        changes: list[Change] = []
        for key, quantity in event.changes:
            buy = key > 0
            side = self._market.book.side(buy)
            view = self._views[buy]
            known = key in view.quantities
            shown = [level for level, _ in view.change(side, key, quantity)]
            if not shown and known:
                shown = [key]  # its quantity is what it was, but not its orders
            for level_key in shown:
                changes += self._of_level(side, level_key)
            if view.pushed_out is not None:
                gone = view.pushed_out[0]
                price = gone * side.sign
                changes += [Change("left", buy, price, entry) for entry in self._published.pop(gone, [])]
        return changes if len(event.changes) == 1 else _net(changes)

    def _of_level(self, side: BookSide, key: int) -> list[Change]:
        """Return what leads from what was published of a level to what it is."""
        price, level, buy = key * side.sign, side.levels.get(key), side.sign > 0
        before = self._published.pop(key, [])
        now = [] if level is None else entries(self._engine, level)
        places = {entry.place for entry in now}
        known = {entry.place: entry for entry in before}
        changes = [Change("delete", buy, price, entry) for entry in before if entry.place not in places]
        for entry in now:
            old = known.get(entry.place)
            if old is None:
                changes.append(Change("add", buy, price, entry))
            elif old.qty != entry.qty:
                changes.append(Change("modify", buy, price, entry))
        if now:
            self._published[key] = now
        return changes
