"""ExecutionReports (8): what a FIX order's client is told of it (reference: FIX section 5).

Bodies are written as text, tags ascending, numbers in the shortest form that has a decimal.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from emulator.engine.events import (
    Accepted,
    Amended,
    Ended,
    Event,
    Filled,
    Started,
    Triggered,
    TriggerMoved,
)
from emulator.engine.instruments import Instrument
from emulator.engine.orders import CLOSED, ICEBERG, PENDING, Order, Reason, Status
from emulator.gateways.fix import codec
from emulator.gateways.fix.wire import SOH as _SOH
from emulator.gateways.fix.wire import timestamp

if TYPE_CHECKING:
    from emulator.gateways.fix.session import Session

NEW, PARTIALLY_FILLED, FILLED, CANCELED, REPLACED, PENDING_NEW, EXPIRED = "0", "1", "2", "4", "5", "A", "C"
"""Values of 39 (OrdStatus) and 150 (ExecType)."""
PENDING_REPLACE = "E"
"""39 of a scheduled order that was replaced."""
TRADE, RESTATED, STATUS = "F", "D", "I"
"""Further values of 150."""
_ENDED = {Status.CLOSED: FILLED, Status.CANCELED: CANCELED, Status.EXPIRED: EXPIRED}
_SET_OFF = frozenset("12")
"""Types that a triggered order has when its client was told that it is set off."""
_TYPE_WORDS = {
    "1": "market",
    "2": "limit",
    "3": "stop loss",
    "4": "stop loss",
    "R": "take profit",
    "T": "take profit",
    "U": "trailing stop",
    "V": "trailing stop",
}


def shortest(value: int, decimals: int) -> str:
    """Return a scaled integer as ``64000.1``, ``2500.0``, ``0.00000001``."""
    if not decimals:
        return f"{value}.0"
    if value < 0:
        return f"-{shortest(-value, decimals)}"
    digits = str(value)
    if len(digits) <= decimals:
        digits = digits.zfill(decimals + 1)
    return f"{digits[:-decimals]}.{digits[-decimals:].rstrip('0') or '0'}"


class LiveOrder:
    """A FIX order while it is open: who is told of it, and by what names."""

    __slots__ = (
        "allocation",
        "cl_ord_id",
        "logon",
        "order",
        "replaced",
        "request",
        "session",
        "side",
        "tif",
        "type",
    )

    def __init__(
        self, session: "Session", order: Order, cl_ord_id: str, tif: str, allocation: str = ""
    ) -> None:
        self.session = session
        self.order = order
        self.cl_ord_id = cl_ord_id
        """The last id that its client gave it."""
        self.request: str | None = None
        """Id of the cancel or amend request that is being carried out."""
        self.tif = tif
        self.logon = self.replaced = session.logons
        """In which logon of its session it was placed, and last replaced."""
        self.allocation = allocation
        """78 and 79 as they were sent, for brokers."""
        self.side = "1" if order.buy else "2"
        self.type = codec.TYPE_CODES[order.type]


def _describe(live: LiveOrder, quantity: str, limit: str, trigger: str) -> str:
    """Return 58 of acknowledgements: ``buy 0.25 BTC/USD @ limit 64000.1``."""
    words = _TYPE_WORDS[live.type]
    if trigger:
        words = f"{words} {trigger.removesuffix('.0')}"
        if limit:
            words += " -> limit"
    if limit:
        words = f"{words} {limit.removesuffix('.0')}"
    symbol = live.order.instrument.symbol
    return f"{'buy' if live.order.buy else 'sell'} {quantity.removesuffix('.0')} {symbol} @ {words}"


def _limit(order: Order) -> int:
    """Return the limit price; that of a trailing order follows its trigger."""
    if order.limit_offset is not None and order.trigger is not None and order.waiting:
        return order.limit_offset.from_(order.trigger.price, order.instrument.tick)
    return order.price


_Parts = tuple[str, str, str, str]
"""A report's body, cut where its id, OrdStatus and ExecType stand."""


def _report(parts: _Parts, exec_id: str, status: str, exec_type: str) -> str:
    """Return the body."""
    return f"{parts[0]}{exec_id}{parts[1]}{status}{parts[2]}{exec_type}{parts[3]}"


