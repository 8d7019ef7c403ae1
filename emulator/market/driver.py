"""Drives a market model from the event loop: calls it when it is due, one step a turn."""

import asyncio
from collections.abc import Callable

from emulator.market.model import MarketModel


class Driver:
    """Runs one model until it is stopped."""

    def __init__(self, model: MarketModel, now_ns: Callable[[], int]) -> None:
        self._model = model
        self._now_ns = now_ns
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Fill the books and begin to trade."""
        self._model.open(self._now_ns())
        self._wait()

    def stop(self) -> None:
        """Stop trading; what rests stays in the books."""
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self) -> None:
        delay_s = max(self._model.due_ns() - self._now_ns(), 0) / 1e9
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._step)

    def _step(self) -> None:
        try:
            self._model.act(self._now_ns())
        finally:  # one failed step is logged by the loop; the market goes on
            self._wait()
