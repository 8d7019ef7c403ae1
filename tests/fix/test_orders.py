"""NewOrderSingle (D): acknowledgements, fills, and what the reports add up to."""

import re
from decimal import Decimal

import pytest

from tests.fix.inside import Direct, FixVenue
from tests.fix.messages import Message, new_id, states
from tests.gateways.venue import START_NS, Kraken

ACKNOWLEDGEMENT = [8, 9, 35, 34, 49, 52, 56, 6, 11, 14, 17, 37, 38, 39, 40, 44, 54, 55, 58, 59, 60]
ACKNOWLEDGEMENT += [150, 151, 381, 10]
FILL = [8, 9, 35, 34, 49, 52, 56, 6, 11, 14, 17, 31, 32, 37, 38, 39, 40, 44, 54, 55, 59, 60]
FILL += [118, 136, 137, 138, 139, 891, 150, 151, 381, 527, 1003, 5050, 10]


def tags(message: Message) -> list[int]:
    return [int(tag) for tag, _ in message.pairs]


def ascending(message: Message) -> bool:
    """Tell whether the body's tags ascend; a group's stand where its counter does."""
    body = [tag for tag in tags(message)[7:-1] if tag != 891]
    return body == sorted(body)


def uuid_at(time_ns: int, tail: str = "8f10-0123456789ab") -> str:
    """Return a UUID whose first 48 bits count units of 10 µs."""
    digits = f"{time_ns // 10_000:012x}"
    return f"{digits[:8]}-{digits[8:]}-4c3e-{tail}"


def total(report: Message, tag: int) -> Decimal:
    return Decimal(report[tag])


# -- acknowledgements -----------------------------------------------------------------------------


def test_a_resting_order_is_acknowledged_as_pending_and_then_as_new(alice: Direct) -> None:
    id_ = alice.order()
    pending, new = alice.take()
    assert states([pending, new]) == ["AA", "00"]
    for report in (pending, new):
        assert tags(report) == ACKNOWLEDGEMENT
        assert (report[11], report[38], report[40], report[44]) == (id_, "0.01", "2", "50000.0")
        assert (report[54], report[55], report[59]) == ("1", "BTC/USD", "1")
        assert (report[6], report[14], report[151], report[381]) == ("0.0", "0.0", "0.01", "0.0")
        assert report[58] == "buy 0.01 BTC/USD @ limit 50000"
        assert report[60] == "20261102-10:00:00.000"
        assert report[37] == pending[37]
        assert re.fullmatch(r"O[A-Z0-9]{5}-[A-Z0-9]{5}-[A-Z0-9]{6}", report[37])
        assert re.fullmatch(r"[A-Z0-9]{7}:[A-Z0-9]{13}", report[17])
    assert pending[17] != new[17]


def test_a_market_order_has_no_price_in_its_reports(alice: Direct, bob: Direct) -> None:
    bob.resting(t54="2", t38="1")
    reports = alice.ordered(t40="1", t44=None, t38="0.5")
    assert states(reports) == ["AA", "00", "F2"]
    assert [report.get(44) for report in reports] == [None] * 3
    assert reports[0][58] == "buy 0.5 BTC/USD @ market"


@pytest.mark.parametrize("symbol", ["XBT/USD", "XXBTZUSD", "btc/usd", "BTCUSD", "NO/NE"])
def test_a_symbol_of_another_naming_is_an_unknown_instrument(alice: Direct, symbol: str) -> None:
    assert alice.refusal(t55=symbol) == ("2", "EQuery:Unknown asset pair")


def test_brokers_get_their_allocation_back_in_every_report(alice: Direct, bob: Direct) -> None:
    alice.resting(t78="1", t79="DESK-7")
    bob.ordered(t54="2")
    for report in alice.messages[1:]:
        assert (report[78], report[79]) == ("1", "DESK-7")
        assert ascending(report)
        assert report.pairs.index(("79", "DESK-7")) == report.pairs.index(("78", "1")) + 1


# -- fills ----------------------------------------------------------------------------------------


