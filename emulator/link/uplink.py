"""Uplinks: paths that clients elsewhere reach by an address of this machine, such as a container's.

The address stays on its device, so the kernel answers who asks whose it is. But TCP and pings for it are
forwarded over the path, whose far end has the address too, and answers come back the same way: no address is
translated, and the venue sees where clients are.  Blocks, as all of netns does.
"""

from __future__ import annotations

import errno
import ipaddress
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
_FORWARDED = (socket.IPPROTO_TCP, socket.IPPROTO_ICMP)


Addresses = Mapping[tuple[str, str], str]
"""Addresses by tier and path name."""
NO_ADDRESSES: Addresses = {}


class End(NamedTuple):
    """One end of a path: a device, its address there, and its address on Ethernet."""

    space: Namespace
    device: str
    address: str


class Uplink(NamedTuple):
    """An address of this machine, where it is, and who is reached from there."""

    address: str
    device: str
    network: str
    leads_on: bool
    """Whether other networks are reached over the device too."""


def find(here: Namespace, address: str) -> Uplink:
    """Give an address with its device; OSError EADDRNOTAVAIL when it is none of this machine's."""

    def look(ip: Any) -> Uplink:
        for message in ip.get_addr(family=socket.AF_INET):
            if message.get("address") == address:
                index, width = message["index"], message["prefixlen"]
                network = ipaddress.ip_network(f"{address}/{width}", strict=False)
                routes = ip.get_default_routes(family=socket.AF_INET, table=254)
                leads_on = any(route.get("oif") == index for route in routes)
                return Uplink(address, socket.if_indextoname(index), str(network), leads_on)
        raise OSError(errno.EADDRNOTAVAIL, f"{address} is no address of this machine")

    return netns.netlink(here, look)


class Uplinks:
    """The uplinks of one link, as long as it is open."""

    def __init__(self, here: Namespace) -> None:
        self._here = here
        self._undo = ExitStack()

    def lay(self, address: str, number: int, near: End, far: End) -> None:
        """Let clients elsewhere reach the far end of path `number` by an address of this machine; OSError."""
        up = find(self._here, address)
        for device in (up.device, near.device):
            self._here.call(_forward, device)
        table = _FIRST_TABLE + number
        self._change(_begin)
        self._undo.callback(self._quietly, _end)
        netns.neighbour(self._here, near.device, address, netns.mac(far.space, far.device))
        self._change(lambda ip: _over(ip, address, table, near))
        for rule in _rules(address, table):
            self._undo.callback(self._quietly, partial(_remove_rule, rule))
            self._change(partial(_add_rule, rule))
        netns.netlink(far.space, lambda ip: _back(ip, up, near, far))

    def close(self) -> None:
        """Let addresses be this machine's own again. Idempotent."""
        self._undo.close()

    def _change(self, function: Callable[[Any], None]) -> None:
        netns.netlink(self._here, function)

    def _quietly(self, function: Callable[[Any], None]) -> None:
        with suppress(OSError):
            netns.netlink(self._here, function)


def _rules(address: str, table: int) -> list[dict[str, Any]]:
    to = {"dst": address, "dst_len": 32, "table": table, "priority": _OURS}
    return [{**to, "ip_proto": protocol} for protocol in _FORWARDED]


def _begin(ip: Any) -> None:
    """Let the rule for local addresses come after ours. Where an earlier run did, nothing is to be done."""
    _add_rule({"table": _LOCAL_TABLE, "priority": _LOCAL}, ip)
    with _unless(errno.ENOENT):
        ip.rule("del", table=_LOCAL_TABLE, priority=0)


def _end(ip: Any) -> None:
    if not any(rule.get("priority") == _OURS for rule in ip.get_rules(family=socket.AF_INET)):
        _add_rule({"table": _LOCAL_TABLE, "priority": 0}, ip)
        ip.rule("del", table=_LOCAL_TABLE, priority=_LOCAL)


def _over(ip: Any, address: str, table: int, near: End) -> None:
    """Lead what is for the address over the path, also what comes from this machine."""
    index = socket.if_nametoindex(near.device)
    ip.route("replace", dst=f"{address}/32", oif=index, scope="link", prefsrc=near.address, table=table)


def _back(ip: Any, up: Uplink, near: End, far: End) -> None:
    """Give the far end the address, and the way back."""
    index = socket.if_nametoindex(far.device)
    ip.addr("add", index=index, address=up.address, prefixlen=32)
    for network in (up.network, *(["0.0.0.0/0"] if up.leads_on else [])):
        ip.route("replace", dst=network, gateway=near.address, oif=index, prefsrc=up.address)


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
