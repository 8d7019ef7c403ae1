"""A session that goes on and on does not grow.

What goes in leaves no history by design: test requests, status requests, refused orders, amends of one order,
resends, subscriptions that come and go, garbage, logons.  Orders that end are history, of which an account
keeps 50,000 on purpose: they are one message in a hundred, so that what they leave (about a kilobyte each)
stays far below the bound.
"""

import gc
import sys
from pathlib import Path

import pytest

from tests.fix.inside import Direct, FixVenue
from tests.fix.messages import now

WARM_UP, MESSAGES = 20_000, 200_000
MOST_GROWTH = 30 << 20
"""Bytes."""


def resident() -> int:
    """Return the memory of this process in bytes."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


class Talker:
    """Talks and forgets what it hears, apart from whether it was answered at all."""

    def __init__(self, inside: FixVenue) -> None:
        self.inside = inside
        self.sent = self.answered = 0
        self._client: Direct
        self._last_id = 0

    def _new_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _say(self, msg_type: str, *fields: tuple[int, object]) -> None:
        client = self._client
        client.send(msg_type, *fields)
        self.sent += 1
        self.answered += bool(client.outlet.written)
        client.outlet.written = b""

    def trade(self, messages: int) -> None:
        """Log on, say so many things, and leave: in order, or not."""
        self._client = client = self.inside.trader("ALICE", (8674, 1))
        self.inside.clients.clear()
        end, place = self.sent + messages, [(54, 1), (55, "BTC/USD"), (60, now())]
        self._say("D", (11, first := self._new_id()), (38, "0.01"), (40, 2), (44, "50000.0"), (59, 1), *place)
        order, last = client.session.orders[str(first)], first
        while self.sent < end:
            for _ in range(4):
                self._say("1", (112, f"{self.sent}"))
                self._say("H", (11, 1), (37, order.order.txid), (55, "BTC/USD"))
                self._say("D", (11, self._new_id()), (38, "0.01"), (40, 2), (44, "1.0"), (59, 1), (54, 1))
                self._say("F", (11, self._new_id()), (37, "ONONE-ATALL-ATALLX"), *place)
                self._say("D", (11, self._new_id()), (38, "9999"), (40, 2), (44, "9e9"), (59, 1), *place)
            amend = self._new_id()
            self._say(
                "G",
                *((11, amend), (37, order.order.txid), (38, "0.01"), (40, 2), (41, last)),
                *((44, f"5000{self.sent % 10}.0"), (59, 1), *place),
            )
            last = amend
            client.raw(b"garbage" + client.message("1", (112, "x"), number=client.number)[:-3] + b"0\x01\x01")
        for _ in range(messages // 100):
            self._say("D", (11, self._new_id()), (38, "0.01"), (40, 2), (44, "1000.0"), (59, 3), *place)
        self._say("2", (7, client.number // 2), (16, 0))
        self._say("F", (11, self._new_id()), (37, order.order.txid), *place)
        if messages % 2:
            self._say("5")
        client.close()

    def listen(self, messages: int) -> None:
        """Subscribe to books and end that again."""
        self._client = client = self.inside.client("ALICE", "spot_md")
        client.logon()
        self.inside.clients.clear()
        wanted = [(264, 10), (267, 2), (269, 0), (269, 1)]
        for number in range(messages // 2):
            self._say("V", (146, 1), (55, "BTC/USD"), (262, number), (263, 1), *wanted)
            self._say("V", (146, 1), (55, "BTC/USD"), (262, number), (263, 2), *wanted)
        client.close()

    def go_on(self, messages: int) -> None:
        """Say so many things over many connections."""
        end = self.sent + messages
        while self.sent < end:
            self.trade(1000 + self.sent % 2)
            self.listen(60)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_two_hundred_thousand_messages_leave_no_memory_behind(inside):
    talker = Talker(inside)
    talker.go_on(WARM_UP)
    before = resident()
    talker.go_on(MESSAGES)
    growth = resident() - before
    assert talker.answered > 0.9 * talker.sent
    assert len(inside.gateway.sessions) == 2
    assert not inside.gateway.orders
    assert growth < MOST_GROWTH, f"{growth / 2**20:.1f} MB more after {MESSAGES:,} messages"
