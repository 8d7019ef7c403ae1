"""What crossed an emulator's edge, as lines that a person reads: requests with answers, and messages.

Bytes are cut as they pass and decoded when somebody reads them: connections go on as if nobody listened.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple
from weakref import WeakKeyDictionary

LINES = 500
"""Lines that are kept, the last ones."""
SHOWN_BYTES = 2_048
"""Bytes of a request, an answer or a message that are shown."""
LARGEST_HEAD = 64 << 10
"""Bytes of a request's or an answer's head; a connection with a longer one is not decoded any further."""
KEPT_OF_SECRETS = 4
"""Characters of keys, tokens and passwords that are shown."""

_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"^content-length:[ \t]*(\d{1,12})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_CHUNKED = re.compile(rb"^transfer-encoding:[^\r\n]*chunked", re.IGNORECASE | re.MULTILINE)
_UPGRADE = re.compile(rb"^upgrade:[ \t]*websocket", re.IGNORECASE | re.MULTILINE)
_FIX_END = re.compile(rb"\x0110=\d{3}\x01")
_SECRETS = re.compile(
    r"""("(?:token|otp|secret|password|api_?secret)"\s*:\s*"|\b(?:otp|token)=|[\x01|](?:554|96)=)"""
    r"""([^"&|\x01\s]+)""",
    re.IGNORECASE,
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CLOSE, _PING, _PONG = 8, 9, 10
_NOT_YET = ("(no answer yet)",)


class Piece(NamedTuple):
    """Bytes to show, cut already; ``size`` is what there was.  They become text when somebody asks."""

    data: bytes
    size: int

    def __str__(self) -> str:
        return shown(self.data, self.size)


class Line:
    """One thing that happened; a request's answer comes later."""

    __slots__ = ("answer", "answered_s", "at_s", "connection", "pieces")

    def __init__(self, connection: int, pieces: tuple[Piece | str, ...], at_s: float) -> None:
        self.connection = connection
        self.pieces = pieces
        self.at_s = at_s
        self.answer: tuple[Piece | str, ...] = ()
        self.answered_s = at_s


class Transcript:
    """The last things that crossed the edge since it began.  Any thread may read it.

    Call it with ``http`` or ``fix`` for the listener of a new connection. Connections are numbered from 1, in
    the order in which they first do something.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: deque[Line] = deque(maxlen=LINES)
        self._dropped = self._count = 0
        self._connections: WeakKeyDictionary[object, int] = WeakKeyDictionary()
        self._began_s = time.monotonic()

    def __call__(self, protocol: str) -> Fix | Http:
        """Return the listener of a new connection."""
        return Fix(self) if protocol == "fix" else Http(self)

    def begin(self) -> None:
        """Forget what was, and count times and connections from now on."""
        with self._lock:
            self._lines.clear()
            self._dropped = self._count = 0
            self._connections.clear()
            self._began_s = time.monotonic()

    def add(self, connection: object, *pieces: Piece | str) -> Line:
        """Add what has just happened on a connection, which is what hears it."""
        now_s = time.monotonic()
        with self._lock:
            number = self._connections.get(connection)
            if number is None:
                self._count += 1
                number = self._connections[connection] = self._count
            line = Line(number, pieces, now_s)
            self._dropped += len(self._lines) == LINES
            self._lines.append(line)
        return line

    def lines(self) -> list[str]:
        """Return what happened: seconds since the beginning, ``#`` connection, what it was."""
        with self._lock:
            lines, dropped, began_s = list(self._lines), self._dropped, self._began_s
        told = [f"({dropped} earlier lines are left out)"] if dropped else []
        return told + [_told(line, began_s) for line in lines]

    def __str__(self) -> str:
        return "\n".join(self.lines())


def _told(line: Line, began_s: float) -> str:
    text = f"{line.at_s - began_s:9.4f} s  #{line.connection} {_joined(line.pieces)}"
    if not line.answer:
        return text
    if line.answer is _NOT_YET:
        return f"{text} -> {_joined(_NOT_YET)}"
    return f"{text} -> {_joined(line.answer)}  ({(line.answered_s - line.at_s) * 1e3:.1f} ms)"


def _joined(pieces: tuple[Piece | str, ...]) -> str:
    return " ".join(filter(None, map(str, pieces)))


def _cut(data: bytes) -> Piece:
    return Piece(data[:SHOWN_BYTES], len(data))


def shown(data: bytes, size: int) -> str:
    """Return the beginning of ``size`` bytes as text on one line, secrets shortened."""
    text = _SECRETS.sub(_shortened, data.decode("utf-8", "backslashreplace"))
    text = _CONTROL.sub(" ", text.replace("\r\n", " "))
    return text if size <= len(data) else f"{text} … ({size} bytes)"


def _shortened(match: re.Match[str]) -> str:
    value = match[2]
    return f"{match[1]}{value[:KEPT_OF_SECRETS]}…" if len(value) > KEPT_OF_SECRETS else f"{match[1]}…"


class Fix:
    """Listens to a FIX connection."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        self._rest = {">": b"", "<": b""}

    def received(self, data: bytes) -> None:
        """Hear bytes of the client."""
        self._hear(">", data)

    def sent(self, data: bytes) -> None:
        """Hear bytes of the venue."""
        self._hear("<", data)

    def closed(self) -> None:
        """Say that the connection is over, and what was no whole message."""
        for direction, rest in self._rest.items():
            if rest:
                self._add(direction, rest)
        self._transcript.add(self, "closed")

    def _hear(self, direction: str, data: bytes) -> None:
        data = self._rest[direction] + data
        start = 0
        for end in _FIX_END.finditer(data):
            self._add(direction, data[start : end.end()])
            start = end.end()
        self._rest[direction] = data[start:][-LARGEST_HEAD:]

    def _add(self, direction: str, message: bytes) -> None:
        self._transcript.add(self, direction, _cut(message.replace(b"\x01", b"|")))


class Http:
    """Listens to a connection that begins with HTTP: requests and their answers, or WebSocket messages."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        self._waiting: deque[Line] = deque()
        self._from_client: _Messages | _Frames = _Messages()
        self._from_venue: _Messages | _Frames = _Messages()

    def received(self, data: bytes) -> None:
        """Hear bytes of the client."""
        if isinstance(self._from_client, _Frames):
            self._tell(">", self._from_client, data)
            return
        for head, body, size in self._from_client.feed(data):
            line, _, fields = head.partition(b"\r\n")
            request = _cut(line.rpartition(b" ")[0] or line)
            asked = self._transcript.add(self, request, Piece(body, size))
            asked.answer = _NOT_YET
            self._waiting.append(asked)
            if _UPGRADE.search(fields):
                self._from_client = _Frames()  # nothing comes before the answer
                return

    def sent(self, data: bytes) -> None:
        """Hear bytes of the venue."""
        messages = self._from_venue
        if isinstance(messages, _Frames):
            self._tell("<", messages, data)
            return
        for head, body, size in messages.feed(data):
            line, _, _ = head.partition(b"\r\n")
            status = line.partition(b" ")[2]
            if status.startswith(b"100"):
                continue
            self._answered(_cut(status), Piece(body, size))
            if status.startswith(b"101"):
                self._from_venue = _Frames()
                self._tell("<", self._from_venue, messages.rest)
                return
            if isinstance(self._from_client, _Frames):
                self._from_client = _Messages()  # the upgrade was refused

    def closed(self) -> None:
        """Say that the connection is over, where that says something."""
        while self._waiting:
            self._answered("closed without an answer")
        if isinstance(self._from_venue, _Frames):
            self._transcript.add(self, "closed")

    def _answered(self, *answer: Piece | str) -> None:
        if self._waiting:
            line = self._waiting.popleft()
            line.answered_s = time.monotonic()
            line.answer = answer
        else:
            self._transcript.add(self, "->", *answer)

    def _tell(self, direction: str, frames: _Frames, data: bytes) -> None:
        for kind, payload in frames.feed(data):
            self._transcript.add(self, direction, kind, payload)


class _Messages:
    """Cuts a stream into HTTP messages; only what is shown of their bodies is kept."""

    def __init__(self) -> None:
        self.rest = b""
        """What came after the last message."""
        self._head: bytes | None = None
        self._body = b""
        self._size = 0
        self._missing = 0

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes, int]]:
        """Take bytes in; give each message's head, the beginning of its body, and the body's size."""
        self.rest += data
        while True:
            if self._head is None:
                head, end, rest = self.rest.partition(_END)
                if not end:
                    self.rest = self.rest[-LARGEST_HEAD:]
                    return
                self._head, self._body, self.rest = head, b"", rest
                length = _LENGTH.search(head)
                # Chunks are shown as they are; where they end is where the next thing is said.
                self._size = self._missing = int(length[1]) if length else 0
                if not length and _CHUNKED.search(head):
                    self._size = self._missing = len(rest)
            taken = self.rest[: self._missing]
            self.rest = self.rest[self._missing :]
            self._missing -= len(taken)
            self._body += taken[: SHOWN_BYTES - len(self._body)]
            if self._missing:
                return
            head, self._head = self._head, None
            yield head, self._body, self._size


