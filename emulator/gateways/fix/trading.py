"""Trading messages of FIX: type to handler, a table (``TRADING`` at the end; reference: FIX section 4)."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from emulator.engine import commands
from emulator.gateways import order_reasons
from emulator.gateways.errors import VenueError, check_state
from emulator.gateways.fix import codec, reports
from emulator.gateways.fix.refusals import UNKNOWN_ORDER, BusinessRejectError, bad_value, missing
from emulator.gateways.fix.reports import LiveOrder

if TYPE_CHECKING:
    from emulator.gateways.fix.session import Session

Fields = dict[str, str]
_THIS_SESSION_BY_SYMBOL, _THIS_SESSION, _ALL = "1", "6", "7"


def new_order(session: "Session", f: Fields, _: str) -> None:
    """NewOrderSingle (D)."""
    venue, account = session.venue, session.account
    now_ns = venue.clock.now_ns()
    codec.check_fields(f)
    session.cl_ord_ids.take(f["11"], venue.clock)
    check_state(account.state, trades=True)
    pair = venue.names.symbol(f["55"])
    if pair is None:
        raise VenueError(
            "EQuery:Unknown asset pair", order_reasons.unknown_pair, session.venue.engine, f["55"]
        )
    command = codec.place_order(f, venue.engine.markets[pair.id], account.name, now_ns)
    allocation = f"\x0178=1\x0179={f['79']}" if "79" in f else ""
    session.gateway.place(session, command, f["59"], allocation)


def cancel(session: "Session", f: Fields, _: str) -> None:
    """OrderCancelRequest (F): an order of this CompID, by OrderID or, without one, by its last ClOrdID."""
    session.cl_ord_ids.take(f["11"], session.venue.clock)
    if "37" not in f and "41" not in f:
        raise missing("OrderID", 37, "a cancel has OrderID (37) or OrigClOrdID (41)")
    live = _named(session, f.get("37"), f.get("41"))
    if live is None:
        raise unknown_order(session, f, "Open Order to cancel not found")
    command = commands.CancelOrder(account=session.account.name, txid=live.order.txid)
    session.gateway.change(session, command, live, f["11"])


def replace(session: "Session", f: Fields, _: str) -> None:
    """OrderCancelReplaceRequest (G): amend in place; 41 finds the order, 37 must be its id."""
    venue = session.venue
    now_ns = venue.clock.now_ns()
    codec.check_fields(f)
    session.cl_ord_ids.take(f["11"], venue.clock)
    check_state(session.account.state, trades=True)
    live = session.orders.get(f["41"])
    if live is None or live.order.txid != f["37"]:
        raise unknown_order(session, f)
    order = live.order
    command = codec.amend_order(f, order, venue.engine.markets[order.instrument.id], now_ns)
    session.gateway.change(session, command, live, f["11"])


def status(session: "Session", f: Fields, _: str) -> None:
    """OrderStatusRequest (H): any order of the account, by OrderID."""
    order = session.account.find(f["37"])
    if order is None:
        raise unknown_order(session, f)
    live = session.gateway.orders.get(order.txid)
    if live is None:
        live = LiveOrder(session, order, f["11"], codec.TIF_CODES[order.tif])
        live.type = codec.running_type(order)
    now_ns = session.venue.clock.now_ns()
    session.post("8", reports.status(live, session.gateway.exec_id(), f["11"], now_ns))


def mass_cancel(session: "Session", f: Fields, _: str) -> None:
    """OrderMassCancelRequest (q): a report for each order, none when there is nothing to cancel.

    When some cannot be cancelled (maintenance), one refusal follows the reports of the others.
    """
    session.cl_ord_ids.take(f["11"], session.venue.clock)
    scope, orders = f["530"], list(session.orders.values())
    if scope == _THIS_SESSION_BY_SYMBOL:
        symbol = f.get("55")
        if symbol is None:
            raise missing("Symbol", 55, "a mass cancel with 530=1 is for a symbol")
        pair = session.venue.names.symbol(symbol)
        if pair is None:
            raise VenueError(
                "EQuery:Unknown asset pair", order_reasons.unknown_pair, session.venue.engine, symbol
            )
        orders = [live for live in orders if live.order.instrument is pair]
    elif scope not in (_THIS_SESSION, _ALL):
        raise bad_value("MassCancelRequestType", 530, scope, "1, 6 or 7 is meant")
    if scope != _ALL:
        orders = [live for live in orders if session.logons in (live.logon, live.replaced)]
    session.cancel(orders)


def unknown_order(session: "Session", f: Fields, text: str = "EOrder:Unknown order") -> BusinessRejectError:
    """Return the refusal of a message about an order that is not open here."""
    return BusinessRejectError(UNKNOWN_ORDER, text, _why_unknown, session, f)


def _why_unknown(session: "Session", f: Fields) -> str:
    """Tell which order is not open, or whose it is, as far as that is this account's business."""
    txid, name = f.get("37"), f.get("41")
    if txid is None:
        return f"{session.comp_id} has no open order whose last ClOrdID is {name!r:.64}"
    live = session.gateway.orders.get(txid)
    if live is not None and live.session.account is session.account:
        if live.session is not session:
            return f"order {txid} is of {live.session.comp_id}, not of {session.comp_id}"
        return f"the last ClOrdID of order {txid} is {live.cl_ord_id!r}, not {name!r:.64}"
    return order_reasons.unknown_order(session.account, txid)


def _named(session: "Session", txid: str | None, cl_ord_id: str | None) -> LiveOrder | None:
    """Return an open order of this CompID; its OrderID decides when both are there."""
    if txid is None:
        return session.orders.get(cl_ord_id or "")
    live = session.gateway.orders.get(txid)
    return live if live is not None and live.session is session else None


TRADING: dict[str, Callable[["Session", Fields, str], None]] = {
    "D": new_order,
    "F": cancel,
    "G": replace,
    "H": status,
    "q": mass_cancel,
}
