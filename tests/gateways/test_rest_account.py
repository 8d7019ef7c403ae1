"""Private REST endpoints that read: balances, orders, trades; bodies, flags, filters and permissions."""

import re
from contextlib import suppress

import pytest

from emulator.engine.commands import AmendOrder, CancelOrder, EditOrder
from emulator.engine.orders import TimeInForce
from emulator.gateways.errors import VenueError
from emulator.gateways.keys import PERMISSIONS
from emulator.gateways.parameters import Params
from emulator.gateways.spot_rest import codec
from emulator.gateways.spot_rest.endpoints import PRIVATE
from emulator.gateways.spot_rest.session import allow
from tests.gateways.venue import START_NS, START_S, XBTUSD, in_loop, refused

TXID = re.compile(r"O[A-Z2-7]{5}-[A-Z2-7]{5}-[A-Z2-7]{6}")
UNKNOWN = "OQCLML-BW3P3-BUCMWZ"
FUNDS, OPEN, CLOSED = {"query-funds"}, {"query-open-trades"}, {"query-closed-trades"}
MODIFY, CLOSE, WITHDRAW = {"modify-trades"}, {"close-trades"}, {"withdraw-funds"}
TABLE = {
    "Balance": [FUNDS],
    "BalanceEx": [FUNDS],
    "TradeBalance": [OPEN],
    "OpenPositions": [OPEN],
    "Level3": [OPEN],
    "OpenOrders": [OPEN],
    "ClosedOrders": [CLOSED],
    "QueryOrders": [OPEN, CLOSED],
    "TradesHistory": [CLOSED],
    "QueryTrades": [CLOSED],
    "OrderAmends": [OPEN, CLOSED],
    "Ledgers": [{"query-ledger"}],
    "QueryLedgers": [{"query-ledger"}],
    "TradeVolume": [FUNDS],
    "CreditLines": [FUNDS],
    "GetApiKeyInfo": [set()],
    **{key: [{"export-data"}] for key in ("AddExport", "ExportStatus", "RetrieveExport", "RemoveExport")},
    "DepositMethods": [FUNDS | {"add-funds"}],
    "DepositAddresses": [FUNDS],
    "DepositStatus": [FUNDS],
    **{key: [FUNDS | WITHDRAW] for key in ("WithdrawMethods", "WithdrawAddresses", "WithdrawInfo")},
    **{key: [WITHDRAW] for key in ("Withdraw", "WithdrawCancel", "CreateSubaccount", "AccountTransfer")},
    "WithdrawStatus": [WITHDRAW, {"query-ledger"}],
    "WalletTransfer": [FUNDS],
    "Earn/Strategies": [set()],
    "Earn/Allocations": [FUNDS],
    **{key: [{"earn-funds"}] for key in ("Earn/Allocate", "Earn/Deallocate")},
    **{key: [FUNDS, {"earn-funds"}] for key in ("Earn/AllocateStatus", "Earn/DeallocateStatus")},
    "GetWebSocketsToken": [{"create-ws-token"}],
    "AddOrder": [MODIFY],
    "AddOrderBatch": [MODIFY | CLOSE],
    "AmendOrder": [MODIFY, CLOSE],
    "EditOrder": [MODIFY | CLOSE],
    "CancelOrder": [MODIFY, CLOSE],
    "CancelOrderBatch": [MODIFY, CLOSE],
    "CancelAll": [MODIFY, CLOSE],
    "CancelAllOrdersAfter": [MODIFY, CLOSE],
}
"""Sets of permissions of which one is enough (Kraken's table of API key permissions)."""


def test_every_private_endpoint_is_in_the_table():
    assert TABLE.keys() == PRIVATE.keys()


@pytest.mark.parametrize("method", TABLE)
def test_endpoint_is_denied_without_its_permission_and_not_without_the_others(kraken, method):
    for enough in TABLE[method]:
        with suppress(VenueError):  # other refusals come after the permission's
            kraken.submit(method, "timeout=0", permissions=enough)
        allow(kraken.key(permissions=enough), PRIVATE[method].needs)
        for missing in enough:
            rest = PERMISSIONS - set().union(*TABLE[method]) | enough - {missing}
            with refused("EGeneral:Permission denied"):
                kraken.submit(method, "timeout=0", permissions=rest)


def test_orders_are_shown_only_to_keys_that_may_see_their_kind(kraken):
    resting, gone = kraken.place("alice", "buy", "1", "60000"), kraken.place("alice", "buy", "1", "60000")
    kraken.execute(CancelOrder(account="alice", txid=gone.txid))
    for permissions, seen, unseen in ((OPEN, resting, gone), (CLOSED, gone, resting)):
        assert list(kraken.submit("QueryOrders", f"txid={seen.txid}", permissions=permissions)) == [seen.txid]
        for asked in (unseen.txid, f"{seen.txid},{unseen.txid}"):
            with refused("EGeneral:Permission denied"):
                kraken.submit("QueryOrders", f"txid={asked}", permissions=permissions)


