"""Decimal text and the engine's scaled integers.  No float ever touches a price or a balance."""

import re
from datetime import UTC, datetime
from decimal import Context, Decimal

LONGEST = 40
"""Longest number (in characters) that a client may send."""


_EXACT = Context(prec=4 * LONGEST)
"""Enough digits that no number a client may send is ever rounded."""
_NUMBER = re.compile(r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
_WITH_EXPONENT = re.compile(r"-?[0-9]+(?:\.[0-9]+)?[eE][-+]?[0-9]{1,3}")
_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[-+][0-9]{2}:[0-9]{2})"
)


class TooPreciseError(ValueError):
    """The number has more decimals than its unit."""


def text(value: int, decimals: int) -> str:
    """Return ``value`` in units of ``10 ** -decimals`` as decimal text, trailing zeros and all."""
    if not decimals:
        return str(value)
    if value < 0:
        return "-" + text(-value, decimals)
    digits = str(value)
    if len(digits) <= decimals:
        digits = digits.zfill(decimals + 1)
    return f"{digits[:-decimals]}.{digits[-decimals:]}"


def number(value: str) -> Decimal:
    """Return the number that ``value`` spells; raises ValueError.

    An exponent is refused, as Kraken refuses it (``9.7e-7``: what many languages make of a small price).
    """
    if len(value) > LONGEST or not _NUMBER.fullmatch(value):
        raise ValueError("not a number")
    return Decimal(value)


def without_exponent(token: str) -> str:
    """Return a JSON number that has an exponent as plain digits; one that is out of all bounds as it is."""
    if len(token) > LONGEST or not _WITH_EXPONENT.fullmatch(token):
        return token
    value = Decimal(token)
    return token if abs(value.adjusted()) > LONGEST else f"{value:f}"


def units(value: str, decimals: int, *, truncate: bool = False) -> int:
    """Return the number that ``value`` spells in units of ``10 ** -decimals``.

    Raises ValueError when it is not a number, TooPreciseError when it has more decimals than that and
    ``truncate`` does not allow it.  Trailing zeros do not count.
    """
    whole_part, _, fraction = value.partition(".")
    digits = whole_part + fraction
    if len(fraction) <= decimals and len(digits) < LONGEST and digits.isascii() and digits.isdigit():
        return int(digits + "0" * (decimals - len(fraction)))
    scaled = number(value).scaleb(decimals, _EXACT)
    whole = int(scaled)
    if whole != scaled and not truncate:
        raise TooPreciseError(value)
    return whole


class Seconds(dict[int, str]):
    """Seconds since the epoch as text in one form (of ``strftime``), made when it is first asked for."""

    __slots__ = ("_form",)

    def __init__(self, form: str) -> None:
        super().__init__()
        self._form = form

    def __missing__(self, seconds: int) -> str:
        if len(self) > 1000:
            self.clear()
        stamp = self[seconds] = datetime.fromtimestamp(seconds, UTC).strftime(self._form)
        return stamp


_second = Seconds("%Y-%m-%dT%H:%M:%S")


def rfc3339(time_ns: int, decimals: int = 6) -> str:
    """Return a time as ``2026-11-02T10:00:00.123456Z`` with 0, 6 or 9 decimals."""
    seconds, fraction = divmod(time_ns, 10**9)
    stamp = _second[seconds]
    if decimals == 6:
        return f"{stamp}.{fraction // 1000:06d}Z"
    return f"{stamp}.{fraction:09d}Z" if decimals else f"{stamp}Z"


def parse_rfc3339(value: str) -> int:
    """Return nanoseconds since the epoch of an RFC 3339 time, its zone included; raises ValueError."""
    if not _RFC3339.fullmatch(value):
        raise ValueError("not an RFC 3339 time")
    when = datetime.fromisoformat(value)
    whole = when.replace(microsecond=0)
    return int(whole.timestamp()) * 10**9 + when.microsecond * 1000