class _Frames:
    """Cuts a stream into WebSocket frames; only what is shown of them is kept."""

    def __init__(self) -> None:
        self._rest = b""
        self._skipped = 0
        """Bytes still to come of a frame that was shown already."""

    def feed(self, data: bytes) -> Iterator[tuple[str, Piece]]:
        """Take bytes in; give the kind of each frame, nothing for messages, and what it says."""
        skipped = min(self._skipped, len(data))
        self._skipped -= skipped
        self._rest += data[skipped:]
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> tuple[str, Piece] | None:
        rest = self._rest
        if len(rest) < 2:
            return None
        size = rest[1] & 0x7F
        long = {126: 2, 127: 8}.get(size, 0)
        mask_at = 2 + long
        at = mask_at + (4 if rest[1] & 0x80 else 0)
        if len(rest) < at:
            return None
        if long:
            size = int.from_bytes(rest[2:mask_at], "big")
        payload = rest[at : at + min(size, SHOWN_BYTES)]
        if len(payload) < min(size, SHOWN_BYTES):
            return None
        self._rest = rest[at + size :]
        self._skipped = max(0, at + size - len(rest))
        mask = rest[mask_at:at]
        if mask:
            key = (mask * (len(payload) // 4 + 1))[: len(payload)]
            payload = (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(
                len(payload), "big"
            )
        return _frame(rest[0] & 0x0F, payload, size)


def _frame(opcode: int, payload: bytes, size: int) -> tuple[str, Piece]:
    if opcode == _CLOSE:
        return f"close {int.from_bytes(payload[:2], 'big')}", _cut(payload[2:])
    return {_PING: "ping", _PONG: "pong"}.get(opcode, ""), Piece(payload, size)
