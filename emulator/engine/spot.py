"""The spot trading engine: commands in, events out.

``SpotEngine.apply(command, now_ns)`` is the whole interface, besides ``deadline()`` and
``advance(now_ns)`` for what happens by itself (expiry, the dead man's switch).  It never waits,
never reads a clock, and gives the same events for the same commands at the same times.
"""

import heapq
from collections.abc import Callable, Iterable, Mapping

from emulator.engine import commands, events, matching, rules
from emulator.engine.accounts import Account
from emulator.engine.book import Book
from emulator.engine.events import Event, Reject
from emulator.engine.ids import IdSequence
from emulator.engine.instruments import Catalogue, Instrument
from emulator.engine.limits import LIMITS
from emulator.engine.orders import Order, OrderType, Reason, Status, TimeInForce
from emulator.engine.settlement import Settlement
from emulator.engine.valuation import Valuation

BATCH = range(2, 16)
"""How many orders a batch may hold."""


MOST_DEAD_TIMERS = 1_000
"""Timers of orders that have ended are cleared away beyond this many, or twice the living ones."""


class Market:
    """One pair as the engine trades it."""

    __slots__ = ("book", "instrument", "last_price", "last_trade_ns", "next_trade_id")

    def __init__(self, instrument: Instrument, first_trade_id: int) -> None:
        self.instrument = instrument
        self.book = Book()
        self.last_price = 0
        self.last_trade_ns = 0
        self.next_trade_id = first_trade_id


