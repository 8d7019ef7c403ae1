"""One order's parameters as REST and WebSocket v1 name them, as a command."""

from emulator.engine import commands
from emulator.engine.instruments import Instrument, Side
from emulator.engine.orders import OrderType, SelfTrade
from emulator.engine.triggers import Offset, Reference
from emulator.gateways import order_fields
from emulator.gateways.errors import bad_argument, bad_value
from emulator.gateways.keys import ApiKey
from emulator.gateways.numbers import number
from emulator.gateways.parameters import Params
from emulator.gateways.venue import Venue
from emulator.words import unknown

SHORTEST_DEADLINE_NS = 2 * 10**9
SHORTEST_EXPIRY_NS = 5 * 10**9
"""Least that a relative ``expiretm`` may lie ahead."""
_BEHIND = "a trailing order stays behind by a distance (+50, +1%)"
_FLAGS = frozenset({"post", "fcib", "fciq", "nompp", "viqc"})
_SELF_TRADE = {word.value: word for word in SelfTrade}
_REFERENCES = {word.value: word for word in Reference}
_A_TIME = "a unix time in seconds is meant, or +<seconds> from now where an order begins or ends"
_NO_LEVERAGE = ("none", "0", "1", "1:1")


def flags(params: Params) -> frozenset[str]:
    """Return ``oflags``."""
    given = frozenset(params.names("oflags"))
    if not given <= _FLAGS or given >= {"fcib", "fciq"}:
        raise bad_argument("oflags", _of_flags, given)
    return given


def _of_flags(given: frozenset[str]) -> str:
    strange = sorted(given - _FLAGS)
    return unknown("flag", strange[0], sorted(_FLAGS)) if strange else "fcib and fciq are both there"


def deadline(venue: Venue, params: Params) -> int:
    """Return ``deadline`` in nanoseconds since the epoch; 0 for none."""
    value = params.get("deadline")
    return 0 if value is None else order_fields.deadline(value, venue.clock.now_ns(), SHORTEST_DEADLINE_NS)


def moment(venue: Venue, params: Params, name: str, shortest_ns: int = 0) -> int:
    """Return ``starttm`` or ``expiretm``: ``+<seconds>`` from now, or a unix time; 0 for none."""
    value = params.get(name) or "0"
    if not value.startswith("+"):
        return time_ns(value, name)
    ahead_ns = time_ns(value[1:], name)
    if ahead_ns < shortest_ns:
        raise bad_argument(name, "{!r:.40}: {} s ahead at least are meant", value, shortest_ns // 10**9)
    return venue.clock.now_ns() + ahead_ns


def time_ns(value: str, name: str) -> int:
    """Return a unix time in seconds (decimals allowed) as nanoseconds."""
    try:
        result = int(number(value).scaleb(9))
    except ValueError:
        raise bad_value(name, value, _A_TIME) from None
    if result < 0:
        raise bad_value(name, value, _A_TIME)
    return result


def leverage(params: Params, pair: Instrument, side: Side, *, margin: bool) -> int:
    """Return ``leverage`` (``5``, ``5:1``), or the pair's most for ``margin``; 0 for none."""
    value = params.get("leverage") or "none"
    if value in _NO_LEVERAGE:
        offered = pair.leverage_buy if side is Side.BUY else pair.leverage_sell
        return max(offered, default=1) if margin else 0
    digits = value.removesuffix(":1")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 3:
        raise bad_value("leverage", value, "5 or 5:1 are meant, or none")
    return int(digits)


def _prices(
    params: Params, pair: Instrument, side: Side, type_: OrderType
) -> tuple[int | Offset | None, int | Offset | None]:
    """Return limit and trigger: ``price`` is the trigger of triggered types, ``price2`` then their limit."""
    buy = side is Side.BUY
    if not type_.triggered:
        if not type_.limited:
            return None, None
        return order_fields.any_price(params.required("price"), pair, hash_sign=-1 if buy else 1), None
    away = 1 if buy is not type_.takes_profit else -1
    trigger = order_fields.any_price(params.required("price"), pair, hash_sign=away)
    if type_.trails and not (isinstance(trigger, Offset) and trigger.value > 0):
        raise order_fields.malformed_price(params.get("price"), "price", _BEHIND)
    if not type_.limited:
        return None, trigger
    limit = order_fields.any_price(params.required("price2"), pair, "price2", hash_sign=1 if buy else -1)
    if type_.trails and not isinstance(limit, Offset):
        raise order_fields.malformed_price(params.get("price2"), "price2", _BEHIND)
    return limit, trigger


def _close(params: Params, pair: Instrument, side: Side, reference: Reference) -> commands.Close | None:
    """Return the conditional close: ``close[ordertype]``, ``close[price]``, ``close[price2]``."""
    group = params.group("close") or Params(
        {name: params.get(f"close[{name}]") for name in ("ordertype", "price", "price2")}
    )
    if group.get("ordertype") is None:
        return None
    type_ = order_fields.word(order_fields.ORDER_TYPES, group.required("ordertype"), "close[ordertype]")
    other = Side.SELL if side is Side.BUY else Side.BUY
    limit, trigger = _prices(group, pair, other, type_)
    return commands.Close(type=type_, price=limit, trigger=trigger, reference=reference)


def place_order(
    venue: Venue,
    key: ApiKey,
    pair: Instrument,
    params: Params,
    deadline_ns: int,
    batch: int = 1,
    *,
    margin: bool = False,
) -> commands.PlaceOrder:
    """Return the command for the parameters of one order; ``batch``: how many came in the request.

    ``margin``: trade with the pair's most leverage, unless the order names its own.
    """
    type_ = order_fields.word(order_fields.ORDER_TYPES, params.required("ordertype"), "ordertype")
    side = order_fields.word(order_fields.SIDES, params.required("type"), "type")
    reference = order_fields.word(_REFERENCES, params.get("trigger") or "last", "trigger")
    given = flags(params)
    userref, cl_ord_id, display = params.integer("userref"), params.get("cl_ord_id"), params.get("displayvol")
    close = _close(params, pair, side, reference)
    order_fields.check_identifiers(cl_ord_id, userref, closes=close is not None)
    expire_ns = moment(venue, params, "expiretm", SHORTEST_EXPIRY_NS)
    limit, trigger = _prices(params, pair, side, type_)
    volume = params.required("volume")
    if "viqc" in given:
        qty, cash = 0, order_fields.cash(volume, pair)
    else:
        qty, cash = order_fields.quantity(volume, pair), 0
    stp = params.get("stptype") or (params.get("stp_type") or "cancel_newest").replace("_", "-")
    return commands.PlaceOrder(
        account=key.account,
        pair=pair.id,
        side=side,
        type=type_,
        qty=qty,
        cash=cash,
        price=limit,
        trigger=trigger,
        reference=reference,
        tif=order_fields.lifetime(params.get("timeinforce"), expire_ns),
        post_only="post" in given,
        reduce_only=params.flag("reduce_only"),
        display=0 if display is None else order_fields.quantity(display, pair, "displayvol"),
        start_ns=moment(venue, params, "starttm"),
        expire_ns=expire_ns,
        leverage=leverage(params, pair, side, margin=margin),
        close=close,
        cl_ord_id=None if cl_ord_id is None else order_fields.client_order_id(cl_ord_id),
        userref=None if userref is None else order_fields.userref(userref),
        self_trade=order_fields.word(_SELF_TRADE, stp, "stptype"),
        fee_in_base="fcib" in given,
        deadline_ns=deadline_ns,
        batch=batch,
    )
