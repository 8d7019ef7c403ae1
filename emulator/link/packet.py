"""The packet rung: real packets between two network namespaces, held on the way until they are due.

    here ── veth ── [relay's namespace: two AF_PACKET ports per path] ── veth ── [venue's namespace]
    10.83.T.1                                                                    10.83.T.2

TCP is the kernel's own on both sides: handshake, slow start, acknowledgements and retransmission take the
time that the distance costs. It needs the right to make namespaces (root, or a user namespace) and no kernel
module.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence
from typing import NamedTuple

from emulator.link import netns, subnets
from emulator.link.relay import PathSetup
from emulator.link.relay_lane import Counters
from emulator.link.relay_port import prepare, segment_in_software
from emulator.link.relay_process import RelayProcess
from emulator.link.shape import Ways, ways
from emulator.link.tiers import MARKS, Path, Tier
from emulator.link.uplink import NO_ADDRESSES, Addresses, End, Uplinks

_BACKLOG = 4_096

_SEGMENTS_AT_ONCE = 32  # that TCP hands over, cut into packets before they leave the device

_POLL_US = 150.0  # a sleeping process wakes 50 to 150 us late
_POLL_FAR_US = 100.0  # and where it matters less, this much of it is enough


class PathCounters(NamedTuple):
    """What became of the packets of one path."""

    to_venue: Counters
    to_client: Counters


class PacketRung:
    """Makes packet links."""

    name = "packet"

    def works(self) -> str | None:
        """Say in one line why no packet link can be had here; None when its parts were made, and are gone."""
        if reason := netns.possible():
            return reason
        try:
            with netns.Namespace.new() as space, _packet_socket(space) as port:
                prepare(port, "lo")
        except OSError as error:
            return f"no AF_PACKET socket with a ring can be had: {error}"
        return None

    def open(self, tiers: Sequence[Tier], seed: int = 0, addresses: Addresses = NO_ADDRESSES) -> PacketLink:
        """Make a link with all paths of all these tiers, from the calling thread's namespace. Blocks.

        Paths that `addresses` names are reached by that address of this machine, from elsewhere too. It takes
        some 0.3 s, and 16 MiB of kernel memory a path. The link's own time comes on top of each tier's
        RTT unless `floor_us` of its ways says how much it is. OSError where the system refuses.
        """
        return PacketLink(tiers, seed, addresses)


class _Line:
    """One path: its subnet, its two pairs of devices, and what its packets meet with."""

    def __init__(self, tier: Tier, path: Path, place: int, subnet: int) -> None:
        self.place = place
        self.client_address = f"10.83.{subnet}.1"
        self.address = f"10.83.{subnet}.2"
        self.uplink = ""
        self.names = [netns.device_name() for _ in range(4)]  # from here to the venue
        self.poll_us = _POLL_US if tier.spin else _POLL_FAR_US
        self.now = ways(tier, path.name)
        self.floor_us: float | None = None

    def does(self, now: Ways) -> Ways:
        """Give what the relay is to do, with what the path takes itself as it is known last."""
        return now if self.floor_us is None else now.changed(floor_us=self.floor_us / 2)

    def make_devices(self, here: netns.Namespace, relay: netns.Namespace, venue: netns.Namespace) -> None:
        client_name, client_port, venue_port, venue_name = self.names
        netns.veth(here, client_name, relay, client_port, gso_max_segs=_SEGMENTS_AT_ONCE)
        netns.veth(relay, venue_port, venue, venue_name, gso_max_segs=_SEGMENTS_AT_ONCE)
        ends = ((here, client_name), (relay, client_port), (relay, venue_port), (venue, venue_name))
        for space, name in ends:
            netns.offloads_off(space, name)
            space.call(segment_in_software, name)
        netns.set_up(relay, client_port)
        netns.set_up(relay, venue_port)
        netns.set_up(here, client_name, f"{self.client_address}/24")
        netns.set_up(venue, venue_name, f"{self.address}/24")
        netns.neighbour(here, client_name, self.address, netns.mac(venue, venue_name))
        netns.neighbour(venue, venue_name, self.client_address, netns.mac(here, client_name))


class PacketLink:
    """Every path of some tiers, each at an address of its own, as long as it is open.

    All calls block for milliseconds and may come from any thread. A path's name may be left out: the first.
    """

    def __init__(self, tiers: Sequence[Tier], seed: int, addresses: Addresses) -> None:
        self._undo = contextlib.ExitStack()
        self._lines: dict[tuple[str, str], _Line] = {}
        self._tiers = {tier.name: tier for tier in tiers}
        try:
            self._open(seed, addresses)
        except BaseException:
            self.close()
            raise

    def _open(self, seed: int, addresses: Addresses) -> None:
        paths = [(tier, path) for tier in self._tiers.values() for path in tier.paths]
        numbers = subnets.free_subnets([(tier.name, path.name) for tier, path in paths])
        self._undo.callback(subnets.release_subnet, *numbers)
        here = self._undo.enter_context(netns.Namespace.current())
        relay = self._undo.enter_context(netns.Namespace.new())
        self._venue = venue = self._undo.enter_context(netns.Namespace.new())
        netns.loopback_up(venue)
        self._uplinks = Uplinks(here)
        self._undo.callback(self._uplinks.close)
        with contextlib.ExitStack() as ports:  # the relay has them once it runs
            setups = []
            for place, ((tier, path), subnet) in enumerate(zip(paths, numbers, strict=True)):
                line = _Line(tier, path, place, subnet)
                self._undo.callback(netns.remove, here, line.names[0])
                self._undo.callback(netns.remove, relay, line.names[2])
                line.make_devices(here, relay, venue)
                if address := addresses.get((tier.name, path.name)):
                    near = End(here, line.names[0], line.client_address)
                    self._uplinks.lay(address, subnet, near, End(venue, line.names[3], line.address))
                    line.address = line.uplink = address
                self._lines[tier.name, path.name] = line
                fds = []
                for device in line.names[1:3]:
                    port = ports.enter_context(_packet_socket(relay))
                    prepare(port, device)
                    fds.append(port.fileno())
                setups.append(
                    PathSetup(
                        client_fd=fds[0],
                        venue_fd=fds[1],
                        seed=f"{seed}/{tier.name}/{path.name}",
                        poll_us=line.poll_us,
                        to_venue=line.now.to_venue,
                        to_client=line.now.to_client,
                        service_us={MARKS[api]: getattr(tier.service, f"{api}_us") for api in MARKS},
                    )
                )
            self._relay = RelayProcess(setups)
            self._undo.callback(self._relay.close)

    @property
    def pid(self) -> int:
        """The number of the relay's process."""
        return self._relay.pid

    def address(self, tier_name: str, path_name: str | None = None) -> str:
        """Give the venue's IPv4 address at the end of a path."""
        return self._line(tier_name, path_name).address

    def client_address(self, tier_name: str, path_name: str | None = None) -> str:
        """Give the IPv4 address that clients on this path come from."""
        return self._line(tier_name, path_name).client_address

    def device(self, tier_name: str, path_name: str | None = None) -> str:
        """Give the name of the device on the clients' side of a path."""
        return self._line(tier_name, path_name).names[0]

    def listening_socket(self, tier_name: str, path_name: str | None, port: int) -> socket.socket:
        """Give a non-blocking TCP socket that listens at the end of a path, for `loop.create_server(sock=…)`.

        Port 0 is any free one. OSError EADDRINUSE when the port is taken, at an address of this machine by
        whomever.
        """
        line = self._line(tier_name, path_name)
        if line.uplink:
            port = self._uplinks.open(line.uplink, port)
        return netns.listening_socket(self._venue, line.address, port, _BACKLOG)

    def ways(self, tier_name: str, path_name: str | None = None) -> Ways:
        """Give what packets of a path meet with now."""
        return self._line(tier_name, path_name).now

    def change(self, tier_name: str, path_name: str | None, to: Ways, *, anew: bool = False) -> None:
        """Treat packets that come from now on another way. What is under way arrives, connections stay.

        `link.change("colo", "A", link.ways("colo", "A").changed(loss=1))` cuts a cross-connect. With `anew`,
        what is under way is forgotten, and draws and counters begin again. RelayError when the relay has
        ended.
        """
        line = self._line(tier_name, path_name)
        self._relay.change(line.place, *line.does(to), anew=anew)
        line.now = to

    def renew(self, tier_name: str, path_name: str | None, floor_us: float) -> None:
        """Let both ways of a path hold that much less in all from now on, whatever `change` says of it."""
        line = self._line(tier_name, path_name)
        line.floor_us = floor_us
        self._relay.change(line.place, *line.does(line.now))

    def counters(self) -> dict[tuple[str, str], PathCounters]:
        """Give what became of the packets, by tier and path name. RelayError when the relay has ended."""
        pairs = self._relay.counters()
        return {key: PathCounters(*pairs[line.place]) for key, line in self._lines.items()}

    def close(self) -> None:
        """End the relay and remove every device. Idempotent.

        The venue's namespace goes when the last socket in it is closed.
        """
        self._undo.close()

    def __enter__(self) -> PacketLink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _line(self, tier_name: str, path_name: str | None) -> _Line:
        """Give a path; KeyError for a tier that the link was not opened with, ProfileError for a path."""
        return self._lines[tier_name, self._tiers[tier_name].path(path_name).name]


def _packet_socket(space: netns.Namespace) -> socket.socket:
    return space.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # nothing comes in until it is bound
