"""Shapes of WebSocket v1 as recorded: keys in order, types, decimals.  See ``shape`` for how they are read.

Sources, by the letter behind each: S is frames of September 2026 in a public repository; G gocryptotrader's
frames of 2023 to 2025; P a client's notes of frames of 2022; F cryptofeed's recording of 2021; X XChange's
fixtures; D docs.kraken.com (keys and types only).  ``price`` is the larger of its
price and cost decimals.
"""

from typing import Any

from tests.wire.shape import Each

SECONDS = "text.6"
ORDER_ID = "O[A-Z0-9]{5}-[A-Z0-9]{5}-[A-Z0-9]{6}"
TRADE_ID = "T[A-Z0-9]{5}-[A-Z0-9]{5}-[A-Z0-9]{6}"
ADVISORIES = {"upcoming_maintenance": ["any"], "emergency": ["any"]}


def subscribed(channel: str, subscription: dict[str, str], status: str = "subscribed") -> dict[str, Any]:
    """Return the answer of a public channel.  S X"""
    return {
        "channelID": "int",
        "channelName": f"'{channel}'",
        "event": "'subscriptionStatus'",
        "pair": "'XBT/USD'",
        "reqid?": "int",
        "status": f"'{status}'",
        "subscription": subscription,
    }


def public(payload: Any, channel: str) -> tuple[Any, ...]:
    """Return a public data message.  S G F"""
    return ("int", payload, f"'{channel}'", "'XBT/USD'")


def private(rows: Any, channel: str) -> tuple[Any, ...]:
    """Return a private data message.  G P"""
    return (rows, f"'{channel}'", {"sequence": "int"})


def answered(event: str, **fields: str) -> dict[str, Any]:
    """Return the answer to a trading event: keys by the alphabet.  D"""
    known = {**fields, "event": f"'{event}Status'", "reqid?": "int", "status": "'ok'"}
    return dict(sorted(known.items()))


BEST = ("text.price", "int", "text.*")
TODAY = {"price": ("text.price", "text.price"), "volume": ("text.8", "text.8")}
TICKER = {
    "a": BEST,
    "b": BEST,
    "c": ("text.price", "text.8"),
    "v": TODAY["volume"],
    "p": TODAY["price"],
    "t": ("int", "int"),
    "l": TODAY["price"],
    "h": TODAY["price"],
    "o": TODAY["price"],
}
"""X, whose key order this is"""
LEVEL = ("text.price", "text.8", SECONDS)
TRADE = ("text.price", "text.8", SECONDS, "'b' | 's'", "'l' | 'm'", "''")
SPREAD = ("text.price", "text.price", SECONDS, "text.8", "text.8")
CANDLE = (
    *(SECONDS, SECONDS, "text.price", "text.price", "text.price", "text.price", "text.price", "text.8"),
    "int",
)
TOTALS = {"vol_exec": "text.8", "cost": "text.cost", "fee": "text.cost", "avg_price": "text.price"}
IDS = {"userref": "int", "cl_ord_id?": "text"}
ORDER = {
    "avg_price": "text.price",
    "cl_ord_id?": "text",
    "cost": "text.cost",
    "descr": {
        "close": "null | text",
        "leverage": "null | text",
        "order": "text",
        "ordertype": "text",
        "pair": "'XBT/USD'",
        "price": "text.price",
        "price2": "text.price",
        "type": "'buy' | 'sell'",
    },
    "expiretm": "null | text.6",
    "fee": "text.cost",
    "limitprice": "text.price",
    "misc": "''",
    "oflags": "'fciq'",
    "opentm": SECONDS,
    "refid": "null | text",
    "starttm": "null | text.6",
    "status": "'pending' | 'open'",
    "stopprice": "text.price",
    "timeinforce": "'GTC'",
    "userref": "int",
    "vol": "text.8",
    "vol_exec": "text.8",
}
"""G P"""
OWN_TRADE = {
    "cost": "text.cost",
    "fee": "text.cost",
    "margin": "text.cost",
    "ordertxid": f"/{ORDER_ID}/",
    "ordertype": "text",
    "pair": "'XBT/USD'",
    "postxid": "'TKH2SE-M7IF5-CFI7LT'",
    "price": "text.price",
    "time": SECONDS,
    "type": "'buy' | 'sell'",
    "vol": "text.8",
}
"""G P"""

