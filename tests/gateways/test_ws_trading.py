"""Trading methods of WebSocket v2: replies, refusals, and what they do."""

import pytest

from emulator.engine.orders import TimeInForce
from emulator.gateways.keys import PERMISSIONS
from tests.gateways.venue import START_NS, Kraken, in_loop

UNKNOWN = "OQCLML-BW3P3-BUCMWZ"
ROW = {"order_type": "limit", "side": "buy", "order_qty": 1.25, "limit_price": 37500}
LIMIT = ROW | {"symbol": "BTC/USD"}
ARGUMENT = "EGeneral:Invalid arguments"
BAD_PRICE = "EOrder:Invalid price:Invalid price argument."
PRECISION = "EOrder:Invalid price:XBT/USD price can only be specified up to 1 decimals."
NOT_UNIQUE = f"{ARGUMENT}:cl_ord_id not unique"
METHODS = (
    *("add_order", "amend_order", "edit_order", "cancel_order"),
    *("cancel_all", "cancel_all_orders_after", "batch_add", "batch_cancel"),
)


class Trader:
    """A connection with alice's token."""

    def __init__(self, kraken, account="alice"):
        self.kraken = kraken
        self.client = kraken.client()
        self.account = kraken.engine.accounts[account]
        self.token = kraken.token(account)

    def ask(self, method, **params):
        return self.client.ask(method, req_id=9, token=self.token, **params)

    def result(self, method, **params):
        return self.client.result(method, token=self.token, **params)

    def error(self, method, **params):
        return self.client.error(method, token=self.token, **params)

    @property
    def open(self):
        return list(self.account.open.values())


@pytest.fixture
def trader(kraken):
    return Trader(kraken)


# -- every method ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_token_is_looked_at_after_the_fields_and_before_everything_else(kraken, trader, method):
    client, words = trader.client, method.replace("_", " ")
    for token, error in (("", "Token(s) not found"), ("nonsense", "ESession:Invalid session")):
        assert client.error(method, token=token) == error
    assert client.error(method) == "Token(s) not found"
    assert client.error(method, token=5) == "Token field must be a string"
    for name in ("leverage", "userref", "price2", "Token", "req-id"):
        assert (
            client.error(method, **{name: 1})
            == f"Unsupported field: '{name}' for the given msg type: {words}"
        )
    weak = kraken.token(permissions=PERMISSIONS - {"modify-trades", "close-trades"})
    assert client.error(method, token=weak) == "EGeneral:Permission denied"


@pytest.mark.parametrize("method", ["add_order", "edit_order", "batch_add"])
def test_close_trades_alone_may_not_place_orders(kraken, client, method):
    token = kraken.token(permissions={"close-trades"})
    assert client.error(method, token=token) == "EGeneral:Permission denied"
    assert client.result("cancel_all", token=token) == {"count": 0}


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        *(("limit_price", v, "Limit_price field must be a number_float") for v in ("37500", True, None, [1])),
        ("order_qty", "1", "Order_qty field must be a number_float"),
        ("cash_order_qty", "1", "Cash_order_qty field must be a number_float"),
        ("order_userref", 1.0, "Order_userref field must be an integer"),
        ("order_userref", True, "Order_userref field must be an integer"),
        ("side", 1, "Side field must be a string"),
        ("cl_ord_id", 5, "Cl_ord_id field must be a string"),
        ("post_only", "true", "Post_only field must be a bool"),
        ("triggers", [], "Triggers field must be an object"),
        ("price", 1, "Unsupported field: 'price' for the given msg type: add order"),
        ("close", {}, "Unsupported field: 'close' for the given msg type: add order"),
        ("x" * 1000, 1, f"Unsupported field: '{'x' * 64}' for the given msg type: add order"),
    ],
)
def test_fields_are_refused_by_name_and_json_type(trader, name, value, error):
    assert trader.error("add_order", **LIMIT | {name: value}) == error
    if name not in ("price", "close"):
        assert trader.error(
            "batch_add", symbol="BTC/USD", orders=[ROW, ROW | {name: value}]
        ) == error.replace("add order", "batch add")
    assert not trader.open


