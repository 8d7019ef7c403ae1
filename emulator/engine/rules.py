"""What an order must be like to be taken: minimums, ticks, prices, display, expiry, client ids, status."""

from typing import NamedTuple, Protocol

from emulator.engine import commands, matching
from emulator.engine.accounts import Account
from emulator.engine.book import Book
from emulator.engine.events import Reject
from emulator.engine.instruments import BUY, Instrument, Side
from emulator.engine.market import Market
from emulator.engine.orders import (
    FOK,
    GTD,
    ICEBERG,
    IOC,
    LIMIT,
    MARKET,
    SETTLE_POSITION,
    Order,
    OrderType,
)
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

    @property
    def last_price(self) -> int:
        """The last trade's."""

    @property
    def index_price(self) -> int:
        """What the index tells."""


class Then(NamedTuple):
    """Prices as they will be when an order has traded."""

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
    fault = (
        _terms_fault(order, order.qty)
        or price_fault(order, pair, prices)
        or _cost_fault(order.price, order.qty or pair.order_min, pair)
    )
    if fault is not None:
        return fault
    type_ = order.type
    lasts = order.tif is GTD and (type_.limited or type_.triggered)
    if lasts and not now_ns < order.expire_ns <= now_ns + LONGEST_EXPIRY_NS:
        return Reject.INVALID_EXPIRY
    if order.start_ns > now_ns + LONGEST_EXPIRY_NS:
        return Reject.INVALID_START
    return None if order.close is None else _close_fault(order, order.close, pair, prices)


def _size_fault(order: commands.PlaceOrder, pair: Instrument) -> Reject | None:
    if order.cash:
        plain = order.type is MARKET and order.side is BUY and not order.leverage
        return None if plain and order.cash >= pair.cost_min else Reject.INVALID_CASH
    if order.leverage and not order.qty:
        return None  # all of the position
    if order.qty <= 0:
        return Reject.INVALID_QTY
    return Reject.ORDER_MINIMUM if order.qty < pair.order_min else None


def _terms_fault(order: commands.PlaceOrder, remaining: int) -> Reject | None:
    """Return which of the terms do not go with the type, or with each other."""
    type_ = order.type
    if not type_.limited:
        if order.post_only:
            return Reject.POST_ONLY_NEEDS_LIMIT
        if order.price is not None:
            return Reject.INVALID_PRICE
    if order.trigger is not None and not type_.triggered:
        return Reject.INVALID_TRIGGER
    if order.post_only and order.tif in (IOC, FOK):
        return Reject.INVALID_TIME_IN_FORCE
    if order.display or type_ is ICEBERG:
        return display_fault(type_, order.display, remaining)
    return None


def display_fault(type_: OrderType, display: int, remaining: int) -> Reject | None:
    """Return whether an order may not show ``display`` of what remains of it."""
    fits = remaining <= display * MIN_DISPLAY if type_ is ICEBERG else not display
    return None if fits else Reject.INVALID_DISPLAY


def price_fault(order: commands.PlaceOrder, pair: Instrument, prices: Prices) -> Reject | None:
    """Return what is wrong with the prices of an order: what it waits for, and its limit."""
    if order.type.triggered:
        fault = _trigger_fault(order, pair, prices)
        if fault is not None:
            return fault
    return _limit_fault(order, pair, prices) if order.type.limited else None


def _limit_fault(order: commands.PlaceOrder, pair: Instrument, prices: Prices) -> Reject | None:
    price, type_ = order.price, order.type
    if isinstance(price, Offset):
        if not type_.triggered:
            return Reject.INVALID_PRICE  # it would have been resolved, had there been a last price
        seen = _measured_from(order, prices)
        price = max(price.from_(seen, pair.tick), pair.tick)
    elif type_.trails or price is None or price <= 0:
        return Reject.INVALID_PRICE
    elif price % pair.tick:
        return Reject.TICK_SIZE
    else:
        seen = _measured_from(order, prices) if type_.triggered else prices.last_price
    return Reject.INVALID_PRICE if out_of_band(price, seen, order.side is BUY) else None


