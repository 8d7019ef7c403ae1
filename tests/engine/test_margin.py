"""Positions: opened, closed, settled, rolled over, liquidated; what an account may open."""

from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.engine import events
from emulator.engine.accounts import Account
from emulator.engine.commands import Close
from emulator.engine.events import Reject
from emulator.engine.instruments import scaled
from emulator.engine.limits import AccountTier
from emulator.engine.orders import OrderType, Reason, Status
from emulator.engine.spot import SpotEngine
from tests.engine.venue import SECOND_NS, XBTUSD

HOUR = 3600


def positions(venue, name="alice"):
    return list(venue.engine.accounts[name].positions.values())


def usd(venue, name="alice"):
    return Fraction(venue.balance(name, "ZUSD"))


def quote(venue, price, qty="10"):
    """Let bob buy and sell at one price, a tick apart."""
    venue.cancel_all("bob")
    venue.buy("bob", qty, price)
    venue.sell("bob", qty, str(Fraction(price) + Fraction(1, 10)) if "." in price else f"{price}.1")


@pytest.fixture
def trader(venue):
    """Bob quotes 60000; alice holds a million USD and 100 XBT."""
    quote(venue, "60000")
    venue.buy("carol", "0.001", "60000.1")
    return venue


class TestOpening:
    def test_only_fees_change_hands(self, trader):
        before, coins = usd(trader), trader.balance("alice", "XXBT")
        order = trader.buy("alice", "1", "60000.1", leverage=5)
        [position] = positions(trader)
        assert (position.buy, position.qty, position.cost) == (True, 10**8, scaled("60000.1", 9))
        assert (position.order_txid, position.id) == (order.txid, order.trades[0])
        # 0.40 % of trading fee, 0.025 % for the dollars that were borrowed
        assert before - usd(trader) == Fraction("240.0004") + Fraction("15.0000")
        assert trader.balance("alice", "XXBT") == coins
        assert trader.held("alice", "ZUSD") == "0"
        [entry] = [e.entry for e in trader.all(events.Posted) if e.account == "alice"]
        assert (entry.type, entry.asset, entry.amount) == ("margin", "ZUSD", 0)

    def test_account_shows_what_it_uses(self, trader):
        trader.buy("alice", "1", "60000.1", leverage=5)
        now = trader.engine.balance(trader.engine.accounts["alice"])
        assert (now.cost, now.margin) == (Fraction("60000.1"), Fraction("12000.02"))
        assert now.value - now.cost == now.profit
        assert now.equity == now.trade + now.profit
        assert now.level == now.equity / now.margin * 100

    def test_short_position_uses_margin_in_the_base_asset(self, trader):
        trader.sell("alice", "1", "60000", leverage=5)
        [position] = positions(trader)
        assert not position.buy
        assert position.margin(scaled("60000", 1)) == Fraction(scaled("12000", 9))
        assert position.margin(scaled("70000", 1)) == Fraction(scaled("14000", 9))
        assert position.profit(scaled("61000", 1)) == -scaled("1000", 9)

    def test_each_fill_of_an_order_is_a_position(self, trader):
        order = trader.buy("alice", "0.4", "59000", leverage=2)
        for part in ("0.1", "0.3"):
            trader.cancel_all("bob")
            trader.sell("bob", part, "59000")
        parts = [(p.id, p.qty, p.order_txid, p.trades) for p in positions(trader)]
        first, second = order.trades
        assert parts == [
            (first, 10**7, order.txid, [first]),
            (second, 3 * 10**7, order.txid, [second]),
        ]
        assert order.status is Status.CLOSED

    @pytest.mark.parametrize(
        ("terms", "reason"),
        [
            ({"leverage": 11}, Reject.INVALID_LEVERAGE),
            ({"leverage": 1}, Reject.INVALID_LEVERAGE),
            ({"leverage": 5, "qty": "351"}, Reject.POSITION_SIZE),
            ({"leverage": 2, "qty": "300"}, Reject.MARGIN_LEVEL),
            ({"leverage": 2, "reduce_only": True}, Reject.REDUCE_ONLY_NO_POSITION),
            ({"leverage": 2, "qty": "0"}, Reject.UNKNOWN_POSITION),
            ({"leverage": 2, "type": OrderType.SETTLE_POSITION}, Reject.UNKNOWN_POSITION),
            ({"reduce_only": True}, Reject.REDUCE_ONLY_NOT_CLOSING),
            ({"type": OrderType.SETTLE_POSITION}, Reject.INVALID_LEVERAGE),
        ],
    )
    def test_refusals(self, trader, terms, reason):
        terms = {"qty": "1"} | terms
        with trader.refuses(reason):
            trader.buy("alice", terms.pop("qty"), None if "type" in terms else "60000", **terms)

    def test_pair_without_margin_refuses(self, trader):
        with trader.refuses(Reject.INVALID_LEVERAGE):
            trader.buy("alice", "1", "8000000", pair="XXBTZJPY", leverage=2)

    def test_starter_accounts_cannot_open_positions(self, trader):
        with trader.refuses(Reject.CANNOT_OPEN_POSITION):
            trader.buy("starter", "0.1", "60000", leverage=2)

    def test_orders_that_wait_count_against_what_may_be_opened(self, new_venue):
        venue = new_venue(Account("bob"), Account("alice"))
        venue.deposit("bob", ZUSD="10000000", XXBT="100")
        venue.deposit("alice", ZUSD="10000")
        quote(venue, "60000", "5")
        venue.buy("alice", "0.5", "50000", leverage=5)  # 5,000 of 10,000
        with venue.refuses(Reject.MARGIN_LEVEL):
            venue.buy("alice", "0.6", "50000", leverage=5)
        venue.buy("alice", "0.5", "50000", leverage=5)

    def test_allowance_is_what_the_profile_says(self, new_venue):
        venue = new_venue(Account("bob"), Account("alice", margin_allowance_usd=50_000))
        venue.deposit("bob", ZUSD="10000000", XXBT="100")
        venue.deposit("alice", ZUSD="100000")
        quote(venue, "60000", "5")
        with venue.refuses(Reject.MARGIN_ALLOWANCE):
            venue.buy("alice", "1", "60000", leverage=5)
        venue.buy("alice", "0.5", "60000", leverage=5)


