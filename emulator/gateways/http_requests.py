"""Where requests begin and end in a stream of bytes (RFC 9112, sections 2, 6 and 7).

aiohttp reads requests. This only tells their bodies from their heads, so that nothing depends on how a
client, or TCP, has cut them into pieces.
"""

import re
from enum import Enum, auto
from typing import Final

END = b"\r\n\r\n"
LARGEST_HEAD = 16 << 10
_LONGEST_LINE = 4 << 10
"""Of a chunk's size with its extensions, and of a trailer."""
MOST_CHUNKS = 8_192
"""Of a body: each takes a hundred bytes or more to keep, however small it is."""
_MOST_DIGITS = 16
_POST = b"POST "
_LENGTH, _CODED = b"\r\ncontent-length:", b"\r\ntransfer-encoding:"
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n")
_SIZE_LINE = re.compile(rb"([0-9a-fA-F]{1,16})(?:;[!-~]*)?\r\n")
_FIELD_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*\r\n")
_EMPTY_LINE = b"\r\n"


class _Part(Enum):
    HEAD = auto()
    BODY = auto()
    SIZE = auto()
    """The line that says how long a chunk is."""
    CHUNK = auto()
    BREAK = auto()
    """The end of line behind a chunk."""
    TRAILER = auto()
    UNKNOWN = auto()
    """Nothing is known any more: the request is wrong, and the connection ends with its answer."""


# Looked up for each request: a member of an Enum takes longer to find than a global.
_HEAD: Final = _Part.HEAD
_BODY: Final = _Part.BODY
_SIZE: Final = _Part.SIZE
_CHUNK: Final = _Part.CHUNK
_BREAK: Final = _Part.BREAK
_TRAILER: Final = _Part.TRAILER
_UNKNOWN: Final = _Part.UNKNOWN


class Requests:
    """The requests of one connection."""

    __slots__ = ("_chunks", "_left", "_line", "_part")

    def __init__(self) -> None:
        self._part = _HEAD
        self._left = 0
        self._line = b""
        self._chunks = 0

    @property
    def in_body(self) -> bool:
        """Whether what comes next belongs to a request whose head is over."""
        return self._part is not _HEAD

    @property
    def in_chunks(self) -> bool:
        """Whether a body in chunks begins."""
        return self._part is _SIZE

    @property
    def lost(self) -> bool:
        """Whether a request was wrong: nothing that comes is one any more."""
        return self._part is _UNKNOWN

    def is_one(self, data: bytes) -> bool:
        """Tell whether this is one whole POST with nothing before or after it: nearly all that comes is."""
        end = data.find(END) + len(END)
        if self._part is not _HEAD or not len(END) <= end <= LARGEST_HEAD or not data.startswith(_POST):
            return False
        before, _, after = data[:end].lower().partition(_LENGTH)
        length = after[: after.find(b"\r\n")].strip(b" \t")
        return (
            length.isdigit()
            and len(length) <= _MOST_DIGITS
            and int(length) == len(data) - end
            and _LENGTH not in after
            and _CODED not in before
            and _CODED not in after
        )

    def give_up(self) -> None:
        """Take nothing more for a request."""
        self._part = _UNKNOWN

    def begin(self, head: bytes) -> None:
        """Take a whole head: what comes next is its body, if it has one."""
        lower = head.lower()
        at = lower.find(_LENGTH)
        if _CODED in lower:
            whole = _CHUNKED.search(lower) and lower.count(_CODED) == 1 and at < 0
            self._part, self._line, self._chunks = (_SIZE if whole else _UNKNOWN), b"", 0
        elif at >= 0:
            end = lower.find(b"\r\n", at + 2)
            length = lower[at + len(_LENGTH) : end].strip(b" \t")
            if not length.isdigit() or len(length) > _MOST_DIGITS or lower.find(_LENGTH, end) >= 0:
                self.give_up()
            elif self._set_left(int(length)):
                self._part = _BODY

    def skip(self, data: bytes, at: int) -> int:
        """Return where in ``data`` the body ends that goes on at ``at``: its end when it goes on beyond."""
        part, size = self._part, len(data)
        while at < size and part is not _HEAD:
            if part is _UNKNOWN:
                return size
            if part in (_BODY, _CHUNK):
                taken = min(self._left, size - at)
                at += taken
                self._left -= taken
                if not self._left:
                    self._part = _HEAD if part is _BODY else _BREAK
            else:
                at = self._skip_line(data, at)
            part = self._part
        return at

    def _set_left(self, left: int) -> bool:
        self._left = left
        return left > 0

    def _skip_line(self, data: bytes, at: int) -> int:
        end = data.find(b"\n", at)
        self._line += data[at : len(data) if end < 0 else end + 1]
        if len(self._line) > _LONGEST_LINE:
            self.give_up()
        if end < 0:
            return len(data)
        line, self._line = self._line, b""
        if self._part is _SIZE:
            self._chunk(line)
        elif line == _EMPTY_LINE:
            self._part = _SIZE if self._part is _BREAK else _HEAD
        elif self._part is _BREAK or not _FIELD_LINE.fullmatch(line):
            self.give_up()
        return end + 1

    def _chunk(self, line: bytes) -> None:
        size = _SIZE_LINE.fullmatch(line)
        self._chunks += 1
        if size is None or self._chunks > MOST_CHUNKS:
            self.give_up()
        else:
            self._part = _CHUNK if self._set_left(int(size[1], 16)) else _TRAILER
