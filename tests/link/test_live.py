"""Claims about changing links while they run, over a link that only remembers."""

import asyncio

import pytest

from emulator.link.live import ChangeError, Live, Path, with_changes
from emulator.link.schedule import read_schedule, read_trace
from emulator.link.shape import ways
from tests.link.support import made_tier

TIER = made_tier(20_000, 50, 400, 2_000)
A, B = Path("made", "A"), Path("made", "B")


class Remembering:
    """A link that does nothing but keep what it was told, and when."""

    own_addresses = False

    def __init__(self, floor_us=0.0):
        self.now = {path: ways(TIER, path.name).changed(floor_us=floor_us) for path in (A, B)}
        self.history = []

    def ways(self, tier, path=None):
        return self.now[Path(tier, path or "A")]

    async def change(self, tier, path, to, *, anew=False):
        self.now[Path(tier, path)] = to
        self.history.append((path, to))


def playing(test):
    """Run a coroutine function with a link and what changes it."""

    async def scenario():
        link = Remembering()
        live = Live(link, [TIER])
        try:
            await test(link, live)
        finally:
            await live.close()

    return asyncio.run(asyncio.wait_for(scenario(), 60))


def test_a_change_is_for_the_paths_that_are_meant():
    async def test(link, live):
        await live.set(live.paths("made", "B"), {"loss": 0.1})
        assert [link.ways("made", name).to_venue.loss for name in "AB"] == [0, 0.1]
        await live.set(live.paths("made"), {"rtt_us": 30_000})
        assert [round(link.ways("made", name).rtt_us) for name in "AB"] == [30_000, 30_000]

    playing(test)


def test_a_change_of_one_direction_leaves_the_other_alone():
    after = with_changes(ways(TIER), {"to_venue": {"loss": 0.1, "one_way_us": 7}, "corrupt": 0.2})
    assert (after.to_venue.loss, after.to_client.loss) == (0.1, 0)
    assert after.to_venue.one_way_us == 7
    assert (after.to_venue.corrupt, after.to_client.corrupt) == (0.2, 0.2)


def test_a_round_trip_counts_with_the_jitter_of_the_same_change():
    after = with_changes(ways(TIER), {"rtt_us": 50_000, "p50_us": 300, "p99_us": 4_000, "p999_us": 9_000})
    assert after.rtt_us == pytest.approx(50_000, abs=1)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"delay": 5}, "unknown field 'delay'; there are: burst_end"),
        ({"floor_us": 5}, "unknown field 'floor_us'"),
        ({"to_venue": {"down": True, "speed": 1}}, "to_venue: unknown field 'down'; there are: burst_end"),
        ({"to_venue": 5}, "to_venue = 5: fields of one direction are meant"),
        ({"loss": 2}, "loss = 2: a number from 0 to 1 is meant"),
        ({"loss": "much"}, "loss = 'much': a number from 0 to 1 is meant"),
        ({"to_client": {"loss": "2"}}, "to_client.loss = '2': a number from 0 to 1 is meant"),
        ({"rtt_us": "far"}, "rtt_us = 'far': a number from 0 to 10000000 is meant"),
        ({"down": "yes"}, "down = 'yes': true or false is meant"),
        ({"rtt_us": None}, "rtt_us = null: a number from 0"),
        ({"rtt_us": 10}, "rtt_us must be at least"),
        ({"p50_us": 9_999}, "p50_us <= p99_us"),
    ],
)
def test_a_change_that_makes_no_sense_changes_nothing(changes, complaint):
    async def test(link, live):
        with pytest.raises(ChangeError, match=complaint) as caught:
            await live.set(live.paths(), {"corrupt": 0.1, **changes})
        assert "\n" not in str(caught.value)
        assert not link.history

    playing(test)


def test_a_failure_ends_with_what_was_before_it():
    async def test(link, live):
        await live.set([A], {"loss": 0.25})
        await live.fail([A])
        await live.fail([A])
        assert link.ways(*A).cut
        assert not live.show(A)["up"]
        assert live.show(B)["up"]
        await live.restore([A])
        assert link.ways(*A).to_venue.loss == 0.25
        await live.set([A], {"down": True})
        assert link.ways(*A).cut
        await live.set([A], {"down": False})
        assert link.ways(*A).to_venue.loss == 0.25

    playing(test)


