"""Signals: what ends programs that we start, whatever whoever started us made of them."""

import os
import signal
import subprocess
import sys

import pytest

from tests.run.support import NEAR
from tests.running import COMMAND, ROOT, environment, running

PATIENCE_S = 60
INHERITED = """
import os, signal, sys
how, names, *command = sys.argv[1:]
numbers = [getattr(signal, name) for name in names.split(",")]
if how == "blocked":
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
for number in numbers if how == "ignored" else ():
    signal.signal(number, signal.SIG_IGN)
os.execv(command[0], command)
"""
"""Become a command that inherits what `how` and the signals' names say."""


def inheriting(how, names, *command):
    return (sys.executable, "-c", INHERITED, how, names, *command)


ENDING = "SIGINT,SIGTERM,SIGHUP,SIGCHLD"


@pytest.fixture
def venue(monkeypatch, request):
    monkeypatch.setattr("tests.running.COMMAND", inheriting(*request.param, *COMMAND))
    with running(*NEAR) as venue:
        yield venue


@pytest.mark.parametrize(
    "venue", [("ignored", ENDING), ("blocked", ENDING)], indirect=True, ids=lambda v: v[0]
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_venue_ends_in_order_whatever_it_inherited(venue, number):
    venue.stop(number)


@pytest.mark.parametrize("venue", [("ignored", "SIGUSR2")], indirect=True, ids=["as a terminal"])
def test_a_closed_terminal_ends_the_venue_in_order(venue):
    venue.stop(signal.SIGHUP)


@pytest.mark.parametrize("venue", [("ignored", "SIGHUP")], indirect=True, ids=["nohup"])
def test_a_closed_terminal_does_not_end_what_nohup_started(venue):
    venue.process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        venue.process.wait(1)
    venue.stop(signal.SIGTERM)


@pytest.mark.parametrize("how", ["ignored", "blocked"])
def test_the_exit_code_of_a_command_is_told_whatever_was_inherited(how):
    done = subprocess.run(
        inheriting(how, "SIGCHLD", *COMMAND, "run", "--quiet", *NEAR, "--", "sh", "-c", "exit 3"),
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")


OURS = """
import subprocess, sys

def test_what_is_started_has_the_defaults():
    code = "from signal import *; print(getsignal(SIGINT).__name__, int(getsignal(SIGHUP)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "default_int_handler 0\\n", done.stderr
"""


@pytest.mark.parametrize("workers", ["0", "1"])
def test_programs_that_tests_start_do_not_inherit_what_the_tests_did(tmp_path, workers):
    (tmp_path / "test_ours.py").write_text(OURS)
    command = (sys.executable, "-m", "pytest", "-q", "-p", "tests.inherited", "-p", "no:cacheprovider")
    done = subprocess.run(
        inheriting("ignored", "SIGINT,SIGHUP", *command, "-n", workers, "-c", os.devnull, str(tmp_path)),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout
