"""What tests make happen: balances, books, trades and ends of orders as they want them, and a new beginning.

No client asks for any of it, but it goes the way that clients' orders go: fills have fees and ledger entries,
trades have numbers and set triggers off, and everybody hears of it.
"""

from collections.abc import Iterator

from emulator.engine import commands, events, margin, matching
from emulator.engine.accounts import Account
from emulator.engine.book import BookSide
from emulator.engine.events import Reject
from emulator.engine.instruments import Side
from emulator.engine.market import Market
from emulator.engine.orders import Order, OrderType, Reason, Status, TimeInForce
from emulator.engine.positions import Positions
from emulator.engine.status import TradingStatus
from emulator.engine.triggers import TriggerQueue


class Managed(Positions):
    """The floor, with somebody who may do everything."""

    # -- balances ----------------------------------------------------------------------------------

    def _set_balances(self, command: commands.SetBalances) -> None:
        account = self.accounts[command.account]
        if any(amount < max(account.holds.get(asset, 0), 0) for asset, amount in command.balances):
            self._refuse(Reject.INSUFFICIENT_FUNDS)
            return
        self._out.append(events.Done())
        for asset, amount in command.balances:
            self.wallets.adjust(account, asset, amount)

    # -- the book and the tape ---------------------------------------------------------------------

    def _set_book(self, command: commands.SetBook) -> None:
        market = self.markets.get(command.pair)
        if market is None:
            self._refuse(Reject.UNKNOWN_PAIR)
            return
        fault = self._book_fault(command, market)
        if fault is not None:
            self._refuse(fault)
            return
        self._out.append(events.Done())
        house = self.accounts[command.house]
        sides = (
            (market.book.bids, _added_up(command.bids)),
            (market.book.asks, _added_up(command.asks)),
        )
        if not command.adds:
            for side, wanted in sides:
                self._lower(side, wanted, market)
        for side, wanted in sides:
            for price, qty in wanted.items():
                there = 0 if command.adds else sum(o.remaining for o in _of_house(side, price))
                if qty > there:
                    order = self._house_order(market, house, side is market.book.bids, qty - there, price)
                    self._out.append(events.Accepted(order))
                    self._run(order, market)
        self._conclude(market)

    def _lower(self, side: BookSide, wanted: dict[int, int], market: Market) -> None:
        """Take away what the house has beyond ``wanted`` (quantities by price), the youngest first."""
        for key in list(side.keys):
            price = key * side.sign
            orders = list(_of_house(side, price))
            excess = sum(order.remaining for order in orders) - wanted.get(price, 0)
            for order in reversed(orders):
                part = min(order.remaining, excess)
                if part <= 0:
                    break
                excess -= part
                if part == order.remaining:
                    self._finish(order, Status.CANCELED, Reason.USER)
                else:
                    order.qty -= part
                    market.book.reduce(order, part, self.now_ns)

    def _book_fault(self, command: commands.SetBook, market: Market) -> Reject | None:
        for price, qty in (*command.bids, *command.asks):
            fault = _trade_fault(price, qty, market)
            if fault is not None:
                return fault
        bids, asks = [price for price, _ in command.bids], [price for price, _ in command.asks]
        if bids and asks and max(bids) >= min(asks):
            return Reject.INVALID_PRICE
        book = market.book
        best = [(book.asks, max(bids))] if bids else []
        best += [(book.bids, min(asks))] if asks else []
        if not any(True for side, price in best for _ in _crossed(side, price, house=command.adds)):
            return None
        if not command.match:
            return Reject.WOULD_TRADE
        return None if self.status(market).matches else Reject.UNAVAILABLE

    def _print_trade(self, command: commands.PrintTrade) -> None:
        market = self.markets.get(command.pair)
        if market is None:
            self._refuse(Reject.UNKNOWN_PAIR)
            return
        price, qty, book = command.price, command.qty, market.book
        fault = _trade_fault(price, qty, market)
        if fault is None and not self.status(market).matches:
            fault = Reject.UNAVAILABLE
        better = [*_crossed(book.bids, price + 1), *_crossed(book.asks, price - 1)]
        if fault is None and better and not command.through:
            fault = Reject.WOULD_TRADE
        if fault is not None:
            self._refuse(fault)
            return
        self._out.append(events.Done())
        house, buy = self.accounts[command.house], command.side is Side.BUY
        for order in better:
            self._fill_resting(order, order.remaining, order.price, market, house)
        taker = self._house_order(market, house, buy, qty, price)
        self._traded(taker, self._house_order(market, house, not buy, qty, price), price, qty)
        self._conclude(market)

    def _house_order(self, market: Market, house: Account, buy: bool, qty: int, price: int) -> Order:
        """Return a new limit order of the house."""
        command = commands.PlaceOrder(
            account=house.name,
            pair=market.instrument.id,
            side=Side.BUY if buy else Side.SELL,
            type=OrderType.LIMIT,
            qty=qty,
            price=price,
        )
        self._orders.count += 1
        return self._order(command, market, house, txid="")

    # -- orders ------------------------------------------------------------------------------------

    def _fill_order(self, command: commands.FillOrder) -> None:
        order = self.accounts[command.account].find_open(command.txid, command.cl_ord_id)
        if order is None:
            self._refuse(Reject.UNKNOWN_ORDER)
            return
        market, house = self.markets[order.instrument.id], self.accounts[command.house]
        limit = _limit(order)
        price = command.price or limit or order.held_price or market.last_price
        qty = order.remaining if command.qty is None else command.qty
        fault = self._fill_fault(order, qty, price, limit, market)
        if fault is not None:
            self._refuse(fault)
            return
        self._out.append(events.Done())
        if order.level is None:
            self._set_live(order, price, market)
        if order.level is not None:
            self._fill_resting(order, qty, price, market, house)
        elif order.status is Status.OPEN:
            self._fill_taker(order, qty, price, market, house)
        self._conclude(market)

    def _fill_fault(self, order: Order, qty: int, price: int, limit: int, market: Market) -> Reject | None:
        """Return why this fill cannot be; its funds are on hold when it can."""
        if not self.status(market).matches:
            return Reject.UNAVAILABLE
        if not 0 < qty <= order.remaining or (order.tif is TimeInForce.FOK and qty < order.remaining):
            return Reject.INVALID_QTY
        if price <= 0 or (limit and (price > limit if order.buy else price < limit)):
            return Reject.INVALID_PRICE
        if price % order.instrument.tick:
            return Reject.TICK_SIZE
        if order.level is not None:
            return None
        account, pair = order.account, order.instrument
        if order.reduce_only and not margin.closable(account, pair, buy=order.buy):
            return Reject.REDUCE_ONLY_NO_POSITION
        if not order.leverage:
            needed = order.hold_needed((limit or price) * order.remaining)
            if needed > account.available(pair.quote.id if order.buy else pair.base.id) + order.hold:
                return Reject.INSUFFICIENT_FUNDS
            account.hold(order, needed)
        return None

    def _set_live(self, order: Order, price: int, market: Market) -> None:
        """Let an order that waits, for its start or for a price, wait no longer."""
        if order.status is Status.PENDING:
            order.account.scheduled -= 1
            order.status = Status.OPEN
            self._out.append(events.Started(order, self.now_ns))
        trigger = order.trigger
        if trigger is not None and order.waiting:
            market.queue(trigger.reference).remove(order)
            trigger.price = trigger.price or price
            self._set_going(order, trigger, trigger.price)
        if order.post_only:
            self._run(order, market)

    def _fill_resting(self, order: Order, qty: int, price: int, market: Market, house: Account) -> None:
        """Let the house take a part of a resting order, hidden quantity too."""
        taker = self._house_order(market, house, not order.buy, qty, price)
        while taker.remaining:
            matching.trade(market.book, taker, order, price, self.now_ns, self._listener)

    def _fill_taker(self, order: Order, qty: int, price: int, market: Market, house: Account) -> None:
        """Let an order that has just come to life take what the house offers."""
        if order.reduce_only and not self._fit_reduction(order):
            return
        qty = min(qty, order.remaining)
        if order.price:  # a limit that has only now followed from the trigger's price
            price = min(price, order.price) if order.buy else max(price, order.price)
        self._traded(order, self._house_order(market, house, not order.buy, qty, price), price, qty)
        if not order.remaining:
            self._finish(order, Status.CLOSED, None)
        elif order.price:
            self._run(order, market)
        else:
            self._finish(order, Status.CANCELED, Reason.NO_LIQUIDITY)

    def _end_order(self, command: commands.EndOrder) -> None:
        order = self.accounts[command.account].find_open(command.txid, command.cl_ord_id)
        if order is None:
            self._refuse(Reject.UNKNOWN_ORDER)
            return
        expires = command.reason is Reason.EXPIRED
        self._finish(order, Status.EXPIRED if expires else Status.CANCELED, command.reason)
        self._publish_book(self.markets[order.instrument.id])

    # -- a new beginning ---------------------------------------------------------------------------

    def _reset(self, command: commands.Reset) -> None:
        """End what clients have open, tell them what they own then, and forget how it came to be."""
        self._out.append(events.Done())
        clients = [account for account in self.accounts.values() if not account.house]
        for account in clients:
            for order in list(account.open.values()):
                self._finish(order, Status.CANCELED, Reason.USER)
        owned: dict[tuple[str, str], int] = {}
        for deposit in command.deposits:
            key = deposit.account, deposit.asset
            owned[key] = owned.get(key, 0) + deposit.amount
        for account in clients:
            assets = dict.fromkeys((*account.balances, *(a for name, a in owned if name == account.name)))
            for asset in assets:
                self.wallets.adjust(account, asset, owned.get((account.name, asset), 0))
            if account.master != account.name:
                del self.accounts[account.name]
        for account in self.accounts.values():
            account.clear()
        self._timers.clear()
        self._watch.clear()
        self.settlement.fees.clear()
        self.settlement.pool.clear()
        for market in self.markets.values():
            self._reset_market(market, keeps=command.keeps_market)
        if self.system is not TradingStatus.ONLINE:
            self.system = TradingStatus.ONLINE
            self._out.append(events.StatusChanged(None, TradingStatus.ONLINE, self.now_ns))
        told, self._out = self._out, []
        for deposit in command.deposits:  # clients have been told what they own
            self.wallets.deposit(deposit)
        self._out = told

    def _reset_market(self, market: Market, *, keeps: bool) -> None:
        market.triggers, market.index_triggers = TriggerQueue(), TriggerQueue()
        market.last_trade_ns = min(market.last_trade_ns, self.now_ns)  # the clock may have been put back
        if not keeps:
            market.last_price = market.last_trade_ns = market.index_price = 0
            for side in (market.book.bids, market.book.asks):
                self._lower(side, {}, market)
        if market.status is not TradingStatus.ONLINE:
            market.status = TradingStatus.ONLINE
            status = events.StatusChanged(market.instrument.id, TradingStatus.ONLINE, self.now_ns)
            self._out.append(status)
        self._publish_book(market)


