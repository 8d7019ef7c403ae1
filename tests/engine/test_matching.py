"""Orders at the venue: how they meet, rest, change and end."""

import msgspec
import pytest

from emulator.engine import commands, events
from emulator.engine.accounts import Account
from emulator.engine.events import Reject
from emulator.engine.instruments import Catalogue
from emulator.engine.limits import LIMITS, AccountTier
from emulator.engine.orders import Order, OrderType, Reason, SelfTrade, Status, TimeInForce
from tests.engine.venue import DAY_NS, SECOND_NS, XBTUSD, queue, state_of

ETHUSD = "XETHZUSD"


def ended(order: Order, status: Status, reason: Reason | None) -> bool:
    """Tell whether ``order`` left the venue like that."""
    gone = order.level is None and order.txid in order.account.closed and not order.hold
    return gone and (order.status, order.reason) == (status, reason)


class TestPriority:
    def test_better_price_trades_first_whatever_its_age(self, venue):
        worse = venue.sell("alice", "1", "60010")
        better = venue.sell("bob", "1", "60000")
        venue.buy("carol", "1", "60010")
        assert venue.fills(better) == [("1", "60000")]
        assert venue.fills(worse) == []

    def test_older_order_trades_first_at_the_same_price(self, venue):
        older = venue.buy("alice", "1", "60000")
        younger = venue.buy("bob", "1", "60000")
        venue.sell("carol", "1.25", "60000")
        assert venue.fills(older) == [("1", "60000")]
        assert venue.fills(younger) == [("0.25", "60000")]

    def test_partly_filled_order_stays_open_in_its_place(self, venue):
        first = venue.buy("alice", "1", "60000")
        venue.buy("bob", "1", "60000")
        venue.sell("carol", "0.4", "60000")
        venue.sell("carol", "0.3", "60000")
        assert venue.fills(first) == [("0.4", "60000"), ("0.3", "60000")]
        assert first.status is Status.OPEN
        assert venue.bids() == [("60000", "1.3")]

    def test_incoming_order_gets_the_resting_price_and_the_rest_of_it_rests_at_its_own(self, venue):
        venue.sell("alice", "0.5", "59990")
        incoming = venue.buy("bob", "1", "60000")
        assert venue.fills(incoming) == [("0.5", "59990")]
        assert venue.bids() == [("60000", "0.5")]
        assert venue.asks() == []

    def test_order_trades_up_to_its_limit_and_not_beyond(self, venue):
        venue.sell("alice", "1", "60000")
        venue.sell("alice", "1", "60000.1")
        incoming = venue.buy("bob", "2", "60000")
        assert venue.fills(incoming) == [("1", "60000")]
        assert venue.asks() == [("60000.1", "1")]

    def test_public_trade_tells_price_quantity_and_the_incoming_side_and_is_numbered(self, venue):
        venue.buy("alice", "1", "60000")
        venue.sell("bob", "0.25", "60000")
        venue.sell("bob", "0.5")
        trades = [event for event in venue.history if isinstance(event, events.Traded)]
        assert [(t.trade_id, t.price, t.qty, t.taker_buy, t.market_order) for t in trades] == [
            (1, 600_000, 25_000_000, False, False),
            (2, 600_000, 50_000_000, False, True),
        ]

    def test_market_maker_without_limits_is_matched_like_anybody_and_hears_nothing(self, venue):
        venue.sell("house", "0.000001", "60000")
        venue.sell("bob", "1", "60000")
        taker = venue.buy("alice", "1", "60000")
        assert venue.fills(taker) == [("0.000001", "60000"), ("0.999999", "60000")]
        assert {event.order.account.name for event in venue.all(events.Filled)} == {"alice", "bob"}

    def test_order_of_the_market_is_cancelled_once_and_then_not_again(self, venue):
        order = venue.sell("house", "1", "60000")
        changed = venue.engine.cancel_house(order, venue.now_ns)
        assert changed == [events.BookChanged(XBTUSD, ((-600_000, 0),), venue.now_ns)]
        assert venue.engine.cancel_house(order, venue.now_ns) == []


