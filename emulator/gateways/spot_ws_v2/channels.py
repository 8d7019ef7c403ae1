"""Channels of WebSocket v2: wire name to parameters and handlers, a table (``CHANNELS`` at the end)."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from emulator.engine.limits import LIMITS, AccountTier
from emulator.gateways.errors import VenueError
from emulator.gateways.permissions import all_of, allow
from emulator.gateways.spot_ws_v2 import level3
from emulator.gateways.spot_ws_v2.codec import Request
from emulator.gateways.spot_ws_v2.params import BOOL, INTEGER, STRING, Spec, missing
from emulator.gateways.spot_ws_v2.private import Subscription
from emulator.gateways.tape import INTERVALS
from emulator.gateways.token_use import InvalidSessionError
from emulator.words import listed

if TYPE_CHECKING:
    from emulator.gateways.spot_ws_v2.publisher import FeedKey
    from emulator.gateways.spot_ws_v2.session import Session

DEPTHS = (10, 25, 100, 500, 1000)
MOST_SYMBOLS = 500
"""Most symbols in one request; 300 on one connection have been observed to work at Kraken."""
_TRIGGERS = ("trades", "bbo")
_CHANNEL: Spec = {"channel": STRING}
_SYMBOLS: Spec = {**_CHANNEL, "snapshot": BOOL}


class Channel(msgspec.Struct, frozen=True):
    """One channel: its parameters and how it is joined and left."""

    name: str
    spec: Spec
    private: bool
    subscribe: Callable[["Session", Request, int], None]
    unsubscribe: Callable[["Session", Request, int], None]
    detail: str | None = None
    """Parameter that tells subscriptions of one pair apart."""
    default: Any = None
    choices: tuple[Any, ...] = ()
    refusal: str = ""
    """Error for a value of ``detail`` that is not among ``choices``."""
    snapshot: bool = True
    """Whether a snapshot is sent unless the request says otherwise."""
    warnings: str = ""


# -- channels of pairs -----------------------------------------------------------------------------------


def _symbols(params: dict[str, Any]) -> list[str]:
    """Return the symbols of a request."""
    symbols = params.get("symbol", ())
    if not symbols and isinstance(symbols, list | tuple):
        raise missing("symbol")
    # A number with a fraction is text too, but of another type.
    if not isinstance(symbols, list) or not all(type(s) is str for s in symbols):
        raise VenueError("Symbol field must be an array")
    if len(symbols) > MOST_SYMBOLS:
        raise VenueError("Exceeded msg rate")
    return list(dict.fromkeys(symbols))


def _detail(channel: Channel, params: dict[str, Any]) -> Any:
    if channel.detail is None:
        return ""
    value = params.get(channel.detail, channel.default)
    if type(value) is bool or value not in channel.choices:
        raise VenueError(
            channel.refusal, "{} {!r:.40}; there are: {}", channel.detail, value, listed(channel.choices)
        )
    return value


def _result(channel: Channel, symbol: str, detail: Any, snapshot: bool | None) -> str:
    """Return the ``result`` of an ack: keys in alphabetical order."""
    parts = {"channel": channel.name, "symbol": symbol}
    if channel.detail is not None:
        parts[channel.detail] = detail
    if snapshot is not None:
        parts["snapshot"] = snapshot  # type: ignore[assignment]
        if channel.warnings:
            parts["warnings"] = [channel.warnings]  # type: ignore[assignment]
    return msgspec.json.encode(dict(sorted(parts.items()))).decode()


def _subscribe_pairs(session: "Session", request: Request, in_ns: int) -> None:
    channel = CHANNELS[request.params["channel"]]
    detail = _detail(channel, request.params)
    wants_snapshot = request.params.get("snapshot", channel.snapshot)
    keys: list[FeedKey] = []
    for symbol in _symbols(request.params):
        try:
            key = (channel.name, session.venue_pair(symbol).id, detail)
            session.reserve(key)
        except VenueError as error:
            session.fail(request, error, in_ns, symbol)
            continue
        session.succeed(request, _result(channel, symbol, detail, wants_snapshot), in_ns)
        keys.append(key)
    session.join(keys, snapshot=wants_snapshot)


LEVEL3_SYMBOLS = 200
"""Most ``level3`` subscriptions of a connection."""
_LEVEL3_COSTS = {10: 5, 100: 25, 1000: 100}
"""What a subscription adds to the connection's counter, by depth."""


