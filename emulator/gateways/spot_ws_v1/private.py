"""Private channels of WebSocket v1: ``openOrders`` and ``ownTrades``."""

from collections.abc import Callable
from typing import Any

from emulator.engine.accounts import Account
from emulator.engine.events import (
    Accepted,
    Amended,
    Ended,
    Event,
    Filled,
    Started,
    Triggered,
    TriggerMoved,
)
from emulator.engine.instruments import Instrument
from emulator.engine.ledger import TradeRecord
from emulator.engine.orders import Order, OrderType, Reason
from emulator.gateways import descriptions, order_fields
from emulator.gateways.numbers import text
from emulator.gateways.outlet import Mail, Sender
from emulator.gateways.spot_ws_v1 import codec
from emulator.gateways.tokens import Token
from emulator.gateways.venue import Venue

SNAPSHOT_TRADES = 50
ORDERS, TRADES = "openOrders", "ownTrades"


class Subscription:
    """One private subscription: numbered messages to one connection."""

    __slots__ = ("_sequence", "channel", "consolidate", "outlet", "ratecounter", "token")

    def __init__(
        self,
        channel: str,
        outlet: Sender,
        token: Token,
        *,
        consolidate: bool = True,
        ratecounter: bool = False,
    ) -> None:
        self.channel = channel
        self.token = token
        self.consolidate = consolidate
        """Whether the fills of one taker order at one moment are one row."""
        self.ratecounter = ratecounter
        self.outlet = outlet
        self._sequence = 0

    def snapshot(self, rows: list[dict[str, Any]]) -> None:
        """Send a snapshot."""
        self.outlet.send(self._message(rows))

    def update(self, row: dict[str, Any], mail: Mail) -> None:
        """Add an update to ``mail``."""
        mail.add(self.outlet, self._message([row]))

    def _message(self, rows: list[dict[str, Any]]) -> bytes:
        self._sequence += 1
        return codec.private(rows, self.channel, self._sequence)


class PrivateChannels:
    """Tells accounts what happens to their orders, whichever protocol caused it."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._subscribed: dict[tuple[str, str], dict[Subscription, None]] = {}
        venue.listen(self.hear)

    def join(self, subscription: Subscription) -> None:
        """Let the subscription hear of its account from now on."""
        subscription.token.bound += 1
        key = (subscription.channel, subscription.token.key.account)
        self._subscribed.setdefault(key, {})[subscription] = None

    def leave(self, subscription: Subscription) -> None:
        """End the subscription."""
        subscription.token.bound -= 1
        key = (subscription.channel, subscription.token.key.account)
        self._subscribed[key].pop(subscription)
        if not self._subscribed[key]:
            del self._subscribed[key]

    # -- snapshots --------------------------------------------------------------------------------

    def order_rows(self, account: Account) -> list[dict[str, Any]]:
        """Return all open orders."""
        return [{order.txid: order_object(order, order.status.value)} for order in account.open.values()]

    def trade_rows(self, account: Account) -> list[dict[str, Any]]:
        """Return the last fills, newest first."""
        pairs = self._venue.engine.catalogue.pairs
        last = list(account.trades.values())[-SNAPSHOT_TRADES:]
        return [{trade.exec_id: trade_object(pairs[trade.pair], trade)} for trade in reversed(last)]

    # -- events -----------------------------------------------------------------------------------

    def hear(self, events: list[Event]) -> None:
        """Publish a batch of events: one order a message."""
        if not self._subscribed:
            return
        with Mail() as mail:
            self._write(events, mail)

    def _write(self, events: list[Event], mail: Mail) -> None:
        fills: dict[Order, list[TradeRecord]] = {}
        for event in events:
            write = _WRITERS.get(type(event))
            if write is None:
                continue
            order: Order = event.order  # type: ignore[union-attr]  # every kind in _WRITERS has one
            if type(event) is Filled:
                fills.setdefault(order, []).append(event.trade)
            for subscription in self._subscribed.get((ORDERS, order.account.name), ()):
                for row in write(event):
                    subscription.update({order.txid: self._counted(row, order, subscription)}, mail)
        for order, trades in fills.items():
            for subscription in self._subscribed.get((TRADES, order.account.name), ()):
                self._tell_trades(order, trades, subscription, mail)

    @staticmethod
    def _tell_trades(order: Order, trades: list[TradeRecord], subscription: Subscription, mail: Mail) -> None:
        pair = order.instrument
        if subscription.consolidate and not trades[0].maker:
            row = trade_object(pair, trades[0], trades) | ids(order)
            subscription.update({trades[0].exec_id: row}, mail)
            return
        for trade in trades:
            subscription.update({trade.exec_id: trade_object(pair, trade) | ids(order)}, mail)

    def _counted(self, row: dict[str, Any], order: Order, subscription: Subscription) -> dict[str, Any]:
        if not subscription.ratecounter:
            return row
        count = order.account.rate(order.instrument.id).count(self._venue.clock.now_ns())
        return row | {"ratecount": text(int(count * 100), 2)}


# -- rows ------------------------------------------------------------------------------------------------


def ids(order: Order) -> dict[str, Any]:
    """Return the client's identifiers: ``userref`` in every update, 0 for none."""
    row: dict[str, Any] = {"userref": order.userref or 0}
    if order.cl_ord_id is not None:
        row["cl_ord_id"] = order.cl_ord_id
    return row


