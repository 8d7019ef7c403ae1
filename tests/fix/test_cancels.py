"""OrderCancelRequest (F), OrderMassCancelRequest (q), and cancels that nobody asked for."""

import pytest

from emulator.engine import commands
from emulator.engine.status import TradingStatus
from tests.fix.inside import Direct, FixVenue
from tests.fix.messages import Message, states
from tests.gateways.venue import XBTUSD, Kraken

ETH = {"t55": "ETH/USD", "t38": "0.1", "t44": "2000.0"}
NOT_FOUND = ("j", "0", "F", "101", "Open Order to cancel not found")


def refusal(messages: list[Message]) -> tuple[str, ...]:
    """Return type, 45, 372, 380 and 58 of the only message."""
    (message,) = messages
    return message.type, message[45], message[372], message[380], message[58]


# -- one order ------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["37", "41", "both"])
def test_a_cancel_is_answered_with_its_own_id_and_the_order_s(alice: Direct, by: str) -> None:
    order = alice.resting(t38="0.02")
    id_ = alice.cancel(order[37] if by != "41" else None, order[11] if by != "37" else None)
    (report,) = alice.take()
    assert (report[150], report[39]) == ("4", "4")
    assert (report[37], report[11], report[41]) == (order[37], id_, order[11])
    assert (report[38], report[14], report[151]) == ("0.02", "0.0", "0.0")
    assert report.get(58) is None, "who has asked for it knows why"


def test_the_order_id_decides_when_both_are_there(alice: Direct) -> None:
    first, second = alice.resting(), alice.resting()
    (report,) = alice.canceled(first[37], second[11])
    assert (report[37], report[41]) == (first[37], first[11])
    assert refusal(alice.canceled("OAAAAA-BBBBB-CCCCCC", second[11])) == NOT_FOUND
    assert states(alice.canceled(second[37], "no such id")) == ["44"]


def test_side_and_symbol_are_not_compared_with_the_order(alice: Direct) -> None:
    order = alice.resting()
    assert states(alice.canceled(order[37], t54="2", t55="ETH/EUR")) == ["44"]


def test_a_cancel_tells_what_was_filled(alice: Direct, bob: Direct) -> None:
    order = alice.resting(t38="0.03")
    bob.ordered(t54="2")
    alice.take()
    (report,) = alice.canceled(order[37])
    assert (report[39], report[14], report[151]) == ("4", "0.01", "0.0")
    assert (report[6], report[381]) == ("50000.0", "500.0")
    assert report.get(32) is None


def test_a_cancel_that_comes_after_the_fill_finds_no_order(alice: Direct, bob: Direct) -> None:
    order = alice.resting()
    bob.ordered(t54="2")
    id_ = alice.cancel(order[37], order[11])
    fill, late = alice.take()
    assert states([fill]) == ["F2"]
    assert refusal([late]) == NOT_FOUND
    assert late[379] == id_


def test_an_order_is_cancelled_once(alice: Direct) -> None:
    order = alice.resting()
    assert states(alice.canceled(order[37])) == ["44"]
    assert refusal(alice.canceled(order[37])) == NOT_FOUND
    assert refusal(alice.canceled(orig=order[11])) == NOT_FOUND


def test_orders_of_others_are_not_found(kraken: Kraken, inside: FixVenue, alice: Direct) -> None:
    order = alice.resting()
    for client in (inside.trader("BOB"), inside.trader("ALICE2")):
        assert refusal(client.canceled(order[37])) == NOT_FOUND
        assert refusal(client.canceled(orig=order[11])) == NOT_FOUND
    foreign = kraken.place("alice", "buy", "0.01", "40000", cl_ord_id="over-rest")
    assert refusal(alice.canceled(foreign.txid)) == NOT_FOUND
    assert refusal(alice.canceled(orig="over-rest")) == NOT_FOUND
    assert alice.status(order[37])[0][39] == alice.status(foreign.txid)[0][39] == "0"


