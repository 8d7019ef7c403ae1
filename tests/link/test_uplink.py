"""Clients elsewhere, in namespaces of their own, who reach a path by an address of this machine."""

import contextlib
import errno
import socket
import statistics
import subprocess
import threading
import time

import msgspec
import pytest

from emulator.link import netns
from emulator.link.netem import NetemRung
from emulator.link.netns import Namespace
from emulator.link.packet import PacketRung
from emulator.link.tiers import Path
from emulator.link.uplink import find
from tests.link.support import made_tier

PATIENCE_S = 20
RTT_MS = 20
ADDRESSES = {("made", "A"): "10.99.1.1", ("made", "B"): "10.99.2.1"}


@pytest.fixture(autouse=True)
def _possible():
    if reason := PacketRung().works():
        pytest.skip(reason)


@pytest.fixture
def places():
    """A network of the test's own with two others beside it, in which clients are."""
    with contextlib.ExitStack() as undo:
        before = undo.enter_context(Namespace.current())
        netns._unshare()
        undo.callback(netns._setns, before.fd)
        here = undo.enter_context(Namespace.current())
        netns.loopback_up(here)
        found = {}
        for (_, path), address in ADDRESSES.items():
            there = undo.enter_context(Namespace.new())
            ours, theirs = netns.device_name(), netns.device_name()
            netns.veth(here, ours, there, theirs)
            netns.set_up(here, ours, f"{address}/24")
            netns.set_up(there, theirs, f"{address[:-1]}9/24")
            found[path] = there
        yield found


@contextlib.contextmanager
def venue(link, path):
    """A listener at the far end that answers each read; the addresses of clients that it sees."""
    seen = []

    def serve():
        with contextlib.suppress(OSError):
            while True:
                peer, address = listener.accept()
                seen.append(address[0])
                with peer:
                    while data := peer.recv(65_536):
                        peer.sendall(data)

    with link.listening_socket("made", path, 0) as listener:
        listener.setblocking(True)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname(), seen
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(PATIENCE_S)


def client(place, where):
    """Connect from another network; the milliseconds that connecting and one answer took."""
    with place.socket(socket.AF_INET, socket.SOCK_STREAM) as end:
        end.settimeout(PATIENCE_S)
        began = time.monotonic()
        end.connect(where)
        connected = time.monotonic()
        end.sendall(b"order")
        assert end.recv(64) == b"order"
        return (connected - began) * 1e3, (time.monotonic() - connected) * 1e3


def test_clients_elsewhere_reach_each_path_by_its_address_and_feel_its_distance(places):
    with PacketRung().open([made_tier(RTT_MS * 1_000)], 7, ADDRESSES) as link:
        for path, place in places.items():
            with venue(link, path) as (where, seen):
                assert where[0] == ADDRESSES["made", path] == link.address("made", path)
                taken = [client(place, where) for _ in range(5)]
            connecting, answer = (statistics.median(times) for times in zip(*taken, strict=True))
            assert connecting >= RTT_MS
            assert answer >= RTT_MS
            assert set(seen) == {ADDRESSES["made", path][:-1] + "9"}  # not translated


def test_this_machine_itself_reaches_it_over_the_path_too(places):
    with (
        PacketRung().open([made_tier(RTT_MS * 1_000)], 7, ADDRESSES) as link,
        venue(link, "A") as (where, seen),
        Namespace.current() as here,
    ):
        connecting, _ = client(here, where)
        assert connecting >= RTT_MS
        assert seen == [link.client_address("made", "A")]


def test_a_ping_takes_the_distance(places):
    with PacketRung().open([made_tier(RTT_MS * 1_000)], 7, ADDRESSES):
        command = ["ping", "-c", "1", "-W", "10", ADDRESSES["made", "A"]]
        try:
            done = places["A"].call(
                lambda: subprocess.run(command, capture_output=True, text=True, timeout=30)
            )
        except FileNotFoundError:
            pytest.skip("ping is not installed")
        if "not permitted" in done.stderr:
            pytest.skip("ping may not be used here")
        assert float(done.stdout.partition("time=")[2].split()[0]) >= RTT_MS


def test_addresses_are_the_machines_own_again_when_the_link_is_closed(places):
    for _ in range(2):
        with PacketRung().open([made_tier(RTT_MS * 1_000)], 7, ADDRESSES):
            pass
        with socket.create_server((ADDRESSES["made", "A"], 0)) as listener:
            with places["A"].socket(socket.AF_INET, socket.SOCK_STREAM) as end:
                end.settimeout(PATIENCE_S)
                end.connect(listener.getsockname())
            listener.accept()[0].close()


def test_what_a_killed_run_left_is_no_hindrance(places):
    left = PacketRung().open([made_tier(RTT_MS * 1_000)], 7, ADDRESSES)
    left._relay.close()
    with Namespace.current() as here:
        for name in [line.names[0] for line in left._lines.values()]:
            netns.remove(here, name)  # as the kernel does when the process is gone; rules stay
        netns.release_subnet(*(int(line.client_address.split(".")[2]) for line in left._lines.values()))
    with PacketRung().open([made_tier(RTT_MS * 1_000)], 7, ADDRESSES) as link, venue(link, "B") as (where, _):
        assert client(places["B"], where)[0] >= RTT_MS


def test_an_address_that_is_not_this_machines_is_refused(places):
    with pytest.raises(OSError, match=r"10\.99\.7\.7 is no address of this machine") as refused:
        PacketRung().open([made_tier(1_000)], 7, {("made", "A"): "10.99.7.7"})
    assert refused.value.errno == errno.EADDRNOTAVAIL
    with Namespace.current() as here:
        assert find(here, "10.99.1.1").network == "10.99.1.0/24"


def test_netems_paths_have_uplinks_too(places):
    """Without distance its devices need no qdisc, so that every kernel has them."""
    tier = msgspec.structs.replace(made_tier(0), paths=(Path(name="A"), Path(name="B")))
    link = NetemRung().open([tier], 7, ADDRESSES)
    try:
        for path, place in places.items():
            with venue(link, path) as (where, seen):
                assert where[0] == ADDRESSES["made", path]
                client(place, where)
            assert seen == [ADDRESSES["made", path][:-1] + "9"]
    finally:
        link.close()
