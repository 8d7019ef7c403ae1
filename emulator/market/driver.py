"""Drives a market model from the event loop: calls it when it is due, one step a turn."""

import asyncio

from emulator.clock import Clock
from emulator.market.model import MarketModel


class Driver:
    """Runs one model until it is stopped."""

    def __init__(self, model: MarketModel, clock: Clock) -> None:
        self._model = model
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False

    def start(self) -> None:
        """Fill the books and begin to trade."""
        self._model.open(self._clock.now_ns())
        self._clock.listen(self._turned)
        self._wait()

    def stop(self) -> None:
        """Stop trading; what rests stays in the books."""
        self._stopped = True
        self._cancel()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _turned(self) -> None:
        """Go on from the clock's new time."""
        if not self._stopped:
            self._cancel()
            self._step()

    def _wait(self) -> None:
        delay_s = self._clock.seconds_until(self._model.due_ns())
        if delay_s is not None:
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._step)

    def _step(self) -> None:
        try:
            self._model.act(self._clock.now_ns())
        finally:  # one failed step is logged by the loop; the market goes on
            self._wait()
