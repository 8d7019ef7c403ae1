"""docs/coverage.md from the reference's lists and the emulator's own tables."""

import ast
import functools
import types
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from emulator.gateways.fix.market_data import MARKET_DATA
from emulator.gateways.fix.trading import TRADING
from emulator.gateways.spot_rest import endpoints
from emulator.gateways.spot_ws_v1.channels import CHANNELS as V1
from emulator.gateways.spot_ws_v1.trading import METHODS as EVENTS
from emulator.gateways.spot_ws_v2.channels import CHANNELS
from emulator.gateways.spot_ws_v2.trading import METHODS
from tests.coverage import reference

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "coverage.md"
_HEAD = """# Coverage

What Kraken documents for Spot, and what is here. Written by `python -m tests.coverage` from the tables of
endpoints, channels and methods; a test fails when it is stale, and when a row that is served is in no test.
Parameters of FIX messages are tags; what sessions do is in [fix.md](fix.md).

`yes`: it does what the documents say. `taken`: it is accepted and has no effect, for the reason given.
"""


def strings(function: Callable[..., Any]) -> frozenset[str]:
    """Return every string in the code of a function and of what it calls in the emulator."""
    found: set[str] = set()
    seen: set[types.CodeType] = set()

    def look(code: types.CodeType, names: dict[str, Any]) -> None:
        if code in seen:
            return
        seen.add(code)
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                look(constant, names)
            else:
                found.update(_texts(constant))
        for name in code.co_names:
            _follow(names.get(name), code.co_names, look, found)

    look(function.__code__, function.__globals__)
    return frozenset(found)


def _texts(constant: object) -> Iterator[str]:
    if isinstance(constant, str):
        yield constant
    elif isinstance(constant, tuple | frozenset):
        for item in constant:
            yield from _texts(item)


def _follow(
    value: object,
    attributes: Iterable[str],
    look: Callable[[types.CodeType, dict[str, Any]], None],
    found: set[str],
) -> None:
    """Look at what a name of the code means: a function, a table of names, or a module of ours."""
    if isinstance(value, types.FunctionType) and value.__module__.startswith("emulator."):
        look(value.__code__, value.__globals__)
    elif isinstance(value, dict):
        found.update(name for name in value if isinstance(name, str))
    elif isinstance(value, types.ModuleType) and value.__name__.startswith("emulator."):
        for name in attributes:
            inner = getattr(value, name, None)
            if not isinstance(inner, types.ModuleType):
                _follow(inner, (), look, found)


@functools.cache
def literals(folder: str) -> frozenset[str]:
    """Return every string literal in the Python files of a folder, this package left out."""
    found: set[str] = set()
    for path in (ROOT / folder).rglob("*.py"):
        if Path(__file__).parent in path.parents:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
            elif isinstance(node, ast.keyword) and node.arg:
                found.add(node.arg)
    return frozenset(found)


@functools.cache
def tags(folder: str) -> frozenset[str]:
    """Return every FIX tag in the Python files of a folder: as a number, or as a name ``t18``."""
    found: set[str] = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and type(node.value) is int:
                found.add(str(node.value))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value.removeprefix("t"))
            elif isinstance(node, ast.keyword) and node.arg:
                found.add(node.arg.removeprefix("t"))
    return frozenset(found)


def said(text: str, folder: str) -> bool:
    """Tell whether a literal of the folder contains ``text``."""
    return text in literals(folder) or any(text in literal for literal in literals(folder))


class Row:
    """One endpoint, channel or method."""

    def __init__(self, name: str, parameters: str, served: bool, known: frozenset[str]) -> None:
        self.name = name
        self.served = served
        self.honoured = [word for word in parameters.split() if word[0] != "-"]
        self.taken = [word[1:] for word in parameters.split() if word[0] == "-"]
        self.missing = [word for word in self.honoured if word not in known] if served else self.honoured

    def line(self) -> str:
        """Return the row of the page."""
        yes = ", ".join(f"`{word}`" for word in self.honoured if word not in self.missing)
        no = ", ".join(f"**`{word}`**" for word in self.missing)
        taken = "; ".join(f"`{word}`: {reference.NOTES[word]}" for word in self.taken)
        state = "yes" if self.served else "**no**"
        return f"| `{self.name}` | {state} | {', '.join(filter(None, (yes, no)))} | {taken} |"


def public_rows() -> list[Row]:
    """Return the public endpoints."""
    table = endpoints.PUBLIC
    return [
        Row(name, words, name in table, strings(table[name]) if name in table else frozenset())
        for name, words in reference.PUBLIC.items()
    ]


def private_rows() -> list[Row]:
    """Return the private endpoints."""
    table = endpoints.PRIVATE
    return [
        Row(name, words, name in table, strings(table[name].call) if name in table else frozenset())
        for name, words in reference.PRIVATE.items()
    ]


def channel_rows() -> list[Row]:
    """Return the channels of WebSocket v2."""
    return [
        Row(
            name,
            words,
            name in CHANNELS,
            frozenset(CHANNELS[name].spec) | {"symbol"} if name in CHANNELS else frozenset(),
        )
        for name, words in reference.CHANNELS_V2.items()
    ]


def method_rows() -> list[Row]:
    """Return the trading methods of WebSocket v2."""
    return [
        Row(name, words, name in METHODS, strings(METHODS[name]) if name in METHODS else frozenset())
        for name, words in reference.METHODS_V2.items()
    ]


def v1_channel_rows() -> list[Row]:
    """Return the channels of WebSocket v1."""
    return [
        Row(name, words, name in V1, V1[name].fields if name in V1 else frozenset())
        for name, words in reference.CHANNELS_V1.items()
    ]


def v1_event_rows() -> list[Row]:
    """Return the trading events of WebSocket v1."""
    return [
        Row(name, words, name in EVENTS, EVENTS[name].fields if name in EVENTS else frozenset())
        for name, words in reference.EVENTS_V1.items()
    ]


def fix_rows() -> list[Row]:
    """Return the messages of FIX; their parameters are tags."""
    table = TRADING | MARKET_DATA
    return [
        Row(name, words, name[0] in table, strings(table[name[0]]) if name[0] in table else frozenset())
        for name, words in reference.FIX.items()
    ]


SECTIONS: dict[str, Callable[[], list[Row]]] = {
    "REST, public": public_rows,
    "REST, private": private_rows,
    "WebSocket v2, channels": channel_rows,
    "WebSocket v2, methods": method_rows,
    "WebSocket v1, channels": v1_channel_rows,
    "WebSocket v1, trading": v1_event_rows,
    "FIX": fix_rows,
}


_ERRORS = (
    ("REST and trading", reference.ERRORS),
    ("WebSocket v2", reference.ERRORS_V2),
    ("WebSocket v1 only", reference.ERRORS_V1),
)


def error_lines(texts: Iterable[str]) -> Iterator[str]:
    """Return the rows of error strings."""
    for text in texts:
        if text in reference.NEVER:
            yield f"| `{text}` | never | {reference.NEVER[text]} |"
        else:
            yield f"| `{text}` | {'yes' if said(text, 'emulator') else '**no**'} | |"


def page() -> str:
    """Return the page."""
    parts = [_HEAD]
    for title, rows in SECTIONS.items():
        parts.append(
            f"\n## {title}\n\n| name | served | parameters | taken without effect |\n|---|---|---|---|\n"
        )
        parts += [row.line() + "\n" for row in rows()]
    for title, texts in _ERRORS:
        parts.append(f"\n## Errors of {title}\n\n| text | raised | why not |\n|---|---|---|\n")
        parts += [line + "\n" for line in error_lines(texts)]
    return "".join(parts)