class TestMarketOrders:
    def test_market_order_walks_the_levels(self, venue):
        for qty, price in (("0.5", "60000"), ("0.25", "60001"), ("1", "60005")):
            venue.sell("alice", qty, price)
        taker = venue.buy("bob", "1")
        assert venue.fills(taker) == [("0.5", "60000"), ("0.25", "60001"), ("0.25", "60005")]
        assert ended(taker, Status.CLOSED, None)

    @pytest.mark.parametrize("side", ["buy", "sell"])
    def test_remainder_of_a_market_order_is_cancelled_when_the_book_runs_dry(self, venue, side):
        (venue.sell if side == "buy" else venue.buy)("alice", "0.5", "60000")
        taker = getattr(venue, side)("bob", "1")
        assert venue.fills(taker) == [("0.5", "60000")]
        assert ended(taker, Status.CANCELED, Reason.NO_LIQUIDITY)

    def test_market_order_ignores_its_time_in_force(self, venue):
        venue.sell("alice", "0.5", "60000")
        taker = venue.buy("bob", "1", tif=TimeInForce.FOK)
        assert venue.fills(taker) == [("0.5", "60000")]

    def test_market_order_to_buy_needs_only_what_the_book_would_cost(self, venue):
        venue.sell("alice", "0.001", "60000")
        venue.sell("alice", "1", "90000")
        venue.deposit("dave", ZUSD="60.24")
        assert venue.fills(venue.buy("dave", "0.001")) == [("0.001", "60000")]
        with venue.refuses(Reject.INSUFFICIENT_FUNDS):
            venue.buy("dave", "0.001")

    def test_market_order_to_buy_is_held_at_the_prices_of_all_the_levels_it_would_walk(self, venue):
        venue.sell("alice", "0.001", "60000")
        venue.sell("alice", "0.001", "65000")
        venue.deposit("dave", ZUSD="125.4999")
        with venue.refuses(Reject.INSUFFICIENT_FUNDS):
            venue.buy("dave", "0.002")
        venue.deposit("dave", ZUSD="0.0001")
        assert ended(venue.buy("dave", "0.002"), Status.CLOSED, None)
        assert venue.balance("dave", "ZUSD") == "0"


class TestTimeInForce:
    def test_immediate_or_cancel_takes_what_there_is_and_never_rests(self, venue):
        venue.sell("alice", "0.5", "60000")
        taker = venue.buy("bob", "1", "60000", tif=TimeInForce.IOC)
        assert venue.fills(taker) == [("0.5", "60000")]
        assert ended(taker, Status.CANCELED, Reason.IOC)
        assert venue.bids() == []

    def test_fill_or_kill_does_not_trade_when_it_cannot_be_filled_at_its_price(self, venue):
        venue.sell("alice", "0.5", "60000")
        venue.sell("alice", "0.5", "60001")
        taker = venue.buy("bob", "1", "60000", tif=TimeInForce.FOK)
        assert ended(taker, Status.CANCELED, Reason.FOK)
        assert venue.fills(taker) == []
        assert venue.asks() == [("60000", "0.5"), ("60001", "0.5")]

    def test_fill_or_kill_counts_the_hidden_quantity_of_icebergs(self, venue):
        venue.sell("alice", "1", "60000", display="0.1")
        taker = venue.buy("bob", "1", "60000", tif=TimeInForce.FOK)
        assert ended(taker, Status.CLOSED, None)
        assert venue.filled(taker) == "1"

    @pytest.mark.parametrize("self_trade", [SelfTrade.CANCEL_NEWEST, SelfTrade.CANCEL_BOTH])
    def test_fill_or_kill_is_killed_when_an_own_order_stands_before_the_hidden_quantity(
        self, venue, self_trade
    ):
        venue.sell("alice", "1", "60000", display="0.1")
        own = venue.sell("bob", "1", "60000")
        taker = venue.buy("bob", "0.5", "60000", tif=TimeInForce.FOK, self_trade=self_trade)
        assert venue.fills(taker) == []
        assert ended(taker, Status.CANCELED, Reason.FOK)
        assert own.status is Status.OPEN

    def test_fill_or_kill_trades_before_it_reaches_an_own_order_behind(self, venue):
        venue.sell("alice", "0.5", "60000")
        own = venue.sell("bob", "1", "60000")
        taker = venue.buy("bob", "0.5", "60000", tif=TimeInForce.FOK)
        assert ended(taker, Status.CLOSED, None)
        assert own.status is Status.OPEN

    def test_fill_or_kill_that_cancels_its_oldest_does_not_count_own_quantity(self, venue):
        own = venue.sell("bob", "1", "60000")
        venue.sell("alice", "0.5", "60000")
        killed = venue.buy("bob", "1", "60000", tif=TimeInForce.FOK, self_trade=SelfTrade.CANCEL_OLDEST)
        assert ended(killed, Status.CANCELED, Reason.FOK)
        assert own.status is Status.OPEN
        filled = venue.buy("bob", "0.5", "60000", tif=TimeInForce.FOK, self_trade=SelfTrade.CANCEL_OLDEST)
        assert ended(filled, Status.CLOSED, None)
        assert ended(own, Status.CANCELED, Reason.SELF_TRADE)

    def test_good_till_date_order_expires_at_its_time_and_keeps_its_fills(self, venue):
        order = venue.buy("alice", "1", "60000", tif=TimeInForce.GTD, expire_ns=venue.now_ns + 30 * SECOND_NS)
        venue.sell("bob", "0.25", "60000")
        assert venue.engine.deadline() == venue.now_ns + 30 * SECOND_NS
        assert venue.wait(29.999) == []
        venue.wait(0.001)
        assert ended(order, Status.EXPIRED, Reason.EXPIRED)
        assert venue.filled(order) == "0.25"
        assert venue.all(events.BookChanged)[0].changes == ((600_000, 0),)
        assert venue.engine.deadline() is None

    def test_good_till_date_order_that_has_ended_before_does_not_expire(self, venue):
        order = venue.buy("alice", "1", "60000", tif=TimeInForce.GTD, expire_ns=venue.now_ns + SECOND_NS)
        venue.cancel(order)
        assert venue.wait(2) == []
        assert ended(order, Status.CANCELED, Reason.USER)

    @pytest.mark.parametrize("ahead_ns", [-1, 0, 31 * DAY_NS + 1])
    def test_expiry_in_the_past_or_more_than_a_month_ahead_is_refused(self, venue, ahead_ns):
        with venue.refuses(Reject.INVALID_EXPIRY):
            venue.buy("alice", "1", "60000", tif=TimeInForce.GTD, expire_ns=venue.now_ns + ahead_ns)


