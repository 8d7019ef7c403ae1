"""The examples of docs/testing.md do what it says."""

import re
import shutil
import subprocess
import sys

import pytest

from tests.running import COMMAND, ROOT, environment

pytest_plugins = "pytester"

GUIDE = (ROOT / "docs" / "testing.md").read_text()


def examples(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def shell(tmp_path):
    """Run a command where ``kraken-emulator`` is one."""
    command = tmp_path / "bin" / "kraken-emulator"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {" ".join(COMMAND)} "$@"\n')
    command.chmod(0o700)

    def shell(*words: str) -> str:
        path = f"{command.parent}:{environment()['PATH']}"
        variables = environment(PATH=path, PYTHONPATH=str(ROOT), XDG_DATA_HOME=str(tmp_path / "data"))
        done = subprocess.run(
            words, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=100, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return shell


def test_pytest(run):
    result = run(examples("python")[0])
    result.assert_outcomes(passed=2)


def test_settings_for_one_test(run):
    run("import pytest\n\n" + examples("python")[1]).assert_outcomes(passed=2)


def test_settings(run):
    [options] = re.findall(r"^kraken_emulator_options = \[(.*)\]", examples("toml")[0], re.MULTILINE)
    lines = "".join(f"    {option}\n" for option in re.findall(r'"([^"]*)"', options))
    source = """
def test_settings(kraken):
    assert list(kraken.tiers) == ["us"]
    assert kraken.control.book("BTC/USD")["bids"]
"""
    run(source, ini=f"kraken_emulator_options =\n{lines}").assert_outcomes(passed=1)


def test_unittest(shell, tmp_path):
    (tmp_path / "test_it.py").write_text(examples("python")[2])
    assert "Ran 1 test" in shell(sys.executable, "-W", "error", "-m", "unittest", "test_it")


@pytest.mark.skipif(not shutil.which("jq") or not shutil.which("curl"), reason="jq or curl is not installed")
def test_shell(shell):
    assert '{"error":[],"result":{"unixtime":' in shell("sh", "-c", examples("sh")[0])


@pytest.mark.skipif(not shutil.which("node"), reason="Node is not installed")
def test_node(shell, tmp_path):
    use = """
const kraken = await startKraken();
console.log((await kraken.reset()).status, kraken.accounts[0].name);
console.log(await (await fetch(`${kraken.tiers.local.rest}/0/public/Time`)).json());
kraken.stop();
"""
    (tmp_path / "kraken.mjs").write_text(examples("js")[0] + use)
    said = shell("node", "kraken.mjs")
    assert "200 alice" in said
    assert "unixtime" in said
