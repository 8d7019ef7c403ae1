"""Parameters of REST calls and of WebSocket v1 requests: a query, a form or JSON, read the same way."""

import re
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from emulator.gateways.errors import BAD_ARGUMENTS, VenueError, bad_argument

MOST_PARAMETERS = 1_000
DEEPEST_NAME = 3
"""Most brackets in a parameter name: ``orders[0][close][price]``."""
_FALSE = frozenset({"", "0", "false", "no", "none"})
_INTEGER = re.compile(r"-?[0-9]{1,20}")
_NESTED = re.compile(r"\[([^\[\]]*)\]")


class _Number(str):
    """A JSON number that is not an integer literal, digit for digit."""

    __slots__ = ()


decode_json = msgspec.json.Decoder(float_hook=_Number).decode
"""Reads JSON; numbers with a fraction stay text, digit for digit."""


class Params:
    """The parameters of one call, from a query, a form or a JSON body.  Unknown ones are ignored."""

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    @classmethod
    def from_query(cls, query: str) -> "Params":
        """Read a query string or a form body; nested names in PHP style (``close[price]``)."""
        try:
            pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=MOST_PARAMETERS)
        except ValueError:
            raise VenueError(BAD_ARGUMENTS, f"more than {MOST_PARAMETERS} parameters") from None
        values: dict[str, Any] = {}
        for name, value in pairs:
            _put(values, name, value)
        return cls(values)

    @classmethod
    def from_body(cls, body: bytes, content_type: str) -> "Params":
        """Read a body: JSON when it is declared so or, without a declaration, looks like it."""
        is_json = "json" in content_type.lower() or (not content_type and body[:1] == b"{")
        if not is_json:
            return cls.from_query(body.decode(errors="replace"))
        try:
            values = decode_json(body) if body.strip() else {}
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            said = f"the body of {len(body)} bytes, {content_type or 'of no type'}, is not JSON: {error}"
            raise VenueError(BAD_ARGUMENTS, said) from None
        if not isinstance(values, dict):
            raise VenueError(BAD_ARGUMENTS, "the body is JSON, but no object")
        return cls(values)

    def get(self, name: str) -> str | None:
        """Return a parameter as text; None when it is absent, null or empty."""
        value = self._values.get(name)
        if value is None or value == "":
            return None
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str | int):
            return str(value)
        if isinstance(value, list) and all(isinstance(item, str | int) for item in value):
            return ",".join(str(item) for item in value)
        raise bad_argument(name, "text, a number, or a list of these is meant")

    def required(self, name: str) -> str:
        """Return a parameter that must be there."""
        value = self.get(name)
        if value is None:
            raise bad_argument(name, self._missing)
        return value

    def _missing(self) -> str:
        names = [name[:40] for name in list(self._values)[:40]]
        return f"it is missing; there are: {', '.join(names) or 'none'}"

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a boolean: clients send true, True, 1, "false", …"""
        value = self.get(name)
        return default if value is None else value.lower() not in _FALSE

    def integer(self, name: str, default: int | None = None) -> int | None:
        """Return an integer."""
        value = self.get(name)
        if value is None:
            return default
        if not _INTEGER.fullmatch(value):
            raise bad_argument(name, "{!r:.40}: a whole number is meant", value)
        return int(value)

    def names(self, name: str) -> list[str]:
        """Return a comma-separated list, blanks around the commas allowed."""
        value = self.get(name)
        return [] if value is None else [item.strip() for item in value.split(",") if item.strip()]

    def items(self, name: str) -> list[Any]:
        """Return a JSON array; in a form it may be JSON text or PHP-style indices."""
        value = self._values.get(name)
        if isinstance(value, str):
            try:
                value = decode_json(str(value))
            except (msgspec.DecodeError, RecursionError):
                value = [item.strip() for item in value.split(",")] if value else []
        if isinstance(value, dict):
            value = list(value.values())
        if value is None:
            return []
        if not isinstance(value, list):
            raise bad_argument(name, "a list is meant")
        return value

    def group(self, name: str) -> "Params | None":
        """Return a nested object, as of ``close[ordertype]``."""
        value = self._values.get(name)
        return Params(value) if isinstance(value, dict) and value else None


def _put(values: dict[str, Any], name: str, value: str) -> None:
    """Enter ``a[b][c] = value`` as nested dictionaries."""
    head, bracket, _ = name.partition("[")
    path = _NESTED.findall(name) if bracket else []
    if len(path) > DEEPEST_NAME:
        raise VenueError(BAD_ARGUMENTS, "{!r:.64} is nested too deeply", name)
    target = values
    for part in path:
        inner = target.get(head)
        if not isinstance(inner, dict):
            inner = target[head] = {}
        target, head = inner, part or str(len(inner))
    target[head] = value