def _measured_from(order: commands.PlaceOrder, prices: Prices) -> int:
    """Return the price at which a triggered order comes to life, as far as it is known; else 0."""
    trigger = order.trigger
    return trigger if isinstance(trigger, int) else reference_price(prices, order.reference)


def out_of_band(price: int, seen: int, buy: bool) -> bool:
    """Tell whether a limit is so far beyond the price ``seen`` (0: none) that it must be a mistake."""
    if not seen:
        return False
    return price > seen * PRICE_BAND if buy else price * PRICE_BAND < seen


def _cost_fault(price: int | Offset | None, qty: int, pair: Instrument) -> Reject | None:
    return Reject.COST_MINIMUM if isinstance(price, int) and price * qty < pair.cost_min else None


def _trigger_fault(order: commands.PlaceOrder, pair: Instrument, prices: Prices) -> Reject | None:
    """Return what is wrong with the price that an order waits for."""
    trigger = order.trigger
    if order.reference is Reference.INDEX and not prices.index_price:
        return Reject.INDEX_UNAVAILABLE
    if order.type.trails:
        return None if isinstance(trigger, Offset) and trigger.value > 0 else Reject.INVALID_TRIGGER
    if trigger is None or isinstance(trigger, Offset) or trigger <= 0:
        return Reject.INVALID_TRIGGER
    return Reject.TICK_SIZE if trigger % pair.tick else None


def _close_fault(
    order: commands.PlaceOrder, close: commands.Close, pair: Instrument, prices: Prices
) -> Reject | None:
    """Return what is wrong with a conditional close, as far as it is known before ``order`` trades."""
    if close.type in (MARKET, SETTLE_POSITION):
        return Reject.INVALID_CLOSE
    fill = next((p for p in (order.price, order.trigger) if isinstance(p, int)), prices.last_price)
    then = Then(fill, prices.index_price)
    fault = price_fault(closing(order, order.account, close, order.qty, fill, pair), pair, then)
    if fault is Reject.INDEX_UNAVAILABLE:
        return fault
    return None if fault is None or not fill else Reject.INVALID_CLOSE


def closing(
    primary: Order | commands.PlaceOrder,
    account: str,
    close: commands.Close,
    qty: int,
    price: int,
    pair: Instrument,
) -> commands.PlaceOrder:
    """Return the order that a fill of ``primary`` at ``price`` calls for."""
    limit, trigger = close.price, close.trigger
    if isinstance(limit, Offset) and not close.type.triggered:
        limit = limit.from_(price, pair.tick)
    if isinstance(trigger, Offset) and not close.type.trails:
        trigger = trigger.from_(price, pair.tick)
    return commands.PlaceOrder(
        account=account,
        pair=pair.id,
        side=Side.SELL if primary.side is BUY else BUY,
        type=close.type,
        qty=qty,
        price=limit if close.type.limited else None,
        trigger=trigger if close.type.triggered else None,
        reference=close.reference,
        display=qty if close.type is ICEBERG else 0,
        leverage=primary.leverage,
        userref=primary.userref,
        self_trade=primary.self_trade,
        fee_in_base=primary.fee_in_base,
    )


