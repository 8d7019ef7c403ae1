"""What an order must be like to be taken: minimums, ticks, display, expiry, client ids."""

from emulator.engine import commands, matching
from emulator.engine.accounts import Account
from emulator.engine.book import Book
from emulator.engine.events import Reject
from emulator.engine.instruments import Instrument
from emulator.engine.orders import Order, OrderType, TimeInForce

MIN_DISPLAY = 15
"""An iceberg shows at least this fraction (one fifteenth) of its quantity."""
LONGEST_EXPIRY_NS = 31 * 86_400 * 10**9
"""Good-till-date orders end at most a month ahead."""


def order_fault(order: commands.PlaceOrder, pair: Instrument, account: Account, now_ns: int) -> Reject | None:
    """Return what is wrong with ``order`` itself; funds and limits are not looked at."""
    if order.qty <= 0:
        return Reject.INVALID_QTY
    if order.qty < pair.order_min:
        return Reject.ORDER_MINIMUM
    if order.cl_ord_id is not None and order.cl_ord_id in account.by_cl_ord_id:
        return Reject.CLIENT_ID_NOT_UNIQUE
    if order.type is OrderType.MARKET:
        return Reject.POST_ONLY_NEEDS_LIMIT if order.post_only else None
    return _limit_fault(order, pair, now_ns)


def _limit_fault(order: commands.PlaceOrder, pair: Instrument, now_ns: int) -> Reject | None:
    fault = price_fault(order.price or 0, order.qty, pair)
    if fault is not None:
        return fault
    if order.type is OrderType.ICEBERG and order.qty > order.display * MIN_DISPLAY:
        return Reject.INVALID_DISPLAY
    if order.post_only and order.tif in (TimeInForce.IOC, TimeInForce.FOK):
        return Reject.INVALID_TIME_IN_FORCE
    if order.tif is TimeInForce.GTD and not now_ns < order.expire_ns <= now_ns + LONGEST_EXPIRY_NS:
        return Reject.INVALID_EXPIRY
    return None


def price_fault(price: int, qty: int, pair: Instrument) -> Reject | None:
    """Return what is wrong with a limit price."""
    if price <= 0:
        return Reject.INVALID_PRICE
    if price % pair.tick:
        return Reject.TICK_SIZE
    return Reject.COST_MINIMUM if price * qty < pair.cost_min else None


def amend_fault(
    command: commands.AmendOrder, order: Order, book: Book, price: int, qty: int, display: int
) -> Reject | None:
    """Return why ``order`` cannot be amended to these values."""
    pair = order.instrument
    if qty <= 0:
        return Reject.INVALID_QTY
    if order.filled < qty < pair.order_min:
        return Reject.ORDER_MINIMUM
    fault = price_fault(price, qty, pair)
    if fault is not None and (fault is not Reject.COST_MINIMUM or qty > order.filled):
        return fault
    iceberg = order.type is OrderType.ICEBERG
    if (iceberg and qty - order.filled > display * MIN_DISPLAY) or (
        command.display is not None and not iceberg
    ):
        return Reject.INVALID_DISPLAY
    post_only = command.post_only or order.post_only
    if post_only and price != order.price and matching.crosses(book, order.buy, price):
        return Reject.POST_ONLY_WOULD_CROSS
    return None


def edit_fault(place: commands.PlaceOrder, old: Order, now_ns: int) -> Reject | None:
    """Return why ``place`` cannot take the place of ``old``."""
    if old.cl_ord_id is not None or place.qty <= 0:
        return Reject.EDIT_NOT_ALLOWED
    return order_fault(place, old.instrument, old.account, now_ns)


def replacement(edit: commands.EditOrder, old: Order) -> commands.PlaceOrder:
    """Return the order that takes the place of ``old``.

    The quantity of an edit counts what has been filled; the new order is for the rest of it, so
    that a change of price alone never trades more than was asked for.
    """
    return commands.PlaceOrder(
        account=edit.account,
        pair=old.instrument.id,
        side=old.side,
        type=old.type,
        qty=(old.qty if edit.qty is None else edit.qty) - old.filled,
        price=old.price if edit.price is None else edit.price,
        tif=old.tif,
        post_only=edit.post_only,
        reduce_only=edit.reduce_only or old.reduce_only,
        display=old.display if edit.display is None else edit.display,
        expire_ns=old.expire_ns,
        userref=edit.userref,
        self_trade=old.self_trade,
        fee_in_base=old.fee_in_base if edit.fee_in_base is None else edit.fee_in_base,
    )
