"""What was measured, for people: a table for the terminal, and one HTML file with plots."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from math import exp, floor, log, log10
from pathlib import Path

from emulator.measure.command import COLD_THEORY_RTTS, Measured, Measurement
from emulator.measure.figures import Figures

PROBES = {
    "connect": "TCP connect",
    "ping": "WebSocket ping",
    "rest_time": "Time, REST",
    "websocket_order": "order → ack, WebSocket",
    "seldom_order": "the same, every 100 ms",
    "at_once_order": "the same, 40 at once, new connection",
    "fix_order": "order → ack, FIX",
    "rest_order": "order → ack, REST",
}
PLOTTED = {"websocket_order": "WebSocket", "fix_order": "FIX"}
NOTES = {"stream": " (TCP connects at once; the first bytes wait a round trip more instead)"}
REST_NOTE = (
    "Answers over REST take what the tier's profile adds to the RTT, an estimate; it is in their error. "
    "Orders and pings come one by one, at most 8 under way on a connection: that is the tier's figure."
    " 40 at once on a new connection wait for TCP's slow start as well, where there is TCP."
)
PAGE = Path(__file__).with_name("page.html")
COLORS = ("#2a78d6", "#d1581a", "#2a9d5c", "#8a5cd1")
PARTS = {"connect": "#2a78d6", "tls": "#8a5cd1", "upgrade": "#d1581a", "answer": "#2a9d5c"}
LONG_TAIL = 4.0
"""Where the slowest takes this many times what the axis begins at, it is logarithmic, and shows all."""
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 460, 200, 44, 30, 12

Row = tuple[str, ...]
HEADINGS: Row = (
    "tier",
    "published",
    "probe",
    "p50",
    "error",
    "p99",
    "p99.9",
    "min",
    "max",
    "over published",
    "samples",
    "early",
)
"""The error is the median's; over the published value are p50 / p99 / p99.9, as tiers state their jitter.
Early are samples below what the tier's fixed delays alone take; there are to be none."""
OWN = HEADINGS.index("probe")
"""Where a row's own columns begin; those before are the same for a whole tier."""


def time_text(microseconds: float | None) -> str:
    """Give a time for people: three digits and more that count, with its unit."""
    if microseconds is None:
        return "-"
    if microseconds < 1_000:
        return f"{microseconds:.0f} µs"
    return f"{microseconds / 1_000:.{3 if microseconds < 10_000 else 2}f} ms"


def _error(probe: str, figures: Figures, stated_us: float) -> str:
    """Give how far the median is from what is stated, in microseconds; of connecting, how many RTTs it is."""
    error = figures.error(stated_us)
    if error is None:
        return "-"
    if probe == "connect":
        return f"{figures.p50_us / stated_us:.2f} RTTs"
    return f"{error:+.2%} ({figures.p50_us - stated_us:+,.0f} µs)"


def _over(probe: str, figures: Figures, stated_us: float) -> str:
    """Give how far quantiles are above what is stated."""
    if not stated_us or probe == "connect":
        return "-"
    quantiles = (figures.p50_us, figures.p99_us, figures.p999_us)
    return " / ".join("-" if at is None else f"{at - stated_us:+,.0f}" for at in quantiles) + " µs"


def name_of(measured: Measured) -> str:
    """Give a path's name as users write it."""
    return f"{measured.tier}/{measured.path}" if measured.path else measured.tier


def rows(measured: Measured) -> Iterator[Row]:
    """Give a table's rows about one path."""
    for probe, figures in measured.probes.items():
        yield (
            name_of(measured),
            time_text(measured.rtt_us) if measured.rtt_us else "-",
            PROBES[probe],
            time_text(figures.p50_us),
            _error(probe, figures, measured.rtt_us),
            *(
                time_text(value)
                for value in (figures.p99_us, figures.p999_us, figures.min_us, figures.max_us)
            ),
            _over(probe, figures, measured.rtt_us),
            str(figures.count),
            str(figures.early(measured.shortest_us)) if measured.rtt_us and probe != "connect" else "-",
        )


def budget_rows(measured: Measured) -> Iterator[Row]:
    """Give a table's rows about what first answers take."""
    for api, parts in measured.cold.items():
        total_us = sum(parts.values())
        rtts = f"{total_us / measured.rtt_us:.2f}" if measured.rtt_us else "-"
        spelled = " + ".join(f"{part} {time_text(took_us)}" for part, took_us in parts.items())
        yield (name_of(measured), api, time_text(total_us), rtts, str(COLD_THEORY_RTTS[api]), spelled)


