"""Whatever fields a trading message has, it is answered, and the session lives."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fix.inside import Direct, FixVenue
from tests.fix.messages import new_id, stamp
from tests.gateways.venue import START_S, Kraken

KNOWN = (11, 18, 37, 38, 40, 41, 44, 54, 55, 59, 60, 62, 78, 79, 99, 126, 168, 388, 530, 1138, 5001, 7928)
WORDS = (
    *("0", "1", "2", "3", "4", "5", "6", "7", "R", "T", "U", "V", "P", "v", "E", "f q", "P v", "é", "  "),
    *("0.01", "-1", "1e3", ".", "1.", ".5", "50000.0", "50000.05", "999999999", "0" * 60 + "1", "9" * 70),
    *("0.000000000000001", "BTC/USD", "ETH/USD", "BTC", "ALL"),
    *("20261102-10:00:30", "20261102-10:00:30.000000001", "20261102-24:00:00", "20261102-10:00:60"),
    *("20261301-00:00:00", "00000000-00:00:00", "99991231-23:59:59.999", "00010101-00:00:00"),
)
PLAUSIBLE: dict[int, tuple[str, ...]] = {
    18: ("P", "v", "E", "f", "q"),
    38: ("0.01", "1", "100"),
    40: tuple("1234RTUV"),
    44: ("50000.0", "49000.5"),
    54: ("1", "2"),
    55: ("BTC/USD", "ETH/USD"),
    59: tuple("1346"),
    62: (stamp(START_S + 30),),
    99: ("49000.0", "51000.0"),
    126: ("20261102-11:00:00",),
    168: ("20261102-10:30:00",),
    388: ("1", "5"),
    530: ("1", "6", "7"),
    1138: ("0.01", "0.1"),
    5001: ("0", "1"),
    7928: ("0", "1", "2"),
}
_ORDER = (38, 40, 44, 54, 55, 59)
MANDATORY = {"D": _ORDER, "G": (38, 44), "F": (54, 55), "H": (55,), "q": (530,)}
OPTIONAL = {"D": (18, 62, 168, 388, 1138, 5001, 7928), "G": (18, 62, 1138, 99)}


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Kraken, Direct]]:
    with FixVenue() as inside:
        kraken = inside.kraken
        kraken.trade("0.01", "50000")
        kraken.place("bob", "sell", "1000", "50100")
        kraken.place("bob", "buy", "1000", "49900")
        yield kraken, inside.trader()


@st.composite
def messages(draw: st.DrawFn) -> tuple[str, dict[int, str]]:
    """Return a message that could be right, more often than not."""
    kind = draw(st.sampled_from("DDDDGGFHq"))
    fields = {tag: draw(st.sampled_from(PLAUSIBLE[tag])) for tag in MANDATORY[kind]}
    if fields.get(40, "1") in "34RTUV":
        fields[99] = draw(st.sampled_from(PLAUSIBLE[99]))
    if fields.get(59) == "6":
        fields[126] = draw(st.sampled_from(PLAUSIBLE[126]))
    for tag in draw(st.lists(st.sampled_from(OPTIONAL[kind]), max_size=2)) if kind in OPTIONAL else ():
        fields[tag] = draw(st.sampled_from(PLAUSIBLE[tag]))
    if draw(st.integers(0, 2)) == 0:
        fields[draw(st.sampled_from(KNOWN))] = draw(st.sampled_from(WORDS))
    return kind, fields


@settings(max_examples=400, deadline=None)
@given(message=messages(), pick=st.integers(0, 5))
def test_every_message_is_answered_and_none_ends_the_session(
    shared: tuple[Kraken, Direct], message: tuple[str, dict[int, str]], pick: int
) -> None:
    kraken, alice = shared
    kind, fields = message
    if len(alice.session.orders) > 20:
        alice.mass_cancel("7")
    named: dict[int, str] = {11: new_id(), 60: stamp(START_S)}
    live = list(alice.session.orders.values())
    if kind in "FGH" and live:
        order = live[pick % len(live)]
        named[37] = order.order.txid
        if kind != "H":
            named[41] = order.cl_ord_id
        if kind == "G":
            named |= {40: order.type, 54: order.side, 55: order.order.instrument.symbol}
            if order.order.trigger is not None:
                named[99] = "49500.0"
    fields = named | fields
    alice.send(kind, *sorted(fields.items()))
    answers = alice.take()
    assert not alice.session.ended, fields
    assert answers or (kind == "q" and (not live or fields[530] in "16")), fields
    assert {answer.type for answer in answers} <= {"8", "j", "3"}
    for answer in answers:
        if answer.type == "8":
            filled, left = float(answer[14]), float(answer[151])
            assert filled + left <= float(answer[38]) + 1e-9
            assert (answer[39] == "2") == (filled == float(answer[38])) or answer[39] in "45CE"
    for live_order in alice.session.orders.values():
        assert live_order.order.account.by_cl_ord_id[live_order.cl_ord_id] is live_order.order
    assert alice.session.orders.keys() == kraken.engine.accounts["alice"].by_cl_ord_id.keys()
