"""Numbers T of 10.83.T.0/24, one for each path: the same in every run, as far as others leave them free.

A claim is an abstract socket name, which the kernel gives to one socket in a network namespace only: two
emulators that start at once get different numbers. It ends with `release_subnet` or with the process.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import threading
import zlib
from collections.abc import Sequence
from typing import Any

from emulator.link import netns
from emulator.link.netns import SUBNETS

_PATHS = (*("colo/A", "colo/B", "beeks/direct", "aws/direct", "us/direct", "tokyo/direct", "local/direct"),)
SUBNET_OF = {name: number for number, name in enumerate(_PATHS, 1)}
"""T of 10.83.T.0/24 for each path of the tiers that come along (docs/tiers.md)."""
_OTHERS, _SPARE = range(16, 128), range(128, 255)
"""T of other paths, by their names; and T of those that find theirs taken."""
_CLAIM = "\0kraken-emulator/10.83.%d"
_claims: dict[int, int] = {}  # subnet number → descriptor of the socket that claims it
_claims_lock = threading.Lock()


def free_subnets(paths: Sequence[tuple[str, str]]) -> list[int]:
    """Claim a number T for each path, by tier and path name, whose 10.83.T.0/24 nobody uses here.

    A path has the same number in every run, so that clients find it again: those that come along have
    `SUBNET_OF`, others one of their names. Who finds it taken, by another emulator, gets a spare one.
    OSError EADDRNOTAVAIL when there are not enough.
    """
    claimed = [_claimed([_own_number(*path)]) for path in paths]
    try:
        for place, numbers in enumerate(claimed):
            if not numbers:
                claimed[place] = free_subnet(1)
    except OSError:
        release_subnet(*(number for numbers in claimed for number in numbers))
        raise
    return [number for [number] in claimed]


def _own_number(tier: str, path: str) -> int:
    name = f"{tier}/{path}"
    return SUBNET_OF.get(name) or _OTHERS.start + zlib.crc32(name.encode()) % len(_OTHERS)


def free_subnet(count: int) -> list[int]:
    """Claim spare numbers T whose 10.83.T.0/24 nobody uses in the calling thread's namespace.

    OSError EADDRNOTAVAIL when fewer than `count` are free.
    """
    claimed = _claimed([*_SPARE, *range(1, _SPARE.start)], count)
    if len(claimed) < count:
        release_subnet(*claimed)
        raise OSError(errno.EADDRNOTAVAIL, f"of the subnets 10.83.T.0/24 fewer than {count} are free")
    return claimed


def _claimed(numbers: Sequence[int], count: int = 1) -> list[int]:
    """Claim the first so many of these numbers that are free, or fewer."""
    with netns.Namespace.current() as here:
        taken = netns.netlink(here, _subnets_in_use)
    claimed: list[int] = []
    for number in numbers:
        if len(claimed) == count:
            break
        if number not in taken and _claim(number):
            claimed.append(number)
    return claimed


def release_subnet(*numbers: int) -> None:
    """Give claimed numbers back. Idempotent."""
    with _claims_lock:
        for number in numbers:
            fd = _claims.pop(number, None)
            if fd is not None:
                os.close(fd)


def _claim(number: int) -> bool:
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(_CLAIM % number)
    except OSError as error:
        claim.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    with _claims_lock:
        if number in _claims:  # in another namespace: a number stands for one claim in this process
            claim.close()
            return False
        _claims[number] = claim.detach()
    return True


def _subnets_in_use(ip: Any) -> set[int]:
    """Give the third numbers of all addresses and routes of this namespace below 10.83."""
    used: set[int] = set()
    texts = [f"{message.get('address')}/32" for message in ip.get_addr(family=socket.AF_INET)]
    texts += [
        f"{message.get('dst')}/{message['dst_len']}"
        for message in ip.get_routes(family=socket.AF_INET)
        if message.get("dst")
    ]
    for text in texts:
        network = ipaddress.ip_network(text, strict=False)
        if network.version == 4 and network.prefixlen >= SUBNETS.prefixlen and network.subnet_of(SUBNETS):
            first, last = network.network_address.packed[2], network.broadcast_address.packed[2]
            used.update(range(first, last + 1))
    return used
