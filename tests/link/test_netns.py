"""Claims about namespaces that no name holds, and about what is laid between them."""

import errno
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from array import array
from contextlib import ExitStack, suppress

import pytest

from emulator.link import netns, subnets
from emulator.link.netns import Namespace
from emulator.link.tiers import load_tiers
from emulator.settings import PROFILES as _PROFILES

WITHIN_S = 20

HOLDS_A_PAIR = """
import sys, time
from emulator.link import netns, subnets
here, there = netns.Namespace.current(), netns.Namespace.new()
netns.veth(here, sys.argv[1], there, sys.argv[2])
print("ready", flush=True)
time.sleep(60)
"""
CLAIMS = """
import sys
from emulator.link import netns, subnets
print(*subnets.free_subnet(20), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module", autouse=True)
def _namespaces_can_be_made():
    if reason := netns.possible():
        pytest.skip(reason)


@pytest.fixture
def a():
    with Namespace.new() as ns:
        yield ns


@pytest.fixture
def b():
    with Namespace.new() as ns:
        yield ns


@pytest.fixture
def pair(a, b):
    """Device names of a pair that is up: 10.83.1.1 in `a`, 10.83.1.2 in `b`."""
    names = netns.device_name(), netns.device_name()
    netns.veth(a, names[0], b, names[1])
    for number, (ns, name) in enumerate(zip((a, b), names, strict=True), 1):
        netns.set_up(ns, name, f"10.83.1.{number}/24")
    netns.neighbour(a, names[0], "10.83.1.2", netns.mac(b, names[1]))
    netns.neighbour(b, names[1], "10.83.1.1", netns.mac(a, names[0]))
    return names


def devices():
    return {name for _, name in socket.if_nameindex()}


def until(condition):
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def received(capture, quiet_s):
    """What comes until nothing does for a while."""
    capture.settimeout(quiet_s)
    with suppress(TimeoutError):
        while True:
            yield capture.recv(65536)


def read_in(ns, path):
    def read():
        with open(path) as file:
            return file.read()

    return ns.call(read)


def python(code, *args, **options):
    return subprocess.Popen([sys.executable, "-c", code, *args], stdout=subprocess.PIPE, text=True, **options)


def test_a_new_namespace_has_nothing_but_loopback(a):
    assert a.call(devices) == {"lo"}
    assert a.call(os.stat, "/proc/thread-self/ns/net").st_ino == os.fstat(a.fd).st_ino


def test_the_caller_stays_where_it_is(a):
    def inode():
        return os.stat("/proc/thread-self/ns/net").st_ino

    before = inode()
    assert a.call(inode) != before == inode()
    with Namespace.current() as here:
        assert here.call(inode) == before


def test_what_a_function_raises_inside_comes_out(a):
    with pytest.raises(ZeroDivisionError):
        a.call(lambda: 1 / 0)


def test_a_closed_namespace_is_refused_and_may_be_closed_again():
    ns = Namespace.new()
    ns.close()
    ns.close()
    with pytest.raises(ValueError, match="closed"):
        ns.call(devices)


def test_tcp_goes_from_namespace_to_namespace(a, b, pair):
    with ExitStack() as stack:
        listener = stack.enter_context(b.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP))
        assert listener.proto == socket.IPPROTO_TCP
        listener.bind(("10.83.1.2", 443))
        listener.listen()
        client = stack.enter_context(a.socket(socket.AF_INET, socket.SOCK_STREAM))
        client.settimeout(WITHIN_S)
        client.connect(("10.83.1.2", 443))
        server, peer = listener.accept()
        stack.enter_context(server)
        assert peer[0] == "10.83.1.1"
        client.sendall(b"order")
        assert server.recv(100) == b"order"


def test_no_packet_is_larger_than_the_mtu(a, b, pair):
    with ExitStack() as stack:
        listener = stack.enter_context(b.socket(socket.AF_INET, socket.SOCK_STREAM))
        listener.bind(("10.83.1.2", 443))
        listener.listen()
        client = stack.enter_context(a.socket(socket.AF_INET, socket.SOCK_STREAM))
        capture = stack.enter_context(b.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800)))
        client.connect(("10.83.1.2", 443))
        client.sendall(bytes(14_000))
        client.close()
        server, _ = listener.accept()
        with server:
            while server.recv(65536):
                pass
        lengths = [len(frame) for frame in received(capture, quiet_s=0.1)]
    assert max(lengths) == 1514
    assert sum(length > 1400 for length in lengths) >= 9


def test_nothing_is_sent_that_nobody_sent(a, b):
    """No ARP, as neighbours are known; no IPv6 router solicitation or multicast report."""
    names = netns.device_name(), netns.device_name()
    netns.veth(a, names[0], b, names[1])
    with (
        b.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as capture,
        a.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        netns.set_up(b, names[1], "10.83.1.2/24")
        netns.set_up(a, names[0], "10.83.1.1/24")
        netns.neighbour(a, names[0], "10.83.1.2", netns.mac(b, names[1]))
        netns.neighbour(b, names[1], "10.83.1.1", netns.mac(a, names[0]))
        sender.sendto(b"tick", ("10.83.1.2", 9))
        frames = list(received(capture, quiet_s=1.2))
    assert {frame[12:14] for frame in frames} == {b"\x08\x00"}
    assert frames[0].endswith(b"tick")
    assert " 0x6 " in read_in(a, "/proc/thread-self/net/arp")  # complete and permanent


def test_loopback_comes_up(a):
    netns.loopback_up(a)
    with a.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(WITHIN_S)
        with a.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"x", receiver.getsockname())
        assert receiver.recv(10) == b"x"


def test_offloads_are_off(a, pair):
    def asked(command):
        value = array("B", struct.pack("=II", command, 9))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            request = struct.pack("16sP16x", pair[0].encode(), value.buffer_info()[0])
            fcntl.ioctl(control, 0x8946, request)
        return struct.unpack("=II", value)[1]

    questions = {"tx checksum": 0x16, "tso": 0x1E, "gso": 0x23, "gro": 0x2B}
    assert a.call(asked, questions["tx checksum"]) == 1
    netns.offloads_off(a, pair[0])
    assert {name: a.call(asked, command) for name, command in questions.items()} == dict.fromkeys(
        questions, 0
    )


def test_a_taken_name_is_eexist_and_leaves_nothing(a, b, pair):
    other = netns.device_name()
    with pytest.raises(OSError, match="File exists") as caught:
        netns.veth(a, pair[0], b, other)
    assert caught.value.errno == errno.EEXIST
    assert b.call(devices) == {"lo", pair[1]}


def test_removing_one_end_removes_the_other(a, b, pair):
    netns.remove(a, pair[0])
    netns.remove(a, pair[0])
    assert a.call(devices) == b.call(devices) == {"lo"}


def test_device_names_fit_and_tell_whose_they_are():
    names = {netns.device_name() for _ in range(1000)}
    assert len(names) == 1000
    assert all(len(name) <= 15 and name.startswith(netns.NAME_PREFIX) for name in names)


def test_probing_leaves_no_device(a):
    assert a.call(netns.possible) is None
    assert a.call(devices) == {"lo"}


def test_a_refusal_says_what_is_missing(monkeypatch):
    def refuse():
        raise PermissionError(errno.EPERM, "unshare: Operation not permitted")

    monkeypatch.setattr(netns, "_unshare", refuse)
    assert "run as root" in netns.possible()
    assert "\n" not in netns.possible()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "darwin" in netns.possible()


@pytest.mark.skipif(not shutil.which("unshare"), reason="there is no unshare(1)")
def test_root_of_a_user_namespace_is_enough():
    code = "from emulator.link import netns; print(netns.possible())"
    done = subprocess.run(
        ["unshare", "-Urn", sys.executable, "-c", code], capture_output=True, text=True, timeout=WITHIN_S
    )
    if done.returncode and "unshare" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.stdout == "None\n", done.stderr


def test_a_killed_process_leaves_no_device():
    mine, theirs = netns.device_name(), netns.device_name()
    with python(HOLDS_A_PAIR, mine, theirs) as process:
        assert process.stdout.readline() == "ready\n"
        assert mine in devices()
        process.send_signal(signal.SIGKILL)
    until(lambda: mine not in devices())


def test_a_path_has_the_same_subnet_in_every_run_as_far_as_others_leave_it_free(a):
    colo = [("colo", "A"), ("colo", "B")]
    far = [("us", "direct"), ("tokyo", "direct"), ("mine", "A")]
    claimed = a.call(subnets.free_subnets, [*far, *colo])
    assert claimed[:2] + claimed[3:] == [5, 6, 1, 2]
    assert 16 <= claimed[2] < 128
    second = a.call(subnets.free_subnets, colo)
    assert all(number >= 128 for number in second)
    subnets.release_subnet(*claimed)
    again = a.call(subnets.free_subnets, far)
    assert again == claimed[:3]  # whatever else runs, and whatever comes first
    subnets.release_subnet(*second, *again)


def test_every_path_that_comes_along_has_a_subnet_of_its_own():
    paths = {
        f"{tier.name}/{path.name}" for tier in load_tiers(_PROFILES / "tiers").values() for path in tier.paths
    }
    assert paths == set(subnets.SUBNET_OF)
    assert len(set(subnets.SUBNET_OF.values())) == len(paths)


def test_subnets_with_an_address_or_a_route_are_not_free(a, pair):
    def add_route(ip):
        ip.route("add", dst="10.83.4.0/22", oif=socket.if_nametoindex(pair[0]))
        ip.route("add", dst="10.0.0.0/8", oif=socket.if_nametoindex(pair[0]))

    netns.netlink(a, add_route)
    wanted = [("colo", "A"), ("aws", "direct"), ("us", "direct"), ("colo", "B")]
    numbers = a.call(subnets.free_subnets, wanted)
    try:
        assert numbers[3] == 2
        assert all(number >= 128 for number in numbers[:3])
        assert len(set(numbers)) == 4
    finally:
        subnets.release_subnet(*numbers)


def test_a_claimed_subnet_is_free_again_when_released(a):
    first = a.call(subnets.free_subnet, 2)
    second = a.call(subnets.free_subnet, 2)
    assert not set(first) & set(second)
    subnets.release_subnet(*first)
    subnets.release_subnet(*first)
    assert a.call(subnets.free_subnet, 2) == first
    subnets.release_subnet(*first, *second)


def test_more_subnets_than_there_are_is_an_error_and_claims_none(a):
    before = a.call(subnets.free_subnet, 1)
    subnets.release_subnet(*before)
    with pytest.raises(OSError, match="fewer than 300 are free"):
        a.call(subnets.free_subnet, 300)
    assert a.call(subnets.free_subnet, 1) == before
    subnets.release_subnet(*before)


def test_processes_that_start_together_claim_different_subnets(a):
    with ExitStack() as stack:
        processes = [
            stack.enter_context(a.call(lambda: python(CLAIMS, stdin=subprocess.PIPE))) for _ in range(3)
        ]
        claimed = [int(number) for process in processes for number in process.stdout.readline().split()]
        for process in processes:
            process.stdin.close()
    assert len(set(claimed)) == len(claimed) == 60
