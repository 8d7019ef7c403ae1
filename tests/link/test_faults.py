"""One suite for every rung and tiers without distance: faults that are set while clients are connected."""

import asyncio
import contextlib
from contextlib import asynccontextmanager

import pytest

from emulator.link.ladder import RUNGS
from emulator.link.near import DirectTransport
from emulator.link.shape import Ways
from emulator.link.timer import DueQueue
from tests.link.support import Recorder, made_tier

PATIENCE_S = 60
BY_NAME = {rung.name: rung for rung in RUNGS}
NEAR = [("stream", 0), ("none", 4_000)]
"""Rungs, and the distances that a tier says: where nothing is held."""
PLACES = [("netem", 4_000), ("netem", 0), ("packet", 4_000), ("packet", 0), ("stream", 4_000), *NEAR]


def ids(places):
    return [f"{name}-{rtt_us // 1000}ms" for name, rtt_us in places]


@pytest.fixture(params=PLACES, ids=ids(PLACES))
def place(request):
    name, rtt_us = request.param
    if reason := BY_NAME[name].works():
        pytest.skip(reason)
    return BY_NAME[name], made_tier(rtt_us)


@pytest.fixture(params=NEAR, ids=ids(NEAR))
def near(request):
    name, rtt_us = request.param
    return BY_NAME[name], made_tier(rtt_us)


def echo(venue, data):
    venue.transport.write(data)


class Opened:
    """A venue behind a link that echoes, its connections, and clients."""

    def __init__(self, link, tier, at, venues):
        self.link, self.at, self.venues = link, at, venues
        self.tier = tier
        self.writers = []

    async def connect(self):
        reader, writer = await asyncio.open_connection(self.at.host, self.at.port)
        self.writers.append(writer)
        return reader, writer

    async def client(self):
        """Connect, and see that it works; the venue's end of it too."""
        reader, writer = await self.connect()
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        return reader, writer, next(venue for venue in self.venues if venue.peer == own(writer))

    async def set(self, to_venue=None, to_client=None):
        there, back = self.link.ways("made", "A")
        to = Ways(there.changed(**to_venue or {}), back.changed(**to_client or {}))
        await self.link.change("made", "A", to)


class Venue(Recorder):
    """The venue's end of a connection: who the client is."""

    peer = None

    def connection_made(self, transport):
        self.peer = transport.get_extra_info("peername")
        super().connection_made(transport)


def own(writer):
    return writer.get_extra_info("sockname")


@asynccontextmanager
async def opened(place):
    rung, tier = place
    queue, venues = DueQueue(asyncio.get_running_loop()), []

    def factory():
        venues.append(Venue(echo))
        return venues[-1]

    link = await rung.open((tier,), queue, seed=7)
    try:
        at = await link.listen(tier, factory, "127.0.0.1", 0, path="A")
        made = Opened(link, tier, at, venues)
        try:
            yield made
        finally:
            at.server.close()
            for writer in made.writers:
                writer.close()
            for venue in venues:
                if venue.events:
                    venue.transport.abort()
                    await venue.lost.wait()
            for writer in made.writers:
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    finally:
        await link.close()
        queue.close()


def over(place, test):
    async def scenario():
        async with asyncio.timeout(PATIENCE_S), opened(place) as made:
            await test(made)

    asyncio.run(scenario())


def test_a_lost_way_to_the_venue_loses_that_way_only(place):
    async def test(made):
        reader, writer, venue = await made.client()
        await made.set(to_venue={"loss": 1})
        writer.write(b"order")
        for _ in range(5):  # news come all the same, and the order does not come meanwhile
            venue.transport.write(b"news")
            assert await reader.readexactly(4) == b"news"
        assert venue.received == b"hello"
        await made.set(to_venue={"loss": 0})
        assert await reader.readexactly(5) == b"order"

    over(place, test)


def test_a_lost_way_to_the_client_loses_that_way_only(place):
    async def test(made):
        reader, writer, venue = await made.client()
        await made.set(to_client={"loss": 1})
        for number in range(5):
            writer.write(b"order")
            await venue.until(lambda much=5 * (number + 2): len(venue.received) == much)
        assert not reader._buffer
        await made.set(to_client={"loss": 0})
        assert await reader.readexactly(25) == b"order" * 5

    over(place, test)


