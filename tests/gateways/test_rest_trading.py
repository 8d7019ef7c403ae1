"""Private REST endpoints that trade: parameters in every form, refusals, batches, amends and cancels."""

import json
from urllib.parse import urlencode

import pytest

from emulator.engine.orders import TimeInForce
from emulator.gateways.parameters import Params
from tests.gateways.venue import START_NS, START_S, Kraken, in_loop, refused

UNKNOWN = "OQCLML-BW3P3-BUCMWZ"
LIMIT = {"ordertype": "limit", "type": "buy", "volume": "1.25", "pair": "XBTUSD", "price": "37500"}
DAY_S = 86_400


def open_orders(kraken, account="alice"):
    return list(kraken.engine.accounts[account].open.values())


def untouched(kraken):
    """Whether nothing has ever been placed."""
    return not any(account.open or account.closed for account in kraken.engine.accounts.values())


# -- bodies ----------------------------------------------------------------------------------------------


def test_new_order_answers_with_an_array_of_one_txid_and_its_description(kraken):
    result = kraken.private("AddOrder", **LIMIT)
    assert list(result) == ["txid", "descr"]
    assert result["txid"] == [order.txid for order in open_orders(kraken)]
    assert result["descr"] == {"order": "buy 1.25000000 XBTUSD @ limit 37500.0"}


@pytest.mark.parametrize(
    "body",
    [
        urlencode(LIMIT),
        urlencode(LIMIT | {"validate": "False", "reduce_only": "False", "starttm": "0", "leverage": "none"}),
        urlencode(LIMIT | {"trading_agreement": "agree", "stptype": "cancel-newest", "expiretm": "0"}),
        urlencode(LIMIT | {"price2": "", "userref": "", "cl_ord_id": "", "oflags": "", "deadline": ""}),
        LIMIT,
        LIMIT | {"price": 37500, "volume": 1.25, "validate": False, "userref": None, "reduce_only": False},
        LIMIT | {"price": 37500.0, "volume": 1.25, "close": {}, "leverage": "1:1", "timeinforce": "gtc"},
    ],
)
def test_form_and_json_with_any_spelling_of_values_place_the_same_order(kraken, body):
    kraken.submit("AddOrder", body)
    [order] = open_orders(kraken)
    assert (order.buy, order.price, order.qty) == (True, 375_000, 125_000_000)
    assert (order.userref, order.cl_ord_id, order.tif) == (None, None, TimeInForce.GTC)


def test_json_is_recognised_by_its_header_or_its_look():
    body = json.dumps({"a": 1}).encode()
    for kind in ("application/json", "application/json; charset=utf-8", "Application/JSON", ""):
        assert Params.from_body(body, kind).get("a") == "1"
    assert (
        Params.from_body(b"a=%2B5+6", "application/x-www-form-urlencoded; charset=utf-8").get("a") == "+5 6"
    )
    for bad in (b"{", b"[]", b"5", b"null", b'{"a":', b'{"a":1}x', b'{"a":' * 5000, b'"\xff"', b"9" * 5000):
        with refused("EGeneral:Invalid arguments"):
            Params.from_body(bad, "application/json")


def test_php_style_names_nest_and_json_arrays_may_hide_in_a_form():
    params = Params.from_query(
        "close[ordertype]=limit&close%5Bprice%5D=5&orders[1][type]=sell&orders[0][type]=buy"
    )
    assert params.group("close").get("price") == "5"
    assert params.items("orders") == [{"type": "sell"}, {"type": "buy"}]
    assert Params.from_query('orders=[{"a":1},"b"]').items("orders") == [{"a": 1}, "b"]
    assert Params.from_query("orders[]=a&orders[]=b").items("orders") == ["a", "b"]
    assert Params.from_query("orders=a,b").items("orders") == ["a", "b"]
    for odd in (
        "[=1",
        "]=1",
        "[]=1",
        "a[=1",
        "a[b=1",
        "a]b[=1",
        "a[[b]]=1",
        "=",
        "&&",
        "%",
        "a=1&a[b]=2",
        "a%00=1",
    ):
        Params.from_query(odd)
    with refused("EGeneral:Invalid arguments"):
        Params.from_query("a" + "[b]" * 20_000 + "=1")
    with refused("EGeneral:Invalid arguments"):
        Params.from_query("&".join(f"a{n}=1" for n in range(3000)))


@pytest.mark.parametrize("text", ["true", "True", "TRUE", "1", "yes"])
def test_true_in_any_spelling_only_validates(kraken, text):
    result = kraken.private("AddOrder", **LIMIT, validate=text)
    assert result == {"descr": {"order": "buy 1.25000000 XBTUSD @ limit 37500.0"}}
    assert untouched(kraken)


def test_validate_checks_arguments_and_minimums_but_not_funds(kraken):
    assert kraken.private("AddOrder", "dave", **LIMIT, validate="true")["descr"]
    with refused("EGeneral:Invalid arguments:volume minimum not met"):
        kraken.private("AddOrder", "dave", **(LIMIT | {"volume": "0.00001"}), validate="true")
    with refused("EOrder:Insufficient funds"):
        kraken.private("AddOrder", "dave", **LIMIT)


# -- refusals --------------------------------------------------------------------------------------------

ARGUMENT = "EGeneral:Invalid arguments"
BAD_PRICE = "EOrder:Invalid price:Invalid price argument."
BAD_PRICE2 = "EOrder:Invalid price:Invalid secondary price argument."
PRECISION = "EOrder:Invalid price:XBT/USD price can only be specified up to 1 decimals."
REFUSALS = [
    *(({name: None}, f"{ARGUMENT}:{name}") for name in ("ordertype", "type", "volume", "pair", "price")),
    ({"pair": "NOPE"}, "EQuery:Unknown asset pair"),
    *(({"ordertype": kind}, f"{ARGUMENT}:ordertype") for kind in ("LIMIT", "x")),
    *(
        ({"ordertype": kind, "price": None}, f"{ARGUMENT}:price")
        for kind in ("stop-loss", "take-profit-limit", "trailing-stop")
    ),
    ({"ordertype": "stop-loss-limit"}, f"{ARGUMENT}:price2"),
    ({"ordertype": "trailing-stop"}, BAD_PRICE),
    *(({"ordertype": "trailing-stop", "price": price}, BAD_PRICE) for price in ("-1%", "5%", "500")),
    ({"ordertype": "trailing-stop-limit", "price": "+1%", "price2": "37000"}, BAD_PRICE2),
    *(
        ({"ordertype": "stop-loss-limit", "price": "30000", "price2": price}, BAD_PRICE2)
        for price in ("8e-3", "x", "+", "1_0")
    ),
    ({"ordertype": "stop-loss", "trigger": "index"}, f"{ARGUMENT}:Index unavailable"),
    ({"ordertype": "stop-loss", "trigger": "mark"}, f"{ARGUMENT}:trigger"),
    ({"ordertype": "settle-position"}, f"{ARGUMENT}:leverage"),
    *(({"type": side}, f"{ARGUMENT}:type") for side in ("BUY", "hold")),
    *(({"volume": v}, f"{ARGUMENT}:volume") for v in ("0", "-1", "x", "NaN", "1e999", " 1", "+1", "1_0")),
    *(({"volume": v}, f"{ARGUMENT}:volume") for v in ("1e-2", "1E0", "Infinity", "٣", "1,5", "0x1", "true")),
    ({"volume": "0.00004999"}, f"{ARGUMENT}:volume minimum not met"),
    ({"volume": "0.00005", "price": "9999.9"}, "EOrder:Cost minimum not met"),
    *(({"price": price}, BAD_PRICE) for price in ("x", " 5", "5%", "+", "-0.0", "NaN", "1e99", "9.7e-7")),
    *(({"price": price}, BAD_PRICE) for price in ("5e4", "5E4", "+5e1", "5 ", "5_0", "Infinity", "٣", "--5")),
    *(({"price": price}, "EOrder:Invalid price") for price in ("0", "+5", "-5", "#5")),
    ({"price": "37500.01"}, PRECISION),
    ({"userref": "1", "cl_ord_id": "a"}, ARGUMENT),
    *(
        ({"userref": ref}, f"{ARGUMENT}:userref")
        for ref in ("2147483648", "-2147483649", "x", "1.5", "+1", "1_0")
    ),
    *(({"cl_ord_id": i}, f"{ARGUMENT}:cl_ord_id") for i in ("a" * 19, "a b", "é", "g" * 32, "a" * 35)),
    *(({"timeinforce": tif}, f"{ARGUMENT}:timeinforce") for tif in ("DAY", "GTX")),
    ({"timeinforce": "GTD"}, f"{ARGUMENT}:expiretm"),
    ({"timeinforce": "IOC", "oflags": "post"}, f"{ARGUMENT}:timeinforce"),
    ({"timeinforce": "FOK", "oflags": "post"}, f"{ARGUMENT}:timeinforce"),
    *(
        ({"expiretm": expires}, f"{ARGUMENT}:expiretm")
        for expires in ("+4", "+0", "+-5", " 60", "x", "+", str(START_S), f"+{32 * DAY_S}", "9" * 39)
    ),
    ({"oflags": "post", "ordertype": "market"}, f"{ARGUMENT}:oflags"),
    ({"oflags": "nonsense"}, f"{ARGUMENT}:oflags"),
    ({"oflags": "viqc"}, f"{ARGUMENT}:viqc"),
    ({"stptype": "cancel_newest"}, f"{ARGUMENT}:stptype"),
    ({"ordertype": "iceberg"}, f"{ARGUMENT}:displayvol"),
    ({"ordertype": "iceberg", "displayvol": "0.08333333"}, f"{ARGUMENT}:displayvol"),
    *(({"leverage": leverage}, f"{ARGUMENT}:leverage") for leverage in ("x", "11", "5:2", "-5")),
    *(({"starttm": starts}, f"{ARGUMENT}:starttm") for starts in ("x", "-1", f"+{32 * DAY_S}")),
    ({"cl_ord_id": "mine", "close[ordertype]": "limit", "close[price]": "61000"}, ARGUMENT),
    ({"cl_ord_id": "mine", "userref": "5"}, ARGUMENT),
    ({"close[ordertype]": "limit", "close[price]": "6.1e4"}, BAD_PRICE),
    ({"close[ordertype]": "limit"}, f"{ARGUMENT}:price"),
    ({"close[ordertype]": "market"}, f"{ARGUMENT}:close"),
    ({"close[ordertype]": "nonsense"}, f"{ARGUMENT}:close[ordertype]"),
    ({"deadline": "2026-11-02T09:59:59Z"}, "EService:Deadline elapsed"),
    ({"deadline": "2026-11-02T10:02:00Z"}, f"{ARGUMENT}:deadline"),
    ({"deadline": "soon"}, f"{ARGUMENT}:deadline"),
    ({"volume": "1000000"}, "EOrder:Insufficient funds"),
    ({"type": "sell", "volume": "2000000000"}, "EOrder:Insufficient funds"),
]


