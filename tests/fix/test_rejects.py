"""How messages are refused: fields by Reject (3), business by BusinessMessageReject (j), in that order."""

import time

import pytest

from emulator.engine import commands
from emulator.engine.accounts import AccountState
from emulator.engine.status import TradingStatus
from tests.fix.inside import Direct, FixVenue
from tests.fix.messages import new_id, stamp, states
from tests.gateways.venue import START_S, XBTUSD, Kraken

STOP = {"t40": "3", "t54": "2", "t44": None}


@pytest.fixture
def priced(kraken: Kraken) -> Kraken:
    """Its last price is 50,000."""
    kraken.trade("1", "50000")
    return kraken


# -- fields ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tag", "name"),
    [(11, "ClOrdID"), (38, "OrderQty"), (40, "OrdType"), (54, "Side"), (55, "Symbol"), (59, "TimeInForce"),
     (60, "TransactTime")],
)  # fmt: skip
def test_an_order_without_a_mandatory_field_is_rejected(alice: Direct, tag: int, name: str) -> None:
    text = f"Missing mandatory field: {name} ({tag})"
    assert alice.session_reject(**{f"t{tag}": None}) == (str(tag), "1", text)


@pytest.mark.parametrize(
    ("tag", "value", "name"),
    [(40, "9", "OrderType"), (54, "3", "Side"), (59, "0", "TimeInForce"), (18, "G", "ExecInst"),
     (18, "s", "ExecInst"), (18, "P s", "ExecInst"), (388, "2", "DiscretionInst"), (5001, "2", "Leverage"),
     (7928, "3", "SelfTradePrevention")],
)  # fmt: skip
def test_a_value_that_there_is_not_is_rejected(alice: Direct, tag: int, value: str, name: str) -> None:
    text = f"Invalid value for tag {tag}: {name}"
    assert alice.session_reject(**{f"t{tag}": value}) == (str(tag), "5", text)


@pytest.mark.parametrize(
    ("tag", "value"),
    [(38, "abc"), (38, "1e-3"), (44, "1,000"), (60, "yesterday"), (62, "2026"), (126, "x"), (168, "x")],
)
def test_a_value_of_another_form_is_rejected(alice: Direct, tag: int, value: str) -> None:
    assert alice.session_reject(**{f"t{tag}": value})[:2] == (str(tag), "6")


def test_a_tag_that_kraken_does_not_know_is_rejected(alice: Direct) -> None:
    assert alice.session_reject(t6001="5")[:2] == ("6001", "0")


@pytest.mark.parametrize("fields", [{"t78": "2", "t79": "A"}, {"t78": "1"}, {"t79": "A"}])
def test_there_is_one_allocation_or_none(alice: Direct, fields: dict[str, str]) -> None:
    assert alice.session_reject(**fields)[0] in ("78", "79")


def test_two_allocations_are_rejected(alice: Direct) -> None:
    order = [(11, new_id()), (38, "0.01"), (40, "2"), (44, "50000.0"), (54, "1"), (55, "BTC/USD")]
    order += [(59, "1"), (60, stamp(START_S)), (78, "2"), (79, "A"), (79, "B")]
    alice.send("D", *order)
    (refusal,) = alice.take()
    assert (refusal.type, refusal[371], refusal[373]) == ("3", "78", "5")


def test_fields_are_looked_at_before_business(alice: Direct) -> None:
    assert alice.session_reject(t54=None, t55="NO/NE")[0] == "54"
    assert alice.session_reject(t18="s", t55="NO/NE")[0] == "18"
    assert alice.session_reject(t11="abc", t55="NO/NE")[0] == "11"
    assert alice.session_reject(t18="s", t38="0")[0] == "18"


def test_a_rejected_message_has_not_used_its_id(alice: Direct) -> None:
    id_ = new_id()
    alice.session_reject(t11=id_, t54=None)
    alice.session_reject(t11=id_, t18="s")
    assert states(alice.ordered(t11=id_)) == ["AA", "00"]


