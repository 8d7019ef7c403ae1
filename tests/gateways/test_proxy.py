"""The HTTP proxy: Kraken's names lead to the venue, nothing else leads anywhere."""

import asyncio
import json
import logging
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trustme

from emulator.gateways import doors, http_connection
from emulator.gateways.access import OPEN
from emulator.gateways.front import proxy
from emulator.gateways.front.targets import absolute, authority
from emulator.gateways.hosts import FIX_HOSTNAME, HOSTNAMES
from emulator.gateways.http_requests import LARGEST_HEAD
from emulator.gateways.tls import over_tls
from emulator.link import stream
from tests.gateways.sockets import GET_TIME, UPGRADE, Peer, Served, serving
from tests.gateways.venue import Kraken
from tests.link.support import made_tier

AUTHORITY = trustme.CA()
SERVER, CLIENT = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
AUTHORITY.issue_cert(*HOSTNAMES).configure_cert(SERVER)
AUTHORITY.configure_trust(CLIENT)
RTT_S = 0.03


class Echo(asyncio.Protocol):
    """Stands for a FIX service."""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(b"heard " + data)


@asynccontextmanager
async def proxying(tier=None) -> AsyncIterator[Served]:
    """A venue whose ``port`` is that of a proxy, as far away as ``tier`` when one is given."""
    async with serving(Kraken()) as served:
        plain = served.front.protocols(OPEN)
        table = proxy.places(plain, over_tls(plain, lambda: SERVER), {1: Echo})
        make = proxy.protocols(served.front, OPEN, table)
        if tier is not None:
            make = stream.wrap(tier, served.queue, make)
        listener = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
        served.port = listener.sockets[0].getsockname()[1]
        yield served
        await served.close_clients()
        listener.close()


def through_proxy(talk, **options):
    async def scenario():
        async with proxying(**options) as served:
            return await talk(served)

    return asyncio.run(asyncio.wait_for(scenario(), 60))


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