@pytest.mark.parametrize(("change", "error"), REFUSALS, ids=[f"{c}" for c, _ in REFUSALS])
def test_order_is_refused_in_the_venues_words_and_leaves_no_trace(kraken, change, error):
    fields = {name: value for name, value in (LIMIT | change).items() if value is not None}
    with refused(error):
        kraken.private("AddOrder", **fields)
    assert untouched(kraken)


def test_rest_knows_no_margin_flag_so_such_an_order_is_plain(kraken):
    kraken.private("AddOrder", **LIMIT, margin="true")
    [order] = open_orders(kraken)
    assert order.leverage == 0


def test_market_order_takes_whatever_is_there_and_needs_no_price(kraken):
    kraken.place("bob", "sell", "1", "60000")
    result = kraken.private("AddOrder", ordertype="market", type="buy", volume="0.5", pair="BTC/USD")
    assert result["descr"] == {"order": "buy 0.50000000 XBTUSD @ market"}
    assert kraken.private("QueryOrders", txid=result["txid"][0])[result["txid"][0]]["status"] == "closed"


def test_volume_beyond_the_lot_is_cut_off_and_trailing_zeros_are_no_precision(kraken):
    kraken.private("AddOrder", **(LIMIT | {"volume": "1.123456789", "price": "37500.10000"}))
    [order] = open_orders(kraken)
    assert (order.qty, order.price) == (112_345_678, 375_001)


