"""Bounds of the control API: who may stay, how many, and bodies that end before they are whole."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from emulator.control import server as control
from emulator.gateways import doors, http_connection
from tests.gateways.sockets import Peer

HEALTH = b"GET /control/health HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /control/clock HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@asynccontextmanager
async def serving() -> AsyncIterator[Callable[[], Awaitable[Peer]]]:
    """Serve a control API that has nothing to control; give how to connect to it."""

    async def nothing() -> None:
        """Nothing is under way."""

    async def turned(_: dict) -> dict:
        return {}

    parts = SimpleNamespace(close=nothing, turn_clock=turned)
    names = control.Names.of("127.0.0.1", ())
    server = control.Server(parts, parts, parts, parts, parts, None, names, lambda *_: {})
    listener = await server.listen("127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    peers = []

    async def connect() -> Peer:
        peers.append(Peer(*await asyncio.open_connection("127.0.0.1", port)))
        return peers[-1]

    connect.doors = server._doors
    try:
        yield connect
    finally:
        for peer in peers:
            await peer.close()
        while len(server._doors):
            await asyncio.sleep(0.001)
        listener.close()
        await server.close()


async def answer(peer: Peer, request: bytes) -> tuple[int, dict]:
    peer.send(request)
    status, _, body = await peer.response()
    return status, json.loads(body)


@pytest.mark.parametrize(
    "body", [b"Content-Length: 50\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n5\r\n{"]
)
def test_a_body_that_is_cut_off_is_no_error_of_ours(caplog, body):
    async def run():
        async with serving() as connect:
            for _ in range(5):
                peer = await connect()
                peer.send(POST + body)
                await asyncio.sleep(0.01)
                peer.writer.transport.abort()
            assert (await answer(await connect(), HEALTH))[0] == 200

    with caplog.at_level(logging.INFO):
        asyncio.run(run())
    assert caplog.messages == []


def test_a_body_that_is_none_is_answered_with_one_line():
    async def run():
        async with serving() as connect:
            wrong = POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"
            status, said = await answer(await connect(), wrong)
            assert (status, said) == (400, {"error": "the body is not whole, or not what its head says"})

    asyncio.run(run())


@pytest.mark.parametrize(
    "said",
    [b"", HEALTH[:20], HEALTH + HEALTH[:20], HEALTH, POST + b"Content-Length: 50\r\n\r\n{"],
    ids=["nothing", "half a head", "a later half", "a request", "half a body"],
)
def test_nobody_stays_for_nothing(monkeypatch, said):
    monkeypatch.setattr(doors, "LOOK_S", 0.01)
    for name in ("HEAD_S", "BODY_S", "IDLE_S"):
        monkeypatch.setattr(http_connection, name, 0.05)

    async def run():
        async with serving() as connect:
            peer = await connect()
            peer.send(said)
            await peer.rest()

    asyncio.run(run())


def test_idle_connections_keep_nobody_out(monkeypatch):
    monkeypatch.setattr(control, "MOST_CONNECTIONS", 10)
    monkeypatch.setattr(doors, "LOOK_S", 0.01)

    async def run():
        async with serving() as connect:
            for _ in range(10):
                await answer(await connect(), HEALTH)
            await asyncio.sleep(0)
            while not all(visit.since_s for visit in connect.doors._inside):
                await asyncio.sleep(0.001)
            for _ in range(5):
                assert (await answer(await connect(), HEALTH))[0] == 200
            assert len(connect.doors) == 10

    asyncio.run(run())