# -- balances --------------------------------------------------------------------------------------------


def test_balances_are_totals_at_the_assets_decimals_and_holds_stand_beside_them(kraken):
    kraken.place("dave", "buy", "0.001", "50000")
    assert kraken.private("Balance", "dave") == {"ZUSD": "100.0000"}
    assert kraken.private("BalanceEx", "dave") == {"ZUSD": {"balance": "100.0000", "hold_trade": "50.2000"}}
    kraken.place("bob", "sell", "0.0003", "50000")
    assert kraken.private("Balance", "dave") == {"ZUSD": "84.9625", "XXBT": "0.0003000000"}
    assert kraken.private("Balance", "dave", assetVersion="1") == {"USD": "84.9625", "BTC": "0.0003000000"}


def test_trade_balance_values_everything_and_shows_no_margin_level_without_positions(kraken):
    kraken.trade("1", "50000")
    kraken.place("dave", "buy", "0.001", "50000")
    kraken.place("bob", "sell", "0.001", "50000")
    result = kraken.private("TradeBalance", "dave")
    assert list(result) == ["eb", "tb", "m", "uv", "n", "c", "v", "e", "mf", "mfo"]
    assert result["eb"] == "99.8750"
    assert result["tb"] == result["e"] == result["mf"] == "99.3750"  # the 50 USD in XBT count 99 %
    assert result["m"] == result["v"] == "0.0000"
    assert kraken.private("TradeBalance", "dave", asset="XBT")["eb"] == "0.0019975000"
    with refused("EQuery:Unknown asset"):
        kraken.private("TradeBalance", asset="NOPE")


def test_websocket_token_is_for_this_account_and_lasts_900_seconds(kraken):
    result = kraken.private("GetWebSocketsToken", "bob")
    assert list(result) == ["token", "expires"]
    assert result["expires"] == 900
    assert kraken.venue.tokens.find(result["token"], START_NS).key.account == "bob"


# -- the order object ------------------------------------------------------------------------------------


def test_fresh_order_has_the_recorded_keys_in_the_recorded_order(kraken):
    order = kraken.place("alice", "buy", "1.25", "60000")
    [(txid, row)] = kraken.private("OpenOrders")["open"].items()
    assert txid == order.txid
    assert TXID.fullmatch(txid)
    assert list(row.items()) == [
        ("refid", None),
        ("userref", 0),
        ("status", "open"),
        ("opentm", float(START_S)),
        ("starttm", 0),
        ("expiretm", 0),
        (
            "descr",
            {
                "pair": "XBTUSD",
                "aclass": "forex",
                "type": "buy",
                "ordertype": "limit",
                "price": "60000.0",
                "price2": "0",
                "leverage": "none",
                "order": "buy 1.25000000 XBTUSD @ limit 60000.0",
                "close": "",
            },
        ),
        ("vol", "1.25000000"),
        ("vol_exec", "0.00000000"),
        ("cost", "0.00000"),
        ("fee", "0.00000"),
        ("price", "0.00000"),
        ("stopprice", "0.00000"),
        ("limitprice", "0.00000"),
        ("misc", ""),
        ("oflags", "fciq"),
        ("time_in_force", "gtc"),
    ]
    raw = codec.result(PRIVATE["OpenOrders"].call(kraken.venue, kraken.key(), Params({})))
    assert f'"opentm":{START_S}.000000,'.encode() in raw


def test_order_object_tells_what_has_become_of_the_order(kraken):
    order = kraken.place("alice", "buy", "2", "60000", cl_ord_id="mine", post_only=True, fee_in_base=True)
    kraken.execute(AmendOrder(account="alice", txid=order.txid, qty=150_000_000))
    kraken.clock.ns += 10**9
    kraken.place("bob", "sell", "0.5", "59000")
    row = kraken.private("QueryOrders", txid=order.txid, trades="true")[order.txid]
    assert (row["userref"], row["cl_ord_id"], row["oflags"]) == (None, "mine", "post,fcib")
    assert (row["vol"], row["vol_exec"], row["cost"]) == ("1.50000000", "0.50000000", "30000.00000")
    assert (row["price"], row["fee"], row["misc"]) == ("60000.0", "0.00125000", "partial,amended")
    assert row["trades"] == order.trades
    assert row["reason"] is None
    assert "reason" not in kraken.private("OpenOrders")["open"][order.txid]
    assert "trades" not in kraken.private("QueryOrders", txid=order.txid, trades="False")[order.txid]
    kraken.clock.ns += 10**9
    kraken.execute(CancelOrder(account="alice", txid=order.txid))
    row = kraken.private("QueryOrders", txid=order.txid)[order.txid]
    assert list(row)[-2:] == ["reason", "closetm"]
    assert (row["status"], row["reason"], row["closetm"]) == ("canceled", "User requested", START_S + 2.0)
    assert row["misc"] == "amended"


