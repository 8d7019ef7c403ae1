"""Rows of WebSocket v2's data messages: executions, balances, price levels and candles.  Pure functions.

Numbers are JSON numbers with the pair's full decimals, trailing zeros kept (checksums depend on
them), so rows are written from scaled integers as text, never through floats.
"""

from emulator.engine.events import Amended, Ended, Filled, Refilled
from emulator.engine.instruments import Asset, Instrument
from emulator.engine.ledger import LedgerEntry, TradeRecord
from emulator.engine.orders import Order, OrderType, Status, TimeInForce
from emulator.engine.triggers import Offset
from emulator.gateways import descriptions
from emulator.gateways.numbers import rfc3339, text
from emulator.gateways.order_fields import PERCENT_DECIMALS
from emulator.gateways.spot_ws_v2.codec import string
from emulator.gateways.tape import Candle

USD = "ZUSD"
_USD_DECIMALS = 4


def usd_decimals(pair: Instrument) -> int:
    """Return the decimals of ``fee_usd_equiv``: the cost's in pairs quoted in USD, else those of USD itself.

    Recorded of both (BTC/USD, FET/USD, ADX/USD in 2024; BTC/USDT in 2026).
    """
    return pair.cost_decimals if pair.quote.id == USD else _USD_DECIMALS


def _qty(pair: Instrument, quantity: int) -> str:
    return text(quantity, pair.lot_decimals)


def _price(pair: Instrument, price: int) -> str:
    return text(price, pair.price_decimals)


def _ids(order: Order) -> str:
    if order.cl_ord_id is not None:
        return f'"cl_ord_id":{string(order.cl_ord_id)}'
    return f'"order_userref":{order.userref or 0}'


def _flags(order: Order) -> str:
    return ('"post_only":true,' if order.post_only else "") + (
        '"reduce_only":true,' if order.reduce_only else ""
    )


def _limit(order: Order) -> str:
    """Return what an order row tells of prices."""
    pair = order.instrument
    limit, _ = descriptions.terms(order)
    kind = price = shown = ""
    if limit is not None:
        kind, price = f'"limit_price_type":"{_kind(limit)}",', f'"limit_price":{_price_of(pair, limit)},'
    if order.type is OrderType.ICEBERG:
        shown = f'"display_qty":{_qty(pair, order.display)},'
    if order.trigger is None:
        return f'{kind}{price}{shown}"stop_price":{_price(pair, 0)},'
    stop, reference = _price(pair, order.trigger.price), order.trigger.reference.value
    return f'{kind}{_triggers(order)},"stop_price":{stop},{price}"trigger":"{reference}",'


def _triggers(order: Order) -> str:
    """Return the object ``triggers``: keys by the alphabet, ``actual_price`` where it is not ``price``."""
    trigger, pair = order.trigger, order.instrument
    assert trigger is not None  # noqa: S101 - asked for orders with a trigger only
    given = trigger.offset or trigger.price
    parts = [] if isinstance(given, int) else [f'"actual_price":{_price(pair, trigger.price)}']
    if trigger.fired_ns:
        parts.append(f'"last_price":{_price(pair, trigger.fired_price)}')
    if trigger.trails:
        parts.append(f'"peak_price":{_price(pair, trigger.peak)}')
    parts += [
        f'"price":{_price_of(pair, given)}',
        f'"price_type":"{_kind(given)}"',
        f'"reference":"{trigger.reference.value}"',
        f'"status":"{"triggered" if trigger.fired_ns else "untriggered"}"',
    ]
    if trigger.fired_ns:
        parts.append(f'"timestamp":"{rfc3339(trigger.fired_ns)}"')
    return f'"triggers":{{{",".join(parts)}}}'


def _kind(price: int | Offset) -> str:
    if isinstance(price, int):
        return "static"
    return "pct" if price.percent else "quote"


def _price_of(pair: Instrument, price: int | Offset) -> str:
    if isinstance(price, int):
        return _price(pair, price)
    return text(price.value, PERCENT_DECIMALS if price.percent else pair.price_decimals)