SHAPES: dict[str, Any] = {
    "status": {
        "event": "'systemStatus'",
        "version": "'1.9.6'",
        "status": "'online'",
        "connectionID": "int",
        **ADVISORIES,
    },
    "status told to all": {
        "event": "'systemStatus'",
        "version": "'1.9.6'",
        "status": "'online'",
        **ADVISORIES,
    },
    "pong": {"event": "'pong'", "reqid?": "int"},
    "malformed": {"errorMessage": "'Malformed request'", "event": "'error'"},
    "refused pair": {
        "errorMessage": "text",
        "event": "'subscriptionStatus'",
        "pair": "text",
        "reqid?": "int",
        "status": "'error'",
        "subscription": {"name": "'trade'"},
    },
    "ack ticker": subscribed("ticker", {"name": "'ticker'"}),
    "ack trade": subscribed("trade", {"name": "'trade'"}),
    "ack spread": subscribed("spread", {"name": "'spread'"}),
    "ack book": subscribed("book-25", {"depth": "int", "name": "'book'"}),
    "ack ohlc": subscribed("ohlc-5", {"interval": "int", "name": "'ohlc'"}),
    "left book": subscribed("book-25", {"depth": "int", "name": "'book'"}, "unsubscribed"),
    "ack openOrders": {
        "channelName": "'openOrders'",
        "event": "'subscriptionStatus'",
        "reqid?": "int",
        "status": "'subscribed'",
        "subscription": {"maxratecount": "int", "name": "'openOrders'"},
    },
    "ack ownTrades": {
        "channelName": "'ownTrades'",
        "event": "'subscriptionStatus'",
        "reqid?": "int",
        "status": "'subscribed'",
        "subscription": {"name": "'ownTrades'"},
    },
    "ticker": public(TICKER, "ticker"),
    "trade": public([TRADE], "trade"),
    "spread": public(SPREAD, "spread"),
    "book snapshot": public({"as": [LEVEL], "bs": [LEVEL]}, "book-25"),
    "book": public({"b": [LEVEL], "c": "/[0-9]+/"}, "book-25"),
    "ohlc": public(CANDLE, "ohlc-5"),
    "orders": private([Each(ORDER, ORDER_ID)], "openOrders"),
    "order pending": private([Each(ORDER, ORDER_ID)], "openOrders"),
    "order open": private([Each({"status": "'open'", **IDS}, ORDER_ID)], "openOrders"),
    "order filled": private([Each({**TOTALS, **IDS}, ORDER_ID)], "openOrders"),
    "order closed": private(
        [Each({"lastupdated": SECONDS, "status": "'closed'", **TOTALS, **IDS}, ORDER_ID)], "openOrders"
    ),
    "trades": private([Each(OWN_TRADE, TRADE_ID)], "ownTrades"),
    "own trade": private([Each({**OWN_TRADE, **IDS}, TRADE_ID)], "ownTrades"),
    "added": answered("addOrder", descr="text", txid=f"/{ORDER_ID}/"),
    "amended": answered("amendOrder", amend_id=f"/{TRADE_ID}/", txid=f"/{ORDER_ID}/"),
    "edited": answered("editOrder", descr="text", originaltxid=f"/{ORDER_ID}/", txid=f"/{ORDER_ID}/"),
    "cancelled": answered("cancelOrder"),
    "all cancelled": answered("cancelAll", count="int"),
    "cancelled after": answered("cancelAllOrdersAfter", currentTime="text", triggerTime="text"),
    "add refused": {
        "errorMessage": "text",
        "event": "'addOrderStatus'",
        "reqid?": "int",
        "status": "'error'",
    },
    "field refused": {
        "errorMessage": "text",
        "event": "'addOrderStatus'",
        "pair": "'XBT/USD'",
        "status": "'error'",
    },
}
