"""Application-level truth: how long an order takes on a path beyond the time that it is held.

A tier's RTT is what a lean client sees from order to ack, the link's machinery, the wake-ups and the venue's
work included. So they are measured when the venue starts, by the probe of `measure`, with orders over the
real path to a venue that is thrown away afterwards. Every later packet is held that much less.

It is the least of what orders take, not the middle: what else the machine does comes on top of that, now and
later, and nothing is to be early. On links that know when a request came (`packet`, `stream`) the venue's
work is not in it; on `netem` it is. It is measured again from time to time, on a path that nobody uses.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import ceil, inf
from typing import Any, NamedTuple

from emulator.link.listener import Link, LinkError
from emulator.link.shape import Shape, Ways
from emulator.link.tiers import Jitter, Path, Tier
from emulator.measure.figures import quantile
from emulator.measure.prober import ProbeError, Prober
from emulator.measure.requests import websocket_orders
from emulator.scratch import Scratch

LONGEST_HOLD_US, SHORTEST_HOLD_US = 5_000.0, 400.0
"""What a path holds one way while it is measured: who sleeps longer does not wake up later, and for less the
venue's answer may not be ready."""
SETTLING = 8
"""First orders, which find cold caches and what near tiers have to learn; they are not counted."""
FEWEST, MOST = 20, 100
"""Orders that are."""
ORDERS_TAKE_US = 300_000
DOUBTFUL_US, TRIES = 300.0, 4
"""What is more than this is measured again, so many times in all: something else may have had the machine."""
SPARE_US = 5.0
"""A floor is this much less than the least that was seen: what is lighter than an order is not early then."""
QUIET_S = 0.005
SLOWER = 0.1
"""By how much of its RTT a tier may be slower before that is said."""
EVERY_S = 60.0
"""Floors are measured that often."""
LATELY = 60
"""It is the least of so many rounds: a floor that was right in a quiet minute is right in the next one."""
ORDERS_A_ROUND = 10
BUSY = 0.2
"""The share of a CPU from which on the venue has something to do, and is not asked."""
LOWER_US, HIGHER_US = 2.0, 20.0
"""A floor is changed when it is this much too high, or too low: being early is worse than being late."""

_log = logging.getLogger(__name__)
_NO_JITTER = Jitter(p50_us=0, p99_us=0, p999_us=0, estimated=False, source="none")
YARDSTICK = Tier(
    name="(yardstick)",
    title="a path that nobody uses, to measure on",
    rtt_us=2 * SHORTEST_HOLD_US,
    source="none",
    access="none",
    apis=("websocket",),
    paths=(Path(name="main"),),
    jitter=_NO_JITTER,
)


class Kind(NamedTuple):
    """What paths have alike that have the same floor: how long they hold, and whether it polls there."""

    hold_us: float
    spin: bool


class Measured(NamedTuple):
    """What a path takes for a round trip, and by how much an order comes later than that allows; in µs."""

    floor_us: float
    over_us: float = 0.0


