"""An account: balances, what is on hold, its orders, and what trading left behind."""

from enum import StrEnum
from typing import TYPE_CHECKING

from emulator.engine.history import remember
from emulator.engine.ledger import LedgerEntry, TradeRecord
from emulator.engine.limits import LIMITS, AccountTier, Counter
from emulator.engine.margin import Position
from emulator.engine.orders import Order

if TYPE_CHECKING:
    from emulator.engine.wallets import Allocation, Movement

_DAY_NS = 86_400 * 10**9


class AccountState(StrEnum):
    """What an account may do at all."""

    ACTIVE = "active"
    LOCKED = "locked"
    """It may not trade."""
    UNCONFIRMED = "unconfirmed"
    DISABLED = "disabled"


class Account:
    """One trading account.  Balances and holds are integers in units of the asset's decimals.

    A ``house`` account is the market's: it has no limits, pays no fees and keeps no history.
    """

    __slots__ = (
        "_volume_base",
        "_volume_days",
        "balances",
        "by_cl_ord_id",
        "by_userref",
        "cancel_after_ns",
        "cancel_after_queued_ns",
        "cancelling",
        "closed",
        "closed_positions",
        "deposits",
        "earn",
        "futures",
        "holds",
        "house",
        "ledger",
        "margin_allowance_usd",
        "margin_check_queued",
        "master",
        "name",
        "open",
        "open_per_pair",
        "positions",
        "rates",
        "scheduled",
        "state",
        "tier",
        "trades",
        "vip",
        "withdrawals",
    )

    def __init__(
        self,
        name: str,
        *,
        tier: AccountTier = AccountTier.PRO,
        vip: bool = False,
        house: bool = False,
        volume_usd: int = 0,
        margin_allowance_usd: int | None = None,
        state: AccountState = AccountState.ACTIVE,
    ) -> None:
        self.name = name
        self.tier = tier
        self.vip = vip
        self.house = house
        self.state = state
        self.master = name
        """The account that this one is a subaccount of, or itself."""
        self.margin_allowance_usd = margin_allowance_usd
        """Most that the account's positions may be worth together, in whole USD; None for no limit."""
        self._volume_base = volume_usd
        self.clear()

    def clear(self) -> None:
        """Let the account own nothing and have done nothing."""
        self.balances: dict[str, int] = {}
        self.holds: dict[str, int] = {}
        self.open: dict[str, Order] = {}
        self.open_per_pair: dict[str, int] = {}
        self.by_cl_ord_id: dict[str, Order] = {}
        self.by_userref: dict[int, dict[str, Order]] = {}
        self.closed: dict[str, Order] = {}
        self.trades: dict[str, TradeRecord] = {}
        self.ledger: dict[str, LedgerEntry] = {}
        self.deposits: dict[str, Movement] = {}
        self.withdrawals: dict[str, Movement] = {}
        self.earn: dict[str, Allocation] = {}
        """What is in earn strategies, by strategy."""
        self.futures: dict[str, int] = {}
        """Balances of the futures wallet."""
        self.positions: dict[str, Position] = {}
        """Open positions by id, oldest first."""
        self.closed_positions: dict[str, Position] = {}
        self.margin_check_queued = False
        """Whether the margin level will be looked at, so that further changes need not be told."""
        self.cancelling = 0
        """How many orders are still to be cancelled of those that a request was about."""
        self.scheduled = 0
        """How many orders wait for their start time."""
        self.rates: dict[str, Counter] = {}
        """The engine's rate counters, by pair."""
        self.cancel_after_ns = 0
        """When the dead man's switch fires; 0 when it is off."""
        self.cancel_after_queued_ns = 0
        """When the engine next looks at the switch; 0 when it does not."""
        self._volume_days: dict[int, int] = {}

    def available(self, asset: str) -> int:
        """Return what may still be spent of ``asset``."""
        return self.balances.get(asset, 0) - self.holds.get(asset, 0)

    def move(self, asset: str, change: int) -> int:
        """Add ``change`` to the balance and return the new balance."""
        balance = self.balances[asset] = self.balances.get(asset, 0) + change
        return balance

    def rate(self, pair: str) -> Counter:
        """Return the engine's rate counter of a pair."""
        counter = self.rates.get(pair)
        if counter is None:
            counter = self.rates[pair] = Counter(LIMITS[self.tier].engine_decay)
        return counter

    def hold(self, order: Order, amount: int) -> None:
        """Set what ``order`` keeps on hold to ``amount``."""
        asset = order.instrument.quote.id if order.buy else order.instrument.base.id
        self.holds[asset] = self.holds.get(asset, 0) + amount - order.hold
        order.hold = amount

    def opened(self, order: Order) -> None:
        """Enter ``order`` among the open ones."""
        pair = order.instrument.id
        self.open[order.txid] = order
        self.open_per_pair[pair] = self.open_per_pair.get(pair, 0) + 1
        if order.cl_ord_id is not None:
            self.by_cl_ord_id[order.cl_ord_id] = order
        if order.userref is not None:
            self.by_userref.setdefault(order.userref, {})[order.txid] = order

    def renamed(self, order: Order, cl_ord_id: str) -> None:
        """Give an open order another client order id."""
        if order.cl_ord_id is not None:
            self.by_cl_ord_id.pop(order.cl_ord_id, None)
        order.cl_ord_id = cl_ord_id
        self.by_cl_ord_id[cl_ord_id] = order

    def ended(self, order: Order) -> None:
        """Move ``order`` from the open ones to the history and release its hold."""
        if order.hold:
            self.hold(order, 0)
        del self.open[order.txid]
        self.open_per_pair[order.instrument.id] -= 1
        if order.cl_ord_id is not None:
            self.by_cl_ord_id.pop(order.cl_ord_id, None)
        if order.userref is not None:
            same = self.by_userref[order.userref]
            del same[order.txid]
            if not same:
                del self.by_userref[order.userref]
        remember(self.closed, order.txid, order)

    def find_open(self, txid: str | None, cl_ord_id: str | None) -> Order | None:
        """Return an open order by its txid, or by its client order id when there is none."""
        return self.open.get(txid) if txid is not None else self.by_cl_ord_id.get(cl_ord_id or "")

    def find(self, txid: str) -> Order | None:
        """Return an order by txid, open or ended."""
        return self.open.get(txid) or self.closed.get(txid)

    def position(self, id_: str | None) -> Position | None:
        """Return a position by its id, open or closed."""
        return self.positions.get(id_ or "") or self.closed_positions.get(id_ or "")

    def position_closed(self, position: Position) -> None:
        """Move a position from the open ones to the history."""
        del self.positions[position.id]
        remember(self.closed_positions, position.id, position)

    def volume_usd(self, now_ns: int) -> int:
        """Return the volume of the last 30 days in whole USD, the profile's starting volume included."""
        today = now_ns // _DAY_NS
        if self._volume_days and next(iter(self._volume_days)) <= today - 30:
            self._volume_days = {day: v for day, v in self._volume_days.items() if day > today - 30}
        return self._volume_base + sum(self._volume_days.values()) // 100

    def add_volume(self, now_ns: int, usd_cents: int) -> None:
        """Count a trade towards the 30-day volume."""
        today = now_ns // _DAY_NS
        self._volume_days[today] = self._volume_days.get(today, 0) + usd_cents
