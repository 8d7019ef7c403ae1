"""An order, and the closed sets of words that describe one."""

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from emulator.engine.instruments import BUY, Instrument, Side, rescale_ceil, rescale_floor, rescale_half_up

if TYPE_CHECKING:
    from emulator.engine.accounts import Account
    from emulator.engine.book import Level
    from emulator.engine.commands import Close
    from emulator.engine.triggers import Offset, Trigger


class OrderType(StrEnum):
    """Order types that the engine takes."""

    MARKET = "market"
    LIMIT = "limit"
    ICEBERG = "iceberg"
    STOP_LOSS = "stop-loss"
    TAKE_PROFIT = "take-profit"
    STOP_LOSS_LIMIT = "stop-loss-limit"
    TAKE_PROFIT_LIMIT = "take-profit-limit"
    TRAILING_STOP = "trailing-stop"
    TRAILING_STOP_LIMIT = "trailing-stop-limit"
    SETTLE_POSITION = "settle-position"

    def __init__(self, word: str) -> None:
        self.word = word
        """What it is called, as plain text; ``value`` takes two calls of Python to tell."""
        self.triggered = word not in ("market", "limit", "iceberg", "settle-position")
        """Whether such orders wait for a price."""
        self.limited = word in ("limit", "iceberg") or word.endswith("-limit")
        """Whether such orders have a limit price."""
        self.takes_profit = word.startswith("take-profit")
        """Whether the price that such orders wait for is a better one."""
        self.trails = word.startswith("trailing")
        """Whether the price that such orders wait for moves along."""


class TimeInForce(StrEnum):
    """How long an order may rest."""

    GTC = "GTC"
    IOC = "IOC"
    GTD = "GTD"
    FOK = "FOK"


class SelfTrade(StrEnum):
    """What gives way when an order would trade with its own account."""

    CANCEL_NEWEST = "cancel-newest"
    CANCEL_OLDEST = "cancel-oldest"
    CANCEL_BOTH = "cancel-both"


class Status(StrEnum):
    """Life cycle of an order, in Kraken's words."""

    PENDING = "pending"
    """Scheduled: it goes live at its start time."""
    OPEN = "open"
    CLOSED = "closed"
    CANCELED = "canceled"
    EXPIRED = "expired"


class Reason(StrEnum):
    """Why an order ended without being filled.

    The first four were recorded live and ``SELF_TRADE`` stands in Kraken's support pages; the wording of the
    others is not known and is ours.
    """

    USER = "User requested"
    REPLACED = "Order replaced"
    POST_ONLY = "Post only order"
    CANCEL_AFTER = "CancelAllOrdersAfter Timeout"
    SELF_TRADE = "Cannot trade with self"
    IOC = "IOC remainder"
    FOK = "FOK not filled"
    NO_LIQUIDITY = "Insufficient liquidity"
    EXPIRED = "Order expired"
    INSUFFICIENT_FUNDS = "Insufficient funds"
    PRICE_PROTECTION = "Market price protection"
    REDUCE_ONLY = "Reduce only"
    MARKET_STATUS = "Market status"
    LIQUIDATED = "Liquidation"
    INVALID_PRICE = "Invalid price"
    REPRICED = "Market price"
    ORDERS_LIMIT = "Orders limit exceeded"


# What every order is compared with has names of its own: Python 3.11 takes as long to read a member off its
# class as for a call, and there are twenty of them on an order's road through the engine.
MARKET, LIMIT, ICEBERG = OrderType.MARKET, OrderType.LIMIT, OrderType.ICEBERG
SETTLE_POSITION = OrderType.SETTLE_POSITION
GTC, IOC, GTD, FOK = TimeInForce
CANCEL_NEWEST, CANCEL_OLDEST = SelfTrade.CANCEL_NEWEST, SelfTrade.CANCEL_OLDEST
PENDING, OPEN, CLOSED, CANCELED, EXPIRED = Status


class Amendment(NamedTuple):
    """How an order was after a change (REST ``OrderAmends``)."""

    id: str
    kind: str
    """``original``, ``user`` or ``restated``."""
    qty: int
    display: int
    price: int
    trigger: int
    filled: int
    reason: str | None
    time_ns: int


MOST_AMENDMENTS = 1_000
"""Changes that an order remembers besides how it was at first."""


