"""Wire form of spot REST: envelopes, orders and trades.  Pure functions."""

from collections.abc import Iterable
from typing import Any

import msgspec

from emulator.engine.events import Traded
from emulator.engine.instruments import Asset, Instrument, rescale_half_up
from emulator.engine.ledger import TradeRecord
from emulator.engine.margin import Position
from emulator.engine.orders import Order, OrderType, Status
from emulator.engine.triggers import Reference
from emulator.gateways import descriptions, order_fields
from emulator.gateways.numbers import text
from emulator.gateways.tape import Candle

_encode = msgspec.json.Encoder().encode


# -- envelopes -------------------------------------------------------------------------------------------


def result(value: Any) -> bytes:
    """Return the envelope of a success."""
    return b'{"error":[],"result":' + _encode(value) + b"}"


def errors(*texts: str) -> bytes:
    """Return the envelope of a failure: no ``result``."""
    return _encode({"error": texts})


# -- numbers and times -----------------------------------------------------------------------------------


def raw(digits: str) -> msgspec.Raw:
    """Return ``digits`` as a JSON number, as they are."""
    return msgspec.Raw(digits.encode())


def seconds(time_ns: int, decimals: int = 6) -> msgspec.Raw:
    """Return a time as a JSON number of seconds."""
    return raw(text(time_ns // 10 ** (9 - decimals), decimals))


def at_cost_decimals(pair: Instrument, price: int) -> str:
    """Return a price with the pair's cost decimals, as market data and private prices are printed."""
    return text(price * 10 ** (pair.cost_decimals - pair.price_decimals), pair.cost_decimals)


def price(pair: Instrument, value: int) -> str:
    """Return a price with the pair's own decimals, as candles and descriptions print it."""
    return text(value, pair.price_decimals)


def volume(pair: Instrument, value: int) -> str:
    """Return a quantity with the pair's lot decimals."""
    return text(value, pair.lot_decimals)


def cost(pair: Instrument, exact: int) -> str:
    """Return an exact cost at the pair's cost decimals."""
    return text(pair.reported_cost(exact), pair.cost_decimals)


def amount(asset: Asset, value: int) -> str:
    """Return a balance or a ledger amount."""
    return text(value, asset.decimals)


# -- market data -----------------------------------------------------------------------------------------


def array(rows: Iterable[bytes]) -> msgspec.Raw:
    """Return encoded rows as a JSON array."""
    return msgspec.Raw(b"[" + b",".join(rows) + b"]")


def candle(pair: Instrument, _: int, row: Candle) -> bytes:
    """Return a candle as ``OHLC`` prints it."""
    decimals = pair.price_decimals
    vwap = pair.average_price(row.cost, row.volume, decimals)
    return (
        f'[{row.start_s},"{text(row.open, decimals)}","{text(row.high, decimals)}",'
        f'"{text(row.low, decimals)}","{text(row.close, decimals)}","{text(vwap, decimals)}",'
        f'"{volume(pair, row.volume)}",{row.trades}]'
    ).encode()


def public_trades(pair: Instrument, trades: Iterable[Traded]) -> msgspec.Raw:
    """Return trades as ``Trades`` prints them; a page of a thousand is written without detours."""
    lots, decimals = pair.lot_decimals, pair.cost_decimals
    scale = 10 ** (decimals - pair.price_decimals)
    rows = [
        f'["{text(trade.price * scale, decimals)}","{text(trade.qty, lots)}",{text(trade.time_ns // 100, 7)},'
        f'"{"b" if trade.taker_buy else "s"}","{"m" if trade.market_order else "l"}","",{trade.trade_id}]'
        for trade in trades
    ]
    return msgspec.Raw(f"[{','.join(rows)}]".encode())


# -- orders and trades -----------------------------------------------------------------------------------


def order_object(order: Order, *, trades: bool, queried: bool = False) -> dict[str, Any]:
    """Return an order as OpenOrders, ClosedOrders and QueryOrders print it, in the recorded key order.

    ``queried``: QueryOrders tells a reason of open orders too, null.
    """
    pair = order.instrument
    first, second = descriptions.prices(order)
    row: dict[str, Any] = {"refid": order.refid, "userref": _userref(order)}
    if order.cl_ord_id is not None:
        row["cl_ord_id"] = order.cl_ord_id
    row |= {
        "status": order.status.value,
        "opentm": seconds(order.opened_ns),
        "starttm": seconds(order.start_ns) if order.start_ns else 0,
        "expiretm": seconds(order.expire_ns) if order.expire_ns else 0,
        "descr": {
            "pair": pair.altname,
            "aclass": "forex",
            "type": order.side.value,
            "ordertype": order.type.value,
            "price": first,
            "price2": second,
            "leverage": f"{order.leverage}:1" if order.leverage else "none",
            "order": descriptions.of_order(order),
            "close": descriptions.of_close(pair, order.close, order.leverage),
        },
        "vol": volume(pair, order.cash // 10**pair.price_decimals if order.cash else order.qty),
        "vol_exec": volume(pair, order.filled),
        "cost": cost(pair, order.cost),
        "fee": text(order.fee, order.fee_decimals),
        "price": _average(order),
        **_trigger_fields(order),
        "misc": _misc(order),
        "oflags": _oflags(order),
    }
    if order.type is OrderType.ICEBERG:
        row["displayvol"] = volume(pair, order.display)
    row["time_in_force"] = order.tif.value.lower()
    if trades and order.trades:
        row["trades"] = order.trades
    if order.closed_ns or queried:
        row["reason"] = None if order.reason is None else order.reason.value
    if order.closed_ns:
        row["closetm"] = seconds(order.closed_ns)
    return row


def _average(order: Order) -> str:
    """Return the average price: at the pair's own decimals once there is one, a zero at the cost's."""
    pair = order.instrument
    if not order.filled:
        return text(0, pair.cost_decimals)
    return price(pair, pair.average_price(order.cost, order.filled, pair.price_decimals))


def _userref(order: Order) -> int | None:
    if order.cl_ord_id is not None:
        return None
    return order.userref or 0


def _trigger_fields(order: Order) -> dict[str, Any]:
    """Return ``stopprice``, ``limitprice`` and what else tells of a trigger or of margin.

    A trailing trigger shows where it stands and the best price it has seen; a limit that was set off shows
    itself; all others recorded show zeros.
    """
    pair, trigger = order.instrument, order.trigger
    stop = limit = 0
    if trigger is not None and trigger.trails:
        stop, limit = trigger.price, trigger.peak
    elif trigger is not None and trigger.fired_ns:
        limit = order.price
    row: dict[str, Any] = {
        "stopprice": at_cost_decimals(pair, stop),
        "limitprice": at_cost_decimals(pair, limit),
    }
    if trigger is not None and trigger.reference is not Reference.LAST:
        row["trigger"] = trigger.reference.value
    if order.leverage:
        row["margin"] = True
        if order.reduce_only:
            row["reduce_only"] = True
    return row


def _misc(order: Order) -> str:
    words = []
    if order.trigger is not None and order.trigger.fired_ns:
        words.append("touched" if order.type.takes_profit else "stopped")
    if order.liquidation:
        words.append("liquidated")
    if order.filled and order.status is Status.OPEN:
        words.append("partial")
    if order.amended:
        words.append("amended")
    return ",".join(words)


def _oflags(order: Order) -> str:
    return (
        ("post," if order.post_only else "")
        + ("fcib" if order.fee_in_base else "fciq")
        + (",viqc" if order.cash else "")
    )


_TRADED_AS = {
    **{kind.value: "limit" if kind.limited else "market" for kind in OrderType},
    "liquidation market": "market",
}
"""What orders trade as, by their type: a stop that was set off is a market order."""


def trade_object(pair: Instrument, trade: TradeRecord) -> dict[str, Any]:
    """Return a private trade as TradesHistory prints it."""
    fee_decimals = pair.lot_decimals if trade.fee_asset == pair.base.id else pair.cost_decimals
    return {
        "ordertxid": trade.order_txid,
        "postxid": trade.position or order_fields.NO_POSITION,
        "pair": pair.id,
        "aclass": "forex",
        "time": seconds(trade.time_ns),
        "type": "buy" if trade.buy else "sell",
        "ordertype": trade.order_type,
        "tradeordertype": _TRADED_AS[trade.order_type],
        "price": at_cost_decimals(pair, trade.price),
        "cost": cost(pair, trade.cost),
        "fee": text(trade.fee, fee_decimals),
        "vol": volume(pair, trade.qty),
        "margin": cost(pair, trade.margin),
        "leverage": str(trade.leverage),
        "misc": "closing" if trade.closing else "",
        "trade_id": trade.trade_id,
        "maker": trade.maker,
    }


def position_fields(pair: Instrument, position: Position) -> dict[str, Any]:
    """Return what a trade that opened a position tells of it besides (``TradesHistory``)."""
    average = pair.average_price(position.closed_cost, position.closed, pair.cost_decimals)
    closed_margin = 0 if not position.qty else position.cost * position.closed // position.qty
    return {
        "posstatus": "open" if position.open else "closed",
        "cprice": text(average, pair.cost_decimals),
        "ccost": cost(pair, position.closed_cost),
        "cfee": text(position.closed_fee, pair.cost_decimals),
        "cvol": volume(pair, position.closed),
        "cmargin": cost(pair, closed_margin // position.leverage),
        "net": text(rescale_half_up(position.net, pair.exact_decimals, 4), 4),
        "trades": position.trades,
    }
