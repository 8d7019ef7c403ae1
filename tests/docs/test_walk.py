"""README and the pages, walked command by command as a reader would, beside an emulator that is up.

What starts an emulator, needs containers or packages, or belongs to a page with tests of its own (ci.md, the
client cookbook) is read only: it must be a command that exists, with options that exist.
"""

import json
import re
import shlex
import subprocess
import urllib.request
from dataclasses import dataclass

import ccxt
import pytest

from emulator.arguments import parser
from emulator.settings import Settings
from tests.clients.pointing import ccxt_options
from tests.running import COMMAND, ROOT, environment, running

PAGES = sorted(
    page for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")) if page.name != "coverage.md"
)
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"(?:^ {4}\S.*\n)+", re.MULTILINE)
OURS = re.compile(
    r"(?:^|\$\(|&& |\| |^(?:\S+=\S+ )+)(?:\$ )?(?:\./|\.venv/bin/)?kraken-emulator ([a-z-][^)\n]*)",
    re.MULTILINE,
)
NAMED = re.compile(r'<a id="([^"]+)">')
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
STARTS = {"up", "run", "measure"}
"""Commands that start an emulator of their own: other tests do."""
PLACEHOLDER = re.compile(r"\b[A-Z]{4,}\b|…")
"""A word that a reader is to replace: the line is a synopsis, not a command."""


@dataclass(frozen=True)
class Command:
    """One command of a page."""

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: {' '.join(self.words)}"


def code(page):
    """Return the shell code of a page: indented blocks, and fenced ones of no other language."""
    text = page.read_text()
    blocks = [block for language, block in FENCED.findall(text) if language in ("", "sh", "bash", "console")]
    blocks += [block.replace("\n    ", "\n")[4:] for block in INDENTED.findall(FENCED.sub("", text))]
    return "\n".join(blocks).replace("\\\n", " ")


def command_lines(page):
    """Give the commands of a page that begin with kraken-emulator."""
    for line in OURS.findall(code(page)):
        line = re.split(r" [|>] | && | & | 2>|   +[a-z]", line)[0]
        words = tuple(shlex.split(line, comments=True))
        yield Command(page.relative_to(ROOT).as_posix(), words)


COMMANDS = sorted({command for page in PAGES for command in command_lines(page)}, key=str)
SYNOPSES = [command for command in COMMANDS if PLACEHOLDER.search(" ".join(command.words).partition("--")[0])]
WALKED = [command for command in COMMANDS if command not in SYNOPSES and command.words[0] not in STARTS]


def anchors(page):
    """Return the names that the headings of a page have as link targets."""
    found = []
    for heading in HEADING.findall(FENCED.sub("", page.read_text())):
        name = re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        before = sum(1 for other in found if re.fullmatch(rf"{re.escape(name)}(-\d+)?", other))
        found.append(f"{name}-{before}" if before else name)
    return {*found, *NAMED.findall(page.read_text())}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    for target in LINK.findall(FENCED.sub("", page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there), target


@pytest.mark.parametrize("command", [each for each in COMMANDS if each not in SYNOPSES], ids=str)
def test_every_command_of_the_pages_is_one(command):
    words = command.words
    parser().parse_args(words[: words.index("--")] if "--" in words else words)


def test_the_command_lines_page_has_every_command_and_every_setting():
    page = (ROOT / "docs" / "command-line.md").read_text()
    known = next(action.choices for action in parser()._actions if isinstance(action.choices, dict))
    assert set(re.findall(r"^    kraken-emulator ([a-z]+)", page, re.MULTILINE)) == set(known)
    assert set(Settings.__struct_fields__) <= set(re.findall(r"`([a-z_]+)`", page))


def test_every_make_target_of_the_pages_is_one():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        for target in re.findall(r"(?:^|`)make ([a-z][a-z-]*)", code(page) + page.read_text(), re.MULTILINE):
            assert target in targets, f"{page.name}: make {target}"


def test_prose_is_wrapped():
    for page in PAGES:
        for line in FENCED.sub("", page.read_text()).splitlines():
            uncut = line.startswith("    ") or line.lstrip().startswith(("|", "#"))
            words = re.sub(r"`[^`]*`", "code", line).split()
            assert uncut or len(line) <= 100 or len(words) == 1, f"{page.name}: {line}"


@pytest.fixture(scope="module")
def venue():
    """An emulator with every tier that the pages' commands name."""
    tiers = "local,colo,beeks,aws,us,tokyo"
    with running("--tier", tiers, "--market", "off", "--proxy") as venue:
        yield venue


@pytest.mark.parametrize("command", WALKED, ids=str)
def test_a_command_works_beside_a_running_emulator(command, venue, tmp_path):
    variables = environment(
        PYTHONPATH=str(ROOT),
        KRAKEN_EMULATOR_CONTROL=venue.endpoints["control"],
        KRAKEN_EMULATOR_STATE_FOLDER=str(tmp_path),
    )
    ran = subprocess.run(
        [*COMMAND, *command.words],
        cwd=tmp_path,
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr


def curls(page):
    """Give the calls of the control API that a page makes with curl: method, path, body."""
    for line in re.findall(r"^curl (.*)$", code(page), re.MULTILINE):
        words = shlex.split(line, comments=True)
        urls = [word for word in words if "/control/" in word and not word.startswith("-")]
        if not urls or "$(" in line:
            continue
        body = words[words.index("-d") + 1] if "-d" in words else ""
        method = words[words.index("-X") + 1] if "-X" in words else "GET"
        yield page.name, method, "/control/" + urls[0].partition("/control/")[2], body


CALLS = [call for page in PAGES for call in curls(page)]


def order(venue):
    """Place an order that rests, and return its id."""
    kraken = ccxt.kraken(ccxt_options(venue, venue.endpoints["accounts"][-1]["spot"], "local"))
    return kraken.create_order("BTC/USD", "limit", "buy", 1, 50_000)["id"]


@pytest.mark.parametrize(("page", "method", "path", "body"), CALLS)
def test_a_curl_line_is_answered(page, method, path, body, venue):
    if "$TXID" in path:
        path = path.replace("$TXID", order(venue))
    request = urllib.request.Request(
        venue.endpoints["control"] + path,
        method=method,
        data=body.encode() or None,
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        json.loads(answer.read())
