"""Messages as a client sees them: strict reading, ids that increase, times as FIX has them."""

import re
import time

from emulator.gateways.fix.wire import SOH, pairs

_last_id = [0]
_HEAD = re.compile(rb"8=FIX\.4\.4\x019=(\d+)\x01")
_TRAILER = 7


class Reader:
    """Cuts a stream into messages of any length: 9 and 10 must be right, and nothing may stand in between."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes in; return the messages that are whole."""
        buffer, at, found = self._buffer + data, 0, []
        while head := _HEAD.match(buffer, at):
            end = head.end() + int(head[1]) + _TRAILER
            if len(buffer) < end:
                break
            message = buffer[at:end]
            assert message[-_TRAILER:] == b"10=%03d\x01" % (sum(message[:-_TRAILER]) % 256), message
            found.append(message)
            at = end
        self._buffer = buffer[at:]
        assert b"8=FIX.4.4\x019=".startswith(self._buffer[:12]), self._buffer
        return found


class Message:
    """A message as it came: fields in their order, and by tag."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.pairs = pairs(raw.decode())
        self._first = dict(reversed(self.pairs))

    def __getitem__(self, tag: int) -> str:
        return self._first[str(tag)]

    def get(self, tag: int) -> str | None:
        return self._first.get(str(tag))

    def all(self, tag: int) -> list[str]:
        """Return every value of a tag: groups repeat them."""
        return [value for name, value in self.pairs if name == str(tag)]

    def groups(self, first: int) -> list[dict[int, str]]:
        """Return the entries of the group that begins with tag ``first``."""
        entries: list[dict[int, str]] = []
        for name, value in self.pairs:
            if name == str(first):
                entries.append({})
            if entries and int(name) not in entries[-1]:
                entries[-1][int(name)] = value
        return entries

    @property
    def type(self) -> str:
        return self[35]

    def __repr__(self) -> str:
        return self.raw.decode().replace(SOH, "|")


def states(messages: list[Message]) -> list[str]:
    """Return 150 and 39 of reports, and the types of other messages."""
    return [m[150] + m[39] if m.type == "8" else m.type for m in messages]


def new_id() -> str:
    """Return a ClOrdID: microseconds, ever increasing in this process."""
    _last_id[0] = max(_last_id[0] + 1, time.time_ns() // 1000)
    return str(_last_id[0])


def stamp(seconds: float) -> str:
    """Return a time since the epoch as FIX has it."""
    ms = round(seconds * 1000)
    return time.strftime("%Y%m%d-%H:%M:%S", time.gmtime(ms // 1000)) + f".{ms % 1000:03d}"


def now() -> str:
    """Return the time as FIX has it."""
    return stamp(time.time())
