"""`kraken-emulator run` in a process of its own."""

import json
import subprocess
import sys
import tempfile

from tests.running import COMMAND, ROOT, environment

PATIENCE_S = 60
NEAR = ("--tier", "local", "--market", "off")
PYTHON = sys.executable


def namespaces_refused():
    """Say why no namespaces can be had here, without asking more of `run` than that."""
    code = "from emulator.run import spaces; spaces.enter(network=True)"
    done = subprocess.run([PYTHON, "-c", code], **options())
    return done.stderr.splitlines()[-1] if done.returncode and "OSError" in done.stderr else None


def options(**more):
    return {
        "cwd": ROOT,
        "env": environment(XDG_DATA_HOME=FOLDER.name),
        "capture_output": True,
        "text": True,
        "timeout": PATIENCE_S,
        **more,
    }


FOLDER = tempfile.TemporaryDirectory(prefix="kraken-emulator-test-run-")


def run(*command, before=(), settings=NEAR, **more):
    """Run a command; give what became of it."""
    return subprocess.run([*before, *COMMAND, "run", *settings, "--", *command], **options(**more))


def python(code, *, settings=NEAR, told="", **more):
    """Run Python code; give the JSON that it prints last. `told` is what it must have been refused."""
    done = run(PYTHON, "-c", code, settings=("--quiet", *settings), **more)
    said = f"kraken-emulator: refused: {told}\n" if told else ""
    assert (done.returncode, done.stderr) == (0, said)
    return json.loads(done.stdout.splitlines()[-1])


def as_nobody(*command):
    return ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command)
