"""Private endpoints that trade.  The table is in endpoints."""

from typing import Any

from emulator.engine import commands
from emulator.engine.accounts import Account
from emulator.engine.events import Accepted, Amended, CancelAfterSet, CancelledAll, Event
from emulator.engine.instruments import Instrument
from emulator.engine.orders import Order, OrderType, SelfTrade
from emulator.engine.spot import BATCH
from emulator.gateways import order_fields, ordering
from emulator.gateways.errors import BAD_ARGUMENTS, VenueError, bad_argument
from emulator.gateways.keys import ApiKey
from emulator.gateways.numbers import rfc3339
from emulator.gateways.parameters import Params
from emulator.gateways.spot_rest import codec
from emulator.gateways.spot_rest.account import account_of
from emulator.gateways.spot_rest.market_data import find_pair
from emulator.gateways.venue import Venue

_SELF_TRADE = {word.value: word for word in SelfTrade}
_FLAGS = frozenset({"post", "fcib", "fciq", "nompp"})
SHORTEST_DEADLINE_NS = 2 * 10**9
SHORTEST_EXPIRY_NS = 5 * 10**9
"""Least that a relative ``expiretm`` may lie ahead."""


def _flags(params: Params) -> frozenset[str]:
    flags = frozenset(params.names("oflags"))
    if "viqc" in flags:
        raise bad_argument("viqc")
    if not flags <= _FLAGS or flags >= {"fcib", "fciq"}:
        raise bad_argument("oflags")
    return flags


def _deadline(venue: Venue, params: Params) -> int:
    value = params.get("deadline")
    return 0 if value is None else order_fields.deadline(value, venue.clock.now_ns(), SHORTEST_DEADLINE_NS)


def _expiry(venue: Venue, params: Params) -> int:
    """Return ``expiretm``: ``+<seconds>`` from now, or a unix time; 0 for none."""
    value = params.get("expiretm") or "0"
    if not value.startswith("+"):
        return codec.time_ns(value, "expiretm")
    ahead_ns = codec.time_ns(value[1:], "expiretm")
    if ahead_ns < SHORTEST_EXPIRY_NS:
        raise bad_argument("expiretm")
    return venue.clock.now_ns() + ahead_ns


def _refuse_not_offered(params: Params) -> None:
    """Refuse what belongs to margin, triggers and schedules, which this venue does not offer yet."""
    if (params.get("leverage") or "none") not in ("none", "0", "1", "1:1"):
        raise VenueError("EOrder:Cannot open position")
    if params.get("starttm") not in (None, "0"):
        raise bad_argument("starttm")
    if params.get("price2") not in (None, "0"):
        raise bad_argument("price2")
    if params.group("close") is not None:
        raise bad_argument("close")


def place_order(
    venue: Venue, key: ApiKey, pair: Instrument, params: Params, deadline_ns: int
) -> commands.PlaceOrder:
    """Return the command for the parameters of one order."""
    order_type = order_fields.word(order_fields.ORDER_TYPES, params.required("ordertype"), "ordertype")
    side = order_fields.word(order_fields.SIDES, params.required("type"), "type")
    _refuse_not_offered(params)
    flags = _flags(params)
    userref, cl_ord_id, display = params.integer("userref"), params.get("cl_ord_id"), params.get("displayvol")
    if userref is not None and cl_ord_id is not None:
        raise VenueError(BAD_ARGUMENTS)
    expire_ns = _expiry(venue, params)
    return commands.PlaceOrder(
        account=key.account,
        pair=pair.id,
        side=side,
        type=order_type,
        qty=order_fields.quantity(params.required("volume"), pair),
        price=None if order_type is OrderType.MARKET else order_fields.price(params.required("price"), pair),
        tif=order_fields.lifetime(params.get("timeinforce"), expire_ns),
        post_only="post" in flags,
        reduce_only=params.flag("reduce_only"),
        display=0 if display is None else order_fields.quantity(display, pair, "displayvol"),
        expire_ns=expire_ns,
        cl_ord_id=None if cl_ord_id is None else order_fields.client_order_id(cl_ord_id),
        userref=None if userref is None else order_fields.userref(userref),
        self_trade=order_fields.word(_SELF_TRADE, params.get("stptype") or "cancel-newest", "stptype"),
        fee_in_base="fcib" in flags,
        deadline_ns=deadline_ns,
    )


def _described(pair: Instrument, command: commands.PlaceOrder) -> dict[str, str]:
    """Return ``descr`` of an order that was only validated."""
    side, type_ = command.side.value, command.type.value
    return {"order": codec.describe(pair, side, type_, command.qty, command.price)}


