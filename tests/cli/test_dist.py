"""What `make dist` makes: a wheel and a source archive, from which users install."""

import os
import subprocess
import sys
import sysconfig
import tarfile

import pytest

from emulator import __version__
from tests.running import ROOT, environment

BUILD_S = 100
MAKE = "-m build --no-isolation --outdir"
TEST = """
import emulator

def test_it(kraken):
    assert kraken.control.book("BTC/USD")["bids"] == []
    print(emulator.__file__)
"""


def tell(*words, home="/nonexistent", cwd=None):
    """Run a command as somebody who has nothing of this checkout; give what it printed."""
    variables = environment(PYTHONDONTWRITEBYTECODE="1", XDG_DATA_HOME=str(home))
    for name in ("PYTHONPATH", "VIRTUAL_ENV", *(name for name in variables if name.startswith("PYTEST_"))):
        variables.pop(name, None)
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env=variables,
        capture_output=True,
        text=True,
        timeout=BUILD_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """The folder with what is made."""
    folder = tmp_path_factory.mktemp("dist")
    tell(sys.executable, *MAKE.split(), folder, ROOT)
    return folder


def test_make_dist_builds_as_these_tests_do():
    assert f"{MAKE} dist ." in (ROOT / "Makefile").read_text()


def test_the_wheel_installs_into_a_fresh_environment_and_works(dist, tmp_path):
    [wheel] = dist.glob("*.whl")
    fresh = tmp_path / "fresh"
    tell(sys.executable, "-m", "venv", "--without-pip", fresh)
    python = fresh / "bin" / "python"
    tell(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel)
    own = sysconfig.get_path("purelib", vars={"base": str(fresh), "platbase": str(fresh)})
    # What it depends on is taken from here: no network is needed.
    with open(os.path.join(own, "dependencies.pth"), "w", encoding="utf-8") as file:
        file.write(sysconfig.get_path("purelib") + "\n")
    assert tell(fresh / "bin" / "kraken-emulator", "version") == f"kraken-emulator {__version__}\n"
    assert "tokyo" in tell(fresh / "bin" / "kraken-emulator", "tiers")
    (tmp_path / "test_it.py").write_text(TEST)
    said = tell(
        python,
        "-m",
        "pytest",
        "-q",
        "-s",
        "-p",
        "no:cacheprovider",
        "test_it.py",
        home=tmp_path,
        cwd=tmp_path,
    )
    assert "1 passed" in said
    assert str(fresh) in said


def test_the_source_archive_has_what_the_wheel_is_made_of_and_the_tests(dist):
    [archive] = dist.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    wanted = {
        "emulator/cli.py",
        "kraken_emulator_pytest.py",
        "profiles/tiers/tokyo.toml",
        "tests/cli/test_dist.py",
        "docs/testing.md",
        "Makefile",
    }
    assert wanted <= names
