"""When packets of a path are due, connection by connection: an answer counts from its request.

A tier's RTT is from a request to its answer, and what the venue took in between is part of it. So an answer
is due one way after its request was due at the venue, however late the venue was with it. What nobody asked
for leaves at its own time. Nothing is early, and no packet of a connection overtakes another.

Nothing here reads a clock or a socket. Times are nanoseconds of one monotonic clock.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple, Protocol

ANSWERED_WITHIN_NS = 20_000_000
"""What leaves the venue later than this after a request was due answers it not: a request may get none."""
ONE_ANSWER_NS = 100_000
"""What follows an answer within this time is more of it: several packets, or what the request caused."""
LEAD_NS = 100_000
"""How much earlier than it is due a request may reach the venue, so that its answer is ready in time."""

_MOST_FLOWS = 16_384
_MOST_ASKED = 64
_REMEMBERED, _LEARNED_EACH = 32, 8
_ETHERNET, _IPV4, _TCP, _FRAGMENT = 14, 0x45, 6, 0x3FFF
_FIN, _SYN, _RST = 0x01, 0x02, 0x04
_HEADERS = struct.Struct(">BBHHHBBHIIHHIIBB")
_SHORTEST = _ETHERNET + _HEADERS.size
_U32, _HALF = 2**32 - 1, 2**31

Ends = tuple[int, int, int, int]
"""A connection: the client's address and the venue's, the client's port and the venue's."""


class Segment(NamedTuple):
    """What matters of a TCP packet; `size` is what it takes of the sequence, SYN and FIN included."""

    ends: Ends
    end: int
    """The sequence number behind it."""
    size: int
    ack: int
    flags: int
    mark: int
    """The IP header's DSCP, by which the venue says whose service time an answer takes."""


def segment(frame: bytes, *, to_venue: bool) -> Segment | None:
    """Read an Ethernet frame; None for what is no plain TCP packet of IPv4."""
    if len(frame) < _SHORTEST:
        return None
    head, tos, length, _, fragment, _, kind, _, source, target, sport, dport, number, ack, offset, flags = (
        _HEADERS.unpack_from(frame, _ETHERNET)
    )
    if head != _IPV4 or kind != _TCP or fragment & _FRAGMENT:
        return None
    size = length - 20 - (offset >> 4) * 4 + bool(flags & _SYN) + bool(flags & _FIN)
    ends = (source, target, sport, dport) if to_venue else (target, source, dport, sport)
    return Segment(ends, (number + size) & _U32, size, ack, flags, tos >> 2)


def _reached(number: int, end: int) -> bool:
    """Tell whether a sequence number is not before another, which wraps."""
    return (number - end) & _U32 < _HALF


class Asked(NamedTuple):
    """A request: the sequence number behind it, when it is due at the venue, and when it leaves for there."""

    end: int
    due_ns: int
    leaves_ns: int


class Flow:
    """One connection, as both ways see it."""

    __slots__ = ("answer_from_ns", "answered_ns", "asked", "asked_to", "due_ns", "left_ns", "said_to")

    def __init__(self) -> None:
        self.asked: deque[Asked] = deque(maxlen=_MOST_ASKED)
        """Requests without an answer, the oldest first."""
        self.asked_to: int | None = None
        self.said_to: int | None = None
        """How far the client and the venue have got: what is not behind that has been sent before."""
        self.answer_from_ns = self.answered_ns = -ONE_ANSWER_NS - 1
        """What the last answer counts from, and when it left the venue."""
        self.due_ns = 0
        """When the last packet to the venue is due there."""
        self.left_ns = [0, 0]
        """When the last packet to the venue, and to the client, leaves the path."""


