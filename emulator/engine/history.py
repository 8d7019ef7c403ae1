"""What accounts remember: the newest of everything, and never without bound."""

from typing import TypeVar

HISTORY = 50_000
"""Most closed orders, trades, ledger entries and so on (each) that an account keeps."""

_T = TypeVar("_T")


def remember(history: dict[str, _T], key: str, value: _T) -> None:
    """Keep ``value``, and forget the oldest one beyond ``HISTORY``."""
    history[key] = value
    if len(history) > HISTORY:
        del history[next(iter(history))]
