"""The side that starts a probe and gives it jobs."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

_PROBE = Path(__file__).with_name("probe.py")
_LONGEST_LINE = 64 << 20
_GIVE_UP_AFTER_S = 120.0
"""Beyond the time that a job's messages are spread over."""


class ProbeError(Exception):
    """A job that could not be done: one line."""


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
        if error is not None and self._process.returncode is None:
            self._process.kill()  # what it is at does not matter any more
        try:
            async with asyncio.timeout(1):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def run(self, job: dict[str, Any]) -> dict[str, Any]:
        """Have a job done; ProbeError when it could not be.

        A probe that is given up on is ended: its answer would be taken for the next job's.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None  # noqa: S101, PT018 - they were asked for
        patience_s = _GIVE_UP_AFTER_S + len(job.get("messages", ())) * job.get("spacing_us", 0) / 1e6
        try:
            async with asyncio.timeout(patience_s):
                stdin.write(json.dumps(job).encode() + b"\n")
                await stdin.drain()
                line = await stdout.readline()
        except TimeoutError:
            self._process.kill()
            raise ProbeError(f"the probe does not answer within {patience_s:g} s") from None
        except (OSError, ValueError) as error:
            raise ProbeError(f"the probe does not answer: {error}") from None
        if not line:
            raise ProbeError("the probe has ended")
        result: dict[str, Any] = json.loads(line)
        if "error" in result:
            raise ProbeError(str(result["error"]))
        return result
