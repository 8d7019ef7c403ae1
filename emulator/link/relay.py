"""The relay: a process of its own that carries packets between two ports per path, each when it is due.

    python -m emulator.link.relay

Started by `relay_process`. Standard input is a SEQPACKET socket: the first message is a `Setup`, each later
one a `Change` or an `Ask`, and each is answered by an `Answer`. The relay ends when that socket's other end
or the process that started it does.
"""

from __future__ import annotations

import contextlib
import gc
import select
import signal
import socket
import sys
import time
from collections.abc import Callable

import msgspec
from msgspec import Struct

from emulator.link.alarm import timerfd_create, timerfd_settime
from emulator.link.jitter import NS_PER_US
from emulator.link.relay_flows import Answers, Flows, Requests, Timing
from emulator.link.relay_lane import Counters, Lane
from emulator.link.relay_port import Port
from emulator.link.shape import Shape

LONGEST_MESSAGE_BYTES = 1_048_576

_READ_AT_ONCE = 64
_SENT_AT_ONCE = 32
_NEVER_NS = 2**62


class PathSetup(Struct, frozen=True):
    """One path: descriptors of its prepared sockets, how early to wake and poll, and its two directions.

    `service_us` is what answers take beyond the round trip, by the mark of their packets.
    """

    client_fd: int
    venue_fd: int
    seed: str
    poll_us: float
    to_venue: Shape
    to_client: Shape
    service_us: dict[int, float] = {}


class Setup(Struct, frozen=True):
    """All paths, and a pidfd of the process to outlive in no case (-1: there is none)."""

    paths: tuple[PathSetup, ...]
    parent_fd: int


class Change(Struct, frozen=True, tag=True):
    """New shapes for one path, by its place in the setup.

    `anew`: as if nothing had ever come this way. What is held is forgotten, draws and counters begin again.
    """

    path: int
    to_venue: Shape
    to_client: Shape
    anew: bool = False


class Ask(Struct, frozen=True, tag=True):
    """Ask for the counters."""


class Answer(Struct, frozen=True):
    """Both directions' counters of each path, to the venue first; empty after anything but `Ask`."""

    counters: tuple[tuple[Counters, Counters], ...] = ()


class _Direction:
    """One lane with the port it is fed from and the port it feeds."""

    def __init__(
        self, shape: Shape, seed: str, timing: Timing, source: Port, target: Port, poll_ns: int
    ) -> None:
        self.lane = Lane(shape, seed, timing)
        self.source = source
        self._seed = seed
        self._target = target
        self._poll_ns = poll_ns

    def begin_anew(self, shape: Shape, timing: Timing) -> None:
        self.lane = Lane(shape, self._seed, timing)

    def read(self) -> None:
        self.source.read(self.lane.take, _READ_AT_ONCE)

    def send_due(self) -> int:
        """Send what is due; give when to look again."""
        lane = self.lane
        now_ns = time.monotonic_ns()
        if lane.next_due_ns <= now_ns:
            write, counters = self._target.write, lane.counters
            for frame in lane.due(now_ns, _SENT_AT_ONCE):
                if write(frame):
                    counters.sent += 1
                else:
                    counters.refused += 1
        return lane.next_due_ns - self._poll_ns if lane else _NEVER_NS

    def counters(self) -> Counters:
        self.lane.counters.held = len(self.lane)
        self.lane.counters.missed = self.source.count_missed()
        return self.lane.counters


class _Path:
    """Both directions of a path, which know the same connections."""

    def __init__(self, setup: PathSetup) -> None:
        client, venue = (Port(socket.socket(fileno=fd)) for fd in (setup.client_fd, setup.venue_fd))
        poll_ns = round(setup.poll_us * NS_PER_US)
        self._service_ns = {mark: round(us * NS_PER_US) for mark, us in setup.service_us.items()}
        there, back = self._timings()
        seed = setup.seed
        self.there = _Direction(setup.to_venue, f"{seed}/to venue", there, client, venue, poll_ns)
        self.back = _Direction(setup.to_client, f"{seed}/to client", back, venue, client, poll_ns)

    def change(self, to: Change) -> None:
        if to.anew:
            there, back = self._timings()
            self.there.begin_anew(to.to_venue, there)
            self.back.begin_anew(to.to_client, back)
        else:
            self.there.lane.reshape(to.to_venue)
            self.back.lane.reshape(to.to_client)

    def counters(self) -> tuple[Counters, Counters]:
        return self.there.counters(), self.back.counters()

    def _timings(self) -> tuple[Requests, Answers]:
        flows = Flows(self._service_ns)
        return Requests(flows), Answers(flows)


class Relay:
    """Carries the packets of all paths in one thread."""

    def __init__(self, control: socket.socket, setup: Setup) -> None:
        self._control = control
        self._running = True
        self._paths = [_Path(path) for path in setup.paths]
        self._directions = [direction for path in self._paths for direction in (path.there, path.back)]
        self._readers: dict[int, Callable[[], None]] = {control.fileno(): self._obey}
        for direction in self._directions:
            self._readers[direction.source.fileno()] = direction.read
        if setup.parent_fd >= 0:
            self._readers[setup.parent_fd] = self._stop
        self._epoll = select.epoll()
        for fd in self._readers:
            self._epoll.register(fd, select.EPOLLIN)
        self._timer = timerfd_create()
        self._timer_ns = 0
        # Edge-triggered: one wake-up each time it rings, and nothing to read.
        self._epoll.register(self._timer, select.EPOLLIN | select.EPOLLET)
        self._readers[self._timer] = lambda: None

    def run(self) -> None:
        """Carry packets until the other end is gone."""
        readers, poll = self._readers, self._epoll.poll
        while self._running:
            wake_ns = _NEVER_NS
            for direction in self._directions:
                if direction.lane:
                    wake_ns = min(wake_ns, direction.send_due())
            for fd, _ in poll(self._timeout(wake_ns)):
                readers[fd]()

    def _timeout(self, wake_ns: int) -> int:
        """Set the timer for the moment to wake; give what epoll takes: 0 to poll, -1 to sleep."""
        if wake_ns <= time.monotonic_ns():
            return 0
        if wake_ns not in (_NEVER_NS, self._timer_ns):
            self._timer_ns = wake_ns
            timerfd_settime(self._timer, wake_ns)
        return -1

    def _obey(self) -> None:
        text = self._control.recv(LONGEST_MESSAGE_BYTES)
        if not text:
            self._stop()
            return
        message = msgspec.json.decode(text, type=Change | Ask)
        counters: tuple[tuple[Counters, Counters], ...] = ()
        if isinstance(message, Change):
            self._paths[message.path].change(message)
        else:
            counters = tuple(path.counters() for path in self._paths)
        with contextlib.suppress(OSError):  # who asked has gone: the next read tells
            self._control.send(msgspec.json.encode(Answer(counters)))

    def _stop(self) -> None:
        self._running = False


def main() -> None:
    """Run one relay, as standard input says, until its other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started us, and ends us in good order
    gc.disable()  # nothing here is cyclic, and a collection would look at every packet that is held
    control = socket.socket(fileno=sys.stdin.fileno())
    setup = msgspec.json.decode(control.recv(LONGEST_MESSAGE_BYTES), type=Setup)
    relay = Relay(control, setup)
    control.send(msgspec.json.encode(Answer()))
    relay.run()


if __name__ == "__main__":
    main()
