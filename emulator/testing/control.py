"""The control API in Python: managed mode, links, TLS; it needs nothing but the standard library.

>>> control = Control("http://127.0.0.1:7490")
>>> control.seed_book("BTC/USD", bids=[(64_000, 1.5)], asks=[(64_010, 2)])
>>> control.print_trade("BTC/USD", price=60_000, qty="0.1")
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from os import PathLike, fspath
from typing import Any, TypedDict
from urllib.parse import quote

from emulator.control.client import STEP_TIMEOUT_S, TIMEOUT_S, ControlError, act, call, changes, find

__all__ = [
    "Balances",
    "Book",
    "Certificate",
    "Clock",
    "Control",
    "ControlError",
    "Link",
    "Order",
    "Status",
    "Trade",
]

Number = Decimal | int | float | str
"""A price, a quantity or an amount; it is sent as decimal text."""
Level = tuple[Number, Number]
"""Price and quantity."""
_LONGEST = 64
"""Most characters of a wrong argument that are told."""


class Balances(TypedDict):
    """An account's balances, by asset, as decimal text."""

    account: str
    state: str
    balances: dict[str, str]


class Book(TypedDict):
    """A pair's book: price and quantity of each level, best first, as decimal text."""

    pair: str
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


class Trade(TypedDict):
    """A public trade; ``side`` is the taker's."""

    pair: str
    trade_id: int
    price: str
    qty: str
    side: str
    time: str


class Order(TypedDict):
    """What has become of an order: ``status`` is open, closed, canceled or expired."""

    order: str
    account: str
    pair: str
    status: str
    qty: str
    filled: str
    reason: str | None


class Clock(TypedDict):
    """The venue's time, how far it is ahead of real time, and how fast it goes."""

    time: str
    ahead_s: float
    scale: float


class Link(TypedDict):
    """What a path of a tier does now; ``to_venue`` and ``to_client`` have the API's fields of a direction."""

    tier: str
    path: str
    up: bool
    rtt_us: float
    standing_rtt_us: float
    changed: bool
    playing: str | None
    to_venue: dict[str, float]
    to_client: dict[str, float]


class Status(TypedDict, total=False):
    """The venue's status with the ``pairs`` that are not online and what is announced, or a ``pair``'s with
    its index price.
    """

    status: str
    pairs: dict[str, str]
    instruments: str
    upcoming_maintenance: list[dict[str, Any]]
    emergency: list[dict[str, Any]]
    pair: str
    index: str | None


class Certificate(TypedDict):
    """What TLS ports present, and the authority as PEM."""

    certificate: str
    ca: str


