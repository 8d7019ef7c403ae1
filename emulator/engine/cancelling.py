"""How orders are cancelled: one, several, all, and by the dead man's switch.

A client may have very many open orders.  What is cancelled together is cancelled pair by pair, as each is a
book of its own; beyond ``AT_ONCE`` orders the rest is due at the same time, so that who drives the engine may
let others have their turns in between (``advance``).
"""

from collections import deque

from emulator.engine import commands, events, limits
from emulator.engine.accounts import Account
from emulator.engine.events import Event, Reject
from emulator.engine.managed import Managed
from emulator.engine.orders import CANCELED, Order, Reason
from emulator.engine.status import MAINTENANCE

AT_ONCE = 100
"""Orders that are cancelled in one go, besides those of the pair that was begun."""

_OfPairs = deque[tuple[str, list[Order]]]


class Cancelling(Managed):
    """The floor, with orders cancelled as clients want."""

    def _cancel(self, command: commands.CancelOrder) -> None:
        account = self.accounts[command.account]
        order = account.find_open(command.txid, command.cl_ord_id)
        if order is None:
            self._refuse(Reject.UNKNOWN_ORDER)
            return
        market = self.markets[order.instrument.id]
        fault = self._cancel_fault(order, batch=command.batch)
        if fault is not None:
            self._refuse(fault)
            return
        self._charge_age(order, limits.CANCEL)
        self._finish(order, CANCELED, Reason.USER)
        self._publish_book(market)

    def _cancel_fault(self, order: Order, *, batch: bool) -> Reject | None:
        """Return why an order cannot be cancelled now; a ``batch`` is, whatever the rate counter says."""
        if self.status(self.markets[order.instrument.id]) is MAINTENANCE:
            return Reject.UNAVAILABLE
        return None if batch else self._rate_fault(order.account, order.instrument.id, 0)

    def cancel_house(self, order: Order, now_ns: int) -> list[Event]:
        """Cancel a resting order of the market itself; nothing happens when it is gone."""
        self.now_ns = now_ns
        out: list[Event] = []
        self._out = out
        if order.level is not None:
            self._finish(order, CANCELED, Reason.USER)
            self._publish_book(self.markets[order.instrument.id])
        return out

    def _cancel_several(self, command: commands.CancelOrders) -> None:
        account, orders = self.accounts[command.account], []
        fault = None
        for txid in command.txids:
            order = account.open.get(txid)
            why = Reject.UNKNOWN_ORDER if order is None else self._cancel_fault(order, batch=command.batch)
            if order is None or why is not None:
                fault = fault or why
                continue
            self._charge_age(order, limits.CANCEL)
            orders.append(order)
        if fault is not None:
            self._refuse(fault)
        self._out.append(events.CancelledAll(account.name, len(orders)))
        self._cancel_orders(account, orders, Reason.USER)

    def _cancel_all(self, command: commands.CancelAll) -> None:
        if self.system is MAINTENANCE:
            self._refuse(Reject.UNAVAILABLE)
            return
        account = self.accounts[command.account]
        orders = [
            order
            for order in account.open.values()
            if self.markets[order.instrument.id].status is not MAINTENANCE
        ]
        if self.rate_limits:
            for pair in {order.instrument.id for order in orders}:
                account.rate(pair).add(2, self.now_ns)
        self._out.append(events.CancelledAll(command.account, len(orders)))
        self._cancel_orders(account, orders, Reason.USER)

    def _cancel_orders(self, account: Account, orders: list[Order], reason: Reason) -> None:
        """Cancel orders, those of a pair together; when they are many, the rest is due at once."""
        by_pair: dict[str, list[Order]] = {}
        for order in orders:
            by_pair.setdefault(order.instrument.id, []).append(order)
        account.cancelling += len(orders)
        self._go_on_cancelling((account, deque(by_pair.items()), reason))

    def _go_on_cancelling(self, subject: tuple[Account, _OfPairs, Reason]) -> None:
        account, pairs, reason = subject
        done = 0
        while pairs and done < AT_ONCE:
            name, orders = pairs.popleft()
            for order in orders:
                if order.txid in account.open:  # nothing else has ended it meanwhile
                    self._finish(order, CANCELED, reason)
            self._publish_book(self.markets[name])
            done += len(orders)
        account.cancelling -= done
        if pairs:
            self._timers.at(self.now_ns, self._go_on_cancelling, subject)

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
            self._cancel_orders(account, list(account.open.values()), Reason.CANCEL_AFTER)
        self._watch_switch(account)

    def _watch_switch(self, account: Account) -> None:
        """Have a timer for the switch, unless one goes off early enough to look again."""
        due_ns, queued_ns = account.cancel_after_ns, account.cancel_after_queued_ns
        if due_ns and not 0 < queued_ns <= due_ns:
            account.cancel_after_queued_ns = due_ns
            self._timers.at(due_ns, self._switch_due, account)
