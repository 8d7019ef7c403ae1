"""Messages that were sent, for as long as they can be asked for again: bounded, in memory or a folder."""

import fcntl
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

from emulator.gateways.fix.wire import Framer, TooLargeError, fields, sound

MOST_MESSAGES = 8_192
MOST_BYTES = 4 << 20
_LARGEST_FILE = 4 * MOST_BYTES
"""A journal that has become longer is written anew, with what can still be asked for."""
_LARGEST_ID_FILE = 1 << 20
_UUID_BYTES = 36


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


class StateFolder:
    """The sessions of earlier runs and of this one, for one emulator at a time.

    Files of another user, or that cannot be written, and another emulator that is there raise OSError.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._held = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._held)
            raise OSError(f"another emulator keeps its own in {folder} (see --state-folder)") from None
        except OSError:  # a file system without locks
            pass

    def journal(self, name: tuple[str, ...]) -> "Journal":
        """Return the journal of the session with this name."""
        return Journal(self._folder, _file_name(name))

    def forget(self, but: Iterable[tuple[str, ...]]) -> None:
        """Remove all sessions, but not those that are open now."""
        opened = {_file_name(name) for name in but}
        for path in self._folder.iterdir():
            if path.stem not in opened:
                path.unlink()

    def close(self) -> None:
        """Let others in."""
        os.close(self._held)


def _file_name(name: tuple[str, ...]) -> str:
    return quote("-".join(name), safe="")


class Journal:
    """A session in a folder: its numbers, and what it has sent.  What is written survives the process.

    A file of what was sent may begin with messages numbered 0: where orders stand that are still open, and
    whose reports are not there any more.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._numbers = os.open(folder / f"{name}.numbers", os.O_RDWR | os.O_CREAT, 0o600)
        self._path = folder / f"{name}.sent"
        self._sent = _open(self._path)
        self.ids = IdFile(folder / f"{name}.ids")

    def read(self) -> tuple[tuple[int, ...], list[tuple[int, bytes]]]:
        """Return the numbers that were last written and the sent messages, as far as they can be read."""
        numbers = os.pread(self._numbers, 256, 0).split()
        if not all(map(bytes.isdigit, numbers)):
            numbers = []
        try:
            messages = Framer().feed(os.pread(self._sent, os.fstat(self._sent).st_size, 0))
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
            self.rewrite(kept())

    def rewrite(self, messages: Iterable[bytes]) -> None:
        """Keep these messages only; who is killed meanwhile leaves the ones or the others."""
        file = _written_anew(self._path, b"".join(messages))
        os.close(self._sent)
        self._sent = file

    def close(self) -> None:
        """Close the files."""
        os.close(self._numbers)
        os.close(self._sent)
        self.ids.close()


class IdFile:
    """The UUIDs that a session has used as ClOrdIDs, oldest first; there is a file from the first one on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def read(self) -> list[str]:
        """Return them, as far as they can be read."""
        if not self._path.exists():
            return []
        ids = self._path.read_bytes().split()
        return [value.decode() for value in ids if len(value) == _UUID_BYTES and value.isascii()]

    def add(self, value: str, kept: Iterable[str]) -> None:
        """Write one down; a file that is too long becomes one of what is ``kept``."""
        if self._file is None:
            self._file = _open(self._path)
        os.write(self._file, b"\n%b" % value.encode())
        if os.fstat(self._file).st_size > _LARGEST_ID_FILE:
            os.close(self._file)
            self._file = _written_anew(self._path, "\n".join(kept).encode())

    def clear(self) -> None:
        """Forget them."""
        self.close()
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)


def _written_anew(path: Path, content: bytes) -> int:
    """Replace a file and return it, open; who is killed meanwhile leaves the old or the new one."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    file = _open(new)
    os.write(file, content)
    new.rename(path)
    return file
