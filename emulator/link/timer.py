"""Calls at a due time, exact to microseconds: one heap and one alarm for all connections of a loop."""

from __future__ import annotations

import logging
import time
from asyncio import AbstractEventLoop, Future
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from emulator.link.alarm import alarm

logger = logging.getLogger(__name__)

_SPIN_NS = 150_000  # a sleeping loop wakes 50 to 150 us late; polling starts this much before the due time
_SPIN_FAR_NS = 80_000  # and where it matters less, most of that is enough
_AWAKE_NS = 50_000_000  # a client that sends 20 messages a second never meets a sleeping loop
_CALLS_AT_ONCE = 256


class DueQueue:
    """Runs callbacks of one event loop at their due times, in the order of those times.

    Times are nanoseconds of `now_ns` (time.monotonic_ns). The queue wakes early, most so while an entry with
    `spin` is waiting, and polls through the loop, which goes on serving sockets in between.
    """

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.loop = loop
        self.now_ns = time.monotonic_ns
        self._heap: list[tuple[int, int, bool, Callable[..., object], tuple[Any, ...]]] = []
        self._count = 0
        self._spinning = 0
        self._alarm = alarm(loop, self._ring)
        self._alarm_ns = 0  # when the alarm rings; 0: it is not set
        self._waiting: set[Future[None]] = set()
        self._awake_until_ns = 0
        self._soon = False
        self._firing = False
        self._closed = False

    async def until(self, due_ns: int) -> None:
        """Return at `due_ns`; when the queue is closed before, at once."""
        reached = self.loop.create_future()
        self._waiting.add(reached)
        self.at(due_ns, _reach, reached)
        try:
            if not self._closed:
                await reached
        finally:
            self._waiting.discard(reached)

    def stay_awake(self) -> None:
        """Poll for some time though nothing is due: what comes in meanwhile finds the loop awake."""
        self._awake_until_ns = self.now_ns() + _AWAKE_NS
        if not self._firing and not self._closed:
            self._wake_in_time()

    def at(self, due_ns: int, callback: Callable[..., object], *args: Any, spin: bool = False) -> None:
        """Call `callback(*args)` at `due_ns`, or as soon as possible when that has passed.

        Equal due times keep the order of the calls. A closed queue forgets what it is given.
        """
        if self._closed:
            return
        self._count += 1
        heappush(self._heap, (due_ns, self._count, spin, callback, args))
        self._spinning += spin
        if not self._firing:
            self._wake_in_time()

    def close(self) -> None:
        """Forget every entry and give back the timer. Close connections first, or lose what they hold."""
        if self._closed:
            return
        self._closed = True
        self._heap.clear()
        for waiting in self._waiting:
            _reach(waiting)
        self._alarm.close()

    def _wake_in_time(self) -> None:
        if self._soon:
            return
        now_ns = self.now_ns()
        if self._awake_until_ns > now_ns:
            wake_ns = now_ns
        elif self._heap:
            wake_ns = self._heap[0][0] - (_SPIN_NS if self._spinning else _SPIN_FAR_NS)
        else:
            return
        if wake_ns <= now_ns:
            self._soon = True
            self.loop.call_soon(self._poll)
        elif not self._alarm_ns or wake_ns < self._alarm_ns:
            self._alarm_ns = wake_ns
            self._alarm.set(wake_ns)

    def _ring(self) -> None:
        self._alarm_ns = 0
        if not self._soon:
            self._fire()

    def _poll(self) -> None:
        self._soon = False
        self._fire()

    def _fire(self) -> None:
        """Call what is due, but not endlessly: after a share, the loop looks at its sockets first."""
        heap = self._heap
        self._firing = True
        try:
            for _ in range(_CALLS_AT_ONCE):
                if not heap or heap[0][0] > self.now_ns():
                    break
                _, _, spin, callback, args = heappop(heap)
                self._spinning -= spin
                try:
                    callback(*args)
                except Exception:
                    logger.exception("a held call failed: %r", callback)
        finally:
            self._firing = False
            if not self._closed:
                self._wake_in_time()


def _reach(waiting: Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
