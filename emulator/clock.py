"""The venue's time.  Engines are given it, they never read it."""

import time
from collections.abc import Callable

PPM = 1_000_000
"""A scale of one: millionths of a venue's second a second."""


class Clock:
    """Nanoseconds since the epoch: real time, unless it was stepped ahead or runs at another scale.

    It never runs backwards, but when it is ``reset``.
    """

    __slots__ = ("_ahead_ns", "_held_ns", "_last_ns", "_listeners", "_real_ns", "_scale_ppm", "_venue_ns")

    def __init__(self) -> None:
        self._last_ns = 0
        self._ahead_ns = 0
        """How far it is ahead of real time, at a scale of one."""
        self._scale_ppm = PPM
        self._held_ns: int | None = None
        """Where it is kept while the venue catches up with it."""
        self._real_ns = self._venue_ns = 0
        """Since when its scale is another one: in real time, and in its own."""
        self._listeners: list[Callable[[], None]] = []

    def now_ns(self) -> int:
        """Return the time."""
        if self._held_ns is not None:
            return self._held_ns
        self._last_ns = self.reaches_ns()
        return self._last_ns

    def reaches_ns(self) -> int:
        """Return the time that the venue is to reach: the time, unless it is held."""
        now = time.time_ns()
        if self._scale_ppm == PPM:
            now += self._ahead_ns
        else:
            now = self._venue_ns + max(now - self._real_ns, 0) * self._scale_ppm // PPM
        return max(now, self._last_ns)

    def seconds_until(self, due_ns: int) -> float | None:
        """Return the real seconds until a time, 0 when it has come, None while time stands still."""
        left_ns = due_ns - self.now_ns()
        if left_ns <= 0:
            return 0.0
        return left_ns / 1e9 * PPM / self._scale_ppm if self._scale_ppm else None

    def near(self, time_ns: int, within_ns: int) -> bool:
        """Tell whether a client's time is right: no further off than that, from ours or from the real one.

        Who turns this clock does not turn those of clients.
        """
        off_ns = time_ns - self.now_ns()
        return abs(off_ns) <= within_ns or (self.turned and abs(time_ns - time.time_ns()) <= within_ns)

    # -- turning it --------------------------------------------------------------------------------

    @property
    def scale_ppm(self) -> int:
        """How fast it runs: millionths of real time."""
        return self._scale_ppm

    @property
    def ahead_ns(self) -> int:
        """How far it is ahead of real time now; below zero after it ran slowly."""
        if self._scale_ppm == PPM:
            return self._ahead_ns
        return self.reaches_ns() - time.time_ns()

    @property
    def turned(self) -> bool:
        """Whether it tells another time than the real one."""
        return self._scale_ppm != PPM or bool(self._ahead_ns)

    def listen(self, listener: Callable[[], None]) -> None:
        """Let ``listener`` be called whenever the clock has been turned."""
        self._listeners.append(listener)

    def step(self, duration_ns: int) -> None:
        """Let time pass at once."""
        self._ahead_ns += duration_ns
        self._venue_ns += duration_ns
        self._tell()

    def set_scale(self, scale_ppm: int) -> None:
        """Run at another scale from now on; at 0 time stands still."""
        if scale_ppm != self._scale_ppm:
            self._venue_ns, self._real_ns = self.reaches_ns(), time.time_ns()
            self._ahead_ns = self._venue_ns - self._real_ns
            self._scale_ppm = scale_ppm
            self._tell()

    def reset(self) -> None:
        """Tell the real time again, as fast as it goes."""
        if self.turned:
            self._scale_ppm, self._ahead_ns, self._last_ns, self._held_ns = PPM, 0, 0, None
            self._tell()

    def hold(self, time_ns: int) -> None:
        """Tell this time, not before the last one, until it is let go: the venue has got so far."""
        self._last_ns = self._held_ns = max(self._last_ns, time_ns)

    def let_go(self) -> None:
        """Tell the time again; who listens hears of it when it was held."""
        if self._held_ns is not None:
            self._held_ns = None
            self._tell()

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()


def duration(microseconds: float) -> str:
    """Return a duration for people: ``200 µs``, ``140 ms``."""
    return f"{microseconds / 1000:.4g} ms" if microseconds >= 1000 else f"{microseconds:.0f} µs"
