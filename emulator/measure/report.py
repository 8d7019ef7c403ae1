"""What was measured, for people: the rows of tables, and the whole as text for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
PACKETS = frozenset({"netem", "packet"})
"""Links of real packets: TCP's slow start is in the row of orders at once there, which is no tier's error."""
NOTES = {"stream": " (TCP connects at once; the first bytes wait a round trip more instead)"}
REST_NOTE = (
    "Answers over REST take what the tier's profile adds to the RTT, an estimate; it is in their error. "
    "Orders and pings come one by one, at most 8 under way on a connection: that is the tier's figure."
    " Orders every 100 ms find caches and CPUs cold: that is this machine's doing, not the tier's."
    " 40 at once on a new connection wait for TCP's slow start as well, where there is TCP: no error is told"
    " of them there."
)

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


def rows(measured: Measured, rung: str) -> Iterator[Row]:
    """Give a table's rows about one path over one link."""
    for probe, figures in measured.probes.items():
        of_the_tier = probe != "at_once_order" or rung not in PACKETS
        yield (
            name_of(measured),
            time_text(measured.rtt_us) if measured.rtt_us else "-",
            PROBES[probe],
            time_text(figures.p50_us),
            _error(probe, figures, measured.rtt_us) if of_the_tier else "-",
            *(
                time_text(value)
                for value in (figures.p99_us, figures.p999_us, figures.min_us, figures.max_us)
            ),
            _over(probe, figures, measured.rtt_us) if of_the_tier else "-",
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
            *_aligned([HEADINGS, *(r for tier in rung.tiers for r in rows(tier, rung.rung))]),
            "",
        ]
        budget = [r for tier in rung.tiers for r in budget_rows(tier)]
        lines += [*_aligned([BUDGET_HEADINGS, *budget]), ""]
        lines += [too_far(tier) for tier in rung.tiers if tier.reachable_us > tier.rtt_us]
    return "\n".join(lines)


def _aligned(table: Sequence[Row]) -> list[str]:
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]


def too_far(tier: Measured) -> str:
    """Tell of a tier that is nearer than this machine can be."""
    return (
        f"{name_of(tier)}: this machine takes {time_text(tier.floor_us)} for an order with nothing held, "
        f"so the nearest it can be is {time_text(tier.reachable_us)}"
    )
