"""Plots of round trips as SVG: a histogram and a distribution, a curve a link over the same axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from math import ceil, exp, floor, log, log10

from emulator.measure.figures import Figures

COLORS = ("#2a78d6", "#d1581a", "#2a9d5c", "#8a5cd1")
LONG_TAIL = 4.0
"""Where the slowest takes this many times what the axis begins at, it is logarithmic, and shows all."""
WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM, TOP = 460, 200, 44, 30, 30, 12
"""In units of the picture; the margins have room for half a tick's text at either end."""

Points = list[tuple[float, float]]


def histogram(orders: Sequence[tuple[str, Figures]], stated_us: float, api: str) -> str:
    """Draw how many orders took how long; `orders` are figures by link."""
    return _plot(orders, stated_us, _histogram, f"share of orders over {api}")


def distribution(orders: Sequence[tuple[str, Figures]], stated_us: float, api: str) -> str:
    """Draw how many orders were answered within which time; `orders` are figures by link."""
    return _plot(orders, stated_us, _distribution, f"orders over {api} answered within")


def _plot(
    orders: Sequence[tuple[str, Figures]],
    stated_us: float,
    curve: Callable[[Figures, _Axis], Points],
    what: str,
) -> str:
    """Draw one curve a link over the same axis, up to the slowest but one in a hundred orders.

    Where the tail is long the axis is logarithmic, and goes up to the slowest.
    """
    low = min(
        [stated_us or figures.min_us for _, figures in orders] + [figures.min_us for _, figures in orders]
    )
    low = max(low * 0.99, 0.1)
    slowest = max(figures.max_us for _, figures in orders)
    long = slowest >= LONG_TAIL * low
    high = slowest if long else max(figures.p99_us or figures.max_us for _, figures in orders)
    axis = _Axis(low, max(high * 1.02, low + 1.0), logarithmic=long)
    curves = [curve(figures, axis) for _, figures in orders]
    highest = max((y for points in curves for _, y in points), default=1.0) or 1.0
    top = ceil(round(highest * 50, 6)) / 50  # half of it is a whole percentage, too

    def x(at_us: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * axis.share(at_us)

    def y(share: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - share / top)

    def upright(at_us: float, kind: str) -> str:
        at = f'x1="{x(at_us):.1f}" x2="{x(at_us):.1f}"'
        return f'<line class="{kind}" {at} y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'

    marks = []
    for at_us in axis.ticks():
        place = f'x="{x(at_us):.1f}" y="{HEIGHT - 12}" text-anchor="middle"'
        marks += [upright(at_us, "grid"), f"<text {place}>{tick_text(at_us)}</text>"]
    marks += [
        f'<text x="{LEFT - 5}" y="{y(share) + 4:.1f}" text-anchor="end">{share:.0%}</text>'
        for share in (0.0, top / 2, top)
    ]
    if stated_us:
        marks.append(upright(stated_us, "stated"))
    for points, color in zip(curves, COLORS, strict=False):
        path = " ".join(f"{x(at):.1f},{y(share):.1f}" for at, share in points)
        marks.append(f'<polyline points="{path}" style="stroke:{color}"/>')
    what += ", logarithmic axis" if long else ", up to the slowest p99" if high < slowest else ""
    box = f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(what)}"'
    return f"<figure><svg {box}>{''.join(marks)}</svg><figcaption>{escape(what)}</figcaption></figure>"


def tick_text(at_us: float) -> str:
    """Give a round time with no digit that does not count."""
    return f"{at_us:.6g} µs" if at_us < 1_000 else f"{at_us / 1_000:.6g} ms"


class _Axis:
    """Times between two, linear or logarithmic."""

    def __init__(self, low: float, high: float, *, logarithmic: bool) -> None:
        self.low = low
        self.high = high
        self._logarithmic = logarithmic

    def share(self, at_us: float) -> float:
        """Give where a time is, from 0 to 1."""
        if self._logarithmic:
            return log(max(at_us, self.low) / self.low) / log(self.high / self.low)
        return (at_us - self.low) / (self.high - self.low)

    def at(self, share: float) -> float:
        """Give the time that is there."""
        if self._logarithmic:
            return self.low * exp(share * log(self.high / self.low))
        return self.low + share * (self.high - self.low)

    def ticks(self) -> list[float]:
        """Give round times, a few."""
        if not self._logarithmic:
            return _ticks(self.low, self.high)
        decades = range(floor(log10(self.low)), floor(log10(self.high)) + 1)
        for factors in ((1, 2, 5), (1, 3), (1,)):
            ticks = [10.0**decade * factor for decade in decades for factor in factors]
            ticks = [at_us for at_us in ticks if self.low <= at_us <= self.high]
            if len(ticks) <= 6:
                break
        return ticks


def _ticks(low: float, high: float, most: int = 4) -> list[float]:
    """Give round values between two, a few."""
    step = 10 ** floor(log10((high - low) / most))
    step = next(step * factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= most)
    first = -(-low // step)
    return [step * (first + number) for number in range(most + 1) if step * (first + number) <= high]


def _histogram(figures: Figures, axis: _Axis, bins: int = 60) -> Points:
    counts = [0] * bins
    for sample in figures.samples_us:
        if axis.low <= sample < axis.high:
            counts[min(bins - 1, int(axis.share(sample) * bins))] += 1
    points = []
    for place, count in enumerate(counts):
        points += [(axis.at(at / bins), count / figures.count) for at in (place, place + 1)]
    return points


def _distribution(figures: Figures, axis: _Axis) -> Points:
    ordered = [sample for sample in sorted(figures.samples_us) if sample <= axis.high]
    step = max(1, len(ordered) // 400)
    points = [(ordered[place], (place + 1) / figures.count) for place in range(0, len(ordered), step)]
    return [(axis.low, 0.0), *points, (axis.high, len(ordered) / figures.count)]
