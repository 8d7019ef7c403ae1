"""Claims about what the netem rung tells the kernel: attributes byte for byte, and fitted jitter tables."""

import random
import struct
from dataclasses import asdict, replace

import msgspec
import pytest

from emulator.link.jitter import JitterCurve
from emulator.link.netem import Qdiscs, fitted, qdiscs
from emulator.link.netem_codec import BurstLoss, Netem, Slot, decoded, encoded, register
from emulator.link.shape import Shape, Ways, ways
from emulator.link.tiers import ProfileError, load_tiers
from tests.link.support import SHIPPED, made_tier

TIERS = load_tiers(SHIPPED)
SHAPED = [tier for tier in TIERS.values() if tier.rtt_us]
MS = 1_000_000
U32 = 2**32 - 1


def attribute(number, payload):
    length = 4 + len(payload)
    return struct.pack("=HH", length, number) + payload + bytes(-length % 4)


def wire(netem):
    """The attributes as bytes, without the outer header."""
    options = register()()
    options.setvalue(encoded(netem))
    options.encode()
    return bytes(options.data[4:])


def read_back(netem):
    options = register()
    message = options(data=struct.pack("=HH", 4 + len(wire(netem)), 2) + wire(netem))
    message.decode()
    return decoded(message)


def test_the_options_are_what_the_kernel_reads_byte_for_byte():
    netem = Netem(
        delay_ns=100_000,
        jitter_ns=6_400,
        delay_correlation=1.0,
        distribution=(-32767, 0, 8192),
        rate=10_000_000_000,
        limit_packets=5,
        duplicate=0.5,
        corrupt=1.0,
        reorder=0.25,
        reorder_gap=3,
        burst_loss=BurstLoss(to_bad=0.5, to_good=0.25, loss_in_bad=1.0, loss_in_good=0.0),
        ecn=True,
        slot=Slot(min_delay_ns=1, max_delay_ns=2, max_packets=3, max_bytes=4),
        seed=2**64 - 1,
    )
    half, quarter = 2**31, 2**30
    expected = [
        struct.pack("=6I", 1562, 5, 0, 3, half, 100),
        attribute(10, struct.pack("=q", 100_000)),
        attribute(11, struct.pack("=q", 6_400)),
        attribute(1, struct.pack("=3I", U32, 0, 0)),
        attribute(3, struct.pack("=2I", quarter, 0)),
        attribute(4, struct.pack("=2I", U32, 0)),
        attribute(6, struct.pack("=IiIi", 1_250_000_000, 0, 0, 0)),
        attribute(7, struct.pack("=I", 1)),
        attribute(12, struct.pack("=qqiiqq", 1, 2, 3, 4, 0, 0)),
        attribute(2, struct.pack("=3h", -32767, 0, 8192)),
        attribute(5, attribute(2, struct.pack("=4I", half, quarter, 0, 0))),
        attribute(14, struct.pack("=Q", 2**64 - 1)),
    ]
    assert wire(netem) == b"".join(expected)


def test_a_rate_beyond_32_bits_is_sent_in_64():
    at_most = Netem(rate=8 * U32)
    assert attribute(6, struct.pack("=IiIi", U32, 0, 0, 0)) in wire(at_most)
    assert [name for name, _ in encoded(at_most)["attrs"]].count("TCA_NETEM_RATE64") == 0
    assert attribute(8, struct.pack("=Q", 5_000_000_000)) in wire(Netem(rate=40_000_000_000))


def test_what_is_off_is_sent_all_the_same_for_the_kernel_keeps_what_it_is_not_told():
    sent = {name for name, _ in encoded(Netem())["attrs"]}
    assert sent == {
        f"TCA_NETEM_{name}"
        for name in ("LATENCY64", "JITTER64", "CORR", "REORDER", "CORRUPT", "RATE", "ECN", "SLOT")
    }


def test_reading_gives_what_was_written_but_the_distribution():
    netem = Netem(
        delay_ns=300_000_000_000,
        jitter_ns=1,
        delay_correlation=0.25,
        distribution=(1, 2, 3),
        rate=40_000_000_000,
        limit_packets=1000,
        burst_loss=BurstLoss.of(0.01, 4),
        duplicate=0.02,
        duplicate_correlation=0.1,
        corrupt=0.03,
        corrupt_correlation=0.2,
        reorder=0.04,
        reorder_correlation=0.3,
        reorder_gap=5,
        ecn=True,
        slot=Slot(min_delay_ns=1, max_delay_ns=2, max_packets=3, max_bytes=4),
        seed=7,
    )
    assert_alike(read_back(netem), replace(netem, distribution=()))
    random_loss = Netem(loss=0.1, loss_correlation=0.5)
    assert_alike(replace(read_back(random_loss), slot=None), random_loss)


