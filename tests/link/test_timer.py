import asyncio
import logging

import pytest

from emulator.link import timer
from emulator.link.alarm import LoopTimer
from emulator.link.timer import DueQueue
from tests.link.support import MS


@pytest.fixture(params=["the system's alarm", "the loop's timers"], autouse=True)
def _alarm(request, monkeypatch):
    if request.param == "the loop's timers":
        monkeypatch.setattr(timer, "alarm", LoopTimer)


def with_queue(claim):
    async def run():
        queue = DueQueue(asyncio.get_running_loop())
        try:
            async with asyncio.timeout(30):
                await claim(queue)
        finally:
            queue.close()

    asyncio.run(run())


@pytest.mark.parametrize("spin", [False, True])
def test_calls_come_in_due_order_and_never_early(spin):
    async def claim(queue):
        start_ns, calls, done = queue.now_ns(), [], asyncio.Event()
        for place, due_ms in enumerate([9, 3, 6, 3, 12, 0, 1]):
            queue.at(
                start_ns + due_ms * MS,
                lambda *call: calls.append((*call, queue.now_ns() - start_ns)),
                due_ms,
                place,
                spin=spin,
            )
        queue.at(start_ns + 13 * MS, done.set)
        await done.wait()
        assert [call[:2] for call in calls] == [(0, 5), (1, 6), (3, 1), (3, 3), (6, 2), (9, 0), (12, 4)]
        assert all(at_ns >= due_ms * MS for due_ms, _, at_ns in calls)

    with_queue(claim)


def test_an_earlier_call_given_later_moves_the_alarm():
    async def claim(queue):
        calls, done = [], asyncio.Event()
        queue.at(queue.now_ns() + 60_000 * MS, calls.append, "in a minute")
        queue.at(queue.now_ns() + 2 * MS, done.set)
        await done.wait()
        assert calls == []

    with_queue(claim)


def test_a_failing_call_is_logged_and_stops_no_other(caplog):
    async def claim(queue):
        done = asyncio.Event()
        due_ns = queue.now_ns() + MS
        queue.at(due_ns, lambda: 1 / 0)
        queue.at(due_ns, done.set)
        await done.wait()

    with caplog.at_level(logging.ERROR, "emulator.link"):
        with_queue(claim)
    assert "division by zero" in caplog.text


def test_a_flood_of_due_calls_leaves_room_for_the_loop():
    async def claim(queue):
        calls, others, done = [], [], asyncio.Event()

        def first():
            asyncio.get_running_loop().call_soon(lambda: others.append(len(calls)))

        now_ns = queue.now_ns()
        queue.at(now_ns, first)
        for number in range(2_000):
            queue.at(now_ns, calls.append, number)
        queue.at(now_ns, done.set)
        await done.wait()
        assert calls == list(range(2_000))
        assert others[0] < 1_000

    with_queue(claim)


def test_the_loop_lives_while_the_queue_polls():
    """Time passes by hand: on a busy machine a tenth of a millisecond is over before the first turn."""

    async def claim(queue):
        now_ns, looks, done = queue.now_ns(), 0, asyncio.Event()

        def look():
            nonlocal looks
            looks += 1
            return now_ns

        queue.now_ns = look
        queue.at(now_ns + 100_000, done.set, spin=True)
        for turn in range(10):
            await asyncio.sleep(0)
            assert looks > turn
        assert not done.is_set()
        now_ns += 100_000
        async with asyncio.timeout(30):
            await done.wait()

    with_queue(claim)


def test_a_closed_queue_calls_nothing():
    async def claim(queue):
        calls = []
        queue.at(queue.now_ns(), calls.append, "held")
        queue.close()
        queue.close()
        queue.at(queue.now_ns(), calls.append, "late")
        await asyncio.sleep(0.005)
        assert calls == []

    with_queue(claim)
