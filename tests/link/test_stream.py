"""The delay line between real sockets on 127.0.0.1."""

import asyncio
import contextlib
import socket
import ssl
import statistics
import time
from asyncio.sslproto import SSLProtocol

import pytest
import trustme

from emulator.link.tiers import load_tiers
from emulator.link.transport import LineTransport
from tests.link.support import MS, SHIPPED, Recorder, echo, made_tier, serving

TIER = made_tier(20_000)  # 20 ms, no jitter
RTT = 20 * MS


def against(tier, make_inner, claim, **options):
    """Run a claim about one client's streams (reader, writer, inner protocol)."""

    async def run():
        async with asyncio.timeout(60), serving(tier, make_inner, **options) as (port, inners):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                while not (inners and inners[0].events):
                    await asyncio.sleep(0)
                await claim(reader, writer, inners[0])
            finally:
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()

    asyncio.run(run())


def blocking_round_trips(port, count):
    """Round trips of a plain client, nanoseconds."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        trips = []
        for _ in range(count + 1):
            start_ns = time.monotonic_ns()
            client.sendall(b"order")
            left = len(b"order")
            while left:
                left -= len(client.recv(left))
            trips.append(time.monotonic_ns() - start_ns)
    return trips


@pytest.mark.parametrize("name", ["us", "tokyo"])
def test_the_median_round_trip_is_the_tiers_rtt(name):
    tier = load_tiers(SHIPPED)[name]
    target_ns = tier.rtt_us * 1_000

    async def median_trip_ns():
        async with serving(tier, lambda: Recorder(echo)) as (port, _):
            first, *trips = await asyncio.to_thread(blocking_round_trips, port, 20)
        assert first >= 1.9 * target_ns, "the handshake's RTT comes on top of the first trip"
        assert statistics.median(trips) >= target_ns - MS / 2
        return statistics.median(trips)

    # A machine that is busy with something else may spoil a series, though not three of them.
    limit_ns = 1.02 * target_ns + 2 * MS
    assert any(asyncio.run(median_trip_ns()) <= limit_ns for _ in range(3))


def test_a_hundred_messages_in_flight_take_about_one_round_trip():
    async def claim(reader, writer, inner):
        start_ns = time.monotonic_ns()
        for number in range(100):
            writer.write(b"%3d" % number)
            await asyncio.sleep(0)
        answers = await reader.readexactly(300)
        assert answers == b"".join(b"%3d" % number for number in range(100))
        assert time.monotonic_ns() - start_ns < 25 * RTT

    against(made_tier(20_000, 1_000, 3_000), lambda: Recorder(echo), claim)


def test_half_close_lets_the_server_finish():
    async def claim(reader, writer, inner):
        writer.write(b"question")
        writer.write_eof()
        await inner.until(lambda: "eof" in inner.events)
        assert inner.events == ["made", "data", "eof"]
        inner.transport.write(b"answer")
        assert inner.transport.can_write_eof()
        inner.transport.write_eof()
        assert await reader.read() == b"answer"
        inner.transport.close()

    against(TIER, lambda: Recorder(half_open=True), claim)


def test_the_peers_end_closes_a_protocol_that_does_not_keep_the_connection():
    async def claim(reader, writer, inner):
        writer.write(b"bye")
        writer.write_eof()
        assert await reader.read() == b"bye"
        await inner.lost.wait()
        assert inner.events == ["made", "data", "eof", ("lost", None)]

    against(TIER, lambda: Recorder(echo), claim)


def test_close_delivers_what_was_written_before():
    def answer_and_close(inner, data):
        inner.transport.write(b"x" * 1_000_000)
        inner.transport.close()
        inner.transport.write(b"too late")

    async def claim(reader, writer, inner):
        writer.write(b"logout")
        assert await reader.read() == b"x" * 1_000_000
        await inner.lost.wait()
        assert inner.events == ["made", "data", ("lost", None)]

    against(TIER, lambda: Recorder(answer_and_close), claim)


def test_abort_drops_what_is_held():
    def answer_and_abort(inner, data):
        inner.transport.write(b"never seen")
        inner.transport.abort()

    async def claim(reader, writer, inner):
        writer.write(b"order")
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        await inner.lost.wait()
        assert inner.events == ["made", "data", ("lost", None)]

    against(TIER, lambda: Recorder(answer_and_abort), claim)


def test_a_protocol_that_pauses_reading_gets_its_bytes_when_it_resumes():
    async def claim(reader, writer, inner):
        inner.transport.pause_reading()
        writer.write(b"first")
        fence_reader, fence = await asyncio.open_connection(*writer.get_extra_info("peername"))
        fence.write(b"fence")
        assert await fence_reader.readexactly(5) == b"fence"  # sent later, answered: the first is overdue
        fence.close()
        assert inner.received == b""
        inner.transport.resume_reading()
        assert await reader.readexactly(5) == b"first"

    against(TIER, lambda: Recorder(echo), claim)


def test_backpressure_reaches_the_protocol_and_ends_when_the_client_reads():
    size = 16 * 1024 * 1024

    async def claim(reader, writer, inner):
        inner.transport.write(b"x" * size)
        await inner.until(lambda: "pause" in inner.events)
        assert inner.transport.get_write_buffer_size() > 64 * 1024
        assert len(await reader.readexactly(size)) == size
        await inner.until(lambda: "resume" in inner.events)
        assert inner.events == ["made", "pause", "resume"]

    against(TIER, Recorder, claim)


def test_tls_rides_on_the_line():
    authority = trustme.CA()
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server_context)
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)
    payload = bytes(range(256)) * 4_000

    async def run():
        inner = Recorder(echo)

        def secure():
            loop = asyncio.get_running_loop()
            return SSLProtocol(loop, inner, server_context, None, server_side=True, call_connection_made=True)

        loop_failures = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: loop_failures.append(context))
        async with asyncio.timeout(60), serving(TIER, secure) as (port, inners):
            start_ns = time.monotonic_ns()
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=client_context, server_hostname="localhost"
            )
            assert time.monotonic_ns() - start_ns >= 2 * RTT, "TCP handshake, then TLS"
            start_ns = time.monotonic_ns()
            writer.write(payload)
            assert await reader.readexactly(len(payload)) == payload
            assert time.monotonic_ns() - start_ns >= RTT
            line = inner.transport.get_extra_info("delay_line")
            assert isinstance(line, LineTransport)
            assert line.get_extra_info("peername") == writer.get_extra_info("sockname")
            writer.close()
            await writer.wait_closed()
            await inner.lost.wait()
            inners.clear()  # the TLS layers have no end to wait for, and it has come
        assert loop_failures == []

    asyncio.run(run())
