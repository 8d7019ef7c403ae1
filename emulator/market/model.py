"""The contract of a market: everybody else who trades, as the application sees them.

A model is given the engine and a ``publish`` callback at construction.  It trades by calling the
engine itself and hands every list of events that the engine returned to ``publish`` at once, in
order.  It has no thread, no task and no clock: the application's loop calls it when it is due.
"""

from collections.abc import Callable
from typing import Protocol

from emulator.engine.events import Event

Publish = Callable[[list[Event]], None]
"""Takes the events of one engine call, to fan them out."""


class MarketModel(Protocol):
    """Somebody who trades by the clock.  Times are nanoseconds since the epoch."""

    def open(self, now_ns: int) -> None:
        """Fill the books; once, before anything else."""
        ...

    def due_ns(self) -> int:
        """Return when the model wants to act next; ask again after every ``act``."""
        ...

    def act(self, now_ns: int) -> None:
        """Take one step if one is due: a few engine calls, well under a millisecond.

        A model that is far behind (the machine slept) goes on from ``now_ns``: it skips what it
        missed and does not replay it.
        """
        ...
