"""One port for REST and WebSocket: virtual hosts, upgrades, goodbyes, TLS."""

import asyncio
import base64
import json
import logging
import socket

import aiohttp
import pytest
from websockets.asyncio.client import connect

from emulator.gateways import doors, outflow
from emulator.gateways import websocket as ws_server
from emulator.gateways.keys import demo_credentials, sign
from tests.gateways.sockets import GET_TIME, PING, PING_REQUEST, PONG, TEXT, UPGRADE, masked, serving
from tests.gateways.venue import SEED, START_S, in_loop

PUBLIC_ELSEWHERE = "Public market data subscriptions are unavailable on this endpoint. Try ws.kraken.com"
PRIVATE_ELSEWHERE = "Private data and trading are unavailable on this endpoint. Try ws-auth.kraken.com"
TIME = {"unixtime": START_S, "rfc1123": "Mon,  2 Nov 26 10:00:00 +0000"}


# -- REST ------------------------------------------------------------------------------------------------


@in_loop
async def test_rest_answers_status_200_and_json_whatever_the_venue_says(kraken):
    async with serving(kraken) as served:
        peer = await served.connect()
        assert await peer.get("/0/public/Time") == {"error": [], "result": TIME}
        assert await peer.get("/0/public/Depth?pair=NOPE") == {"error": ["EQuery:Unknown asset pair"]}
        assert await peer.post("/0/public/Time", b"") == {"error": [], "result": TIME}
        assert list((await peer.post("/0/public/Depth", b"pair=XBTUSD"))["result"]) == ["XXBTZUSD"]
        unknown = {"error": ["EGeneral:Unknown method"]}
        for path in ("/0/public/Nope", "/0/public/", "/0/public/time", "/0/private/Balance", "/0/private/"):
            assert await peer.get(path) == unknown
        for path in ("/0/private/Nope", "/0/private/balance", "/0/private/Balance/"):
            assert await peer.post(path, b"nonce=1") == unknown


@in_loop
async def test_private_calls_are_checked_in_the_venues_order(kraken):
    async with serving(kraken) as served:
        peer = await served.connect()
        good = await peer.private(
            "AddOrder", 5, ordertype="limit", type="buy", volume="1", pair="XBTUSD", price="60000"
        )
        assert good["result"]["txid"] == list(kraken.engine.accounts["alice"].open)
        assert await peer.private("Balance", 5) == {"error": ["EAPI:Invalid nonce"]}
        assert (await peer.private("AddOrder", 6, pair="XBTUSD"))["error"] == [
            "EGeneral:Invalid arguments:ordertype"
        ]
        assert await peer.private("CancelAll", 6) == {"error": ["EAPI:Invalid nonce"]}
        public, _ = demo_credentials(SEED, "alice")
        for headers, error in (
            ({}, "EAPI:Invalid key"),
            ({"API_Sign": "x"}, "EAPI:Invalid key"),
            ({"API_Key": "x", "API_Sign": "x"}, "EAPI:Invalid key"),
            ({"API_Key": public}, "EAPI:Invalid signature"),
            ({"API_Key": public, "API_Sign": "x"}, "EAPI:Invalid signature"),
            ({"API_Key": public, "API_Sign": "\xff\xfe"}, "EAPI:Invalid signature"),
        ):
            assert await peer.post("/0/private/Balance", b"nonce=9", **headers) == {"error": [error]}


@in_loop
async def test_signature_is_over_the_raw_body_of_json_too(kraken):
    public, secret = demo_credentials(SEED, "alice")

    async def call(peer, body, content_type, signed=None):
        signature = sign(
            base64.b64decode(secret), "/0/private/Balance", "7", body if signed is None else signed
        )
        return await peer.post("/0/private/Balance", body, content_type, API_Key=public, API_Sign=signature)

    async with serving(kraken) as served:
        peer = await served.connect()
        spaced, compact = b'{ "nonce" : "7" }', b'{"nonce":7}'
        assert (await call(peer, spaced, "application/json", compact))["error"] == ["EAPI:Invalid signature"]
        assert (await call(peer, spaced, "application/json; charset=utf-8"))["error"] == []
        assert (await call(peer, compact, ""))["error"] == ["EAPI:Invalid nonce"]