def _added_up(levels: tuple[tuple[int, int], ...]) -> dict[int, int]:
    """Return quantities by price."""
    found: dict[int, int] = {}
    for price, qty in levels:
        found[price] = found.get(price, 0) + qty
    return found


def _trade_fault(price: int, qty: int, market: Market) -> Reject | None:
    if price <= 0:
        return Reject.INVALID_PRICE
    if price % market.instrument.tick:
        return Reject.TICK_SIZE
    return Reject.INVALID_QTY if qty <= 0 else None


def _limit(order: Order) -> int:
    """Return the worst price at which an order may be filled; 0 for any."""
    trigger = order.trigger
    if order.limit_offset is not None and trigger is not None and order.waiting and trigger.price:
        return max(order.limit_offset.from_(trigger.price, order.instrument.tick), order.instrument.tick)
    return order.price


def _of_house(side: BookSide, price: int) -> Iterator[Order]:
    """Return the house's orders at a price, oldest first."""
    level = side.levels.get(price * side.sign)
    order = None if level is None else level.head
    while order is not None:
        if order.account.house:
            yield order
        order = order.next


def _crossed(side: BookSide, price: int, *, house: bool = False) -> Iterator[Order]:
    """Return clients' (and the ``house``'s) orders that one at ``price`` would trade with, best first."""
    for key in reversed(side.keys):
        if key < price * side.sign:
            return
        order = side.levels[key].head
        while order is not None:
            if house or not order.account.house:
                yield order
            order = order.next