class TestPostOnly:
    def test_post_only_order_that_would_cross_is_accepted_then_cancelled(self, venue):
        venue.sell("alice", "1", "60000")
        order = venue.buy("bob", "1", "60000", post_only=True)
        assert [type(event) for event in venue.events] == [events.Accepted, events.Ended]
        assert ended(order, Status.CANCELED, Reason.POST_ONLY)
        assert venue.fills(order) == []
        assert venue.asks() == [("60000", "1")]

    def test_post_only_order_that_would_cross_is_refused_when_the_venue_is_set_so(self, new_venue):
        venue = new_venue(Account("alice"), Account("house", house=True), post_only_rejects=True)
        venue.deposit("alice", ZUSD="100000")
        venue.sell("house", "1", "60000")
        with venue.refuses(Reject.POST_ONLY_WOULD_CROSS):
            venue.buy("alice", "1", "60000", post_only=True)
        resting = venue.buy("alice", "1", "59999.9", post_only=True)
        assert resting.status is Status.OPEN

    def test_post_only_order_rests_beside_the_spread(self, venue):
        venue.sell("alice", "1", "60000")
        order = venue.buy("bob", "1", "59999.9", post_only=True)
        assert order.status is Status.OPEN

    def test_post_only_makes_no_sense_for_orders_that_take(self, venue):
        with venue.refuses(Reject.POST_ONLY_NEEDS_LIMIT):
            venue.buy("alice", "1", post_only=True)
        for tif in (TimeInForce.IOC, TimeInForce.FOK):
            with venue.refuses(Reject.INVALID_TIME_IN_FORCE):
                venue.buy("alice", "1", "60000", post_only=True, tif=tif)


class TestSelfTrade:
    def test_newest_gives_way_by_default(self, venue):
        own = venue.sell("alice", "1", "60000")
        taker = venue.buy("alice", "1", "60000")
        assert ended(taker, Status.CANCELED, Reason.SELF_TRADE)
        assert own.status is Status.OPEN

    def test_newest_keeps_what_it_traded_before_it_met_its_own(self, venue):
        venue.sell("bob", "0.25", "60000")
        own = venue.sell("alice", "1", "60000")
        venue.sell("carol", "1", "60000")
        taker = venue.buy("alice", "1", "60000")
        assert venue.fills(taker) == [("0.25", "60000")]
        assert ended(taker, Status.CANCELED, Reason.SELF_TRADE)
        assert own.status is Status.OPEN
        assert venue.asks() == [("60000", "2")]

    def test_oldest_give_way_one_by_one_and_the_taker_trades_on(self, venue):
        own = [venue.sell("alice", "1", "60000"), venue.sell("alice", "1", "60000")]
        foreign = venue.sell("bob", "0.5", "60000")
        own.append(venue.sell("alice", "1", "60000.1"))
        taker = venue.buy("alice", "1", "60000.1", self_trade=SelfTrade.CANCEL_OLDEST)
        assert all(ended(order, Status.CANCELED, Reason.SELF_TRADE) for order in own)
        assert venue.fills(taker) == venue.fills(foreign) == [("0.5", "60000")]
        assert venue.bids() == [("60000.1", "0.5")]
        assert venue.asks() == []

    def test_own_order_that_is_not_reached_stays(self, venue):
        venue.sell("bob", "1", "60000")
        own = venue.sell("alice", "1", "60000")
        taker = venue.buy("alice", "1", "60000", self_trade=SelfTrade.CANCEL_OLDEST)
        assert ended(taker, Status.CLOSED, None)
        assert own.status is Status.OPEN

    def test_both_give_way_and_only_the_first_of_the_own_orders(self, venue):
        first = venue.sell("alice", "1", "60000")
        second = venue.sell("alice", "1", "60000")
        taker = venue.buy("alice", "2", "60000", self_trade=SelfTrade.CANCEL_BOTH)
        assert ended(taker, Status.CANCELED, Reason.SELF_TRADE)
        assert ended(first, Status.CANCELED, Reason.SELF_TRADE)
        assert second.status is Status.OPEN

    def test_the_incoming_order_decides_what_gives_way(self, venue):
        own = venue.sell("alice", "1", "60000", self_trade=SelfTrade.CANCEL_OLDEST)
        venue.buy("alice", "1", "60000", self_trade=SelfTrade.CANCEL_NEWEST)
        assert own.status is Status.OPEN


