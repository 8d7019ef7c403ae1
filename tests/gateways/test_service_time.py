"""What answers take beyond the round trip: never less, in order, and only the answers."""

import asyncio
import json
import ssl
import time

import pytest
import trustme

from emulator.entrances import entrances
from emulator.gateways.access import Entrance
from emulator.link.tiers import load_tiers
from emulator.settings import PROFILES, Settings
from tests.gateways.sockets import GET_TIME, PING_REQUEST, masked, serving
from tests.gateways.venue import Kraken
from tests.link.support import made_tier

TIERS = load_tiers(PROFILES / "tiers")
SERVICE_S, RTT_S = 0.03, 0.04
FAR = made_tier(RTT_S * 1e6)
AGES_US = 9_000_000
ORDER = {"ordertype": "limit", "type": "buy", "pair": "XBTUSD", "volume": "1", "price": "5"}

behind_each_link = pytest.mark.parametrize(
    ("link", "least_s"), [({}, SERVICE_S), ({"tier": FAR}, SERVICE_S + RTT_S)], ids=["none", "stream"]
)
behind_each_line = pytest.mark.parametrize(
    ("link", "least_s"),
    [({"at_hand": True}, SERVICE_S), ({"tier": FAR}, SERVICE_S + RTT_S)],
    ids=["at hand", "stream"],
)


def under(rules, talk, **options):
    async def scenario():
        async with serving(Kraken(), entrance=rules, **options) as served:
            return await talk(served)

    return asyncio.run(asyncio.wait_for(scenario(), 60))


async def taken_s(call):
    began = time.monotonic()
    await call
    return time.monotonic() - began


def over_tls():
    """Return the venue's TLS context and a client's that trusts it."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    return context, trusting


def test_rest_is_slower_than_the_tier_and_says_that_this_is_an_estimate():
    for name, rules in entrances(Settings(), tuple(TIERS.values())).items():
        assert (rules.rest_us, rules.websocket_us) == (0 if name == "local" else 500, 0)
        assert TIERS[name].service.estimated == (name != "local")


# REST


@behind_each_link
def test_an_answer_over_rest_takes_its_service_time_besides_the_round_trip(link, least_s):
    async def talk(served):
        peer = await served.connect()
        await peer.get("/0/public/Time")
        assert await taken_s(peer.get("/0/public/Time")) >= least_s
        assert await taken_s(peer.private("Nonsense", 1)) >= least_s

    under(Entrance(rest_us=SERVICE_S * 1e6), talk, **link)


@behind_each_link
def test_it_counts_from_the_end_of_the_request(link, least_s):
    head = "POST /0/public/Time HTTP/1.1\r\nHost: api.kraken.com\r\nContent-Length: 3\r\n\r\n"

    async def talk(served):
        peer = await served.connect()
        peer.send(head.encode())
        await asyncio.sleep(2 * SERVICE_S)  # longer than the answer takes, if it counted from here
        peer.send(b"a=b")
        assert await taken_s(peer.response()) >= least_s

    under(Entrance(rest_us=SERVICE_S * 1e6), talk, **link)


@pytest.mark.parametrize("link", [{}, {"tier": FAR}], ids=["none", "stream"])
def test_an_order_is_there_on_arrival_and_only_its_answer_waits(link):
    async def talk(served):
        peer = await served.connect()
        answer = asyncio.create_task(peer.private("AddOrder", 1, **ORDER))
        await served.settle(lambda: served.kraken.venue.engine.accounts["alice"].open)
        assert not answer.done()
        answer.cancel()

    under(Entrance(rest_us=1_000_000), talk, **link)


def test_a_venue_that_stops_does_not_keep_an_answer_back_for_ever():
    async def talk(served):
        peer = await served.connect()
        peer.send(GET_TIME)
        await served.settle(lambda: served.queue._waiting)
        served.queue.close()
        assert (await peer.response())[0] == 200

    under(Entrance(rest_us=AGES_US), talk)


# WebSocket


@behind_each_line
def test_an_answer_over_websocket_takes_its_own_service_time(link, least_s):
    async def talk(served):
        socket = await served.websocket()
        assert await taken_s(socket.ask("ping")) >= least_s

    under(Entrance(websocket_us=SERVICE_S * 1e6), talk, **link)


@behind_each_line
def test_through_tls_too(link, least_s):
    context, trusting = over_tls()

    async def talk(served):
        there = {"ssl": trusting, "server_hostname": "localhost"}
        socket = await served.websocket(**there)
        assert await taken_s(socket.ask("ping")) >= least_s
        peer = await served.connect(**there)
        await peer.get("/0/public/Time")
        assert await taken_s(peer.get("/0/public/Time")) >= least_s

    rules = Entrance(rest_us=SERVICE_S * 1e6, websocket_us=SERVICE_S * 1e6)
    under(rules, talk, contexts=lambda: context, **link)


@behind_each_line
def test_a_connection_that_becomes_a_websocket_takes_the_time_of_a_websocket(link, least_s):
    async def talk(served):
        peer = await served.connect()
        await peer.get("/0/public/Time")
        await peer.upgrade()
        assert await taken_s(peer.ask("ping")) >= least_s

    under(Entrance(websocket_us=SERVICE_S * 1e6), talk, **link)


def held(served):
    """Return the bytes that are on the way to clients of the WebSocket gateway."""
    return sum(connection._transport.get_write_buffer_size() for connection in served.ws.connections)


@pytest.mark.parametrize("link", [{"at_hand": True}, {"tier": FAR}], ids=["at hand", "stream"])
def test_market_data_does_not_overtake_an_answer_that_waits(link):
    async def talk(served):
        socket = await served.websocket()
        await socket.ask("subscribe", channel="trade", symbol=["BTC/USD"], snapshot=False)
        await served.settle(lambda: not held(served))
        socket.send(masked(PING_REQUEST))
        await served.settle(lambda: held(served))
        served.kraken.trade("0.5", "64000")
        seen = []
        while len(seen) < 2:
            message = await socket.message()
            if message.get("channel") != "heartbeat":
                seen.append(message.get("method") or message["channel"])
        assert seen == ["pong", "trade"]

    under(Entrance(websocket_us=200_000), talk, **link)


@pytest.mark.parametrize("link", [{"at_hand": True}, {"tier": FAR}], ids=["at hand", "stream"])
def test_answers_to_many_requests_at_once_keep_their_order(link):
    async def talk(served):
        socket = await served.websocket()
        for number in range(50):
            socket.send(masked(json.dumps({"method": "ping", "req_id": number}).encode()))
        assert [(await socket.message())["req_id"] for _ in range(50)] == list(range(50))

    under(Entrance(websocket_us=SERVICE_S * 1e6), talk, **link)
