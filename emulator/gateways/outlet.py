"""The connection under a WebSocket session, as the session sees it."""

from collections.abc import Callable
from typing import Protocol


class Outlet(Protocol):
    """The connection under a session."""

    def send(self, payload: bytes) -> None:
        """Send one message at once."""

    def post(self, frame: bytes) -> None:
        """Send a ready frame with the other market data of this moment."""

    def subscribed(self) -> None:
        """Start the heartbeat."""

    def later(self, callback: Callable[[], None]) -> None:
        """Call back in the next turn of the loop."""

    def close(self, code: int, reason: str = "") -> None:
        """Close the connection as the protocol says."""


class Listener(Protocol):
    """Whoever is connected."""

    @property
    def send(self) -> Callable[[bytes], None]:
        """Sends one message at once."""

    @property
    def end(self) -> Callable[[int], None]:
        """Closes the connection with a code."""
