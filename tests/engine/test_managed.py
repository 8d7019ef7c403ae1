"""What tests make happen in the engine: balances, books, trades, ends of orders, and a new beginning."""

import pytest

from emulator.engine import commands, events
from emulator.engine.accounts import Account
from emulator.engine.events import Reject
from emulator.engine.instruments import Side, scaled
from emulator.engine.orders import OrderType, Reason, Status, TimeInForce
from emulator.engine.status import TradingStatus
from emulator.engine.triggers import Offset
from tests.engine.venue import SECOND_NS, XBTUSD, Venue, state_of

HOUSE = "market"
OPENING = (
    commands.Deposit("alice", "ZUSD", 1_000_000_0000),
    commands.Deposit("alice", "XXBT", 10_0000000000),
    commands.Deposit("bob", "ZUSD", 1_000_000_0000),
    commands.Deposit("bob", "XXBT", 10_0000000000),
)


@pytest.fixture
def venue(catalogue):
    made = Venue(catalogue, [Account("alice"), Account("bob"), Account(HOUSE, house=True)], seed=7)
    for deposit in OPENING:
        made.apply(deposit)
    return made


def price(text):
    return scaled(text, 1)


def qty(text):
    return scaled(text, 8)


def levels(*rows):
    return tuple((price(at), qty(size)) for at, size in rows)


def seed(venue, bids=(), asks=(), **terms):
    return venue.apply(
        commands.SetBook(house=HOUSE, pair=XBTUSD, bids=levels(*bids), asks=levels(*asks), **terms)
    )


def print_trade(venue, at, size="0.1", side=Side.BUY, **terms):
    command = commands.PrintTrade(
        house=HOUSE, pair=XBTUSD, side=side, price=price(at), qty=qty(size), **terms
    )
    return venue.apply(command)


def fill(venue, order, size=None, at=None):
    command = commands.FillOrder(
        house=HOUSE,
        account=order.account.name,
        txid=order.txid,
        qty=None if size is None else qty(size),
        price=None if at is None else price(at),
    )
    return venue.apply(command)


def end(venue, order, reason=Reason.USER):
    return venue.apply(commands.EndOrder(account=order.account.name, txid=order.txid, reason=reason))


def set_balances(venue, account, **amounts):
    return venue.apply(commands.SetBalances(account, tuple(amounts.items())))


# -- balances --------------------------------------------------------------------------------------------


def test_a_balance_is_set_by_a_ledger_entry_of_the_difference(venue):
    set_balances(venue, "alice", XXBT=25_000000000, ETH=0, ZUSD=1_000_000_0000)
    [posted] = venue.all(events.Posted)
    assert (posted.entry.type, posted.entry.amount, posted.entry.balance) == (
        "adjustment",
        -75_000000000,
        25_000000000,
    )
    assert venue.balance("alice", "XXBT") == "2.5"
    assert sum(e.amount for e in venue.engine.accounts["alice"].ledger.values() if e.asset == "XXBT") == (
        25_000000000
    )


def test_no_balance_is_set_below_what_is_on_hold_and_then_none_is(venue):
    venue.sell("alice", "2", "70000.0")
    with venue.refuses(Reject.INSUFFICIENT_FUNDS):
        set_balances(venue, "alice", ZUSD=5, XXBT=19999999999)
    set_balances(venue, "alice", ZUSD=5, XXBT=20000000000)
    assert venue.engine.accounts["alice"].available("XXBT") == 0


# -- the book --------------------------------------------------------------------------------------------


def test_a_seeded_book_is_exactly_what_was_asked_for(venue):
    seed(venue, [("64000.0", "1.5"), ("63990.0", "2")], [("64010.0", "1")])
    seed(venue, [("64000.0", "1"), ("63980.0", "3")], [("64010.0", "2"), ("64020.0", "1")])
    assert venue.bids() == [("64000", "1"), ("63980", "3")]
    assert venue.asks() == [("64010", "2"), ("64020", "1")]
    [changed] = venue.all(events.BookChanged)
    assert dict(changed.changes) == {
        639900: 0,
        640000: qty("1"),
        639800: qty("3"),
        -640100: qty("2"),
        -640200: qty("1"),
    }


def test_an_equal_book_changes_nothing(venue):
    seed(venue, [("64000.0", "1.5")])
    before = state_of(venue.engine)
    assert seed(venue, [("64000.0", "1.5")]) == [events.Done()]
    assert state_of(venue.engine) == before


def test_added_levels_come_on_top(venue):
    seed(venue, [("64000.0", "1")])
    seed(venue, [("64000.0", "0.5"), ("63990.0", "1")], adds=True)
    assert venue.bids() == [("64000", "1.5"), ("63990", "1")]