class TestIcebergs:
    def test_iceberg_shows_its_slice_only(self, venue):
        venue.sell("alice", "1", "60000", display="0.1")
        assert venue.asks() == [("60000", "0.1")]

    def test_slice_refills_at_the_back_of_the_queue(self, venue):
        iceberg = venue.sell("alice", "0.25", "60000", display="0.1")
        other = venue.sell("bob", "1", "60000")
        venue.buy("carol", "0.1", "60000")
        assert [(e.order, e.shown) for e in venue.all(events.Refilled)] == [(iceberg, 10_000_000)]
        venue.buy("carol", "1.1", "60000")
        assert venue.fills(other) == [("1", "60000")]
        assert venue.fills(iceberg) == [("0.1", "60000"), ("0.1", "60000")]
        assert venue.asks() == [("60000", "0.05")]

    def test_partly_taken_slice_keeps_its_place(self, venue):
        iceberg = venue.sell("alice", "1", "60000", display="0.1")
        venue.sell("bob", "1", "60000")
        venue.buy("carol", "0.06", "60000")
        venue.buy("carol", "0.04", "60000")
        assert venue.fills(iceberg) == [("0.06", "60000"), ("0.04", "60000")]

    def test_two_icebergs_take_turns(self, venue):
        first = venue.sell("alice", "0.4", "60000", display="0.1")
        second = venue.sell("bob", "0.4", "60000", display="0.2")
        venue.buy("carol", "0.65", "60000")
        assert venue.fills(first) == [("0.1", "60000"), ("0.1", "60000"), ("0.05", "60000")]
        assert venue.fills(second) == [("0.2", "60000"), ("0.2", "60000")]

    def test_incoming_iceberg_trades_with_all_of_its_quantity(self, venue):
        venue.sell("alice", "0.8", "60000")
        iceberg = venue.buy("bob", "1", "60000", display="0.15")
        assert venue.fills(iceberg) == [("0.8", "60000")]
        assert venue.bids() == [("60000", "0.15")]

    def test_slice_is_at_least_a_fifteenth_of_the_quantity(self, venue):
        venue.sell("alice", "1.5", "60000", display="0.1")
        with venue.refuses(Reject.INVALID_DISPLAY):
            venue.sell("alice", "1.50000001", "60000", display="0.1")
        with venue.refuses(Reject.INVALID_DISPLAY):
            venue.sell("alice", "1", "60000", display="0")


