"""The floor of a packet link: what a round trip takes beyond the time that packets are held."""

from __future__ import annotations

import socket
import statistics
import struct
import time

from emulator.link.jitter import NS_PER_US
from emulator.link.netns import Namespace

_SETTLING = 2  # the first ones find cold caches
_BLOCKS = 4
_BLOCK = (3, 9)  # round trips of one: at least, at most
_BLOCKS_TAKE_US = 250_000
_GIVE_UP_AFTER_S = 5
_BETWEEN_S = 0.001
_ORDER = bytes(150)


def measured_floor_us(venue: Namespace, address: str, hold_us: float) -> float:
    """Send to and fro on a connection over a path that holds packets `hold_us` each way; give the excess.

    In microseconds, of the median in the quietest of a few blocks: a busy neighbour on the machine must not
    shorten every later packet's way. Both ends are sockets of this thread, which sleeps until data is there,
    and between two round trips: the wake-ups that every client and every venue have are inside. OSError when
    nothing comes for seconds.
    """
    block = min(max(_BLOCK[0], int(_BLOCKS_TAKE_US / (2 * hold_us) / _BLOCKS)), _BLOCK[1])
    took_us = []
    with venue.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((address, 0))
        listener.listen()
        with (
            socket.create_connection(listener.getsockname(), _GIVE_UP_AFTER_S) as here,
            listener.accept()[0] as there,
        ):
            for end in (here, there):
                _make_lean(end)
            for _ in range(_SETTLING + _BLOCKS * block):
                started_ns = time.monotonic_ns()
                here.send(_ORDER)
                there.recv(len(_ORDER))
                there.send(_ORDER)
                here.recv(len(_ORDER))
                took_us.append((time.monotonic_ns() - started_ns) / NS_PER_US)
                time.sleep(_BETWEEN_S)
    medians_us = [
        statistics.median(took_us[first : first + block]) for first in range(_SETTLING, len(took_us), block)
    ]
    return max(0.0, min(medians_us) - 2 * hold_us)


def _make_lean(end: socket.socket) -> None:
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close with one packet
    # A timeout in the kernel: with Python's own, each call would ask poll(2) first.
    end.settimeout(None)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", _GIVE_UP_AFTER_S, 0))
