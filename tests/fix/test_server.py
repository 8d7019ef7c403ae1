"""Bounds of the FIX server: time to log on, connections, what may wait for a client that does not read."""

import contextlib
import logging
import socket

import pytest

from emulator.gateways import doors, outflow, tls, turns
from emulator.gateways.fix import server, wire
from tests.fix.messages import new_id
from tests.fix.served import Served, serving
from tests.running import wait_until


@pytest.fixture
def served(inside):
    with serving(inside) as found:
        yield found


def plain(served: Served, service: str = "spot_trading") -> socket.socket:
    host, _, port = served.places[service].rpartition(":")
    return socket.create_connection((host, int(port)), 20)


@pytest.mark.parametrize("said", [b"", b"8", b"8=FIX.4.4\x019=100\x0135=A\x01", b"GET / HTTP/1.1\r\n\r\n"])
def test_who_does_not_log_on_in_time_is_cut_off(served, monkeypatch, said):
    monkeypatch.setattr(server, "LOGON_TIMEOUT_S", 0.1)
    with plain(served) as end:
        end.sendall(said)
        with contextlib.suppress(ConnectionResetError):
            assert end.recv(100) == b""


@pytest.mark.parametrize("said", [b"\x16", b"\x16\x03\x01\x02\x00"])
def test_a_tls_handshake_that_takes_too_long_is_cut_off(inside, monkeypatch, said):
    monkeypatch.setattr(tls, "HANDSHAKE_S", 0.1)
    with serving(inside) as served, plain(served) as end:
        end.sendall(said)
        with contextlib.suppress(ConnectionResetError):
            assert end.recv(100) == b""


def test_fix_connections_count_with_all_others_and_leave_once(served):
    counted = served.server.doors
    ends = [plain(served) for _ in range(3)]
    ends[1].sendall(b"8")
    ends[2].sendall(b"\x16\x03\x01\x02")
    wait_until(lambda: len(counted) == 3, 10, "all are counted")
    client = served.client()
    client.logon()
    assert len(counted) == 4
    for end in ends:
        end.close()
    client.logout()
    wait_until(lambda: not len(counted), 10, "all are counted out")


def test_who_does_not_close_after_the_logout_is_let_go(served, monkeypatch):
    monkeypatch.setattr(doors, "LOOK_S", 0.01)
    monkeypatch.setattr(server, "CLOSE_S", 0.05)
    monkeypatch.setattr(outflow, "MOST_UNSENT", 1 << 30)
    client = served.client()
    client.logon()
    word = "x" * 60_000
    client.raw(b"".join(client.message("1", (112, word)) for _ in range(400)) + client.message("5"))
    wait_until(lambda: not served.server.connections, 20, "it has not read, and is gone all the same")


def test_who_has_logged_on_in_time_stays(served, monkeypatch):
    monkeypatch.setattr(server, "LOGON_TIMEOUT_S", 0.1)
    client = served.client()
    client.logon()
    with plain(served) as end:
        assert end.recv(100) == b""  # a connection that came later has been timed out
    assert client.sync() == []


def test_connections_beyond_the_most_are_refused_until_one_leaves(served, monkeypatch):
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 3)
    clients = [served.client(name) for name in ("ALICE", "BOB", "CAROL")]
    for client in clients:
        assert client.logon().type == "A"
    refused = served.client("DAVE")
    refused.send("A", (98, 0), (108, 30), *refused.credentials(1))
    assert refused.rest() == []
    assert ("spot_trading", "DAVE") not in served.inside.gateway.sessions
    clients[0].logout()
    wait_until(lambda: len(served.server.connections) == 2, 10, "one has left")
    assert served.client("DAVE").logon().type == "A"


def test_a_client_that_never_reads_is_cut_off_and_its_orders_are_cancelled(served, monkeypatch):
    monkeypatch.setattr(outflow, "MOST_UNSENT", 100_000)
    client = served.client()
    client.logon()
    client.order()
    client.reports(2)
    account = served.inside.accounts["alice"]
    assert len(account.open) == 1
    word = "x" * 10_000

    def keep_asking() -> None:
        for _ in range(20_000):
            client.send("1", (112, word))

    with pytest.raises(OSError, match=r"(?i)reset|pipe"):
        keep_asking()
    wait_until(lambda: not served.server.connections, 10, "it is cut off")
    assert not account.open
    assert served.client("BOB").logon().type == "A"


