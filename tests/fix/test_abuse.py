"""What no client should do, and what becomes of it: the others notice nothing, the venue stays up."""

import contextlib
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from emulator.gateways.fix import session as sessions
from tests.fix.inside import Direct
from tests.fix.messages import now
from tests.fix.sockets import SocketClient

SESSIONS = 100
LOGONS = 200


def limit_order(cl_ord_id: int, tif: int = 1) -> list[tuple[int, object]]:
    fields = [(11, cl_ord_id), (38, "0.01"), (40, 2), (44, "1000.0"), (54, 1), (55, "BTC/USD"), (59, tif)]
    return [*fields, (60, now())]


# -- bytes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "garbage", [b"\x00" * 5000, b"8=FIX" * 1000, b"8=FIX.4.4\x019=x\x01", b"hello\r\n" * 100]
)
def test_garbage_between_messages_is_ignored(quiet_venue, connect, garbage):
    client = connect(quiet_venue.next_member())
    client.raw(garbage)
    assert client.logon().type == "A"
    client.raw(garbage)
    client.order()
    client.raw(garbage + client.message("1", (112, "still there")))
    assert [report[150] for report in client.reports(2)] == ["A", "0"]
    assert client.read()[112] == "still there"


def test_half_open_connections_keep_nobody_out(quiet_venue, connect):
    host, _, port = quiet_venue.tier()["fix"]["spot_trading"].rpartition(":")
    with contextlib.ExitStack() as stack:
        for number in range(60):
            end = stack.enter_context(socket.create_connection((host, int(port)), 20))
            end.sendall((b"", b"8=FIX.4.4\x019=200\x0135=A\x01", b"\x16\x03\x01")[number % 3])
        client = connect(quiet_venue.next_member())
        assert client.logon().type == "A"
        client.order()
        client.reports(2)


def test_orders_that_come_byte_by_byte_are_taken(quiet_venue, connect):
    client = connect(quiet_venue.next_member())
    client.logon()
    fields = [
        (11, "1"),
        (38, "0.01"),
        (40, 2),
        (44, "50000.0"),
        (54, 1),
        (55, "BTC/USD"),
        (59, 1),
        (60, now()),
    ]
    message = client.message("D", *fields)
    for at in range(len(message)):
        client.raw(message[at : at + 1])
    assert [report[11] for report in client.reports(2)] == ["1", "1"]


def test_a_message_with_a_wrong_checksum_is_ignored_and_its_number_is_free(inside):
    client = inside.trader()
    message = bytearray(client.message("1", (112, "x"), number=2))
    message[-2] = message[-2] ^ 1
    client.raw(bytes(message))
    assert client.take() == []
    client.send("1", (112, "y"))
    assert [answer[112] for answer in client.take()] == ["y"]


@pytest.mark.parametrize("head", [b"8=FIX.4.4\x019=999999999\x01", b"8=FIX.4.4\x019=65537\x01"])
def test_a_huge_length_ends_the_connection(quiet_venue, connect, head):
    member = quiet_venue.next_member()
    for log_on_first in (True, False):
        client = connect(member)
        if log_on_first:
            client.logon()
        client.raw(head)
        assert client.rest() == []


def test_another_version_in_a_message_is_ignored_or_ends_the_session(inside):
    client = inside.trader()
    message = client.message("1", (112, "x"), number=2).replace(b"FIX.4.4", b"FIX.4.2")
    client.raw(resealed(message))
    assert not [answer for answer in client.take() if answer.type == "0"]


def resealed(message: bytes) -> bytes:
    """Return a message with a checksum that fits."""
    return message[:-7] + b"10=%03d\x01" % (sum(message[:-7]) % 256)


@pytest.mark.parametrize(
    "value", [b"\xff\xfe", b"a\x00b", "\U0001f600".encode(), b"\xed\xa0\x80", b"\x80", b"=" * 50]
)
@pytest.mark.parametrize(
    ("msg_type", "tag"), [("1", 112), ("D", 11), ("D", 55), ("F", 37), ("D", 60), ("5", 58)]
)
def test_strange_bytes_in_values_end_nothing_but_their_message(inside, caplog, msg_type, tag, value):
    client = inside.trader()
    fields = {
        "1": {112: "x"},
        "D": {11: "1", 38: "1", 40: 2, 44: "1.0", 54: 1, 55: "BTC/USD", 59: 1, 60: now()},
        "F": {11: "1", 37: "x", 54: 1, 55: "BTC/USD", 60: now()},
        "5": {58: "x"},
    }[msg_type] | {tag: "PLACE"}
    message = client.message(msg_type, *fields.items(), number=2)
    size = int(message.split(b"\x019=", 1)[1].split(b"\x01", 1)[0])
    message = message.replace(b"\x019=%d\x01" % size, b"\x019=%d\x01" % (size - 5 + len(value)))
    client.raw(resealed(message.replace(b"PLACE", value)))
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    client.take()
    if msg_type == "5":
        return
    client.number = client.session.core.expected
    client.send("1", (112, "y"))
    assert client.take()[-1][112] == "y"


