"""Trading messages as commands (reference: FIX section 4).  Pure functions."""

from collections.abc import Mapping
from typing import Any

from emulator.engine import commands
from emulator.engine.events import Reject
from emulator.engine.instruments import Instrument, Side
from emulator.engine.market import Market
from emulator.engine.orders import Order, OrderType, SelfTrade, TimeInForce
from emulator.engine.rules import reference_price
from emulator.engine.triggers import Offset, Reference
from emulator.gateways import order_fields
from emulator.gateways.errors import REJECT_TEXT, VenueError, bad_argument
from emulator.gateways.fix import wire
from emulator.gateways.fix.refusals import bad_value, missing
from emulator.gateways.numbers import text

Fields = Mapping[str, str]
SHORTEST_DEADLINE_NS = 2 * 10**9
"""Least that 62 may lie ahead."""

ORDER_TYPES = {
    "1": OrderType.MARKET,
    "2": OrderType.LIMIT,
    "3": OrderType.STOP_LOSS,
    "4": OrderType.STOP_LOSS_LIMIT,
    "R": OrderType.TAKE_PROFIT,
    "T": OrderType.TAKE_PROFIT_LIMIT,
    "U": OrderType.TRAILING_STOP,
    "V": OrderType.TRAILING_STOP_LIMIT,
}
"""40."""
TYPE_CODES = {word: code for code, word in ORDER_TYPES.items()} | {OrderType.ICEBERG: "2"}
TIMES_IN_FORCE = {"1": TimeInForce.GTC, "3": TimeInForce.IOC, "4": TimeInForce.FOK, "6": TimeInForce.GTD}
"""59."""
TIF_CODES = {word: code for code, word in TIMES_IN_FORCE.items()}
SIDES = {"1": Side.BUY, "2": Side.SELL}
"""54."""
_SELF_TRADE = {"0": SelfTrade.CANCEL_BOTH, "1": SelfTrade.CANCEL_NEWEST, "2": SelfTrade.CANCEL_OLDEST}
_REFERENCES = {"1": Reference.INDEX, "5": Reference.LAST}
_FLAGS = {"D": frozenset("EPvfq"), "G": frozenset("P")}
"""18: reduce-only, post-only, quantity in quote, fee in base or in quote; an amend may be post-only."""
_FLAGS_MEANT = {kind: f"of {' '.join(sorted(flags))}, with blanks between" for kind, flags in _FLAGS.items()}
_RARE = ("18", "62", "99", "126", "168", "388", "1138", "5001", "7928")
"""Fields that many orders have not."""


def check_fields(f: Fields) -> None:
    """Refuse what the dictionary lets through but Spot does not know; SessionRejectError."""
    if "18" in f and not _FLAGS[f["35"]].issuperset(f["18"].split()):
        raise bad_value("ExecInst", 18, f["18"], _FLAGS_MEANT[f["35"]])
    if f.get("78", "1") != "1":
        raise bad_value("NoAllocs", 78, f["78"], "one allocation at the most")


def place_order(f: Fields, market: Market, account: str, now_ns: int) -> commands.PlaceOrder:
    """Return the command of a NewOrderSingle; VenueError, SessionRejectError or BusinessRejectError."""
    pair, side, type_ = market.instrument, SIDES[f["54"]], ORDER_TYPES[f["40"]]
    rare: dict[str, Any] = {}
    if not f.keys().isdisjoint(_RARE):
        rare = _rare_fields(f, market, side, type_, now_ns)
    elif type_.triggered:
        raise missing("StopPx", 99, "a {} order waits for a price", type_)
    price = rare.pop("price", None)
    if type_.limited and price is None:
        price = order_fields.price(_required(f, "44", "Price"), pair)
    if f["59"] == "6" and "126" not in f:
        raise missing("ExpireTime", 126, "an order with 59=6 (GTD) ends at a time")
    return commands.PlaceOrder(
        account=account,
        pair=pair.id,
        side=side,
        type=rare.pop("type", type_),
        qty=0 if rare.get("cash") else order_fields.quantity(f["38"], pair),
        price=price,
        tif=TIMES_IN_FORCE[f["59"]],
        cl_ord_id=f["11"],
        **rare,
    )