class TestClosing:
    def test_opposite_order_books_the_profit_and_frees_the_margin(self, trader):
        trader.buy("alice", "1", "60000.1", leverage=5)
        quote(trader, "61000")
        before = usd(trader)
        order = trader.sell("alice", "1", "61000", leverage=5)
        assert not positions(trader)
        assert usd(trader) - before == Fraction("999.9") - Fraction("146.4")  # 0.24 % of 61000
        [closed] = trader.engine.accounts["alice"].closed_positions.values()
        assert (closed.open, closed.net) == (0, scaled("999.9", 9))
        [trade] = [e.trade for e in trader.all(events.Filled) if e.order is order]
        assert (trade.closing, trade.position, trade.margin) == (True, None, 0)

    def test_oldest_goes_first_and_what_is_left_opens_the_other_side(self, trader):
        first = trader.buy("alice", "1", "60000.1", leverage=5)
        second = trader.buy("alice", "2", "60000.1", leverage=2)
        trader.sell("alice", "1.5", "60000", leverage=3)
        [left] = positions(trader)
        assert (left.order_txid, left.open) == (second.txid, 15 * 10**7)
        assert first.trades[0] in trader.engine.accounts["alice"].closed_positions
        trader.sell("alice", "2", "60000", leverage=3)
        [short] = positions(trader)
        assert (short.buy, short.open, short.leverage) == (False, 5 * 10**7, 3)

    def test_volume_zero_closes_all_of_it(self, trader):
        trader.buy("alice", "1", "60000.1", leverage=5)
        order = trader.sell("alice", "0", leverage=5)
        assert (order.qty, positions(trader)) == (10**8, [])

    def test_reduce_only_never_opens(self, trader):
        trader.buy("alice", "1", "60000.1", leverage=5)
        order = trader.sell("alice", "3", "60000", leverage=5, reduce_only=True)
        assert (positions(trader), order.qty, order.status) == ([], 10**8, Status.CLOSED)
        [restated] = trader.all(events.Amended)
        assert (restated.reason, restated.qty) == (Reason.REDUCE_ONLY, 10**8)
        with trader.refuses(Reject.REDUCE_ONLY_NO_POSITION):
            trader.sell("alice", "1", "60000", leverage=5, reduce_only=True)
        trader.buy("alice", "1", "60000.1", leverage=5)
        with trader.refuses(Reject.REDUCE_ONLY_NOT_CLOSING):
            trader.buy("alice", "1", "60000", leverage=5, reduce_only=True)

    def test_reduce_only_trigger_may_come_before_its_position_and_ends_without_one(self, trader):
        order = trader.sell(
            *("alice", "1"),
            type=OrderType.STOP_LOSS,
            trigger=scaled("59000", 1),
            leverage=5,
            reduce_only=True,
        )
        assert order.waiting
        trader.cancel_all("bob")
        trader.buy("bob", "1", "59000")
        trader.sell("carol", "0.1", "59000")
        assert (order.status, order.reason) == (Status.CANCELED, Reason.REDUCE_ONLY)
        assert not positions(trader)

    def test_resting_reduce_only_order_goes_when_its_position_is_gone(self, trader):
        trader.buy("alice", "1", "60000.1", leverage=5)
        far = trader.sell("alice", "1", "65000", leverage=5, reduce_only=True)
        near = trader.sell("alice", "0.6", "64000", leverage=5, reduce_only=True)
        trader.sell("alice", "0.4", "60000", leverage=5)
        assert (near.status, far.status, far.reason) == (Status.OPEN, Status.CANCELED, Reason.REDUCE_ONLY)

    def test_close_of_a_margin_order_has_its_leverage(self, trader):
        close = Close(type=OrderType.LIMIT, price=scaled("61000", 1))
        trader.buy("alice", "1", "60000.1", leverage=5, close=close)
        [child] = trader.engine.accounts["alice"].open.values()
        assert (child.leverage, child.buy, child.hold) == (5, False, 0)