@in_loop
async def test_order_object_of_each_ending(kraken):
    kraken.place("bob", "sell", "1", "60000")
    gtd = {"tif": TimeInForce.GTD, "expire_ns": START_NS + 60 * 10**9}
    filled = kraken.place("alice", "buy", "0.4", "60000")
    ioc = kraken.place("alice", "buy", "1", "60000", tif=TimeInForce.IOC)
    expired = kraken.place("alice", "buy", "1", "59000", **gtd)
    assert kraken.private("OpenOrders")["open"][expired.txid]["expiretm"] == START_S + 60
    kraken.wait(60)
    replaced = kraken.place("alice", "buy", "1", "59000", userref=-5)
    kraken.execute(EditOrder(account="alice", txid=replaced.txid, qty=10**7))
    rows = kraken.private("ClosedOrders")["closed"]

    def seen(order):
        row = rows[order.txid]
        return row["status"], row["reason"], row["vol_exec"], row["userref"]

    assert seen(filled) == ("closed", None, "0.40000000", 0)
    assert seen(ioc)[::2] == ("canceled", "0.60000000")
    assert rows[ioc.txid]["time_in_force"] == "ioc"
    assert seen(expired)[::2] == ("expired", "0.00000000")
    assert seen(replaced) == ("canceled", "Order replaced", "0.00000000", -5)
    kraken.venue.close()


def test_market_and_iceberg_orders_describe_themselves(kraken):
    kraken.place("bob", "sell", "1", "60000")
    market = kraken.place("alice", "buy", "0.5")
    row = kraken.private("QueryOrders", txid=market.txid)[market.txid]
    assert row["descr"]["order"] == "buy 0.50000000 XBTUSD @ market"
    assert row["descr"]["price"] == "0"
    iceberg = kraken.place("alice", "buy", "1", "59000", display="0.1")
    row = kraken.private("QueryOrders", txid=iceberg.txid)[iceberg.txid]
    assert row["descr"]["order"] == "buy 1.00000000 XBTUSD @ iceberg 59000.0"
    assert (row["descr"]["ordertype"], row["displayvol"]) == ("iceberg", "0.10000000")


# -- lists and filters -----------------------------------------------------------------------------------


def test_open_orders_come_newest_first_and_filtered(kraken):
    first = kraken.place("alice", "buy", "1", "60000", userref=7)
    second = kraken.place("alice", "buy", "1", "60000", cl_ord_id="second")
    third = kraken.place("alice", "buy", "1", "60000", userref=7)
    kraken.place("bob", "buy", "1", "60000", userref=7)

    def listed(**params):
        return list(kraken.private("OpenOrders", **params)["open"])

    assert listed() == [third.txid, second.txid, first.txid]
    assert listed(userref="7") == [third.txid, first.txid]
    assert listed(cl_ord_id="second") == [second.txid]
    assert listed(userref="8") == []
    assert kraken.private("OpenOrders", "dave") == {"open": {}}
    with refused("EGeneral:Invalid arguments:userref"):
        listed(userref="seven")


@pytest.fixture
def many(kraken):
    """120 closed orders of alice, one a second; each tenth has userref 10."""
    orders = []
    for number in range(120):
        kraken.clock.ns += 10**9
        userref = 10 if number % 10 == 0 else None
        orders.append(kraken.place("alice", "buy", "1", "60000", userref=userref))
        kraken.clock.ns += 5 * 10**8
        kraken.execute(CancelOrder(account="alice", txid=orders[-1].txid))
        kraken.clock.ns -= 5 * 10**8
    return [order.txid for order in orders]


def test_closed_orders_page_by_fifty_newest_first_with_the_whole_count(kraken, many):
    pages = [kraken.private("ClosedOrders", ofs=ofs) for ofs in (0, 50, 100, 150)]
    assert [list(page) for page in pages] == [["closed", "count"]] * 4
    assert [txid for page in pages for txid in page["closed"]] == many[::-1]
    assert [(len(page["closed"]), page["count"]) for page in pages] == [
        (50, 120),
        (50, 120),
        (20, 120),
        (0, 120),
    ]
    assert list(kraken.private("ClosedOrders", without_count="true")) == ["closed"]
    with refused("EGeneral:Invalid arguments:ofs"):
        kraken.private("ClosedOrders", ofs=-1)


