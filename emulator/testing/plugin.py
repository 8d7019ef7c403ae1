"""The pytest plugin: fixtures ``kraken`` and ``kraken_session``, markers ``tier`` and ``kraken``, transcripts
of failures, and the guard, by which a test that reaches for the real Kraken fails.

A run that uses none of it imports nothing of the venue.  Each process has emulators of its own on free
ports, so pytest-xdist's workers do not meet.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import pytest
from _pytest._code.code import ExceptionRepr

if TYPE_CHECKING:
    from emulator.testing.emulator import Emulator
    from emulator.testing.guard import Guard

OPTIONS = "kraken_emulator_options"
GUARD = "kraken_emulator_guard"
GUARDED = ("used", "always", "off")
"""Which tests must not reach the real Kraken: those that use a fixture of ours, all, or none."""
MARKER = "tier"
SETTINGS = "kraken"
"""The marker with settings for one test."""


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
                raise _failure(f"kraken-emulator does not start: {error}") from None
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
_GUARD: pytest.StashKey[Guard] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the ini file say what the emulator is like."""
    parser.addini(
        OPTIONS,
        "settings of the Kraken emulator that the kraken fixtures start, one NAME = VALUE a line",
        type="linelist",
        default=[],
    )
    parser.addini(
        GUARD,
        "which tests must not reach the real Kraken: used (those with a kraken fixture), always, off",
        default=GUARDED[0],
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known."""
    config.addinivalue_line(
        "markers", f"{MARKER}(name, ...): connectivity tiers of the kraken fixture, for example 'tokyo'"
    )
    config.addinivalue_line(
        "markers",
        f"{SETTINGS}(name=value, ...): settings of the kraken fixture for this test, for example "
        "rate_limits='on'; those that a running venue can change",
    )
    if (guarded := config.getini(GUARD)) not in GUARDED:
        raise pytest.UsageError(f"{GUARD}: {guarded!r}: {', '.join(GUARDED)} are meant")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing of the guard."""
    if (guard := config.stash.get(_GUARD, None)) is not None:
        guard.close()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """Begin the transcripts anew: what is told of a failure is what its own test did."""
    emulators = item.config.stash.get(_EMULATORS, None)
    if emulators is not None:
        emulators.begin()
    ours = "_kraken_emulators" in getattr(item, "fixturenames", ())
    if ours or item.config.getini(GUARD) == "always":
        _guard(item.config)
    with _impatient(item):
        yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """End a test that waits for something that was refused."""
    with _impatient(item):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell with a failure what crossed the emulators' edge; what reached for the real Kraken is a failure.

    It comes after what makes skips and expected failures of errors: those would hide it.
    """
    report = yield
    emulators = item.config.stash.get(_EMULATORS, None)
    if (guard := item.config.stash.get(_GUARD, None)) is not None:
        if call.when == "teardown":
            guard.stop()
        if refused := guard.refused():
            _fail(report, f"kraken-emulator: the test tried to reach the real Kraken; refused: {refused}")
    if report.failed and emulators is not None:
        for title, text in emulators.sections():
            _add(report, title, text)
    return report


def _guard(config: pytest.Config) -> None:
    """Refuse what reaches for the real Kraken, to the end of this test."""
    if config.getini(GUARD) == "off":
        return
    if (guard := config.stash.get(_GUARD, None)) is None:
        from emulator.testing.guard import Guard

        # What `pytest.fail` raises: clients do not catch it, and pytest cleans up after it.
        guard = config.stash[_GUARD] = Guard(pytest.fail.Exception)
    guard.start()


def _impatient(item: pytest.Item) -> AbstractContextManager[None]:
    guard = item.config.stash.get(_GUARD, None)
    return nullcontext() if guard is None else guard.impatient()


def _fail(report: pytest.TestReport, reason: str) -> None:
    """Make a report that of a failure, or say this with the failure that it is."""
    if report.failed:
        _add(report, "kraken-emulator guard", reason)
        return
    report.outcome, report.longrepr = "failed", reason
    if hasattr(report, "wasxfail"):
        del report.wasxfail


def _add(report: pytest.TestReport, title: str, text: str) -> None:
    """Add to what is told of a failure.

    It becomes a part of the failure's text where there is one: all that shows failures has it then, JUnit's
    XML too, which leaves a report's sections out.
    """
    told = report.longrepr
    if isinstance(told, ExceptionRepr):
        told.addsection(title, text, "-")
    else:
        report.longrepr = f"{told or ''}\n--- {title} ---\n{text}"


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
def kraken(request: pytest.FixtureRequest, _kraken_emulators: Emulators) -> Iterator[Emulator]:
    """A Kraken in this process with fresh accounts and books, as the test's markers want it."""
    _guard(request.config)  # one that was not to be foreseen
    emulator = _kraken_emulators.get(_marked(request))
    emulator.reset()
    with _set(emulator, _settings(request)):
        emulator.transcript.begin()
        yield emulator


@contextmanager
def _set(emulator: Emulator, settings: Mapping[str, Any]) -> Iterator[None]:
    """Have settings for a while; those that cannot be changed fail the test with one line."""
    if not settings:
        yield
        return
    from emulator.testing.control import ControlError

    before = emulator.control.settings()
    try:
        emulator.control.set_settings(**settings)
    except ControlError as error:
        raise _failure(f"@pytest.mark.{SETTINGS}: {error}") from None
    try:
        yield
    finally:
        emulator.control.set_settings(**before)


def _settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the settings of all markers, the nearest one's first."""
    settings: dict[str, Any] = {}
    for marker in request.node.iter_markers(SETTINGS):
        if marker.args or not marker.kwargs:
            pytest.fail(f"@pytest.mark.{SETTINGS}: NAME=VALUE is meant, like rate_limits='on'", pytrace=False)
        settings = marker.kwargs | settings
    return settings


def _marked(request: pytest.FixtureRequest) -> str | None:
    """Return the tiers of the nearest marker, None where there is none."""
    marker = request.node.get_closest_marker(MARKER)
    if marker is None:
        return None
    if not marker.args or marker.kwargs or not all(isinstance(name, str) for name in marker.args):
        pytest.fail(f"@pytest.mark.{MARKER}: names of tiers are meant, for example 'tokyo'", pytrace=False)
    return ",".join(marker.args)


def _failure(reason: str) -> BaseException:
    """Return what fails a test with one line; raised from None, what it came from is not shown as well."""
    return pytest.fail.Exception(reason, pytrace=False)


def _read(options: list[str]) -> dict[str, str]:
    """Read ``NAME = VALUE`` lines."""
    settings = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals:
            pytest.fail(f"{OPTIONS}: {option!r}: NAME = VALUE is meant", pytrace=False)
        settings[name.strip().replace("-", "_")] = value.strip()
    return settings