class TestAmend:
    def test_less_quantity_keeps_the_place_in_the_queue(self, venue):
        first = venue.sell("alice", "1", "60000")
        venue.sell("bob", "1", "60000")
        venue.amend(first, qty="0.5")
        assert venue.asks() == [("60000", "1.5")]
        venue.buy("carol", "0.5", "60000")
        assert venue.fills(first) == [("0.5", "60000")]
        assert ended(first, Status.CLOSED, None)

    @pytest.mark.parametrize("changes", [{"qty": "1.5"}, {"price": "60001"}])
    def test_more_quantity_or_another_price_goes_to_the_back_of_the_queue(self, venue, changes):
        first = venue.sell("alice", "1", "60000")
        others = [venue.sell("bob", "1", "60000"), venue.sell("bob", "1", "60001")]
        venue.amend(first, **changes)
        ahead = others[1] if "price" in changes else others[0]
        assert queue(first.level) == [ahead, first]
        assert (first.status, first.amended) == (Status.OPEN, True)

    def test_amend_keeps_the_txid_and_is_told_with_an_id_of_its_own(self, venue):
        order = venue.sell("alice", "1", "60000")
        txid = order.txid
        venue.amend(order, qty="0.5")
        (amended,) = venue.all(events.Amended)
        assert amended.order is order
        assert order.txid == txid != amended.amend_id

    def test_order_is_found_by_its_client_id_too(self, venue):
        order = venue.sell("alice", "1", "60000", cl_ord_id="mine")
        venue.amend(order, txid=None, cl_ord_id="mine", price="60001")
        assert venue.asks() == [("60001", "1")]

    @pytest.mark.parametrize("qty", ["0.4", "0.3"])
    def test_quantity_that_is_filled_already_cancels_the_rest(self, venue, qty):
        order = venue.sell("alice", "1", "60000")
        venue.buy("bob", "0.4", "60000")
        venue.amend(order, qty=qty)
        assert [type(event) for event in venue.events] == [events.Amended, events.Ended, events.BookChanged]
        assert ended(order, Status.CANCELED, Reason.USER)
        assert venue.filled(order) == "0.4"
        assert venue.asks() == []

    def test_quantity_counts_from_the_beginning_not_from_what_is_left(self, venue):
        order = venue.sell("alice", "1", "60000")
        venue.buy("bob", "0.4", "60000")
        venue.amend(order, qty="1.5")
        assert venue.asks() == [("60000", "1.1")]

    def test_amend_that_crosses_trades(self, venue):
        resting = venue.sell("bob", "0.25", "60000")
        order = venue.buy("alice", "1", "59990")
        venue.amend(order, price="60005")
        assert venue.fills(order) == venue.fills(resting) == [("0.25", "60000")]
        assert isinstance(venue.events[0], events.Amended)
        assert venue.bids() == [("60005", "0.75")]

    def test_amend_that_crosses_an_own_order_gives_way_to_it(self, venue):
        own = venue.sell("alice", "1", "60000")
        order = venue.buy("alice", "1", "59990")
        venue.amend(order, price="60000")
        assert ended(order, Status.CANCELED, Reason.SELF_TRADE)
        assert own.status is Status.OPEN

    def test_post_only_amend_that_would_cross_is_refused(self, venue):
        venue.sell("bob", "1", "60000")
        order = venue.buy("alice", "1", "59990")
        with venue.refuses(Reject.POST_ONLY_WOULD_CROSS):
            venue.amend(order, price="60000", post_only=True)
        venue.amend(order, price="59999.9", post_only=True)
        assert venue.bids() == [("59999.9", "1")]

    def test_order_placed_as_post_only_stays_so_when_amended(self, venue):
        venue.sell("bob", "1", "60000")
        order = venue.buy("alice", "1", "59990", post_only=True)
        with venue.refuses(Reject.POST_ONLY_WOULD_CROSS):
            venue.amend(order, price="60000")

    def test_amend_without_the_funds_is_refused(self, venue):
        venue.deposit("dave", ZUSD="60240")
        order = venue.buy("dave", "1", "60000")
        with venue.refuses(Reject.INSUFFICIENT_FUNDS):
            venue.amend(order, qty="1.00000001")
        with venue.refuses(Reject.INSUFFICIENT_FUNDS):
            venue.amend(order, price="60000.1")
        venue.amend(order, price="30000", qty="2")
        assert venue.held("dave", "ZUSD") == "60240"

    def test_amend_of_an_order_that_is_not_open_is_refused(self, venue):
        order = venue.sell("alice", "1", "60000")
        with venue.refuses(Reject.UNKNOWN_ORDER):
            venue.apply(commands.AmendOrder(account="bob", txid=order.txid, qty=1))
        venue.cancel(order)
        with venue.refuses(Reject.UNKNOWN_ORDER):
            venue.amend(order, qty="0.5")

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"qty": "0"}, Reject.INVALID_QTY),
            ({"qty": "0.00004999"}, Reject.ORDER_MINIMUM),
            ({"price": "0"}, Reject.INVALID_PRICE),
            ({"price": "0.4"}, Reject.COST_MINIMUM),
            ({"display": "0.5"}, Reject.INVALID_DISPLAY),
        ],
    )
    def test_amended_values_are_checked_like_new_ones(self, venue, changes, reason):
        order = venue.sell("alice", "1", "60000")
        with venue.refuses(reason):
            venue.amend(order, **changes)

    @pytest.mark.parametrize(
        "changes",
        [{}, {"qty": "1"}, {"price": "60000"}, {"qty": "1", "price": "60000"}, {"post_only": True}],
        ids=str,
    )
    def test_an_amend_that_changes_nothing_is_refused(self, venue, changes):
        order = venue.sell("alice", "1", "60000")
        with venue.refuses(Reject.NOTHING_TO_AMEND):
            venue.amend(order, **changes)
        assert not order.amended

    def test_another_slice_keeps_the_place_in_the_queue(self, venue):
        iceberg = venue.sell("alice", "1", "60000", display="0.1")
        other = venue.sell("bob", "1", "60000")
        venue.amend(iceberg, display="0.3")
        assert queue(iceberg.level) == [iceberg, other]
        assert venue.asks() == [("60000", "1.3")]
        venue.amend(iceberg, display="0.2")
        assert venue.asks() == [("60000", "1.2")]

    def test_slice_of_an_amended_iceberg_is_at_least_a_fifteenth_of_what_is_left(self, venue):
        iceberg = venue.sell("alice", "1.5", "60000", display="0.5")
        venue.buy("bob", "0.75", "60000")
        with venue.refuses(Reject.INVALID_DISPLAY):
            venue.amend(iceberg, display="0.04999999")
        venue.amend(iceberg, display="0.05")
        assert venue.asks() == [("60000", "0.05")]

    def test_partly_taken_slice_is_not_refilled_by_an_amend_that_keeps_the_place(self, venue):
        iceberg = venue.sell("alice", "1", "60000", display="0.1")
        venue.sell("bob", "1", "60000")
        venue.buy("carol", "0.06", "60000")
        venue.amend(iceberg, qty="0.9")
        assert venue.asks() == [("60000", "1.04")]


