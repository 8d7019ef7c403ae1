"""Order fields of WebSocket v2: which there are, and one order's fields as a command.  Pure functions."""

from typing import Any

from emulator.engine import commands
from emulator.engine.instruments import Instrument, Side
from emulator.engine.orders import CANCEL_NEWEST, GTC, Order, OrderType, SelfTrade
from emulator.engine.triggers import Offset, Reference
from emulator.gateways import order_fields
from emulator.gateways.errors import BAD_ARGUMENTS, VenueError, bad_argument, bad_value
from emulator.gateways.numbers import parse_rfc3339, units
from emulator.gateways.spot_ws_v2.params import (
    BOOL,
    INTEGER,
    NUMBER,
    OBJECT,
    STRING,
    Spec,
    check,
    missing,
    required,
)

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
_REFERENCES = {word.value: word for word in Reference}
_TRIGGERS: Spec = {"reference": STRING, "price": NUMBER, "price_type": STRING}
_CONDITIONAL: Spec = {
    "order_type": STRING,
    "limit_price": NUMBER,
    "limit_price_type": STRING,
    "trigger_price": NUMBER,
    "trigger_price_type": STRING,
    "stop_price": NUMBER,
}


def price(
    value: Any, kind: str, pair: Instrument, name: str = "price", *, trails: bool = False
) -> int | Offset:
    """Return a price of type ``static``, or a distance in the quote asset or per cent (``pct``)."""
    digits = str(value)
    if kind == "static" and not trails:
        return order_fields.price(digits, pair)
    if kind not in ("pct", "quote"):
        raise bad_value(f"{name}_type", kind, ("pct", "quote") if trails else ("static", "pct", "quote"))
    percent = kind == "pct"
    try:
        size = units(digits, order_fields.PERCENT_DECIMALS if percent else pair.price_decimals)
    except ValueError:
        raise bad_value(name, value, "a decimal number is meant, without exponent") from None
    if not size or (trails and size < 0):
        raise bad_value(name, value, "a distance that is not 0 is meant, above 0 for a trailing order")
    return Offset(size, percent)


def trigger(params: dict[str, Any], pair: Instrument, type_: OrderType) -> tuple[int | Offset, Reference]:
    """Return what an order waits for, from ``triggers`` or its deprecated twins."""
    given = params.get("triggers") or {}
    check(given, _TRIGGERS, "for the given msg type: add order")
    value = given.get("price", params.get("stop_price"))
    if value is None:  # SDK: the words differ by whether there are ``triggers`` at all
        raise missing("price" if "triggers" in params else "stop_price")
    kind = given.get("price_type", "quote" if type_.trails else "static")
    reference = given.get("reference", params.get("trigger", "last"))
    return (
        price(value, kind, pair, trails=type_.trails),
        order_fields.word(_REFERENCES, reference, "trigger"),
    )


def limit(params: dict[str, Any], pair: Instrument, type_: OrderType) -> int | Offset | None:
    """Return the limit price; that of a trailing order is a distance from the trigger's price."""
    if not type_.limited:
        return None
    value = required(params, "limit_price")
    kind = params.get("limit_price_type", "quote" if type_.trails else "static")
    if type_.trails and kind == "static":
        raise bad_value("limit_price_type", kind, ("pct", "quote"))
    return price(value, kind, pair, "limit_price")


def _close(params: dict[str, Any], pair: Instrument, reference: Reference) -> commands.Close | None:
    """Return the order that each fill places."""
    given = params.get("conditional")
    if given is None:
        return None
    check(given, _CONDITIONAL, "for the given msg type: add order")
    type_ = order_fields.word(order_fields.ORDER_TYPES, required(given, "order_type"), "close")
    waits_for = None
    if type_.triggered:
        value = given.get("trigger_price", given.get("stop_price"))
        if value is None:
            raise missing("trigger_price")
        kind = given.get("trigger_price_type", "quote" if type_.trails else "static")
        waits_for = price(value, kind, pair, "trigger_price", trails=type_.trails)
    return commands.Close(type=type_, price=limit(given, pair, type_), trigger=waits_for, reference=reference)


def _margin(params: dict[str, Any], pair: Instrument, side: Side) -> int:
    """Return the leverage: the pair's most, when the order is on margin."""
    if not params.get("margin"):
        return 0
    offered = pair.leverage_buy if side is Side.BUY else pair.leverage_sell
    if not offered:
        raise bad_argument("leverage", "{} has no margin to {}", pair.symbol, side)
    return max(offered)


