"""Network namespaces and veth pairs that live no longer than this process.

A namespace is held by a file descriptor only, without a name below /run/netns: when the process ends, however
it ends, the kernel closes the descriptor and removes the namespace, its devices and their peers elsewhere. So
there is nothing to sweep after `kill -9`. Everything here blocks for some milliseconds (netlink runs in a
thread of its own inside the namespace): an event loop calls it through `asyncio.to_thread`.

Errors are OSError with the kernel's number: EPERM, EEXIST, ENODEV, EOPNOTSUPP.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import ipaddress
import os
import secrets
import socket
import struct
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

SUBNETS = ipaddress.IPv4Network("10.83.0.0/16")
"""Where all addresses of ours come from; one /24 a link."""

NAME_PREFIX = "kem"
ETHERNET_HEADER_BYTES = 14

_CLONE_NEWNET = 0x40000000
_SIOCETHTOOL = 0x8946
_ETHTOOL_OFF = {"tx checksum": 0x17, "tso": 0x1F, "gso": 0x24, "gro": 0x2C}
_LOCAL_TABLE = 255

_RESTRICTIONS = {
    "user.max_user_namespaces": ("0", "28633"),
    "kernel.unprivileged_userns_clone": ("0", "1"),
    "kernel.apparmor_restrict_unprivileged_userns": ("1", "0"),
}
"""Sysctl: the value that takes user namespaces away, and one that gives them back."""


class Namespace:
    """A network namespace without a name, held by a file descriptor of this process."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @classmethod
    def new(cls) -> Namespace:
        """Make an empty one. OSError: EPERM without CAP_SYS_ADMIN over the user namespace we run in."""

        def make() -> int:
            _unshare()
            return _open_own()

        return cls(_in_thread(make))

    @classmethod
    def current(cls) -> Namespace:
        """Give the one that the calling thread runs in."""
        return cls(_open_own())

    @property
    def fd(self) -> int:
        """The descriptor; ValueError after `close`."""
        if self._fd < 0:
            raise ValueError("the namespace is closed")
        return self._fd

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """Run `function` in a thread inside this namespace; give its result, or raise what it raised."""
        fd = self.fd

        def inside() -> T:
            _setns(fd)
            return function(*args)

        return _in_thread(inside)

    def socket(self, family: int, type: int, proto: int = 0) -> socket.socket:  # noqa: A002 - as in socket
        """Make a socket that belongs to this namespace, whichever thread uses it later."""
        return self.call(socket.socket, family, type, proto)

    def close(self) -> None:
        """Let go of it: the kernel removes it when no socket or thread is left inside. Idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Namespace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def possible() -> str | None:
    """Say in one line why no namespace and veth pair can be made here; None when they were, and are gone."""
    if not sys.platform.startswith("linux"):
        return f"network namespaces are a part of Linux, this is {sys.platform}"
    try:
        with Namespace.current() as here, Namespace.new() as there:
            name = device_name()
            veth(here, name, there, device_name())
            remove(here, name)
    except ImportError as error:
        return f"a Python package is missing: {error}"
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES):
            return f"no right to make network namespaces and devices: {_rights_hint()}"
        return f"no network namespace with a veth pair can be made here: {error}"
    return None


# Devices


def device_name() -> str:
    """Give a new device name of ours: 13 characters (15 is the most), random, so never given twice."""
    return NAME_PREFIX + secrets.token_hex(5)


def veth(
    a: Namespace, a_name: str, b: Namespace, b_name: str, *, mtu: int = 1500, gso_max_segs: int = 1
) -> None:
    """Make a veth pair with one end in each namespace, both ends down and without IPv6.

    `gso_max_segs` 1 keeps TCP from handing over packets larger than the MTU. EEXIST: a name is taken.
    """
    peer = {"ifname": b_name, "mtu": mtu, "net_ns_fd": b.fd}
    netlink(a, lambda ip: ip.link("add", ifname=a_name, kind="veth", mtu=mtu, peer=peer))
    largest = gso_max_segs * mtu + ETHERNET_HEADER_BYTES
    try:
        for end, name in ((a, a_name), (b, b_name)):
            _change(end, name, gso_max_segs=gso_max_segs, gso_max_size=min(largest, 65536))
            end.call(_without_ipv6, name)
    except BaseException:
        remove(a, a_name)
        raise


def set_up(ns: Namespace, dev: str, address: str | None = None) -> None:
    """Bring a device up, with an address such as "10.83.1.1/24"."""
    if address:
        ip_text, _, prefix = address.partition("/")
        netlink(
            ns,
            lambda ip: ip.addr(
                "add", index=socket.if_nametoindex(dev), address=ip_text, prefixlen=int(prefix or 32)
            ),
        )
    _change(ns, dev, state="up")


def loopback_up(ns: Namespace) -> None:
    """Bring the namespace's own `lo` up."""
    _change(ns, "lo", state="up")


