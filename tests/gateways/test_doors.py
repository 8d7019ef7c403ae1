"""Nobody stays for nothing: limits of time for whatever a connection waits for, and how many there may be."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

import pytest

from emulator.gateways import doors, fragments, http_connection, outflow, tls, websocket
from emulator.gateways.doors import Doors
from emulator.gateways.fix import server as fix
from emulator.gateways.front import proxy
from emulator.gateways.outflow import Outflow
from tests.gateways.cuts import Pipe
from tests.gateways.sockets import (
    CLOSE,
    CONTINUATION,
    GET_TIME,
    PING,
    PING_REQUEST,
    UPGRADE,
    Peer,
    Served,
    masked,
    serving,
)
from tests.gateways.test_front_abuse import said
from tests.gateways.venue import Kraken, in_loop

SHORT_S = 0.05
BODY = b"POST /0/private/Balance HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc"


class Stranger(Pipe):
    """A connection from an address."""

    def __init__(self, address: str = "10.0.0.1", unsent: int = 0) -> None:
        self.address, self.unsent = address, unsent
        super().__init__(asyncio.Protocol())

    def get_extra_info(self, name, default=None):
        return (self.address, 5) if name == "peername" else default

    def get_write_buffer_size(self):
        return self.unsent


def looked(doors_: Doors) -> None:
    """Let everybody be looked at, as once a second."""
    doors_._look()


# -- limits of time, by what is waited for -----------------------------------------------------------


@pytest.fixture
def soon(monkeypatch):
    """Limits of time are short, and kept exactly."""
    monkeypatch.setattr(doors, "LOOK_S", 0.01)
    for module, name in (
        (http_connection, "HEAD_S"),
        (http_connection, "BODY_S"),
        (http_connection, "IDLE_S"),
        (proxy, "HEAD_S"),
        (websocket, "HANDSHAKE_S"),
        (websocket, "IDLE_S"),
        (websocket, "CLOSE_S"),
        (doors, "CLOSE_S"),
        (fix, "LOGON_TIMEOUT_S"),
        (tls, "HANDSHAKE_S"),
    ):
        monkeypatch.setattr(module, name, SHORT_S)


async def nothing(peer: Peer) -> None:
    """Say nothing at all."""


async def half_a_head(peer: Peer) -> None:
    peer.send(GET_TIME[:20])


async def a_later_head(peer: Peer) -> None:
    await peer.get("/0/public/Time")
    peer.send(GET_TIME[:20])


async def idle_after_a_request(peer: Peer) -> None:
    await peer.get("/0/public/Time")


async def half_a_body(peer: Peer) -> None:
    peer.send(BODY)


async def half_an_upgrade(peer: Peer) -> None:
    await peer.get("/0/public/Time")
    peer.send(UPGRADE.format(path="/v2", host="x").encode()[:-2])


async def a_websocket_that_is_idle(peer: Peer) -> None:
    await peer.upgrade()


async def empty_fragments(peer: Peer) -> None:
    await peer.upgrade()
    peer.send(masked(b"", fin=False))
    peer.send(masked(b"", CONTINUATION, fin=False) * 100)


WAITING = [
    *(nothing, half_a_head, a_later_head, idle_after_a_request),
    *(half_a_body, half_an_upgrade, a_websocket_that_is_idle, empty_fragments),
]


def ended(act: Callable[[Peer], Awaitable[None]]) -> None:
    """Claim that a connection which waits like this is ended, and counted out."""

    async def run() -> None:
        async with serving(Kraken()) as served:
            peer = await served.connect()
            await act(peer)
            await peer.rest()
            await served.settle(lambda: not len(served.front.doors))

    asyncio.run(run())


@pytest.mark.parametrize("act", WAITING)
def test_whatever_a_connection_waits_for_it_does_not_wait_for_ever(soon, act):
    ended(act)


def test_bytes_one_by_one_do_not_make_a_head_s_time_longer(soon):
    async def run():
        async with serving(Kraken()) as served:
            peer = await served.connect()
            await peer.get("/0/public/Time")
            visit = next(iter(served.front.doors._inside))
            peer.send(GET_TIME[:1])
            await served.settle(lambda: visit.limit_s == SHORT_S and visit.since_s)
            since_s = visit.since_s
            for byte in GET_TIME[1:-1]:
                peer.send(bytes([byte]))
                await asyncio.sleep(0)
                assert visit.since_s == since_s
            assert await peer.rest() == b""

    asyncio.run(run())


def test_a_client_that_does_not_close_after_our_close_is_let_go(soon):
    async def run():
        async with serving(Kraken()) as served:
            peer = await served.websocket()
            next(iter(served.ws.connections)).close(1001)
            assert await peer.close_code() == 1001  # and says no Close of its own
            assert await peer.rest() == b""
            await served.settle(lambda: not served.ws.connections)

    asyncio.run(run())


def test_requests_within_their_time_are_served_however_long_the_connection_lasts(soon):
    async def run():
        async with serving(Kraken()) as served:
            peer, began_s = await served.connect(), time.monotonic()
            while time.monotonic() - began_s < 3 * SHORT_S:
                assert (await peer.get("/0/public/Time"))["error"] == []

    asyncio.run(run())


# -- how many -----------------------------------------------------------------------------------------


@in_loop
async def test_one_address_has_a_share_only_and_this_machine_all(kraken, caplog):
    house = Doors(8)
    mine = [house.enter(Stranger()) for _ in range(8)]
    assert [visit is not None for visit in mine] == [True] * 6 + [False] * 2
    assert caplog.messages == ["connection refused: 6 are open from 10.0.0.1"]
    assert house.enter(Stranger("10.0.0.2")) is not None
    mine[0].leave()
    mine[0].leave()
    assert house.enter(Stranger()) is not None
    home = Doors(8)
    assert all(
        home.enter(Stranger(address)) for address in ("127.0.0.1", "::1", "127.9.9.9", "127.0.0.1") * 2
    )


@in_loop
async def test_when_all_are_taken_the_one_that_waits_longest_for_a_request_gives_way(kraken, caplog):
    house = Doors(4)
    pipes = [Stranger("127.0.0.1") for _ in range(4)]
    visits = [house.enter(pipe) for pipe in pipes]
    visits[0].within(1_000.0)  # it has asked for something
    looked(house)
    assert house.enter(Stranger("127.0.0.1")) is not None
    assert [pipe.closed for pipe in pipes] == [False, True, False, False]
    for visit in house._inside:
        visit.within(1_000.0)
    late = Stranger("127.0.0.1")
    assert house.enter(late) is None
    assert late.closed
    assert caplog.messages == ["connection refused: 4 are open"]


@in_loop
async def test_who_has_just_come_or_has_answers_to_read_does_not_give_way(kraken):
    house = Doors(2)
    assert all(house.enter(Stranger("127.0.0.1")) for _ in range(2))
    assert house.enter(Stranger("127.0.0.1")) is None  # nobody has been looked at
    house = Doors(2)
    assert all(house.enter(Stranger("127.0.0.1", unsent=5)) for _ in range(2))
    looked(house)
    assert house.enter(Stranger("127.0.0.1")) is None


@in_loop
async def test_who_does_not_send_the_rest_of_a_body_gives_way(kraken):
    house, pipe = Doors(1), Stranger("127.0.0.1")
    connection = http_connection.HttpConnection(house, None)
    connection.connection_made(pipe)
    connection._inner = asyncio.Protocol()
    connection.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx")
    looked(house)
    assert house.enter(Stranger("127.0.0.1")) is not None
    assert pipe.closed


@in_loop
async def test_refusals_are_a_line_a_second(kraken, caplog):
    house = Doors(1)
    house.enter(Stranger("127.0.0.1"))
    for _ in range(50):
        house.enter(Stranger("127.0.0.1"))
    looked(house)
    assert caplog.messages == ["connection refused: 1 are open", "49 more connections refused"]


def test_idle_connections_keep_nobody_out(caplog):
    async def run():
        async with serving(Kraken()) as served:
            served.front.doors.most = 20
            for _ in range(20):
                await (await served.connect()).get("/0/public/Time")
            looked(served.front.doors)
            for _ in range(5):
                assert (await (await served.connect()).get("/0/public/Time"))["error"] == []
            assert len(served.front.doors) == 20

    with caplog.at_level(logging.INFO):
        asyncio.run(run())
    assert said(caplog) == []


# -- what is written and not read -----------------------------------------------------------------------


def unread(monkeypatch, caplog, act: Callable[[Peer, Served], Awaitable[None]], most: int = 100_000) -> None:
    """Claim that a client which goes on with ``act`` without reading is cut off, with one line of log."""
    monkeypatch.setattr(outflow, "MOST_UNSENT", most)

    async def run() -> None:
        async with serving(Kraken()) as served:
            peer = await served.websocket()
            peer.writer.transport.pause_reading()
            largest = 0
            for _ in range(5_000):
                if not served.ws.connections:
                    break
                await act(peer, served)
                largest = max(largest, served.front.doors.unsent)
                await asyncio.sleep(0)
            await served.settle(lambda: not served.ws.connections)
            assert largest < 2 * most
            assert served.front.doors.unsent == 0
            assert not served.front.doors.slow

    with caplog.at_level(logging.INFO):
        asyncio.run(run())
    [line] = said(caplog)
    assert "cut off" in line


async def pings(peer: Peer, served: Served) -> None:
    peer.send(masked(b"x" * 125, PING) * 64)


async def requests(peer: Peer, served: Served) -> None:
    peer.send(masked(PING_REQUEST) * 64)


async def market_data(peer: Peer, served: Served) -> None:
    for connection in list(served.ws.connections):
        connection.post(b"\x81\x7e\x03\xe8" + b"x" * 1000)
        connection.send(b"x" * 20_000)


@pytest.mark.parametrize("act", [pings, requests, market_data])
def test_what_is_not_read_is_bounded_whatever_it_is(monkeypatch, caplog, act):
    unread(monkeypatch, caplog, act)


@in_loop
async def test_all_slow_clients_together_are_bounded_and_the_slowest_goes_first(kraken, monkeypatch, caplog):
    monkeypatch.setattr(doors, "MOST_UNSENT_IN_ALL", 1_000)
    house, pipes = Doors(), [Stranger() for _ in range(3)]
    flows = [Outflow(pipe, house, lambda n=n: f"number {n}", lambda: None) for n, pipe in enumerate(pipes)]
    for flow, size in zip(flows, (300, 500, 200), strict=True):
        flow.pause()
        flow.write(b"x" * size)
    assert not any(pipe.closed for pipe in pipes)
    flows[2].write(b"x")
    assert [pipe.closed for pipe in pipes] == [False, True, False]
    assert house.unsent == 501
    assert caplog.messages == ["number 1 cut off: 500 bytes unsent"]


@in_loop
async def test_what_was_kept_comes_in_order_when_the_client_reads_on_and_then_the_end(kraken):
    pipe, house = Stranger(), Doors()
    flow = Outflow(pipe, house, str, lambda: None)
    flow.write(b"a")
    flow.pause()
    flow.write(b"b" * 600_000)
    flow.write(b"c")
    flow.end()
    flow.write(b"too late")
    assert bytes(pipe.written) == b"a"
    assert not pipe.closed
    flow.resume()
    assert bytes(pipe.written) == b"a" + b"b" * 600_000 + b"c"
    assert pipe.closed
    assert house.unsent == 0


def test_who_pipelines_requests_and_does_not_read_is_not_read_from():
    async def run():
        async with serving(Kraken()) as served:
            peer = await served.connect()
            peer.writer.transport.pause_reading()
            request = GET_TIME.replace(b"Time", b"AssetPairs")
            peer.send(request * 500)
            await served.settle(lambda: served.front.fronts)
            front = next(iter(served.front.fronts))
            await served.settle(lambda: front._unread)
            assert not front._transport.is_reading()
            assert front._transport.get_write_buffer_size() < 8 << 20
            peer.writer.transport.abort()

    asyncio.run(run())


# -- fragments -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1])
def test_fragments_without_end_are_refused_however_small(caplog, size):
    async def run():
        async with serving(Kraken()) as served:
            peer = await served.websocket()
            peer.send(masked(b"", fin=False))
            piece = masked(b"x" * size, CONTINUATION, fin=False)
            peer.send(piece * fragments.MOST_FRAGMENTS)
            assert await peer.close_code() == 1008

    with caplog.at_level(logging.INFO):
        asyncio.run(run())
    assert said(caplog) == []


def test_a_message_in_as_many_fragments_as_there_may_be_is_answered():
    async def run():
        async with serving(Kraken()) as served:
            peer = await served.websocket()
            pieces = masked(b"", CONTINUATION, fin=False) * (fragments.MOST_FRAGMENTS - 2)
            peer.send(masked(PING_REQUEST[:9], fin=False) + pieces + masked(PING_REQUEST[9:], CONTINUATION))
            assert (await peer.message())["req_id"] == 5
            peer.send(masked((1000).to_bytes(2, "big"), CLOSE))
            assert await peer.close_code() == 1000

    asyncio.run(run())
