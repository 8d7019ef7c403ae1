"""SecurityList (y) and TradingSessionStatus (h) (fix.md 7.6 and 7.7)."""

import json
from decimal import Decimal

import pytest

from emulator.engine import commands
from emulator.engine.status import SYSTEM, TradingStatus
from emulator.gateways.fix import listings, market_data
from tests.fix.inside import Direct, FixVenue
from tests.fix.messages import Message
from tests.fix.reading import body
from tests.gateways.venue import INSTRUMENTS, XBTUSD

PAIRS = json.loads(INSTRUMENTS.read_bytes())["pairs"]
ONE, BY_TYPE, ALL = 0, 1, 4


@pytest.fixture
def client(inside: FixVenue) -> Direct:
    return inside.reader()


def ask(client: Direct, kind: object, request: str = "il1", **fields: object) -> list[Message]:
    """Send a SecurityListRequest; ``fields`` are ``t55=…``."""
    values = {int(name[1:]): value for name, value in fields.items()} | {320: request, 559: kind}
    return client.ask("x", *sorted(values.items()))


def state(client: Direct, kind: object = 0, request: str = "ts1", session: str = "SESSION") -> Message:
    (answer,) = client.ask("g", (263, kind), (335, request), (336, session))
    assert answer.type == "h"
    return answer


def set_status(inside: FixVenue, status: TradingStatus, pair: str | None = None) -> None:
    """Do what ``kraken-emulator venue`` does."""
    inside.kraken.execute(commands.SetStatus(status, pair))


# -- lists ------------------------------------------------------------------------------------------


def test_one_instrument_as_kraken_prints_it(client: Direct) -> None:
    (listed,) = ask(client, ONE, t55="BTC/USD")
    assert listed.type == "y"
    assert body(listed)[:1] + body(listed)[2:] == [
        (320, "il1"),
        (560, "0"),
        (146, "1"),
        (55, "BTC/USD"),
        (562, "0.00000001"),
        (5010, "8"),
        (5011, "0.00005"),
        (5013, "0.5"),
        (2349, "1"),
        (5022, "0.1"),
        (5032, "1"),
    ]
    assert body(listed)[1][0] == 322


def every(messages: list[Message]) -> list[dict[int, str]]:
    return [row for message in messages for row in message.groups(55)]


