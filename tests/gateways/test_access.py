"""Rules of a tier's way in: who comes through, to which API, and what the others get."""

import asyncio
import ipaddress
import socket
import ssl
from types import SimpleNamespace

import pytest
import trustme

from emulator.entrances import entrances
from emulator.gateways.access import Entrance
from emulator.link.tiers import load_tiers
from emulator.settings import PROFILES, Settings, SettingsError
from tests.gateways.sockets import GET_TIME, serving
from tests.gateways.venue import Kraken

TIERS = load_tiers(PROFILES / "tiers")
ALL = tuple(TIERS.values())
HERE, ELSEWHERE = ((ipaddress.ip_network(text),) for text in ("127.0.0.0/8", "192.0.2.0/24"))
DENIED = ["EGeneral:Permission denied"]


def entrance(name, **settings):
    return entrances(Settings(**settings), ALL)[name]


# From profile and settings to rules


def test_without_enforcement_everybody_may_do_everything():
    for name in TIERS:
        rules = entrance(name)
        assert not rules.closed_to_some
        assert (rules.apis, rules.vip) == (None, False)


def test_each_tier_asks_for_what_kraken_documents():
    assert entrance("colo", enforce_access=True).vip
    assert not entrance("aws", enforce_access=True).admits("127.0.0.1")
    assert entrance("aws", enforce_access=True, allow_source=("127.0.0.0/8",)).admits("127.0.0.1")
    for name in ("us", "tokyo"):
        assert not entrance(name, enforce_access=True).admits("127.0.0.1")
        for provider in ("bso", "avelacom"):
            assert entrance(name, enforce_access=True, provider=provider).admits("127.0.0.1")
        assert not entrance(name, enforce_access=True, provider="beeks").admits("127.0.0.1")
    assert entrance("beeks", enforce_access=True, provider="beeks").connected
    assert not entrance("local", enforce_access=True).closed_to_some


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (
            {"provider": "carrier-pigeon"},
            "unknown provider 'carrier-pigeon'; there are: avelacom, beeks, bso",
        ),
        ({"allow_source": ("10.0.0.1/8",)}, "--allow-source 10.0.0.1/8: 10.0.0.1/8 has host bits set"),
        ({"allow_source": ("london",)}, "--allow-source london: 'london' does not appear"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(settings, complaint):
    with pytest.raises(SettingsError, match=complaint):
        entrances(Settings(**settings), ALL)


@pytest.mark.parametrize("provider", ["bso", "avelacom", "beeks"])
@pytest.mark.parametrize("name", ["local", "aws", "colo", "beeks"])
def test_a_provider_that_no_open_tier_needs_is_one_all_the_same(name, provider):
    entrances(Settings(provider=provider), (TIERS[name],))


def test_providers_of_a_folder_of_ones_own_are_known(tmp_path):
    profile = (PROFILES / "tiers" / "beeks.toml").read_text()
    (tmp_path / "mine.toml").write_text(
        profile.replace('name = "beeks"', 'name = "mine"').replace('["beeks"]', '["pigeon"]')
    )
    entrances(Settings(provider="pigeon", tiers_folder=str(tmp_path)), (TIERS["local"],))


def test_an_address_that_is_mapped_into_ipv6_is_still_that_address():
    assert Entrance(sources=HERE).admits("::ffff:127.0.0.1")


# What a client sees


def under(rules, talk, **options):
    async def scenario():
        async with serving(Kraken(), entrance=rules, **options) as served:
            return await talk(served)

    return asyncio.run(asyncio.wait_for(scenario(), 60))


@pytest.mark.parametrize(
    "rules", [Entrance(sources=ELSEWHERE), Entrance(sources=()), Entrance(connected=False)]
)
def test_a_connection_that_does_not_come_through_is_reset_before_a_byte_is_answered(rules):
    async def talk(served):
        async def call():
            peer = await served.connect()
            peer.send(GET_TIME)
            await peer.reader.readexactly(1)

        with pytest.raises(ConnectionError):
            await call()
        assert not served.front.fronts

    under(rules, talk)


def test_below_tls_too():
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    async def refused(served):
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await served.connect(ssl=trusting, server_hostname="localhost")

    async def admitted(served):
        peer = await served.connect(ssl=trusting, server_hostname="localhost")
        peer.send(GET_TIME)
        assert (await peer.response())[0] == 200

    under(Entrance(sources=ELSEWHERE), refused, contexts=lambda: context)
    under(Entrance(sources=HERE), admitted, contexts=lambda: context)


def test_an_api_that_is_not_offered_is_forbidden():
    async def no_rest(served):
        peer = await served.connect()
        peer.send(GET_TIME)
        assert (await peer.response())[0] == 403
        await served.websocket()

    async def no_websocket(served):
        peer = await served.connect()
        peer.send(b"GET /v2 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        assert (await peer.response())[0] == 403
        peer = await served.connect()
        peer.send(GET_TIME)
        assert (await peer.response())[0] == 200

    under(Entrance(apis=("websocket",)), no_rest)
    under(Entrance(apis=("rest",)), no_websocket)


@pytest.mark.parametrize("vip", [False, True])
def test_where_vip_status_is_asked_for_others_only_get_public_data(vip):
    async def talk(served):
        for known in served.kraken.venue.engine.accounts.values():
            known.vip = vip
        peer = await served.connect()
        peer.send(GET_TIME)
        assert (await peer.response())[0] == 200
        answer = await peer.private("Balance", 1)
        assert answer["error"] == ([] if vip else DENIED)
        socket = await served.websocket()
        token = served.kraken.token()
        order = {"order_type": "limit", "side": "buy", "symbol": "BTC/USD", "order_qty": 1, "limit_price": 5}
        for method, params in (("add_order", order), ("subscribe", {"channel": "executions"})):
            reply = await socket.ask(method, **params, token=token)
            assert reply["success"] is vip
            assert vip or reply["error"] == DENIED[0]
        other = await served.websocket()
        public = await other.ask("subscribe", channel="ticker", symbol=["BTC/USD"])
        assert public["success"] is True

    under(Entrance(vip=True), talk)


class Stream:
    """A transport with a real socket, and a delay line below it or none."""

    def __init__(self, line=None):
        self.socket = socket.socket()
        self.line = line

    def get_extra_info(self, name):
        return {"delay_line": self.line, "socket": self.socket}.get(name)

    @property
    def mark(self):
        return self.socket.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) >> 2


MARKED = Entrance(rest_us=500, fix_us=20, marks={"rest": 3, "websocket": 7, "fix": 11})


@pytest.mark.parametrize(("api", "mark"), [("rest", 3), ("websocket", 0), ("fix", 11)])
def test_answers_that_take_time_are_marked_for_links_that_see_packets_only(api, mark):
    stream = Stream()
    with stream.socket:
        assert MARKED.serve(stream, api) is None
        assert stream.mark == mark


def test_a_connection_that_becomes_a_websocket_is_no_longer_marked_as_rest():
    stream = Stream()
    with stream.socket:
        MARKED.serve(stream, "rest")
        MARKED.serve(stream, "websocket")
        assert stream.mark == 0


def test_a_delay_line_is_told_how_long_answers_take():
    stream = Stream(SimpleNamespace(service_ns=0))
    with stream.socket:
        assert MARKED.serve(stream, "rest") is stream.line
        assert stream.line.service_ns == 500_000
