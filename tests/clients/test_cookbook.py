"""The pages of docs/clients/: each program in them is run, as it stands there, against a running emulator.

A section (##) of a page has one or more programs (python, js); a sh block in it is the command that runs
each of them as bot.py or bot.js, without one the interpreter does. A json, ini or toml block is a file that
lies beside it, where KEY, SECRET, CA and the default ports stand for the venue's; a section without a program
has the files of those before it. A text block after a program is what it prints, with … for what differs.

Clients that the test environment lacks are skipped. To check them, install them elsewhere:
COOKBOOK_BIN=/path/to/venv/bin NODE_PATH=/path/to/node_modules pytest tests/clients/test_cookbook.py
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.run.support import namespaces_refused
from tests.running import ROOT, environment, running

PAGES = ROOT / "docs" / "clients"
PATIENCE_S = 100
PROGRAMS = {"python": ("bot.py", "python"), "js": ("bot.js", "node")}
FILES = {"json": "config.json", "ini": "config.ini", "toml": "config.toml"}
FIND = "import importlib.util, sys; sys.exit(not importlib.util.find_spec(sys.argv[1]))"
COMMANDS = {"freqtrade": "command -v freqtrade", "kraken-cli": "kraken ticker --help"}
"""Pages of clients that are a command, and what tells that it is there: python-kraken-sdk has a `kraken`."""
KINDS = {*PROGRAMS, *FILES, "sh", "text"}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
pytestmark = pytest.mark.client


@dataclass
class Recipe:
    """One program of a page, the command that runs it, the files beside it, and what it prints."""

    page: str
    section: str
    language: str = ""
    code: str = ""
    command: str = ""
    files: dict[str, str] = field(default_factory=dict)
    prints: str | None = None

    def needs(self):
        """Return what the program imports; the page's name where there is no program."""
        if self.language == "python":
            found = [node for node in ast.walk(ast.parse(self.code)) if isinstance(node, ast.Import)]
            parts = [node for node in ast.walk(ast.parse(self.code)) if isinstance(node, ast.ImportFrom)]
            names = [name.name for node in found for name in node.names] + [
                str(node.module) for node in parts
            ]
            return sorted({name.partition(".")[0] for name in names} - sys.stdlib_module_names)
        if self.language == "js":
            return re.findall(r'require\("([^":]+)"\)', self.code)
        return [self.page]

    def missing(self):
        """Return the first of what it needs that is not installed."""
        for name in self.needs():
            if self.language == "python":
                command = [
                    "python",
                    "-c",
                    f"import importlib.util as u, sys; sys.exit(not u.find_spec({name!r}))",
                ]
            elif self.language == "js":
                command = ["node", "-e", f"require.resolve({name!r})"]
            else:
                command = ["sh", "-c", COMMANDS[name]]
            if not shutil.which(command[0], path=PATH):
                return command[0]
            if subprocess.run(
                command, env=environment(PATH=PATH), capture_output=True, check=False
            ).returncode:
                return f"npm's {name}" if self.language == "js" else name
        return None


PATH = os.pathsep.join(
    [*filter(None, [os.environ.get("COOKBOOK_BIN")]), str(Path(sys.executable).parent), os.environ["PATH"]]
)


def recipes():
    for path in sorted(PAGES.glob("*.md")):
        if path.name == "README.md":
            continue
        earlier = {}
        for section in re.split(r"^## ", path.read_text(), flags=re.MULTILINE)[1:]:
            for recipe in section_recipes(path.stem, section, earlier):
                earlier |= recipe.files
                yield recipe


def section_recipes(page, text, earlier):
    title = text.partition("\n")[0]
    blocks = BLOCK.findall(text)
    assert {kind for kind, _ in blocks} <= KINDS, f"{page}, {title}: a block that no test runs"
    shell = [code for kind, code in blocks if kind == "sh"]
    assert len(shell) <= 1, f"{page}, {title}: more than one command"
    files = {FILES[kind]: code for kind, code in blocks if kind in FILES}
    found = []
    for kind, code in blocks:
        if kind in PROGRAMS:
            name, interpreter = PROGRAMS[kind]
            command = shell[0] if shell else f"{interpreter} {name}"
            found.append(Recipe(page, title, kind, code, command, {**files, name: code}))
        elif kind == "sh" and not any(other in PROGRAMS for other, _ in blocks):
            found.append(Recipe(page, title, command=code, files={**earlier, **files}))
        elif kind == "text":
            found[-1].prints = code
    return found


RECIPES = list(recipes())
IDS = [f"{recipe.page}, {recipe.section}" for recipe in RECIPES]


@pytest.fixture(scope="module")
def venue(accounts_profile):
    with running("--tier", "local", "--accounts", accounts_profile, "--proxy") as venue:
        yield venue


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with the command, and where emulators of `kraken-emulator run` keep their CA."""
    folder = tmp_path_factory.mktemp("home")
    command = folder / "bin" / "kraken-emulator"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m emulator "$@"\n')
    command.chmod(0o755)
    return folder


@pytest.mark.parametrize("recipe", RECIPES, ids=IDS)
def test_a_page_is_true(recipe, venue, home, tmp_path):
    if missing := recipe.missing():
        pytest.skip(f"{missing} is not installed")
    if "kraken-emulator run" in recipe.command and (refused := namespaces_refused()):
        pytest.skip(refused)
    accounts = [venue.next_member() for _ in range(3)]
    (tmp_path / "endpoints.json").write_text(json.dumps({**venue.endpoints, "accounts": accounts}))
    (tmp_path / "profiles").symlink_to(ROOT / "profiles")
    words = stand_for(venue, accounts[0])
    for name, text in recipe.files.items():
        (tmp_path / name).write_text(replaced(text, words))
    variables = environment(
        PATH=f"{home / 'bin'}{os.pathsep}{PATH}",
        XDG_DATA_HOME=str(home),
        XDG_CACHE_HOME=str(tmp_path),
        KRAKEN_EMULATOR_CONTROL=venue.endpoints["control"],
    )
    done = subprocess.run(
        ["bash", "-ec", replaced(recipe.command, words)],
        cwd=tmp_path,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    said = f"{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, said
    assert "refused:" not in done.stderr, said
    assert done.stdout, said
    if recipe.prints is not None:
        assert re.fullmatch(pattern(recipe.prints), done.stdout.rstrip(), re.DOTALL), said


def stand_for(venue, account):
    """Return what stands in a page for something of the running venue, and what that is."""
    tier, key = venue.tier(), account["spot"]
    addresses = {
        "http://127.0.0.1:7480": tier["rest"],
        "ws://127.0.0.1:7480": tier["ws"],
        "https://127.0.0.1:7443": tier["tls"]["rest"],
        "wss://127.0.0.1:7443": tier["tls"]["ws"],
        "http://127.0.0.1:7470": tier["proxy"],
    }
    addresses['"CA"'] = f'"{tier["tls"]["ca"]}"'
    return {**addresses, '"KEY"': f'"{key["key"]}"', '"SECRET"': f'"{key["secret"]}"'}


def replaced(text, words):
    for word, value in words.items():
        text = text.replace(word, value)
    return text


def pattern(text):
    """Return a pattern for what is printed; … stands for anything."""
    return ".*".join(re.escape(part) for part in text.rstrip().split("…"))


def test_every_page_is_in_the_table_and_has_something_that_is_run():
    table = (PAGES / "README.md").read_text()
    pages = {path.stem for path in PAGES.glob("*.md")} - {"README"}
    assert pages == {recipe.page for recipe in RECIPES}
    assert [page for page in sorted(pages) if f"({page}.md)" not in table] == []
