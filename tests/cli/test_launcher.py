"""The command after `make emulate`: the clone's launcher, and the next commands that `up` tells."""

import os
import shutil
import subprocess
import sys

import pytest

from emulator import up
from tests.running import ROOT, environment, running

MAKEFILE = """\
$(VENV)/.run: pyproject.toml
\t@echo setting up
\t@mkdir -p $(VENV)/bin
\t@printf '#!/bin/sh\\npwd; printf "<%%s>" "$$@"\\nexit 3\\n' > $(VENV)/bin/kraken-emulator
\t@chmod +x $(VENV)/bin/kraken-emulator
\t@touch $@
"""


def launch(program, cwd):
    return subprocess.run(
        [program, "up", "a b"], cwd=cwd, env=environment(VENV=""), capture_output=True, text=True, timeout=60
    )


def test_the_launcher_sets_up_once_and_runs_the_command_where_its_user_stands(tmp_path):
    clone, elsewhere = tmp_path / "clone", tmp_path / "else where"
    clone.mkdir()
    elsewhere.mkdir()
    shutil.copy(ROOT / "kraken-emulator", clone)
    (clone / "Makefile").write_text(MAKEFILE)
    (clone / "pyproject.toml").touch()
    (elsewhere / "link").symlink_to(clone / "kraken-emulator")

    first = launch(clone / "kraken-emulator", elsewhere)
    assert (first.stdout, first.stderr, first.returncode) == (f"{elsewhere}\n<up><a b>", "setting up\n", 3)
    second = launch(elsewhere / "link", elsewhere)
    assert (second.stdout, second.stderr, second.returncode) == (first.stdout, "", 3)
    os.utime(clone / ".venv/.run", (0, 0))  # as if the project had changed since
    assert launch("./kraken-emulator", clone).stderr == "setting up\n"


def test_a_setup_that_fails_ends_it(tmp_path):
    shutil.copy(ROOT / "kraken-emulator", tmp_path)
    (tmp_path / "Makefile").write_text("$(VENV)/.run:\n\t@echo no python; exit 1\n")
    (tmp_path / "pyproject.toml").touch()
    done = launch("./kraken-emulator", tmp_path)
    assert (done.stdout, done.returncode) == ("", 2)
    assert "no python" in done.stderr


def test_every_command_that_up_tells_works_from_where_it_stands():
    with running("--tier", "local,us", "--proxy", "--market", "off", "--fix", "off") as venue:
        told = venue.stdout().partition("in another terminal:\n")[2].partition("\n\n")[0].splitlines()
        commands = [line.strip().rpartition("  ")[0].strip() for line in told]
        assert [command.split(" emulator ")[1].split()[0].rstrip(')"') for command in commands] == [
            *("accounts", "endpoints", "deposit", "link", "env", "measure")
        ]
        for command in commands[:-1]:
            done = subprocess.run(
                ["sh", "-c", command], cwd=ROOT, env=environment(), capture_output=True, text=True
            )
            assert (done.returncode, done.stderr) == (0, ""), command
        measure = subprocess.run(
            ["sh", "-c", f"{commands[-1]} --help"], cwd=ROOT, capture_output=True, timeout=60
        )
        assert measure.returncode == 0


@pytest.mark.parametrize(
    ("started", "in_path", "here", "expected"),
    [
        ("{bin}/kraken-emulator", "{bin}", "/", "kraken-emulator"),
        ("{bin}/kraken-emulator", "/nowhere", "{root}", "./kraken-emulator"),
        ("{bin}/kraken-emulator", "/nowhere", "/", "{root}/kraken-emulator"),
        ("{root}/emulator/__main__.py", "{bin}", "/", f"{sys.executable} -m emulator"),
    ],
)
def test_the_command_is_called_by_its_name_its_launcher_or_as_it_was(
    monkeypatch, tmp_path, started, in_path, here, expected
):
    program = tmp_path / "kraken-emulator"
    program.touch(0o755)
    places = {"bin": tmp_path, "root": ROOT}
    monkeypatch.setattr(sys, "argv", [started.format(**places)])
    monkeypatch.setenv("PATH", in_path.format(**places))
    monkeypatch.chdir(here.format(**places))
    assert up.called() == expected.format(**places)
