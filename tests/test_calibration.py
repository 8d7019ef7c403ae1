"""What a floor is made of, and when it is another one: fed with times, on links that are made up."""

import asyncio
from types import SimpleNamespace

import pytest

from emulator import calibration
from emulator.calibration import (
    LATELY,
    SHORTEST_HOLD_US,
    SPARE_US,
    YARDSTICK,
    Calibration,
    Floor,
    Kind,
    Watch,
    held_for,
)
from emulator.link.listener import Listener
from emulator.link.shape import ways
from emulator.measure.prober import ProbeError
from tests.link.support import made_tier

FAR, NEAR = made_tier(60_000, 50, 400, 2_000), made_tier(200)
SERVER = SimpleNamespace(close=lambda: None)
SCRATCH = SimpleNamespace(factory=None, token=lambda: "token")


class Link:
    """Remembers what its paths do, and by how much they were told to hold less."""

    def __init__(self, tier):
        self.now = {(tier.name, path.name): ways(tier, path.name) for path in tier.paths}
        self.changes = []
        self.renewed = []

    def ways(self, tier_name, path_name=None):
        return self.now[tier_name, path_name]

    async def change(self, tier_name, path_name, to, *, anew=False):
        self.changes.append((tier_name, path_name))
        self.now[tier_name, path_name] = to

    async def listen(self, tier, factory, host, port, *, path=None):
        return Listener(SERVER, f"{tier.name}/{path}", 1)

    async def renew(self, tier_name, path_name, floor_us):
        self.renewed.append((tier_name, path_name, floor_us))


class Prober:
    """Answers each job with what its path holds and what orders take besides."""

    def __init__(self, link, beyond_us):
        self.link = link
        self.beyond_us = beyond_us
        self.jobs = []

    async def run(self, job):
        self.jobs.append(job)
        there, back = self.link.now[tuple(job["host"].split("/"))]
        held_us = max(0, there.fixed_us) + max(0, back.fixed_us)
        count = len(job["messages"])
        return {"took_us": [held_us + self.beyond_us(held_us, n, count) for n in range(count)], "refused": 0}


def calibrated(tier, beyond_us):
    link = Link(tier)
    prober = Prober(link, beyond_us)
    path = tier.paths[0].name
    measured = asyncio.run(Calibration(prober, SCRATCH)(link, tier, path))
    return measured, link, prober