def _contingent(order: Order) -> str:
    """Return the object ``contingent``: the order that each fill places."""
    close, pair = order.close, order.instrument
    if close is None:
        return ""
    parts = [f'"order_type":"{close.type.value}"']
    if close.trigger is not None:
        parts.append(f'"trigger_price":{_price_of(pair, close.trigger)}')
        parts.append(f'"trigger_price_type":"{_kind(close.trigger)}"')
    if close.price is not None:
        parts.append(f'"limit_price":{_price_of(pair, close.price)}')
        parts.append(f'"limit_price_type":"{_kind(close.price)}"')
    return f'"contingent":{{{",".join(parts)}}},'


def _cost(order: Order, cost: int) -> str:
    return text(order.instrument.reported_cost(cost), order.instrument.cost_decimals)


def _average(order: Order, cost: int, quantity: int) -> str:
    decimals = order.instrument.price_decimals
    return text(order.instrument.average_price(cost, quantity, decimals), decimals)


def execution_pending(order: Order) -> str:
    """Row ``pending_new``: the order was accepted and validated."""
    return _order_row(order, "pending_new", "pending_new", 0, 0, "")


def execution_snapshot(order: Order, fee_usd: str) -> str:
    """Row of an open order in the snapshot: like ``pending_new``, with what it has done so far."""
    kind = state = "pending_new" if order.waiting or order.status is Status.PENDING else "new"
    if order.filled:
        state = "partially_filled"
    extra = (
        f'"cum_qty":{_qty(order.instrument, order.filled)},'
        f'"avg_price":{_average(order, order.cost, order.filled)},'
    )
    if order.amended:
        extra += '"amended":true,'
    return _order_row(order, kind, state, order.cost, fee_usd, extra)


def _order_row(order: Order, exec_type: str, state: str, cost: int, fee_usd: str | int, extra: str) -> str:
    pair = order.instrument
    times = f'"effective_time":"{rfc3339(order.start_ns)}",' if order.start_ns else ""
    if order.tif is TimeInForce.GTD:
        times += f'"expire_time":"{rfc3339(order.expire_ns)}",'
    times += '"margin":true,' if order.leverage else ""
    times += '"liquidated":true,' if order.liquidation else ""
    times += f'"ord_ref_id":"{order.refid}",' if order.refid else ""
    size = f'"order_qty":{_qty(pair, order.qty)}'
    if order.cash:
        cash = text(pair.reported_cost(order.cash), pair.cost_decimals)
        size = f'"cash_order_qty":{cash}'
    fee = text(0, usd_decimals(pair)) if fee_usd == 0 else fee_usd
    return (
        f'{{"order_id":"{order.txid}","symbol":"{pair.symbol}",{size},'
        f'"cum_cost":{_cost(order, cost)},"time_in_force":"{order.tif.value}","exec_type":"{exec_type}",'
        f'"side":"{order.side.value}","order_type":"{order.type.value}",{_ids(order)},{_limit(order)}'
        f"{_flags(order)}{times}{_contingent(order)}{extra}"
        f'"order_status":"{state}","fee_usd_equiv":{fee},'
        f'"fee_ccy_pref":"{"fcib" if order.fee_in_base else "fciq"}",'
        f'"timestamp":"{rfc3339(order.opened_ns)}"}}'
    )


def execution_new(order: Order, time_ns: int) -> str:
    """Row ``new``: the order is live."""
    post = '"post_only":true,' if order.post_only else ""
    return (
        f'{{"timestamp":"{rfc3339(time_ns)}","order_status":"new","exec_type":"new",'
        f'{_ids(order)},{post}"order_id":"{order.txid}"}}'
    )


def execution_status(order: Order, time_ns: int) -> str:
    """Row ``status``: a trigger has moved, or was set off."""
    state = "partially_filled" if order.filled else "new"
    if order.trigger is not None and order.trigger.fired_ns:
        state = "triggered"
    return (
        f'{{"timestamp":"{rfc3339(time_ns)}","exec_type":"status","order_status":"{state}",'
        f'{_triggers(order)},{_ids(order)},"order_id":"{order.txid}"}}'
    )


