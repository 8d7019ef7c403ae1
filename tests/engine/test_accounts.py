"""What trading does to balances: holds, fees, ledger entries, trade records and their identifiers."""

import re
from itertools import pairwise

import pytest

from emulator.engine import events, history
from emulator.engine.accounts import Account
from emulator.engine.events import Reject
from emulator.engine.ids import IdSequence
from emulator.engine.orders import SelfTrade, Status
from tests.engine.venue import DAY_NS, XBTUSD, event_text

EURUSD = "ZEURZUSD"
XBTJPY = "XXBTZJPY"
ETHXBT = "XETHXXBT"


def ledger(account: Account) -> list[tuple[str, int, int, int]]:
    """``(asset, amount, fee, balance)`` of every entry that is not a deposit."""
    return [(e.asset, e.amount, e.fee, e.balance) for e in account.ledger.values() if e.type == "trade"]


class TestHolds:
    def test_buy_holds_its_cost_and_the_fee_it_may_pay(self, venue):
        venue.buy("alice", "1", "60000")
        assert venue.held("alice", "ZUSD") == "60240"
        assert venue.balance("alice", "ZUSD") == "1000000"

    def test_sell_holds_the_base_quantity(self, venue):
        venue.sell("alice", "1", "60000")
        assert venue.held("alice", "XXBT") == "1"
        assert venue.held("alice", "ZUSD") == "0"

    def test_fee_in_base_is_held_by_the_sell_and_not_by_the_buy(self, venue):
        venue.buy("alice", "1", "60000", fee_in_base=True)
        venue.sell("alice", "1", "70000", fee_in_base=True)
        assert venue.held("alice", "ZUSD") == "60000"
        assert venue.held("alice", "XXBT") == "1.004"

    def test_iceberg_holds_its_hidden_quantity_too(self, venue):
        venue.sell("alice", "1", "60000", display="0.1")
        assert venue.held("alice", "XXBT") == "1"

    def test_what_is_on_hold_cannot_be_spent_again(self, venue):
        venue.deposit("dave", ZUSD="120479.9999")
        order = venue.buy("dave", "1", "60000")
        with venue.refuses(Reject.INSUFFICIENT_FUNDS):
            venue.buy("dave", "1", "60000")
        venue.cancel(order)
        venue.buy("dave", "1", "60000")

    def test_funds_to_the_last_unit_are_enough_and_one_less_are_not(self, venue):
        venue.deposit("dave", ZUSD="60239.9999")
        with venue.refuses(Reject.INSUFFICIENT_FUNDS):
            venue.buy("dave", "1", "60000")
        venue.deposit("dave", ZUSD="0.0001")
        venue.sell("alice", "1", "60000")
        assert venue.buy("dave", "1", "60000").status is Status.CLOSED
        assert venue.balance("dave", "ZUSD") == "0"

    def test_cancel_releases_the_hold(self, venue):
        venue.cancel(venue.buy("alice", "1", "60000"))
        assert venue.held("alice", "ZUSD") == "0"

    def test_fill_of_a_resting_order_releases_its_part_of_the_hold(self, venue):
        venue.buy("alice", "1", "60000")
        venue.sell("bob", "0.4", "60000")
        assert venue.held("alice", "ZUSD") == "36144"
        assert venue.balance("alice", "ZUSD") == "975940"

    def test_better_price_than_the_limit_releases_the_difference(self, venue):
        venue.sell("bob", "0.5", "50000")
        venue.buy("alice", "1", "60000")
        assert venue.balance("alice", "ZUSD") == "974900"
        assert venue.held("alice", "ZUSD") == "30120"

    @pytest.mark.parametrize("fee_in_base", [False, True])
    def test_order_that_has_ended_holds_nothing(self, venue, fee_in_base):
        venue.sell("bob", "0.5", "50000", fee_in_base=fee_in_base)
        venue.buy("alice", "1", fee_in_base=fee_in_base)
        for name in ("alice", "bob"):
            assert {venue.held(name, "ZUSD"), venue.held(name, "XXBT")} == {"0"}

    def test_own_order_that_gives_way_releases_its_hold(self, venue):
        venue.sell("alice", "1", "60000")
        venue.buy("alice", "0.5", "60000", self_trade=SelfTrade.CANCEL_BOTH)
        assert venue.held("alice", "XXBT") == venue.held("alice", "ZUSD") == "0"

    def test_amend_holds_what_the_order_needs_now(self, venue):
        order = venue.buy("alice", "1", "60000")
        venue.amend(order, qty="0.5")
        assert venue.held("alice", "ZUSD") == "30120"
        venue.amend(order, price="50000", qty="2")
        assert venue.held("alice", "ZUSD") == "100400"