class Flows:
    """The connections of one path, and how early requests have to leave so that answers are in time.

    `service_ns` is what answers take beyond the round trip, by their mark.
    """

    def __init__(self, service_ns: Mapping[int, int] | None = None) -> None:
        self.service_ns = dict(service_ns or {})
        self.lead_ns = 0
        self._flows: dict[Ends, Flow] = {}
        self._took_ns: deque[int] = deque(maxlen=_REMEMBERED)
        self._learned = 0

    def of(self, ends: Ends, now_ns: int) -> Flow:
        """Give a connection; those that are known longest are forgotten when there are too many."""
        flow = self._flows.get(ends)
        if flow is None:
            flow = self._flows[ends] = Flow()
            if len(self._flows) > _MOST_FLOWS:
                oldest = next(iter(self._flows))
                if max(self._flows[oldest].left_ns) < now_ns:
                    del self._flows[oldest]
        return flow

    def learn(self, took_ns: int, slack_ns: int) -> None:
        """Take what an answer took, seen from here; answers are in time when they take up to `slack_ns`."""
        self._took_ns.append(took_ns)
        self._learned += 1
        if self._learned % _LEARNED_EACH == 0:
            most_take_ns = sorted(self._took_ns)[len(self._took_ns) * 3 // 4]
            self.lead_ns = min(max(0, most_take_ns - slack_ns), LEAD_NS)


class Timing(Protocol):
    """Decides when a packet leaves the path."""

    def leaves_ns(self, frame: bytes, came_ns: int, hold_ns: int, free_ns: int, line_ns: int) -> int:
        """Give when a packet leaves that is held for `hold_ns`.

        The line is free for it at `free_ns`, and it takes `line_ns` there; both are 0 for a line without end.
        """

    def seen(self, now_ns: int) -> None:
        """Know the time at which packets that came before are taken."""

    def fixed(self, fixed_ns: int) -> None:
        """Know the part of the hold that is the same for everything."""


class InOrder:
    """Packets leave in the order they came in, all of them."""

    def __init__(self) -> None:
        self._left_ns = 0

    def leaves_ns(self, frame: bytes, came_ns: int, hold_ns: int, free_ns: int, line_ns: int) -> int:
        """Give when a packet leaves: not before the last one."""
        self._left_ns = max(came_ns + hold_ns, self._left_ns, free_ns) + line_ns
        return self._left_ns

    def seen(self, now_ns: int) -> None:
        """Need not know."""

    def fixed(self, fixed_ns: int) -> None:
        """Need not know."""


class Requests(InOrder):
    """The way to the venue: remembers what is asked for, and when it is due there."""

    def __init__(self, flows: Flows) -> None:
        super().__init__()
        self._flows = flows

    def leaves_ns(self, frame: bytes, came_ns: int, hold_ns: int, free_ns: int, line_ns: int) -> int:
        """Give when a packet leaves: as much earlier than it is due as the venue needs to answer in time."""
        said = segment(frame, to_venue=True)
        if said is None:
            return super().leaves_ns(frame, came_ns, hold_ns, free_ns, line_ns)
        flow = self._flows.of(said.ends, came_ns)
        due_ns = flow.due_ns = max(came_ns + hold_ns, flow.due_ns, free_ns) + line_ns
        lead_ns = 0 if line_ns else self._flows.lead_ns
        leaves_ns = flow.left_ns[0] = max(came_ns, due_ns - lead_ns, flow.left_ns[0])
        if said.size > 0:
            self._ask(flow, said, due_ns, leaves_ns)
        return leaves_ns

    @staticmethod
    def _ask(flow: Flow, said: Segment, due_ns: int, leaves_ns: int) -> None:
        fresh = flow.asked_to is None or said.flags & _SYN or not _reached(flow.asked_to, said.end)
        if fresh:
            flow.asked_to = said.end
            flow.asked.append(Asked(said.end, due_ns, leaves_ns))
        elif flow.asked:  # sent again: the venue may have waited for it, and could not answer before
            flow.asked[-1] = Asked(flow.asked[-1].end, due_ns, leaves_ns)


class Answers(InOrder):
    """The way to the client: what answers a request counts from when that was due."""

    def __init__(self, flows: Flows) -> None:
        super().__init__()
        self._flows = flows
        self._now_ns = self._slack_ns = 0

    def seen(self, now_ns: int) -> None:
        """Know when packets are taken: what is late for us counts as well."""
        self._now_ns = now_ns

    def fixed(self, fixed_ns: int) -> None:
        """Know how long an answer may take and be in time."""
        self._slack_ns = max(0, fixed_ns)

    def leaves_ns(self, frame: bytes, came_ns: int, hold_ns: int, free_ns: int, line_ns: int) -> int:
        """Give when a packet leaves: an answer one way after its request was due, others after they came."""
        said = segment(frame, to_venue=False)
        if said is None:
            return super().leaves_ns(frame, came_ns, hold_ns, free_ns, line_ns)
        flow = self._flows.of(said.ends, came_ns)
        leaves_ns = self._counts_from_ns(flow, said, came_ns) + hold_ns
        leaves_ns = flow.left_ns[1] = max(leaves_ns, came_ns, flow.left_ns[1], free_ns) + line_ns
        return leaves_ns

    def _counts_from_ns(self, flow: Flow, said: Segment, came_ns: int) -> int:
        if not (said.size > 0 or said.flags & _RST):
            return max(came_ns, self._acknowledged_ns(flow, said.ack))
        again = flow.said_to is not None and not said.flags & _SYN and _reached(flow.said_to, said.end)
        if again and said.size > 0:
            return came_ns
        flow.said_to = said.end
        answered = None
        while flow.asked and _reached(said.ack, flow.asked[0].end):
            answered = flow.asked.popleft()
        if answered is None:
            more = came_ns - flow.answered_ns <= ONE_ANSWER_NS
            return flow.answer_from_ns if more else came_ns
        service_ns = self._flows.service_ns.get(said.mark, 0)
        from_ns = answered.due_ns + service_ns
        if came_ns - from_ns > ANSWERED_WITHIN_NS:
            return came_ns
        flow.answer_from_ns, flow.answered_ns = from_ns, came_ns
        self._flows.learn(max(self._now_ns, came_ns) - answered.leaves_ns - service_ns, self._slack_ns)
        return from_ns

    @staticmethod
    def _acknowledged_ns(flow: Flow, ack: int) -> int:
        """Give when the last request was due that the venue's TCP has: it is not to have it before."""
        due_ns = 0
        for asked in flow.asked:
            if not _reached(ack, asked.end):
                break
            due_ns = asked.due_ns
        return due_ns
