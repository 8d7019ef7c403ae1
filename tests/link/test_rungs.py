"""One suite for every rung: what a client of any link may rely on, through the ladder's own contract.

Bounds below are the tier's own figures; those above leave room for a busy machine, and are tried again.
"""

import asyncio
import contextlib
import socket
import statistics
import time

import pytest
from msgspec.structs import replace

from emulator.link.jitter import JitterCurve
from emulator.link.ladder import RUNGS
from emulator.link.shape import Ways
from emulator.link.tiers import Line
from emulator.link.timer import DueQueue
from tests.link.support import made_tier

PATIENCE_S = 60
SLACK_S = 0.003
TRIES = 5
SHAPED = [rung for rung in RUNGS if rung.name != "none"]
REAL = ("netem", "packet")


@pytest.fixture(params=SHAPED, ids=lambda rung: rung.name, scope="module")
def rung(request):
    if reason := request.param.works():
        pytest.skip(reason)
    return request.param


class Answering(asyncio.Protocol):
    """A venue that answers each request of 8 bytes with the size that it asks for, or with itself."""

    def __init__(self, open_ones):
        self.open_ones = open_ones

    def connection_made(self, transport):
        self.transport = transport
        self.buffer = b""
        self.open_ones.add(self)

    def connection_lost(self, error):
        self.open_ones.discard(self)

    def data_received(self, data):
        self.buffer += data
        while len(self.buffer) >= 8:
            request, self.buffer = self.buffer[:8], self.buffer[8:]
            wanted = int.from_bytes(request[:4], "big")
            self.transport.write(bytes(wanted) if wanted else request)


class Client:
    """A lean blocking client in a thread of its own."""

    def __init__(self, address):
        began = time.monotonic()
        self.end = socket.create_connection(address, PATIENCE_S)
        self.connect_s = time.monotonic() - began
        self.end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def call_s(self, wanted=0, number=0):
        began = time.monotonic()
        self.end.sendall(wanted.to_bytes(4, "big") + number.to_bytes(4, "big"))
        self.read(wanted or 8)
        return time.monotonic() - began

    def read(self, size):
        data = b""
        while len(data) < size:
            chunk = self.end.recv(1 << 18)
            if not chunk:
                raise ConnectionError("closed")
            data += chunk
        return data

    def median_s(self, count):
        return statistics.median(self.call_s() for _ in range(count))


@contextlib.asynccontextmanager
async def opened(rung, tier):
    """A venue behind a link: gives the link, and a coroutine function that connects a client by a path."""
    queue = DueQueue(asyncio.get_running_loop())
    link = await rung.open((tier,), queue, seed=7)
    listeners, clients, open_ones = {}, [], set()

    async def connect(name="A"):
        at = listeners[name]
        clients.append(await asyncio.to_thread(Client, (at.host, at.port)))
        return clients[-1]

    try:
        for path in tier.paths:
            listeners[path.name] = await link.listen(
                tier, lambda: Answering(open_ones), "127.0.0.1", 0, path=path.name
            )
        yield link, connect
    finally:
        for client in clients:
            client.end.close()
        for at in listeners.values():
            at.server.close()
        for protocol in list(open_ones):
            protocol.transport.abort()
        while open_ones:
            await asyncio.sleep(0.001)
        await link.close()
        queue.close()


def over(rung, tier, test):
    """Run `test(link, connect)` against a venue behind a link."""

    async def scenario():
        async with opened(rung, tier) as (link, connect):
            await test(link, connect)

    asyncio.run(asyncio.wait_for(scenario(), PATIENCE_S))


async def takes(least_s, measure, most_s=None):
    """Never less; and once in a few times not more, as neighbours only make it slower."""
    most_s = most_s or least_s * 1.02 + SLACK_S
    for _ in range(TRIES):
        took_s = await measure()
        assert took_s >= least_s * 0.98 - 0.0002
        if took_s <= most_s:
            return took_s
    raise AssertionError(f"{took_s * 1000:.2f} ms, at most {most_s * 1000:.2f} ms are meant")


@pytest.mark.parametrize("rtt_us", [2_000, 20_000])
def test_the_median_round_trip_is_the_tiers(rung, rtt_us):
    async def test(link, connect):
        client = await connect()
        await asyncio.to_thread(client.call_s)
        await takes(rtt_us / 1e6, lambda: asyncio.to_thread(client.median_s, 15))

    over(rung, made_tier(rtt_us), test)


def test_the_second_path_is_longer_and_has_a_way_in_of_its_own(rung):
    async def test(link, connect):
        client = await connect("B")
        await asyncio.to_thread(client.call_s)
        await takes(0.021, lambda: asyncio.to_thread(client.median_s, 9))

    over(rung, made_tier(20_000), test)


def test_a_connection_costs_one_round_trip_before_its_first_answer_comes_in_the_second(rung):
    async def test(link, connect):
        async def cold_s():
            client = await connect()
            return client.connect_s + await asyncio.to_thread(client.call_s)

        await takes(0.08, cold_s)
        if rung.name in REAL:
            assert (await connect()).connect_s >= 0.039

    over(rung, made_tier(40_000), test)


