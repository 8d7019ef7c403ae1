"""Private channels: ``executions`` and ``balances``, each subscription with its own sequence."""

from collections.abc import Callable
from fractions import Fraction

from emulator.engine.accounts import Account
from emulator.engine.events import (
    Accepted,
    Amended,
    Ended,
    Event,
    Filled,
    Posted,
    Refilled,
    Started,
    Triggered,
    TriggerMoved,
)
from emulator.engine.orders import Order, Reason
from emulator.gateways.numbers import text
from emulator.gateways.outlet import Mail, Sender
from emulator.gateways.spot_ws_v2 import rows
from emulator.gateways.tokens import Token
from emulator.gateways.venue import Venue

SNAPSHOT_TRADES = 50
USD = rows.USD


class Subscription:
    """One private subscription: numbered messages to one connection."""

    __slots__ = ("_sequence", "channel", "order_status", "outlet", "ratecounter", "token")

    def __init__(
        self,
        channel: str,
        outlet: Sender,
        token: Token,
        *,
        order_status: bool = True,
        ratecounter: bool = False,
    ) -> None:
        self.channel = channel
        self.token = token
        self.order_status = order_status
        """False leaves out all order rows but new, filled, canceled and expired."""
        self.ratecounter = ratecounter
        """Whether rows tell the engine's counter of the account and pair."""
        self.outlet = outlet
        self._sequence = 0

    def snapshot(self, data: list[str]) -> None:
        """Send a snapshot."""
        self.outlet.send(self._message("snapshot", data))

    def update(self, row: str, mail: Mail) -> None:
        """Add an update to ``mail``."""
        mail.add(self.outlet, self._message("update", [row]))

    def _message(self, kind: str, data: list[str]) -> bytes:
        self._sequence += 1
        return rows.private_message(self.channel, kind, data, self._sequence)


class PrivateChannels:
    """Tells accounts what happens to their orders and balances, whichever protocol caused it."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._executions: dict[str, dict[Subscription, None]] = {}
        self._balances: dict[str, dict[Subscription, None]] = {}
        venue.listen(self.hear)

    def join(self, subscription: Subscription) -> None:
        """Let the subscription hear of its account from now on."""
        subscription.token.bound += 1
        by_account = self._channel(subscription)
        by_account.setdefault(subscription.token.key.account, {})[subscription] = None

    def leave(self, subscription: Subscription) -> None:
        """End the subscription."""
        subscription.token.bound -= 1
        self._channel(subscription)[subscription.token.key.account].pop(subscription)

    def _channel(self, subscription: Subscription) -> dict[str, dict[Subscription, None]]:
        return self._executions if subscription.channel == "executions" else self._balances

    # -- snapshots --------------------------------------------------------------------------------

    def execution_rows(self, account: Account, *, orders: bool, trades: bool) -> list[str]:
        """Return the rows of the snapshot: open orders, then the last fills."""
        data = []
        if orders:
            data += [rows.execution_snapshot(o, self._fee_usd(o, o.fee)) for o in account.open.values()]
        if trades:
            for record in list(account.trades.values())[-SNAPSHOT_TRADES:]:
                order = account.find(record.order_txid)
                if order is not None:
                    fee = self._fee_usd(order, record.fee)
                    asset = self._venue.engine.catalogue.assets[record.fee_asset]
                    data.append(rows.execution_past_trade(order, record, fee, asset))
        return data

    def balance_rows(self, account: Account) -> list[str]:
        """Return the rows of the snapshot: every asset with a balance."""
        assets = self._venue.engine.catalogue.assets
        return [rows.balance_row(assets[name], amount) for name, amount in account.balances.items() if amount]

    # -- events -----------------------------------------------------------------------------------

    def hear(self, events: list[Event]) -> None:
        """Publish a batch of events: one row a message."""
        if not self._executions and not self._balances:
            return
        with Mail() as mail:
            self._write(events, mail)

    def _write(self, events: list[Event], mail: Mail) -> None:
        for event in events:
            if type(event) is Posted:
                listeners = self._balances.get(event.account)
                if listeners:
                    row = rows.ledger_row(event.entry, self._venue.engine.catalogue.assets[event.entry.asset])
                    for subscription in listeners:
                        subscription.update(row, mail)
                continue
            write = _WRITERS.get(type(event))
            if write is None:
                continue
            order: Order = event.order  # type: ignore[union-attr]  # every kind in _WRITERS has one
            subscribers = self._executions.get(order.account.name)
            if subscribers:
                for row, essential in write(self, event):
                    for subscription in subscribers:
                        if essential or subscription.order_status:
                            subscription.update(self._counted(row, order, subscription), mail)

    def _counted(self, row: str, order: Order, subscription: Subscription) -> str:
        """Return a row with the engine's counter, when the subscription asks for it."""
        if not subscription.ratecounter:
            return row
        count = order.account.rate(order.instrument.id).count(self._venue.clock.now_ns())
        return f'{row[:-1]},"ratecount":{text(int(count * 100), 2)}}}'

    def _accepted(self, event: Accepted) -> list[tuple[str, bool]]:
        pending = (rows.execution_pending(event.order), False)
        if event.order.reason is Reason.POST_ONLY:
            return [pending]  # it would have crossed, so it never goes live: pending_new, canceled
        if event.order.start_ns:
            return [pending]
        return [pending, (rows.execution_new(event.order, event.order.opened_ns), True)]

    def _started(self, event: Started) -> list[tuple[str, bool]]:
        return [(rows.execution_new(event.order, event.time_ns), True)]

    def _status(self, event: Triggered | TriggerMoved) -> list[tuple[str, bool]]:
        return [(rows.execution_status(event.order, event.time_ns), False)]

    def _filled(self, event: Filled) -> list[tuple[str, bool]]:
        asset = self._venue.engine.catalogue.assets[event.trade.fee_asset]
        fee = self._fee_usd(event.order, event.trade.cum_fee)
        return [(rows.execution_trade(event, fee, asset), True)]

    def _ended(self, event: Ended) -> list[tuple[str, bool]]:
        return [(rows.execution_ended(event, self._fee_usd(event.order, event.order.fee)), True)]

    def _amended(self, event: Amended) -> list[tuple[str, bool]]:
        return [(rows.execution_amended(event), False)]

    def _refilled(self, event: Refilled) -> list[tuple[str, bool]]:
        return [(rows.execution_refilled(event), False)]

    def _fee_usd(self, order: Order, fee: int) -> str:
        """Return ``fee`` (at the order's fee decimals) in USD."""
        decimals = rows.usd_decimals(order.instrument)
        if order.fee_asset == USD:
            return text(fee, decimals)
        rate = self._venue.engine.valuation.rate(order.fee_asset, USD) or 0
        return text(round(Fraction(fee, 10**order.fee_decimals) * rate * 10**decimals), decimals)


_WRITERS: dict[type, Callable[..., list[tuple[str, bool]]]] = {
    Accepted: PrivateChannels._accepted,
    Filled: PrivateChannels._filled,
    Ended: PrivateChannels._ended,
    Started: PrivateChannels._started,
    Triggered: PrivateChannels._status,
    TriggerMoved: PrivateChannels._status,
    Amended: PrivateChannels._amended,
    Refilled: PrivateChannels._refilled,
}
