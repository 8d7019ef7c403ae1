"""A client's book, kept as Kraken's documentation says, never differs from the venue's.

The client reads the raw text: the checksum is over the wire's own digits, not over numbers.
"""

import asyncio
import json
from decimal import Decimal
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.engine.commands import AmendOrder, CancelAll, CancelOrder, EditOrder, PlaceOrder
from emulator.engine.instruments import Side
from emulator.engine.orders import OrderType, SelfTrade, TimeInForce
from tests.gateways.venue import CATALOGUE, Client, Kraken

PAIRS = {
    "XXBTZUSD": 640_000,
    "XXBTZJPY": 9_500_000,
    "XETHXXBT": 3_500,
    "XDGUSD": 1_500_000,
    "USDCUSD": 10_000,
}
"""Pairs of 1, 0, 5, 7 and 4 price decimals, with a price in ticks."""


class ClientBook:
    """The book of one subscription as a client keeps it."""

    def __init__(self, symbol, depth):
        self.symbol = symbol
        self.depth = depth
        self.bids = {}
        self.asks = {}
        self.messages = 0

    def take(self, text):
        """Apply a message: elements in array order, then truncate, then compare checksums."""
        message = json.loads(text, parse_float=str, parse_int=str)
        [data] = message["data"]
        assert list(data) == ["symbol", "bids", "asks", "checksum", "timestamp"]
        assert data["symbol"] == self.symbol
        if message["type"] == "snapshot":
            self.bids, self.asks = {}, {}
            for name, worst_last in (("bids", -1), ("asks", 1)):
                prices = [Decimal(row["price"]) * worst_last for row in data[name]]
                assert prices == sorted(prices)
                assert len(prices) <= self.depth
        else:
            assert self.messages, "a snapshot comes first"
            assert data["bids"] or data["asks"]
        self.messages += 1
        for name, side in (("bids", self.bids), ("asks", self.asks)):
            for row in data[name]:
                price, qty = Decimal(row["price"]), Decimal(row["qty"])
                if qty:
                    side[price] = (row["price"], row["qty"])
                else:
                    assert side.pop(price, None), "only what the client has is removed"
        self.bids = dict(sorted(self.bids.items(), reverse=True)[: self.depth])
        self.asks = dict(sorted(self.asks.items())[: self.depth])
        assert self.checksum() == int(data["checksum"])

    def checksum(self):
        rows = [*list(self.asks.values())[:10], *list(self.bids.values())[:10]]
        tokens = [token.replace(".", "").lstrip("0") for row in rows for token in row]
        return crc32("".join(tokens).encode())

    def levels(self):
        """Both sides, best first, as the engine counts them."""
        return [
            [(int(p.replace(".", "")), int(q.replace(".", ""))) for p, q in side.values()]
            for side in (self.bids, self.asks)
        ]


def engine_levels(kraken, pair, depth):
    book = kraken.engine.markets[pair].book
    return [[(level.price, level.qty) for level in side.top(depth)] for side in (book.bids, book.asks)]


class Watch(Client):
    """A connection that keeps a book for each depth; every message is checked when it arrives."""

    def __init__(self, kraken, pair, depths):
        super().__init__(kraken.gateway)
        self.kraken = kraken
        self.pair = pair
        self.symbol = CATALOGUE.pairs[pair].symbol
        self.books = {}
        for depth in depths:
            self.join(depth)

    def join(self, depth):
        self.books[depth] = ClientBook(self.symbol, depth)
        _, snapshot = self.subscribe("book", self.symbol, depth=depth), self.raw[-1]
        self.books[depth].take(snapshot)
        self.check(depth)

    def rejoin(self, depth):
        self.ask("unsubscribe", channel="book", symbol=[self.symbol], depth=depth)
        self.join(depth)

    def catch_up(self):
        """Take in what has arrived.  Messages of all depths are alike, so each depth has a connection."""
        [depth] = self.books
        for text in self.take_raw():
            self.books[depth].take(text)
        self.check(depth)

    def check(self, depth):
        assert self.books[depth].levels() == engine_levels(self.kraken, self.pair, depth)


