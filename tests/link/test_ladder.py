import asyncio
import errno

import pytest

from emulator.link import alarm, ladder
from emulator.link.ladder import RUNGS, LinkError, choose
from emulator.link.tiers import ProfileError
from emulator.link.timer import DueQueue
from tests.link.support import Recorder, made_tier


class Made:
    """A rung for the ladder, working or not."""

    def __init__(self, name, reason=None, own_addresses=True):
        self.name, self.reason, self.own_addresses = name, reason, own_addresses

    def works(self):
        return self.reason


def test_auto_takes_the_best_rung_that_works_and_says_why_not_a_better_one(monkeypatch):
    best, good, near = Made("best", "no module"), Made("good"), Made("near", own_addresses=False)
    monkeypatch.setattr(ladder, "RUNGS", (best, good, near))
    assert choose("auto") == (good, (("best", "no module"),))
    assert choose("auto", nearby=True) == (near, ())
    assert choose("auto").after("it broke") == (near, (("best", "no module"), ("good", "it broke")))
    with pytest.raises(LinkError, match="no link works here"):
        choose("auto", nearby=True).after("it broke too")


def test_nearby_keeps_to_this_machines_addresses():
    assert choose("auto", nearby=True).rung.name == "stream"
    assert choose("none").rung.name == "none"


def test_an_unknown_rung_is_refused_with_what_there_is():
    with pytest.raises(
        LinkError, match=r"^unknown link 'carrier-pigeon'; there are: auto, netem, packet, stream, none$"
    ):
        choose("carrier-pigeon")


def test_a_rung_asked_for_by_name_that_cannot_work_is_an_error_with_the_reason(monkeypatch):
    def refused():
        raise OSError(errno.EPERM, "timerfd_create: not permitted")

    monkeypatch.setattr(alarm, "timerfd_create", refused)
    monkeypatch.setattr(alarm.sys, "platform", "linux")
    with pytest.raises(LinkError, match=r"^it does not work here: .*timerfd_create: not permitted$"):
        choose("stream")
    assert choose("auto", nearby=True) == (RUNGS[-1], (("stream", RUNGS[-2].works()),))


async def line_of(name, tier, path=None):
    """Connect to a listener behind a rung; give the delay line that stands in between, if any."""
    queue, inner = DueQueue(asyncio.get_running_loop()), Recorder()
    link = await choose(name).rung.open((tier,), queue, seed=0)
    listener = await link.listen(tier, lambda: inner, "127.0.0.1", 0, path=path)
    try:
        _, writer = await asyncio.open_connection(listener.host, listener.port)
        await inner.until(lambda: inner.events)
        line = inner.transport.get_extra_info("delay_line")
        writer.close()
        await writer.wait_closed()
        await inner.lost.wait()
        return line
    finally:
        listener.server.close()
        await link.close()
        queue.close()


@pytest.mark.parametrize(
    ("name", "rtt_us", "delayed"), [("stream", 2_000, True), ("none", 2_000, False), ("stream", 0, False)]
)
def test_stream_puts_a_line_in_between_unless_there_is_no_distance(name, rtt_us, delayed):
    line = asyncio.run(line_of(name, made_tier(rtt_us)))
    assert (line is not None) is delayed


@pytest.mark.parametrize("name", ["stream", "none"])
def test_a_path_that_a_tier_does_not_have_is_refused(name):
    with pytest.raises(ProfileError, match="no path 'C'"):
        asyncio.run(line_of(name, made_tier(2_000), path="C"))


async def changing(name, rtt_us):
    tier, queue = made_tier(rtt_us), DueQueue(asyncio.get_running_loop())
    link = await choose(name).rung.open((tier,), queue, seed=0)
    try:
        before = link.ways("made", "B")
        await link.change("made", "B", before.with_rtt(9_000))
        assert link.ways("made", "B").rtt_us == 9_000
        assert link.ways("made") == before.changed(extra_us=0)
    finally:
        await link.close()
        queue.close()


@pytest.mark.parametrize(("name", "rtt_us"), [("stream", 2_000), ("stream", 0), ("none", 2_000)])
def test_a_path_can_be_changed_alone(name, rtt_us):
    asyncio.run(changing(name, rtt_us))