async def tunnel(served: Served, place: str, more: bytes = b"") -> Peer:
    """Open a tunnel; ``more`` is sent in the same breath."""
    peer = await served.connect()
    peer.send(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n".encode() + more)
    assert await peer.reader.readuntil(b"\r\n\r\n") == proxy.ESTABLISHED
    return peer


async def answer(served: Served, request: bytes) -> tuple[int, str]:
    """Send anything; give the status and the body, after which the connection must end."""
    peer = await served.connect()
    peer.send(request)
    status, _, body = await peer.response()
    assert await peer.rest() == b""
    return status, body.decode()


# Tunnels


@pytest.mark.parametrize("host", HOSTNAMES)
def test_every_hostname_of_krakens_leads_to_the_venue_over_tls(host):
    async def talk(served):
        peer = await tunnel(served, f"{host}:443")
        await peer.writer.start_tls(CLIENT, server_hostname=host)
        return await peer.get("/0/public/Time")

    assert through_proxy(talk)["error"] == []


def test_port_80_is_the_plain_one_and_names_may_be_written_as_they_like():
    async def talk(served):
        peer = await tunnel(served, "API.Kraken.com.:80")
        return [(await peer.get("/0/public/Time"))["error"] for _ in range(3)]

    assert through_proxy(talk) == [[]] * 3


def test_a_websocket_keeps_the_rules_of_its_hostname():
    async def talk(served):
        peer = await tunnel(served, "ws.kraken.com:443")
        await peer.writer.start_tls(CLIENT, server_hostname="ws.kraken.com")
        await peer.upgrade("/v2", "ws.kraken.com")
        return await peer.ask("subscribe", channel="executions", token="none")

    assert "Private data and trading are unavailable" in through_proxy(talk)["error"]


def test_a_fix_port_leads_to_its_service():
    async def talk(served):
        peer = await tunnel(served, f"{FIX_HOSTNAME}:4001")
        peer.send(b"8=FIX")
        return await peer.reader.readexactly(11)

    assert through_proxy(talk) == b"heard 8=FIX"


def test_what_is_sent_right_behind_connect_is_answered():
    async def talk(served):
        peer = await tunnel(served, "api.kraken.com:80", more=GET_TIME + GET_TIME)
        return [(await peer.response())[0] for _ in range(2)]

    assert through_proxy(talk) == [200, 200]


def test_connect_may_come_in_pieces():
    async def talk(served):
        peer = await served.connect()
        for byte in b"CONNECT api.kraken.com:80 HTTP/1.0\r\nProxy-Connection: keep-alive\r\n\r\n":
            peer.send(bytes([byte]))
            await asyncio.sleep(0)
        assert await peer.reader.readuntil(b"\r\n\r\n") == proxy.ESTABLISHED
        return (await peer.get("/0/public/Time"))["error"]

    assert through_proxy(talk) == []


def test_each_step_through_the_tunnel_takes_the_tiers_round_trip():
    async def talk(served):
        began, took = time.monotonic(), []
        peer = await tunnel(served, "api.kraken.com:443")
        took.append(time.monotonic() - began)  # TCP's handshake and CONNECT
        await peer.writer.start_tls(CLIENT, server_hostname="api.kraken.com")
        took.append(time.monotonic() - began)
        await peer.get("/0/public/Time")
        return [*took, time.monotonic() - began]

    took = through_proxy(talk, tier=made_tier(RTT_S * 1e6))
    assert all(seconds >= least * RTT_S - 0.001 for seconds, least in zip(took, (2, 3, 4), strict=True)), took


# Plain HTTP


def test_whole_urls_are_served_on_one_connection():
    async def talk(served):
        peer, found = await served.connect(), []
        for place in ("api.kraken.com/0/public/Time", "API.kraken.com:80/0/public/Assets?asset=XBT"):
            peer.send(f"GET http://{place} HTTP/1.1\r\nHost: api.kraken.com\r\n\r\n".encode())
            found.append(json.loads((await peer.response())[2])["result"])
        head = "POST http://api.kraken.com/0/private/Balance HTTP/1.1\r\nHost: api.kraken.com\r\n"
        peer.send(f"{head}Content-Length: 7\r\n\r\nnonce=1".encode())
        return [*found, json.loads((await peer.response())[2])]

    moment, assets, refused = through_proxy(talk)
    assert "unixtime" in moment
    assert list(assets) == ["XXBT"]
    assert refused["error"] == ["EAPI:Invalid key"]


def test_each_request_of_a_connection_is_judged_by_itself(caplog):
    async def talk(served):
        peer = await served.connect()
        for host in ("api.kraken.com", "example.com"):
            # Host is not what counts: it names Kraken both times.
            peer.send(f"GET http://{host}/0/public/Time HTTP/1.1\r\nHost: api.kraken.com\r\n\r\n".encode())
        found = [(await peer.response())[0] for _ in range(2)]
        return [*found, await peer.rest()]

    assert through_proxy(talk) == [200, 403, b""]
    assert warnings(caplog) == ["refused: example.com:80 is not Kraken's"]


@pytest.mark.parametrize("used", [False, True], ids=["at first", "later"])
def test_a_websocket_by_a_whole_url_has_the_rules_of_the_url(used):
    async def talk(served):
        peer = await served.connect()
        if used:
            peer.send(b"GET http://api.kraken.com/0/public/Time HTTP/1.1\r\nHost: api.kraken.com\r\n\r\n")
            await peer.response()
        await peer.upgrade("ws://ws-auth.kraken.com/v2", "ws.kraken.com")
        return await peer.ask("subscribe", channel="ticker", symbol=["BTC/USD"])

    assert through_proxy(talk)["success"] is False


@pytest.mark.parametrize("used", [False, True], ids=["at first", "later"])
def test_a_websocket_elsewhere_is_refused(used):
    async def talk(served):
        peer = await served.connect()
        if used:
            peer.send(b"GET http://api.kraken.com/0/public/Time HTTP/1.1\r\nHost: api.kraken.com\r\n\r\n")
            await peer.response()
        peer.send(UPGRADE.format(path="ws://example.com/v2", host="ws.kraken.com").encode())
        status, _, body = await peer.response()
        return status, body

    assert through_proxy(talk) == (403, b"example.com:80 is not Kraken's\n")


# Everything else

MEANT = "this is an HTTP proxy: CONNECT HOST:PORT, or an http:// URL, is meant"
ELSEWHERE = {
    "example.com:443": "example.com:443 is not Kraken's",
    "EXAMPLE.com.:443": "example.com:443 is not Kraken's",
    "api.kraken.com.example.com:443": "api.kraken.com.example.com:443 is not Kraken's",
    "notkraken.com:443": "notkraken.com:443 is not Kraken's",
    "104.16.212.191:443": "104.16.212.191:443 is not Kraken's",
    "127.0.0.1:7480": "127.0.0.1:7480 is not Kraken's",
    "localhost:443": "localhost:443 is not Kraken's",
    "[::1]:443": "[::1]:443 is not Kraken's",
    "support.kraken.com:443": "support.kraken.com:443 is Kraken's, but not served by the emulator",
    "api.kraken.com:22": "api.kraken.com:22 is not served by the emulator; on api.kraken.com it has 80, 443",
    "ws.kraken.com:4001": "ws.kraken.com:4001 is not served by the emulator; on ws.kraken.com it has 80, 443",
    f"{FIX_HOSTNAME}:4000": f"{FIX_HOSTNAME}:4000 is not served by the emulator; "
    f"on {FIX_HOSTNAME} it has 80, 443, 4001",
}


@pytest.mark.parametrize(("place", "reason"), ELSEWHERE.items())
def test_what_is_not_krakens_is_refused_with_its_name_and_said_once(place, reason, caplog):
    request = f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n".encode()
    assert through_proxy(lambda served: answer(served, request)) == (403, f"{reason}\n")
    assert warnings(caplog) == [f"refused: {reason}"]


@pytest.mark.parametrize(
    ("target", "status", "reason"),
    [
        ("http://example.com/", 403, "example.com:80 is not Kraken's"),
        ("http://127.0.0.1:7490/control/health", 403, "127.0.0.1:7490 is not Kraken's"),
        ("https://api.kraken.com/0/public/Time", 403, "api.kraken.com:443 is reached by CONNECT only"),
        ("http://api.kraken.com:443/", 403, "api.kraken.com:443 is reached by CONNECT only"),
        ("/0/public/Time", 400, MEANT),
        ("ftp://api.kraken.com/", 400, MEANT),
        ("http://u:p@api.kraken.com/", 400, MEANT),
    ],
)
def test_plain_requests_elsewhere_are_refused(target, status, reason, caplog):
    request = f"GET {target} HTTP/1.1\r\nHost: api.kraken.com\r\n\r\n".encode()
    assert through_proxy(lambda served: answer(served, request)) == (status, f"{reason}\n")
    assert warnings(caplog) == [f"refused: {reason}"]


def test_a_refused_request_with_a_body_is_answered_all_the_same():
    request = b"POST http://example.com/ HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + bytes(
        200_000
    )
    assert through_proxy(lambda served: answer(served, request))[0] == 403


