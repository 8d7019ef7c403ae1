"""Links that need nothing of the system: listeners of this process, with delay lines beneath them."""

from __future__ import annotations

from collections.abc import Sequence

from emulator.link import stream
from emulator.link.delay import StreamPath
from emulator.link.listener import Listener, listen
from emulator.link.near import IDLE, NearPath
from emulator.link.shape import Ways, ways
from emulator.link.stream import ProtocolFactory
from emulator.link.tiers import Tier
from emulator.link.timer import DueQueue


class InProcess:
    """Listeners of this process on one host. Paths that do nothing have no delay lines, until they do.

    Without `distance` no path does anything at first, whatever its tier says.
    """

    own_addresses = False

    def __init__(self, tiers: Sequence[Tier], queue: DueQueue, seed: int, *, distance: bool = True) -> None:
        self._queue = queue
        self._seed = seed
        self._tiers = {tier.name: tier for tier in tiers}
        self._paths: dict[tuple[str, str], StreamPath] = {}
        for tier in tiers:
            for path in tier.paths:
                now = ways(tier, path.name) if distance else IDLE
                names = tier.name, path.name
                self._paths[names] = NearPath(*names, now, queue) if now == IDLE else StreamPath(*names, now)

    async def listen(
        self, tier: Tier, factory: ProtocolFactory, host: str, port: int, *, path: str | None = None
    ) -> Listener:
        """Open a listener on `host`."""
        over = self._path(tier.name, path)
        self._seed += 1
        if isinstance(over, NearPath):
            return await listen(over.over(factory, self._seed), host, port)
        return await listen(stream.over(over, self._queue, factory, self._seed), host, port)

    def ways(self, tier_name: str, path_name: str | None = None) -> Ways:
        """Give what a path does now."""
        return self._path(tier_name, path_name).now

    async def change(self, tier_name: str, path_name: str | None, to: Ways, *, anew: bool = False) -> None:
        """Hold what is sent from now on another way; connections draw on, `anew` or not."""
        self._path(tier_name, path_name).change(to)

    async def renew(self, tier_name: str, path_name: str | None, floor_us: float) -> None:
        """Let both ways of a path hold that much less in all, whatever they do besides; also later."""
        self._path(tier_name, path_name).renew(floor_us)

    async def close(self) -> None:
        """End connections that never began: who serves the others has ended those."""
        for path in self._paths.values():
            for connection in list(path.connections):
                connection.cut()

    def _path(self, tier_name: str, path_name: str | None) -> StreamPath:
        return self._paths[tier_name, self._tiers[tier_name].path(path_name).name]