@pytest.mark.parametrize("way", ["to_venue", "to_client"])
def test_no_connection_begins_while_one_way_is_lost(place, way):
    async def test(made):
        reader, writer, venue = await made.client()
        await made.set(**{way: {"loss": 1}})
        connecting = asyncio.create_task(made.connect())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(connecting), 0.2)  # only on real packets it takes time
        if connecting.done():
            connecting.result()[1].write(b"hello")
        venue.transport.write(b"news")
        writer.write(b"order")
        if way == "to_venue":
            assert await reader.readexactly(4) == b"news"
        else:
            await venue.until(lambda: venue.received == b"helloorder")
        assert len([other for other in made.venues if other.received]) == 1
        await made.set(**{way: {"loss": 0}})
        other_reader, other = await connecting
        other.write(b"hello")
        assert await other_reader.readexactly(5) == b"hello"

    over(place, test)


def test_the_end_of_a_connection_waits_too_while_its_way_is_lost(place):
    async def test(made):
        reader, writer, venue = await made.client()
        await made.set(to_venue={"loss": 1})
        writer.write_eof()
        for _ in range(5):
            venue.transport.write(b"news")
            assert await reader.readexactly(4) == b"news"
        assert venue.events == ["made", "data"]
        writer.close()
        await writer.wait_closed()
        await made.set(to_venue={"loss": 0})
        await venue.lost.wait()

    over(place, test)


def test_both_ways_lost_and_restored_leave_a_path_that_works(place):
    async def test(made):
        reader, writer, _ = await made.client()
        await made.set({"loss": 1}, {"loss": 1})
        writer.write(b"order")
        with pytest.raises((TimeoutError, OSError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(5), 0.3)
        await made.set({"loss": 0}, {"loss": 0})
        await made.client()

    over(place, test)


def test_a_distance_that_is_set_meets_connections_that_are_open_and_new_ones(place):
    async def test(made):
        loop = asyncio.get_running_loop()
        reader, writer, _ = await made.client()
        await made.link.change("made", "A", made.link.ways("made", "A").with_rtt(50_000))
        began = loop.time()
        writer.write(b"order")
        assert await reader.readexactly(5) == b"order"
        assert loop.time() - began >= 0.0495
        began = loop.time()
        await made.client()
        assert loop.time() - began >= 0.099

    over(place, test)


def test_without_a_fault_nothing_is_between_a_client_and_the_venue(near):
    async def test(made):
        _, _, venue = await made.client()
        real = venue.transport._to
        assert isinstance(venue.transport, DirectTransport)
        assert isinstance(real, asyncio.selector_events._SelectorSocketTransport)
        assert real.get_protocol() is venue
        standing = made.link.ways("made", "A")
        await made.link.change("made", "A", standing)
        assert venue.transport._to is real
        await made.set(to_venue={"loss": 0.5})
        assert venue.transport._to is not real
        await made.link.change("made", "A", standing)
        _, _, later = await made.client()
        assert isinstance(later.transport._to, asyncio.selector_events._SelectorSocketTransport)

    over(near, test)


def test_a_line_that_comes_later_goes_on_where_the_connection_is(near):
    """What its protocol has set stays set: it does not read, and was told to write no more."""

    async def test(made):
        reader, writer, venue = await made.client()
        venue.transport.set_write_buffer_limits(high=1_000, low=100)
        venue.transport.pause_reading()
        venue.transport.write(bytes(30_000_000))  # more than the kernel takes
        assert venue.events[-1] == "pause"
        writer.write(b"later")
        await made.set(to_venue={"loss": 0.001})
        assert not venue.transport.is_reading()
        assert venue.transport.get_write_buffer_limits() == (100, 1_000)
        assert len(await reader.readexactly(30_000_000)) == 30_000_000
        await venue.until(lambda: venue.events[-1] == "resume")
        assert venue.received == b"hello"
        venue.transport.resume_reading()
        assert await reader.readexactly(5) == b"later"

    over(near, test)
