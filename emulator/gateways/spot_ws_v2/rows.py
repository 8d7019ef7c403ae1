"""Rows of WebSocket v2's data messages: executions, balances and price levels.  Pure functions.

Numbers are JSON numbers with the pair's full decimals, trailing zeros kept (checksums depend on
them), so rows are written from scaled integers as text, never through floats.
"""

from emulator.engine.events import Amended, Ended, Filled, Refilled
from emulator.engine.instruments import Asset, Instrument
from emulator.engine.ledger import LedgerEntry, TradeRecord
from emulator.engine.orders import Order, OrderType, Status, TimeInForce
from emulator.gateways.numbers import rfc3339, text
from emulator.gateways.spot_ws_v2.codec import string


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
    pair = order.instrument
    if order.type is OrderType.MARKET:
        return ""
    price = _price(pair, order.price)
    row = f'"limit_price_type":"static","limit_price":{price},'
    if order.type is OrderType.ICEBERG:
        row += f'"display_qty":{_qty(pair, order.display)},'
    return row


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
    state = "partially_filled" if order.filled else "new"
    extra = (
        f'"cum_qty":{_qty(order.instrument, order.filled)},'
        f'"avg_price":{_average(order, order.cost, order.filled)},'
    )
    if order.amended:
        extra += '"amended":true,'
    return _order_row(order, "new", state, order.cost, fee_usd, extra)


def _order_row(order: Order, exec_type: str, state: str, cost: int, fee_usd: str | int, extra: str) -> str:
    pair = order.instrument
    expires = f'"expire_time":"{rfc3339(order.expire_ns)}",' if order.tif is TimeInForce.GTD else ""
    fee = text(0, pair.cost_decimals) if fee_usd == 0 else fee_usd
    return (
        f'{{"order_id":"{order.txid}","symbol":"{pair.symbol}","order_qty":{_qty(pair, order.qty)},'
        f'"cum_cost":{_cost(order, cost)},"time_in_force":"{order.tif.value}","exec_type":"{exec_type}",'
        f'"side":"{order.side.value}","order_type":"{order.type.value}",{_ids(order)},{_limit(order)}'
        f'"stop_price":{_price(pair, 0)},{_flags(order)}{expires}{extra}'
        f'"order_status":"{state}","fee_usd_equiv":{fee},'
        f'"fee_ccy_pref":"{"fcib" if order.fee_in_base else "fciq"}",'
        f'"timestamp":"{rfc3339(order.opened_ns)}"}}'
    )


def execution_new(order: Order) -> str:
    """Row ``new``: the order is live."""
    post = '"post_only":true,' if order.post_only else ""
    return (
        f'{{"timestamp":"{rfc3339(order.opened_ns)}","order_status":"new","exec_type":"new",'
        f'{_ids(order)},{post}"order_id":"{order.txid}"}}'
    )


def execution_trade(event: Filled, fee_usd: str, fee_asset: Asset) -> str:
    """Row ``trade``: one fill, with the order's totals after it."""
    order, trade = event.order, event.trade
    totals = (
        f'"order_status":"partially_filled","cum_qty":{_qty(order.instrument, trade.cum_qty)},'
        f'"cum_cost":{_cost(order, trade.cum_cost)},'
        f'"avg_price":{_average(order, trade.cum_cost, trade.cum_qty)},'
    )
    return _trade_row(order, trade, totals, fee_usd, fee_asset)


def execution_past_trade(order: Order, trade: TradeRecord, fee_usd: str, fee_asset: Asset) -> str:
    """Row of a fill in the snapshot: without the order's totals."""
    return _trade_row(order, trade, '"order_status":"filled",', fee_usd, fee_asset)


def _trade_row(order: Order, trade: TradeRecord, totals: str, fee_usd: str, fee_asset: Asset) -> str:
    pair = order.instrument
    fee = text(trade.fee, order.fee_decimals)
    return (
        f'{{"order_id":"{order.txid}",{_ids(order)},"exec_id":"{trade.exec_id}","exec_type":"trade",'
        f'"trade_id":{trade.trade_id},"symbol":"{pair.symbol}","side":"{order.side.value}",'
        f'"last_qty":{_qty(pair, trade.qty)},"last_price":{_price(pair, trade.price)},'
        f'"liquidity_ind":"{"m" if trade.maker else "t"}","cost":{_cost(order, trade.cost)},'
        f'"order_type":"{order.type.value}","timestamp":"{rfc3339(trade.time_ns)}",{totals}'
        f'"fee_usd_equiv":{fee_usd},"fees":[{{"asset":"{fee_asset.name}","qty":{fee}}}]}}'
    )


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
    return (
        f'{{"timestamp":"{rfc3339(event.time_ns)}","exec_type":"amended","order_status":"{state}",'
        f'"cum_qty":{_qty(pair, event.filled)},"reason":"User requested","amended":true,'
        f'"order_qty":{_qty(pair, event.qty)},"limit_price":{_price(pair, event.price)},'
        f'"limit_price_type":"static",{_ids(order)},"order_id":"{order.txid}"}}'
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
        f'{{"asset":"{asset.name}","asset_class":"currency","balance":{amount},'
        f'"wallets":[{{"type":"spot","id":"main","balance":{amount}}}]}}'
    )


def ledger_row(entry: LedgerEntry, asset: Asset) -> str:
    """Row of a balances update: one ledger entry."""
    decimals = asset.decimals
    return (
        f'{{"ledger_id":"{entry.id}","ref_id":"{entry.refid}","timestamp":"{rfc3339(entry.time_ns)}",'
        f'"type":"{entry.type}","asset":"{asset.name}","asset_class":"currency","category":"{entry.type}",'
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