class TestEdit:
    def test_edit_cancels_the_old_order_and_places_a_new_one(self, venue):
        old = venue.buy("alice", "1", "60000", userref=7)
        new = venue.edit(old, price="60001")
        assert ended(old, Status.CANCELED, Reason.REPLACED)
        assert new.txid != old.txid
        assert [type(e) for e in venue.events] == [events.Ended, events.Accepted, events.BookChanged]
        assert venue.bids() == [("60001", "1")]
        assert new.userref is None

    def test_edited_order_goes_to_the_back_of_the_queue(self, venue):
        old = venue.buy("alice", "1", "60000")
        other = venue.buy("bob", "1", "60000")
        new = venue.edit(old, qty="0.5")
        assert queue(new.level) == [other, new]

    def test_fills_stay_with_the_old_order(self, venue):
        old = venue.buy("alice", "1", "60000")
        venue.sell("bob", "0.25", "60000")
        new = venue.edit(old, qty="0.5", price="59999")
        assert venue.filled(old) == "0.25"
        assert venue.filled(new) == "0"
        assert new.trades == []

    def test_edit_of_a_partly_filled_order_is_for_what_is_left(self, venue):
        old = venue.buy("alice", "1", "60000")
        venue.sell("bob", "0.25", "60000")
        new = venue.edit(old, price="59999")
        assert new.qty == old.qty - old.filled

    def test_edit_that_crosses_trades(self, venue):
        venue.sell("bob", "0.25", "60000")
        new = venue.edit(venue.buy("alice", "1", "59990"), price="60000")
        assert venue.fills(new) == [("0.25", "60000")]

    def test_edit_is_refused_for_an_order_with_a_client_id(self, venue):
        order = venue.buy("alice", "1", "60000", cl_ord_id="mine")
        with venue.refuses(Reject.EDIT_NOT_ALLOWED):
            venue.edit(order, price="60001")

    def test_edit_to_less_than_what_is_filled_is_refused(self, venue):
        order = venue.buy("alice", "1", "60000")
        venue.sell("bob", "0.5", "60000")
        with venue.refuses(Reject.EDIT_NOT_ALLOWED):
            venue.edit(order, qty="0.49999999")

    def test_funds_of_the_old_order_count_for_the_new_one(self, venue):
        venue.deposit("dave", ZUSD="60240")
        order = venue.buy("dave", "1", "60000")
        with venue.refuses(Reject.INSUFFICIENT_FUNDS):
            venue.edit(order, price="60000.1")
        venue.edit(order, price="59999.9")
        assert venue.held("dave", "ZUSD") == "60239.8996"

    def test_post_only_has_to_be_said_again(self, venue):
        venue.sell("bob", "1", "60000")
        old = venue.buy("alice", "1", "59990", post_only=True)
        new = venue.edit(old, price="59995")
        assert not new.post_only
        last = venue.edit(new, price="60000", post_only=True)
        assert ended(last, Status.CANCELED, Reason.POST_ONLY)

    def test_crossing_post_only_edit_leaves_the_old_order_when_the_venue_refuses_such_orders(self, new_venue):
        venue = new_venue(Account("alice"), Account("house", house=True), post_only_rejects=True)
        venue.deposit("alice", ZUSD="100000")
        venue.sell("house", "1", "60000")
        old = venue.buy("alice", "1", "59990")
        with venue.refuses(Reject.POST_ONLY_WOULD_CROSS):
            venue.edit(old, price="60000", post_only=True)

    def test_edited_good_till_date_order_expires_at_the_same_time(self, venue):
        old = venue.buy("alice", "1", "60000", tif=TimeInForce.GTD, expire_ns=venue.now_ns + 30 * SECOND_NS)
        new = venue.edit(old, price="59999")
        venue.wait(30)
        assert ended(new, Status.EXPIRED, Reason.EXPIRED)

    def test_edit_of_an_order_that_is_not_open_is_refused(self, venue):
        order = venue.buy("alice", "1", "60000")
        venue.cancel(order)
        with venue.refuses(Reject.UNKNOWN_ORDER):
            venue.edit(order, price="60001")


