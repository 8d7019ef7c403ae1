"""Private REST endpoints that change or cancel orders."""

import pytest

from emulator.gateways.numbers import rfc3339
from tests.gateways.venue import START_NS, in_loop, refused

UNKNOWN = "OQCLML-BW3P3-BUCMWZ"
NO_CHANGE = "EOrder:No amendable parameters specified"
PRECISION = "EOrder:Invalid price:XBT/USD price can only be specified up to 1 decimals."


def open_orders(kraken, account="alice"):
    return list(kraken.engine.accounts[account].open.values())


# -- amend and edit --------------------------------------------------------------------------------------


def test_amend_changes_an_order_in_place_by_either_id(kraken):
    order = kraken.place("alice", "buy", "1", "60000", cl_ord_id="mine")
    result = kraken.private("AmendOrder", txid=order.txid, order_qty="0.5", limit_price="59000")
    assert list(result) == ["amend_id"]
    assert result["amend_id"][0] == "T"
    kraken.submit("AmendOrder", {"cl_ord_id": "mine", "order_qty": 0.25})
    assert open_orders(kraken) == [order]
    assert (order.qty, order.price, order.cl_ord_id) == (25_000_000, 590_000, "mine")


def test_amend_refusals(kraken):
    order = kraken.place("alice", "buy", "1", "60000", cl_ord_id="mine")
    foreign = kraken.place("bob", "sell", "1", "61000")
    for fields, error in (
        ({}, "EGeneral:Invalid arguments"),
        ({"txid": order.txid, "cl_ord_id": "mine"}, "EGeneral:Invalid arguments"),
        ({"txid": UNKNOWN}, "EOrder:Unknown order"),
        ({"txid": foreign.txid}, "EOrder:Unknown order"),
        ({"txid": "x"}, "EOrder:Invalid order"),
        ({"cl_ord_id": "other"}, "EOrder:Unknown order"),
        ({"txid": order.txid}, NO_CHANGE),
        ({"cl_ord_id": "mine", "limit_price": "60000.0", "order_qty": "1"}, NO_CHANGE),
        ({"txid": order.txid, "post_only": "true"}, NO_CHANGE),
        ({"txid": order.txid, "limit_price": "6e4"}, "EOrder:Invalid price:Invalid price argument."),
        ({"txid": order.txid, "limit_price": "61000", "post_only": "true"}, "EOrder:Post only order"),
        ({"txid": order.txid, "limit_price": "1.23"}, PRECISION),
        ({"txid": order.txid, "order_qty": "0"}, "EGeneral:Invalid arguments:volume"),
        ({"txid": order.txid, "order_qty": "0.00001"}, "EGeneral:Invalid arguments:volume minimum not met"),
        ({"txid": order.txid, "order_qty": "1000000"}, "EOrder:Insufficient funds"),
        ({"txid": order.txid, "display_qty": "0.5"}, "EGeneral:Invalid arguments:displayvol"),
        ({"txid": order.txid, "trigger_price": "5"}, "EGeneral:Invalid arguments:price"),
        ({"txid": order.txid, "deadline": rfc3339(START_NS - 1)}, "EService:Deadline elapsed"),
    ):
        with refused(error):
            kraken.private("AmendOrder", **fields)
    assert (order.qty, order.price, order.amended) == (10**8, 600_000, False)


def test_edit_replaces_the_order_under_a_new_txid(kraken):
    old = kraken.place("alice", "buy", "1", "60000", userref=5)
    result = kraken.private(
        "EditOrder", txid=old.txid, pair="XBTUSD", volume="0.5", price="59000", userref="6"
    )
    [new] = open_orders(kraken)
    assert list(result.items()) == [
        ("status", "ok"),
        ("txid", new.txid),
        ("originaltxid", old.txid),
        ("volume", "0.50000000"),
        ("price", "59000.0"),
        ("price2", "0"),
        ("orders_cancelled", 1),
        ("descr", {"order": "buy 0.50000000 XBTUSD @ limit 59000.0"}),
        ("newuserref", "6"),
        ("olduserref", "5"),
    ]
    again = kraken.private("EditOrder", txid="6", pair="XBTUSD")
    assert again["originaltxid"] == new.txid
    assert open_orders(kraken)[0].userref is None
    checked = kraken.private("EditOrder", txid=again["txid"], pair="XBTUSD", volume="2", validate="1")
    assert "txid" not in checked
    assert [order.txid for order in open_orders(kraken)] == [again["txid"]]


