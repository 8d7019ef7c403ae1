"""Wire form of spot REST: envelopes, orders and trades.  Pure functions."""

from typing import Any

import msgspec

from emulator.engine.instruments import Asset, Instrument
from emulator.engine.ledger import TradeRecord
from emulator.engine.orders import Order, OrderType, Status, TimeInForce
from emulator.gateways.errors import bad_argument
from emulator.gateways.numbers import number, text

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


def time_ns(value: str, name: str) -> int:
    """Return a unix time in seconds (decimals allowed) as nanoseconds."""
    try:
        return int(number(value).scaleb(9))
    except ValueError:
        raise bad_argument(name) from None


# -- orders and trades -----------------------------------------------------------------------------------


def describe(pair: Instrument, side: str, type_: str, qty: int, limit: int | None) -> str:
    """Return ``descr.order``: ``buy 0.75000000 XBTUSD @ limit 61250.0``."""
    head = f"{side} {volume(pair, qty)} {pair.altname} @ {type_}"
    return head if limit is None else f"{head} {price(pair, limit)}"


def order_text(order: Order) -> str:
    """Return ``descr.order`` of an order."""
    limit = None if order.type is OrderType.MARKET else order.price
    return describe(order.instrument, order.side.value, order.type.value, order.qty, limit)


def order_object(order: Order, *, trades: bool) -> dict[str, Any]:
    """Return an order as OpenOrders, ClosedOrders and QueryOrders print it, in the recorded key order."""
    pair = order.instrument
    row: dict[str, Any] = {"refid": None, "userref": _userref(order)}
    if order.cl_ord_id is not None:
        row["cl_ord_id"] = order.cl_ord_id
    row |= {
        "status": order.status.value,
        "opentm": seconds(order.opened_ns),
        "starttm": 0,
        "expiretm": seconds(order.expire_ns) if order.expire_ns else 0,
        "descr": {
            "pair": pair.altname,
            "aclass": "forex",
            "type": order.side.value,
            "ordertype": order.type.value,
            "price": "0" if order.type is OrderType.MARKET else price(pair, order.price),
            "price2": "0",
            "leverage": "none",
            "order": order_text(order),
            "close": "",
        },
        "vol": volume(pair, order.qty),
        "vol_exec": volume(pair, order.filled),
        "cost": cost(pair, order.cost),
        "fee": text(order.fee, order.fee_decimals),
        "price": text(pair.average_price(order.cost, order.filled, pair.cost_decimals), pair.cost_decimals),
        "stopprice": text(0, pair.cost_decimals),
        "limitprice": text(0, pair.cost_decimals),
        "misc": _misc(order),
        "oflags": _oflags(order),
    }
    if order.type is OrderType.ICEBERG:
        row["displayvol"] = volume(pair, order.display)
    if order.tif is not TimeInForce.GTC:
        row["time_in_force"] = order.tif.value.lower()
    if trades and order.trades:
        row["trades"] = order.trades
    if order.closed_ns:
        row["reason"] = None if order.reason is None else order.reason.value
        row["closetm"] = seconds(order.closed_ns)
    return row


def _userref(order: Order) -> int | None:
    if order.cl_ord_id is not None:
        return None
    return order.userref or 0


def _misc(order: Order) -> str:
    words = []
    if order.filled and order.status is Status.OPEN:
        words.append("partial")
    if order.amended:
        words.append("amended")
    return ",".join(words)


def _oflags(order: Order) -> str:
    return ("post," if order.post_only else "") + ("fcib" if order.fee_in_base else "fciq")


def trade_object(pair: Instrument, trade: TradeRecord) -> dict[str, Any]:
    """Return a private trade as TradesHistory prints it."""
    fee_decimals = pair.lot_decimals if trade.fee_asset == pair.base.id else pair.cost_decimals
    return {
        "ordertxid": trade.order_txid,
        "postxid": "T" + trade.order_txid[1:],
        "pair": pair.id,
        "aclass": "forex",
        "time": seconds(trade.time_ns, 7),
        "type": "buy" if trade.buy else "sell",
        "ordertype": trade.order_type,
        "price": at_cost_decimals(pair, trade.price),
        "cost": cost(pair, trade.cost),
        "fee": text(trade.fee, fee_decimals),
        "vol": volume(pair, trade.qty),
        "margin": text(0, pair.cost_decimals),
        "leverage": "0",
        "misc": "",
        "trade_id": trade.trade_id,
        "maker": trade.maker,
    }
