"""The command that is run: forked while the process is small, executed when the venue answers."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence

NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""Exit codes of a command that cannot be executed, as with env(1)."""
PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
FROM_THE_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
"""These reach the command by themselves where it is in the terminal's foreground."""

_PR_SET_PDEATHSIG = 1


class Child:
    """A process that waits to become the command. It ends with this one."""

    def __init__(self, command: Sequence[str]) -> None:
        heard, told = os.pipe()
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(told)
            try:
                _become(command, heard, parent)
            finally:
                os._exit(NOT_EXECUTABLE)
        os.close(heard)
        self._told: int | None = told

    def go(self, environment: Mapping[str, str]) -> None:
        """Execute the command."""
        if self._told is not None:
            told, self._told = self._told, None
            # A signal may have ended it while the venue was starting.
            with contextlib.suppress(BrokenPipeError), open(told, "w") as pipe:
                json.dump(dict(environment), pipe)

    def forget(self) -> None:
        """End the process if it still waits."""
        if self._told is not None:
            os.close(self._told)
            self._told = None
            os.waitpid(self.pid, 0)

    def pass_signals_on(self) -> None:
        """Let the command have this process's signals from now on; call it in the running loop."""
        loop = asyncio.get_running_loop()
        for number in (*PASSED_ON, *FROM_THE_TERMINAL):
            loop.add_signal_handler(number, self._pass_on, number)

    async def wait(self) -> int:
        """Wait for the command's end; give its exit code, 128 + n when signal n ended it."""
        _, status = await asyncio.to_thread(os.waitpid, self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code

    def _pass_on(self, number: int) -> None:
        if number in FROM_THE_TERMINAL and _in_foreground():
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)


def _in_foreground() -> bool:
    """Tell whether the terminal sends its signals to our process group."""
    try:
        with open("/dev/tty", "rb", buffering=0) as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False


def _become(command: Sequence[str], heard: int, parent: int) -> None:
    """Wait for the word, then execute; never returns when that works."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(0)
        with open(heard) as told:
            text = told.read()
        if not text:
            os._exit(0)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, others do not expect that
            signal.signal(number, signal.SIG_DFL)
        os.execvpe(command[0], list(command), json.loads(text))  # noqa: S606 - what we are for
    except KeyboardInterrupt:
        os._exit(128 + signal.SIGINT)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        print(f"kraken-emulator: error: {command[0]}: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(NOT_FOUND if missing else NOT_EXECUTABLE)