BAD = {
    "no port": b"CONNECT api.kraken.com HTTP/1.1\r\n\r\n",
    "no host": b"CONNECT :443 HTTP/1.1\r\n\r\n",
    "a large port": b"CONNECT api.kraken.com:4430000 HTTP/1.1\r\n\r\n",
    "a url": b"CONNECT https://api.kraken.com:443 HTTP/1.1\r\n\r\n",
    "no version": b"CONNECT api.kraken.com:443\r\n\r\n",
    "HTTP/2": b"CONNECT api.kraken.com:443 HTTP/2.0\r\n\r\n",
    "no target": b"CONNECT \r\n\r\n",
    "control characters": b"CONNECT api.kraken.com\x1b[2J:443 HTTP/1.1\r\n\r\n",
    "latin": "CONNECT äpi.kraken.com:443 HTTP/1.1\r\n\r\n".encode("latin-1"),
    "garbage": bytes(range(256)),
    "TLS": bytes.fromhex("160301020001000001fc0303") + bytes(500),
    "SOCKS": b"\x05\x01\x00",
    "a long head": b"CONNECT api.kraken.com:443 HTTP/1.1\r\nX: " + b"x" * (LARGEST_HEAD + 1),
    "a long plain head": b"GET http://api.kraken.com/ HTTP/1.1\r\nX: " + b"x" * (LARGEST_HEAD + 1),
}


