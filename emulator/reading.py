"""Values from outside, read into types: bodies of the control API, settings, profiles, schedules.

What does not fit is one line in our own words: the field as a path, the value, and what is meant.

    emergency[0].impact: unknown value 'mjor', did you mean 'major'? There are: none, minor, major, critical
    accounts[alice].balances.ZUSD = 1000: text is meant, in quotes: "1000"
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from emulator.words import unknown

_T = TypeVar("_T")
_LONGEST = 64
"""Most characters of a value that are told."""


class WrongValue(ValueError):  # noqa: N818 - what it is
    """A value that is not what is meant, in one line; ``at`` is its path, ``""`` for the whole."""

    def __init__(self, at: str, what: str) -> None:
        colon = "" if what.startswith(" = ") else ": "
        super().__init__(f"{at}{colon}{what}" if at else what.removeprefix(" = "))
        self.at, self._what = at, what

    @classmethod
    def of(cls, at: str, value: object, meant: str) -> WrongValue:
        """Return the error of a value: ``at = value: text is meant``."""
        return cls(at, f" = {shown(value)}: {meant}")

    def below(self, at: str) -> WrongValue:
        """Return the same where the whole is a part of something."""
        return WrongValue(_joined(at, self.at), self._what)


def read(value: object, kind: type[_T], at: str = "", *, strict: bool = True) -> _T:
    """Return a value as a type; raises WrongValue, which says where ``at`` it is wrong, and what is meant.

    Unless it is ``strict``, text will do for a number.
    """
    try:
        return msgspec.convert(value, kind, strict=strict)
    except msgspec.ValidationError as error:
        found = next(_wrong(value, inspect.type_info(kind), at), None)
        raise found or _told(str(error), at, value) from None


def read_object(text: str) -> dict[str, Any]:
    """Return what a JSON object has; raises WrongValue."""
    example = 'a JSON object is meant, as in {"status": "online"}'
    if not text.strip():
        raise WrongValue("", f"the body is empty: {example}")
    try:
        found = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        _, at_byte, byte = str(error).rpartition("(byte ")
        where = f"wrong at byte {byte.rstrip(')')}" if at_byte else "cut off"
        raise WrongValue("", f"the body is {where}: {example}") from None
    except RecursionError:
        raise WrongValue("", f"the body is nested too deep: {example}") from None
    if not isinstance(found, dict):
        raise WrongValue("", f"the body is {shown(found)}: {example}")
    return found


def meant(kind: Any) -> str:
    """Say what values of a type are: ``a whole number``, ``a number from 0 to 1``, ``text``."""
    return _meant(inspect.type_info(kind))


def shown(value: object) -> str:
    """Return a value as it is told, cut short where it is long."""
    if isinstance(value, str):
        return repr(value[:_LONGEST])
    try:
        text = json.dumps(value)
    except (TypeError, ValueError, RecursionError):  # TOML has dates
        text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _told(error: str, at: str, value: object) -> WrongValue:
    """Return msgspec's own error, such as one that a struct's ``__post_init__`` raised, as one of ours."""
    what, _, place = error.partition(" - at `$")
    at = _joined(at, place.strip("`."))
    return WrongValue(at, what) if isinstance(value, dict | list) else WrongValue.of(at, value, what.lower())


def _joined(at: str, name: str) -> str:
    return f"{at}{'' if not at or not name or name.startswith('[') else '.'}{name}"


# What is meant


def _plain(kind: inspect.Type) -> inspect.Type:
    return kind.type if isinstance(kind, inspect.Metadata) else kind


def _meant(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.Metadata) and kind.extra_json_schema:
        return str(kind.extra_json_schema["description"])
    kind = _plain(kind)
    if isinstance(kind, inspect.UnionType):
        return " or ".join(_meant(each) for each in _choices(kind))
    if isinstance(kind, inspect.IntType | inspect.FloatType):
        return ("a whole number" if isinstance(kind, inspect.IntType) else "a number") + _span(kind)
    if isinstance(kind, inspect.StrType):
        return "text" + _length(kind, "characters")
    if isinstance(kind, inspect.StructType):
        return f"fields of {', '.join(field.encode_name for field in kind.fields)}"
    if isinstance(kind, inspect.TupleType):
        return f"a list of {len(kind.item_types)}"
    if isinstance(kind, inspect.CollectionType):
        return "a list" + _length(kind, "")
    words = _words(kind)
    return f"one of {', '.join(map(str, words))}" if words else _NAMED.get(type(kind), "something else")


_NAMED: dict[type[inspect.Type], str] = {
    inspect.BoolType: "true or false",
    inspect.DictType: "names with values",
}


def _span(kind: inspect.IntType | inspect.FloatType) -> str:
    """Say between what a number is: `` from 0 to 1``."""
    low = [f"from {kind.ge:.12g}"] if kind.ge is not None else []
    low += [f"above {kind.gt:.12g}"] if kind.gt is not None else []
    high = [f"up to {kind.le:.12g}"] if kind.le is not None else []
    text = " ".join([*low, *high]) or "any"
    text = text.replace("up to", "to") if kind.ge is not None else text
    return "" if text == "any" else f" {text}{' on' if kind.ge is not None and not high else ''}"


def _length(kind: Any, of: str) -> str:
    """Say how long something is: `` of 1 to 200 characters``."""
    least, most = kind.min_length, kind.max_length
    if least is None and most is None:
        return ""
    span = f"{least or 0} to {most}" if most is not None else f"at least {least}"
    return f" of {span} {of}".rstrip()


def _words(kind: inspect.Type) -> list[Any]:
    """Return the values of a closed set."""
    if isinstance(kind, inspect.LiteralType):
        return list(kind.values)
    return [member.value for member in kind.cls] if isinstance(kind, inspect.EnumType) else []


def _choices(kind: inspect.UnionType) -> list[inspect.Type]:
    return [each for each in kind.types if not isinstance(each, inspect.NoneType)]


# What is wrong


def _wrong(value: object, kind: inspect.Type, at: str) -> Iterator[WrongValue]:
    """Give what is wrong with a value, the first first."""
    plain = _plain(kind)
    if isinstance(plain, inspect.UnionType):
        yield from _wrong_choice(value, plain, at)
    elif isinstance(plain, inspect.StructType):
        yield from _wrong_struct(value, plain, at)
    elif isinstance(plain, inspect.DictType):
        yield from _wrong_dict(value, plain, at)
    elif isinstance(plain, inspect.CollectionType | inspect.TupleType):
        yield from _wrong_list(value, plain, at, _meant(kind))
    elif words := _words(plain):
        if value not in words:
            named = isinstance(value, str)
            like = WrongValue(at, unknown("value", str(value), words)) if named else None
            yield like or WrongValue.of(at, value, f"{_meant(kind)} is meant")
    elif not _FITS.get(type(plain), _anything)(value, plain):
        quoted = f', in quotes: "{value}"' if _is_number(value) and isinstance(plain, inspect.StrType) else ""
        yield WrongValue.of(at, value, f"{_meant(kind)} is meant{quoted}")


def _wrong_choice(value: object, kind: inspect.UnionType, at: str) -> Iterator[WrongValue]:
    choices = _choices(kind)
    if value is None and len(choices) < len(kind.types):
        return
    if len(choices) == 1:
        yield from _wrong(value, choices[0], at)
    elif all(next(_wrong(value, each, at), None) for each in choices):
        yield WrongValue.of(at, value, f"{_meant(kind)} is meant")


def _wrong_struct(value: object, kind: inspect.StructType, at: str) -> Iterator[WrongValue]:
    if not isinstance(value, Mapping):
        yield WrongValue.of(at, value, f"{_meant(kind)} are meant")
        return
    fields = {field.encode_name: field for field in kind.fields}
    for name in value:
        if name not in fields and kind.forbid_unknown_fields:
            yield WrongValue(at, unknown("field", str(name), fields))
    for name, field in fields.items():
        if name in value:
            yield from _wrong(value[name], field.type, _joined(at, name))
        elif field.required:
            yield WrongValue(_joined(at, name), f"missing; {_meant(field.type)} is meant")


def _wrong_dict(value: object, kind: inspect.DictType, at: str) -> Iterator[WrongValue]:
    if not isinstance(value, Mapping):
        yield WrongValue.of(at, value, f"{_meant(kind)} are meant")
        return
    for name, each in value.items():
        yield from _wrong(each, kind.value_type, _joined(at, str(name)))


def _wrong_list(
    value: object, kind: inspect.CollectionType | inspect.TupleType, at: str, meant: str
) -> Iterator[WrongValue]:
    fits = isinstance(value, list | tuple)
    if fits and isinstance(kind, inspect.TupleType):
        fits = len(value) == len(kind.item_types)  # type: ignore[arg-type]
    elif fits and isinstance(kind, inspect.CollectionType):
        fits = _is_long_enough(value, kind)
    if not fits:
        yield WrongValue.of(at, value, f"{meant} is meant")
        return
    items = list(value)  # type: ignore[call-overload]
    kinds = kind.item_types if isinstance(kind, inspect.TupleType) else [kind.item_type] * len(items)
    for name, each, of in zip(_names(items), items, kinds, strict=True):
        yield from _wrong(each, of, f"{at}[{name}]")


def _names(items: list[Any]) -> list[str]:
    """Call rows by their names, where each has one of its own, and else by their numbers, from 0."""
    for field in ("name", "id"):
        names = [each.get(field) if isinstance(each, dict) else None for each in items]
        if all(isinstance(name, str) and name for name in names) and len(set(names)) == len(names):
            return [str(name)[:_LONGEST] for name in names]
    return [str(number) for number in range(len(items))]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_within(value: object, kind: Any) -> bool:
    """Tell whether a number is one, and within its span; what is no number is not."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    whole = not isinstance(kind, inspect.IntType) or value == value // 1
    low = (kind.ge is None or value >= kind.ge) and (kind.gt is None or value > kind.gt)
    return whole and low and (kind.le is None or value <= kind.le)


def _is_long_enough(value: Any, kind: Any) -> bool:
    return bool(
        (kind.min_length or 0) <= len(value) and (kind.max_length is None or len(value) <= kind.max_length)
    )


def _is_text(value: object, kind: Any) -> bool:
    import re

    if not isinstance(value, str) or not _is_long_enough(value, kind):
        return False
    return kind.pattern is None or bool(re.search(kind.pattern, value))


def _anything(_: object, __: inspect.Type) -> bool:
    return True


_FITS: dict[type[inspect.Type], Callable[[Any, Any], bool]] = {
    inspect.BoolType: lambda value, _: isinstance(value, bool),
    inspect.IntType: _is_within,
    inspect.FloatType: _is_within,
    inspect.StrType: _is_text,
}