# -- add_order -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ids", "echo"),
    [({}, {}), ({"cl_ord_id": "mine"}, {"cl_ord_id": "mine"}), ({"order_userref": 0}, {"order_userref": 0})],
)
def test_reply_names_the_order_and_the_id_it_was_sent_with(trader, ids, echo):
    [reply] = trader.ask("add_order", **LIMIT, **ids)
    [order] = trader.open
    assert list(reply) == ["method", "req_id", "result", "success", "time_in", "time_out"]
    assert (reply["method"], reply["req_id"]) == ("add_order", 9)
    assert reply["result"] == {"order_id": order.txid} | echo
    assert list(reply["result"]) == sorted(reply["result"])
    assert (order.buy, order.qty, order.price) == (True, 125_000_000, 375_000)


@pytest.mark.parametrize(
    "text", ["37500", "37500.0", "37500.10", "3.75e4", "3.75E+04", "375000e-1", "37500.000000000000000000"]
)
def test_every_json_spelling_of_a_number_is_read_exactly(trader, text):
    fields = '"order_type":"limit","side":"buy","symbol":"BTC/USD","order_qty":0.1'
    body = f'{{"method":"add_order","params":{{{fields},"limit_price":{text},"token":"{trader.token}"}}}}'
    assert trader.client.say(body)[0]["success"]
    assert trader.open[0].price == 375_000 + (text == "37500.10")


@pytest.mark.parametrize("tif", ["gtc", "GTC", "ioc", "IOC", "fok"])
def test_time_in_force_may_be_written_in_either_case(trader, tif):
    assert trader.ask("add_order", **LIMIT, time_in_force=tif)[0]["success"]
    [order] = [*trader.open, *trader.account.closed.values()]
    assert order.tif.value == tif.upper()


@in_loop
async def test_good_till_date_ends_at_its_time(kraken):
    trader = Trader(kraken)
    trader.result("add_order", **LIMIT, time_in_force="gtd", expire_time="2026-11-02T10:01:00Z")
    [order] = trader.open
    assert (order.tif, order.expire_ns) == (TimeInForce.GTD, START_NS + 60 * 10**9)
    kraken.wait(60)
    assert order.status.value == "expired"
    kraken.venue.close()


