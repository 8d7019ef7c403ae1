"""A WebSocket message in pieces: fragments, and frames of which only the beginning is there yet."""

import codecs

from emulator.gateways.framing import CONTINUATION, INVALID_DATA, POLICY, TEXT, TOO_BIG, FaultError

LARGEST_MESSAGE = 1 << 20
"""Bytes; a larger message closes the connection with code 1009."""
MOST_FRAGMENTS = 4_096
"""Frames of one message; more close the connection with code 1008."""
_DECODER = codecs.getincrementaldecoder("utf-8")


class Fragments:
    """What there is of the message that has begun; texts fail as soon as they can be no UTF-8 any more."""

    __slots__ = ("_parts", "_seen", "_size", "_utf8", "opcode")

    def __init__(self) -> None:
        self.opcode = CONTINUATION
        """Of the message; CONTINUATION when none has begun."""
        self._parts: list[bytes] = []
        self._size = 0
        self._seen = 0
        """Bytes of the present frame that have been looked at before it was whole."""
        self._utf8: codecs.IncrementalDecoder | None = None

    def admit(self, length: int) -> None:
        """Check that a data frame of such a length may follow.  FaultError."""
        if length > LARGEST_MESSAGE - self._size:
            raise FaultError(TOO_BIG, f"a message has at most {LARGEST_MESSAGE} bytes")
        if len(self._parts) >= MOST_FRAGMENTS:
            raise FaultError(POLICY, f"a message has at most {MOST_FRAGMENTS} fragments")

    def unseen(self, opcode: int, have: int) -> int | None:
        """Return from where on to look at a frame of which ``have`` bytes are there; None: not at all."""
        return self._seen if (opcode or self.opcode) == TEXT and have > self._seen else None

    def look(self, part: bytes) -> None:
        """Look at the next bytes of a text frame that is not whole.  FaultError."""
        self._seen += len(part)
        self._check(part, final=False)

    def whole(self) -> None:
        """The frame that was looked at is a whole message, which is judged by itself."""
        if self._seen:
            self.forget()

    def add(self, opcode: int, payload: bytes, *, final: bool) -> bytes | None:
        """Take a whole data frame; return the message when that is whole with it.  FaultError."""
        if opcode != CONTINUATION:
            self.opcode = opcode
        if self.opcode == TEXT:
            self._check(payload[self._seen :], final=final)
            self._seen = 0
        self._parts.append(payload)
        self._size += len(payload)
        return b"".join(self._parts) if final else None

    def forget(self) -> None:
        """Begin anew."""
        self._parts.clear()
        self._size = self._seen = 0
        self.opcode = CONTINUATION
        self._utf8 = None

    def _check(self, part: bytes, *, final: bool) -> None:
        if self._utf8 is None:
            self._utf8 = _DECODER()
        try:
            self._utf8.decode(part, final)
        except UnicodeDecodeError:
            raise FaultError(INVALID_DATA, "invalid UTF-8 in a text message") from None
