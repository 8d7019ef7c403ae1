"""Private endpoints that read: balances, orders and trades.  The table is in endpoints."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from emulator.engine.accounts import Account
from emulator.engine.ledger import TradeRecord
from emulator.engine.orders import Order
from emulator.gateways import order_fields
from emulator.gateways.errors import VenueError, bad_argument, bad_value
from emulator.gateways.keys import ApiKey
from emulator.gateways.order_params import time_ns
from emulator.gateways.order_reasons import unknown_order
from emulator.gateways.parameters import Params
from emulator.gateways.permissions import all_of, allow
from emulator.gateways.spot_rest import codec
from emulator.gateways.tokens import LIFE_S
from emulator.gateways.venue import Venue

PAGE = 50
MOST_ORDERS_ASKED = 50
MOST_TRADES_ASKED = 20
_NEEDED = {True: "query-open-trades", False: "query-closed-trades"}
"""Permission to see an order, by whether it is open."""
_TRADE_TYPES: dict[str, Callable[[Account, TradeRecord], bool]] = {
    "all": lambda _, trade: True,
    "any position": lambda _, trade: trade.leverage > 0,
    "closed position": lambda account, trade: trade.position in account.closed_positions,
    "closing position": lambda _, trade: trade.closing,
    "no position": lambda _, trade: not trade.leverage,
}


def account_of(venue: Venue, key: ApiKey) -> Account:
    """Return the account that a key belongs to."""
    return venue.engine.accounts[key.account]


# -- balances --------------------------------------------------------------------------------------------


def balance(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``Balance``: totals, what is on hold included."""
    assets, modern = venue.engine.catalogue.assets, params.flag("assetVersion")
    held = account_of(venue, key).balances
    return {
        assets[name].name if modern else name: codec.amount(assets[name], value)
        for name, value in held.items()
    }


def balance_ex(venue: Venue, key: ApiKey, _: Params) -> Any:
    """``BalanceEx``: totals and what open orders hold of them."""
    assets, account = venue.engine.catalogue.assets, account_of(venue, key)
    return {
        name: {
            "balance": codec.amount(assets[name], value),
            "hold_trade": codec.amount(assets[name], account.holds.get(name, 0)),
        }
        for name, value in account.balances.items()
    }


def websockets_token(venue: Venue, key: ApiKey, _: Params) -> Any:
    """``GetWebSocketsToken``."""
    return {"token": venue.tokens.issue(key, venue.clock.now_ns()), "expires": LIFE_S}


# -- orders ----------------------------------------------------------------------------------------------


def _wanted(orders: Iterable[Order], params: Params) -> Iterable[Order]:
    """Return those of ``orders`` that have the userref or the client id that was asked for."""
    userref, cl_ord_id = params.integer("userref"), params.get("cl_ord_id")
    if userref is not None:
        orders = (order for order in orders if order.userref == userref)
    if cl_ord_id is not None:
        orders = (order for order in orders if order.cl_ord_id == cl_ord_id)
    return orders