@in_loop
async def test_pipelined_requests_are_answered_in_order(kraken):
    async with serving(kraken) as served:
        peer = await served.connect()
        peer.send(GET_TIME + GET_TIME.replace(b"Time", b"Nope") + GET_TIME)
        answers = [json.loads((await peer.response())[2]) for _ in range(3)]
        assert [bool(answer["error"]) for answer in answers] == [False, True, False]


@in_loop
async def test_other_paths_are_not_found(kraken):
    async with serving(kraken) as served:
        for path in ("/", "/0", "/0/public", "/v2", "/v2x", "/v1", "//v2", "/0/other/Time", "*"):
            for head in (
                f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n",
                UPGRADE.format(path=path + "?", host="x"),
            ):
                if "Upgrade" in head and path in ("/", "/v2"):
                    continue
                peer = await served.connect()
                peer.send(head.encode())
                assert (await peer.response())[0] in (400, 404), path
                await peer.close()


# -- WebSocket -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v2", "/v2/", "/v2?token=x", "/v2/?"])
@in_loop
async def test_websocket_is_found_with_and_without_a_trailing_slash(kraken, path):
    async with serving(kraken) as served:
        peer = await served.websocket(path)
        assert (
            (await peer.ask("ping"))["error"] if False else (await peer.ask("subscribe"))["success"] is False
        )


@pytest.mark.parametrize(
    ("host", "public", "private"),
    [
        *(
            ("ws.kraken.com", True, False),
            ("WS.kraken.com:443", True, False),
            ("beta-ws.kraken.com", True, False),
        ),
        *(("ws-auth.kraken.com", False, True), ("beta-ws-auth.kraken.com", False, True)),
        *(
            ("127.0.0.1:8080", True, True),
            ("localhost", True, True),
            ("[::1]:8080", True, True),
            ("", True, True),
        ),
    ],
)
@in_loop
async def test_host_header_decides_what_a_client_may_use(kraken, host, public, private):
    async with serving(kraken) as served:
        peer = await served.websocket(host=host)
        reply = await peer.ask("subscribe", channel="trade", symbol=["BTC/USD"])
        assert reply.get("error") == (None if public else PUBLIC_ELSEWHERE)
        reply = await peer.ask("subscribe", channel="balances", token=kraken.token(), snapshot=False)
        assert reply.get("error") == (None if private else PRIVATE_ELSEWHERE)


@in_loop
async def test_connection_that_rest_has_used_can_be_upgraded(kraken):
    async with serving(kraken) as served:
        peer = await served.connect()
        for _ in range(2):
            assert await peer.get("/0/public/Time") == {"error": [], "result": TIME}
        await peer.upgrade()
        assert (await peer.ask("subscribe", channel="trade", symbol=["BTC/USD"]))["success"]
        url = f"http://127.0.0.1:{served.port}"
        async with aiohttp.ClientSession() as session:
            for _ in range(2):
                async with session.get(f"{url}/0/public/Time") as answer:
                    assert (await answer.json())["result"] == TIME
                async with session.ws_connect(f"{url}/v2", heartbeat=None, compress=15) as socket_:
                    assert (await socket_.receive_json())["channel"] == "status"
                    await socket_.send_bytes(PING_REQUEST)
                    assert (await socket_.receive_json())["req_id"] == 5


@in_loop
async def test_upgrade_may_arrive_in_pieces(kraken):
    head = UPGRADE.format(path="/v2", host="x").encode()
    async with serving(kraken) as served:
        for cut in (1, 60, len(head) - 1):
            peer = await served.connect()
            peer.send(head[:cut])
            await asyncio.sleep(0.01)
            peer.send(head[cut:])
            assert (await peer.response())[0] == 101, cut


@in_loop
async def test_requests_sent_along_with_the_upgrade_are_answered(kraken):
    async with serving(kraken) as served:
        peer = await served.connect()
        peer.send(UPGRADE.format(path="/v2", host="x").encode() + masked(PING_REQUEST) * 2)
        assert (await peer.response())[0] == 101
        assert (await peer.message())["channel"] == "status"
        for _ in range(2):
            assert (await peer.message())["method"] == "pong"
        peer.send(masked(b"hi", PING))
        assert await peer.frame() == (PONG, b"hi")


