"""The records that trading leaves behind: private trades and ledger entries."""

import msgspec


class TradeRecord(msgspec.Struct, frozen=True, gc=False):
    """One side of one fill, as its account sees it.  Amounts are in the pair's units."""

    exec_id: str
    order_txid: str
    pair: str
    trade_id: int
    """Number of the public trade, per pair."""
    time_ns: int
    buy: bool
    order_type: str
    maker: bool
    price: int
    qty: int
    cost: int
    """Exact cost of this fill: price x quantity, but for the last fill of an order for an amount."""
    fee: int
    """Fee at the order's ``fee_decimals``."""
    fee_asset: str
    cum_qty: int
    cum_cost: int
    """Exact cost of the order so far, this fill included."""
    cum_fee: int
    ledgers: tuple[str, ...]
    margin: int = 0
    """Initial margin of what the fill opened, as an exact cost."""
    leverage: int = 0
    position: str | None = None
    """Id of the position that the fill opened or added to."""
    closing: bool = False
    """Whether the fill closed positions."""


class LedgerEntry(msgspec.Struct, frozen=True, gc=False):
    """One change of one balance.  Amounts are in units of the asset's own decimals."""

    id: str
    refid: str
    time_ns: int
    type: str
    """``trade``, ``deposit``, …, in the words of REST ``Ledgers``."""
    asset: str
    amount: int
    """Signed change before the fee."""
    fee: int
    balance: int
    """Balance afterwards: previous + amount - fee."""
    subtype: str = ""
