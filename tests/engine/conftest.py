import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from emulator.engine.accounts import Account
from emulator.engine.instruments import Catalogue
from emulator.engine.limits import AccountTier
from tests.engine.venue import Venue

INSTRUMENTS = Path(__file__).parents[1] / "instruments" / "2026-03-06.json"
"""Instruments and fees of one day: what tests calculate with does not move when Kraken's data does."""

settings.register_profile("local", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("local"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return Catalogue.from_json(INSTRUMENTS.read_bytes())


@pytest.fixture
def new_venue(catalogue: Catalogue) -> Callable[..., Venue]:
    """Open a venue of one's own: other accounts, another seed, another catalogue."""

    def new(*accounts: Account, catalogue: Catalogue = catalogue, **options: Any) -> Venue:
        return Venue(catalogue, list(accounts), **options)

    return new


@pytest.fixture
def venue(new_venue: Callable[..., Venue]) -> Venue:
    """Three clients with plenty of everything, one (``dave``) without, and the market's own account."""
    accounts = [Account(name) for name in ("alice", "bob", "carol", "dave")]
    accounts.append(Account("starter", tier=AccountTier.STARTER))
    funded = new_venue(*accounts, Account("house", house=True))
    for account in accounts:
        if account.name != "dave":
            funded.deposit(account.name, ZUSD="1000000", XXBT="100", XETH="100", ZEUR="100000", ZJPY="9" * 9)
    return funded