class TestSettling:
    def test_long_position_is_paid_and_received(self, trader):
        trader.buy("alice", "1", "60000.1", leverage=5)
        before = usd(trader), Fraction(trader.balance("alice", "XXBT"))
        order = trader.sell("alice", "0", type=OrderType.SETTLE_POSITION, leverage=5)
        assert (order.status, order.qty, positions(trader)) == (Status.CLOSED, 10**8, [])
        assert usd(trader) - before[0] == -Fraction("60000.1")
        assert Fraction(trader.balance("alice", "XXBT")) - before[1] == 1
        assert [e.entry.type for e in trader.all(events.Posted)] == ["settled", "settled"]

    def test_short_position_is_delivered_in_part(self, trader):
        trader.sell("alice", "1", "60000", leverage=5)
        before = usd(trader), Fraction(trader.balance("alice", "XXBT"))
        trader.buy("alice", "0.25", type=OrderType.SETTLE_POSITION, leverage=5)
        [position] = positions(trader)
        assert position.open == 75 * 10**6
        assert usd(trader) - before[0] == 15000
        assert Fraction(trader.balance("alice", "XXBT")) - before[1] == -Fraction("0.25")

    def test_needs_the_funds(self, new_venue):
        venue = new_venue(Account("bob"), Account("alice"))
        venue.deposit("bob", ZUSD="10000000", XXBT="100")
        venue.deposit("alice", ZUSD="20000")
        quote(venue, "60000", "5")
        venue.buy("alice", "1", "60000.1", leverage=5)
        with venue.refuses(Reject.INSUFFICIENT_FUNDS):
            venue.sell("alice", "1", type=OrderType.SETTLE_POSITION, leverage=5)