class Calibration:
    """Measures paths through one probe, and sets what they hold less; equal holds are measured once."""

    def __init__(self, prober: Prober, scratch: Scratch) -> None:
        self._prober = prober
        self._scratch = scratch
        self._known: dict[Kind, Measured] = {}

    async def __call__(self, link: Link, tier: Tier, path: str) -> Measured:
        """Set the floor of both ways of a path; give what was measured."""
        standing = link.ways(tier.name, path)
        one_way_us = min(standing.to_venue.fixed_us, standing.to_client.fixed_us)
        if one_way_us <= 0:
            return Measured(0.0)
        kind = Kind(round(one_way_us, 1), tier.spin)
        if kind not in self._known:
            try:
                self._known[kind] = await self._measured(link, tier, path, one_way_us)
            finally:
                await link.change(tier.name, path, standing)
        measured = self._known[kind]
        await link.change(tier.name, path, standing.changed(floor_us=measured.floor_us / 2), anew=True)
        return measured

    async def _measured(self, link: Link, tier: Tier, path: str, one_way_us: float) -> Measured:
        kind = Kind(held_for(one_way_us), tier.spin)
        count = min(max(FEWEST, int(ORDERS_TAKE_US / 2 / kind.hold_us)), MOST)
        floor_us = inf
        for _ in range(TRIES):
            floor_us = min(floor_us, await self.least_us(link, tier, path, kind, count))
            if floor_us < DOUBTFUL_US:
                break
        if kind.hold_us <= one_way_us:
            return Measured(floor_us)
        kind = Kind(one_way_us, tier.spin)
        near_us = await self.beyond_us(link, tier, path, kind, count, floor_us=floor_us)
        over_us = quantile(near_us, 0.25)  # the middle is that of a busy machine
        floor_us = max(0.0, floor_us + min(0.0, near_us[0] - SPARE_US))
        return Measured(floor_us, over_us if over_us > SLOWER * 2 * one_way_us else 0.0)

    async def least_us(self, link: Link, tier: Tier, path: str, kind: Kind, count: int) -> float:
        """Give the least that an order takes beyond being held. The path stays as it is then.

        Half of so many orders are of a client that polls, half of one that sleeps. On a quiet machine the
        first hears of its answers sooner; on a busy one the second, which is woken before those that always
        run.
        """
        either = [
            await self.beyond_us(link, tier, path, kind, ceil(count / 2), polls=polls)
            for polls in (True, False)
        ]
        return max(0.0, min(either)[0] - SPARE_US)

    async def beyond_us(
        self,
        link: Link,
        tier: Tier,
        path: str,
        kind: Kind,
        count: int,
        *,
        floor_us: float = 0.0,
        polls: bool = True,
    ) -> list[float]:
        """Give what so many orders take beyond being held, the least first. The path stays as it is then."""
        held = Shape(one_way_us=kind.hold_us, floor_us=floor_us / 2)
        await link.change(tier.name, path, Ways(held, held))
        at = await link.listen(tier, self._scratch.factory, "127.0.0.1", 0, path=path)
        job: dict[str, Any] = {
            "kind": "websocket",
            "host": at.host,
            "port": at.port,
            "path": "/v2",
            "messages": websocket_orders(SETTLING + count, self._scratch.token(), cancelled="all"),
            "spin": polls,
            "spacing_us": 0,
        }
        try:
            result = await self._prober.run(job)
            # The probe's last packets would count as a client's first ones.
            await asyncio.sleep(QUIET_S + 2 * kind.hold_us / 1e6)
        finally:
            at.server.close()
        if result["refused"]:
            raise ProbeError(f"an order was refused: {result['first_refusal']}")
        took_us: list[float] = result["took_us"][SETTLING:-1]  # the last one cancels
        return sorted(us - 2 * kind.hold_us for us in took_us)


def held_for(one_way_us: float) -> float:
    """Give how long a path holds one way while its floor is measured, which holds so long otherwise."""
    return min(max(one_way_us, SHORTEST_HOLD_US), LONGEST_HOLD_US)


class Floor:
    """The floor of some paths: the least of what was measured lately."""

    def __init__(self, us: float) -> None:
        self.us = us
        self._lately = deque([us], maxlen=LATELY)

    def take(self, measured_us: float) -> bool:
        """Take another measurement; tell whether the floor is another one now."""
        self._lately.append(measured_us)
        least_us = min(self._lately)
        if self.us - LOWER_US <= least_us <= self.us + HIGHER_US:
            return False
        self.us = least_us
        return True


class Watch:
    """Measures the floors of a link's paths again and again, on a path of its own, and renews them."""

    def __init__(self, link: Link, scratch: Scratch) -> None:
        self._link = link
        self._scratch = scratch

    async def run(self, tiers: Sequence[Tier], floors_us: Mapping[tuple[str, str], float]) -> None:
        """Go on until cancelled, from the floors of paths that were measured at the start."""
        paths = {(tier.name, path): tier for tier in tiers for path in (p.name for p in tier.paths)}
        kinds: dict[Kind, list[tuple[str, str]]] = {}
        for (name, path), tier in paths.items():
            ways = self._link.ways(name, path)
            one_way_us = min(way.one_way_us + way.extra_us for way in ways)
            if one_way_us > 0 and (name, path) in floors_us:
                kinds.setdefault(Kind(held_for(one_way_us), tier.spin), []).append((name, path))
        floors = {kind: Floor(min(floors_us[path] for path in alike)) for kind, alike in kinds.items()}
        while True:
            await asyncio.sleep(EVERY_S)
            if await _busy():
                continue
            with suppress(ProbeError, LinkError, OSError):  # the floors stay as they are
                async with Prober() as prober:
                    await self._round(Calibration(prober, self._scratch), kinds, floors)

    async def _round(
        self,
        calibration: Calibration,
        kinds: Mapping[Kind, list[tuple[str, str]]],
        floors: Mapping[Kind, Floor],
    ) -> None:
        path = YARDSTICK.paths[0].name
        for kind, alike in kinds.items():
            least_us = await calibration.least_us(self._link, YARDSTICK, path, kind, ORDERS_A_ROUND)
            if floors[kind].take(least_us):
                _log.info("an order takes %.0f µs with nothing held: %s", floors[kind].us, alike)
                for tier_name, path_name in alike:
                    await self._link.renew(tier_name, path_name, floors[kind].us)


async def _busy() -> bool:
    """Tell whether this process has something to do, as it was during the last tenth of a second."""
    before_s, began_s = time.process_time(), time.monotonic()
    await asyncio.sleep(0.1)
    return time.process_time() - before_s > BUSY * (time.monotonic() - began_s)
