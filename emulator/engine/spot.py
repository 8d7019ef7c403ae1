"""The spot trading engine: commands in, events out.

``SpotEngine.apply(command, now_ns)`` is the whole interface, besides ``deadline()`` and
``advance(now_ns)`` for what happens by itself (expiry, start times, rollover, liquidation, the dead man's
switch).  It never waits, never reads a clock, and gives the same events for the same commands at the
same times.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from emulator.engine import commands, events, limits, margin, margin_rules, matching, rules
from emulator.engine.accounts import Account
from emulator.engine.book import Book
from emulator.engine.events import Event, Reject
from emulator.engine.ids import IdSequence
from emulator.engine.instruments import Catalogue, Instrument, Side
from emulator.engine.limits import LIMITS, AgeCosts
from emulator.engine.margin import Position
from emulator.engine.orders import Order, OrderType, Reason, SelfTrade, Status, TimeInForce
from emulator.engine.settlement import Settlement
from emulator.engine.status import SYSTEM, TradingStatus
from emulator.engine.timers import Timers
from emulator.engine.triggers import Offset, Reference, Trigger, TriggerQueue
from emulator.engine.valuation import USD, Valuation
from emulator.engine.wallets import Wallets

BATCH = range(2, 16)
"""How many orders a batch may hold."""


class Market:
    """One pair as the engine trades it."""

    __slots__ = (
        "book",
        "index_price",
        "index_triggers",
        "instrument",
        "last_price",
        "last_trade_ns",
        "next_trade_id",
        "status",
        "triggers",
    )

    def __init__(self, instrument: Instrument, first_trade_id: int) -> None:
        self.instrument = instrument
        self.book = Book()
        self.last_price = 0
        self.last_trade_ns = 0
        self.next_trade_id = first_trade_id
        self.status = TradingStatus.ONLINE
        self.index_price = 0
        """0 while nobody tells one."""
        self.triggers = TriggerQueue()
        self.index_triggers = TriggerQueue()

    def queue(self, reference: Reference) -> TriggerQueue:
        """Return the queue of orders that wait for this reference."""
        return self.index_triggers if reference is Reference.INDEX else self.triggers


class SpotEngine:
    """Kraken's spot engine.

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
        self.settlement = Settlement(seed, self.valuation)
        self.now_ns = 0
        self.system = TradingStatus.ONLINE
        self.rate_limits = rate_limits
        self._post_only_rejects = post_only_rejects
        self._orders = IdSequence("O", seed, "order")
        self._amends = IdSequence("T", seed, "amend")
        self._timers = Timers(_alive)
        self._trades = 0
        self.wallets = Wallets(
            seed, self.accounts, self.settlement, self._timers, self._tell, lambda: self.now_ns
        )
        self._closes: deque[tuple[Order, int, int]] = deque()
        self._shrunk: dict[Account, None] = {}
        """Accounts whose positions in the pair that trades now have become smaller."""
        self._out: list[Event] = []
        self._listener = matching.Listener(self._traded, self._completed, self._refilled, self._prevented)
        self._handlers: dict[type, Callable[..., None]] = {
            commands.PlaceOrder: self._place,
            commands.AmendOrder: self._amend,
            commands.EditOrder: self._edit,
            commands.CancelOrder: self._cancel,
            commands.CancelAll: self._cancel_all,
            commands.CancelAllAfter: self._cancel_all_after,
            commands.Deposit: self.wallets.deposit,
            commands.Withdraw: self._withdraw,
            commands.CancelWithdrawal: self._move_funds(self.wallets.cancel_withdrawal),
            commands.TransferToFutures: self._move_funds(self.wallets.to_futures),
            commands.TransferToAccount: self._move_funds(self.wallets.transfer),
            commands.CreateSubaccount: self._create_subaccount,
            commands.Allocate: self._move_funds(self.wallets.allocate),
            commands.SetIndex: self._set_index,
            commands.SetStatus: self._set_status,
        }

    # -- the interface ----------------------------------------------------------------------------

    def apply(self, command: commands.Command, now_ns: int) -> list[Event]:
        """Carry out ``command`` and return what happened, in order.

        The answer to the command is the first event of the kinds Accepted, Rejected, Amended,
        CancelledAll, CancelAfterSet, or the Ended of a CancelOrder.
        """
        self.now_ns = now_ns
        out: list[Event] = []
        self._out = out
        self._handlers[type(command)](command)
        return out

    def check(self, command: commands.PlaceOrder | commands.EditOrder, now_ns: int) -> Reject | None:
        """Return why ``command`` would be refused, funds and limits left aside; None when it is sound."""
        self.now_ns = now_ns
        if isinstance(command, commands.EditOrder):
            old = self.accounts[command.account].open.get(command.txid)
            if old is None:
                return Reject.UNKNOWN_ORDER
            market = self.markets[old.instrument.id]
            place = rules.resolved(rules.replacement(command, old), market, old.instrument)
            return rules.edit_fault(place, old, market, now_ns)
        found = self.markets.get(command.pair)
        if found is None:
            return Reject.UNKNOWN_PAIR
        command = rules.resolved(command, found, found.instrument)
        return self._order_fault(command, found, self.accounts[command.account])

    def status(self, market: Market) -> TradingStatus:
        """Return what may be done in a pair now: the venue's status comes first."""
        return market.status if self.system is TradingStatus.ONLINE else self.system

    def balance(self, account: Account, target: str = USD) -> margin.Balance:
        """Return what the account has, owes and may use, in whole units of ``target``."""
        return margin.balance(account, self.catalogue.assets, self.markets, self.valuation, target)

    def order_id(self, order: Order) -> str:
        """Return the id of any order; those of the market itself have one when they are asked for it."""
        return order.txid or self._orders.text(order.seq)

    def deadline(self) -> int | None:
        """Return when something happens by itself next, in nanoseconds since the epoch."""
        return self._timers.next_ns()

    def advance(self, now_ns: int) -> list[Event]:
        """Carry out everything that is due at ``now_ns``."""
        out: list[Event] = []
        self._out = out
        self._timers.run(now_ns, self._begin)
        self.now_ns = now_ns
        return out

    # -- placing ----------------------------------------------------------------------------------

    def _place(self, command: commands.PlaceOrder) -> None:
        market = self.markets.get(command.pair)
        if market is None:
            self._refuse(Reject.UNKNOWN_PAIR)
            return
        account = self.accounts[command.account]
        if account.house:
            self._place_house(command, market, account)
            return
        fault = self._late(command.deadline_ns) or self._rate_fault(
            account, command.pair, 2 if command.batch == 1 else 1
        )
        asked = command.trigger
        if fault is None:
            command = rules.resolved(command, market, market.instrument)
            fault = self._order_fault(command, market, account)
        if fault is None and account.open_per_pair.get(command.pair, 0) >= LIMITS[account.tier].open_orders:
            fault = Reject.ORDERS_LIMIT
        if fault is not None:
            self._refuse(fault)
            return
        if command.type is OrderType.SETTLE_POSITION:
            self._settle(command, market, account)
            return
        order = self._new_order(command, market, account)
        if order.trigger is not None and isinstance(asked, Offset):
            order.trigger.offset = asked
        if not order.qty:
            fault = self._size_to_fit(order, market)
            if fault is not None:
                self._refuse(fault)
                return
        self._enter(order, market, refund=0)

    def _order_fault(self, command: commands.PlaceOrder, market: Market, account: Account) -> Reject | None:
        return (
            rules.status_fault(command, self.status(market))
            or rules.order_fault(command, market.instrument, account, market, self.now_ns)
            or margin_rules.order_fault(command, market.instrument, account)
        )

    def _place_house(self, command: commands.PlaceOrder, market: Market, account: Account) -> None:
        """Take a plain order of the market itself: always funded, never archived, told to the public only."""
        if command.type is OrderType.ICEBERG:
            self._refuse(Reject.INVALID_DISPLAY)
            return
        if not self.status(market).matches:
            self._refuse(Reject.UNAVAILABLE)
            return
        self._orders.count += 1
        order = self._order(command, market, account, txid="")
        self._out.append(events.Accepted(order))
        self._run(order, market)
        self._conclude(market)

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
        order.tif = command.tif if command.type.limited else TimeInForce.GTC
        return order

    def _new_order(self, command: commands.PlaceOrder, market: Market, account: Account) -> Order:
        order = self._order(command, market, account, self._orders.next())
        order.post_only = command.post_only
        order.reduce_only = command.reduce_only
        order.display = command.display
        order.expire_ns = command.expire_ns if order.tif is TimeInForce.GTD else 0
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
            order.status = Status.PENDING
        if isinstance(command.price, Offset):
            order.limit_offset = command.price
        if command.type.triggered:
            order.trigger = self._trigger(command, market)
        return order

    def _trigger(self, command: commands.PlaceOrder, market: Market) -> Trigger:
        buy, price = command.side is Side.BUY, command.trigger
        fixed = price if type(price) is int else 0
        trigger = Trigger(fixed, command.reference, rises=buy is not command.type.takes_profit)
        if isinstance(price, Offset):
            trigger.offset, trigger.trails = price, True
            seen = rules.reference_price(market, command.reference)
            if seen:
                trigger.follow(seen, market.instrument.tick)
        return trigger

    def _size_to_fit(self, order: Order, market: Market) -> Reject | None:
        """Give an order its quantity: what its cash buys, or all of the positions that it closes."""
        if order.cash:
            order.qty = matching.affordable(market.book.asks, order.account, order.cash)
            return Reject.ORDER_MINIMUM if order.qty < order.instrument.order_min else None
        order.qty = margin.closable(order.account, order.instrument, buy=order.buy)
        return None

    def _funds_fault(self, order: Order, market: Market, refund: int) -> Reject | None:
        """Put the order's funds on hold, or return why that cannot be done."""
        if order.leverage:
            return self._margin_fault(order, market)
        account, pair = order.account, order.instrument
        cost = order.held_price * order.qty
        if not cost and order.buy:
            cost = matching.cost_to_take(market.book.asks, order)
        needed = order.hold_needed(cost)
        if needed > account.available(pair.quote.id if order.buy else pair.base.id) + refund:
            return Reject.INSUFFICIENT_FUNDS
        account.hold(order, needed)
        return None

    def _margin_fault(self, order: Order, market: Market) -> Reject | None:
        account, pair = order.account, order.instrument
        closable = margin.closable(account, pair, buy=order.buy)
        opening = 0 if order.reduce_only else max(order.remaining - closable, 0)
        return margin_rules.opening_fault(
            account,
            pair,
            buy=order.buy,
            leverage=order.leverage,
            opening=opening,
            price=order.held_price or margin.market_price(market),
            now=self.balance(account),
            valuation=self.valuation,
        )

    def _enter(self, order: Order, market: Market, refund: int, replaced: Order | None = None) -> None:
        """Take a new order into the venue; ``refund`` is what the order it replaces will release."""
        if (
            order.post_only
            and self._post_only_rejects
            and not order.waiting
            and matching.crosses(market.book, order.buy, order.price)
        ):
            self._refuse(Reject.POST_ONLY_WOULD_CROSS)
            return
        fault = self._funds_fault(order, market, refund)
        if fault is not None:
            self._refuse(fault)
            return
        if replaced is not None:
            self._finish(replaced, Status.CANCELED, Reason.REPLACED)
        self._out.append(events.Accepted(order))
        order.account.opened(order)
        if order.expire_ns:
            self._timers.at(order.expire_ns, self._expire, order)
        if order.status is Status.PENDING:
            order.account.scheduled += 1
            self._timers.at(order.start_ns, self._start, order)
        else:
            self._go(order, market)
        self._conclude(market)

    def _go(self, order: Order, market: Market) -> None:
        """Let a live order wait for its price, or match."""
        if order.trigger is not None and not order.trigger.fired_ns:
            market.queue(order.trigger.reference).add(order)
        else:
            self._run(order, market)

    def _start(self, order: Order) -> None:
        """Let a scheduled order go live."""
        if order.status is not Status.PENDING:
            return
        order.account.scheduled -= 1
        order.status = Status.OPEN
        market = self.markets[order.instrument.id]
        if not self.status(market).matches:
            self._finish(order, Status.CANCELED, Reason.MARKET_STATUS)
            return
        self._out.append(events.Started(order, self.now_ns))
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
            limit = matching.protected(book.side(not order.buy))
            if limit is None:
                self._finish(order, Status.CANCELED, Reason.NO_LIQUIDITY)
                return
        if order.post_only and matching.crosses(book, order.buy, limit):
            self._finish(order, Status.CANCELED, Reason.POST_ONLY)
            return
        if order.tif is TimeInForce.FOK and not matching.fillable(book, order, limit):
            self._finish(order, Status.CANCELED, Reason.FOK)
            return
        stopped = None
        if matching.crosses(book, order.buy, limit):
            stopped = matching.match(book, order, limit, self.now_ns, self._listener)
        if order.filled == order.qty:
            self._finish(order, Status.CLOSED, None)
        elif stopped is not None:
            self._finish(order, Status.CANCELED, stopped)
        elif protected:
            empty = book.side(not order.buy).best() is None
            self._finish(order, Status.CANCELED, Reason.NO_LIQUIDITY if empty else Reason.PRICE_PROTECTION)
        elif order.tif in (TimeInForce.IOC, TimeInForce.FOK):
            self._finish(order, Status.CANCELED, Reason.IOC)
        else:
            self._rest(order, market)

    def _rest(self, order: Order, market: Market) -> None:
        left = order.remaining
        order.shown = min(order.display, left) if order.type is OrderType.ICEBERG else left
        order.touched_ns = self.now_ns
        if order.filled and not order.account.house and not order.leverage:
            order.account.hold(order, order.hold_needed(order.price * left))
        market.book.add(order, self.now_ns)

    def _fit_reduction(self, order: Order) -> bool:
        """Let a reduce-only order be for no more than there is to close; end it when there is nothing."""
        closable = margin.closable(order.account, order.instrument, buy=order.buy)
        if not closable:
            self._finish(order, Status.CANCELED, Reason.REDUCE_ONLY)
            return False
        if order.remaining > closable:
            self._remember_original(order)
            order.qty = order.filled + closable
            self._told_amended(order, Reason.REDUCE_ONLY)
        return True

    def _conclude(self, market: Market) -> None:
        """Publish the book, and let go what the last operation has set off."""
        self._publish_book(market)
        if self._closes or self._shrunk or market.triggers or market.index_triggers:
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
            if price and queue:
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
        trigger.fired_ns = self.now_ns
        trigger.fired_price = rules.reference_price(market, trigger.reference)
        if order.limit_offset is not None:
            tick = order.instrument.tick
            order.price = max(order.limit_offset.from_(trigger.price, tick), tick)
        self._out.append(events.Triggered(order, self.now_ns))
        if not order.leverage:
            refund = order.hold
            if self._funds_fault(order, market, refund) is not None:
                self._finish(order, Status.CANCELED, Reason.INSUFFICIENT_FUNDS)
                return
        self._run(order, market)

    def _place_close(self, primary: Order, quantity: int, price: int, market: Market) -> None:
        """Place the order that a fill of ``primary`` calls for."""
        close = primary.close
        assert close is not None  # noqa: S101 - only such fills are remembered
        pair = market.instrument
        limit, trigger = close.price, close.trigger
        if isinstance(limit, Offset) and not close.type.triggered:
            limit = limit.from_(price, pair.tick)
        if isinstance(trigger, Offset) and not close.type.trails:
            trigger = trigger.from_(price, pair.tick)
        command = commands.PlaceOrder(
            account=primary.account.name,
            pair=pair.id,
            side=Side.SELL if primary.buy else Side.BUY,
            type=close.type,
            qty=quantity,
            price=limit,
            trigger=trigger,
            reference=close.reference,
            display=quantity if close.type is OrderType.ICEBERG else 0,
            leverage=primary.leverage,
            userref=primary.userref,
            self_trade=primary.self_trade,
            fee_in_base=primary.fee_in_base,
        )
        order = self._new_order(command, market, primary.account)
        order.refid = primary.txid
        fault = self._funds_fault(order, market, 0)
        self._out.append(events.Accepted(order))
        order.account.opened(order)
        if fault is not None:
            self._finish(order, Status.CANCELED, Reason.INSUFFICIENT_FUNDS)
        else:
            self._go(order, market)

    # -- what happens while matching --------------------------------------------------------------

    def _traded(self, taker: Order, maker: Order, price: int, quantity: int) -> None:
        pair = maker.instrument
        market = self.markets[pair.id]
        trade_id = market.next_trade_id
        # No two trades of a pair share a nanosecond, so that paging by time never loses one.
        time_ns = max(self.now_ns, market.last_trade_ns + 1)
        market.next_trade_id += 1
        market.last_price = price
        market.last_trade_ns = time_ns
        self._trades += 1
        market_order = not taker.price
        self._out.append(events.Traded(pair.id, trade_id, price, quantity, taker.buy, market_order, time_ns))
        book_fill = self.settlement.fill
        self._out += book_fill(taker, trade_id, price, quantity, time_ns, maker=False)
        self._out += book_fill(maker, trade_id, price, quantity, time_ns, maker=True)
        for order in (taker, maker):
            if order.close is not None:
                self._closes.append((order, quantity, price))
            if order.leverage:
                self._position_changed(order)

    def _completed(self, order: Order) -> None:
        self._finish(order, Status.CLOSED, None)

    def _refilled(self, order: Order) -> None:
        self._out.append(events.Refilled(order, order.shown, self.now_ns))

    def _prevented(self, order: Order) -> None:
        self._finish(order, Status.CANCELED, Reason.SELF_TRADE)

    def _position_changed(self, order: Order) -> None:
        """Look after the position that a fill has opened, and the orders that were to close another one."""
        account = order.account
        self._shrunk[account] = None
        position = account.positions.get("T" + order.txid[1:])
        if position is not None and len(position.trades) == 1:
            self._timers.at(position.rollover_ns, self._roll_over, position)
        if account.positions and not account.margin_check_queued:
            account.margin_check_queued = True
            self._timers.at(self.now_ns + margin.CHECK_NS, self._check_margin, account)

    # -- ending -----------------------------------------------------------------------------------

    def _finish(self, order: Order, status: Status, reason: Reason | None) -> None:
        """End ``order``: out of the book, hold released, into the history."""
        if order.status is Status.PENDING:
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

    def _find_open(self, account: Account, txid: str | None, cl_ord_id: str | None) -> Order | None:
        if txid is not None:
            return account.open.get(txid)
        return account.by_cl_ord_id.get(cl_ord_id or "")

    def _cancel(self, command: commands.CancelOrder) -> None:
        account = self.accounts[command.account]
        order = self._find_open(account, command.txid, command.cl_ord_id)
        if order is None:
            self._refuse(Reject.UNKNOWN_ORDER)
            return
        pair = order.instrument.id
        fault = (
            Reject.UNAVAILABLE if self.status(self.markets[pair]) is TradingStatus.MAINTENANCE else None
        ) or (None if command.batch else self._rate_fault(account, pair, 0))
        if fault is not None:
            self._refuse(fault)
            return
        self._charge_age(order, limits.CANCEL)
        self._cancel_orders([order], Reason.USER)

    def cancel_house(self, order: Order, now_ns: int) -> list[Event]:
        """Cancel a resting order of the market itself; nothing happens when it is gone."""
        self.now_ns = now_ns
        out: list[Event] = []
        self._out = out
        if order.level is not None:
            self._finish(order, Status.CANCELED, Reason.USER)
            self._publish_book(self.markets[order.instrument.id])
        return out

    def _cancel_all(self, command: commands.CancelAll) -> None:
        if self.system is TradingStatus.MAINTENANCE:
            self._refuse(Reject.UNAVAILABLE)
            return
        orders = [
            order
            for order in self.accounts[command.account].open.values()
            if self.markets[order.instrument.id].status is not TradingStatus.MAINTENANCE
        ]
        self._out.append(events.CancelledAll(command.account, len(orders)))
        self._cancel_orders(orders, Reason.USER)

    def _cancel_orders(self, orders: list[Order], reason: Reason) -> None:
        for order in orders:
            self._finish(order, Status.CANCELED, reason)
        for name in dict.fromkeys(order.instrument.id for order in orders):
            self._publish_book(self.markets[name])

    def _cancel_all_after(self, command: commands.CancelAllAfter) -> None:
        account = self.accounts[command.account]
        account.cancel_after_ns = self.now_ns + command.timeout_s * 10**9 if command.timeout_s else 0
        self._watch_switch(account)
        self._out.append(events.CancelAfterSet(account.name, self.now_ns, account.cancel_after_ns))

    def _switch_due(self, account: Account) -> None:
        """Look at an account's dead man's switch: it fires, was put off, or was disarmed."""
        if account.cancel_after_queued_ns <= self.now_ns:
            account.cancel_after_queued_ns = 0
        if 0 < account.cancel_after_ns <= self.now_ns:
            account.cancel_after_ns = 0
            self._cancel_orders(list(account.open.values()), Reason.CANCEL_AFTER)
        self._watch_switch(account)

    def _watch_switch(self, account: Account) -> None:
        """Have a timer for the switch, unless one goes off early enough to look again."""
        due_ns, queued_ns = account.cancel_after_ns, account.cancel_after_queued_ns
        if due_ns and not 0 < queued_ns <= due_ns:
            account.cancel_after_queued_ns = due_ns
            self._timers.at(due_ns, self._switch_due, account)

    # -- changing ---------------------------------------------------------------------------------

    def _amend(self, command: commands.AmendOrder) -> None:
        account = self.accounts[command.account]
        order = self._find_open(account, command.txid, command.cl_ord_id)
        if order is None:
            self._refuse(self._late(command.deadline_ns) or Reject.UNKNOWN_ORDER)
            return
        market = self.markets[order.instrument.id]
        change = rules.Change(command, order, market)
        fault = (
            self._late(command.deadline_ns)
            or self._rate_fault(account, order.instrument.id, 2)
            or rules.change_fault(order, self.status(market))
            or rules.amend_fault(command, order, market.book, change, market)
            or self._rehold(order, change)
        )
        if fault is not None:
            self._refuse(fault)
            return
        self._charge_age(order, limits.AMEND if change.qty > order.filled else limits.CANCEL)
        order.changed_ns = self.now_ns
        self._apply_change(order, market, change)

    def _rehold(self, order: Order, change: rules.Change) -> Reject | None:
        """Hold what the amended order needs, or leave all as it was and return the fault."""
        if order.leverage:
            return None
        account, pair = order.account, order.instrument
        price = change.price if isinstance(change.price, int) else 0
        if not price and order.trigger is not None:
            price = change.trigger if isinstance(change.trigger, int) else order.trigger.price
        old_qty, order.qty = order.qty, max(change.qty, order.filled)
        needed = order.hold_needed(price * order.remaining)
        order.qty = old_qty
        asset = pair.quote.id if order.buy else pair.base.id
        if needed > account.available(asset) + order.hold:
            return Reject.INSUFFICIENT_FUNDS
        account.hold(order, needed)
        return None

    def _apply_change(self, order: Order, market: Market, change: rules.Change) -> None:
        """Give ``order`` its new values; less quantity or another display keep its place in the queue."""
        self._remember_original(order)
        order.amended = True
        qty, display = change.qty, change.display
        left = max(qty - order.filled, 0)
        shown = left
        if order.type is OrderType.ICEBERG:
            # A slice that is partly taken is not refilled where it stands.
            shown = min(order.shown if display == order.display else display, left)
        order.display = display
        keeps_place = change.price == order.price and qty <= order.qty
        if not left:
            order.qty = order.filled
            self._told_amended(order)
            self._finish(order, Status.CANCELED, Reason.USER)
        elif order.level is None:
            self._change_waiting(order, market, change)
        elif keeps_place:
            order.qty = qty
            market.book.reduce(order, order.shown - shown, self.now_ns)
            self._told_amended(order)
        else:
            assert isinstance(change.price, int)  # noqa: S101 - offsets of resting orders are resolved
            market.book.remove(order, self.now_ns)
            order.price, order.qty = change.price, qty
            self._told_amended(order)
            self._run(order, market)
        self._conclude(market)

    def _change_waiting(self, order: Order, market: Market, change: rules.Change) -> None:
        """Change an order that is not in the book: it waits for a price or for its start time."""
        order.qty = change.qty
        if isinstance(change.price, Offset):
            order.limit_offset = change.price
        elif change.price:
            order.price, order.limit_offset = change.price, None
        trigger = order.trigger
        if trigger is not None and change.trigger is not None:
            queue = market.queue(trigger.reference)
            queue.remove(order)
            if isinstance(change.trigger, Offset):
                trigger.offset, trigger.peak, trigger.price = change.trigger, 0, 0
                seen = rules.reference_price(market, trigger.reference)
                if seen:
                    trigger.follow(seen, order.instrument.tick)
            else:
                trigger.price, trigger.offset = change.trigger, None
            if order.status is Status.OPEN:
                queue.add(order)
        self._told_amended(order)

    def _remember_original(self, order: Order) -> None:
        if not order.history:
            order.history.append(order.as_it_is("T" + order.txid[1:], "original", None, order.opened_ns))

    def _told_amended(self, order: Order, reason: Reason | None = None) -> None:
        amend_id = self._amends.next()
        kind, why = ("user", Reason.USER) if reason is None else ("restated", reason)
        order.remember(order.as_it_is(amend_id, kind, why.value, self.now_ns))
        self._out.append(
            events.Amended(order, amend_id, self.now_ns, order.qty, order.price, order.filled, reason)
        )

    def _edit(self, command: commands.EditOrder) -> None:
        account = self.accounts[command.account]
        old = account.open.get(command.txid)
        if old is None:
            self._refuse(self._late(command.deadline_ns) or Reject.UNKNOWN_ORDER)
            return
        market = self.markets[old.instrument.id]
        place = rules.resolved(rules.replacement(command, old), market, old.instrument)
        fault = (
            self._late(command.deadline_ns)
            or self._rate_fault(account, old.instrument.id, 2)
            or rules.status_fault(place, self.status(market))
            or rules.edit_fault(place, old, market, self.now_ns)
        )
        if fault is not None:
            self._refuse(fault)
            return
        self._charge_age(old, limits.EDIT)
        self._enter(self._new_order(place, market, account), market, refund=old.hold, replaced=old)

    # -- margin -----------------------------------------------------------------------------------

    def _settle(self, command: commands.PlaceOrder, market: Market, account: Account) -> None:
        """Settle positions, oldest first, with the account's own funds: an order that is done at once."""
        pair, buy = market.instrument, command.side is Side.BUY
        order = self._new_order(command, market, account)
        closable = margin.closable(account, pair, buy=buy)
        order.qty = min(command.qty or closable, closable)
        parts, left = [], order.qty
        for position in margin.opposite(account, pair, buy=buy):
            part = min(position.open, left)
            left -= part
            if part:
                parts.append((position, part))
        owed = sum(p.open_cost * part // p.open if p.buy else part for p, part in parts)
        if buy:
            short = pair.base_amount(owed) > account.available(pair.base.id)
        else:
            short = pair.quote_amount(owed) + len(parts) > account.available(pair.quote.id)
        if short:
            self._refuse(Reject.INSUFFICIENT_FUNDS)
            return
        self._out.append(events.Accepted(order))
        account.opened(order)
        for position, part in parts:
            self._out += self.settlement.settle(position, part, self.now_ns)
        order.filled = order.qty
        self._finish(order, Status.CLOSED, None)

    def _roll_over(self, position: Position) -> None:
        """Charge an open position for its next period."""
        if position.open:
            self._out.append(self.settlement.roll_over(position, self.now_ns))
            self._timers.at(position.rollover_ns, self._roll_over, position)

    def _check_margin(self, account: Account) -> None:
        """Close positions, the oldest first, while the account's margin level is too low."""
        account.margin_check_queued = False
        seen = (self.settlement.entries, self._trades)
        if account.positions and account.margin_seen != seen:
            # When all is well, nothing can change until somebody trades or pays.
            account.margin_seen = seen if self._made_safe(account) else (0, 0)
        if account.positions:
            account.margin_check_queued = True
            self._timers.at(self.now_ns + margin.CHECK_NS, self._check_margin, account)

    def _made_safe(self, account: Account) -> bool:
        """Liquidate positions until the margin level is high enough; False when nobody takes them."""
        while account.positions:
            level = self.balance(account).level
            if level is None or level >= margin.LIQUIDATION_PERCENT:
                return True
            position = next(iter(account.positions.values()))
            market, open_before = self.markets[position.instrument.id], position.open
            if not self.status(market).matches:
                return False
            self._liquidate(position, market)
            if position.open == open_before:
                return False
        return True

    def _liquidate(self, position: Position, market: Market) -> None:
        command = commands.PlaceOrder(
            account=position.account.name,
            pair=market.instrument.id,
            side=Side.SELL if position.buy else Side.BUY,
            type=OrderType.MARKET,
            qty=position.open,
            leverage=position.leverage,
            self_trade=SelfTrade.CANCEL_OLDEST,
        )
        order = self._new_order(command, market, position.account)
        order.liquidation = True
        self._out.append(events.Accepted(order))
        position.account.opened(order)
        self._run(order, market)
        self._conclude(market)

    def _cancel_reductions(self, account: Account, market: Market) -> None:
        """Cancel resting reduce-only orders that there is nothing left for, the least aggressive first."""
        for buy in (True, False):
            orders = [
                order
                for order in account.open.values()
                if order.reduce_only
                and order.buy is buy
                and order.level is not None
                and order.instrument is market.instrument
            ]
            if not orders:
                continue
            orders.sort(key=lambda order: -order.price if order.buy else order.price)
            left = margin.closable(account, market.instrument, buy=buy)
            for order in orders:
                left -= order.remaining
                if left < 0:
                    self._finish(order, Status.CANCELED, Reason.REDUCE_ONLY)

    # -- the venue --------------------------------------------------------------------------------

    def _set_index(self, command: commands.SetIndex) -> None:
        market = self.markets.get(command.pair)
        if market is None:
            self._refuse(Reject.UNKNOWN_PAIR)
            return
        market.index_price = command.price
        if market.index_triggers:
            self._set_off(market)

    def _set_status(self, command: commands.SetStatus) -> None:
        market = None if command.pair is None else self.markets.get(command.pair)
        if command.pair is None:
            if command.status not in SYSTEM:
                self._refuse(Reject.UNAVAILABLE)
                return
            self.system = command.status
        elif market is None:
            self._refuse(Reject.UNKNOWN_PAIR)
            return
        else:
            market.status = command.status
        self._out.append(events.StatusChanged(command.pair, command.status, self.now_ns))
        for resumed in self.markets.values() if market is None else (market,):
            if resumed.triggers or resumed.index_triggers:
                self._set_off(resumed)

    # -- the rest ---------------------------------------------------------------------------------

    def _move_funds(self, move: Callable[[Any], Reject | None]) -> Callable[[Any], None]:
        """Return a handler that answers with what ``move`` refuses."""

        def handle(command: Any) -> None:
            fault = move(command)
            if fault is not None:
                self._refuse(fault)

        return handle

    def _withdraw(self, command: commands.Withdraw) -> None:
        """Withdraw, unless the account's positions need the funds."""
        account = self.accounts[command.account]
        fault = None
        if account.positions:
            free = self.balance(account, command.asset).free
            decimals = self.catalogue.assets[command.asset].decimals
            if free * 10**decimals < command.amount + command.fee:
                fault = Reject.INSUFFICIENT_FUNDS
        fault = fault or self.wallets.withdraw(command)
        if fault is not None:
            self._refuse(fault)

    def _create_subaccount(self, command: commands.CreateSubaccount) -> None:
        master = self.accounts[command.account]
        if command.name in self.accounts:
            self._refuse(Reject.NAME_TAKEN)
            return
        account = self.accounts[command.name] = Account(command.name, tier=master.tier, vip=master.vip)
        account.master = master.name
        self._out.append(events.FundsMoved(master.name, command.name))

    def _begin(self, due_ns: int) -> None:
        """Let what is due happen at its time, however late the engine is asked to go on."""
        self.now_ns = max(self.now_ns, due_ns)

    def _tell(self, event: Event) -> None:
        self._out.append(event)

    def _refuse(self, reason: Reject) -> None:
        self._out.append(events.Rejected(reason))

    def _late(self, deadline_ns: int) -> Reject | None:
        return Reject.DEADLINE_ELAPSED if deadline_ns and self.now_ns > deadline_ns else None

    def _expire(self, order: Order) -> None:
        if order.status in (Status.OPEN, Status.PENDING):
            self._finish(order, Status.EXPIRED, Reason.EXPIRED)
            self._publish_book(self.markets[order.instrument.id])

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

    def _publish_book(self, market: Market) -> None:
        if market.book.touched:
            changes = market.book.changes()
            self._out.append(events.BookChanged(market.instrument.id, changes, self.now_ns))


def _alive(subject: Any) -> bool:
    """Tell whether a timer of ``subject`` still has a purpose."""
    if isinstance(subject, Order):
        return subject.status in (Status.OPEN, Status.PENDING)
    return not isinstance(subject, Position) or bool(subject.open)
