"""What an order must be like to be taken: minimums, ticks, prices, display, expiry, client ids, status."""

from typing import Protocol

from emulator.engine import commands, matching
from emulator.engine.accounts import Account
from emulator.engine.book import Book
from emulator.engine.events import Reject
from emulator.engine.instruments import BUY, Instrument, Side
from emulator.engine.limits import SCHEDULED_ORDERS
from emulator.engine.orders import FOK, GTD, ICEBERG, IOC, LIMIT, MARKET, SETTLE_POSITION, Order, OrderType
from emulator.engine.status import ONLINE, TradingStatus
from emulator.engine.triggers import Offset, Reference

MIN_DISPLAY = 15
"""An iceberg shows at least this fraction (one fifteenth) of its quantity."""
LONGEST_EXPIRY_NS = 31 * 86_400 * 10**9
"""Good-till-date orders end at most a month ahead."""
PRICE_BAND = 10
"""A buy above this many times the last price, or a sell below that part of it, is taken for a mistake.

Kraken tells no number."""


class Prices(Protocol):
    """What relative prices of one pair are taken from; 0 for what there is not."""

    last_price: int
    index_price: int


def reference_price(prices: Prices, reference: Reference) -> int:
    """Return a reference price; 0 when there is none."""
    return prices.index_price if reference is Reference.INDEX else prices.last_price


def order_fault(
    order: commands.PlaceOrder, pair: Instrument, account: Account, prices: Prices, now_ns: int
) -> Reject | None:
    """Return what is wrong with ``order`` itself; funds, margin and limits are not looked at."""
    fault = _size_fault(order, pair)
    if fault is not None:
        return fault
    if order.cl_ord_id is not None and order.cl_ord_id in account.by_cl_ord_id:
        return Reject.CLIENT_ID_NOT_UNIQUE
    type_ = order.type
    if order.post_only and not type_.limited:
        return Reject.POST_ONLY_NEEDS_LIMIT
    if type_.triggered:
        fault = trigger_fault(type_, order.trigger, order.reference, prices, pair)
        if fault is not None:
            return fault
    if type_.limited:
        fault = _limit_fault(order, pair, prices)
        if fault is not None:
            return fault
    lasts = order.tif is GTD and (type_.limited or type_.triggered)
    if lasts and not now_ns < order.expire_ns <= now_ns + LONGEST_EXPIRY_NS:
        return Reject.INVALID_EXPIRY
    if order.start_ns > now_ns + LONGEST_EXPIRY_NS:
        return Reject.INVALID_START
    if order.start_ns > now_ns and account.scheduled >= SCHEDULED_ORDERS:
        return Reject.SCHEDULED_LIMIT
    return None if order.close is None else _close_fault(order.close, pair)


def _size_fault(order: commands.PlaceOrder, pair: Instrument) -> Reject | None:
    if order.cash:
        plain = order.type is MARKET and order.side is BUY and not order.leverage
        return None if plain and order.cash >= pair.cost_min else Reject.INVALID_CASH
    if order.leverage and not order.qty:
        return None  # all of the position
    if order.qty <= 0:
        return Reject.INVALID_QTY
    return Reject.ORDER_MINIMUM if order.qty < pair.order_min else None


def _limit_fault(order: commands.PlaceOrder, pair: Instrument, prices: Prices) -> Reject | None:
    price, type_ = order.price, order.type
    if isinstance(price, Offset):
        if not type_.triggered:
            return Reject.INVALID_PRICE  # it would have been resolved, had there been a last price
    elif type_.trails:
        return Reject.INVALID_PRICE
    else:
        fault = price_fault(price or 0, order.qty or pair.order_min, pair)
        if fault is None and prices.last_price and not type_.triggered:
            fault = _band_fault(price or 0, order.side, prices.last_price)
        if fault is not None:
            return fault
    if type_ is ICEBERG and order.qty > order.display * MIN_DISPLAY:
        return Reject.INVALID_DISPLAY
    if order.post_only and order.tif in (IOC, FOK):
        return Reject.INVALID_TIME_IN_FORCE
    return None


def _band_fault(price: int, side: Side, last: int) -> Reject | None:
    """Return what is wrong with a price so far from the last one."""
    wild = price > last * PRICE_BAND if side is BUY else price * PRICE_BAND < last
    return Reject.INVALID_PRICE if wild else None