def test_clients_orders_stay_and_keep_their_place(venue):
    seed(venue, [("64000.0", "1")])
    ours = venue.buy("alice", "2", "64000.0")
    seed(venue, [("64000.0", "0.5")])
    assert venue.bids() == [("64000", "2.5")]
    seed(venue, [("64000.0", "1.5")])
    venue.sell("bob", "1", "64000.0")
    assert venue.filled(ours) == "0.5"  # the house's half was there first, its other one came later
    seed(venue)
    assert venue.bids() == [("64000", "1.5")]


def test_a_book_that_would_trade_with_a_client_is_refused_unless_it_may(venue):
    ours = venue.sell("alice", "1", "64000.0")
    with venue.refuses(Reject.WOULD_TRADE):
        seed(venue, [("64000.0", "3")])
    seed(venue, [("64000.0", "3")], match=True)
    assert ours.status is Status.CLOSED
    assert venue.bids() == [("64000", "2")]


def test_added_levels_may_not_trade_with_the_house_unawares(venue):
    seed(venue, [], [("64010.0", "1")])
    with venue.refuses(Reject.WOULD_TRADE):
        seed(venue, [("64010.0", "1")], adds=True)
    seed(venue, [("64010.0", "1")])  # which takes the other one away


@pytest.mark.parametrize(
    ("bids", "asks", "reason"),
    [
        ([("64000.0", "1")], [("64000.0", "1")], Reject.INVALID_PRICE),
        ([("0", "1")], [], Reject.INVALID_PRICE),
        ([("64000.0", "0")], [], Reject.INVALID_QTY),
    ],
)
def test_a_book_that_cannot_be(venue, bids, asks, reason):
    with venue.refuses(reason):
        seed(venue, bids, asks)


# -- the tape --------------------------------------------------------------------------------------------


def test_a_printed_trade_sets_the_last_price_and_leaves_the_book_alone(venue):
    seed(venue, [("63990.0", "1")], [("64010.0", "1")])
    print_trade(venue, "64000.0", "0.25", Side.SELL)
    [traded] = venue.all(events.Traded)
    assert (traded.price, traded.qty, traded.taker_buy, traded.trade_id) == (640000, qty("0.25"), False, 1)
    assert venue.engine.markets[XBTUSD].last_price == 640000
    assert not venue.all(events.BookChanged)


def test_a_stop_loss_is_set_off_by_printing_its_price(venue):
    seed(venue, [("59990.0", "1")])
    stop = venue.sell("alice", "0.5", type=OrderType.STOP_LOSS, trigger=price("60000.0"))
    print_trade(venue, "60000.1")
    assert stop.waiting
    print_trade(venue, "60000.0")
    assert stop.status is Status.CLOSED
    assert venue.fills(stop) == [("0.5", "59990")]


def test_a_trade_beyond_a_clients_better_order_is_refused_or_fills_it(venue):
    bid, ask = venue.buy("alice", "1", "61000.0"), venue.sell("bob", "1", "65000.0")
    at_price = venue.buy("bob", "1", "60000.0")
    with venue.refuses(Reject.WOULD_TRADE):
        print_trade(venue, "60000.0")
    print_trade(venue, "60000.0", through=True)
    assert venue.fills(bid) == [("1", "61000")]
    assert [ask.filled, at_price.filled] == [0, 0]
    assert [event.price for event in venue.all(events.Traded)] == [610000, 600000]
    print_trade(venue, "66000.0", through=True)
    assert venue.fills(ask) == [("1", "65000")]


def test_nothing_is_printed_while_nothing_may_trade(venue):
    venue.apply(commands.SetStatus(TradingStatus.CANCEL_ONLY, XBTUSD))
    with venue.refuses(Reject.UNAVAILABLE):
        print_trade(venue, "60000.0")


# -- orders ----------------------------------------------------------------------------------------------


def test_a_resting_order_is_filled_in_parts_at_its_limit_as_maker(venue):
    order = venue.buy("alice", "1", "50000.0")
    fill(venue, order, "0.4")
    assert venue.bids() == [("50000", "0.6")]
    fill(venue, order)
    assert order.status is Status.CLOSED
    assert venue.fills(order) == [("0.4", "50000"), ("0.6", "50000")]
    assert {trade.maker for trade in venue.engine.accounts["alice"].trades.values()} == {True}
    assert venue.held("alice", "ZUSD") == "0"


def test_an_order_may_be_filled_better_than_its_limit_but_not_worse(venue):
    order = venue.buy("alice", "1", "50000.0")
    with venue.refuses(Reject.INVALID_PRICE):
        fill(venue, order, at="50000.1")
    fill(venue, order, at="49000.0")
    assert venue.fills(order) == [("1", "49000")]


def test_orders_in_front_of_it_are_passed_over(venue):
    first, second = venue.buy("bob", "1", "50000.0"), venue.buy("alice", "1", "50000.0")
    fill(venue, second)
    assert (first.filled, second.status) == (0, Status.CLOSED)