@pytest.mark.parametrize("request_", BAD.values(), ids=BAD)
def test_bad_requests_get_400_and_harm_nobody(request_):
    async def talk(served):
        other = await tunnel(served, "api.kraken.com:80")
        status, _ = await answer(served, request_)
        return status, (await other.get("/0/public/Time"))["error"]

    assert through_proxy(talk) == (400, [])


def test_half_a_request_is_ended_in_time(monkeypatch):
    monkeypatch.setattr(proxy, "HEAD_S", 0.05)
    monkeypatch.setattr(http_connection, "HEAD_S", 0.05)
    monkeypatch.setattr(doors, "LOOK_S", 0.01)

    async def talk(served):
        rests = []
        for half in (b"", b"CONN", b"CONNECT api.kraken.com:443 HTTP/1.1\r\n", b"GET http://api.kr"):
            peer = await served.connect()
            peer.send(half)
            rests.append(await peer.rest())
        return rests

    assert through_proxy(talk) == [b""] * 4


def test_connections_that_wait_count_and_one_too_many_is_refused():
    async def talk(served):
        served.front.doors.most = 3
        waiting = [await served.connect() for _ in range(2)]
        tunnels = [await tunnel(served, "api.kraken.com:80")]
        late = await served.connect()
        assert await late.rest() == b""
        for peer in (*waiting, *tunnels):
            await peer.close()
        await served.settle(lambda: len(served.front.doors) == 0)
        return (await (await tunnel(served, "api.kraken.com:80")).get("/0/public/Time"))["error"]

    assert through_proxy(talk) == []


def test_connections_that_wait_end_with_the_venue():
    async def talk(served):
        peer = await served.connect()
        peer.send(b"CONNECT api")
        await served.settle(lambda: len(served.front.doors) == 1)
        await served.front.close()
        return await peer.rest()

    assert through_proxy(talk) == b""


def test_hundreds_of_tunnels_open_and_close():
    async def talk(served):
        async def one(number):
            peer = await tunnel(served, "api.kraken.com:80")
            if number % 3:
                assert (await peer.get("/0/public/Time"))["error"] == []
            await peer.close()

        await asyncio.gather(*(one(number) for number in range(300)))
        await served.settle(lambda: len(served.front.doors) == 0)

    through_proxy(talk)


# Reading targets


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("http://api.kraken.com", ("http", "api.kraken.com", 80, "/")),
        ("HTTP://API.kraken.com:8080/a?b", ("http", "api.kraken.com", 8080, "/a?b")),
        ("wss://ws.kraken.com?x", ("wss", "ws.kraken.com", 443, "/?x")),
        ("http://[::1]/", ("http", "[::1]", 80, "/")),
        ("/0/public/Time", None),
        ("http:///path", None),
        ("http://a b/", None),
        ("http://api.kraken.com\\@example.com/", None),
        ("*", None),
    ],
)
def test_targets_are_read_strictly(target, url):
    assert absolute(target) == url
    assert authority(target) is None
