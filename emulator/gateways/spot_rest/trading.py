"""Private endpoints that trade.  The table is in endpoints."""

import asyncio
import logging
from typing import Any

from emulator.engine import commands, rules
from emulator.engine.accounts import Account
from emulator.engine.events import Accepted, Amended, CancelAfterSet, CancelledAll, Event
from emulator.engine.instruments import Instrument
from emulator.engine.orders import Order
from emulator.engine.spot import BATCH
from emulator.gateways import descriptions, order_reasons, ordering
from emulator.gateways.errors import VenueError, bad_argument, explained
from emulator.gateways.keys import ApiKey
from emulator.gateways.numbers import rfc3339
from emulator.gateways.order_params import deadline, flags, place_order
from emulator.gateways.parameters import Params
from emulator.gateways.spot_rest import codec
from emulator.gateways.spot_rest.account import account_of
from emulator.gateways.spot_rest.market_data import find_pair
from emulator.gateways.venue import Venue

_log = logging.getLogger(__name__)


def add_order(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``AddOrder``."""
    pair = find_pair(venue, params.required("pair"))
    command = place_order(venue, key, pair, params, deadline(venue, params))
    if params.flag("validate"):
        ordering.check(venue.engine, command, venue.clock.now_ns())
        return {"descr": _described(descriptions.of_command(pair, command), pair, command)}
    order = _accepted(venue.execute(command), venue, command)
    return {"txid": [order.txid], "descr": _described(descriptions.of_order(order), pair, command)}


def _described(text: str, pair: Instrument, command: commands.PlaceOrder) -> dict[str, str]:
    close = descriptions.of_close(pair, command.close, command.leverage)
    return {"order": text, "close": close} if close else {"order": text}


def _accepted(events: list[Event], venue: Venue, command: commands.Command) -> Order:
    accepted = ordering.answer(events, venue.engine, command)
    assert isinstance(accepted, Accepted)  # noqa: S101 - the only answer to these commands
    return accepted.order


def add_order_batch(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``AddOrderBatch``: each order lives or fails by itself, whatever is wrong with it."""
    pair = find_pair(venue, params.required("pair"))
    deadline_ns, orders = deadline(venue, params), params.items("orders")
    if len(orders) not in BATCH or not all(isinstance(order, dict) for order in orders):
        raise bad_argument("orders", ordering.BATCH_MEANT, len(orders))
    validate, now_ns = params.flag("validate"), venue.clock.now_ns()
    rows: list[dict[str, Any]] = []
    batch: list[commands.PlaceOrder] = []
    for order in orders:
        try:
            command = place_order(venue, key, pair, Params(order), deadline_ns, len(orders))
            if validate:
                ordering.check(venue.engine, command, now_ns)
        except VenueError as error:
            rows.append({"error": str(error)})
            _log_row(key, error)
        else:
            rows.append(_entry(descriptions.of_command(pair, command), pair, command))
            batch.append(command)
    if not validate:
        sound = [row for row in rows if "error" not in row]
        for row, command, events in zip(sound, batch, venue.execute_all(batch), strict=True):
            try:
                _enter_outcome(row, pair, command, _accepted(events, venue, command))
            except VenueError as error:
                row.clear()
                row["error"] = str(error)
                _log_row(key, error)
    return {"orders": rows}


def _entry(text: str, pair: Instrument, command: commands.PlaceOrder) -> dict[str, Any]:
    """Return an order of a batch: ``close`` stands beside ``descr`` here."""
    close = descriptions.of_close(pair, command.close, command.leverage)
    entry: dict[str, Any] = {"descr": {"order": text}}
    return entry | {"close": close} if close else entry


def _enter_outcome(row: dict[str, Any], pair: Instrument, command: commands.PlaceOrder, order: Order) -> None:
    """Make ``row`` what became of a sound order of a batch."""
    row.clear()
    row |= {"txid": order.txid} | _entry(descriptions.of_order(order), pair, command)


def _log_row(key: ApiKey, error: VenueError) -> None:
    """Tell whoever reads the log of an order of a batch that is refused, and why."""
    if _log.isEnabledFor(logging.DEBUG):
        _log.debug("an order of %s in AddOrderBatch refused: %s", key.account, explained(error))


def amend_order(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``AmendOrder``: in place."""
    order = ordering.open_order(account_of(venue, key), params.get("txid"), params.get("cl_ord_id"))
    command = ordering.amend(
        order,
        qty=params.get("order_qty"),
        price=ordering.legacy_price(params.get("limit_price"), order, trigger=False),
        trigger=ordering.legacy_price(params.get("trigger_price"), order, trigger=True),
        display=params.get("display_qty"),
        post_only=params.flag("post_only"),
        deadline_ns=deadline(venue, params),
    )
    amended = ordering.answer(venue.execute(command), venue.engine, command)
    assert isinstance(amended, Amended)  # noqa: S101 - the only answer to an AmendOrder
    return {"amend_id": amended.amend_id}


def edit_order(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``EditOrder``: cancel and replace."""
    pair = find_pair(venue, params.required("pair"))
    asked = params.required("txid")
    account = account_of(venue, key)
    matches = ordering.named_orders(account, asked)
    if len(matches) != 1 or matches[0].instrument is not pair:
        raise ordering.none_named(account, asked)
    old = matches[0]
    limit, trigger = ordering.legacy_prices(old, params.get("price"), params.get("price2"))
    command = ordering.edit(
        old,
        qty=params.get("volume"),
        price=limit,
        trigger=trigger,
        display=params.get("displayvol"),
        post_only="post" in flags(params),
        reduce_only=False,
        userref=params.integer("userref"),
        fee_in_base=None,
        deadline_ns=deadline(venue, params),
    )
    answer: dict[str, Any] = {"status": "ok"}
    place = rules.replacement(command, old)
    if params.flag("validate"):
        ordering.check(venue.engine, command, venue.clock.now_ns())
        text = descriptions.of_command(pair, place)
        first, second = place.price, None
        if place.type.triggered:
            first, second = place.trigger, place.price
        prices = descriptions.price_text(pair, first), descriptions.price_text(pair, second)
    else:
        new = _accepted(venue.execute(command), venue, command)
        answer["txid"] = new.txid
        text, prices = descriptions.of_order(new), descriptions.prices(new)
    answer |= {
        "originaltxid": old.txid,
        "volume": codec.volume(pair, place.qty),
        "price": prices[0],
        "price2": prices[1],
        "orders_cancelled": 1,
        "descr": {"order": text},
    }
    if command.userref is not None:
        answer |= {"newuserref": str(command.userref), "olduserref": str(old.userref or 0)}
    return answer


# -- cancelling ------------------------------------------------------------------------------------------


def _cancel(venue: Venue, account: Account, orders: list[Order], *, batch: bool = False) -> Any:
    """Cancel ``orders``; a batch is carried out whatever the rate counter says."""
    txids = tuple(order.txid for order in orders)
    command = commands.CancelOrders(account=account.name, txids=txids, batch=batch)
    return _when_cancelled(account, ordering.cancelled(venue.execute(command), venue.engine, command))


def _when_cancelled(account: Account, count: int) -> Any:
    """Return the answer, at the time when all orders are cancelled that are to be."""
    answer = {"count": count}
    return _later(account, answer) if account.cancelling else answer


async def _later(account: Account, answer: dict[str, int]) -> dict[str, int]:
    while account.cancelling:
        await asyncio.sleep(0)
    return answer


def cancel_order(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``CancelOrder``: by txid, userref or client order id."""
    account, asked = account_of(venue, key), params.get("txid")
    if asked is None:
        cl_ord_id = params.get("cl_ord_id")
        if cl_ord_id is not None and cl_ord_id not in account.by_cl_ord_id:
            # also one that is gone; WebSocket: Unknown order
            raise VenueError("EOrder:Invalid order", order_reasons.unknown_order, account, None, cl_ord_id)
        return _cancel(venue, account, [ordering.open_order(account, None, cl_ord_id)])
    matches = ordering.named_orders(account, asked)
    if not matches:
        raise ordering.none_named(account, asked)
    return _cancel(venue, account, matches)


def cancel_order_batch(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``CancelOrderBatch``: txids, userrefs and client order ids; unknown ones are not counted."""
    account = account_of(venue, key)
    orders, cl_ord_ids = params.items("orders"), params.items("cl_ord_ids")
    if not 0 < len(orders) + len(cl_ord_ids) <= ordering.MOST_CANCELS:
        raise bad_argument("orders", ordering.CANCELS_MEANT, len(orders) + len(cl_ord_ids))
    found: dict[str, Order] = {}
    for item in (*orders, *({"cl_ord_id": value} for value in cl_ord_ids)):
        fields = Params(item if isinstance(item, dict) else {"txid": item})
        order = account.by_cl_ord_id.get(fields.get("cl_ord_id") or "")
        hits = [order] if order is not None else ordering.named_orders(account, fields.get("txid") or "")
        found.update((hit.txid, hit) for hit in hits)
    return _cancel(venue, account, list(found.values()), batch=True)


def cancel_all(venue: Venue, key: ApiKey, _: Params) -> Any:
    """``CancelAll``."""
    command = commands.CancelAll(key.account)
    done = ordering.answer(venue.execute(command), venue.engine, command)
    assert isinstance(done, CancelledAll)  # noqa: S101 - the only answer to a CancelAll
    return _when_cancelled(account_of(venue, key), done.count)


def cancel_all_orders_after(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``CancelAllOrdersAfter``: the dead man's switch."""
    timeout = params.integer("timeout")
    if timeout is None or timeout < 0:
        raise bad_argument("timeout", "{}: seconds, 0 to disarm, are meant", timeout)
    if timeout >= ordering.LONGEST_TIMEOUT_S:
        raise VenueError(ordering.TIMEOUT_ABOVE_MAX, ordering.TIMEOUT_MEANT, timeout)
    command = commands.CancelAllAfter(key.account, timeout)
    done = ordering.answer(venue.execute(command), venue.engine, command)
    assert isinstance(done, CancelAfterSet)  # noqa: S101 - the only answer to a CancelAllAfter
    trigger = rfc3339(done.trigger_ns, 0) if done.trigger_ns else "0"
    return {"currentTime": rfc3339(done.time_ns, 0), "triggerTime": trigger}
