"""Types, times in force and instructions of orders, each with the reports that it leads to."""

import pytest

from emulator.engine import commands
from tests.fix.inside import Direct, FixVenue
from tests.fix.messages import Message, stamp, states
from tests.gateways.venue import START_S, XBTUSD, Client, Kraken

SELL = {"t54": "2"}
STOP = SELL | {"t40": "3", "t44": None}


@pytest.fixture
def priced(kraken: Kraken) -> Kraken:
    """Its last price is 50,000, its index price too."""
    kraken.trade("0.01", "50000")
    kraken.execute(commands.SetIndex(XBTUSD, 500_000))
    return kraken


@pytest.fixture
def depth(priced: Kraken) -> Kraken:
    """Bob bids 10 at 46,000 and offers 10 at 53,000."""
    priced.place("bob", "buy", "10", "46000")
    priced.place("bob", "sell", "10", "53000")
    return priced


# -- times in force -------------------------------------------------------------------------------


def test_what_ioc_does_not_fill_is_cancelled(alice: Direct, bob: Direct) -> None:
    bob.resting(t54="2", t38="0.01")
    reports = alice.ordered(t59="3", t38="0.03")
    assert states(reports) == ["AA", "00", "F1", "44"]
    assert {report[59] for report in reports} == {"3"}
    end = reports[-1]
    assert (end[14], end[151], end[381], end[58]) == ("0.01", "0.0", "500.0", "IOC remainder")


def test_fok_fills_whole_or_not_at_all(alice: Direct, bob: Direct) -> None:
    resting = bob.resting(t54="2", t38="0.02")
    reports = alice.ordered(t59="4", t38="0.03")
    assert states(reports) == ["AA", "00", "44"]
    assert (reports[-1][14], reports[-1][58], reports[-1][59]) == ("0.0", "FOK not filled", "4")
    assert bob.take() == []
    assert states(alice.ordered(t59="4", t38="0.02")) == ["AA", "00", "F2"]
    assert bob.take()[0][37] == resting[37]


def test_gtd_expires_at_its_time(kraken: Kraken, alice: Direct, bob: Direct) -> None:
    order = alice.resting(t59="6", t126="20261102-10:01:00", t38="0.02")
    bob.ordered(t54="2")
    alice.take()
    kraken.wait(59)
    assert alice.take() == []
    kraken.wait(2)
    (report,) = alice.take()
    assert (report[150], report[39], report[37], report[59]) == ("C", "C", order[37], "6")
    assert (report[60], report[14], report[151]) == ("20261102-10:01:00.000", "0.01", "0.0")
    assert report[58] == "Order expired"
    (report,) = alice.status(order[37])[-1:]
    assert (report[150], report[39]) == ("I", "C")


@pytest.mark.parametrize("fires", [False, True])
def test_gtd_ends_the_waiting_of_a_stop(depth: Kraken, alice: Direct, fires: bool) -> None:
    order = alice.resting(**STOP, t99="49000.0", t59="6", t126="20261102-10:01:00")
    if fires:
        depth.trade("0.01", "48900")
        assert states(alice.take()) == ["D0", "F2"]
    depth.wait(61)
    reports = alice.take()
    assert states(reports) == ([] if fires else ["CC"])
    assert [report[37] for report in reports] == [order[37]] * len(reports)


def test_a_market_order_without_enough_on_the_other_side_ends(alice: Direct, bob: Direct) -> None:
    reports = alice.ordered(t40="1", t44=None)
    assert states(reports) == ["AA", "00", "44"]
    assert reports[-1][58] == "Insufficient liquidity"
    bob.resting(t54="2")
    reports = alice.ordered(t40="1", t44=None, t38="0.02")
    assert states(reports) == ["AA", "00", "F1", "44"]


# -- instructions ---------------------------------------------------------------------------------


def test_a_post_only_order_that_would_trade_is_pending_and_then_cancelled(alice: Direct, bob: Direct) -> None:
    bob.resting(t54="2")
    pending, canceled = alice.ordered(t18="P")
    assert states([pending, canceled]) == ["AA", "44"]
    assert (canceled[58], canceled[151], canceled[11]) == ("Post only order", "0.0", pending[11])
    assert states(alice.ordered(t18="P", t44="49999.9")) == ["AA", "00"]


def test_flags_are_separated_by_blanks(alice: Direct) -> None:
    assert states(alice.ordered(t18="P f")) == ["AA", "00"]
    assert states(alice.ordered(t18="q P")) == ["AA", "00"]
    assert alice.session_reject(t18="Pf")[0] == "18"


def test_an_iceberg_shows_its_slice_only(kraken: Kraken, ws: Client, alice: Direct, bob: Direct) -> None:
    order = alice.resting(t38="1", t1138="0.1")
    assert (order[40], order[38], order[151], order[1138]) == ("2", "1.0", "1.0", "0.1")
    book = ws.subscribe("book", "BTC/USD")[-1]["data"][0]
    assert [level["qty"] for level in book["bids"]] == ["0.10000000"]
    bob.ordered(t54="2", t38="0.25")
    fills = alice.take()
    assert [fill[32] for fill in fills] == ["0.1", "0.1", "0.05"]
    assert [fill[151] for fill in fills] == ["0.9", "0.8", "0.75"]
    assert {fill[1138] for fill in fills} == {"0.1"}


