"""The venue's clock: stepped ahead, at another scale, still, and back to real time."""

import asyncio
import time

import pytest

from emulator import clock as clock_module
from emulator.clock import PPM, Clock
from emulator.engine.commands import CancelAllAfter, PlaceOrder
from emulator.engine.events import Ended, Event
from emulator.engine.instruments import Side
from emulator.engine.orders import OrderType, TimeInForce
from emulator.market.driver import Driver
from tests.gateways.venue import XBTUSD, Kraken, StillVenue

SECOND = 10**9
HOUR = 3_600 * SECOND
ORDER = {"side": Side.BUY, "type": OrderType.LIMIT, "qty": 10**8, "price": 500_000}
ENDS = 400
PAIRS = (XBTUSD, "XETHZUSD", "SOLUSD", "XLTCZUSD")


@pytest.fixture
def real(monkeypatch):
    """Real time that moves only when told."""

    class Real:
        ns = 1_700_000_000 * SECOND

    monkeypatch.setattr(clock_module.time, "time_ns", lambda: Real.ns)
    return Real


def test_it_tells_the_real_time_and_never_runs_backwards(real):
    clock = Clock()
    assert clock.now_ns() == real.ns
    real.ns -= SECOND
    assert clock.now_ns() == real.ns + SECOND
    assert not clock.turned


def test_a_step_lets_time_pass_at_once(real):
    clock = Clock()
    clock.step(HOUR)
    real.ns += SECOND
    assert clock.now_ns() == real.ns + HOUR
    assert clock.ahead_ns == HOUR


@pytest.mark.parametrize(("scale", "passed"), [(60.0, 600), (0.5, 5), (0.0, 0)])
def test_a_scale_lets_time_pass_faster_slower_or_not_at_all(real, scale, passed):
    clock = Clock()
    begin = clock.now_ns()
    clock.set_scale(round(scale * PPM))
    real.ns += 10 * SECOND
    assert clock.now_ns() == begin + passed * SECOND
    clock.step(HOUR)
    clock.set_scale(PPM)
    real.ns += SECOND
    assert clock.now_ns() == begin + (passed + 1) * SECOND + HOUR


def test_how_long_to_wait_follows_the_scale(real):
    clock = Clock()
    due = clock.now_ns() + 60 * SECOND
    assert clock.seconds_until(due) == 60
    clock.set_scale(60 * PPM)
    assert clock.seconds_until(due) == 1
    clock.set_scale(0)
    assert clock.seconds_until(due) is None
    assert clock.seconds_until(due - 60 * SECOND) == 0


def test_a_reset_leads_back_to_real_time(real):
    clock, told = Clock(), []
    clock.listen(lambda: told.append(clock.now_ns()))
    clock.reset()
    assert not told
    clock.step(HOUR)
    clock.set_scale(2 * PPM)
    clock.reset()
    assert (clock.now_ns(), clock.turned, clock.scale_ppm) == (real.ns, False, PPM)
    assert told == [real.ns + HOUR, real.ns + HOUR, real.ns]


