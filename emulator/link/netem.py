"""The netem rung: a venue's network namespace, and one veth pair a path that the kernel's sch_netem delays.

Clients stay in the namespace we run in and reach path T of the venue at 10.83.T.2, from 10.83.T.1. Each end
of a pair shapes what it sends. Every packet is real: handshake, slow start and retransmission are TCP's own.
Everything here blocks: an event loop calls it through `asyncio.to_thread`.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from random import Random
from threading import RLock
from typing import Any, NamedTuple

from emulator.link import netns, subnets
from emulator.link.jitter import NS_PER_US, JitterCurve
from emulator.link.netem_codec import TABLE_ENTRIES, TABLE_SCALE, BurstLoss, Netem, decoded, encoded, register
from emulator.link.netns import Namespace
from emulator.link.shape import Shape, Ways, ways
from emulator.link.tiers import Jitter, Tier
from emulator.link.uplink import NO_ADDRESSES, Addresses, End, Uplinks

RATE_BITS_PER_S = 10_000_000_000
"""Always set: with a rate, sch_netem never lets a packet overtake the one before it."""

_ROOT_HANDLE = 0x10000
_BACKLOG = 1024
_STEP_FROM_EDGE = 1.0001  # the outermost entries stay within 16 bits


class Qdiscs(NamedTuple):
    """The netems at both ends of a path; None is an end without one."""

    to_venue: Netem | None
    to_client: Netem | None


@dataclass(frozen=True, slots=True)
class Table:
    """A fitted distribution: mean and sigma in ns, and entries in units of sigma / 8192."""

    mean_ns: int
    sigma_ns: int
    entries: tuple[int, ...]


@lru_cache(maxsize=64)
def fitted(jitter: Jitter) -> Table:
    """Fit a kernel's table to a jitter's curve: its range is the table's 8 sigma, so every quantile is kept.

    Mean and sigma are those of the range, not of the draws.
    """
    curve = JitterCurve(jitter)
    delays_ns = [curve.quantile_ns((step + 0.5) / TABLE_ENTRIES) for step in range(TABLE_ENTRIES)]
    low, high = delays_ns[0], delays_ns[-1]
    mean_ns = (low + high) // 2
    sigma_ns = ceil((high - low) / 8 * _STEP_FROM_EDGE)
    if not sigma_ns:
        return Table(mean_ns, 0, ())
    return Table(mean_ns, sigma_ns, tuple(round((x - mean_ns) / sigma_ns * TABLE_SCALE) for x in delays_ns))


def qdiscs(ways: Ways, seed: str = "") -> Qdiscs:
    """Give what both ends of a path have to do; a way that does nothing needs no netem."""
    return Qdiscs(_netem(ways.to_venue, f"{seed}/to venue"), _netem(ways.to_client, f"{seed}/to client"))


def _netem(shape: Shape, seed: str) -> Netem | None:
    if shape.changed(floor_us=0) == Shape():
        return None
    table = fitted(shape.jitter)
    burst = None
    if shape.burst_start:  # the kernel takes single losses or bursts, so single ones become the good state's
        in_bad = 1 - (1 - shape.loss) * (1 - shape.burst_loss)
        burst = BurstLoss(
            to_bad=shape.burst_start, to_good=shape.burst_end, loss_in_bad=in_bad, loss_in_good=shape.loss
        )
    fixed_ns = max(1 if shape.reorder else 0, round(shape.fixed_us * NS_PER_US))
    return Netem(
        delay_ns=fixed_ns + table.mean_ns,
        jitter_ns=table.sigma_ns,
        distribution=table.entries,
        rate=shape.rate_bits_per_s or RATE_BITS_PER_S,
        limit_packets=shape.limit_packets,
        loss=0.0 if burst else shape.loss,
        burst_loss=burst,
        duplicate=shape.duplicate,
        corrupt=shape.corrupt,
        reorder=shape.reorder,
        reorder_gap=shape.reorder_gap,
        seed=Random(seed).getrandbits(64),
    )


class NetemRung:
    """Makes links of veth pairs and sch_netem."""

    name = "netem"

    def works(self) -> str | None:
        """Say in one line why it cannot work here; None when a pair took a netem, and both are gone again."""
        if reason := netns.possible():
            return reason
        try:
            with Namespace.new() as a, Namespace.new() as b:
                device = netns.device_name()
                netns.veth(a, device, b, netns.device_name())
                _apply(a, device, Netem(delay_ns=1, jitter_ns=1, distribution=(0,), rate=1_000))
        except OSError as error:
            if error.errno == errno.ENOENT:
                return "the kernel has no sch_netem (modprobe sch_netem)"
            return f"the kernel refuses a netem qdisc: {error}"
        return None

    def open(self, tiers: Sequence[Tier], seed: int, addresses: Addresses = NO_ADDRESSES) -> NetemLink:
        """Lay all paths of these tiers. OSError, and nothing left behind, when that cannot be.

        Paths that `addresses` names are reached by that address of this machine, from elsewhere too.
        """
        link = NetemLink()
        try:
            link.add(tiers, seed, addresses)
        except BaseException:
            link.close()
            raise
        return link


@dataclass(slots=True)
class _Pair:
    """One path: a veth pair, and the netem on each end."""

    number: int
    seed: str
    client_device: str
    venue_device: str
    ways: Ways
    qdiscs: Qdiscs
    uplink: str = ""
    floor_us: float | None = None
    """What the path takes itself, both ways, where that is known better than its ways say."""

    def does(self) -> Ways:
        """Give what its ends are to do."""
        return self.ways if self.floor_us is None else self.ways.changed(floor_us=self.floor_us / 2)

    @property
    def client_address(self) -> str:
        return f"10.83.{self.number}.1"

    @property
    def venue_address(self) -> str:
        return f"10.83.{self.number}.2"

    @property
    def address(self) -> str:
        return self.uplink or self.venue_address


class NetemLink:
    """A venue's namespace and its paths. Made by `NetemRung.open`; ends with `close` or with the process."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._undo = ExitStack()
        self._pairs: dict[tuple[str, str], _Pair] = {}
        self._tiers: dict[str, Tier] = {}
        self._clients = Namespace.current()
        self._undo.callback(self._clients.close)
        try:
            self._venue = Namespace.new()
            self._undo.callback(self._venue.close)
            netns.loopback_up(self._venue)
            self._uplinks = Uplinks(self._clients)
            self._undo.callback(self._uplinks.close)
        except BaseException:
            self.close()
            raise

    def add(self, tiers: Sequence[Tier], seed: int, addresses: Addresses = NO_ADDRESSES) -> None:
        """Lay the paths of more tiers; OSError when one cannot be laid."""
        with self._lock:
            paths = [(tier, path.name) for tier in tiers for path in tier.paths]
            names = [(tier.name, path_name) for tier, path_name in paths]
            numbers = self._clients.call(subnets.free_subnets, names)
            self._undo.callback(subnets.release_subnet, *numbers)
            for (tier, path_name), number in zip(paths, numbers, strict=True):
                self._tiers[tier.name] = tier
                name = f"{seed}/{tier.name}/{path_name}"
                pair = self._lay(number, name, ways(tier, path_name))
                self._pairs[tier.name, path_name] = pair
                if address := addresses.get((tier.name, path_name)):
                    near = End(self._clients, pair.client_device, pair.client_address)
                    far = End(self._venue, pair.venue_device, pair.venue_address)
                    self._uplinks.lay(address, number, near, far)
                    pair.uplink = address

    @property
    def venue(self) -> Namespace:
        """The venue's namespace."""
        return self._venue

    def address(self, tier_name: str, path_name: str | None = None) -> str:
        """Give the venue's IPv4 address on a path, the tier's first by default.

        KeyError for a tier without a path here, ProfileError for an unknown path of it.
        """
        return self._pair(tier_name, path_name).address

    def client_address(self, tier_name: str, path_name: str | None = None) -> str:
        """Give the address that the venue sees clients of a path come from."""
        return self._pair(tier_name, path_name).client_address

    def device(self, tier_name: str, path_name: str | None = None) -> str:
        """Give the client's end of a path, for a packet capture."""
        return self._pair(tier_name, path_name).client_device

    def ways(self, tier_name: str, path_name: str | None = None) -> Ways:
        """Give what packets of a path meet with now, unless `put` has said otherwise."""
        return self._pair(tier_name, path_name).ways

    def qdiscs(self, tier_name: str, path_name: str | None = None) -> Qdiscs:
        """Give what the ends of a path were told, to be changed with `dataclasses.replace`."""
        return self._pair(tier_name, path_name).qdiscs

    def reported(self, tier_name: str, path_name: str | None = None) -> Qdiscs:
        """Give what the kernel says that a path does now; it never tells distributions."""
        pair = self._pair(tier_name, path_name)
        return Qdiscs(_reported(self._clients, pair.client_device), _reported(self._venue, pair.venue_device))

    def listening_socket(self, tier_name: str, path_name: str | None, port: int) -> socket.socket:
        """Give a non-blocking TCP socket that listens at the venue's end of a path; the caller closes it."""
        pair = self._pair(tier_name, path_name)
        if pair.uplink:
            port = self._uplinks.open(pair.uplink, port)
        return netns.listening_socket(self._venue, pair.address, port, _BACKLOG)

    def change(self, tier_name: str, path_name: str | None, to: Ways, *, anew: bool = False) -> None:
        """Make a path do something else from now on, with nothing of what it did before.

        Connections go on, and packets under way arrive when they would have; later ones do not overtake them.
        Where the kernel takes seeds (Linux 6.6) draws begin again, with or without `anew`.
        """
        with self._lock:
            pair = self._pair(tier_name, path_name)
            before, pair.ways = pair.ways, to
            try:
                self._put(pair, qdiscs(pair.does(), pair.seed))
            except BaseException:
                pair.ways = before
                raise

    def renew(self, tier_name: str, path_name: str | None, floor_us: float) -> None:
        """Let both ways of a path hold that much less in all from now on, whatever `change` says of it.

        Nothing overtakes what is under way. `ways` goes on to tell what the path was made or changed to.
        """
        with self._lock:
            pair = self._pair(tier_name, path_name)
            pair.floor_us = floor_us
            self._put(pair, qdiscs(pair.does(), pair.seed))

    def put(self, tier_name: str, path_name: str | None, to: Qdiscs) -> None:
        """Give both ends of a path exactly these netems, which may do more than a shape says."""
        with self._lock:
            self._put(self._pair(tier_name, path_name), to)

    def close(self) -> None:
        """Remove all devices and the namespace, and give the addresses back. Idempotent."""
        with self._lock:
            self._pairs.clear()
            self._undo.close()

    def _pair(self, tier_name: str, path_name: str | None) -> _Pair:
        return self._pairs[tier_name, self._tiers[tier_name].path(path_name).name]

    def _lay(self, number: int, seed: str, to: Ways) -> _Pair:
        pair = _Pair(number, seed, netns.device_name(), netns.device_name(), to, Qdiscs(None, None))
        netns.veth(self._clients, pair.client_device, self._venue, pair.venue_device)
        self._undo.callback(netns.remove, self._clients, pair.client_device)
        ends = (
            (self._clients, pair.client_device, pair.client_address),
            (self._venue, pair.venue_device, pair.venue_address),
        )
        for ns, device, address in ends:
            netns.set_up(ns, device, f"{address}/24")
        for (ns, device, _), (other_ns, other_device, other_address) in (ends, ends[::-1]):
            netns.neighbour(ns, device, other_address, netns.mac(other_ns, other_device))
        self._put(pair, qdiscs(to, seed))
        return pair

    def _put(self, pair: _Pair, to: Qdiscs) -> None:
        before = pair.qdiscs
        pair.qdiscs = Qdiscs(
            _replaced(self._clients, pair.client_device, before.to_venue, to.to_venue),
            _replaced(self._venue, pair.venue_device, before.to_client, to.to_client),
        )


def _replaced(ns: Namespace, device: str, before: Netem | None, after: Netem | None) -> Netem | None:
    """Turn one way of a path into another; give what it is then. Packets that wait in a netem stay there."""
    if before is None and after is None:
        return None
    after = after or Netem(rate=RATE_BITS_PER_S)
    _apply(ns, device, after)
    return after


def _apply(ns: Namespace, device: str, netem: Netem) -> None:
    """Put a netem on a device of ours, or change the one it has."""

    def send(ip: Any) -> None:
        register()
        options = encoded(netem)
        ip.tc("replace", "netem", index=socket.if_nametoindex(device), handle=_ROOT_HANDLE, options=options)

    netns.netlink(ns, send)


def _reported(ns: Namespace, device: str) -> Netem | None:
    def ask(ip: Any) -> Netem | None:
        register()
        for message in ip.get_qdiscs(index=socket.if_nametoindex(device)):
            if message.get_attr("TCA_KIND") == "netem":
                return decoded(message.get_attr("TCA_OPTIONS"))
        return None

    return netns.netlink(ns, ask)
