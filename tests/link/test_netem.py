"""Claims about the netem rung, for real: they need a kernel with sch_netem and the right to use it."""

import asyncio
import signal
import socket
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace

import msgspec
import pytest

from emulator.link import netns, subnets
from emulator.link.jitter import JitterCurve, base_one_way_ns
from emulator.link.netem import NetemRung, Qdiscs
from emulator.link.netem_codec import BurstLoss, Netem
from emulator.link.shape import ways
from emulator.link.tiers import Path, load_tiers
from tests.link.probes import (
    PORT,
    SLACK_MS,
    SLACK_SHARE,
    Datagrams,
    assert_takes,
    connect,
    measured_rtt_ms,
    ping,
    rtt_ms,
    sent_one_way,
    serving,
    until,
)
from tests.link.support import SHIPPED, made_tier

TIERS = load_tiers(SHIPPED)
MS = 1_000_000


@pytest.fixture(scope="module")
def rung():
    rung = NetemRung()
    if reason := rung.works():
        pytest.skip(reason)
    return rung


@pytest.fixture(scope="module")
def namespaces():
    if reason := netns.possible():
        pytest.skip(reason)


@pytest.fixture(scope="module")
def shipped(rung):
    link = rung.open(list(TIERS.values()), seed=1)
    yield link
    link.close()


@pytest.fixture
def opened(rung):
    with ExitStack() as stack:

        def open_link(*tiers, seed=1):
            link = rung.open(tiers, seed)
            stack.callback(link.close)
            return link

        yield open_link


def both(**what):
    netem = Netem(**{"delay_ns": 1 * MS, "rate": 10_000_000_000, **what})
    return Qdiscs(netem, netem)


# What a tier's client sees


@pytest.mark.parametrize(("name", "count"), [("aws", 150), ("us", 25), ("tokyo", 15)])
def test_the_median_round_trip_is_the_tiers(shipped, name, count, record_property):
    measured = assert_takes(TIERS[name].rtt_us / 1000, lambda: measured_rtt_ms(shipped, name, count=count))
    record_property("rtt_ms", measured)
    print(f"{name}: {measured:.3f} ms")


@pytest.mark.parametrize("name", ["local", "colo", "beeks"])
def test_a_near_tier_is_not_nearer_than_it_says(shipped, name, record_property):
    """How much farther is the machine's own: reported, and no more than bounded here."""
    measured = measured_rtt_ms(shipped, name, count=300)
    record_property("rtt_ms", measured)
    print(f"{name}: {measured:.3f} ms")
    assert TIERS[name].rtt_us / 1000 * 0.98 <= measured < 10


def test_connecting_takes_one_round_trip(opened):
    link = opened(made_tier(40_000))

    def connecting():
        start = time.perf_counter()
        with connect(address):
            return (time.perf_counter() - start) * 1000

    with serving(link, "made") as address:
        measured = assert_takes(40, lambda: statistics.median(connecting() for _ in range(5)))
    print(f"connect: {measured:.3f} ms at 40 ms")


def test_a_large_answer_takes_the_round_trips_of_slow_start(opened):
    body = bytes(1_000_000)

    def answer(connection):
        connection.recv(100)
        connection.sendall(body)

    def round_trips():
        link = opened(made_tier(100_000))  # a new one each time: TCP remembers addresses
        with serving(link, "made", handle=answer) as address, connect(address) as client:
            start = time.perf_counter()
            client.sendall(b"GET")
            got = 0
            while got < len(body):
                got += len(client.recv(2**18))
            return (time.perf_counter() - start) / 0.1

    least = min(round_trips() for _ in range(3))
    print(f"1 MB: {least:.2f} RTT at 100 ms")
    assert 6.5 <= least <= 8.5


def test_a_path_has_its_own_distance_and_address(opened):
    tier = msgspec.structs.replace(
        made_tier(20_000), paths=(Path(name="A"), Path(name="B", extra_one_way_us=10_000))
    )
    link = opened(tier)
    assert link.address("made", "A") == link.address("made") != link.address("made", "B")
    assert_takes(20, lambda: measured_rtt_ms(link, "made", "A"))
    assert_takes(40, lambda: measured_rtt_ms(link, "made", "B"))


def test_the_ways_may_differ(opened):
    tier = made_tier(100_000)
    link = opened(tier)
    link.change("made", None, ways(msgspec.structs.replace(tier, to_venue_share=0.8)))

    def one_way_ms(*, to_venue):
        return statistics.median(sent_one_way(link, "made", 20, to_venue=to_venue, gap_s=0.01).delays_ms)

    assert_takes(80, lambda: one_way_ms(to_venue=True))
    assert_takes(20, lambda: one_way_ms(to_venue=False))
    assert_takes(100, lambda: measured_rtt_ms(link, "made", count=10))