def execution_trade(event: Filled, fee_usd: str, fee_asset: Asset) -> str:
    """Row ``trade``: one fill, with the order's totals after it."""
    order, trade = event.order, event.trade
    state = (
        f'"order_type":"{order.type.value}","timestamp":"{rfc3339(trade.time_ns)}",'
        f'"order_status":"partially_filled","cum_qty":{_qty(order.instrument, trade.cum_qty)},'
        f'"cum_cost":{_cost(order, trade.cum_cost)},'
        f'"avg_price":{_average(order, trade.cum_cost, trade.cum_qty)},'
    )
    return _trade_row(order, trade, state, fee_usd, fee_asset)


def execution_past_trade(order: Order, trade: TradeRecord, fee_usd: str, fee_asset: Asset) -> str:
    """Row of a fill in the snapshot: without the order's totals."""
    state = (
        f'"order_status":"filled","order_type":"{order.type.value}","timestamp":"{rfc3339(trade.time_ns)}",'
    )
    return _trade_row(order, trade, state, fee_usd, fee_asset)


def _trade_row(order: Order, trade: TradeRecord, state: str, fee_usd: str, fee_asset: Asset) -> str:
    pair = order.instrument
    fee = text(trade.fee, order.fee_decimals)
    return (
        f'{{"order_id":"{order.txid}",{_ids(order)},"exec_id":"{trade.exec_id}","exec_type":"trade",'
        f'"trade_id":{trade.trade_id},"symbol":"{pair.symbol}","side":"{order.side.value}",'
        f'"last_qty":{_qty(pair, trade.qty)},"last_price":{_price(pair, trade.price)},'
        f'"liquidity_ind":"{"m" if trade.maker else "t"}",{_margin(order, trade)}'
        f'"cost":{_cost(order, trade.cost)},{state}"fee_usd_equiv":{fee_usd},'
        f'"fees":[{{"asset":"{fee_asset.name}","qty":{fee}}}]}}'
    )


def _margin(order: Order, trade: TradeRecord) -> str:
    if not trade.leverage:
        return ""
    status = "closing" if trade.closing else "opened"
    liquidated = '"liquidated":true,' if order.liquidation else ""
    borrow = "false" if trade.closing else "true"
    return f'"margin":true,"margin_borrow":{borrow},{liquidated}"position_status":"{status}",'


_ENDED = {Status.CLOSED: "filled", Status.CANCELED: "canceled", Status.EXPIRED: "expired"}


def execution_ended(event: Ended, fee_usd: str) -> str:
    """Row ``filled``, ``canceled`` or ``expired``."""
    order = event.order
    kind = _ENDED[order.status]
    reason = ""
    if order.reason is not None:
        reason = f'"cancel_reason":"{order.reason.value}","reason":"{order.reason.value}",'
    post = '"post_only":true,' if order.post_only else ""
    return (
        f'{{"timestamp":"{rfc3339(event.time_ns)}","order_status":"{kind}","exec_type":"{kind}",'
        f'"cum_qty":{_qty(order.instrument, order.filled)},"cum_cost":{_cost(order, order.cost)},'
        f'"fee_usd_equiv":{fee_usd},"avg_price":{_average(order, order.cost, order.filled)},'
        f'{_ids(order)},{post}{reason}"order_id":"{order.txid}"}}'
    )


def execution_amended(event: Amended) -> str:
    """Row ``amended``."""
    order = event.order
    state = "partially_filled" if event.filled else "new"
    pair = order.instrument
    kind, reason = "amended", "User requested"
    if event.reason is not None:
        kind, reason = "restated", event.reason.value
    limit = ""
    if event.price:
        limit = f'"limit_price":{_price(pair, event.price)},"limit_price_type":"static",'
    triggers = f"{_triggers(order)}," if order.trigger is not None else ""
    return (
        f'{{"timestamp":"{rfc3339(event.time_ns)}","exec_type":"{kind}","order_status":"{state}",'
        f'"cum_qty":{_qty(pair, event.filled)},"reason":"{reason}","amended":true,'
        f'"order_qty":{_qty(pair, event.qty)},{limit}{triggers}{_ids(order)},"order_id":"{order.txid}"}}'
    )


