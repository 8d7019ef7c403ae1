"""Words about names that are not known: what was said, what is like it, what there is."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

MOST_LISTED = 40
"""More names than this are not listed, only counted: an error is one line."""
MOST_ALIKE = 4
"""So many names are offered for one that is not known."""
LIKE = 0.7
"""How alike two names must be for one to be taken for a slip of the other; 1 is the same."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that ``name`` is most like, whatever the case; None when it is like none."""
    import difflib

    names = {each.lower(): each for each in known}
    found = difflib.get_close_matches(name.lower(), names, 1, LIKE)
    return names[found[0]] if found else None


def spelled(by: str, value: object) -> str:
    """Return an option with its value: ``--seed 7``; what is empty can be seen."""
    return f"{by} {value if str(value).strip() else repr(value)}"


def counted(number: int, what: str) -> str:
    """Return ``1 order``, ``2 orders``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def parted(text: str) -> list[str]:
    """Return the words of ``us,tokyo``; ValueError for a comma with nothing beside it."""
    if text.strip(" ,") and not all(item.strip() for item in text.split(",")):
        raise ValueError("nothing stands beside a comma")
    return text.replace(",", " ").split()


def no_folder(error: OSError) -> str:
    """Return why a folder cannot be had: the system says of a file that is in the way that it exists."""
    return "it is no folder" if isinstance(error, FileExistsError) else str(error.strerror)


def listed(names: Iterable[object]) -> str:
    """Return names in a row: ``10, 25, 100``; ``none`` when there are none."""
    return ", ".join(map(str, names)) or "none"


def alike(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names that may be meant: the nearest one, then those that it is a part of."""
    names = list(dict.fromkeys(known))
    near = nearest(name, names)
    within = [each for each in names if name.strip("-") and name.strip("-") in each]
    return list(dict.fromkeys([*([near] if near else []), *within]))[:MOST_ALIKE]


def unknown(
    what: str, name: str, known: Iterable[str], spellings: Mapping[str, str] = MappingProxyType({})
) -> str:
    """Return one line that refuses a name: ``unknown tier 'tokio', did you mean 'tokyo'? There are: …``.

    ``spellings`` are further ones that would do, each with the known name that is told for it.
    """
    names = list(dict.fromkeys(known))
    said, meant = f"unknown {what} {name[:64]!r}", nearest(name, [*names, *spellings])
    meant = spellings.get(meant or "", meant)
    if len(names) > MOST_LISTED:
        there = f"there are {len(names)}, {', '.join(names[:5])} and so on"
    else:
        there = f"there are: {listed(names)}"
    if meant is None:
        return f"{said}; {there}"
    return f"{said}, did you mean {meant!r}? {there[0].upper()}{there[1:]}"
