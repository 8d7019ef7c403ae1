"""Venues that the FIX tests of one process share, and clients that end with their test."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from emulator.gateways.fix.gateway import Gateway
from tests.fix.client import FixClient
from tests.fix.desk import Desk, fix_gateway
from tests.fix.in_process import Floor
from tests.fix.inside import Peer, Venue, venue
from tests.fix.reading import BOOK, SECOND
from tests.gateways.venue import Client, Kraken
from tests.running import Running

settings.register_profile("local", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("local"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture
def connect(quiet_venue: Running) -> Iterator[Callable[..., FixClient]]:
    """Connect to a service of a venue where nobody else trades: ``connect(account, "spot_trading")``."""
    clients: list[FixClient] = []

    def make(account: dict[str, Any], service: str = "spot_trading", **options: Any) -> FixClient:
        target = "KRAKEN-TRD" if service == "spot_trading" else "KRAKEN-MD"
        at = options.pop("venue", quiet_venue)
        client = FixClient(at.tier()["fix"][service], account, target, **options)
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def kraken() -> Kraken:
    """A venue in this process: alice, bob and carol with plenty of everything, dave with 100 USD."""
    return Kraken()


@pytest.fixture
def gateway(kraken: Kraken) -> Iterator[Gateway]:
    """The FIX side of it."""
    made = fix_gateway(kraken)
    yield made
    made.close()


@pytest.fixture
def desk(gateway: Gateway) -> Callable[..., Desk]:
    """Log a client on by its CompID: ``desk("ALICE2", (8674, 1))``."""

    def make(comp_id: str, *fields: tuple[int, object]) -> Desk:
        client = Desk(gateway, comp_id)
        assert client.logon(*fields).type == "A"
        return client

    return make


@pytest.fixture
def alice(desk: Callable[..., Desk]) -> Desk:
    return desk("ALICE")


@pytest.fixture
def bob(desk: Callable[..., Desk]) -> Desk:
    return desk("BOB")


@pytest.fixture
def client(kraken: Kraken) -> Client:
    """A WebSocket client of the same venue."""
    return kraken.client()


@pytest.fixture
def inside() -> Iterator[Venue]:
    """A FIX gateway without sockets: alice, bob and carol with plenty of everything, empty books."""
    with venue() as made:
        yield made


@pytest.fixture
def reader(inside: Venue) -> Peer:
    """A client of L2; the book of BTC/USD has two levels a side, each two seconds older than the next one."""
    for side, qty, price in BOOK:
        inside.kraken.place("bob", side, qty, price)
        inside.kraken.clock.ns += 2 * SECOND
    return inside.connect()


@pytest.fixture
def floor() -> Iterator[Floor]:
    """A venue without sockets, whose clock is turned by hand."""
    made = Floor()
    yield made
    made.gateway.close()
