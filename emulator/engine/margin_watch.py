"""Whose margin level may have changed, and when it is looked at again.

A level follows from an account's balances and positions, and from the prices that these are valued at.  So
it is looked at when one of them has changed, once however much changes meanwhile, and not because time
passes.  An account whose positions nobody takes waits for the books of their pairs besides.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from emulator.engine.timers import Timers
from emulator.engine.valuation import USD, Valuation

if TYPE_CHECKING:
    from emulator.engine.accounts import Account
    from emulator.engine.market import Market

CHECK_NS = 10**9
"""How long after a change the margin level is looked at."""


class MarginWatch:
    """Has ``look`` called for accounts with positions, some time after what their level depends on changed.

    An account whose look is due already leaves the pairs that it watches until then: a trade costs those whom
    it tells something new, and the others nothing.
    """

    __slots__ = ("_followed", "_look", "_markets", "_now", "_timers", "_valuation")

    def __init__(
        self,
        markets: "Mapping[str, Market]",
        valuation: Valuation,
        timers: Timers,
        look: "Callable[[Account], None]",
        now: Callable[[], int],
    ) -> None:
        self._markets = markets
        self._valuation = valuation
        self._timers = timers
        self._look = look
        self._now = now
        self._followed: dict[Account, tuple[Market, ...]] = {}

    def changed(self, account: "Account") -> None:
        """Have an account looked at: its balances, its positions or their prices are others."""
        if account.margin_check_queued:
            return
        if account.positions:
            self.look_at(account, self._now() + CHECK_NS)
        else:
            self._leave(account)

    def look_at(self, account: "Account", due_ns: int) -> None:
        """Have an account looked at by then; what changes meanwhile is seen then."""
        account.margin_check_queued = True
        self._leave(account)
        self._timers.at(due_ns, self._look, account)

    def follow(self, account: "Account", *, stuck: bool) -> None:
        """Watch prices for an account that was looked at, and books when its positions are ``stuck``."""
        account.margin_check_queued = False
        if not account.positions:
            return
        own = dict.fromkeys(self._markets[p.instrument.id] for p in account.positions.values())
        assets = dict.fromkeys((*account.balances, *(market.instrument.quote.id for market in own)))
        markets = dict(own)
        for asset in assets:
            markets.update(dict.fromkeys(self._valuation.markets(asset, USD)))
        for market in markets:
            market.watchers[account] = None
        for market in own if stuck else ():
            market.liquidations[account] = None
        self._followed[account] = tuple(markets)

    def price_changed(self, market: "Market") -> None:
        """Have those looked at whose positions or balances are worth something else now."""
        for account in list(market.watchers):
            self.changed(account)

    def book_changed(self, market: "Market") -> None:
        """Have those looked at whose positions somebody may take now.

        Before the first trade the book is the price.
        """
        for account in list(market.liquidations if market.last_price else market.watchers):
            self.changed(account)

    def _leave(self, account: "Account") -> None:
        for market in self._followed.pop(account, ()):
            market.watchers.pop(account, None)
            market.liquidations.pop(account, None)

    def clear(self) -> None:
        """Forget everybody."""
        self._followed.clear()
        for market in self._markets.values():
            market.watchers.clear()
            market.liquidations.clear()
