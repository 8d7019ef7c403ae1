"""The ladder: every way to make a link, best first, and the choice among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from emulator.link.alarm import timer_trouble
from emulator.link.in_process import InProcess
from emulator.link.listener import Link
from emulator.link.listener import LinkError as LinkError
from emulator.link.tiers import Tier
from emulator.link.timer import DueQueue
from emulator.link.uplink import NO_ADDRESSES, Addresses
from emulator.link.wire import PacketRungLike, Wired
from emulator.words import unknown


class Rung(Protocol):
    """One way to make a tier's distance real."""

    @property
    def name(self) -> str:
        """What `--link` calls it."""

    @property
    def own_addresses(self) -> bool:
        """Whether each path gets an address of its own; otherwise listeners are at the machine's."""

    def works(self) -> str | None:
        """Say in one line why it cannot work on this system, or None when it works."""

    async def open(
        self, tiers: Sequence[Tier], queue: DueQueue, seed: int, addresses: Addresses = NO_ADDRESSES
    ) -> Link:
        """Make the links to these tiers; paths in `addresses` are to be reached by these from elsewhere."""


class Stream:
    """The in-process delay line: right message latency and order on every system."""

    name = "stream"
    own_addresses = False

    def works(self) -> str | None:
        """Work wherever there is a timer finer than a millisecond."""
        return timer_trouble()

    async def open(
        self, tiers: Sequence[Tier], queue: DueQueue, seed: int, addresses: Addresses = NO_ADDRESSES
    ) -> Link:
        """Need no making: each listener gets delay lines."""
        return InProcess(tiers, queue, seed)


class Direct:
    """No distance: every tier is as near as the machine itself, until its path is changed."""

    name = "none"
    own_addresses = False

    def works(self) -> str | None:
        """Work everywhere."""
        return None

    async def open(
        self, tiers: Sequence[Tier], queue: DueQueue, seed: int, addresses: Addresses = NO_ADDRESSES
    ) -> Link:
        """Need no making: connections get delay lines when there is something to hold."""
        return InProcess(tiers, queue, seed, distance=False)


def _packet() -> PacketRungLike:
    from emulator.link.packet import PacketRung  # only who asks for it pays for it

    return PacketRung()


def _netem() -> PacketRungLike:
    from emulator.link.netem import NetemRung

    return NetemRung()


RUNGS: tuple[Rung, ...] = (Wired("netem", _netem), Wired("packet", _packet), Stream(), Direct())


class Choice(NamedTuple):
    """A rung, and the better ones that were passed over, each with the reason why it does not work here."""

    rung: Rung
    passed_over: tuple[tuple[str, str], ...] = ()

    def after(self, reason: str) -> Choice:
        """Give the next best choice, because this one failed for `reason`."""
        return _best(RUNGS[RUNGS.index(self.rung) + 1 :], (*self.passed_over, (self.rung.name, reason)))


def choose(name: str, *, nearby: bool = False) -> Choice:
    """Give the rung of that name, or for "auto" the best one that works here.

    With `nearby`, "auto" leaves out rungs with addresses of their own. LinkError for an unknown name, and for
    a rung that does not work on this system.
    """
    if name == "auto":
        return _best(tuple(rung for rung in RUNGS if not (nearby and rung.own_addresses)), ())
    for rung in RUNGS:
        if rung.name == name:
            if reason := rung.works():
                raise LinkError(f"it does not work here: {reason}")
            return Choice(rung)
    raise LinkError(unknown("link", name, ("auto", *(rung.name for rung in RUNGS))))


def _best(rungs: Sequence[Rung], passed_over: tuple[tuple[str, str], ...]) -> Choice:
    for rung in rungs:
        reason = rung.works()
        if reason is None:
            return Choice(rung, passed_over)
        passed_over = (*passed_over, (rung.name, reason))
    raise LinkError("no link works here")