def add_order(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``AddOrder``."""
    pair = find_pair(venue, params.required("pair"))
    command = place_order(venue, key, pair, params, _deadline(venue, params))
    if params.flag("validate"):
        ordering.check(venue.engine, command, venue.clock.now_ns())
        return {"descr": _described(pair, command)}
    order = _accepted(venue.execute(command))
    return {"txid": [order.txid], "descr": {"order": codec.order_text(order)}}


def _accepted(events: list[Event]) -> Order:
    accepted = ordering.answer(events)
    assert isinstance(accepted, Accepted)  # noqa: S101 - the only answer to these commands
    return accepted.order


def add_order_batch(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``AddOrderBatch``: validated as a whole, then each order lives or fails by itself."""
    pair = find_pair(venue, params.required("pair"))
    deadline_ns, orders = _deadline(venue, params), params.items("orders")
    if len(orders) not in BATCH or not all(isinstance(order, dict) for order in orders):
        raise bad_argument("orders")
    batch = [place_order(venue, key, pair, Params(order), deadline_ns) for order in orders]
    ordering.check_batch(venue.engine, batch, venue.clock.now_ns())
    if params.flag("validate"):
        return {"orders": [{"descr": _described(pair, command)} for command in batch]}
    return {"orders": [_outcome(events) for events in venue.execute_all(batch)]}


def _outcome(events: list[Event]) -> dict[str, Any]:
    try:
        order = _accepted(events)
    except VenueError as error:
        return {"error": str(error)}
    return {"txid": order.txid, "descr": {"order": codec.order_text(order)}}


def amend_order(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``AmendOrder``: in place."""
    order = ordering.open_order(account_of(venue, key), params.get("txid"), params.get("cl_ord_id"))
    if params.get("trigger_price") is not None:
        raise bad_argument("trigger_price")
    command = ordering.amend(
        order,
        qty=params.get("order_qty"),
        price=params.get("limit_price"),
        display=params.get("display_qty"),
        post_only=params.flag("post_only"),
        deadline_ns=_deadline(venue, params),
    )
    amended = ordering.answer(venue.execute(command))
    assert isinstance(amended, Amended)  # noqa: S101 - the only answer to an AmendOrder
    return {"amend_id": amended.amend_id}


def edit_order(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``EditOrder``: cancel and replace."""
    pair = find_pair(venue, params.required("pair"))
    asked = params.required("txid")
    matches = ordering.named_orders(account_of(venue, key), asked)
    if len(matches) != 1 or matches[0].instrument is not pair:
        raise ordering.unknown_order(None if ordering.is_userref(asked) else asked)
    old = matches[0]
    _refuse_not_offered(params)
    command = ordering.edit(
        old,
        qty=params.get("volume"),
        price=params.get("price"),
        display=params.get("displayvol"),
        post_only="post" in _flags(params),
        reduce_only=False,
        userref=params.integer("userref"),
        fee_in_base=None,
        deadline_ns=_deadline(venue, params),
    )
    qty = (old.qty if command.qty is None else command.qty) - old.filled
    at = old.price if command.price is None else command.price
    head = codec.describe(pair, old.side.value, old.type.value, qty, at)
    answer: dict[str, Any] = {"status": "ok"}
    if params.flag("validate"):
        ordering.check(venue.engine, command, venue.clock.now_ns())
    else:
        answer["txid"] = _accepted(venue.execute(command)).txid
    answer |= {
        "originaltxid": old.txid,
        "volume": codec.volume(pair, qty),
        "price": codec.price(pair, at),
        "price2": "0",
        "orders_cancelled": 1,
        "descr": {"order": head},
    }
    if command.userref is not None:
        answer |= {"newuserref": str(command.userref), "olduserref": str(old.userref or 0)}
    return answer


# -- cancelling ------------------------------------------------------------------------------------------


def _cancel(venue: Venue, account: Account, orders: list[Order]) -> dict[str, int]:
    venue.execute_all([commands.CancelOrder(account=account.name, txid=order.txid) for order in orders])
    return {"count": len(orders)}


def cancel_order(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``CancelOrder``: by txid, userref or client order id."""
    account, asked = account_of(venue, key), params.get("txid")
    if asked is None:
        return _cancel(venue, account, [ordering.open_order(account, None, params.get("cl_ord_id"))])
    matches = ordering.named_orders(account, asked)
    if not matches:
        raise ordering.unknown_order(None if ordering.is_userref(asked) else asked)
    return _cancel(venue, account, matches)


def cancel_order_batch(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``CancelOrderBatch``: txids, userrefs and client order ids; unknown ones are not counted."""
    account = account_of(venue, key)
    orders, cl_ord_ids = params.items("orders"), params.items("cl_ord_ids")
    if not 0 < len(orders) + len(cl_ord_ids) <= ordering.MOST_CANCELS:
        raise bad_argument("orders")
    found: dict[str, Order] = {}
    for item in (*orders, *({"cl_ord_id": value} for value in cl_ord_ids)):
        fields = Params(item if isinstance(item, dict) else {"txid": item})
        order = account.by_cl_ord_id.get(fields.get("cl_ord_id") or "")
        hits = [order] if order is not None else ordering.named_orders(account, fields.get("txid") or "")
        found.update((hit.txid, hit) for hit in hits)
    return _cancel(venue, account, list(found.values()))


def cancel_all(venue: Venue, key: ApiKey, _: Params) -> Any:
    """``CancelAll``."""
    done = ordering.answer(venue.execute(commands.CancelAll(key.account)))
    assert isinstance(done, CancelledAll)  # noqa: S101 - the only answer to a CancelAll
    return {"count": done.count}


def cancel_all_orders_after(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``CancelAllOrdersAfter``: the dead man's switch."""
    timeout = params.integer("timeout")
    if timeout is None or not 0 <= timeout < ordering.LONGEST_TIMEOUT_S:
        raise bad_argument("timeout")
    done = ordering.answer(venue.execute(commands.CancelAllAfter(key.account, timeout)))
    assert isinstance(done, CancelAfterSet)  # noqa: S101 - the only answer to a CancelAllAfter
    trigger = rfc3339(done.trigger_ns, 0) if done.trigger_ns else "0"
    return {"currentTime": rfc3339(done.time_ns, 0), "triggerTime": trigger}