def test_fields_of_amends_and_cancels_are_looked_at_alike(alice: Direct) -> None:
    order = alice.resting()
    for fields in ({"t41": None}, {"t37": None}, {"t38": None}, {"t18": "v"}, {"t18": "E"}, {"t40": "9"}):
        (refusal,) = alice.replaced(order, **fields)
        assert (refusal.type, refusal[372]) == ("3", "G"), fields
    (refusal,) = alice.replaced(order, t18="s", t37="OAAAAA-BBBBB-CCCCCC")
    assert (refusal.type, refusal[371]) == ("3", "18")
    (refusal,) = alice.canceled(order[37], t54=None)
    assert (refusal.type, refusal[372], refusal[371], refusal[373]) == ("3", "F", "54", "1")
    (refusal,) = alice.mass_cancel("5")
    assert (refusal.type, refusal[372], refusal[371], refusal[373]) == ("3", "q", "530", "5")
    (refusal,) = alice.mass_cancel("6", t11=None)
    assert (refusal.type, refusal[371]) == ("3", "11")


# -- conditional fields ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"t44": None}, "Missing mandatory field: Price (44)"),
        (STOP, "Missing mandatory field: StopPx (99)"),
        (STOP | {"t40": "R"}, "Missing mandatory field: StopPx (99)"),
        (STOP | {"t40": "U"}, "Missing mandatory field: StopPx (99)"),
        ({"t40": "4"}, "Missing mandatory field: StopPx (99)"),
        ({"t40": "T"}, "Missing mandatory field: StopPx (99)"),
        ({"t40": "V"}, "Missing mandatory field: StopPx (99)"),
        ({"t40": "4", "t44": None, "t99": "50001.0"}, "Missing mandatory field: Price (44)"),
        ({"t40": "V", "t44": None, "t99": "50001.0"}, "Missing mandatory field: Price (44)"),
        ({"t59": "6"}, "Missing mandatory field: ExpireTime (126)"),
    ],
)
def test_a_field_that_another_one_calls_for_is_asked_for_by_j(
    priced: Kraken, alice: Direct, fields: dict[str, str], text: str
) -> None:
    assert alice.refusal(**fields) == ("5", text)


def test_a_cancel_names_an_order(alice: Direct) -> None:
    (refusal,) = alice.canceled()
    assert (refusal.type, refusal[372], refusal[380]) == ("j", "F", "5")


def test_a_mass_cancel_by_symbol_names_one(alice: Direct) -> None:
    order = alice.resting()
    (refusal,) = alice.mass_cancel("1")
    assert (refusal.type, refusal[380], refusal[58]) == ("j", "5", "Missing mandatory field: Symbol (55)")
    (refusal,) = alice.mass_cancel("1", t55="NO/NE")
    assert (refusal.type, refusal[380], refusal[58]) == ("j", "2", "EQuery:Unknown asset pair")
    assert alice.status(order[37])[0][39] == "0"


