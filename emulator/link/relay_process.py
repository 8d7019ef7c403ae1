"""The starting side of a relay: its process, what it is told, and its end."""

from __future__ import annotations

import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence

import msgspec

from emulator.link.relay import LONGEST_MESSAGE_BYTES, Answer, Ask, Change, PathSetup, Setup
from emulator.link.relay_lane import Counters
from emulator.link.shape import Shape

_ANSWER_WITHIN_S = 20
_END_WITHIN_S = 5
_IMPORT_FROM = pathlib.Path(__file__).parents[2]


class RelayError(OSError):
    """The relay has ended, or does not answer."""


class RelayProcess:
    """A relay at work. Its calls block for the time of one answer, and may come from any thread."""

    def __init__(self, paths: Sequence[PathSetup]) -> None:
        """Start it; RelayError when it does not get ready. It has the sockets of `paths` then for itself."""
        self._lock = threading.Lock()
        self._control, its_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.settimeout(_ANSWER_WITHIN_S)
        parent_fd = _pidfd()
        fds = [fd for path in paths for fd in (path.client_fd, path.venue_fd)]
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "emulator.link.relay"],
                stdin=its_end.fileno(),
                stdout=subprocess.DEVNULL,
                pass_fds=fds if parent_fd < 0 else [*fds, parent_fd],
                env={**os.environ, "PYTHONPATH": _python_path()},
                start_new_session=True,
            )
        except BaseException:
            self._control.close()
            raise
        finally:
            its_end.close()
            if parent_fd >= 0:
                os.close(parent_fd)
        try:
            self._ask(Setup(tuple(paths), parent_fd))
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The number of its process."""
        return int(self._process.pid)

    def change(self, path: int, to_venue: Shape, to_client: Shape, *, anew: bool = False) -> None:
        """Treat what comes from now on another way; what is held stays. RelayError when it has ended.

        `anew` forgets what is held, and draws and counts from the start.
        """
        self._ask(Change(path, to_venue, to_client, anew))

    def counters(self) -> tuple[tuple[Counters, Counters], ...]:
        """Give the counters of each path, to the venue and to the client. RelayError when it has ended."""
        return self._ask(Ask()).counters

    def close(self) -> None:
        """End it, and wait until it has. Idempotent."""
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)  # heard even where a forked process has a copy
        self._control.close()
        try:
            self._process.wait(_END_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ask(self, message: Setup | Change | Ask) -> Answer:
        with self._lock:
            try:
                self._control.send(msgspec.json.encode(message))
                text = self._control.recv(LONGEST_MESSAGE_BYTES)
            except OSError as error:
                text, reason = b"", str(error)
                self._control.close()  # an answer that comes late would be taken for the next one
            else:
                reason = "no answer"
        if not text:
            with contextlib.suppress(subprocess.TimeoutExpired):
                reason = f"its exit code is {self._process.wait(0.5)}"
            raise RelayError(f"the packet relay has ended or hangs: {reason}")
        return msgspec.json.decode(text, type=Answer)


def _pidfd() -> int:
    """Open this process as a descriptor; -1 where that is not possible, and the socket's end has to do."""
    try:
        return os.pidfd_open(os.getpid())
    except OSError:
        return -1


def _python_path() -> str:
    """Give a PYTHONPATH with this very package on it, however it was found here."""
    return os.pathsep.join(filter(None, (str(_IMPORT_FROM), os.environ.get("PYTHONPATH"))))
