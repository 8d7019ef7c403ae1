"""Shapes of WebSocket v2 as recorded: keys in order, types, decimals.  See ``shape`` for how they are read.

Sources, by the letter behind each: R is roq-kraken's frames of January 2026; S frames of September and
October 2026 in public repositories; K krakenfx/kraken-api-sdk 0.1.0; A kraken-async-rs' frames of 2024; D
docs.kraken.com (keys and types only).  Decimals by name: ``price``, ``qty`` and ``cost`` are the pair's,
``usd`` is 4.
"""

from typing import Any

TIME = r"/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z/"
TIME_NS = r"/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z/"
SECOND = r"/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/"
ORDER_ID = "/O[A-Z0-9]{5}-[A-Z0-9]{5}-[A-Z0-9]{6}/"
TRADE_ID = "/T[A-Z0-9]{5}-[A-Z0-9]{5}-[A-Z0-9]{6}/"
TIMES = {"time_in": TIME, "time_out": TIME}


def done(method: str, result: Any) -> dict[str, Any]:
    """Return a success reply.  R S A"""
    return {"method": f"'{method}'", "req_id?": "int", "result": result, "success": "true", **TIMES}


def failed(method: str, **extra: str) -> dict[str, Any]:
    """Return a failure reply; ``symbol`` is among its keys by the alphabet.  R S A"""
    return {"error": "text", "method": f"'{method}'", "req_id?": "int", "success": "false", **extra, **TIMES}


EVENT = {
    "affected_services": ["text"],
    "cancel_before_utc": TIME,
    "event_id": "int",
    "expected_end_utc": TIME,
    "expected_start_utc": TIME,
    "order_submission": "'allowed' | 'discouraged' | 'blocked'",
    "phase": "text",
    "recommended_action": "text",
    "source_url": "text",
    "time_to_start_s": "int",
    "title": "text",
}
"""S, 2026-10-03"""
STATE = {"version": "'2.0.10'", "system": "text", "api_version": "'v2'"}
ADVISORIES = {"upcoming_maintenance": [EVENT], "emergency": ["any"]}
PRIVATE = {"sequence": "int"}


def message(channel: str, kind: str, data: Any, **more: str) -> dict[str, Any]:
    """Return a data message.  R S A"""
    return {"channel": f"'{channel}'", "type": f"'{kind}'", "data": data, **more}


LEVEL = {"price": "num.price", "qty": "num.qty"}
BOOK = {"symbol": "text", "bids": [LEVEL], "asks": [LEVEL], "checksum": "int", "timestamp": TIME}
"""R S"""
TICKER = {
    "symbol": "text",
    "bid": "num.price",
    "bid_qty": "num.qty",
    "ask": "num.price",
    "ask_qty": "num.qty",
    "last": "num.price",
    "volume": "num.qty",
    "vwap": "num.price",
    "low": "num.price",
    "high": "num.price",
    "change": "num.price",
    "change_pct": "num.2",
}
"""R S"""
TRADE = {
    "symbol": "text",
    "side": "'buy' | 'sell'",
    "price": "num.price",
    "qty": "num.qty",
    "ord_type": "'limit' | 'market'",
    "trade_id": "int",
    "timestamp": TIME,
}
"""R S"""
CANDLE = {
    "symbol": "text",
    "open": "num.price",
    "high": "num.price",
    "low": "num.price",
    "close": "num.price",
    "trades": "int",
    "volume": "num.qty",
    "vwap": "num.price",
    "interval_begin": TIME_NS,
    "interval": "int",
    "timestamp": TIME,
}
"""S"""
LEVEL3_ORDER = {
    "order_id": ORDER_ID,
    "limit_price": "num.price",
    "order_qty": "num.qty",
    "timestamp": TIME_NS,
}
"""A"""
LEVEL3_EVENT = {"event": "'add' | 'modify' | 'delete'", **LEVEL3_ORDER}
"""A"""
ASSET = {
    "id": "text",
    "status": "text",
    "precision": "int",
    "precision_display": "int",
    "borrowable": "bool",
    "collateral_value": "num.3",
    "class": "'currency'",
    "margin_rate?": "num.6",
}
"""R"""
PAIR = {
    "symbol": "text",
    "base": "text",
    "quote": "text",
    "status": "text",
    "qty_precision": "int",
    "qty_increment": "num.*",
    "price_precision": "int",
    "cost_precision": "int",
    "marginable": "bool",
    "has_index": "bool",
    "ws_display_price_precision": "int",
    "cost_min": "num.*",
    "margin_initial?": "num.2",
    "position_limit_long?": "int",
    "position_limit_short?": "int",
    "tick_size": "num.*",
    "price_increment": "num.*",
    "qty_min": "num.*",
}
"""R; the margin's in A"""

# -- executions ------------------------------------------------------------------------------------------