def test_edit_refusals(kraken):
    named = kraken.place("alice", "buy", "1", "60000", cl_ord_id="mine")
    partly = kraken.place("alice", "buy", "1", "61000", userref=1)
    kraken.place("alice", "buy", "1", "60000", userref=1)
    kraken.place("bob", "sell", "0.5", "61000")
    for fields, error in (
        ({"txid": partly.txid}, "EGeneral:Invalid arguments:pair"),
        ({"pair": "XBTUSD"}, "EGeneral:Invalid arguments:txid"),
        ({"txid": partly.txid, "pair": "ETHUSD"}, "EOrder:Unknown order"),
        ({"txid": named.txid, "pair": "XBTUSD"}, "EOrder:Invalid order"),
        ({"txid": "1", "pair": "XBTUSD"}, "EOrder:Unknown order"),
        ({"txid": UNKNOWN, "pair": "XBTUSD"}, "EOrder:Unknown order"),
        ({"txid": "x", "pair": "XBTUSD"}, "EOrder:Invalid order"),
        ({"txid": partly.txid, "pair": "XBTUSD", "volume": "0.4"}, "EOrder:Invalid order"),
        ({"txid": partly.txid, "pair": "XBTUSD", "volume": "1000000"}, "EOrder:Insufficient funds"),
        ({"txid": partly.txid, "pair": "XBTUSD", "price": "1.23"}, PRECISION),
    ):
        with refused(error):
            kraken.private("EditOrder", **fields)
    assert len(open_orders(kraken)) == 3


# -- cancelling ------------------------------------------------------------------------------------------


@pytest.fixture
def four(kraken):
    """Orders of alice: plain, two of userref 5, one called "None"."""
    terms = ({}, {"userref": 5}, {"userref": 5}, {"cl_ord_id": "None"})
    return [kraken.place("alice", "buy", "1", "60000", **term) for term in terms]


def test_cancel_takes_a_txid_a_userref_or_a_client_id(kraken, four):
    assert kraken.private("CancelOrder", txid=four[0].txid) == {"count": 1}
    assert kraken.submit("CancelOrder", {"txid": 5}) == {"count": 2}
    assert kraken.private("CancelOrder", cl_ord_id="None") == {"count": 1}
    assert open_orders(kraken) == []


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({}, "EGeneral:Invalid arguments"),
        ({"txid": UNKNOWN}, "EOrder:Unknown order"),
        ({"txid": "6"}, "EOrder:Unknown order"),
        ({"txid": "-6"}, "EOrder:Unknown order"),
        ({"txid": "99999999999999"}, "EOrder:Unknown order"),
        *(({"txid": txid}, "EOrder:Invalid order") for txid in ("x", "--5", "-", "5-", "٣", "OQCLML", "1.5")),
        ({"cl_ord_id": "other"}, "EOrder:Invalid order"),
    ],
)
def test_cancel_refusals(kraken, four, fields, error):
    with refused(error):
        kraken.private("CancelOrder", **fields)
    assert open_orders(kraken) == four
    with refused("EOrder:Unknown order"):
        kraken.private("CancelOrder", "bob", txid=four[0].txid)


def test_batch_cancel_counts_each_order_once_and_ignores_unknown_ones(kraken, four):
    body = {
        "orders": [four[0].txid, {"txid": four[0].txid}, 5, UNKNOWN, None, ["x"]],
        "cl_ord_ids": ["other"],
    }
    assert kraken.submit("CancelOrderBatch", body) == {"count": 3}
    assert open_orders(kraken) == [four[3]]
    assert kraken.submit("CancelOrderBatch", {"orders": [{"cl_ord_id": "None"}]}) == {"count": 1}
    for orders in ([], ["x"] * 51, None):
        with refused("EGeneral:Invalid arguments:orders"):
            kraken.submit("CancelOrderBatch", {"orders": orders})


def test_cancel_all_covers_all_pairs_and_one_account(kraken, four):
    kraken.place("alice", "buy", "1", "3000", pair="XETHZUSD")
    kraken.place("bob", "buy", "1", "60000")
    assert kraken.private("CancelAll") == {"count": 5}
    assert kraken.private("CancelAll") == {"count": 0}
    assert len(open_orders(kraken, "bob")) == 1


@in_loop
async def test_dead_mans_switch_fires_once_and_can_be_moved_and_disarmed(kraken):
    def arm(timeout):
        return kraken.private("CancelAllOrdersAfter", timeout=timeout)

    order = kraken.place("alice", "buy", "1", "60000")
    assert arm(60) == {"currentTime": "2026-11-02T10:00:00Z", "triggerTime": "2026-11-02T10:01:00Z"}
    kraken.wait(59)
    arm(60)
    kraken.wait(59)
    assert order.status.value == "open"
    assert arm(0)["triggerTime"] == "0"
    kraken.wait(120)
    assert order.status.value == "open"
    arm(5)
    kraken.wait(5)
    assert (order.status.value, order.reason.value) == ("canceled", "CancelAllOrdersAfter Timeout")
    survivor = kraken.place("alice", "buy", "1", "60000")
    kraken.wait(60)
    assert survivor.status.value == "open"
    for timeout in ("", "-1", "x", "1.5", "6e1"):
        with refused("EGeneral:Invalid arguments:timeout"):
            arm(timeout)
    with refused("EGeneral:Invalid timeout argument:above max"):
        arm("86400")
    kraken.venue.close()
