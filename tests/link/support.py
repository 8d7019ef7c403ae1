"""What the link's tests share: made-up tiers, a recording protocol, a clock turned by hand."""

from __future__ import annotations

import asyncio
import heapq
import pathlib
from contextlib import asynccontextmanager

from emulator.link.stream import wrap
from emulator.link.tiers import Jitter, Path, Tier
from emulator.link.timer import DueQueue

SHIPPED = pathlib.Path(__file__).parents[2] / "profiles" / "tiers"
MS = 1_000_000


def made_tier(rtt_us, p50_us=0, p99_us=None, p999_us=None):
    p99_us = p50_us if p99_us is None else p99_us
    return Tier(
        name="made",
        title="made for a test",
        rtt_us=rtt_us,
        source="here",
        access="here",
        apis=("websocket",),
        paths=(Path(name="A"), Path(name="B", extra_one_way_us=500)),
        jitter=Jitter(
            p50_us=p50_us,
            p99_us=p99_us,
            p999_us=p99_us if p999_us is None else p999_us,
            estimated=True,
            source="here",
        ),
    )


class Recorder(asyncio.Protocol):
    """Keeps what happens to it, in order; `on_data` may answer."""

    def __init__(self, on_data=None, *, half_open=False):
        self.events = []
        self.received = b""
        self.lost = asyncio.Event()
        self.changed = asyncio.Event()
        self._on_data = on_data
        self._half_open = half_open

    def note(self, event):
        self.events.append(event)
        self.changed.set()

    async def until(self, condition):
        async with asyncio.timeout(30):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    def connection_made(self, transport):
        self.transport = transport
        self.note("made")

    def data_received(self, data):
        self.received += data
        self.note("data")
        if self._on_data:
            self._on_data(self, data)

    def eof_received(self):
        self.note("eof")
        return self._half_open

    def connection_lost(self, exc):
        self.note(("lost", exc))
        self.lost.set()

    def pause_writing(self):
        self.note("pause")

    def resume_writing(self):
        self.note("resume")


def echo(protocol, data):
    protocol.transport.write(data)


@asynccontextmanager
async def serving(tier, make_inner, **options):
    """Serve on a free port behind a delay line; gives the port and, as they come, the inner protocols."""
    loop = asyncio.get_running_loop()
    queue = DueQueue(loop)
    inners = []

    def factory():
        inners.append(make_inner())
        return inners[-1]

    server = await loop.create_server(wrap(tier, queue, factory, **options), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], inners
        async with asyncio.timeout(30):
            for inner in inners:
                await inner.lost.wait()
    finally:
        server.close()
        await server.wait_closed()
        queue.close()


class HandClock:
    """A due queue, and the loop behind it, whose time only passes when it is told to."""

    def __init__(self):
        self.time_ns = 1_000 * MS
        self.loop = self
        self.failures = []
        self._heap = []
        self._count = 0

    def now_ns(self):
        return self.time_ns

    def at(self, due_ns, callback, *args, spin=False):
        self._count += 1
        heapq.heappush(self._heap, (due_ns, self._count, callback, args))

    def stay_awake(self):
        pass

    def call_soon(self, callback, *args):
        self.at(self.time_ns, callback, *args)

    def call_exception_handler(self, context):
        self.failures.append(context["exception"])

    def run_until(self, end_ns):
        while self._heap and self._heap[0][0] <= end_ns:
            due_ns, _, callback, args = heapq.heappop(self._heap)
            self.time_ns = max(self.time_ns, due_ns)
            callback(*args)
        self.time_ns = max(self.time_ns, end_ns)

    def run(self, for_ns=10_000 * MS):
        self.run_until(self.time_ns + for_ns)


class RealTransport:
    """Stands for the socket transport: keeps what it is given and when."""

    def __init__(self, clock, protocol):
        self.clock = clock
        self.protocol = protocol
        self.writes = []
        self.calls = []
        self.unsent = 0

    @property
    def sent(self):
        return b"".join(data for _, data in self.writes)

    def write(self, data):
        self.writes.append((self.clock.time_ns, data))

    def close(self):
        self.calls.append("close")
        self.clock.call_soon(self.protocol.connection_lost, None)

    abort = close

    def pause_reading(self):
        self.calls.append("pause_reading")

    def resume_reading(self):
        self.calls.append("resume_reading")

    def set_write_buffer_limits(self, high, low):
        pass

    def get_write_buffer_size(self):
        return self.unsent

    def get_extra_info(self, name, default=None):
        return default


def connected(tier, inner, *, settled=True, **options):
    """A delay line on a hand-turned clock, its handshake RTT over unless `settled` is false."""
    clock = HandClock()
    line = wrap(tier, clock, lambda: inner, **options)()
    real = RealTransport(clock, line)
    line.connection_made(real)
    if settled:
        clock.run(for_ns=round(tier.rtt_us * 10_000))
    return clock, line, real