class TestCancel:
    def test_order_is_cancelled_by_its_txid(self, venue):
        order = venue.buy("alice", "1", "60000")
        venue.cancel(order)
        assert ended(order, Status.CANCELED, Reason.USER)
        assert venue.bids() == []
        with venue.refuses(Reject.UNKNOWN_ORDER):
            venue.cancel(order)

    def test_order_is_cancelled_by_its_client_id(self, venue):
        order = venue.buy("alice", "1", "60000", cl_ord_id="mine")
        with venue.refuses(Reject.UNKNOWN_ORDER):
            venue.apply(commands.CancelOrder(account="bob", cl_ord_id="mine"))
        venue.apply(commands.CancelOrder(account="alice", cl_ord_id="mine"))
        assert ended(order, Status.CANCELED, Reason.USER)

    def test_nobody_cancels_the_order_of_another(self, venue):
        order = venue.buy("alice", "1", "60000")
        with venue.refuses(Reject.UNKNOWN_ORDER):
            venue.apply(commands.CancelOrder(account="bob", txid=order.txid))

    def test_cancel_all_counts_and_ends_the_orders_of_all_pairs_and_of_nobody_else(self, venue):
        mine = [venue.buy("alice", "1", "60000"), venue.sell("alice", "1", "3000", pair=ETHUSD)]
        other = venue.buy("bob", "1", "60000")
        venue.cancel_all("alice")
        assert venue.events[0] == events.CancelledAll("alice", 2)
        assert [event.order for event in venue.all(events.Ended)] == mine
        assert venue.bids() == [("60000", "1")]
        assert other.status is Status.OPEN
        assert venue.cancel_all("alice") == [events.CancelledAll("alice", 0)]


class TestDeadMansSwitch:
    def test_it_cancels_everything_once_and_is_then_off(self, venue):
        order = venue.buy("alice", "1", "60000")
        (answer,) = venue.cancel_all_after("alice", 60)
        assert (answer.time_ns, answer.trigger_ns) == (venue.now_ns, venue.now_ns + 60 * SECOND_NS)
        assert venue.wait(59.999) == []
        venue.wait(0.001)
        assert ended(order, Status.CANCELED, Reason.CANCEL_AFTER)
        assert order.account.cancel_after_ns == 0
        later = venue.buy("alice", "1", "60000")
        assert venue.wait(3600) == []
        assert later.status is Status.OPEN

    def test_arming_it_again_puts_it_off(self, venue):
        order = venue.buy("alice", "1", "60000")
        venue.cancel_all_after("alice", 60)
        venue.wait(59)
        venue.cancel_all_after("alice", 60)
        assert venue.wait(59) == []
        venue.wait(1)
        assert ended(order, Status.CANCELED, Reason.CANCEL_AFTER)

    def test_it_can_be_put_forward_and_then_fires_once(self, venue):
        venue.cancel_all_after("alice", 60)
        venue.cancel_all_after("alice", 5)
        order = venue.buy("alice", "1", "60000")
        venue.wait(5)
        assert ended(order, Status.CANCELED, Reason.CANCEL_AFTER)
        later = venue.buy("alice", "1", "60000")
        venue.wait(60)
        assert later.status is Status.OPEN

    def test_zero_seconds_disarm_it(self, venue):
        order = venue.buy("alice", "1", "60000")
        venue.cancel_all_after("alice", 60)
        (answer,) = venue.cancel_all_after("alice", 0)
        assert answer.trigger_ns == 0
        assert venue.wait(60) == []
        assert order.status is Status.OPEN

    def test_it_fires_late_when_time_was_missed_and_leaves_other_accounts_alone(self, venue):
        order, other = venue.buy("alice", "1", "60000"), venue.buy("bob", "1", "60000")
        venue.cancel_all_after("alice", 60)
        venue.wait(500)
        assert ended(order, Status.CANCELED, Reason.CANCEL_AFTER)
        assert other.status is Status.OPEN


