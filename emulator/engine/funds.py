"""What an order may use, on hold or as margin: the same for whatever is placed, changed or set off."""

from collections.abc import Mapping

from emulator.engine import margin, margin_rules, matching
from emulator.engine.accounts import Account
from emulator.engine.events import Reject
from emulator.engine.instruments import Asset
from emulator.engine.market import Market
from emulator.engine.orders import Order
from emulator.engine.valuation import USD, Valuation


class Funds:
    """Puts what orders need on hold, and refuses those that cannot be paid for."""

    __slots__ = ("_assets", "_markets", "_valuation")

    def __init__(
        self, assets: Mapping[str, Asset], markets: Mapping[str, Market], valuation: Valuation
    ) -> None:
        self._assets = assets
        self._markets = markets
        self._valuation = valuation

    def fault(self, order: Order, market: Market, gives_way: Order | None = None) -> Reject | None:
        """Put the order's funds on hold, or return why that cannot be done and change nothing.

        ``gives_way`` is the order that has funds for this one already: the one that it replaces, or itself
        when it is changed or goes live.
        """
        if order.leverage:
            return self._margin_fault(order, market, gives_way)
        account, pair = order.account, order.instrument
        cost = (order.price or order.held_price) * order.remaining
        if not cost and order.buy:
            cost = cost_ahead(order, market)
        needed = order.hold_needed(cost)
        asset = pair.quote.id if order.buy else pair.base.id
        if needed > account.available(asset) + (0 if gives_way is None else gives_way.hold):
            return Reject.INSUFFICIENT_FUNDS
        account.hold(order, needed)
        return None

    def balance(self, account: Account, target: str = USD, without: Order | None = None) -> margin.Balance:
        """Return what the account has, owes and may use, in whole units of ``target``."""
        return margin.balance(account, self._assets, self._markets, self._valuation, target, without)

    def _margin_fault(self, order: Order, market: Market, gives_way: Order | None) -> Reject | None:
        account, pair = order.account, order.instrument
        closable = margin.closable(account, pair, buy=order.buy)
        return margin_rules.opening_fault(
            account,
            pair,
            buy=order.buy,
            leverage=order.leverage,
            opening=0 if order.reduce_only else max(order.remaining - closable, 0),
            price=order.held_price or margin.market_price(market),
            now=self.balance(account, without=gives_way),
            valuation=self._valuation,
        )


def cost_ahead(order: Order, market: Market) -> int:
    """Return the exact cost of a market order to buy: what the book asks, as far as price protection lets it.

    Where nobody is near enough the order is valued at the market's price.
    """
    worst = market.protection(buy=True)
    if worst is None:
        cost = margin.market_price(market) * order.remaining
    else:
        cost = matching.cost_to_take(market.book.asks, order, worst)
    return min(cost, order.cash) if order.cash else cost