@pytest.mark.parametrize(("qty", "display", "taken"), [("1.5", "0.1", True), ("1.5001", "0.1", False)])
def test_an_iceberg_shows_a_fifteenth_at_least(alice: Direct, qty: str, display: str, taken: bool) -> None:
    reports = alice.ordered(t38=qty, t1138=display)
    assert states(reports) == (["AA", "00"] if taken else ["j"])


def test_margin_orders_trade_more_than_there_is(kraken: Kraken, alice: Direct, bob: Direct) -> None:
    bob.resting(t54="2")
    reports = alice.ordered(t5001="1")
    assert states(reports) == ["AA", "00", "F2"]
    (position,) = kraken.engine.accounts["alice"].positions.values()
    assert position.buy
    assert states(alice.ordered(t5001="0", t44="40000.0")) == ["AA", "00"]


def test_reduce_only_orders_are_cut_to_the_position(kraken: Kraken, alice: Direct, bob: Direct) -> None:
    bob.resting(t54="2", t38="0.02")
    alice.ordered(t5001="1", t38="0.02")
    pending, new, cut = alice.ordered(t54="2", t44="60000.0", t18="E", t5001="1", t38="0.05")
    assert states([pending, new, cut]) == ["AA", "00", "D0"]
    assert (pending[38], pending[58]) == ("0.05", "sell 0.05 BTC/USD @ limit 60000")
    assert (cut[38], cut[151], cut[58], cut[11]) == ("0.02", "0.02", "Reduce only", pending[11])
    bob.ordered(t44="60000.0", t38="0.02")
    assert states(alice.take()) == ["F2"]
    assert not kraken.engine.accounts["alice"].positions


# -- scheduled orders -----------------------------------------------------------------------------


def test_a_scheduled_order_is_pending_until_its_time(kraken: Kraken, ws: Client, alice: Direct) -> None:
    id_ = alice.order(t168=stamp(START_S + 60))
    (pending,) = alice.take()
    assert (pending[150], pending[39]) == ("A", "A")
    (report,) = alice.status(pending[37])
    assert (report[150], report[39], report[151]) == ("I", "A", "0.01")
    assert ws.subscribe("book", "BTC/USD")[-1]["data"][0]["bids"] == []
    kraken.wait(59)
    assert alice.take() == []
    kraken.wait(2)
    (new,) = alice.take()
    assert (new[150], new[39], new[11], new[60]) == ("0", "0", id_, "20261102-10:01:00.000")


def test_a_scheduled_order_trades_at_its_time_and_not_before(
    kraken: Kraken, alice: Direct, bob: Direct
) -> None:
    assert states(alice.ordered(t168=stamp(START_S + 60))) == ["AA"]
    bob.resting(t54="2")
    assert alice.take() == []
    kraken.wait(61)
    assert states(alice.take()) == ["00", "F2"]
    assert states(bob.take()) == ["F2"]


def test_a_time_that_is_over_is_no_schedule(alice: Direct) -> None:
    assert states(alice.ordered(t168=stamp(START_S - 60))) == ["AA", "00"]


# -- triggers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "side", "trigger", "fires_at", "text"),
    [
        ("3", "2", "49000.0", "48900", "sell 0.01 BTC/USD @ stop loss 49000"),
        ("3", "1", "51000.0", "51100", "buy 0.01 BTC/USD @ stop loss 51000"),
        ("R", "2", "51000.0", "51000", "sell 0.01 BTC/USD @ take profit 51000"),
        ("R", "1", "49000.0", "48900", "buy 0.01 BTC/USD @ take profit 49000"),
    ],
)
def test_an_order_that_is_set_off_becomes_a_market_order(
    depth: Kraken, alice: Direct, type_: str, side: str, trigger: str, fires_at: str, text: str
) -> None:
    order = alice.resting(t40=type_, t54=side, t44=None, t99=trigger)
    assert (order[40], order[99], order[58]) == (type_, trigger, text)
    assert order.get(1102) is None
    depth.trade("0.01", fires_at)
    fired, fill = alice.take()
    assert states([fired, fill]) == ["D0", "F2"]
    assert (fired[40], fired[99], fired[1102]) == ("1", trigger, f"{fires_at}.0")
    assert (fired[11], fired[151], fired.get(378)) == (order[11], "0.01", None)
    assert (fill[40], fill[1102], fill[5050]) == ("1", f"{fires_at}.0", "1")