def test_an_iceberg_is_filled_beyond_what_it_shows(venue):
    order = venue.sell("alice", "3", "70000.0", display="1")
    fill(venue, order, "2.5")
    assert venue.asks() == [("70000", "0.5")]
    assert venue.filled(order) == "2.5"


def test_a_waiting_stop_is_set_off_and_filled_at_its_price(venue):
    order = venue.sell("alice", "1", type=OrderType.STOP_LOSS, trigger=price("60000.0"))
    fill(venue, order)
    kinds = [type(event) for event in venue.events]
    assert kinds.index(events.Triggered) < kinds.index(events.Filled) < kinds.index(events.Ended)
    assert venue.fills(order) == [("1", "60000")]


def test_what_remains_of_a_market_kind_cannot_rest(venue):
    order = venue.sell("alice", "1", type=OrderType.STOP_LOSS, trigger=price("60000.0"))
    fill(venue, order, "0.25", "59000.0")
    assert venue.fills(order) == [("0.25", "59000")]
    assert (order.status, order.reason) == (Status.CANCELED, Reason.NO_LIQUIDITY)
    assert venue.held("alice", "XXBT") == "0"


def test_what_remains_of_a_stop_limit_rests(venue):
    order = venue.buy("alice", "1", "61000.0", type=OrderType.STOP_LOSS_LIMIT, trigger=price("60000.0"))
    fill(venue, order, "0.25")
    assert venue.bids() == [("61000", "0.75")]


def test_a_trailing_stop_that_has_seen_no_price_is_filled_at_a_given_one(venue):
    order = venue.sell("alice", "1", type=OrderType.TRAILING_STOP, trigger=Offset(1000))
    with venue.refuses(Reject.INVALID_PRICE):
        fill(venue, order)
    fill(venue, order, at="58000.0")
    assert venue.fills(order) == [("1", "58000")]


def test_a_limit_that_follows_from_the_trigger_holds(venue):
    order = venue.sell("alice", "1", Offset(500), type=OrderType.TRAILING_STOP_LIMIT, trigger=Offset(1000))
    fill(venue, order, "0.5", at="58000.0")
    assert venue.fills(order) == [("0.5", "58050")]
    assert venue.asks() == [("58050", "0.5")]


def test_a_post_only_order_that_is_scheduled_is_filled_as_maker(venue):
    order = venue.buy("alice", "1", "50000.0", start_ns=venue.now_ns + SECOND_NS, post_only=True)
    fill(venue, order, "0.5")
    [trade] = venue.engine.accounts["alice"].trades.values()
    assert trade.maker
    assert venue.bids() == [("50000", "0.5")]


def test_a_reduce_only_order_reduces_no_more_than_there_is(venue):
    venue.apply(
        commands.FillOrder(
            house=HOUSE, account="alice", txid=venue.buy("alice", "1", "50000.0", leverage=2).txid
        )
    )
    stop = venue.sell(
        "alice", "3", type=OrderType.STOP_LOSS, trigger=price("40000.0"), leverage=2, reduce_only=True
    )
    fill(venue, stop)
    assert venue.fills(stop) == [("1", "40000")]
    assert not venue.engine.accounts["alice"].positions


def test_a_scheduled_order_starts_when_it_is_filled(venue):
    order = venue.buy("alice", "1", "50000.0", start_ns=venue.now_ns + 60 * SECOND_NS)
    fill(venue, order, "0.5")
    assert venue.all(events.Started)
    assert venue.bids() == [("50000", "0.5")]
    venue.wait(61)
    assert not venue.all(events.Started)


def test_a_waiting_buy_is_filled_only_at_what_its_account_can_pay(venue):
    order = venue.buy("alice", "10", type=OrderType.STOP_LOSS, trigger=price("60000.0"))
    with venue.refuses(Reject.INSUFFICIENT_FUNDS):
        fill(venue, order, at="200000.0")
    fill(venue, order, at="90000.0")
    assert order.status is Status.CLOSED
    assert venue.engine.accounts["alice"].balances["ZUSD"] >= 0


def test_a_fill_places_the_conditional_close(venue):
    close = commands.Close(type=OrderType.LIMIT, price=price("70000.0"))
    order = venue.buy("alice", "1", "50000.0", close=close)
    fill(venue, order, "0.5")
    assert venue.asks() == [("70000", "0.5")]


def test_a_margin_order_that_is_filled_opens_a_position(venue):
    order = venue.buy("alice", "1", "50000.0", leverage=2)
    fill(venue, order)
    [position] = venue.engine.accounts["alice"].positions.values()
    assert (position.open, position.open_cost) == (qty("1"), 500000 * qty("1"))