# -- business -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"t38": "0"}, "EGeneral:Invalid arguments:volume"),
        ({"t38": "-1"}, "EGeneral:Invalid arguments:volume"),
        ({"t38": "0.00001"}, "EGeneral:Invalid arguments:volume minimum not met"),
        ({"t38": "0.00005", "t44": "100"}, "EOrder:Cost minimum not met"),
        ({"t44": "0"}, "EOrder:Invalid price"),
        ({"t44": "600000"}, "EOrder:Invalid price"),
        (
            {"t44": "50000.01"},
            "EOrder:Invalid price:XBT/USD price can only be specified up to 1 decimals.",
        ),
        ({"t18": "f q"}, "EGeneral:Invalid arguments:oflags"),
        ({"t18": "P", "t40": "1", "t44": None}, "EGeneral:Invalid arguments:oflags"),
        ({"t18": "P", "t59": "3"}, "EGeneral:Invalid arguments:timeinforce"),
        ({"t18": "P", "t59": "4"}, "EGeneral:Invalid arguments:timeinforce"),
        ({"t18": "v"}, "EGeneral:Invalid arguments:viqc"),
        ({"t18": "v", "t40": "1", "t44": None, "t38": "0"}, "EGeneral:Invalid arguments:volume"),
        (
            {"t18": "v", "t40": "1", "t44": None, "t38": "0" * 50 + "1"},
            "EGeneral:Invalid arguments:volume",
        ),
        ({"t38": "1" * 60}, "EGeneral:Invalid arguments:volume"),
        ({"t18": "E"}, "EOrder:Reduce only:Non-PC"),
        ({"t18": "E", "t5001": "1"}, "EOrder:Reduce only:No position exists"),
        ({"t38": "1", "t1138": "0.01"}, "EGeneral:Invalid arguments:displayvol"),
        ({"t40": "1", "t44": None, "t1138": "0.01"}, "EGeneral:Invalid arguments:displayvol"),
        ({"t126": "20261103-10:00:00"}, "EGeneral:Invalid arguments:expiretm"),
        ({"t59": "6", "t126": "20261203-12:00:00"}, "EGeneral:Invalid arguments:expiretm"),
        ({"t59": "6", "t126": "20261102-09:59:59"}, "EGeneral:Invalid arguments:expiretm"),
        ({"t168": "20261203-12:00:00"}, "EGeneral:Invalid arguments:starttm"),
        (STOP | {"t99": "49000", "t388": "1"}, "EGeneral:Invalid arguments:Index unavailable"),
        (STOP | {"t99": "0"}, "EOrder:Invalid price"),
    ],
)
def test_an_order_that_cannot_be_is_refused_in_the_venue_s_words(
    priced: Kraken, alice: Direct, fields: dict[str, str], text: str
) -> None:
    assert alice.refusal(**fields) == ("0", text)
    assert not alice.session.core.failed


def test_an_order_without_funds_is_refused(inside: FixVenue) -> None:
    assert inside.trader("DAVE").refusal() == ("0", "EOrder:Insufficient funds")


def test_an_order_that_arrives_too_late_is_refused(alice: Direct) -> None:
    assert alice.refusal(t62=stamp(START_S - 0.001)) == ("0", "EService:Deadline elapsed")
    for seconds in (1.9, 60.1):
        refusal = alice.refusal(t62=stamp(START_S + seconds))
        assert refusal == ("0", "EGeneral:Invalid arguments:deadline")
    for seconds in (2, 60):
        assert states(alice.ordered(t62=stamp(START_S + seconds))) == ["AA", "00"]


def test_an_amend_that_arrives_too_late_is_refused(alice: Direct) -> None:
    order = alice.resting()
    (refusal,) = alice.replaced(order, t44="50001.0", t62=stamp(START_S - 1))
    assert (refusal.type, refusal[372], refusal[58]) == ("j", "G", "EService:Deadline elapsed")
    assert states(alice.replaced(order, t44="50001.0", t62=stamp(START_S + 30))) == ["55"]


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (TradingStatus.CANCEL_ONLY, "EService:Market in cancel_only mode"),
        (TradingStatus.POST_ONLY, "EService:Market in post_only mode"),
        (TradingStatus.MAINTENANCE, "EService:Unavailable"),
        (TradingStatus.LIMIT_ONLY, "EService:Market in limit_only mode"),
        (TradingStatus.REDUCE_ONLY, "EService:Market in reduce_only mode"),
    ],
)
def test_a_pair_s_status_refuses_what_it_does_not_allow(
    priced: Kraken, alice: Direct, status: TradingStatus, text: str
) -> None:
    priced.execute(commands.SetStatus(status, XBTUSD))
    assert alice.refusal(t40="1", t44=None) == ("0", text)
    assert states(alice.ordered(t55="ETH/USD", t44="2000.0", t38="0.1")) == ["AA", "00"], "another pair"


