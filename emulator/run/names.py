"""The name server of the command's network: it knows Kraken's names, and tells what else it was asked for."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

PORT = 53
_ADDRESS = 1
_HEADER = struct.Struct("!6H")
_RESPONSE, _REPEATED = 0x8080, 0x0100  # an answer, by one who recurses; "recursion desired" as it was asked
_NO_ERROR, _NO_SUCH_NAME = 0, 3
_TTL_S = 60
_LOOPBACK = {"localhost": ("127.0.0.1",)}
_LARGEST_LABEL, _LARGEST_NAME = 63, 255


class Question(NamedTuple):
    """What somebody asks a name server."""

    number: int
    flags: int
    name: str
    """In small letters, without a final dot."""
    kind: int
    """Of the record: 1 is an IPv4 address."""
    raw: bytes
    """As it stands in the query."""


def question(query: bytes) -> Question | None:
    """Read a query of DNS; None when it is not one with one question (RFC 1035, 4.1)."""
    if len(query) < _HEADER.size:
        return None
    number, flags, questions, *_ = _HEADER.unpack_from(query)
    if flags & 0xF800 or questions != 1:
        return None
    labels, at = [], _HEADER.size
    while at < len(query) and (length := query[at]):
        if length > _LARGEST_LABEL or at > _HEADER.size + _LARGEST_NAME:
            return None
        labels.append(query[at + 1 : at + 1 + length])
        at += 1 + length
    if len(query) < at + 5:
        return None
    name = ".".join("".join(_shown(byte) for byte in label) for label in labels).lower()
    kind = int.from_bytes(query[at + 1 : at + 3], "big")
    return Question(number, flags, name, kind, query[_HEADER.size : at + 5])


def _shown(byte: int) -> str:
    return chr(byte) if 0x21 <= byte < 0x7F else "?"


def answer(asked: Question, addresses: Sequence[str] | None) -> bytes:
    """Return the answer: the addresses where IPv4 ones are asked for; no such name where they are None."""
    found = (addresses or ()) if asked.kind == _ADDRESS else ()
    code = _NO_SUCH_NAME if addresses is None else _NO_ERROR
    flags = _RESPONSE | asked.flags & _REPEATED | code
    record = struct.pack("!3HIH", 0xC000 | _HEADER.size, _ADDRESS, 1, _TTL_S, 4)
    records = b"".join(record + socket.inet_aton(address) for address in found)
    return _HEADER.pack(asked.number, flags, 1, len(found), 0, 0) + asked.raw + records


class NameServer(asyncio.DatagramProtocol):
    """Answers over UDP; `tell` is called with each question for a name that there is not."""

    def __init__(self, known: Mapping[str, Sequence[str]], tell: Callable[[Question], None]) -> None:
        self._known = {**_LOOPBACK, **known}
        self._tell = tell
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        """Answer one query."""
        asked = question(data)
        if asked is None:
            return
        addresses = self._known.get(asked.name)
        self._transport.sendto(answer(asked, addresses), addr)
        if addresses is None:
            self._tell(asked)
