"""How the plugin is loaded: in a repository that has a package of our name, it is not, and says so."""

import os

import pytest

pytest_plugins = "pytester"

LINE = "kraken-emulator's plugin is not loaded: *emulator*__init__.py has its name, 'emulator'; start *"
USES = """
import emulator

def test_their_own():
    assert emulator.OWN == 1

def test_of_ours(kraken):
    pass

def test_of_ours_for_the_session(kraken_session):
    pass
"""


@pytest.fixture(params=["flat", "src", "by collection"])
def repository(request, pytester, monkeypatch):
    """A repository with an `emulator/` of its own, found in one of the ways that there are; its ini lines."""
    place = pytester.path / {"src": "src/emulator"}.get(request.param, "emulator")
    place.mkdir(parents=True)
    (place / "__init__.py").write_text("OWN = 1\n")
    if request.param == "by collection":  # pytest puts the test file's folder on the path, later
        return ""
    if request.param == "flat":
        monkeypatch.syspath_prepend(str(pytester.path))
        (pytester.path / "conftest.py").write_text("import emulator\nassert emulator.OWN == 1\n")
    return f"pythonpath = {place.parent}\n"


def test_a_repository_with_a_package_of_our_name_runs_without_us(run, repository):
    ini = f"{repository}kraken_emulator_options =\n    seed = 7\n"
    result = run(USES, ini=ini)
    result.assert_outcomes(passed=1, errors=2)
    result.stdout.fnmatch_lines([LINE])
    result.stdout.fnmatch_lines(["*ERROR at setup of test_of_ours *", LINE])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stderr.no_fnmatch_line("*")


def test_a_run_that_relies_on_the_guard_does_not_begin_without_it(run, repository):
    result = run(USES, ini=f"{repository}kraken_emulator_guard = always\n")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: kraken_emulator_guard = always cannot be held. {LINE}"])


def test_its_markers_are_known_without_us(run, repository):
    source = """
import pytest

@pytest.mark.tier("us")
@pytest.mark.kraken(rate_limits="on")
def test_marked():
    pass
"""
    run(source, ini=repository).assert_outcomes(passed=1)


def test_a_broken_installation_is_one_line_too(run, pytester, monkeypatch):
    blocked = pytester.path / "sitecustomize.py"
    blocked.write_text("import sys\nsys.modules['emulator.testing.plugin'] = None\n")
    monkeypatch.setenv("PYTHONPATH", str(pytester.path), prepend=os.pathsep)
    result = run("def test_it(): pass\ndef test_of_ours(kraken): pass")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["kraken-emulator's plugin is not loaded: *emulator.testing.plugin*"])


def test_a_run_that_uses_nothing_of_ours_imports_nothing_of_the_venue(run):
    source = """
import sys

def test_it():
    assert not [name for name in sys.modules if name.startswith(("emulator.gateways", "quickfix", "aiohttp"))]
"""
    run(source).assert_outcomes(passed=1)