IDS = {"order_userref?": "int", "cl_ord_id?": "text"}
PENDING = {
    "order_id": ORDER_ID,
    "symbol": "text",
    "order_qty": "num.qty",
    "cum_cost": "num.cost",
    "time_in_force": "'GTC' | 'GTD' | 'IOC'",
    "exec_type": "'pending_new'",
    "side": "'buy' | 'sell'",
    "order_type": "text",
    **IDS,
    "limit_price_type": "'static'",
    "limit_price": "num.price",
    "stop_price": "num.price",
    "post_only?": "true",
    "order_status": "'pending_new'",
    "fee_usd_equiv": "num.equivalent",
    "fee_ccy_pref": "'fciq' | 'fcib'",
    "timestamp": TIME,
}
"""R"""
STOP = {
    "order_id": ORDER_ID,
    "symbol": "text",
    "order_qty": "num.qty",
    "cum_cost": "num.cost",
    "time_in_force": "'GTC'",
    "exec_type": "'pending_new'",
    "side": "'buy' | 'sell'",
    "order_type": "'stop-loss-limit'",
    **IDS,
    "limit_price_type": "'static'",
    "triggers": {
        "price": "num.price",
        "price_type": "'static'",
        "reference": "'last' | 'index'",
        "status": "'untriggered' | 'triggered'",
    },
    "stop_price": "num.price",
    "limit_price": "num.price",
    "trigger": "'last' | 'index'",
    "order_status": "'pending_new'",
    "fee_usd_equiv": "num.equivalent",
    "fee_ccy_pref": "'fciq'",
    "timestamp": TIME,
}
"""A"""
NEW = {"timestamp": TIME, "order_status": "'new'", "exec_type": "'new'", **IDS, "order_id": ORDER_ID}
"""R A"""
ENDED = {
    "timestamp": TIME,
    "order_status": "'canceled' | 'filled'",
    "exec_type": "'canceled' | 'filled'",
    "cum_qty": "num.qty",
    "cum_cost": "num.cost",
    "fee_usd_equiv": "num.equivalent",
    "avg_price": "num.price",
    **IDS,
    "cancel_reason?": "text",
    "reason?": "text",
    "order_id": ORDER_ID,
}
"""R A of canceled; filled is like it (no recording)"""
AMENDED = {
    "timestamp": TIME,
    "exec_type": "'amended'",
    "order_status": "'new'",
    "cum_qty": "num.qty",
    "reason": "'User requested'",
    "amended": "true",
    "order_qty": "num.qty",
    "limit_price": "num.price",
    "limit_price_type": "'static'",
    **IDS,
    "order_id": ORDER_ID,
}
"""R A"""
FILL = {
    "order_id": ORDER_ID,
    **IDS,
    "exec_id": TRADE_ID,
    "exec_type": "'trade'",
    "trade_id": "int",
    "symbol": "text",
    "side": "'buy' | 'sell'",
    "last_qty": "num.qty",
    "last_price": "num.price",
    "liquidity_ind": "'m' | 't'",
    "cost": "num.cost",
}
FEES = {"fee_usd_equiv": "num.equivalent", "fees": [{"asset": "text", "qty": "num.cost"}]}
FILLED_UPDATE = {
    **FILL,
    "order_type": "text",
    "timestamp": TIME,
    "order_status": "'partially_filled'",
    "cum_qty": "num.qty",
    "cum_cost": "num.cost",
    "avg_price": "num.price",
    **FEES,
}
"""D"""
FILLED_BEFORE = {**FILL, "order_status": "'filled'", "order_type": "text", "timestamp": TIME, **FEES}
"""A"""

# -- balances --------------------------------------------------------------------------------------------

BALANCE = {
    "asset": "text",
    "asset_class": "'currency'",
    "wallets": [{"type": "'spot'", "id": "'main'", "balance": "num.usd"}],
    "balance": "num.usd",
}
"""R"""
LEDGER = {
    "ledger_id": "text",
    "ref_id": TRADE_ID,
    "timestamp": TIME,
    "type": "'trade'",
    "asset": "text",
    "asset_class": "'currency'",
    "category": "'trade'",
    "wallet_type": "'spot'",
    "wallet_id": "'main'",
    "amount": "num.*",
    "fee": "num.*",
    "balance": "num.*",
}
"""A"""

