"""A venue on a thread and a loop of its own.  This is where the venue itself is imported."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from emulator.app import App, StartError
from emulator.endpoints import EndpointsFile
from emulator.gateways.tap import Tap
from emulator.settings import load

__all__ = ["Background", "StartError", "import_all"]


def import_all() -> None:
    """Import what the venue otherwise does as it starts: on this thread, and before its time counts."""
    try:
        import emulator.gateways.fix.server  # noqa: F401
    except ImportError:
        return  # starting says so, where FIX is wanted


class Background:
    """One venue.  ``start`` returns when it is ready, ``stop`` when nothing of it is left."""

    def __init__(self, settings: Mapping[str, Any], tap: Tap) -> None:
        """Raise one of StartError for settings that cannot be used."""
        settings_ = load(settings, {}, called=str)
        if settings_.fix == "on":
            import_all()
        self._app = App(settings_, shares_process=True, tap=tap)
        self._ready: Future[dict[str, Any]] = Future()
        self._thread = threading.Thread(target=self._run, name="kraken-emulator", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped: asyncio.Event

    def start(self) -> dict[str, Any]:
        """Return the endpoints file's contents; raises one of StartError."""
        self._thread.start()
        try:
            return self._ready.result()
        except BaseException:
            self.stop()  # also when it is the waiting that was interrupted
            raise

    def stop(self) -> None:
        """Close everything, clients first.  Idempotent."""
        if self._thread.is_alive():
            self._ready.exception()  # what is opening can be closed once it is open
            self._call(self._stopped.set)
            self._thread.join()

    def _call(self, function: Callable[[], object]) -> None:
        """Call something on the venue's loop, if that has not ended by itself."""
        if self._loop is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(function)

    def _run(self) -> None:
        try:
            # The loop is asyncio's own, whatever the tests' policy is.
            with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
                runner.run(self._main())
        except BaseException as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)

    async def _main(self) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        with self._app.settings.blamed("endpoints_file"):
            file = EndpointsFile(self._app.settings.endpoints_file)
        try:
            await self._app.start()
            endpoints = self._app.endpoints_json()
            file.write(endpoints)
            self._ready.set_result(endpoints)
            await self._stopped.wait()
        finally:
            file.withdraw()
            await self._app.stop()
