"""What FIX refuses is a line of the log at ``debug``: whose message, of what type, which one, and why."""

import logging
from typing import Any

import pytest

from emulator.engine import commands
from emulator.engine.status import TradingStatus
from emulator.gateways import reasons
from emulator.gateways.keys import demo_credentials, fix_credentials
from tests.fix.inside import Direct, FixVenue
from tests.fix.messages import new_id, states
from tests.gateways.venue import SEED, XBTUSD, Kraken

ORDER = {"t38": "1", "t44": "50000.0"}
UNKNOWN = "OABCDE-FGHIJ-KLMNOP"


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, "emulator")
    return caplog


def lines(log: pytest.LogCaptureFixture) -> list[str]:
    told = [record.getMessage() for record in log.records if "refused" in record.getMessage()]
    log.clear()
    return told


ORDERS: list[tuple[dict[str, Any], str, str]] = [
    ({"t54": None}, "3", "Missing mandatory field: Side (54)"),
    ({"t54": "7"}, "3", "Invalid value for tag 54: Side (54='7'; there are: 1, 2)"),
    ({"t38": "abc"}, "3", "(38='abc', of type QTY)"),
    ({"t18": "s"}, "3", "Invalid value for tag 18: ExecInst (18='s': of E P f q v, with blanks between)"),
    ({"t11": "0"}, "3", "ClOrdID invalid value (0 is not above 0, the highest of this SenderCompID; a "),
    ({"t11": "abc"}, "3", "ClOrdID invalid value ('abc': an integer of up to 18 digits or a UUID that "),
    ({"t44": None}, "j", "Missing mandatory field: Price (44) (an order with 40=2 has one)"),
    ({"t40": "3", "t44": None}, "j", "StopPx (99) (a stop-loss order waits for a price)"),
    ({"t59": "6"}, "j", "ExpireTime (126) (an order with 59=6 (GTD) ends at a time)"),
    ({"t55": "NO/NE"}, "j", "EQuery:Unknown asset pair (there is no pair 'NO/NE')"),
    ({"t38": "1000000"}, "j", "EOrder:Insufficient funds (50200000000.0000 USD needed, fees included; "),
    ({"t38": "0"}, "j", "EGeneral:Invalid arguments:volume (volume 0.00000000: more than 0 is meant)"),
    ({"t1138": "0.1", "t40": "1", "t44": None}, "j", "displayvol (1138 goes with 40=2 (limit) only, "),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "kind", "told"), ORDERS, ids=[told[:30] for *_, told in ORDERS])
def test_a_refused_order_is_a_line_of_the_log(
    alice: Direct, log: pytest.LogCaptureFixture, fields: dict[str, Any], kind: str, told: str
) -> None:
    values = ORDER | {"t11": new_id()} | fields
    alice.order(**values)
    (answer,) = alice.take()
    assert answer.type == kind
    [line] = lines(log)
    start = f"FIX ALICE→KRAKEN-TRD: NewOrderSingle (35=D) ClOrdID {values['t11']!r} refused: "
    assert line.startswith(start), line
    assert told in line


def test_an_old_clordid_is_told_with_the_highest(alice: Direct, log: pytest.LogCaptureFixture) -> None:
    alice.order(t11="9")
    alice.take()
    alice.order(t11="5")
    assert alice.take()[0].type == "3"
    [line] = lines(log)
    assert "ClOrdID '5' refused: ClOrdID invalid value (timestamp is out of date) (5 is not above 9" in line


