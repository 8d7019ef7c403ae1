"""What a direction of the packet link does to packets, on a clock turned by hand."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.link.relay_lane import Lane
from emulator.link.shape import Shape
from tests.link.support import MS

NEVER_MS = 10**9

shares = st.sampled_from([0.0, 0.1, 0.5, 1.0])
jitters = st.lists(st.floats(0, 5_000), min_size=3, max_size=3).map(sorted)
gaps_ns = st.lists(st.integers(0, 3 * MS), min_size=1, max_size=60)
orderly = st.builds(
    lambda jitter, **fields: Shape(p50_us=jitter[0], p99_us=jitter[1], p999_us=jitter[2], **fields),
    jitter=jitters,
    one_way_us=st.floats(0, 20_000),
    extra_us=st.floats(0, 500),
    loss=shares,
    burst_start=shares,
    burst_end=shares,
    burst_loss=shares,
    duplicate=shares,
    corrupt=shares,
    rate_bits_per_s=st.sampled_from([0, 1_000_000, 1_000_000_000]),
    limit_packets=st.integers(1, 40),
)
shapes = st.builds(
    lambda shape, **fields: shape.changed(**fields), orderly, reorder=shares, reorder_gap=st.integers(1, 5)
)


def arrivals(gaps):
    return list(itertools.accumulate(gaps, initial=1_000 * MS))


def frame(number):
    return number.to_bytes(4, "big") * 20


def crossing(shape, times, seed="7"):
    """Send packets at these times through a lane; give it, and (due, packet) as they leave."""
    lane, out = Lane(shape, seed), []

    def release(until_ns):
        while lane and lane.next_due_ns <= until_ns:
            due_ns = lane.next_due_ns
            out.extend((due_ns, packet) for packet in lane.due(due_ns, 1))

    for number, time_ns in enumerate(times):
        release(time_ns)
        lane.take(time_ns, frame(number))
    release(times[-1] + NEVER_MS * MS)
    return lane, out


@given(orderly, gaps_ns)
def test_packets_keep_their_order_unless_a_shape_says_otherwise(shape, gaps):
    _, out = crossing(shape.changed(corrupt=0), arrivals(gaps))
    packets = [packet for _, packet in out]
    assert packets == sorted(packets)
    assert [due for due, _ in out] == sorted(due for due, _ in out)


@given(shapes, gaps_ns)
def test_no_packet_vanishes_uncounted(shape, gaps):
    times = arrivals(gaps)
    lane, out = crossing(shape, times)
    counters = lane.counters
    assert counters.received == len(times)
    assert counters.received_bytes == 80 * len(times)
    lost = counters.lost + counters.lost_in_bursts + counters.over_limit
    assert len(out) == counters.received + counters.duplicated - lost


@given(shapes, gaps_ns)
def test_no_packet_is_early_but_one_that_overtakes(shape, gaps):
    times = arrivals(gaps)
    _, out = crossing(shape.changed(reorder=0, corrupt=0), times)
    least_ns = int((shape.one_way_us + shape.extra_us) * 1_000)
    for due_ns, packet in out:
        assert due_ns >= times[int.from_bytes(packet[:4], "big")] + least_ns


@given(shapes, gaps_ns)
def test_the_same_seed_treats_the_same_packets_alike(shape, gaps):
    first, again = (crossing(shape, arrivals(gaps))[1] for _ in range(2))
    assert first == again


def test_another_seed_draws_other_delays():
    shape, times = Shape(p50_us=10, p99_us=100, p999_us=1_000), arrivals([MS] * 50)
    assert crossing(shape, times, "1")[1] != crossing(shape, times, "2")[1]


def test_a_feature_switched_on_leaves_the_draws_of_the_others_alone():
    shape, times = Shape(one_way_us=5_000, p50_us=10, p99_us=100, p999_us=1_000), arrivals([9 * MS] * 300)
    _, plain = crossing(shape, times)
    _, doubled = crossing(shape.changed(corrupt=0.5, reorder=1e-12), times)
    assert [due for due, _ in doubled] == [due for due, _ in plain]


@given(gaps_ns, st.sampled_from([1_000_000, 10_000_000]))
def test_a_rate_spaces_packets_by_their_time_on_the_line(gaps, rate):
    shape = Shape(one_way_us=3_000, p50_us=10, p99_us=100, p999_us=1_000, rate_bits_per_s=rate)
    times = arrivals(gaps)
    _, out = crossing(shape, times)
    on_the_line_ns = 80 * 8 * 1_000_000_000 // rate
    assert out[0][0] >= times[0] + 3 * MS + on_the_line_ns
    assert all(b - a >= on_the_line_ns for (a, _), (b, _) in itertools.pairwise(out))


def test_bursts_are_as_frequent_and_as_long_as_stated():
    lane = Lane(Shape(burst_start=0.01, burst_end=0.25), "7")
    arrived = set()
    for number in range(100_000):
        lane.take(0, frame(number))
        arrived.update(int.from_bytes(packet[:4], "big") for packet in lane.due(0, 9))
    bursts = [
        len(list(run)) for kept, run in itertools.groupby(range(100_000), arrived.__contains__) if not kept
    ]
    assert sum(bursts) == lane.counters.lost_in_bursts == pytest.approx(100_000 * 0.01 / 0.26, rel=0.1)
    assert sum(bursts) / len(bursts) == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize("feature", ["loss", "duplicate", "corrupt", "reorder"])
def test_a_share_is_kept(feature):
    lane = Lane(Shape(one_way_us=1, **{feature: 0.2}), "7")
    for number in range(20_000):
        lane.take(0, frame(number))
    counted = {"duplicate": "duplicated", "loss": "lost", "corrupt": "corrupted", "reorder": "overtook"}[
        feature
    ]
    assert getattr(lane.counters, counted) == pytest.approx(4_000, rel=0.1)


def test_a_damaged_packet_differs_in_one_bit_behind_its_ethernet_header():
    _, out = crossing(Shape(corrupt=1), arrivals([MS] * 200))
    for number, (_, packet) in enumerate(out):
        pairs = list(zip(packet, frame(number), strict=True))
        assert [a ^ b for a, b in pairs[:14]] == [0] * 14
        assert sum((a ^ b).bit_count() for a, b in pairs) == 1


def test_a_packet_too_short_to_damage_stays_as_it_is():
    lane = Lane(Shape(corrupt=1), "7")
    lane.take(0, b"short")
    assert lane.due(0, 1) == [b"short"]


def test_overtaking_packets_are_sent_at_once_and_not_more_often_than_the_gap_allows():
    times = arrivals([MS // 100] * 29)
    lane, out = crossing(Shape(one_way_us=50_000, reorder=1, reorder_gap=5), times)
    assert [packet for _, packet in out[:6]] == [frame(number) for number in (4, 9, 14, 19, 24, 29)]
    assert [due for due, _ in out[:6]] == times[4::5]
    assert lane.counters.overtook == 6


def test_a_full_queue_drops_what_comes_last():
    lane, out = crossing(Shape(one_way_us=10, limit_packets=3), [0] * 10)
    assert [packet for _, packet in out] == [frame(0), frame(1), frame(2)]
    assert lane.counters.over_limit == 7


def test_the_floor_is_taken_off_but_never_more_than_a_packet_is_held():
    assert crossing(Shape(one_way_us=100, floor_us=30), [0])[1][0][0] == 70_000
    assert crossing(Shape(one_way_us=100, floor_us=300), [5])[1][0][0] == 5


def test_a_change_leaves_what_is_held_and_lets_nothing_overtake_it():
    lane = Lane(Shape(one_way_us=70_000), "7")
    lane.take(0, b"before")
    lane.reshape(Shape(one_way_us=1_000, loss=0.0))
    lane.take(1, b"after")
    assert lane.due(70 * MS - 1, 9) == []
    assert lane.due(70 * MS, 9) == [b"before", b"after"]


def test_no_more_packets_than_asked_for_leave_at_once():
    lane = Lane(Shape(), "7")
    for number in range(5):
        lane.take(0, frame(number))
    assert len(lane.due(0, 3)) == 3
    assert len(lane) == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"loss": 1.1},
        {"loss": -0.1},
        {"one_way_us": -1},
        {"rate_bits_per_s": -1},
        {"limit_packets": 0},
        {"reorder_gap": 0},
        {"p50_us": 2, "p99_us": 1},
        {"lossy": 0.1},
    ],
)
def test_a_shape_refuses_what_makes_no_sense(fields):
    with pytest.raises(ValueError, match=next(iter(fields))):
        Shape().changed(**fields)