def test_clients_whose_clocks_were_not_turned_are_right_too(real):
    clock = Clock()
    clock.step(HOUR)
    assert clock.near(real.ns + HOUR, SECOND)
    assert clock.near(real.ns - SECOND, SECOND)
    assert not clock.near(real.ns + HOUR // 2, SECOND)


def test_what_is_due_happens_at_its_own_time_when_the_clock_is_stepped():
    async def scenario():
        kraken, clock = Kraken(), Clock()
        heard: list[Event] = []
        venue = StillVenue(kraken.engine, clock, kraken.venue.keys, kraken.venue.tokens, kraken.venue.tape)
        venue.listen(heard.extend)
        for account, seconds in (("bob", 120), ("alice", 60)):
            venue.execute(PlaceOrder(account=account, pair=XBTUSD, **ORDER))
            venue.execute(CancelAllAfter(account, seconds))
        began = kraken.engine.now_ns
        clock.step(HOUR)
        venue.close()
        ends = [event for event in heard if isinstance(event, Ended)]
        assert [event.order.account.name for event in ends] == ["alice", "bob"]
        late_ns = [event.time_ns - began - s * SECOND for event, s in zip(ends, (60, 120), strict=True)]
        assert max(map(abs, late_ns)) < SECOND

    asyncio.run(scenario())


def test_a_clock_that_is_held_tells_how_far_the_venue_has_got(real):
    clock, told = Clock(), []
    clock.listen(lambda: told.append(clock.now_ns()))
    clock.let_go()
    assert not told, "it was not held"
    began = clock.now_ns()
    clock.step(HOUR)
    clock.hold(began - SECOND)
    assert clock.now_ns() == began + HOUR, "it never runs backwards"
    clock.step(HOUR)
    clock.hold(began + HOUR + SECOND)
    assert (clock.now_ns(), clock.reaches_ns()) == (began + HOUR + SECOND, began + 2 * HOUR)
    told.clear()
    clock.let_go()
    assert told == [began + 2 * HOUR]


def many_ends():
    """Give a venue where an order expires every second from the next minute on, its clock, what it tells."""
    kraken, clock = Kraken(), Clock()
    heard: list[Event] = []
    venue = StillVenue(kraken.engine, clock, kraken.venue.keys, kraken.venue.tokens, kraken.venue.tape)
    venue.listen(heard.extend)
    for number in range(ENDS):
        whose = {"account": ("alice", "bob")[number % 2], "pair": PAIRS[number // 2 % len(PAIRS)]}
        due_ns = clock.now_ns() + (60 + number) * SECOND
        venue.execute(PlaceOrder(tif=TimeInForce.GTD, expire_ns=due_ns, **whose, **ORDER))
    heard.clear()
    return venue, clock, heard


def test_others_are_served_while_the_venue_catches_up(monkeypatch):
    monkeypatch.setattr("emulator.gateways.venue.SLICE_S", 0.0)

    async def scenario():
        venue, clock, heard = many_ends()
        began = clock.now_ns()
        seen = []

        async def other():
            while not seen or seen[-1] < began + HOUR:
                seen.append(clock.now_ns())
                await asyncio.sleep(0)

        clock.step(HOUR)
        watching = asyncio.create_task(other())
        await venue.caught_up()
        assert clock.now_ns() >= began + HOUR
        ends = [event for event in heard if isinstance(event, Ended)]
        assert len(ends) == ENDS
        assert [e.time_ns for e in ends] == sorted(e.time_ns for e in ends)
        await watching
        assert len(seen) > 5, "others had their turns"
        assert seen == sorted(seen)
        assert began < seen[0] < began + HOUR, "at the time that the venue had got to"
        venue.close()

    asyncio.run(scenario())


def test_a_slice_looks_at_the_clock_after_one_thing_first(monkeypatch):
    """A thing may take milliseconds."""
    monkeypatch.setattr("emulator.gateways.venue.SLICE_S", 0.0)

    async def scenario():
        venue, clock, heard = many_ends()
        clock.step(HOUR)
        assert len([event for event in heard if isinstance(event, Ended)]) == 1
        venue.close()

    asyncio.run(scenario())


def test_what_is_due_happens_before_a_later_command_however_late_the_loop_is(real):
    async def scenario():
        kraken, clock = Kraken(), Clock()
        venue = StillVenue(kraken.engine, clock, kraken.venue.keys, kraken.venue.tokens, kraken.venue.tape)
        heard: list[Event] = []
        venue.listen(heard.extend)
        whose = {"account": "alice", "pair": XBTUSD}
        expires_ns = clock.now_ns() + 60 * SECOND
        venue.execute(PlaceOrder(tif=TimeInForce.GTD, expire_ns=expires_ns, **whose, **ORDER))
        real.ns += 61 * SECOND  # and the loop has had no turn since
        heard.clear()
        venue.execute(PlaceOrder(account="bob", pair=XBTUSD, **ORDER | {"side": Side.SELL}))
        [end] = [event for event in heard if isinstance(event, Ended)]
        assert end.time_ns == expires_ns
        assert end.order.filled == 0, "it was gone when the other one came"
        venue.close()

    asyncio.run(scenario())


def test_the_rest_of_what_is_due_goes_on_after_a_mistake(monkeypatch, caplog):
    async def scenario():
        venue, clock, heard = many_ends()
        kinds = []

        def fails(order):
            kinds.append(order)
            raise ZeroDivisionError

        venue.engine._timers.at(clock.now_ns() + 100 * SECOND, fails, None)
        clock.step(HOUR)
        await venue.caught_up()
        assert len(kinds) == 1
        assert len([event for event in heard if isinstance(event, Ended)]) >= ENDS - 32
        venue.execute(CancelAllAfter("alice", 60))
        venue.close()

    asyncio.run(scenario())
    assert "something that was due failed" in caplog.text


def test_a_step_while_the_venue_catches_up_comes_on_top(monkeypatch):
    monkeypatch.setattr("emulator.gateways.venue.SLICE_S", 0.0)

    async def scenario():
        venue, clock, heard = many_ends()
        began = clock.now_ns()
        clock.step(100 * SECOND)
        clock.step(HOUR)
        await venue.caught_up()
        assert clock.now_ns() >= began + HOUR + 100 * SECOND
        assert len([event for event in heard if isinstance(event, Ended)]) == ENDS
        venue.close()

    asyncio.run(scenario())


def test_the_timer_is_set_anew_when_the_scale_changes():
    async def scenario():
        kraken, clock = Kraken(), Clock()
        venue = StillVenue(kraken.engine, clock, kraken.venue.keys, kraken.venue.tokens, kraken.venue.tape)
        venue.execute(CancelAllAfter("alice", 60))
        clock.set_scale(1_000 * PPM)
        began = time.monotonic()
        while kraken.engine.deadline() is not None:
            assert time.monotonic() - began < 5
            await asyncio.sleep(0.01)
        assert time.monotonic() - began >= 0.05
        venue.close()

    asyncio.run(scenario())


class Model:
    """Acts every second, and remembers when."""

    def __init__(self) -> None:
        self.acts: list[int] = []
        self.due = 0

    def open(self, now_ns: int) -> None:
        self.due = now_ns + SECOND

    def due_ns(self) -> int:
        return self.due

    def act(self, now_ns: int) -> None:
        self.acts.append(now_ns)
        self.due = now_ns + SECOND


def test_the_market_goes_on_from_the_new_time():
    async def scenario():
        clock, model = Clock(), Model()
        driver = Driver(model, clock)
        driver.start()
        clock.step(HOUR)
        assert len(model.acts) == 1, "an hour is not made up for step by step"
        clock.reset()
        assert len(model.acts) == 2
        assert model.due - time.time_ns() <= SECOND
        driver.stop()
        clock.step(HOUR)
        assert len(model.acts) == 2

    asyncio.run(scenario())
