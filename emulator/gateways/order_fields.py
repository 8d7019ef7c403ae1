"""Order fields that mean the same in every spot protocol: prices, quantities, client ids, deadlines."""

import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

from emulator.engine.accounts import Account
from emulator.engine.commands import EditOrder, PlaceOrder
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
from emulator.engine.instruments import Instrument, Side
from emulator.engine.orders import Order, OrderType, TimeInForce
from emulator.engine.spot import SpotEngine
from emulator.gateways.errors import BAD_ARGUMENTS, REJECT_TEXT, VenueError, bad_argument
from emulator.gateways.numbers import TooPreciseError, parse_rfc3339, units

_CLIENT_ID = re.compile(
    r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|[0-9a-fA-F]{32}|[\x21-\x7e]{1,18}"
)
_TXID = re.compile(r"[A-Z0-9]{6}-[A-Z0-9]{5}-[A-Z0-9]{6}")
_USERREF = range(-(1 << 31), 1 << 31)
ORDER_TYPES = {str(word): word for word in OrderType}
SIDES = {str(word): word for word in Side}
TIMES_IN_FORCE = {str(word): word for word in TimeInForce}
LONGEST_TIMEOUT_S = 86_400
"""The dead man's switch takes less than this."""
MOST_CANCELS = 50
"""Most orders that one request may cancel by name."""
_T = TypeVar("_T")

DEADLINE_NS = range(500 * 10**6, 60 * 10**9 + 1)
"""How far ahead a deadline may lie (WebSocket docs: 500 ms to 60 s)."""


def price(value: str, pair: Instrument) -> int:
    """Return a limit price in the pair's units."""
    try:
        result = units(value, pair.price_decimals)
    except TooPreciseError:
        limit = f"price can only be specified up to {pair.price_decimals} decimals."
        raise VenueError(f"EOrder:Invalid price:{pair.wsname} {limit}") from None
    except ValueError:
        raise bad_argument("price") from None
    if result <= 0:
        raise VenueError("EOrder:Invalid price")
    return result


def quantity(value: str, pair: Instrument, name: str = "volume") -> int:
    """Return a quantity in the pair's units; decimals beyond the lot's are cut off."""
    try:
        return units(value, pair.lot_decimals, truncate=True)
    except ValueError:
        raise bad_argument(name) from None


def client_order_id(value: str) -> str:
    """Return ``value`` when it is a UUID, 32 hex digits or printable ASCII up to 18 characters."""
    if not _CLIENT_ID.fullmatch(value):
        raise bad_argument("cl_ord_id")
    return value


def userref(value: int) -> int:
    """Return ``value`` when it is a signed 32-bit integer."""
    if value not in _USERREF:
        raise bad_argument("userref")
    return value


def is_txid(value: str) -> bool:
    """Tell whether ``value`` has the form of an order id."""
    return _TXID.fullmatch(value) is not None


def deadline(value: str, now_ns: int) -> int:
    """Return an RFC 3339 deadline in nanoseconds since the epoch."""
    try:
        result = parse_rfc3339(value)
    except ValueError:
        raise bad_argument("deadline") from None
    if result <= now_ns:
        raise VenueError("EService:Deadline elapsed")
    if result - now_ns not in DEADLINE_NS:
        raise bad_argument("deadline")
    return result


_ANSWERS = frozenset({Accepted, Amended, CancelledAll, CancelAfterSet})


def word(table: Mapping[str, _T], value: str, name: str) -> _T:
    """Return what ``value`` stands for; raises the refusal of parameter ``name``."""
    result = table.get(value)
    if result is None:
        raise bad_argument(name)
    return result


def open_order(account: Account, txid: str | None, cl_ord_id: str | None) -> Order:
    """Return the open order that exactly one of the two identifiers names."""
    if (txid is None) == (cl_ord_id is None):
        raise VenueError(BAD_ARGUMENTS)
    order = account.by_cl_ord_id.get(cl_ord_id or "") if txid is None else account.open.get(txid)
    if order is None:
        raise unknown_order(txid)
    return order


def unknown_order(txid: str | None) -> VenueError:
    """Return the error for an order that is not open, or whose id has not the form of one."""
    if txid is not None and not is_txid(txid):
        return VenueError("EOrder:Invalid order")
    return VenueError("EOrder:Unknown order")


def check(engine: SpotEngine, command: PlaceOrder | EditOrder, now_ns: int) -> None:
    """Refuse what the engine would refuse, funds and limits aside; nothing is placed."""
    fault = engine.check(command, now_ns)
    if fault is not None:
        raise VenueError(REJECT_TEXT[fault])


def check_batch(engine: SpotEngine, batch: Sequence[PlaceOrder], now_ns: int) -> None:
    """Refuse a batch as a whole when one of its orders is not sound."""
    for command in batch:
        check(engine, command, now_ns)
    ids = [command.cl_ord_id for command in batch if command.cl_ord_id is not None]
    if len(set(ids)) < len(ids):
        raise VenueError(REJECT_TEXT[Reject.CLIENT_ID_NOT_UNIQUE])


def answer(events: list[Event]) -> Event:
    """Return the event that answers the command; raises VenueError when the command was refused."""
    for event in events:
        if isinstance(event, Rejected):
            raise VenueError(REJECT_TEXT[event.reason])
        if type(event) in _ANSWERS:
            return event
    return next(event for event in events if isinstance(event, Ended))