def _totals(order: Order, filled: int, exact: int, fee: int) -> dict[str, str]:
    pair = order.instrument
    return {
        "vol_exec": codec.volume(pair, filled),
        "cost": codec.cost(pair, exact),
        "fee": text(fee, order.fee_decimals),
        "avg_price": codec.order_average(pair, exact, filled),
    }


def _price(pair: Instrument, price: descriptions.Price) -> str:
    if price is None or isinstance(price, int):
        return codec.price(pair, price or 0)
    return descriptions.price_text(pair, price)


def _triggers(order: Order) -> dict[str, str]:
    pair, trigger = order.instrument, order.trigger
    stop = limit = 0
    if trigger is not None:
        stop = trigger.price
        limit = trigger.peak if trigger.trails else order.price
    return {"limitprice": codec.price(pair, limit), "stopprice": codec.price(pair, stop)}


def order_object(order: Order, status: str) -> dict[str, Any]:
    """Return an order in full: keys in alphabetical order, as recorded."""
    pair = order.instrument
    limit, trigger = descriptions.terms(order)
    first, second = (trigger, limit) if order.type.triggered else (limit, None)
    line = descriptions.of_order(order).replace(f" {pair.altname} ", f" {pair.wsname} ")
    if order.type is OrderType.MARKET:
        line += f" {codec.price(pair, 0)}"
    flags = ["post"] if order.post_only else []
    flags.append("fcib" if order.fee_in_base else "fciq")
    row: dict[str, Any] = {
        "avg_price": codec.order_average(pair, order.cost, order.filled),
        "cost": codec.cost(pair, order.cost),
        "descr": {
            "close": descriptions.of_close(pair, order.close, order.leverage) or None,
            "leverage": f"{order.leverage}:1" if order.leverage else None,
            "order": line,
            "ordertype": order.type.value,
            "pair": pair.wsname,
            "price": _price(pair, first),
            "price2": _price(pair, second),
            "type": order.side.value,
        },
        "expiretm": codec.seconds(order.expire_ns) if order.expire_ns else None,
        "fee": text(order.fee, order.fee_decimals),
        **_triggers(order),
        "misc": "amended" if order.amended else "",
        "oflags": ",".join([*flags, "viqc"] if order.cash else flags),
        "opentm": codec.seconds(order.opened_ns),
        "refid": order.refid,
        "starttm": codec.seconds(order.start_ns) if order.start_ns else None,
        "status": status,
        "timeinforce": order.tif.value,
        **ids(order),
        "vol": codec.volume(pair, order.cash // 10**pair.price_decimals if order.cash else order.qty),
        "vol_exec": codec.volume(pair, order.filled),
    }
    if order.type is OrderType.ICEBERG:
        row["display_volume"] = codec.volume(pair, order.display)
        row["display_volume_remain"] = codec.volume(pair, order.shown)
    if order.close is not None:
        row["contingent"] = {
            "ordertype": order.close.type.value,
            "price": _price(pair, order.close.trigger or order.close.price),
            "price2": _price(pair, order.close.price if order.close.trigger else None),
            "oflags": flags[-1],
        }
    return dict(sorted(row.items()))


def trade_object(
    pair: Instrument, trade: TradeRecord, together: list[TradeRecord] | None = None
) -> dict[str, Any]:
    """Return a private trade; ``together`` are fills that it stands for."""
    fills = together or [trade]
    cost, qty = sum(fill.cost for fill in fills), sum(fill.qty for fill in fills)
    decimals = pair.lot_decimals if trade.fee_asset == pair.base.id else pair.cost_decimals
    row: dict[str, Any] = {
        "cost": codec.cost(pair, cost),
        "fee": text(sum(fill.fee for fill in fills), decimals),
        "margin": codec.cost(pair, sum(fill.margin for fill in fills)),
        "ordertxid": trade.order_txid,
        "ordertype": trade.order_type,
        "pair": pair.wsname,
        "postxid": trade.position or order_fields.NO_POSITION,
        "price": codec.average(pair, sum(fill.price * fill.qty for fill in fills), qty),
        "time": codec.seconds(fills[-1].time_ns),
        "type": "buy" if trade.buy else "sell",
        "vol": codec.volume(pair, qty),
    }
    if trade.leverage:
        row["margin_borrow"] = not trade.closing
    return row


def _accepted(event: Accepted) -> list[dict[str, Any]]:
    order = event.order
    rows = [order_object(order, "pending") | _totals(order, 0, 0, 0)]
    if not order.start_ns and order.reason is not Reason.POST_ONLY:
        rows.append({"status": "open", **ids(order)})
    return rows


def _started(event: Started) -> list[dict[str, Any]]:
    return [{"status": "open", **ids(event.order)}]


def _filled(event: Filled) -> list[dict[str, Any]]:
    trade = event.trade
    return [_totals(event.order, trade.cum_qty, trade.cum_cost, trade.cum_fee) | ids(event.order)]


def _ended(event: Ended) -> list[dict[str, Any]]:
    order = event.order
    row = {"lastupdated": codec.seconds(event.time_ns), "status": order.status.value}
    if order.reason is not None:
        row["cancel_reason"] = order.reason.value
    return [row | _totals(order, order.filled, order.cost, order.fee) | ids(order)]


def _amended(event: Amended) -> list[dict[str, Any]]:
    order = event.order
    pair = order.instrument
    reason = Reason.USER if event.reason is None else event.reason
    return [
        {
            "amended": True,
            "amend_reason": reason.value,
            "vol": codec.volume(pair, event.qty),
            "price": codec.price(pair, event.price),
            **_triggers(order),
            **ids(order),
        }
    ]


def _triggered(event: Triggered | TriggerMoved) -> list[dict[str, Any]]:
    order = event.order
    row: dict[str, Any] = {**_triggers(order), **ids(order)}
    if order.trigger is not None and order.trigger.fired_ns:
        row["misc"] = "touched" if order.type.takes_profit else "stopped"
    return [row]


_WRITERS: dict[type, Callable[[Any], list[dict[str, Any]]]] = {
    Accepted: _accepted,
    Started: _started,
    Filled: _filled,
    Ended: _ended,
    Amended: _amended,
    Triggered: _triggered,
    TriggerMoved: _triggered,
}
