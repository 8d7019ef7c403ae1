"""Rungs whose links carry real packets: each path has an address of its own, reached through devices."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Protocol

from emulator.link.listener import Link, LinkError, Listener
from emulator.link.shape import Ways
from emulator.link.stream import ProtocolFactory
from emulator.link.tiers import Tier
from emulator.link.timer import DueQueue


class PacketRungLike(Protocol):
    """A rung that makes devices; its calls block for a while."""

    def works(self) -> str | None:
        """Say in one line why it cannot work on this system, or None when it works."""

    def open(self, tiers: Sequence[Tier], seed: int) -> PacketLinkLike:
        """Make the devices."""


class PacketLinkLike(Protocol):
    """The devices of one run; its calls block for a while."""

    def address(self, tier_name: str, path_name: str | None = None) -> str:
        """Give the venue's address at the far end of a path."""

    def listening_socket(self, tier_name: str, path_name: str | None, port: int) -> socket.socket:
        """Make a listening socket at the far end of a path."""

    def ways(self, tier_name: str, path_name: str | None = None) -> Ways:
        """Give what packets of a path meet with now."""

    def change(self, tier_name: str, path_name: str | None, to: Ways, *, anew: bool = False) -> None:
        """Treat packets that come from now on another way. OSError when that cannot be."""

    def close(self) -> None:
        """Remove the devices."""


class Wired:
    """A rung of the ladder made of a rung that blocks: its calls go to a thread."""

    own_addresses = True

    def __init__(self, name: str, make: Callable[[], PacketRungLike]) -> None:
        self.name = name
        self._make = make

    def works(self) -> str | None:
        """Make and remove a namespace and its devices to see."""
        return self._make().works()

    async def open(self, tiers: Sequence[Tier], queue: DueQueue, seed: int) -> Link:
        """Make the devices. LinkError where the system refuses."""
        try:
            return WiredLink(await asyncio.to_thread(self._make().open, tiers, seed))
        except OSError as error:
            raise LinkError(f"link {self.name!r} cannot be made: {error}") from None


class WiredLink:
    """Listeners at the far ends of real links."""

    own_addresses = True

    def __init__(self, link: PacketLinkLike) -> None:
        self._link = link

    async def listen(
        self, tier: Tier, factory: ProtocolFactory, host: str, port: int, *, path: str | None = None
    ) -> Listener:
        """Open a listener on the path's own address; `host` does not matter."""
        end = await asyncio.to_thread(self._link.listening_socket, tier.name, path, port)
        server = await asyncio.get_running_loop().create_server(factory, sock=end)
        return Listener(server, self._link.address(tier.name, path), int(end.getsockname()[1]))

    def ways(self, tier_name: str, path_name: str | None = None) -> Ways:
        """Give what packets of a path meet with now."""
        return self._link.ways(tier_name, path_name)

    async def change(self, tier_name: str, path_name: str | None, to: Ways, *, anew: bool = False) -> None:
        """Treat packets that come from now on another way."""
        try:
            await asyncio.to_thread(self._link.change, tier_name, path_name, to, anew=anew)
        except (OSError, ValueError) as error:
            raise LinkError(f"tier {tier_name} cannot be changed: {error}") from None

    async def close(self) -> None:
        """Remove the devices."""
        await asyncio.to_thread(self._link.close)
