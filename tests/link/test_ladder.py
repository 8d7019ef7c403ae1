import errno

import pytest

from emulator.link import alarm
from emulator.link.ladder import RUNGS, LinkError, choose
from emulator.link.stream import DelayLine
from emulator.link.tiers import ProfileError
from tests.link.support import HandClock, Recorder, made_tier


def test_auto_takes_the_best_rung_that_works():
    assert choose("auto") is RUNGS[0]
    assert choose("auto").name == "stream"
    assert choose("none").name == "none"


def test_an_unknown_rung_is_refused_with_what_there_is():
    with pytest.raises(LinkError, match=r"^unknown link 'carrier-pigeon'; there are auto, stream, none$"):
        choose("carrier-pigeon")


def test_a_rung_asked_for_by_name_that_cannot_work_is_an_error_with_the_reason(monkeypatch):
    def refused():
        raise OSError(errno.EPERM, "timerfd_create: not permitted")

    monkeypatch.setattr(alarm, "timerfd_create", refused)
    monkeypatch.setattr(alarm.sys, "platform", "linux")
    with pytest.raises(
        LinkError, match=r"^link 'stream' does not work here: .*timerfd_create: not permitted$"
    ):
        choose("stream")
    assert choose("auto").name == "none"


def test_stream_puts_a_line_in_between_and_none_does_not():
    tier, clock = made_tier(2_000), HandClock()
    assert isinstance(choose("stream").wrap(tier, clock, Recorder, path="B")(), DelayLine)
    assert choose("none").wrap(tier, clock, Recorder) is Recorder
    with pytest.raises(ProfileError, match="no path 'C'"):
        choose("none").wrap(tier, clock, Recorder, path="C")


def test_a_tier_without_distance_needs_no_line():
    assert choose("stream").wrap(made_tier(0), HandClock(), Recorder) is Recorder
