"""Who may log on over FIX (reference: FIX 1.5 and 1.6)."""

import hmac
from collections.abc import Mapping

import msgspec

from emulator.engine.accounts import AccountState
from emulator.gateways import reasons
from emulator.gateways.access import Entrance
from emulator.gateways.errors import VenueError
from emulator.gateways.fix import wire
from emulator.gateways.fix.services import Service
from emulator.gateways.keys import ApiKey
from emulator.gateways.venue import Venue

NONCE_WINDOW_NS = 5 * 10**9
"""How far 5025 may lie from the venue's time."""
FAILURE = "authentication failure"


class Member(msgspec.Struct, frozen=True):
    """Whoever has a SenderCompID."""

    comp_id: str
    account: str
    key: ApiKey
    """The FIX key of the account."""


class LogonRefusedError(Exception):
    """A logon that is refused; the text is for the log, clients hear ``FAILURE`` or nothing."""

    def __init__(self, why: str, *, closes_silently: bool = False) -> None:
        super().__init__(why)
        self.closes_silently = closes_silently


def check(
    venue: Venue,
    service: Service,
    member: Member,
    f: Mapping[str, str],
    entrance: Entrance,
    address: str,
) -> None:
    """Refuse a logon that may not be; LogonRefusedError.  Market data asks for no password."""
    account, now_ns = venue.engine.accounts[member.account], venue.clock.now_ns()
    if account.state in (AccountState.DISABLED, AccountState.UNCONFIRMED):
        raise LogonRefusedError(f"the account is {account.state.value}")
    try:
        venue.limits.check_lockout(address, now_ns)
        if service.trading:
            entrance.check(vip=account.vip)
    except VenueError as error:
        raise LogonRefusedError(str(error)) from None
    if not service.trading:
        return
    why = _credentials_fault(venue, member, f, address)
    venue.limits.authenticated(address, now_ns, well=why is None)
    if why is not None:
        raise LogonRefusedError(why)


def _credentials_fault(venue: Venue, member: Member, f: Mapping[str, str], address: str) -> str | None:
    clock = venue.clock
    now_ns = clock.now_ns()
    key = member.key
    username, password, nonce = f.get("553"), f.get("554", ""), f.get("5025", "")
    if username != key.key:
        return f"EAPI:Invalid key ({reasons.of_username(venue.keys, username or '', key)})"
    if not key.lives(now_ns) or not key.comes_from(address):
        return "EAPI:Invalid key (it has ended, is disabled, or may not be used from this address)"
    if not nonce.isascii() or not nonce.isdigit() or len(nonce) > 18:
        return "EAPI:Invalid nonce (5025 is no number of milliseconds)"
    expected = wire.password(key.secret, key.key, f["49"], f["56"], f.get("34", ""), nonce)
    if not hmac.compare_digest(expected.encode(), password.encode()):
        return "EAPI:Invalid signature (554)"
    if not clock.near(int(nonce) * 10**6, NONCE_WINDOW_NS):
        return "EAPI:Invalid nonce (5025 is more than 5 s from the venue's time)"
    if not key.take_nonce(int(nonce)):
        return "EAPI:Invalid nonce (5025 is not above the last one)"
    key.last_used_ns = now_ns
    return None


def refusal(service: Service, member: Member, next_number: int, f: Mapping[str, str], venue: Venue) -> bytes:
    """Return the Logout that answers a refused logon; the session's own numbers stay as they are."""
    number = 1 if f.get("141") == "Y" else next_number
    stamp = wire.timestamp(venue.clock.now_ns())
    head = f"35=5\x0134={number}\x0149={service.target}\x0152={stamp}\x0156={member.comp_id}\x01"
    return wire.encode(f"{head}58={FAILURE}\x01")
