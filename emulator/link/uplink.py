"""Uplinks: paths that clients elsewhere reach by an address of this machine, such as a container's.

The address stays on its device, so the kernel answers who asks whose it is. But pings, and TCP for the ports
that the venue listens on, are forwarded over the path, whose far end has the address too; answers come back
the same way. No address is translated, so the venue sees where clients are. All other ports stay this
machine's own, and so do its connections to elsewhere.  Blocks, as all of netns does.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, NamedTuple

from emulator.link import netns
from emulator.link.netns import Namespace

_OURS, _LOCAL = 5, 10
"""Priorities of rules: ours come before the one for local addresses, which is at 0 by default."""
_LOCAL_TABLE, _FIRST_TABLE = 255, 83_000

Addresses = Mapping[tuple[str, str], str]
"""Addresses by tier and path name."""
NO_ADDRESSES: Addresses = {}


class End(NamedTuple):
    """One end of a path: a device, its address there, and its address on Ethernet."""

    space: Namespace
    device: str
    address: str


def device_of(here: Namespace, address: str) -> str:
    """Return the device that has an address; OSError EADDRNOTAVAIL when it is none of this machine's."""

    def look(ip: Any) -> str:
        for message in ip.get_addr(family=socket.AF_INET):
            if address == (message.get("local") or message.get("address")):  # the latter can be the peer's
                return socket.if_indextoname(message["index"])
        raise OSError(errno.EADDRNOTAVAIL, f"{address} is no address of this machine")

    return netns.netlink(here, look)


class Uplinks:
    """The uplinks of one link, as long as it is open."""

    def __init__(self, here: Namespace) -> None:
        self._here = here
        self._undo = ExitStack()
        self._tables: dict[str, int] = {}
        self._opened: set[tuple[str, int]] = set()

    def lay(self, address: str, number: int, near: End, far: End) -> None:
        """Make path `number` ready for an address of this machine, and lead pings over it; OSError."""
        for device in (device_of(self._here, address), near.device):
            self._here.call(_forward, device)
        table = self._tables[address] = _FIRST_TABLE + number
        netns.neighbour(self._here, near.device, address, netns.mac(far.space, far.device))
        self._change(partial(_over, address, table, near))
        netns.netlink(far.space, partial(_back, address, table, near, far))
        self._undo.callback(self._quietly, _end)
        self._lead({**_to(address, table), "ip_proto": socket.IPPROTO_ICMP})
        self._change(_begin)

    def open(self, address: str, port: int) -> int:
        """Lead a port of an address over its path until `close`; return the port, a free one for 0.

        OSError EADDRINUSE when another program has it here, be it another emulator: it would not be reached.
        """
        if (address, port) in self._opened:
            return port
        held = netns.listening_socket(self._here, address, port, 1)  # so nobody else takes it
        self._undo.callback(held.close)
        port = int(held.getsockname()[1])
        tcp = {"ip_proto": socket.IPPROTO_TCP, "dport_range": f"{port}:{port}"}
        self._lead({**_to(address, self._tables[address]), **tcp})
        self._opened.add((address, port))
        return port

    def close(self) -> None:
        """Let addresses be this machine's own again. Idempotent."""
        self._undo.close()
        self._opened.clear()

    def _lead(self, rule: dict[str, Any]) -> None:
        self._undo.callback(self._quietly, partial(_remove_rule, rule))
        self._change(partial(_add_rule, rule))

    def _change(self, function: Callable[[Any], None]) -> None:
        netns.netlink(self._here, function)

    def _quietly(self, function: Callable[[Any], None]) -> None:
        with suppress(OSError):
            netns.netlink(self._here, function)


def _to(address: str, table: int) -> dict[str, Any]:
    return {"dst": address, "dst_len": 32, "table": table, "priority": _OURS}


def _begin(ip: Any) -> None:
    """Let the rule for local addresses come after ours. Where an earlier run did, nothing is to be done."""
    _add_rule({"table": _LOCAL_TABLE, "priority": _LOCAL}, ip)
    with _unless(errno.ENOENT):
        ip.rule("del", table=_LOCAL_TABLE, priority=0)


def _end(ip: Any) -> None:
    """Let it be the first again, unless another emulator has rules, or gets some meanwhile."""
    if _at(_OURS, ip):
        return
    if not _at(0, ip):
        _add_rule({"table": _LOCAL_TABLE, "priority": 0}, ip)
    with _unless(errno.ENOENT):
        ip.rule("del", table=_LOCAL_TABLE, priority=_LOCAL)
    if _at(_OURS, ip):
        _begin(ip)


def _at(priority: int, ip: Any) -> list[Any]:
    """Return the rules of a priority, which is not told when it is 0."""
    return [rule for rule in ip.get_rules(family=socket.AF_INET) if (rule.get("priority") or 0) == priority]


def _over(address: str, table: int, near: End, ip: Any) -> None:
    """Make a table that leads to the address over the path, for this machine's own clients too."""
    for rule in _at(_OURS, ip):
        if rule.get("table") == table:  # a killed run's: the number is ours alone now
            ip.rule("del", table=table, priority=_OURS)
    index = socket.if_nametoindex(near.device)
    ip.route("replace", dst=f"{address}/32", oif=index, scope="link", prefsrc=near.address, table=table)


def _back(address: str, table: int, near: End, far: End, ip: Any) -> None:
    """Give the far end the address, and what comes from it the way back, whoever it is for."""
    index = socket.if_nametoindex(far.device)
    ip.addr("add", index=index, address=address, prefixlen=32)
    ip.route("replace", dst="0.0.0.0/0", gateway=near.address, oif=index, table=table)
    ip.rule("add", src=address, src_len=32, table=table, priority=_OURS)


def _add_rule(rule: dict[str, Any], ip: Any) -> None:
    with _unless(errno.EEXIST):
        ip.rule("add", **rule)


def _remove_rule(rule: dict[str, Any], ip: Any) -> None:
    ip.rule("del", **rule)


class _unless:  # noqa: N801 - reads as a word
    """Overlooks what netlink refuses with one number."""

    def __init__(self, code: int) -> None:
        self._code = code

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        return getattr(error, "code", None) == self._code


def _forward(device: str) -> None:
    """Let packets from a device of the calling thread's namespace go on; OSError where they may not."""
    place = f"/proc/sys/net/ipv4/conf/{device}/forwarding"
    with open(place) as now:
        if now.read().strip() == "1":
            return
    try:
        with open(place, "w") as switch:
            switch.write("1")
    except OSError as error:
        raise OSError(error.errno, f"{device} must forward (sysctl net.ipv4.ip_forward=1)") from None
