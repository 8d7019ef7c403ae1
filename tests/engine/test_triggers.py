"""Orders that wait for a price or a time, relative prices, conditional closes, spending an amount."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.engine import commands, events
from emulator.engine.accounts import Account
from emulator.engine.commands import Close, SetIndex
from emulator.engine.events import Reject
from emulator.engine.instruments import scaled
from emulator.engine.orders import Order, OrderType, Reason, Status, TimeInForce
from emulator.engine.triggers import Offset, Reference
from tests.engine.venue import SECOND_NS, START_NS, XBTUSD

TYPES = OrderType


def ticks(price: str) -> int:
    return scaled(price, 1)


def percent(value: str) -> Offset:
    return Offset(scaled(value, 4), percent=True)


def distance(value: str) -> Offset:
    return Offset(ticks(value))


def waiting(venue: Any, side: str, type_: OrderType, trigger: Any, limit: Any = None, **terms: Any) -> Order:
    """Place an order of ``alice`` that waits for a price."""
    if isinstance(trigger, str):
        trigger = ticks(trigger)
    place = venue.buy if side == "buy" else venue.sell
    return place("alice", terms.pop("qty", "0.5"), limit, type=type_, trigger=trigger, **terms)


def trade(venue: Any, price: str, qty: str = "0.01") -> None:
    """Let the last price be ``price``, and leave nothing behind."""
    venue.sell("bob", qty, price)
    venue.buy("carol", qty, price)


def quote(venue: Any, bid: str, ask: str, qty: str = "5") -> None:
    """Let bob quote both sides."""
    venue.cancel_all("bob")
    venue.buy("bob", qty, bid)
    venue.sell("bob", qty, ask)


class TestStops:
    @pytest.mark.parametrize(
        ("side", "type_", "trigger", "before", "at"),
        [
            ("sell", TYPES.STOP_LOSS, "59000", "59000.1", "59000"),
            ("buy", TYPES.STOP_LOSS, "61000", "60999.9", "61000"),
            ("sell", TYPES.TAKE_PROFIT, "61000", "60999.9", "61000"),
            ("buy", TYPES.TAKE_PROFIT, "59000", "59000.1", "59000"),
        ],
    )
    def test_fires_as_a_market_order_when_the_last_price_reaches_it(
        self, venue, side, type_, trigger, before, at
    ):
        trade(venue, "60000")
        order = waiting(venue, side, type_, trigger)
        assert (order.status, order.waiting, order.level) == (Status.OPEN, True, None)
        trade(venue, before)
        assert order.waiting
        quote(venue, "58000", "62000")
        assert order.waiting
        venue.sell("carol", "0.01", at)
        venue.buy("bob", "0.01", at)
        assert not order.waiting
        assert order.trigger.fired_price == ticks(at)
        assert (order.status, order.reason) == (Status.CLOSED, None)
        assert venue.fills(order) == [("0.5", "58000" if side == "sell" else "62000")]

    def test_fires_at_once_when_the_price_is_there_already(self, venue):
        trade(venue, "60000")
        quote(venue, "59990", "60010")
        order = waiting(venue, "sell", TYPES.STOP_LOSS, "60000")
        assert [type(event) for event in venue.events[:2]] == [events.Accepted, events.Triggered]
        assert venue.fills(order) == [("0.5", "59990")]

    def test_waits_while_nothing_has_ever_traded(self, venue):
        order = waiting(venue, "sell", TYPES.STOP_LOSS, "60000")
        quote(venue, "59990", "60010")
        assert order.waiting

    @pytest.mark.parametrize(("limit", "rests_at"), [("58900", "58900"), (distance("-50"), "58950")])
    def test_limited_one_becomes_a_limit_order(self, venue, limit, rests_at):
        trade(venue, "60000")
        order = waiting(venue, "sell", TYPES.STOP_LOSS_LIMIT, "59000", limit)
        venue.buy("bob", "0.01", "59000")
        venue.sell("carol", "0.01", "59000")
        assert (order.status, order.price) == (Status.OPEN, ticks(rests_at))
        assert order.level is not None
        assert not venue.fills(order)

    def test_holds_its_funds_from_the_start_and_gives_them_back(self, venue):
        trade(venue, "60000")
        before = venue.engine.accounts["alice"].available("XXBT")
        order = waiting(venue, "sell", TYPES.STOP_LOSS, "59000", qty="1")
        assert venue.engine.accounts["alice"].available("XXBT") == before - 10**10
        with venue.refuses(Reject.INSUFFICIENT_FUNDS):
            waiting(venue, "sell", TYPES.STOP_LOSS, "59000", qty="1000000000")
        venue.cancel(order)
        assert (order.status, order.reason) == (Status.CANCELED, Reason.USER)
        assert venue.engine.accounts["alice"].available("XXBT") == before
        venue.buy("bob", "1", "58000")
        trade(venue, "58500")
        assert not venue.fills(order)

    def test_buy_that_costs_more_than_was_held_is_cancelled(self, venue):
        trade(venue, "60000")
        venue.deposit("dave", ZUSD="6120")
        order = venue.buy("dave", "0.1", type=TYPES.STOP_LOSS, trigger=ticks("60500"))
        venue.sell("bob", "1", "62000")
        trade(venue, "60500")
        assert (order.status, order.reason) == (Status.CANCELED, Reason.INSUFFICIENT_FUNDS)
        assert venue.balance("dave", "ZUSD") == "6120"

    def test_those_that_are_nearer_and_older_go_first_and_set_off_others(self, venue):
        trade(venue, "60000")
        far = waiting(venue, "sell", TYPES.STOP_LOSS, "58000", qty="0.1")
        second = waiting(venue, "sell", TYPES.STOP_LOSS, "59000", qty="0.2")
        first = waiting(venue, "sell", TYPES.STOP_LOSS, "59500", qty="0.3")
        third = waiting(venue, "sell", TYPES.STOP_LOSS, "59000", qty="0.4")
        venue.buy("bob", "0.3", "59000")
        venue.buy("bob", "0.5", "58000")
        venue.buy("bob", "5", "57000")
        venue.buy("carol", "0.01", "59400")
        venue.sell("bob", "0.01", "59400")
        fired = [event.order for event in venue.events if isinstance(event, events.Triggered)]
        assert fired == [first, second, third, far]
        assert [venue.fills(order)[0][1] for order in fired] == ["59000", "58000", "58000", "57000"]

    @pytest.mark.parametrize(
        "terms",
        [
            {"type_": TYPES.STOP_LOSS, "trigger": None},
            {"type_": TYPES.STOP_LOSS, "trigger": 0},
            {"type_": TYPES.TRAILING_STOP, "trigger": ticks("60000")},
            {"type_": TYPES.TRAILING_STOP, "trigger": distance("-5")},
        ],
    )
    def test_refuses_what_it_cannot_wait_for(self, venue, terms):
        trade(venue, "60000")
        with venue.refuses(Reject.INVALID_TRIGGER):
            waiting(venue, "sell", **terms)

    def test_waiting_orders_are_changed_where_they_wait(self, venue):
        trade(venue, "60000")
        order = waiting(venue, "sell", TYPES.STOP_LOSS_LIMIT, "59000", "58900")
        venue.amend(order, trigger=ticks("59500"), price="59400", qty="0.7")
        assert (order.trigger.price, order.price, order.qty, order.amended) == (
            *(ticks("59500"), ticks("59400"), 7 * 10**7),
            True,
        )
        venue.amend(order, trigger=percent("-1"))
        assert order.trigger.price == ticks("59400")
        venue.buy("bob", "0.01", "59400")
        venue.sell("carol", "0.01", "59400")
        assert not order.waiting
        with pytest.raises(Exception, match="INVALID_TRIGGER"):
            venue.amend(order, trigger=ticks("59000"))

    def test_edit_gives_a_new_order_that_waits(self, venue):
        trade(venue, "60000")
        old = waiting(venue, "sell", TYPES.STOP_LOSS, "59000")
        new = venue.edit(old, trigger=ticks("59500"))
        assert (old.status, old.reason) == (Status.CANCELED, Reason.REPLACED)
        assert (new.type, new.trigger.price, new.waiting) == (TYPES.STOP_LOSS, ticks("59500"), True)
        trade(venue, "58800")
        assert not old.trigger.fired_ns

    def test_good_till_date_ends_it_where_it_waits(self, venue):
        trade(venue, "60000")
        order = waiting(
            venue,
            *("sell", TYPES.STOP_LOSS_LIMIT, "59000", "58900"),
            tif=TimeInForce.GTD,
            expire_ns=START_NS + 60 * SECOND_NS,
        )
        venue.wait(60)
        assert order.status is Status.EXPIRED
        assert not venue.engine.markets[XBTUSD].triggers.orders


class TestTrailing:
    def test_follows_the_best_price_and_fires_when_the_price_turns_so_far(self, venue):
        trade(venue, "60000")
        order = waiting(venue, "sell", TYPES.TRAILING_STOP, distance("500"))
        assert (order.trigger.price, order.trigger.peak) == (ticks("59500"), ticks("60000"))
        trade(venue, "60800")
        assert (order.trigger.price, order.trigger.peak) == (ticks("60300"), ticks("60800"))
        assert [event.price for event in venue.all(events.TriggerMoved)] == [ticks("60300")]
        trade(venue, "60400")
        assert order.waiting
        assert not venue.all(events.TriggerMoved)
        venue.buy("bob", "1", "60200")
        trade(venue, "60300")
        assert venue.fills(order) == [("0.5", "60200")]

    def test_percentage_follows_down_for_a_buy(self, venue):
        trade(venue, "60000")
        order = waiting(venue, "buy", TYPES.TRAILING_STOP, percent("1"))
        assert order.trigger.price == ticks("60600")
        trade(venue, "50000")
        assert order.trigger.price == ticks("50500")
        venue.sell("bob", "1", "50600")
        trade(venue, "50500")
        assert venue.fills(order) == [("0.5", "50600")]

    def test_limit_is_taken_from_where_the_trigger_stood(self, venue):
        trade(venue, "60000")
        order = waiting(venue, "sell", TYPES.TRAILING_STOP_LIMIT, distance("500"), distance("-20"))
        trade(venue, "59500")
        assert (order.price, order.status) == (ticks("59480"), Status.OPEN)

    def test_begins_with_the_first_trade_when_there_was_none(self, venue):
        order = waiting(venue, "sell", TYPES.TRAILING_STOP, distance("500"))
        assert order.trigger.price == 0
        trade(venue, "60000")
        assert order.trigger.price == ticks("59500")

    @given(st.lists(st.integers(400_000, 800_000), min_size=1, max_size=30), st.integers(1, 50_000))
    @settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_it_never_fires_before_the_price_is_so_far_from_its_best(self, new_venue, prices, away):
        venue = new_venue(Account("alice"))
        venue.deposit("alice", XXBT="1")
        market = venue.engine.markets[XBTUSD]
        venue.apply(SetIndex(XBTUSD, 600_000))
        order = waiting(
            venue, "sell", TYPES.TRAILING_STOP, Offset(away), reference=Reference.INDEX, qty="0.001"
        )
        best = 600_000
        for price in prices:
            venue.apply(SetIndex(XBTUSD, price))
            best = max(best, price)
            due = price <= best - away
            assert bool(order.trigger.fired_ns) is due
            assert bool(market.index_triggers.orders) is not due
            if due:
                return
            assert (order.trigger.peak, order.trigger.price) == (best, best - away)


class TestReferences:
    def test_index_is_unavailable_until_somebody_tells_one(self, venue):
        trade(venue, "60000")
        with venue.refuses(Reject.INDEX_UNAVAILABLE):
            waiting(venue, "sell", TYPES.STOP_LOSS, "59000", reference=Reference.INDEX)
        venue.apply(SetIndex(XBTUSD, ticks("60000")))
        order = waiting(venue, "sell", TYPES.STOP_LOSS, "59000", reference=Reference.INDEX)
        trade(venue, "58000")
        assert order.waiting
        venue.buy("bob", "1", "57000")
        venue.apply(SetIndex(XBTUSD, ticks("59000")))
        assert venue.fills(order) == [("0.5", "57000")]

    @pytest.mark.parametrize(
        ("side", "offset", "price"),
        [
            ("buy", distance("-100"), "59900"),
            ("sell", percent("1.5"), "60900"),
            ("buy", percent("-0.0333"), "59980.1"),  # of 19.98 only whole ticks count
        ],
    )
    def test_relative_limit_is_a_number_from_the_last_price(self, venue, side, offset, price):
        trade(venue, "60000")
        place = venue.buy if side == "buy" else venue.sell
        order = place("alice", "0.5", offset)
        assert order.price == ticks(price)

    def test_relative_price_of_a_pair_that_never_traded_is_refused(self, venue):
        with venue.refuses(Reject.INVALID_PRICE):
            venue.buy("alice", "0.5", distance("-1"))

    def test_relative_trigger_is_a_number_from_its_reference(self, venue):
        trade(venue, "60000")
        order = waiting(venue, "sell", TYPES.STOP_LOSS, percent("-2"))
        assert order.trigger.price == ticks("58800")
        assert order.trigger.offset == percent("-2")


class TestSchedules:
    def test_order_goes_live_at_its_time(self, venue):
        venue.sell("bob", "1", "60000")
        order = venue.buy("alice", "0.5", "60000", start_ns=START_NS + 10 * SECOND_NS)
        assert (order.status, venue.fills(order)) == (Status.PENDING, [])
        assert venue.engine.accounts["alice"].scheduled == 1
        venue.wait(9)
        assert order.status is Status.PENDING
        venue.wait(1)
        assert type(venue.events[0]) is events.Started
        assert venue.fills(order) == [("0.5", "60000")]
        assert venue.engine.accounts["alice"].scheduled == 0

    def test_scheduled_order_can_be_cancelled_and_changed(self, venue):
        order = venue.buy("alice", "0.5", "60000", start_ns=START_NS + 10 * SECOND_NS)
        venue.amend(order, price="50000")
        other = venue.buy("alice", "0.5", "60000", start_ns=START_NS + 10 * SECOND_NS)
        venue.cancel(other)
        venue.wait(10)
        assert (order.status, order.price) == (Status.OPEN, ticks("50000"))
        assert other.status is Status.CANCELED
        assert venue.engine.accounts["alice"].scheduled == 0

    def test_time_that_has_passed_means_now(self, venue):
        assert venue.buy("alice", "0.5", "60000", start_ns=START_NS - 1).status is Status.OPEN

    def test_only_so_many_may_wait(self, venue):
        later = START_NS + SECOND_NS
        for _ in range(50):
            venue.buy("alice", "0.05", "60000", start_ns=later)
        with venue.refuses(Reject.SCHEDULED_LIMIT):
            venue.buy("alice", "0.5", "60000", start_ns=later)


class TestConditionalClose:
    def test_each_fill_places_the_other_order_for_what_was_filled(self, venue):
        close = Close(type=TYPES.LIMIT, price=ticks("61000"))
        order = venue.buy("alice", "0.5", "60000", close=close)
        venue.sell("bob", "0.2", "60000")
        venue.sell("bob", "0.3", "60000")
        children = [o for o in venue.engine.accounts["alice"].open.values() if o.refid == order.txid]
        assert [(o.buy, o.type, o.price, venue.filled(o), o.qty) for o in children] == [
            (False, TYPES.LIMIT, ticks("61000"), "0", 2 * 10**7),
            (False, TYPES.LIMIT, ticks("61000"), "0", 3 * 10**7),
        ]

    def test_relative_close_is_taken_from_the_price_of_the_fill(self, venue):
        close = Close(type=TYPES.STOP_LOSS_LIMIT, trigger=percent("-10"), price=distance("-100"))
        venue.sell("bob", "1", "60000")
        venue.buy("alice", "0.5", close=close)
        [child] = venue.engine.accounts["alice"].open.values()
        assert (child.trigger.price, child.limit_offset, child.waiting) == (
            *(ticks("54000"), distance("-100")),
            True,
        )

    def test_close_that_there_are_no_funds_for_ends_at_once(self, venue):
        venue.deposit("dave", ZUSD="7000")
        venue.sell("bob", "1", "60000")
        close = Close(type=TYPES.LIMIT, price=ticks("61000"))
        venue.buy("dave", "0.1", close=close, fee_in_base=True)
        child = venue.all(events.Accepted)[1].order
        assert (child.status, child.reason) == (Status.CANCELED, Reason.INSUFFICIENT_FUNDS)

    def test_an_amend_to_where_a_trigger_stands_changes_nothing(self, venue):
        trade(venue, "60000")
        fixed = waiting(venue, "sell", TYPES.STOP_LOSS_LIMIT, "59000", ticks("58000"))
        trailing = waiting(venue, "sell", TYPES.TRAILING_STOP, percent("1"))
        relative = waiting(venue, "sell", TYPES.TRAILING_STOP_LIMIT, percent("1"), distance("-5"))
        for order, changes in (
            (fixed, {"trigger": ticks("59000"), "price": ticks("58000")}),
            (trailing, {"trigger": percent("1")}),
            (relative, {"price": distance("-5")}),
        ):
            with venue.refuses(Reject.NOTHING_TO_AMEND):
                venue.apply(commands.AmendOrder(account="alice", txid=order.txid, **changes))
        venue.apply(commands.AmendOrder(account="alice", txid=trailing.txid, trigger=percent("2")))
        venue.apply(commands.AmendOrder(account="alice", txid=relative.txid, price=distance("-6")))

    def test_order_with_a_close_can_be_neither_amended_nor_edited(self, venue):
        order = venue.buy("alice", "0.5", "60000", close=Close(type=TYPES.LIMIT, price=ticks("61000")))
        with venue.refuses(Reject.AMEND_NOT_ALLOWED):
            venue.amend(order, price="59000")
        with venue.refuses(Reject.EDIT_NOT_ALLOWED):
            venue.edit(order, price="59000")

    @pytest.mark.parametrize(
        "close",
        [
            Close(type=TYPES.MARKET),
            Close(type=TYPES.SETTLE_POSITION),
            Close(type=TYPES.LIMIT),
            Close(type=TYPES.STOP_LOSS),
            Close(type=TYPES.TRAILING_STOP, trigger=ticks("5")),
        ],
    )
    def test_close_must_be_sound(self, venue, close):
        with venue.refuses(Reject.INVALID_CLOSE):
            venue.buy("alice", "0.5", "60000", close=close)


class TestTrailingDistance:
    @pytest.mark.parametrize(
        ("side", "last", "offset", "stop"),
        [
            ("sell", "40266.0", percent("1"), "39863.4"),  # 402.66 behind
            ("buy", "40266.0", percent("1"), "40668.6"),
            ("sell", "40000.1", percent("50"), "20000.1"),  # 20000.05 behind
            ("sell", "60000.0", distance("50"), "59950.0"),
        ],
    )
    def test_it_is_the_distance_that_is_rounded_down_to_a_tick(self, venue, side, last, offset, stop):
        trade(venue, last)
        order = waiting(venue, side, TYPES.TRAILING_STOP, offset)
        assert order.trigger.price == ticks(stop)


class TestSpending:
    def test_market_order_spends_an_amount_of_the_quote_asset(self, venue):
        venue.sell("bob", "0.001", "60000")
        venue.sell("bob", "1", "61000")
        order = venue.buy("alice", "0", cash=scaled("121", 9))
        assert venue.fills(order) == [("0.001", "60000"), ("0.001", "61000")]
        assert order.status is Status.CLOSED

    @pytest.mark.parametrize(
        ("cash", "volume", "price"),
        [
            ("15", "0.00013394", "111993.3"),  # recorded 2025-09 in XBTUSDT; half up
            ("15", "0.00013393", "111998.3"),  # rounded down
            ("60.5", "0.00100833", "60000"),
        ],
    )
    def test_the_amount_is_spent_to_its_last_digit_whatever_the_volume_is_rounded_to(
        self, venue, cash, volume, price
    ):
        venue.sell("bob", "1", price)
        order = venue.buy("alice", "0", cash=scaled(cash, 9))
        assert venue.fills(order) == [(volume, price)]
        assert order.cost == scaled(cash, 9)
        moved = [e.entry.amount for e in venue.all(events.Posted) if e.entry.asset == "ZUSD"]
        assert moved == [-scaled(cash, 4), scaled(cash, 4)]
        [fee, _] = [e.trade.fee for e in venue.all(events.Filled)]
        assert fee == scaled(cash, 5) * order.rate_cap_ppm // 10**6

    def test_of_several_fills_the_last_one_takes_what_is_left(self, venue):
        venue.sell("bob", "0.00010000", "60000")
        venue.sell("bob", "1", "61000")
        order = venue.buy("alice", "0", cash=scaled("21", 9))
        assert venue.fills(order) == [("0.0001", "60000"), ("0.0002459", "61000")]
        trades = [e.trade.cost for e in venue.all(events.Filled) if e.order is order]
        assert trades == [scaled("6", 9), scaled("15", 9)]

    def test_an_amount_that_the_book_cannot_take_is_spent_as_far_as_it_goes(self, venue):
        venue.sell("bob", "0.001", "60000")
        order = venue.buy("alice", "0", cash=scaled("121", 9))
        assert order.cost == scaled("60", 9)

    def test_the_last_cent_of_a_balance_can_be_spent(self, venue):
        maker = venue.sell("bob", "1", "111993.3")
        fee = 15 * maker.instrument.fees.taker[0][1] // 100  # of 15.0000 dollars
        venue.apply(commands.SetBalances("alice", (("ZUSD", 15_0000 + fee),)))
        order = venue.buy("alice", "0", cash=scaled("15", 9))
        assert order.status is Status.CLOSED
        assert venue.balance("alice", "ZUSD") == "0"

    @pytest.mark.parametrize(
        "terms",
        [
            {"price": "60000"},
            {"leverage": 2},
        ],
    )
    def test_only_a_plain_market_order_to_buy_can(self, venue, terms):
        venue.sell("bob", "1", "60000")
        with venue.refuses(Reject.INVALID_CASH):
            venue.buy("alice", "0", cash=scaled("121", 9), **terms)
        with venue.refuses(Reject.INVALID_CASH):
            venue.sell("alice", "0", cash=scaled("121", 9))

    def test_too_little_is_refused(self, venue):
        venue.sell("bob", "1", "60000")
        with venue.refuses(Reject.ORDER_MINIMUM):
            venue.buy("alice", "0", cash=scaled("0.6", 9))
        with venue.refuses(Reject.INVALID_CASH):
            venue.buy("alice", "0", cash=scaled("0.4", 9))


class TestProtection:
    def test_market_order_trades_no_further_than_ten_percent_from_the_best_price(self, venue):
        venue.sell("bob", "0.1", "60000")
        venue.sell("bob", "0.1", "66000")
        venue.sell("bob", "1", "66000.1")
        order = venue.buy("alice", "1")
        assert venue.fills(order) == [("0.1", "60000"), ("0.1", "66000")]
        assert (order.status, order.reason) == (Status.CANCELED, Reason.PRICE_PROTECTION)

    def test_limit_far_beyond_the_market_is_taken_for_a_mistake(self, venue):
        trade(venue, "60000")
        with venue.refuses(Reject.INVALID_PRICE):
            venue.buy("alice", "0.001", "600000.1")
        with venue.refuses(Reject.INVALID_PRICE):
            venue.sell("alice", "0.001", "5999.9")
        venue.buy("alice", "0.1", "6000")
        venue.sell("alice", "0.001", "600000")
        assert isinstance(venue.events[0], events.Accepted)


def test_check_sees_what_placing_sees(venue):
    place = commands.PlaceOrder(
        account="alice", pair=XBTUSD, side=commands.Side.SELL, type=TYPES.STOP_LOSS, qty=10**7
    )
    assert venue.engine.check(place, START_NS) is Reject.INVALID_TRIGGER
