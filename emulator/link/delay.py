"""What one connection's bytes are held for: a path's two ways, and one direction's draws from them."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Any, Protocol

from emulator.link.jitter import NS_PER_US, JitterCurve
from emulator.link.shape import Shape, Ways

_SPIN_BELOW_US = 1_000
_BITS_X_NS = 8 * 1_000_000_000
_SEGMENT_BYTES = 1_448  # of a packet of 1,500 bytes, what TCP has for data
_LEAST_RTO_NS = 200_000_000  # Linux: the round trip and at least this much, doubled each time (RFC 6298)
_MOST_RETRANSMISSIONS = 6

LOST_NS = 1 << 62
"""When what is sent on a way that loses everything arrives: not before that way is another one."""


class Connection(Protocol):
    """A connection on a path."""

    def cut(self) -> None:
        """End with a reset: the path is gone."""

    def restored(self) -> None:
        """Send again what was lost: a way that let nothing through may let it now."""


class StreamPath:
    """One path as byte streams meet it. It may change at any time, for every connection on it."""

    def __init__(self, tier_name: str, path_name: str, now: Ways) -> None:
        self.tier_name = tier_name
        self.path_name = path_name
        self.connections: set[Connection] = set()
        self._floor_us: float | None = None
        self.to_venue = Way(now.to_venue)
        self.to_client = Way(now.to_client)
        self.change(now)

    def change(self, to: Ways) -> None:
        """Treat what is sent from now on another way; a path that lets nothing through resets connections.

        Where one direction alone lets nothing through, what is sent there waits until it does: TCP tries
        again for a quarter of an hour.
        """
        was_lost = self.lost
        self.now = to
        if self._floor_us is not None:
            to = to.changed(floor_us=self._floor_us / 2)
        self.cut = to.cut
        rtt_us = to.rtt_us
        self.rtt_ns = round(rtt_us * NS_PER_US)
        self.spin = 0 < rtt_us < _SPIN_BELOW_US
        rto_ns = self.rtt_ns + _LEAST_RTO_NS
        self.to_venue.reshape(to.to_venue, rto_ns)
        self.to_client.reshape(to.to_client, rto_ns)
        for connection in list(self.connections):
            if self.cut:
                connection.cut()
            elif was_lost:
                connection.restored()

    @property
    def lost(self) -> bool:
        """Whether nothing gets through in one direction at least: no connection can be made then."""
        return self.to_venue.lost or self.to_client.lost

    def renew(self, floor_us: float) -> None:
        """Hold that much less in all from now on, whatever `change` says of it; `now` stays as it is."""
        self._floor_us = floor_us
        self.change(self.now)


class Way:
    """One direction of a path: what all its connections look at when something is sent."""

    __slots__ = ("curve", "fixed_ns", "lossy", "lost", "rate", "rto_ns", "shape")

    def __init__(self, shape: Shape) -> None:
        self.reshape(shape, _LEAST_RTO_NS)

    def reshape(self, shape: Shape, rto_ns: int) -> None:
        """Do from now on what `shape` says. What is meaningless for a stream of bytes is left out."""
        self.shape = shape
        self.fixed_ns = round(shape.fixed_us * NS_PER_US)
        self.curve = JitterCurve(shape.jitter)
        self.rate = shape.rate_bits_per_s
        self.lossy = bool(shape.loss or shape.burst_start or shape.corrupt)
        self.lost = shape.loss >= 1 or shape.corrupt >= 1
        self.rto_ns = rto_ns


class Direction:
    """One direction of one connection: when what is sent now arrives. Nothing overtakes.

    Bytes that are lost arrive one retransmission time-out later, and everything behind them waits. Draws come
    from the seed; those of loss are apart, so that jitter is the same with and without it.
    """

    __slots__ = ("_in_burst", "_last_due_ns", "_loss_rng", "_rng", "_seed", "_way")

    def __init__(self, way: Way, rng: Random, seed: str) -> None:
        self._way = way
        self._rng = rng
        self._seed = seed
        self._loss_rng: Random | None = None
        self._in_burst = False
        self._last_due_ns = 0

    def due_ns(self, sent_ns: int, size: int = 0) -> int:
        """Give when `size` bytes sent at `sent_ns` arrive: one draw of jitter, never before the last ones.

        LOST_NS on a way that loses everything; `send_again` then gives them another time.
        """
        way = self._way
        hold_ns = way.fixed_ns + way.curve.draw_ns(self._rng)
        if way.lossy:
            if way.lost:
                return LOST_NS
            hold_ns += self._stall_ns(size)
        due_ns = sent_ns + hold_ns if hold_ns > 0 else sent_ns
        if due_ns < self._last_due_ns:
            due_ns = self._last_due_ns
        if way.rate:
            due_ns += size * _BITS_X_NS // way.rate
        self._last_due_ns = due_ns
        return due_ns

    def send_again(self, held: deque[tuple[int, Any]], now_ns: int) -> None:
        """Let what is held for a time that never comes arrive, one retransmission time-out later than now."""
        sent_ns = now_ns + self._way.rto_ns
        for place, (due_ns, item) in enumerate(held):
            if due_ns >= LOST_NS:
                held[place] = self.due_ns(sent_ns, len(item) if isinstance(item, bytes) else 0), item

    def _stall_ns(self, size: int) -> int:
        """Draw how long retransmissions take: each segment may get lost, and each retransmission again."""
        if self._loss_rng is None:
            self._loss_rng = Random(f"{self._seed}/loss")
        rng, shape = self._loss_rng, self._way.shape
        alone = 1 - (1 - shape.loss) * (1 - shape.corrupt)
        lost = False
        # All segments are drawn, or what comes later would depend on where in a chunk a loss was.
        for _ in range(max(1, -(-size // _SEGMENT_BYTES))):
            lost |= rng.random() < alone
            lost |= self._lost_in_burst(rng, shape)
        stall_ns, rto_ns = 0, self._way.rto_ns
        for _ in range(_MOST_RETRANSMISSIONS):
            if not lost:
                break
            stall_ns += rto_ns
            rto_ns *= 2
            lost = rng.random() < alone  # by the time of a retransmission, a burst is over
        return stall_ns

    def _lost_in_burst(self, rng: Random, shape: Shape) -> bool:
        if not shape.burst_start:
            return False
        if rng.random() < (shape.burst_end if self._in_burst else shape.burst_start):
            self._in_burst = not self._in_burst
        return self._in_burst and rng.random() < shape.burst_loss
