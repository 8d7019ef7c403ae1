"""Commands about orders and their answers, the same in every spot protocol."""

from emulator.engine.accounts import Account
from emulator.engine.commands import AmendOrder, Command, EditOrder, PlaceOrder
from emulator.engine.events import (
    Accepted,
    Amended,
    CancelAfterSet,
    CancelledAll,
    Ended,
    Event,
    Reject,
    Rejected,
)
from emulator.engine.instruments import Instrument
from emulator.engine.orders import Order
from emulator.engine.spot import BATCH, SpotEngine
from emulator.engine.triggers import Offset
from emulator.gateways import order_fields
from emulator.gateways.errors import BAD_ARGUMENTS, REJECT_TEXT, VenueError
from emulator.gateways.order_reasons import of_reject
from emulator.gateways.order_reasons import unknown_order as why_unknown

LONGEST_TIMEOUT_S = 86_400
"""The dead man's switch takes less than this."""
LONGEST_USERREF = 11
"""Characters of a signed 32-bit integer."""
MOST_CANCELS = 50
"""Most orders that one request may cancel by name."""
TIMEOUT_ABOVE_MAX = "EGeneral:Invalid timeout argument:above max"
TIMEOUT_MEANT = f"{{}}: less than {LONGEST_TIMEOUT_S} seconds, and 0 to disarm, are meant"
BATCH_MEANT = f"{{}} orders came: {BATCH[0]} to {BATCH[-1]} are meant, each an object"
CANCELS_MEANT = f"{{}} came: 1 to {MOST_CANCELS} are meant, 2 at least in a batch of WebSocket v2"
_ANSWERS = frozenset({Accepted, Amended, CancelledAll, CancelAfterSet})


def open_order(account: Account, txid: str | None, cl_ord_id: str | None) -> Order:
    """Return the open order that exactly one of the two identifiers names."""
    if (txid is None) == (cl_ord_id is None):
        raise VenueError(BAD_ARGUMENTS, "one id of an order is meant, its own or the client's")
    order = account.by_cl_ord_id.get(cl_ord_id or "") if txid is None else account.open.get(txid)
    if order is None:
        raise unknown_order(account, txid, cl_ord_id)
    return order


def none_named(account: Account, value: str) -> VenueError:
    """Return the error for a txid or a userref that names no open order, or not the one that is meant."""
    return unknown_order(account, value, takes_userref=is_userref(value))


def unknown_order(
    account: Account, txid: object, cl_ord_id: object = None, *, takes_userref: bool = False
) -> VenueError:
    """Return the error for an order that is not open, or whose id has not the form of one."""
    known_form = takes_userref or not isinstance(txid, str) or order_fields.is_txid(txid)
    words = "EOrder:Unknown order" if known_form else "EOrder:Invalid order"
    return VenueError(words, why_unknown, account, txid, cl_ord_id)


def named_orders(account: Account, value: str | int) -> list[Order]:
    """Return the open orders that a txid or a userref (a number or its text) names."""
    if isinstance(value, str):
        order = account.open.get(value)
        if order is not None:
            return [order]
        if not is_userref(value) or len(value) > LONGEST_USERREF:
            return []
        value = int(value)
    return list(account.by_userref.get(value, {}).values())


def is_userref(value: str) -> bool:
    """Tell whether ``value`` has the form of a userref rather than of a txid."""
    return value.isascii() and value.removeprefix("-").isdigit()


def amend(
    order: Order,
    *,
    qty: str | None,
    price: int | Offset | None,
    trigger: int | Offset | None,
    display: str | None,
    post_only: bool,
    deadline_ns: int,
) -> AmendOrder:
    """Return the command that gives ``order`` the values that are there."""
    new_qty, new_display = _quantities(order.instrument, qty, display)
    return AmendOrder(
        account=order.account.name,
        txid=order.txid,
        qty=new_qty,
        price=price,
        trigger=trigger,
        display=new_display,
        post_only=post_only,
        deadline_ns=deadline_ns,
    )


def edit(
    order: Order,
    *,
    qty: str | None,
    price: int | Offset | None,
    trigger: int | Offset | None,
    display: str | None,
    post_only: bool,
    reduce_only: bool,
    userref: int | None,
    fee_in_base: bool | None,
    deadline_ns: int,
) -> EditOrder:
    """Return the command that replaces ``order`` by one with the values that are there."""
    new_qty, new_display = _quantities(order.instrument, qty, display)
    return EditOrder(
        account=order.account.name,
        txid=order.txid,
        qty=new_qty,
        price=price,
        trigger=trigger,
        display=new_display,
        post_only=post_only,
        reduce_only=reduce_only,
        userref=None if userref is None else order_fields.userref(userref),
        fee_in_base=fee_in_base,
        deadline_ns=deadline_ns,
    )


def legacy_price(
    value: str | None, order: Order, *, trigger: bool, name: str = "price"
) -> int | Offset | None:
    """Return a new price of ``order`` as REST and WebSocket v1 write it (``+50``, ``#1%``, ``61250.0``).

    ``name`` is the parameter's, ``price`` or ``price2``, for its refusal.
    """
    if value is None:
        return None
    away = 1 if order.buy is not order.type.takes_profit else -1
    limit = 1 if order.buy else -1
    if not order.type.triggered:
        limit = -limit
    return order_fields.any_price(value, order.instrument, name, hash_sign=away if trigger else limit)


def legacy_prices(
    order: Order, price: str | None, price2: str | None
) -> tuple[int | Offset | None, int | Offset | None]:
    """Return limit and trigger of an edited order: ``price`` is the trigger of a triggered one."""
    if not order.type.triggered:
        return legacy_price(price, order, trigger=False), None
    limit = legacy_price(price2, order, trigger=False, name="price2")
    return limit, legacy_price(price, order, trigger=True)


def _quantities(pair: Instrument, qty: str | None, display: str | None) -> tuple[int | None, int | None]:
    """Return quantity and display of a change in the pair's units; None for what stays."""
    return (
        None if qty is None else order_fields.quantity(qty, pair),
        None if display is None else order_fields.quantity(display, pair, "displayvol"),
    )


def refusal(reject: Reject, engine: SpotEngine, command: Command, words: str | None = None) -> VenueError:
    """Return the refusal of a command by the engine, in the venue's words for it or in ``words``."""
    return VenueError(words or REJECT_TEXT[reject], of_reject, reject, engine, command)


def check(engine: SpotEngine, command: PlaceOrder | EditOrder, now_ns: int) -> None:
    """Refuse what the engine would refuse, funds and limits aside; nothing is placed."""
    fault = engine.check(command, now_ns)
    if fault is not None:
        raise refusal(fault, engine, command)


def cancelled(events: list[Event], engine: SpotEngine, command: Command) -> int:
    """Return how many orders ``CancelOrders`` has ended; VenueError when it was refused all of them."""
    done, first = next(event for event in events if type(event) is CancelledAll), events[0]
    if not done.count and type(first) is Rejected:
        raise refusal(first.reason, engine, command)
    return done.count


def answer(events: list[Event], engine: SpotEngine, command: Command) -> Event:
    """Return the event that answers ``command``; raises VenueError when ``engine`` has refused it."""
    ended = None
    for event in events:
        if type(event) in _ANSWERS:
            return event
        if type(event) is Rejected:
            raise refusal(event.reason, engine, command)
        if type(event) is Ended and ended is None:
            ended = event
    assert ended is not None  # noqa: S101 - the only other answer is that of a CancelOrder
    return ended
