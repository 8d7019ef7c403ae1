"""What every link gives: listeners at the far end of a tier."""

from __future__ import annotations

import asyncio
from typing import NamedTuple, Protocol

from emulator.link.stream import ProtocolFactory
from emulator.link.tiers import Tier


class Listener(NamedTuple):
    """A server that is reached through a link, and the address to reach it at."""

    server: asyncio.Server
    host: str
    port: int


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

    async def close(self) -> None:
        """Take down what was made; close the listeners before. Idempotent."""
