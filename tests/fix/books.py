"""Books as a market data client keeps them: of W and X only, every checksum verified (fix.md 7.4)."""

from decimal import Decimal
from heapq import nsmallest
from itertools import chain
from zlib import crc32

from tests.fix.messages import Message

BID, OFFER, TRADE = "0", "1", "2"
NEW, UPDATE, DELETE = "0", "1", "2"
CHECKED = 10


def digits(number: str, decimals: int) -> str:
    """Return a number as the checksum has it: fixed decimals, no point, no leading zeros."""
    return f"{Decimal(number):.{decimals}f}".replace(".", "").lstrip("0")


class Book:
    """One subscription to one symbol; entries by their id (278), in the order in which they came.

    ``decimals`` are 2349 and 5010 of the symbol.  With ``level3`` entries are orders, else levels.
    """

    def __init__(
        self, decimals: tuple[int, int] = (1, 8), depth: int = 1000, *, level3: bool = False
    ) -> None:
        self._price, self._size = decimals
        self.depth = depth
        self.level3 = level3
        self.entries: dict[str, tuple[str, int, int]] = {}
        """Side, price and quantity in units of the pair."""
        self.updates = 0
        self.trades = 0

    def take(self, message: Message) -> None:
        """Take a W or an X in."""
        if message.type == "W":
            self._snapshot(message)
            return
        assert message.type == "X"
        rows = message.groups(279)
        assert len(rows) == int(message[268])
        if rows[0][269] == TRADE:
            assert {row[269] for row in rows} == {TRADE}
            assert message.get(5041) is None
            self.trades += len(rows)
            return
        for row in rows:
            self._apply(row)
        for side in (BID, OFFER):
            assert len({price for kind, price, _ in self.entries.values() if kind == side}) <= self.depth
        self.updates += 1
        assert message[5041] == str(self.checksum()), message

    def _snapshot(self, message: Message) -> None:
        rows = message.groups(269)
        assert len(rows) == int(message[268])
        self.entries = {row[278]: self._entry(row) for row in rows}
        assert len(self.entries) == len(rows)

    def _entry(self, row: dict[int, str]) -> tuple[str, int, int]:
        price, size = int(digits(row[270], self._price)), int(digits(row[271], self._size) or "0")
        if not self.level3:
            assert row[278] == f"{'B' if row[269] == BID else 'O'}{row[270]}"
        return row[269], price, size

    def _apply(self, row: dict[int, str]) -> None:
        side, price, size = self._entry(row)
        known = self.entries.get(row[278])
        if row[279] == NEW:
            assert known is None, row
            assert size
            self.entries[row[278]] = side, price, size
            return
        assert known is not None, row
        assert known[:2] == (side, price)
        if row[279] == UPDATE:
            assert size, row
            assert known[2] != size, row
            self.entries[row[278]] = side, price, size
        else:
            assert row[279] == DELETE
            assert size in (0, known[2]) or self.level3, row  # an order may change as it leaves the depth
            del self.entries[row[278]]

    def side(self, kind: str, depth: int | None = None) -> list[tuple[int, list[int]]]:
        """Return the levels of a side, best first: price, and quantities in queue order."""
        levels: dict[int, list[int]] = {}
        for side, price, size in self.entries.values():
            if side == kind:
                levels.setdefault(price, []).append(size)
        best = nsmallest(len(levels) if depth is None else depth, levels, key=(-1, 1)[kind == OFFER].__mul__)
        return [(price, levels[price]) for price in best]

    def checksum(self) -> int:
        """Return what 5041 must be."""
        best = chain(self.side(OFFER, CHECKED), self.side(BID, CHECKED))
        return crc32("".join(f"{price}{size}" for price, sizes in best for size in sizes).encode())
