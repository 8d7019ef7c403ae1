"""The side that starts a probe and gives it jobs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

_PROBE = Path(__file__).with_name("probe.py")
_LONGEST_LINE = 64 << 20
_GIVE_UP_AFTER_S = 120.0
"""Beyond what a job's messages, requests or connections may take."""
_EACH_US = 2_000
"""What each of them may take beyond the time between them and its round trips, on a machine that is busy."""
_MOST_TRIPS = 4


class ProbeError(Exception):
    """A job that could not be done: one line."""


def patience_s(job: dict[str, Any]) -> float:
    """Give how long a job may take: what it does spreads over that time however much it is."""
    things = len(job.get("messages", ())) + len(job.get("requests", ())) + job.get("count", 0)
    # Messages with a time between them do not wait for each other.
    trips_us = 0 if job.get("spacing_us") else _MOST_TRIPS * job.get("rtt_us", 0)
    between_us = job.get("spacing_us", 0) + job.get("pause_us", 0)
    return _GIVE_UP_AFTER_S + float(things * (between_us + trips_us + _EACH_US)) / 1e6


async def to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Have work done that must not be left half done: who is cancelled meanwhile ends behind it."""
    task, cancelled = asyncio.ensure_future(work), False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancelled = True
    task.result()
    if cancelled:
        raise asyncio.CancelledError


def send(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Send a process a signal, unless it has ended.

    asyncio's own way asks first whether it has, which takes its exit code away from asyncio's watcher, who
    says so on stderr.
    """
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


class Prober:
    """A probe's process, for as long as it is open."""

    async def __aenter__(self) -> Prober:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            str(_PROBE),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
            start_new_session=True,  # Ctrl-C is for us, who then end it: it may not even have begun
        )
        return self

    async def __aexit__(self, error: type[BaseException] | None, *_: object) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        self._process.stdin.close()
        if error is not None:
            self._kill()  # what it is at does not matter any more
        await to_the_end(self._ended())

    async def _ended(self) -> None:
        try:
            async with asyncio.timeout(1):
                await self._process.wait()
        except TimeoutError:
            self._kill()
            await self._process.wait()

    def _kill(self) -> None:
        send(self._process, signal.SIGKILL)

    async def run(self, job: dict[str, Any]) -> dict[str, Any]:
        """Have a job done; ProbeError when it could not be.

        A probe that is given up on is ended: its answer would be taken for the next job's.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None  # noqa: S101, PT018 - they were asked for
        limit_s = patience_s(job)
        try:
            async with asyncio.timeout(limit_s):
                stdin.write(json.dumps(job).encode() + b"\n")
                await stdin.drain()
                line = await stdout.readline()
        except TimeoutError:
            self._kill()
            raise ProbeError(f"the probe does not answer within {limit_s:g} s") from None
        except (OSError, ValueError) as error:
            raise ProbeError(f"the probe does not answer: {error}") from None
        if not line:
            raise ProbeError("the probe has ended")
        result: dict[str, Any] = json.loads(line)
        if "error" in result:
            raise ProbeError(str(result["error"]))
        return result
