"""Quantiles of measured times. All times are microseconds."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What a probe measured. A quantile is None when there are too few samples for it."""

    count: int
    min_us: float
    p50_us: float
    p99_us: float | None
    p999_us: float | None
    max_us: float
    samples_us: tuple[float, ...]

    @classmethod
    def of(cls, samples_us: Sequence[float]) -> Figures:
        """Summarise samples, one at least."""
        ordered = sorted(samples_us)
        return cls(
            count=len(ordered),
            min_us=ordered[0],
            p50_us=quantile(ordered, 0.5),
            p99_us=quantile(ordered, 0.99) if len(ordered) >= 100 else None,
            p999_us=quantile(ordered, 0.999) if len(ordered) >= 1_000 else None,
            max_us=ordered[-1],
            samples_us=tuple(samples_us),
        )

    def early(self, shortest_us: float) -> int:
        """Count the samples that are shorter than anything may be; none where nothing is stated."""
        return sum(sample < shortest_us for sample in self.samples_us)

    def error(self, stated_us: float) -> float | None:
        """Give how far the median is from what is stated, as a share of it; None where nothing is stated."""
        return (self.p50_us - stated_us) / stated_us if stated_us else None


def quantile(ordered: Sequence[float], share: float) -> float:
    """Give the value that `share` of ordered samples are not above, between neighbours linearly."""
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return round(ordered[low] + (place - low) * (ordered[high] - ordered[low]), 1)
