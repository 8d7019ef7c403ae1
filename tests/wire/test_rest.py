"""What spot REST answers has the shapes that were recorded: over its own sockets, whatever the state."""

import base64
import hashlib
import hmac
import json
import time
from itertools import count
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from tests.running import running
from tests.wire import rest_shapes as shapes
from tests.wire.shape import Each, assert_shape, faults, read

DECIMALS = {"price": 1, "lot": 8, "cost": 5, "usd": 4, "xbt": 10}


class Caller:
    """One account's calls, signed."""

    def __init__(self, base, key, secret):
        self.base, self.key, self.secret = base, key, base64.b64decode(secret)
        self.nonces = count(time.time_ns())

    def call(self, path, body=b"", headers=None):
        request = Request(self.base + path, body or None, headers or {})
        with urlopen(request, timeout=20) as answer:
            return answer.read()

    def public(self, method, **params):
        return self.result(self.call(f"/0/public/{method}?{urlencode(params)}"))

    def private(self, method, **params):
        path, nonce = f"/0/private/{method}", str(next(self.nonces))
        if "orders" in params:
            body, kind = json.dumps({"nonce": nonce} | params), "application/json"
        else:
            body, kind = urlencode({"nonce": nonce} | params), "application/x-www-form-urlencoded"
        digest = hashlib.sha256((nonce + body).encode()).digest()
        signature = base64.b64encode(hmac.digest(self.secret, path.encode() + digest, "sha512")).decode()
        headers = {"API-Key": self.key, "API-Sign": signature, "Content-Type": kind}
        return self.result(self.call(path, body.encode(), headers))

    @staticmethod
    def result(answer):
        envelope = read(answer)
        assert list(envelope) == ["error", "result"], answer
        assert envelope["error"] == []
        return envelope["result"]


LIMIT = {"pair": "XBTUSD", "ordertype": "limit", "type": "buy", "volume": "0.01", "price": "50000"}
SELL = LIMIT | {"type": "sell"}


class Room:
    """A venue where two accounts have done a bit of everything in XBTUSD."""

    def __init__(self, venue):
        at = venue.tier()["rest"]
        self.maker, self.taker = (
            Caller(at, account["key"], account["secret"])
            for account in (venue.next_account(), venue.next_account())
        )
        for price in ("60000", "60010"):
            self.maker.private("AddOrder", **(SELL | {"volume": "5", "price": price}))
        self.maker.private("AddOrder", **(LIMIT | {"volume": "5", "price": "59990"}))
        self.placed = {name: self._place(**terms) for name, terms in self._orders().items()}
        taker = self.taker
        taker.private("AmendOrder", txid=self.placed["rests"], limit_price="49000")
        taker.private("CancelOrder", txid=self.placed["goes"])

    def _orders(self):
        """Return what the taker does: it rests, waits, trades in every way, and borrows."""
        market = {"ordertype": "market", "price": ""}
        return {
            "rests": LIMIT,
            "goes": LIMIT | {"cl_ord_id": "mine"},
            "posts": LIMIT | {"oflags": "post", "userref": "7"},
            "waits": LIMIT | {"ordertype": "stop-loss", "price": "70000"},
            "trails": SELL | {"ordertype": "trailing-stop", "price": "+1.5%"},
            "fills": LIMIT | {"price": "60000"},
            "part": LIMIT | {"price": "60000", "volume": "0.02", "timeinforce": "IOC"},
            "market": LIMIT | market,
            "spends": LIMIT | market | {"volume": "15", "oflags": "viqc"},
            "stops": LIMIT | {"ordertype": "stop-loss", "price": "60000"},
            "long": LIMIT | market | {"leverage": "5"},
        }

    def _place(self, **terms):
        answer = self.taker.private("AddOrder", **{k: v for k, v in terms.items() if v})
        assert_shape(answer, shapes.PLACED)
        return answer["txid"][0]


@pytest.fixture(scope="module")
def room():
    with running("--tier", "local", "--market", "off", "--rate-limits", "off", "--fix", "off") as venue:
        yield Room(venue)


def told(table):
    return [f"{method}-{'-'.join(params) or 'plain'}" for method, params, _ in table]


@pytest.mark.parametrize(("method", "params", "shape"), shapes.PUBLIC, ids=told(shapes.PUBLIC))
def test_public_answers_have_the_recorded_shape(room, method, params, shape):
    assert_shape(room.taker.public(method, **params), shape, **DECIMALS)


@pytest.mark.parametrize(("method", "params", "shape"), shapes.PRIVATE, ids=told(shapes.PRIVATE))
def test_private_answers_have_the_recorded_shape(room, method, params, shape):
    answer = room.taker.private(method, **params)
    assert_shape(answer, shape, **DECIMALS)
    empty = [key for key, rows in answer.items() if rows == {}] if isinstance(answer, dict) else []
    assert not empty, "there is nothing to compare"


def test_a_queried_order_tells_a_reason_that_an_open_one_does_not(room):
    for name, shape in (("rests", shapes.QUERIED), ("trails", shapes.QUERIED), ("market", shapes.CLOSED)):
        rows = room.taker.private("QueryOrders", txid=room.placed[name])
        assert_shape(rows, Each(shape), **DECIMALS)


def test_the_average_price_has_the_pairs_decimals_and_a_zero_the_costs(room):
    rows = room.taker.private("QueryOrders", txid=f"{room.placed['market']},{room.placed['rests']}")
    assert [rows[room.placed[name]]["price"] for name in ("market", "rests")] == ["60000.0", "0.00000"]


def test_an_order_that_was_set_off_tells_what_it_traded_as(room):
    trades = room.taker.private("TradesHistory")["trades"].values()
    [stopped] = [row for row in trades if row["ordertxid"] == room.placed["stops"]]
    assert (stopped["ordertype"], stopped["tradeordertype"]) == ("stop-loss", "market")


def test_an_amount_is_spent_to_its_last_digit(room):
    trades = room.taker.private("TradesHistory", ledgers="true")["trades"].values()
    [spent] = [row for row in trades if row["ordertxid"] == room.placed["spends"]]
    assert (spent["cost"], spent["vol"], spent["price"]) == ("15.00000", "0.00025000", "60000.00000")
    entries = room.taker.private("QueryLedgers", id=",".join(spent["ledgers"])).values()
    assert_shape(list(entries), [shapes.TRADING_ENTRY], **DECIMALS)
    assert next(iter(entries))["amount"] == "-15.0000"


def test_each_row_of_a_batch_stands_for_itself(room):
    row = {name: value for name, value in LIMIT.items() if name != "pair"}
    bad = row | {"price": 9.7e-7}
    answer = room.taker.private("AddOrderBatch", pair="XBTUSD", orders=[row, bad, row])
    assert_shape(answer, {"orders": (shapes.BATCH_ROW, shapes.REFUSED_ROW, shapes.BATCH_ROW)})


def test_the_comparison_would_tell_the_wire_of_before(room):
    """A matcher that never fails proves nothing: the older wire's differences are all told."""
    [row, *_] = room.taker.private("TradesHistory", type="no position")["trades"].values()
    older = {k: v for k, v in row.items() if k != "tradeordertype"} | {"postxid": row["ordertxid"]}
    assert [fault[:9] for fault in faults(older, shapes.TRADE, **DECIMALS)] == ["$: missin", "$.postxid"]
