"""Order fields that mean the same in every spot protocol: prices, quantities, client ids, deadlines."""

import re
from collections.abc import Mapping
from typing import TypeVar

from emulator.engine.instruments import Instrument, Side
from emulator.engine.orders import OrderType, TimeInForce
from emulator.engine.triggers import Offset
from emulator.gateways.errors import BAD_ARGUMENTS, VenueError, bad_argument, bad_value
from emulator.gateways.numbers import TooPreciseError, parse_rfc3339, units
from emulator.words import unknown

_CLIENT_ID = re.compile(
    r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|[0-9a-fA-F]{32}|[\x21-\x7e]{1,18}"
)
_TXID = re.compile(r"[A-Z0-9]{6}-[A-Z0-9]{5}-[A-Z0-9]{6}")
_SIGNS = {"+": 1, "-": -1, "#": 0}
PERCENT_DECIMALS = 4
"""Relative prices in per cent are kept to this many decimals: parts per million."""
_USERREF = range(-(1 << 31), 1 << 31)
ORDER_TYPES = {str(word): word for word in OrderType}
SIDES = {str(word): word for word in Side}
TIMES_IN_FORCE = {str(word): word for word in TimeInForce}
_T = TypeVar("_T")

_MALFORMED_PRICES = {
    "price": "EOrder:Invalid price:Invalid price argument.",
    "price2": "EOrder:Invalid price:Invalid secondary price argument.",
}
_A_PRICE = "a decimal number is meant (61250.5), without exponent or thousands"
_A_DISTANCE = "a sign and a number above 0 are meant (+50, -1.5%)"
_A_QUANTITY = "a decimal number is meant (0.25), without exponent or thousands"
_AN_AMOUNT = "an amount above 0 of the quote asset is meant: the order is for what it spends"
_A_CLIENT_ID = "a UUID, 32 hexadecimal digits, or up to 18 characters of printable ASCII are meant"
_A_DEADLINE = "an RFC 3339 time is meant, 2026-11-02T10:00:05Z"
NO_POSITION = "TKH2SE-M7IF5-CFI7LT"
"""``postxid`` of every spot trade, whoever's it is."""

LONGEST_DEADLINE_NS = 60 * 10**9
"""How far ahead a deadline may lie."""


def malformed_price(value: object, name: str = "price", meant: str = _A_PRICE) -> VenueError:
    """Return the error for a price that is there but is none; ``name`` is ``price`` or ``price2``."""
    words = _MALFORMED_PRICES.get(name, _MALFORMED_PRICES["price"])
    return VenueError(words, "{} {!r:.64}: {}", name, value, meant)


def price(value: str, pair: Instrument, name: str = "price") -> int:
    """Return a limit price in the pair's units."""
    result = _price_units(value, pair, name)
    if result <= 0:
        raise VenueError("EOrder:Invalid price", "{} {!r:.64}: a price above 0 is meant", name, value)
    return result


def _price_units(value: str, pair: Instrument, name: str) -> int:
    try:
        return units(value, pair.price_decimals)
    except TooPreciseError:
        limit = f"price can only be specified up to {pair.price_decimals} decimals."
        words = f"EOrder:Invalid price:{pair.wsname} {limit}"
        raise VenueError(words, "{} {!r:.64}; the tick is {}", name, value, pair.tick_text) from None
    except ValueError:
        raise malformed_price(value, name) from None


def any_price(value: str, pair: Instrument, name: str = "price", *, hash_sign: int) -> int | Offset:
    """Return a price, or a distance: ``+50``, ``-1.5%``, ``#2%``; ``hash_sign`` is what ``#`` stands for."""
    sign = _SIGNS.get(value[:1])
    if sign is None:
        return price(value, pair, name)
    if value.endswith("%"):
        try:
            size = units(value[1:-1], PERCENT_DECIMALS)
        except ValueError:
            raise malformed_price(value, name, _A_DISTANCE) from None
    else:
        size = _price_units(value[1:], pair, name)
    if size <= 0:
        raise malformed_price(value, name, _A_DISTANCE)
    return Offset(size * (sign or hash_sign), value.endswith("%"))


def quantity(value: str, pair: Instrument, name: str = "volume") -> int:
    """Return a quantity in the pair's units; decimals beyond the lot's are cut off."""
    try:
        return units(value, pair.lot_decimals, truncate=True)
    except ValueError:
        raise bad_value(name, value, _A_QUANTITY) from None


def cash(value: str, pair: Instrument) -> int:
    """Return what an order spends, as an exact cost; decimals beyond that are cut off."""
    try:
        result = units(value, pair.exact_decimals, truncate=True)
    except ValueError:
        result = 0
    if result <= 0:
        raise bad_value("volume", value, _AN_AMOUNT)
    return result


def client_order_id(value: str) -> str:
    """Return ``value`` when it is a UUID, 32 hex digits or printable ASCII up to 18 characters."""
    if not _CLIENT_ID.fullmatch(value):
        raise bad_value("cl_ord_id", value, _A_CLIENT_ID)
    return value


def check_identifiers(cl_ord_id: str | None, userref: int | None, *, closes: bool) -> None:
    """Refuse a client order id beside a userref or a conditional close."""
    if cl_ord_id is not None and (userref is not None or closes):
        raise VenueError(BAD_ARGUMENTS, "a cl_ord_id goes with neither a userref nor a conditional close")


def userref(value: int) -> int:
    """Return ``value`` when it is a signed 32-bit integer."""
    if value not in _USERREF:
        raise bad_value("userref", value, "a signed integer of 32 bits is meant")
    return value


def is_txid(value: str) -> bool:
    """Tell whether ``value`` has the form of an order id."""
    return _TXID.fullmatch(value) is not None


def deadline(value: str, now_ns: int, shortest_ns: int) -> int:
    """Return an RFC 3339 deadline, ``shortest_ns`` to 60 s ahead, in nanoseconds since the epoch."""
    try:
        result = parse_rfc3339(value)
    except ValueError:
        raise bad_value("deadline", value, _A_DEADLINE) from None
    check_deadline(result, now_ns, shortest_ns)
    return result


def check_deadline(due_ns: int, now_ns: int, shortest_ns: int) -> None:
    """Refuse a deadline that is over, too near or too far."""
    ahead_s = (due_ns - now_ns) / 1e9
    if due_ns <= now_ns:
        raise VenueError("EService:Deadline elapsed", "it was {:.3f} s ago by the venue's clock", -ahead_s)
    if not shortest_ns <= due_ns - now_ns <= LONGEST_DEADLINE_NS:
        most_s = LONGEST_DEADLINE_NS // 10**9
        why = "it is {:.3f} s ahead: {} to {} s are meant"
        raise bad_argument("deadline", why, ahead_s, shortest_ns / 1e9, most_s)


def word(table: Mapping[str, _T], value: str, name: str) -> _T:
    """Return what ``value`` stands for; raises the refusal of parameter ``name``."""
    result = table.get(value)
    if result is None:
        raise bad_argument(name, unknown, name, value, table)
    return result


def lifetime(tif: str | None, expire_ns: int) -> TimeInForce:
    """Return the time in force: GTC, or GTD when only an expiry is given; the two must fit."""
    chosen = word(TIMES_IN_FORCE, (tif or ("GTD" if expire_ns else "GTC")).upper(), "timeinforce")
    if expire_ns and chosen is not TimeInForce.GTD:
        raise bad_argument("expiretm", "an expiry goes with GTD only, and timeinforce is {!r:.40}", tif)
    return chosen
