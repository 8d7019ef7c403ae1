"""The engine's rate counters and open-order limits, and what a pair's or the venue's status allows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.engine import commands, events
from emulator.engine.accounts import Account
from emulator.engine.commands import SetStatus
from emulator.engine.events import Reject
from emulator.engine.instruments import scaled
from emulator.engine.limits import AMEND, CANCEL, EDIT, LIMITS, AccountTier, Counter
from emulator.engine.orders import OrderType, Reason, Status
from emulator.engine.status import TradingStatus
from tests.engine.venue import SECOND_NS, START_NS, XBTUSD

ETHUSD = "XETHZUSD"


@pytest.fixture
def limited(new_venue):
    """A venue that counts; one account of each tier."""
    tiers = (AccountTier.STARTER, AccountTier.INTERMEDIATE, AccountTier.PRO)
    venue = new_venue(*(Account(tier.value, tier=tier) for tier in tiers), Account("bob"), rate_limits=True)
    for name in venue.engine.accounts:
        venue.deposit(name, ZUSD="100000000", XXBT="1000", XETH="1000")
    return venue


def count(venue, name, pair=XBTUSD):
    return venue.engine.accounts[name].rate(pair).count(venue.now_ns)


class TestCounters:
    def test_documented_example_adds_up(self, limited):
        """Add (1), amend after 7 s (+1+2), cancel 36 s later (+4): 8 without decay."""
        account = limited.engine.accounts["pro"]
        account.rates[XBTUSD] = Counter(0)
        order = limited.buy("pro", "0.1", "60000")
        limited.wait(7)
        limited.amend(order, price="59000")
        limited.wait(36)
        limited.cancel(order)
        assert count(limited, "pro") == 8

    def test_documented_burst_decays(self, limited):
        for price in range(50):
            limited.buy("intermediate", "0.01", str(50000 + price))
        assert count(limited, "intermediate") == 50
        limited.wait(10)
        assert count(limited, "intermediate") == pytest.approx(26.6)

    @pytest.mark.parametrize(
        ("costs", "ages"),
        [
            (AMEND, {0: 3, 4.9: 3, 5: 2, 9.9: 2, 10: 1, 15: 0, 1000: 0}),
            (EDIT, {0: 6, 5: 5, 10: 4, 15: 2, 45: 1, 89: 1, 90: 0}),
            (CANCEL, {0: 8, 5: 6, 10: 5, 15: 4, 45: 2, 90: 1, 299: 1, 300: 0}),
        ],
    )
    def test_what_a_change_costs_by_the_orders_age(self, costs, ages):
        assert {age: costs.of(int(age * SECOND_NS)) for age in ages} == ages

    def test_orders_are_refused_at_the_threshold_until_it_has_decayed(self, limited):
        orders = [limited.buy("starter", "0.01", str(50000 + n)) for n in range(59)]
        limited.cancel(orders[0])  # 59 + 8
        with limited.refuses(Reject.RATE_LIMIT):
            limited.buy("starter", "0.01", "60000")
        with limited.refuses(Reject.RATE_LIMIT):
            limited.cancel(orders[1])
        limited.buy("starter", "0.01", "3000", pair=ETHUSD)  # each pair has its own
        limited.wait(7.1)
        limited.buy("starter", "0.01", "60000")
        assert limited.cancel_all("starter")

    def test_refused_orders_cost_what_others_do(self, limited):
        with pytest.raises(Exception, match="ORDER_MINIMUM"):
            limited.buy("pro", "0.00001", "60000")
        assert count(limited, "pro") == 1

    def test_batches_pay_half_and_batch_cancels_are_always_carried_out(self, limited):
        orders = [limited.buy("pro", "0.01", str(50000 + n), batch=10) for n in range(10)]
        assert count(limited, "pro") == 5
        for order in orders:
            limited.apply(commands.CancelOrder(account="pro", txid=order.txid, batch=True))
        assert count(limited, "pro") == 85
        limited.engine.accounts["pro"].rate(XBTUSD).add(1000, limited.now_ns)
        order = limited.buy("pro", "0.01", "3000", pair=ETHUSD)
        limited.engine.accounts["pro"].rate(ETHUSD).add(1000, limited.now_ns)
        limited.apply(commands.CancelOrder(account="pro", txid=order.txid, batch=True))
        assert order.status is Status.CANCELED

    def test_cancelling_all_costs_one_for_each_pair_with_orders_and_is_never_refused(self, limited):
        for number in range(3):
            limited.buy("pro", "0.01", str(50000 + number))
        limited.cancel_all("pro")
        assert count(limited, "pro") == 3 + 1
        order = limited.buy("pro", "0.01", "60000")
        limited.engine.accounts["pro"].rate(XBTUSD).add(1000, limited.now_ns)
        limited.cancel_all("pro")
        assert order.status is Status.CANCELED

    def test_edit_pays_for_the_age_of_the_old_order(self, limited):
        old = limited.buy("pro", "0.1", "60000")
        limited.edit(old, price="59000")
        assert count(limited, "pro") == 1 + 1 + 6

    def test_amend_that_ends_an_order_pays_as_a_cancel(self, limited):
        order = limited.buy("pro", "1", "60000")
        limited.sell("bob", "0.5", "60000")
        limited.amend(order, qty="0.4")
        assert (order.status, count(limited, "pro")) == (Status.CANCELED, 1 + 1 + 8)

    @pytest.mark.parametrize("tier", AccountTier)
    def test_open_orders_per_pair_are_limited(self, limited, tier):
        limited.engine.rate_limits = False
        for number in range(LIMITS[tier].open_orders):
            limited.buy(tier.value, "0.001", str(50000 + number))
        with limited.refuses(Reject.ORDERS_LIMIT):
            limited.buy(tier.value, "0.001", "60000")
        limited.buy(tier.value, "0.01", "3000", pair=ETHUSD)

    @given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 10**10)), max_size=30), st.integers(1, 400))
    def test_counter_never_leaves_its_bounds(self, steps, decay):
        counter, now, exact = Counter(decay), START_NS, 0.0
        counter.at(now)
        for halves, passed in steps:
            now += passed
            exact = max(exact - passed / 1e9 * decay / 100, 0.0) + halves / 2
            counter.add(halves, now)
            assert counter.count(now) == pytest.approx(exact, abs=1e-6)


class TestStatus:
    """What each status allows; ``None`` for what is taken."""

    TABLE = {  # noqa: RUF012 - a table
        TradingStatus.ONLINE: {},
        TradingStatus.CANCEL_ONLY: dict.fromkeys(
            ("limit", "market", "post", "sell", "amend", "edit"), Reject.CANCEL_ONLY
        ),
        TradingStatus.POST_ONLY: dict.fromkeys(
            ("limit", "market", "sell", "amend", "edit"), Reject.POST_ONLY
        ),
        TradingStatus.LIMIT_ONLY: {"market": Reject.LIMIT_ONLY},
        TradingStatus.REDUCE_ONLY: dict.fromkeys(
            ("limit", "market", "post", "amend", "edit"), Reject.REDUCE_ONLY
        ),
        TradingStatus.MAINTENANCE: dict.fromkeys(
            ("limit", "market", "post", "sell", "amend", "edit", "cancel", "cancel all"), Reject.UNAVAILABLE
        ),
    }

    @staticmethod
    def acts(venue, order):
        return {
            "limit": lambda: venue.buy("alice", "0.1", "50000"),
            "market": lambda: venue.buy("alice", "0.1"),
            "post": lambda: venue.buy("alice", "0.1", "50000", post_only=True),
            "sell": lambda: venue.sell("alice", "0.1", "70000"),
            "amend": lambda: venue.amend(order, price="49999"),
            "edit": lambda: venue.edit(order, price="49998"),
            "cancel": lambda: venue.cancel([*venue.engine.accounts["alice"].open.values()][0]),  # noqa: RUF015
            "cancel all": lambda: venue.cancel_all("alice"),
        }

    @pytest.mark.parametrize("status", TradingStatus)
    @pytest.mark.parametrize("everywhere", [False, True])
    def test_table(self, venue, status, everywhere):
        venue.sell("bob", "5", "60000")
        order = venue.buy("alice", "0.1", "50000")
        system = {s.value for s in TradingStatus} & {"online", "cancel_only", "post_only", "maintenance"}
        if everywhere and status.value not in system:
            with venue.refuses(Reject.UNAVAILABLE):
                venue.apply(SetStatus(status))
            return
        [told] = venue.apply(SetStatus(status, None if everywhere else XBTUSD))
        assert (told.pair, told.status) == (None if everywhere else XBTUSD, status)
        refused = self.TABLE[status]
        for name, act in self.acts(venue, order).items():
            if name == "cancel all" and not everywhere and status is TradingStatus.MAINTENANCE:
                venue.cancel_all("alice")  # it concerns all pairs, but leaves this one alone
                assert venue.engine.accounts["alice"].open
            elif name in refused:
                with venue.refuses(refused[name]):
                    act()
            else:
                act()
        venue.buy("alice", "0.1", "3000", pair=ETHUSD) if not everywhere else None

    def test_venues_status_comes_before_a_pairs(self, venue):
        venue.apply(SetStatus(TradingStatus.POST_ONLY, XBTUSD))
        venue.apply(SetStatus(TradingStatus.CANCEL_ONLY))
        with venue.refuses(Reject.CANCEL_ONLY):
            venue.buy("alice", "0.1", "50000", post_only=True)
        venue.apply(SetStatus(TradingStatus.ONLINE))
        with venue.refuses(Reject.POST_ONLY):
            venue.buy("alice", "0.1", "50000")

    def test_triggers_wait_until_orders_match_again(self, venue):
        venue.sell("bob", "1", "60000")
        venue.buy("carol", "0.1", "60000")
        stop = venue.buy("alice", "0.1", type=OrderType.STOP_LOSS, trigger=scaled("60001", 1))
        venue.apply(SetStatus(TradingStatus.CANCEL_ONLY, XBTUSD))
        venue.engine.markets[XBTUSD].last_price = scaled("60001", 1)
        venue.apply(commands.SetIndex(XBTUSD, 1))
        assert stop.waiting
        venue.apply(SetStatus(TradingStatus.ONLINE, XBTUSD))
        assert venue.fills(stop) == [("0.1", "60000")]

    def test_scheduled_order_ends_when_its_time_comes_and_nothing_matches(self, venue):
        order = venue.buy("alice", "0.1", "50000", start_ns=START_NS + SECOND_NS)
        venue.apply(SetStatus(TradingStatus.CANCEL_ONLY))
        venue.wait(1)
        assert (order.status, order.reason) == (Status.CANCELED, Reason.MARKET_STATUS)

    def test_the_market_itself_stands_still(self, venue):
        venue.apply(SetStatus(TradingStatus.POST_ONLY, XBTUSD))
        with pytest.raises(Exception, match="UNAVAILABLE"):
            venue.apply(
                commands.PlaceOrder(
                    account="house",
                    pair=XBTUSD,
                    side=commands.Side.BUY,
                    type=OrderType.LIMIT,
                    qty=10**8,
                    price=500_000,
                )
            )
        assert venue.events == [events.Rejected(Reject.UNAVAILABLE)]