@pytest.mark.parametrize(("type_", "word"), [("4", "stop loss"), ("T", "take profit")])
def test_an_order_that_is_set_off_becomes_a_limit_order(
    depth: Kraken, alice: Direct, type_: str, word: str
) -> None:
    trigger, fires_at = ("49000.0", "48950") if type_ == "4" else ("51000.0", "51050")
    order = alice.resting(t40=type_, t54="2", t99=trigger, t44="52000.5")
    assert order[58] == f"sell 0.01 BTC/USD @ {word} {trigger[:-2]} -> limit 52000.5"
    depth.trade("0.01", fires_at)
    (fired,) = alice.take()
    assert states([fired]) == ["D0"]
    assert (fired[40], fired[44], fired[1102]) == ("2", "52000.5", f"{fires_at}.0")
    (report,) = alice.status(order[37])
    assert (report[40], report[39], report[1102]) == ("2", "0", f"{fires_at}.0")


def test_an_order_that_is_set_off_at_once_is_acknowledged_first(depth: Kraken, alice: Direct) -> None:
    reports = alice.ordered(**STOP, t99="50000.0")
    assert states(reports) == ["AA", "00", "D0", "F2"]
    assert [report[40] for report in reports] == ["3", "3", "1", "1"]
    assert [report.get(1102) for report in reports] == [None, None, "50000.0", "50000.0"]


def test_an_order_that_waits_for_the_index_does_not_see_trades(depth: Kraken, alice: Direct) -> None:
    alice.resting(**STOP, t99="49000.0", t388="1")
    depth.trade("0.01", "48000")
    assert alice.take() == []
    depth.execute(commands.SetIndex(XBTUSD, 489_999))
    fired, fill = alice.take()
    assert states([fired, fill]) == ["D0", "F2"]
    assert fired[1102] == "48999.9"


def test_a_trailing_stop_follows_and_is_set_off(depth: Kraken, alice: Direct) -> None:
    order = alice.resting(**STOP | {"t40": "U"}, t99="49000.0")
    assert (order[40], order[99], order[58]) == ("U", "49000.0", "sell 0.01 BTC/USD @ trailing stop 49000")
    moved: list[Message] = []
    for price in ("50500", "50400", "51000"):
        depth.trade("0.01", price)
        moved += alice.take()
    assert states(moved) == ["D0", "D0"]
    assert [report[99] for report in moved] == ["49500.0", "50000.0"]
    assert [report[40] for report in moved] == ["U", "U"]
    assert [report.get(1102) for report in moved] == [None, None]
    assert {report[11] for report in moved} == {order[11]}
    depth.trade("0.01", "49900")
    fired, fill = alice.take()
    assert states([fired, fill]) == ["D0", "F2"]
    assert (fired[40], fired[99], fired[1102]) == ("1", "50000.0", "49900.0")


def test_a_trailing_limit_keeps_its_distance_from_the_trigger(depth: Kraken, alice: Direct) -> None:
    order = alice.resting(t40="V", t99="51000.0", t44="51020.0")
    assert (order[44], order[58]) == ("51020.0", "buy 0.01 BTC/USD @ trailing stop 51000 -> limit 51020")
    depth.trade("0.01", "49000")
    (moved,) = alice.take()
    assert (moved[150], moved[40], moved[99], moved[44]) == ("D", "V", "50000.0", "50020.0")
    depth.trade("0.01", "50010")
    (fired,) = alice.take()
    assert (fired[150], fired[40], fired[44], fired[1102]) == ("D", "2", "50020.0", "50010.0")


@pytest.mark.parametrize("side", ["1", "2"])
def test_a_trailing_stop_needs_a_price_to_follow(alice: Direct, side: str) -> None:
    text = "EGeneral:Invalid arguments:price"
    assert alice.refusal(t40="U", t44=None, t54=side, t99="49000.0") == ("0", text)


@pytest.mark.parametrize(("side", "stop"), [("2", "50100.0"), ("1", "49900.0"), ("2", "50000.0")])
def test_a_trailing_stop_stands_on_the_far_side_of_the_price(
    priced: Kraken, alice: Direct, side: str, stop: str
) -> None:
    text = "EGeneral:Invalid arguments:price"
    assert alice.refusal(t40="U", t44=None, t54=side, t99=stop) == ("0", text)


def test_an_order_that_is_set_off_without_funds_ends(depth: Kraken, inside: FixVenue, alice: Direct) -> None:
    dave = inside.trader("DAVE")
    dave.resting(t40="3", t44=None, t99="51000.0", t38="0.0019")
    depth.trade("0.01", "51000")
    reports = dave.take()
    assert states(reports) == ["D0", "44"]
    assert reports[-1][58] == "Insufficient funds"


def test_triggers_that_set_each_other_off_are_reported_each(
    depth: Kraken, alice: Direct, bob: Direct
) -> None:
    first = alice.resting(**STOP, t99="49000.0")
    second = alice.resting(**STOP, t99="46000.0")
    depth.trade("0.01", "48900")
    reports = alice.take()
    assert states(reports) == ["D0", "F2", "D0", "F2"]
    assert [report[37] for report in reports] == [first[37]] * 2 + [second[37]] * 2
    assert [report[1102] for report in reports] == ["48900.0"] * 2 + ["46000.0"] * 2
