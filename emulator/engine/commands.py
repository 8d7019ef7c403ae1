"""What goes into an engine.  Plain values only, so that a command can be written to a journal.

Prices and quantities are integers in the pair's units; times are nanoseconds since the epoch.
"""

import msgspec

from emulator.engine.instruments import Side
from emulator.engine.orders import OrderType, Reason, SelfTrade, TimeInForce
from emulator.engine.status import TradingStatus
from emulator.engine.triggers import Offset, Reference


class Close(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The order that each fill places, on the other side and for what was filled.

    Offsets are taken from the price of the fill.
    """

    type: OrderType
    price: int | Offset | None = None
    trigger: int | Offset | None = None
    reference: Reference = Reference.LAST


class PlaceOrder(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Place an order.

    ``price`` is the limit, None for orders without one; ``trigger`` is what a triggered order waits for.  An
    offset is a distance from the last trade; that of a trailing trigger from the best price since; that of
    a triggered order's limit from the trigger's price.
    """

    account: str
    pair: str
    side: Side
    type: OrderType
    qty: int
    price: int | Offset | None = None
    trigger: int | Offset | None = None
    reference: Reference = Reference.LAST
    tif: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    reduce_only: bool = False
    display: int = 0
    """Displayed slice of an iceberg."""
    start_ns: int = 0
    """When the order goes live; 0 for at once."""
    expire_ns: int = 0
    cash: int = 0
    """What a market order spends, as an exact cost, instead of ``qty``."""
    leverage: int = 0
    """How many times the collateral is traded; 0 for an order with the account's own funds."""
    close: Close | None = None
    cl_ord_id: str | None = None
    userref: int | None = None
    self_trade: SelfTrade = SelfTrade.CANCEL_NEWEST
    fee_in_base: bool = False
    deadline_ns: int = 0
    """Refuse the command when it arrives later than this; 0 for never."""
    batch: int = 1
    """How many orders came in the same request: it decides what they cost the rate counter."""


class AmendOrder(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Change an open order in place.  ``None`` leaves a value as it is; offsets are from the last trade."""

    account: str
    txid: str | None = None
    cl_ord_id: str | None = None
    new_cl_ord_id: str | None = None
    """What the order is called from now on; an id of FIX is that of the last request."""
    qty: int | None = None
    price: int | Offset | None = None
    trigger: int | Offset | None = None
    display: int | None = None
    post_only: bool = False
    deadline_ns: int = 0


class EditOrder(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Cancel an order and place a new one with its values, changed where they are not ``None``.

    ``qty`` counts what the old order has filled: the new one is for the rest.
    """

    account: str
    txid: str
    qty: int | None = None
    price: int | Offset | None = None
    trigger: int | Offset | None = None
    display: int | None = None
    post_only: bool = False
    reduce_only: bool = False
    userref: int | None = None
    fee_in_base: bool | None = None
    deadline_ns: int = 0


class CancelOrder(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Cancel one order by its txid or its client order id."""

    account: str
    txid: str | None = None
    cl_ord_id: str | None = None
    batch: bool = False
    """Whether it is part of a batch, which is carried out whatever the rate counter says."""


class CancelOrders(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Cancel several orders by their txids; those that cannot be are refused, the others are cancelled."""

    account: str
    txids: tuple[str, ...]
    batch: bool = True
    """Whether they are cancelled whatever the rate counter says."""


class CancelAll(msgspec.Struct, frozen=True, gc=False):
    """Cancel every open order of the account."""

    account: str


class CancelAllAfter(msgspec.Struct, frozen=True, gc=False):
    """Arm the dead man's switch; 0 seconds disarm it."""

    account: str
    timeout_s: int


class Deposit(msgspec.Struct, frozen=True, gc=False):
    """Credit ``amount`` (in units of the asset's decimals) to the account."""

    account: str
    asset: str
    amount: int
    fee: int = 0
    method: str = ""
    address: str = ""


class Withdraw(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Send ``amount`` away, and pay ``fee`` for it."""

    account: str
    asset: str
    amount: int
    fee: int
    method: str
    network: str
    key: str
    address: str


class CancelWithdrawal(msgspec.Struct, frozen=True, gc=False):
    """Give a withdrawal back that has not been sent."""

    account: str
    asset: str
    refid: str


class TransferToFutures(msgspec.Struct, frozen=True, gc=False):
    """Move funds to the account's futures wallet."""

    account: str
    asset: str
    amount: int


class TransferToAccount(msgspec.Struct, frozen=True, gc=False):
    """Move funds from one account of a master to another; ``account`` is the master."""

    account: str
    source: str
    target: str
    asset: str
    amount: int


class CreateSubaccount(msgspec.Struct, frozen=True, gc=False):
    """Open an account under a master."""

    account: str
    name: str


class Allocate(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Put funds into an earn strategy; a negative ``amount`` takes them out."""

    account: str
    strategy: str
    asset: str
    amount: int
    rate_ppm: int
    """Yearly reward of the strategy."""
    unbonding_days: int = 0


class SetIndex(msgspec.Struct, frozen=True, gc=False):
    """Tell the index price of a pair, in price units."""

    pair: str
    price: int


class SetStatus(msgspec.Struct, frozen=True, gc=False):
    """Change what may be done in a pair, or on the whole venue when ``pair`` is None."""

    status: TradingStatus
    pair: str | None = None


# -- what tests make happen (see ``managed``) ------------------------------------------------------------


class SetBalances(msgspec.Struct, frozen=True, gc=False):
    """Make balances these, all or none: ``(asset, amount in units of its decimals)``."""

    account: str
    balances: tuple[tuple[str, int], ...]


class SetBook(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Make the orders of the ``house`` account in a pair these: ``(price, quantity)`` of each level."""

    house: str
    pair: str
    bids: tuple[tuple[int, int], ...] = ()
    asks: tuple[tuple[int, int], ...] = ()
    adds: bool = False
    """Whether these come on top of what the house has there, which otherwise goes."""
    match: bool = False
    """Whether they may trade with orders that they cross."""


class PrintTrade(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Let the ``house`` trade with itself at ``price``; ``side`` is the taker's.  The book stays as it is."""

    house: str
    pair: str
    side: Side
    price: int
    qty: int
    through: bool = False
    """Whether clients' orders with better prices are filled first; without it they forbid the trade."""


class FillOrder(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Fill an open order against the ``house``; one that waits is set off first.

    ``qty`` None is all that remains.  ``price`` None is the order's limit, else what it waits for, else the
    last price.
    """

    house: str
    account: str
    txid: str | None = None
    cl_ord_id: str | None = None
    qty: int | None = None
    price: int | None = None


class EndOrder(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """End an open order for a reason: ``EXPIRED`` lets it expire, the others cancel it."""

    account: str
    txid: str | None = None
    cl_ord_id: str | None = None
    reason: Reason = Reason.USER


class Reset(msgspec.Struct, frozen=True, gc=False):
    """Begin anew: clients own what ``deposits`` give them and have done nothing yet; ids go on."""

    deposits: tuple[Deposit, ...]
    keeps_market: bool = False
    """Whether the house's orders and the last prices stay."""


Command = (
    PlaceOrder
    | AmendOrder
    | EditOrder
    | CancelOrder
    | CancelOrders
    | CancelAll
    | CancelAllAfter
    | Deposit
    | Withdraw
    | CancelWithdrawal
    | TransferToFutures
    | TransferToAccount
    | CreateSubaccount
    | Allocate
    | SetIndex
    | SetStatus
    | SetBalances
    | SetBook
    | PrintTrade
    | FillOrder
    | EndOrder
    | Reset
)
