"""A venue that is stopped, in order or not, and started again with the same state folder."""

from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.fix.inside import Direct, FixVenue
from tests.fix.messages import Message
from tests.fix.sockets import SocketClient
from tests.gateways.venue import Kraken
from tests.running import running


@contextmanager
def venue_with_state(accounts_profile: str, folder: Path, *more: str) -> Any:
    arguments = ("--market", "off", "--accounts", accounts_profile, "--state-folder", str(folder))
    with running(*arguments, *more) as venue:
        yield venue


def log_on(venue: Any, member: dict[str, Any], number: int, *more: tuple[int, object]) -> tuple[Any, Message]:
    client = SocketClient(venue.tier()["fix"]["spot_trading"], member, "KRAKEN-TRD")
    client.number = number
    return client, client.logon(*more, reset=False)


def restarted(inside: FixVenue, folder: Path) -> FixVenue:
    """Stop a venue in order and start it again, at the same time."""
    inside.close()
    return again_at(inside, folder)


def again_at(inside: FixVenue, folder: Path) -> FixVenue:
    kraken = Kraken()
    kraken.clock.ns = inside.kraken.clock.ns
    new = FixVenue(kraken, state_folder=folder)
    new._nonce = inside._nonce
    return new


def killed(inside: FixVenue, folder: Path) -> FixVenue:
    """Let a venue end as ``kill -9`` ends it, and start it again."""
    gateway = inside.gateway
    assert gateway.state is not None
    gateway.state.close()
    gateway.state = None
    gateway.library.close()
    return again_at(inside, folder)


def back(inside: FixVenue, number: int, comp_id: str = "ALICE", *fields: tuple[int, object]) -> Direct:
    """Return a client that has logged on with this number, as one who was there before."""
    client = inside.client(comp_id)
    client.number = number
    assert client.logon(*fields, reset=False).type == "A"
    return client
