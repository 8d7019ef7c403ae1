"""The ladder: every way to make a link, best first, and the choice among them."""

from __future__ import annotations

from typing import Protocol

from emulator.link import stream
from emulator.link.alarm import timer_trouble
from emulator.link.stream import ProtocolFactory
from emulator.link.tiers import Tier
from emulator.link.timer import DueQueue


class LinkError(Exception):
    """A link that cannot be had. One line: what was asked for, why not, what there is."""


class Rung(Protocol):
    """One way to make a tier's distance real."""

    @property
    def name(self) -> str:
        """What `--link` calls it."""

    def works(self) -> str | None:
        """Say in one line why it cannot work on this system, or None when it works."""

    def wrap(
        self, tier: Tier, queue: DueQueue, factory: ProtocolFactory, *, path: str | None = None, seed: int = 0
    ) -> ProtocolFactory:
        """Give the protocol factory that a listener for this tier and path has to use."""


class Stream:
    """The in-process delay line: right message latency and order on every system."""

    name = "stream"

    def works(self) -> str | None:
        """Work wherever there is a timer finer than a millisecond."""
        return timer_trouble()

    def wrap(
        self, tier: Tier, queue: DueQueue, factory: ProtocolFactory, *, path: str | None = None, seed: int = 0
    ) -> ProtocolFactory:
        """Put a delay line beneath each connection."""
        return stream.wrap(tier, queue, factory, path=path, seed=seed)


class Direct:
    """No link: every tier is as near as the machine itself."""

    name = "none"

    def works(self) -> str | None:
        """Work everywhere."""
        return None

    def wrap(
        self, tier: Tier, queue: DueQueue, factory: ProtocolFactory, *, path: str | None = None, seed: int = 0
    ) -> ProtocolFactory:
        """Give the factory back; the path must exist all the same."""
        tier.path(path)
        return factory


RUNGS: tuple[Rung, ...] = (Stream(), Direct())


def choose(name: str) -> Rung:
    """Give the rung of that name, or for "auto" the best one that works here.

    LinkError for an unknown name, and for a rung that does not work on this system.
    """
    if name == "auto":
        return next(rung for rung in RUNGS if rung.works() is None)
    for rung in RUNGS:
        if rung.name == name:
            if reason := rung.works():
                raise LinkError(f"link {name!r} does not work here: {reason}")
            return rung
    raise LinkError(f"unknown link {name!r}; there are auto, {', '.join(rung.name for rung in RUNGS)}")
