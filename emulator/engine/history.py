"""What accounts remember: the newest of everything, and never without bound."""

from itertools import islice
from typing import TypeVar

HISTORY = 50_000
"""How many closed orders, trades, ledger entries and so on (each) an account keeps."""
BATCH = 256
"""How many more there may be until the oldest are forgotten: finding the first of a dictionary takes the
longer the more have been taken out before it, so it is not done for each."""

_T = TypeVar("_T")


def remember(history: dict[str, _T], key: str, value: _T) -> None:
    """Keep ``value``, and forget the oldest ones beyond ``HISTORY``."""
    history[key] = value
    if len(history) >= HISTORY + BATCH:
        for old in list(islice(history, BATCH)):
            del history[old]
