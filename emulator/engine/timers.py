"""What an engine does by itself later: actions with their times, earliest first."""

import heapq
from collections.abc import Callable
from typing import Any

MOST_DEAD = 1_000
"""Timers that have no purpose any more are cleared away beyond this many, or twice the living ones."""


class Timers:
    """Actions that are due at a time; those of one time in the order in which they were entered."""

    __slots__ = ("_alive", "_bound", "_count", "_heap")

    def __init__(self, alive: Callable[[Any], bool]) -> None:
        self._alive = alive
        self._heap: list[tuple[int, int, Callable[[Any], None], Any]] = []
        self._count = 0
        self._bound = MOST_DEAD

    def __len__(self) -> int:
        return len(self._heap)

    def at(self, due_ns: int, action: Callable[[Any], None], subject: Any) -> None:
        """Do ``action(subject)`` when ``due_ns`` has come."""
        self._count += 1
        heapq.heappush(self._heap, (due_ns, self._count, action, subject))
        if len(self._heap) > self._bound:
            # What has no purpose any more is dropped now and then, not one by one.
            self._heap = [timer for timer in self._heap if self._alive(timer[3])]
            heapq.heapify(self._heap)
            self._bound = max(MOST_DEAD, 2 * len(self._heap))

    def clear(self) -> None:
        """Forget all of it."""
        self._heap.clear()

    def due(self) -> list[int]:
        """Return the times of all timers, sorted."""
        return sorted(timer[0] for timer in self._heap)

    def next_ns(self) -> int | None:
        """Return when the next one is due."""
        return self._heap[0][0] if self._heap else None

    def run(self, now_ns: int, begin: Callable[[int], None], most: int | None = None) -> bool:
        """Do what is due, ``most`` of it, and tell whether that was all.

        ``begin`` is told the time that each was due at.
        """
        done = 0
        while self._heap and self._heap[0][0] <= now_ns:
            if done == most:
                return False
            due_ns, _, action, subject = heapq.heappop(self._heap)
            begin(due_ns)
            action(subject)
            done += 1
        return True
