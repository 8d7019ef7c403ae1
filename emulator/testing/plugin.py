"""The pytest plugin: fixtures ``kraken`` and ``kraken_session``, marker ``tier``, transcripts of failures.

A run that uses none of it imports nothing of the venue.  Each process has emulators of its own on free
ports, so pytest-xdist's workers do not meet.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from emulator.testing.emulator import Emulator

OPTIONS = "kraken_emulator_options"
MARKER = "tier"


class Emulators:
    """The emulators of one process: one per set of tiers, started at first use, kept to the end."""

    def __init__(self, options: list[str]) -> None:
        self._options = options
        self._running: dict[str, Emulator] = {}

    def get(self, tiers: str | None = None) -> Emulator:
        """Return that of these tiers, by default those of the options; what is wrong fails the test."""
        from emulator.testing.emulator import Emulator, EmulatorError

        settings: dict[str, Any] = {"tier": "local", **_read(self._options)}
        if tiers is not None:
            settings["tier"] = tiers
        found = self._running.get(settings["tier"])
        if found is None:
            try:
                found = Emulator(**settings).start()
            except EmulatorError as error:
                pytest.fail(f"kraken-emulator does not start: {error}", pytrace=False)
            self._running[settings["tier"]] = found
        return found

    def begin(self) -> None:
        """Begin the transcripts of another test."""
        for emulator in self._running.values():
            emulator.transcript.begin()

    def sections(self) -> Iterator[tuple[str, str]]:
        """Give title and text of each transcript that has something to say."""
        for tiers, emulator in self._running.items():
            text = str(emulator.transcript)
            if text:
                yield f"kraken-emulator transcript, tier {tiers}", text

    def stop(self) -> None:
        """Stop them all."""
        for emulator in self._running.values():
            emulator.stop()
        self._running.clear()


_EMULATORS = pytest.StashKey[Emulators]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the ini file say what the emulator is like."""
    parser.addini(
        OPTIONS,
        "settings of the Kraken emulator that the kraken fixtures start, one NAME = VALUE a line",
        type="linelist",
        default=[],
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers", f"{MARKER}(name, ...): connectivity tiers of the kraken fixture, for example 'tokyo'"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin the transcripts anew: what is told of a failure is what its own test did."""
    emulators = item.config.stash.get(_EMULATORS, None)
    if emulators is not None:
        emulators.begin()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell with a failure what crossed the emulators' edge."""
    report = yield
    emulators = item.config.stash.get(_EMULATORS, None)
    if report.failed and emulators is not None:
        for title, text in emulators.sections():
            _tell(report, title, text)
    return report


def _tell(report: pytest.TestReport, title: str, text: str) -> None:
    """Tell it in the failure itself, which files of results have too; a report's sections they leave out."""
    add_section = getattr(report.longrepr, "addsection", None)
    if add_section is None:
        report.sections.append((title, text))
    else:
        add_section(title, text)


@pytest.fixture(scope="session")
def _kraken_emulators(pytestconfig: pytest.Config) -> Iterator[Emulators]:
    emulators = pytestconfig.stash[_EMULATORS] = Emulators(pytestconfig.getini(OPTIONS))
    yield emulators
    emulators.stop()
    del pytestconfig.stash[_EMULATORS]


@pytest.fixture(scope="session")
def kraken_session(_kraken_emulators: Emulators) -> Emulator:
    """A Kraken in this process for the whole session (emulator.testing.Emulator)."""
    return _kraken_emulators.get()


@pytest.fixture
def kraken(request: pytest.FixtureRequest, _kraken_emulators: Emulators) -> Emulator:
    """A Kraken in this process with fresh accounts and books, at the tiers that the test is marked with."""
    emulator = _kraken_emulators.get(_marked(request))
    emulator.reset()
    emulator.transcript.begin()
    return emulator


def _marked(request: pytest.FixtureRequest) -> str | None:
    """Return the tiers of the nearest marker, None where there is none."""
    marker = request.node.get_closest_marker(MARKER)
    if marker is None:
        return None
    if not marker.args or marker.kwargs or not all(isinstance(name, str) for name in marker.args):
        pytest.fail(f"@pytest.mark.{MARKER}: names of tiers are meant, for example 'tokyo'", pytrace=False)
    return ",".join(marker.args)


def _read(options: list[str]) -> dict[str, str]:
    """Read ``NAME = VALUE`` lines."""
    settings = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals:
            pytest.fail(f"{OPTIONS}: {option!r}: NAME = VALUE is meant", pytrace=False)
        settings[name.strip().replace("-", "_")] = value.strip()
    return settings
