"""Order fields of WebSocket v2: which there are, and one order's fields as a command.  Pure functions."""

from typing import Any

from emulator.engine import commands
from emulator.engine.instruments import Instrument
from emulator.engine.orders import OrderType, SelfTrade
from emulator.gateways import order_fields
from emulator.gateways.errors import BAD_ARGUMENTS, VenueError, bad_argument
from emulator.gateways.numbers import parse_rfc3339
from emulator.gateways.spot_ws_v2.params import BOOL, INTEGER, NUMBER, OBJECT, STRING, Spec, required

ORDER: Spec = {
    "order_type": STRING,
    "side": STRING,
    "order_qty": NUMBER,
    "cash_order_qty": NUMBER,
    "limit_price": NUMBER,
    "limit_price_type": STRING,
    "triggers": OBJECT,
    "time_in_force": STRING,
    "margin": BOOL,
    "post_only": BOOL,
    "reduce_only": BOOL,
    "effective_time": STRING,
    "expire_time": STRING,
    "cl_ord_id": STRING,
    "order_userref": INTEGER,
    "conditional": OBJECT,
    "display_qty": NUMBER,
    "fee_preference": STRING,
    "no_mpp": BOOL,
    "stp_type": STRING,
    "sender_sub_id": STRING,
    "stop_price": NUMBER,
    "trigger": STRING,
}
_SELF_TRADE = {word.value.replace("-", "_"): word for word in SelfTrade}
FEES = {"base": True, "quote": False}
_NOT_OFFERED = {
    "conditional": "EGeneral:Invalid arguments:close",
    "triggers": "EGeneral:Invalid arguments:trigger",
    "trigger": "EGeneral:Invalid arguments:trigger",
    "stop_price": "EGeneral:Invalid arguments:price",
    "trigger_price": "EGeneral:Invalid arguments:price",
    "cash_order_qty": "EGeneral:Invalid arguments:viqc",
    "effective_time": "EGeneral:Invalid arguments:starttm",
}
"""Parameters that belong to order types this venue does not offer yet, and how it refuses them."""


def refuse_not_offered(params: dict[str, Any]) -> None:
    """Refuse what belongs to margin, triggers and schedules, which this venue does not offer yet."""
    if not _NOT_OFFERED.keys().isdisjoint(params):
        for name, error in _NOT_OFFERED.items():
            if params.get(name):
                raise VenueError(error)
    if params.get("margin"):
        raise VenueError("EOrder:Cannot open position")
    if params.get("limit_price_type", "static") != "static":
        raise bad_argument("limit_price_type")


def place_order(
    params: dict[str, Any], pair: Instrument, account: str, deadline_ns: int
) -> commands.PlaceOrder:
    """Return the command for the fields of one order."""
    order_type = order_fields.word(order_fields.ORDER_TYPES, required(params, "order_type"), "ordertype")
    side = order_fields.word(order_fields.SIDES, required(params, "side"), "type")
    refuse_not_offered(params)
    limit, display, expires = params.get("limit_price"), params.get("display_qty"), params.get("expire_time")
    cl_ord_id, userref = params.get("cl_ord_id"), params.get("order_userref")
    if cl_ord_id is not None and userref is not None:
        raise VenueError(BAD_ARGUMENTS)
    if limit is None and order_type is not OrderType.MARKET:
        raise bad_argument("price")
    expire_ns = 0 if expires is None else _time(expires, "expiretm")
    return commands.PlaceOrder(
        account=account,
        pair=pair.id,
        side=side,
        type=order_type,
        qty=order_fields.quantity(str(required(params, "order_qty")), pair),
        price=None if order_type is OrderType.MARKET else order_fields.price(str(limit), pair),
        tif=order_fields.lifetime(params.get("time_in_force"), expire_ns),
        post_only=params.get("post_only", False),
        reduce_only=params.get("reduce_only", False),
        display=0 if display is None else order_fields.quantity(str(display), pair, "displayvol"),
        expire_ns=expire_ns,
        cl_ord_id=None if cl_ord_id is None else order_fields.client_order_id(cl_ord_id),
        userref=None if userref is None else order_fields.userref(userref),
        self_trade=order_fields.word(_SELF_TRADE, params.get("stp_type", "cancel_newest"), "stptype"),
        fee_in_base=order_fields.word(FEES, params.get("fee_preference", "quote"), "oflags"),
        deadline_ns=deadline_ns,
    )


def _time(value: str, name: str) -> int:
    try:
        return parse_rfc3339(value)
    except ValueError:
        raise bad_argument(name) from None
