"""The venue's time.  Engines are given it, they never read it."""

import time


class Clock:
    """The wall clock in nanoseconds since the epoch; it never runs backwards."""

    __slots__ = ("_last_ns",)

    def __init__(self) -> None:
        self._last_ns = 0

    def now_ns(self) -> int:
        """Return the time."""
        now = time.time_ns()
        if now > self._last_ns:
            self._last_ns = now
        return self._last_ns


def duration(microseconds: float) -> str:
    """Return a duration for people: ``200 µs``, ``140 ms``."""
    return f"{microseconds / 1000:.4g} ms" if microseconds >= 1000 else f"{microseconds:.0f} µs"
