"""What a path does to what crosses it, in the words of every rung: one shape a direction."""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import asdict

from emulator.link.jitter import NS_PER_US, base_one_way_ns, median_of_sum_ns
from emulator.link.tiers import Jitter, Line, Microseconds, Tier
from emulator.reading import read


class Shape(Line, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one direction of a path does; all off by default. Times are one way.

    What crosses is held for `one_way_us` + `extra_us` + a draw of jitter (three quantiles) - `floor_us`, what
    the link's own machinery and the venue's work take; never below 0. The other fields are a line's.
    """

    one_way_us: Microseconds = 0.0
    extra_us: Microseconds = 0.0
    floor_us: Microseconds = 0.0
    p50_us: Microseconds = 0.0
    p99_us: Microseconds = 0.0
    p999_us: Microseconds = 0.0

    @property
    def jitter(self) -> Jitter:
        """The quantiles as a tier states them."""
        return Jitter(
            p50_us=self.p50_us,
            p99_us=self.p99_us,
            p999_us=self.p999_us,
            estimated=True,
            source="a link's shape",
        )

    @property
    def fixed_us(self) -> float:
        """The part of the delay that is the same for everything; below 0 where the floor is higher."""
        return self.one_way_us + self.extra_us - self.floor_us

    def __post_init__(self) -> None:
        if not self.p50_us <= self.p99_us <= self.p999_us:
            raise ValueError("jitter needs p50_us <= p99_us <= p999_us")

    def changed(self, **fields: float) -> Shape:
        """Give a shape with other values; WrongValue for an unknown field, or a value it cannot have."""
        return read({**asdict(self), **fields}, Shape)


class Ways(NamedTuple):
    """Both directions of a path."""

    to_venue: Shape
    to_client: Shape

    def changed(self, **fields: float) -> Ways:
        """Give both directions with other fields; ValueError for one that does not exist or fit."""
        return Ways(self.to_venue.changed(**fields), self.to_client.changed(**fields))

    @property
    def rtt_us(self) -> float:
        """The median round trip, in microseconds: what is held both ways, the floor included."""
        there, back = self
        fixed_us = there.one_way_us + there.extra_us + back.one_way_us + back.extra_us
        return fixed_us + median_of_sum_ns(there.jitter, back.jitter) / NS_PER_US

    def with_rtt(self, rtt_us: float) -> Ways:
        """Give ways with this median round trip: the fixed parts change, and keep their proportion.

        ValueError when jitter and the path's extra delay alone take longer.
        """
        there, back = self
        fixed_us = there.one_way_us + back.one_way_us
        wanted_us = fixed_us + rtt_us - self.rtt_us
        if wanted_us < 0:
            raise ValueError(f"rtt_us must be at least {self.rtt_us - fixed_us:g}: jitter and path take that")
        share = there.one_way_us / fixed_us if fixed_us else 0.5
        return Ways(
            there.changed(one_way_us=wanted_us * share), back.changed(one_way_us=wanted_us * (1 - share))
        )

    @property
    def cut(self) -> bool:
        """Whether nothing gets through in either direction."""
        return self.to_venue.loss >= 1 and self.to_client.loss >= 1


def ways(tier: Tier, path_name: str | None = None) -> Ways:
    """Give what both directions of a tier's path do, their floor not yet known.

    Fixed delay and two draws of jitter make a round trip whose median is the tier's RTT, plus what the path
    takes longer. ProfileError for an unknown path.
    """
    jitter, path = tier.jitter, tier.path(path_name)
    both_us = 2 * base_one_way_ns(tier) / NS_PER_US

    def way(share: float, line: Line) -> Shape:
        return Shape(
            **asdict(line),
            one_way_us=both_us * share,
            extra_us=path.extra_one_way_us,
            p50_us=jitter.p50_us,
            p99_us=jitter.p99_us,
            p999_us=jitter.p999_us,
        )

    share = tier.to_venue_share
    return Ways(way(share, tier.to_venue or tier.line), way(1 - share, tier.to_client or tier.line))
