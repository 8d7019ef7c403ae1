"""Two distances to one venue: what a client's own clock says about each."""

import asyncio
import itertools
import json
import statistics
import time
from contextlib import asynccontextmanager, closing
from http.client import HTTPConnection
from socket import IPPROTO_TCP, TCP_NODELAY
from urllib.parse import urlsplit

import ccxt
import pytest
import websockets

from tests.clients.pointing import PATIENCE_S, ccxt_options

pytestmark = pytest.mark.client

SERIES = 3
"""The machine may be busy: the best of so many series must keep the upper bound."""
LENGTH = 15
TOO_LATE_US = 2_000
TOO_LATE_SHARE = 0.02
TOO_EARLY_US = 200

tiers = pytest.mark.parametrize("tier", ["us", "tokyo"])


def within(rtt_us, late_us=TOO_LATE_US):
    """Tell whether a median of microseconds is close enough to the round trip; it must never be too short."""

    def check(median_us):
        assert median_us >= rtt_us - TOO_EARLY_US
        return median_us <= rtt_us * (1 + TOO_LATE_SHARE) + late_us

    return check


def best_series(one_series, good):
    """Run series of measurements until one is good; AssertionError when none is."""
    medians = []
    for _ in range(SERIES):
        medians.append(statistics.median(one_series()))
        if good(medians[-1]):
            return
    pytest.fail(f"medians of {SERIES} series, microseconds: {medians}")


def connection(venue, tier):
    link = HTTPConnection(urlsplit(venue.tier(tier)["rest"]).netloc, timeout=PATIENCE_S)
    return closing(link)


def ask(link):
    """Return the microseconds that one call takes, connecting included when ``link`` is not connected."""
    began = time.perf_counter_ns()
    link.request("GET", "/0/public/Time")
    assert link.getresponse().read().startswith(b'{"error":[]')
    return (time.perf_counter_ns() - began) / 1000


@tiers
def test_a_rest_call_takes_the_tier_s_round_trip(distant_venue, tier):
    with connection(distant_venue, tier) as link:
        ask(link)
        link.sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        best_series(lambda: [ask(link) for _ in range(LENGTH)], within(distant_venue.tier(tier)["rtt_us"]))


@tiers
def test_connecting_takes_another_round_trip(distant_venue, tier):
    def first_call(_):
        with connection(distant_venue, tier) as link:
            return ask(link)

    rtt_us = distant_venue.tier(tier)["rtt_us"]
    best_series(lambda: list(map(first_call, range(5))), within(2 * rtt_us, 2 * TOO_LATE_US))


@asynccontextmanager
async def websocket(venue, tier):
    """Connect a small client of our own; its ``ask`` returns the answer and the microseconds it took."""
    numbers = itertools.count(1)
    async with websockets.connect(f"{venue.tier(tier)['ws']}/v2", compression=None) as link:

        async def ask(method, **params):
            number = next(numbers)
            request = {"method": method, "req_id": number} | ({"params": params} if params else {})
            began = time.perf_counter_ns()
            await link.send(json.dumps(request))
            async for message in link:
                took_us = (time.perf_counter_ns() - began) / 1000
                answer = json.loads(message)
                if answer.get("req_id") == number:
                    return answer, took_us
            raise AssertionError("closed")

        yield ask


@tiers
def test_a_websocket_answer_takes_the_tier_s_round_trip(distant_venue, tier):
    exchange = ccxt.kraken(ccxt_options(distant_venue, tier=tier))
    token = exchange.private_post_getwebsocketstoken()["result"]["token"]
    exchange.session.close()
    order = {"order_type": "limit", "side": "buy", "symbol": "XRP/USD", "order_qty": 10, "limit_price": 0.5}

    async def series(method, **params):
        async with websocket(distant_venue, tier) as ask:
            answers = [await ask(method, **params) for _ in range(LENGTH)]
            assert method == "ping" or all(answer["success"] for answer, _ in answers)
            if method == "add_order":
                await ask("cancel_all", token=token)
            return [took_us for _, took_us in answers]

    good = within(distant_venue.tier(tier)["rtt_us"])
    best_series(lambda: asyncio.run(series("ping")), good)
    best_series(lambda: asyncio.run(series("add_order", **order, token=token)), good)


def test_both_tiers_lead_to_the_same_book_and_the_same_orders(distant_venue):
    account = distant_venue.next_account()
    near, far = (ccxt.kraken(ccxt_options(distant_venue, account, tier)) for tier in ("us", "tokyo"))
    other = ccxt.kraken(ccxt_options(distant_venue, tier="tokyo"))
    with closing(near.session), closing(far.session), closing(other.session):
        order = near.create_order("LTC/USD", "limit", "sell", 3, 90)
        assert far.fetch_order(order["id"])["status"] == "open"
        assert far.fetch_order_book("LTC/USD")["asks"][0][:2] == [90, 3]
        other.create_order("LTC/USD", "market", "buy", 1)
        assert near.fetch_order(order["id"])["filled"] == 1
        far.cancel_order(order["id"])
        assert near.fetch_open_orders() == []