def _rare_fields(f: Fields, market: Market, side: Side, type_: OrderType, now_ns: int) -> dict[str, Any]:
    """Return what a command needs for fields that many orders have not."""
    pair, values = market.instrument, dict[str, Any]()
    flags = f.get("18", "").split()
    if "f" in flags and "q" in flags:
        raise bad_argument("oflags", "18={!r}: f and q are both there", f["18"])
    values["post_only"], values["reduce_only"] = "P" in flags, "E" in flags
    values["fee_in_base"] = "f" in flags
    if "v" in flags:
        values["cash"] = order_fields.cash(f["38"], pair)
    values["deadline_ns"] = deadline(f, now_ns)
    values["self_trade"] = _SELF_TRADE[f.get("7928", "1")]
    values["expire_ns"] = _time(f, "126", "expiretm")
    if values["expire_ns"] and f["59"] != "6":
        raise bad_argument("expiretm", "126 goes with 59=6 (GTD) only, and 59={}", f["59"])
    values["start_ns"] = _time(f, "168", "starttm")
    if f.get("5001", "0") == "1":
        offered = pair.leverage_buy if side is Side.BUY else pair.leverage_sell
        if not offered:
            raise bad_argument("leverage", "{} has no margin to {}", pair.symbol, side)
        values["leverage"] = max(offered)
    if "1138" in f:
        if type_ is not OrderType.LIMIT:
            raise bad_argument("displayvol", "1138 goes with 40=2 (limit) only, and 40={}", f["40"])
        values["type"] = OrderType.ICEBERG
        values["display"] = order_fields.quantity(f["1138"], pair, "displayvol")
    if type_.triggered:
        reference = _REFERENCES[f.get("388", "5")]
        values["reference"] = reference
        stop = order_fields.price(_required(f, "99", "StopPx"), pair)
        values["trigger"] = stop
        if type_.trails:
            values["trigger"] = _distance(stop, market, reference, rises=side is Side.BUY)
            if type_.limited:
                limit = order_fields.price(_required(f, "44", "Price"), pair)
                values["price"] = _from_stop(limit, stop, pair)
    return values


def _distance(stop: int, market: Market, reference: Reference, *, rises: bool) -> Offset:
    """Return how far a trailing trigger stays behind: 99 is where it stands now; nothing without a price."""
    _check_tick(stop, market.instrument)
    seen = reference_price(market, reference)
    if not seen:
        return Offset(0)
    return Offset(stop - seen if rises else seen - stop)


def _from_stop(limit: int, stop: int, pair: Instrument) -> Offset:
    """Return a trailing order's limit as a distance from its trigger."""
    _check_tick(limit, pair)
    return Offset(limit - stop)


def _check_tick(price: int, pair: Instrument) -> None:
    """Refuse a price between ticks: the engine sees distances only."""
    if price % pair.tick:
        raise VenueError(
            REJECT_TEXT[Reject.TICK_SIZE],
            "{} is no multiple of the tick of {}, {}",
            text(price, pair.price_decimals),
            pair.symbol,
            pair.tick_text,
        )


def amend_order(f: Fields, order: Order, market: Market, now_ns: int) -> commands.AmendOrder:
    """Return the command of an OrderCancelReplaceRequest; what cannot be amended must be as it is."""
    pair = order.instrument
    same = (
        SIDES[f["54"]] is order.side
        and f["55"] == pair.symbol
        and f["40"] in (TYPE_CODES[order.type], running_type(order))
        and ("59" not in f or TIMES_IN_FORCE[f["59"]] is order.tif or not order.type.limited)
    )
    if not same:
        raise VenueError("EOrder:Invalid order", _as_it_is, order)
    limit = order_fields.price(_required(f, "44", "Price"), pair) if order.type.limited else None
    trigger: int | Offset | None = None
    if order.trigger is not None and order.waiting:
        stop = order_fields.price(_required(f, "99", "StopPx"), pair)
        trigger = stop
        if order.type.trails:
            trigger = None
            if stop != order.trigger.price:
                trigger = _distance(stop, market, order.trigger.reference, rises=order.trigger.rises)
    price: int | Offset | None = limit
    if order.type.trails and order.waiting and limit is not None:
        price = _from_stop(limit, stop, pair)
        if price == order.limit_offset:
            price = None
    return commands.AmendOrder(
        account=order.account.name,
        txid=order.txid,
        new_cl_ord_id=f["11"],
        qty=order_fields.quantity(f["38"], pair),
        price=price,
        trigger=None if order.trigger is not None and trigger == order.trigger.price else trigger,
        display=order_fields.quantity(f["1138"], pair, "displayvol") if "1138" in f else None,
        post_only="P" in f.get("18", ""),
        deadline_ns=deadline(f, now_ns),
    )


def _as_it_is(order: Order) -> str:
    """Tell what cannot be amended of an order, as it is."""
    side = "1" if order.buy else "2"
    fields = f"54={side} 55={order.instrument.symbol} 40={running_type(order)} 59={TIF_CODES[order.tif]}"
    return f"what cannot be amended must be as it is: {fields}"


def running_type(order: Order) -> str:
    """Return 40 of an order as it is now: one that has been set off is a market or a limit order."""
    if order.trigger is not None and not order.waiting:
        return "2" if order.type.limited else "1"
    return TYPE_CODES[order.type]


def deadline(f: Fields, now_ns: int) -> int:
    """Return 62 in nanoseconds since the epoch, 2 to 60 s ahead; 0 for none."""
    due_ns = _time(f, "62", "deadline")
    if not due_ns:
        return 0
    order_fields.check_deadline(due_ns, now_ns, SHORTEST_DEADLINE_NS)
    return due_ns


def _required(f: Fields, tag: str, label: str) -> str:
    value = f.get(tag)
    if value is None:
        raise missing(label, int(tag), "an order with 40={} has one", f["40"])
    return value


def _time(f: Fields, tag: str, name: str) -> int:
    value = f.get(tag)
    if value is None:
        return 0
    try:
        return wire.parse_timestamp(value)
    except ValueError:
        raise bad_argument(
            name, "{}={!r:.40}: a UTC time is meant, YYYYMMDD-HH:MM:SS.sss", tag, value
        ) from None