def test_asyncio_serves_on_a_path_without_nagle(rung):
    async def serve_and_ping():
        link = await asyncio.to_thread(rung.open, [made_tier(20_000)], 1)
        no_delay = []

        async def handle(reader, writer):
            connection = writer.get_extra_info("socket")
            no_delay.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.write(await reader.read(100))
            writer.close()
            await writer.wait_closed()

        try:
            listener = link.listening_socket("made", None, PORT)
            async with await asyncio.start_server(handle, sock=listener):
                reader, writer = await asyncio.open_connection(link.address("made"), PORT)
                start = time.perf_counter()
                writer.write(b"order")
                assert await reader.readexactly(5) == b"order"
                took_ms = (time.perf_counter() - start) * 1000
                writer.close()
                await writer.wait_closed()
        finally:
            await asyncio.to_thread(link.close)
        return no_delay, took_ms

    no_delay, took_ms = asyncio.run(serve_and_ping())
    assert no_delay == [1]
    assert took_ms >= 20


# What happens to packets


def test_jitter_has_the_stated_quantiles(opened):
    """Without a rate packets do not wait for each other, so each is a draw of its own."""
    tier, count = made_tier(300_000, 20_000, 60_000, 120_000), 4000
    curve, base_ms = JitterCurve(tier.jitter), base_one_way_ns(tier) / MS
    link = opened(tier)
    link.put("made", None, Qdiscs(*(replace(way, rate=0) for way in link.qdiscs("made"))))

    def none_too_large():
        datagrams = sent_one_way(link, "made", count, gap_s=0.0005)
        assert len(datagrams.numbers) == count
        extra_ms = sorted(delay - base_ms for delay in datagrams.delays_ms)
        wrong = []
        for share in (0.1, 0.5, 0.9, 0.99, 0.999):
            error = 4 * (share * (1 - share) / count) ** 0.5
            low, stated, high = (curve.quantile_ns(min(1, share + x)) / MS for x in (-error, 0, error))
            measured = extra_ms[int(share * count)]
            print(f"jitter p{100 * share:g}: {measured:.2f} ms, stated {stated:.2f} ms")
            assert measured >= low - 0.1
            wrong += [share] if measured > high * (1 + SLACK_SHARE) + SLACK_MS else []
        return not wrong

    assert any(none_too_large() for _ in range(4))


def test_jitter_keeps_the_order_of_a_burst(opened):
    link = opened(made_tier(100_000, 5_000, 20_000, 40_000))
    in_order = list(range(200))
    burst = sent_one_way(link, "made", 200)
    assert burst.numbers == in_order
    assert max(burst.delays_ms) - min(burst.delays_ms) > 5
    link.put("made", None, Qdiscs(*(replace(way, rate=0) for way in link.qdiscs("made"))))
    overtaking = sent_one_way(link, "made", 200).numbers
    assert sorted(overtaking) == in_order != overtaking


def test_a_long_burst_on_a_long_path_is_not_lost_to_the_queue(opened):
    """Counted at the venue's device: an unread socket would drop so many by itself."""
    link = opened(made_tier(1_000_000))
    with Datagrams(link, "made") as datagrams:
        datagrams.send(*range(5000))
        assert packets_arrived(link) < 5000
        until(lambda: packets_arrived(link) == 5000)


def packets_arrived(link):
    def read():
        with open("/proc/thread-self/net/dev") as file:
            return [line.split() for line in file if netns.NAME_PREFIX in line]

    return sum(int(fields[2]) for fields in link.venue.call(read))


def test_loss_is_as_configured(opened):
    link = opened(made_tier(2_000))
    link.put("made", None, both(loss=0.1))
    arrived = len(sent_one_way(link, "made", 4000).numbers)
    print(f"loss: {(4000 - arrived) / 4000:.4f}, stated 0.1")
    assert arrived == pytest.approx(3600, abs=4 * (4000 * 0.1 * 0.9) ** 0.5)


def test_lost_bursts_are_as_long_as_configured(opened):
    link, count = opened(made_tier(2_000)), 15_000
    link.put("made", None, both(burst_loss=BurstLoss.of(0.05, 4)))
    numbers = sent_one_way(link, "made", count).numbers
    gaps = [after - before - 1 for before, after in zip([-1, *numbers], [*numbers, count], strict=True)]
    bursts = [gap for gap in gaps if gap]
    print(f"bursts: {sum(bursts) / count:.4f} lost, {statistics.mean(bursts):.2f} long; stated 0.05, 4")
    assert sum(bursts) / count == pytest.approx(0.05, rel=0.5)
    assert statistics.mean(bursts) == pytest.approx(4, abs=4 * 3.5 / len(bursts) ** 0.5)


def test_duplicates_and_overtakers_come_when_asked_for(opened):
    link = opened(made_tier(2_000))
    link.put("made", None, both(duplicate=0.2))
    arrived = len(sent_one_way(link, "made", 1000).numbers)
    assert arrived == pytest.approx(1200, abs=4 * (1000 * 0.2 * 0.8) ** 0.5)
    link.put("made", None, both(delay_ns=20 * MS, reorder=0.5, reorder_gap=5))
    numbers = sent_one_way(link, "made", 200, gap_s=0.001).numbers
    assert sorted(numbers) == list(range(200))
    assert numbers != list(range(200))


# Changing a running link


