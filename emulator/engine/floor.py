"""The trading floor: how orders live, from being taken until they end, and what their fills set off.

``SpotEngine`` carries out commands on it.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from emulator.engine import commands, events, margin, matching, rules
from emulator.engine.accounts import Account
from emulator.engine.book import Book
from emulator.engine.events import Event, Reject
from emulator.engine.funds import Funds
from emulator.engine.ids import IdSequence
from emulator.engine.instruments import BUY, Catalogue
from emulator.engine.limits import LIMITS, AgeCosts
from emulator.engine.margin import Position
from emulator.engine.margin_watch import MarginWatch
from emulator.engine.market import Market
from emulator.engine.orders import (
    CANCELED,
    CLOSED,
    FOK,
    GTC,
    GTD,
    ICEBERG,
    IOC,
    OPEN,
    PENDING,
    Order,
    Reason,
    Status,
)
from emulator.engine.settlement import Settlement
from emulator.engine.status import ONLINE, TradingStatus
from emulator.engine.timers import Timers
from emulator.engine.triggers import Offset, Trigger
from emulator.engine.valuation import USD, Valuation
from emulator.engine.wallets import Wallets


class Floor:
    """State of the venue, and the life of its orders.

    ``post_only_rejects`` refuses a post-only order that would cross; by default it is accepted and
    cancelled at once, which is what was recorded live.  ``rate_limits`` turns the counters per account
    and pair on.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        accounts: Iterable[Account],
        *,
        seed: int = 0,
        first_trade_ids: Mapping[str, int] | None = None,
        post_only_rejects: bool = False,
        rate_limits: bool = False,
    ) -> None:
        first = first_trade_ids or {}
        self.catalogue = catalogue
        self.accounts = {account.name: account for account in accounts}
        self.markets = {name: Market(pair, first.get(name, 1)) for name, pair in catalogue.pairs.items()}
        self.valuation = Valuation(self.markets)
        self._funds = Funds(catalogue.assets, self.markets, self.valuation)
        self.now_ns = 0
        self.system = ONLINE
        self.rate_limits = rate_limits
        self.post_only_rejects = post_only_rejects
        self._orders = IdSequence("O", seed, "order")
        self._amends = IdSequence("T", seed, "amend")
        self._timers = Timers(_alive)
        self._watch = MarginWatch(
            self.markets, self.valuation, self._timers, self._check_margin, lambda: self.now_ns
        )
        self.settlement = Settlement(seed, self.valuation, self._watch.changed)
        self.wallets = Wallets(
            seed, self.accounts, self.settlement, self._timers, self._tell, lambda: self.now_ns
        )
        self._closes: deque[tuple[Order, int, int]] = deque()
        self._shrunk: dict[Account, None] = {}
        """Accounts whose positions in the pair that trades now have become smaller."""
        self._out: list[Event] = []
        self._listener = matching.Listener(self._traded, self._completed, self._refilled, self._prevented)

    def status(self, market: Market) -> TradingStatus:
        """Return what may be done in a pair now: the venue's status comes first."""
        return market.status if self.system is ONLINE else self.system

    def balance(self, account: Account, target: str = USD) -> margin.Balance:
        """Return what the account has, owes and may use, in whole units of ``target``."""
        return self._funds.balance(account, target)

    def order_id(self, order: Order) -> str:
        """Return the id of any order; those of the market itself have one when they are asked for it."""
        return order.txid or self._orders.text(order.seq)

    def _begin(self, due_ns: int) -> None:
        """Let what is due happen at its time, however late the engine is asked to go on."""
        self.now_ns = max(self.now_ns, due_ns)

    def _tell(self, event: Event) -> None:
        self._out.append(event)

    def _refuse(self, reason: Reject) -> None:
        self._out.append(events.Rejected(reason))

    def _order(self, command: commands.PlaceOrder, market: Market, account: Account, txid: str) -> Order:
        price = command.price
        order = Order(
            self._orders.count,
            txid,
            account,
            market.instrument,
            command.side,
            command.type,
            command.qty,
            price if type(price) is int else 0,
            self.now_ns,
        )
        expires = command.type.triggered and command.tif is GTD  # it may wait for long
        order.tif = command.tif if command.type.limited or expires else GTC
        return order

    def draft(self, command: commands.PlaceOrder, market: Market, account: Account, txid: str) -> Order:
        """Return the order that a command makes; nothing but it is made or changed."""
        order = self._order(command, market, account, txid)
        order.post_only = command.post_only
        order.reduce_only = command.reduce_only
        order.display = command.display
        order.expire_ns = command.expire_ns if order.tif is GTD else 0
        order.cl_ord_id = command.cl_ord_id
        order.userref = command.userref
        order.self_trade = command.self_trade
        order.fee_in_base = command.fee_in_base and not command.leverage
        order.rate_cap_ppm = max(market.instrument.fees.rates_ppm(account.volume_usd(self.now_ns)))
        order.leverage = command.leverage
        order.close = command.close
        order.cash = command.cash
        if command.start_ns > self.now_ns:
            order.start_ns = command.start_ns
            order.status = PENDING
        if isinstance(command.price, Offset):
            order.limit_offset = command.price
        if command.type.triggered:
            order.trigger = self._trigger(command, market)
        return order

    def _trigger(self, command: commands.PlaceOrder, market: Market) -> Trigger:
        buy, price = command.side is BUY, command.trigger
        fixed = price if type(price) is int else 0
        trigger = Trigger(fixed, command.reference, rises=buy is not command.type.takes_profit)
        if isinstance(price, Offset):
            trigger.offset, trigger.trails = price, True
            seen = rules.reference_price(market, command.reference)
            if seen:
                trigger.follow(seen, market.instrument.tick)
        return trigger

    def _go(self, order: Order, market: Market) -> None:
        """Let a live order wait for its price, or match."""
        if order.trigger is not None and not order.trigger.fired_ns:
            market.queue(order.trigger.reference).add(order)
        else:
            self._run(order, market)

    def _start(self, order: Order) -> None:
        """Let a scheduled order go live."""
        if order.status is not PENDING:
            return
        order.account.scheduled -= 1
        order.status = OPEN
        market = self.markets[order.instrument.id]
        fault = self._live_fault(order, market)
        if fault is not None:
            self._finish(order, CANCELED, fault)
            return
        self._out.append(events.Started(order, self.now_ns))
        if order.cash:
            self._fit_cash(order, market)
        self._go(order, market)
        self._conclude(market)

    def _run(self, order: Order, market: Market) -> None:
        """Match a live order, then let the rest of it rest or end."""
        if order.reduce_only and not self._fit_reduction(order):
            return
        book = market.book
        limit: int | None = order.price or None
        protected = limit is None
        if limit is None:
            limit = market.protection(buy=order.buy)
            if limit is None:
                self._finish(order, CANCELED, self._nobody(order, book))
                return
        if order.post_only and matching.crosses(book, order.buy, limit):
            self._finish(order, CANCELED, Reason.POST_ONLY)
            return
        if order.tif is FOK and not matching.fillable(book, order, limit):
            self._finish(order, CANCELED, Reason.FOK)
            return
        stopped = None
        if matching.crosses(book, order.buy, limit):
            stopped = matching.match(book, order, limit, self.now_ns, self._listener)
        if order.filled == order.qty:
            self._finish(order, CLOSED, None)
        elif stopped is not None:
            self._finish(order, CANCELED, stopped)
        elif protected:
            self._finish(order, CANCELED, self._nobody(order, book))
        elif order.tif is IOC or order.tif is FOK:
            self._finish(order, CANCELED, Reason.IOC)
        else:
            self._rest(order, market)

    @staticmethod
    def _nobody(order: Order, book: Book) -> Reason:
        """Return why a market order trades with nobody (else)."""
        return Reason.PRICE_PROTECTION if book.side(not order.buy).keys else Reason.NO_LIQUIDITY

    def _rest(self, order: Order, market: Market) -> None:
        left = order.qty - order.filled
        order.shown = min(order.display, left) if order.type is ICEBERG else left
        order.touched_ns = self.now_ns
        if order.filled and not order.account.house and not order.leverage:
            order.account.hold(order, order.hold_needed(order.price * left))
        market.book.add(order, self.now_ns)
        if order.reduce_only:  # those that rest close no more together than there is
            self._shrunk[order.account] = None

    def _fit_cash(self, order: Order, market: Market) -> None:
        """Let an order for an amount be for what that buys now."""
        qty = matching.affordable(market.book.asks, order.account, order.cash)
        if qty and qty != order.qty:
            self._remember_original(order)
            order.qty = qty
            self._told_amended(order, Reason.REPRICED)

    def _fit_reduction(self, order: Order) -> bool:
        """Let a reduce-only order be for no more than there is to close; end it when there is nothing."""
        closable = margin.closable(order.account, order.instrument, buy=order.buy)
        if not closable:
            self._finish(order, CANCELED, Reason.REDUCE_ONLY)
            return False
        if order.remaining > closable:
            self._remember_original(order)
            order.qty = order.filled + closable
            self._told_amended(order, Reason.REDUCE_ONLY)
        return True

    def _rate_fault(self, account: Account, pair: str, halves: int) -> Reject | None:
        """Count a transaction that costs ``halves``; refuse it when the counter is at its threshold."""
        if not self.rate_limits:
            return None
        counter = account.rate(pair)
        if counter.at(self.now_ns) >= LIMITS[account.tier].engine_counter * counter.UNIT:
            return Reject.RATE_LIMIT
        if halves:
            counter.add(halves, self.now_ns)
        return None

    def _charge_age(self, order: Order, costs: AgeCosts) -> None:
        """Count what changing or cancelling an order costs at its age."""
        if self.rate_limits:
            cost = costs.of(self.now_ns - order.changed_ns)
            if cost:
                order.account.rate(order.instrument.id).add(2 * cost, self.now_ns)

    # -- what an operation sets off ----------------------------------------------------------------

    def _conclude(self, market: Market) -> None:
        """Publish the book, and let go what the last operation has set off."""
        self._publish_book(market)
        if self._closes or self._shrunk or market.triggers.orders or market.index_triggers.orders:
            self._set_off(market)

    def _set_off(self, market: Market) -> None:
        """Place conditional closes and fire triggers until there is nothing left to do."""
        while True:
            if self._shrunk:
                self._cancel_reductions(self._shrunk.popitem()[0], market)
            elif self._closes:
                self._place_close(*self._closes.popleft(), market)
            else:
                order = self._next_due(market)
                if order is None:
                    return
                self._fire(order, market)
            self._publish_book(market)

    def _next_due(self, market: Market) -> Order | None:
        if not self.status(market).matches:
            return None
        for queue, price in (
            (market.triggers, market.last_price),
            (market.index_triggers, market.index_price),
        ):
            if price and queue.orders:
                for order in queue.follow(price):
                    self._moved(order)
                due = queue.due(price)
                if due is not None:
                    return due
        return None

    def _moved(self, order: Order) -> None:
        trigger = order.trigger
        assert trigger is not None  # noqa: S101 - only such orders are in the queue
        self._out.append(events.TriggerMoved(order, trigger.price, trigger.peak, self.now_ns))

    def _fire(self, order: Order, market: Market) -> None:
        """Let an order that has waited for its price go on as a market or a limit order."""
        trigger = order.trigger
        assert trigger is not None  # noqa: S101 - only such orders are in the queue
        self._set_going(order, trigger, rules.reference_price(market, trigger.reference))
        fault = self._live_fault(order, market)
        if fault is not None:
            self._finish(order, CANCELED, fault)
        else:
            self._run(order, market)

    def _live_fault(self, order: Order, market: Market) -> Reason | None:
        """Return why an order may not come to life by itself: the rules of new orders hold for it then."""
        if rules.status_fault(order, self.status(market)) is not None:
            return Reason.MARKET_STATUS
        seen = 0 if order.waiting or not order.price else market.last_price
        if rules.out_of_band(order.price, seen, order.buy):
            return Reason.INVALID_PRICE
        fault = self._funds.fault(order, market, order)
        return None if fault is None else Reason.INSUFFICIENT_FUNDS

    def _set_going(self, order: Order, trigger: Trigger, seen: int) -> None:
        """Let the trigger of an order fire because the reference is ``seen`` at its price."""
        trigger.fired_ns = self.now_ns
        trigger.fired_price = seen
        if order.limit_offset is not None:
            tick = order.instrument.tick
            order.price = max(order.limit_offset.from_(trigger.price, tick), tick)
        self._out.append(events.Triggered(order, self.now_ns))

    def _place_close(self, primary: Order, quantity: int, price: int, market: Market) -> None:
        """Place the order that a fill of ``primary`` calls for."""
        close = primary.close
        assert close is not None  # noqa: S101 - only such fills are remembered
        account, pair = primary.account, market.instrument
        command = rules.closing(primary, account.name, close, quantity, price, pair)
        order = self.draft(command, market, account, self._orders.next())
        order.refid = primary.txid
        fault = None
        if rules.price_fault(command, pair, market) is not None:
            fault = Reason.INVALID_PRICE
        elif self._crowded(account, pair.id):
            fault = Reason.ORDERS_LIMIT
        fault = fault or self._live_fault(order, market)
        self._out.append(events.Accepted(order))
        account.opened(order)
        if fault is not None:
            self._finish(order, CANCELED, fault)
        else:
            self._go(order, market)

    @staticmethod
    def _crowded(account: Account, pair: str) -> bool:
        """Tell whether the account has as many open orders in a pair as it may have."""
        return account.open_per_pair.get(pair, 0) >= LIMITS[account.tier].open_orders

    # -- what happens while matching ---------------------------------------------------------------

    def _traded(self, taker: Order, maker: Order, price: int, quantity: int) -> None:
        pair = maker.instrument
        market = self.markets[pair.id]
        trade_id = market.next_trade_id
        # No two trades of a pair share a nanosecond, so that paging by time never loses one.
        time_ns = max(self.now_ns, market.last_trade_ns + 1)
        market.next_trade_id += 1
        if price != market.last_price:
            market.last_price = price
            if market.watchers:
                self._watch.price_changed(market)
        market.last_trade_ns = time_ns
        market_order = not taker.price
        self._out.append(events.Traded(pair.id, trade_id, price, quantity, taker.buy, market_order, time_ns))
        cost = matching.spent(taker, price, quantity) if taker.cash else price * quantity
        book_fill = self.settlement.fill
        self._out += book_fill(taker, trade_id, price, quantity, cost, time_ns, maker=False)
        self._out += book_fill(maker, trade_id, price, quantity, cost, time_ns, maker=True)
        for order in (taker, maker):
            if order.close is not None:
                self._closes.append((order, quantity, price))
            if order.leverage:
                self._position_changed(order)

    def _completed(self, order: Order) -> None:
        self._finish(order, CLOSED, None)

    def _refilled(self, order: Order) -> None:
        self._out.append(events.Refilled(order, order.shown, self.now_ns))

    def _prevented(self, order: Order) -> None:
        self._finish(order, CANCELED, Reason.SELF_TRADE)

    def _position_changed(self, order: Order) -> None:
        """Look after positions; they are the business of ``positions``."""

    def _check_margin(self, account: Account) -> None:
        """Look at an account's margin level; see ``positions``."""

    def _cancel_reductions(self, account: Account, market: Market) -> None:
        """Cancel reduce-only orders that there is nothing left for; see ``positions``."""

    # -- ending and telling ------------------------------------------------------------------------

    def _finish(self, order: Order, status: Status, reason: Reason | None) -> None:
        """End ``order``: out of the book, hold released, into the history."""
        if order.status is PENDING:
            order.account.scheduled -= 1
        if order.level is not None:
            self.markets[order.instrument.id].book.remove(order, self.now_ns)
        order.status = status
        order.reason = reason
        order.closed_ns = self.now_ns
        account = order.account
        if not account.house:
            if order.trigger is not None:
                self.markets[order.instrument.id].queue(order.trigger.reference).remove(order)
            account.ended(order)
            self._out.append(events.Ended(order, self.now_ns))

    def _expire(self, order: Order) -> None:
        if order.status in (OPEN, PENDING):
            self._finish(order, Status.EXPIRED, Reason.EXPIRED)
            self._publish_book(self.markets[order.instrument.id])

    def _remember_original(self, order: Order) -> None:
        if not order.history:
            order.history.append(order.as_it_is("T" + order.txid[1:], "original", None, order.opened_ns))

    def _told_amended(self, order: Order, reason: Reason | None = None) -> None:
        amend_id = self._amends.next()
        kind, why = ("user", Reason.USER) if reason is None else ("restated", reason)
        order.remember(order.as_it_is(amend_id, kind, why.value, self.now_ns))
        qty, price, filled, cost = order.qty, order.price, order.filled, order.cost
        self._out.append(events.Amended(order, amend_id, self.now_ns, qty, price, filled, cost, reason))

    def _publish_book(self, market: Market) -> None:
        if market.book.touched:
            changes = market.book.changes()
            self._out.append(events.BookChanged(market.instrument.id, changes, self.now_ns))
            if market.watchers:
                self._watch.book_changed(market)


def _alive(subject: Any) -> bool:
    """Tell whether a timer of ``subject`` still has a purpose."""
    if isinstance(subject, Order):
        return subject.status in (OPEN, PENDING)
    return not isinstance(subject, Position) or bool(subject.open)
