"""Venues that the FIX tests of one process share, and clients that end with their test."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.fix.inside import Direct, FixVenue
from tests.fix.reading import BOOK, SECOND
from tests.fix.sockets import SocketClient
from tests.gateways.venue import Client, Kraken
from tests.running import Running

settings.register_profile("local", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("local"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture
def connect(quiet_venue: Running) -> Iterator[Callable[..., SocketClient]]:
    """Connect to a service of a venue where nobody else trades: ``connect(account, "spot_trading")``."""
    clients: list[SocketClient] = []

    def make(account: dict[str, Any], service: str = "spot_trading", **options: Any) -> SocketClient:
        target = "KRAKEN-TRD" if service == "spot_trading" else "KRAKEN-MD"
        at = options.pop("venue", quiet_venue)
        client = SocketClient(at.tier()["fix"][service], account, target, **options)
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def inside() -> Iterator[FixVenue]:
    """A venue of its own for a test, without sockets: empty books, a clock turned by hand."""
    with FixVenue() as made:
        yield made


@pytest.fixture
def kraken(inside: FixVenue) -> Kraken:
    """What is behind its gateways: trading as others, time, REST calls."""
    return inside.kraken


@pytest.fixture
def alice(inside: FixVenue) -> Direct:
    """A client that trades."""
    return inside.trader("ALICE")


@pytest.fixture
def bob(inside: FixVenue) -> Direct:
    """Another one."""
    return inside.trader("BOB")


@pytest.fixture
def ws(kraken: Kraken) -> Client:
    """A WebSocket client of the same venue."""
    return kraken.client()


@pytest.fixture
def reader(inside: FixVenue) -> Direct:
    """A client of L2; the book of BTC/USD has two levels a side, each two seconds older than the next one."""
    for side, qty, price in BOOK:
        inside.kraken.place("bob", side, qty, price)
        inside.kraken.clock.ns += 2 * SECOND
    return inside.reader()
