"""Wire form of spot REST: parameters in, envelopes, orders and trades out.  Pure functions."""

import re
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from emulator.engine.instruments import Asset, Instrument
from emulator.engine.ledger import TradeRecord
from emulator.engine.orders import Order, OrderType, Status, TimeInForce
from emulator.gateways.errors import BAD_ARGUMENTS, VenueError, bad_argument
from emulator.gateways.numbers import number, text

MOST_PARAMETERS = 1_000
DEEPEST_NAME = 3
"""Most brackets in a parameter name: ``orders[0][close][price]``."""
_FALSE = frozenset({"", "0", "false", "no", "none"})
_INTEGER = re.compile(r"-?[0-9]{1,20}")
_NESTED = re.compile(r"\[([^\[\]]*)\]")
_encode = msgspec.json.Encoder().encode


class _Number(str):
    """A JSON number that is not an integer literal, digit for digit."""

    __slots__ = ()


_decode = msgspec.json.Decoder(float_hook=_Number).decode


class Params:
    """The parameters of one call, from a query, a form or a JSON body.  Unknown ones are ignored."""

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    @classmethod
    def from_query(cls, query: str) -> "Params":
        """Read a query string or a form body; nested names in PHP style (``close[price]``)."""
        try:
            pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=MOST_PARAMETERS)
        except ValueError:
            raise VenueError(BAD_ARGUMENTS) from None
        values: dict[str, Any] = {}
        for name, value in pairs:
            _put(values, name, value)
        return cls(values)

    @classmethod
    def from_body(cls, body: bytes, content_type: str) -> "Params":
        """Read a body: JSON when it is declared so or, without a declaration, looks like it."""
        is_json = "json" in content_type.lower() or (not content_type and body[:1] == b"{")
        if not is_json:
            return cls.from_query(body.decode(errors="replace"))
        try:
            values = _decode(body) if body.strip() else {}
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise VenueError(BAD_ARGUMENTS) from None
        if not isinstance(values, dict):
            raise VenueError(BAD_ARGUMENTS)
        return cls(values)

    def get(self, name: str) -> str | None:
        """Return a parameter as text; None when it is absent, null or empty."""
        value = self._values.get(name)
        if value is None or value == "":
            return None
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str | int):
            return str(value)
        if isinstance(value, list) and all(isinstance(item, str | int) for item in value):
            return ",".join(str(item) for item in value)
        raise bad_argument(name)

    def required(self, name: str) -> str:
        """Return a parameter that must be there."""
        value = self.get(name)
        if value is None:
            raise bad_argument(name)
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a boolean: clients send true, True, 1, "false", …"""
        value = self.get(name)
        return default if value is None else value.lower() not in _FALSE

    def integer(self, name: str, default: int | None = None) -> int | None:
        """Return an integer."""
        value = self.get(name)
        if value is None:
            return default
        if not _INTEGER.fullmatch(value):
            raise bad_argument(name)
        return int(value)

    def names(self, name: str) -> list[str]:
        """Return a comma-separated list, blanks around the commas allowed."""
        value = self.get(name)
        return [] if value is None else [item.strip() for item in value.split(",") if item.strip()]

    def items(self, name: str) -> list[Any]:
        """Return a JSON array; in a form it may be JSON text or PHP-style indices."""
        value = self._values.get(name)
        if isinstance(value, str):
            try:
                value = _decode(value)
            except (msgspec.DecodeError, RecursionError):
                value = [item.strip() for item in value.split(",")] if value else []
        if isinstance(value, dict):
            value = list(value.values())
        if value is None:
            return []
        if not isinstance(value, list):
            raise bad_argument(name)
        return value

    def group(self, name: str) -> "Params | None":
        """Return a nested object, as of ``close[ordertype]``."""
        value = self._values.get(name)
        return Params(value) if isinstance(value, dict) and value else None


def _put(values: dict[str, Any], name: str, value: str) -> None:
    """Enter ``a[b][c] = value`` as nested dictionaries."""
    head, bracket, _ = name.partition("[")
    path = _NESTED.findall(name) if bracket else []
    if len(path) > DEEPEST_NAME:
        raise VenueError(BAD_ARGUMENTS)
    target = values
    for part in path:
        inner = target.get(head)
        if not isinstance(inner, dict):
            inner = target[head] = {}
        target, head = inner, part or str(len(inner))
    target[head] = value


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