def test_maker_and_taker_hear_of_a_fill(alice: Direct, bob: Direct) -> None:
    made = alice.resting(t38="0.25")
    taken = bob.ordered(t54="2", t38="0.1", t44="49000.0")
    (fill,) = alice.take()
    assert states(taken) == ["AA", "00", "F2"]
    assert states([fill]) == ["F1"]
    assert tags(fill) == tags(taken[-1]) == FILL
    assert (fill[37], fill[11], fill[44]) == (made[37], made[11], "50000.0")
    assert (fill[31], fill[32], fill[14], fill[151]) == ("50000.0", "0.1", "0.1", "0.15")
    assert (fill[6], fill[118], fill[381]) == ("50000.0", "5000.0", "5000.0")
    assert (fill[136], fill[138], fill[139], fill[891], fill[5050]) == ("1", "USD", "4", "2", "0")
    other = taken[-1]
    assert (other[31], other[32], other[44], other[151], other[5050]) == (
        "50000.0", "0.1", "49000.0", "0.0", "1",
    )  # fmt: skip
    assert fill[527] == other[527]
    assert fill[1003] != other[1003]


def test_quantities_costs_and_fees_of_a_report_are_those_of_the_order_so_far(
    alice: Direct, bob: Direct
) -> None:
    alice.resting(t38="0.01", t44="50000.0")
    alice.resting(t38="0.01", t44="49000.0")
    reports = bob.ordered(t54="2", t38="0.03", t44="48000.0")
    assert states(reports) == ["AA", "00", "F1", "F1"]
    first, second = reports[2:]
    assert (first[14], first[151], first[6], first[381]) == ("0.01", "0.02", "50000.0", "500.0")
    assert (second[14], second[151], second[6], second[381]) == ("0.02", "0.01", "49500.0", "990.0")
    assert (second[32], second[118]) == ("0.01", "490.0")
    rate = total(first, 137) / total(first, 381)
    assert total(second, 137) == rate * total(second, 381)
    assert int(second[527]) == int(first[527]) + 1


def test_both_orders_of_one_session_are_reported_in_the_order_of_events(
    inside: FixVenue, alice: Direct
) -> None:
    other = inside.trader("ALICE2")
    resting = alice.resting()
    other.ordered(t54="2")
    assert alice.take() == [], "orders of one account do not trade with each other"
    assert alice.status(resting[37])[0][39] == "0"


def test_a_fill_in_the_base_asset_pays_its_fee_in_it(alice: Direct, bob: Direct) -> None:
    bob.resting(t54="2", t38="1")
    in_base, in_quote = alice.ordered(t18="f")[-1], alice.ordered(t18="q")[-1]
    assert (in_base[138], in_quote[138]) == ("BTC", "USD")
    assert total(in_base, 137) / total(in_base, 14) == total(in_quote, 137) / total(in_quote, 381)


def test_an_order_for_cash_is_reported_by_what_it_buys(alice: Direct, bob: Direct) -> None:
    bob.resting(t54="2", t38="1")
    reports = alice.ordered(t40="1", t44=None, t38="1000", t18="v")
    assert states(reports) == ["AA", "00", "F2"]
    assert reports[0][38] == reports[-1][14] == "0.02"
    assert reports[-1][381] == "1000.0"


# -- ClOrdID --------------------------------------------------------------------------------------


def test_integers_must_increase_from_request_to_request(alice: Direct) -> None:
    order = alice.resting(t11="100")
    assert alice.session_reject(t11="100")[2] == "ClOrdID invalid value (timestamp is out of date)"
    assert alice.session_reject(t11="99")[0] == "11"
    assert states(alice.replaced(order, t11="101", t44="50001.0")) == ["55"]
    assert alice.session_reject(t11="101")[1] == "5"
    (report,) = alice.canceled(order[37], t11="102")
    assert report[11] == "102"
    alice.mass_cancel("6", t11="103")
    assert alice.session_reject(t11="103")[0] == "11"
    assert states(alice.ordered(t11="104")) == ["AA", "00"]


def test_the_order_status_request_may_carry_any_id(alice: Direct) -> None:
    order = alice.resting(t11="100")
    for id_ in ("100", "7", "whatever it is"):
        (report,) = alice.status(order[37], t11=id_)
        assert (report[150], report[39], report[11]) == ("I", "0", id_)
    assert states(alice.ordered(t11="101")) == ["AA", "00"]