# -- published checksums ---------------------------------------------------------------------------------


def checksum_of(kraken, pair, asks, bids):
    """Put the levels into the venue's book and return the snapshot's checksum."""
    for side, levels in (("sell", asks), ("buy", bids)):
        for price, qty in levels:
            kraken.place("bob", side, qty, price, pair=pair)
    watch = Watch(kraken, pair, [10])
    return watch, json.loads(watch.raw[-1])["data"][0]["checksum"]


THREE_ASKS = [("64000.1", "0.5"), ("64000.5", "1.25"), ("64002.0", "0.0001")]
THREE_BIDS = [("63999.9", "2"), ("63999.0", "0.075"), ("63990.0", "10")]
GUIDE_ASKS = (
    "45285.2x0.00100000, 45286.4x1.54571953, 45286.6x1.54571109, 45289.6x1.54560911, 45290.2x0.15890660, "
    "45291.8x1.54553491, 45294.7x0.04454749, 45296.1x0.35380000, 45297.5x0.09945542, 45299.5x0.18772827"
)
GUIDE_BIDS = (
    "45283.5x0.10000000, 45283.4x1.54582015, 45282.1x0.10000000, 45281.0x0.10000000, 45280.3x1.54592586, "
    "45279.0x0.07990000, 45277.6x0.03310103, 45277.5x0.30000000, 45277.3x1.54602737, 45276.6x0.15445238"
)


def test_checksums_of_the_documentation_are_reproduced(kraken):
    watch, checksum = checksum_of(kraken, "XXBTZUSD", THREE_ASKS, THREE_BIDS)
    assert checksum == 2_687_967_448
    last = next(o for o in kraken.engine.accounts["bob"].open.values() if o.price == 639_900)
    kraken.execute(CancelOrder(account="bob", txid=last.txid))
    assert watch.take_raw()[-1] == (
        '{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"price":63990.0,'
        '"qty":0.00000000}],"asks":[],"checksum":1214134287,"timestamp":"2026-11-02T10:00:00.000000Z"}]}'
    )


def test_checksum_of_the_checksum_guide_is_reproduced(kraken):
    asks, bids = ([row.split("x") for row in rows.split(", ")] for rows in (GUIDE_ASKS, GUIDE_BIDS))
    assert checksum_of(kraken, "XXBTZUSD", asks, bids)[1] == 3_310_070_434


def test_checksum_drops_leading_zeros_of_small_prices(kraken):
    asks, bids = [("0.00001234", "15")], [("0.00001233", "7.5")]
    assert checksum_of(kraken, "DOTXBT", asks, bids)[1] == 424_250_431


def test_checksum_of_an_empty_book_is_zero(kraken):
    assert checksum_of(kraken, "SOLUSD", [], [])[1] == 0


# -- the rules of the stream -----------------------------------------------------------------------------


def updates(watch):
    return [json.loads(text, parse_float=str)["data"][0] for text in watch.take_raw()]


@pytest.fixture
def twelve(kraken):
    """Twelve bids of 1 from 63999 down, seen by a connection at depth 10."""
    for number in range(12):
        kraken.place("bob", "buy", "1", str(63_999 - number))
    watch = Watch(kraken, "XXBTZUSD", [10])
    watch.take_raw()
    return watch


def prices(rows):
    return [(row["price"], row["qty"]) for row in rows]


def test_removal_brings_the_level_that_comes_into_view_in_the_same_message(kraken, twelve):
    best = next(iter(kraken.engine.accounts["bob"].open))
    kraken.execute(CancelOrder(account="bob", txid=best))
    [update] = updates(twelve)
    assert prices(update["bids"]) == [("63999.0", "0.00000000"), ("63989.0", "1.00000000")]