def execution_refilled(event: Refilled) -> str:
    """Row ``iceberg_refill``: the next slice is displayed."""
    order = event.order
    pair = order.instrument
    state = "partially_filled" if order.filled else "new"
    return (
        f'{{"timestamp":"{rfc3339(event.time_ns)}","exec_type":"iceberg_refill","order_status":"{state}",'
        f'"display_qty":{_qty(pair, order.display)},'
        f'"display_qty_remain":{_qty(pair, event.shown)},{_ids(order)},'
        f'"order_id":"{order.txid}"}}'
    )


def balance_row(asset: Asset, balance: int) -> str:
    """Row of the balances snapshot."""
    amount = text(balance, asset.decimals)
    return (
        f'{{"asset":"{asset.name}","asset_class":"currency",'
        f'"wallets":[{{"type":"spot","id":"main","balance":{amount}}}],"balance":{amount}}}'
    )


_CATEGORIES = {
    "margin": "margin-trade",
    "rollover": "marginrollover",
    "settled": "margin-settle",
    "staking": "staking-rewards",
}
"""Categories that are not the type's own word."""
_SUBTYPES = frozenset(
    {
        *("spotfromfutures", "spottofutures", "stakingfromspot", "spotfromstaking"),
        *("stakingtospot", "spottostaking"),
    }
)
"""Those that Kraken documents for this channel."""


def ledger_row(entry: LedgerEntry, asset: Asset) -> str:
    """Row of a balances update: one ledger entry."""
    decimals = asset.decimals
    subtype = f'"subtype":"{entry.subtype}",' if entry.subtype in _SUBTYPES else ""
    return (
        f'{{"ledger_id":"{entry.id}","ref_id":"{entry.refid}","timestamp":"{rfc3339(entry.time_ns)}",'
        f'"type":"{entry.type}",{subtype}"asset":"{asset.name}","asset_class":"currency",'
        f'"category":"{_CATEGORIES.get(entry.type, entry.type)}",'
        f'"wallet_type":"spot","wallet_id":"main","amount":{text(entry.amount, decimals)},'
        f'"fee":{text(entry.fee, decimals)},"balance":{text(entry.balance, decimals)}}}'
    )


def private_message(channel: str, kind: str, rows: list[str], sequence: int) -> bytes:
    """Return a message of a private channel; ``kind`` is snapshot or update."""
    return (
        f'{{"channel":"{channel}","type":"{kind}","data":[{",".join(rows)}],"sequence":{sequence}}}'
    ).encode()


def level_row(pair: Instrument, price: int, quantity: int) -> str:
    """Row of a book: one price level."""
    return f'{{"price":{_price(pair, price)},"qty":{_qty(pair, quantity)}}}'


def candle_row(pair: Instrument, interval: int, candle: Candle) -> bytes:
    """Row of ``ohlc``: one candle; ``interval`` in minutes."""
    begin_ns = candle.start_s * 10**9
    vwap = pair.average_price(candle.cost, candle.volume, pair.price_decimals)
    return (
        f'{{"symbol":"{pair.symbol}","open":{_price(pair, candle.open)},"high":{_price(pair, candle.high)},'
        f'"low":{_price(pair, candle.low)},"close":{_price(pair, candle.close)},"trades":{candle.trades},'
        f'"volume":{_qty(pair, candle.volume)},"vwap":{_price(pair, vwap)},'
        f'"interval_begin":"{rfc3339(begin_ns, 9)}","interval":{interval},'
        f'"timestamp":"{rfc3339(begin_ns + interval * 60 * 10**9)}"}}'
    ).encode()