def test_a_connection_lives_through_changes(opened):
    near, far = made_tier(20_000), made_tier(60_000)
    link = opened(far)
    with serving(link, "made") as address, connect(address) as client:
        ping(client)
        assert_takes(60, lambda: rtt_ms(client, 10))
        link.change("made", None, ways(near))
        ping(client)
        assert_takes(20, lambda: rtt_ms(client, 10))
        link.put("made", None, Qdiscs(None, None))
        ping(client)
        until(lambda: rtt_ms(client, 10) < 5)
        link.change("made", None, ways(far))
        ping(client)
        assert_takes(60, lambda: rtt_ms(client, 10))


def test_packets_under_way_arrive_in_order_when_the_path_gets_shorter(opened):
    link = opened(made_tier(400_000))
    with Datagrams(link, "made") as datagrams:
        datagrams.send(*range(50))
        link.put("made", None, both(delay_ns=10 * MS))
        datagrams.send(*range(50, 100))
    assert datagrams.numbers == list(range(100))
    assert min(datagrams.delays_ms[:50]) >= 200


def test_a_renewed_floor_stays_through_changes_and_disturbs_no_connection(opened):
    far = made_tier(60_000)
    link = opened(far)
    with serving(link, "made") as address, connect(address) as client:
        ping(client)
        link.renew("made", None, 40_000)
        assert link.reported("made").to_venue.delay_ns == 10 * MS
        assert link.ways("made") == ways(far)  # what it was asked to do
        assert_takes(20, lambda: rtt_ms(client, 10))
        link.change("made", None, ways(far).changed(extra_us=20_000))
        assert_takes(60, lambda: rtt_ms(client, 10))


def test_renewing_a_floor_lets_nothing_overtake_what_is_under_way(opened):
    link = opened(made_tier(400_000))
    with Datagrams(link, "made") as datagrams:
        datagrams.send(*range(50))
        link.renew("made", None, 390_000)
        datagrams.send(*range(50, 100))
    assert datagrams.numbers == list(range(100))


def test_a_change_leaves_nothing_of_what_was_before(opened):
    link = opened(made_tier(2_000, 10, 20, 30))
    everything = {"loss": 0.5, "loss_correlation": 0.5, "duplicate": 0.5, "corrupt": 0.5, "reorder": 0.5}
    link.put("made", None, both(**everything, jitter_ns=MS, delay_correlation=0.5))
    assert link.reported("made").to_venue.corrupt == pytest.approx(0.5)
    link.put("made", None, both())
    assert link.reported("made") == both()
    assert len(sent_one_way(link, "made", 500).numbers) == 500


def test_the_kernel_reports_what_was_configured(shipped):
    for tier in TIERS.values():
        for path in tier.paths:
            told, reported = shipped.qdiscs(tier.name, path.name), shipped.reported(tier.name, path.name)
            if tier.rtt_us:
                for way, again in zip(told, reported, strict=True):
                    assert replace(again, seed=way.seed, distribution=way.distribution) == way
            else:
                assert reported == told == Qdiscs(None, None)


# Leaving nothing behind

HOLDS_A_LINK = """
import sys, time
from emulator.link.netem import NetemRung
from tests.link.support import made_tier
link = NetemRung().open([made_tier(20_000)], 1)
print(link.device("made"), link.address("made"), flush=True)
time.sleep(60)
"""


def devices():
    return {name for _, name in socket.if_nameindex()}


def test_closing_removes_every_device_and_frees_the_addresses(opened):
    link = opened(made_tier(20_000))
    mine = {link.device("made", "A"), link.device("made", "B")}
    number = int(link.address("made", "A").split(".")[2])
    assert mine <= devices()
    link.close()
    link.close()
    assert not mine & devices()
    again = subnets.free_subnets([("made", "A")])
    subnets.release_subnet(*again)
    assert again == [number]


def test_two_emulators_side_by_side_and_one_is_killed(opened):
    link = opened(made_tier(20_000))
    command = [sys.executable, "-c", HOLDS_A_LINK]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            device, address = process.stdout.readline().split()
            assert address not in (link.address("made", "A"), link.address("made", "B"))
            assert device in devices()
        finally:
            process.send_signal(signal.SIGKILL)
    until(lambda: device not in devices())
    assert_takes(20, lambda: measured_rtt_ms(link, "made", count=5))


def test_a_link_that_cannot_be_made_leaves_nothing(namespaces, monkeypatch):
    laid = []

    def refuse(ns, dev, *_):
        laid.append(dev)
        raise OSError("no neighbours")

    monkeypatch.setattr(netns, "neighbour", refuse)
    with pytest.raises(OSError, match="no neighbours"):
        NetemRung().open([TIERS["local"]], 1)
    assert laid
    assert not set(laid) & devices()


def test_a_tier_without_distance_needs_no_netem(namespaces):
    link = NetemRung().open([TIERS["local"]], 1)
    try:
        assert measured_rtt_ms(link, "local", count=5) < 20
        with pytest.raises(KeyError):
            link.address("tokyo")
    finally:
        link.close()
