"""An engine spoken to in decimals, on a clock that moves only when told, and its state as text."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, TypeVar

import pytest

from emulator.engine import commands, events
from emulator.engine.accounts import Account
from emulator.engine.book import Level
from emulator.engine.events import Event, Reject
from emulator.engine.instruments import Catalogue, Side, scaled
from emulator.engine.orders import Order, OrderType
from emulator.engine.spot import SpotEngine
from emulator.engine.triggers import Offset

START_NS = 1_772_000_000 * 10**9
SECOND_NS = 10**9
DAY_NS = 86_400 * SECOND_NS
XBTUSD = "XXBTZUSD"

_T = TypeVar("_T")
_VALUES_OF_ORDER = sorted(set(Order.__slots__) - {"account", "instrument", "level", "prev", "next"})


class Refused(Exception):  # noqa: N818 - what the venue said, not a fault of the test
    """The venue refused a command."""

    def __init__(self, reason: Reject) -> None:
        super().__init__(reason)
        self.reason = reason


class Venue:
    """A spot engine; quantities, prices and amounts go in and come out as decimal text."""

    def __init__(self, catalogue: Catalogue, accounts: list[Account], **options: Any) -> None:
        self.engine = SpotEngine(catalogue, accounts, **options)
        self.now_ns = START_NS
        self.events: list[Event] = []
        self.history: list[Event] = []

    # -- commands ---------------------------------------------------------------------------------

    def apply(self, command: commands.Command) -> list[Event]:
        return self._heard(self.engine.apply(command, self.now_ns))

    def wait(self, seconds: float) -> list[Event]:
        """Let time pass, and whatever is due happen."""
        self.now_ns += int(seconds * SECOND_NS)
        return self._heard(self.engine.advance(self.now_ns))

    def deposit(self, account: str, **amounts: str) -> None:
        for asset, amount in amounts.items():
            units = scaled(amount, self.engine.catalogue.assets[asset].decimals)
            self.apply(commands.Deposit(account, asset, units))

    def buy(self, account: str, qty: str, price: str | Offset | None = None, **terms: Any) -> Order:
        return self._place(account, Side.BUY, qty, price, **terms)

    def sell(self, account: str, qty: str, price: str | Offset | None = None, **terms: Any) -> Order:
        return self._place(account, Side.SELL, qty, price, **terms)

    def amend(self, order: Order, **changes: Any) -> list[Event]:
        return self.apply(commands.AmendOrder(account=order.account.name, **self._changes(order, changes)))

    def edit(self, order: Order, **changes: Any) -> Order:
        changes = self._changes(order, changes)
        del changes["cl_ord_id"]
        self.apply(commands.EditOrder(account=order.account.name, **changes))
        return self.all(events.Accepted)[0].order

    def cancel(self, order: Order) -> list[Event]:
        return self.apply(commands.CancelOrder(account=order.account.name, txid=order.txid))

    def cancel_all(self, account: str) -> list[Event]:
        return self.apply(commands.CancelAll(account))

    def cancel_all_after(self, account: str, seconds: int) -> list[Event]:
        return self.apply(commands.CancelAllAfter(account, seconds))

    @contextmanager
    def refuses(self, reason: Reject) -> Iterator[None]:
        """Expect the command inside to be refused for ``reason``, and to change nothing."""
        before = state_of(self.engine)
        with pytest.raises(Refused) as refused:
            yield
        assert refused.value.reason is reason
        assert self.events == [events.Rejected(reason)]
        assert state_of(self.engine) == before

    # -- what one can see -------------------------------------------------------------------------

    def all(self, kind: type[_T]) -> list[_T]:
        """Events of one kind that the last command caused."""
        return [event for event in self.events if isinstance(event, kind)]

    def fills(self, order: Order) -> list[tuple[str, str]]:
        """``(quantity, price)`` of each fill of a client's order, oldest first."""
        pair = order.instrument
        return [
            (text(event.trade.qty, pair.lot_decimals), text(event.trade.price, pair.price_decimals))
            for event in self.history
            if isinstance(event, events.Filled) and event.order is order
        ]

    def filled(self, order: Order) -> str:
        return text(order.filled, order.instrument.lot_decimals)

    def bids(self, pair: str = XBTUSD) -> list[tuple[str, str]]:
        """``(price, displayed quantity)``, best first."""
        return self._levels(pair, self.engine.markets[pair].book.bids.top(100))

    def asks(self, pair: str = XBTUSD) -> list[tuple[str, str]]:
        """``(price, displayed quantity)``, best first."""
        return self._levels(pair, self.engine.markets[pair].book.asks.top(100))

    def balance(self, account: str, asset: str) -> str:
        return self._amount(asset, self.engine.accounts[account].balances.get(asset, 0))

    def held(self, account: str, asset: str) -> str:
        return self._amount(asset, self.engine.accounts[account].holds.get(asset, 0))

    def earned(self, asset: str) -> str:
        """What the venue has taken in fees."""
        return self._amount(asset, self.engine.settlement.fees.get(asset, 0))

    # -- inside -----------------------------------------------------------------------------------

    def _heard(self, heard: list[Event]) -> list[Event]:
        self.events = heard
        self.history += heard
        for event in heard:
            if isinstance(event, events.Rejected):
                raise Refused(event.reason)
        return heard

    def _place(
        self,
        account: str,
        side: Side,
        qty: str,
        price: str | Offset | None,
        *,
        pair: str = XBTUSD,
        display: str | None = None,
        **terms: Any,
    ) -> Order:
        known = self.engine.catalogue.pairs.get(pair) or self.engine.catalogue.pairs[XBTUSD]
        if display is not None:
            terms["display"] = scaled(display, known.lot_decimals)
            terms["type"] = OrderType.ICEBERG
        terms.setdefault("type", OrderType.MARKET if price is None else OrderType.LIMIT)
        self.apply(
            commands.PlaceOrder(
                account=account,
                pair=pair,
                side=side,
                qty=scaled(qty, known.lot_decimals),
                price=scaled(price, known.price_decimals) if isinstance(price, str) else price,
                **terms,
            )
        )
        return self.all(events.Accepted)[0].order

    @staticmethod
    def _changes(order: Order, changes: dict[str, Any]) -> dict[str, Any]:
        pair = order.instrument
        decimals = {"qty": pair.lot_decimals, "display": pair.lot_decimals, "price": pair.price_decimals}
        units = {
            key: scaled(value, decimals[key])
            for key, value in changes.items()
            if key in decimals and isinstance(value, str)
        }
        return {"txid": order.txid, "cl_ord_id": None} | changes | units

    def _levels(self, pair: str, levels: list[Level]) -> list[tuple[str, str]]:
        known = self.engine.catalogue.pairs[pair]
        return [(text(row.price, known.price_decimals), text(row.qty, known.lot_decimals)) for row in levels]

    def _amount(self, asset: str, units: int) -> str:
        return text(units, self.engine.catalogue.assets[asset].decimals)