class Control:
    """A running emulator; what cannot be done raises ControlError, one line.

    ``url`` is the control API's address, by default that of KRAKEN_EMULATOR_CONTROL, or port 7490 here.
    Pairs and assets are called by any of their names, orders by their txid, or by their ``cl_ord_id`` with
    the account's name.
    """

    def __init__(self, url: str | None = None) -> None:
        self.url = find(None if url is None else _name(url), None).rstrip("/")

    def __repr__(self) -> str:
        return f"Control({self.url!r})"

    # -- accounts ----------------------------------------------------------------------------------

    def balances(self, account: str) -> Balances:
        """Return an account's balances."""
        balances: Balances = self._call("GET", "accounts", account)
        return balances

    def set_balances(self, account: str, **amounts: Number) -> Balances:
        """Make these balances what is said, all or none; the others stay."""
        body = {asset: _text(asset, amount) for asset, amount in amounts.items()}
        balances: Balances = self._call("PUT", "accounts", account, "balances", body=body)
        return balances

    def deposit(self, account: str, asset: str, amount: Number, method: str | None = None) -> Balances:
        """Let a deposit arrive, by the asset's first method unless told."""
        body = {"asset": asset, "amount": _text("amount", amount)} | ({"method": method} if method else {})
        balances: Balances = self._call("POST", "accounts", account, "deposits", body=body)
        return balances

    # -- the book and the tape ---------------------------------------------------------------------

    def book(self, pair: str) -> Book:
        """Return a pair's book, clients' orders and all."""
        book: Book = self._call("GET", "venue", pair, "book")
        return book

    def seed_book(
        self,
        pair: str,
        bids: Iterable[Level] = (),
        asks: Iterable[Level] = (),
        *,
        add: bool = False,
        match: bool = False,
    ) -> Book:
        """Make the house's orders exactly these, or ``add`` these to them; clients' orders stay.

        What would trade with orders that are there is refused, unless they may ``match``.
        """
        body = {"bids": _levels("bids", bids), "asks": _levels("asks", asks), "match": match}
        book: Book = self._call("POST" if add else "PUT", "venue", pair, "book", body=body)
        return book

    def print_trade(
        self, pair: str, price: Number, qty: Number, side: str = "buy", *, through: bool = False
    ) -> Trade:
        """Print a public trade: the last price is ``price`` then, and sets off what waits for it.

        Clients' orders with better prices forbid it, unless it goes ``through`` and fills them first.
        """
        body = {
            **{name: _text(name, value) for name, value in (("price", price), ("qty", qty))},
            "side": side,
            "through": through,
        }
        trade: Trade = self._call("POST", "venue", pair, "trades", body=body)
        return trade

    def set_index(self, pair: str, price: Number) -> Status:
        """Tell a pair's index price, which sets off what waits for it."""
        status: Status = self._call("PATCH", "venue", pair, body={"index": _text("index", price)})
        return status

    def status(self, pair: str | None = None) -> Status:
        """Return the venue's status, or a pair's."""
        status: Status = self._call("GET", "venue", *([] if pair is None else [pair]))
        return status

    def set_status(self, status: str, pair: str | None = None) -> Status:
        """Change what may be done in a pair, or on the venue: ``online``, ``cancel_only``, …"""
        place = [] if pair is None else [pair]
        answer: Status = self._call("PATCH", "venue", *place, body={"status": status})
        return answer

    def announce(
        self,
        upcoming_maintenance: Iterable[Mapping[str, Any]] | None = None,
        emergency: Iterable[Mapping[str, Any]] | None = None,
    ) -> Status:
        """Announce maintenance or incidents instead of those before; an empty list takes them back.

        ``announce([{"starts_in_s": 7200}])``; the fields are the API's (docs/control.md).
        """
        lists = {"upcoming_maintenance": upcoming_maintenance, "emergency": emergency}
        body = {name: _rows(name, rows) for name, rows in lists.items() if rows is not None}
        status: Status = self._call("PATCH", "venue", body=body)
        return status

    # -- orders ------------------------------------------------------------------------------------

    def fill(
        self,
        order: str,
        qty: Number | None = None,
        price: Number | None = None,
        *,
        account: str | None = None,
    ) -> Order:
        """Fill an open order: all that remains, at its limit or at what it waits for, unless told."""
        amounts = {"qty": qty, "price": price}
        body = {name: _text(name, amount) for name, amount in amounts.items() if amount is not None}
        return self._order(order, "fill", account, body)

    def expire(self, order: str, *, account: str | None = None) -> Order:
        """Let an open order expire."""
        return self._order(order, "expire", account, {})

    def cancel(self, order: str, reason: str | None = None, *, account: str | None = None) -> Order:
        """Cancel an open order; ``reason`` is one of those that executions tell."""
        return self._order(order, "cancel", account, {} if reason is None else {"reason": reason})

    def _order(self, id_: str, action: str, account: str | None, body: dict[str, Any]) -> Order:
        if account is not None:
            body["account"] = account
        order: Order = self._call("POST", "orders", id_, action, body=body)
        return order

    # -- time --------------------------------------------------------------------------------------

    def clock(self) -> Clock:
        """Return the venue's time."""
        clock: Clock = self._call("GET", "clock")
        return clock

    def step(self, seconds: float) -> Clock:
        """Let time pass at once; what is due meanwhile happens at its own time."""
        clock: Clock = self._call("POST", "clock", body={"step_s": seconds}, timeout_s=STEP_TIMEOUT_S)
        return clock

    def scale(self, scale: float) -> Clock:
        """Let time run so many times as fast from now on; 0 lets it stand still."""
        clock: Clock = self._call("POST", "clock", body={"scale": scale})
        return clock

    # -- links -------------------------------------------------------------------------------------

    def links(self, target: str | None = None) -> list[Link]:
        """Return what paths do now: all, a tier's (``"colo"``), or one (``"colo/A"``)."""
        return self._act("show", target)

    def set_link(self, target: str, **changed: float | str | bool | Mapping[str, float | str]) -> list[Link]:
        """Change paths in the words of the command line: ``set_link("us", rtt="90ms", loss="1%")``.

        Numbers are the API's: ``rtt_us=90_000, loss=0.01``. One direction: ``to_venue={"loss": "2%"}``.
        """
        body: dict[str, Any] = {}
        for name, value in changed.items():
            if isinstance(value, Mapping):
                body[name] = _changes(value)
            else:
                body |= _changes({name: value})
        links: list[Link] = self._call("PATCH", "links", *_name(target).split("/"), body=body)["links"]
        return links

    def fail_link(self, target: str) -> list[Link]:
        """Cut paths until they are restored."""
        return self._act("fail", target)

    def restore_link(self, target: str) -> list[Link]:
        """End a failure."""
        return self._act("restore", target)

    def play(self, target: str, what: str | PathLike[str], *, loop: bool = False) -> list[Link]:
        """Play a schedule, by name or as a .toml file, or a trace, a .csv file; ``loop`` plays that again."""
        return self._act(
            "play", target, _name(fspath(what) if isinstance(what, PathLike) else what), loop=loop
        )

    def stop_playing(self, target: str) -> list[Link]:
        """End what is playing; the path stays as it is."""
        return self._act("stop", target)

    def reset_links(self, target: str | None = None) -> list[Link]:
        """Bring paths back to their profile."""
        return self._act("reset", target)

    def _act(self, action: str, target: str | None, *words: str, loop: bool = False) -> list[Link]:
        named = None if target is None else _name(target)
        links: list[Any] = act(self.url, action, named, words, loop=loop)
        return links

    # -- TLS, and where it all is ------------------------------------------------------------------

    def certificate(self) -> Certificate:
        """Return what TLS ports present, and the authority."""
        certificate: Certificate = self._call("GET", "tls")
        return certificate

    def set_certificate(self, certificate: str) -> Certificate:
        """Present ``valid``, ``expired``, ``wrong-name`` or ``untrusted`` from the next connection on."""
        answer: Certificate = self._call("PATCH", "tls", body={"certificate": certificate})
        return answer

    def settings(self) -> dict[str, str]:
        """Return the settings that can be changed while the venue runs, and what they are."""
        settings: dict[str, str] = self._call("GET", "settings")
        return settings

    def set_settings(self, **settings: str) -> dict[str, str]:
        """Change some until the next reset: ``set_settings(rate_limits="on", post_only="reject")``."""
        answer: dict[str, str] = self._call("PATCH", "settings", body=settings)
        return answer

    def endpoints(self) -> dict[str, Any]:
        """Return what the endpoints file has."""
        endpoints: dict[str, Any] = self._call("GET", "endpoints")
        return endpoints

    def openapi(self) -> dict[str, Any]:
        """Return the API's own description, OpenAPI 3.1."""
        description: dict[str, Any] = self._call("GET", "openapi.json")
        return description

    def health(self) -> None:
        """Return when the emulator answers; raises ControlError when it does not."""
        self._call("GET", "health")

    def reset(self) -> None:
        """Bring everything back to how it was when the emulator started, links and nonces too.

        Connections stay; those of FIX are logged out.
        """
        self._call("POST", "reset")

    def _call(
        self, method: str, *path: str, body: dict[str, Any] | None = None, timeout_s: float = TIMEOUT_S
    ) -> Any:
        place = "/control/" + "/".join(quote(_name(part), safe="") for part in path)
        try:
            said = json.dumps(body or {}).encode()
        except (TypeError, ValueError):
            raise _meant(", ".join(body or {}), body, "text, numbers, lists and dicts are") from None
        return call(self.url, method, place, said, timeout_s=timeout_s)


