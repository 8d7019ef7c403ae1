"""What goes into an engine.  Plain values only, so that a command can be written to a journal.

Prices and quantities are integers in the pair's units; times are nanoseconds since the epoch.
"""

import msgspec

from emulator.engine.instruments import Side
from emulator.engine.orders import OrderType, SelfTrade, TimeInForce


class PlaceOrder(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Place an order.  ``price`` is None for a market order."""

    account: str
    pair: str
    side: Side
    type: OrderType
    qty: int
    price: int | None = None
    tif: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    reduce_only: bool = False
    display: int = 0
    """Displayed slice of an iceberg."""
    expire_ns: int = 0
    cl_ord_id: str | None = None
    userref: int | None = None
    self_trade: SelfTrade = SelfTrade.CANCEL_NEWEST
    fee_in_base: bool = False
    deadline_ns: int = 0
    """Refuse the command when it arrives later than this; 0 for never."""


class AmendOrder(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Change a resting order in place.  ``None`` leaves a value as it is."""

    account: str
    txid: str | None = None
    cl_ord_id: str | None = None
    qty: int | None = None
    price: int | None = None
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
    price: int | None = None
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


Command = PlaceOrder | AmendOrder | EditOrder | CancelOrder | CancelAll | CancelAllAfter | Deposit