def _cash(params: dict[str, Any], pair: Instrument) -> int:
    """Return what the order spends, as an exact cost; 0 when it is given by its quantity."""
    cash = params.get("cash_order_qty")
    if cash is None:
        return 0
    if params.get("order_qty") is not None:
        raise VenueError(BAD_ARGUMENTS, "one of order_qty and cash_order_qty is meant, not both")
    return order_fields.cash(str(cash), pair)


_RARE = frozenset(
    {
        *("triggers", "trigger", "stop_price", "conditional", "margin", "effective_time", "cash_order_qty"),
        *("display_qty", "limit_price_type"),
    }
)
"""Fields that most orders have not."""


def _rare_fields(
    params: dict[str, Any], pair: Instrument, order_type: OrderType, side: Side
) -> dict[str, Any]:
    """Return what a command needs for fields that most orders have not."""
    waits_for, reference = None, Reference.LAST
    if order_type.triggered:
        waits_for, reference = trigger(params, pair, order_type)
    elif params.get("triggers"):
        raise bad_argument("trigger", "a {} order waits for no price, and triggers came", order_type)
    display, starts = params.get("display_qty"), params.get("effective_time")
    return {
        "cash": _cash(params, pair),
        "trigger": waits_for,
        "reference": reference,
        "display": 0 if display is None else order_fields.quantity(str(display), pair, "displayvol"),
        "start_ns": 0 if starts is None else _time(starts, "starttm"),
        "leverage": _margin(params, pair, side),
        "close": _close(params, pair, reference),
    }


def place_order(
    params: dict[str, Any], pair: Instrument, account: str, deadline_ns: int, batch: int = 1
) -> commands.PlaceOrder:
    """Return the command for the fields of one order; ``batch``: how many came in the request."""
    order_type = order_fields.word(order_fields.ORDER_TYPES, required(params, "order_type"), "ordertype")
    side = order_fields.word(order_fields.SIDES, required(params, "side"), "type")
    cl_ord_id, userref = params.get("cl_ord_id"), params.get("order_userref")
    order_fields.check_identifiers(cl_ord_id, userref, closes=params.get("conditional") is not None)
    rare = {}
    if order_type.triggered or not _RARE.isdisjoint(params):
        rare = _rare_fields(params, pair, order_type, side)
    expires, tif = params.get("expire_time"), params.get("time_in_force")
    stp, fee = params.get("stp_type"), params.get("fee_preference")
    expire_ns = 0 if expires is None else _time(expires, "expiretm")
    qty = 0 if rare.get("cash") else order_fields.quantity(str(required(params, "order_qty")), pair)
    return commands.PlaceOrder(
        account=account,
        pair=pair.id,
        side=side,
        type=order_type,
        qty=qty,
        price=limit(params, pair, order_type),
        tif=GTC if tif is None and not expire_ns else order_fields.lifetime(tif, expire_ns),
        post_only=params.get("post_only", False),
        reduce_only=params.get("reduce_only", False),
        expire_ns=expire_ns,
        cl_ord_id=None if cl_ord_id is None else order_fields.client_order_id(cl_ord_id),
        userref=None if userref is None else order_fields.userref(userref),
        self_trade=CANCEL_NEWEST if stp is None else order_fields.word(_SELF_TRADE, stp, "stptype"),
        fee_in_base=False if fee is None else order_fields.word(FEES, fee, "oflags"),
        deadline_ns=deadline_ns,
        batch=batch,
        **rare,
    )


def new_price(params: dict[str, Any], order: Order) -> int | Offset | None:
    """Return the new limit price of an amended or edited order; None when it stays."""
    value = params.get("limit_price", params.get("price"))
    if value is None:
        return None
    kind = params.get("limit_price_type", "quote" if order.type.trails else "static")
    return price(value, kind, order.instrument, "limit_price")


def new_trigger(params: dict[str, Any], order: Order) -> int | Offset | None:
    """Return the new trigger price of an amended or edited order; None when it stays."""
    if params.get("triggers") is not None or params.get("stop_price") is not None:
        return trigger(params, order.instrument, order.type)[0]
    value = params.get("trigger_price")
    if value is None:
        return None
    kind = params.get("trigger_price_type", "quote" if order.type.trails else "static")
    return price(value, kind, order.instrument, "trigger_price", trails=order.type.trails)


def _time(value: str, name: str) -> int:
    try:
        return parse_rfc3339(value)
    except ValueError:
        raise bad_value(name, value, "an RFC 3339 time is meant, 2026-11-02T10:00:05Z") from None
