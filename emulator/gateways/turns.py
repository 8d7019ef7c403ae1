"""Long work for one client, done a slice at a time so that others have their turns."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Generator
from typing import TypeVar

SLICE_S = 0.002
"""How long work goes on before others get a turn."""

_T = TypeVar("_T")


async def in_turns(work: Generator[None, None, _T]) -> _T:
    """Carry out ``work``, which stops after each small piece of it; return what it returns.

    What it looks at may change at each stop.
    """
    while True:
        ends_s = time.perf_counter() + SLICE_S
        try:
            while time.perf_counter() < ends_s:
                next(work)
        except StopIteration as done:
            result: _T = done.value
            return result
        await asyncio.sleep(0)


class Turns:
    """One queue for what clients have asked for beyond what they may have at once.

    However many of them ask, the loop gives a slice of each turn to all of it together. Whoever asks for
    little is not in the queue, and is served between two slices.
    """

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()

    def later(self, work: Callable[[], None]) -> None:
        """Have a piece of work done when all that has come before has had its turn."""
        self._waiting.append(work)
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._slice)

    def _slice(self) -> None:
        waiting, ends_s = self._waiting, time.perf_counter() + SLICE_S
        try:
            while True:
                waiting[0]()  # it stays until it is done: one that it puts off does not call us anew
                waiting.popleft()
                if not waiting or time.perf_counter() >= ends_s:
                    return
        except BaseException:
            waiting.popleft()
            raise
        finally:
            if waiting:
                asyncio.get_running_loop().call_soon(self._slice)
