"""When market data is written, and when no more."""

import asyncio

import pytest

from emulator.engine import commands
from emulator.engine.status import TradingStatus
from emulator.gateways.fix import publisher
from tests.fix.inside import Direct, FixVenue
from tests.fix.reading import only

# -- when it is written --------------------------------------------------------------------------


def test_updates_of_one_turn_of_the_loop_are_written_at_once(inside: FixVenue, reader: Direct) -> None:
    reader.subscribed()
    inside.in_a_loop()
    writes = []
    reader.outlet.write = writes.append  # type: ignore[method-assign]

    async def turn() -> None:
        for price in ("64000.5", "64000.6"):
            inside.kraken.place("bob", "buy", "3", price)
        assert writes == []
        await asyncio.sleep(0)

    asyncio.run(turn())
    (data,) = writes
    assert data.count(b"\x0135=X\x01") == 2


def test_many_sessions_are_written_to_in_several_turns(
    inside: FixVenue, reader: Direct, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "FLUSH_CHUNK", 1)
    clients = [reader, inside.reader("BOB"), inside.reader("CAROL")]
    for one in clients:
        one.subscribed()
    inside.in_a_loop()

    async def turns() -> list[int]:
        inside.kraken.place("bob", "buy", "3", "64000.5")
        heard = []
        for _ in clients:
            await asyncio.sleep(0)
            heard.append(sum(len(one.take()) for one in clients))
        return heard

    assert asyncio.run(turns()) == [1, 1, 1]


def test_a_session_that_cannot_be_written_to_does_not_stop_the_others(
    inside: FixVenue, reader: Direct
) -> None:
    other = inside.reader("BOB")
    for one in (reader, other):
        one.subscribed()
    inside.in_a_loop()
    write = reader.outlet.write

    def fails(_: bytes) -> None:
        raise OSError("disk full")

    async def turns() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        reader.outlet.write = fails  # type: ignore[method-assign]
        inside.kraken.place("bob", "buy", "3", "64000.5")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(other.take()) == 1
        reader.outlet.write = write  # type: ignore[method-assign]
        inside.kraken.place("bob", "buy", "3", "64000.6")
        await asyncio.sleep(0)
        assert len(other.take()) == 1
        assert reader.take()

    asyncio.run(turns())


# -- the end -------------------------------------------------------------------------------------


def test_nothing_comes_after_a_logout_and_no_number_is_used(inside: FixVenue, reader: Direct) -> None:
    """Not even while its connection is about to be closed."""
    reader.subscribed(types="012")
    reader.ask("x", (55, "BTC/USD"), (263, 1), (320, "list"), (559, 0))
    reader.ask("g", (263, 1), (335, "state"), (336, "SESSION"))
    session = reader.session
    assert session is not None
    session.receive(reader.message("5"))
    goodbye = only(reader.take())
    inside.kraken.trade("0.1", "64000.6")
    inside.kraken.execute(commands.SetStatus(TradingStatus.POST_ONLY))
    session.flush()
    assert reader.take() == []
    reader.close()
    assert int(reader.logon(reset=False)[34]) == int(goodbye[34]) + 1


def test_a_session_is_not_idle_between_two_subscriptions(inside: FixVenue, reader: Direct) -> None:
    reader.subscribed()
    inside.kraken.wait(3_600)
    inside.gateway.tick()
    assert not reader.closed
    reader.unsubscribed()
    inside.gateway.tick()
    assert not reader.closed
    reader.ask("x", (55, "BTC/USD"), (320, "list"), (559, 0))
    inside.wait(50)
    assert not reader.closed
    inside.wait(11)
    assert reader.closed


def test_updates_use_no_number_of_the_sequence_that_begins_at_the_rollover(
    inside: FixVenue, reader: Direct
) -> None:
    reader.subscribed(types="012")
    inside.kraken.wait(12 * 3_600)
    inside.gateway.tick()  # and its connection is still there
    assert only(reader.take())[58] == "session rollover"
    inside.kraken.trade("0.1", "64000.6")
    assert reader.take() == []
    reader.close()
    inside.kraken.wait(31)
    reader.number = 1
    assert reader.logon(reset=False)[34] == "1"
