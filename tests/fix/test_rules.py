"""The rules of orders hold over every protocol, whatever the way in: what is refused in the engine's tests by
rule and way (tests/engine/test_rules.py) is refused here by protocol."""

from collections.abc import Callable
from typing import Any

import pytest

from emulator.engine import commands
from emulator.engine.accounts import AccountState
from emulator.engine.orders import Order
from emulator.engine.status import TradingStatus
from emulator.gateways.errors import VenueError
from tests.fix.inside import Direct, FixVenue
from tests.gateways.test_ws_v1 import V1
from tests.gateways.venue import PERMISSIONS, XBTUSD, Client

WILD = "500000.1"
"""More than ten times the last price, 50,000."""
REST = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "volume": "0.1", "price": "40000"}
V2 = {"side": "buy", "order_type": "limit", "order_qty": 0.1, "limit_price": 40000}


class Trader:
    """Alice over all protocols; each method returns the venue's refusal, or nothing when it was taken."""

    def __init__(self, inside: FixVenue, fix: Direct, permissions: frozenset[str] = PERMISSIONS) -> None:
        self.kraken = inside.kraken
        self.fix = fix
        self.v1, self.v2 = V1(self.kraken), Client(self.kraken.gateway)
        self.permissions = permissions
        self.token = self.kraken.token(permissions=permissions)

    def resting(self) -> Order:
        return self.kraken.place("alice", "buy", "0.1", "40000")

    def rest(self, method: str, **params: Any) -> str:
        try:
            answer = self.kraken.submit(method, params, permissions=self.permissions)
        except VenueError as error:
            return str(error)
        return next((row["error"] for row in answer.get("orders", ()) if "error" in row), "")

    def ws1(self, event: str, **fields: Any) -> str:
        return str(self.v1.trade(event, token=self.token, **fields).get("errorMessage", ""))

    def ws2(self, method: str, **params: Any) -> str:
        reply = self.v2.ask(method, token=self.token, **params)[0]
        if isinstance(reply.get("result"), list):
            return next((row["error"] for row in reply["result"] if "error" in row), "")
        return str(reply.get("error", ""))

    def ordered(self, **fields: Any) -> str:
        return _text(self.fix.ordered(**fields))


def _text(messages: list[Any]) -> str:
    return messages[0][58] if messages[0].type == "j" else ""


def fix_amend(trader: Trader, **fields: Any) -> str:
    order = trader.fix.resting(t44="40000.0")
    return _text(trader.fix.replaced(order, **fields))


REST_ORDERS = [REST | {"price": WILD}, REST]
V2_ORDERS = [V2 | {"limit_price": float(WILD)}, V2]
WAYS: dict[str, Callable[[Trader], str]] = {
    "REST AddOrder": lambda t: t.rest("AddOrder", **REST | {"price": WILD}),
    "REST AddOrder, validated": lambda t: t.rest("AddOrder", **REST | {"price": WILD}, validate=True),
    "REST AddOrderBatch": lambda t: t.rest("AddOrderBatch", pair="XBTUSD", orders=REST_ORDERS),
    "REST AddOrderBatch, validated": lambda t: t.rest(
        "AddOrderBatch", pair="XBTUSD", orders=REST_ORDERS, validate=True
    ),
    "REST AmendOrder": lambda t: t.rest("AmendOrder", txid=t.resting().txid, limit_price=WILD),
    "REST EditOrder": lambda t: t.rest("EditOrder", pair="XBTUSD", txid=t.resting().txid, price=WILD),
    "REST EditOrder, validated": lambda t: t.rest(
        "EditOrder", pair="XBTUSD", txid=t.resting().txid, price=WILD, validate=True
    ),
    "v1 addOrder": lambda t: t.ws1("addOrder", **REST | {"pair": "XBT/USD", "price": WILD}),
    "v1 addOrder, validated": lambda t: t.ws1(
        "addOrder", **REST | {"pair": "XBT/USD", "price": WILD}, validate="true"
    ),
    "v1 amendOrder": lambda t: t.ws1("amendOrder", txid=t.resting().txid, limit_price=WILD),
    "v1 editOrder": lambda t: t.ws1("editOrder", pair="XBT/USD", orderid=t.resting().txid, price=WILD),
    "v1 editOrder, validated": lambda t: t.ws1(
        "editOrder", pair="XBT/USD", orderid=t.resting().txid, price=WILD, validate="true"
    ),
    "v2 add_order": lambda t: t.ws2("add_order", symbol="BTC/USD", **V2_ORDERS[0]),
    "v2 add_order, validated": lambda t: t.ws2("add_order", symbol="BTC/USD", **V2_ORDERS[0], validate=True),
    "v2 batch_add": lambda t: t.ws2("batch_add", symbol="BTC/USD", orders=V2_ORDERS),
    "v2 batch_add, validated": lambda t: t.ws2(
        "batch_add", symbol="BTC/USD", orders=V2_ORDERS, validate=True
    ),
    "v2 amend_order": lambda t: t.ws2("amend_order", order_id=t.resting().txid, limit_price=float(WILD)),
    "v2 edit_order": lambda t: t.ws2(
        "edit_order", symbol="BTC/USD", order_id=t.resting().txid, limit_price=float(WILD)
    ),
    "v2 edit_order, validated": lambda t: t.ws2(
        "edit_order", symbol="BTC/USD", order_id=t.resting().txid, limit_price=float(WILD), validate=True
    ),
    "FIX D": lambda t: t.ordered(t44=WILD),
    "FIX G": lambda t: fix_amend(t, t44=WILD),
}


