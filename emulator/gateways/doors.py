"""Who is connected: counted in and out, and looked at once a second, so that nobody stays for nothing.

One look at all connections takes the place of their timers: a connection only says how long what it waits for
may take. That costs two attributes when something happens, and nothing on the road of an order.
"""

import asyncio
import logging
import resource
import time
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING

from emulator.gateways.turns import Turns
from emulator.words import counted

if TYPE_CHECKING:
    from emulator.gateways.outflow import Outflow

MOST_CONNECTIONS = 4_096
SPARE_DESCRIPTORS = 192
"""File descriptors left for everything but clients."""
SHARE = 3 / 4
"""What one address may have of all connections; this machine's own may have all."""
LOOK_S = 1.0
"""Between two looks at who is there: limits of time are kept to this exactness."""
CLOSE_S = 2.0
"""How long a connection may take to end."""
MOST_UNSENT_IN_ALL = 256 << 20
"""Bytes that all slow clients together may leave unread; then the slowest is cut off."""
_LOOPBACK = ("127.", "::1", "::ffff:127.")
_log = logging.getLogger(__name__)


class Visit:
    """One connection from when it came in, for as long as one protocol has it."""

    __slots__ = ("_closing", "_doors", "address", "limit_s", "overdue", "since_s", "transport", "waits")

    def __init__(
        self, doors: "Doors", transport: asyncio.Transport, overdue: Callable[[], None], limit_s: float
    ) -> None:
        peer = transport.get_extra_info("peername")
        self.address: str = peer[0] if peer else ""
        self.transport = transport
        self.overdue = overdue
        self.limit_s = limit_s
        """How long what it is doing may take."""
        self.since_s = 0.0
        """When that was seen first; 0 when it has not been looked at yet."""
        self.waits = True
        """Whether it has asked for nothing: who does gives way when all connections are taken."""
        self._doors = doors
        self._closing = False

    def within(self, limit_s: float, *, waits: bool = False) -> None:
        """Do something else from now on, that may take so long."""
        self.limit_s, self.since_s, self.waits = limit_s, 0.0, waits

    def leave(self) -> None:
        """The connection is over, or another protocol has it."""
        self._doors.leave(self)

    def look(self, now_s: float) -> None:
        """See whether time is up."""
        if not self._closing and self.transport.is_closing():
            self._closing, self.limit_s, self.since_s = True, CLOSE_S, 0.0
        if not self.since_s:
            self.since_s = now_s
        elif now_s - self.since_s >= self.limit_s:
            if self._closing:
                self.transport.abort()
            else:
                self.overdue()


class Doors:
    """All connections of a venue, or of one kind; no more than ``most``, or than MOST_CONNECTIONS."""

    def __init__(self, most: int = 0) -> None:
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.most = most or max(1, min(MOST_CONNECTIONS, descriptors - SPARE_DESCRIPTORS))
        self.unsent = 0
        """Bytes that are kept for clients who do not read."""
        self.slow: set[Outflow] = set()
        """Whose bytes these are."""
        self.turns = Turns()
        """What they have asked for beyond what they may have at once."""
        self._inside: dict[Visit, None] = {}
        self._of: dict[str, int] = {}
        self._refused = 0
        self._full = False
        """Whether nobody was found that could give way, since the last look."""
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._inside)

    def enter(
        self, transport: asyncio.Transport, limit_s: float = inf, overdue: Callable[[], None] | None = None
    ) -> Visit | None:
        """Count a connection in; one too many is aborted, and None comes back.

        When its time is up it is aborted, or ``overdue`` is called.
        """
        visit = Visit(self, transport, overdue or transport.abort, limit_s)
        share = inf if visit.address.startswith(_LOOPBACK) else max(1, int(self.most * SHARE))
        of_this = self._of.get(visit.address, 0)
        if of_this >= share or (len(self._inside) >= self.most and not self._make_room()):
            self._refuse(visit, of_this)
            return None
        self._inside[visit] = None
        self._of[visit.address] = of_this + 1
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._look)
        return visit

    def leave(self, visit: Visit) -> None:
        """Count a connection out, once."""
        if visit in self._inside:
            del self._inside[visit]
            left = self._of[visit.address] - 1
            if left:
                self._of[visit.address] = left
            else:
                del self._of[visit.address]

    def too_much_unsent(self) -> None:
        """End the connection that leaves most unread, when all together leave too much."""
        if self.unsent > MOST_UNSENT_IN_ALL:
            max(self.slow, key=len).cut_off()

    def _make_room(self) -> bool:
        """Let the connection go that has waited longest for a request, if there is one."""
        if self._full:
            return False
        for visit in list(self._inside):
            if visit.waits and visit.since_s and not visit.transport.get_write_buffer_size():
                self.leave(visit)
                visit.overdue()
                return True
            del self._inside[visit]  # to the end: the next look for room begins behind it
            self._inside[visit] = None
        self._full = True
        return False

    def _refuse(self, visit: Visit, of_this: int) -> None:
        if not self._refused:  # one line a second says it
            where = "" if len(self._inside) >= self.most else f" from {visit.address}"
            _log.warning("connection refused: %d are open%s", of_this if where else self.most, where)
        self._refused += 1
        visit.transport.abort()

    def _look(self) -> None:
        now_s = time.monotonic()
        for visit in list(self._inside):
            try:
                visit.look(now_s)
            except Exception:
                _log.exception("a connection could not be ended in time")
        if self._refused > 1:
            _log.warning("%s refused", counted(self._refused - 1, "more connection"))
        self._refused, self._full = 0, False
        self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._look) if self._inside else None


def ask_for_descriptors() -> None:
    """Let this process have as many descriptors open as most connections need, as far as that is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + SPARE_DESCRIPTORS
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