def test_post_only_order_that_would_cross_is_accepted_then_canceled(kraken):
    kraken.place("bob", "sell", "1", "37000")
    [txid] = kraken.private("AddOrder", **LIMIT, oflags="post")["txid"]
    row = kraken.private("ClosedOrders")["closed"][txid]
    assert (row["status"], row["reason"], row["oflags"]) == ("canceled", "Post only order", "post,fciq")
    strict = Kraken(post_only_rejects=True)
    strict.place("bob", "sell", "1", "37000")
    with refused("EOrder:Post only order"):
        strict.private("AddOrder", **LIMIT, oflags="post")


@pytest.mark.parametrize(
    ("stptype", "left"), [("cancel-newest", 1), ("cancel-oldest", 1), ("cancel-both", 0)]
)
def test_self_trade_is_prevented_as_asked(kraken, stptype, left):
    old = kraken.place("alice", "sell", "2", "37000")
    [new] = kraken.private("AddOrder", **LIMIT, stptype=stptype)["txid"]
    assert not kraken.engine.accounts["alice"].trades
    assert [order.txid for order in open_orders(kraken)] == [
        {"cancel-newest": old.txid, "cancel-oldest": new}[stptype] for _ in range(left)
    ]


@pytest.mark.parametrize(
    "cl_ord_id",
    ["6d1b345e-2821-40e2-ad83-4ecb18a06876", "da8e4ad59b78481c93e589746b0cf91f", "arb-20240509-00010"],
)
def test_client_order_id_of_each_form_is_unique_while_open(kraken, cl_ord_id):
    kraken.private("AddOrder", **LIMIT, cl_ord_id=cl_ord_id)
    with refused("EGeneral:Invalid arguments:cl_ord_id not unique"):
        kraken.private("AddOrder", **LIMIT, cl_ord_id=cl_ord_id)
    kraken.private("AddOrder", "bob", **LIMIT, cl_ord_id=cl_ord_id)
    assert kraken.private("CancelOrder", cl_ord_id=cl_ord_id) == {"count": 1}
    kraken.private("AddOrder", **LIMIT, cl_ord_id=cl_ord_id)


def test_open_orders_are_limited_per_pair(kraken):
    for _ in range(225):
        kraken.private("AddOrder", **(LIMIT | {"volume": "0.001"}))
    with refused("EOrder:Orders limit exceeded"):
        kraken.private("AddOrder", **LIMIT)
    kraken.private("AddOrder", **(LIMIT | {"pair": "XBTEUR"}))


@in_loop
async def test_expiry_is_relative_or_absolute_and_implies_good_till_date(kraken):
    for expires in ("+60", str(START_S + 60)):
        kraken.private("AddOrder", **LIMIT, expiretm=expires)
    orders = open_orders(kraken)
    assert [(order.tif, order.expire_ns) for order in orders] == [
        (TimeInForce.GTD, START_NS + 60 * 10**9)
    ] * 2
    kraken.wait(60)
    assert [order.status.value for order in orders] == ["expired", "expired"]
    kraken.venue.close()


# -- batches ---------------------------------------------------------------------------------------------

