import tomllib
from pathlib import Path
from typing import Any

import pytest

from emulator.engine.instruments import Catalogue
from emulator.market.prices import initial_prices
from emulator.market.profile import MarketProfile, MarketProfileError, load
from tests.market.conftest import PROFILES

DEFAULT = PROFILES / "market" / "default.toml"


def error_of(tmp_path: Path, catalogue: Catalogue, old: str, new: str) -> str:
    """Return the message for the default profile with one piece of text replaced."""
    text = DEFAULT.read_text()
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(MarketProfileError) as caught:
        load(path, catalogue)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def test_default_profile_covers_every_pair_and_about_two_hundred_events_a_second(
    catalogue: Catalogue, profile: MarketProfile
) -> None:
    assert profile.pairs.keys() == catalogue.pairs.keys()
    assert 150 <= sum(flow.events_per_second for flow in profile.pairs.values()) <= 250


def test_override_changes_one_field_and_keeps_the_defaults(profile: MarketProfile) -> None:
    defaults: dict[str, Any] = tomllib.loads(DEFAULT.read_text())["defaults"]
    flow = profile.pairs["XXBTZUSD"]
    assert flow.events_per_second == 20.0
    assert flow.trade_share == defaults["trade_share"]


def test_initial_prices_are_coherent_and_on_the_tick(catalogue: Catalogue, profile: MarketProfile) -> None:
    prices = initial_prices(profile, catalogue)
    assert prices["XXBTZUSD"] == 640_000
    for name, pair in catalogue.pairs.items():
        ratio = profile.usd_per(pair.base.id) / profile.usd_per(pair.quote.id) * 10**pair.price_decimals
        assert prices[name] % pair.tick == 0
        assert abs(prices[name] - ratio) <= pair.tick * 0.5000001


def test_missing_file_is_an_error_in_one_line(tmp_path: Path, catalogue: Catalogue) -> None:
    with pytest.raises(MarketProfileError, match=r"none\.toml: No such file"):
        load(tmp_path / "none.toml", catalogue)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[defaults]", "[defaults", "Expected"),
        ('[pairs."BTC/EUR"]', '[pairs."BTC/XYZ"]', "pairs.BTC/XYZ: no such pair"),
        ("BTC = {", "XBTC = {", "assets.XBTC: no such asset"),
        (
            "EUR = { price_usd = 1.08, daily_volatility = 0.004 }",
            "",
            "assets.EUR: missing, needed by BTC/EUR",
        ),
        ("price_usd = 64000.0", "price_usd = -1", "assets.BTC.price_usd = -1: a number above 0 "),
        ("price_usd = 64000.0", "price_usd = '1'", "assets.BTC.price_usd = '1': a number above 0 "),
        ("price_usd = 64000.0, ", "", "assets.BTC.price_usd: missing; a number"),
        ("levels = 125", "levels = 60", "defaults.levels = 60: a whole number from 120 to 1000"),
        ("levels = 125", "levles = 125", "defaults: unknown field 'levles', did you mean 'levels'?"),
        (
            "events_per_second = 20.0",
            "events_per_minute = 20.0",
            "pairs.BTC/USD: unknown field 'events_per_minute', did you mean 'events_per_second'?",
        ),
        ("spread_bps = 0.1", "spread_bps = nan", "pairs.BTC/USD.spread_bps = NaN: a number above 0"),
        (
            "spread_bps = 0.1\nstep_bps = 0.3",
            "levels = 900\nstep_bps = 9",
            "pairs.BTC/USD.levels: 900 levels of BTC/USD do not fit below",
        ),
        ("[assets]", "[asset]", "unknown field 'asset', did you mean 'assets'?"),
    ],
)
def test_each_mistake_is_named_with_its_field(
    tmp_path: Path, catalogue: Catalogue, old: str, new: str, message: str
) -> None:
    assert error_of(tmp_path, catalogue, old, new).startswith(message)