def test_insertion_pushes_the_worst_level_out_silently(kraken, twelve):
    kraken.place("bob", "buy", "1", "63999.5")
    [update] = updates(twelve)
    assert prices(update["bids"]) == [("63999.5", "1.00000000")]


def test_changes_beyond_the_depth_are_not_told(kraken, twelve):
    kraken.place("bob", "buy", "1", "63989")
    kraken.place("bob", "buy", "1", "60000")
    assert updates(twelve) == []


def test_sweep_is_one_message_with_both_its_sides(kraken, twelve):
    kraken.place("alice", "sell", "3.5", "63998")
    [update] = updates(twelve)
    assert prices(update["asks"]) == [("63998.0", "1.50000000")]
    assert [qty for _, qty in prices(update["bids"])].count("0.00000000") == 2
    assert prices(update["bids"])[1::2] == [("63989.0", "1.00000000"), ("63988.0", "1.00000000")]


def test_iceberg_shows_its_slice_only(kraken, twelve):
    kraken.place("bob", "sell", "1", "64001", display="0.1")
    kraken.place("alice", "buy", "0.04", "64001")
    kraken.place("alice", "buy", "0.06", "64001")
    shown = [prices(update["asks"]) for update in updates(twelve)]
    assert shown == [[("64001.0", "0.10000000")], [("64001.0", "0.06000000")], [("64001.0", "0.10000000")]]


def test_orders_of_one_batch_or_one_expiry_are_published_as_one_book(kraken):
    """The checksum of a message must fit the message, whatever else happened at the same moment."""

    async def run():
        watch = Watch(kraken, "XXBTZUSD", [10])
        trader, token = kraken.client(), kraken.token("alice")
        order = {"order_type": "limit", "side": "buy", "order_qty": 1}
        batch = [order | {"limit_price": 60_000 + number} for number in range(5)]
        added = trader.result("batch_add", token=token, symbol="BTC/USD", orders=batch)
        watch.catch_up()
        trader.result("batch_cancel", token=token, orders=[row["order_id"] for row in added[:3]])
        watch.catch_up()
        for number in range(3):
            expires = {"tif": TimeInForce.GTD, "expire_ns": kraken.clock.ns + 10**9}
            kraken.place("bob", "buy", "1", str(59_000 + number), **expires)
        kraken.wait(1)
        watch.catch_up()
        kraken.venue.close()

    asyncio.run(run())


# -- any sequence of commands ----------------------------------------------------------------------------

OFFSETS = st.integers(-16, 16)
LOTS = st.integers(1, 9)
ACCOUNTS = st.sampled_from(["alice", "bob"])
PLACES = st.tuples(ACCOUNTS, st.booleans(), OFFSETS, LOTS, st.integers(0, 3))
COMMANDS = st.one_of(
    st.tuples(
        st.just("place"), PLACES, st.sampled_from(TimeInForce), st.sampled_from(SelfTrade), st.booleans()
    ),
    st.tuples(st.just("market"), ACCOUNTS, st.booleans(), LOTS),
    st.tuples(st.just("cancel"), st.integers(0, 60)),
    st.tuples(st.just("amend"), st.integers(0, 60), OFFSETS, LOTS),
    st.tuples(st.just("edit"), st.integers(0, 60), OFFSETS, LOTS),
    st.tuples(st.just("cancel all"), ACCOUNTS),
    st.tuples(st.just("batch add"), st.lists(PLACES, min_size=2, max_size=6)),
    st.tuples(st.just("batch cancel"), st.lists(st.integers(0, 60), min_size=2, max_size=5)),
    st.tuples(st.just("wait"), st.integers(1, 3)),
    st.tuples(st.just("rejoin"), st.sampled_from([10, 25])),
)