def _subscribe_level3(session: "Session", request: Request, in_ns: int) -> None:
    params = request.params
    try:
        token = session.token(params)
    except InvalidSessionError as error:
        session.refuse_token(request, "level3", error, in_ns)
        return
    allow(token.key, all_of("query-open-trades"))
    depth, symbols = _detail(CHANNELS["level3"], params), _symbols(params)
    held = sum(key[0] == "level3" for key in session.joined)
    if held + len(symbols) > LEVEL3_SYMBOLS:
        raise VenueError("Exceeded msg rate")
    pro = session.venue.engine.accounts[token.key.account].tier is AccountTier.PRO
    session.charge(_LEVEL3_COSTS[depth] * len(symbols), 500 if pro else 200, in_ns)
    _subscribe_pairs(session, request, in_ns)


def _unsubscribe_pairs(session: "Session", request: Request, in_ns: int) -> None:
    channel = CHANNELS[request.params["channel"]]
    given = channel.detail is not None and channel.detail in request.params
    for symbol in _symbols(request.params):
        try:
            pair = session.venue_pair(symbol)
        except VenueError as error:
            session.fail(request, error, in_ns, symbol)
            continue
        keys = [key for key in session.joined if key[:2] == (channel.name, pair.id)]
        if given:
            keys = [key for key in keys if key[2] == request.params[channel.detail or ""]]
        if not keys:
            _not_found(session, request, in_ns, symbol)
        for key in keys:
            session.leave(key)
            session.succeed(request, _result(channel, symbol, key[2], None), in_ns)


def _not_found(session: "Session", request: Request, in_ns: int, symbol: str | None = None) -> None:
    """Refuse to leave what was never joined.  Recorded live: this error says "subscribe"."""
    failed = msgspec.structs.replace(request, method="subscribe")
    session.fail(failed, "Subscription Not Found", in_ns, symbol)


# -- instrument ------------------------------------------------------------------------------------------

_INSTRUMENT: "FeedKey" = ("instrument", "", "")


def _subscribe_instrument(session: "Session", request: Request, in_ns: int) -> None:
    snapshot = request.params.get("snapshot", True)
    session.reserve(_INSTRUMENT)
    result = {
        "channel": "instrument",
        "snapshot": snapshot,
        "warnings": ["tick_size is deprecated, use price_increment"],
    }
    session.succeed(request, msgspec.json.encode(result).decode(), in_ns)
    session.join([_INSTRUMENT], snapshot=snapshot)


def _unsubscribe_instrument(session: "Session", request: Request, in_ns: int) -> None:
    if _INSTRUMENT not in session.joined:
        _not_found(session, request, in_ns)
        return
    session.leave(_INSTRUMENT)
    session.succeed(request, '{"channel":"instrument"}', in_ns)


# -- private channels ------------------------------------------------------------------------------------

_WARNINGS = [
    "cancel_reason is deprecated, use reason",
    "stop_price is deprecated, use triggers.price",
    "trigger is deprecated use triggers.reference",
    "triggered_price is deprecated use triggers.last_price",
]


def _private(session: "Session", request: Request, permission: str, in_ns: int) -> Subscription | None:
    """Open a private subscription, or answer why not."""
    params, channel = request.params, request.params["channel"]
    try:
        token = session.token(params)
    except InvalidSessionError as error:
        session.refuse_token(request, channel, error, in_ns)
        return None
    allow(token.key, all_of(permission))
    if channel in session.private:
        raise VenueError("Already subscribed")
    subscription = Subscription(
        channel,
        session,
        token,
        order_status=params.get("order_status", True),
        ratecounter=params.get("ratecounter", False),
    )
    session.private[channel] = subscription
    session.gateway.private.join(subscription)
    return subscription


