"""The venue as gateways see it: the engine, the clock, and who hears of events.

``execute`` is the road of an order: the command is applied, the requester's answer goes out, and
only then are all others told.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from emulator.clock import Clock
from emulator.engine.accounts import Account
from emulator.engine.commands import Command, Deposit, Reset
from emulator.engine.events import Event
from emulator.engine.limits import LIMITS
from emulator.engine.spot import SpotEngine
from emulator.gateways.advisories import Advisories
from emulator.gateways.candle_rows import CandleRows
from emulator.gateways.export_jobs import Exports
from emulator.gateways.keys import KeyRing
from emulator.gateways.names import Names
from emulator.gateways.offers import Offers
from emulator.gateways.rate_limits import RateLimits
from emulator.gateways.tape import Tape
from emulator.gateways.tokens import Tokens
from emulator.gateways.turns import SLICE_S
from emulator.gateways.wires import Wires

Listener = Callable[[list[Event]], None]
AT_ONCE = 32
"""Most things of what is due that are done before the clock is looked at."""
_log = logging.getLogger(__name__)


class Venue:
    """Kraken spot, one instance behind all gateways."""

    def __init__(
        self,
        engine: SpotEngine,
        clock: Clock,
        keys: KeyRing,
        tokens: Tokens,
        tape: Tape,
        limits: RateLimits | None = None,
        offers: Offers | None = None,
        seed: int = 0,
        wires: Wires | None = None,
    ) -> None:
        self.engine = engine
        self.clock = clock
        self.keys = keys
        self.tokens = tokens
        self.tape = tape
        self.limits = limits or RateLimits(on=False)
        self.offers = offers or Offers((), (), ())
        self.advisories = Advisories()
        self.exports = Exports()
        self.candle_rows = CandleRows()
        self.addresses: dict[str, dict[tuple[str, str], int]] = {}
        """How many deposit addresses accounts have, by asset and method."""
        self.seed = seed
        self.wires = wires or Wires()
        self.names = Names(engine.catalogue)
        self._listeners: list[Listener] = [tape.hear]
        self._timer: asyncio.Handle | None = None
        self._timer_due_ns: int | None = None
        self._behind = False
        """Whether not all is done that is due."""
        self._level = asyncio.Event()
        self._level.set()
        self._resets: list[Callable[[], None]] = []
        clock.listen(self._turned)

    def listen(self, listener: Listener) -> None:
        """Let ``listener`` hear every batch of events from now on."""
        self._listeners.append(listener)

    def execute(self, command: Command, reply: Callable[[list[Event]], None] | None = None) -> list[Event]:
        """Apply ``command``, let ``reply`` send the answer, then tell everybody else."""
        events = self.engine.apply(command, self._now_ns())
        if reply is not None:
            reply(events)
        self.publish(events)
        return events

    def execute_all(
        self, commands: Sequence[Command], reply: Callable[[list[list[Event]]], None] | None = None
    ) -> list[list[Event]]:
        """Apply ``commands`` at one moment, let ``reply`` send the answer, then tell everybody else once."""
        now_ns = self._now_ns()
        outcomes = [self.engine.apply(command, now_ns) for command in commands]
        if reply is not None:
            reply(outcomes)
        self.publish([event for events in outcomes for event in events])
        return outcomes

    def publish(self, events: list[Event]) -> None:
        """Tell all listeners what happened."""
        for listener in self._listeners:
            try:
                listener(events)
            except Exception:
                _log.exception("a listener failed; the others go on")
        if self.engine.deadline() != self._timer_due_ns:
            self._arm()

    def on_reset(self, listener: Callable[[], None]) -> None:
        """Let ``listener`` be called after each reset, when all have heard of what it ended."""
        self._resets.append(listener)

    def reset(self, deposits: Sequence[Deposit], *, keeps_market: bool) -> None:
        """Begin anew: clients own ``deposits`` and have done nothing, keys take any nonce, the clock
        tells the real time.

        Connections stay.  With ``keeps_market`` the house's orders and, unless they lie in a future that the
        clock was turned to, public trades stay too.
        """
        forgets = self.clock.turned or not keeps_market
        self.clock.reset()
        if forgets:
            self.tape.forget()
            self.candle_rows.forget()
        self.exports.forget()
        self.advisories.clear()
        self.addresses.clear()
        self.limits.forget()
        self.keys.reset()
        self.tokens.rewind(self.clock.now_ns())
        self.execute(Reset(tuple(deposits), keeps_market))
        for listener in self._resets:
            listener()

    def told(self, decimals: int = 0) -> dict[str, Any]:
        """Return the advisories at the end of a status; nothing on the wire that has none.

        ``decimals`` are those of their times.
        """
        if self.wires.status_advisories == "off":
            return {}
        return self.advisories.fields(self.clock.now_ns(), decimals)

    @staticmethod
    def most_rate(account: Account) -> int:
        """Return the threshold of the engine's rate counter (``maxratecount``)."""
        return LIMITS[account.tier].engine_counter

    def close(self) -> None:
        """Stop the timer of what happens by itself."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        """Wake up when the engine next wants to (expiry, dead man's switch)."""
        if self._behind:
            return
        self.close()
        self._timer_due_ns = due = self.engine.deadline()
        delay_s = None if due is None else self.clock.seconds_until(due)
        if delay_s is not None:
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._wake)

    def _turned(self) -> None:
        """Let happen what is due by the clock's new time, and wait anew for the rest."""
        self.close()
        self._wake()

    def _now_ns(self) -> int:
        """Return the time, all that was due before it being done or under way."""
        now_ns = self.clock.now_ns()
        due_ns = self._timer_due_ns
        if due_ns is not None and due_ns <= now_ns and not self._behind:
            self._turned()  # the loop is late
            return self.clock.now_ns()
        return now_ns

    def _wake(self) -> None:
        """Let happen what is due, a slice at a time: others are served in between, at the time reached.

        A thing may take a microsecond or milliseconds, so the clock is looked at after one, two, four, …
        """
        self._timer_due_ns = None
        ends_s, most = time.perf_counter() + SLICE_S, 1
        while self._advance(most):
            if time.perf_counter() > ends_s:
                self._timer = asyncio.get_running_loop().call_soon(self._wake)
                return
            most = min(2 * most, AT_ONCE)

    def _advance(self, most: int) -> bool:
        """Do some of what is due and tell of it; tell whether there is more."""
        until_ns = self.clock.reaches_ns()
        try:
            events = self.engine.advance(until_ns, most)
        except Exception:  # a mistake of ours: the rest of what is due goes on
            _log.exception("something that was due failed")
            events = []
        due_ns = self.engine.deadline()
        late, self._behind = self._behind, due_ns is not None and due_ns <= until_ns
        if late or self._behind:
            self._level.clear()
            self.clock.hold(self.engine.now_ns)
        self.publish(events)
        if late and not self._behind:
            self._level.set()
            self.clock.let_go()
        return self._behind

    async def caught_up(self) -> None:
        """Return when all is done that the clock's time asks for."""
        await self._level.wait()