def trigger_fault(
    type_: OrderType, trigger: int | Offset | None, reference: Reference, prices: Prices, pair: Instrument
) -> Reject | None:
    """Return what is wrong with the price that an order waits for."""
    if reference is Reference.INDEX and not prices.index_price:
        return Reject.INDEX_UNAVAILABLE
    if type_.trails:
        return None if isinstance(trigger, Offset) and trigger.value > 0 else Reject.INVALID_TRIGGER
    if trigger is None or isinstance(trigger, Offset) or trigger <= 0:
        return Reject.INVALID_TRIGGER
    return Reject.TICK_SIZE if trigger % pair.tick else None


def _close_fault(close: commands.Close, pair: Instrument) -> Reject | None:
    """Return what is wrong with a conditional close."""
    if close.type.triggered:
        if close.type.trails:
            if not (isinstance(close.trigger, Offset) and close.trigger.value > 0):
                return Reject.INVALID_CLOSE
        elif not _priced(close.trigger, pair):
            return Reject.INVALID_CLOSE
    if close.type.limited and not _priced(close.price, pair):
        return Reject.INVALID_CLOSE
    return None if close.type not in (MARKET, SETTLE_POSITION) else Reject.INVALID_CLOSE


def _priced(price: int | Offset | None, pair: Instrument) -> bool:
    return isinstance(price, Offset) or (price is not None and price > 0 and not price % pair.tick)


def price_fault(price: int, qty: int, pair: Instrument) -> Reject | None:
    """Return what is wrong with a limit price."""
    if price <= 0:
        return Reject.INVALID_PRICE
    if price % pair.tick:
        return Reject.TICK_SIZE
    return Reject.COST_MINIMUM if price * qty < pair.cost_min else None


def status_fault(order: commands.PlaceOrder, status: TradingStatus) -> Reject | None:
    """Return why ``order`` cannot be placed while trading has this status."""
    if status is ONLINE:
        return None
    if status is TradingStatus.MAINTENANCE:
        return Reject.UNAVAILABLE
    if status is TradingStatus.CANCEL_ONLY:
        return Reject.CANCEL_ONLY
    if status is TradingStatus.POST_ONLY:
        return None if order.post_only and order.type is LIMIT else Reject.POST_ONLY
    if status is TradingStatus.LIMIT_ONLY:
        return None if order.type.limited else Reject.LIMIT_ONLY
    reduces = order.reduce_only if order.leverage else order.side is Side.SELL
    return None if reduces else Reject.REDUCE_ONLY


def change_fault(order: Order, status: TradingStatus) -> Reject | None:
    """Return why ``order`` cannot be amended or edited while trading has this status."""
    if status is TradingStatus.MAINTENANCE:
        return Reject.UNAVAILABLE
    if status is TradingStatus.CANCEL_ONLY:
        return Reject.CANCEL_ONLY
    return Reject.POST_ONLY if status is TradingStatus.POST_ONLY and not order.post_only else None


def resolved(order: commands.PlaceOrder, prices: Prices, pair: Instrument) -> commands.PlaceOrder:
    """Return ``order`` with those relative prices as numbers that the market tells now."""
    if type(order.price) is not Offset and type(order.trigger) is not Offset:
        return order
    price, trigger, last = order.price, order.trigger, reference_price(prices, order.reference)
    if isinstance(price, Offset) and not order.type.triggered and prices.last_price:
        price = price.from_(prices.last_price, pair.tick)
    if isinstance(trigger, Offset) and not order.type.trails and last:
        trigger = trigger.from_(last, pair.tick)
    return _with_prices(order, price, trigger)


def _with_prices(
    order: commands.PlaceOrder, price: int | Offset | None, trigger: int | Offset | None
) -> commands.PlaceOrder:
    fields = {name: getattr(order, name) for name in order.__struct_fields__}
    return commands.PlaceOrder(**(fields | {"price": price, "trigger": trigger}))


class Change:
    """The values that an amended order is to have."""

    __slots__ = ("display", "price", "qty", "trigger")

    def __init__(self, command: commands.AmendOrder, order: Order, prices: Prices) -> None:
        self.qty = order.qty if command.qty is None else command.qty
        self.display = order.display if command.display is None else command.display
        self.price = order.price if command.price is None else command.price
        if isinstance(self.price, Offset) and prices.last_price and not order.waiting:
            self.price = self.price.from_(prices.last_price, order.instrument.tick)
        self.trigger = command.trigger
        if isinstance(self.trigger, Offset) and not order.type.trails and order.trigger is not None:
            at = reference_price(prices, order.trigger.reference)
            self.trigger = self.trigger.from_(at, order.instrument.tick) if at else None

    def alters(self, command: commands.AmendOrder, order: Order) -> bool:
        """Tell whether the order is to have another value anywhere; a client order id is none."""
        if self.qty != order.qty or self.display != order.display:
            return True
        if command.price is not None:
            price = order.limit_offset if isinstance(self.price, Offset) else order.price
            if self.price != price:
                return True
        trigger = order.trigger
        if command.trigger is None:
            return False
        if trigger is None:
            return True
        return self.trigger != (trigger.offset if isinstance(self.trigger, Offset) else trigger.price)


