"""A port of the relay: one device's packets, read from a ring that the kernel fills, and written to it.

The ring (PACKET_RX_RING, version 2) needs no call per packet, has room for bursts without the limits that
sysctl sets on socket buffers, and says when the kernel took each packet in: how late a sleeping relay wakes
up does not count.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import socket
import struct
import time
from collections.abc import Callable

_SOL_PACKET = 263
_PACKET_RX_RING = 5
_PACKET_STATISTICS = 6
_PACKET_VERSION = 10
_TPACKET_V2 = 1
_ETH_P_IP = 0x0800
_SIOCETHTOOL = 0x8946
_ETHTOOL_SET_GSO = 0x24

_SLOT_BYTES = 2048  # a packet of MTU 1500, its Ethernet header, and 66 bytes of the kernel's own
_SLOTS = 4096
_BLOCK_BYTES = 65_536
_RING_BYTES = _SLOT_BYTES * _SLOTS
_REQUEST = struct.pack("=4I", _BLOCK_BYTES, _RING_BYTES // _BLOCK_BYTES, _SLOT_BYTES, _SLOTS)

_HEADER = struct.Struct(
    "=IIIHHII"
)  # status, length, length kept, start of the frame, of IP, seconds, nanoseconds
_OURS = 1
_GIVEN_BACK = bytes(4)
_NS_PER_S = 1_000_000_000


def prepare(packet_socket: socket.socket, device: str) -> None:
    """Bind an AF_PACKET socket to a device of its namespace and give it a ring of 8 MiB.

    Of IPv4 only: neighbours are static, and what the devices themselves say (IPv6, ARP) stays off the link. A
    socket bound to one protocol never sees what it sends itself. OSError where the kernel refuses.
    """
    packet_socket.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V2)
    packet_socket.setsockopt(_SOL_PACKET, _PACKET_RX_RING, _REQUEST)
    packet_socket.bind((device, _ETH_P_IP))


def segment_in_software(device: str) -> None:
    """Let TCP hand large packets to a device of the calling thread's namespace, to be cut before sending.

    Twice the throughput of single packets; what leaves the device are packets of its MTU all the same.
    """
    value = ctypes.create_string_buffer(struct.pack("=II", _ETHTOOL_SET_GSO, 1))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sP16x", device.encode(), ctypes.addressof(value))
        fcntl.ioctl(control, _SIOCETHTOOL, request)


class Port:
    """A prepared socket in use."""

    def __init__(self, packet_socket: socket.socket) -> None:
        packet_socket.setblocking(False)
        self.missed = 0
        self._socket = packet_socket
        self._send = packet_socket.send
        self._ring = mmap.mmap(packet_socket.fileno(), _RING_BYTES)
        self._slot = 0
        self._empty_ns = 0

    def fileno(self) -> int:
        """Give the descriptor that is readable while the ring holds packets."""
        return self._socket.fileno()

    def read(self, take: Callable[[int, bytes, int], None], most: int) -> None:
        """Hand the packets in the ring to `take`, with the time they came and now; at most so many.

        Times are those of time.monotonic_ns.
        """
        ring, slot, header = self._ring, self._slot, _HEADER.unpack_from
        wall_ns = time.time_ns()  # before the other: what comes between them makes packets late, not early
        now_ns = time.monotonic_ns()
        to_monotonic_ns = now_ns - wall_ns
        for _ in range(most):
            offset = slot * _SLOT_BYTES
            status, _, length, start, _, seconds, nanoseconds = header(ring, offset)
            if not status & _OURS:
                self._empty_ns = now_ns
                break
            start += offset
            frame = ring[start : start + length]
            ring[offset : offset + 4] = _GIVEN_BACK
            slot = (slot + 1) % _SLOTS
            arrival_ns = seconds * _NS_PER_S + nanoseconds + to_monotonic_ns
            # The kernel's stamp is of the wall clock, which may be set at any moment.
            take(min(max(arrival_ns, self._empty_ns), now_ns), frame, now_ns)
        if (
            slot == self._slot
        ):  # no packet, but the news that the device is down: heard once, or it comes forever
            self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._slot = slot

    def write(self, frame: bytes) -> bool:
        """Send a packet; tell whether the kernel took it (not: the device is down, or has no room)."""
        try:
            self._send(frame)
        except OSError:
            return False
        return True

    def count_missed(self) -> int:
        """Give how many packets found the ring full so far."""
        _, missed = struct.unpack("=II", self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
        self.missed += missed
        return self.missed
