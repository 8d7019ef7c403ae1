"""Turns: what clients ask for beyond a slice of time waits in one queue; others are served meanwhile."""

import asyncio
import json
from types import SimpleNamespace

import pytest

from emulator.gateways import http_connection, http_requests, turns, websocket
from emulator.gateways.access import OPEN
from emulator.gateways.doors import Doors
from emulator.gateways.front.server import Server
from emulator.gateways.turns import Turns
from tests.gateways.sockets import UPGRADE, Peer, masked
from tests.gateways.venue import Kraken


@pytest.fixture(autouse=True)
def slices_of_one_piece(monkeypatch):
    for module in (turns, websocket, http_connection):
        monkeypatch.setattr(module, "SLICE_S", 0)


def test_all_that_wait_have_their_turns_in_order_a_slice_a_turn():
    async def run():
        queue, done, loop = Turns(), [], asyncio.get_running_loop()

        def work(name, count):
            done.append(name)
            if count > 1:
                queue.later(lambda: work(name, count - 1))

        queue.later(lambda: work("a", 3))
        queue.later(lambda: work("b", 2))
        while done.count("a") < 3:
            loop.call_soon(done.append, "others")
            await asyncio.sleep(0)
        assert [name for name in done if name != "others"] == ["a", "b", "a", "b", "a"]
        assert all("others" in done[at : at + 2] for at in range(len(done) - 1))

    asyncio.run(run())


def test_one_that_fails_holds_nobody_up():
    async def run():
        queue, done, failed = Turns(), [], []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: failed.append(context["exception"])
        )
        queue.later(lambda: 1 // 0)
        queue.later(lambda: done.append(1))
        while not done:
            await asyncio.sleep(0)
        assert [type(error) for error in failed] == [ZeroDivisionError]

    asyncio.run(run())


UPGRADING = UPGRADE.format(path="/v2", host="x").encode()
TIME = b"GET /0/public/Time HTTP/1.1\r\nHost: api.kraken.com\r\n\r\n"


def pings(count):
    return b"".join(masked(json.dumps({"method": "ping", "req_id": n}).encode()) for n in range(count))


async def pongs(peer, count):
    found = []
    while len(found) < count:
        message = json.loads((await peer.frame())[1])
        if message.get("method") == "pong":
            found.append(message["req_id"])
    return found


def talk(conversation, count=1):
    """Have so many clients talk to a venue at once; give what the conversations return."""

    async def run():
        kraken, doors = Kraken(), Doors()

        async def until(_):
            """Nothing takes time."""

        front = Server(kraken.venue, 1, until, doors=doors)
        listener = await asyncio.get_running_loop().create_server(front.protocols(OPEN), "127.0.0.1", 0)
        at = listener.sockets[0].getsockname()
        peers = [Peer(*await asyncio.open_connection(*at)) for _ in range(count)]
        results = await asyncio.gather(*map(conversation, peers))
        for peer in peers:
            await peer.close()
        while len(doors):
            await asyncio.sleep(0.001)
        listener.close()
        await front.close()
        kraken.venue.close()
        return results

    return asyncio.run(run())


def test_frames_that_wait_are_all_answered_in_order():
    async def conversation(peer):
        peer.send(UPGRADING + pings(50))
        assert (await peer.response())[0] == 101
        return await pongs(peer, 50)

    assert talk(conversation, 3) == [list(range(50))] * 3


def test_requests_that_wait_are_all_answered_and_so_is_an_upgrade_behind_them():
    async def conversation(peer):
        requests = 4 * http_connection.PIECE // len(TIME)
        peer.send(TIME * requests + UPGRADING + pings(5))
        statuses = [(await peer.response())[0] for _ in range(requests + 1)]
        assert statuses == [200] * requests + [101]
        return await pongs(peer, 5)

    assert talk(conversation, 3) == [list(range(5))] * 3


def test_an_upgrade_amid_a_large_piece_has_all_that_follows_it():
    async def conversation(peer):
        peer.send(UPGRADING + pings(3 * http_connection.PIECE // len(pings(1))))
        assert (await peer.response())[0] == 101
        return (await pongs(peer, 300))[-1]

    assert talk(conversation) == [299]


def test_a_body_in_very_many_chunks_is_read_whole():
    async def conversation(peer):
        body = b"nonce=1&a=" + b"x" * 5_000
        chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
        head = b"POST /0/private/Balance HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        peer.send(head + chunks + TIME)
        return [(await peer.response())[2], (await peer.response())[0]]

    assert talk(conversation) == [[b'{"error":["EAPI:Invalid key"]}', 200]]


def test_more_chunks_than_a_body_may_have_end_it():
    async def conversation(peer):
        head = b"POST /0/private/Balance HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        peer.send(head + b"1\r\na\r\n" * (http_requests.MOST_CHUNKS + 1))
        return [(await peer.response())[2], await peer.rest()]

    assert talk(conversation) == [[b'{"error":["EGeneral:Invalid arguments"]}', b""]]


def test_clients_that_leave_while_they_wait_are_forgotten():
    async def conversation(peer):
        peer.send(UPGRADING + pings(500))
        await peer.response()
        peer.writer.transport.abort()

    talk(conversation, 3)


def test_a_client_that_asks_for_little_does_not_wait_for_those_that_ask_for_much():
    """As many turns as those need, it is answered within some of them."""
    done = []

    async def conversation(peer):
        mine, count = len(done), 1 if len(done) == 2 else 2_000
        done.append(mine)
        peer.send(UPGRADING + pings(count))
        await peer.response()
        await pongs(peer, count)
        done.append(f"{mine} done")

    talk(conversation, 3)
    assert done[3] == "2 done"


class Wire(asyncio.Transport):
    """A transport that is read from or not."""

    def __init__(self):
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.reads = True

    def is_closing(self):
        return False

    def is_reading(self):
        return self.reads

    def pause_reading(self):
        self.reads = False

    def resume_reading(self):
        self.reads = True


def connected(hears):
    """Return a connection whose bytes are heard by ``hears``, and the transport."""
    wire = Wire()
    connection = http_connection.HttpConnection(Doors(), None)
    connection.connection_made(wire)
    connection._inner = SimpleNamespace(data_received=hears, pause_writing=list, resume_writing=list)
    return connection, wire


POST = b"POST /0/private/Balance HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"


def test_a_request_behind_an_upgrade_is_none():
    async def run():
        heard = []
        connection, _ = connected(heard.append)
        connection.rest = b""
        connection.data_received(POST)
        assert (heard, connection.rest) == ([], POST)

    asyncio.run(run())


async def turn():
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def test_whoever_was_held_by_aiohttp_is_read_from_when_it_lets_go():
    async def run():
        heard = []

        def hears(data):
            heard.append(data)
            if len(heard) == 1:
                wire.pause_reading()

        connection, wire = connected(hears)
        connection.data_received(POST * 200)
        assert connection._left
        wire.resume_reading()  # aiohttp lets go, and more comes before the next turn
        connection.data_received(POST)
        while connection._left:
            await turn()
        assert b"".join(heard) == POST * 201
        assert wire.reads

    asyncio.run(run())


def test_whoever_did_not_read_is_read_from_when_he_does():
    async def run():
        connection, wire = connected(lambda _: None)
        connection.pause_writing()
        connection.data_received(POST * 200)
        await turn()
        connection.resume_writing()
        connection.data_received(POST)
        while connection._left:
            await turn()
        assert wire.reads

    asyncio.run(run())