class TestFees:
    def test_maker_and_taker_pay_their_own_rates_in_quote(self, venue):
        maker, taker = venue.sell("alice", "0.5", "60000"), venue.buy("bob", "0.5", "60000")
        assert (maker.fee, taker.fee) == (75_00000, 120_00000)
        assert venue.balance("alice", "ZUSD") == "1029925"
        assert venue.balance("bob", "ZUSD") == "969880"
        assert venue.balance("bob", "XXBT") == "100.5"
        assert venue.earned("ZUSD") == "195"

    def test_fee_in_base_is_taken_off_the_base(self, venue):
        maker = venue.sell("alice", "0.5", "60000", fee_in_base=True)
        taker = venue.buy("bob", "0.5", "60000", fee_in_base=True)
        assert (maker.fee, taker.fee) == (125_000, 200_000)
        assert venue.balance("alice", "XXBT") == "99.49875"
        assert venue.balance("bob", "XXBT") == "100.498"
        assert venue.balance("bob", "ZUSD") == "970000"
        assert venue.earned("XXBT") == "0.00325"
        assert venue.earned("ZUSD") == "0"

    def test_order_that_rests_after_trading_pays_both_rates(self, venue):
        venue.sell("alice", "0.1", "60000")
        order = venue.buy("bob", "0.2", "60000")
        venue.sell("alice", "0.1", "60000")
        assert order.fee == 24_00000 + 15_00000

    def test_market_pays_no_fee(self, venue):
        venue.sell("house", "1", "60000")
        venue.buy("alice", "1", "60000")
        assert venue.balance("house", "ZUSD") == "60000"
        assert venue.earned("ZUSD") == "240"

    def test_profile_with_a_volume_starts_at_its_rate(self, new_venue):
        venue = new_venue(
            Account("small", volume_usd=9_999),
            Account("large", volume_usd=10_000),
            Account("house", house=True),
        )
        for name, fee in (("small", 240_00000), ("large", 210_00000)):
            venue.deposit(name, ZUSD="100000")
            venue.sell("house", "1", "60000")
            assert venue.buy(name, "1", "60000").fee == fee

    def test_trades_of_both_sides_count_towards_the_volume_of_thirty_days(self, venue):
        alice, bob = venue.engine.accounts["alice"], venue.engine.accounts["bob"]
        venue.sell("alice", "0.2", "60000")
        venue.buy("bob", "0.2", "60000")
        assert (alice.volume_usd(venue.now_ns), bob.volume_usd(venue.now_ns)) == (12_000, 12_000)
        venue.sell("alice", "1", "60000")
        assert venue.buy("bob", "1", "60000").fee == 210_00000

        venue.wait(29 * DAY_NS // 10**9)
        assert bob.volume_usd(venue.now_ns) == 72_000
        venue.wait(DAY_NS // 10**9)
        assert bob.volume_usd(venue.now_ns) == 0
        venue.sell("alice", "1", "60000")
        assert venue.buy("bob", "1", "60000").fee == 240_00000

    def test_volume_counts_in_dollars_whatever_the_pair(self, venue):
        venue.deposit("dave", ZJPY="1000000")
        venue.sell("alice", "0.1", "60000")
        venue.buy("bob", "0.1", "60000")
        venue.sell("alice", "10", "0.05", pair=ETHXBT)
        venue.buy("carol", "10", "0.05", pair=ETHXBT)
        assert venue.engine.accounts["carol"].volume_usd(venue.now_ns) == 30_000
        venue.sell("alice", "0.2", "9000000", pair=XBTJPY)  # yen are worth what bitcoin tells
        venue.buy("dave", "0.1", "9000000", pair=XBTJPY)
        assert venue.engine.accounts["dave"].volume_usd(venue.now_ns) == 6_000

    def test_volume_of_each_day_leaves_on_a_day_of_its_own(self, venue):
        venue.sell("alice", "1", "60000")
        for qty in ("0.1", "0.2", "0.3"):
            venue.buy("bob", qty, "60000")
            venue.wait(DAY_NS // 10**9)
        bob = venue.engine.accounts["bob"]
        days = [bob.volume_usd(venue.now_ns + day * DAY_NS) for day in (26, 27, 28, 29)]
        assert days == [36_000, 30_000, 18_000, 0]

    def test_order_never_pays_a_higher_rate_than_it_was_held_for(self, new_venue):
        venue = new_venue(Account("alice"), Account("house", house=True))
        venue.deposit("alice", ZUSD="1000", XXBT="1")
        venue.buy("house", "1", "60000")
        venue.sell("alice", "1", "60000")
        order = venue.buy("alice", "1", "60000")
        assert venue.held("alice", "ZUSD") == "60144"  # the taker's rate at 60,000 USD: 0.24 %
        venue.wait(30 * DAY_NS // 10**9)
        venue.sell("house", "1", "60000")
        assert order.fee == 144_00000  # and not the maker's 0.25 % of an account without a volume

    def test_lower_rate_reached_while_resting_is_paid_at_once(self, venue):
        order = venue.buy("alice", "1", "60000")
        venue.sell("bob", "0.5", "60000")
        assert order.fee == 75_00000
        venue.sell("bob", "0.5", "60000")
        assert order.fee == 75_00000 + 60_00000

    def test_fee_is_rounded_on_the_total_of_the_order_so_that_fills_add_up(self, venue):
        order = venue.buy("alice", "0.001", "50000")
        for _ in range(4):  # each is 0.0015 USD, and its fee less than half of what can be told
            venue.sell("house", "0.00000003", "50000")
        fees = [event.trade.fee for event in venue.history if isinstance(event, events.Filled)]
        assert fees == [0, 1, 0, 1]
        assert order.fee == sum(fees)


class TestRecords:
    def test_fill_writes_two_ledger_entries_the_debit_first(self, venue):
        maker, taker = venue.sell("alice", "0.5", "60000"), venue.buy("bob", "0.5", "60000")
        assert ledger(taker.account) == [
            ("ZUSD", -30_000_0000, 120_0000, 969_880_0000),
            ("XXBT", 5_000_000_000, 0, 1_005_000_000_000),
        ]
        assert ledger(maker.account) == [
            ("XXBT", -5_000_000_000, 0, 995_000_000_000),
            ("ZUSD", 30_000_0000, 75_0000, 1_029_925_0000),
        ]

    def test_fee_in_base_stands_in_the_entry_of_the_base(self, venue):
        maker = venue.sell("alice", "0.5", "60000", fee_in_base=True)
        taker = venue.buy("bob", "0.5", "60000", fee_in_base=True)
        assert [fee for _, _, fee, _ in ledger(taker.account)] == [0, 20_000_000]
        assert [fee for _, _, fee, _ in ledger(maker.account)] == [12_500_000, 0]

    def test_each_balance_in_the_ledger_follows_from_the_one_before(self, venue):
        venue.deposit("dave", ZUSD="1000", XXBT="1")
        venue.sell("alice", "0.0033", "60000.3")
        for qty in ("0.0011", "0.0012", "0.0013"):
            venue.buy("dave", qty, "60000.3")
            venue.sell("dave", qty, "60000.4")
        venue.buy("bob", "1", "60000.4")
        entries = list(venue.engine.accounts["dave"].ledger.values())
        for asset in ("ZUSD", "XXBT"):
            own = [entry for entry in entries if entry.asset == asset]
            assert len(own) == 7
            for before, entry in pairwise(own):
                assert entry.balance == before.balance + entry.amount - entry.fee
            assert own[-1].balance == venue.engine.accounts["dave"].balances[asset]

    def test_deposit_is_in_the_ledger(self, venue):
        venue.deposit("dave", ZUSD="12.5")
        (entry,) = venue.engine.accounts["dave"].ledger.values()
        assert (entry.type, entry.asset, entry.amount, entry.fee, entry.balance) == (
            ("deposit", "ZUSD", 12_5000, 0, 12_5000)
        )
        assert venue.events == [events.Posted("dave", entry), events.FundsMoved("dave", entry.refid)]

    def test_trade_record_tells_the_fill_and_what_the_order_has_come_to(self, venue):
        venue.sell("alice", "0.01", "60000")
        venue.sell("alice", "0.01", "60010")
        order = venue.buy("bob", "0.1", "60010")
        first, second = venue.engine.accounts["bob"].trades.values()
        assert order.trades == [first.exec_id, second.exec_id]
        assert (first.trade_id, second.trade_id) == (1, 2)
        assert (second.order_txid, second.pair) == (order.txid, XBTUSD)
        assert (first.time_ns, second.time_ns) == (venue.now_ns, venue.now_ns + 1)
        assert (second.buy, second.order_type, second.maker) == (True, "limit", False)
        assert (second.price, second.qty, second.fee, second.fee_asset) == (
            (600_100, 1_000_000, 2_40040, "ZUSD")
        )
        assert (second.cum_qty, second.cum_cost, second.cum_fee) == (order.filled, order.cost, order.fee)
        assert second.cum_cost == first.cost + second.cost
        entries = order.account.ledger
        assert [entries[id_].refid for id_ in second.ledgers] == [second.exec_id] * 2

    def test_both_sides_of_a_fill_share_the_public_trade_and_have_records_of_their_own(self, venue):
        venue.sell("alice", "1", "60000")
        venue.buy("bob", "1", "60000")
        (sold,), (bought,) = (venue.engine.accounts[name].trades.values() for name in ("alice", "bob"))
        assert sold.trade_id == bought.trade_id
        assert sold.exec_id != bought.exec_id
        assert (sold.maker, sold.buy, bought.maker, bought.buy) == (True, False, False, True)

    def test_only_so_many_closed_orders_and_entries_are_kept_the_newest(self, venue, monkeypatch):
        monkeypatch.setattr(history, "HISTORY", 3)
        monkeypatch.setattr(history, "BATCH", 1)
        orders = [venue.buy("alice", "1", "60000") for _ in range(5)]
        for order in orders:
            venue.cancel(order)
        alice = venue.engine.accounts["alice"]
        assert list(alice.closed.values()) == orders[2:]
        assert alice.find(orders[0].txid) is None
        assert alice.find(orders[4].txid) is orders[4]


class TestDecimals:
    """EUR/USD trades eight decimals of a currency that has four, XBT/JPY pays in one that has two."""

    def test_quantity_below_the_decimals_of_the_base_is_not_credited(self, venue):
        venue.sell("alice", "10.12345678", "1.1", pair=EURUSD)
        assert venue.held("alice", "ZEUR") == "10.1235"
        venue.buy("bob", "10.12345678", "1.1", pair=EURUSD)
        assert venue.balance("alice", "ZEUR") == "99989.8766"
        assert venue.balance("bob", "ZEUR") == "100010.1234"
        assert venue.held("alice", "ZEUR") == "0"

    def test_cost_below_the_decimals_of_the_quote_is_not_debited(self, venue):
        maker = venue.sell("alice", "0.00012345", "9500001", pair=XBTJPY)
        taker = venue.buy("bob", "0.00012345", "9500001", pair=XBTJPY)
        # 1172.77512345 yen; fees 2.932 and 4.691 at the pair's three decimals.
        assert (maker.fee, taker.fee) == (2_932, 4_691)
        assert venue.balance("bob", "ZJPY") == "999998821.54"
        assert venue.balance("alice", "ZJPY") == "1000001168.84"
        assert venue.earned("ZJPY") == "7.62"

    def test_hold_is_rounded_up_to_the_decimals_of_the_asset(self, venue):
        venue.buy("alice", "0.00012345", "9500001", pair=XBTJPY)
        assert venue.held("alice", "ZJPY") == "1177.47"

    @pytest.mark.parametrize("fee_in_base", [False, True])
    def test_fills_too_small_to_credit_anything_cannot_overdraw_by_their_fee(self, venue, fee_in_base):
        """Each of these fills pays nothing out, while the fee of the order creeps up with them."""
        venue.deposit("dave", **({"ZUSD": "1.1"} if fee_in_base else {"ZEUR": "1"}))
        place, dust = (venue.buy, venue.sell) if fee_in_base else (venue.sell, venue.buy)
        order = place("dave", "1", "1.08", pair=EURUSD, fee_in_base=fee_in_base)
        for _ in range(600):
            dust("house", "0.00009", "1.08", pair=EURUSD)
        assert venue.filled(order) == "0.054"
        assert venue.balance("dave", order.fee_asset) == "0"
        dust("house", "0.9", "1.08", pair=EURUSD)
        assert order.fee == (190_800 if fee_in_base else 206)  # and is made good by the next real fill


class TestIdentifiers:
    def test_they_have_the_form_of_the_venue_and_are_unique(self, venue):
        for _ in range(50):
            venue.sell("alice", "0.01", "60000")
            order = venue.buy("bob", "0.02", "60000")
            venue.amend(order, qty="0.015")
            venue.cancel(order)
        bob = venue.engine.accounts["bob"]
        amends = [event.amend_id for event in venue.history if isinstance(event, events.Amended)]
        kinds = {"O": list(bob.closed), "T": [*bob.trades, *amends], "L": list(bob.ledger)}
        for letter, ids in kinds.items():
            assert len(set(ids)) == len(ids) >= 50
            assert all(re.fullmatch(letter + "[A-Z2-7]{5}-[A-Z2-7]{5}-[A-Z2-7]{6}", id_) for id_ in ids)

    def test_they_do_not_look_counted(self):
        ids = IdSequence("O", seed=1, name="order")
        first, second = ids.next(), ids.next()
        assert sum(a != b for a, b in zip(first, second, strict=True)) > 8

    @pytest.mark.parametrize(("seed", "same"), [(1, True), (2, False)])
    def test_same_seed_gives_the_same_identifiers_and_another_seed_others(self, new_venue, seed, same):
        def session(seed: int) -> list[str]:
            venue = new_venue(Account("alice"), Account("bob"), seed=seed)
            venue.deposit("alice", XXBT="1")
            venue.deposit("bob", ZUSD="100000")
            venue.sell("alice", "1", "60000")
            venue.amend(venue.buy("bob", "0.5", "59000"), price="60000")
            return [event_text(event) for event in venue.history]

        assert (session(seed) == session(1)) is same

    def test_public_trades_are_counted_per_pair_from_where_the_profile_says(self, new_venue):
        venue = new_venue(Account("house", house=True), first_trade_ids={XBTUSD: 81_000_000})
        for pair, price in ((XBTUSD, "60000"), (XBTUSD, "60000"), (ETHXBT, "0.05")):
            venue.sell("house", "1", price, pair=pair)
            venue.buy("house", "1", price, pair=pair)
        trades = [event for event in venue.history if isinstance(event, events.Traded)]
        assert [(t.pair, t.trade_id) for t in trades] == [
            (XBTUSD, 81_000_000),
            (XBTUSD, 81_000_001),
            (ETHXBT, 1),
        ]
