"""OrderCancelReplaceRequest (G): what may be changed, by which names, and what it does to the queue."""

import pytest

from emulator.engine import commands
from tests.fix.inside import Direct, FixVenue
from tests.fix.messages import Message, stamp, states
from tests.gateways.venue import START_S, Kraken


@pytest.fixture
def priced(kraken: Kraken) -> Kraken:
    """Its last price is 50,000."""
    kraken.trade("0.01", "50000")
    return kraken


def values(report: Message) -> tuple[str | None, ...]:
    """Return quantity, filled and open quantity, and limit of a report."""
    return report[38], report[14], report[151], report.get(44)


# -- names ----------------------------------------------------------------------------------------


def test_amend_carries_the_new_clordid_and_the_previous_one(alice: Direct) -> None:
    order = alice.resting()
    id_ = alice.replace(order, t38="0.03", t44="50010.0")
    (report,) = alice.take()
    assert (report[150], report[39]) == ("5", "5")
    assert (report[37], report[11], report[41]) == (order[37], id_, order[11])
    assert values(report) == ("0.03", "0.0", "0.03", "50010.0")
    assert report[17] != order[17]
    assert report.get(58) is None


def test_a_chain_of_amends_goes_from_id_to_id(alice: Direct) -> None:
    ids = [alice.order()]
    order = alice.take()[-1]
    for step in range(1, 6):
        ids.append(alice.replace(order, t41=ids[-1], t44=f"{50000 - step}.0"))
    reports = alice.take()
    assert states(reports) == ["55"] * 5
    assert [report[11] for report in reports] == ids[1:]
    assert [report[41] for report in reports] == ids[:-1]
    assert reports[-1][44] == "49995.0"


def test_messages_that_arrive_together_are_carried_out_in_their_order(alice: Direct) -> None:
    session = alice.session
    order = alice.resting()
    session.more = True
    first = alice.replace(order, t44="50001.0")
    second = alice.replace(order, t41=first, t44="50002.0")
    third = alice.cancel(orig=second)
    assert alice.take() == [], "all answers go out with the last one's"
    session.more = False
    assert states(alice.sync()) == ["55", "55", "44"]
    canceled = alice.messages[-2]
    assert (canceled[11], canceled[41]) == (third, second)


def test_an_order_is_known_by_its_last_id_only(alice: Direct) -> None:
    order = alice.resting()
    (amended,) = alice.replaced(order, t44="50001.0")
    for (refusal,), text in (
        (alice.replaced(order, t44="50002.0"), "EOrder:Unknown order"),
        (alice.canceled(orig=order[11]), "Open Order to cancel not found"),
    ):
        assert (refusal.type, refusal[380], refusal[58]) == ("j", "101", text)
    assert states(alice.canceled(orig=amended[11])) == ["44"]


def test_a_refused_amend_leaves_the_order_and_its_id(alice: Direct, inside: FixVenue) -> None:
    dave = inside.trader("DAVE")
    order = dave.resting(t38="0.001")
    (refusal,) = dave.replaced(order, t38="1")
    assert (refusal.type, refusal[372], refusal[380]) == ("j", "G", "0")
    assert refusal[58] == "EOrder:Insufficient funds"
    (report,) = dave.replaced(order, t38="0.0011")
    assert report[41] == order[11], "not the id of the refused one"


@pytest.mark.parametrize(
    "fields", [{"t37": "OAAAAA-BBBBB-CCCCCC"}, {"t41": "1"}, {"t37": "OAAAAA-BBBBB-CCCCCC", "t41": "1"}]
)
def test_41_finds_the_order_and_37_must_be_its_id(alice: Direct, fields: dict[str, str]) -> None:
    order = alice.resting()
    (refusal,) = alice.replaced(order, **fields)
    assert (refusal.type, refusal[380], refusal[58]) == ("j", "101", "EOrder:Unknown order")


