"""Messages that were sent, for as long as they can be asked for again: bounded, in memory or a folder."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from emulator.gateways.fix.wire import Framer, TooLargeError, fields, sound

MOST_MESSAGES = 8_192
MOST_BYTES = 4 << 20
_LARGEST_FILE = 4 * MOST_BYTES
"""A journal that has become longer is written anew, with what can still be asked for."""


class Outbox:
    """Sent application messages by number, oldest first."""

    __slots__ = ("_bytes", "_messages")

    def __init__(self) -> None:
        self._messages: deque[tuple[int, bytes]] = deque()
        self._bytes = 0

    def add(self, number: int, message: bytes) -> None:
        """Keep a message; the oldest ones give way."""
        self._messages.append((number, message))
        self._bytes += len(message)
        while len(self._messages) > MOST_MESSAGES or self._bytes > MOST_BYTES:
            self._bytes -= len(self._messages.popleft()[1])

    def clear(self) -> None:
        """Forget all: numbers begin again."""
        self._messages.clear()
        self._bytes = 0

    def between(self, first: int, last: int) -> Iterator[tuple[int, bytes]]:
        """Give the messages with these numbers that are still there."""
        return ((number, message) for number, message in self._messages if first <= number <= last)

    def all(self) -> list[bytes]:
        """Return everything that is kept."""
        return [message for _, message in self._messages]


class Journal:
    """A session in a folder: its numbers, and what it has sent.  What is written survives the process.

    Files of another user or that cannot be written raise OSError.
    """

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT
        self._numbers = os.open(folder / f"{name}.numbers", flags, 0o600)
        self._sent = os.open(folder / f"{name}.sent", flags | os.O_APPEND, 0o600)

    def read(self) -> tuple[tuple[int, ...], list[tuple[int, bytes]]]:
        """Return the numbers that were last written and the sent messages, as far as they can be read."""
        numbers = os.pread(self._numbers, 256, 0).split()
        if not all(map(bytes.isdigit, numbers)):
            numbers = []
        size = os.fstat(self._sent).st_size
        begin = max(size - 2 * MOST_BYTES, 0)
        try:
            messages = Framer().feed(os.pread(self._sent, size - begin, begin))
        except TooLargeError:
            messages = []
        sent = [(int(fields(message.decode())["34"]), message) for message in messages if sound(message)]
        return tuple(int(number) for number in numbers), sent

    def write_numbers(self, *numbers: int) -> None:
        """Write down where the session is."""
        os.pwrite(self._numbers, b" ".join(b"%020d" % number for number in numbers), 0)

    def append(self, message: bytes, kept: Callable[[], list[bytes]]) -> None:
        """Write a message down; a file that is too long becomes one of what is ``kept``."""
        os.write(self._sent, message)
        if os.fstat(self._sent).st_size > _LARGEST_FILE:
            os.ftruncate(self._sent, 0)
            os.write(self._sent, b"".join(kept()))

    def clear(self) -> None:
        """Forget what was sent."""
        os.ftruncate(self._sent, 0)

    def close(self) -> None:
        """Close the files."""
        os.close(self._numbers)
        os.close(self._sent)
