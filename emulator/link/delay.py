"""What one connection's bytes are held for: a path's delay, and one direction's draws from it."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from emulator.link.jitter import NS_PER_US, JitterCurve, base_one_way_ns
from emulator.link.tiers import Tier


@dataclass(frozen=True, slots=True)
class PathDelay:
    """The delay of one path of one tier. All in nanoseconds; `one_way_ns` is without jitter."""

    tier_name: str
    path_name: str
    one_way_ns: int
    rtt_ns: int
    curve: JitterCurve
    spin: bool

    @classmethod
    def of(cls, tier: Tier, path_name: str | None = None) -> PathDelay:
        """Give the delay of a tier's path, the first one by default; ProfileError for an unknown path."""
        path = tier.path(path_name)
        extra_ns = round(path.extra_one_way_us * NS_PER_US)
        return cls(
            tier_name=tier.name,
            path_name=path.name,
            one_way_ns=base_one_way_ns(tier) + extra_ns,
            rtt_ns=round(tier.rtt_us * NS_PER_US) + 2 * extra_ns,
            curve=JitterCurve(tier.jitter),
            spin=tier.spin,
        )


class Direction:
    """One direction of one connection: when what is sent now arrives. Jitter never reorders."""

    __slots__ = ("_curve", "_last_due_ns", "_one_way_ns", "_rng")

    def __init__(self, delay: PathDelay, rng: Random) -> None:
        self._one_way_ns = delay.one_way_ns
        self._curve = delay.curve
        self._rng = rng
        self._last_due_ns = 0

    def due_ns(self, sent_ns: int) -> int:
        """Give when a chunk sent at `sent_ns` arrives: one draw of jitter, never before the last chunk."""
        due_ns = sent_ns + self._one_way_ns + self._curve.draw_ns(self._rng)
        if due_ns < self._last_due_ns:
            return self._last_due_ns
        self._last_due_ns = due_ns
        return due_ns
