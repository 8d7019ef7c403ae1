"""Market data requests that are refused (fix.md 7.5), and those that stand at the wrong door."""

import pytest

from emulator.gateways.fix import market_data
from tests.fix.inside import Direct, FixVenue
from tests.fix.reading import only
from tests.gateways.venue import CATALOGUE

# -- refusals ------------------------------------------------------------------------------------


REFUSED = {
    "unknown symbol": ({"symbols": ("TEST/TEST",)}, "0", "unsupported symbol: TEST/TEST"),
    "a name of REST": ({"symbols": ("XBT/USD",)}, "0", "unsupported symbol: XBT/USD"),
    "one of two symbols": ({"symbols": ("BTC/USD", "NO/WAY")}, "0", "unsupported symbol: NO/WAY"),
    "snapshot only": ({"t263": "0"}, "4", "unsupported subscription type: 0"),
    "depth": ({"depth": 7}, "5", "unsupported market depth: 7"),
    "negative depth": ({"depth": -1}, "5", "unsupported market depth: -1"),
    "full refresh": ({"t265": "0"}, "6", "unsupported update type: 0"),
    "bid without offer": ({"types": "0"}, "8", "unsupported entry types: 0"),
    "offer without bid": ({"types": "12"}, "8", "unsupported entry types: 1 2"),
    "another entry type": ({"types": "017"}, "8", "unsupported entry types: 0 1 7"),
    "level 3 here": ({"level3": True}, "B", "level 3 not being available here"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_with_its_reason(inside: FixVenue, reader: Direct, case: str) -> None:
    given, reason, text = REFUSED[case]
    request = dict(given)
    refusal = only(reader.subscribed(*request.pop("symbols", ()), **request, request="bk2"))  # type: ignore[arg-type]
    assert refusal.type == "Y"
    assert refusal.pairs[7:-1] == [
        ("58", f"MarketData subscription failed due to {text}"),
        ("262", "bk2"),
        ("281", reason),
    ]
    inside.kraken.trade("0.1", "64000.6")
    assert reader.take() == []


def test_an_id_in_use_is_refused_and_its_subscription_stays(inside: FixVenue, reader: Direct) -> None:
    reader.subscribed()
    refusal = only(reader.subscribed("ETH/USD"))
    assert (refusal.type, refusal[262], refusal[281]) == ("Y", "md1", "1")
    inside.kraken.place("bob", "buy", "3", "64000.5")
    assert only(reader.take())[55] == "BTC/USD"


def test_ending_a_subscription_that_is_not_there_is_refused(reader: Direct) -> None:
    refusal = only(reader.unsubscribed("nothing"))
    assert (refusal.type, refusal[262], refusal[281]) == ("Y", "nothing", "0")


@pytest.mark.parametrize(
    ("request_", "reason"),
    [({"types": "012"}, "C"), ({"types": "2"}, "C"), ({"level3": False}, "A"), ({"types": "0"}, "8")],
)
def test_level_3_has_orders_only(inside: FixVenue, request_: dict[str, object], reason: str) -> None:
    refusal = only(inside.reader(service="spot_md_l3").subscribed(**{"level3": True} | request_))  # type: ignore[arg-type]
    assert (refusal.type, refusal[281]) == ("Y", reason)


def test_a_session_may_be_subscribed_to_so_many_pairs(reader: Direct) -> None:
    every = [pair.symbol for pair in CATALOGUE.pairs.values()]
    whole, rest = divmod(market_data.MOST_PAIRS, len(every))
    for number in range(whole):
        assert {w.type for w in reader.subscribed(*every, request=f"r{number}")} == {"W"}
    assert {w.type for w in reader.subscribed(*every[:rest], request="rest")} == {"W"}
    refusal = only(reader.subscribed(request="more"))
    assert (refusal.type, refusal[281]) == ("Y", "A")
    assert refusal[58] == "MarketData subscription failed due to too many symbols: more than 500"
    reader.unsubscribed("rest")
    assert only(reader.subscribed(request="more")).type == "W"


REQUIRED = {262: "MDReqID", 263: "SubscriptionRequestType", 264: "MarketDepth"}


@pytest.mark.parametrize("tag", REQUIRED)
def test_a_request_without_a_field_that_must_be_there_is_a_session_reject(reader: Direct, tag: int) -> None:
    reject = only(reader.subscribed(**{f"t{tag}": None}))  # type: ignore[arg-type]
    assert (reject.type, reject[371], reject[373], reject[372]) == ("3", str(tag), "1", "V")
    assert reject[58] == f"Missing mandatory field: {REQUIRED[tag]} ({tag})"


@pytest.mark.parametrize(("field", "value"), [("t263", "5"), ("t266", "x"), ("t265", "7"), ("depth", "x")])
def test_a_value_that_no_field_can_have_is_a_session_reject(reader: Direct, field: str, value: str) -> None:
    reject = only(reader.subscribed(**{field: value}))  # type: ignore[arg-type]
    assert (reject.type, reject[372]) == ("3", "V")
    assert reject[373] in ("5", "6")


# -- the wrong service ---------------------------------------------------------------------------


def test_orders_are_not_for_market_data_sessions(inside: FixVenue, reader: Direct) -> None:
    refusal = only(reader.ordered(t11="17"))
    assert refusal.type == "j"
    assert refusal.pairs[7:-1] == [
        ("45", "0"),
        ("58", "Unsupported message type"),
        ("372", "D"),
        ("379", "17"),
        ("380", "3"),
    ]
    assert not inside.kraken.engine.accounts["alice"].open


def test_market_data_is_not_for_trading_sessions(inside: FixVenue) -> None:
    trader = inside.trader()
    answers = [
        *trader.subscribed(),
        *trader.ask("x", (320, "a"), (559, 4)),
        *trader.ask("g", (263, 1), (335, "a"), (336, "SESSION")),
    ]
    assert [(j.type, j[45], j[372], j[380]) for j in answers] == [("j", "0", kind, "3") for kind in "Vxg"]


@pytest.mark.parametrize("kind", ["W", "X", "Y", "y", "h", "8"])
def test_what_only_the_venue_sends_cannot_be_sent_to_it(inside: FixVenue, reader: Direct, kind: str) -> None:
    answer = only(reader.ask(kind, (55, "BTC/USD")))
    assert answer.type in ("3", "j")
    assert reader.subscribed()[0].type == "W"
