"""docs/control.md and tiers.md name all that can be said to a running emulator, and every address."""

import re
from typing import get_args

import pytest

from emulator.control.client import NAMES
from emulator.engine.instruments import Catalogue
from emulator.engine.margin import fee_rate
from emulator.gateways import advisories
from emulator.link.live import _FIELDS
from emulator.link.subnets import SUBNET_OF
from emulator.settings import PROFILES
from tests.running import ROOT

CONTROL = (ROOT / "docs" / "control.md").read_text()


def row(page: str, begin: str) -> str:
    """Return the one row of a table that begins so."""
    [found] = [line for line in page.splitlines() if line.startswith(f"| {begin}")]
    return found


@pytest.mark.parametrize("name", NAMES)
def test_what_the_command_line_can_set_of_a_link_is_in_the_table(name):
    assert f"`{name}=" in row(CONTROL, "`set TIER[/PATH] NAME=VALUE…`")


@pytest.mark.parametrize("name", sorted(_FIELDS))
def test_what_the_api_can_set_of_a_link_is_in_the_table(name):
    assert f'"{name}"' in row(CONTROL, "`PATCH /control/links")


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("impact", get_args(advisories.Emergency.__annotations__["impact"])),
        ("incident_status", get_args(advisories.Emergency.__annotations__["incident_status"])),
        ("affected_services", get_args(advisories._Service)),
        ("order_submission", get_args(advisories._Submission)),
        ("recommended_action", get_args(advisories._Action)),
    ],
)
def test_the_values_of_advisories_are_listed(field, values):
    assert values
    line = row(CONTROL, f"`{field}`")
    assert [value for value in values if f"`{value}`" not in line] == []


def test_the_addresses_of_paths_are_listed():
    page = (ROOT / "docs" / "tiers.md").read_text()
    for name, number in SUBNET_OF.items():
        assert re.search(rf"\| `{name.removesuffix('/direct')}` \| {number} \|", page), name


def test_the_margin_rates_that_the_page_says_are_the_recorded_ones():
    [said] = re.findall(
        r"as recorded, (\S+) % for BTC, (\S+) % for USD, up to (\S+) % for others, and (\S+) % where",
        (ROOT / "docs" / "spot.md").read_text().replace("\n", " "),
    )
    pairs = Catalogue.from_json((PROFILES / "instruments" / "spot.json").read_bytes()).pairs
    rates = {pair.base.name: fee_rate(pair, buy=False) for pair in pairs.values()}
    rates |= {pair.quote.name: fee_rate(pair, buy=True) for pair in pairs.values()}
    told = [rates["BTC"], rates["USD"], max(rates.values()), rates["CAD"]]
    assert [float(percent) * 10_000 for percent in said] == pytest.approx(told)