@pytest.fixture
def trader(inside: FixVenue, alice: Direct) -> Trader:
    inside.kraken.trade("0.01", "50000")
    inside.kraken.place("bob", "sell", "1", "500000")
    return Trader(inside, alice)


@pytest.mark.parametrize("way", WAYS)
def test_no_way_in_goes_past_the_price_band(trader: Trader, way: str) -> None:
    """Instance of the issue: an amendment to twelve times the last price was taken, and traded."""
    assert WAYS[way](trader) == "EOrder:Invalid price"
    orders = trader.kraken.engine.accounts["alice"].open.values()
    assert all(order.price == 400_000 for order in orders)
    assert trader.kraken.engine.markets[XBTUSD].last_price == 500_000


# -- who may do what ------------------------------------------------------------------------------

KEYS = {
    "modify-trades": {"place", "amend", "cancel"},
    "close-trades": {"amend", "cancel"},
    "modify-trades close-trades": {"place", "replace", "amend", "cancel"},
    "query-funds": set[str](),
}
DEEDS: dict[str, dict[str, Callable[[Trader], str]]] = {
    "place": {
        "REST": lambda t: t.rest("AddOrder", **REST),
        "v1": lambda t: t.ws1("addOrder", **REST | {"pair": "XBT/USD"}),
        "v2": lambda t: t.ws2("add_order", symbol="BTC/USD", **V2),
    },
    "replace": {
        "REST": lambda t: t.rest("EditOrder", pair="XBTUSD", txid=t.resting().txid, price="40001"),
        "REST batch": lambda t: t.rest("AddOrderBatch", pair="XBTUSD", orders=[REST, REST]),
        "v1": lambda t: t.ws1("editOrder", pair="XBT/USD", orderid=t.resting().txid, price="40001"),
        "v2": lambda t: t.ws2("edit_order", symbol="BTC/USD", order_id=t.resting().txid, limit_price=40001),
        "v2 batch": lambda t: t.ws2("batch_add", symbol="BTC/USD", orders=[V2, V2]),
    },
    "amend": {
        "REST": lambda t: t.rest("AmendOrder", txid=t.resting().txid, limit_price="40001"),
        "v1": lambda t: t.ws1("amendOrder", txid=t.resting().txid, limit_price="40001"),
        "v2": lambda t: t.ws2("amend_order", order_id=t.resting().txid, limit_price=40001),
    },
    "cancel": {
        "REST": lambda t: t.rest("CancelOrder", txid=t.resting().txid),
        "REST batch": lambda t: t.rest("CancelOrderBatch", orders=[t.resting().txid, t.resting().txid]),
        "REST all": lambda t: t.rest("CancelAll"),
        "REST after": lambda t: t.rest("CancelAllOrdersAfter", timeout=60),
        "v1": lambda t: t.ws1("cancelOrder", txid=[t.resting().txid]),
        "v1 all": lambda t: t.ws1("cancelAll"),
        "v1 after": lambda t: t.ws1("cancelAllOrdersAfter", timeout=60),
        "v2": lambda t: t.ws2("cancel_order", order_id=[t.resting().txid]),
        "v2 batch": lambda t: t.ws2("batch_cancel", orders=[t.resting().txid, t.resting().txid]),
        "v2 all": lambda t: t.ws2("cancel_all"),
        "v2 after": lambda t: t.ws2("cancel_all_orders_after", timeout=60),
    },
}
EVERYWHERE = [(deed, way) for deed, ways in DEEDS.items() for way in ways]


@pytest.mark.parametrize("held", KEYS)
@pytest.mark.parametrize(("deed", "way"), EVERYWHERE)
def test_a_key_may_do_the_same_in_every_protocol(
    inside: FixVenue, alice: Direct, held: str, deed: str, way: str
) -> None:
    trader = Trader(inside, alice, frozenset(held.split()))
    assert DEEDS[deed][way](trader) == ("" if deed in KEYS[held] else "EGeneral:Permission denied")


@pytest.mark.parametrize(("deed", "way"), EVERYWHERE)
def test_a_locked_account_cancels_and_does_nothing_else(trader: Trader, deed: str, way: str) -> None:
    """Over FIX: ``test_a_locked_account_may_cancel_but_not_trade``."""
    trader.kraken.engine.accounts["alice"].state = AccountState.LOCKED
    assert DEEDS[deed][way](trader) == ("" if deed == "cancel" else "ETrade:User Locked")


# -- batches of cancels ---------------------------------------------------------------------------


def two_pairs(trader: Trader) -> list[str]:
    """Return one order in each of two pairs, of which one is in maintenance."""
    other = trader.kraken.place("alice", "buy", "1", "1000", pair="XETHZUSD")
    orders = [trader.resting().txid, other.txid]
    trader.kraken.execute(commands.SetStatus(TradingStatus.MAINTENANCE, XBTUSD))
    return orders


def test_a_batch_of_cancels_counts_what_it_cancelled(trader: Trader) -> None:
    orders = two_pairs(trader)
    reply = trader.v2.ask("batch_cancel", token=trader.token, orders=orders)[0]
    assert (reply["success"], reply["orders_cancelled"]) == (True, 1)
    reply = trader.v2.ask("batch_cancel", token=trader.token, orders=[orders[0], "-5"])[0]
    assert (reply["success"], reply["error"]) == (False, "EService:Unavailable")


def test_a_batch_of_cancels_over_rest_counts_too(trader: Trader) -> None:
    orders = two_pairs(trader)
    assert trader.kraken.submit("CancelOrderBatch", {"orders": orders}) == {"count": 1}
    assert trader.rest("CancelOrderBatch", orders=orders[:1]) == "EService:Unavailable"