def test_orders_of_an_earlier_connection_are_cancelled_by_their_ids(alice: Direct) -> None:
    alice.close()
    alice.logon((8674, 1))
    by_id, by_name = alice.resting(), alice.resting()
    alice.close()
    alice.logon()
    assert states(alice.canceled(by_id[37])) == ["44"]
    assert alice.canceled(orig=by_name[11])[0][41] == by_name[11]


@pytest.mark.parametrize("fields", [{"t40": "3", "t44": None, "t99": "49000"}, {"t168": "20261102-11:00:00"}])
def test_orders_that_wait_are_cancelled(kraken: Kraken, alice: Direct, fields: dict[str, str]) -> None:
    kraken.trade("0.01", "50000")
    order = alice.ordered(t54="2", **fields)[-1]
    (report,) = alice.canceled(order[37])
    assert (report[39], report[40], report.get(1102)) == ("4", order[40], None)


# -- mass cancels ---------------------------------------------------------------------------------


def test_a_mass_cancel_reports_each_order_by_its_own_id(alice: Direct) -> None:
    orders = [alice.resting(t44=f"{49000 + n}.0") for n in range(3)]
    reports = alice.mass_cancel("6")
    assert states(reports) == ["44"] * 3
    assert [report[37] for report in reports] == [order[37] for order in orders]
    assert [report[11] for report in reports] == [order[11] for order in orders]
    assert [report.get(41) for report in reports] == [None] * 3
    assert {report[58] for report in reports} == {"User requested"}


def test_a_mass_cancel_of_nothing_is_silent(alice: Direct) -> None:
    assert alice.mass_cancel("1", t55="BTC/USD") == []
    assert alice.mass_cancel("6") == []
    assert alice.mass_cancel("7") == []


def test_by_symbol_other_pairs_stay(alice: Direct) -> None:
    bitcoin, ether = alice.resting(), alice.resting(**ETH)
    (report,) = alice.mass_cancel("1", t55="BTC/USD")
    assert report[37] == bitcoin[37]
    assert alice.status(ether[37])[0][39] == "0"


def test_orders_of_the_session_are_those_that_it_has_placed_or_replaced(alice: Direct) -> None:
    alice.close()
    alice.logon((8674, 1))
    old, replaced = alice.resting(), alice.resting()
    alice.close()
    alice.logon((8674, 1))
    new = alice.resting()
    (replaced,) = alice.replaced(replaced, t44="49000.0")
    reports = alice.mass_cancel("6")
    assert {report[37] for report in reports} == {replaced[37], new[37]}
    assert alice.mass_cancel("1", t55="BTC/USD") == []
    (report,) = alice.mass_cancel("7")
    assert report[37] == old[37]


def test_orders_of_other_sessions_and_protocols_stay(kraken: Kraken, inside: FixVenue, alice: Direct) -> None:
    foreign = kraken.place("alice", "buy", "0.01", "40000")
    other = inside.trader("ALICE2").resting()
    mine = alice.resting()
    (report,) = alice.mass_cancel("7")
    assert report[37] == mine[37]
    assert alice.status(foreign.txid)[0][39] == alice.status(other[37])[0][39] == "0"


def test_untriggered_and_scheduled_orders_are_among_them(kraken: Kraken, alice: Direct) -> None:
    kraken.trade("0.01", "50000")
    alice.ordered(t40="3", t54="2", t44=None, t99="49000.0")
    alice.ordered(t168="20261102-11:00:00")
    assert states(alice.mass_cancel("6")) == ["44", "44"]
    kraken.wait(4000)
    assert alice.take() == []


def test_each_cancel_of_a_mass_cancel_counts_towards_the_rate_limit(kraken: Kraken, alice: Direct) -> None:
    kraken.engine.rate_limits = True
    for _ in range(20):
        alice.resting()
    assert states(alice.mass_cancel("6")) == ["44"] * 20
    assert alice.refusal()[1] == "EOrder:Rate limit exceeded"