def test_orders_of_other_sessions_and_protocols_cannot_be_amended(
    kraken: Kraken, inside: FixVenue, alice: Direct
) -> None:
    order = alice.resting()
    for client in (inside.trader("ALICE2"), inside.trader("BOB")):
        (refusal,) = client.replaced(order, t44="50001.0")
        assert refusal[380] == "101"
    foreign = kraken.place("alice", "buy", "0.01", "40000", cl_ord_id="over-rest")
    (refusal,) = alice.replaced(order, t37=foreign.txid, t41="over-rest")
    assert refusal[380] == "101"


def test_closed_orders_cannot_be_amended(alice: Direct, bob: Direct) -> None:
    order = alice.resting()
    bob.ordered(t54="2")
    alice.take()
    (refusal,) = alice.replaced(order, t44="50001.0")
    assert (refusal[380], refusal[58]) == ("101", "EOrder:Unknown order")


@pytest.mark.parametrize(
    "fields",
    [{"t54": "2"}, {"t55": "ETH/USD"}, {"t40": "1"}, {"t40": "4", "t99": "50000"}, {"t59": "3"}],
)
def test_side_symbol_type_and_time_in_force_stay(alice: Direct, fields: dict[str, str]) -> None:
    order = alice.resting()
    (refusal,) = alice.replaced(order, **fields)
    assert (refusal.type, refusal[380], refusal[58]) == ("j", "0", "EOrder:Invalid order")


def test_an_amend_may_leave_the_time_in_force_out(alice: Direct) -> None:
    order = alice.resting()
    assert states(alice.replaced(order, t59=None, t44="50001.0")) == ["55"]


def test_an_amend_names_the_price(alice: Direct) -> None:
    order = alice.resting()
    (refusal,) = alice.replaced(order, t44=None)
    assert (refusal.type, refusal[380], refusal[58]) == ("j", "5", "Missing mandatory field: Price (44)")


def test_the_new_id_is_the_order_s_cl_ord_id_for_other_protocols(kraken: Kraken, alice: Direct) -> None:
    order = alice.resting()
    (amended,) = alice.replaced(order, t44="50001.0")
    account = kraken.engine.accounts["alice"]
    assert set(account.by_cl_ord_id) == {amended[11]}
    found = kraken.private("OpenOrders", cl_ord_id=amended[11])["open"]
    assert list(found) == [order[37]]
    assert states(alice.canceled(order[37])) == ["44"]
    assert not account.by_cl_ord_id


def test_an_amend_cannot_take_the_id_of_another_open_order(kraken: Kraken, alice: Direct) -> None:
    order = alice.resting()
    kraken.place("alice", "buy", "0.01", "40000", cl_ord_id="9" * 17)
    (refusal,) = alice.replaced(order, t11="9" * 17)
    assert refusal[58] == "EGeneral:Invalid arguments:cl_ord_id not unique"


# -- quantities, prices and the queue -------------------------------------------------------------


def first_in_queue(alice: Direct, carol: Direct, bob: Direct) -> Direct:
    """Let bob sell a little at the price of both; return whose order it hit."""
    bob.ordered(t54="2", t38="0.001", t44="49990.0")
    hit = [client for client in (alice, carol) if client.take()]
    assert len(hit) == 1
    return hit[0]


@pytest.mark.parametrize(
    ("fields", "keeps"),
    [
        ({"t38": "0.005"}, True),
        ({"t38": "0.02"}, False),
        ({"t44": "49999.0"}, False),
    ],
)
def test_less_quantity_keeps_the_place_in_the_queue_more_or_another_price_loses_it(
    inside: FixVenue, alice: Direct, bob: Direct, fields: dict[str, str], keeps: bool
) -> None:
    carol = inside.trader("CAROL")
    order = alice.resting()
    carol.resting(t44=fields.get("t44", "50000.0"))
    assert states(alice.replaced(order, **fields)) == ["55"]
    assert first_in_queue(alice, carol, bob) is (alice if keeps else carol)


def test_an_amend_of_a_partly_filled_order_tells_what_was_filled(alice: Direct, bob: Direct) -> None:
    order = alice.resting(t38="0.03")
    bob.ordered(t54="2", t38="0.01")
    alice.take()
    (report,) = alice.replaced(order, t38="0.02", t44="49000.0")
    assert values(report) == ("0.02", "0.01", "0.01", "49000.0")
    assert (report[39], report[6], report[381]) == ("5", "50000.0", "500.0")


