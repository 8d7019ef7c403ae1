"""What comes out of an engine.

Orders in events are the engine's own objects: read them, never change them.  What later commands
may change (filled quantity, cost) stands in the event itself.
"""

from enum import Enum, auto

import msgspec

from emulator.engine.ledger import LedgerEntry, TradeRecord
from emulator.engine.orders import Order, Reason
from emulator.engine.status import TradingStatus


class Reject(Enum):
    """Why a command was refused; each protocol has its own text for each (see its codec)."""

    UNKNOWN_PAIR = auto()
    UNKNOWN_ORDER = auto()
    INVALID_PRICE = auto()
    TICK_SIZE = auto()
    INVALID_QTY = auto()
    ORDER_MINIMUM = auto()
    COST_MINIMUM = auto()
    INVALID_DISPLAY = auto()
    INVALID_TIME_IN_FORCE = auto()
    INVALID_EXPIRY = auto()
    POST_ONLY_NEEDS_LIMIT = auto()
    POST_ONLY_WOULD_CROSS = auto()
    CLIENT_ID_NOT_UNIQUE = auto()
    EDIT_NOT_ALLOWED = auto()
    ORDERS_LIMIT = auto()
    INSUFFICIENT_FUNDS = auto()
    DEADLINE_ELAPSED = auto()
    INVALID_TRIGGER = auto()
    INVALID_CLOSE = auto()
    INVALID_CASH = auto()
    INVALID_START = auto()
    INDEX_UNAVAILABLE = auto()
    SCHEDULED_LIMIT = auto()
    AMEND_NOT_ALLOWED = auto()
    NOTHING_TO_AMEND = auto()
    INVALID_LEVERAGE = auto()
    CANNOT_OPEN_POSITION = auto()
    MARGIN_LEVEL = auto()
    MARGIN_ALLOWANCE = auto()
    POSITION_SIZE = auto()
    POSITIONS_LIMIT = auto()
    UNKNOWN_POSITION = auto()
    REDUCE_ONLY_NO_POSITION = auto()
    REDUCE_ONLY_NOT_CLOSING = auto()
    RATE_LIMIT = auto()
    UNAVAILABLE = auto()
    UNKNOWN_REFERENCE = auto()
    TOO_LATE = auto()
    EARN_BUSY = auto()
    NAME_TAKEN = auto()
    CANCEL_ONLY = auto()
    POST_ONLY = auto()
    LIMIT_ONLY = auto()
    REDUCE_ONLY = auto()
    WOULD_TRADE = auto()
    """Only commands of tests: clients' orders are in the way."""


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """A command was refused and changed nothing."""

    reason: Reject


class Accepted(msgspec.Struct, frozen=True):
    """An order was taken; unless it is scheduled, it is live from now on.  Fills, if any, follow."""

    order: Order


class Started(msgspec.Struct, frozen=True):
    """A scheduled order went live."""

    order: Order
    time_ns: int


class Triggered(msgspec.Struct, frozen=True):
    """An order that waited for a price has been set off; what it does in the book follows."""

    order: Order
    time_ns: int


class TriggerMoved(msgspec.Struct, frozen=True):
    """A trailing trigger has moved to ``price``."""

    order: Order
    price: int
    peak: int
    time_ns: int


class Filled(msgspec.Struct, frozen=True):
    """A fill of a client's order, with the state of the order after it."""

    order: Order
    trade: TradeRecord


class Ended(msgspec.Struct, frozen=True):
    """An order left the venue: ``order.status`` and ``order.reason`` say how."""

    order: Order
    time_ns: int


class Amended(msgspec.Struct, frozen=True):
    """An order was changed in place; fills that the change leads to follow.

    ``reason`` tells why the engine itself has changed it; None when the user did.
    """

    order: Order
    amend_id: str
    time_ns: int
    qty: int
    price: int
    filled: int
    cost: int
    """Of what was filled."""
    reason: Reason | None = None


class Refilled(msgspec.Struct, frozen=True):
    """An iceberg shows its next slice."""

    order: Order
    shown: int
    time_ns: int


class Posted(msgspec.Struct, frozen=True, gc=False):
    """A ledger entry was written."""

    account: str
    entry: LedgerEntry


class FundsMoved(msgspec.Struct, frozen=True, gc=False):
    """Answer to commands that move funds: ``refid`` names what was done."""

    account: str
    refid: str


class Traded(msgspec.Struct, frozen=True, gc=False):
    """A public trade.  ``taker_buy`` is the side of the incoming order."""

    pair: str
    trade_id: int
    price: int
    qty: int
    taker_buy: bool
    market_order: bool
    time_ns: int


class BookChanged(msgspec.Struct, frozen=True, gc=False):
    """Levels that changed: ``(key, displayed quantity)``; key is +price for bids, -price for asks."""

    pair: str
    changes: tuple[tuple[int, int], ...]
    time_ns: int

    def joined(self, later: "BookChanged") -> "BookChanged":
        """Return this change and a later one as one, removals first: what they pull in must not be stale."""
        changes = dict(self.changes) | dict(later.changes)
        ordered = sorted(changes.items(), key=lambda change: change[1] != 0)
        return BookChanged(later.pair, tuple(ordered), later.time_ns)


class StatusChanged(msgspec.Struct, frozen=True, gc=False):
    """The trading status of a pair, or of the whole venue, is another one."""

    pair: str | None
    status: TradingStatus
    time_ns: int


class Done(msgspec.Struct, frozen=True, gc=False):
    """Answer to commands of tests; what they did follows."""


class CancelledAll(msgspec.Struct, frozen=True, gc=False):
    """Answer to CancelAll and CancelOrders; an ``Ended`` for each order follows, by ``advance`` if many."""

    account: str
    count: int


class CancelAfterSet(msgspec.Struct, frozen=True, gc=False):
    """Answer to CancelAllAfter; ``trigger_ns`` is 0 when disarmed."""

    account: str
    time_ns: int
    trigger_ns: int


Event = (
    Rejected
    | Accepted
    | Started
    | Triggered
    | TriggerMoved
    | Filled
    | Ended
    | Amended
    | Refilled
    | Posted
    | FundsMoved
    | Traded
    | BookChanged
    | StatusChanged
    | Done
    | CancelledAll
    | CancelAfterSet
)