# -- cancels that nobody has asked for ------------------------------------------------------------


def test_orders_of_the_session_are_cancelled_when_the_connection_is_lost(
    kraken: Kraken, alice: Direct
) -> None:
    alice.close()
    alice.logon((8674, 1))
    kept = alice.resting()
    alice.close()
    alice.logon((8674, 0))
    alice.resting()
    alice.replaced(kept, t44="49000.0")
    alice.close()
    assert list(kraken.engine.accounts["alice"].open) == [kept[37]], "it was placed in another session"


@pytest.mark.parametrize("command", [commands.CancelAll("alice"), "one"])
def test_a_cancel_over_another_protocol_is_reported_with_its_reason(
    kraken: Kraken, alice: Direct, command: commands.Command | str
) -> None:
    order = alice.resting()
    if isinstance(command, str):
        command = commands.CancelOrder(account="alice", txid=order[37])
    kraken.execute(command)
    (report,) = alice.take()
    assert (report[150], report[39], report[11], report[58]) == ("4", "4", order[11], "User requested")
    assert report.get(41) is None


def test_the_dead_man_s_switch_of_rest_cancels_fix_orders(kraken: Kraken, alice: Direct) -> None:
    alice.resting()
    kraken.private("CancelAllOrdersAfter", timeout=10)
    kraken.wait(11)
    (report,) = alice.take()
    assert (report[39], report[58]) == ("4", "CancelAllOrdersAfter Timeout")


@pytest.mark.parametrize("value", [None, "1"])
def test_of_two_orders_of_an_account_the_newest_gives_way(alice: Direct, value: str | None) -> None:
    resting = alice.resting()
    reports = alice.ordered(t54="2", t7928=value)
    assert states(reports) == ["AA", "00", "44"]
    assert (reports[-1][58], reports[-1][151]) == ("Cannot trade with self", "0.0")
    assert alice.status(resting[37])[0][39] == "0"


def test_of_two_orders_of_an_account_the_oldest_gives_way(alice: Direct) -> None:
    resting = alice.resting()
    pending, new, gone = alice.ordered(t54="2", t7928="2")
    assert states([pending, new, gone]) == ["AA", "00", "44"]
    assert (gone[37], gone[11], gone[58]) == (resting[37], resting[11], "Cannot trade with self")
    assert alice.status(new[37])[0][39] == "0"


def test_both_orders_of_an_account_give_way(alice: Direct) -> None:
    resting = alice.resting()
    reports = alice.ordered(t54="2", t7928="0")
    assert states(reports) == ["AA", "00", "44", "44"]
    assert [report[37] for report in reports[2:]] == [resting[37], reports[0][37]]
    assert {report[58] for report in reports[2:]} == {"Cannot trade with self"}


def test_self_trade_prevention_after_fills_of_others(alice: Direct, bob: Direct) -> None:
    bob.resting(t44="50010.0")
    alice.resting()
    reports = alice.ordered(t54="2", t38="0.02")
    assert states(reports) == ["AA", "00", "F1", "44"]
    assert (reports[-1][14], reports[-1][151]) == ("0.01", "0.0")


def test_the_session_of_the_resting_order_hears_of_it(inside: FixVenue, alice: Direct) -> None:
    resting, other = alice.resting(), inside.trader("ALICE2")
    assert states(other.ordered(t54="2", t7928="2")) == ["AA", "00"]
    (report,) = alice.take()
    assert (report[37], report[39], report[58]) == (resting[37], "4", "Cannot trade with self")


def test_a_pair_that_stops_cancels_a_scheduled_order_at_its_time(kraken: Kraken, alice: Direct) -> None:
    alice.ordered(t168="20261102-10:01:00")
    kraken.execute(commands.SetStatus(TradingStatus.CANCEL_ONLY, XBTUSD))
    kraken.wait(61)
    (report,) = alice.take()
    assert (report[39], report[58]) == ("4", "Market status")