def open_orders(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``OpenOrders``: newest first."""
    trades = params.flag("trades")
    orders = reversed(account_of(venue, key).open.values())
    return {"open": {o.txid: codec.order_object(o, trades=trades) for o in _wanted(orders, params)}}


def closed_orders(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``ClosedOrders``: 50 a page, the last closed first."""
    account, trades = account_of(venue, key), params.flag("trades")
    closetime = params.get("closetime") or "both"
    if closetime not in ("open", "close", "both"):
        raise bad_value("closetime", closetime, ("open", "close", "both"))
    after, until = (border(params, name, account, key) for name in ("start", "end"))

    by_open, by_close = closetime != "close", closetime != "open"

    def within(order: Order) -> bool:
        return (by_open and between(after, order.opened_ns, until)) or (
            by_close and between(after, order.closed_ns, until)
        )

    found = list(_wanted(reversed(account.closed.values()), params))
    if after is not None or until is not None:
        found = [order for order in found if within(order)]
    return page(
        "closed",
        {o.txid: codec.order_object(o, trades=trades) for o in slice_(found, params)},
        len(found),
        params,
    )


def between(after: int | None, time_ns: int, until: int | None) -> bool:
    """Tell whether a time lies after ``after`` and not after ``until``."""
    return (after is None or time_ns > after) and (until is None or time_ns <= until)


def border(params: Params, name: str, account: Account, key: ApiKey) -> int | None:
    """Return ``start`` or ``end`` in nanoseconds: a unix time, or the time of an order, a trade or an entry.

    A key that may look at a part of the history only has it cut there.
    """
    asked = _asked_border(params, name, account)
    if name == "start":
        return max(asked or 0, key.query_from_ns - 1) if key.query_from_ns else asked
    return min(asked or key.query_to_ns, key.query_to_ns) if key.query_to_ns else asked


def _asked_border(params: Params, name: str, account: Account) -> int | None:
    value = params.get(name)
    if value is None or value == "0":
        return None
    order = account.find(value)
    if order is not None:
        return order.opened_ns
    record = account.trades.get(value) or account.ledger.get(value)
    return record.time_ns if record is not None else time_ns(value, name)


def slice_(rows: list[Any], params: Params) -> list[Any]:
    """Return the page of ``rows`` that ``ofs`` asks for."""
    first = params.integer("ofs", 0) or 0
    if first < 0:
        raise bad_value("ofs", first, "0 or more is meant")
    return rows[first : first + PAGE]


def page(name: str, rows: Mapping[str, Any], count: int, params: Params) -> dict[str, Any]:
    """Return a page of a history, and how much there is unless that is not wanted."""
    return {name: rows} if params.flag("without_count") else {name: rows, "count": count}


def query_orders(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``QueryOrders``: by txid, open or closed."""
    account, trades = account_of(venue, key), params.flag("trades")
    asked = ids(params, "txid", MOST_ORDERS_ASKED)
    found = [order for order in map(account.find, asked) if order is not None]
    if not found:
        raise VenueError("EOrder:Unknown order", unknown_order, account, asked[0])
    needed = {_NEEDED[order.txid in account.open] for order in found}
    allow(key, all_of(*sorted(needed)))
    return {o.txid: codec.order_object(o, trades=trades, queried=True) for o in _wanted(found, params)}


def ids(params: Params, name: str, most: int) -> list[str]:
    """Return the ids that are asked for: of orders, trades or ledger entries, all in the same form."""
    asked = params.names(name)
    if not 0 < len(asked) <= most:
        raise bad_argument(name, "{} ids came: 1 to {} are meant", len(asked), most)
    if not all(order_fields.is_txid(txid) for txid in asked):
        raise VenueError(
            "EOrder:Invalid order", "ids have the form OABCDE-FGHIJ-KLMNOP; {!r:.200} came", asked
        )
    return asked


# -- trades ----------------------------------------------------------------------------------------------


def trades_history(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``TradesHistory``: 50 a page, newest first."""
    account = account_of(venue, key)
    kind = params.get("type") or "all"
    if kind not in _TRADE_TYPES:
        raise bad_value("type", kind, _TRADE_TYPES)
    after, until = (border(params, name, account, key) for name in ("start", "end"))
    found = [trade for trade in reversed(account.trades.values()) if between(after, trade.time_ns, until)]
    found = [trade for trade in found if _TRADE_TYPES[kind](account, trade)]
    rows = _trades(venue, account, (trade.exec_id for trade in slice_(found, params)), params)
    return page("trades", rows, len(found), params)


def query_trades(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``QueryTrades``: by trade id."""
    account = account_of(venue, key)
    rows = _trades(venue, account, ids(params, "txid", MOST_TRADES_ASKED), params)
    if not rows:
        raise VenueError("EQuery:Unknown trade", "{} has none of these", account.name)
    return rows


def _trades(venue: Venue, account: Account, exec_ids: Iterable[str], params: Params) -> dict[str, Any]:
    rows = {}
    for exec_id in exec_ids:
        trade = account.trades.get(exec_id)
        if trade is not None:
            pair = venue.engine.catalogue.pairs[trade.pair]
            row = rows[exec_id] = codec.trade_object(pair, trade)
            position = account.position(trade.position)
            if position is not None:
                row |= codec.position_fields(pair, position)
            if params.flag("ledgers"):
                row["ledgers"] = trade.ledgers
    return rows
