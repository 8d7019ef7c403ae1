"""Trading methods of WebSocket v2: method name to handler, a table (``METHODS`` at the end)."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from emulator.engine import commands
from emulator.engine.accounts import Account
from emulator.engine.events import Accepted, Amended, CancelAfterSet, CancelledAll, Event
from emulator.engine.instruments import Instrument
from emulator.engine.orders import Order
from emulator.engine.spot import BATCH
from emulator.gateways import order_fields, ordering
from emulator.gateways.errors import BAD_ARGUMENTS, VenueError, bad_argument
from emulator.gateways.keys import ApiKey
from emulator.gateways.numbers import rfc3339
from emulator.gateways.permissions import AMEND, CANCEL, PLACE, REPLACE, Deed
from emulator.gateways.spot_ws_v2 import codec, orders
from emulator.gateways.spot_ws_v2.codec import Request
from emulator.gateways.spot_ws_v2.params import (
    ARRAY,
    BOOL,
    INTEGER,
    NUMBER,
    OBJECT,
    STRING,
    Spec,
    check,
    elements,
    required,
)

if TYPE_CHECKING:
    from emulator.gateways.spot_ws_v2.session import Session


SHORTEST_DEADLINE_NS = 500 * 10**6
_REQUEST: Spec = {"symbol": STRING, "deadline": STRING, "validate": BOOL, "token": STRING}
_AMEND: Spec = {
    "order_id": STRING,
    "cl_ord_id": STRING,
    "order_qty": NUMBER,
    "display_qty": NUMBER,
    "limit_price": NUMBER,
    "limit_price_type": STRING,
    "post_only": BOOL,
    "trigger_price": NUMBER,
    "trigger_price_type": STRING,
    "deadline": STRING,
    "symbol": STRING,
    "token": STRING,
}
_EDIT: Spec = {
    "order_id": STRING,
    "symbol": STRING,
    "order_qty": NUMBER,
    "limit_price": NUMBER,
    "display_qty": NUMBER,
    "triggers": OBJECT,
    "fee_preference": STRING,
    "order_userref": INTEGER,
    "post_only": BOOL,
    "reduce_only": BOOL,
    "no_mpp": BOOL,
    "deadline": STRING,
    "validate": BOOL,
    "price": NUMBER,
    "trigger": STRING,
    "stop_price": NUMBER,
    "token": STRING,
}


def _pair(session: "Session", params: dict[str, Any]) -> Instrument:
    return session.venue_pair(required(params, "symbol"))


def _deadline(session: "Session", params: dict[str, Any]) -> int:
    value = params.get("deadline")
    if value is None:
        return 0
    return order_fields.deadline(value, session.venue.clock.now_ns(), SHORTEST_DEADLINE_NS)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _checked(session: "Session", request: Request, spec: Spec, deed: Deed) -> ApiKey:
    """Check a request's parameters, its token, and what may be done with it."""
    check(request.params, spec, _WHERE[request.method])
    return session.key(request.params, deed)


def _ids(order: Order | commands.PlaceOrder, txid: str) -> str:
    """Return the identifiers of a new order for a reply, in alphabetical order; no id for a mere check."""
    if order.cl_ord_id is not None:
        return f'{{"cl_ord_id":{codec.string(order.cl_ord_id)},"order_id":"{txid}"}}'
    if order.userref is not None:
        return f'{{"order_id":"{txid}","order_userref":{order.userref}}}'
    return f'{{"order_id":"{txid}"}}'


_ADD: Spec = {**orders.ORDER, **_REQUEST}


def add_order(session: "Session", request: Request, in_ns: int) -> None:
    """``add_order``."""
    key = _checked(session, request, _ADD, PLACE)
    params = request.params
    command = orders.place_order(params, _pair(session, params), key.account, _deadline(session, params))
    if params.get("validate"):
        ordering.check(session.venue.engine, command, session.venue.clock.now_ns())
        session.succeed(request, _ids(command, ""), in_ns)
        return

    def reply(accepted: Event) -> None:
        assert isinstance(accepted, Accepted)  # noqa: S101 - the only answer to a PlaceOrder
        session.succeed(request, _ids(accepted.order, accepted.order.txid), in_ns)

    session.execute(command, request, in_ns, reply)


