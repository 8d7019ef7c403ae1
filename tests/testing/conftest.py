"""Runs of pytest with the plugin, as users have it."""

import os
import tomllib

import pytest

from tests.running import ROOT


@pytest.fixture
def run(pytester, monkeypatch):
    """Run a test file with pytest in a process of its own; warnings are errors there."""
    metadata = pytester.path / "site" / "kraken_emulator-0.dist-info"
    metadata.mkdir(parents=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    [(name, module)] = project["entry-points"]["pytest11"].items()
    (metadata / "entry_points.txt").write_text(f"[pytest11]\n{name} = {module}\n")
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: kraken-emulator\nVersion: 0\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(metadata.parent), str(ROOT))))
    monkeypatch.setenv("XDG_DATA_HOME", str(pytester.path / "data"))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    for variable in [name for name in os.environ if name.startswith("PYTEST_XDIST")]:
        monkeypatch.delenv(variable)

    def run(source, *arguments, ini=""):
        pytester.makeini(f"[pytest]\naddopts = -W error --strict-markers --strict-config\n{ini}")
        pytester.makepyfile(source)
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments, timeout=100)

    return run
