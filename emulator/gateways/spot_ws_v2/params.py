"""Parameters of WebSocket v2 requests: which there are, of which JSON type, and how they are refused."""

from collections.abc import Mapping
from typing import Any

import msgspec

from emulator.gateways.errors import VenueError
from emulator.gateways.spot_ws_v2.codec import Number


class Kind(msgspec.Struct, frozen=True):
    """JSON type of a parameter, and its name in Kraken's refusals."""

    name: str
    types: tuple[type, ...]


STRING = Kind("a string", (str,))
NUMBER = Kind("a number_float", (int, Number))
INTEGER = Kind("an integer", (int,))
BOOL = Kind("a bool", (bool,))
OBJECT = Kind("an object", (dict,))
ARRAY = Kind("an array", (list,))

Spec = Mapping[str, Kind]


def elements(params: Mapping[str, Any], name: str, kind: Kind) -> list[Any]:
    """Return an array whose elements are all of one type; an empty one when it is not there."""
    values: list[Any] = params.get(name, [])
    if not all(type(value) in kind.types for value in values):
        raise VenueError(f"{name.capitalize()} field must be {ARRAY.name}")
    return values


def check(params: Mapping[str, Any], spec: Spec, where: str) -> None:
    """Refuse parameters that ``spec`` does not know, at ``where`` in Kraken's words, or of another type."""
    for name, value in params.items():
        kind = spec.get(name)
        if kind is None:
            raise VenueError(f"Unsupported field: '{name[:64]}' {where}")
        if type(value) not in kind.types:
            raise VenueError(f"{name.capitalize()} field must be {kind.name}")


def missing(name: str) -> VenueError:
    """Return the refusal of a request without parameter ``name`` (recorded of prices, symbols and tokens)."""
    return VenueError(f"{name.capitalize()}(s) not found")


def required(params: Mapping[str, Any], name: str) -> Any:
    """Return a parameter that must be there."""
    value = params.get(name)
    if value is None:
        raise missing(name)
    return value