ORDERS = [{"ordertype": "limit", "type": "buy", "volume": "1", "price": str(60_000 + n)} for n in range(16)]


def test_batch_answers_in_request_order_with_txid_as_text(kraken):
    result = kraken.submit("AddOrderBatch", {"pair": "XBTUSD", "orders": ORDERS[:3]})
    assert result == {
        "orders": [
            {
                "txid": order.txid,
                "descr": {"order": f"buy 1.00000000 XBTUSD @ limit {60_000 + number}.0"},
            }
            for number, order in enumerate(open_orders(kraken))
        ]
    }
    assert len(result["orders"]) == 3


@pytest.mark.parametrize("style", ["json text in a form", "php indices"])
def test_batch_may_come_in_a_form(kraken, style):
    if style == "php indices":
        flat = {f"orders[{n}][{k}]": v for n, order in enumerate(ORDERS[:2]) for k, v in order.items()}
    else:
        flat = {"orders": json.dumps(ORDERS[:2])}
    assert len(kraken.private("AddOrderBatch", pair="XBTUSD", **flat)["orders"]) == 2


@pytest.mark.parametrize("orders", [[], ORDERS[:1], ORDERS, ["x", "y"], "x", 5, None, {"a": "b"}], ids=str)
def test_batch_holds_2_to_15_orders(kraken, orders):
    with refused("EGeneral:Invalid arguments:orders"):
        kraken.submit("AddOrderBatch", {"pair": "XBTUSD", "orders": orders})
    assert untouched(kraken)


def test_a_bad_order_of_a_batch_has_its_error_in_its_row_and_the_others_are_placed(kraken):
    for bad, error in (
        (ORDERS[1] | {"volume": "0.00001"}, "EGeneral:Invalid arguments:volume minimum not met"),
        (ORDERS[1] | {"price": "1.23"}, PRECISION),
        (ORDERS[1] | {"ordertype": "nonsense"}, "EGeneral:Invalid arguments:ordertype"),
        (ORDERS[1] | {"price": "6.4e-7"}, BAD_PRICE),
        (ORDERS[1] | {"price": 6.4e-7}, BAD_PRICE),
        (ORDERS[1] | {"volume": "1e-2"}, "EGeneral:Invalid arguments:volume"),
    ):
        body = {"pair": "XBTUSD", "orders": [ORDERS[0], bad, ORDERS[2]]}
        checked = kraken.submit("AddOrderBatch", body | {"validate": True})["orders"]
        assert [list(row) for row in checked] == [["descr"], ["error"], ["descr"]]
        assert open_orders(kraken) == []
        first, refusal, third = kraken.submit("AddOrderBatch", body)["orders"]
        assert refusal == {"error": error}
        assert [order.txid for order in open_orders(kraken)] == [first["txid"], third["txid"]]
        kraken.private("CancelAll")
    twins = [order | {"cl_ord_id": "twin"} for order in ORDERS[:2]]
    rows = kraken.submit("AddOrderBatch", {"pair": "XBTUSD", "orders": twins})["orders"]
    assert rows[1] == {"error": "EGeneral:Invalid arguments:cl_ord_id not unique"}
    assert [order.txid for order in open_orders(kraken)] == [rows[0]["txid"]]


def test_order_without_funds_fails_alone_in_its_batch(kraken):
    small = {"ordertype": "limit", "type": "buy", "volume": "0.001", "price": "60000"}
    body = {"pair": "XBTUSD", "orders": [small, small, small | {"price": "30000"}]}
    checked = kraken.submit("AddOrderBatch", body | {"validate": True}, "dave")["orders"]
    assert [list(entry) for entry in checked] == [["descr"]] * 3
    result = kraken.submit("AddOrderBatch", body, "dave")["orders"]
    assert result[1] == {"error": "EOrder:Insufficient funds"}
    assert [entry.get("txid") for entry in result] == [
        *(open_orders(kraken, "dave")[0].txid, None, open_orders(kraken, "dave")[1].txid)
    ]