def listening_socket(ns: Namespace, address: str, port: int, backlog: int) -> socket.socket:
    """Give a non-blocking TCP socket that listens in `ns`; the caller closes it.

    Port 0 is any free one. OSError EADDRINUSE when the port is taken.
    """
    # asyncio switches Nagle's algorithm off for IPPROTO_TCP only, not for the usual 0.
    listener = ns.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(backlog)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def refuse_the_rest(ns: Namespace) -> None:
    """Make every address but ours one of the namespace's own: where nobody listens, connecting is refused.

    Without that the kernel says that there is no route, before there is a packet that somebody could see.
    """
    outside = [
        *ipaddress.IPv4Network("0.0.0.0/1").address_exclude(SUBNETS),
        ipaddress.IPv4Network("128.0.0.0/2"),
        ipaddress.IPv4Network("192.0.0.0/3"),
    ]

    def add(ip: Any) -> None:
        index = socket.if_nametoindex("lo")
        local = {"oif": index, "type": "local", "table": _LOCAL_TABLE}
        for network in outside:
            ip.route("add", dst=str(network), prefsrc="127.0.0.1", scope="host", **local)

    def add_ipv6(ip: Any) -> None:
        index = socket.if_nametoindex("lo")
        ip.route("add", dst="::/0", family=socket.AF_INET6, oif=index, type="local", table=_LOCAL_TABLE)

    netlink(ns, add)
    with contextlib.suppress(OSError):  # there may be no IPv6
        netlink(ns, add_ipv6)


def neighbour(ns: Namespace, dev: str, ip: str, mac: str) -> None:
    """Tell `ns` for good that `ip` is `mac` behind `dev`, which is up: no ARP, so none delayed or lost."""
    netlink(
        ns,
        lambda route: route.neigh(
            "replace", ifindex=socket.if_nametoindex(dev), dst=ip, lladdr=mac, state="permanent"
        ),
    )


def mac(ns: Namespace, dev: str) -> str:
    """Give a device's address on Ethernet, such as "02:42:ac:11:00:02"."""

    def ask(ip: Any) -> str:
        (link,) = ip.get_links(socket.if_nametoindex(dev))
        return str(link.get("address"))

    return netlink(ns, ask)


def offloads_off(ns: Namespace, dev: str) -> None:
    """Make a device send packets as they are on a wire: whole checksums, nothing merged or to be split."""

    def switch() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            for command in _ETHTOOL_OFF.values():
                value = ctypes.create_string_buffer(struct.pack("=II", command, 0))
                request = struct.pack("16sP16x", dev.encode(), ctypes.addressof(value))
                try:
                    fcntl.ioctl(control, _SIOCETHTOOL, request)
                except OSError as error:
                    if error.errno != errno.EOPNOTSUPP:  # what a device does not have is off
                        raise

    ns.call(switch)


def remove(ns: Namespace, dev: str) -> None:
    """Remove a device, and a veth's other end with it. A device that is gone already is no error."""
    with contextlib.suppress(OSError):
        netlink(ns, lambda ip: ip.link("del", index=socket.if_nametoindex(dev)))


def netlink(ns: Namespace, function: Callable[[Any], T]) -> T:
    """Run `function` inside `ns` with an open pyroute2.IPRoute; what netlink refuses comes as OSError."""

    def inside() -> T:
        # 300 ms the first time, and nothing for an event loop's thread
        from pyroute2 import IPRoute  # type: ignore[import-untyped]
        from pyroute2.netlink.exceptions import NetlinkError  # type: ignore[import-untyped]

        try:
            with IPRoute() as ip:
                return function(ip)
        except NetlinkError as error:
            raise OSError(error.code, f"netlink: {os.strerror(error.code)}") from error

    return ns.call(inside)


# The kernel's side


def _change(ns: Namespace, dev: str, **what: Any) -> None:
    netlink(ns, lambda ip: ip.link("set", index=socket.if_nametoindex(dev), **what))


def _without_ipv6(dev: str) -> None:
    """Keep router solicitations and the like off a device of ours; no error where /proc/sys is read-only."""
    with contextlib.suppress(OSError), open(f"/proc/sys/net/ipv6/conf/{dev}/disable_ipv6", "w") as switch:
        switch.write("1")


def restrictions() -> list[tuple[str, str]]:
    """Give the sysctls by which this system restricts user namespaces, each with the value that lifts it."""
    found = []
    for name, (off, lifted) in _RESTRICTIONS.items():
        with contextlib.suppress(OSError), open(f"/proc/sys/{name.replace('.', '/')}") as limit:
            if limit.read().strip() == off:
                found.append((name, lifted))
    return found


def _rights_hint() -> str:
    """Say what would give the right; the limits that distributions set on user namespaces are named."""
    for name, _ in restrictions():
        return f"run as root; user namespaces are restricted here (sysctl {name})"
    return "run as root (in a container: --cap-add SYS_ADMIN --cap-add NET_ADMIN), or below `unshare -Urn`"


def _in_thread(function: Callable[[], T]) -> T:
    """Run `function` in a throw-away thread: one that has changed its namespace must not be used again."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    thread = threading.Thread(target=run, name="kem-netns", daemon=True)
    thread.start()
    thread.join()
    return future.result()


def _open_own() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


if sys.platform == "linux" and sys.version_info >= (3, 12):

    def _unshare() -> None:
        os.unshare(os.CLONE_NEWNET)

    def _setns(fd: int) -> None:
        os.setns(fd, os.CLONE_NEWNET)

else:
    _libc = ctypes.CDLL(None, use_errno=True)

    def _unshare() -> None:
        _checked(_libc.unshare(_CLONE_NEWNET), "unshare")

    def _setns(fd: int) -> None:
        _checked(_libc.setns(fd, _CLONE_NEWNET), "setns")

    def _checked(result: int, call: str) -> None:
        if result:
            raise OSError(ctypes.get_errno(), f"{call}: {os.strerror(ctypes.get_errno())}")
