"""Each file in TOML that a page shows can be copied whole: what it is for takes it as it stands."""

import re
import tomllib

import pytest

from emulator import instruments
from emulator.link.schedule import read_schedule
from emulator.link.tiers import load_tiers
from emulator.settings import Settings
from emulator.testing import plugin
from tests.running import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCKS = [
    (page.relative_to(ROOT).as_posix(), number, block)
    for page in PAGES
    for number, block in enumerate(
        re.findall(r"^```toml\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    )
]


def tier(text, folder):
    name = tomllib.loads(text)["name"]
    (folder / f"{name}.toml").write_text(text)
    assert name in load_tiers(folder)


def own_instruments(text, folder):
    (folder / "own.toml").write_text(text)
    instruments.load(Settings(instruments=str(folder / "own.toml")))


def schedule(text, folder):
    assert read_schedule(text).steps


def pytest_options(text, folder):
    given = tomllib.loads(text)["tool"]["pytest"]["ini_options"]
    assert given.keys() <= {plugin.OPTIONS, plugin.GUARD}
    assert given.get(plugin.GUARD, "used") in plugin.GUARDED
    assert plugin._read(given.get(plugin.OPTIONS, [])).keys() <= set(Settings.__struct_fields__)


def others(text, folder):
    assert tomllib.loads(text)


TAKEN_BY = {
    ("docs/tiers.md", 0): tier,
    ("docs/instruments.md", 0): own_instruments,
    ("docs/instruments.md", 1): own_instruments,
    ("docs/control.md", 0): schedule,
    ("docs/testing.md", 0): pytest_options,
    ("docs/testing.md", 1): pytest_options,
    ("docs/ci.md", 0): others,  # GitLab's runner
}


def test_every_block_is_in_the_table():
    assert {(page, number) for page, number, _ in BLOCKS} == TAKEN_BY.keys()


@pytest.mark.parametrize(
    ("page", "number", "text"), BLOCKS, ids=[f"{page}-{number}" for page, number, _ in BLOCKS]
)
def test_a_block_works_when_it_is_copied_whole(page, number, text, tmp_path):
    TAKEN_BY[page, number](text, tmp_path)