_Sums = tuple[str, str, str]
"""What was filled of an order so far, as text: average price, quantity, exact cost."""
_NOTHING: _Sums = ("0.0", "0.0", "0.0")


def _sums(pair: Instrument, filled: int, cost: int) -> _Sums:
    if not filled:
        return _NOTHING
    decimals = pair.price_decimals
    average = shortest(pair.average_price(cost, filled, decimals), decimals)
    return average, shortest(filled, pair.lot_decimals), shortest(cost, pair.exact_decimals)


def _parts(
    live: LiveOrder,
    time_ns: int,
    *,
    cl_ord_id: str,
    qty: int = 0,
    sums: _Sums = _NOTHING,
    leaves: int = 0,
    orig: str | None = None,
    why: str | None = None,
    acknowledges: bool = False,
    last: str = "",
    money: str = "",
    trade: str = "",
    liquidity: str = "",
) -> _Parts:
    """Return the parts of a report: tags ascend, those of trades only are given as text."""
    order = live.order
    pair = order.instrument
    size, decimals = pair.lot_decimals, pair.price_decimals
    limit, trigger, rest = _limit(order), order.trigger, ""
    qty = qty or order.qty
    quantity = shortest(qty, size)
    left = quantity if leaves == qty else shortest(leaves, size) if leaves else "0.0"
    average, done, spent = sums
    limit_text = shortest(limit, decimals) if limit else ""
    trigger_text = shortest(trigger.price, decimals) if trigger is not None and trigger.price else ""
    if acknowledges:
        why = _describe(live, quantity, limit_text, trigger_text)
    middle = (
        f"\x0140={live.type}{'' if orig is None else f'{_SOH}41={orig}'}"
        f"{f'{_SOH}44={limit_text}' if limit else ''}\x0154={live.side}\x0155={pair.symbol}"
        f"{'' if why is None else f'{_SOH}58={why}'}\x0159={live.tif}\x0160={timestamp(time_ns)}"
        f"{live.allocation}\x01"
    )
    if trigger is not None:
        if trigger_text:
            middle = f"{middle}99={trigger_text}\x01"
        if trigger.fired_ns and live.type in _SET_OFF:
            rest = f"1102={shortest(trigger.fired_price, decimals)}\x01"
    if order.type is ICEBERG:
        rest = f"{rest}1138={shortest(order.display, size)}\x01"
    return (
        f"6={average}\x0111={cl_ord_id}\x0114={done}\x0117=",
        f"\x01{last}37={order.txid}\x0138={quantity}\x0139=",
        f"{middle}{money}150=",
        f"\x01151={left}\x01381={spent}\x01{trade}{rest}{liquidity}",
    )


ExecIds = Callable[[], str]


def _accepted(live: LiveOrder, event: Accepted, ids: ExecIds) -> list[str]:
    """Tell that an order was taken, and, unless it is scheduled or ends at once, that it is live."""
    order = live.order
    qty = order.history[0].qty if order.history else order.qty  # a reduction may have cut it down already
    parts = _parts(live, order.opened_ns, cl_ord_id=live.cl_ord_id, qty=qty, leaves=qty, acknowledges=True)
    pending = _report(parts, ids(), PENDING_NEW, PENDING_NEW)
    if order.start_ns or order.reason is Reason.POST_ONLY:
        return [pending]
    return [pending, _report(parts, ids(), NEW, NEW)]


def _started(live: LiveOrder, event: Started, ids: ExecIds) -> list[str]:
    """Tell that a scheduled order is live."""
    order = live.order
    parts = _parts(live, event.time_ns, cl_ord_id=live.cl_ord_id, leaves=order.qty, acknowledges=True)
    return [_report(parts, ids(), NEW, NEW)]


def _restated(live: LiveOrder, event: Triggered | TriggerMoved, ids: ExecIds) -> list[str]:
    """Tell that a trigger fired, or has moved."""
    if type(event) is Triggered:
        live.type = codec.running_type(live.order)
    parts = _parts(live, event.time_ns, cl_ord_id=live.cl_ord_id, leaves=live.order.qty)
    return [_report(parts, ids(), NEW, RESTATED)]


