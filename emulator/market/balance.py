"""Volumes and costs of the candles inside one candle: exact sums, and a plausible vwap in each.

Every child has a span, [from, to] in thousandths of its own high - low, in which its vwap should
lie.  All children's vwaps get the same relative place in their spans, so that the costs add up;
when no such place exists, volume moves between the children until one does.
"""

from collections.abc import Sequence

Shape = tuple[int, int, int, int]
"""Open, high, low, close."""
Span = tuple[int, int]

_AROUND = 80
"""A span is the natural place and this much on both sides of it, in thousandths."""
_PLACES = (0.02, 0.98)
"""Where in the spans the vwaps come to lie after volume has been moved."""


def natural_place(shape: Shape) -> int:
    """Return where in [low, high] a vwap would be expected, in thousandths: nearer to open and close."""
    first, high, low, last = shape
    return 350 + 150 * (first + last - 2 * low) // (high - low) if high > low else 0


def widest_span(level: int) -> Span:
    """Return the span that is accepted at ``level``; wider than its parents', so that one is found."""
    half = 230 + 30 * level
    return 500 - half, 500 + half


def balance(
    cost: int, volumes: list[int], counts: list[int], shapes: Sequence[Shape], widest: Span
) -> tuple[list[int], list[int]] | None:
    """Return volumes (near the given ones, same sum) and costs that add up to ``cost``.

    None when only other shapes could give that cost.  A volume never falls below its ``counts``.
    """
    natural = [(place - _AROUND, place + _AROUND) for place in map(natural_place, shapes)]
    for spans in (natural, [widest] * len(shapes)):
        found = _Split(counts, shapes, spans).solve(cost, volumes)
        if found is not None:
            return found
    return None


class _Split:
    """One way of asking for it: counts, shapes and spans of the children."""

    def __init__(self, counts: list[int], shapes: Sequence[Shape], spans: Sequence[Span]) -> None:
        self._counts = counts
        self._lows = [shape[2] for shape in shapes]
        self._ranges = [shape[1] - shape[2] for shape in shapes]
        self._spans = spans

    def _bounds(self, volumes: list[int]) -> tuple[list[int], list[int]]:
        """Return each child's cost at the beginning of its span, and how much more it is at the end."""
        least, width = [], []
        for volume, low, range_, span in zip(volumes, self._lows, self._ranges, self._spans, strict=True):
            first = volume * range_ * span[0] // 1000
            least.append(volume * low + first)
            width.append(volume * range_ * span[1] // 1000 - first)
        return least, width

    def solve(self, cost: int, volumes: list[int]) -> tuple[list[int], list[int]] | None:
        """Return volumes that can give ``cost``, moved only if they must be, and the children's costs."""
        least, width = self._bounds(volumes)
        over, total = cost - sum(least), sum(width)
        if total and not 0 <= over <= total:
            moved = self._shift(cost, volumes, _PLACES[0 if over < 0 else 1])
            if moved is None:
                return None
            volumes = moved
            least, width = self._bounds(volumes)
            over, total = cost - sum(least), sum(width)
        if not total or not 0 <= over <= total:
            return None
        costs = [first + more * over // total for first, more in zip(least, width, strict=True)]
        rest = cost - sum(costs)
        for index, first in enumerate(least):
            if rest and costs[index] < first + width[index]:
                costs[index] += 1
                rest -= 1
        return volumes, costs

    def _shift(self, cost: int, volumes: list[int], place: float) -> list[int] | None:
        """Move the same share of all children's volume to some, so that ``cost`` comes to ``place``.

        To those beyond the common vwap if that suffices, else to the most extreme one.
        """
        prices = [
            low + range_ * (span[0] + place * (span[1] - span[0])) / 1000
            for low, range_, span in zip(self._lows, self._ranges, self._spans, strict=True)
        ]
        total = sum(volumes)
        vwap = cost / total
        surplus = sum(volume * (price - vwap) for volume, price in zip(volumes, prices, strict=True))
        sign = 1 if surplus > 0 else -1
        trading = [index for index, count in enumerate(self._counts) if count]
        extreme = min(trading, key=lambda index: sign * prices[index])
        beyond = [index for index in trading if sign * (prices[index] - vwap) < 0]
        free = [volume - count for volume, count in zip(volumes, self._counts, strict=True)]
        for targets in (beyond, [extreme]):
            weight = sum(free[index] for index in targets)
            if not weight:
                continue
            price = sum(free[index] * prices[index] for index in targets) / weight
            gained = sum(part * (own - price) for part, own in zip(free, prices, strict=True))
            share = surplus / gained if gained else -1.0
            if 0.0 <= share <= 1.0:
                return _move(volumes, free, share, targets, extreme)
        return None


def _move(volumes: list[int], free: list[int], share: float, targets: list[int], rest_to: int) -> list[int]:
    """Take ``share`` of ``free`` from everybody and give it to ``targets`` in proportion."""
    moved = [volume - int(part * share) for volume, part in zip(volumes, free, strict=True)]
    taken = sum(volumes) - sum(moved)
    weight = sum(free[index] for index in targets)
    for index in targets:
        moved[index] += taken * free[index] // weight
    moved[rest_to] += sum(volumes) - sum(moved)
    return moved
