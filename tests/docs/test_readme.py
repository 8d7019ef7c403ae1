"""README's program runs as it stands there, and what the pages say of installing works."""

import os
import re
import subprocess
import sys

import pytest

from tests.running import ROOT, environment, running

README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PATIENCE_S = 100
INSTALLS = re.compile(r"\b(?:pip|pipx) install (.*kraken[-_]emulator.*)")
PLACEHOLDER = "git+https://git.example/kraken-emulator"


@pytest.fixture(scope="module")
def venue():
    with running("--rate-limits", "on") as venue:
        yield venue


def test_the_program_runs_as_it_stands_and_prints_what_it_did(venue):
    [program] = re.findall(r"^```python\n(import ccxt.*?)^```", README, re.MULTILINE | re.DOTALL)
    words = {
        "http://127.0.0.1:7480": venue.tier()["rest"],
        "http://127.0.0.1:7490": venue.endpoints["control"],
    }
    for word, value in words.items():
        assert word in program
        program = program.replace(word, value)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, last = done.stdout.splitlines()
    assert re.fullmatch(r"\d+\.\d+ \{'free': .*\}", first)
    assert "'cost': " in last


@pytest.mark.parametrize("page", PAGES, ids=lambda page: os.path.relpath(page, ROOT))
def test_examples_switch_ccxts_own_throttle_off(page):
    """Else each call takes up to a second, whatever the tier is."""
    code = "".join(re.findall(r"^```(?:python|js)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL))
    made = len(re.findall(r"ccxt(?:\.pro)?\.kraken\(", code))
    assert len(re.findall(r"enableRateLimit\"?: (?:False|false)", code)) == made


@pytest.mark.parametrize("page", PAGES, ids=lambda page: os.path.relpath(page, ROOT))
def test_no_page_installs_from_an_index_what_is_not_there(page):
    for wanted in INSTALLS.findall(page.read_text()):
        if not wanted.startswith("kraken-emulator` finds nothing"):
            assert re.match(r"(?:-e )?[\"']?\.", wanted) or PLACEHOLDER in wanted, wanted
