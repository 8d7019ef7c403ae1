"""WebSocket v1 under load and under bad input: books of a busy market, and what clients should not send."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import websockets

from emulator.engine.accounts import Account
from emulator.engine.book import Book as OrderBook
from emulator.engine.book import Level
from emulator.engine.commands import CancelOrder
from emulator.gateways.spot_ws_v1 import feeds
from emulator.market.profile import load
from emulator.market.synthetic import SyntheticMarket
from tests.gateways.sockets import serving
from tests.gateways.test_ws_v1 import V1, Book
from tests.gateways.venue import CATALOGUE, XBTUSD, Kraken

PROFILE = Path(__file__).parents[2] / "profiles" / "market" / "default.toml"
BUSY_S = 120
ASKS = range(5005, 5055, 5)
BIDS = (5000, 4995, 4990, 4980, 4975, 4970, 4965, 4960, 4955, 4950)
"""The guide's prices, in 0.00001."""


def busy_market(kraken: Kraken) -> SyntheticMarket:
    """Return the seeded market, about to trade in all books of ``kraken``."""
    kraken.engine.accounts["market"] = Account("market", house=True)
    return SyntheticMarket(kraken.engine, "market", load(PROFILE, CATALOGUE), 11, kraken.venue.publish)


@pytest.mark.parametrize("depth", [10, 25])
def test_books_of_a_busy_market_are_rebuilt_from_the_text(depth):
    kraken = Kraken()
    market = busy_market(kraken)
    market.open(kraken.clock.ns)
    books = []
    for pair in ("XBT/USD", "ETH/XBT", "XBT/JPY"):
        client = V1(kraken)
        client.take()
        books.append((client, Book(client, depth, pair)))
    until = kraken.clock.ns + BUSY_S * 10**9
    while market.due_ns() < until:
        kraken.clock.ns = market.due_ns()
        market.act(kraken.clock.ns)
        for client, book in books:
            book.take(client.take())
    assert sum(book.updates for _, book in books) > 500
    assert sum(book.again for _, book in books) > 10
    best = kraken.engine.markets[XBTUSD].book.asks.best()
    assert f"{min(books[0][1].sides['a']):.1f}".replace(".", "") == str(best.price)


def test_checksum_of_the_published_guide():
    """Vector 7: the v1 guide's levels, whose texts have five and eight decimals."""
    pair = msgspec.structs.replace(CATALOGUE.pairs[XBTUSD], price_decimals=5)
    book = OrderBook()
    for side, prices in ((book.asks, ASKS), (book.bids, BIDS)):
        for price in prices:
            level = side.levels[side.sign * price] = Level(price)
            level.qty = 500
        side.keys = sorted(side.levels)
    market: Any = SimpleNamespace(instrument=pair, book=book)
    assert feeds.checksum(market) == 974947235
    [_, payload, *_] = json.loads(feeds.BookFeed(market, 1, 10).snapshot(0))
    assert [payload["as"][0][:2], payload["bs"][9][:2]] == [
        ["0.05005", "0.00000500"],
        ["0.04950", "0.00000500"],
    ]


def test_every_subscriber_gets_the_same_bytes(client):
    """Each update is encoded once."""
    other = V1(client.kraken)
    for each in (client, other):
        for name in ("book", "ticker", "trade", "spread", "ohlc"):
            each.subscribe("XBT/USD", name=name)
        each.raw.clear()
    client.kraken.trade("1", "60000")
    assert len(client.raw) > 4
    assert client.raw == other.raw


# -- what clients should not send ------------------------------------------------------------------------


@pytest.fixture
def client(kraken):
    found = V1(kraken)
    found.take()
    return found


@pytest.mark.parametrize("event", [[], {}, 1, True, 1.5, "", "subscribe ", "AddOrder"])
def test_events_that_there_are_not(client, event):
    [reply] = client.say({"event": event})
    error = "Unsupported event" if isinstance(event, str) else "Event field must be a string"
    assert reply == {"errorMessage": error, "event": "error"}


@pytest.mark.parametrize("value", [1.5, "10", None, True, [1.5], {"a": [1e3]}, 10**30])
def test_details_that_are_no_numbers_are_refused_and_shown_as_sent(client, value):
    asked = {"name": "book", "depth": value}
    [reply] = client.say({"event": "subscribe", "pair": ["XBT/USD"], "subscription": asked})
    assert reply["status"] == "error"
    assert reply["subscription"] == asked
    assert reply["errorMessage"].startswith("Subscription ")


def test_numbers_in_refusals_keep_their_digits(client):
    client.say(b'{"event":"subscribe","pair":["XBT/USD"],"subscription":{"name":"book","depth":10.00}}')
    assert b'"subscription":{"depth":10.00,"name":"book"}' in client.raw[-1]


