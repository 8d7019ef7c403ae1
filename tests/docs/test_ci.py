"""The recipes of docs/ci.md: their files are valid, what they name exists, and their steps are run.

Each yaml block is a whole file, named by its first line.  Steps run in a project with a tiny test-suite, one
after another as GitHub and GitLab run them, with stand-ins (`STAND_INS`) for what would change this machine.
A service container is an emulator that the test starts with the container's variables.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from ruamel.yaml import YAML

from emulator.arguments import parser
from emulator.settings import ENVIRONMENT, Settings, load
from tests.run.support import namespaces_refused
from tests.running import ROOT, environment, running, wait_until

PAGE = (ROOT / "docs" / "ci.md").read_text()
SCHEMAS = {".github/workflows/": "vendor.github-workflows", ".gitlab-ci.yml": "vendor.gitlab-ci"}
KEYWORDS = {"variables", "default", "stages", "workflow", "include"}
"""What stands at the top of a .gitlab-ci.yml and is no job."""
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PATIENCE_S = 100
GONE_S = 20
RTT_MS = {"local": 0, "us": 60, "tokyo": 140}
SURELY = 0.9
"""What is left of an RTT at least, whatever the jitter."""
EXPRESSIONS = {
    "github.repository_owner": "Some-Owner",
    "github.ref_name": "release/1.0",
    "secrets.GITHUB_TOKEN": "the-token",
    "job.services.kraken.id": "the-container",
}
OF_COMMANDS = {"CONTROL", "ENDPOINTS", "CONFIG"}
"""Variables that are not settings: of commands that call an emulator, and of `run`."""


@dataclass
class Recipe:
    """A file of the page."""

    title: str
    name: str
    text: str

    @property
    def data(self) -> dict[str, Any]:
        yaml = YAML(typ="safe", pure=True)
        yaml.version = (1, 1)  # as GitLab reads it: `off` without quotes is false
        return yaml.load(self.text)

    @property
    def on_github(self) -> bool:
        return self.name.startswith(".github/workflows/")


@dataclass
class Job:
    """A job of a recipe: its steps, each with a condition, and the services beside it."""

    steps: list[tuple[str, str]]
    variables: dict[str, str]
    services: list[dict[str, Any]]

    @property
    def script(self) -> str:
        return "\n".join(code for code, _ in self.steps)


def recipes():
    for part in re.split(r"^## ", PAGE, flags=re.MULTILINE):
        for section in re.split(r"^### ", part, flags=re.MULTILINE):
            for language, code in BLOCK.findall(section):
                if language == "yaml":
                    where, title = part.partition("\n")[0], section.partition("\n")[0]
                    name = code.partition("\n")[0].removeprefix("# ")
                    yield Recipe(f"{where}, {title}", name, code)


RECIPES = list(recipes())


def job(recipe):
    """Return the one job of a recipe."""
    if recipe.on_github:
        [(_, found)] = recipe.data["jobs"].items()
        chosen = {name: values[-1] for name, values in found.get("strategy", {}).get("matrix", {}).items()}
        steps, variables = [], {}
        for step in found["steps"]:
            if "run" in step:
                steps.append((expanded(step["run"], chosen), step.get("if", "success()")))
                variables |= {name: expanded(text, chosen) for name, text in step.get("env", {}).items()}
        return Job(steps, variables, list(found.get("services", {}).values()))
    [(_, found)] = ((name, found) for name, found in recipe.data.items() if name not in KEYWORDS)
    lines = [*found.get("before_script", []), *found["script"]]
    services = [service for service in found.get("services", []) if isinstance(service, dict)]
    services = [{**service, "env": service["variables"]} for service in services]
    return Job([("set -eo pipefail\n" + "\n".join(lines), "success()")], found.get("variables", {}), services)


def expanded(text, chosen):
    """Put values for the expressions of GitHub's."""
    values = EXPRESSIONS | {f"matrix.{name}": str(value) for name, value in chosen.items()}
    return re.sub(r"\$\{\{ (\S+) \}\}", lambda match: values[match[1]], text)


# What would change this machine or asks the network says what it was called with, and does nothing; there is
# no netem to be had.  `pipx install kraken-emulator` and the like have been done: the command is on PATH.
STAND_INS = {
    "pip": "",
    "pipx": "",
    "apt-get": "",
    "docker": '[ "$1" != login ] || cat > password',
    "sudo": '[ "$1" != modprobe ] || exit 1; [ "$1" != apt-get ] || [ "$2" != install ] || exit 100',
}