WARNED = {"snapshot": "bool", "symbol": "text", "warnings": ["'timestamp is deprecated, use interval_begin'"]}
SHAPES: dict[str, Any] = {
    "status": message("status", "update", [{**STATE, "connection_id": "int", **ADVISORIES}]),
    "status told to all": message("status", "update", [{**STATE, **ADVISORIES}]),
    "pong": {"method": "'pong'", "req_id?": "int", **TIMES},
    "malformed": failed("error"),
    "refused": failed("subscribe"),
    "refused symbol": failed("subscribe", symbol="text"),
    "invalid session": {
        "channel": "'executions'",
        "error": "'ESession:Invalid session'",
        "method": "'subscribe'",
        "req_id?": "int",
        "status": "'error'",
        "success": "false",
        **TIMES,
    },
    "ack ticker": done(
        "subscribe", {"channel": "'ticker'", "event_trigger": "text", "snapshot": "bool", "symbol": "text"}
    ),
    "ack trade": done("subscribe", {"channel": "'trade'", "snapshot": "false", "symbol": "text"}),
    "ack book": done(
        "subscribe", {"channel": "'book'", "depth": "int", "snapshot": "true", "symbol": "text"}
    ),
    "ack ohlc": done("subscribe", {"channel": "'ohlc'", "interval": "int", **WARNED}),
    "ack instrument": done(
        "subscribe", {"channel": "'instrument'", "snapshot": "true", "warnings": ["text"]}
    ),
    "ack executions": done(
        "subscribe",
        {
            "channel": "'executions'",
            "maxratecount": "int",
            "snap_orders": "bool",
            "snap_trades": "bool",
            "snapshot": "bool",
            "warnings": ("text", "text", "text", "text"),
        },
    ),
    "ack balances": done("subscribe", {"channel": "'balances'", "snapshot": "true"}),
    "left ticker": done("unsubscribe", {"channel": "'ticker'", "event_trigger": "text", "symbol": "text"}),
    "left executions": done("unsubscribe", {"channel": "'executions'"}),
    "ticker": message("ticker", "snapshot", [{**TICKER, "trades": "int", "timestamp": TIME}]),
    "ticker of January": message(
        "ticker", "snapshot", [{**TICKER, "volume_usd": "num.2", "timestamp": TIME}]
    ),
    "trade": message("trade", "update", [TRADE]),
    "trade snapshot": message("trade", "snapshot", [TRADE]),
    "book snapshot": message("book", "snapshot", [BOOK]),
    "book": message("book", "update", [BOOK]),
    "ohlc snapshot": {
        "channel": "'ohlc'",
        "type": "'snapshot'",
        "timestamp": TIME_NS,
        "data": [CANDLE],
    },
    "ohlc": {"channel": "'ohlc'", "type": "'update'", "timestamp": TIME_NS, "data": (CANDLE,)},
    "level3 snapshot": message(
        "level3",
        "snapshot",
        [
            {
                "symbol": "text",
                "checksum": "int",
                "bids": [LEVEL3_ORDER],
                "asks": [LEVEL3_ORDER],
                "timestamp": TIME_NS,
            }
        ],
    ),
    "level3": message(
        "level3",
        "update",
        [
            {
                "checksum": "int",
                "symbol": "text",
                "bids": [LEVEL3_EVENT],
                "asks": [LEVEL3_EVENT],
                "timestamp": TIME_NS,
            }
        ],
    ),
    "instrument": message("instrument", "snapshot", {"assets": [ASSET], "pairs": [PAIR]}),
    "no executions": message("executions", "snapshot", (), **PRIVATE),
    "pending": message("executions", "update", (PENDING,), **PRIVATE),
    "stop pending": message("executions", "update", (STOP,), **PRIVATE),
    "new": message("executions", "update", (NEW,), **PRIVATE),
    "amended": message("executions", "update", (AMENDED,), **PRIVATE),
    "canceled": message("executions", "update", (ENDED,), **PRIVATE),
    "fill": message("executions", "update", (FILLED_UPDATE,), **PRIVATE),
    "filled": message("executions", "update", (ENDED,), **PRIVATE),
    "fills before": message("executions", "snapshot", [FILLED_BEFORE], **PRIVATE),
    "balances": message("balances", "snapshot", [BALANCE], **PRIVATE),
    "balance": message("balances", "update", (LEDGER,), **PRIVATE),
    "added": done("add_order", {"order_id": ORDER_ID}),
    "added with cl_ord_id": done("add_order", {"cl_ord_id": "text", "order_id": ORDER_ID}),
    "added with userref": done("add_order", {"order_id": ORDER_ID, "order_userref": "int"}),
    "add validated": done("add_order", {"cl_ord_id": "text", "order_id": "''"}),
    "add refused": failed("add_order"),
    "amend": done("amend_order", {"amend_id": TRADE_ID, "cl_ord_id": "text"}),
    "edit": done("edit_order", {"order_id": ORDER_ID, "original_order_id": ORDER_ID}),
    "cancel": done("cancel_order", {"cl_ord_id": "text"}),
    "cancel refused": failed("cancel_order"),
    "cancel all": done("cancel_all", {"count": "int"}),
    "cancel after": done("cancel_all_orders_after", {"currentTime": SECOND, "triggerTime": SECOND}),
    "batch": done("batch_add", ({"cl_ord_id": "text", "order_id": ORDER_ID}, {"order_id": ORDER_ID})),
    "batch partly": {
        "method": "'batch_add'",
        "req_id?": "int",
        "result": ({"cl_ord_id": "text", "order_id": ORDER_ID}, {"error": "'EOrder:Insufficient funds'"}),
        "success": "false",
        **TIMES,
    },
    "batch validated": done("batch_add", [{"validation": "'Validated Successfully'"}]),
    "batch cancel": {
        "method": "'batch_cancel'",
        "orders_cancelled": "int",
        "req_id?": "int",
        "result": {"count": "int"},
        "success": "true",
        **TIMES,
    },
}
"""Requests' results: R K A; batches: K.  ``orders_cancelled`` is A, ``result`` beside it D."""