BUDGET_HEADINGS: Row = ("tier", "first answer over", "takes", "RTTs", "in theory", "parts")


def as_text(measurement: Measurement) -> str:
    """Give the whole as text."""
    lines: list[str] = [REST_NOTE, ""]
    for rung in measurement.rungs:
        if rung.reason is not None:
            lines += [f"link {rung.rung}: not measured: {rung.reason}", ""]
            continue
        lines += [
            f"link {rung.rung}{NOTES.get(rung.rung, '')}",
            *_aligned([HEADINGS, *(r for tier in rung.tiers for r in rows(tier))]),
            "",
        ]
        budget = [r for tier in rung.tiers for r in budget_rows(tier)]
        lines += [*_aligned([BUDGET_HEADINGS, *budget]), ""]
        lines += [_too_far(tier) for tier in rung.tiers if tier.reachable_us > tier.rtt_us]
    return "\n".join(lines)


def _aligned(table: Sequence[Row]) -> list[str]:
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]


# HTML


def as_html(measurement: Measurement) -> str:
    """Give the whole as one HTML file that needs nothing else."""
    machine = measurement.machine
    facts = (
        measurement.made,
        machine["system"],
        f"Python {machine['python']}",
        f"{machine['cpus']} CPUs",
        f"market {measurement.plan.market}",
    )
    parts = [
        f"<p>{' · '.join(escape(str(fact)) for fact in facts)}. Published figures are Kraken's typical "
        f"application-level round trips; jitter is this project's estimate. {REST_NOTE}</p>"
    ]
    by_name: dict[str, list[tuple[str, Measured]]] = {}
    for rung in measurement.rungs:
        for tier in rung.tiers:
            by_name.setdefault(name_of(tier), []).append((rung.rung, tier))
    parts += [_of_tier(name, series) for name, series in by_name.items()]
    for rung in measurement.rungs:
        parts.append(f"<h2>Link {escape(rung.rung)}: all figures{NOTES.get(rung.rung, '')}</h2>")
        if rung.reason is not None:
            parts.append(f"<p>Not measured: {escape(rung.reason)}</p>")
            continue
        parts.append(_table(HEADINGS[OWN:], [(_titled(tier), rows(tier)) for tier in rung.tiers]))
        parts += [
            f"<p>{escape(_too_far(tier))}</p>" for tier in rung.tiers if tier.reachable_us > tier.rtt_us
        ]
        parts.append("<h3>First answers, TCP and TLS 1.3 included</h3>")
        parts.append(_table(BUDGET_HEADINGS[1:], [(name_of(tier), budget_rows(tier)) for tier in rung.tiers]))
    return PAGE.read_text(encoding="utf-8").replace("<!-- body -->", "\n".join(parts))


def _titled(measured: Measured) -> str:
    stated = f", published {time_text(measured.rtt_us)}" if measured.rtt_us else ""
    return name_of(measured) + stated


def _too_far(tier: Measured) -> str:
    """Tell of a tier that is nearer than this machine can be."""
    return (
        f"{name_of(tier)}: this machine takes {time_text(tier.floor_us)} for an order with nothing held, "
        f"so the nearest it can be is {time_text(tier.reachable_us)}"
    )


