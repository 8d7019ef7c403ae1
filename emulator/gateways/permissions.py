"""What may be done by whom, with orders above all: over REST as over WebSocket (reference: spot REST 1.7)."""

from typing import NamedTuple

from emulator.gateways import reasons
from emulator.gateways.errors import PERMISSION_DENIED, VenueError
from emulator.gateways.keys import ApiKey

Groups = tuple[frozenset[str], ...]
"""Permissions: a key needs at least one of every group."""


class Deed(NamedTuple):
    """One kind of thing to do with orders."""

    needs: Groups
    trades: bool = True
    """Whether a locked account may not do it; cancelling is always allowed."""


_MODIFY, _CLOSE = frozenset({"modify-trades"}), frozenset({"close-trades"})
PLACE = Deed((_MODIFY,))
REPLACE = Deed((_MODIFY, _CLOSE))
"""Batches of new orders, and edits."""
AMEND = Deed((_MODIFY | _CLOSE,))
CANCEL = Deed((_MODIFY | _CLOSE,), trades=False)


def all_of(*permissions: str) -> Groups:
    """Return what a key needs that has to have every one of ``permissions``."""
    return tuple(frozenset({permission}) for permission in permissions)


def allow(key: ApiKey, needed: Groups) -> None:
    """Refuse unless the key has at least one permission of every group that is ``needed``."""
    if not all(key.permissions & group for group in needed):
        raise VenueError(PERMISSION_DENIED, reasons.of_permissions, key, needed)
