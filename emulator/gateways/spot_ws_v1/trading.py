"""Trading events of WebSocket v1: event to handler, a table (``METHODS`` at the end)."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from emulator.engine import commands, rules
from emulator.engine.accounts import Account
from emulator.engine.events import Accepted, Amended, CancelAfterSet, CancelledAll, Event
from emulator.engine.instruments import Instrument
from emulator.engine.orders import OrderType
from emulator.gateways import descriptions, ordering
from emulator.gateways.errors import BAD_ARGUMENTS, VenueError, bad_argument
from emulator.gateways.keys import ApiKey
from emulator.gateways.numbers import rfc3339
from emulator.gateways.order_params import deadline, flags, place_order
from emulator.gateways.order_reasons import unknown_pair
from emulator.gateways.parameters import Params
from emulator.gateways.permissions import AMEND, CANCEL, PLACE, REPLACE, Deed
from emulator.gateways.spot_ws_v1 import codec
from emulator.gateways.venue import Venue

_COMMON = frozenset({"event", "token", "reqid"})


class Trader:
    """Answers the trading events of one connection."""

    def __init__(
        self,
        venue: Venue,
        send: Callable[[bytes], None],
        key: Callable[[dict[str, Any], Deed], ApiKey],
        log_refusal: Callable[[dict[str, Any], VenueError | str], None],
    ) -> None:
        self.venue = venue
        self._send = send
        self._key = key
        self._log_refusal = log_refusal

    def receive(self, event: str, message: dict[str, Any]) -> None:
        """Carry out one event and answer it."""
        method = METHODS[event]
        for name, value in message.items():
            kind = method.fields.get(name)
            if kind is None:
                if name not in _COMMON:
                    self._reject(event, f"Unsupported field: '{name[:64]}' {method.where}", message)
                    return
            elif type(value) not in kind.types:
                self._reject(event, f"{name.capitalize()} field must be {kind.name}", message)
                return
        try:
            key = self._key(message, method.deed)
            for name in method.needs:
                if message.get(name) in (None, ""):
                    raise missing(name)
            method.call(self, key, message)
        except VenueError as error:
            self.fail(message, error)

    def _reject(self, event: str, error: str, message: dict[str, Any]) -> None:
        """Refuse an unknown field, or one of another JSON type: recorded with the pair, without ``reqid``."""
        pair = {"pair": message["pair"]} if type(message.get("pair")) is str else {}
        self._send(codec.control(f"{event}Status", {}, errorMessage=error, status="error", **pair))
        self._log_refusal(message, error)

    def succeed(self, message: dict[str, Any], **fields: Any) -> None:
        """Answer that it is done."""
        self._send(codec.control(f"{message['event']}Status", message, status="ok", **fields))

    def fail(self, message: dict[str, Any], error: VenueError) -> None:
        """Answer why it is not done."""
        event, words = f"{message['event']}Status", str(error)
        self._send(codec.control(event, message, status="error", errorMessage=words))
        self._log_refusal(message, error)

    def execute(
        self, command: commands.Command, message: dict[str, Any], reply: Callable[[Event], None]
    ) -> None:
        """Carry out ``command``; the answer goes out before anybody hears of it."""

        def respond(events: list[Event]) -> None:
            try:
                answer = ordering.answer(events, self.venue.engine, command)
            except VenueError as error:
                self.fail(message, error)
            else:
                reply(answer)

        self.venue.execute(command, respond)

    def account(self, key: ApiKey) -> Account:
        """Return the account that a key belongs to."""
        return self.venue.engine.accounts[key.account]

    def pair(self, params: Params) -> Instrument:
        """Return the pair of a request, by any of its names."""
        pair = self.venue.names.pair(params.required("pair"))
        if pair is None:
            name = params.required("pair")
            raise VenueError("EQuery:Unknown asset pair", unknown_pair, self.venue.engine, name)
        return pair


def _params(message: dict[str, Any]) -> Params:
    return Params({name: value for name, value in message.items() if name not in _COMMON})


def missing(name: str) -> VenueError:
    """Return the refusal of a request without a field (recorded of pairs, of events, of v2's prices)."""
    return VenueError(f"{name.capitalize()}(s) not found")


_PRICES = {
    str(type_): ("price", "price2")[: 1 + (type_.triggered and type_.limited)]
    for type_ in OrderType
    if type_.triggered or type_.limited
}
"""Prices that an order of a type must have."""


def add_order(trader: Trader, key: ApiKey, message: dict[str, Any]) -> None:
    """``addOrder``."""
    params, venue = _params(message), trader.venue
    pair, kind = trader.pair(params), message["ordertype"]
    if kind == "iceberg":
        raise bad_argument("ordertype", "WebSocket v1 has no icebergs; v2 and REST have")
    for name in _PRICES.get(kind, ()):
        if params.get(name) is None:
            raise missing(name)
    deadline_ns = deadline(venue, params)
    command = place_order(venue, key, pair, params, deadline_ns, margin=params.flag("margin"))
    if params.flag("validate"):
        ordering.check(venue.engine, command, venue.clock.now_ns())
        trader.succeed(message, descr=descriptions.of_command(pair, command))
        return

    def reply(answer: Event) -> None:
        assert isinstance(answer, Accepted)  # noqa: S101 - the only answer to a PlaceOrder
        order = answer.order
        more = {} if order.cl_ord_id is None else {"cl_ord_id": order.cl_ord_id}
        trader.succeed(message, descr=descriptions.of_order(order), txid=order.txid, **more)

    trader.execute(command, message, reply)


def edit_order(trader: Trader, key: ApiKey, message: dict[str, Any]) -> None:
    """``editOrder``: cancel and replace."""
    params, venue = _params(message), trader.venue
    pair, asked = trader.pair(params), params.required("orderid")
    account = trader.account(key)
    matches = ordering.named_orders(account, asked)
    if len(matches) != 1 or matches[0].instrument is not pair:
        raise ordering.none_named(account, asked)
    [old] = matches
    limit, trigger = ordering.legacy_prices(old, params.get("price"), params.get("price2"))
    command = ordering.edit(
        old,
        qty=params.get("volume"),
        price=limit,
        trigger=trigger,
        display=None,
        post_only="post" in flags(params),
        reduce_only=False,
        userref=params.integer("newuserref"),
        fee_in_base=None,
        deadline_ns=deadline(venue, params),
    )
    if params.flag("validate"):
        ordering.check(venue.engine, command, venue.clock.now_ns())
        text = descriptions.of_command(pair, rules.replacement(command, old))
        trader.succeed(message, descr=text, originaltxid=old.txid)
        return

    def reply(answer: Event) -> None:
        assert isinstance(answer, Accepted)  # noqa: S101 - the only answer to an EditOrder
        text = descriptions.of_order(answer.order)
        trader.succeed(message, descr=text, originaltxid=old.txid, txid=answer.order.txid)

    trader.execute(command, message, reply)


def amend_order(trader: Trader, key: ApiKey, message: dict[str, Any]) -> None:
    """``amendOrder``: in place."""
    params = _params(message)
    order = ordering.open_order(trader.account(key), params.get("txid"), params.get("cl_ord_id"))
    command = ordering.amend(
        order,
        qty=params.get("volume"),
        price=ordering.legacy_price(params.get("limit_price"), order, trigger=False),
        trigger=ordering.legacy_price(params.get("trigger_price"), order, trigger=True),
        display=params.get("display_volume"),
        post_only=params.flag("post_only"),
        deadline_ns=deadline(trader.venue, params),
    )
    by = "txid" if params.get("txid") is not None else "cl_ord_id"

    def reply(answer: Event) -> None:
        assert isinstance(answer, Amended)  # noqa: S101 - the only answer to an AmendOrder
        trader.succeed(message, amend_id=answer.amend_id, **{by: params.get(by)})

    trader.execute(command, message, reply)


def cancel_order(trader: Trader, key: ApiKey, message: dict[str, Any]) -> None:
    """``cancelOrder``: one status per order."""
    params, account = _params(message), trader.account(key)
    named = [(value, "txid") for value in params.items("txid")]
    named += [(value, "cl_ord_id") for value in params.items("cl_ord_id")]
    if not 0 < len(named) <= ordering.MOST_CANCELS:
        raise VenueError(BAD_ARGUMENTS, ordering.CANCELS_MEANT, len(named))
    for value, kind in named:
        if type(value) is not str:
            raise VenueError(f"{kind.capitalize()} field must be {ARRAY.name}")
    for value, kind in named:
        if kind == "cl_ord_id":
            order = account.by_cl_ord_id.get(value)
            found = [] if order is None else [order]
        else:
            found = ordering.named_orders(account, value)
        if not found:
            by_name = kind == "cl_ord_id"
            unknown = (
                ordering.unknown_order(account, None, value)
                if by_name
                else ordering.none_named(account, value)
            )
            trader.fail(message, unknown)
        for order in found:
            command = commands.CancelOrder(account=account.name, txid=order.txid)
            trader.execute(command, message, lambda _: trader.succeed(message))


def cancel_all(trader: Trader, key: ApiKey, message: dict[str, Any]) -> None:
    """``cancelAll``."""

    def reply(answer: Event) -> None:
        assert isinstance(answer, CancelledAll)  # noqa: S101 - the only answer to a CancelAll
        trader.succeed(message, count=answer.count)

    trader.execute(commands.CancelAll(key.account), message, reply)


def cancel_all_orders_after(trader: Trader, key: ApiKey, message: dict[str, Any]) -> None:
    """``cancelAllOrdersAfter``: the dead man's switch."""
    timeout = _params(message).integer("timeout")
    if timeout is None or not 0 <= timeout < ordering.LONGEST_TIMEOUT_S:
        raise bad_argument("timeout", ordering.TIMEOUT_MEANT, timeout)

    def reply(answer: Event) -> None:
        assert isinstance(answer, CancelAfterSet)  # noqa: S101 - the only answer to a CancelAllAfter
        trigger = _whole(answer.trigger_ns) if answer.trigger_ns else "0"
        trader.succeed(message, currentTime=_whole(answer.time_ns), triggerTime=trigger)

    trader.execute(commands.CancelAllAfter(key.account, timeout), message, reply)


def _whole(time_ns: int) -> str:
    return rfc3339(-(-time_ns // 10**9) * 10**9, 0)


class Kind(msgspec.Struct, frozen=True):
    """JSON type of a field, and its name in refusals (``a string`` is recorded)."""

    name: str
    types: tuple[type, ...]


STRING = Kind("a string", (str,))
INTEGER = Kind("an integer", (int,))
ARRAY = Kind("an array", (list,))
_REFERENCE = Kind("a string", (str, int))
_FLAG = Kind("a string", (str, bool))
_KINDS = {
    "timeout": INTEGER,
    **dict.fromkeys(("userref", "newuserref", "leverage"), _REFERENCE),
    **dict.fromkeys(("validate", "margin", "reduce_only", "post_only"), _FLAG),
}
"""Fields that are not just strings: of these, clients send both."""


class Method:
    """One trading event: its handler, fields, those it must have, and what it does."""

    __slots__ = ("call", "deed", "fields", "needs", "where")

    def __init__(
        self,
        call: Callable[[Trader, ApiKey, dict[str, Any]], None],
        words: str,
        deed: Deed,
        fields: str,
        needs: tuple[str, ...] = (),
        kinds: Mapping[str, Kind] = _KINDS,
    ) -> None:
        self.call = call
        self.where = f"for the given msg type: {words}"
        self.deed = deed
        self.needs = needs
        self.fields = {name: kinds.get(name, STRING) for name in fields.split()}


METHODS = {
    "addOrder": Method(
        add_order,
        "add order",
        PLACE,
        "ordertype type pair volume price price2 leverage margin reduce_only oflags starttm expiretm "
        "deadline userref cl_ord_id stp_type timeinforce trigger "
        "close[ordertype] close[price] close[price2] validate sender_sub_id",
        ("ordertype", "type", "pair", "volume"),
    ),
    "editOrder": Method(
        edit_order,
        "edit order",
        REPLACE,
        "orderid pair volume price price2 oflags newuserref deadline validate",
        ("orderid", "pair"),
    ),
    "amendOrder": Method(
        amend_order,
        "amend order",
        AMEND,
        "txid cl_ord_id volume display_volume limit_price trigger_price post_only pair deadline",
    ),
    "cancelOrder": Method(
        cancel_order,
        *("cancel order", CANCEL, "txid cl_ord_id"),
        kinds={"txid": ARRAY, "cl_ord_id": ARRAY},
    ),
    "cancelAll": Method(cancel_all, "cancel all", CANCEL, ""),
    "cancelAllOrdersAfter": Method(
        cancel_all_orders_after, "cancel all orders after", CANCEL, "timeout", ("timeout",)
    ),
}
