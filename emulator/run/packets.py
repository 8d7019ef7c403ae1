"""Attempts to reach what is not there: first packets to foreign addresses, as the kernel has them on `lo`."""

from __future__ import annotations

import ctypes
import ipaddress
import socket
import struct
from typing import NamedTuple

from emulator.link.netns import SUBNETS

TCP, UDP = socket.IPPROTO_TCP, socket.IPPROTO_UDP
_EVERY_PROTOCOL = 3
_ATTACH_FILTER = 26
_LARGEST = 2048
_IPV6_HEADER = 40

_WORD, _BYTE, _BYTE_AT_X, _AND, _EQUALS, _RETURN, _X_IS_HEADER = 0x20, 0x30, 0x50, 0x54, 0x15, 0x06, 0xB1
_PACKET_TYPE, _OUTGOING = 0xFFFFF004, 4
_SYN, _SYN_OR_ACK = 0x02, 0x12
_NEXT, _IPV6, _DROP, _TAKE = "next", "ipv6", "drop", "take"
_OURS, _MASK = int(SUBNETS.network_address), int(SUBNETS.netmask)
_PROGRAM: tuple[tuple[str, int, int, str, str], ...] = (
    # label, code, operand, where to go when equal, and when not
    ("", _WORD, _PACKET_TYPE, "", ""),
    ("", _EQUALS, _OUTGOING, _DROP, _NEXT),  # each packet of lo is seen twice
    ("", _BYTE, 0, "", ""),
    ("", _AND, 0xF0, "", ""),
    ("", _EQUALS, 0x60, _IPV6, _NEXT),
    ("", _EQUALS, 0x40, _NEXT, _DROP),
    ("", _WORD, 16, "", ""),  # the destination
    ("", _AND, 0xFF000000, "", ""),
    ("", _EQUALS, 0x7F000000, _DROP, _NEXT),
    ("", _WORD, 16, "", ""),
    ("", _AND, _MASK, "", ""),
    ("", _EQUALS, _OURS, _DROP, _NEXT),
    ("", _BYTE, 9, "", ""),  # the protocol
    ("", _EQUALS, UDP, _TAKE, _NEXT),
    ("", _EQUALS, TCP, _NEXT, _DROP),
    ("", _X_IS_HEADER, 0, "", ""),
    ("", _BYTE_AT_X, 13, "", ""),  # TCP's flags
    ("", _AND, _SYN_OR_ACK, "", ""),
    ("", _EQUALS, _SYN, _TAKE, _DROP),
    (_IPV6, _WORD, 24, "", ""),  # the destination's first bytes: all zero in ::1
    ("", _EQUALS, 0, _DROP, _NEXT),
    ("", _BYTE, 6, "", ""),
    ("", _EQUALS, UDP, _TAKE, _NEXT),
    ("", _EQUALS, TCP, _NEXT, _DROP),
    ("", _BYTE, _IPV6_HEADER + 13, "", ""),
    ("", _AND, _SYN_OR_ACK, "", ""),
    ("", _EQUALS, _SYN, _TAKE, _DROP),
    (_DROP, _RETURN, 0, "", ""),
    (_TAKE, _RETURN, _LARGEST, "", ""),
)
"""Classic BPF, so that the emulator's own packets on `lo` never wake anybody."""


class Attempt(NamedTuple):
    """One attempt to reach somebody."""

    protocol: int
    address: str
    port: int
    payload: bytes
    """Of a datagram; empty with TCP."""

    @property
    def place(self) -> str:
        """Where to, such as "104.16.212.191:443", "[2606:4700::1]:443" or "8.8.8.8:53/udp"."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}" + ("/udp" if self.protocol == UDP else "")


def watch() -> socket.socket:
    """Return a socket that receives attempts to reach foreign addresses from the calling thread's network.

    OSError without CAP_NET_RAW over it.
    """
    watching = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    try:
        code = ctypes.create_string_buffer(_assembled())
        program = struct.pack("HP", len(_PROGRAM), ctypes.addressof(code))
        watching.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)
        watching.bind(("lo", _EVERY_PROTOCOL))
        watching.setblocking(False)
    except BaseException:
        watching.close()
        raise
    return watching


def received(watching: socket.socket) -> list[Attempt]:
    """Return what has come since the last call."""
    found: list[Attempt] = []
    while True:
        try:
            packet = watching.recv(_LARGEST)
        except BlockingIOError:
            return found
        if (attempt := _read(packet)) is not None:
            found.append(attempt)


def _read(packet: bytes) -> Attempt | None:
    """Read an IP packet; None for one that is cut short, or for a group."""
    try:
        version, header = packet[0] >> 4, (packet[0] & 0xF) * 4
        if version == 4:
            protocol, address = packet[9], ipaddress.ip_address(packet[16:20])
        else:
            protocol, header, address = packet[6], _IPV6_HEADER, ipaddress.ip_address(packet[24:40])
        (port,) = struct.unpack_from("!H", packet, header + 2)
    except (IndexError, ValueError, struct.error):
        return None
    if address.is_multicast:
        return None
    return Attempt(protocol, str(address), port, packet[header + 8 :] if protocol == UDP else b"")


def _assembled() -> bytes:
    at = {label: place for place, (label, *_) in enumerate(_PROGRAM) if label}
    rows = []
    for place, (_, code, operand, equal, other) in enumerate(_PROGRAM):
        jumps = [at.get(label, place + 1) - place - 1 if label else 0 for label in (equal, other)]
        rows.append(struct.pack("HBBI", code, *jumps, operand))
    return b"".join(rows)
