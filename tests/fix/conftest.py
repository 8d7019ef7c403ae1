"""Venues that the FIX tests of one process share, and clients that end with their test."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.fix.client import FixClient
from tests.fix.inside import Peer, Venue, venue
from tests.fix.reading import BOOK, SECOND
from tests.running import Running


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
