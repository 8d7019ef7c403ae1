"""Kraken's error strings (reference: spot REST section 10), shared by spot REST and WebSocket."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from emulator.engine.accounts import AccountState
from emulator.engine.events import Reject
from emulator.words import listed

Why = str | Callable[..., str]
_log = logging.getLogger(__name__)


class RefusedError(Exception):
    """A refusal; ``str(error)`` is what goes on the wire.

    ``why`` tells more to whoever reads the log: what was expected, what came, never a secret.  It is a text,
    one with places for ``about``, or is called with that; only where somebody reads it (``--log-level
    debug``).
    """

    def __init__(self, words: str, why: Why | None = None, *about: Any) -> None:
        super().__init__(words)
        self.why = why
        self.about = about


class VenueError(RefusedError):
    """A refusal in the venue's own words."""


def explained(error: RefusedError | str) -> str:
    """Return a refusal for the log: the venue's words, and why.  Call it before anything else happens."""
    why = error.why if isinstance(error, RefusedError) else None
    if isinstance(error, str) or why is None:
        return str(error)
    if isinstance(why, str):
        return f"{error} ({why.format(*error.about) if error.about else why})"
    try:
        return f"{error} ({why(*error.about)})"
    except Exception:  # a mistake of ours: whoever is refused hears so all the same
        _log.exception("why something is refused cannot be told")
        return str(error)


REJECT_TEXT = {
    Reject.UNKNOWN_PAIR: "EQuery:Unknown asset pair",
    Reject.UNKNOWN_ORDER: "EOrder:Unknown order",
    Reject.INVALID_PRICE: "EOrder:Invalid price",
    Reject.TICK_SIZE: "EOrder:Tick size check failed",
    Reject.INVALID_QTY: "EGeneral:Invalid arguments:volume",
    Reject.ORDER_MINIMUM: "EGeneral:Invalid arguments:volume minimum not met",
    Reject.COST_MINIMUM: "EOrder:Cost minimum not met",
    Reject.INVALID_DISPLAY: "EGeneral:Invalid arguments:displayvol",
    Reject.INVALID_TIME_IN_FORCE: "EGeneral:Invalid arguments:timeinforce",
    Reject.INVALID_EXPIRY: "EGeneral:Invalid arguments:expiretm",
    Reject.POST_ONLY_NEEDS_LIMIT: "EGeneral:Invalid arguments:oflags",
    Reject.POST_ONLY_WOULD_CROSS: "EOrder:Post only order",
    Reject.CLIENT_ID_NOT_UNIQUE: "EGeneral:Invalid arguments:cl_ord_id not unique",
    Reject.EDIT_NOT_ALLOWED: "EOrder:Invalid order",
    Reject.ORDERS_LIMIT: "EOrder:Orders limit exceeded",
    Reject.INSUFFICIENT_FUNDS: "EOrder:Insufficient funds",
    Reject.DEADLINE_ELAPSED: "EService:Deadline elapsed",
    Reject.INVALID_TRIGGER: "EGeneral:Invalid arguments:price",
    Reject.INVALID_CLOSE: "EGeneral:Invalid arguments:close",
    Reject.INVALID_CASH: "EGeneral:Invalid arguments:viqc",
    Reject.INVALID_START: "EGeneral:Invalid arguments:starttm",
    Reject.INDEX_UNAVAILABLE: "EGeneral:Invalid arguments:Index unavailable",
    Reject.SCHEDULED_LIMIT: "EOrder:Scheduled orders limit exceeded",
    Reject.AMEND_NOT_ALLOWED: "EOrder:Invalid order",
    Reject.NOTHING_TO_AMEND: "EOrder:No amendable parameters specified",
    Reject.INVALID_LEVERAGE: "EGeneral:Invalid arguments:leverage",
    Reject.CANNOT_OPEN_POSITION: "EOrder:Cannot open position",
    Reject.MARGIN_LEVEL: "EOrder:Margin level too low",
    Reject.MARGIN_ALLOWANCE: "EOrder:Margin allowance exceeded",
    Reject.POSITION_SIZE: "EOrder:Margin position size exceeded",
    Reject.POSITIONS_LIMIT: "EOrder:Positions limit exceeded",
    Reject.UNKNOWN_POSITION: "EOrder:Unknown position",
    Reject.REDUCE_ONLY_NO_POSITION: "EOrder:Reduce only:No position exists",
    Reject.REDUCE_ONLY_NOT_CLOSING: "EOrder:Reduce only:Non-PC",
    Reject.RATE_LIMIT: "EOrder:Rate limit exceeded",
    Reject.UNKNOWN_REFERENCE: "EFunding:Unknown reference id",
    Reject.TOO_LATE: "EFunding:Invalid reference id",
    Reject.EARN_BUSY: "EEarnings:Busy:Another (de)allocation for the same strategy is in progress",
    Reject.NAME_TAKEN: "EGeneral:Invalid arguments:username",
    Reject.UNAVAILABLE: "EService:Unavailable",
    Reject.CANCEL_ONLY: "EService:Market in cancel_only mode",
    Reject.POST_ONLY: "EService:Market in post_only mode",
    Reject.LIMIT_ONLY: "EService:Market in limit_only mode",
    Reject.REDUCE_ONLY: "EService:Market in reduce_only mode",
    Reject.WOULD_TRADE: "EOrder:Post only order",  # no client meets it
}

BAD_ARGUMENTS = "EGeneral:Invalid arguments"
PERMISSION_DENIED = "EGeneral:Permission denied"
INTERNAL = "EGeneral:Internal error"


_ACTIVE = AccountState.ACTIVE
_STATES = {
    AccountState.DISABLED: "EAuth:Account temporary disabled",
    AccountState.UNCONFIRMED: "EAuth:Account unconfirmed",
}


def check_state(state: AccountState, *, trades: bool) -> None:
    """Refuse an account that may not do anything, or not trade; VenueError."""
    if state is not _ACTIVE and (trades or state is not AccountState.LOCKED):
        raise VenueError(_STATES.get(state, "ETrade:User Locked"), "the account is {}", state.value)


def bad_argument(name: str, why: Why | None = None, *about: Any) -> VenueError:
    """Return the error for a bad parameter ``name``, with more for the log as VenueError has it."""
    return VenueError(f"{BAD_ARGUMENTS}:{name}", why, *about)


def bad_value(name: str, value: object, meant: str | Iterable[object]) -> VenueError:
    """Return the error for a parameter whose ``value`` is not what is ``meant``: words, or all there are."""
    return bad_argument(name, _of_value, value, meant)


def _of_value(value: object, meant: str | Iterable[object]) -> str:
    if isinstance(meant, str):
        return f"{value!r:.64}: {meant}"
    there = sorted(meant, key=str) if isinstance(meant, frozenset) else meant
    return f"{value!r:.64}; there are: {listed(there)}"