def test_orders_cannot_be_cancelled_during_maintenance(kraken: Kraken, alice: Direct) -> None:
    order = alice.resting()
    kraken.execute(commands.SetStatus(TradingStatus.MAINTENANCE, XBTUSD))
    for (refusal,), kind in (
        (alice.canceled(order[37]), "F"),
        (alice.replaced(order, t44="50001.0"), "G"),
        (alice.mass_cancel("7"), "q"),
    ):
        assert (refusal.type, refusal[372], refusal[58]) == ("j", kind, "EService:Unavailable")
    kraken.execute(commands.SetStatus(TradingStatus.ONLINE, XBTUSD))
    assert states(alice.canceled(orig=order[11])) == ["44"], "the refused amend has changed nothing"


def test_in_post_only_mode_post_only_orders_go_on(kraken: Kraken, alice: Direct) -> None:
    kraken.execute(commands.SetStatus(TradingStatus.POST_ONLY, XBTUSD))
    assert alice.refusal()[1] == "EService:Market in post_only mode"
    assert states(alice.ordered(t18="P")) == ["AA", "00"]


def test_a_locked_account_may_cancel_but_not_trade(kraken: Kraken, alice: Direct) -> None:
    order, other = alice.resting(), alice.resting()
    kraken.engine.accounts["alice"].state = AccountState.LOCKED
    assert alice.refusal() == ("0", "ETrade:User Locked")
    (refusal,) = alice.replaced(order, t44="50001.0")
    assert (refusal.type, refusal[58]) == ("j", "ETrade:User Locked")
    assert states(alice.canceled(order[37])) == ["44"]
    assert states(alice.mass_cancel("7")) == ["44"]
    assert alice.status(other[37])[0][39] == "4"


# -- rate limits ----------------------------------------------------------------------------------


def test_orders_of_all_protocols_count_towards_the_rate_limit_of_a_pair(
    kraken: Kraken, alice: Direct
) -> None:
    kraken.engine.rate_limits = True
    other = alice.resting(t55="ETH/USD", t44="2000.0", t38="0.1")
    for number in range(9):
        kraken.place("alice", "buy", "0.01", f"{30000 + number}")
    for _ in range(19):  # 1 for each order, 8 for a cancel at once: 180 with the nine
        order = alice.resting()
        assert states(alice.canceled(order[37])) == ["44"]
    assert alice.refusal() == ("0", "EOrder:Rate limit exceeded")
    assert states(alice.replaced(other, t44="2001.0")) == ["55"], "another pair"
    kraken.wait(1)
    assert states(alice.ordered()) == ["AA", "00"]


def test_amends_beyond_the_rate_limit_leave_the_order_as_it_was(kraken: Kraken, alice: Direct) -> None:
    kraken.engine.rate_limits = True
    order = alice.resting()
    answers = [order]
    while answers[-1].type == "8":  # 4 for an amend at once
        answers += alice.replaced(answers[-1], t44=f"{50000 + len(answers)}.0")
    assert len(answers) == 1 + 45 + 1
    refusal, last = answers[-1], answers[-2]
    assert (refusal[380], refusal[58]) == ("0", "EOrder:Rate limit exceeded")
    (report,) = alice.status(order[37])
    assert report[44] == last[44]
    kraken.wait(60)
    assert alice.canceled(orig=last[11])[0][41] == last[11]


def test_orders_of_all_protocols_count_towards_the_most_a_pair_may_have(
    kraken: Kraken, alice: Direct
) -> None:
    for number in range(224):
        kraken.place("alice", "buy", "0.01", f"{30000 + number}")
    assert states(alice.ordered()) == ["AA", "00"]
    assert alice.refusal() == ("0", "EOrder:Orders limit exceeded")
    assert states(alice.ordered(t55="ETH/USD", t44="2000.0", t38="0.1")) == ["AA", "00"]


# -- types of messages ----------------------------------------------------------------------------


@pytest.mark.parametrize("msg_type", ["E", "AF", "AE", "d", "R"])
def test_types_that_kraken_does_not_have_are_rejected(alice: Direct, msg_type: str) -> None:
    number = alice.number
    alice.send(msg_type, (11, new_id()), (60, stamp(time.time())))
    (refusal,) = alice.take()
    assert (refusal.type, refusal[45], refusal[372], refusal[373]) == ("3", str(number), msg_type, "11")
