"""What every link gives: listeners at the far end of a tier."""

from __future__ import annotations

import asyncio
from typing import NamedTuple, Protocol

from emulator.link.shape import Ways
from emulator.link.stream import ProtocolFactory
from emulator.link.tiers import Tier

BACKLOG = 128
"""Connections that may wait to be accepted; asyncio accepts up to this many in one go."""


class LinkError(Exception):
    """A link that cannot be had or changed. One line: what was asked for, why not, what there is."""


class Listener(NamedTuple):
    """A server that is reached through a link, and the address to reach it at."""

    server: asyncio.Server
    host: str
    port: int


async def listen(factory: ProtocolFactory, host: str, port: int) -> Listener:
    """Open a listener in this process on an address of this machine; OSError when it cannot be had."""
    server = await asyncio.get_running_loop().create_server(factory, host, port, backlog=BACKLOG)
    return Listener(server, host, int(server.sockets[0].getsockname()[1]))


class Link(Protocol):
    """What a rung made for one run."""

    own_addresses: bool
    """Whether each path has an address of its own, so that all of them can use the same ports."""

    async def listen(
        self, tier: Tier, factory: ProtocolFactory, host: str, port: int, *, path: str | None = None
    ) -> Listener:
        """Open a listener at the far end of a tier's path, the first one by default.

        `host` is where to listen when the path has no address of its own; port 0 takes a free one. OSError
        when the port cannot be had.
        """

    def ways(self, tier_name: str, path_name: str | None = None) -> Ways:
        """Give what a path does now, the tier's first by default; KeyError for a tier it was not made for."""

    async def change(self, tier_name: str, path_name: str | None, to: Ways, *, anew: bool = False) -> None:
        """Make a path do something else from now on; connections stay, and what is under way arrives.

        A way that loses everything (`loss` 1) cuts the path. `anew` begins again with all draws where the
        rung can. LinkError where there is nothing to change.
        """

    async def renew(self, tier_name: str, path_name: str | None, floor_us: float) -> None:
        """Let both ways of a path hold that much less in all, whatever `change` says of it, then or later.

        `ways` goes on to tell what the path was made or changed to.
        """

    async def close(self) -> None:
        """Take down what was made; close the listeners before. Idempotent."""
