"""Margin: positions, what they are worth, and what an account may still open.

Funds that open a position come from the venue's pool: balances do not change but for fees, until the
position is closed (its profit or loss is booked) or settled (the borrowed funds are paid back and the
others received).  Sources: Kraken's support pages on margin, REST ``TradeBalance`` and ``OpenPositions``.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from emulator.engine.instruments import Asset, Instrument, rescale_half_up
from emulator.engine.valuation import USD, Valuation

if TYPE_CHECKING:
    from emulator.engine.accounts import Account
    from emulator.engine.market import Market
    from emulator.engine.orders import Order

ROLLOVER_NS = 4 * 3600 * 10**9
"""Positions pay for the funds they use once in this time."""
CALL_PERCENT = 80
"""Margin level below which Kraken warns."""
LIQUIDATION_PERCENT = 40
"""Margin level below which positions are closed, the oldest first."""
OPENING_PERCENT = 100
"""Least margin level that an account may have after opening a position."""
CHECK_NS = 10**9
"""How often the margin level of accounts with positions is looked at."""
MOST_POSITIONS = 500
"""Most open positions of an account; Kraken's number is not published."""
_RATES = {USD: 250}
"""Margin fees, in parts per million of what is borrowed, of assets whose data does not tell theirs."""
_USUAL_RATE = 200
_PPM = 1_000_000


class Position:
    """What one fill has opened, as far as it is not closed; its id is the trade's.  Costs are exact."""

    __slots__ = (
        "account",
        "buy",
        "closed",
        "closed_cost",
        "closed_fee",
        "cost",
        "fee",
        "id",
        "instrument",
        "leverage",
        "net",
        "opened_ns",
        "order_txid",
        "order_type",
        "qty",
        "rate_ppm",
        "rollover_ns",
        "trades",
    )

    def __init__(self, id_: str, order: "Order", now_ns: int) -> None:
        self.id = id_
        self.account = order.account
        self.instrument = order.instrument
        self.order_txid = order.txid
        self.order_type = order.type
        self.buy = order.buy
        self.leverage = order.leverage
        self.opened_ns = now_ns
        self.rollover_ns = now_ns + ROLLOVER_NS
        self.rate_ppm = fee_rate(order.instrument, buy=order.buy)
        self.qty = 0
        self.cost = 0
        self.fee = 0
        """Fees so far, at the pair's cost decimals: trading, opening and rollover."""
        self.closed = 0
        self.closed_cost = 0
        self.closed_fee = 0
        self.net = 0
        """Profit of what has been closed, exact."""
        self.trades: list[str] = []

    @property
    def open(self) -> int:
        """Quantity that is still open."""
        return self.qty - self.closed

    @property
    def open_cost(self) -> int:
        """What the open part cost."""
        return self.cost - self._share(self.closed)

    def margin(self, price: int) -> Fraction:
        """Return the used margin of the open part, as an exact cost.

        A short position uses margin in the base asset, so it is worth more when the price rises.
        """
        return Fraction(self.open_cost if self.buy else self.open * price, self.leverage)

    def profit(self, price: int) -> int:
        """Return what closing the open part at ``price`` would gain, fees aside."""
        gain = self.open * price - self.open_cost
        return gain if self.buy else -gain

    def take(self, quantity: int, price: int) -> int:
        """Close a part at ``price``; return its profit, exact."""
        gain = quantity * price - (self._share(self.closed + quantity) - self._share(self.closed))
        gain = gain if self.buy else -gain
        self.closed += quantity
        self.closed_cost += quantity * price
        self.net += gain
        return gain

    def _share(self, quantity: int) -> int:
        return self.cost * quantity // self.qty if self.qty else 0


def fee_rate(pair: Instrument, *, buy: bool) -> int:
    """Return the fee for opening, and for each rollover, in ppm: long positions borrow the quote asset."""
    asset = pair.quote if buy else pair.base
    if asset.margin_rate is not None:
        return int(Fraction(asset.margin_rate) * 10_000)
    return _RATES.get(asset.id, _USUAL_RATE)


def margin_fee(pair: Instrument, cost: int, rate_ppm: int) -> int:
    """Return the fee on an exact cost, at the pair's cost decimals."""
    return rescale_half_up(cost * rate_ppm, pair.exact_decimals + 6, pair.cost_decimals)


def opposite(account: "Account", pair: Instrument, *, buy: bool) -> "Iterator[Position]":
    """Return the positions that an order of this side closes, oldest first."""
    return (p for p in account.positions.values() if p.instrument is pair and p.buy is not buy)


def closable(account: "Account", pair: Instrument, *, buy: bool) -> int:
    """Return how much an order of this side can close."""
    return sum(position.open for position in opposite(account, pair, buy=buy))


class Balance:
    """What ``TradeBalance`` tells, in whole units of one asset."""

    __slots__ = ("cost", "equivalent", "margin", "ordered", "profit", "reserved", "trade", "value")

    def __init__(self) -> None:
        zero = Fraction(0)
        self.equivalent = zero
        """All balances."""
        self.trade = zero
        """Balances as collateral: each at its collateral value."""
        self.margin = zero
        self.profit = zero
        self.cost = zero
        self.value = zero
        self.ordered = zero
        """What remains of open orders."""
        self.reserved = zero
        """Initial margin that open orders would need."""

    @property
    def equity(self) -> Fraction:
        """Collateral and unrealised profit."""
        return self.trade + self.profit

    @property
    def free(self) -> Fraction:
        """Equity that no position uses."""
        return self.equity - self.margin

    @property
    def level(self) -> Fraction | None:
        """Margin level in per cent; None without a position."""
        return self.equity * 100 / self.margin if self.margin else None


def balance(
    account: "Account",
    assets: "dict[str, Asset]",
    markets: "dict[str, Market]",
    valuation: Valuation,
    target: str,
) -> Balance:
    """Return what the account has, owes and may use, in whole units of ``target``."""
    result = Balance()
    for name, amount in account.balances.items():
        rate = valuation.rate(name, target)
        if rate is not None:
            worth = Fraction(amount, 10 ** assets[name].decimals) * rate
            result.equivalent += worth
            result.trade += worth * Fraction(assets[name].collateral_value or 0)
    for position in account.positions.values():
        pair = position.instrument
        unit = _unit(pair, valuation, target)
        price = market_price(markets[pair.id]) or position.cost // max(position.qty, 1)
        result.margin += position.margin(price) * unit
        result.profit += position.profit(price) * unit
        result.cost += position.open_cost * unit
        result.value += position.open * price * unit
    for order in account.open.values():
        cost = order.remaining * (order.held_price or market_price(markets[order.instrument.id]))
        worth = cost * _unit(order.instrument, valuation, target)
        result.ordered += worth
        if order.leverage and not order.reduce_only:
            result.reserved += worth / order.leverage
    return result


def market_price(market: "Market") -> int:
    """Return the price that positions are valued at: the last trade, else the better known side."""
    if market.last_price:
        return market.last_price
    best = market.book.bids.best() or market.book.asks.best()
    return 0 if best is None else best.price


def _unit(pair: Instrument, valuation: Valuation, target: str) -> Fraction:
    """Return what one unit of an exact cost is worth."""
    return (valuation.rate(pair.quote.id, target) or Fraction(0)) / Fraction(10**pair.exact_decimals)
