"""Why the engine refused a command, in words and numbers: ``of_reject``, and a table, Reject to function.

The engine only says which rule it was.  The rest is worked out afterwards, from the command and from the
state, which a refusal has not changed; and only where somebody reads it (``--log-level debug``).
"""

from collections.abc import Callable
from typing import Any

from emulator.engine import limits, rules
from emulator.engine.accounts import Account
from emulator.engine.events import Reject
from emulator.engine.limits import LIMITS, Counter
from emulator.engine.orders import ICEBERG, Order
from emulator.engine.spot import SpotEngine
from emulator.engine.status import ONLINE
from emulator.engine.triggers import Offset
from emulator.gateways import fund_reasons, order_fields
from emulator.gateways.numbers import rfc3339
from emulator.gateways.refused import Refused
from emulator.words import listed, nearest

_DAY_NS = 86_400 * 10**9


def of_reject(reject: Reject, engine: SpotEngine, command: Any) -> str:
    """Tell why ``engine`` has just refused ``command``."""
    return _WHY[reject](Refused(engine, command))


def unknown_pair(engine: SpotEngine, name: str, form: str = "symbol") -> str:
    """Tell that no pair is called so, and what is meant; ``form`` is the kind of name that is taken here."""
    pairs = engine.catalogue.pairs.values()
    names = {each: pair for pair in pairs for each in (pair.id, pair.altname, pair.wsname, pair.symbol)}
    said, known = f"there is no pair {name[:64]!r}", names.get(name.upper())
    if known is not None:
        return f"the pair {name[:64]!r} is called {getattr(known, form)!r} here"
    like = nearest(name[:64], names)
    if like is None:
        return said
    here = like if form == "symbol" and "/" not in name else getattr(names[like], form)
    return f"{said}, did you mean {here!r}?"


def unknown_asset(engine: SpotEngine, name: str | None) -> str:
    """Tell that there is no such asset, and which name is like it."""
    assets = engine.catalogue.assets.values()
    like = nearest((name or "")[:64], [each for asset in assets for each in (asset.altname, asset.name)])
    said = f"there is no asset {(name or '')[:64]!r}"
    return said if like is None else f"{said}, did you mean {like!r}?"


def unknown_order(account: Account, txid: object, cl_ord_id: object = None) -> str:
    """Tell which order is not open, and how it has ended where that is known."""
    order = account.closed.get(txid) if isinstance(txid, str) else None
    if order is not None:
        why = f", {order.reason.value}" if order.reason is not None else ""
        return f"order {order.txid} is {order.status.value}{why}, since {rfc3339(order.closed_ns)}"
    asked = f"cl_ord_id {str(cl_ord_id)[:64]!r}" if txid is None else f"id {str(txid)[:64]!r}"
    form = ""
    if isinstance(txid, str) and not order_fields.is_txid(txid):
        form = ", which has not the form of an order's (OABCDE-FGHIJ-KLMNOP)"
    return f"{account.name} has no open order with {asked}{form}, of {len(account.open)} open ones"


# -- what the order is, and is for -----------------------------------------------------------------------


def _pair(case: Refused) -> str:
    return unknown_pair(case.engine, case.command.pair)


def _order(case: Refused) -> str:
    named = case.command
    txid, cl_ord_id = getattr(named, "txid", None), getattr(named, "cl_ord_id", None)
    txids = [txid for txid in getattr(named, "txids", ()) if txid not in case.account.open]
    return unknown_order(case.account, txids[0] if txids else txid, cl_ord_id)


def _qty(case: Refused) -> str:
    return f"volume {case.size(case.place.qty)}: more than 0 is meant"


def _minimum(case: Refused) -> str:
    pair, place = case.pair, case.place
    least = f"the least of {pair.symbol} is {pair.order_min_text} {pair.base.altname}"
    if place.cash:
        return f"{case.cost(place.cash)} buy {case.size(case.draft().qty)} now; {least}"
    return f"volume {case.size(place.qty)}; {least}"


def _cost(case: Refused) -> str:
    pair, place = case.pair, case.place
    price, qty = place.price, place.qty or pair.order_min
    cost = case.cost(price * qty) if isinstance(price, int) else "less"
    least = f"the least of {pair.symbol} is {pair.cost_min_text} {pair.quote.altname}"
    return f"{case.size(qty)} at {case.price(price)} cost {cost}; {least}"