@pytest.mark.parametrize(
    ("size", "at", "reason"),
    [
        ("1.00000001", None, Reject.INVALID_QTY),
        ("0", None, Reject.INVALID_QTY),
        (None, "-1", Reject.INVALID_PRICE),
    ],
)
def test_a_fill_that_cannot_be(venue, size, at, reason):
    order = venue.buy("alice", "1", "50000.0")
    with venue.refuses(reason):
        fill(venue, order, size, at)


def test_an_order_expires_or_is_cancelled_whatever_it_waits_for(venue):
    resting = venue.buy("alice", "1", "50000.0", cl_ord_id="mine")
    waiting = venue.sell("alice", "1", type=OrderType.STOP_LOSS, trigger=price("40000.0"))
    scheduled = venue.buy("alice", "1", "50000.0", start_ns=venue.now_ns + 60 * SECOND_NS)
    venue.apply(commands.EndOrder(account="alice", cl_ord_id="mine", reason=Reason.EXPIRED))
    end(venue, waiting, Reason.EXPIRED)
    end(venue, scheduled, Reason.CANCEL_AFTER)
    assert [(order.status, order.reason) for order in (resting, waiting, scheduled)] == [
        (Status.EXPIRED, Reason.EXPIRED),
        (Status.EXPIRED, Reason.EXPIRED),
        (Status.CANCELED, Reason.CANCEL_AFTER),
    ]
    assert venue.bids() == []
    with venue.refuses(Reject.UNKNOWN_ORDER):
        end(venue, resting)
    with venue.refuses(Reject.UNKNOWN_ORDER):
        fill(venue, resting)


# -- a new beginning -------------------------------------------------------------------------------------


def busy(venue):
    """Leave something of every kind behind."""
    seed(venue, [("49990.0", "1")], [("50010.0", "5")])
    venue.buy("alice", "1")
    venue.buy("alice", "0.5", "49000.0", tif=TimeInForce.GTD, expire_ns=venue.now_ns + 60 * SECOND_NS)
    venue.sell("bob", "0.5", type=OrderType.TRAILING_STOP, trigger=Offset(1000))
    venue.buy("bob", "0.5", leverage=2)
    venue.cancel_all_after("bob", 30)
    venue.apply(commands.CreateSubaccount("alice", "child"))
    venue.apply(commands.SetStatus(TradingStatus.POST_ONLY, XBTUSD))
    venue.apply(commands.SetStatus(TradingStatus.CANCEL_ONLY))
    withdrawal = {"method": "Bitcoin", "network": "Bitcoin", "key": "k", "address": "a"}
    venue.apply(commands.Withdraw(account="alice", asset="XXBT", amount=10**9, fee=1000, **withdrawal))


def test_after_a_reset_the_venue_is_as_it_was_at_the_beginning(catalogue, venue):
    beginning = state_of(venue.engine)
    busy(venue)
    venue.apply(commands.Reset(OPENING))
    after = state_of(venue.engine)
    after.pop(XBTUSD)  # trades are numbered on; what is in its book is seen below
    assert after == beginning
    assert (venue.bids(), venue.asks(), venue.engine.markets[XBTUSD].last_price) == ([], [], 0)
    assert venue.engine.system is TradingStatus.ONLINE
    venue.buy("alice", "1", "50000.0")
    venue.wait(86_400)
    assert venue.events == []


def test_clients_are_told_that_orders_end_and_what_they_own(venue):
    busy(venue)
    venue.apply(commands.Reset(OPENING))
    assert [event.order.reason for event in venue.all(events.Ended)] == [Reason.USER] * 2
    last = {(event.account, event.entry.asset): event.entry.balance for event in venue.all(events.Posted)}
    assert last == {
        ("alice", "ZUSD"): 1_000_000_0000,
        ("alice", "XXBT"): 10_0000000000,
        ("bob", "ZUSD"): 1_000_000_0000,
    }
    statuses = [(event.pair, event.status) for event in venue.all(events.StatusChanged)]
    assert statuses == [(XBTUSD, TradingStatus.ONLINE), (None, TradingStatus.ONLINE)]


def test_ids_are_never_used_again(venue):
    order = venue.buy("alice", "1", "50000.0")
    ledger = set(venue.engine.accounts["alice"].ledger)
    venue.apply(commands.Reset(OPENING))
    assert venue.buy("alice", "1", "50000.0").txid != order.txid
    assert not ledger & set(venue.engine.accounts["alice"].ledger)


def test_the_market_may_be_kept(venue):
    seed(venue, [("49990.0", "1")], [("50010.0", "5")])
    venue.buy("alice", "1", "49990.0")
    print_trade(venue, "50000.0")
    venue.apply(commands.Reset(OPENING, keeps_market=True))
    assert (venue.bids(), venue.asks()) == ([("49990", "1")], [("50010", "5")])
    assert venue.engine.markets[XBTUSD].last_price == 500000
