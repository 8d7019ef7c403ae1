from pathlib import Path

import pytest

from emulator.engine.instruments import Catalogue
from emulator.market.profile import MarketProfile, load

PROFILES = Path(__file__).parents[2] / "profiles"


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return Catalogue.from_json((PROFILES / "instruments" / "spot.json").read_bytes())


@pytest.fixture(scope="session")
def profile(catalogue: Catalogue) -> MarketProfile:
    return load(PROFILES / "market" / "default.toml", catalogue)
