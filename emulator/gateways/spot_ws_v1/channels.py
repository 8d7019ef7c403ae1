"""Channels of WebSocket v1: wire name to what a subscription to it may say, a table (``CHANNELS``)."""

from typing import Any

import msgspec

from emulator.gateways.errors import VenueError
from emulator.gateways.spot_ws_v1.private import ORDERS, TRADES
from emulator.gateways.spot_ws_v1.publisher import DEPTHS
from emulator.gateways.tape import INTERVALS
from emulator.words import listed, unknown


class Channel(msgspec.Struct, frozen=True):
    """One channel; ``detail`` is what tells subscriptions of one pair apart."""

    name: str
    fields: frozenset[str]
    private: bool = False
    detail: str | None = None
    default: int = 0
    choices: tuple[int, ...] = ()
    not_an_integer: str = ""
    not_offered: str = ""

    def value(self, subscription: dict[str, Any]) -> int:
        """Return depth or interval; VenueError for one that there is not."""
        if self.detail is None:
            return 0
        value = subscription.get(self.detail, self.default)
        if type(value) is not int:
            raise VenueError(self.not_an_integer)
        if value not in self.choices:
            raise VenueError(
                self.not_offered, "{} {}; there are: {}", self.detail, value, listed(self.choices)
            )
        return value

    def title(self, value: int) -> str:
        """Return ``channelName``."""
        return self.name if self.detail is None else f"{self.name}-{value}"

    def described(self, value: int) -> dict[str, Any]:
        """Return ``subscription`` of the answer."""
        return {"name": self.name} | ({} if self.detail is None else {self.detail: value})


_NEVER = {
    ("book", "interval"): "Subscription book doesn't require interval",
    ("spread", "depth"): "Subscription spread doesn't require depth",
}
"""Fields that have a refusal of their own."""

CHANNELS = {
    channel.name: channel
    for channel in (
        Channel("ticker", frozenset({"name"})),
        Channel("trade", frozenset({"name"})),
        Channel("spread", frozenset({"name"})),
        Channel(
            "ohlc",
            frozenset({"name", "interval"}),
            False,
            "interval",
            1,
            INTERVALS,
            "Subscription ohlc interval must be an integer",
            "Subscription ohlc interval not supported",
        ),
        Channel(
            "book",
            frozenset({"name", "depth"}),
            False,
            "depth",
            10,
            DEPTHS,
            "Subscription book depth must be an integer",
            "Subscription depth not supported",
        ),
        Channel(ORDERS, frozenset({"name", "token", "ratecounter", "rebased"}), private=True),
        Channel(
            TRADES, frozenset({"name", "token", "snapshot", "consolidate_taker", "rebased"}), private=True
        ),
    )
}


def find(subscription: dict[str, Any]) -> Channel:
    """Return the channel of a subscription whose fields are all known; VenueError."""
    name = subscription.get("name")
    if name is None:
        raise VenueError("Malformed request", "subscription has no name")
    channel = CHANNELS.get(name) if type(name) is str else None
    if channel is None:
        raise VenueError("Subscription name invalid", unknown, "channel", str(name), CHANNELS)
    for field in subscription:
        if field not in channel.fields:
            raise VenueError(_NEVER.get((channel.name, field), "Subscription object unsupported field"))
    return channel
