"""Words about names that are not known: what was said, what is like it, what there is."""

from collections.abc import Iterable

MOST_LISTED = 40
"""More names than this are not listed, only counted: an error is one line."""
LIKE = 0.7
"""How alike two names must be for one to be taken for a slip of the other; 1 is the same."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that ``name`` is most like, whatever the case; None when it is like none."""
    import difflib

    names = {each.lower(): each for each in known}
    found = difflib.get_close_matches(name.lower(), names, 1, LIKE)
    return names[found[0]] if found else None


def listed(names: Iterable[object]) -> str:
    """Return names in a row: ``10, 25, 100``; ``none`` when there are none."""
    return ", ".join(map(str, names)) or "none"


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Return one line that refuses a name: ``unknown tier 'tokio', did you mean 'tokyo'? There are: …``."""
    names = list(dict.fromkeys(known))
    said, meant = f"unknown {what} {name[:64]!r}", nearest(name, names)
    if len(names) > MOST_LISTED:
        there = f"there are {len(names)}, {', '.join(names[:5])} and so on"
    else:
        there = f"there are: {listed(names)}"
    if meant is None:
        return f"{said}; {there}"
    return f"{said}, did you mean {meant!r}? {there[0].upper()}{there[1:]}"