def test_ids_of_two_sessions_are_apart(inside: FixVenue, alice: Direct) -> None:
    alice.resting(t11="1000")
    assert inside.trader("BOB").resting(t11="1000")[11] == "1000"


def test_a_uuid_carries_a_time_near_the_venue_s(alice: Direct) -> None:
    id_ = uuid_at(START_NS)
    assert alice.resting(t11=id_)[11] == id_
    assert alice.session_reject(t11=id_)[2] == "ClOrdID invalid value (not unique)"
    late = "ClOrdID invalid value (timestamp is out of date)"
    for seconds in (-121, 121):
        assert alice.session_reject(t11=uuid_at(START_NS + seconds * 10**9)) == ("11", "5", late)
    for seconds in (-119, 119):
        assert states(alice.ordered(t11=uuid_at(START_NS + seconds * 10**9))) == ["AA", "00"]


def test_uuids_and_integers_may_be_mixed(alice: Direct) -> None:
    alice.resting(t11="500")
    order = alice.resting(t11=uuid_at(START_NS))
    (report,) = alice.replaced(order, t11="501", t44="50001.0")
    assert (report[11], report[41]) == ("501", uuid_at(START_NS))


def test_longest_integer(alice: Direct) -> None:
    assert alice.resting(t11="9" * 18)[11] == "9" * 18


@pytest.mark.parametrize(
    "value", ["abc", "0", "-1", "1.5", "1" * 19, "1b4e28ba2fa111d2883f0016d3cca427", " 5"]
)
def test_what_is_no_client_order_id_is_rejected(alice: Direct, value: str) -> None:
    assert alice.session_reject(t11=value) == ("11", "5", "ClOrdID invalid value")


def test_an_id_of_an_open_order_of_another_protocol_is_not_unique(kraken: Kraken, alice: Direct) -> None:
    id_ = new_id()
    kraken.place("alice", "buy", "0.1", "40000", cl_ord_id=id_)
    assert alice.refusal(t11=id_) == ("0", "EGeneral:Invalid arguments:cl_ord_id not unique")


# -- order status ---------------------------------------------------------------------------------


def test_the_status_of_an_order_in_all_its_states(kraken: Kraken, alice: Direct, bob: Direct) -> None:
    order = alice.resting(t38="0.02")
    bob.ordered(t54="2")
    (report,) = alice.status(order[37])[-1:]
    assert (report[150], report[39], report[14], report[151]) == ("I", "1", "0.01", "0.01")
    assert (report[6], report[381]) == ("50000.0", "500.0")
    bob.ordered(t54="2")
    (report,) = alice.status(order[37])[-1:]
    assert (report[150], report[39], report[14], report[151]) == ("I", "2", "0.02", "0.0")
    other = alice.resting()
    alice.canceled(other[37])
    (report,) = alice.status(other[37])
    assert (report[150], report[39], report[151], report[58]) == ("I", "4", "0.0", "User requested")


def test_the_status_of_orders_of_any_protocol_and_session_of_the_account(
    kraken, inside: FixVenue, alice: Direct
) -> None:
    foreign = kraken.place("alice", "sell", "0.1", "70000", cl_ord_id="over-rest")
    (report,) = alice.status(foreign.txid)
    assert (report[150], report[39], report[54], report[44]) == ("I", "0", "2", "70000.0")
    assert report[59] == "1"
    own = alice.resting()
    (report,) = inside.trader("ALICE2").status(own[37])
    assert (report[37], report[39]) == (own[37], "0")
    assert alice.take() == [], "who asks gets the answer"


def test_orders_of_others_and_orders_that_never_were_have_no_status(inside: FixVenue, alice: Direct) -> None:
    order = alice.resting()
    for txid in (order[37], "OAAAAA-BBBBB-CCCCCC", "nonsense"):
        (refusal,) = inside.trader("BOB").status(txid) if txid == order[37] else alice.status(txid)
        assert (refusal.type, refusal[45], refusal[372]) == ("j", "0", "H")
        assert (refusal[380], refusal[58]) == ("101", "EOrder:Unknown order")
