"""What was measured as one HTML file that needs nothing else: the plots first, all figures after them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from emulator.measure.command import Measured, Measurement, Rung
from emulator.measure.plot import COLORS, distribution, histogram
from emulator.measure.report import (
    BUDGET_HEADINGS,
    HEADINGS,
    NOTES,
    OWN,
    REST_NOTE,
    Row,
    budget_rows,
    name_of,
    rows,
    time_text,
    too_far,
)

FRAME = Path(__file__).with_name("page.html")
PLOTTED = {"websocket_order": "WebSocket", "fix_order": "FIX"}
PARTS = {"connect": "#0d959d", "tls": "#b0579b", "upgrade": "#a87f14", "answer": "#7a8592"}
"""Colours of a first answer's parts; none is a link's colour."""
WORDS = {"probe", "first answer over", "parts"}
"""Columns of words; all others are figures, which stand below each other to the right."""
LONG = {"error", "over published", "parts"}
"""Columns of several figures, which take a second line before the table is wider than the window."""


def as_html(measurement: Measurement) -> str:
    """Give the whole as one HTML file."""
    machine = measurement.machine
    facts = (
        measurement.made,
        machine["system"],
        f"Python {machine['python']}",
        f"{machine['cpus']} CPUs",
        f"market {measurement.plan.market}",
    )
    by_name: dict[str, list[tuple[str, Measured]]] = {}
    for rung in measurement.rungs:
        for tier in rung.tiers:
            by_name.setdefault(name_of(tier), []).append((rung.rung, tier))
    parts = [
        f"<p>{' · '.join(escape(str(fact)) for fact in facts)}. Published figures are Kraken's typical "
        f"application-level round trips; jitter is this project's estimate. {REST_NOTE}</p>",
        _contents(list(by_name), measurement.rungs),
        *(_plots(f"plots-{place}", name, series) for place, (name, series) in enumerate(by_name.items())),
        *(_figures(f"link-{place}", rung) for place, rung in enumerate(measurement.rungs)),
    ]
    return FRAME.read_text(encoding="utf-8").replace("<!-- body -->", "\n".join(parts))


def _contents(names: Sequence[str], rungs: Sequence[Rung]) -> str:
    plots = [f'<a href="#plots-{place}">{escape(name)}</a>' for place, name in enumerate(names)]
    figures = [
        f'<a href="#link-{place}">{escape(rung.rung)}</a>' + (" (not measured)" if rung.reason else "")
        for place, rung in enumerate(rungs)
    ]
    told = [f"{what}: {' · '.join(links)}" for what, links in (("Plots", plots), ("All figures", figures))]
    return f'<nav aria-label="Contents">{"".join(f"<p>{line}</p>" for line in told)}</nav>'


def _plots(anchor: str, name: str, series: Sequence[tuple[str, Measured]]) -> str:
    """Draw one path: its orders over each API, by link, and what first answers are made of."""
    stated_us = series[0][1].rtt_us
    kinds = [(rung, f"background:{color}") for (rung, _), color in zip(series, COLORS, strict=False)]
    stated, dashed = "", ""
    if stated_us:
        stated = f", published {time_text(stated_us)}"
        dashed = "<span><i class=dashed></i>published</span>"
    parts = [
        f'<h2 id="{anchor}">{escape(name)}: order → ack{stated}</h2>',
        f"<p class=legend>{_legend(kinds)}{dashed}</p>",
    ]
    for probe, api in PLOTTED.items():
        orders = [(rung, tier.probes[probe]) for rung, tier in series if probe in tier.probes]
        if orders:
            drawn = histogram(orders, stated_us, api) + distribution(orders, stated_us, api)
            parts.append(f"<div class=plots>{drawn}</div>")
    return "".join(parts) + _budget(series)


def _legend(kinds: Iterable[tuple[str, str]]) -> str:
    return "".join(f'<span><i style="{style}"></i>{escape(name)}</span>' for name, style in kinds)


def _budget(series: Sequence[tuple[str, Measured]]) -> str:
    """Draw what a first answer is made of, a bar for each link and API."""
    bars = [(f"{api}, {rung}", parts) for rung, tier in series for api, parts in tier.cold.items()]
    longest = max((sum(parts.values()) for _, parts in bars), default=0) or 1
    drawn = []
    for name, parts in bars:
        told = {part: f"{part} {time_text(took_us)}" for part, took_us in parts.items()}
        pieces = "".join(
            f'<b style="width:{100 * took_us / longest:.2f}%;background:{PARTS[part]}" '
            f'title="{told[part]}"></b>'
            for part, took_us in parts.items()
        )
        drawn.append(
            f"<div class=bar><span>{escape(name)}</span>"
            f'<div role="img" aria-label="{", ".join(told.values())}">{pieces}</div>'
            f"<em>{time_text(sum(parts.values()))}</em></div>"
        )
    legend = _legend((part, f"background:{color}") for part, color in PARTS.items())
    return f"<p class=legend>first answer: {legend}</p>{''.join(drawn)}"


def _figures(anchor: str, rung: Rung) -> str:
    """Give the tables of one link, or why there are none."""
    note = NOTES.get(rung.rung, "")
    heading = f'<h2 id="{anchor}">Link {escape(rung.rung)}: all figures{escape(note)}</h2>'
    if rung.reason is not None:
        return f"{heading}<p>Not measured: {escape(rung.reason)}</p>"
    probes = [(_titled(tier), rows(tier, rung.rung)) for tier in rung.tiers]
    budget = [(name_of(tier), budget_rows(tier)) for tier in rung.tiers]
    beyond = [f"<p>{escape(too_far(tier))}</p>" for tier in rung.tiers if tier.reachable_us > tier.rtt_us]
    return "\n".join(
        (
            heading,
            _table(f"Figures over {rung.rung}", HEADINGS[OWN:], probes),
            *beyond,
            "<h3>First answers, TCP and TLS 1.3 included</h3>",
            _table(f"First answers over {rung.rung}", BUDGET_HEADINGS[1:], budget),
        )
    )


def _titled(measured: Measured) -> str:
    stated = f", published {time_text(measured.rtt_us)}" if measured.rtt_us else ""
    return name_of(measured) + stated


def _table(what: str, headings: Row, groups: Iterable[tuple[str, Iterable[Row]]]) -> str:
    """Draw a table of groups, each below its title, which takes the place of its rows' first columns.

    Where the window is narrower it scrolls by itself, by keys too.
    """
    head = "".join(f'<th scope="col"{_kinds(cell)}>{escape(cell)}</th>' for cell in headings)
    body = []
    for title, group in groups:
        body.append(f'<tbody><tr><th colspan={len(headings)} scope="rowgroup">{escape(title)}</th></tr>')
        for row in group:
            cells = zip(headings, row[-len(headings) :], strict=True)
            body.append(f"<tr>{''.join(_cell(*cell) for cell in cells)}</tr>")
        body.append("</tbody>")
    table = f"<table><thead><tr>{head}</tr></thead>{''.join(body)}</table>"
    return f'<div class=wide role="region" tabindex="0" aria-label="{escape(what)}">{table}</div>'


def _cell(heading: str, text: str) -> str:
    return f"<td{_kinds(heading)}>{escape(text)}</td>"


def _kinds(heading: str) -> str:
    """Give the classes of a column's cells."""
    names = [name for name, which in (("long", heading in LONG), ("figure", heading not in WORDS)) if which]
    return f' class="{" ".join(names)}"' if names else ""