REFUSALS = [
    *(
        ({name: ...}, f"{name.capitalize()}(s) not found")
        for name in ("order_type", "side", "symbol", "order_qty", "limit_price")
    ),
    ({"symbol": "XBT/USD"}, "Currency pair not supported XBT/USD"),
    ({"symbol": "BTCUSD"}, "Currency pair not in ISO 4217-A3 format BTCUSD"),
    *(({"order_type": kind}, f"{ARGUMENT}:ordertype") for kind in ("Limit", "stop loss")),
    ({"order_type": "stop-loss"}, "Stop_price(s) not found"),
    ({"order_type": "stop-loss", "triggers": {}}, "Price(s) not found"),
    ({"order_type": "stop-loss", "triggers": {"reference": "last"}}, "Price(s) not found"),
    (
        {"order_type": "stop-loss", "triggers": {"price": "5"}},
        "Price field must be a number_float",
    ),
    ({"order_type": "stop-loss-limit", "stop_price": 5, "limit_price": ...}, "Limit_price(s) not found"),
    ({"order_type": "settle-position"}, f"{ARGUMENT}:leverage"),
    ({"triggers": {"price": 5}}, f"{ARGUMENT}:trigger"),
    (
        {"order_type": "stop-loss", "triggers": {"price": 5, "reference": "mark"}},
        f"{ARGUMENT}:trigger",
    ),
    (
        {"order_type": "stop-loss", "triggers": {"price": 5, "reference": "index"}},
        f"{ARGUMENT}:Index unavailable",
    ),
    (
        {"order_type": "stop-loss", "triggers": {"prize": 5}},
        "Unsupported field: 'prize' for the given msg type: add order",
    ),
    ({"order_type": "trailing-stop", "triggers": {"price": -5}}, f"{ARGUMENT}:price"),
    ({"conditional": {}}, "Order_type(s) not found"),
    ({"conditional": {"order_type": "limit"}}, "Limit_price(s) not found"),
    ({"conditional": {"order_type": "stop-loss"}}, "Trigger_price(s) not found"),
    ({"conditional": {"order_type": 5}}, "Order_type field must be a string"),
    ({"side": "hold"}, f"{ARGUMENT}:type"),
    *(({"order_qty": qty}, f"{ARGUMENT}:volume") for qty in (0, -1, 1e200)),
    ({"order_qty": 0.00004999}, f"{ARGUMENT}:volume minimum not met"),
    ({"order_qty": 0.00005, "limit_price": 9999}, "EOrder:Cost minimum not met"),
    *(({"limit_price": price}, "EOrder:Invalid price") for price in (0, -5)),
    *(({"limit_price": price}, BAD_PRICE) for price in (1e200, 10**60)),
    ({"limit_price": 37500.01}, PRECISION),
    ({"limit_price_type": "pct"}, "EOrder:Invalid price"),
    ({"limit_price_type": "nonsense"}, f"{ARGUMENT}:limit_price_type"),
    ({"cl_ord_id": "a", "order_userref": 1}, ARGUMENT),
    *(({"cl_ord_id": value}, f"{ARGUMENT}:cl_ord_id") for value in ("", "a b", "é", "a" * 19)),
    *(({"order_userref": ref}, f"{ARGUMENT}:userref") for ref in (2**31, -(2**31) - 1, 2**70)),
    ({"time_in_force": "day"}, f"{ARGUMENT}:timeinforce"),
    ({"time_in_force": "gtd"}, f"{ARGUMENT}:expiretm"),
    ({"time_in_force": "gtd", "expire_time": "2026-11-02T10:00:00Z"}, f"{ARGUMENT}:expiretm"),
    ({"time_in_force": "gtd", "expire_time": "2027-11-02T10:00:00Z"}, f"{ARGUMENT}:expiretm"),
    ({"expire_time": "tomorrow"}, f"{ARGUMENT}:expiretm"),
    ({"time_in_force": "ioc", "post_only": True}, f"{ARGUMENT}:timeinforce"),
    ({"order_type": "market", "post_only": True}, f"{ARGUMENT}:oflags"),
    ({"order_type": "iceberg", "display_qty": 0.08}, f"{ARGUMENT}:displayvol"),
    ({"stp_type": "cancel-newest"}, f"{ARGUMENT}:stptype"),
    ({"fee_preference": "usd"}, f"{ARGUMENT}:oflags"),
    ({"cash_order_qty": 100}, ARGUMENT),
    ({"cash_order_qty": 100, "order_qty": ...}, f"{ARGUMENT}:viqc"),
    ({"effective_time": "soon"}, f"{ARGUMENT}:starttm"),
    ({"deadline": "2026-11-02T09:59:59.000Z"}, "EService:Deadline elapsed"),
    ({"deadline": "2026-11-02T10:00:00.400Z"}, f"{ARGUMENT}:deadline"),
    ({"deadline": "2026-11-02T10:01:01Z"}, f"{ARGUMENT}:deadline"),
    ({"order_qty": 1_000_000}, "EOrder:Insufficient funds"),
]


@pytest.mark.parametrize(("change", "error"), REFUSALS, ids=[f"{c}" for c, _ in REFUSALS])
@pytest.mark.parametrize("validate", [False, True])
def test_order_is_refused_in_the_venues_words_and_leaves_no_trace(trader, change, error, validate):
    fields = {name: value for name, value in (LIMIT | change).items() if value is not ...}
    if validate and error == "EOrder:Insufficient funds":
        assert trader.result("add_order", **fields, validate=True) == {"order_id": ""}
    else:
        assert trader.error("add_order", **fields, validate=validate) == error
    assert not trader.open
    assert not trader.account.closed


def test_validation_places_nothing_and_tells_nobody(kraken, trader):
    trader.client.subscribe("executions", token=trader.token)
    for ids in ({}, {"cl_ord_id": "mine"}, {"order_userref": 5}):
        assert trader.result("add_order", **LIMIT, **ids, validate=True) == ids | {"order_id": ""}
    assert trader.client.take() == []
    assert not trader.open


def test_client_id_is_unique_among_open_orders(trader):
    trader.result("add_order", **LIMIT, cl_ord_id="mine")
    assert trader.error("add_order", **LIMIT, cl_ord_id="mine") == NOT_UNIQUE
    trader.result("cancel_order", cl_ord_id=["mine"])
    trader.result("add_order", **LIMIT, cl_ord_id="mine")


