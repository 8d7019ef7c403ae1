"""The addresses that paths are reached at: one for all of them, or one for each, found by its name."""

import asyncio
import socket
from collections.abc import Sequence

from emulator.link.tiers import Path, Tier
from emulator.settings import TIER_IN_HOST, SettingsError

FOUND_WITHIN_S = 10.0
"""How long a name may be unknown: a container's name server can be later than the container."""
_ASK_AGAIN_S = 0.2


def apart(host: str) -> bool:
    """Tell whether a ``host`` setting gives each path an address of its own."""
    return TIER_IN_HOST in host


def name_of(host: str, tier: Tier, path: Path) -> str:
    """Return the name of a path's address: ``colo.example``, and ``colo-b.example`` for its second path."""
    way_in = tier.name if path == tier.paths[0] else f"{tier.name}-{path.name.lower()}"
    return host.replace(TIER_IN_HOST, way_in)


async def find(host: str, tiers: Sequence[Tier]) -> dict[tuple[str, str], str]:
    """Return the address of each path, by tier and path name; raises SettingsError for an unknown name."""
    paths = [(tier, path) for tier in tiers for path in tier.paths]
    if not apart(host):
        return {(tier.name, path.name): host for tier, path in paths}
    found = await asyncio.gather(*(_address(name_of(host, tier, path)) for tier, path in paths))
    return {(tier.name, path.name): at for (tier, path), at in zip(paths, found, strict=True)}


async def _address(name: str) -> str:
    """Return a name's first IPv4 address."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + FOUND_WITHIN_S
    while True:
        try:
            found = await loop.getaddrinfo(name, None, family=socket.AF_INET, type=socket.SOCK_STREAM)
            return str(found[0][4][0])
        except (OSError, UnicodeError) as error:
            if loop.time() >= deadline:
                reason = getattr(error, "strerror", None) or str(error)
                raise SettingsError(f"host: {name} has no IPv4 address: {reason}") from None
        await asyncio.sleep(_ASK_AGAIN_S)