def _cash(case: Refused) -> str:
    least = f"at least {case.pair.cost_min_text} {case.pair.quote.altname}"
    return (
        f"{case.place.type} {case.place.side} for {case.cost(case.place.cash)}: "
        f"viqc is for market orders to buy, without leverage, for {least}"
    )


def _display(case: Refused) -> str:
    place = case.place
    if place.type is not ICEBERG:
        return f"a {place.type} order shows all: only an iceberg has a display quantity"
    left = place.qty - case.filled
    return (
        f"{case.size(place.display)} of {case.size(left)} shown: 1/{rules.MIN_DISPLAY} at least is meant"
        if place.qty
        else f"{case.size(place.display)} shown: 1/{rules.MIN_DISPLAY} at least of the position is meant"
    )


def _tif(case: Refused) -> str:
    return f"a post-only order rests, and {case.place.tif} lets nothing rest"


def _expiry(case: Refused) -> str:
    days = rules.LONGEST_EXPIRY_NS // _DAY_NS
    when = rfc3339(case.place.expire_ns) if case.place.expire_ns else "none"
    return f"expiry {when}: after {rfc3339(case.now_ns)}, by {days} days at the most, is meant"


def _start(case: Refused) -> str:
    days = rules.LONGEST_EXPIRY_NS // _DAY_NS
    return (
        f"start {rfc3339(case.place.start_ns)}: {days} days after {rfc3339(case.now_ns)} at the most is meant"
    )


def _deadline(case: Refused) -> str:
    late_s = (case.now_ns - case.command.deadline_ns) / 1e9
    return f"the order came {late_s:.6f} s after its deadline, {rfc3339(case.command.deadline_ns)}"


def _client_id(case: Refused) -> str:
    name = getattr(case.command, "new_cl_ord_id", None) or case.command.cl_ord_id
    order = case.account.by_cl_ord_id.get(name)
    whose = "an open order" if order is None else f"{order.txid}, which is open"
    return f"{name!r:.64} is the client order id of {whose}"


# -- prices ----------------------------------------------------------------------------------------------


def _price(case: Refused) -> str:
    place, price = case.place, case.place.price
    if not place.type.limited:
        return f"a {place.type} order has no limit price, and {case.price(price)} came"
    if isinstance(price, Offset) and not place.type.triggered:
        return f"{case.price(price)} is a distance from the last price, and {case.pair.symbol} has none"
    if place.type.trails and not isinstance(price, Offset):
        return f"the limit of a {place.type} order is a distance (+50), and {case.price(price)} came"
    if price is None or (isinstance(price, int) and price <= 0):
        return f"limit {case.price(price)}: a price above 0 is meant"
    return _band(case)


def _band(case: Refused) -> str:
    """Tell the band that a limit must be within."""
    place, buy = case.place, case.place.side.value == "buy"
    seen = case.last_price
    if place.type.triggered:
        at = rules.reference_price(case.market, place.reference)
        seen = place.trigger if isinstance(place.trigger, int) else at
    edge = seen * rules.PRICE_BAND if buy else -(-seen // rules.PRICE_BAND)
    what = "what it waits for" if place.type.triggered else "the last price"
    side, share = ("most", f"{rules.PRICE_BAND} times") if buy else ("least", f"1/{rules.PRICE_BAND} of")
    return (
        f"limit {case.price(place.price)}: the {side} to {place.side} at is {case.price(edge)}, "
        f"{share} {what}, {case.price(seen)}"
    )


def _tick(case: Refused) -> str:
    tick, place = case.pair.tick, case.place
    named = (("trigger", place.trigger), ("limit", place.price))
    off = [(name, price) for name, price in named if isinstance(price, int) and price % tick]
    name, price = off[0] if off else ("price", place.price)
    assert isinstance(price, int)  # noqa: S101 - else it is on every tick
    low = price // tick * tick
    return (
        f"{name} {case.price(price)} is no multiple of {case.pair.symbol}'s tick, {case.pair.tick_text}: "
        f"{case.price(low)} or {case.price(low + tick)} would be"
    )


def _trigger(case: Refused) -> str:
    place = case.place
    if not place.type.triggered:
        return f"a {place.type} order waits for no price, and {case.price(place.trigger)} came"
    if place.type.trails:
        return f"trigger {case.price(place.trigger)}: a {place.type} stays behind by more than 0 (+50, +1%)"
    if isinstance(place.trigger, Offset):
        return (
            f"{case.price(place.trigger)} is a distance from the {place.reference} price, and there is none"
        )
    return f"trigger {case.price(place.trigger)}: a price above 0 is meant"


def _index(case: Refused) -> str:
    return (
        f"the order waits for the index price, and nobody tells that of {case.pair.symbol} (control: index)"
    )


def _close(case: Refused) -> str:
    close, place = case.place.close, case.place
    assert close is not None  # noqa: S101 - only such orders are refused for it
    if not close.type.limited and not close.type.triggered:
        return f"a close may not be a {close.type} order"
    prices = (place.price, place.trigger)
    fill = next((each for each in prices if isinstance(each, int)), case.market.last_price)
    inner = rules.closing(place, place.account, close, place.qty, fill, case.pair)
    then = rules.price_fault(inner, case.pair, rules.Then(fill, case.market.index_price))
    words = f"at a fill of {case.price(fill)}: {inner.side} {close.type}"
    tail = f", limit {case.price(inner.price)}, trigger {case.price(inner.trigger)}"
    return words + tail + ("" if then is None else f": {_WHY[then](case.with_place(inner, fill))}")


def _needs_limit(case: Refused) -> str:
    return f"only orders with a limit price can be post-only, not a {case.place.type} order"


def _crosses(case: Refused) -> str:
    buy = case.place.side.value == "buy"
    best, limit = case.market.book.side(not buy).best(), case.price(case.place.price)
    there = "nothing" if best is None else case.price(best.price)
    return f"{case.place.side} at {limit}: the best {'ask' if buy else 'bid'} is {there}"


# -- changing --------------------------------------------------------------------------------------------


def _edit(case: Refused) -> str:
    old = case.order
    assert old is not None  # noqa: S101 - one that is not open is refused for that
    faults = (
        (old.cl_ord_id is not None, "it has a client order id: amend it instead"),
        (old.close is not None, "it has a conditional close"),
        (old.trigger is not None and not old.waiting, "its trigger has fired"),
        (bool(old.cash), "it was given by what it spends (viqc)"),
        (case.place.qty <= 0, f"{case.size(old.filled)} of it are filled already"),
    )
    return f"{old.txid} cannot be edited: {listed(words for is_so, words in faults if is_so)}"


def _amend(case: Refused) -> str:
    order = case.order
    assert order is not None  # noqa: S101 - one that is not open is refused for that
    what = "was given by what it spends (viqc)" if order.close is None else "has a conditional close"
    return f"{order.txid} {what}: it cannot be amended"


def _nothing(case: Refused) -> str:
    return f"all is as it is: {_as_it_is(case, case.order)}"


def _as_it_is(case: Refused, order: Order | None) -> str:
    if order is None:
        return "no order"
    limit = f", limit {case.price(order.price)}" if order.price else ""
    return f"{order.txid} {order.side} {case.size(order.qty)}{limit}"


# -- limits and states -----------------------------------------------------------------------------------


def _orders_limit(case: Refused) -> str:
    tier = case.account.tier
    count = case.account.open_per_pair.get(case.pair.id, 0)
    most = LIMITS[tier].open_orders
    return f"{count} orders of {case.pair.symbol} are open; tier {tier} may have {most} of a pair"


def _scheduled_limit(case: Refused) -> str:
    return f"{case.account.scheduled} orders wait for their start; {limits.SCHEDULED_ORDERS} may"


def _rate(case: Refused) -> str:
    tier, counter = LIMITS[case.account.tier], case.account.rate(case.pair.id)
    return (
        f"the counter of {case.pair.symbol} is at {counter.at(case.now_ns) / Counter.UNIT:.2f}, the limit of "
        f"tier {case.account.tier} is {tier.engine_counter}; it loses {tier.engine_decay / 100} a second"
    )


def _status(case: Refused) -> str:
    """Tell the status that forbids it, and whose."""
    engine, pairs = case.engine, case.markets
    if engine.system is not ONLINE or not pairs:
        return f"the venue is in {engine.system.value}"
    stops = next((market for market in pairs if market.status is not ONLINE), pairs[0])
    return f"{stops.instrument.symbol} is in {stops.status.value}"


def _reduces(case: Refused) -> str:
    return f"{_status(case)}: only what reduces is taken, a sale of what is owned or a reduce-only order"


# -- funds that move -------------------------------------------------------------------------------------


def _reference(case: Refused) -> str:
    asset, refid = case.command.asset, case.command.refid
    return f"{case.account.name} has no withdrawal of {asset} with reference {refid!r:.64}"


def _too_late(case: Refused) -> str:
    movement = case.account.withdrawals.get(case.command.refid)
    state = "gone" if movement is None else movement.status
    return f"the withdrawal is {state}; only an initial one can be given back"


def _earn_busy(case: Refused) -> str:
    allocation = case.account.earn.get(case.command.strategy)
    pending = "another one" if allocation is None else f"to {allocation.pending}"
    return f"{pending} is under way in strategy {case.command.strategy}"


def _name_taken(case: Refused) -> str:
    return f"there is an account {case.command.name!r:.64} already"


_WHY: dict[Reject, Callable[[Refused], str]] = {
    Reject.UNKNOWN_PAIR: _pair,
    Reject.UNKNOWN_ORDER: _order,
    Reject.INVALID_PRICE: _price,
    Reject.TICK_SIZE: _tick,
    Reject.INVALID_QTY: _qty,
    Reject.ORDER_MINIMUM: _minimum,
    Reject.COST_MINIMUM: _cost,
    Reject.INVALID_DISPLAY: _display,
    Reject.INVALID_TIME_IN_FORCE: _tif,
    Reject.INVALID_EXPIRY: _expiry,
    Reject.POST_ONLY_NEEDS_LIMIT: _needs_limit,
    Reject.POST_ONLY_WOULD_CROSS: _crosses,
    Reject.CLIENT_ID_NOT_UNIQUE: _client_id,
    Reject.EDIT_NOT_ALLOWED: _edit,
    Reject.ORDERS_LIMIT: _orders_limit,
    Reject.INSUFFICIENT_FUNDS: fund_reasons.insufficient,
    Reject.DEADLINE_ELAPSED: _deadline,
    Reject.INVALID_TRIGGER: _trigger,
    Reject.INVALID_CLOSE: _close,
    Reject.INVALID_CASH: _cash,
    Reject.INVALID_START: _start,
    Reject.INDEX_UNAVAILABLE: _index,
    Reject.SCHEDULED_LIMIT: _scheduled_limit,
    Reject.AMEND_NOT_ALLOWED: _amend,
    Reject.NOTHING_TO_AMEND: _nothing,
    Reject.INVALID_LEVERAGE: fund_reasons.leverage,
    Reject.CANNOT_OPEN_POSITION: fund_reasons.tier,
    Reject.MARGIN_LEVEL: fund_reasons.margin_level,
    Reject.MARGIN_ALLOWANCE: fund_reasons.allowance,
    Reject.POSITION_SIZE: fund_reasons.position_size,
    Reject.POSITIONS_LIMIT: fund_reasons.positions,
    Reject.UNKNOWN_POSITION: fund_reasons.no_position,
    Reject.REDUCE_ONLY_NO_POSITION: fund_reasons.no_position,
    Reject.REDUCE_ONLY_NOT_CLOSING: fund_reasons.not_closing,
    Reject.RATE_LIMIT: _rate,
    Reject.UNAVAILABLE: _status,
    Reject.UNKNOWN_REFERENCE: _reference,
    Reject.TOO_LATE: _too_late,
    Reject.EARN_BUSY: _earn_busy,
    Reject.NAME_TAKEN: _name_taken,
    Reject.CANCEL_ONLY: _status,
    Reject.POST_ONLY: _status,
    Reject.LIMIT_ONLY: _status,
    Reject.REDUCE_ONLY: _reduces,
    Reject.WOULD_TRADE: lambda _: "it would trade with clients' orders",
}
