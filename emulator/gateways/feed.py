"""Public feeds: what all subscribers of one subscription get, encoded once."""

from typing import Protocol

from emulator.gateways.framing import text_frame


class Subscriber(Protocol):
    """Whoever gets a feed's frames."""

    def post(self, frame: bytes) -> None:
        """Send ``frame`` with the other market data of this moment."""


class Feed:
    """What subscribers of one subscription get."""

    __slots__ = ("subscribers",)

    def __init__(self) -> None:
        self.subscribers: dict[Subscriber, None] = {}

    def broadcast(self, payload: bytes) -> None:
        """Send one message to all."""
        frame = text_frame(payload)
        for subscriber in self.subscribers:
            subscriber.post(frame)