class TestTime:
    def test_rollover_is_charged_every_four_hours_while_it_is_open(self, trader):
        trader.buy("alice", "1", "60000.1", leverage=5)
        [position] = positions(trader)
        assert position.rollover_ns == position.opened_ns + 4 * HOUR * SECOND_NS
        before = usd(trader)
        trader.wait(4 * HOUR - 1)
        assert usd(trader) == before
        trader.wait(2)
        assert before - usd(trader) == Fraction("15.0000")  # 0.025 % of 60000.1
        trader.wait(8 * HOUR)
        assert before - usd(trader) == 45
        trader.sell("alice", "1", "60000", leverage=5)
        after = usd(trader)
        trader.wait(24 * HOUR)
        assert usd(trader) == after

    def test_level_below_forty_percent_closes_the_oldest_first(self, new_venue):
        venue = new_venue(Account("bob"), Account("alice"), Account("carol"))
        venue.deposit("bob", ZUSD="100000000", XXBT="1000")
        venue.deposit("carol", ZUSD="100000000", XXBT="1000")
        venue.deposit("alice", ZUSD="13000")
        quote(venue, "60000")
        first = venue.buy("alice", "0.5", "60000.1", leverage=5)
        venue.buy("alice", "0.5", "60000.1", leverage=5)
        quote(venue, "53000")
        venue.sell("carol", "0.001", "53000")
        assert 40 < venue.engine.balance(venue.engine.accounts["alice"]).level < 80
        venue.wait(1)
        assert len(positions(venue, "alice")) == 2
        quote(venue, "51500")
        venue.sell("carol", "0.001", "51500")
        venue.wait(1)
        [left] = positions(venue, "alice")
        assert left.order_txid != first.txid
        [order] = [e.order for e in venue.all(events.Accepted)]
        assert (order.liquidation, venue.fills(order)) == (True, [("0.5", "51500")])
        [trade] = [e.trade for e in venue.all(events.Filled) if e.order is order]
        assert trade.order_type == "liquidation market"

    def test_it_tries_again_when_nobody_takes_the_other_side(self, new_venue):
        venue = new_venue(Account("bob"), Account("alice"))
        venue.deposit("bob", ZUSD="100000000", XXBT="1000")
        venue.deposit("alice", ZUSD="13000")
        quote(venue, "60000")
        venue.buy("alice", "1", "60000.1", leverage=5)
        venue.cancel_all("bob")
        venue.engine.markets[XBTUSD].last_price = scaled("50000", 1)
        venue.wait(1)
        assert positions(venue, "alice")
        venue.buy("bob", "5", "50000")
        venue.wait(1)
        assert not positions(venue, "alice")


YEAR = 365 * 24 * HOUR


class TestLooksAtTheLevel:
    """Time alone changes no level: it is looked at when balances, positions or prices have changed."""

    @pytest.fixture
    def looks(self, monkeypatch):
        seen = []
        look = SpotEngine._safe
        monkeypatch.setattr(SpotEngine, "_safe", lambda self, account: seen.append(0) or look(self, account))
        return seen

    @pytest.fixture
    def ruined(self, new_venue, looks):
        """Alice's position is worth less than nothing, and there is nobody to take it."""
        venue = new_venue(Account("bob"), Account("alice"), Account("carol"))
        venue.deposit("bob", ZUSD="100000000", XXBT="1000")
        venue.deposit("carol", ZUSD="100000000", XXBT="1000")
        venue.deposit("alice", ZUSD="20000", XETH="1")
        quote(venue, "60000")
        venue.buy("alice", "1", "60000.1", leverage=5)
        venue.cancel_all("bob")
        venue.buy("carol", "0.001", "20000")
        venue.sell("bob", "0.001", "20000")
        looks.clear()
        return venue

    def test_a_year_with_nobody_to_take_a_position_is_rollovers_only(self, ruined, looks):
        happened = ruined.wait(YEAR)
        assert positions(ruined)
        assert not [event for event in happened if isinstance(event, events.Accepted | events.Ended)]
        assert len(looks) <= len(happened) + 1 <= YEAR // (4 * HOUR) + 1

    def test_whoever_comes_to_take_it_gets_it(self, ruined):
        ruined.wait(YEAR)
        ruined.buy("bob", "5", "20000")
        ruined.wait(1)
        assert not positions(ruined)

    def test_what_does_not_matter_to_it_is_not_looked_at(self, ruined, looks):
        ruined.deposit("bob", SOL="100")
        ruined.wait(1)
        looks.clear()
        for price in ("100", "101"):
            ruined.sell("bob", "1", price, pair="SOLUSD")
            ruined.buy("carol", "1", price, pair="SOLUSD")
        ruined.wait(1)
        assert not looks

    def test_however_much_happens_it_is_looked_at_once_a_second(self, trader, looks):
        trader.buy("alice", "1", "60000.1", leverage=5)
        trader.wait(1)
        looks.clear()
        for step in range(50):
            quote(trader, str(60_000 + step))
            trader.sell("carol", "0.001", str(60_000 + step))
        trader.wait(1)
        assert len(looks) == 1

    def test_a_deposit_or_a_price_is_seen(self, trader, looks):
        trader.buy("alice", "1", "60000.1", leverage=5)
        trader.wait(1)
        for change in (
            lambda: trader.deposit("alice", ZUSD="1"),
            lambda: trader.sell("carol", "0.001", "60000"),
        ):
            looks.clear()
            change()
            trader.wait(1)
            assert looks