class Trader:
    """Turns drawn commands into real ones; what the venue refuses is no matter here."""

    def __init__(self, pair):
        self.kraken = Kraken()
        self.pair = CATALOGUE.pairs[pair]
        self.middle = PAIRS[pair]
        self.lot = -(-max(self.pair.order_min, self.pair.cost_min // self.middle) // 9) * 10
        self.socket = self.kraken.client()
        self.tokens = {name: self.kraken.token(name) for name in ("alice", "bob")}
        self.watches = {depth: Watch(self.kraken, pair, [depth]) for depth in (10, 25)}

    def seed(self, bids, asks):
        for side, sign, count in ((Side.BUY, -1, bids), (Side.SELL, 1, asks)):
            for number in range(count):
                self.order("bob", side, self.middle + sign * (number + 1), 3)

    def order(self, account, side, price, lots, kind=OrderType.LIMIT, **terms):
        terms |= {"account": account, "pair": self.pair.id, "side": side, "type": kind, "price": price}
        self.kraken.execute(PlaceOrder(qty=lots * self.lot, **terms))

    def find(self, number):
        orders = [o for name in self.tokens for o in self.kraken.engine.accounts[name].open.values()]
        return orders[number % len(orders)] if orders else None

    def place(self, drawn, tif, self_trade, post_only):
        account, buy, offset, lots, slices = drawn
        expires = self.kraken.clock.ns + 2 * 10**9 if tif is TimeInForce.GTD else 0
        kind, display = (OrderType.ICEBERG, lots * self.lot // slices) if slices else (OrderType.LIMIT, 0)
        terms = {"tif": tif, "self_trade": self_trade, "post_only": post_only, "expire_ns": expires}
        side = Side.BUY if buy else Side.SELL
        self.order(account, side, self.middle + offset, lots, kind, display=display, **terms)

    def market(self, account, buy, lots):
        self.order(account, Side.BUY if buy else Side.SELL, None, lots, OrderType.MARKET)

    def cancel(self, number):
        if order := self.find(number):
            self.kraken.execute(CancelOrder(account=order.account.name, txid=order.txid))

    def amend(self, number, offset, lots):
        if order := self.find(number):
            terms = {"txid": order.txid, "price": self.middle + offset, "qty": lots * self.lot}
            self.kraken.execute(AmendOrder(account=order.account.name, **terms))

    def edit(self, number, offset, lots):
        if order := self.find(number):
            terms = {"txid": order.txid, "price": self.middle + offset, "qty": lots * self.lot}
            self.kraken.execute(EditOrder(account=order.account.name, **terms))

    def cancel_all(self, account):
        self.kraken.execute(CancelAll(account))

    def text(self, units, decimals):
        return float(Decimal(units).scaleb(-decimals))

    def batch_add(self, drawn):
        orders = [
            {
                "order_type": "limit",
                "side": "buy" if buy else "sell",
                "order_qty": self.text(lots * self.lot, self.pair.lot_decimals),
                "limit_price": self.text(self.middle + offset, self.pair.price_decimals),
                "stp_type": "cancel_oldest" if slices else "cancel_newest",
            }
            for _, buy, offset, lots, slices in drawn
        ]
        self.socket.ask("batch_add", token=self.tokens["alice"], symbol=self.pair.symbol, orders=orders)

    def batch_cancel(self, numbers):
        found = [order.txid for number in numbers if (order := self.find(number))]
        self.socket.ask("batch_cancel", token=self.tokens["alice"], orders=found)

    def wait(self, seconds):
        self.kraken.wait(seconds)

    def rejoin(self, depth):
        self.watches[depth].rejoin(depth)
        self.watches[depth].take_raw()


@settings(max_examples=150)
@given(
    st.sampled_from(sorted(PAIRS)),
    st.integers(0, 30),
    st.integers(0, 30),
    st.lists(COMMANDS, min_size=5, max_size=40),
)
def test_clients_book_and_checksum_follow_the_venue_through_any_commands(pair, bids, asks, commands):
    async def run():
        trader = Trader(pair)
        trader.seed(bids, asks)
        for name, *arguments in commands:
            getattr(trader, name.replace(" ", "_"))(*arguments)
            for watch in trader.watches.values():
                watch.catch_up()
        trader.kraken.venue.close()

    asyncio.run(run())
