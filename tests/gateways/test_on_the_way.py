"""A stream link that fails while requests and answers are on their way: no error of anybody's."""

import asyncio
import logging
import ssl

import pytest

from emulator.gateways.front import proxy
from emulator.gateways.tls import over_tls
from emulator.link import stream
from emulator.link.delay import StreamPath
from emulator.link.shape import Shape, Ways, ways
from tests.gateways.sockets import GET_TIME, PING_REQUEST, UPGRADE, Peer, masked, serving
from tests.gateways.venue import Kraken
from tests.link.support import made_tier

TIER = made_tier(6_000)
LOST = Ways(Shape(loss=1.0), Shape(loss=1.0))
UPGRADED = UPGRADE.format(path="/v2", host="x").encode()
SAID = {
    "requests": GET_TIME * 3,
    "half a request": GET_TIME[:30],
    "half a body": GET_TIME[:-2] + b"Content-Length: 10\r\n\r\nabc",
    "an upgrade": UPGRADED,
    "an upgrade behind a request, and a message": GET_TIME + UPGRADED + masked(PING_REQUEST),
    "a tunnel": b"CONNECT api.kraken.com:80 HTTP/1.1\r\n\r\n" + GET_TIME,
}


@pytest.mark.parametrize("end", ["cut", "reset by the client"])
@pytest.mark.parametrize("name", SAID)
def test_what_is_on_its_way_when_a_link_fails_is_no_error(caplog, name, end):
    failures = []

    async def run():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: failures.append(context))
        async with serving(Kraken()) as served:
            now = ways(TIER, None)
            path = StreamPath("t", "A", now)
            plain = served.front.protocols(served.entrance)
            table = proxy.places(plain, plain, {})
            make = proxy.protocols(served.front, served.entrance, table) if name == "a tunnel" else plain
            listener = await loop.create_server(stream.over(path, served.queue, make, 0), "127.0.0.1", 0)
            port = listener.sockets[0].getsockname()[1]
            for step in range(24):  # through all of the way there and back, and the turns around the arrival
                path.change(now)
                peers = [Peer(*await asyncio.open_connection("127.0.0.1", port)) for _ in range(3)]
                for peer in peers:
                    peer.send(SAID[name])
                if step % 2:
                    await asyncio.sleep(step * 0.0006)
                else:
                    await served.settle(lambda: len(served.front.doors) >= 3)
                    for _ in range(step):
                        await asyncio.sleep(0)
                if end == "cut":
                    path.change(LOST)
                for peer in peers:
                    peer.writer.transport.abort()
                await served.settle(lambda: not path.connections and not len(served.front.doors))
            listener.close()

    with caplog.at_level(logging.INFO):
        asyncio.run(run())
    assert failures == []
    assert [r.getMessage() for r in caplog.records if not r.name.endswith(".core")] == []


def test_a_handshake_of_tls_counts_and_ends_with_its_link(caplog):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    async def run():
        async with serving(Kraken()) as served:
            path = StreamPath("t", "A", ways(TIER, None))
            make = over_tls(served.front.protocols(served.entrance), lambda: context, served.front.doors)
            loop = asyncio.get_running_loop()
            listener = await loop.create_server(stream.over(path, served.queue, make, 0), "127.0.0.1", 0)
            port = listener.sockets[0].getsockname()[1]
            peer = Peer(*await asyncio.open_connection("127.0.0.1", port))
            peer.send(b"\x16\x03\x01\x02\x00\x01")
            await served.settle(lambda: len(served.front.doors) == 1)
            path.change(LOST)
            await peer.rest()
            await served.settle(lambda: not len(served.front.doors))
            listener.close()

    with caplog.at_level(logging.INFO):
        asyncio.run(run())
    assert caplog.messages == []
