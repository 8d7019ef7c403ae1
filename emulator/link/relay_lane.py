"""One direction of a packet link: which packets are lost, doubled or damaged, and when the others arrive.

Nothing here reads a clock or a socket: packets come in with their times, and the caller says what time it is.
"""

from __future__ import annotations

from heapq import heappop, heappush
from random import Random

from msgspec import Struct

from emulator.link.jitter import NS_PER_US, JitterCurve
from emulator.link.relay_flows import InOrder, Timing
from emulator.link.shape import Shape

_BITS_X_NS = 8 * 1_000_000_000
_ETHERNET_HEADER = 14


class Counters(Struct, kw_only=True):
    """What became of one direction's packets.

    received + duplicated = sent + held + lost + lost_in_bursts + over_limit + refused. `refused` were due but
    not taken by the kernel; `missed` came faster than the relay reads and are in no other figure.
    """

    received: int = 0
    received_bytes: int = 0
    sent: int = 0
    held: int = 0
    lost: int = 0
    lost_in_bursts: int = 0
    over_limit: int = 0
    duplicated: int = 0
    overtook: int = 0
    corrupted: int = 0
    refused: int = 0
    missed: int = 0


class Lane:
    """Holds the packets of one direction until they are due. Times are nanoseconds of one monotonic clock.

    `timing` decides what a packet's hold counts from, and which packets keep their order: all, by default.
    Each feature draws from a generator of its own: lanes with the same seed treat the same packets alike, and
    a feature that is switched on leaves the draws of the others as they were.
    """

    def __init__(self, shape: Shape, seed: str, timing: Timing | None = None) -> None:
        self.counters = Counters()
        self._timing = timing or InOrder()
        self._held: list[tuple[int, int, bytes]] = []
        self._count = 0
        self._free_ns = 0
        self._in_burst = False
        self._since_overtaking = 0
        self._jitter_rng = Random(f"{seed}/jitter")
        self._loss_rng = Random(f"{seed}/loss")
        self._burst_rng = Random(f"{seed}/burst")
        self._duplicate_rng = Random(f"{seed}/duplicate")
        self._reorder_rng = Random(f"{seed}/reorder")
        self._corrupt_rng = Random(f"{seed}/corrupt")
        self.reshape(shape)

    def __len__(self) -> int:
        return len(self._held)

    def reshape(self, shape: Shape) -> None:
        """Treat packets that come from now on another way; those held keep their times and their place."""
        self._shape = shape
        self._fixed_ns = round(shape.fixed_us * NS_PER_US)
        self._timing.fixed(self._fixed_ns)
        self._curve = JitterCurve(shape.jitter) if shape.p999_us else None
        self._rate = shape.rate_bits_per_s
        self._limit = shape.limit_packets
        self._faulty = bool(
            shape.loss or shape.burst_start or shape.duplicate or shape.reorder or shape.corrupt
        )
        self._in_burst = self._in_burst and shape.burst_start > 0

    @property
    def next_due_ns(self) -> int:
        """When the next packet is due; ask only a lane that holds one."""
        return self._held[0][0]

    def take(self, arrival_ns: int, frame: bytes, now_ns: int = 0) -> None:
        """Decide about a packet that came in at `arrival_ns`, at `now_ns` if that is later."""
        counters = self.counters
        counters.received += 1
        counters.received_bytes += len(frame)
        self._timing.seen(now_ns)
        if self._faulty:
            self._take_with_faults(arrival_ns, frame)
        else:
            self._hold(arrival_ns, frame, frame)

    def due(self, now_ns: int, most: int) -> list[bytes]:
        """Let go of the packets that are due at `now_ns`, in order, at most so many."""
        held = self._held
        frames: list[bytes] = []
        while held and held[0][0] <= now_ns and len(frames) < most:
            frames.append(heappop(held)[2])
        return frames

    def _hold(self, arrival_ns: int, whole: bytes, frame: bytes) -> None:
        """Hold a packet, `whole` before it was damaged."""
        if len(self._held) >= self._limit:
            self.counters.over_limit += 1
            return
        hold_ns = self._fixed_ns
        if self._curve:
            hold_ns += self._curve.draw_ns(self._jitter_rng)
        hold_ns = max(0, hold_ns)
        leaves_ns = self._timing.leaves_ns
        if self._rate:
            line_ns = len(frame) * _BITS_X_NS // self._rate
            at_ns = self._free_ns = leaves_ns(whole, arrival_ns, hold_ns, self._free_ns, line_ns)
        else:
            at_ns = leaves_ns(whole, arrival_ns, hold_ns, 0, 0)
        self._put(at_ns, frame)

    def _put(self, at_ns: int, frame: bytes) -> None:
        self._count += 1  # equal times keep the order
        heappush(self._held, (at_ns, self._count, frame))

    def _take_with_faults(self, arrival_ns: int, frame: bytes) -> None:
        shape, counters, whole = self._shape, self.counters, frame
        if shape.loss and self._loss_rng.random() < shape.loss:
            counters.lost += 1
            return
        if shape.burst_start and self._lost_in_burst():
            counters.lost_in_bursts += 1
            return
        if shape.corrupt and self._corrupt_rng.random() < shape.corrupt:
            counters.corrupted += 1
            frame = _with_one_bit_flipped(frame, self._corrupt_rng)
        if shape.duplicate and self._duplicate_rng.random() < shape.duplicate:
            counters.duplicated += 1
            self._hold(arrival_ns, whole, frame)
        if shape.reorder and self._overtakes():
            counters.overtook += 1
            self._put(arrival_ns, frame)
        else:
            self._hold(arrival_ns, whole, frame)

    def _lost_in_burst(self) -> bool:
        shape, draw = self._shape, self._burst_rng.random
        if self._in_burst:
            self._in_burst = draw() >= shape.burst_end
        else:
            self._in_burst = draw() < shape.burst_start
        return self._in_burst and draw() < shape.burst_loss

    def _overtakes(self) -> bool:
        self._since_overtaking += 1
        if self._since_overtaking < self._shape.reorder_gap:
            return False
        if self._reorder_rng.random() >= self._shape.reorder:
            return False
        self._since_overtaking = 0
        return True


def _with_one_bit_flipped(frame: bytes, rng: Random) -> bytes:
    if len(frame) <= _ETHERNET_HEADER:
        return frame
    damaged = bytearray(frame)
    damaged[rng.randrange(_ETHERNET_HEADER, len(frame))] ^= 1 << rng.randrange(8)
    return bytes(damaged)