@in_loop
async def test_websockets_client_talks_and_parts_in_order(kraken):
    async with serving(kraken) as served, connect(f"ws://127.0.0.1:{served.port}/v2") as client:
        assert json.loads(await client.recv())["channel"] == "status"
        await (await client.ping())
        await client.send(PING_REQUEST.decode())
        assert json.loads(await client.recv())["req_id"] == 5
        await client.close(1000)
        assert (client.close_code, client.protocol.close_rcvd.code) == (1000, 1000)


@in_loop
async def test_market_data_reaches_sockets(kraken):
    async with serving(kraken) as served:
        peer = await served.websocket()
        assert (await peer.ask("subscribe", channel="book", symbol=["BTC/USD"]))["success"]
        assert (await peer.message())["type"] == "snapshot"
        for number in range(50):
            kraken.place("bob", "sell", "1", str(64_000 + number))
        seen = [await peer.frame() for _ in range(10)]
        assert {opcode for opcode, _ in seen} == {TEXT}
        assert {wired["type"] for _, payload in seen if (wired := json.loads(payload)).get("type")} == {
            "update"
        }


def test_heartbeats_begin_after_a_subscription_and_silence_is_ended(kraken, monkeypatch):
    monkeypatch.setattr(ws_server, "FIRST_HEARTBEAT_S", 0.005)
    monkeypatch.setattr(ws_server, "HEARTBEAT_S", 0.01)
    monkeypatch.setattr(ws_server, "IDLE_S", 0.1)
    monkeypatch.setattr(doors, "LOOK_S", 0.01)

    async def run():
        async with serving(kraken) as served:
            silent, talker = await served.websocket(), await served.websocket()
            await talker.ask("subscribe", channel="trade", symbol=["BTC/USD"])
            assert await silent.close_code() == 1000
            for _ in range(5):
                assert await talker.frame() == (TEXT, b'{"channel":"heartbeat"}')

    asyncio.run(run())


@in_loop
async def test_small_answers_are_never_delayed_by_the_socket(kraken):
    async with serving(kraken) as served:
        await (await served.connect()).get("/0/public/Time")
        await served.websocket()
        transports = [front._transport for front in served.front.fronts]
        transports += [connection._transport for connection in served.ws.connections]
        assert len(transports) == 2
        for transport in transports:
            sock = transport.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_slow_consumer_is_cut_off_and_others_are_not(kraken, monkeypatch, caplog):
    monkeypatch.setattr(outflow, "MOST_UNSENT", 100_000)

    async def run():
        async with serving(kraken) as served:
            healthy = await served.websocket()
            slow_socket = socket.socket()
            slow_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow_socket.setblocking(False)
            await asyncio.get_running_loop().sock_connect(slow_socket, ("127.0.0.1", served.port))
            slow = await served.adopt(slow_socket)
            await slow.upgrade()
            slow.writer.transport.pause_reading()
            again = [
                masked(json.dumps({"method": method, "params": {"channel": "instrument"}}).encode())
                for method in ("subscribe", "unsubscribe")
            ]
            for _ in range(1000):
                if len(served.ws.connections) == 1:
                    break
                slow.send(b"".join(again))
                await asyncio.sleep(0)
            await served.settle(lambda: len(served.ws.connections) == 1)
            assert (await healthy.ask("subscribe", channel="trade", symbol=["BTC/USD"]))["success"]

    with caplog.at_level(logging.WARNING):
        asyncio.run(run())
    assert [record.exc_info for record in caplog.records] == [None]
    assert "cut off" in caplog.text


@in_loop
async def test_closing_venue_says_going_away_to_websockets_and_ends_http(kraken):
    async with serving(kraken) as served:
        socket_, keeper, fresh = await served.websocket(), await served.connect(), await served.connect()
        await keeper.get("/0/public/Time")
        await served.settle(lambda: len(served.front.fronts) == 2)
        closing = asyncio.ensure_future(served.front.close())
        assert await socket_.close_code() == 1001
        socket_.send(masked((1001).to_bytes(2, "big"), 8))
        assert await keeper.rest() == b""
        assert await fresh.rest() == b""
        await closing