def test_the_floor_is_the_least_that_an_order_takes_not_the_middle():
    """A loaded machine adds milliseconds to most orders; none may be early when the load has gone."""
    measured, link, _ = calibrated(FAR, lambda held, n, count: 90.0 if n == count // 2 else 7_800.0)
    assert measured.floor_us == pytest.approx(90 - SPARE_US)
    assert link.ways("made", "A").to_client.floor_us == pytest.approx((90 - SPARE_US) / 2)
    assert link.ways("made", "A") == ways(FAR, "A").changed(floor_us=measured.floor_us / 2)


def test_the_first_orders_and_the_last_do_not_count():
    measured, *_ = calibrated(FAR, lambda held, n, count: 1.0 if n < 8 or n == count - 1 else 90.0)
    assert measured.floor_us == pytest.approx(90 - SPARE_US)


def test_a_doubtful_floor_is_measured_again():
    measured, _, prober = calibrated(FAR, Twice())
    assert measured.floor_us == pytest.approx(80 - SPARE_US)
    assert len(prober.jobs) == 4


class Twice:
    """Slow for two jobs, as usual for the next."""

    def __init__(self):
        self.seen = 0

    def __call__(self, held, n, count):
        self.seen += n == 0
        return 5_000.0 if self.seen <= 2 else 80.0


def test_a_path_does_what_it_did_when_it_could_not_be_measured():
    link = Link(FAR)

    class Broken:
        async def run(self, job):
            raise ProbeError("no")

    with pytest.raises(ProbeError):
        asyncio.run(Calibration(Broken(), SCRATCH)(link, FAR, "A"))
    assert link.ways("made", "A") == ways(FAR, "A")


def test_a_near_path_is_measured_where_its_answers_are_ready_and_again_as_it_is():
    measured, _, prober = calibrated(NEAR, lambda held, n, count: 12.0)
    assert [job["spin"] for job in prober.jobs] == [True, False, True]
    assert measured == (pytest.approx(12 - SPARE_US), 0)


def test_a_near_path_that_answers_too_late_says_by_how_much():
    measured, *_ = calibrated(NEAR, lambda held, n, count: 12.0 + max(0.0, 300 - held))
    assert measured.floor_us == pytest.approx(12 - SPARE_US)
    assert measured.over_us == pytest.approx(112)


def test_what_is_quicker_without_waiting_lowers_the_floor():
    measured, *_ = calibrated(NEAR, lambda held, n, count: 30.0 if held > 400 else 22.0)
    assert measured.floor_us == pytest.approx(22 - SPARE_US)


def test_a_client_that_polls_and_one_that_sleeps_measure_and_the_quicker_one_counts():
    for quicker in (True, False):
        link = Link(FAR)
        prober = Prober(link, None)
        prober.beyond_us = lambda *_, p=prober, q=quicker: 40.0 if p.jobs[-1]["spin"] is q else 5_000.0
        measured = asyncio.run(Calibration(prober, SCRATCH)(link, FAR, "A"))
        assert measured.floor_us == pytest.approx(40 - SPARE_US)


@pytest.mark.parametrize(("one_way_us", "held_us"), [(97, 400), (950, 950), (70_000, 5_000)])
def test_holds_are_measured_within_bounds(one_way_us, held_us):
    assert held_for(one_way_us) == held_us


# Watched


def test_a_floor_that_was_too_high_comes_down_at_once():
    floor = Floor(7_800.0)
    assert floor.take(130.0)
    assert floor.us == 130.0


def test_a_busy_hour_does_not_raise_a_floor_before_it_is_over():
    floor = Floor(130.0)
    assert not any(floor.take(900.0) for _ in range(LATELY - 1))
    assert floor.take(900.0)
    assert floor.us == 900.0


def test_small_differences_change_nothing():
    floor = Floor(130.0)
    assert not any(floor.take(measured) for measured in (129.0, 131.0, 140.0, 128.5))
    assert floor.us == 130.0


def watched(monkeypatch, rounds, *, floor_us, busy=()):
    """Let a watch do rounds in which orders take so long; give the link."""
    link = Link(FAR)
    link.now["(yardstick)", "main"] = ways(YARDSTICK)
    takes, asked = iter(rounds), []
    done = asyncio.Event()

    class Round:
        async def __aenter__(self):
            try:
                beyond_us = next(takes)
            except StopIteration:
                done.set()
                await asyncio.Event().wait()
            if isinstance(beyond_us, Exception):
                raise beyond_us
            return Prober(link, lambda *_: beyond_us)

        async def __aexit__(self, *_):
            pass

    async def is_busy():
        asked.append(1)
        return len(asked) in busy

    monkeypatch.setattr(calibration, "Prober", Round)
    monkeypatch.setattr(calibration, "EVERY_S", 0)
    monkeypatch.setattr(calibration, "_busy", is_busy)

    async def scenario():
        floors_us = {("made", "A"): floor_us, ("made", "B"): floor_us}
        task = asyncio.create_task(Watch(link, SCRATCH).run([FAR], floors_us))
        await asyncio.wait_for(done.wait(), 30)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scenario())
    return link


def test_a_watched_link_is_told_only_what_matters(monkeypatch):
    link = watched(monkeypatch, [129.0, 7_000.0, 80.0, 81.0], floor_us=130.0 - SPARE_US)
    assert link.renewed == [
        ("made", "A", pytest.approx(80 - SPARE_US)),
        ("made", "B", pytest.approx(80 - SPARE_US)),
    ]


def test_watching_does_not_touch_the_paths_that_are_used(monkeypatch):
    link = watched(monkeypatch, [129.0, 80.0], floor_us=130.0 - SPARE_US)
    assert set(link.changes) == {("(yardstick)", "main")}
    assert link.now["made", "A"] == ways(FAR, "A")


def test_a_round_that_fails_or_finds_the_venue_busy_changes_nothing(monkeypatch):
    assert watched(monkeypatch, [ProbeError("no"), OSError("no")], floor_us=130.0 - SPARE_US).renewed == []
    link = watched(monkeypatch, [80.0], floor_us=130.0 - SPARE_US, busy=(1, 2, 3))
    assert len(link.renewed) == 2


def test_paths_with_equal_holds_share_a_measurement():
    assert Kind(held_for(20_000), spin=False) == Kind(held_for(70_000), spin=False)
    assert held_for(YARDSTICK.rtt_us / 2) == SHORTEST_HOLD_US
