"""A venue of the same kind that nobody trades at: orders that measure leave nothing behind."""

from collections.abc import Awaitable, Callable

from emulator.clock import Clock
from emulator.engine.accounts import Account
from emulator.engine.commands import Deposit
from emulator.engine.instruments import Catalogue
from emulator.engine.spot import SpotEngine
from emulator.gateways.access import OPEN
from emulator.gateways.front import server as front
from emulator.gateways.keys import ApiKey, KeyRing
from emulator.gateways.tape import Tape
from emulator.gateways.tokens import Tokens
from emulator.gateways.venue import Venue
from emulator.link.stream import ProtocolFactory

_FUNDS = 10**12


class Scratch:
    """The venue, with one account; close it behind the last order."""

    def __init__(self, catalogue: Catalogue, seed: int, until: Callable[[int], Awaitable[None]]) -> None:
        """Build it; ``until`` waits for a moment of the monotonic clock."""
        clock, account = Clock(), Account("calibration")
        engine, now_ns = SpotEngine(catalogue, [account], seed=seed), clock.now_ns()
        engine.apply(Deposit(account.name, "ZUSD", _FUNDS), now_ns)
        self._key = ApiKey(account.name, "calibration", "")
        self._venue = Venue(engine, clock, KeyRing([self._key]), Tokens(seed), Tape(engine, None, now_ns))
        self._front = front.Server(self._venue, 1, until)
        self.factory: ProtocolFactory = self._front.protocols(OPEN)
        """Makes the protocols of connections to it."""

    def token(self) -> str:
        """Give a WebSocket token that may trade here for the next minutes."""
        return self._venue.tokens.issue(self._key, self._venue.clock.now_ns())

    async def close(self) -> None:
        """End it."""
        await self._front.close()
        self._venue.close()