def _filled(live: LiveOrder, event: Filled, ids: ExecIds) -> list[str]:
    order, trade = live.order, event.trade
    pair = order.instrument
    asset = pair.base if order.fee_in_base else pair.quote
    price, qty = shortest(trade.price, pair.price_decimals), shortest(trade.qty, pair.lot_decimals)
    cost = shortest(trade.cost, pair.exact_decimals)
    first = trade.cum_qty == trade.qty  # all that was filled is this fill
    parts = _parts(
        live,
        trade.time_ns,
        cl_ord_id=live.cl_ord_id,
        sums=(price, qty, cost) if first else _sums(pair, trade.cum_qty, trade.cum_cost),
        leaves=order.qty - trade.cum_qty,
        last=f"31={price}\x0132={qty}\x01",
        money=f"118={cost}\x01136=1\x01"
        f"137={shortest(trade.cum_fee, order.fee_decimals)}\x01138={asset.name}\x01139=4\x01891=2\x01",
        trade=f"527={trade.trade_id}\x011003={trade.exec_id}\x01",
        liquidity=f"5050={'0' if trade.maker else '1'}\x01",
    )
    return [_report(parts, ids(), FILLED if trade.cum_qty == order.qty else PARTIALLY_FILLED, TRADE)]


def _amended(live: LiveOrder, event: Amended, ids: ExecIds) -> list[str]:
    """Tell of new values: those that the client asked for, or that the engine itself has set."""
    orig, why = None, None
    state = kind = REPLACED
    if live.order.status is PENDING:
        state = PENDING_REPLACE
    if event.reason is not None:
        why, kind = event.reason.value, RESTATED
        state = PARTIALLY_FILLED if event.filled else NEW
    elif live.request is not None:
        orig, live.cl_ord_id, live.request = live.cl_ord_id, live.request, None
        live.replaced = live.session.logons
    parts = _parts(
        live,
        event.time_ns,
        cl_ord_id=live.cl_ord_id,
        orig=orig,
        why=why,
        qty=event.qty,
        sums=_sums(live.order.instrument, event.filled, event.cost),
        leaves=max(event.qty - event.filled, 0),
    )
    return [_report(parts, ids(), state, kind)]


def _ended(live: LiveOrder, event: Ended, ids: ExecIds) -> list[str]:
    """Tell of a cancel or an expiry; that an order is filled its last fill has told."""
    order = live.order
    if order.status is CLOSED:
        return []
    state = _ENDED[order.status]
    cl_ord_id, orig, why = live.cl_ord_id, None, None if order.reason is None else order.reason.value
    if live.request is not None:
        cl_ord_id, orig, why = live.request, live.cl_ord_id, None
    sums = _sums(order.instrument, order.filled, order.cost)
    parts = _parts(live, event.time_ns, cl_ord_id=cl_ord_id, orig=orig, why=why, sums=sums)
    return [_report(parts, ids(), state, state)]


def status(live: LiveOrder, exec_id: str, cl_ord_id: str, now_ns: int) -> str:
    """Return the answer to an OrderStatusRequest."""
    order = live.order
    if order.status in _ENDED:
        state, leaves = _ENDED[order.status], 0
    else:
        state, leaves = PARTIALLY_FILLED if order.filled else NEW, order.remaining
        if order.status is PENDING:
            state = PENDING_NEW
    why = None if order.reason is None else order.reason.value
    parts = _parts(
        live,
        now_ns,
        cl_ord_id=cl_ord_id,
        sums=_sums(order.instrument, order.filled, order.cost),
        leaves=leaves,
        why=why,
    )
    return _report(parts, exec_id, state, STATUS)


WRITERS: dict[type[Event], Callable[..., list[str]]] = {
    Accepted: _accepted,
    Started: _started,
    Triggered: _restated,
    TriggerMoved: _restated,
    Filled: _filled,
    Amended: _amended,
    Ended: _ended,
}
"""What each event makes a report of: ``(live order, event, ids of reports)``."""
