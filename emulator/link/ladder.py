"""The ladder: every way to make a link, best first, and the choice among them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from emulator.link import stream
from emulator.link.alarm import timer_trouble
from emulator.link.listener import Link, Listener
from emulator.link.stream import ProtocolFactory
from emulator.link.tiers import Tier
from emulator.link.timer import DueQueue
from emulator.link.wire import PacketRungLike, Wired

BACKLOG = 128
"""Connections that may wait to be accepted; asyncio accepts up to this many in one go."""


class LinkError(Exception):
    """A link that cannot be had. One line: what was asked for, why not, what there is."""


class Rung(Protocol):
    """One way to make a tier's distance real."""

    @property
    def name(self) -> str:
        """What `--link` calls it."""

    @property
    def in_process(self) -> bool:
        """Whether listeners keep the addresses of this machine; only such a rung is chosen by itself."""

    def works(self) -> str | None:
        """Say in one line why it cannot work on this system, or None when it works."""

    async def open(self, tiers: Sequence[Tier], queue: DueQueue, seed: int) -> Link:
        """Make the links to these tiers."""


class Stream:
    """The in-process delay line: right message latency and order on every system."""

    name = "stream"
    in_process = True

    def works(self) -> str | None:
        """Work wherever there is a timer finer than a millisecond."""
        return timer_trouble()

    async def open(self, tiers: Sequence[Tier], queue: DueQueue, seed: int) -> Link:
        """Need no making: each listener gets delay lines."""
        return InProcess(queue, seed)


class Direct:
    """No link: every tier is as near as the machine itself."""

    name = "none"
    in_process = True

    def works(self) -> str | None:
        """Work everywhere."""
        return None

    async def open(self, tiers: Sequence[Tier], queue: DueQueue, seed: int) -> Link:
        """Need no making."""
        return InProcess(None, seed)


class InProcess:
    """Listeners of this process on one host; delay lines beneath them when there is a queue."""

    own_addresses = False

    def __init__(self, queue: DueQueue | None, seed: int) -> None:
        self._queue = queue
        self._seed = seed

    async def listen(
        self, tier: Tier, factory: ProtocolFactory, host: str, port: int, *, path: str | None = None
    ) -> Listener:
        """Open a listener on `host`."""
        tier.path(path)  # it must exist, delayed or not
        if self._queue is not None:
            self._seed += 1
            factory = stream.wrap(tier, self._queue, factory, path=path, seed=self._seed)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(factory, host, port, backlog=BACKLOG)
        return Listener(server, host, int(server.sockets[0].getsockname()[1]))

    async def close(self) -> None:
        """Leave nothing behind: there is nothing but the listeners."""


def _packet() -> PacketRungLike:
    from emulator.link.packet import PacketRung  # only who asks for it pays for it

    return PacketRung()


def _netem() -> PacketRungLike:
    from emulator.link.netem import NetemRung

    return NetemRung()


RUNGS: tuple[Rung, ...] = (Wired("netem", _netem), Wired("packet", _packet), Stream(), Direct())


def choose(name: str) -> Rung:
    """Give the rung of that name, or for "auto" the best in-process one that works here.

    LinkError for an unknown name, and for a rung that does not work on this system.
    """
    if name == "auto":
        return next(rung for rung in RUNGS if rung.in_process and rung.works() is None)
    for rung in RUNGS:
        if rung.name == name:
            if reason := rung.works():
                raise LinkError(f"link {name!r} does not work here: {reason}")
            return rung
    raise LinkError(f"unknown link {name!r}; there are auto, {', '.join(rung.name for rung in RUNGS)}")