def test_post_only_order_that_would_cross_succeeds_and_is_canceled_unless_the_venue_rejects(kraken, trader):
    kraken.place("bob", "sell", "1", "37000")
    trader.client.subscribe("executions", token=trader.token)
    reply, pending, canceled = trader.ask("add_order", **LIMIT, post_only=True)
    assert reply["success"]
    assert pending["data"][0]["exec_type"] == "pending_new"
    assert canceled["data"][0]["reason"] == "Post only order"
    strict = Trader(Kraken(post_only_rejects=True))
    strict.kraken.place("bob", "sell", "1", "37000")
    assert strict.error("add_order", **LIMIT, post_only=True) == "EOrder:Post only order"


# -- amend_order, edit_order -----------------------------------------------------------------------------


def test_amend_replies_with_the_identifier_it_was_sent(kraken, trader):
    order = kraken.place("alice", "buy", "1", "60000", cl_ord_id="mine")
    first = trader.result("amend_order", order_id=order.txid, limit_price=59000)
    assert list(first) == ["amend_id", "order_id"]
    assert first["order_id"] == order.txid
    second = trader.result("amend_order", cl_ord_id="mine", order_qty=0.5)
    assert list(second) == ["amend_id", "cl_ord_id"]
    assert second["cl_ord_id"] == "mine"
    assert first["amend_id"][0] == second["amend_id"][0] == "T"
    assert (order.price, order.qty) == (590_000, 50_000_000)


def test_amend_and_edit_refusals(kraken, trader):
    order = kraken.place("alice", "buy", "1", "60000", cl_ord_id="mine")
    kraken.place("bob", "sell", "1", "61000")
    foreign = next(iter(kraken.engine.accounts["bob"].open))
    by_id = {"order_id": order.txid}
    for fields, error in (
        ({}, ARGUMENT),
        (by_id | {"cl_ord_id": "mine"}, ARGUMENT),
        ({"order_id": UNKNOWN}, "EOrder:Unknown order"),
        ({"order_id": foreign}, "EOrder:Unknown order"),
        ({"order_id": "x"}, "EOrder:Invalid order"),
        ({"cl_ord_id": "other"}, "EOrder:Unknown order"),
        (by_id | {"limit_price": 61000, "post_only": True}, "EOrder:Post only order"),
        (by_id | {"limit_price": "60000"}, "Limit_price field must be a number_float"),
        (by_id | {"limit_price": 1.23}, PRECISION),
        (by_id | {"order_qty": 1_000_000}, "EOrder:Insufficient funds"),
        (by_id | {"display_qty": 0.1}, f"{ARGUMENT}:displayvol"),
    ):
        assert trader.error("amend_order", **fields) == error
    for fields, error in (
        (by_id, "EOrder:Invalid order"),
        ({"order_id": UNKNOWN}, "EOrder:Unknown order"),
        ({"order_id": "x"}, "EOrder:Invalid order"),
        (by_id | {"symbol": "ETH/USD"}, "EOrder:Unknown order"),
        ({"order_id": ...}, "Order_id(s) not found"),
        ({"symbol": ...}, "Symbol(s) not found"),
    ):
        asked = {k: v for k, v in ({"symbol": "BTC/USD"} | fields).items() if v is not ...}
        assert trader.error("edit_order", **asked) == error
    assert (order.qty, order.price) == (10**8, 600_000)


def test_edit_replaces_the_order_and_tells_both_stories(kraken, trader):
    old = kraken.place("alice", "buy", "1", "60000", userref=5)
    kraken.place("bob", "sell", "0.25", "60000")
    trader.client.subscribe("executions", token=trader.token)
    reply, *events = trader.ask(
        "edit_order", order_id=old.txid, symbol="BTC/USD", limit_price=59000, order_userref=6
    )
    [new] = trader.open
    assert reply["result"] == {"order_id": new.txid, "original_order_id": old.txid}
    rows = [event["data"][0] for event in events]
    assert [(row["exec_type"], row["order_id"]) for row in rows] == [
        *(("canceled", old.txid), ("pending_new", new.txid), ("new", new.txid))
    ]
    assert rows[0]["reason"] == "Order replaced"
    assert (rows[1]["order_qty"], rows[1]["order_userref"]) == ("0.75000000", 6)
    checked = trader.result("edit_order", order_id=new.txid, symbol="BTC/USD", order_qty=2, validate=True)
    assert checked == {"order_id": "", "original_order_id": new.txid}
    assert trader.open == [new]


# -- cancelling ------------------------------------------------------------------------------------------


@pytest.fixture
def four(kraken):
    """Orders of alice: plain, two of userref 5, one called "mine"."""
    terms = ({}, {"userref": 5}, {"userref": 5}, {"cl_ord_id": "mine"})
    return [kraken.place("alice", "buy", "1", "60000", **term) for term in terms]