class SpotEngine:
    """Kraken's spot engine.

    ``post_only_rejects`` refuses a post-only order that would cross; by default it is accepted and
    cancelled at once, which is what was recorded live.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        accounts: Iterable[Account],
        *,
        seed: int = 0,
        first_trade_ids: Mapping[str, int] | None = None,
        post_only_rejects: bool = False,
    ) -> None:
        first = first_trade_ids or {}
        self.catalogue = catalogue
        self.accounts = {account.name: account for account in accounts}
        self.markets = {name: Market(pair, first.get(name, 1)) for name, pair in catalogue.pairs.items()}
        self.valuation = Valuation(self.markets)
        self.settlement = Settlement(seed, self.valuation)
        self.now_ns = 0
        self._post_only_rejects = post_only_rejects
        self._orders = IdSequence("O", seed, "order")
        self._amends = IdSequence("T", seed, "amend")
        self._timers: list[tuple[int, int, Order | Account]] = []
        self._timer_count = 0
        self._timers_bound = MOST_DEAD_TIMERS
        self._out: list[Event] = []
        self._listener = matching.Listener(self._traded, self._completed, self._refilled, self._prevented)
        self._handlers: dict[type, Callable[..., None]] = {
            commands.PlaceOrder: self._place,
            commands.AmendOrder: self._amend,
            commands.EditOrder: self._edit,
            commands.CancelOrder: self._cancel,
            commands.CancelAll: self._cancel_all,
            commands.CancelAllAfter: self._cancel_all_after,
            commands.Deposit: self._deposit,
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
            return (
                Reject.UNKNOWN_ORDER
                if old is None
                else rules.edit_fault(rules.replacement(command, old), old, now_ns)
            )
        market = self.markets.get(command.pair)
        if market is None:
            return Reject.UNKNOWN_PAIR
        return rules.order_fault(command, market.instrument, self.accounts[command.account], now_ns)

    def deadline(self) -> int | None:
        """Return when something happens by itself next, in nanoseconds since the epoch."""
        return self._timers[0][0] if self._timers else None

    def advance(self, now_ns: int) -> list[Event]:
        """Carry out everything that is due at ``now_ns``."""
        self.now_ns = now_ns
        out: list[Event] = []
        self._out = out
        while self._timers and self._timers[0][0] <= now_ns:
            _, _, subject = heapq.heappop(self._timers)
            if isinstance(subject, Order):
                if subject.status is Status.OPEN:
                    self._finish(subject, Status.EXPIRED, Reason.EXPIRED)
                    self._publish_book(self.markets[subject.instrument.id])
            else:
                self._switch_due(subject)
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
        fault = self._late(command.deadline_ns) or rules.order_fault(
            command, market.instrument, account, self.now_ns
        )
        if fault is None and account.open_per_pair.get(command.pair, 0) >= LIMITS[account.tier].open_orders:
            fault = Reject.ORDERS_LIMIT
        if fault is not None:
            self._refuse(fault)
            return
        self._enter(self._new_order(command, market, account), market, refund=0)

    def _place_house(self, command: commands.PlaceOrder, market: Market, account: Account) -> None:
        """Take a plain order of the market itself: always funded, never archived, told to the public only."""
        if command.type is OrderType.ICEBERG:
            self._refuse(Reject.INVALID_DISPLAY)
            return
        self._orders.count += 1
        order = self._order(command, market, account, txid="")
        self._out.append(events.Accepted(order))
        self._run(order, market)
        self._publish_book(market)

    def _order(self, command: commands.PlaceOrder, market: Market, account: Account, txid: str) -> Order:
        order = Order(
            self._orders.count,
            txid,
            account,
            market.instrument,
            command.side,
            command.type,
            command.qty,
            command.price or 0,
            self.now_ns,
        )
        order.tif = TimeInForce.GTC if order.type is OrderType.MARKET else command.tif
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
        order.fee_in_base = command.fee_in_base
        order.rate_cap_ppm = max(market.instrument.fees.rates_ppm(account.volume_usd(self.now_ns)))
        return order

    def _funds_fault(self, order: Order, market: Market, refund: int) -> Reject | None:
        """Put the order's funds on hold, or return why that cannot be done."""
        account, pair = order.account, order.instrument
        cost = order.price * order.qty
        if order.type is OrderType.MARKET and order.buy:
            cost = matching.cost_to_take(market.book.asks, order)
        needed = order.hold_needed(cost)
        if needed > account.available(pair.quote.id if order.buy else pair.base.id) + refund:
            return Reject.INSUFFICIENT_FUNDS
        account.hold(order, needed)
        return None

    def _enter(self, order: Order, market: Market, refund: int, replaced: Order | None = None) -> None:
        """Take a new order into the venue; ``refund`` is what the order it replaces will release."""
        if (
            order.post_only
            and self._post_only_rejects
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
        if order.tif is TimeInForce.GTD:
            self._at(order.expire_ns, order)
        self._run(order, market)
        self._publish_book(market)

    def _run(self, order: Order, market: Market) -> None:
        """Match an order that has been accepted, then let the rest of it rest or end."""
        book = market.book
        limit = None if order.type is OrderType.MARKET else order.price
        if order.post_only and limit is not None and matching.crosses(book, order.buy, limit):
            self._finish(order, Status.CANCELED, Reason.POST_ONLY)
            return
        if order.tif is TimeInForce.FOK and limit is not None and not matching.fillable(book, order, limit):
            self._finish(order, Status.CANCELED, Reason.FOK)
            return
        stopped = None
        if matching.crosses(book, order.buy, order.price) if limit is not None else True:
            stopped = matching.match(book, order, limit, self.now_ns, self._listener)
        if order.filled == order.qty:
            self._finish(order, Status.CLOSED, None)
        elif stopped is not None:
            self._finish(order, Status.CANCELED, stopped)
        elif limit is None:
            self._finish(order, Status.CANCELED, Reason.NO_LIQUIDITY)
        elif order.tif in (TimeInForce.IOC, TimeInForce.FOK):
            self._finish(order, Status.CANCELED, Reason.IOC)
        else:
            self._rest(order, market)

    def _rest(self, order: Order, market: Market) -> None:
        left = order.remaining
        order.shown = min(order.display, left) if order.type is OrderType.ICEBERG else left
        order.touched_ns = self.now_ns
        if order.filled and not order.account.house:
            order.account.hold(order, order.hold_needed(order.price * left))
        market.book.add(order, self.now_ns)

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
        market_order = taker.type is OrderType.MARKET
        self._out.append(events.Traded(pair.id, trade_id, price, quantity, taker.buy, market_order, time_ns))
        book_fill = self.settlement.fill
        self._out += book_fill(taker, trade_id, price, quantity, time_ns, maker=False)
        self._out += book_fill(maker, trade_id, price, quantity, time_ns, maker=True)

    def _completed(self, order: Order) -> None:
        self._finish(order, Status.CLOSED, None)

    def _refilled(self, order: Order) -> None:
        self._out.append(events.Refilled(order, order.shown, self.now_ns))

    def _prevented(self, order: Order) -> None:
        self._finish(order, Status.CANCELED, Reason.SELF_TRADE)

    # -- ending -----------------------------------------------------------------------------------

    def _finish(self, order: Order, status: Status, reason: Reason | None) -> None:
        """End ``order``: out of the book, hold released, into the history."""
        if order.level is not None:
            self.markets[order.instrument.id].book.remove(order, self.now_ns)
        order.status = status
        order.reason = reason
        order.closed_ns = self.now_ns
        account = order.account
        if not account.house:
            account.ended(order)
            self._out.append(events.Ended(order, self.now_ns))

    def _find_open(self, account: Account, txid: str | None, cl_ord_id: str | None) -> Order | None:
        if txid is not None:
            return account.open.get(txid)
        return account.by_cl_ord_id.get(cl_ord_id or "")

    def _cancel(self, command: commands.CancelOrder) -> None:
        order = self._find_open(self.accounts[command.account], command.txid, command.cl_ord_id)
        if order is None:
            self._refuse(Reject.UNKNOWN_ORDER)
        else:
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
        orders = list(self.accounts[command.account].open.values())
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
            self._at(due_ns, account)

    # -- changing ---------------------------------------------------------------------------------

    def _amend(self, command: commands.AmendOrder) -> None:
        account = self.accounts[command.account]
        order = self._find_open(account, command.txid, command.cl_ord_id)
        if order is None:
            self._refuse(self._late(command.deadline_ns) or Reject.UNKNOWN_ORDER)
            return
        price = order.price if command.price is None else command.price
        qty = order.qty if command.qty is None else command.qty
        display = order.display if command.display is None else command.display
        market = self.markets[order.instrument.id]
        fault = self._late(command.deadline_ns) or rules.amend_fault(
            command, order, market.book, price, qty, display
        )
        if fault is None:
            fault = self._rehold(order, price, max(qty, order.filled))
        if fault is not None:
            self._refuse(fault)
            return
        self._requeue(order, market, price, qty, display)

    def _rehold(self, order: Order, price: int, qty: int) -> Reject | None:
        """Hold what the amended order needs, or leave all as it was and return the fault."""
        account, pair = order.account, order.instrument
        old_qty, order.qty = order.qty, qty
        needed = order.hold_needed(price * order.remaining)
        order.qty = old_qty
        asset = pair.quote.id if order.buy else pair.base.id
        if needed > account.available(asset) + order.hold:
            return Reject.INSUFFICIENT_FUNDS
        account.hold(order, needed)
        return None

    def _requeue(self, order: Order, market: Market, price: int, qty: int, display: int) -> None:
        """Give ``order`` its new values; less quantity or another display keep its place in the queue."""
        keeps_place = price == order.price and qty <= order.qty
        left = max(qty - order.filled, 0)
        shown = left
        if order.type is OrderType.ICEBERG:
            # A slice that is partly taken is not refilled where it stands.
            shown = min(order.shown if display == order.display else display, left)
        order.amended = True
        order.display = display
        if keeps_place and left:
            order.qty = qty
            market.book.reduce(order, order.shown - shown, self.now_ns)
            self._told_amended(order)
        elif not left:
            order.qty = order.filled
            self._told_amended(order)
            self._finish(order, Status.CANCELED, Reason.USER)
        else:
            market.book.remove(order, self.now_ns)
            order.price, order.qty = price, qty
            self._told_amended(order)
            self._run(order, market)
        self._publish_book(market)

    def _told_amended(self, order: Order) -> None:
        amend_id = self._amends.next()
        self._out.append(events.Amended(order, amend_id, self.now_ns, order.qty, order.price, order.filled))

    def _edit(self, command: commands.EditOrder) -> None:
        account = self.accounts[command.account]
        old = account.open.get(command.txid)
        if old is None:
            self._refuse(self._late(command.deadline_ns) or Reject.UNKNOWN_ORDER)
            return
        place = rules.replacement(command, old)
        fault = self._late(command.deadline_ns) or rules.edit_fault(place, old, self.now_ns)
        if fault is not None:
            self._refuse(fault)
            return
        market = self.markets[old.instrument.id]
        self._enter(self._new_order(place, market, account), market, refund=old.hold, replaced=old)

    # -- the rest ---------------------------------------------------------------------------------

    def _deposit(self, command: commands.Deposit) -> None:
        account = self.accounts[command.account]
        self._out.append(self.settlement.deposit(account, command.asset, command.amount, self.now_ns))

    def _refuse(self, reason: Reject) -> None:
        self._out.append(events.Rejected(reason))

    def _late(self, deadline_ns: int) -> Reject | None:
        return Reject.DEADLINE_ELAPSED if deadline_ns and self.now_ns > deadline_ns else None

    def _at(self, due_ns: int, subject: Order | Account) -> None:
        self._timer_count += 1
        heapq.heappush(self._timers, (due_ns, self._timer_count, subject))
        if len(self._timers) > self._timers_bound:
            # Timers of orders that have ended are dropped now and then, not one by one.
            self._timers = [
                timer
                for timer in self._timers
                if not isinstance(timer[2], Order) or timer[2].status is Status.OPEN
            ]
            heapq.heapify(self._timers)
            self._timers_bound = max(MOST_DEAD_TIMERS, 2 * len(self._timers))

    def _publish_book(self, market: Market) -> None:
        if market.book.touched:
            changes = market.book.changes()
            self._out.append(events.BookChanged(market.instrument.id, changes, self.now_ns))