def test_reset_goes_back_to_the_start_whatever_was_done():
    async def test(link, live):
        before = link.ways(*A)
        await live.set([A], {"rtt_us": 90_000, "corrupt": 1})
        await live.fail([A])
        assert live.show(A)["changed"]
        await live.reset([A])
        assert link.ways(*A) == before
        assert not live.show(A)["changed"]
        await live.restore([A])  # the failure is forgotten with everything else
        assert link.ways(*A) == before

    playing(test)


def test_an_unknown_path_is_an_error_with_what_there_is():
    async def test(link, live):
        with pytest.raises(ChangeError, match="unknown path 'tokyo'; there are: made/A, made/B"):
            live.paths("tokyo")
        with pytest.raises(ChangeError, match="unknown path 'made/C', did you mean 'made/"):
            live.paths("made", "C")

    playing(test)


def test_links_beside_follow_but_keep_their_own_floor():
    async def scenario():
        link, beside = Remembering(10), Remembering(30)
        live = Live(link, [TIER], [beside])
        await live.set([A], {"loss": 0.5})
        assert (beside.ways(*A).to_venue.loss, beside.ways(*A).to_venue.floor_us) == (0.5, 30)
        assert link.ways(*A).to_venue.floor_us == 10

    asyncio.run(scenario())


async def ended(live, path):
    async with asyncio.timeout(30):
        while live.show(path)["playing"]:
            await asyncio.sleep(0.001)


def test_a_schedule_does_its_steps_in_order_and_undoes_what_is_for_a_time():
    text = """
[[steps]]
at_s = 0
set = { loss = 0.1 }
[[steps]]
at_s = 0.01
for_s = 0.01
set = { down = true }
[[steps]]
at_s = 0.03
over_s = 0.15
set = { rtt_us = 80_000 }
"""

    async def test(link, live):
        await live.play([A], read_schedule(text), "mine")
        assert live.show(A)["playing"] == "mine"
        await ended(live, A)
        losses = [to.to_venue.loss for path, to in link.history if path == "A"]
        assert losses == [0, 0.1, 1, 0.1, 0.1, 0.1, 0.1]
        rtts = [round(to.rtt_us) for path, to in link.history[-4:]]
        assert rtts == [20_000, 40_000, 60_000, 80_000]
        assert all(path == "A" for path, _ in link.history)

    playing(test)


def test_a_ramp_that_comes_again_begins_where_the_last_one_ended():
    text = "[[steps]]\nat_s = 0\nover_s = 0.1\nevery_s = 0.11\ntimes = 2\nset = { rtt_us = 40_000 }"

    async def test(link, live):
        await live.play([A], read_schedule(text), "mine")
        await ended(live, A)
        assert [round(to.rtt_us) for _, to in link.history[1:]] == [30_000, 40_000, 40_000, 40_000]

    playing(test)


def test_a_trace_is_the_whole_delay_and_then_all_is_as_before():
    async def test(link, live):
        before = link.ways(*A)
        await live.play([A], read_trace("time_s,one_way_us,loss\n0,5000,0\n0.02,9000,0.1\n"), "trace")
        await ended(live, A)
        first, second, last = [to for _, to in link.history[1:]]
        assert (first.rtt_us, second.rtt_us) == (10_000, 18_000)
        assert second.to_client.loss == 0.1
        assert last == before

    playing(test)


def test_stopping_leaves_the_path_as_it_is_and_a_change_by_hand_stops_as_well():
    text = "[[steps]]\nat_s = 0\nset = { loss = 0.1 }\n[[steps]]\nat_s = 600\nset = { loss = 0.9 }"

    async def test(link, live):
        for end in (lambda: live.stop([A]), lambda: live.set([A], {"corrupt": 0.1}), lambda: live.reset([A])):
            await live.reset([A])
            await live.play([A], read_schedule(text), "mine")
            async with asyncio.timeout(30):
                while link.ways(*A).to_venue.loss != 0.1:
                    await asyncio.sleep(0.001)
            await end()
            assert live.show(A)["playing"] is None

    playing(test)


def test_a_schedule_whose_step_cannot_be_is_refused_before_it_plays():
    async def test(link, live):
        text = "[[steps]]\nat_s = 0\nset = {loss = 0.1}\n[[steps]]\nat_s = 1\nset = {colour = 1}"
        with pytest.raises(ChangeError, match="step 2: unknown field 'colour'"):
            await live.play([A, B], read_schedule(text), "mine")
        assert not link.history

    playing(test)
