"""The spot trading engine: commands in, events out.

``SpotEngine.apply(command, now_ns)`` is the whole interface, besides ``deadline()`` and
``advance(now_ns)`` for what happens by itself (expiry, start times, rollover, liquidation, the dead man's
switch).  It never waits, never reads a clock, and gives the same events for the same commands at the
same times.
"""

from collections.abc import Callable, Iterable
from typing import Any

from emulator.engine import commands, events, limits, margin, margin_rules, matching, rules
from emulator.engine.accounts import Account
from emulator.engine.cancelling import Cancelling
from emulator.engine.events import Event, Reject
from emulator.engine.instruments import Catalogue
from emulator.engine.market import Market
from emulator.engine.orders import CANCELED, ICEBERG, OPEN, PENDING, SETTLE_POSITION, Order, Reason
from emulator.engine.status import ONLINE, SYSTEM
from emulator.engine.triggers import Offset

BATCH = range(2, 16)
"""How many orders a batch may hold."""


class SpotEngine(Cancelling):
    """Kraken's spot engine: carries out commands on the trading floor (see ``Floor`` for its options)."""

    def __init__(self, catalogue: Catalogue, accounts: Iterable[Account], **options: Any) -> None:
        super().__init__(catalogue, accounts, **options)
        self._handlers: dict[type, Callable[..., None]] = {
            commands.PlaceOrder: self._place,
            commands.AmendOrder: self._amend,
            commands.EditOrder: self._edit,
            commands.CancelOrder: self._cancel,
            commands.CancelOrders: self._cancel_several,
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
            commands.SetBalances: self._set_balances,
            commands.SetBook: self._set_book,
            commands.PrintTrade: self._print_trade,
            commands.FillOrder: self._fill_order,
            commands.EndOrder: self._end_order,
            commands.Reset: self._reset,
        }

    # -- the interface -----------------------------------------------------------------------------

    def apply(self, command: commands.Command, now_ns: int) -> list[Event]:
        """Carry out ``command`` and return what happened, in order.

        The answer to the command is the first event of the kinds Accepted, Rejected, Amended,
        CancelledAll, CancelAfterSet, Done, or the Ended of a CancelOrder.
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
            return rules.edit_fault(place, old) or self._order_fault(place, market, old.account, old)
        found = self.markets.get(command.pair)
        if found is None:
            return Reject.UNKNOWN_PAIR
        command = rules.resolved(command, found, found.instrument)
        return self._order_fault(command, found, self.accounts[command.account])

    def deadline(self) -> int | None:
        """Return when something happens by itself next, in nanoseconds since the epoch."""
        return self._timers.next_ns()

    def advance(self, now_ns: int, most: int | None = None) -> list[Event]:
        """Carry out what is due at ``now_ns``: all of it, or the first ``most`` things.

        What is left is told by ``deadline()``; the engine's time is that of the last thing done then.
        """
        out: list[Event] = []
        self._out = out
        if self._timers.run(now_ns, self._begin, most):
            self.now_ns = now_ns
        return out

    # -- placing -----------------------------------------------------------------------------------

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
        if fault is None and self._crowded(account, command.pair):
            fault = Reject.ORDERS_LIMIT
        if fault is not None:
            self._refuse(fault)
            return
        if command.type is SETTLE_POSITION:
            self._settle(command, market, account)
            return
        order = self.draft(command, market, account, self._orders.next())
        if order.trigger is not None and isinstance(asked, Offset):
            order.trigger.offset = asked
        if not order.qty:
            fault = self._size_to_fit(order, market)
            if fault is not None:
                self._refuse(fault)
                return
        self._enter(order, market)

    def _order_fault(
        self, command: commands.PlaceOrder, market: Market, account: Account, old: Order | None = None
    ) -> Reject | None:
        """Return why such an order may not be placed, or not replace ``old``; funds are not looked at."""
        status = self.status(market)
        fault = None if status is ONLINE else rules.status_fault(command, status)
        if fault is None and command.start_ns > self.now_ns and (old is None or old.status is not PENDING):
            fault = Reject.SCHEDULED_LIMIT if account.scheduled >= limits.SCHEDULED_ORDERS else None
        return (
            fault
            or rules.order_fault(command, market.instrument, account, market, self.now_ns)
            or margin_rules.order_fault(command, market.instrument, account)
        )

    def _place_house(self, command: commands.PlaceOrder, market: Market, account: Account) -> None:
        """Take a plain order of the market itself: always funded, never archived, told to the public only."""
        if command.type is ICEBERG:
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

    def _size_to_fit(self, order: Order, market: Market) -> Reject | None:
        """Give an order its quantity: what its cash buys, or all of the positions that it closes."""
        if order.cash:
            order.qty = matching.affordable(market.book.asks, order.account, order.cash)
            return Reject.ORDER_MINIMUM if order.qty < order.instrument.order_min else None
        order.qty = margin.closable(order.account, order.instrument, buy=order.buy)
        return rules.display_fault(order.type, order.display, order.qty)

    def _enter(self, order: Order, market: Market, replaced: Order | None = None) -> None:
        """Take a new order into the venue, in the place of another one where it replaces one."""
        if (
            order.post_only
            and self.post_only_rejects
            and not order.waiting
            and matching.crosses(market.book, order.buy, order.price)
        ):
            self._refuse(Reject.POST_ONLY_WOULD_CROSS)
            return
        fault = self._funds.fault(order, market, replaced)
        if fault is not None:
            self._refuse(fault)
            return
        if replaced is not None:
            self._finish(replaced, CANCELED, Reason.REPLACED)
        self._out.append(events.Accepted(order))
        order.account.opened(order)
        if order.expire_ns:
            self._timers.at(order.expire_ns, self._expire, order)
        if order.status is PENDING:
            order.account.scheduled += 1
            self._timers.at(order.start_ns, self._start, order)
        else:
            self._go(order, market)
        self._conclude(market)

    # -- changing ----------------------------------------------------------------------------------

    def _amend(self, command: commands.AmendOrder) -> None:
        account = self.accounts[command.account]
        order = account.find_open(command.txid, command.cl_ord_id)
        if order is None:
            self._refuse(self._late(command.deadline_ns) or Reject.UNKNOWN_ORDER)
            return
        market = self.markets[order.instrument.id]
        change = rules.Change(command, order, market)
        fault = (
            self._late(command.deadline_ns)
            or self._rate_fault(account, order.instrument.id, 2)
            or rules.amend_fault(command, order, change, market, self.status(market))
            or self._rehold(order, market, change)
        )
        if fault is not None:
            self._refuse(fault)
            return
        if command.new_cl_ord_id is not None:
            account.renamed(order, command.new_cl_ord_id)
        self._charge_age(order, limits.AMEND if change.qty > order.filled else limits.CANCEL)
        order.changed_ns = self.now_ns
        self._apply_change(order, market, change)

    def _rehold(self, order: Order, market: Market, change: rules.Change) -> Reject | None:
        """Hold what the amended order needs, or leave all as it was and return the fault."""
        before, trigger = (order.price, order.qty), order.trigger
        waits_for = 0 if trigger is None else trigger.price
        was = order.held_price * order.remaining
        order.price = change.price if isinstance(change.price, int) else 0
        order.qty = max(change.qty, order.filled)
        if trigger is not None and isinstance(change.trigger, int):
            trigger.price = change.trigger
        # Whoever asks for less needs no more margin, however low the level is.
        less = order.leverage and order.qty <= before[1] and order.held_price * order.remaining <= was
        fault = None if less else self._funds.fault(order, market, order)
        order.price, order.qty = before
        if trigger is not None:
            trigger.price = waits_for
        return fault

    def _apply_change(self, order: Order, market: Market, change: rules.Change) -> None:
        """Give ``order`` its new values; less quantity or another display keep its place in the queue."""
        self._remember_original(order)
        order.amended = True
        qty, display = change.qty, change.display
        left = max(qty - order.filled, 0)
        shown = left
        if order.type is ICEBERG:
            # A slice that is partly taken is not refilled where it stands.
            shown = min(order.shown if display == order.display else display, left)
        order.display = display
        keeps_place = change.price == order.price and qty <= order.qty
        if not left:
            order.qty = order.filled
            self._told_amended(order)
            self._finish(order, CANCELED, Reason.USER)
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
            if order.status is OPEN:
                queue.add(order)
        self._told_amended(order)

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
            or rules.edit_fault(place, old)
            or self._order_fault(place, market, account, old)
        )
        if fault is not None:
            self._refuse(fault)
            return
        self._charge_age(old, limits.EDIT)
        self._enter(self.draft(place, market, account, self._orders.next()), market, replaced=old)

    # -- the venue and its accounts ----------------------------------------------------------------

    def _set_index(self, command: commands.SetIndex) -> None:
        market = self.markets.get(command.pair)
        if market is None:
            self._refuse(Reject.UNKNOWN_PAIR)
            return
        market.index_price = command.price
        if market.index_triggers.orders:
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
            self._watch.book_changed(resumed)
            if resumed.triggers.orders or resumed.index_triggers.orders:
                self._set_off(resumed)

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

    def _late(self, deadline_ns: int) -> Reject | None:
        return Reject.DEADLINE_ELAPSED if deadline_ns and self.now_ns > deadline_ns else None
