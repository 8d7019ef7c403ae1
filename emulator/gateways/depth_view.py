"""What subscribers of one depth see of a side of a book, and what they must be told when it changes."""

from bisect import insort

from emulator.engine.book import BookSide


class View:
    """The best levels of one side as they were last published."""

    __slots__ = ("depth", "keys", "pushed_out", "quantities")

    def __init__(self, side: BookSide, depth: int) -> None:
        self.depth = depth
        self.pushed_out: tuple[int, int] | None = None
        """The level that the last change has pushed out of the depth, as (key, quantity)."""
        levels = side.top(depth)
        self.keys = [level.price * side.sign for level in reversed(levels)]
        self.quantities = {level.price * side.sign: level.qty for level in levels}

    def change(self, side: BookSide, key: int, quantity: int) -> list[tuple[int, int]]:
        """Take one changed level in; return the levels to publish as (key, quantity).

        A level pushed out of the depth is not among them; a removal pulls the next level in.
        """
        self.pushed_out = None
        keys, quantities = self.keys, self.quantities
        known = quantities.get(key)
        if not quantity:
            return [] if known is None else self._removed(side, key)
        if known is not None:
            if known == quantity:
                return []
            quantities[key] = quantity
            return [(key, quantity)]
        full = len(keys) == self.depth
        if full and key < keys[0]:
            return []
        insort(keys, key)
        quantities[key] = quantity
        if full:
            gone = keys.pop(0)
            self.pushed_out = gone, quantities.pop(gone)
        return [(key, quantity)]

    def _removed(self, side: BookSide, key: int) -> list[tuple[int, int]]:
        self.keys.remove(key)
        del self.quantities[key]
        out = [(key, 0)]
        next_key = self._next_behind(side)
        if next_key is not None:
            quantity = side.levels[next_key].qty
            self.keys.insert(0, next_key)
            self.quantities[next_key] = quantity
            out.append((next_key, quantity))
        return out

    def _next_behind(self, side: BookSide) -> int | None:
        """Return the best key in the book that is worse than all published ones."""
        worst = self.keys[0] if self.keys else None
        for key in side.keys[: -self.depth - 2 : -1]:
            if (worst is None or key < worst) and key not in self.quantities:
                return key
        return None