def _meant(what: str, value: object, meant: str) -> ControlError:
    """Return the error of an argument, before anything is asked."""
    return ControlError(f"{what} = {repr(value)[:_LONGEST]}: {meant} meant")


def _name(value: object) -> str:
    """Check what is the name of something."""
    if not isinstance(value, str):
        raise ControlError(f"{repr(value)[:_LONGEST]}: a name is meant, as text")
    return value


def _text(name: str, value: Number) -> str:
    """Return a number as plain decimal text; a float as it is written."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, Decimal | int | float):
        raise _meant(name, value, "a number or decimal text is")
    return format(Decimal(str(value)), "f")


def _rows(name: str, rows: Any) -> list[dict[str, Any]]:
    """Return what is announced as a list of dicts."""
    found = list(rows) if isinstance(rows, Iterable) and not isinstance(rows, str | Mapping) else [rows]
    if not all(isinstance(row, Mapping) for row in found) or isinstance(rows, Mapping):
        raise _meant(name, rows, "a list of dicts, [{...}], is")
    return [dict(row) for row in found]


def _changes(changed: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the API takes: text is read as the command line reads it, all else is the API's own."""
    found: dict[str, Any] = {}
    for name, value in changed.items():
        found |= changes([f"{name}={value}"]) if isinstance(value, str) else {name: value}
    return found


def _levels(name: str, levels: Iterable[Level]) -> list[tuple[str, str]]:
    try:
        rows = [(price, qty) for price, qty in levels]
    except (TypeError, ValueError):
        raise _meant(name, levels, "levels of price and quantity, [(60_000, 1)], are") from None
    return [(_text(f"{name}[{n}]", price), _text(f"{name}[{n}]", qty)) for n, (price, qty) in enumerate(rows)]