class TestChecks:
    def test_client_id_is_unique_among_the_open_orders_of_the_account(self, venue):
        order = venue.buy("alice", "1", "60000", cl_ord_id="mine")
        with venue.refuses(Reject.CLIENT_ID_NOT_UNIQUE):
            venue.buy("alice", "1", "3000", pair=ETHUSD, cl_ord_id="mine")
        venue.buy("bob", "1", "60000", cl_ord_id="mine")
        venue.cancel(order)
        again = venue.buy("alice", "1", "60000", cl_ord_id="mine")
        assert again.status is Status.OPEN

    def test_client_id_is_free_again_after_a_fill(self, venue):
        venue.buy("alice", "1", "60000", cl_ord_id="mine")
        venue.sell("bob", "1", "60000")
        assert venue.buy("alice", "1", "60000", cl_ord_id="mine").status is Status.OPEN

    @pytest.mark.parametrize(
        ("order", "reason"),
        [
            ({"qty": "0", "price": "60000"}, Reject.INVALID_QTY),
            ({"qty": "-1", "price": "60000"}, Reject.INVALID_QTY),
            ({"qty": "0.00004999", "price": "60000"}, Reject.ORDER_MINIMUM),
            ({"qty": "0.00004999"}, Reject.ORDER_MINIMUM),
            ({"qty": "1", "price": "0"}, Reject.INVALID_PRICE),
            ({"qty": "1", "price": "-0.1"}, Reject.INVALID_PRICE),
            ({"qty": "1", "type": OrderType.LIMIT}, Reject.INVALID_PRICE),
            ({"qty": "0.00005", "price": "9999.9"}, Reject.COST_MINIMUM),
            ({"qty": "1", "price": "60000", "pair": "XBTXYZ"}, Reject.UNKNOWN_PAIR),
            ({"qty": "17", "price": "60000"}, Reject.INSUFFICIENT_FUNDS),
        ],
    )
    def test_order_is_refused_for_what_is_wrong_with_it(self, venue, order, reason):
        with venue.refuses(reason):
            venue.buy("alice", **order)

    def test_order_at_the_very_minimum_is_taken(self, venue):
        assert venue.buy("alice", "0.00005", "10000").status is Status.OPEN

    def test_price_off_the_tick_is_refused(self, catalogue, new_venue):
        pair = msgspec.structs.replace(catalogue.pairs[XBTUSD], tick=5)
        venue = new_venue(Account("alice"), catalogue=Catalogue(catalogue.assets, {XBTUSD: pair}))
        venue.deposit("alice", ZUSD="100000")
        with venue.refuses(Reject.TICK_SIZE):
            venue.buy("alice", "1", "60000.1")
        order = venue.buy("alice", "1", "60000.5")
        with venue.refuses(Reject.TICK_SIZE):
            venue.amend(order, price="60000.4")
        with venue.refuses(Reject.TICK_SIZE):
            venue.edit(order, price="60000.4")

    def test_open_orders_per_pair_are_limited_by_the_tier(self, venue):
        for _ in range(LIMITS[AccountTier.STARTER].open_orders):
            order = venue.buy("starter", "0.0001", "50000")
        with venue.refuses(Reject.ORDERS_LIMIT):
            venue.buy("starter", "0.0001", "50000")
        venue.buy("starter", "0.01", "3000", pair=ETHUSD)
        venue.edit(order, price="50001")
        venue.cancel(venue.all(events.Accepted)[0].order)
        venue.buy("starter", "0.0001", "50000")

    def test_command_that_arrives_after_its_deadline_is_refused(self, venue):
        order = venue.buy("alice", "1", "60000", deadline_ns=venue.now_ns)
        late = venue.now_ns - 1
        with venue.refuses(Reject.DEADLINE_ELAPSED):
            venue.buy("alice", "1", "60000", deadline_ns=late)
        with venue.refuses(Reject.DEADLINE_ELAPSED):
            venue.amend(order, qty="0.5", deadline_ns=late)
        with venue.refuses(Reject.DEADLINE_ELAPSED):
            venue.edit(order, qty="0.5", deadline_ns=late)

    def test_check_tells_what_is_wrong_with_an_order_or_an_edit_but_not_whether_it_is_funded(self, venue):
        def checked(**changes):
            terms = {"account": "dave", "pair": XBTUSD, "side": "buy", "qty": 10**8, "price": 600_000}
            terms |= {"type": OrderType.LIMIT} | changes
            return venue.engine.check(commands.PlaceOrder(**terms), venue.now_ns)

        def edited(order, **changes):
            changes = {"account": "alice", "txid": order.txid} | changes
            return venue.engine.check(commands.EditOrder(**changes), venue.now_ns)

        order = venue.buy("alice", "1", "60000")
        named = venue.buy("alice", "1", "60000", cl_ord_id="mine")
        before = state_of(venue.engine)
        assert checked() is None
        assert checked(qty=1) is Reject.ORDER_MINIMUM
        assert checked(pair="XBTXYZ") is Reject.UNKNOWN_PAIR
        assert edited(order, price=700_000, qty=10**12) is None
        assert edited(order, qty=1) is Reject.ORDER_MINIMUM
        assert edited(named, qty=2 * 10**8) is Reject.EDIT_NOT_ALLOWED
        assert edited(order, txid=named.txid[::-1]) is Reject.UNKNOWN_ORDER
        assert state_of(venue.engine) == before