def text(units: int, decimals: int) -> str:
    """Return a scaled integer as plain decimal text without trailing zeros."""
    return format(Decimal(units).scaleb(-decimals).normalize(), "f")


def queue(level: Level | None) -> list[Order]:
    """Return the orders of a level, the first to trade first."""
    orders = []
    order = level.head if level is not None else None
    while order is not None:
        orders.append(order)
        order = order.next
    return orders


def order_text(order: Order) -> str:
    """Return all that ``order`` remembers, its place among other objects left aside."""
    values = " ".join(f"{name}={getattr(order, name)}" for name in _VALUES_OF_ORDER)
    return f"{order.account.name} {order.instrument.id} {values}"


def event_text(event: Event) -> str:
    """Return an event with the orders in it written out."""
    fields = (getattr(event, name) for name in event.__struct_fields__)
    values = (order_text(value) if isinstance(value, Order) else repr(value) for value in fields)
    return f"{type(event).__name__}({', '.join(values)})"


def state_of(engine: SpotEngine) -> dict[str, Any]:
    """Return the venue's state in plain values; two equal ones cannot be told apart by trading."""
    state: dict[str, Any] = {
        "fees": dict(engine.settlement.fees),
        "due": engine._timers.due(),
    }
    for name, account in engine.accounts.items():
        state[name] = (
            {asset: units for asset, units in account.balances.items() if units},
            {asset: units for asset, units in account.holds.items() if units},
            [order_text(order) for order in account.open.values()],
            {pair: count for pair, count in account.open_per_pair.items() if count},
            {key: order.txid for key, order in account.by_cl_ord_id.items()},
            (len(account.closed), len(account.trades), len(account.ledger)),
            account.cancel_after_ns,
            account.volume_usd(engine.now_ns),
        )
    for pair, market in engine.markets.items():
        book = market.book
        if market.next_trade_id > 1 or book.bids.keys or book.asks.keys:
            levels = [side.levels[key] for side in (book.bids, book.asks) for key in side.keys]
            rows = [(row.price, row.qty, [order_text(order) for order in queue(row)]) for row in levels]
            state[pair] = (market.last_price, market.next_trade_id, rows)
    return state
