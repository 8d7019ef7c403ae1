"""What pytest loads of kraken-emulator: the plugin `emulator.testing.plugin`, or one line that says why not.

The package is called ``emulator``, and a repository may have one of that name of its own. So nothing of it
is imported before pytest knows the repository, and nothing at all where it has one: its tests run as if we
were not installed, and those that ask for our fixtures fail with the line.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

PACKAGE = "emulator"
PLUGIN = "emulator.testing.plugin"
GUARD = "kraken_emulator_guard"
REMEDY = "start the emulator in a process of its own: docs/testing.md, Other languages"


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, object, object]:
    """Load the plugin once the repository's own paths and conftest files count."""
    result = yield
    reason = shadowed(early_config.rootpath)
    if not reason:
        try:
            plugin = import_module(PLUGIN)
        except ImportError as error:
            reason = str(error)
    if reason:
        line = f"kraken-emulator's plugin is not loaded: {reason}"
        early_config.pluginmanager.register(StandIn(line), PLUGIN)
    else:
        early_config.pluginmanager.register(plugin, PLUGIN)
    return result


def shadowed(root: Path) -> str:
    """Tell where another package of our name is that this run has or would get, or nothing."""
    ours = Path(__file__).resolve().parent / PACKAGE / "__init__.py"
    loaded = sys.modules.get(PACKAGE)
    there = find_spec(PACKAGE) if loaded is None else None
    first = getattr(loaded, "__file__", None) if there is None else there.origin
    usual = [root / at / name for at in ("", "src") for name in (f"{PACKAGE}/__init__.py", f"{PACKAGE}.py")]
    for file in (*([Path(first)] if first else []), *usual):
        if file.exists() and file.resolve() != ours:
            return f"{file} has its name, {PACKAGE!r}; {REMEDY}"
    return ""


class StandIn:
    """Stands in for the plugin: fixtures that fail with one line, and names that ini files may use."""

    def __init__(self, line: str) -> None:
        self.line = line

    def pytest_addoption(self, parser: pytest.Parser) -> None:
        """Know the settings, so that an ini file which has them is no error."""
        parser.addini("kraken_emulator_options", self.line, type="linelist", default=[])
        parser.addini(GUARD, self.line, default="used")

    def pytest_configure(self, config: pytest.Config) -> None:
        """Know the markers; refuse a run that relies on the guard."""
        for marker in ("tier", "kraken"):
            config.addinivalue_line("markers", f"{marker}: {self.line}")
        if config.getini(GUARD) == "always":
            raise pytest.UsageError(f"{GUARD} = always cannot be held. {self.line}")

    def pytest_report_header(self) -> str:
        """Say it where a run begins."""
        return self.line

    @pytest.fixture
    def kraken(self) -> None:
        """Fail the test that asks for it."""
        pytest.fail(self.line, pytrace=False)

    @pytest.fixture(scope="session")
    def kraken_session(self) -> None:
        """Fail the test that asks for it."""
        pytest.fail(self.line, pytrace=False)
