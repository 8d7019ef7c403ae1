"""The connection under a WebSocket session, as the session sees it."""

from collections.abc import Callable
from typing import Protocol


class Sender(Protocol):
    """Whoever gets messages."""

    @property
    def send(self) -> Callable[..., None]:
        """Sends messages (``*payloads``) at once, in one write."""


class Mail:
    """Messages to several connections of what happened at one moment: one write for each of them, at the end.

    A message that cannot be made holds up none of those that were added before it.
    """

    __slots__ = ("_messages",)

    def __init__(self) -> None:
        self._messages: dict[Sender, list[bytes]] = {}

    def add(self, to: Sender, payload: bytes) -> None:
        """Have a message sent, after those to the same connection that were added before."""
        self._messages.setdefault(to, []).append(payload)

    def __enter__(self) -> "Mail":
        return self

    def __exit__(self, *_: object) -> None:
        for to, payloads in self._messages.items():
            to.send(*payloads)


class Outlet(Protocol):
    """The connection under a session."""

    @property
    def peer(self) -> str:
        """Where the client is, for the log."""

    def send(self, *payloads: bytes) -> None:
        """Send messages at once, in one write."""

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