@pytest.mark.parametrize("quantity", ["0.01", "0.004"])
def test_an_amend_to_the_filled_quantity_or_less_ends_the_order(
    alice: Direct, bob: Direct, quantity: str
) -> None:
    order = alice.resting(t38="0.03")
    bob.ordered(t54="2", t38="0.01")
    alice.take()
    amended, ended = alice.replaced(order, t38=quantity)
    assert states([amended, ended]) == ["55", "44"]
    assert values(amended) == values(ended) == ("0.01", "0.01", "0.0", "50000.0")
    assert ended[11] == amended[11]
    assert alice.canceled(order[37])[0].type == "j"


def test_an_amend_that_trades_at_once_is_reported_before_its_fills(alice: Direct, bob: Direct) -> None:
    order = alice.resting(t38="0.03")
    bob.ordered(t54="2", t38="0.01")
    bob.resting(t54="2", t38="0.01", t44="50100.0")
    bob.resting(t54="2", t38="0.01", t44="50200.0")
    alice.take()
    amended, first, second = alice.replaced(order, t44="50200.0")
    assert states([amended, first, second]) == ["55", "F1", "F2"]
    assert (amended[14], amended[6], amended[381]) == ("0.01", "50000.0", "500.0"), "nothing of the fills"
    assert amended[41] == order[11]
    assert [first[11], second[11]] == [amended[11]] * 2
    assert (first[31], first[381], second[31], second[381]) == ("50100.0", "1001.0", "50200.0", "1503.0")
    assert second[5050] == "1"


def test_a_post_only_amend_that_would_trade_is_refused(alice: Direct, bob: Direct) -> None:
    order = alice.resting()
    bob.resting(t54="2", t44="50100.0")
    (refusal,) = alice.replaced(order, t44="50100.0", t18="P")
    assert (refusal.type, refusal[380], refusal[58]) == ("j", "0", "EOrder:Post only order")
    assert states(alice.replaced(order, t44="50099.9", t18="P")) == ["55"]
    assert alice.status(order[37])[0][44] == "50099.9"


def test_a_post_only_order_stays_one(alice: Direct, bob: Direct) -> None:
    order = alice.resting(t18="P")
    bob.resting(t54="2", t44="50100.0")
    (refusal,) = alice.replaced(order, t44="50100.0")
    assert refusal[58] == "EOrder:Post only order"


def test_an_amend_that_changes_nothing_is_refused(alice: Direct) -> None:
    order = alice.resting()
    (refusal,) = alice.replaced(order)
    assert (refusal.type, refusal[58]) == ("j", "EOrder:No amendable parameters specified")
    (report,) = alice.status(order[37])
    assert (report[39], values(report)) == ("0", values(order))


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"t38": "0"}, "EGeneral:Invalid arguments:volume"),
        ({"t38": "0.00001"}, "EGeneral:Invalid arguments:volume minimum not met"),
        ({"t44": "1.0"}, "EOrder:Cost minimum not met"),
        ({"t44": "0"}, "EOrder:Invalid price"),
        ({"t1138": "0.005"}, "EGeneral:Invalid arguments:displayvol"),
        ({"t38": "1" * 60}, "EGeneral:Invalid arguments:volume"),
    ],
)
def test_an_amend_to_what_cannot_be_is_refused(alice: Direct, fields: dict[str, str], text: str) -> None:
    order = alice.resting()
    (refusal,) = alice.replaced(order, **fields)
    assert (refusal.type, refusal[372], refusal[380], refusal[58]) == ("j", "G", "0", text)
    assert alice.status(order[37])[0][39] == "0"


# -- icebergs, triggers, scheduled orders ---------------------------------------------------------


def test_the_displayed_quantity_of_an_iceberg_is_amended(alice: Direct) -> None:
    order = alice.resting(t38="1", t1138="0.1")
    (report,) = alice.replaced(order, t1138="0.2")
    assert (report[40], report[38], report[1138], report[151]) == ("2", "1.0", "0.2", "1.0")
    (report,) = alice.replaced(report, t38="0.9")
    assert (report[38], report[1138]) == ("0.9", "0.2"), "left out, it stays"
    (refusal,) = alice.replaced(report, t1138="0.05")
    assert refusal[58] == "EGeneral:Invalid arguments:displayvol"


