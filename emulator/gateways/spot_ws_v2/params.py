"""Parameters of WebSocket v2 requests: which there are, of which JSON type, and how they are refused."""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from emulator.gateways.errors import VenueError, bad_argument
from emulator.gateways.spot_ws_v2.codec import Number


class Kind(Enum):
    """JSON type of a parameter, in the words of Kraken's refusals."""

    STRING = "a string"
    NUMBER = "a number_float"
    INTEGER = "an integer"
    BOOL = "a bool"
    OBJECT = "an object"
    ARRAY = "an array"


_TYPES: dict[Kind, tuple[type, ...]] = {
    Kind.STRING: (str,),
    Kind.NUMBER: (int, Number),
    Kind.INTEGER: (int,),
    Kind.BOOL: (bool,),
    Kind.OBJECT: (dict,),
    Kind.ARRAY: (list,),
}

Spec = Mapping[str, Kind]


def check(params: Mapping[str, Any], spec: Spec, unknown: str) -> None:
    """Refuse parameters that ``spec`` does not know (as ``unknown`` words it) or of another type."""
    for name, value in params.items():
        kind = spec.get(name)
        if kind is None:
            raise VenueError(f"Unsupported field: '{name[:64]}' {unknown}")
        if type(value) not in _TYPES[kind]:
            raise VenueError(f"{name.capitalize()} field must be {kind.value}")


def required(params: Mapping[str, Any], name: str) -> Any:
    """Return a parameter that must be there."""
    value = params.get(name)
    if value is None:
        raise bad_argument(name)
    return value