def test_closed_orders_start_is_exclusive_end_inclusive_by_time_or_by_order(kraken, many):
    def count(**params):
        return kraken.private("ClosedOrders", **params)["count"]

    assert count(userref=10) == 12
    assert count(start=START_S + 110, closetime="open") == 10
    assert count(end=START_S + 110, closetime="open") == 110
    assert count(start=many[109], closetime="open") == 10
    assert count(start=START_S + 109, end=START_S + 110, closetime="open") == 1
    assert count(start=START_S + 110, closetime="close") == 11
    assert count(start=f"{START_S}.5", end=START_S + 1, closetime="close") == 0
    assert count(start=START_S + 110) == 11
    with refused("EGeneral:Invalid arguments:closetime"):
        count(closetime="never")
    with refused("EGeneral:Invalid arguments:start"):
        count(start="yesterday")


def test_query_orders_trims_names_omits_unknown_and_refuses_malformed_ones(kraken):
    first, second = (kraken.place("alice", "buy", "1", "60000") for _ in range(2))
    foreign = kraken.place("bob", "buy", "1", "60000")
    found = kraken.private("QueryOrders", txid=f"{first.txid}, {UNKNOWN} ,{second.txid},{foreign.txid}")
    assert list(found) == [first.txid, second.txid]
    for asked, error in (
        (UNKNOWN, "EOrder:Unknown order"),
        (foreign.txid, "EOrder:Unknown order"),
        ("nonsense", "EOrder:Invalid order"),
        (f"{first.txid},nonsense", "EOrder:Invalid order"),
        ("", "EGeneral:Invalid arguments:txid"),
        (",".join([UNKNOWN] * 51), "EGeneral:Invalid arguments:txid"),
    ):
        with refused(error):
            kraken.private("QueryOrders", txid=asked)
    assert list(kraken.submit("QueryOrders", {"txid": [first.txid]})) == [first.txid]


# -- trades ----------------------------------------------------------------------------------------------


def test_trade_has_the_recorded_keys_and_the_public_trade_id(kraken):
    order = kraken.place("alice", "buy", "0.5", "60000")
    kraken.clock.ns += 123_456_700
    kraken.place("bob", "sell", "0.5", "60000")
    result = kraken.private("TradesHistory")
    assert list(result) == ["trades", "count"]
    [(exec_id, trade)] = result["trades"].items()
    assert exec_id == order.trades[0]
    assert exec_id[0] == "T"
    assert list(trade.items()) == [
        ("ordertxid", order.txid),
        ("postxid", "TKH2SE-M7IF5-CFI7LT"),
        ("pair", XBTUSD),
        ("aclass", "forex"),
        ("time", START_S + 0.123456),
        ("type", "buy"),
        ("ordertype", "limit"),
        ("tradeordertype", "limit"),
        ("price", "60000.00000"),
        ("cost", "30000.00000"),
        ("fee", "75.00000"),
        ("vol", "0.50000000"),
        ("margin", "0.00000"),
        ("leverage", "0"),
        ("misc", ""),
        ("trade_id", 1),
        ("maker", True),
    ]
    assert kraken.public("Trades", pair="XBTUSD")["XXBTZUSD"][0][6] == trade["trade_id"]
    assert kraken.private("QueryTrades", txid=exec_id) == {exec_id: trade}
    assert kraken.private("TradesHistory", "dave") == {"trades": {}, "count": 0}
    with_ledgers = kraken.private("TradesHistory", ledgers="true")["trades"][exec_id]["ledgers"]
    assert [name[0] for name in with_ledgers] == ["L", "L"]
    for asked, error in ((UNKNOWN, "EQuery:Unknown trade"), ("x", "EOrder:Invalid order")):
        with refused(error):
            kraken.private("QueryTrades", txid=asked)


def test_trades_history_pages_and_filters_like_closed_orders(kraken):
    for _ in range(60):
        kraken.clock.ns += 10**9
        kraken.trade("0.001", "60000")
    ids = list(kraken.engine.accounts["carol"].trades)
    pages = [kraken.private("TradesHistory", "carol", ofs=ofs) for ofs in (0, 50)]
    assert [exec_id for page in pages for exec_id in page["trades"]] == ids[::-1]
    assert [page["count"] for page in pages] == [60, 60]
    after = kraken.private("TradesHistory", "carol", start=ids[49], end=START_S + 55)
    assert list(after["trades"]) == ids[50:55][::-1]
    assert kraken.private("TradesHistory", "carol", type="no position")["count"] == 60
    assert kraken.private("TradesHistory", "carol", type="any position")["count"] == 0
    assert list(kraken.private("TradesHistory", "carol", without_count="1")) == ["trades"]
    with refused("EGeneral:Invalid arguments:type"):
        kraken.private("TradesHistory", type="some")
