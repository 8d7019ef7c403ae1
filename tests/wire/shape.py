"""Shapes of messages: which keys in which order, null or absent, text or number, how many decimals.

A shape is plain data that can be read beside a recording:

=====================  ==============================================================================
``{"key": shape}``     an object with these keys in this order, and no others; ``"key?"`` may be absent
``Each(shape)``        an object of any keys (ids, names), each value of this shape; ``Each(shape, keys)``
                       gives a pattern for the keys
``[shape]``            an array of any length; ``Some(shape)`` has one element at least
``(shape, shape)``     an array of exactly these
``"word | word"``      one value:
=====================  ==============================================================================

=====================  ==============================================================================
``text``               a string; ``text.5`` a decimal number in a string, with five decimals
``+text.5``            the same with its sign, ``+`` too
``num.6``, ``int``     a JSON number with six decimals, without a point
``'words'``            this very string
``/[a-z]+/``           a string that this pattern matches whole
``true``, ``false``    ``bool`` is either
``null``, ``any``
=====================  ==============================================================================

Decimals may be given by name (``text.price``, with ``price=1`` when values are compared) or be any: ``*``.
Values are read with ``read``, which keeps numbers as they stand on the wire.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any


class Number(str):
    """A JSON number, digit for digit; a JSON string is a plain ``str``."""

    __slots__ = ()


class Each:
    """An object whose keys are names or ids."""

    def __init__(self, shape: Any, keys: str = ".*") -> None:
        self.shape, self.keys = shape, keys


class Some(list):
    """An array that is not empty."""

    def __init__(self, shape: Any) -> None:
        super().__init__([shape])


def read(text: bytes | str) -> Any:
    """Read JSON; numbers keep their digits, and their trailing zeros."""
    return json.loads(text, parse_float=Number, parse_int=Number)


def faults(value: Any, shape: Any, **decimals: int) -> list[str]:
    """Return in what ``value`` differs from ``shape``: a line for each place, none when it fits."""
    return list(_faults(value, shape, decimals, "$"))


def assert_shape(value: Any, shape: Any, **decimals: int) -> None:
    """Fail with all the differences."""
    found = faults(value, shape, **decimals)
    assert not found, "\n".join(found)


# -- the inside ------------------------------------------------------------------------------------------

_DECIMAL = r"[0-9]+"
_LITERALS = {"true": True, "false": False, "null": None}


def _faults(value: Any, shape: Any, decimals: dict[str, int], at: str) -> Iterator[str]:
    if isinstance(shape, str):
        if not any(_is(value, word, decimals) for word in shape.split(" | ")):
            yield f"{at}: {_show(value)} is not {shape}"
    elif isinstance(shape, dict):
        yield from _object_faults(value, shape, decimals, at)
    elif isinstance(shape, Each):
        yield from _each_faults(value, shape, decimals, at)
    elif not isinstance(value, list):
        yield f"{at}: {_show(value)} is not an array"
    elif isinstance(shape, list):
        if isinstance(shape, Some) and not value:
            yield f"{at}: the array is empty"
        for index, element in enumerate(value):
            yield from _faults(element, shape[0], decimals, f"{at}[{index}]")
    elif len(value) != len(shape):
        yield f"{at}: {len(value)} elements instead of {len(shape)}"
    else:
        for index, (element, part) in enumerate(zip(value, shape, strict=True)):
            yield from _faults(element, part, decimals, f"{at}[{index}]")


def _object_faults(value: Any, shape: dict[str, Any], decimals: dict[str, int], at: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{at}: {_show(value)} is not an object"
        return
    parts = {key.removesuffix("?"): part for key, part in shape.items()}
    missing = [key for key in shape if not key.endswith("?") and key not in value]
    unknown = [key for key in value if key not in parts]
    if missing or unknown:
        yield f"{at}: missing {missing}, unknown {unknown}"
    order = [key for key in parts if key in value]
    if order != [key for key in value if key in parts]:
        yield f"{at}: keys in the order {list(value)} instead of {order}"
    for key in order:
        yield from _faults(value[key], parts[key], decimals, f"{at}.{key}")


def _each_faults(value: Any, shape: Each, decimals: dict[str, int], at: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{at}: {_show(value)} is not an object"
        return
    for key, element in value.items():
        if not re.fullmatch(shape.keys, key):
            yield f"{at}: the key {key} is not {shape.keys}"
        yield from _faults(element, shape.shape, decimals, f"{at}.{key}")


def _is(value: Any, word: str, decimals: dict[str, int]) -> bool:
    if word in _LITERALS:
        return value is _LITERALS[word]
    if word[0] == "/":
        return type(value) is str and re.fullmatch(word[1:-1], value) is not None
    if word[0] == "'":
        return type(value) is str and value == word[1:-1]
    plain = _PLAIN.get(word)
    if plain is not None:
        return plain(value)
    kind, _, places = word.partition(".")
    signs, of_type = _KINDS[kind]
    if places.isalpha():
        places = str(decimals[places])
    fraction = r"(\.[0-9]+)?" if places == "*" else rf"\.[0-9]{{{places}}}" if int(places) else ""
    return type(value) is of_type and re.fullmatch(signs + _DECIMAL + fraction, value) is not None


_PLAIN: dict[str, Callable[[Any], bool]] = {
    "any": lambda value: True,
    "text": lambda value: type(value) is str,
    "int": lambda value: type(value) is Number and re.fullmatch("-?[0-9]+", value) is not None,
    "bool": lambda value: isinstance(value, bool),
}
_KINDS = {"text": ("-?", str), "+text": ("[-+]", str), "num": ("-?", Number)}


def _show(value: Any) -> str:
    return f"number {value}" if isinstance(value, Number) else json.dumps(value)