TESTS = """
import time
import urllib.request

def test_it(kraken, record_property):
    begin = time.monotonic()
    urllib.request.urlopen(f"{kraken.rest}/0/public/Time").read()
    record_property("took", 1000 * (time.monotonic() - begin))
    [tier] = kraken.endpoints["tiers"]
    record_property("tier", tier)
"""
# Calls Kraken as a job's environment says: by an address, else by its hostname.
CHECK = """
import { execFileSync } from "node:child_process";
import { createHash, createHmac } from "node:crypto";
import { readFileSync } from "node:fs";

const { KRAKEN_REST, KRAKEN_KEY, KRAKEN_SECRET, KRAKEN_EMULATOR_CONTROL: control } = process.env;
if (process.env.WRONG) throw new Error("wrong");
const begin = performance.now();
process.on("exit", () => console.log("took:", performance.now() - begin));
if (KRAKEN_REST) {
  const headers = { "Content-Type": "application/json" };
  console.log("reset:", (await fetch(`${control}/control/reset`, { method: "POST", headers })).status);
  const path = "/0/private/Balance", nonce = Date.now(), body = `nonce=${nonce}`;
  const digest = createHash("sha256").update(nonce + body).digest();
  const mac = createHmac("sha512", Buffer.from(KRAKEN_SECRET, "base64")).update(path).update(digest);
  const signed = { "API-Key": KRAKEN_KEY, "API-Sign": mac.digest("base64") };
  const form = { "Content-Type": "application/x-www-form-urlencoded" };
  const options = { method: "POST", body, headers: { ...signed, ...form } };
  console.log("answer:", await (await fetch(KRAKEN_REST + path, options)).text());
} else {
  const time = execFileSync("curl", ["-sSf", "https://api.kraken.com/0/public/Time"]);
  console.log("answer:", String(time));
  const file = process.env.KRAKEN_EMULATOR_ENDPOINTS ?? "endpoints.json";
  console.log("accounts:", JSON.parse(readFileSync(file)).accounts.length);
}
"""
# A client with Kraken's hostname in it, whose name service leads to the container.
BOT = """
import http.client
import json
import socket
import ssl
import time
import urllib.parse

[tier] = json.load(open("endpoints.json"))["tiers"].values()
place = urllib.parse.urlsplit(tier["tls"]["rest"])
context = ssl.create_default_context()
plain = socket.create_connection((place.hostname, place.port))
call = http.client.HTTPSConnection("api.kraken.com", context=context)
call.sock = context.wrap_socket(plain, server_hostname="api.kraken.com")
begin = time.monotonic()
call.request("GET", "/0/public/Time")
print("answer:", call.getresponse().read().decode())
print("took:", 1000 * (time.monotonic() - begin))
"""


