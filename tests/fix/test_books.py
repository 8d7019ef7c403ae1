"""A client's book, kept of W and X alone, is the venue's book; and every 5041 is what it computes itself."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.engine import commands
from emulator.engine.events import Accepted
from emulator.engine.instruments import Side, scaled
from emulator.engine.orders import Order, OrderType, TimeInForce
from tests.fix.books import BID, OFFER, Book
from tests.fix.inside import FixVenue
from tests.gateways.venue import XBTUSD

TRADERS = ("alice", "bob", "carol")
MIDDLE = 640_000
"""Price units of BTC/USD: tenths of a dollar."""
DEPTHS = (0, 1, 10, 25, 100, 500, 1000)


class Floor:
    """Traders who act at random, and clients with books of several depths who watch."""

    def __init__(self, inside: FixVenue, depths: tuple[int, ...], *, level3: bool) -> None:
        self.kraken = inside.kraken
        self.orders: list[Order] = []
        self.level3 = level3
        self.client = inside.reader(service="spot_md_l3" if level3 else "spot_md")
        self.depths = depths
        self.books: dict[str, Book] = {}

    def watch(self) -> None:
        """Subscribe to every depth."""
        for depth in self.depths:
            book = self.books[f"d{depth}"] = Book(depth=depth or 1000, level3=self.level3)
            for message in self.client.subscribed(depth=depth, level3=self.level3, request=f"d{depth}"):
                book.take(message)

    def act(self, *actions: commands.Command) -> None:
        """Carry actions out, several at one moment; the books follow."""
        self.kraken.clock.ns += 1_700_000
        if len(actions) == 1:
            outcomes = [self.kraken.execute(actions[0])]
        else:
            outcomes = self.kraken.venue.execute_all(actions)
        self.orders += [e.order for events in outcomes for e in events[:1] if isinstance(e, Accepted)]
        if len(self.orders) > 60:
            self.orders = [order for order in self.orders if order.level is not None]
        self.follow()

    def follow(self) -> None:
        for message in self.client.take():
            self.books[message[262]].take(message)

    def compare(self) -> None:
        """The books are the venue's, as deep as they go."""
        book = self.kraken.engine.markets[XBTUSD].book
        for mine in self.books.values():
            for kind, side in ((OFFER, book.asks), (BID, book.bids)):
                there = []
                for level in side.top(mine.depth):
                    shown, order = [], level.head
                    while order is not None:
                        shown.append(order.shown)
                        order = order.next
                    there.append((level.price, shown if self.level3 else [level.qty]))
                assert mine.side(kind) == there

    # -- what traders do --------------------------------------------------------------------------

    def place(self, who: int, offset: int, lots: int, kind: str = "limit") -> commands.Command:
        """Buy or sell (``lots`` below 0) around the middle."""
        qty = abs(lots) * 10**6
        terms = {}
        if kind == "iceberg":
            terms = {"display": max(qty * 10, 15_000_000) // 10, "type": OrderType.ICEBERG}
            qty = terms["display"] * 5
        elif kind == "gtd":
            terms = {"tif": TimeInForce.GTD, "expire_ns": self.kraken.clock.ns + 5 * 10**9}
        return commands.PlaceOrder(
            account=TRADERS[who],
            pair=XBTUSD,
            side=Side.BUY if lots > 0 else Side.SELL,
            qty=qty,
            price=None if kind == "market" else MIDDLE + offset,
            **({"type": OrderType.MARKET if kind == "market" else OrderType.LIMIT} | terms),
        )

    def cancel(self, which: int) -> commands.Command:
        order = self.orders[which % len(self.orders)]
        return commands.CancelOrder(account=order.account.name, txid=order.txid)

    def amend(self, which: int, offset: int | None, lots: int | None) -> commands.Command:
        order = self.orders[which % len(self.orders)]
        return commands.AmendOrder(
            account=order.account.name,
            txid=order.txid,
            price=None if offset is None else MIDDLE + offset,
            qty=None if lots is None else lots * 10**6,
        )


def action(floor: Floor, row: tuple[str, int, int, int]) -> commands.Command:
    what, number, offset, lots = row
    if what == "cancel" and floor.orders:
        return floor.cancel(number)
    if what == "move" and floor.orders:
        return floor.amend(number, offset, None)
    if what == "resize" and floor.orders:
        return floor.amend(number, None, abs(lots))
    return floor.place(number % 3, offset, lots, what)


rows = st.tuples(
    st.sampled_from(("limit", "limit", "limit", "cancel", "move", "resize", "market", "iceberg", "gtd")),
    st.integers(0, 40),
    st.integers(-20, 20),
    st.integers(1, 30) | st.integers(-30, -1),
)
turns = st.lists(st.lists(rows, min_size=1, max_size=4) | st.just([]), min_size=5, max_size=60)


@pytest.mark.parametrize("level3", [False, True], ids=["levels", "orders"])
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(turns=turns)
def test_books_follow_whatever_traders_do(turns: list[list[tuple[str, int, int, int]]], level3: bool) -> None:
    with FixVenue() as inside:
        floor = Floor(inside, (1, 10, 25), level3=level3)
        for offset in range(1, 13):
            floor.act(floor.place(0, -offset, 20))
            floor.act(floor.place(1, offset, -20))
        floor.watch()
        for turn in turns:
            if turn:
                floor.act(*[action(floor, row) for row in turn])
            else:
                inside.kraken.wait(2)
                floor.follow()
            floor.compare()


def pull(inside: FixVenue, dice: random.Random, place: int) -> None:
    """Let the market itself take its order at the level with this place in the book back."""
    book = inside.kraken.engine.markets[XBTUSD].book
    side = dice.choice((book.bids, book.asks))
    order = side.levels[side.keys[-place]].head
    assert order is not None
    if order.account.house:
        events = inside.kraken.engine.cancel_house(order, inside.kraken.clock.ns)
        inside.kraken.venue.publish(events)


@pytest.mark.parametrize("level3", [False, True], ids=["levels", "orders"])
def test_a_long_walk_with_deep_books_keeps_every_depth_right(inside: FixVenue, level3: bool) -> None:
    dice = random.Random(20260302)
    floor = Floor(inside, DEPTHS, level3=level3)
    for offset in range(1, 1_200):
        inside.quote(buy=True, price=MIDDLE - offset, qty=40_000_000)
        inside.quote(buy=False, price=MIDDLE + offset, qty=40_000_000)
    floor.watch()
    edges = (1, 10, 25, 100, 500, 1000)
    for turn in range(600):
        place = max(dice.choice(edges) + dice.randint(-3, 3), 1)
        what = dice.choice(
            ("limit", "limit", "cancel", "cancel", "move", "resize", "market", "iceberg", "pull")
        )
        if what == "pull":
            pull(inside, dice, place)
            floor.follow()
        else:
            offset = place * dice.choice((-1, 1)) + dice.randint(-3, 3)
            lots = dice.randint(1, 30) * (1 if offset < 0 else -1)
            floor.act(
                *[
                    action(floor, (what, dice.randint(0, 60), offset, lots))
                    for _ in range(dice.choice((1, 1, 1, 3)))
                ]
            )
        if turn % 30 == 0:
            floor.compare()
    floor.compare()
    updates = [book.updates for book in floor.books.values()]
    assert min(updates) > 30, updates


def test_the_published_checksum(inside: FixVenue) -> None:
    """The vector of the reference, 7.4."""
    kraken = inside.kraken
    for qty, price, side in (("0.5", "64001.0", "sell"), ("1.25", "64002.5", "sell")):
        kraken.place("bob", side, qty, price)
    for qty, price in (("0.25", "64000.1"), ("2", "63999.9")):
        kraken.place("bob", "buy", qty, price)
    client, book = inside.reader(), Book()
    for message in client.subscribed(types="012"):
        book.take(message)
    kraken.place("carol", "buy", "0.1", "64001.0")
    update, trade = client.take()
    book.take(update)
    assert update[5041] == "2031158670"
    assert update.groups(279)[0] | {273: ""} == {
        279: "1", 269: "1", 278: "O64001.0", 270: "64001.0", 271: "0.4", 273: "",
        5041: "2031158670", 10: update[10],
    }  # fmt: skip
    book.take(trade)
    assert book.trades == 1


def test_a_book_that_is_empty_has_a_checksum_too(inside: FixVenue) -> None:
    client, book = inside.reader(), Book()
    (snapshot,) = client.subscribed()
    assert snapshot[268] == "0"
    order = inside.kraken.place("bob", "buy", "1", "64000.1")
    inside.kraken.execute(commands.CancelOrder(account="bob", txid=order.txid))
    for message in client.take():
        book.take(message)
    assert (book.entries, book.updates) == ({}, 2)
    assert scaled("64000.1", 1) == MIDDLE + 1


def test_an_order_that_moves_is_deleted_before_it_is_added(inside: FixVenue) -> None:
    """Its id is the same: a client that took the addition first would then delete it."""
    floor = Floor(inside, (10,), level3=True)
    floor.act(floor.place(0, 5, -20))
    floor.act(floor.place(1, 5, -20))
    floor.act(floor.place(1, 9, -20))
    floor.watch()
    mover = floor.orders[0]
    floor.act(floor.place(2, 9, -3), floor.amend(0, 9, None))
    floor.compare()
    *_, update = floor.client.messages
    assert [(row[279], row[270]) for row in update.groups(279) if row[278] == mover.txid] == [
        ("2", "64000.5"),
        ("0", "64000.9"),
    ]
