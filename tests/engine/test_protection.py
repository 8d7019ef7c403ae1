"""Market price protection: no market order, and nothing that becomes one, trades far from the price."""

import pytest

from emulator.engine import commands
from emulator.engine.events import Accepted, Reject
from emulator.engine.instruments import scaled
from emulator.engine.orders import OrderType, Reason, Status
from emulator.engine.triggers import Reference
from tests.engine.venue import XBTUSD


@pytest.fixture
def thin(venue):
    """A book with nothing left in it; the last trade was at 50,000."""
    venue.sell("bob", "0.1", "50000")
    venue.buy("carol", "0.1", "50000")
    return venue


def protected(order):
    return (order.status, order.reason, order.filled) == (Status.CANCELED, Reason.PRICE_PROTECTION, 0)


def index(venue, price):
    venue.apply(commands.SetIndex(XBTUSD, scaled(price, 1)))


class TestMarketOrders:
    @pytest.mark.parametrize(("ask", "trades"), [("55000", True), ("55000.1", False), ("55001", False)])
    def test_the_best_price_itself_must_be_within_ten_percent_of_the_last_trade(self, thin, ask, trades):
        thin.sell("bob", "1", ask)
        order = thin.buy("alice", "0.1")
        assert (order.status is Status.CLOSED) is trades
        assert protected(order) is not trades

    @pytest.mark.parametrize(("bid", "trades"), [("45000", True), ("44999.9", False)])
    def test_selling_is_protected_as_buying_is(self, thin, bid, trades):
        thin.buy("bob", "1", bid)
        order = thin.sell("alice", "0.1")
        assert (order.status is Status.CLOSED) is trades
        assert protected(order) is not trades

    def test_a_better_price_than_the_last_one_is_taken_however_far(self, thin):
        thin.sell("bob", "1", "20000")
        assert thin.buy("alice", "0.1").status is Status.CLOSED

    def test_the_index_tells_the_price_where_the_last_trade_is_an_old_one(self, thin):
        thin.sell("bob", "1", "55001")
        index(thin, "54000")
        assert thin.buy("alice", "0.1").status is Status.CLOSED

    def test_an_index_far_off_takes_nothing_away_from_the_last_trade(self, thin):
        thin.sell("bob", "1", "50010")
        index(thin, "1000")
        assert thin.buy("alice", "0.1").status is Status.CLOSED

    def test_a_book_with_two_sides_tells_the_price_where_it_has_moved_without_a_trade(self, thin):
        thin.sell("bob", "1", "40010")
        thin.buy("bob", "1", "40000")
        assert thin.fills(thin.sell("alice", "0.1")) == [("0.1", "40000")]

    def test_a_far_bid_does_not_make_a_far_ask_near(self, thin):
        thin.buy("bob", "1", "45000")
        thin.sell("bob", "1", "55001")
        assert protected(thin.buy("alice", "0.1"))

    def test_the_nearer_levels_trade_before_the_rest_is_cancelled(self, thin):
        thin.sell("bob", "0.1", "54000")
        thin.sell("bob", "1", "55001")  # within 10 % of the best price, not of the last one
        order = thin.buy("alice", "1")
        assert thin.fills(order) == [("0.1", "54000")]
        assert (order.status, order.reason) == (Status.CANCELED, Reason.PRICE_PROTECTION)

    def test_an_amount_is_spent_no_further_either(self, thin):
        thin.sell("bob", "0.1", "54000")
        thin.sell("bob", "1", "55001")
        order = thin.buy("alice", "0", cash=scaled("10000", 9))
        assert thin.fills(order) == [("0.1", "54000")]
        assert (order.status, order.reason) == (Status.CANCELED, Reason.PRICE_PROTECTION)

    def test_funds_are_asked_for_at_the_price_that_is_known_when_nobody_is_near(self, thin):
        thin.sell("bob", "1", "90000")
        thin.deposit("dave", ZUSD="50.2")  # 0.001 at the last price, and 0.4 %
        with thin.refuses(Reject.INSUFFICIENT_FUNDS):
            thin.buy("dave", "0.00101")
        assert protected(thin.buy("dave", "0.001"))
        assert thin.held("dave", "ZUSD") == "0"

    def test_a_market_order_of_a_position_is_protected_too(self, thin):
        thin.sell("bob", "1", "55001")
        assert protected(thin.buy("alice", "0.1", leverage=2))


class TestWhatIsSetOff:
    def test_a_stop_into_a_nearly_empty_book_does_not_trade(self, thin):
        stop = thin.buy("alice", "0.1", type=OrderType.STOP_LOSS, trigger=scaled("50000", 1))
        assert (stop.status, stop.reason) == (Status.CANCELED, Reason.NO_LIQUIDITY)
        thin.sell("bob", "1", "55001")
        stop = thin.buy("alice", "0.1", type=OrderType.STOP_LOSS, trigger=scaled("50000", 1))
        assert protected(stop)
        assert stop.trigger.fired_ns

    def test_a_stop_set_off_by_the_index_does_not_trade_far_from_it(self, thin):
        index(thin, "50000")
        stop = thin.sell(
            "alice",
            "0.1",
            type=OrderType.STOP_LOSS,
            trigger=scaled("49000", 1),
            reference=Reference.INDEX,
        )
        thin.buy("bob", "1", "43000")
        index(thin, "48000")
        assert protected(stop)

    def test_a_conditional_close_at_market_does_not_trade_far_from_the_fill(self, thin):
        thin.buy("bob", "1", "44000")
        thin.sell("bob", "0.1", "50000")
        close = commands.Close(type=OrderType.STOP_LOSS, trigger=scaled("50000", 1))
        thin.buy("alice", "0.1", "50000", close=close)
        closing = thin.all(Accepted)[1].order
        assert protected(closing)

    def test_a_scheduled_market_order_does_not_trade_far_from_the_price(self, thin):
        thin.sell("bob", "1", "55001")
        order = thin.buy("alice", "0.1", start_ns=thin.now_ns + 10**9)
        thin.wait(2)
        assert protected(order)
