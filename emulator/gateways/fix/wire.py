"""FIX as bytes: whole messages out of a stream, their fields, messages as they are sent.  Pure functions."""

import base64
import hashlib
import hmac
import re
from datetime import UTC, datetime
from zlib import adler32

from emulator.gateways.numbers import Seconds

SOH = "\x01"
LARGEST_MESSAGE = 64 << 10
"""Bytes; who sends a larger one is cut off."""
_BEGIN, _FIX44 = b"8=FIX", b"8=FIX.4.4\x019="
_HEAD = re.compile(rb"8=FIX[^\x01=]{0,16}\x019=([0-9]{1,9})\x01")
_LONGEST_HEAD = 40
_TRAILER = 7
"""Bytes of ``10=123`` and its end."""
_WHEN = re.compile(r"(\d{4})(\d{2})(\d{2})-(\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?", re.ASCII)
_TRAILERS = tuple(b"10=%03d\x01" % number for number in range(256))
"""By checksum."""
_SURE, _SURE_ASCII = 256, 515
"""Bytes whose sum is below that, whatever they are."""


class TooLargeError(Exception):
    """A peer announces a message, or sends garbage, beyond ``LARGEST_MESSAGE``."""


class Framer:
    """Cuts a stream into whole messages; what is none is skipped, as FIX says of garbled messages."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes in; return the messages that are whole.  Raises TooLargeError."""
        if not self._buffer and _is_one(data):
            return [data]
        buffer = self._buffer + data if self._buffer else data
        messages, start = [], 0
        while True:
            start = buffer.find(_BEGIN, start)
            if start < 0:
                # The beginning of a message may be there, but no more than that.
                start = max(len(buffer) - len(_BEGIN) + 1, 0)
                break
            head = _HEAD.match(buffer, start)
            if head is None:
                if len(buffer) - start < _LONGEST_HEAD and not _spoilt(buffer, start):
                    break
                start += 1
                continue
            size = int(head[1])
            if size > LARGEST_MESSAGE:
                raise TooLargeError
            end = head.end() + size + _TRAILER
            if len(buffer) < end:
                break
            if buffer[end - _TRAILER : end - 4] == b"10=" and buffer[end - 1] == 1:
                messages.append(buffer[start:end])
                start = end
            else:  # the length is wrong: the next message begins somewhere behind
                start += 1
        self._buffer = buffer[start:]
        return messages


def _is_one(data: bytes) -> bool:
    """Tell whether ``data`` is just one message, as it is when a client waits for answers."""
    if not data.startswith(_FIX44):
        return False
    head = data.find(1, len(_FIX44))
    size = data[len(_FIX44) : head]
    return (
        len(size) < 6
        and size.isdigit()
        and head + 1 + int(size) + _TRAILER == len(data)
        and data[-_TRAILER:-4] == b"10="
        and data[-1] == 1
        and len(data) <= LARGEST_MESSAGE
    )


def _spoilt(buffer: bytes, start: int) -> bool:
    """Tell whether no head can come of what is there: another message begins already."""
    return buffer.find(_BEGIN, start + 1) >= 0


def fields(message: str) -> dict[str, str]:
    """Return a message's fields by tag; of tags that stand there twice, the last one."""
    parts = message.replace("=", SOH).split(SOH)
    if len(parts) == 2 * message.count("=") + 1:  # no value has one
        part = iter(parts)
        return dict(zip(part, part, strict=False))
    return dict([part.split("=", 1) for part in message[:-1].split(SOH)])


def pairs(message: str) -> list[tuple[str, str]]:
    """Return a message's fields in their order: groups repeat tags."""
    return [(tag, value) for tag, _, value in (part.partition("=") for part in message[:-1].split(SOH))]


def checksum(data: bytes) -> int:
    """Return the sum of all bytes modulo 256 (tag 10).

    The low half of an Adler-32 is the sum plus one, as long as that is below 65,521.
    """
    if len(data) < _SURE_ASCII and data.isascii():
        return (adler32(data) - 1) & 0xFF
    return sum([adler32(data[at : at + _SURE]) - 1 for at in range(0, len(data), _SURE)]) & 0xFF


def sound(message: bytes) -> bool:
    """Tell whether a whole message's checksum is right."""
    return message[-4:-1] == b"%03d" % checksum(message[:-_TRAILER])


def encode(content: str) -> bytes:
    """Return a message; ``content`` is everything between the length and the checksum."""
    data = content.encode()
    data = b"8=FIX.4.4\x019=%d\x01%b" % (len(data), data)
    return data + _TRAILERS[checksum(data)]


def resent(message: bytes, stamp: str) -> bytes:
    """Return a message as it is sent again: 43=Y, a new 52, and 122 with the first one."""
    content = []
    for tag, value in pairs(message.decode())[2:-1]:
        if tag == "49":
            content.append("43=Y")
        content.append(f"52={stamp}" if tag == "52" else f"{tag}={value}")
        if tag == "52":
            first = value
        elif tag == "56":
            content.append(f"122={first}")
    return encode(SOH.join(content) + SOH)


_second = Seconds("%Y%m%d-%H:%M:%S")


class _Latest:
    """The time that was last asked for as text: a message has the same one in several places."""

    ms = -1
    stamp = ""


def timestamp(time_ns: int) -> str:
    """Return a time as ``20260302-12:00:01.006``."""
    ms = time_ns // 10**6
    if ms != _Latest.ms:
        seconds, rest = divmod(ms, 1000)
        _Latest.stamp, _Latest.ms = f"{_second[seconds]}.{rest:03d}", ms
    return _Latest.stamp


def time_only(time_ns: int) -> str:
    """Return the time of day as ``12:00:01.006`` (273)."""
    return timestamp(time_ns)[9:]


def parse_timestamp(value: str) -> int:
    """Return nanoseconds since the epoch of a UTCTimestamp; raises ValueError."""
    found = _WHEN.fullmatch(value)
    if found is None:
        raise ValueError("not a UTCTimestamp")
    *parts, fraction = found.groups()
    year, month, day, hour, minute, second = map(int, parts)
    whole = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    return int(whole.timestamp()) * 10**9 + int((fraction or "0").ljust(9, "0"))


def password(secret: bytes, key: str, sender: str, target: str, number: str, nonce: str) -> str:
    """Return what 554 must be (Kraken's FIX authentication guide): base64 of an HMAC-SHA512."""
    signed = SOH.join(("35=A", f"34={number}", f"49={sender}", f"56={target}", f"553={key}", ""))
    digest = hashlib.sha256((signed + nonce).encode()).digest()
    return base64.b64encode(hmac.digest(secret, digest, "sha512")).decode()
