"""Orders that wait for a price: what sets them off, and the queue in which a pair keeps them.

A trigger fires when its reference (the last trade, or the index) has reached its price.  A trailing
one moves its price along behind the best reference it has seen.  Prices are in the pair's units.
"""

from bisect import bisect_left, insort
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from emulator.engine.orders import Order

_PPM = 1_000_000


class Reference(StrEnum):
    """Which price sets a trigger off."""

    LAST = "last"
    INDEX = "index"


class Offset(msgspec.Struct, frozen=True, gc=False):
    """A price given as a distance from another one: in price units, or in parts per million of it."""

    value: int
    percent: bool = False

    def from_(self, price: int, tick: int) -> int:
        """Return the price at this distance from ``price``, on the tick nearest to it.

        It is the distance that is rounded, down to whole ticks, not the price (recorded 2025: 1 % behind
        4.0266 is 3.9864).
        """
        distance = self.value
        if self.percent:
            size = abs(self.value) * price // _PPM // tick * tick
            distance = size if self.value > 0 else -size
        return (price + distance + tick // 2) // tick * tick


class Trigger:
    """What an order waits for."""

    __slots__ = (
        "fired_ns",
        "fired_price",
        "offset",
        "peak",
        "price",
        "queued_at",
        "reference",
        "rises",
        "trails",
    )

    def __init__(self, price: int, reference: Reference, *, rises: bool) -> None:
        self.price = price
        """Where it fires, now; 0 while a trailing trigger has not seen a price."""
        self.reference = reference
        self.rises = rises
        """Whether it fires when the reference is at its price or above, rather than below."""
        self.offset: Offset | None = None
        """The distance by which the order named its price."""
        self.trails = False
        self.peak = 0
        """The best reference that a trailing trigger has seen."""
        self.fired_ns = 0
        self.fired_price = 0
        """The reference that set it off."""
        self.queued_at: int | None = None

    def follow(self, price: int, tick: int) -> bool:
        """Let a trailing trigger see a price; tell whether that moved it."""
        better = price < self.peak if self.rises else price > self.peak
        if self.peak and not better:
            return False
        self.peak = price
        offset = self.offset or Offset(0)
        value = offset.value if self.rises else -offset.value
        self.price = max(Offset(value, offset.percent).from_(price, tick), tick)
        return True


class TriggerQueue:
    """The waiting orders of one pair and one reference, nearest first, then oldest first."""

    __slots__ = ("_falling", "_rising", "_seen", "_trailing", "orders")

    def __init__(self) -> None:
        self.orders: dict[int, Order] = {}
        """All that wait, by their number."""
        self._rising: list[tuple[int, int, Order]] = []
        self._falling: list[tuple[int, int, Order]] = []
        self._trailing: dict[int, Order] = {}
        self._seen = 0

    def add(self, order: "Order") -> None:
        """Let ``order`` wait."""
        trigger = order.trigger
        assert trigger is not None  # noqa: S101 - only orders with a trigger wait
        self.orders[order.seq] = order
        if trigger.trails:
            self._trailing[order.seq] = order
        if trigger.price:
            self._enter(order, trigger)

    def remove(self, order: "Order") -> None:
        """Let ``order`` wait no longer; nothing happens when it does not."""
        trigger = order.trigger
        assert trigger is not None  # noqa: S101 - only orders with a trigger wait
        self.orders.pop(order.seq, None)
        self._trailing.pop(order.seq, None)
        self._leave(order, trigger)

    def follow(self, price: int) -> list["Order"]:
        """Let trailing triggers see ``price``; return the orders whose trigger moved."""
        if not self._trailing or price == self._seen:
            return []
        self._seen = price
        moved = []
        for order in self._trailing.values():
            trigger = order.trigger
            assert trigger is not None  # noqa: S101 - only orders with a trigger wait
            before = trigger.queued_at
            if trigger.follow(price, order.instrument.tick):
                if before is not None:
                    self._leave(order, trigger)
                self._enter(order, trigger)
                moved.append(order)
        return moved

    def due(self, price: int) -> "Order | None":
        """Take out and return the next order that ``price`` sets off."""
        for queue, key in ((self._rising, price), (self._falling, -price)):
            if queue and queue[0][0] <= key:
                order = queue[0][2]
                self.remove(order)
                return order
        return None

    def _enter(self, order: "Order", trigger: Trigger) -> None:
        queue, key = self._place(trigger)
        trigger.queued_at = key
        insort(queue, (key, order.seq, order))

    def _leave(self, order: "Order", trigger: Trigger) -> None:
        if trigger.queued_at is not None:
            queue, _ = self._place(trigger)
            del queue[bisect_left(queue, (trigger.queued_at, order.seq))]
            trigger.queued_at = None

    def _place(self, trigger: Trigger) -> "tuple[list[tuple[int, int, Order]], int]":
        return (self._rising, trigger.price) if trigger.rises else (self._falling, -trigger.price)
