"""Rungs whose links carry real packets: each path has an address of its own, reached through devices."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from emulator.link.in_process import InProcess
from emulator.link.listener import Link, LinkError, Listener
from emulator.link.shape import Ways
from emulator.link.stream import ProtocolFactory
from emulator.link.tiers import Tier
from emulator.link.timer import DueQueue
from emulator.link.uplink import NO_ADDRESSES, Addresses


class PacketRungLike(Protocol):
    """A rung that makes devices; its calls block for a while."""

    def works(self) -> str | None:
        """Say in one line why it cannot work on this system, or None when it works."""

    def open(self, tiers: Sequence[Tier], seed: int, addresses: Addresses) -> PacketLinkLike:
        """Make the devices; paths in `addresses` are reached by that address of this machine."""


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

    def renew(self, tier_name: str, path_name: str | None, floor_us: float) -> None:
        """Let both ways of a path hold that much less in all, whatever they do besides."""

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

    async def open(
        self, tiers: Sequence[Tier], queue: DueQueue, seed: int, addresses: Addresses = NO_ADDRESSES
    ) -> Link:
        """Make the devices. LinkError where the system refuses.

        With `addresses`, tiers without distance have no devices: they are where their address is.
        """
        near = [tier for tier in tiers if addresses and not tier.rtt_us]
        far = [tier for tier in tiers if tier not in near]
        try:
            link = await asyncio.to_thread(self._make().open, far, seed, addresses)
        except OSError as error:
            raise LinkError(f"link {self.name!r} cannot be made: {error}") from None
        return WiredLink(link, {tier.name for tier in near}, InProcess(near, queue, seed))


class WiredLink:
    """Listeners at the far ends of real links."""

    own_addresses = True

    def __init__(self, link: PacketLinkLike, near: Collection[str], beside: Link) -> None:
        """Take the link, the names of the tiers that go without devices, and the link that those have."""
        self._link = link
        self._near = near
        self._beside = beside

    async def listen(
        self, tier: Tier, factory: ProtocolFactory, host: str, port: int, *, path: str | None = None
    ) -> Listener:
        """Open a listener on the path's own address; `host` is for tiers that have none."""
        if tier.name in self._near:
            return await self._beside.listen(tier, factory, host, port, path=path)
        end = await asyncio.to_thread(self._link.listening_socket, tier.name, path, port)
        server = await asyncio.get_running_loop().create_server(factory, sock=end)
        return Listener(server, self._link.address(tier.name, path), int(end.getsockname()[1]))

    def ways(self, tier_name: str, path_name: str | None = None) -> Ways:
        """Give what packets of a path meet with now."""
        if tier_name in self._near:
            return self._beside.ways(tier_name, path_name)
        return self._link.ways(tier_name, path_name)

    async def change(self, tier_name: str, path_name: str | None, to: Ways, *, anew: bool = False) -> None:
        """Treat packets that come from now on another way."""
        if tier_name in self._near:
            await self._beside.change(tier_name, path_name, to, anew=anew)
            return
        try:
            await asyncio.to_thread(self._link.change, tier_name, path_name, to, anew=anew)
        except (OSError, ValueError) as error:
            raise LinkError(f"tier {tier_name} cannot be changed: {error}") from None

    async def renew(self, tier_name: str, path_name: str | None, floor_us: float) -> None:
        """Let both ways of a path hold that much less in all, whatever they do besides; also later."""
        if tier_name not in self._near:
            try:
                await asyncio.to_thread(self._link.renew, tier_name, path_name, floor_us)
            except (OSError, ValueError) as error:
                raise LinkError(f"tier {tier_name} cannot be changed: {error}") from None

    async def close(self) -> None:
        """Remove the devices."""
        await self._beside.close()
        await asyncio.to_thread(self._link.close)
