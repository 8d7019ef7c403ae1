"""Claims about schedules and traces as data: which change comes when."""

import itertools

import pytest

from emulator.link.live import with_changes
from emulator.link.schedule import ScheduleError, read_schedule, read_trace
from emulator.link.shape import ways
from emulator.settings import PROFILES
from tests.link.support import made_tier


def times(text, count=None):
    moments = itertools.islice(read_schedule(text).moments(), count)
    return [(round(m.at_s, 6), "undo" if m.undo else m.share) for m in moments]


def test_steps_come_at_their_times():
    text = "[[steps]]\nat_s = 1\nset = {loss = 0.1}\n[[steps]]\nat_s = 3.5\nset = {loss = 0}"
    assert times(text) == [(1, 1), (3.5, 1)]


def test_a_step_for_some_time_is_undone_and_one_that_repeats_comes_again():
    assert times("[[steps]]\nat_s = 5\nfor_s = 0.5\nset = {down = true}") == [(5, 1), (5.5, "undo")]
    text = "[[steps]]\nat_s = 5\nfor_s = 0.5\nevery_s = 10\ntimes = 2\nset = {down = true}"
    assert times(text) == [(5, 1), (5.5, "undo"), (15, 1), (15.5, "undo")]
    assert times(text.replace("times = 2", ""), 5)[-1] == (25, 1)


def test_a_ramp_goes_in_equal_parts_of_fifty_milliseconds():
    assert times("[[steps]]\nat_s = 2\nover_s = 0.2\nset = {rtt_us = 5}") == [
        (2, 0.25),
        (2.05, 0.5),
        (2.1, 0.75),
        (2.15, 1),
    ]


def test_the_whole_repeats():
    text = "repeat_s = 10\n[[steps]]\nat_s = 1\nset = {loss = 0.1}\n[[steps]]\nat_s = 2\nset = {loss = 0}"
    assert times(text, 5) == [(1, 1), (2, 1), (11, 1), (12, 1), (21, 1)]


STEP = "[[steps]]\nat_s = 1\nset = {loss = 0.1}\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "steps: missing; a list of 1 to 10000 is meant"),
        ("steps = []", "a list of 1 to 10000 is meant"),
        ("[[steps]]\nat_s = 1", "step 1: set: missing; names with values"),
        ("[[steps]]\nat_s = -1\nset = {loss = 1}", "step 1: at_s = -1: a number from 0 to 10000000 is meant"),
        (STEP + "when = 3", "step 1: unknown field 'when'; there are: at_s, set, "),
        ("[[steps]]\nat_s = 1\nset = {}", "step 1: set is empty"),
        (STEP + STEP.replace("1\n", "0.5\n", 1), "step 2: at_s is before the step above"),
        (STEP + "times = 3", "step 1: times needs every_s"),
        (STEP + "over_s = 3\nfor_s = 1", "step 1: for_s is shorter than over_s"),
        (STEP + "every_s = 1\nfor_s = 2", "step 1: every_s is shorter than for_s or over_s"),
        ("repeat_s = 1\n" + STEP, "step 1: at_s is not before repeat_s"),
        (STEP + "over_s = 1000\nevery_s = 1000\ntimes = 100000", "more than 1000000 changes"),
        ("steps = [", "the schedule is no TOML: Invalid"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused_in_one_line(text, complaint):
    with pytest.raises(ScheduleError, match=complaint) as caught:
        read_schedule(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file", sorted((PROFILES / "schedules").glob("*.toml")), ids=lambda file: file.stem)
def test_the_schedules_that_come_along_can_be_played_on_a_far_tier(file):
    schedule = read_schedule(file.read_text())
    assert schedule.title == file.stem
    for step in schedule.steps:
        with_changes(ways(made_tier(140_000, 100, 800, 5_000)), step.set)


# Traces


def rows(text):
    return [
        (round(row.at_s, 6), row.to_venue_us, row.to_client_us, row.loss) for row in read_trace(text).rows
    ]


def test_a_trace_begins_with_its_first_row_and_comments_are_left_out():
    text = "# captured\ntime_s,one_way_us,loss\n100.0,70000,0\n\n# then\n100.5,71000,0.1\n"
    assert rows(text) == [(0, 70_000, 70_000, 0), (0.5, 71_000, 71_000, 0.1)]


def test_a_trace_may_tell_both_directions_and_leave_losses_out():
    assert rows("time_s,to_venue_us,to_client_us\n0,10,20\n") == [(0, 10, 20, 0)]
    assert rows("loss,time_s,one_way_us\n,0,10\n") == [(0, 10, 10, 0)]


def test_rows_that_are_too_close_become_one_with_the_last_delay_and_the_highest_loss():
    text = "time_s,one_way_us,loss\n0,10,0\n0.001,20,0.5\n0.002,30,0.1\n0.010,40,0\n"
    assert rows(text) == [(0, 30, 30, 0.5), (0.01, 40, 40, 0)]


def test_a_trace_has_no_jitter_on_top_and_loops_when_asked():
    moments = read_trace("time_s,one_way_us\n0,10\n1,20\n", loop=True).moments()
    first, second, third = itertools.islice(moments, 3)
    assert first.changes["to_venue"] == {"one_way_us": 10, "p50_us": 0, "p99_us": 0, "p999_us": 0, "loss": 0}
    assert (first.at_s, second.at_s, third.at_s) == (0, 1, 2)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "line 1: the header has no"),
        ("time_s\n0", "line 1: the header has no to_client_us, to_venue_us"),
        ("time_s,one_way_us,colour\n0,1,2", "line 1: unknown column 'colour'"),
        ("time_s,one_way_us\n", "the trace has no rows"),
        ("time_s,one_way_us\n0,soon", "line 2: one_way_us = 'soon': a number from 0 to 10000000 is meant"),
        ("time_s,one_way_us\n0", "line 2: no one_way_us"),
        ("time_s,one_way_us\n0,-1", "line 2: one_way_us = '-1': a number from 0 "),
        ("time_s,one_way_us\n0,nan", "line 2: one_way_us = 'nan': a number"),
        ("time_s,one_way_us,loss\n0,1,2", "line 2: loss = '2': a number from 0 to 1 is meant"),
        ("time_s,one_way_us\n1,5\n0,5", "line 3: time_s goes back"),
        ("time_s,one_way_us\nnan,5\n", "line 2: time_s is not a number"),
    ],
)
def test_a_trace_that_makes_no_sense_is_refused_with_its_line(text, complaint):
    with pytest.raises(ScheduleError, match=complaint):
        read_trace(text)
