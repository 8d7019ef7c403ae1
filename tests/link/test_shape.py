"""Claims about shapes: how a tier's profile becomes what each direction of a path does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from emulator.link.shape import Shape, Ways, ways
from emulator.link.tiers import Line, ProfileError, load_tiers
from tests.link.support import SHIPPED, made_tier

TIERS = load_tiers(SHIPPED)
WAYS = st.builds(
    lambda there, back, p50, p99: Ways(
        Shape(one_way_us=there, p50_us=p50, p99_us=p50 + p99, p999_us=p50 + 3 * p99), Shape(one_way_us=back)
    ),
    *[st.floats(1, 90_000)] * 2,
    *[st.floats(0, 5_000)] * 2,
)


@pytest.mark.parametrize("tier", TIERS.values(), ids=TIERS)
def test_the_median_round_trip_over_a_path_is_the_tiers(tier):
    assert ways(tier).rtt_us == pytest.approx(tier.rtt_us, abs=0.01)


def test_a_longer_path_is_longer_both_ways():
    assert ways(TIERS["colo"], "B").rtt_us == pytest.approx(210, abs=0.01)
    with pytest.raises(ProfileError):
        ways(TIERS["colo"], "C")


def test_a_profile_splits_the_way_and_gives_each_direction_its_own_line():
    tier = replace(made_tier(10_000), to_venue_share=0.8, line=Line(loss=0.1), to_client=Line(corrupt=0.2))
    there, back = ways(tier)
    assert (there.one_way_us, back.one_way_us) == pytest.approx((8_000, 2_000))
    assert (there.loss, there.corrupt, back.loss, back.corrupt) == (0.1, 0, 0, 0.2)


@given(before=WAYS, rtt_us=st.floats(40_000, 1_000_000))
def test_another_round_trip_keeps_jitter_and_the_proportion_of_the_ways(before, rtt_us):
    after = before.with_rtt(rtt_us)
    assert after.rtt_us == pytest.approx(rtt_us, abs=0.1)
    assert after.to_venue.p999_us == before.to_venue.p999_us
    share = [
        w.to_venue.one_way_us / (w.to_venue.one_way_us + w.to_client.one_way_us) for w in (before, after)
    ]
    assert share[0] == pytest.approx(share[1])


def test_a_round_trip_shorter_than_jitter_is_refused_with_the_least_there_is():
    jittery = Shape(p50_us=100, p99_us=100, p999_us=100)
    with pytest.raises(ValueError, match="rtt_us must be at least 1"):
        Ways(jittery, jittery).with_rtt(50)


def test_the_floor_is_inside_the_round_trip():
    path = ways(TIERS["us"])
    assert path.changed(floor_us=200).rtt_us == path.rtt_us
    assert path.changed(floor_us=200).to_venue.fixed_us == path.to_venue.fixed_us - 200


def test_a_path_is_cut_when_both_directions_lose_everything():
    path = ways(TIERS["us"])
    assert not path.changed(loss=0.99).cut
    assert not Ways(path.to_venue, path.to_client.changed(loss=1)).cut
    assert path.changed(loss=1).cut


@pytest.mark.parametrize(
    "fields",
    [{"loss": 1.1}, {"lost": 0.1}, {"one_way_us": -1}, {"p50_us": 5}, {"reorder_gap": 0}, {"loss": "1"}],
)
def test_what_cannot_be_is_refused(fields):
    with pytest.raises(ValueError, match=r".") as caught:
        ways(made_tier(1_000)).changed(**fields)
    assert "\n" not in str(caught.value)