def batch_add(session: "Session", request: Request, in_ns: int) -> None:
    """``batch_add``: what cannot be read refuses the whole batch; else each order fails by itself."""
    spec: Spec = {**_REQUEST, "orders": ARRAY}
    key = _checked(session, request, spec, REPLACE)
    params, venue = request.params, session.venue
    pair, deadline_ns = _pair(session, params), _deadline(session, params)
    rows = required(params, "orders")
    if len(rows) not in BATCH or not all(isinstance(row, dict) for row in rows):
        raise bad_argument("orders", ordering.BATCH_MEANT, len(rows))
    batch = []
    for row in rows:
        check(row, orders.ORDER, _WHERE[request.method])
        batch.append(orders.place_order(row, pair, key.account, deadline_ns, len(rows)))

    def reply(rows: list[tuple[str, bool]]) -> None:
        result = f"[{','.join(row for row, _ in rows)}]"
        if all(good for _, good in rows):
            session.succeed(request, result, in_ns)
        else:
            out_ns = venue.clock.now_ns()
            session.send(codec.partly(request.method, request.req_id, result, in_ns, out_ns))

    if params.get("validate"):
        now_ns = venue.clock.now_ns()
        reply([_checked_row(session, command, now_ns) for command in batch])
    else:
        venue.execute_all(
            batch,
            lambda outcomes: reply(
                [
                    _placed_row(session, command, events)
                    for command, events in zip(batch, outcomes, strict=True)
                ]
            ),
        )


def _checked_row(session: "Session", command: commands.PlaceOrder, now_ns: int) -> tuple[str, bool]:
    """Return an order's row of the reply to a batch that is only validated, and whether it is sound."""
    try:
        ordering.check(session.venue.engine, command, now_ns)
    except VenueError as error:
        return _refused_row(session, error), False
    return '{"validation":"Validated Successfully"}', True


def _placed_row(session: "Session", command: commands.PlaceOrder, events: list[Event]) -> tuple[str, bool]:
    """Return an order's row of the reply to a batch, and whether it was placed."""
    try:
        accepted = ordering.answer(events, session.venue.engine, command)
    except VenueError as error:
        return _refused_row(session, error), False
    assert isinstance(accepted, Accepted)  # noqa: S101 - the only answer to a PlaceOrder
    return _ids(accepted.order, accepted.order.txid), True


def _refused_row(session: "Session", error: VenueError) -> str:
    session.log_refusal("an order of batch_add", error)
    return f'{{"error":{codec.string(str(error))}}}'


def amend_order(session: "Session", request: Request, in_ns: int) -> None:
    """``amend_order``: in place."""
    key = _checked(session, request, _AMEND, AMEND)
    params = request.params
    account = session.venue.engine.accounts[key.account]
    order = ordering.open_order(account, params.get("order_id"), params.get("cl_ord_id"))
    command = ordering.amend(
        order,
        qty=_text(params.get("order_qty")),
        price=orders.new_price(params, order),
        trigger=orders.new_trigger(params, order),
        display=_text(params.get("display_qty")),
        post_only=params.get("post_only", False),
        deadline_ns=_deadline(session, params),
    )
    by = "order_id" if "order_id" in params else "cl_ord_id"

    def reply(amended: Event) -> None:
        assert isinstance(amended, Amended)  # noqa: S101 - the only answer to an AmendOrder
        ids = f'"amend_id":"{amended.amend_id}","{by}":{codec.string(params[by])}'
        session.succeed(request, f"{{{ids}}}", in_ns)

    session.execute(command, request, in_ns, reply)


def edit_order(session: "Session", request: Request, in_ns: int) -> None:
    """``edit_order``: cancel and replace."""
    key = _checked(session, request, _EDIT, REPLACE)
    params = request.params
    pair = _pair(session, params)
    txid = required(params, "order_id")
    account = session.venue.engine.accounts[key.account]
    order = account.open.get(txid)
    if order is None or order.instrument is not pair:
        raise ordering.unknown_order(account, txid)
    preference = params.get("fee_preference")
    command = ordering.edit(
        order,
        qty=_text(params.get("order_qty")),
        price=orders.new_price(params, order),
        trigger=orders.new_trigger(params, order),
        display=_text(params.get("display_qty")),
        post_only=params.get("post_only", False),
        reduce_only=params.get("reduce_only", False),
        userref=params.get("order_userref"),
        fee_in_base=None if preference is None else order_fields.word(orders.FEES, preference, "oflags"),
        deadline_ns=_deadline(session, params),
    )
    if params.get("validate"):
        ordering.check(session.venue.engine, command, session.venue.clock.now_ns())
        session.succeed(request, f'{{"order_id":"","original_order_id":"{txid}"}}', in_ns)
        return

    def reply(new: Event) -> None:
        assert isinstance(new, Accepted)  # noqa: S101 - the only answer to an EditOrder
        session.succeed(request, f'{{"order_id":"{new.order.txid}","original_order_id":"{txid}"}}', in_ns)

    session.execute(command, request, in_ns, reply)


_NAMED_BY = {"order_id": STRING, "cl_ord_id": STRING, "order_userref": INTEGER}
_CANCEL_ORDER: Spec = {"order_id": ARRAY, "cl_ord_id": ARRAY, "order_userref": ARRAY, "token": STRING}


