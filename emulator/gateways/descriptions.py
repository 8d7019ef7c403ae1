"""An order in words, as REST's and WebSocket v1's ``descr`` have it (reference: spot REST 8.10).

``buy 0.75000000 XBTUSD @ stop loss 61250.0 -> limit 61300.0 with 5:1 leverage``
"""

from emulator.engine.commands import Close, PlaceOrder
from emulator.engine.instruments import Instrument
from emulator.engine.orders import Order, OrderType
from emulator.engine.triggers import Offset
from emulator.gateways.numbers import text

Price = int | Offset | None
_PERCENT_DECIMALS = 4

_WORDS = {
    OrderType.STOP_LOSS_LIMIT: "stop loss",
    OrderType.TAKE_PROFIT_LIMIT: "take profit",
    OrderType.TRAILING_STOP_LIMIT: "trailing stop",
}


def price_text(pair: Instrument, price: Price) -> str:
    """Return a price as descriptions print it: ``61250.0``, ``+50.0`` or ``-1.0000%``; ``0`` for none."""
    if price is None or price == 0:
        return "0"
    if isinstance(price, int):
        return text(price, pair.price_decimals)
    sign, size = ("-", -price.value) if price.value < 0 else ("+", price.value)
    if price.percent:
        return f"{sign}{text(size, _PERCENT_DECIMALS)}%"
    return sign + text(size, pair.price_decimals)


def _tail(pair: Instrument, type_: OrderType, limit: Price, trigger: Price) -> str:
    words = _WORDS.get(type_) or type_.value.replace("-", " ")
    if type_.triggered:
        words += f" {price_text(pair, trigger)}"
        return f"{words} -> limit {price_text(pair, limit)}" if type_.limited else words
    return f"{words} {price_text(pair, limit)}" if type_.limited else words


def _leverage(leverage: int) -> str:
    return f" with {leverage}:1 leverage" if leverage else ""


def terms(order: Order) -> tuple[Price, Price]:
    """Return limit and trigger of an order as it named them."""
    trigger: Price = None
    if order.trigger is not None:
        trigger = order.trigger.offset or order.trigger.price
    return order.limit_offset or order.price or None, trigger


def prices(order: Order) -> tuple[str, str]:
    """Return ``descr.price`` and ``descr.price2``: the trigger comes first."""
    limit, trigger = terms(order)
    pair = order.instrument
    if order.type.triggered:
        return price_text(pair, trigger), price_text(pair, limit)
    return price_text(pair, limit), "0"


def of_order(order: Order) -> str:
    """Return ``descr.order`` of an order."""
    limit, trigger = terms(order)
    volume = _volume(order.instrument, order.qty, order.cash)
    return _line(order.instrument, order.side.value, order.type, volume, limit, trigger, order.leverage)


def of_command(pair: Instrument, command: PlaceOrder) -> str:
    """Return ``descr.order`` of an order that is not placed."""
    volume = _volume(pair, command.qty, command.cash)
    side, leverage = command.side.value, command.leverage
    return _line(pair, side, command.type, volume, command.price, command.trigger, leverage)


def of_close(pair: Instrument, close: Close | None, leverage: int) -> str:
    """Return ``descr.close``; empty without a conditional close."""
    if close is None:
        return ""
    return f"close position @ {_tail(pair, close.type, close.price, close.trigger)}{_leverage(leverage)}"


def _volume(pair: Instrument, qty: int, cash: int) -> str:
    """Return the volume; of an order that was given by what it spends, that amount."""
    return text(cash // 10**pair.price_decimals if cash else qty, pair.lot_decimals)


def _line(
    pair: Instrument, side: str, type_: OrderType, volume: str, limit: Price, trigger: Price, leverage: int
) -> str:
    return f"{side} {volume} {pair.altname} @ {_tail(pair, type_, limit, trigger)}{_leverage(leverage)}"
