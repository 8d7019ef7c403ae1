"""The book as a unit, against a model that keeps a plain list of orders in order of arrival."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.engine.accounts import Account
from emulator.engine.book import Book, BookSide
from emulator.engine.instruments import Catalogue, Side
from emulator.engine.orders import Order, OrderType
from tests.engine.venue import START_NS, XBTUSD, queue

ADD = st.tuples(st.just("add"), st.booleans(), st.integers(1, 9), st.integers(1, 50))
REMOVE = st.tuples(st.just("remove"), st.integers(0, 99))
REDUCE = st.tuples(st.just("reduce"), st.integers(0, 99), st.integers(1, 49))
LOOK = st.tuples(st.just("look"))


@pytest.fixture(scope="module")
def new_order(catalogue: Catalogue):
    """Orders that show all of their quantity."""
    account, pair = Account("alice"), catalogue.pairs[XBTUSD]
    seq = iter(range(1, 1 << 62))

    def new(buy: bool, price: int, qty: int) -> Order:
        side = Side.BUY if buy else Side.SELL
        number = next(seq)
        order = Order(number, f"O{number}", account, pair, side, OrderType.LIMIT, qty, price, START_NS)
        order.shown = qty
        return order

    return new


@settings(max_examples=300)
@given(steps=st.lists(st.one_of(ADD, ADD, REMOVE, REDUCE, LOOK), max_size=60))
def test_book_behaves_like_a_plain_list_of_orders_sorted_by_price_then_arrival(steps, new_order):
    book, arrived, displayed = Book(), [], {}
    for now_ns, (action, *details) in enumerate(steps):
        if action == "add":
            order = new_order(*details)
            arrived.append(order)
            book.add(order, now_ns)
        elif action == "look":
            look(book, displayed)
        elif arrived:
            order = arrived[details[0] % len(arrived)]
            if action == "remove":
                arrived.remove(order)
                book.remove(order, now_ns)
            else:
                book.reduce(order, min(details[1], order.shown - 1), now_ns)
        assert_side(book.bids, [order for order in arrived if order.buy], best_first=lambda price: -price)
        assert_side(book.asks, [order for order in arrived if not order.buy], best_first=lambda price: price)
    look(book, displayed)
    assert displayed == {
        key: level.qty for side in (book.bids, book.asks) for key, level in side.levels.items()
    }


def look(book: Book, displayed: dict[int, int]) -> None:
    """Bring ``displayed`` up to date with what the book says has changed."""
    for key, qty in book.changes():
        displayed[key] = qty
        if not qty:
            del displayed[key]


def assert_side(side: BookSide, arrived: list[Order], best_first) -> None:
    prices = sorted({order.price for order in arrived}, key=best_first)
    levels = side.top(100)
    assert [level.price for level in levels] == prices
    assert side.keys == sorted(side.levels) == [price * side.sign for price in reversed(prices)]
    assert side.best() is (levels[0] if levels else None)
    for level in levels:
        orders = [order for order in arrived if order.price == level.price]
        assert queue(level) == orders
        assert list(backwards(level.tail)) == orders[::-1]
        assert all(order.level is level for order in orders)
        assert level.qty == sum(order.shown for order in orders)


def backwards(order: Order | None) -> Iterator[Order]:
    while order is not None:
        yield order
        order = order.prev


def test_top_gives_the_best_levels_and_no_more_than_asked_for(new_order):
    book = Book()
    for price in (5, 9, 7):
        book.add(new_order(True, price, 1), 0)
        book.add(new_order(False, price + 10, 1), 0)
    assert [level.price for level in book.bids.top(2)] == [9, 7]
    assert [level.price for level in book.asks.top(2)] == [15, 17]


def test_removing_an_order_that_does_not_rest_changes_nothing(new_order):
    book = Book()
    book.add(new_order(True, 5, 1), 0)
    book.changes()
    book.remove(new_order(True, 5, 1), 1)
    assert [(level.price, level.qty) for level in book.bids.top(10)] == [(5, 1)]
    assert book.changes() == ()


def test_each_level_remembers_when_it_last_changed(new_order):
    book, first, second = Book(), new_order(False, 5, 3), new_order(False, 5, 4)
    book.add(first, 10)
    book.add(second, 11)
    assert book.asks.best().changed_ns == 11
    book.reduce(first, 1, 12)
    assert book.asks.best().changed_ns == 12
    book.remove(first, 13)
    assert book.asks.best().changed_ns == 13


def test_changes_are_told_once_with_the_quantity_displayed_at_the_time_of_the_look(new_order):
    book, bid, ask = Book(), new_order(True, 5, 3), new_order(False, 6, 4)
    book.add(bid, 0)
    book.add(ask, 0)
    book.reduce(bid, 1, 0)
    assert book.changes() == ((5, 2), (-6, 4))
    assert book.changes() == ()
    book.remove(ask, 1)
    assert book.changes() == ((-6, 0),)