def test_resends_without_end_to_one_that_does_not_read_end_it(served, monkeypatch):
    monkeypatch.setattr(outflow, "MOST_UNSENT", 1_000_000)
    client = served.client()
    client.logon()
    for _ in range(1000):
        client.order(t55="BTC/NIX")
    client.sync()
    largest = [0]
    write = server.Connection.write

    def watched(self, data):
        largest[0] = max(largest[0], len(data))
        write(self, data)

    monkeypatch.setattr(server.Connection, "write", watched)
    requests = b"".join(client.message("2", (7, 1), (16, 0)) for _ in range(500))
    with contextlib.suppress(OSError):
        client.raw(requests)
    wait_until(lambda: not served.server.connections, 20, "it is cut off")
    # One answer is about 200 kB; a batch of them is not gathered before it is seen that nobody reads.
    assert largest[0] < 2_000_000


def test_a_message_that_is_too_large_cuts_its_sender_off_and_nobody_else(served):
    client, other = served.client(), served.client("BOB")
    client.logon()
    other.logon()
    client.raw(b"8=FIX.4.4\x019=%d\x0135=D\x01" % (wire.LARGEST_MESSAGE + 1))
    assert client.rest() == []
    assert other.sync() == []


def test_messages_of_one_read_are_all_answered_in_their_order(served):
    client, other = served.client(), served.client("BOB")
    client.logon()
    other.logon()
    ids = [new_id() for _ in range(700)]
    client.raw(b"".join(client.message("D", *order(cl_ord_id)) for cl_ord_id in ids))
    assert other.sync() == []
    reports = client.reports(3 * len(ids))
    assert [report[11] for report in reports] == [cl_ord_id for cl_ord_id in ids for _ in range(3)]
    assert [report[150] for report in reports] == ["A", "0", "4"] * len(ids)
    assert [int(report[34]) for report in reports] == list(range(2, 2 + len(reports)))


def test_a_long_answer_is_whole_before_what_follows_is_heard(served, monkeypatch):
    for module in (server, turns):
        monkeypatch.setattr(module, "SLICE_S", 0)
    client, other = served.client("ALICE", "spot_md"), served.client("BOB", "spot_md")
    client.logon()
    other.logon()
    symbols = ["BTC/USD", "ETH/USD", "DOT/USD", "SOL/USD", "XRP/USD"]
    group = [(146, len(symbols)), *((55, symbol) for symbol in symbols)]
    entries = [(264, 10), (267, 2), (269, 0), (269, 1)]
    ids = [f"r{n}" for n in range(30)]
    asked = [(name, kind) for name in ids for kind in "12"]
    client.raw(b"".join(client.message("V", (262, i), *group, (263, kind), *entries) for i, kind in asked))
    assert other.sync() == []
    snapshots = [client.read() for _ in range(len(symbols) * len(ids))]
    assert [(w[262], w[55]) for w in snapshots] == [(name, symbol) for name in ids for symbol in symbols]
    assert client.sync() == []


def order(cl_ord_id: str, tif: int = 3) -> list[tuple[int, object]]:
    """An order that ends at once for want of a seller."""
    fields = [(11, cl_ord_id), (38, "0.001"), (40, 2), (44, "50000.0"), (54, 1), (55, "BTC/USD"), (59, tif)]
    return [*fields, (60, "20261102-10:00:00.000")]


def test_a_logout_amid_a_read_ends_it_there(served):
    client = served.client()
    client.logon()
    ids = [new_id() for _ in range(3)]
    client.raw(
        client.message("D", *order(ids[0], 1)) + client.message("5") + client.message("D", *order(ids[1], 1))
    )
    assert [message.type for message in client.rest()] == ["8", "8", "5"]
    assert len(served.inside.accounts["alice"].open) == 1


def test_nothing_is_published_to_a_session_that_has_rolled_over(served):
    client = served.client("ALICE", "spot_md")
    client.logon()
    client.subscribe()
    assert client.read().type == "W"
    inside = served.inside

    def roll_over() -> None:
        inside.kraken.clock.ns = inside.gateway.rollover_ns
        inside.gateway.tick()
        # The connection is still there, and has bytes to send, when this happens.
        inside.kraken.place("bob", "sell", "1", "50000")

    served.call(roll_over)
    assert [message.type for message in client.rest()] == ["5"]
    inside.kraken.clock.ns += 31 * 10**9
    again = served.client("ALICE", "spot_md")
    assert again.logon(reset=False)[34] == "1"


def test_nothing_of_this_is_an_error(served, caplog):
    with caplog.at_level(logging.WARNING):
        for data in (b"", b"8=FIX", b"\x16\x03\x01", b"\x16" * 1000, b"\x00" * 1000):
            end = plain(served)
            end.sendall(data)
            end.close()
        wait_until(lambda: not served.server.connections, 10, "they are gone")
        assert served.client().logon().type == "A"
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