def test_cancel_order_replies_once_per_order_with_the_identifier_used(kraken, trader, four):
    ids = [four[0].txid, UNKNOWN, four[0].txid, "x"]
    replies = trader.ask("cancel_order", order_id=ids, cl_ord_id=["mine", "other"], order_userref=[5, 6])
    assert {(reply["method"], reply["req_id"], reply["time_in"]) for reply in replies} == {
        ("cancel_order", 9, "2026-11-02T10:00:00.000000Z")
    }
    assert [reply.get("result") or reply["error"] for reply in replies] == [
        {"order_id": four[0].txid},
        *("EOrder:Unknown order", "EOrder:Unknown order", "EOrder:Invalid order"),
        *({"cl_ord_id": "mine"}, "EOrder:Unknown order"),
        *({"order_id": four[1].txid}, {"order_id": four[2].txid}, "EOrder:Unknown order"),
    ]
    assert not trader.open


@pytest.mark.parametrize("value", [None, True, "5", 5, 5.5, [], {}, 10**30, "None", ""], ids=repr)
@pytest.mark.parametrize("name", ["order_userref", "order_id", "cl_ord_id"])
def test_odd_identifier_cancels_nothing_and_one_of_another_json_type_is_refused(trader, four, name, value):
    error = trader.error("cancel_order", **{name: [value]}) if value != 5 or name != "order_userref" else ""
    if type(value) is not (int if name == "order_userref" else str):
        assert error == f"{name.capitalize()} field must be an array"
    elif error:
        assert error == ("EOrder:Invalid order" if name == "order_id" else "EOrder:Unknown order")
    batch = "cl_ord_id" if name == "cl_ord_id" else "orders"
    [reply] = trader.ask("batch_cancel", **{batch: [value, UNKNOWN]})
    if type(value) is not str:
        assert reply["error"] == f"{batch.capitalize()} field must be an array"
    else:
        assert reply["result"]["count"] == (2 if value == "5" and name != "cl_ord_id" else 0)
    assert trader.open == (four if reply.get("result") != {"count": 2} else [four[0], four[3]])


def test_cancel_order_needs_1_to_50_identifiers(trader, four):
    assert trader.error("cancel_order") == ARGUMENT
    assert trader.error("cancel_order", order_id=[]) == ARGUMENT
    assert trader.error("cancel_order", order_id=[UNKNOWN] * 51) == ARGUMENT
    assert trader.error("cancel_order", order_id=four[0].txid) == "Order_id field must be an array"
    assert trader.open == four


def test_foreign_orders_cannot_be_cancelled(kraken, trader, four):
    bob = Trader(kraken, "bob")
    assert bob.error("cancel_order", order_id=[four[0].txid]) == "EOrder:Unknown order"
    assert bob.error("cancel_order", order_userref=[5]) == "EOrder:Unknown order"
    assert bob.result("cancel_all") == {"count": 0}


def test_batch_cancel_tells_its_count_twice(trader, four):
    [reply] = trader.ask("batch_cancel", orders=[four[0].txid, "5", UNKNOWN], cl_ord_id=["mine"])
    assert list(reply) == ["method", "orders_cancelled", "req_id", "result", "success", "time_in", "time_out"]
    assert (reply["orders_cancelled"], reply["result"]) == (4, {"count": 4})
    for orders in ([], [UNKNOWN], [UNKNOWN] * 51):
        assert trader.error("batch_cancel", orders=orders) == f"{ARGUMENT}:orders"


def test_cancel_all_counts_and_covers_one_account(kraken, trader, four):
    kraken.place("bob", "buy", "1", "60000")
    assert trader.result("cancel_all") == {"count": 4}
    assert trader.result("cancel_all") == {"count": 0}
    assert len(kraken.engine.accounts["bob"].open) == 1


