"""WebSocket v1 takes no more than the venue: JSON types, what is missing; and what recordings decide."""

import pytest

from emulator.engine import commands
from emulator.gateways.spot_ws_v1 import codec
from tests.gateways.test_ws_v1 import ORDER, V1
from tests.gateways.venue import CATALOGUE, XBTUSD


@pytest.fixture
def client(kraken):
    found = V1(kraken)
    found.take()
    return found


@pytest.fixture
def trader(client):
    client.token = client.kraken.token()
    return client


STRINGS = (
    *("ordertype", "type", "pair", "volume", "price", "price2", "oflags", "starttm", "expiretm"),
    *("deadline", "cl_ord_id", "timeinforce"),
)


@pytest.mark.parametrize("name", STRINGS)
@pytest.mark.parametrize("value", [None, 5, 0.5, True, ["post"], {}], ids=str)
def test_field_of_another_json_type_is_refused_like_an_unknown_one(trader, name, value):
    """Recorded in March 2024 of ``"price2":null``."""
    reply = trader.trade("addOrder", **(ORDER | {name: value}), token=trader.token)
    assert reply == {
        "errorMessage": f"{name.capitalize()} field must be a string",
        "event": "addOrderStatus",
        **({} if name == "pair" else {"pair": "XBT/USD"}),
        "status": "error",
    }
    assert not trader.kraken.engine.accounts["alice"].open


@pytest.mark.parametrize(
    ("event", "fields", "error"),
    [
        *(("addOrder", {name: ...}, f"{name.capitalize()}(s) not found") for name in STRINGS[:5]),
        ("addOrder", {"price": ""}, "Price(s) not found"),
        ("addOrder", {"ordertype": "stop-loss", "price": ...}, "Price(s) not found"),
        ("addOrder", {"ordertype": "stop-loss-limit"}, "Price2(s) not found"),
        ("editOrder", dict.fromkeys(ORDER, ...) | {"pair": "XBT/USD"}, "Orderid(s) not found"),
        ("cancelAllOrdersAfter", dict.fromkeys(ORDER, ...), "Timeout(s) not found"),
        (
            "cancelAllOrdersAfter",
            dict.fromkeys(ORDER, ...) | {"timeout": "60"},
            "Timeout field must be an integer",
        ),
    ],
)
def test_what_is_missing_is_said_in_other_words_than_what_is_wrong(trader, event, fields, error):
    asked = {name: value for name, value in (ORDER | fields).items() if value is not ...}
    assert trader.trade(event, **asked, token=trader.token)["errorMessage"] == error


def test_average_price_is_the_cost_that_is_told_over_the_volume(trader):
    """Recorded in July 2022 on XMR/EUR."""
    pair = CATALOGUE.pairs[XBTUSD]
    pair = type(pair)(
        **{name: getattr(pair, name) for name in pair.__struct_fields__}
        | {"price_decimals": 2, "cost_decimals": 8, "exact_decimals": 10}
    )
    exact, volume = 84_709_869 * 11_953, 84_709_869
    assert codec.cost(pair, exact) == "101.25370642"
    assert codec.order_average(pair, exact, volume) == "119.53000001"
    assert codec.order_average(pair, 0, 0) == "0.00000000"


def test_level_that_an_amend_makes_within_the_depth_did_not_come_back(client):
    """In a recording of 2023 all 223 rows with an ``r`` are older than their message."""
    kraken = client.kraken
    orders = [kraken.place("alice", "buy", "1", str(60_000 - n)) for n in range(10)]
    kraken.place("alice", "buy", "1", "50000")
    client.subscribe("XBT/USD", name="book", depth=10)
    kraken.wait(1)
    kraken.execute(commands.AmendOrder(account="alice", txid=orders[0].txid, price=590_000))
    [[_, changes, *_]] = client.take()
    assert [row[0] for row in changes["b"]] == ["60000.00000", "59000.00000"]
    assert [row[3:] for row in changes["b"]] == [[], []]
    kraken.wait(1)
    kraken.execute(commands.AmendOrder(account="alice", txid=orders[1].txid, price=400_000))
    [[_, changes, *_]] = client.take()
    gone, back = changes["b"]
    assert (back[0], back[3:]) == ("50000.00000", ["r"])
    assert back[2] < gone[2]