@pytest.fixture
def project(tmp_path):
    """A project with a tiny test-suite, and the stand-ins."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "test_bot.py").write_text(TESTS)
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "check.mjs").write_text(CHECK)
    (folder / "bot.py").write_text(BOT)
    (folder / "requirements.txt").touch()
    package = {"name": "bot", "version": "1.0.0"}
    (folder / "package.json").write_text(json.dumps({**package, "scripts": {"test": "node check.mjs"}}))
    lock = {**package, "lockfileVersion": 3, "requires": True, "packages": {"": package}}
    (folder / "package-lock.json").write_text(json.dumps(lock))
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, code in STAND_INS.items():
        (commands / name).write_text(f'#!/bin/bash\necho "called: {name} $*"\n{code}\n')
    (commands / "kraken-emulator").write_text(
        f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m emulator "$@"\n'
    )
    for command in commands.iterdir():
        command.chmod(0o755)
    return folder


class Runner:
    """Runs a job's steps as GitHub does, a file having the environment of the next; ends what they left."""

    def __init__(self, folder):
        self.folder = folder
        self.said = ""
        self._groups = []
        self._exports = folder.parent / "exports"
        self._variables = environment(
            PATH=os.pathsep.join(
                (str(folder.parent / "bin"), str(Path(sys.executable).parent), os.environ["PATH"])
            ),
            HOME=str(folder.parent),
            XDG_DATA_HOME=str(folder.parent / "data"),
            RUNNER_TEMP=str(folder.parent),
            GITHUB_ENV=str(self._exports),
            CI_PROJECT_DIR=str(folder),
            npm_config_offline="true",
            npm_config_update_notifier="false",
        )
        for name in [name for name in self._variables if name.startswith(("PYTEST_", "COV_"))]:
            del self._variables[name]

    def run(self, job, words, **more):
        """Run the steps; True when all went well."""
        variables, good = (
            self._variables | {name: str(value) for name, value in job.variables.items()} | more,
            True,
        )
        for code, condition in job.steps:
            assert condition in ("success()", "failure()")
            if good is (condition == "success()"):
                good = self._step(replaced(code, words), variables) and good
        return good

    def _step(self, code, variables):
        self._exports.touch()
        exported = dict(line.split("=", 1) for line in self._exports.read_text().splitlines())
        output = self.folder.parent / "output"
        with output.open("wb") as said:
            shell = subprocess.Popen(
                ["bash", "-e", "-c", code],
                cwd=self.folder,
                env={**variables, **exported},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._groups.append(shell.pid)
            shell.wait(PATIENCE_S)
        self.said += output.read_text()
        return shell.returncode == 0

    def end(self):
        """End what runs in the background still, as both do at a job's end."""
        for group in self._groups:
            if members(group):
                os.killpg(group, signal.SIGTERM)
        for group in self._groups:
            wait_until(lambda group=group: not members(group), GONE_S, "the job's processes gone")


def members(group):
    """Return the processes of a group that are not over."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, pgrp, *_ = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(pgrp) == group and state not in "ZX":
            found.append(int(path.parent.name))
    return found


@pytest.fixture
def runner(project):
    runner = Runner(project)
    yield runner
    runner.end()


def replaced(text, words):
    for word, value in words.items():
        text = text.replace(word, value)
    return text


def settings_of(service):
    """Return the settings that a service's container gets."""
    return {name: value for name, value in service["env"].items() if name.startswith(ENVIRONMENT)}


def test_every_file_is_where_it_belongs():
    assert len(RECIPES) > 12
    for recipe in RECIPES:
        assert re.fullmatch(r"\.github/workflows/\w+\.yml|\.gitlab-ci\.yml", recipe.name), recipe.title
        assert recipe.on_github is recipe.title.startswith("GitHub"), recipe.title


@pytest.mark.parametrize("place", SCHEMAS)
def test_every_file_is_valid(place, tmp_path):
    files = []
    for number, recipe in enumerate(RECIPES):
        if recipe.name.startswith(place):
            files.append(tmp_path / f"{number}.yml")
            files[-1].write_text(recipe.text)
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", SCHEMAS[place], *map(str, files)]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(files[0].read_text().replace("timeout", "time-out"))
    done = subprocess.run([*check[:5], str(wrong)], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "('time-out" in done.stdout


@pytest.mark.parametrize("recipe", RECIPES, ids=[recipe.title for recipe in RECIPES])
def test_a_recipe_works(recipe, runner):
    its = job(recipe)
    if "kraken-emulator run" in its.script and (refused := namespaces_refused()):
        pytest.skip(refused)
    for command in ("npm", "jq"):
        if re.search(rf"\b{command}\b", its.script) and not shutil.which(command):
            pytest.skip(f"{command} is not installed")
    with ExitStack() as stack:
        words = {}
        services = [service for service in its.services if settings_of(service)]
        if services:
            [service] = services
            venue = stack.enter_context(running(**settings_of(service)))
            host = "kraken" if not recipe.on_github else "localhost"
            words = {f"http://{host}:7490": venue.endpoints["control"]}
        assert runner.run(its, words), runner.said
        runner.end()
    assert "refused:" not in runner.said, runner.said
    if "docker build" in its.script:
        check_image(runner)
    elif "pytest" in its.script:
        check_report(runner, its)
    else:
        check_answer(runner, its)
    if "modprobe" in its.script:
        assert "::warning::no sch_netem" in runner.said, runner.said
        assert "called: sudo apt-get install" in runner.said


def check_image(runner):
    called = [shlex.split(line)[1:] for line in re.findall(r"^called: (.*)$", runner.said, re.MULTILINE)]
    build, attempt, login, *pushes = called
    assert build[:3] == ["build", "-f", "docker/Dockerfile"]
    assert build[-1] == "."
    tags = [build[at + 1] for at, word in enumerate(build) if word == "-t"]
    assert attempt == ["run", "--rm", tags[0], "version"]
    assert login[0] == "login"
    assert sorted(pushes) == sorted(["push", tag] for tag in tags)
    if "ghcr.io" in login:
        assert set(tags) == {f"ghcr.io/some-owner/kraken-emulator:{tag}" for tag in ("release-1.0", "latest")}
        assert (runner.folder / "password").read_text() == "the-token\n"


def check_report(runner, its):
    assert "1 passed" in runner.said, runner.said
    root = ElementTree.parse(runner.folder / "report.xml").getroot()
    found = {each.get("name"): each.get("value") for each in root.iter("property")}
    wanted = re.search(r"tier = (\w+)", its.script)
    assert found["tier"] == (wanted[1] if wanted else "local")
    assert float(found["took"]) > RTT_MS[found["tier"]] * SURELY


def check_answer(runner, its):
    [answer] = re.findall(r"^answer: (.*)$", runner.said, re.MULTILINE)
    assert json.loads(answer)["error"] == [], runner.said
    if "KRAKEN_REST" in its.script:
        assert "reset: 200" in runner.said, runner.said
        assert "ZUSD" in answer, runner.said
    [took] = re.findall(r"^took: (.*)$", runner.said, re.MULTILINE)
    [tier] = re.findall(r"--tier (\w+)", its.script) or [
        service["env"]["KRAKEN_EMULATOR_TIER"] for service in its.services
    ]
    assert float(took) > RTT_MS[tier] * SURELY, runner.said


def test_what_kraken_said_is_shown_when_the_tests_fail(runner):
    [recipe] = [recipe for recipe in RECIPES if recipe.title == "GitHub Actions, Another language"]
    for command in ("npm", "jq"):
        if not shutil.which(command):
            pytest.skip(f"{command} is not installed")
    assert not runner.run(job(recipe), {}, WRONG="1")
    assert "Error: wrong" in runner.said
    assert "alice" in runner.said.partition("Error: wrong")[2], runner.said


def commands():
    """Give the command lines of the page that begin with kraken-emulator, as words."""
    code = [block for _, block in BLOCK.findall(PAGE)]
    code += re.findall(r"`(kraken-emulator [^`\n]+|[^`\n]*kraken-emulator[^`\n]*)`", BLOCK.sub("", PAGE))
    text = "\n".join(code).replace("\\\n", " ").replace('"${{ matrix.tier }}"', "us")
    for found in re.findall(r"(?<![\w/{-])kraken-emulator ([a-z].*)", text):
        words = re.split(r" > | \|\| | && | 2>|[)\"`]", found)[0]
        yield shlex.split(words, comments=True)


def test_every_command_is_one():
    seen = set()
    for words in commands():
        own = words[: words.index("--")] if "--" in words else words
        parser().parse_args(own)
        seen.add(own[0])
    assert seen >= {"up", "run", "env", "health", "doctor", "clock"}


def test_every_option_and_variable_is_one():
    up = next(action for action in parser()._actions if action.choices).choices["up"]
    known = set(up._option_string_actions)
    mentioned = set(re.findall(r"`(--[a-z-]+)(?: \S+)?`", PAGE))
    assert mentioned <= known, mentioned - known
    fields = {name.upper() for name in Settings.__struct_fields__} | OF_COMMANDS
    named = set(re.findall(rf"{ENVIRONMENT}([A-Z_]+)", PAGE))
    assert named <= fields, named - fields


def test_settings_of_containers_are_good():
    found = 0
    for recipe in RECIPES:
        for service in job(recipe).services:
            values = settings_of(service)
            assert all(isinstance(value, str) for value in values.values()), recipe.title
            load({}, values)
            found += 1
    assert found == 3


def test_what_is_installed_exists():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for extra in re.findall(r"kraken-emulator\[(\w+)\]", PAGE):
        assert extra in extras


def test_links_within_the_page_lead_somewhere():
    anchors = []
    for heading in re.findall(r"^#+ (.*)$", BLOCK.sub("", PAGE), re.MULTILINE):
        name = re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        before = sum(1 for anchor in anchors if re.fullmatch(rf"{name}(-\d+)?", anchor))
        anchors.append(f"{name}-{before}" if before else name)
    linked = re.findall(r"\]\(#([^)]+)\)", PAGE)
    assert linked
    assert set(linked) <= set(anchors), set(linked) - set(anchors)