def _table(headings: Row, groups: Iterable[tuple[str, Iterable[Row]]]) -> str:
    """Draw a table of groups, each below its title, which takes the place of its rows' first columns."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in headings)
    body = []
    for title, group in groups:
        body.append(f"<tbody><tr><th colspan={len(headings)} scope=rowgroup>{escape(title)}</th></tr>")
        for row in group:
            cells = "".join(f"<td>{escape(cell)}</td>" for cell in row[-len(headings) :])
            body.append(f"<tr>{cells}</tr>")
        body.append("</tbody>")
    return f"<div class=wide><table><thead><tr>{head}</tr></thead>{''.join(body)}</table></div>"


def _of_tier(name: str, series: Sequence[tuple[str, Measured]]) -> str:
    stated_us = series[0][1].rtt_us
    stated = f", published {time_text(stated_us)}" if stated_us else ""
    legend = "".join(
        f'<span><i style="background:{color}"></i>{escape(rung)}</span>'
        for (rung, _), color in zip(series, COLORS, strict=False)
    )
    parts = [f"<h2>{escape(name)}: order → ack{stated}</h2><p class=legend>{legend}</p>"]
    for probe, api in PLOTTED.items():
        orders = [(rung, tier.probes[probe]) for rung, tier in series if probe in tier.probes]
        if orders:
            parts.append(
                "<div class=plots>"
                f"{_plot(orders, stated_us, _histogram, f'share of orders over {api}')}"
                f"{_plot(orders, stated_us, _ecdf, f'orders over {api} answered within')}</div>"
            )
    return "".join(parts) + _budget(series)


Points = list[tuple[float, float]]


def _plot(orders: Sequence[tuple[str, Figures]], stated_us: float, curve: object, what: str) -> str:
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
    assert callable(curve)  # noqa: S101 - one of the two below
    curves: list[Points] = [curve(figures, axis) for _, figures in orders]
    top = max((y for points in curves for _, y in points), default=1.0) or 1.0

    def x(at_us: float) -> float:
        return LEFT + (WIDTH - LEFT - 8) * axis.share(at_us)

    def y(share: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - share / top)

    marks = []
    for at_us in axis.ticks():
        marks.append(
            f'<line class=grid x1="{x(at_us):.1f}" x2="{x(at_us):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
        )
        marks.append(
            f'<text x="{x(at_us):.1f}" y="{HEIGHT - 12}" text-anchor=middle>{time_text(at_us)}</text>'
        )
    marks += [
        f'<text x="{LEFT - 5}" y="{y(share) + 4:.1f}" text-anchor=end>{share:.0%}</text>'
        for share in (0.0, top / 2, top)
    ]
    if stated_us:
        marks.append(
            f'<line class=stated x1="{x(stated_us):.1f}" x2="{x(stated_us):.1f}" y1="{TOP}" '
            f'y2="{HEIGHT - BOTTOM}"/>'
        )
    for points, color in zip(curves, COLORS, strict=False):
        path = " ".join(f"{x(at):.1f},{y(share):.1f}" for at, share in points)
        marks.append(f'<polyline points="{path}" style="stroke:{color}"/>')
    what += ", logarithmic axis" if long else ""
    box = f'viewBox="0 0 {WIDTH} {HEIGHT}" role=img aria-label="{what}"'
    drawing = f"<svg {box}><title>{what}</title>{''.join(marks)}</svg>"
    return f"<figure>{drawing}<figcaption>{what}</figcaption></figure>"


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


def _histogram(figures: Figures, axis: _Axis, bins: int = 60) -> Points:
    counts = [0] * bins
    for sample in figures.samples_us:
        if axis.low <= sample < axis.high:
            counts[min(bins - 1, int(axis.share(sample) * bins))] += 1
    points = []
    for place, count in enumerate(counts):
        points += [(axis.at(at / bins), count / figures.count) for at in (place, place + 1)]
    return points


def _ecdf(figures: Figures, axis: _Axis) -> Points:
    ordered = [sample for sample in sorted(figures.samples_us) if sample <= axis.high]
    step = max(1, len(ordered) // 400)
    points = [(ordered[place], (place + 1) / figures.count) for place in range(0, len(ordered), step)]
    return [(axis.low, 0.0), *points, (axis.high, len(ordered) / figures.count)]


def _ticks(low: float, high: float, most: int = 4) -> list[float]:
    """Give round values between two, a few."""
    step = 10 ** floor(log10((high - low) / most))
    step = next(step * factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= most)
    first = -(-low // step)
    return [step * (first + number) for number in range(most + 1) if step * (first + number) <= high]


def _budget(series: Sequence[tuple[str, Measured]]) -> str:
    """Draw what a first answer is made of, a bar for each link and API."""
    bars = [(f"{api}, {rung}", parts) for rung, tier in series for api, parts in tier.cold.items()]
    longest = max((sum(parts.values()) for _, parts in bars), default=0) or 1
    drawn = []
    for name, parts in bars:
        pieces = "".join(
            f'<b style="width:{100 * took / longest:.2f}%;background:{PARTS[part]}" '
            f'title="{part} {time_text(took)}"></b>'
            for part, took in parts.items()
        )
        drawn.append(
            f"<div class=bar><span>{escape(name)}</span><div>{pieces}</div>"
            f"<em>{time_text(sum(parts.values()))}</em></div>"
        )
    legend = "".join(
        f'<span><i style="background:{color}"></i>{part}</span>' for part, color in PARTS.items()
    )
    return f"<p class=legend>first answer: {legend}</p>{''.join(drawn)}"
