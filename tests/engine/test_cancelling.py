"""Very many orders that are cancelled together: pair by pair, the rest due at the same time."""

import pytest

from emulator.engine import cancelling, commands, events
from emulator.engine.accounts import Account
from emulator.engine.events import Reject
from emulator.engine.orders import Order, Reason, Status
from emulator.engine.status import TradingStatus
from tests.engine.venue import START_NS, XBTUSD, Refused, event_text, state_of

PAIRS = {XBTUSD: "50000", "XETHZUSD": "2000", "XETHXXBT": "0.02"}


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch):
    monkeypatch.setattr(cancelling, "AT_ONCE", 2)


@pytest.fixture
def orders(venue):
    """Three open orders of alice's in each of three pairs, by turns."""
    return [
        venue.buy("alice", "0.1", price, pair=pair, cl_ord_id=f"{pair}{number}")
        for number in range(3)
        for pair, price in PAIRS.items()
    ]


def ended(venue) -> list[Order]:
    return [event.order for event in venue.all(events.Ended)]


def test_those_of_a_pair_end_together_and_the_rest_at_the_same_time(venue, orders):
    venue.cancel_all("alice")
    assert venue.all(events.CancelledAll) == [events.CancelledAll("alice", len(orders))]
    assert ended(venue) == orders[::3], "one book is cleared at one moment"
    assert venue.bids() == []
    account = venue.engine.accounts["alice"]
    assert account.cancelling == 6
    assert venue.engine.deadline() == venue.now_ns
    venue.wait(0)
    assert ended(venue) == orders[1::3] + orders[2::3]
    assert {order.reason for order in orders} == {Reason.USER}
    assert (account.cancelling, account.open, venue.held("alice", "ZUSD")) == (0, {}, "0")
    assert venue.engine.deadline() is None


def test_what_happens_in_between_counts(venue, orders):
    venue.cancel_all("alice")
    venue.sell("bob", "0.1", "2000", pair="XETHZUSD")
    new = venue.buy("alice", "0.1", "2000", pair="XETHZUSD")
    venue.cancel_all("alice")
    venue.wait(0)
    assert orders[1].status is Status.CLOSED
    assert sum(event.order is orders[1] for event in venue.history if type(event) is events.Ended) == 1
    assert all(order.reason is Reason.USER for order in (*orders[2:], new))
    assert venue.engine.accounts["alice"].cancelling == 0


def test_an_order_that_comes_in_between_stays(venue, orders):
    venue.cancel_all("alice")
    new = venue.buy("alice", "0.1", "2000", pair="XETHZUSD")
    venue.wait(0)
    assert list(venue.engine.accounts["alice"].open.values()) == [new]


def test_the_dead_mans_switch_goes_on_at_its_own_time(venue, orders):
    venue.cancel_all_after("alice", 60)
    venue.wait(3_600)
    assert ended(venue) == orders[::3] + orders[1::3] + orders[2::3]
    assert {event.time_ns for event in venue.all(events.Ended)} == {START_NS + 60 * 10**9}


def test_a_reset_in_between_ends_the_rest(venue, orders):
    venue.cancel_all("alice")
    venue.apply(commands.Reset((), keeps_market=False))
    assert set(ended(venue)) == set(orders[1::3] + orders[2::3])
    assert venue.engine.accounts["alice"].cancelling == 0
    assert venue.wait(1) == []


def test_slices_of_one_give_the_same_events(new_venue):
    def told(most: int | None) -> list[str]:
        venue = new_venue(Account("alice"), Account("bob"))
        for name in ("alice", "bob"):
            venue.deposit(name, ZUSD="1000000", XXBT="100", XETH="100")
            for price, pair in [(price, pair) for _ in range(3) for pair, price in PAIRS.items()]:
                venue.buy(name, "0.1", price, pair=pair)
            venue.cancel_all_after(name, 10)
        until_ns, heard = venue.now_ns + 60 * 10**9, []
        while (due_ns := venue.engine.deadline()) is not None and due_ns <= until_ns:
            heard += venue.engine.advance(until_ns, most)
        return [event_text(event) for event in heard]

    assert told(1) == told(None)
    assert len([text for text in told(1) if text.startswith("Ended")]) == 18


class TestSeveral:
    def test_those_that_are_named(self, venue, orders):
        named = tuple(order.txid for order in orders[3:])
        venue.apply(commands.CancelOrders(account="alice", txids=named))
        assert venue.all(events.CancelledAll) == [events.CancelledAll("alice", 6)]
        venue.wait(0)
        assert list(venue.engine.accounts["alice"].open.values()) == orders[:3]

    def test_those_that_cannot_be_are_refused_the_others_cancelled(self, venue, orders):
        venue.apply(commands.SetStatus(TradingStatus.MAINTENANCE, "XETHZUSD"))
        with pytest.raises(Refused) as refused:
            venue.apply(
                commands.CancelOrders(account="alice", txids=tuple(order.txid for order in orders[:3]))
            )
        assert refused.value.reason is Reject.UNAVAILABLE
        venue.wait(0)
        assert [order.status for order in orders[:3]] == [Status.CANCELED, Status.OPEN, Status.CANCELED]

    def test_one_that_is_not_open_is_refused(self, venue, orders):
        before = state_of(venue.engine)
        with pytest.raises(Refused) as refused:
            venue.apply(commands.CancelOrders(account="alice", txids=("OAAAAA-AAAAA-AAAAAA",)))
        assert refused.value.reason is Reject.UNKNOWN_ORDER
        assert state_of(venue.engine) == before
