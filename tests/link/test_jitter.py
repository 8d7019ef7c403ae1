from random import Random

import pytest

from emulator.link.jitter import JitterCurve, base_one_way_ns, median_of_sum_ns
from emulator.link.tiers import load_tiers
from tests.link.support import SHIPPED, made_tier

SHAPED = [tier for tier in load_tiers(SHIPPED).values() if tier.rtt_us]
DRAWS = 40_000


def share_within(draws, limit):
    return sum(draw <= limit for draw in draws) / len(draws)


@pytest.mark.parametrize("tier", SHAPED, ids=lambda tier: tier.name)
def test_draws_keep_the_stated_quantiles(tier):
    curve, rng = JitterCurve(tier.jitter), Random(7)
    draws = [curve.draw_ns(rng) for _ in range(DRAWS)]
    for stated_us, share in (
        (tier.jitter.p50_us, 0.5),
        (tier.jitter.p99_us, 0.99),
        (tier.jitter.p999_us, 0.999),
    ):
        four_sigma = 4 * (share * (1 - share) / DRAWS) ** 0.5
        assert share_within(draws, stated_us * 1_000) == pytest.approx(share, abs=four_sigma)
    assert min(draws) >= 0
    assert max(draws) <= curve.quantile_ns(1.0) <= 3 * tier.jitter.p999_us * 1_000


@pytest.mark.parametrize("tier", SHAPED, ids=lambda tier: tier.name)
def test_half_of_all_round_trips_are_within_the_tiers_rtt(tier):
    assert 2 * base_one_way_ns(tier) + median_of_sum_ns(tier.jitter, tier.jitter) == pytest.approx(
        tier.rtt_us * 1_000, abs=1
    )
    curve, rng = JitterCurve(tier.jitter), Random(7)
    base_ns = 2 * base_one_way_ns(tier)
    round_trips = [base_ns + curve.draw_ns(rng) + curve.draw_ns(rng) for _ in range(DRAWS)]
    assert share_within(round_trips, tier.rtt_us * 1_000) == pytest.approx(0.5, abs=0.01)


def test_the_curve_never_falls():
    curve = JitterCurve(made_tier(10_000, 10, 100, 1_000).jitter)
    delays = [curve.quantile_ns(step / 100_000) for step in range(100_001)]
    assert delays == sorted(delays)
    assert delays[0] == 0
    assert [delays[step] for step in (50_000, 99_000, 99_900)] == pytest.approx(
        [10_000, 100_000, 1_000_000], rel=1e-6
    )


def test_the_same_seed_draws_the_same_delays():
    curve = JitterCurve(SHAPED[0].jitter)
    first, again, other = (
        [curve.draw_ns(rng) for _ in range(50)] for rng in (Random(1), Random(1), Random(2))
    )
    assert first == again != other


def test_the_base_is_never_negative():
    assert base_one_way_ns(made_tier(100, 50, 10_000)) == 0
