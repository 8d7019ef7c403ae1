"""The three ways in which a FIX message is refused (reference: FIX 4.1, validation order)."""

from typing import Any

from emulator.engine.events import Reject
from emulator.gateways.errors import PERMISSION_DENIED, REJECT_TEXT, RefusedError, Why

REQUIRED_MISSING, INCORRECT_VALUE = 1, 5
"""Values of 373 (SessionRejectReason)."""
OTHER, UNKNOWN_INSTRUMENT, UNSUPPORTED_TYPE, CONDITIONAL_MISSING, NOT_AUTHORISED = 0, 2, 3, 5, 6
UNKNOWN_ORDER = 101
"""Values of 380 (BusinessRejectReason)."""

_BUSINESS = {REJECT_TEXT[Reject.UNKNOWN_PAIR]: UNKNOWN_INSTRUMENT, PERMISSION_DENIED: NOT_AUTHORISED}


class SessionRejectError(RefusedError):
    """A field that cannot be: Reject (3)."""

    def __init__(self, tag: int, reason: int, text: str, why: Why | None = None, *about: Any) -> None:
        super().__init__(text, why, *about)
        self.tag = tag
        self.reason = reason


class BusinessRejectError(RefusedError):
    """A message that cannot be carried out: BusinessMessageReject (j)."""

    def __init__(self, reason: int, text: str, why: Why | None = None, *about: Any) -> None:
        super().__init__(text, why, *about)
        self.reason = reason


def missing(label: str, tag: int, why: str, *about: Any) -> BusinessRejectError:
    """Return the refusal of a message without a field that its other fields call for."""
    return BusinessRejectError(CONDITIONAL_MISSING, f"Missing mandatory field: {label} ({tag})", why, *about)


def bad_value(label: str, tag: int, value: str, meant: object) -> SessionRejectError:
    """Return the refusal of a field whose ``value`` is none of those that there are: ``meant``."""
    text = f"Invalid value for tag {tag}: {label}"
    return SessionRejectError(tag, INCORRECT_VALUE, text, "{}={!r:.64}: {}", tag, value, meant)


def business_reason(text: str) -> int:
    """Return 380 for an error in the venue's words."""
    return _BUSINESS.get(text, OTHER)