def _subscribe_executions(session: "Session", request: Request, in_ns: int) -> None:
    params = request.params
    subscription = _private(session, request, "query-open-trades", in_ns)
    if subscription is None:
        return
    account = session.venue.engine.accounts[subscription.token.key.account]
    orders = params.get("snap_orders", params.get("snapshot", True))
    trades = params.get("snap_trades", params.get("snapshot_trades", False))
    result = {
        "channel": "executions",
        "maxratecount": LIMITS[account.tier].engine_counter,
        "snap_orders": orders,
        "snap_trades": trades,
        "snapshot": orders or trades,
        "warnings": _WARNINGS,
    }
    session.succeed(request, msgspec.json.encode(result).decode(), in_ns)
    if orders or trades:
        rows = session.gateway.private.execution_rows(account, orders=orders, trades=trades)
        subscription.snapshot(rows)


def _subscribe_balances(session: "Session", request: Request, in_ns: int) -> None:
    subscription = _private(session, request, "query-funds", in_ns)
    if subscription is None:
        return
    snapshot = request.params.get("snapshot", True)
    session.succeed(request, f'{{"channel":"balances","snapshot":{"true" if snapshot else "false"}}}', in_ns)
    if snapshot:
        account = session.venue.engine.accounts[subscription.token.key.account]
        subscription.snapshot(session.gateway.private.balance_rows(account))


def _unsubscribe_private(session: "Session", request: Request, in_ns: int) -> None:
    channel = request.params["channel"]
    subscription = session.private.pop(channel, None)
    if subscription is None:
        _not_found(session, request, in_ns)
        return
    session.gateway.private.leave(subscription)
    session.succeed(request, f'{{"channel":"{channel}"}}', in_ns)


_PRIVATE: Spec = {
    **_CHANNEL,
    "snapshot": BOOL,
    "rebased": BOOL,
    "users": STRING,
    "token": STRING,
}

CHANNELS: dict[str, Channel] = {
    channel.name: channel
    for channel in (
        Channel(
            "ticker",
            {**_SYMBOLS, "event_trigger": STRING},
            False,
            _subscribe_pairs,
            _unsubscribe_pairs,
            "event_trigger",
            "trades",
            _TRIGGERS,
            "Subscription event_trigger not supported",
        ),
        Channel("trade", _SYMBOLS, False, _subscribe_pairs, _unsubscribe_pairs, snapshot=False),
        Channel(
            "book",
            {**_SYMBOLS, "depth": INTEGER},
            False,
            _subscribe_pairs,
            _unsubscribe_pairs,
            "depth",
            10,
            DEPTHS,
            "Subscription depth not supported",
        ),
        Channel(
            "level3",
            {**_SYMBOLS, "depth": INTEGER, "token": STRING},
            False,
            _subscribe_level3,
            _unsubscribe_pairs,
            "depth",
            10,
            level3.DEPTHS,
            "Subscription depth not supported",
        ),
        Channel(
            "ohlc",
            {**_SYMBOLS, "interval": INTEGER},
            False,
            _subscribe_pairs,
            _unsubscribe_pairs,
            "interval",
            1,
            INTERVALS,
            "Subscription ohlc interval not supported",
            warnings="timestamp is deprecated, use interval_begin",
        ),
        Channel(
            "instrument",
            {
                **_CHANNEL,
                "snapshot": BOOL,
                "execution_venue": STRING,
                "include_tokenized_assets": BOOL,
            },
            False,
            _subscribe_instrument,
            _unsubscribe_instrument,
        ),
        Channel(
            "executions",
            {
                **_PRIVATE,
                "snap_orders": BOOL,
                "snap_trades": BOOL,
                "order_status": BOOL,
                "ratecounter": BOOL,
                "snapshot_trades": BOOL,
            },
            True,
            _subscribe_executions,
            _unsubscribe_private,
        ),
        Channel("balances", _PRIVATE, True, _subscribe_balances, _unsubscribe_private),
    )
}