@in_loop
async def test_dead_mans_switch_is_shared_with_rest_and_rounds_up_to_whole_seconds(kraken):
    trader = Trader(kraken)
    trader.client.subscribe("executions", token=trader.token)
    order = kraken.place("alice", "buy", "1", "60000")
    kraken.clock.ns += 1
    set_for = trader.result("cancel_all_orders_after", timeout=60)
    assert set_for == {"currentTime": "2026-11-02T10:00:01Z", "triggerTime": "2026-11-02T10:01:01Z"}
    kraken.private("CancelAllOrdersAfter", timeout=0)
    kraken.wait(61)
    assert trader.open == [order]
    kraken.private("CancelAllOrdersAfter", timeout=5)
    trader.client.session.close()
    kraken.wait(5)
    assert order.reason.value == "CancelAllOrdersAfter Timeout"
    assert trader.result("cancel_all_orders_after", timeout=0)["triggerTime"] == "0"
    for timeout in (-1, 86_400, 2**70):
        assert trader.error("cancel_all_orders_after", timeout=timeout) == f"{ARGUMENT}:timeout"
    assert trader.error("cancel_all_orders_after", timeout="5") == "Timeout field must be an integer"
    assert trader.error("cancel_all_orders_after") == "Timeout(s) not found"
    kraken.venue.close()


# -- batch_add -------------------------------------------------------------------------------------------


def test_batch_add_replies_with_an_array_in_request_order(trader):
    orders = [ROW | {"order_userref": 1}, ROW | {"cl_ord_id": "b"}, ROW]
    [reply] = trader.ask("batch_add", symbol="BTC/USD", orders=orders)
    first, second, third = (order.txid for order in trader.open)
    assert reply["success"]
    assert reply["result"] == [
        {"order_id": first, "order_userref": 1},
        {"order_id": second, "cl_ord_id": "b"},
        {"order_id": third},
    ]


def test_order_that_fails_at_the_engine_fails_alone_and_the_batch_is_no_success(kraken):
    trader = Trader(kraken, "dave")
    small = {"order_type": "limit", "side": "buy", "order_qty": 0.001, "limit_price": 60000}
    orders = [small, small | {"cl_ord_id": "b"}, small | {"order_userref": 3}, small | {"limit_price": 30000}]
    [reply] = trader.ask("batch_add", symbol="BTC/USD", orders=orders)
    assert list(reply) == ["method", "req_id", "result", "success", "time_in", "time_out"]
    assert reply["success"] is False
    result = reply["result"]
    assert result[1:3] == [{"error": "EOrder:Insufficient funds"}] * 2
    assert [row["order_id"] for row in (result[0], result[3])] == [order.txid for order in trader.open]


@pytest.mark.parametrize(
    ("orders", "error"),
    [
        *((orders, f"{ARGUMENT}:orders") for orders in ([], [ROW], [ROW] * 16, [ROW, 5], [ROW, None])),
        ({}, "Orders field must be an array"),
        ([ROW, ROW | {"limit_price": 1.23}], PRECISION),
        ([ROW, {name: ROW[name] for name in ROW if name != "limit_price"}], "Limit_price(s) not found"),
        ([ROW, ROW | {"symbol": "BTC/USD"}], "Unsupported field: 'symbol' for the given msg type: batch add"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_one_order_that_cannot_be_read_refuses_the_whole_batch(trader, orders, error):
    assert trader.error("batch_add", symbol="BTC/USD", orders=orders) == error
    assert not trader.open


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"order_qty": 0.00001}, f"{ARGUMENT}:volume minimum not met"),
        ({"cl_ord_id": "a"}, NOT_UNIQUE),
        (
            {"order_type": "stop-loss", "triggers": {"price": 5, "reference": "index"}},
            f"{ARGUMENT}:Index unavailable",
        ),
    ],
)
def test_one_order_that_the_venue_refuses_has_its_error_in_its_row(trader, bad, error):
    trader.result("add_order", **LIMIT, cl_ord_id="a")
    batch = {"symbol": "BTC/USD", "orders": [ROW, ROW | bad, ROW]}
    [reply] = trader.ask("batch_add", **batch, validate=True)
    good = {"validation": "Validated Successfully"}
    assert (reply["success"], reply["result"]) == (False, [good, {"error": error}, good])
    assert len(trader.open) == 1
    [reply] = trader.ask("batch_add", **batch)
    assert (reply["success"], reply["result"][1]) == (False, {"error": error})
    assert [row["order_id"] for row in reply["result"][::2]] == [order.txid for order in trader.open[1:]]


def test_validated_batch_places_nothing(trader):
    assert (
        trader.result("batch_add", symbol="BTC/USD", orders=[ROW] * 2, validate=True)
        == [{"validation": "Validated Successfully"}] * 2
    )
    assert not trader.open