def amend_fault(
    command: commands.AmendOrder, order: Order, book: Book, change: Change, prices: Prices
) -> Reject | None:
    """Return why ``order`` cannot be amended to these values."""
    pair, qty = order.instrument, change.qty
    if order.close is not None or order.cash:
        return Reject.AMEND_NOT_ALLOWED
    if command.new_cl_ord_id is not None and command.new_cl_ord_id in order.account.by_cl_ord_id:
        return Reject.CLIENT_ID_NOT_UNIQUE
    if not change.alters(command, order):
        return Reject.NOTHING_TO_AMEND
    if qty <= 0:
        return Reject.INVALID_QTY
    if order.filled < qty < pair.order_min:
        return Reject.ORDER_MINIMUM
    if command.trigger is not None:
        if order.trigger is None or not order.waiting:
            return Reject.INVALID_TRIGGER
        fault = trigger_fault(order.type, change.trigger, order.trigger.reference, prices, pair)
        if fault is not None:
            return fault
    return _amend_price_fault(command, order, book, change)


def _amend_price_fault(
    command: commands.AmendOrder, order: Order, book: Book, change: Change
) -> Reject | None:
    pair, qty, price = order.instrument, change.qty, change.price
    if isinstance(price, int) and (order.type.limited and (price or order.limit_offset is None)):
        fault = price_fault(price, qty, pair)
        if fault is not None and (fault is not Reject.COST_MINIMUM or qty > order.filled):
            return fault
    elif command.price is not None and not (isinstance(price, Offset) and order.type.limited):
        return Reject.INVALID_PRICE
    iceberg = order.type is ICEBERG
    if (iceberg and qty - order.filled > change.display * MIN_DISPLAY) or (
        command.display is not None and not iceberg
    ):
        return Reject.INVALID_DISPLAY
    post_only = command.post_only or order.post_only
    if (
        post_only
        and isinstance(price, int)
        and price != order.price
        and not order.waiting
        and matching.crosses(book, order.buy, price)
    ):
        return Reject.POST_ONLY_WOULD_CROSS
    return None


def edit_fault(place: commands.PlaceOrder, old: Order, prices: Prices, now_ns: int) -> Reject | None:
    """Return why ``place`` cannot take the place of ``old``."""
    fired = old.trigger is not None and not old.waiting
    if old.cl_ord_id is not None or place.qty <= 0 or old.close is not None or fired or old.cash:
        return Reject.EDIT_NOT_ALLOWED
    return order_fault(place, old.instrument, old.account, prices, now_ns)


def replacement(edit: commands.EditOrder, old: Order) -> commands.PlaceOrder:
    """Return the order that takes the place of ``old``.

    The quantity of an edit counts what has been filled; the new order is for the rest of it, so
    that a change of price alone never trades more than was asked for.
    """
    price: int | Offset | None = old.limit_offset or old.price or None
    trigger: int | Offset | None = None
    if old.trigger is not None:
        trigger = old.trigger.offset if old.type.trails else old.trigger.price
    return commands.PlaceOrder(
        account=edit.account,
        pair=old.instrument.id,
        side=old.side,
        type=old.type,
        qty=(old.qty if edit.qty is None else edit.qty) - old.filled,
        price=price if edit.price is None else edit.price,
        trigger=trigger if edit.trigger is None else edit.trigger,
        reference=Reference.LAST if old.trigger is None else old.trigger.reference,
        tif=old.tif,
        post_only=edit.post_only,
        reduce_only=edit.reduce_only or old.reduce_only,
        display=old.display if edit.display is None else edit.display,
        expire_ns=old.expire_ns,
        start_ns=old.start_ns,
        leverage=old.leverage,
        userref=edit.userref,
        self_trade=old.self_trade,
        fee_in_base=old.fee_in_base if edit.fee_in_base is None else edit.fee_in_base,
    )
