"""Market data requests of FIX: type to handler, a table (``MARKET_DATA`` at the end; reference: FIX 7)."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from emulator.gateways.errors import RefusedError, Why
from emulator.gateways.fix import listings, wire
from emulator.gateways.fix.publisher import BOOK, LEVEL3, TRADES, Subscription
from emulator.gateways.order_reasons import unknown_pair
from emulator.words import listed

if TYPE_CHECKING:
    from emulator.gateways.fix.session import Session

Fields = dict[str, str]
DEPTHS = {"0": 1000, "1": 1, "10": 10, "25": 25, "100": 100, "500": 500, "1000": 1000}
"""264; 0 is all there is, as far as Kraken gives it."""
MOST_PAIRS = 500
"""Most pairs that a session may be subscribed to at once, counted per request."""
MOST_REQUESTS = 500
"""Most standing requests for lists and states."""
_SUBSCRIBE, _UNSUBSCRIBE = "1", "2"
(
    _UNKNOWN_SYMBOL,
    _DUPLICATE_ID,
    _BAD_SUBSCRIPTION_TYPE,
    _BAD_DEPTH,
    _BAD_UPDATE_TYPE,
    _BAD_ENTRY_TYPE,
    _BAD_SCOPE,
    _NO_LEVEL3,
    _NO_TRADES,
) = "014568ABC"
"""Values of 281 (MDReqRejReason)."""


class _MarketDataError(RefusedError):
    """A MarketDataRequest that is refused."""

    def __init__(self, reason: str, text: str, why: Why | None = None, *about: Any) -> None:
        super().__init__(f"MarketData subscription failed due to {text}", why, *about)
        self.reason = reason


def market_data(session: "Session", f: Fields, message: str) -> None:
    """MarketDataRequest (V)."""
    session.asked_ns = session.venue.clock.now_ns()
    try:
        if f["263"] == _UNSUBSCRIBE:
            if f["262"] not in session.subscriptions:
                raise _MarketDataError(_UNKNOWN_SYMBOL, f"unknown MDReqID: {f['262']}")
            session.gateway.publisher.unsubscribe(session, f["262"])
            return
        wanted = _wanted(session, f, wire.pairs(message))
    except _MarketDataError as refusal:
        session.log_refusal(f, refusal)
        session.post("Y", f"58={refusal}\x01262={f['262']}\x01281={refusal.reason}\x01")
        return
    session.begin(session.gateway.publisher.subscribe(session, wanted))


def _wanted(session: "Session", f: Fields, pairs: Sequence[tuple[str, str]]) -> Subscription:
    """Return what a request subscribes to; _MarketDataError."""
    if f["263"] != _SUBSCRIBE:
        raise _MarketDataError(
            _BAD_SUBSCRIPTION_TYPE, f"unsupported subscription type: {f['263']}", "263 is 1 or 2"
        )
    if f["262"] in session.subscriptions:
        raise _MarketDataError(_DUPLICATE_ID, f"duplicate MDReqID: {f['262']}")
    depth = DEPTHS.get(f["264"])
    if depth is None:
        text = f"unsupported market depth: {f['264']}"
        raise _MarketDataError(_BAD_DEPTH, text, "264 is {}", listed(DEPTHS))
    if f.get("265", "1") != "1":
        raise _MarketDataError(_BAD_UPDATE_TYPE, f"unsupported update type: {f['265']}", "265 is 1")
    level3 = f.get("266", "Y") == "N"
    kinds = _kinds({value for tag, value in pairs if tag == "269"}, level3=level3)
    if level3 and not session.service.level3:
        raise _MarketDataError(_NO_LEVEL3, "level 3 not being available here")
    if session.service.level3 and not level3:
        raise _MarketDataError(_BAD_SCOPE, "unsupported scope: level 3 only")
    known: dict[str, None] = {}
    for symbol in dict.fromkeys(value for tag, value in pairs if tag == "55"):
        pair = session.venue.names.symbol(symbol)
        if pair is None:
            text = f"unsupported symbol: {symbol}"
            raise _MarketDataError(_UNKNOWN_SYMBOL, text, unknown_pair, session.venue.engine, symbol)
        known[pair.id] = None
    held = sum(len(subscription.pairs) for subscription in session.subscriptions.values())
    if held + len(known) > MOST_PAIRS:
        raise _MarketDataError(_BAD_SCOPE, f"too many symbols: more than {MOST_PAIRS}")
    return Subscription(request_id=f["262"], pairs=tuple(known), depth=depth, kinds=kinds)


def _kinds(types: set[str], *, level3: bool) -> tuple[str, ...]:
    """Return what 269 asks for: bids and offers come together only."""
    if not types or not types <= {"0", "1", "2"} or ("0" in types) is not ("1" in types):
        raise _MarketDataError(_BAD_ENTRY_TYPE, f"unsupported entry types: {' '.join(sorted(types))}")
    if level3 and "2" in types:
        raise _MarketDataError(_NO_TRADES, "trades not being available on this request")
    book = (LEVEL3 if level3 else BOOK,) if "0" in types else ()
    return book + ((TRADES,) if "2" in types else ())


_ONE, _BY_TYPE, _EVERYTHING = "0", "1", "4"
_INVALID, _NONE_FOUND = 1, 2
"""Values of 560 (SecurityRequestResult)."""
_SPOT = "CASH"
_TYPES = (_SPOT, "FUT", "OPT", "TS")


def security_list(session: "Session", f: Fields, _: str) -> None:
    """SecurityListRequest (x)."""
    request_id, engine, now_ns = f["320"], session.venue.engine, session.venue.clock.now_ns()
    session.asked_ns = now_ns
    if f.get("263") == _UNSUBSCRIBE:
        session.requests.pop(request_id, None)
        session.gateway.publisher.listens(session)
        return
    pair = session.venue.names.symbol(f.get("55", "")) if f["559"] == _ONE else None
    refused = _list_fault(f, known=pair is not None)
    stands = f.get("263") == _SUBSCRIBE
    if refused is None and stands and len(session.requests.keys() | {request_id}) > MOST_REQUESTS:
        refused = _INVALID, "Too many requests"
    if refused is not None:
        session.log_refusal(f, RefusedError(refused[1], "560={}", refused[0]))
        session.post("y", listings.refused_list(request_id, *refused, now_ns))
        return
    markets = list(engine.markets.values()) if pair is None else [engine.markets[pair.id]]
    for body in listings.security_lists(engine, request_id, markets, now_ns):
        session.post("y", body)
    if stands:
        session.requests[request_id] = "" if pair is None else pair.id
        session.gateway.publisher.listens(session)


def _list_fault(f: Fields, *, known: bool) -> tuple[int, str] | None:
    """Return 560 and a text for a request that nothing can be listed for; ``known``: whether its pair is."""
    kind = f["559"]
    if kind == _EVERYTHING:
        return None
    if kind == _ONE:
        if "55" not in f:
            return _INVALID, "Symbol missing"
        return None if known else (_NONE_FOUND, f"No instruments found: {f['55']}")
    if kind != _BY_TYPE:
        return _INVALID, f"Unsupported request type: {kind}"
    security_type = f.get("167")
    if security_type not in _TYPES:
        return _INVALID, "SecurityType missing or unsupported"
    return None if security_type == _SPOT else (_NONE_FOUND, f"No instruments found: {security_type}")


_UNKNOWN_SESSION, _BAD_TYPE, _DUPLICATE, _ALREADY = 1, 101, 102, 103
"""Values of 567 (TradSesStatusRejReason)."""
_WHY = {
    _UNKNOWN_SESSION: f"336 is to be {listings.SESSION}",
    _BAD_TYPE: "263 is to be 0 or 1: nothing ends a subscription but the session",
    _DUPLICATE: "335 is that of a request that stands",
    _ALREADY: "a request stands already",
}


def trading_session_status(session: "Session", f: Fields, _: str) -> None:
    """TradingSessionStatusRequest (g)."""
    session.asked_ns = session.venue.clock.now_ns()
    request_id, session_id, kind = f["335"], f["336"], f["263"]
    refused = None
    if session_id != listings.SESSION:
        refused = _UNKNOWN_SESSION
    elif kind == _UNSUBSCRIBE:
        refused = _BAD_TYPE
    elif request_id in session.status_requests:
        refused = _DUPLICATE
    elif kind == _SUBSCRIBE and session.status_requests:
        refused = _ALREADY
    if refused is not None:
        session.log_refusal(f, RefusedError(f"567={refused}", _WHY[refused]))
        session.post("h", f"335={request_id}\x01336={session_id}\x01567={refused}\x01")
        return
    session.post("h", listings.session_status(session.venue.engine, request_id))
    if kind == _SUBSCRIBE:
        session.status_requests[request_id] = None
        session.gateway.publisher.listens(session)


MARKET_DATA: dict[str, Callable[["Session", Fields, str], None]] = {
    "V": market_data,
    "x": security_list,
    "g": trading_session_status,
}