class Order:
    """One order.  Prices, quantities and costs are in its instrument's units (see instruments).

    While it rests it is a node of its price level's queue (``prev``, ``next``, ``level``) and
    ``shown`` is the part of it that the book displays: all that remains, or an iceberg's slice.
    """

    __slots__ = (
        "account",
        "amended",
        "buy",
        "cash",
        "changed_ns",
        "cl_ord_id",
        "close",
        "closed_ns",
        "cost",
        "display",
        "expire_ns",
        "fee",
        "fee_exact",
        "fee_in_base",
        "filled",
        "history",
        "hold",
        "instrument",
        "level",
        "leverage",
        "limit_offset",
        "liquidation",
        "next",
        "opened_ns",
        "place",
        "post_only",
        "prev",
        "price",
        "qty",
        "rate_cap_ppm",
        "reason",
        "reduce_only",
        "refid",
        "self_trade",
        "seq",
        "shown",
        "start_ns",
        "status",
        "tif",
        "touched_ns",
        "trades",
        "trigger",
        "txid",
        "type",
        "userref",
    )

    def __init__(
        self,
        seq: int,
        txid: str,
        account: "Account",
        instrument: Instrument,
        side: Side,
        type_: OrderType,
        qty: int,
        price: int,
        now_ns: int,
    ) -> None:
        self.seq = seq
        self.txid = txid
        self.account = account
        self.instrument = instrument
        self.buy = side is BUY
        self.type = type_
        self.qty = qty
        self.price = price
        self.opened_ns = now_ns
        self.touched_ns = now_ns
        self.changed_ns = now_ns
        """When it was placed or last amended: its age counts from here."""
        self.closed_ns = 0
        self.shown = 0
        self.place = 0
        """Where it came into the book: orders that came later have higher numbers."""
        self.filled = 0
        self.cost = 0
        self.fee = 0
        self.fee_exact = 0
        self.fee_in_base = False
        self.rate_cap_ppm = 0
        self.hold = 0
        self.display = 0
        self.tif = GTC
        self.post_only = False
        self.reduce_only = False
        self.self_trade = CANCEL_NEWEST
        self.expire_ns = 0
        self.userref: int | None = None
        self.cl_ord_id: str | None = None
        self.status = OPEN
        self.reason: Reason | None = None
        self.amended = False
        self.history: list[Amendment] = []
        """How it was at first, and its changes; empty while nothing was changed."""
        self.trigger: Trigger | None = None
        self.limit_offset: Offset | None = None
        """How a limit that follows from the trigger's price was given."""
        self.close: Close | None = None
        """The order that each fill of this one places."""
        self.refid: str | None = None
        """The order whose fill placed this one."""
        self.start_ns = 0
        self.cash = 0
        """What to spend, as an exact cost, when the order was given so (``viqc``)."""
        self.leverage = 0
        """0 for an order that takes and gives the account's own funds."""
        self.liquidation = False
        self.trades: list[str] = []
        self.level: Level | None = None
        self.prev: Order | None = None
        self.next: Order | None = None

    @property
    def side(self) -> Side:
        """Side of the order."""
        return Side.BUY if self.buy else Side.SELL

    @property
    def remaining(self) -> int:
        """Quantity that is not filled, hidden part included."""
        return self.qty - self.filled

    def as_it_is(self, id_: str, kind: str, reason: str | None, time_ns: int) -> Amendment:
        """Return the order's present values as an entry of its history."""
        trigger = 0 if self.trigger is None else self.trigger.price
        return Amendment(id_, kind, self.qty, self.display, self.price, trigger, self.filled, reason, time_ns)

    def remember(self, amendment: Amendment) -> None:
        """Write a change down."""
        self.history.append(amendment)
        if len(self.history) > MOST_AMENDMENTS + 1:
            del self.history[1]

    @property
    def waiting(self) -> bool:
        """Whether the order waits for a price."""
        return self.trigger is not None and not self.trigger.fired_ns

    @property
    def held_price(self) -> int:
        """The price at which funds are held: the limit, or where a waiting order becomes a market order."""
        waits_for = self.trigger.price if self.trigger is not None and self.waiting else 0
        return self.price or waits_for

    @property
    def fee_asset(self) -> str:
        """Id of the asset that fees are paid in."""
        return self.instrument.base.id if self.fee_in_base else self.instrument.quote.id

    @property
    def fee_decimals(self) -> int:
        """Decimals of ``fee``: the pair's cost decimals, or its lot decimals for a fee in base."""
        return self.instrument.lot_decimals if self.fee_in_base else self.instrument.cost_decimals

    def hold_needed(self, cost: int) -> int:
        """Return the funds that what remains can take when it costs ``cost`` (exact) at the most.

        In units of the quote asset for a buy and of the base asset for a sell.  It is an upper
        bound of what fills can debit, whatever their number: costs are rounded down fill by fill,
        fees are rounded on the order's total.
        """
        pair = self.instrument
        if self.buy:
            amount = -rescale_floor(-cost, pair.exact_decimals, pair.quote.decimals)
            return amount if self.fee_in_base else amount + self._fee_ahead(cost)
        left = self.qty - self.filled
        amount = rescale_ceil(left, pair.lot_decimals, pair.base.decimals)
        return amount + self._fee_ahead(left) if self.fee_in_base else amount

    def charge(self, cost: int, quantity: int, rate_ppm: int, proceeds: int) -> tuple[int, int]:
        """Book a fill and return ``(fee at fee_decimals, fee in units of its asset)`` of this fill.

        The fee is rounded half up on the order's total, so that fills add up to the order's fee.
        Where it is paid out of the ``proceeds`` and they are too small for it, a later fill pays it.
        """
        exact, decimals, units = self._fee_scales()
        before = rescale_floor(self.fee, decimals, units)
        self.filled += quantity
        self.cost += cost
        rate_ppm = min(rate_ppm, self.rate_cap_ppm)
        self.fee_exact += (quantity if self.fee_in_base else cost) * rate_ppm
        total = rescale_half_up(self.fee_exact, exact, decimals)
        amount = rescale_floor(total, decimals, units) - before
        if self.buy is self.fee_in_base and amount > proceeds:
            return 0, 0
        fee = total - self.fee
        self.fee = total
        return fee, amount

    def _fee_ahead(self, amount: int) -> int:
        exact, decimals, units = self._fee_scales()
        total = rescale_half_up(self.fee_exact + amount * self.rate_cap_ppm, exact, decimals)
        ahead = rescale_floor(total, decimals, units)
        return ahead - rescale_floor(self.fee, decimals, units) if self.fee else ahead

    def _fee_scales(self) -> tuple[int, int, int]:
        """Return the decimals of ``fee_exact``, of ``fee``, and of the asset that fees are paid in."""
        pair = self.instrument
        if self.fee_in_base:
            return pair.lot_decimals + 6, pair.lot_decimals, pair.base.decimals
        return pair.exact_decimals + 6, pair.cost_decimals, pair.quote.decimals