@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.integers(1, 300).map(lambda n: f"0.{n:03d}"),
            st.integers(55_000, 65_000),
            st.sampled_from([0, 2, 3, 5]),
        ),
        max_size=25,
    )
)
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_is_made_or_lost_between_accounts_fees_and_the_pool(new_venue, orders):
    venue = new_venue(Account("alice"), Account("bob"))
    for name in ("alice", "bob"):
        venue.deposit(name, ZUSD="10000000", XXBT="1000")
    engine = venue.engine

    def total(asset):
        books = [account.balances for account in engine.accounts.values()]
        return sum(b.get(asset, 0) for b in (*books, engine.settlement.fees, engine.settlement.pool))

    before = {asset: total(asset) for asset in ("ZUSD", "XXBT")}
    for buy, qty, price, leverage in orders:
        (venue.buy if buy else venue.sell)("alice", qty, str(price), leverage=leverage)
        (venue.sell if buy else venue.buy)("bob", qty, str(price))
    venue.wait(5 * HOUR)
    assert {asset: total(asset) for asset in before} == before
    sides = {position.buy for position in positions(venue)}
    assert len(sides) <= 1
    assert all(position.open > 0 for position in positions(venue))


def test_tier_of_an_account_is_what_decides(new_venue):
    venue = new_venue(Account("pro", tier=AccountTier.PRO), Account("bob"))
    venue.deposit("pro", ZUSD="100000")
    venue.deposit("bob", XXBT="10")
    venue.sell("bob", "1", "60000")
    venue.buy("pro", "1", "60000", leverage=5)
    assert len(positions(venue, "pro")) == 1


def test_many_positions_and_orders_add_up_exactly(trader):
    """Sums are made once a pair and leverage; they are what each for itself comes to."""
    engine, alice = trader.engine, trader.engine.accounts["alice"]
    trader.buy("bob", "10", "2000", pair="XETHZUSD")
    trader.sell("bob", "10", "2000.01", pair="XETHZUSD")
    trader.buy("carol", "0.01", "2000.01", pair="XETHZUSD")
    for leverage in (2, 3, 5):
        trader.buy("alice", "0.017", "60000.1", leverage=leverage)
        trader.sell("alice", "0.11", "2000", pair="XETHZUSD", leverage=leverage)
        trader.buy("alice", "0.013", "55000.7", leverage=leverage)
    trader.buy("alice", "0.013", "55000.9")
    found = engine.balance(alice)
    units = {XBTUSD: Fraction(1, 10**9), "XETHZUSD": Fraction(1, 10**10)}
    held = [
        (p, engine.markets[p.instrument.id].last_price, units[p.instrument.id]) for p in positions(trader)
    ]
    assert len(held) == 6
    assert found.margin == sum(p.margin(price) * unit for p, price, unit in held)
    assert found.profit == sum(p.profit(price) * unit for p, price, unit in held)
    assert found.cost == sum(p.open_cost * unit for p, _, unit in held)
    assert found.value == sum(p.open * price * unit for p, price, unit in held)
    waiting = [
        (order.remaining * order.price * units[XBTUSD], order.leverage) for order in alice.open.values()
    ]
    assert len(waiting) == 4
    assert found.ordered == sum(cost for cost, _ in waiting)
    assert found.reserved == sum(cost / leverage for cost, leverage in waiting if leverage)
