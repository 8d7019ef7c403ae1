"""Margin: positions, what they are worth, and what an account may still open.

Funds that open a position come from the venue's pool: balances do not change but for fees, until the
position is closed (its profit or loss is booked) or settled (the borrowed funds are paid back and the
others received).  Sources: Kraken's support pages on margin, REST ``TradeBalance`` and ``OpenPositions``.
"""

from collections.abc import Iterator, Mapping
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
        return Fraction(self.backed(price), self.leverage)

    def backed(self, price: int) -> int:
        """Return the exact cost that the used margin is a part of, by the leverage."""
        return self.open_cost if self.buy else self.open * price

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
    assets: "Mapping[str, Asset]",
    markets: "Mapping[str, Market]",
    valuation: Valuation,
    target: str,
    without: "Order | None" = None,
) -> Balance:
    """Return what the account has, owes and may use, in whole units of ``target``.

    The open order ``without`` is left aside.
    """
    result = worth(account, assets, markets, valuation, target)
    for pair, (ordered, reserved) in _ordered(account, markets, without).items():
        unit = _unit(markets[pair].instrument, valuation, target)
        result.ordered += ordered * unit
        result.reserved += sum((Fraction(cost, by) for by, cost in reserved.items()), Fraction(0)) * unit
    return result


def _ordered(
    account: "Account", markets: "Mapping[str, Market]", without: "Order | None"
) -> dict[str, tuple[int, dict[int, int]]]:
    """Return exact costs of what remains of open orders by pair: of all, and by leverage of those that open.

    An account may have very many: fractions are added once a pair, not once an order.
    """
    found: dict[str, tuple[int, dict[int, int]]] = {}
    prices: dict[str, int] = {}
    for order in account.open.values():
        if order is without:
            continue
        pair = order.instrument.id
        price = order.held_price
        if not price:
            price = prices.get(pair) or prices.setdefault(pair, market_price(markets[pair]))
        cost = order.remaining * price
        ordered, reserved = found.get(pair) or (0, {})
        if order.leverage and not order.reduce_only:
            reserved[order.leverage] = reserved.get(order.leverage, 0) + cost
        found[pair] = (ordered + cost, reserved)
    return found


def worth(
    account: "Account",
    assets: "Mapping[str, Asset]",
    markets: "Mapping[str, Market]",
    valuation: Valuation,
    target: str,
) -> Balance:
    """Return what the account has and owes, open orders left aside: all that its margin level takes."""
    result = Balance()
    for name, amount in account.balances.items():
        rate = valuation.rate(name, target)
        if rate is not None:
            value = Fraction(amount, 10 ** assets[name].decimals) * rate
            result.equivalent += value
            result.trade += value * Fraction(assets[name].collateral_value or 0)
    for pair, sums in _held(account, markets).items():
        unit = _unit(markets[pair].instrument, valuation, target)
        result.margin += sum((Fraction(cost, by) for by, cost in sums.margin.items()), Fraction(0)) * unit
        result.profit += sums.profit * unit
        result.cost += sums.cost * unit
        result.value += sums.value * unit
    return result


class _Sums:
    """Exact costs of an account's positions in one pair."""

    __slots__ = ("cost", "margin", "profit", "value")

    def __init__(self) -> None:
        self.cost = self.profit = self.value = 0
        self.margin: dict[int, int] = {}
        """What margin is a part of, by leverage."""


def _held(account: "Account", markets: "Mapping[str, Market]") -> dict[str, _Sums]:
    """Return what positions come to by pair: fractions are added once a pair, not once a position."""
    found: dict[str, _Sums] = {}
    prices: dict[str, int] = {}
    for position in account.positions.values():
        pair = position.instrument.id
        sums = found.get(pair)
        if sums is None:
            sums = found[pair] = _Sums()
            prices[pair] = market_price(markets[pair])
        price = prices[pair] or position.cost // max(position.qty, 1)
        sums.margin[position.leverage] = sums.margin.get(position.leverage, 0) + position.backed(price)
        sums.profit += position.profit(price)
        sums.cost += position.open_cost
        sums.value += position.open * price
    return found


def market_price(market: "Market") -> int:
    """Return the price that positions are valued at: the last trade, else the better known side."""
    if market.last_price:
        return market.last_price
    best = market.book.bids.best() or market.book.asks.best()
    return 0 if best is None else best.price


def _unit(pair: Instrument, valuation: Valuation, target: str) -> Fraction:
    """Return what one unit of an exact cost is worth."""
    return (valuation.rate(pair.quote.id, target) or Fraction(0)) / Fraction(10**pair.exact_decimals)
