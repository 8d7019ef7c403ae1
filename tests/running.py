"""An emulator in a process of its own, as users start it."""

import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
COMMAND = (sys.executable, "-m", "emulator")
START_S = 60.0
"""How long a start may take on a machine that is busy with the other tests."""
STOP_S = 20.0
POLL_S = 0.01


def environment(**more: str) -> dict[str, str]:
    """Return this process's environment without settings for the emulator, and with ``more``."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("KRAKEN_EMULATOR_")}
    return ours | more


def kraken_emulator(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end; ``variables`` are added to its environment."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )


def wait_until(condition: Callable[[], Any], timeout_s: float, what: str) -> Any:
    """Return the first true value of ``condition``; AssertionError when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(POLL_S)
    return value


class Running:
    """One emulator that is up."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process = process
        self.pid = process.pid
        self.endpoints: dict[str, Any] = {}
        self._folder = folder
        self._accounts: Iterator[dict[str, Any]]

    def ready(self, endpoints_file: Path) -> None:
        """Wait until the endpoints file appears, and what is printed behind it."""
        wait_until(lambda: endpoints_file.exists() or self._ended(), START_S, "the endpoints file")
        assert not self._ended(), f"exit code {self.process.returncode}\n{self.output()}"
        wait_until(self.stdout, START_S, "what it prints")
        self.endpoints = json.loads(endpoints_file.read_bytes())
        self._accounts = itertools.cycle(self.endpoints["accounts"])

    def tier(self, name: str | None = None) -> dict[str, Any]:
        """Return the endpoints of a tier; of the first when no name is given."""
        tiers = self.endpoints["tiers"]
        found: dict[str, Any] = tiers[name] if name else next(iter(tiers.values()))
        return found

    def next_account(self) -> dict[str, Any]:
        """Return the key and secret of an account that nobody was given yet, as long as there is one."""
        spot: dict[str, Any] = self.next_member()["spot"]
        return spot

    def next_member(self) -> dict[str, Any]:
        """Return all that the endpoints file says of such an account."""
        return next(self._accounts)

    def stdout(self) -> str:
        """Return what the emulator printed so far."""
        return (self._folder / "stdout").read_text()

    def output(self) -> str:
        """Return all that it said so far, errors included."""
        return self.stdout() + (self._folder / "stderr").read_text()

    def stop(self, number: int = signal.SIGINT) -> None:
        """Stop it; it must end with exit code 0 and without a traceback."""
        self.process.send_signal(number)
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running {STOP_S:g} s after signal {number}") from None
        assert self.process.returncode == 0, f"exit code {self.process.returncode}\n{self.output()}"
        assert "Traceback" not in self.output(), self.output()

    def _ended(self) -> bool:
        return self.process.poll() is not None


@contextmanager
def running(*arguments: str, **variables: str) -> Iterator[Running]:
    """Start ``kraken-emulator up`` with ``arguments``; stop it at the end unless the test did.

    Unless the arguments say otherwise, its link is ``stream``, the same on every machine, and rate limits are
    off: tests in parallel are many clients of one address.
    """
    with tempfile.TemporaryDirectory(prefix="kraken-emulator-") as name:
        folder = Path(name)
        endpoints_file = folder / "endpoints.json"
        places = ("--endpoints-file", str(endpoints_file), "--state-folder", str(folder / "state"))
        usual = () if "--link" in arguments else ("--link", "stream")
        if "--rate-limits" not in arguments:
            usual += ("--rate-limits", "off")
        with (folder / "stdout").open("wb") as stdout, (folder / "stderr").open("wb") as stderr:
            process = subprocess.Popen(
                [*COMMAND, "up", "--ports", "auto", *places, *usual, *arguments],
                cwd=ROOT,
                env=environment(**variables),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )
        venue = Running(process, folder)
        try:
            venue.ready(endpoints_file)
            yield venue
            if process.poll() is None:
                venue.stop()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