def cancel_order(session: "Session", request: Request, in_ns: int) -> None:
    """``cancel_order``: one reply per order."""
    key = _checked(session, request, _CANCEL_ORDER, CANCEL)
    params = request.params
    targets = [(name, value) for name, kind in _NAMED_BY.items() for value in elements(params, name, kind)]
    if not 0 < len(targets) <= ordering.MOST_CANCELS:
        raise VenueError(BAD_ARGUMENTS, ordering.CANCELS_MEANT, len(targets))
    account = session.venue.engine.accounts[key.account]
    for name, value in targets:
        for command, result in _cancels(account, name, value):
            if command is None:
                txid, cl_ord_id = (None, value) if name == "cl_ord_id" else (value, None)
                session.fail(request, ordering.unknown_order(account, txid, cl_ord_id), in_ns)
                continue

            def reply(_: Event, result: str = result) -> None:
                session.succeed(request, result, in_ns)

            session.execute(command, request, in_ns, reply)


def _cancels(account: Account, name: str, value: Any) -> list[tuple[commands.CancelOrder | None, str]]:
    """Return a command and the reply's result for each order that ``name``: ``value`` means."""
    if name == "order_userref":
        found = ordering.named_orders(account, value)
        return [
            (commands.CancelOrder(account=account.name, txid=o.txid), f'{{"order_id":"{o.txid}"}}')
            for o in found
        ] or [(None, "")]
    known = account.open if name == "order_id" else account.by_cl_ord_id
    if value not in known:
        return [(None, "")]
    command = commands.CancelOrder(
        account=account.name,
        txid=value if name == "order_id" else None,
        cl_ord_id=value if name == "cl_ord_id" else None,
    )
    return [(command, f'{{"{name}":{codec.string(value)}}}')]


def batch_cancel(session: "Session", request: Request, in_ns: int) -> None:
    """``batch_cancel``: by order id, userref (as text) or client id; the count of those that were open."""
    spec: Spec = {"orders": ARRAY, "cl_ord_id": ARRAY, "token": STRING}
    key = _checked(session, request, spec, CANCEL)
    ids = elements(request.params, "orders", STRING)
    cl_ord_ids = elements(request.params, "cl_ord_id", STRING)
    if not 2 <= len(ids) + len(cl_ord_ids) <= ordering.MOST_CANCELS:
        raise bad_argument("orders", ordering.CANCELS_MEANT, len(ids) + len(cl_ord_ids))
    account, venue = session.venue.engine.accounts[key.account], session.venue
    found = {order.txid: None for value in ids for order in ordering.named_orders(account, value)}
    for value in cl_ord_ids:
        if value in account.by_cl_ord_id:
            found[account.by_cl_ord_id[value].txid] = None

    command = commands.CancelOrders(account=account.name, txids=tuple(found))

    def reply(events: list[Event]) -> None:
        count = ordering.cancelled(events, venue.engine, command)
        session.send(codec.batch_cancelled(request.req_id, count, in_ns, venue.clock.now_ns()))

    venue.execute(command, reply)


def cancel_all(session: "Session", request: Request, in_ns: int) -> None:
    """``cancel_all``."""
    key = _checked(session, request, {"token": STRING}, CANCEL)

    def reply(done: Event) -> None:
        assert isinstance(done, CancelledAll)  # noqa: S101 - the only answer to a CancelAll
        session.succeed(request, f'{{"count":{done.count}}}', in_ns)

    session.execute(commands.CancelAll(key.account), request, in_ns, reply)


def cancel_all_orders_after(session: "Session", request: Request, in_ns: int) -> None:
    """``cancel_all_orders_after``: the dead man's switch."""
    key = _checked(session, request, {"timeout": INTEGER, "token": STRING}, CANCEL)
    timeout = required(request.params, "timeout")
    if not 0 <= timeout < ordering.LONGEST_TIMEOUT_S:
        raise bad_argument("timeout", ordering.TIMEOUT_MEANT, timeout)

    def reply(done: Event) -> None:
        assert isinstance(done, CancelAfterSet)  # noqa: S101 - the only answer to a CancelAllAfter
        now, trigger = _whole(done.time_ns), _whole(done.trigger_ns) if done.trigger_ns else "0"
        session.succeed(request, f'{{"currentTime":"{now}","triggerTime":"{trigger}"}}', in_ns)

    session.execute(commands.CancelAllAfter(key.account, timeout), request, in_ns, reply)


def _whole(time_ns: int) -> str:
    return rfc3339(-(-time_ns // 10**9) * 10**9, 0)


METHODS: dict[str, Callable[["Session", Request, int], None]] = {
    "add_order": add_order,
    "amend_order": amend_order,
    "edit_order": edit_order,
    "cancel_order": cancel_order,
    "cancel_all": cancel_all,
    "cancel_all_orders_after": cancel_all_orders_after,
    "batch_add": batch_add,
    "batch_cancel": batch_cancel,
}

_WHERE = {name: f"for the given msg type: {name.replace('_', ' ')}" for name in METHODS}
