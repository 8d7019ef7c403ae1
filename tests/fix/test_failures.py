"""Mistakes of our own: logged, and never more than one connection's end."""

import logging
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from emulator.engine.events import Filled
from emulator.gateways.access import OPEN
from emulator.gateways.fix import reports, trading
from emulator.gateways.fix.reports import LiveOrder
from emulator.gateways.fix.server import Connection, Server
from tests.fix.inside import Direct, FixVenue
from tests.fix.messages import Message, states
from tests.gateways.venue import Kraken, in_loop


def broken(*_: object, **__: object) -> NoReturn:
    raise ZeroDivisionError("a mistake of ours")


class Transport:
    """What a connection writes goes to a client; nothing waits."""

    def __init__(self, client: Direct) -> None:
        self._client = client
        self.closed = False

    def write(self, data: bytes) -> None:
        self._client.outlet.write(data)

    def get_extra_info(self, name: str) -> object:
        return ("127.0.0.1", 50_000) if name == "peername" else None

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close


class Wired(Direct):
    """A client whose bytes go through a connection of the server."""

    def __init__(self, inside: FixVenue, server: Server, comp_id: str) -> None:
        super().__init__(inside, comp_id, "spot_trading")
        self.connection = Connection(server, self.service, OPEN)
        self.transport = Transport(self)
        self.connection.connection_made(self.transport)  # type: ignore[arg-type]

    def raw(self, data: bytes) -> None:
        self.connection.data_received(data)

    def close(self) -> None:
        self.connection.connection_lost(None)


@in_loop
async def _a_handler_fails(inside: FixVenue, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(inside.gateway)
    alice, bob = Wired(inside, server, "ALICE"), Wired(inside, server, "BOB")
    assert (alice.logon().type, bob.logon().type) == ("A", "A")
    resting = bob.resting(t54="2", t44="60000.0")
    with monkeypatch.context() as patch:
        patch.setitem(trading.TRADING, "H", broken)
        assert alice.status(resting[37]) == []
    assert alice.transport.closed
    assert not bob.transport.closed
    alice.order()
    assert alice.take() == [], "what comes after it is not read"
    alice.close()
    again = Wired(inside, server, "ALICE")
    assert again.logon().type == "A"
    assert states(again.ordered(t44="60000.0")) == ["AA", "00", "F2"]
    assert states(bob.take()) == ["F2"]
    for client in (again, bob):
        client.close()
    assert not server.connections


def test_a_handler_that_fails_is_logged_and_ends_its_own_connection_only(
    inside: FixVenue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        _a_handler_fails(inside, monkeypatch)
    assert "a mistake of ours" in caplog.text
    assert caplog.text.count("Traceback") == 1


@pytest.mark.parametrize("kind", ["D", "F", "G", "q"])
def test_every_handler_is_guarded(alice: Direct, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    order = alice.resting()
    monkeypatch.setitem(trading.TRADING, kind, broken)
    act: dict[str, Callable[[], list[Message]]] = {
        "D": alice.ordered,
        "F": lambda: alice.canceled(order[37]),
        "G": lambda: alice.replaced(order),
        "q": lambda: alice.mass_cancel("7"),
    }
    assert act[kind]() == []
    assert alice.closed


def test_a_report_that_fails_to_be_written_ends_its_own_session_only(
    inside: FixVenue,
    alice: Direct,
    bob: Direct,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken_for_alice(live: LiveOrder, *rest: Any) -> list[str]:
        return broken() if live.session is alice.session else write(live, *rest)

    alice.resting()
    bob.resting(t44="49999.0")
    client = inside.kraken.client()
    client.subscribe("trade", "BTC/USD", snapshot=False)
    write = reports.WRITERS[Filled]
    with monkeypatch.context() as patch:
        patch.setitem(reports.WRITERS, Filled, broken_for_alice)
        inside.kraken.place("carol", "sell", "0.02", "49000")
    assert caplog.text.count("a report to ALICE") == 1
    assert states(bob.take()) == ["F2"]
    assert [message["channel"] for message in client.take()] == ["trade"]
    inside.wait(0)
    assert (alice.closed, bob.closed) == (True, False)


def test_a_listener_that_fails_keeps_nobody_from_the_reports(
    kraken: Kraken, alice: Direct, bob: Direct, caplog: pytest.LogCaptureFixture
) -> None:
    kraken.venue._listeners.insert(0, broken)
    alice.resting()
    assert states(bob.ordered(t54="2")) == ["AA", "00", "F2"]
    assert states(alice.take()) == ["F2"]
    assert "a mistake of ours" in caplog.text
    assert not alice.session.ended