def status_fault(order: Order | commands.PlaceOrder, status: TradingStatus) -> Reject | None:
    """Return why such an order may not be placed, become so, or go live while trading has this status."""
    if status is ONLINE:
        return None
    if status is TradingStatus.MAINTENANCE:
        return Reject.UNAVAILABLE
    if status is TradingStatus.CANCEL_ONLY:
        return Reject.CANCEL_ONLY
    if status is TradingStatus.POST_ONLY:
        rests = order.type.limited and not order.type.triggered
        return None if order.post_only and rests else Reject.POST_ONLY
    if status is TradingStatus.LIMIT_ONLY:
        return None if order.type.limited else Reject.LIMIT_ONLY
    reduces = order.side is Side.SELL
    if order.leverage:
        reduces = order.reduce_only or order.type is SETTLE_POSITION
    return None if reduces else Reject.REDUCE_ONLY


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
    command: commands.AmendOrder, order: Order, change: Change, market: Market, status: TradingStatus
) -> Reject | None:
    """Return why ``order`` cannot be amended so: the rules of new orders hold for what it becomes.

    What stays as it is is not looked at again, as the market may have gone elsewhere since.
    """
    if order.close is not None or order.cash:
        return Reject.AMEND_NOT_ALLOWED
    if command.new_cl_ord_id is not None and command.new_cl_ord_id in order.account.by_cl_ord_id:
        return Reject.CLIENT_ID_NOT_UNIQUE
    if not change.alters(command, order):
        return Reject.NOTHING_TO_AMEND
    if change.qty <= 0:
        return Reject.INVALID_QTY
    pair, becomes = order.instrument, amended(command, order, change)
    resized = becomes.qty != order.qty
    repriced = command.price is not None or command.trigger is not None
    return (
        status_fault(becomes, status)
        or (_size_fault(becomes, pair) if resized else None)
        or _terms_fault(becomes, becomes.qty - order.filled)
        or (price_fault(becomes, pair, market) if repriced else None)
        or (_cost_fault(becomes.price, becomes.qty, pair) if resized or repriced else None)
        or _crossing_fault(becomes, order, market.book)
    )


def _crossing_fault(becomes: commands.PlaceOrder, order: Order, book: Book) -> Reject | None:
    """Return whether a post-only order would trade at its new price."""
    price = becomes.price
    if not becomes.post_only or becomes.type.triggered or not isinstance(price, int) or price == order.price:
        return None
    return Reject.POST_ONLY_WOULD_CROSS if matching.crosses(book, order.buy, price) else None


def amended(command: commands.AmendOrder, order: Order, change: Change) -> commands.PlaceOrder:
    """Return the order that ``order`` becomes.  One that has been set off is a plain one."""
    price, trigger = _prices_of(order)
    type_ = order.type
    if type_.triggered and not order.waiting:
        type_ = LIMIT if type_.limited else MARKET
    return commands.PlaceOrder(
        account=order.account.name,
        pair=order.instrument.id,
        side=order.side,
        type=type_,
        # Less than what is filled cancels the rest, whatever the minimum.
        qty=change.qty if change.qty > order.filled else order.qty,
        price=price if command.price is None else change.price,
        trigger=trigger if command.trigger is None else change.trigger,
        reference=Reference.LAST if order.trigger is None else order.trigger.reference,
        tif=order.tif,
        post_only=command.post_only or order.post_only,
        reduce_only=order.reduce_only,
        display=change.display,
        leverage=order.leverage,
    )


def _prices_of(order: Order) -> tuple[int | Offset | None, int | Offset | None]:
    """Return the limit and the trigger of an order as they were given."""
    trigger = order.trigger
    if trigger is None or trigger.fired_ns:
        return order.price or None, None
    return order.limit_offset or order.price or None, trigger.offset if trigger.trails else trigger.price


def edit_fault(place: commands.PlaceOrder, old: Order) -> Reject | None:
    """Return why ``old`` is not one that another may replace; ``place`` is looked at as any new order is."""
    fired = old.trigger is not None and not old.waiting
    if old.cl_ord_id is not None or place.qty <= 0 or old.close is not None or fired or old.cash:
        return Reject.EDIT_NOT_ALLOWED
    return None


def replacement(edit: commands.EditOrder, old: Order) -> commands.PlaceOrder:
    """Return the order that takes the place of ``old``.

    The quantity of an edit counts what has been filled; the new order is for the rest of it, so
    that a change of price alone never trades more than was asked for.
    """
    price, trigger = _prices_of(old)
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