def assert_alike(got, expected):
    """Equal, with what 32 bits leave of a probability."""
    got, expected = asdict(got), asdict(expected)
    for name, value in expected.items():
        if isinstance(value, dict):
            assert got[name] == pytest.approx(value, abs=1e-9), name
        else:
            assert got[name] == (pytest.approx(value, abs=1e-9) if isinstance(value, float) else value), name


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"loss": 1.1}, "loss"),
        ({"corrupt_correlation": -0.1}, "corrupt_correlation"),
        ({"delay_ns": -1}, "delay"),
        ({"jitter_ns": 2**31}, "jitter_ns"),
        ({"limit_packets": 0}, "limit_packets"),
        ({"distribution": (0,) * 16_385}, "16384"),
        ({"distribution": (2**15,)}, "16 bits"),
        ({"loss": 0.1, "burst_loss": BurstLoss(to_bad=0.1, to_good=0.5)}, "exclude"),
        ({"reorder": 0.1}, "delay"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_is_refused(wrong, field):
    with pytest.raises(ValueError, match=field):
        Netem(**wrong)


def test_burst_loss_is_stated_as_a_rate_and_a_length():
    burst = BurstLoss.of(0.02, 5)
    assert burst.to_bad / (burst.to_bad + burst.to_good) == pytest.approx(0.02)
    assert 1 / burst.to_good == 5


# Tables


def kernel_draw(table, entry):
    """What sch_netem adds to its mean for an entry: `tabledist` of net/sched/sch_netem.c."""
    scaled = (table.sigma_ns % 8192) * entry
    rounded = (abs(scaled) + 4096) // 8192
    return (rounded if scaled >= 0 else -rounded) + (table.sigma_ns // 8192) * entry


def table_delays(jitter):
    table = fitted(jitter)
    return sorted(table.mean_ns + kernel_draw(table, entry) for entry in table.entries)


@pytest.mark.parametrize("tier", SHAPED, ids=lambda tier: tier.name)
def test_a_fitted_table_has_the_stated_quantiles(tier):
    delays = table_delays(tier.jitter)
    resolution = fitted(tier.jitter).sigma_ns / 8192 + 1
    for stated_us, share in (
        (tier.jitter.p50_us, 0.5),
        (tier.jitter.p99_us, 0.99),
        (tier.jitter.p999_us, 0.999),
    ):
        got = delays[int(share * len(delays))]
        assert got == pytest.approx(stated_us * 1000, rel=0.02, abs=resolution)
    assert delays[0] >= -resolution
    assert delays[-1] == pytest.approx(JitterCurve(tier.jitter).quantile_ns(1.0), rel=0.001, abs=resolution)


@pytest.mark.parametrize("tier", SHAPED, ids=lambda tier: tier.name)
def test_a_table_fits_what_the_kernel_takes(tier):
    entries = fitted(tier.jitter).entries
    assert len(entries) == 16_384
    assert -32768 < min(entries) < -32700
    assert 32700 < max(entries) < 32768


@pytest.mark.parametrize("tier", SHAPED, ids=lambda tier: tier.name)
def test_half_of_all_round_trips_over_tables_are_within_the_tiers_rtt(tier):
    delays, rng = table_delays(tier.jitter), random.Random(7)
    to_venue, to_client = qdiscs(ways(tier))
    fixed = to_venue.delay_ns + to_client.delay_ns - 2 * fitted(tier.jitter).mean_ns
    trips = [fixed + rng.choice(delays) + rng.choice(delays) for _ in range(40_000)]
    within = sum(trip <= tier.rtt_us * 1000 for trip in trips) / len(trips)
    assert within == pytest.approx(0.5, abs=0.01)


def test_jitter_that_never_varies_needs_no_table():
    assert fitted(made_tier(1000).jitter).entries == ()
    assert qdiscs(ways(made_tier(1000))).to_venue.delay_ns == 500_000


def test_a_path_may_be_longer_a_way_may_be_longer_and_no_distance_is_no_netem():
    tier = made_tier(10_000)
    a, b = (qdiscs(ways(tier, name)).to_client.delay_ns for name in ("A", "B"))
    assert b - a == 500_000
    there, back = qdiscs(ways(msgspec.structs.replace(tier, to_venue_share=0.8)))
    assert (there.delay_ns, back.delay_ns) == (8 * MS, 2 * MS)
    assert qdiscs(ways(TIERS["local"])) == Qdiscs(None, None)
    with pytest.raises(ProfileError):
        ways(tier, "C")


def test_what_the_link_takes_itself_comes_off_the_delay_but_never_more_than_there_is():
    held = [qdiscs(ways(made_tier(1_000)).changed(floor_us=floor)).to_client for floor in (0, 100, 900)]
    assert [netem.delay_ns for netem in held] == [500_000, 400_000, 0]


def test_a_shapes_faults_become_netems():
    shape = Shape(
        one_way_us=10, loss=0.1, burst_start=0.01, burst_end=0.25, burst_loss=0.5, rate_bits_per_s=10**6
    )
    netem = qdiscs(Ways(shape, shape)).to_venue
    assert (netem.rate, netem.loss, netem.burst_loss.to_bad, netem.burst_loss.to_good) == (
        10**6,
        0,
        0.01,
        0.25,
    )
    assert (netem.burst_loss.loss_in_good, netem.burst_loss.loss_in_bad) == (0.1, pytest.approx(0.55))
    netem = qdiscs(
        Ways(Shape(reorder=0.1, reorder_gap=3, corrupt=0.2, duplicate=0.3, loss=0.4), shape)
    ).to_venue
    assert (netem.reorder, netem.reorder_gap, netem.corrupt, netem.duplicate, netem.loss) == (
        0.1,
        3,
        0.2,
        0.3,
        0.4,
    )


def test_each_way_has_draws_of_its_own_that_a_seed_repeats():
    tier = made_tier(10_000)
    seeds = [way.seed for seed in ("1/A", "1/B") for way in qdiscs(ways(tier), seed)]
    assert len(set(seeds)) == 4
    assert qdiscs(ways(tier), "1/A") == qdiscs(ways(tier), "1/A")