@pytest.mark.parametrize("request_", [{"kind": ALL}, {"kind": BY_TYPE, "t167": "CASH"}])
def test_all_instruments_come_in_fragments(client: Direct, request_: dict[str, object]) -> None:
    messages = ask(client, **request_)  # type: ignore[arg-type]
    assert len(messages) == -(-len(PAIRS) // listings.PER_MESSAGE)
    assert {message[393] for message in messages} == {str(len(PAIRS))}
    assert [message[893] for message in messages] == ["N"] * (len(messages) - 1) + ["Y"]
    assert len({message[322] for message in messages}) == len(messages)
    for message in messages:
        assert int(message[146]) == len(message.groups(55)) <= listings.PER_MESSAGE
    assert [row[55] for row in every(messages)] == [pair["symbol"] for pair in PAIRS.values()]


def test_a_list_that_fits_is_not_called_a_fragment(client: Direct) -> None:
    (listed,) = ask(client, ONE, t55="ETH/EUR")
    assert (listed.get(393), listed.get(893)) == (None, None)


def test_every_field_is_the_instruments(client: Direct) -> None:
    by_symbol = {pair["symbol"]: pair for pair in PAIRS.values()}
    for row in every(ask(client, ALL)):
        pair = by_symbol[row[55]]
        assert (row[2349], row[5010]) == (str(pair["price_decimals"]), str(pair["lot_decimals"]))
        assert Decimal(row[562]) == Decimal(1).scaleb(-pair["lot_decimals"])
        assert Decimal(row[5011]) == Decimal(pair["order_min"])
        assert Decimal(row[5013]) == Decimal(pair["cost_min"])
        assert Decimal(row[5022]) == Decimal(pair["tick_size"])
        assert row[5032] == "1"
        for tag in (562, 5011, 5013, 5022):
            assert "E" not in row[tag]
            assert "." in row[tag]


REFUSED = {
    "unknown": ({"kind": ONE, "t55": "TEST/TEST"}, 2, "No instruments found: TEST/TEST"),
    "REST's name": ({"kind": ONE, "t55": "XBT/USD"}, 2, "No instruments found: XBT/USD"),
    "no symbol": ({"kind": ONE}, 1, "Symbol missing"),
    "no type": ({"kind": BY_TYPE}, 1, "SecurityType missing or unsupported"),
    "bad type": ({"kind": BY_TYPE, "t167": "BOND"}, 1, "SecurityType missing or unsupported"),
    "futures": ({"kind": BY_TYPE, "t167": "FUT"}, 2, "No instruments found: FUT"),
    "options": ({"kind": BY_TYPE, "t167": "OPT"}, 2, "No instruments found: OPT"),
    "xStocks": ({"kind": BY_TYPE, "t167": "TS"}, 2, "No instruments found: TS"),
    "another kind": ({"kind": 3}, 1, "Unsupported request type: 3"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("subscribe", [0, 1])
def test_what_cannot_be_listed_is_answered_with_a_result(
    inside: FixVenue, client: Direct, case: str, subscribe: int
) -> None:
    request, result, text = REFUSED[case]
    (refused,) = ask(client, **request, t263=subscribe)  # type: ignore[arg-type]
    assert refused.type == "y"
    assert body(refused)[:1] + body(refused)[2:] == [(320, "il1"), (560, str(result)), (58, text)]
    set_status(inside, TradingStatus.POST_ONLY)
    assert client.take() == []


def test_a_snapshot_has_no_updates(inside: FixVenue, client: Direct) -> None:
    ask(client, ONE, t55="BTC/USD", t263=0)
    set_status(inside, TradingStatus.POST_ONLY, XBTUSD)
    assert client.take() == []


PAIR_STATES = {
    TradingStatus.ONLINE: "1",
    TradingStatus.MAINTENANCE: "2",
    TradingStatus.CANCEL_ONLY: "3",
    TradingStatus.POST_ONLY: "4",
    TradingStatus.LIMIT_ONLY: "5",
    TradingStatus.REDUCE_ONLY: "7",
}


@pytest.mark.parametrize("status", TradingStatus)
def test_a_pairs_state_is_listed_and_its_changes_are_told(
    inside: FixVenue, client: Direct, status: TradingStatus
) -> None:
    ask(client, ONE, "one", t55="BTC/USD", t263=1)
    ask(client, ALL, "all", t263=1)
    ask(client, ONE, "other", t55="ETH/USD", t263=1)
    set_status(inside, status, XBTUSD)
    updates = client.take()
    assert [(y.type, y[320], y[560], y[146]) for y in updates] == [
        ("y", "one", "0", "1"),
        ("y", "all", "0", "1"),
    ]
    assert [(y[55], y[5032]) for y in updates] == [("BTC/USD", PAIR_STATES[status])] * 2
    assert ask(client, ONE, "new", t55="BTC/USD")[0][5032] == PAIR_STATES[status]
    assert ask(client, ONE, "new", t55="ETH/USD")[0][5032] == "1"


@pytest.mark.parametrize("status", sorted(SYSTEM))
def test_the_venues_state_is_that_of_all_pairs(
    inside: FixVenue, client: Direct, status: TradingStatus
) -> None:
    ask(client, ONE, "one", t55="BTC/USD", t263=1)
    ask(client, ALL, "all", t263=1)
    set_status(inside, status)
    one, *rest = client.take()
    assert (one[320], one[55], one[5032]) == ("one", "BTC/USD", PAIR_STATES[status])
    assert {y[320] for y in rest} == {"all"}
    assert len(every(rest)) == len(PAIRS)
    assert {row[5032] for row in every(rest)} == {PAIR_STATES[status]}


def test_updates_stop_when_they_are_no_longer_wanted(inside: FixVenue, client: Direct) -> None:
    ask(client, ONE, "a", t55="BTC/USD", t263=1)
    ask(client, ONE, "b", t55="BTC/USD", t263=1)
    assert ask(client, ONE, "a", t55="BTC/USD", t263=2) == []
    set_status(inside, TradingStatus.POST_ONLY, XBTUSD)
    assert [y[320] for y in client.take()] == ["b"]
    assert ask(client, ALL, "b", t263=2) == []
    set_status(inside, TradingStatus.ONLINE, XBTUSD)
    assert client.take() == []


def test_stopping_what_was_never_asked_for_does_nothing(client: Direct) -> None:
    assert ask(client, ALL, "nothing", t263=2) == []


def test_standing_requests_end_with_the_connection(inside: FixVenue, client: Direct) -> None:
    ask(client, ALL, t263=1)
    state(client, 1)
    client.close()
    set_status(inside, TradingStatus.POST_ONLY)
    client.logon(reset=False)
    set_status(inside, TradingStatus.ONLINE)
    assert client.take() == []


def test_a_session_may_have_so_many_standing_requests(client: Direct) -> None:
    for number in range(market_data.MOST_REQUESTS):
        ask(client, ONE, f"r{number}", t55="BTC/USD", t263=1)
    (refused,) = ask(client, ONE, "more", t55="BTC/USD", t263=1)
    assert (refused[560], refused[58]) == ("1", "Too many requests")
    assert ask(client, ONE, "more", t55="BTC/USD")[0][560] == "0", "what does not stand is not counted"
    assert ask(client, ONE, "r0", t55="BTC/USD", t263=1)[0][560] == "0", "nor what replaces another"


@pytest.mark.parametrize(("missing", "name"), [(320, "SecurityReqID"), (559, "SecurityListRequestType")])
def test_a_list_request_without_what_it_needs_is_a_session_reject(
    client: Direct, missing: int, name: str
) -> None:
    (reject,) = client.ask("x", *((tag, 4) for tag in (320, 559) if tag != missing))
    assert (reject.type, reject[371], reject[373]) == ("3", str(missing), "1")
    assert reject[58] == f"Missing mandatory field: {name} ({missing})"


# -- the venue's state ------------------------------------------------------------------------------

VENUE_STATES = {"online": "2", "maintenance": "1", "cancel_only": "101", "post_only": "102"}


@pytest.mark.parametrize("status", sorted(SYSTEM))
def test_the_venues_state_and_its_changes(inside: FixVenue, client: Direct, status: TradingStatus) -> None:
    assert body(state(client, 1)) == [(335, "ts1"), (336, "SESSION"), (340, "2")]
    set_status(inside, status)
    (update,) = client.take()
    assert update.type == "h"
    assert body(update) == [(335, "ts1"), (336, "SESSION"), (340, VENUE_STATES[status])]
    assert state(client, 0, "ts2")[340] == VENUE_STATES[status]


def test_a_pairs_state_is_not_the_venues(inside: FixVenue, client: Direct) -> None:
    state(client, 1)
    set_status(inside, TradingStatus.MAINTENANCE, XBTUSD)
    assert client.take() == []
    assert state(client, 0, "ts2")[340] == "2"


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"session": "OTHER"}, 1),
        ({"kind": 2}, 101),
        ({"kind": 0, "request": "ts0"}, 102),
        ({"kind": 1, "request": "ts0"}, 102),
        ({"kind": 1}, 103),
    ],
)
def test_a_request_for_the_state_is_refused_with_its_reason(
    client: Direct, request_: dict[str, object], reason: int
) -> None:
    state(client, 1, "ts0")
    refused = state(client, **request_)  # type: ignore[arg-type]
    assert body(refused) == [
        (335, str(request_.get("request", "ts1"))),
        (336, str(request_.get("session", "SESSION"))),
        (567, str(reason)),
    ]


def test_snapshots_of_the_state_may_be_asked_for_any_time(client: Direct) -> None:
    state(client, 1, "standing")
    assert [state(client, 0, "again")[340] for _ in range(3)] == ["2"] * 3