def test_jitter_has_the_quantiles_of_the_profile(rung):
    """Of 400 round trips with jitter on one way only: sampling error, and the machine's own lateness."""
    tier = made_tier(20_000, 2_000, 8_000, 12_000)

    async def test(link, connect):
        there, back = link.ways("made", "A")
        still = back.changed(p50_us=0, p99_us=0, p999_us=0, one_way_us=1_000)
        await link.change("made", "A", Ways(there.changed(one_way_us=1_000), still))
        client = await connect()
        took_s = await asyncio.to_thread(lambda: sorted(client.call_s() for _ in range(400)))
        curve = JitterCurve(tier.jitter)
        for share, slack_share in ((0.25, 0.08), (0.5, 0.08), (0.9, 0.06)):
            least_s = 0.002 + curve.quantile_ns(share - slack_share) / 1e9
            most_s = 0.002 + curve.quantile_ns(min(0.99, share + slack_share)) / 1e9 + SLACK_S
            assert least_s <= took_s[int(share * 400)] <= most_s

    over(rung, tier, test)


def test_jitter_and_many_messages_under_way_keep_their_order(rung):
    async def test(link, connect):
        client = await connect()
        for number in range(500):
            client.end.sendall(bytes(4) + number.to_bytes(4, "big"))
        data = await asyncio.to_thread(client.read, 8 * 500)
        assert [int.from_bytes(data[at + 4 : at + 8], "big") for at in range(0, 4_000, 8)] == list(range(500))

    over(rung, made_tier(10_000, 500, 4_000, 5_000), test)


def test_a_way_can_be_longer_than_the_other(rung):
    tier = replace(made_tier(40_000), to_venue_share=0.75)

    async def test(link, connect):
        there, back = link.ways("made", "A")
        assert (there.one_way_us, back.one_way_us) == pytest.approx((30_000, 10_000))
        client = await connect()
        await takes(0.04, lambda: asyncio.to_thread(client.median_s, 5))

    over(rung, tier, test)


def test_what_is_lost_comes_a_retransmission_time_out_later(rung):
    tier = replace(made_tier(4_000), line=Line(loss=0.08))

    async def test(link, connect):
        client = await connect()
        took_s = await asyncio.to_thread(lambda: [client.call_s() for _ in range(60)])
        late = [s for s in took_s if s > 0.15]
        # 60 requests and 60 answers, of which 8 % are lost: 9 or 10 come late.
        assert 1 <= len(late) <= 30
        assert statistics.median(took_s) < 0.15

    over(rung, tier, test)


def test_losses_come_in_bursts(rung):
    """One way, one packet a request: a burst of losses is a row of requests that come late."""
    tier = replace(made_tier(4_000), to_venue=Line(burst_start=0.1, burst_end=0.5))

    async def test(link, connect):
        client = await connect()
        took_s = await asyncio.to_thread(lambda: [client.call_s() for _ in range(120)])
        late = sum(s > 0.15 for s in took_s)
        # One request in ten begins a burst of two packets: that none does is as likely as 1 in 300,000.
        assert 1 <= late <= 40

    over(rung, tier, test)


def test_a_megabyte_takes_slow_starts_round_trips_where_packets_are_real(rung):
    async def test(link, connect):
        async def body_rtts():
            client = await connect()
            await asyncio.to_thread(client.call_s)
            return await asyncio.to_thread(client.call_s, 1_000_000) / 0.06

        fewest = min([await body_rtts() for _ in range(3)])
        assert 5.5 <= fewest <= 9 if rung.name in REAL else 1 <= fewest < 3

    over(rung, made_tier(60_000), test)


def test_a_change_meets_connections_that_are_open(rung):
    async def test(link, connect):
        client = await connect()
        for rtt_us in (50_000, 20_000):
            await link.change("made", "A", link.ways("made", "A").with_rtt(rtt_us))
            await asyncio.to_thread(client.call_s)
            await takes(rtt_us / 1e6, lambda: asyncio.to_thread(client.median_s, 5))

    over(rung, made_tier(20_000), test)


def test_a_path_that_fails_leaves_the_other_one_alone_and_can_be_restored(rung):
    async def test(link, connect):
        on_a, on_b = await connect("A"), await connect("B")
        await asyncio.to_thread(on_a.call_s)
        standing = link.ways("made", "A")
        await link.change("made", "A", standing.changed(loss=1))
        on_a.end.settimeout(0.5)
        with pytest.raises((TimeoutError, ConnectionError)):
            await asyncio.to_thread(on_a.call_s)
        await asyncio.to_thread(on_b.call_s)
        await link.change("made", "A", standing)
        with contextlib.suppress(OSError):
            on_a.end.close()
        again = await connect("A")
        await asyncio.to_thread(again.call_s)

    over(rung, made_tier(5_000), test)


def test_two_links_side_by_side_do_not_meet(rung):
    tier = made_tier(10_000)

    async def test(link, connect):
        async with opened(rung, tier) as (_, connect_there):
            here, there = await connect(), await connect_there()
            await link.change("made", "A", link.ways("made", "A").with_rtt(80_000))
            for client in (here, there):
                await asyncio.to_thread(client.call_s)
            assert await asyncio.to_thread(here.call_s) >= 0.079
            await takes(0.01, lambda: asyncio.to_thread(there.median_s, 5))

    over(rung, tier, test)
