"""Clients elsewhere, in namespaces of their own, who reach a path by an address of this machine."""

import contextlib
import errno
import socket
import statistics
import subprocess
import threading
import time

import pytest

from emulator.link import netns, subnets, uplink
from emulator.link.netem import NetemRung
from emulator.link.netns import Namespace
from emulator.link.packet import PacketRung
from emulator.link.uplink import device_of
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


@pytest.mark.parametrize("rung", [PacketRung(), NetemRung()], ids=lambda rung: rung.name)
def test_clients_elsewhere_reach_each_path_by_its_address_and_feel_its_distance(places, rung):
    if reason := rung.works():
        pytest.skip(reason)
    with contextlib.closing(rung.open([made_tier(RTT_MS * 1_000)], 7, ADDRESSES)) as link:
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
        subnets.release_subnet(*(int(line.client_address.split(".")[2]) for line in left._lines.values()))
    with PacketRung().open([made_tier(RTT_MS * 1_000)], 7, ADDRESSES) as link, venue(link, "B") as (where, _):
        assert client(places["B"], where)[0] >= RTT_MS


def test_an_address_that_is_not_this_machines_is_refused(places):
    with pytest.raises(OSError, match=r"10\.99\.7\.7 is no address of this machine") as refused:
        PacketRung().open([made_tier(1_000)], 7, {("made", "A"): "10.99.7.7"})
    assert refused.value.errno == errno.EADDRNOTAVAIL
    with Namespace.current() as here:
        assert device_of(here, "10.99.1.1").startswith(netns.NAME_PREFIX)


def test_the_own_address_of_a_point_to_point_device_is_meant_not_the_peers(places):
    with Namespace.current() as here:
        device = device_of(here, "10.99.1.1")
        index = socket.if_nametoindex(device)
        netns.netlink(
            here, lambda ip: ip.addr("add", index=index, local="10.98.0.1", address="10.98.0.2", prefixlen=32)
        )
        assert device_of(here, "10.98.0.1") == device
        with pytest.raises(OSError, match=r"10\.98\.0\.2 is no address of this machine"):
            device_of(here, "10.98.0.2")


def test_ports_that_the_venue_has_not_stay_this_machines_own(places):
    with (
        PacketRung().open([made_tier(RTT_MS * 1_000)], 7, ADDRESSES) as link,
        venue(link, "A"),
        socket.create_server((ADDRESSES["made", "A"], 0)) as own,  # as ssh or the control API
        places["A"].socket(socket.AF_INET, socket.SOCK_STREAM) as end,
    ):
        end.settimeout(PATIENCE_S)
        end.connect(own.getsockname())
        own.accept()[0].close()


def test_this_machine_itself_connects_to_elsewhere_from_such_an_address(places):
    with (
        PacketRung().open([made_tier(RTT_MS * 1_000)], 7, ADDRESSES) as link,
        venue(link, "A"),
        places["A"].socket(socket.AF_INET, socket.SOCK_STREAM) as elsewhere,
    ):
        elsewhere.bind(("10.99.1.9", 0))
        elsewhere.listen()
        socket.create_connection(elsewhere.getsockname(), PATIENCE_S).close()


@pytest.mark.parametrize("prefix", [24, 32])
def test_several_paths_at_one_network_have_each_its_own_way_back(places, prefix):
    second = "10.99.1.2"
    with Namespace.current() as here:
        device = device_of(here, "10.99.1.1")
        netns.set_up(here, device, f"{second}/{prefix}")
    addresses = {**ADDRESSES, ("made", "B"): second}
    with PacketRung().open([made_tier(RTT_MS * 1_000)], 7, addresses) as link:
        for cut, path in (("A", "B"), ("B", "A")):
            before = link.ways("made", cut)
            link.change("made", cut, before.changed(loss=1))
            with venue(link, path) as (where, _):
                assert client(places["A"], where)[0] >= RTT_MS
            link.change("made", cut, before)


def test_an_address_alone_on_its_network_is_reached_too(places):
    with Namespace.current() as here:
        index = socket.if_nametoindex(device_of(here, "10.99.1.1"))

        def alone(ip):
            ip.addr("add", index=index, address="10.97.0.1", prefixlen=32)
            ip.route("add", dst="10.96.0.9/32", oif=index, scope="link")

        netns.netlink(here, alone)
    there = places["A"]

    def beside(ip):
        (link,) = [link for link in ip.get_links() if link.get("ifname") != "lo"]
        ip.addr("add", index=link["index"], address="10.96.0.9", prefixlen=32)
        ip.route("add", dst="10.97.0.1/32", oif=link["index"], scope="link", prefsrc="10.96.0.9")

    netns.netlink(there, beside)
    with (
        PacketRung().open([made_tier(RTT_MS * 1_000)], 7, {("made", "A"): "10.97.0.1"}) as link,
        venue(link, "A") as (where, seen),
    ):
        assert client(there, where)[0] >= RTT_MS
        assert seen == ["10.96.0.9"]


def test_a_port_that_another_program_has_at_the_address_is_taken(places):
    with (
        PacketRung().open([made_tier(1_000)], 7, ADDRESSES) as link,
        socket.create_server((ADDRESSES["made", "A"], 0)) as own,
        pytest.raises(OSError, match="in use") as refused,
    ):
        link.listening_socket("made", "A", own.getsockname()[1])
    assert refused.value.errno == errno.EADDRINUSE


def test_two_emulators_at_one_address_share_its_ports(places):
    with (
        PacketRung().open([made_tier(RTT_MS * 1_000)], 7, ADDRESSES) as first,
        venue(first, "A") as (where, _),
    ):
        with PacketRung().open([made_tier(RTT_MS * 1_000)], 7, ADDRESSES) as second:
            with pytest.raises(OSError, match="in use") as refused:
                second.listening_socket("made", "A", where[1])
            assert refused.value.errno == errno.EADDRINUSE
            with venue(second, "A") as (other, _):
                assert client(places["A"], other)[0] >= RTT_MS
        assert client(places["A"], where)[0] >= RTT_MS  # the second one's end is not the first one's


def rules():
    with Namespace.current() as here:
        told = netns.netlink(here, lambda ip: list(ip.get_rules(family=socket.AF_INET)))
    return [(rule.get("priority") or 0, rule.get("table")) for rule in told]


@pytest.mark.parametrize("failing", ["_over", "_back", "_begin", "_add_rule"])
def test_a_link_that_cannot_be_made_leaves_no_rule_and_no_device(places, monkeypatch, failing):
    def refused(*_):
        raise OSError(errno.EPERM, "refused")

    before, devices = rules(), socket.if_nameindex()
    monkeypatch.setattr(uplink, failing, refused)
    with pytest.raises(OSError, match="refused"):
        PacketRung().open([made_tier(1_000)], 7, ADDRESSES)
    monkeypatch.undo()
    assert rules() == before
    assert socket.if_nameindex() == devices


def test_rules_that_a_killed_run_left_go_when_their_number_is_used_again(places):
    before = rules()
    [number] = subnets.free_subnets([("made", "A")])
    subnets.release_subnet(number)
    with Namespace.current() as here:
        stale = {"table": 83_000 + number, "priority": 5, "ip_proto": socket.IPPROTO_TCP}
        for address in ("10.99.1.1", "10.99.7.7"):
            netns.netlink(here, lambda ip, at=address: ip.rule("add", dst=at, dst_len=32, **stale))
    with PacketRung().open([made_tier(1_000)], 7, ADDRESSES):
        pass
    assert rules() == before