# -- CompIDs and numbers --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("comp_id", "target"), [("BOB", "KRAKEN-TRD"), ("ALICE", "KRAKEN-MD"), ("alice", "X")]
)
@pytest.mark.parametrize("msg_type", ["0", "D", "F"])
def test_other_comp_ids_amid_a_session_are_rejected_and_end_it(inside, comp_id, target, msg_type):
    client = inside.trader()
    client.comp_id, client.target = comp_id, target
    fields = {
        "0": [],
        "D": [(11, 1), (38, 1), (40, 2), (44, 1), (54, 1), (55, "BTC/USD"), (59, 1), (60, now())],
        "F": [(11, 1), (37, "x"), (54, 1), (55, "BTC/USD"), (60, now())],
    }[msg_type]
    client.send(msg_type, *fields)
    reject, goodbye = client.take()
    assert (reject.type, reject[373], reject[372], reject[45]) == ("3", "9", msg_type, "2")
    assert goodbye.type == "5"
    client.comp_id, client.target = "ALICE", "KRAKEN-TRD"
    client.send("5")
    assert client.closed
    assert not inside.accounts["alice"].open


@pytest.mark.parametrize("heartbeat", [30, 0])
def test_who_does_not_answer_the_logout_is_dropped(quiet_venue, connect, heartbeat):
    client = connect(quiet_venue.next_member(), "spot_md")
    client.logon(heartbeat=heartbeat)
    client.comp_id = "SOMEBODY-ELSE"
    client.send("0")
    assert [message.type for message in client.rest()] == ["3", "5"]


def out_of_turn(client: Direct, count: int) -> None:
    for _ in range(count):
        client.send("1", (112, "x"))
        if client.closed:
            return


def test_messages_out_of_turn_without_end_are_cut_off(inside):
    client = inside.trader()
    client.number = 1000
    out_of_turn(client, sessions.MOST_IDLE_MESSAGES + 2)
    assert client.closed
    client.close()
    assert inside.trader().session is not None


@pytest.mark.parametrize("between", ["resend request", "bad message", "in turn", "reset", "gap fill"])
def test_other_messages_between_those_out_of_turn_do_not_save_one_from_that(inside, between):
    client = inside.trader()
    turn, client.number = 2, 1_000_000
    for _ in range(30):
        out_of_turn(client, 100)
        if client.closed:
            break
        if between == "resend request":
            client.send("2", (7, 1), (16, 0))
        elif between == "bad message":
            client.send("1")
        elif between == "in turn":
            client.send("0", number=turn)
            turn += 1
        else:
            client.send("4", (123, "Y" if between == "gap fill" else "N"), (36, client.number), number=turn)
            client.send("0")
            turn, client.number = client.number, client.number + 1
    assert client.closed


def test_gaps_that_are_filled_may_be_as_many_as_there_are(inside):
    client = inside.trader()
    for _ in range(5):
        gap = client.number
        client.number += 1
        out_of_turn(client, 600)
        client.send("0", number=gap)
        assert len([answer for answer in client.take() if answer.type == "0"]) == 600
    assert not client.closed


def test_duplicates_without_end_are_cut_off(inside):
    client = inside.trader()
    client.send("0")
    for _ in range(sessions.MOST_IDLE_MESSAGES + 1):
        client.send("0", (43, "Y"), (122, now()), number=2)
    assert client.closed


# -- many -----------------------------------------------------------------------------------------


def test_several_hundred_orders_in_one_write_are_answered_in_order(quiet_venue, connect):
    client = connect(quiet_venue.next_member())
    client.logon()
    client.raw(b"".join(client.message("D", *limit_order(n, tif=3)) for n in range(1, 501)))
    reports = client.reports(1500)
    assert [int(report[11]) for report in reports] == [n for n in range(1, 501) for _ in range(3)]
    assert [int(report[34]) for report in reports] == list(range(2, 1502))


def test_a_hundred_sessions_trade_at_once(quiet_venue, connect):
    members = {}
    while len(members) < SESSIONS:
        member = quiet_venue.next_member()
        members[member["fix"]["sender_comp_id"]] = member
    clients = [connect(member) for member in members.values()]
    for client in clients:
        client.logon()
    for round_ in range(3):
        ids = [client.order(t44=f"{100 + round_}.0", t55="ETH/USD") for client in clients]
        for client, cl_ord_id in zip(clients, ids, strict=True):
            assert [report[11] for report in client.reports(2)] == [cl_ord_id] * 2
            client.cancel(orig=cl_ord_id)
        for client in clients:
            assert client.read()[150] == "4"
    for client in clients:
        client.logout()


def test_a_storm_of_logons_leaves_the_venue_as_it_was(quiet_venue, connect):
    good, bad = quiet_venue.next_member(), quiet_venue.next_member()
    steady = connect(quiet_venue.next_member())
    steady.logon()
    place = quiet_venue.tier()["fix"]["spot_trading"]

    def on_and_off(number: int) -> str:
        member = (good, bad)[number % 2]
        with SocketClient(place, member, "KRAKEN-TRD") as client:
            fields = [(98, 0), (108, 30), (141, "Y")]
            if number % 2:
                fields += [(553, "x"), (554, "y"), (5025, "1")]
            else:
                fields += client.credentials(1)
            client.send("A", *fields, number=1)
            if number % 5:
                with contextlib.suppress(ConnectionError):
                    return client.read().type
            return ""

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(on_and_off, range(LOGONS)))
    assert {answer for number, answer in enumerate(answers) if number % 2} == {"5", ""}
    assert {answer for number, answer in enumerate(answers) if not number % 2} <= {"A", "5", ""}
    assert steady.sync() == []
    assert connect(bad).logon().type == "A"
    assert "Traceback" not in quiet_venue.output()
