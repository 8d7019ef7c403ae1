"""Application-level truth: how long an order takes on a path beyond the time that it is held.

A tier's RTT is what a lean client sees from order to ack, the link's machinery, the wake-ups and the venue's
work included. So they are measured when the venue starts, with the real probe over the real path, and every
later packet is held that much less.
"""

import asyncio
import statistics
from typing import Any

from emulator.link.listener import Link
from emulator.link.shape import Shape, Ways
from emulator.link.tiers import Tier
from emulator.measure.prober import Prober

LONGEST_HOLD_US = 20_000.0
"""What a path holds while it is measured, at most: who sleeps longer does not wake up later."""
SETTLING = 2
"""First orders, which find cold caches and are not counted."""
BLOCKS = 2
FEWEST, MOST = 7, 60
"""Orders of a block."""
BLOCKS_TAKE_US = 500_000
QUIET_S = 0.005


class Calibration:
    """Measures paths through one probe, and sets what they hold less; equal holds are measured once."""

    def __init__(self, prober: Prober, token: str) -> None:
        self._prober = prober
        self._token = token
        self._known: dict[tuple[float, bool], float] = {}

    async def __call__(self, link: Link, tier: Tier, path: str, host: str, port: int) -> float:
        """Set the floor of both ways of a path; give it for the round trip, in microseconds.

        The floor is the excess of the median in the quieter one of two blocks of orders: a busy neighbour
        must not shorten every later packet's way. A tier nearer than its floor comes out slower.
        """
        standing = link.ways(tier.name, path)
        one_way_us = min(standing.to_venue.fixed_us, standing.to_client.fixed_us)
        hold_us = min(one_way_us, LONGEST_HOLD_US)
        if hold_us <= 0:
            return 0.0
        if (alike := (round(hold_us, 1), tier.spin)) not in self._known:
            held = Shape(one_way_us=hold_us)
            await link.change(tier.name, path, Ways(held, held))
            try:
                self._known[alike] = await self._excess_us(host, port, 2 * hold_us, spin=tier.spin)
                # The probe's last packets would count as a client's first ones.
                await asyncio.sleep(QUIET_S + 2 * hold_us / 1e6)
            finally:
                await link.change(tier.name, path, standing)
        floor_us = self._known[alike]
        await link.change(tier.name, path, standing.changed(floor_us=floor_us / 2), anew=True)
        return floor_us

    async def _excess_us(self, host: str, port: int, held_us: float, *, spin: bool) -> float:
        block = min(max(FEWEST, int(BLOCKS_TAKE_US / held_us / BLOCKS)), MOST)
        job: dict[str, Any] = {
            "kind": "websocket",
            "host": host,
            "port": port,
            "path": "/v2",
            "opening": [],
            "messages": [_order(place, self._token) for place in range(1, SETTLING + BLOCKS * block + 1)],
            "spin": spin,
            "spacing_us": 0,
        }
        took_us: list[float] = (await self._prober.run(job))["took_us"][SETTLING:]
        medians = [
            statistics.median(took_us[first : first + block]) for first in range(0, len(took_us), block)
        ]
        return max(0.0, min(medians) - held_us)


def _order(req_id: int, token: str) -> str:
    """Return an order that goes all the way into the engine's rules, and leaves nothing behind."""
    return (
        '{"method":"add_order","params":{"order_type":"limit","side":"buy","order_qty":0.01,"symbol":"BTC/USD",'
        f'"limit_price":1000.0,"validate":true,"token":"{token}"}},"req_id":{req_id}}}'
    )
