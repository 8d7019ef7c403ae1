import os

import pytest
from hypothesis import HealthCheck, settings

from tests.gateways.venue import Client, Kraken

settings.register_profile("local", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("local"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture
def kraken() -> Kraken:
    """Alice, bob and carol with plenty of everything, dave with 100 USD; nothing in the books."""
    return Kraken()


@pytest.fixture
def client(kraken: Kraken) -> Client:
    """A WebSocket client of an unknown host: it may do everything."""
    return kraken.client()
