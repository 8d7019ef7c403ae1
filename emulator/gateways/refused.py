"""A command that the engine has refused, with what it was about: worked out when somebody asks why."""

from functools import cached_property
from typing import Any

from emulator.engine import commands, margin, matching, rules
from emulator.engine.accounts import Account
from emulator.engine.instruments import Instrument
from emulator.engine.market import Market
from emulator.engine.orders import Order
from emulator.engine.spot import SpotEngine
from emulator.gateways.descriptions import Price, price_text
from emulator.gateways.numbers import text


class Refused:
    """A refused command, and the state that refused it.

    ``place`` is the order as it was looked at: new, or as a change would have made it.
    """

    def __init__(
        self, engine: SpotEngine, command: Any, place: commands.PlaceOrder | None = None, fill: int = 0
    ) -> None:
        self.engine = engine
        self.command = command
        self.now_ns = engine.now_ns
        self._place = place
        self._fill = fill

    def with_place(self, place: commands.PlaceOrder, fill: int) -> "Refused":
        """Return the same of the order that follows from a fill of it at this price."""
        return Refused(self.engine, self.command, place, fill)

    @property
    def last_price(self) -> int:
        """The last price, or the one that is taken for it; 0 for none."""
        return self._fill or self.market.last_price

    @cached_property
    def account(self) -> Account:
        """Whose command it is."""
        return self.engine.accounts[self.command.account]

    @cached_property
    def order(self) -> Order | None:
        """The open order that the command changes or cancels."""
        account, command = self.account, self.command
        for txid in getattr(command, "txids", ()):
            if txid in account.open:
                return account.open[txid]
        if isinstance(command, commands.PlaceOrder):
            return None
        return account.find_open(getattr(command, "txid", None), getattr(command, "cl_ord_id", None))

    @cached_property
    def markets(self) -> list[Market]:
        """The markets that it is about; for a pair or an order, that one."""
        if isinstance(self.command, commands.PlaceOrder) or self.order is not None:
            return [self.market]
        return [self.engine.markets[order.instrument.id] for order in self.account.open.values()]

    @cached_property
    def market(self) -> Market:
        """The pair's market."""
        order = self.order
        return self.engine.markets[self.command.pair if order is None else order.instrument.id]

    @property
    def pair(self) -> Instrument:
        """The pair."""
        return self.market.instrument

    @property
    def filled(self) -> int:
        """What of the order is filled."""
        return 0 if self.order is None else self.order.filled

    @cached_property
    def place(self) -> commands.PlaceOrder:
        """The order that it would have been."""
        command, order, market = self.command, self.order, self.market
        if self._place is not None:
            return self._place
        if isinstance(command, commands.AmendOrder):
            assert order is not None  # noqa: S101 - one that is not open is refused for that
            change = rules.Change(command, order, market)
            return rules.amended(command, order, change)
        if isinstance(command, commands.EditOrder):
            assert order is not None  # noqa: S101 - as above
            command = rules.replacement(command, order)
        return rules.resolved(command, market, self.pair)

    def draft(self) -> Order:
        """Return the order as the engine would have made it; the venue has none of it."""
        place, market, account = self.place, self.market, self.account
        order = self.engine.draft(place, market, account, txid="")
        if isinstance(self.command, commands.AmendOrder) and self.order is not None:
            old = self.order
            order.filled, order.fee, order.fee_exact = old.filled, old.fee, old.fee_exact
            order.fee_in_base, order.rate_cap_ppm, order.cash = old.fee_in_base, old.rate_cap_ppm, old.cash
        if order.cash and not order.qty:
            order.qty = matching.affordable(market.book.asks, account, order.cash)
        elif not order.qty:
            order.qty = margin.closable(account, market.instrument, buy=order.buy)
        return order

    # -- numbers ----------------------------------------------------------------------------------

    def price(self, value: Price) -> str:
        """Return a price as text."""
        return "none" if value is None else price_text(self.pair, value)

    def size(self, value: int) -> str:
        """Return a quantity as text."""
        return text(value, self.pair.lot_decimals)

    def cost(self, value: int) -> str:
        """Return an exact cost as text, with its asset."""
        pair = self.pair
        return f"{text(pair.reported_cost(value), pair.cost_decimals)} {pair.quote.altname}"

    def amount(self, asset: str, value: int) -> str:
        """Return an amount of an asset as text, with its name."""
        found = self.engine.catalogue.assets[asset]
        return f"{text(value, found.decimals)} {found.altname}"