def test_too_many_pairs_are_a_plain_error(client):
    [reply] = client.subscribe(*(f"A{n}/USD" for n in range(501)), name="ticker")
    assert reply == {"errorMessage": "Exceeded msg rate", "event": "error", "reqid": 5}


def test_unsubscribing_is_answered_per_pair(client):
    client.subscribe("XBT/USD", name="ticker")
    asked = {"name": "ticker"}
    replies = client.say(
        {"event": "unsubscribe", "pair": ["ETH/USD", "XBT/USD", "BTC/USD"], "subscription": asked}
    )
    assert [(reply["pair"], reply.get("errorMessage", reply["status"])) for reply in replies] == [
        ("ETH/USD", "Subscription Not Found"),
        ("XBT/USD", "unsubscribed"),
        ("BTC/USD", "Currency pair not supported BTC/USD"),
    ]
    assert not client.session.busy


def test_refusals_of_a_wildcard_do_not_multiply(client):
    """What is sent back for many pairs does not grow with what else the request holds."""
    pairs = [f"A{n}/USD" for n in range(500)]
    wild = {"name": "*", "filler": "x" * 10_000}
    [reply] = client.say({"event": "unsubscribe", "pair": pairs, "subscription": wild})
    assert reply["errorMessage"] == "Subscription object unsupported field"


def test_true_is_no_userref(client):
    order = client.kraken.place("alice", "buy", "1", "50000", userref=1)
    for value in (True, 1):
        reply = client.trade("cancelOrder", token=client.kraken.token(), txid=[value])
        assert reply["errorMessage"] == "Txid field must be an array"
    assert order.txid in client.kraken.engine.accounts["alice"].open


@pytest.mark.parametrize("field", ["txid", "cl_ord_id"])
@pytest.mark.parametrize("value", [1.5, 1e300, 7, True, "x", {"a": 1}, [[]], [{}], [None]])
def test_lists_of_orders_that_are_none(client, field, value):
    reply = client.trade("cancelOrder", token=client.kraken.token(), **{field: value})
    assert reply["status"] == "error"
    assert reply["errorMessage"] == f"{field.capitalize()} field must be an array"


def test_validated_edit_is_described_as_it_would_be(client):
    old = client.kraken.place("alice", "buy", "1", "50000")
    token = client.kraken.token()
    fields = {"token": token, "orderid": old.txid, "pair": "XBT/USD", "price": "51000", "volume": "2"}
    reply = client.trade("editOrder", **fields, validate="true")
    assert (reply["descr"], reply["originaltxid"]) == ("buy 2.00000000 XBTUSD @ limit 51000.0", old.txid)
    assert "txid" not in reply
    assert client.trade("editOrder", **fields)["descr"] == reply["descr"]


def test_ticker_before_the_first_trade_of_the_day_has_the_last_price(client):
    client.kraken.trade("1", "60000")
    client.kraken.wait(86_400)
    _, [_, ticker, *_] = client.subscribe("XBT/USD", name="ticker")
    assert ticker["o"][0] == ticker["l"][0] == ticker["h"][0] == "60000.00000"
    assert ticker["v"][0] == "0.00000000"


# -- another library's client ----------------------------------------------------------------------------


def test_websockets_client_trades_and_keeps_a_book():
    """A stranger's WebSocket library, over a real port, with the paths that clients write."""
    asyncio.run(asyncio.wait_for(_session(), 30))


async def _session():
    kraken = Kraken()
    orders = [kraken.place("bob", "buy", "1", str(50_000 - n)) for n in range(15)]
    async with serving(kraken) as served:
        url = f"ws://127.0.0.1:{served.port}"
        async with websockets.connect(f"{url}/") as link, websockets.connect(url) as private:

            async def ask(on, **message):
                await on.send(json.dumps(message))
                return json.loads(await on.recv())

            assert json.loads(await link.recv())["event"] == "systemStatus"
            assert json.loads(await private.recv())["event"] == "systemStatus"
            about = {"name": "book", "depth": 10}
            status = await ask(link, event="subscribe", pair=["XBT/USD"], subscription=about)
            snapshot = json.loads(await link.recv())
            # The book of the tests subscribes by itself: let it have what has come already.
            book = Book(SimpleNamespace(subscribe=lambda *_, **__: [status, snapshot]), 10)
            token = kraken.token()
            placed = await ask(
                private,
                event="addOrder",
                reqid=3,
                token=token,
                pair="XBT/USD",
                type="sell",
                ordertype="limit",
                volume="1.5",
                price="50000",
            )
            assert (placed["event"], placed["status"], placed["reqid"]) == ("addOrderStatus", "ok", 3)
            kraken.execute(CancelOrder(account="bob", txid=orders[3].txid))
            while book.updates < 2:
                message = json.loads(await link.recv())
                if isinstance(message, list):
                    book.take([message])
            assert book.both == 1
            assert book.again == 2
