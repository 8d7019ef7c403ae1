"""Long work for one client, done a slice at a time so that others have their turns."""

import asyncio
import time
from collections.abc import Generator
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
