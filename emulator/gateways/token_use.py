"""Who is behind the token of a WebSocket request."""

from emulator.gateways import reasons
from emulator.gateways.access import Entrance
from emulator.gateways.errors import VenueError, check_state
from emulator.gateways.keys import ApiKey
from emulator.gateways.permissions import Deed, allow
from emulator.gateways.tokens import Token
from emulator.gateways.venue import Venue

INVALID_SESSION = "ESession:Invalid session"


class InvalidSessionError(VenueError):
    """A token that is not valid."""


def find_token(venue: Venue, entrance: Entrance, text: object) -> Token:
    """Return a token.

    InvalidSessionError when it is not valid, VenueError when there is none, or when its account may not come
    in here.
    """
    if not isinstance(text, str) or not text:
        raise VenueError("Token(s) not found", "there is no token in the request, or it is no text")
    now_ns = venue.clock.now_ns()
    token = venue.tokens.find(text, now_ns)
    if token is None:
        raise InvalidSessionError(INVALID_SESSION, venue.tokens.fault, text, now_ns)
    if not token.key.lives(now_ns):
        raise InvalidSessionError(INVALID_SESSION, reasons.of_admission, token.key, "", None, now_ns)
    if entrance.vip:
        entrance.check(vip=venue.engine.accounts[token.key.account].vip)
    return token


def trading_key(venue: Venue, token: Token, deed: Deed) -> ApiKey:
    """Return the key behind the token of a trading request; VenueError when it may not do this."""
    allow(token.key, deed.needs)
    check_state(venue.engine.accounts[token.key.account].state, trades=deed.trades)
    return token.key