def test_trigger_and_limit_of_a_stop_are_amended(priced: Kraken, alice: Direct) -> None:
    order = alice.resting(t40="4", t54="2", t99="49000.0", t44="48900.0")
    (report,) = alice.replaced(order, t99="49500.0", t44="49400.0")
    assert (report[99], report[44], report[40], report[39]) == ("49500.0", "49400.0", "4", "5")
    (refusal,) = alice.replaced(report, t99=None)
    assert (refusal[380], refusal[58]) == ("5", "Missing mandatory field: StopPx (99)")
    priced.trade("0.01", "49450")
    fired = alice.take()[0]
    assert (fired[150], fired[40], fired[99], fired[1102]) == ("D", "2", "49500.0", "49450.0")


def test_an_order_that_was_set_off_is_amended_as_what_it_has_become(priced: Kraken, alice: Direct) -> None:
    order = alice.resting(t40="4", t54="2", t99="49000.0", t44="51000.0")
    priced.trade("0.01", "48900")
    (fired,) = alice.take()
    assert (fired[150], fired[40]) == ("D", "2")
    for type_ in ("2", "4"):
        (fired,) = alice.replaced(fired, t40=type_, t44=f"5200{type_}.0", t99=None)
        assert (fired[39], fired[40], fired[44], fired[1102]) == ("5", "2", f"5200{type_}.0", "48900.0")
    assert order[11] != fired[41]


def test_a_trailing_stop_is_amended_by_where_it_is_to_stand(priced: Kraken, alice: Direct) -> None:
    order = alice.resting(t40="U", t54="2", t44=None, t99="49000.0")
    (report,) = alice.replaced(order, t99="49800.0")
    assert report[99] == "49800.0"
    priced.trade("0.01", "50100")
    (moved,) = alice.take()
    assert (moved[150], moved[39], moved[99]) == ("D", "0", "49900.0"), "200 behind now"
    (refusal,) = alice.replaced(moved, t99="50200.0")
    assert refusal[58] == "EGeneral:Invalid arguments:price", "it would be set off at once"
    (report,) = alice.replaced(moved, t38="0.005")
    assert (report[38], report[99]) == ("0.005", "49900.0")
    priced.trade("0.01", "50200")
    assert alice.take()[-1][99] == "50000.0", "the distance stays when the quantity changes"


def test_the_limit_of_a_trailing_order_is_amended_as_its_distance(priced: Kraken, alice: Direct) -> None:
    order = alice.resting(t40="V", t54="2", t44="48990.0", t99="49000.0")
    (report,) = alice.replaced(order, t44="48950.0")
    assert (report[99], report[44]) == ("49000.0", "48950.0")
    priced.trade("0.01", "50100")
    (moved,) = alice.take()
    assert (moved[99], moved[44]) == ("49100.0", "49050.0")
    (refusal,) = alice.replaced(moved, t44=None)
    assert (refusal[380], refusal[58]) == ("5", "Missing mandatory field: Price (44)")


def test_an_amended_scheduled_order_waits_on(kraken: Kraken, alice: Direct) -> None:
    (pending,) = alice.ordered(t168=stamp(START_S + 100))
    (report,) = alice.replaced(pending, t44="49000.0")
    assert (report[150], report[39], report[44], report[41]) == ("5", "E", "49000.0", pending[11])
    kraken.wait(99)
    assert alice.take() == []
    kraken.wait(2)
    (new,) = alice.take()
    assert (new[150], new[39], new[44], new[11]) == ("0", "0", "49000.0", report[11])


def test_an_order_amended_by_another_protocol_keeps_its_id(kraken: Kraken, alice: Direct) -> None:
    order = alice.resting()
    kraken.execute(commands.AmendOrder(account="alice", txid=order[37], price=499_990))
    (report,) = alice.take()
    assert (report[150], report[39], report[44], report[11]) == ("5", "5", "49999.0", order[11])
    assert report.get(41) is None
    assert states(alice.replaced(report, t44="49998.0")) == ["55"]
