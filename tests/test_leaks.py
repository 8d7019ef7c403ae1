"""Our own warnings and what we leave open fail a test; third parties' fail none, now or later."""

import pytest

from tests.running import ROOT

pytest_plugins = "pytester"

HEAD = """
import gc, socket, warnings
import pytest

class Cycle:
    def __init__(self, leaves):
        self.leaves, self.itself = leaves, self

def says(module, category):
    exec("import warnings; warnings.warn('said', category)", {"__name__": module, "category": category})

class Fails:
    def __del__(self):
        raise ValueError("in the end")

async def forgotten():
    pass

def coroutine():
    forgotten()
"""
LEAVES = {
    "socket": "socket.socket()",
    "file": "open(__file__)",
    "exception": "Fails()",
    "coroutine": "forgotten()",
}


@pytest.fixture
def run(pytester, monkeypatch):
    """Run a file of tests under our own settings."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def run(source):
        file = pytester.makepyfile(HEAD + source)
        settings = ("-c", str(ROOT / "pyproject.toml"), "--rootdir", str(pytester.path))
        plugins = ("-p", "tests.leaks", "-p", "no:cacheprovider", "-p", "no:xdist")
        return pytester.runpytest_subprocess(*settings, *plugins, file, timeout=60)

    return run


@pytest.mark.parametrize("module", ["emulator", "emulator.link.stream", "tests.fix.client"])
@pytest.mark.parametrize("category", ["DeprecationWarning", "UserWarning"])
def test_what_we_are_warned_of_fails_a_test_with_a_client_too(run, module, category):
    result = run(f"""
def test_ours():
    says({module!r}, {category})

@pytest.mark.client
def test_ours_with_a_client():
    says({module!r}, {category})
""")
    result.assert_outcomes(failed=2)


@pytest.mark.parametrize("module", ["simplefix.message", "emulators", "testsuite.tests"])
def test_what_third_parties_are_warned_of_is_told_and_fails_nothing(run, module):
    result = run(f"""
def test_theirs():
    says({module!r}, DeprecationWarning)
""")
    result.assert_outcomes(passed=1, warnings=1)


@pytest.mark.parametrize("left", LEAVES.values(), ids=LEAVES)
def test_what_we_leave_open_fails_the_test(run, left):
    result = run(f"""
def test_leaves_it():
    {left}

def test_leaves_it_for_the_collector():
    Cycle({left})
    gc.collect()
""")
    outcomes = result.parseoutcomes()
    assert outcomes.get("failed", 0) + outcomes.get("errors", 0) == 2, outcomes


@pytest.mark.parametrize("left", LEAVES.values(), ids=LEAVES)
def test_what_a_client_leaves_open_fails_neither_its_test_nor_the_next_one(run, left):
    result = run(f"""
@pytest.fixture(scope="class")
def client():
    yield Cycle({left})

@pytest.mark.client
class TestClient:
    def test_leaves_it(self, client):
        Cycle({left})
        {left}

    def test_leaves_it_to_its_fixture(self, client):
        Cycle({left})

def test_ours():
    gc.collect()
""")
    result.assert_outcomes(passed=3, warnings=result.parseoutcomes()["warnings"])
