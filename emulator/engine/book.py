"""The order book of one pair: price-time priority.

A side is a sorted list of keys whose *last* item is the best price (bids: the price, asks: its
negative), a dictionary from key to level, and a doubly linked queue of orders in each level.
Looking at the best price, adding to a level and taking an order out are O(1); a new or emptied
level costs one bisection.  All prices and quantities are integers in the pair's units.
"""

from bisect import bisect_left

from emulator.engine.orders import Order


class Level:
    """All orders at one price, oldest first; ``qty`` is what the book displays of them."""

    __slots__ = ("changed_ns", "head", "price", "qty", "tail")

    def __init__(self, price: int) -> None:
        self.price = price
        self.qty = 0
        self.changed_ns = 0
        self.head: Order | None = None
        self.tail: Order | None = None


class BookSide:
    """One side.  ``keys`` ascend towards the best; ``sign`` is +1 for bids and -1 for asks."""

    __slots__ = ("keys", "levels", "sign")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.keys: list[int] = []
        self.levels: dict[int, Level] = {}

    def best(self) -> Level | None:
        """Return the best level, or None when the side is empty."""
        return self.levels[self.keys[-1]] if self.keys else None

    def top(self, depth: int) -> list[Level]:
        """Return the best ``depth`` levels, best first."""
        levels = self.levels
        return [levels[key] for key in self.keys[: -depth - 1 : -1]]


class Book:
    """Both sides, and which levels changed since the last look.

    ``touched`` holds a key per changed level in order of change: +price for bids, -price for asks.
    """

    __slots__ = ("_places", "asks", "bids", "touched")

    def __init__(self) -> None:
        self.bids = BookSide(1)
        self.asks = BookSide(-1)
        self.touched: dict[int, None] = {}
        self._places = 0

    def side(self, buy: bool) -> BookSide:
        """Return the side on which orders to buy (or to sell) rest."""
        return self.bids if buy else self.asks

    def add(self, order: Order, now_ns: int) -> None:
        """Put ``order`` at the end of its level's queue, showing ``order.shown``."""
        side = self.bids if order.buy else self.asks
        key = order.price * side.sign
        level = side.levels.get(key)
        if level is None:
            level = side.levels[key] = Level(order.price)
            side.keys.insert(bisect_left(side.keys, key), key)
        tail = level.tail
        if tail is None:
            level.head = order
        else:
            tail.next = order
            order.prev = tail
        level.tail = order
        level.qty += order.shown
        level.changed_ns = now_ns
        order.level = level
        self._places += 1
        order.place = self._places
        self.touched[key] = None

    def remove(self, order: Order, now_ns: int) -> None:
        """Take ``order`` out of its level, and the level out of the book when it was the last."""
        level = order.level
        if level is None:
            return
        before, after = order.prev, order.next
        if before is None:
            level.head = after
        else:
            before.next = after
        if after is None:
            level.tail = before
        else:
            after.prev = before
        order.level = order.prev = order.next = None
        level.qty -= order.shown
        level.changed_ns = now_ns
        side = self.bids if order.buy else self.asks
        key = level.price * side.sign
        self.touched[key] = None
        if level.head is None:
            del side.levels[key]
            keys = side.keys
            if keys[-1] == key:
                keys.pop()
            else:
                del keys[bisect_left(keys, key)]

    def reduce(self, order: Order, quantity: int, now_ns: int) -> None:
        """Take ``quantity`` off what ``order`` shows; it keeps its place in the queue."""
        level = order.level
        assert level is not None  # noqa: S101 - only resting orders are reduced
        order.shown -= quantity
        level.qty -= quantity
        level.changed_ns = now_ns
        self.touched[level.price if order.buy else -level.price] = None

    def changes(self) -> tuple[tuple[int, int], ...]:
        """Return and forget what changed: ``(key, displayed quantity now)``, 0 for a level that is gone."""
        bids, asks = self.bids.levels, self.asks.levels
        rows = []
        for key in self.touched:
            level = bids.get(key) if key > 0 else asks.get(key)
            rows.append((key, level.qty if level is not None else 0))
        self.touched.clear()
        return tuple(rows)
