"""Application-level truth: how long an order takes on a path beyond the time that it is held.

A tier's RTT is what a lean client sees from order to ack, the link's machinery, the wake-ups and the venue's
work included. So they are measured when the venue starts, by the probe of `measure`, with orders over the
real path to a venue that is thrown away afterwards. Every later packet is held that much less.
"""

import asyncio
import statistics
from typing import Any

from emulator.link.listener import Link
from emulator.link.shape import Shape, Ways
from emulator.link.stream import ProtocolFactory
from emulator.link.tiers import Tier
from emulator.measure.prober import ProbeError, Prober
from emulator.measure.requests import websocket_orders

LONGEST_HOLD_US = 20_000.0
"""What a path holds while it is measured, at most: who sleeps longer does not wake up later."""
SETTLING = 2
"""First orders, which find cold caches and are not counted."""
FEWEST, MOST = 9, 100
"""Orders that are."""
ORDERS_TAKE_US = 300_000
DOUBTFUL_US = 1_500.0
"""What is more than this is measured again: something else had the machine for a while."""
QUIET_S = 0.005


class Calibration:
    """Measures paths through one probe, and sets what they hold less; equal holds are measured once.

    ``factory`` makes protocols of a venue where orders leave nothing behind, and ``token`` may trade there.
    """

    def __init__(self, prober: Prober, factory: ProtocolFactory, token: str) -> None:
        self._prober = prober
        self._factory = factory
        self._token = token
        self._known: dict[tuple[float, bool], float] = {}

    async def __call__(self, link: Link, tier: Tier, path: str) -> float:
        """Set the floor of both ways of a path; give it for the round trip, in microseconds.

        The floor is what the median order takes beyond being held. A tier nearer than its floor comes out
        slower.
        """
        standing = link.ways(tier.name, path)
        one_way_us = min(standing.to_venue.fixed_us, standing.to_client.fixed_us)
        hold_us = min(one_way_us, LONGEST_HOLD_US)
        if hold_us <= 0:
            return 0.0
        if (alike := (round(hold_us, 1), tier.spin)) not in self._known:
            held = Shape(one_way_us=hold_us)
            await link.change(tier.name, path, Ways(held, held))
            at = await link.listen(tier, self._factory, "127.0.0.1", 0, path=path)
            try:
                excess_us = await self._excess_us(at.host, at.port, 2 * hold_us, spin=tier.spin)
                if excess_us > DOUBTFUL_US:
                    again_us = await self._excess_us(at.host, at.port, 2 * hold_us, spin=tier.spin)
                    excess_us = min(excess_us, again_us)
                self._known[alike] = excess_us
                # The probe's last packets would count as a client's first ones.
                await asyncio.sleep(QUIET_S + 2 * hold_us / 1e6)
            finally:
                at.server.close()
                await link.change(tier.name, path, standing)
        floor_us = self._known[alike]
        await link.change(tier.name, path, standing.changed(floor_us=floor_us / 2), anew=True)
        return floor_us

    async def _excess_us(self, host: str, port: int, held_us: float, *, spin: bool) -> float:
        count = SETTLING + min(max(FEWEST, int(ORDERS_TAKE_US / held_us)), MOST)
        job: dict[str, Any] = {
            "kind": "websocket",
            "host": host,
            "port": port,
            "path": "/v2",
            "messages": websocket_orders(count, self._token, cancelled="all"),
            "spin": spin,
            "spacing_us": 0,
        }
        result = await self._prober.run(job)
        if result["refused"]:
            raise ProbeError(f"an order was refused: {result['first_refusal']}")
        took_us: list[float] = result["took_us"][SETTLING:-1]  # the last one cancels
        return max(0.0, statistics.median(took_us) - held_us)