def test_refused_cancels_and_amends_are_lines_of_the_log(
    inside: FixVenue, alice: Direct, bob: Direct, kraken: Kraken, log: pytest.LogCaptureFixture
) -> None:
    order, other, foreign = alice.resting(t38="1"), alice.resting(), bob.resting()
    second = inside.trader("ALICE2").resting()
    kraken.private("CancelOrder", txid=other[37])
    alice.take()
    changed = {"t37": order[37], "t41": "1"}
    cases: list[tuple[Any, str, str]] = [
        (lambda: alice.canceled(), "OrderCancelRequest (35=F)", "has OrderID (37) or OrigClOrdID (41))"),
        (lambda: alice.canceled(orig="77"), "(35=F)", "ALICE has no open order whose last ClOrdID is '77')"),
        (lambda: alice.canceled(UNKNOWN), "(35=F)", f"alice has no open order with id '{UNKNOWN}'"),
        (lambda: alice.canceled(other[37]), "(35=F)", f"(order {other[37]} is canceled, User requested, "),
        (lambda: alice.canceled(foreign[37]), "(35=F)", f"(alice has no open order with id '{foreign[37]}'"),
        (lambda: alice.canceled(second[37]), "(35=F)", f"order {second[37]} is of ALICE2, not of ALICE)"),
        (lambda: alice.replaced(order, **changed), "ReplaceRequest (35=G)", "the last ClOrdID of order"),
        (lambda: alice.replaced(order, t54="2"), "(35=G)", "as it is: 54=1 55=BTC/USD 40=2 59=1)"),
        (lambda: alice.replaced(order), "(35=G)", "(all is as it is: O"),
        (lambda: alice.status(UNKNOWN), "OrderStatusRequest (35=H)", "has no open order with id"),
        (lambda: alice.mass_cancel("1"), "OrderMassCancelRequest (35=q)", "with 530=1 is for a symbol)"),
        (lambda: alice.mass_cancel("1", t55="XBT/USD"), "(35=q)", "'XBT/USD' is called 'BTC/USD' here)"),
        (lambda: alice.mass_cancel("5"), "(35=q)", "530"),
        (lambda: alice.ask("V", (262, "x")), "MarketDataRequest (35=V) MDReqID 'x'", "NoRelatedSym (146)"),
    ]  # fmt: skip
    for ask, kind, told in cases:
        (answer,) = ask()
        assert answer.type in ("3", "j"), answer
        [line] = lines(log)
        assert line.startswith("FIX ALICE→KRAKEN-TRD: ")
        assert kind in line
        assert told in line
    kraken.execute(commands.SetStatus(TradingStatus.MAINTENANCE, XBTUSD))
    assert states(alice.mass_cancel("7")) == ["j"]
    assert "EService:Unavailable (BTC/USD is in maintenance)" in lines(log)[0]


def test_refused_requests_for_market_data_are_lines_of_the_log(
    reader: Direct, log: pytest.LogCaptureFixture
) -> None:
    cases: list[tuple[Any, str, str]] = [
        (lambda: reader.subscribed("TEST/TEST", request="bk2"), "MarketDataRequest (35=V) MDReqID 'bk2'",
         "due to unsupported symbol: TEST/TEST (there is no pair 'TEST/TEST'"),
        (lambda: reader.subscribed("XBT/USD"), "(35=V)", "(the pair 'XBT/USD' is called 'BTC/USD' here)"),
        (lambda: reader.subscribed("BTC/USD", depth=7), "(35=V)", "(264 is 0, 1, 10, 25, 100, 500, 1000)"),
        (lambda: reader.ask("x", (320, "l"), (559, 0), (55, "NO/NE")), "ListRequest (35=x)", "(560=2)"),
        (lambda: reader.ask("g", (335, "s"), (336, "X"), (263, 0)), "TradingSessionStatusRequest (35=g)",
         "336 is to be SESSION"),
    ]  # fmt: skip
    for ask, kind, told in cases:
        (answer,) = ask()
        assert answer.type in "Yyh", answer
        [line] = lines(log)
        assert line.startswith("FIX ALICE→KRAKEN-MD: ")
        assert kind in line
        assert told in line


def test_nothing_is_worked_out_while_nobody_reads(
    alice: Direct, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.set_level(logging.INFO, "emulator")
    monkeypatch.setattr("emulator.gateways.fix.session.explained", None)
    monkeypatch.setattr("emulator.gateways.fix.dictionary.Dictionary.message", None)
    assert alice.refusal(t38="1000000")[1] == "EOrder:Insufficient funds"
    assert alice.session_reject(t54="7")[0] == "54"
    assert alice.session_reject(t11="abc")[0] == "11"
    assert lines(log) == []


@pytest.mark.parametrize(
    ("username", "told"),
    [
        (demo_credentials(SEED, "alice")[0],
         "553 is key 'default' of alice, which serves REST and WebSocket only: the FIX key is meant"),
        (fix_credentials(SEED, "bob")[0], "553 is the FIX key of bob, and 49 is of alice"),
        ("x", "553 is not the FIX key of this SenderCompID's account"),
    ],
)  # fmt: skip
def test_another_key_at_logon_is_told(
    inside: FixVenue, log: pytest.LogCaptureFixture, username: str, told: str
) -> None:
    client = inside.client("ALICE")
    client.key = username
    client.logon()
    assert lines(log) == [f"FIX logon of ALICE→KRAKEN-TRD refused: EAPI:Invalid key ({told})"]


def test_a_fix_key_over_rest_is_told(inside: FixVenue, kraken: Kraken) -> None:
    told = reasons.of_key(kraken.venue.keys, fix_credentials(SEED, "alice")[0])
    assert told.startswith("API-Key is the FIX key of alice, which serves FIX only: REST and WebSocket have ")
