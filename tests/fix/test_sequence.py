"""Sequence numbers: gaps, duplicates, resends, resets, heartbeats (reference: FIX 1.7 and 1.8)."""

import pytest

from tests.fix.inside import Direct, FixVenue
from tests.fix.messages import Message, now
from tests.gateways.venue import XBTUSD


def kinds(messages: list[Message]) -> list[tuple[str, str]]:
    """Return the type and number of each message."""
    return [(message.type, message[34]) for message in messages]


def placed(messages: list[Message]) -> list[str]:
    """Return the ClOrdIDs of orders that are live now."""
    return [message[11] for message in messages if message.type == "8" and message[150] == "0"]


def open_orders(inside: FixVenue, name: str = "ALICE") -> int:
    return len(inside.accounts[name.lower()].open)


# -- heartbeats -----------------------------------------------------------------------------------


def test_a_test_request_is_answered_with_its_words(inside):
    client = inside.trader()
    client.send("1", (112, "are you = there?"))
    assert [(m.type, m[112]) for m in client.take()] == [("0", "are you = there?")]


def test_heartbeats_come_at_the_interval_that_was_asked_for(quiet_venue, connect):
    client = connect(quiet_venue.next_member(), "spot_md")
    client.logon(heartbeat=1)
    for _ in range(2):
        heartbeat = client.until("0", "5")
        assert (heartbeat.type, heartbeat.get(112)) == ("0", None)
        client.send("0")


def test_a_silent_client_is_asked_and_then_dropped_and_its_orders_are_cancelled(quiet_venue, connect):
    member = quiet_venue.next_member()
    client = connect(member)
    client.logon(heartbeat=1)
    client.order()
    client.reports(2)
    assert client.until("1")[112]
    assert {message.type for message in client.rest()} <= {"0", "1"}
    again = connect(member)
    again.number = 3
    number = int(again.logon(reset=False)[34])
    again.send("2", (7, 4), (16, 0))
    answers = [again.read()]
    while int(answers[-1].get(36) or answers[-1][34]) < number:
        answers.append(again.read())
    assert [report[150] for report in answers if report.type == "8"] == ["4"]


# -- gaps -----------------------------------------------------------------------------------------


def test_messages_after_a_gap_wait_until_it_is_filled_and_are_carried_out_in_order(inside):
    client = inside.trader()
    missing = client.message("D", *order_fields("1"), number=2)
    client.number = 3
    later = [client.order(t11="2"), client.order(t11="3")]
    asked = client.take()
    assert kinds(asked) == [("2", "2")]
    assert (asked[0][7], asked[0][16]) == ("2", "0")
    assert open_orders(inside) == 0
    client.raw(missing)
    assert placed(client.take()) == ["1", *later]
    assert client.order(t11="4") in placed(client.take())


def test_a_gap_fill_brings_out_what_waited(inside):
    client = inside.trader()
    client.number = 5
    first, second = client.order(), client.order()
    assert kinds(client.take()) == [("2", "2")]
    client.send("4", (43, "Y"), (122, now()), (123, "Y"), (36, 5), number=2)
    assert placed(client.take()) == [first, second]


def test_a_gap_fill_that_leaves_part_of_the_gap_brings_nothing_out(inside):
    client = inside.trader()
    client.number = 5
    order = client.order()
    client.take()
    client.send("4", (43, "Y"), (122, now()), (123, "Y"), (36, 4), number=2)
    assert placed(client.take()) == []
    client.send("0", (43, "Y"), (122, now()), number=4)
    assert placed(client.take()) == [order]


def test_a_sequence_reset_moves_on_whatever_its_own_number(inside):
    client = inside.trader()
    client.send("4", (123, "N"), (36, 100), number=50)
    client.number = 100
    order = client.order()
    assert placed(client.take()) == [order]


def test_a_sequence_reset_to_a_lower_number_is_refused(inside):
    client = inside.trader()
    for _ in range(3):
        client.send("0")
    client.send("4", (123, "N"), (36, 2), number=client.number)
    (answer,) = client.take()
    assert (answer.type, answer[373], answer[372]) == ("3", "5", "4")
    assert not client.closed


def test_a_logon_ahead_of_its_turn_is_answered_and_what_is_missing_asked_for(inside):
    client = inside.client()
    client.number = 7
    assert client.logon(reset=False).type == "A"
    (asked,) = client.take()
    assert (asked.type, asked[7], asked[16]) == ("2", "1", "0")
    client.send("4", (43, "Y"), (122, now()), (123, "Y"), (36, 8), number=1)
    order = client.order()
    assert placed(client.take()) == [order]


# -- too low --------------------------------------------------------------------------------------


def test_a_number_that_is_too_low_ends_the_session_in_words(inside):
    client = inside.trader()
    client.order()
    client.take()
    client.number = 2
    client.order()
    (goodbye,) = client.take()
    assert (goodbye.type, goodbye[58]) == ("5", "MsgSeqNum too low, expecting 3 but received 2")
    assert client.closed


def test_a_logon_that_is_too_low_is_refused_in_words_and_costs_nothing_else(inside):
    client = inside.trader("ALICE", (8674, 1))
    client.order()
    client.close()
    late = inside.client()
    late.number = 2
    goodbye = late.logon(reset=False)
    assert (goodbye.type, goodbye[58]) == ("5", "MsgSeqNum too low, expecting 3 but received 2")
    assert late.closed
    good = inside.client()
    good.number = 3
    assert good.logon(reset=False).type == "A"
    assert open_orders(inside) == 1


def order_fields(cl_ord_id: str, *first: tuple[int, object]) -> list[tuple[int, object]]:
    return [
        *first,
        *((11, cl_ord_id), (38, "0.01"), (40, 2), (44, "50000.0"), (54, 1), (55, "BTC/USD"), (59, 1)),
        (60, now()),
    ]


def test_a_duplicate_that_is_marked_as_one_is_not_carried_out_again(inside):
    client = inside.trader()
    client.send("D", *order_fields("1"))
    assert placed(client.take()) == ["1"]
    client.send("D", *order_fields("1", (43, "Y"), (122, now())), number=2)
    # Not even when its ClOrdID would be new.
    client.send("D", *order_fields("2", (43, "Y"), (122, now())), number=2)
    assert client.take() == []
    assert open_orders(inside) == 1
    client.send("D", *order_fields("2"))
    assert placed(client.take()) == ["2"]


def test_a_duplicate_in_its_turn_is_carried_out(inside):
    client = inside.trader()
    client.send("D", *order_fields("1", (43, "Y"), (122, now())))
    assert placed(client.take()) == ["1"]


def test_a_duplicate_without_its_first_time_is_no_order(inside):
    client = inside.trader()
    client.send("D", *order_fields("1"))
    client.take()
    client.send("D", *order_fields("2", (43, "Y")), number=2)
    assert placed(client.take()) == []
    assert open_orders(inside) == 1


# -- resends --------------------------------------------------------------------------------------


def history(inside: FixVenue) -> tuple[Direct, dict[int, Message]]:
    """A session that has sent A(1) 8(2) 8(3) 0(4) 8(5) 8(6) 3(7) j(8); return it and these."""
    client = inside.trader()
    client.order()
    client.send("1", (112, "x"))
    client.order()
    client.send("D", (11, "5"))
    client.order(t55="BTC/NIX")
    sent = client.take()
    assert kinds(sent) == [
        ("8", "2"), ("8", "3"), ("0", "4"), ("8", "5"), ("8", "6"), ("3", "7"), ("j", "8"),
    ]  # fmt: skip
    return client, {int(message[34]): message for message in sent}


@pytest.mark.parametrize(
    ("first", "last", "answers"),
    [
        (1, 0, ["1>2", 2, 3, "4>5", 5, 6, "7>8", 8]),
        (0, 0, ["1>2", 2, 3, "4>5", 5, 6, "7>8", 8]),
        (1, 999_999, ["1>2", 2, 3, "4>5", 5, 6, "7>8", 8]),
        (2, 3, [2, 3]),
        (3, 3, [3]),
        (3, 4, [3, "4>5"]),
        (4, 4, ["4>5"]),
        (4, 6, ["4>5", 5, 6]),
        (1, 1, ["1>2"]),
        (6, 7, [6, "7>8"]),
        (8, 0, [8]),
        (0, 2, ["1>2", 2]),
        (9, 0, []),
        (1000, 2000, []),
        (5, 3, []),
    ],
)
def test_reports_are_sent_again_and_holes_are_gap_filled(inside, first, last, answers):
    client, sent = history(inside)
    inside.wait(5)
    client.take()
    client.send("2", (7, first), (16, last))
    got = client.take()
    assert [f"{m[34]}>{m[36]}" if m.type == "4" else int(m[34]) for m in got] == answers
    for message in got:
        assert message[43] == "Y"
        if message.type == "4":
            assert message[123] == "Y"
            continue
        before = sent[int(message[34])]
        assert message[122] == before[52]
        assert message[52] > before[52]
        strip = {"9", "10", "43", "52", "122"}
        assert [pair for pair in message.pairs if pair[0] not in strip] == [
            pair for pair in before.pairs if pair[0] not in strip
        ]


@pytest.mark.parametrize("first", [0, 1, 3, 9])
def test_numbers_go_on_after_a_resend(inside, first):
    client, _ = history(inside)
    client.send("2", (7, first), (16, 0))
    client.take()
    client.send("1", (112, "y"))
    client.order()
    assert kinds(client.take()) == [("0", "9"), ("8", "10"), ("8", "11")]


@pytest.mark.parametrize(
    "fields", [[(7, -1), (16, 0)], [(7, "x"), (16, 0)], [(7, 1), (16, 10**20)], [(7, 1)]]
)
def test_a_resend_request_that_cannot_be_is_refused(inside, fields):
    client, _ = history(inside)
    client.send("2", *fields)
    (answer,) = client.take()
    assert (answer.type, answer[372]) == ("3", "2")
    client.send("1", (112, "y"))
    assert kinds(client.take()) == [("0", "10")]


def test_a_resend_request_ahead_of_its_turn_is_answered_at_once(inside):
    client, _ = history(inside)
    client.send("2", (7, 8), (16, 0), number=client.number + 1)
    assert ("j", "8") in kinds(client.take())


def test_what_was_sent_again_can_be_asked_for_again(inside):
    client, _ = history(inside)
    for _ in range(3):
        client.send("2", (7, 2), (16, 2))
        (again,) = client.take()
        assert (again.type, again[34]) == ("8", "2")
        assert len(again.all(43)) == len(again.all(122)) == 1


# -- over connections -----------------------------------------------------------------------------


def test_reports_of_the_time_without_a_connection_are_numbered_and_can_be_fetched(inside):
    client = inside.trader("ALICE", (8674, 1))
    order = client.order()
    client.take()
    client.close()
    inside.kraken.place("bob", "sell", "0.004", "50000.0")
    inside.kraken.place("bob", "sell", "0.006", "50000.0")
    again = inside.client()
    again.number = 3
    assert again.logon(reset=False)[34] == "6"
    assert again.take() == []
    again.send("2", (7, 4), (16, 0))
    first, second, fill = again.take()
    assert [(m[34], m[11], m[150], m[32]) for m in (first, second)] == [
        ("4", order, "F", "0.004"),
        ("5", order, "F", "0.006"),
    ]
    assert (fill.type, fill[34], fill[36]) == ("4", "6", "7")


def test_what_waited_for_its_turn_is_forgotten_with_the_connection(inside):
    client = inside.trader("ALICE", (8674, 1))
    client.number = 4
    client.order()
    client.close()
    again = inside.client()
    again.number = 2
    assert again.logon(reset=False).type == "A"
    for _ in range(3):
        again.send("1", (112, "x"))
    assert [m.type for m in again.take()] == ["0", "0", "0"]
    assert open_orders(inside) == 0


def test_what_is_missing_is_asked_for_over_each_connection(inside):
    for number in (5, 8):
        client = inside.client()
        client.number = number
        client.logon(reset=False)
        assert [(m.type, m[7]) for m in client.take()] == [("2", "1")]
        client.close()


def test_numbers_go_on_over_connections(inside):
    client = inside.trader()
    client.send("5")
    assert kinds(client.take()) == [("5", "2")]
    again = inside.client()
    again.number = 3
    assert kinds([again.logon(reset=False)]) == [("A", "3")]


def test_a_reset_begins_both_numbers_anew_and_forgets_what_was_sent(inside):
    client, _ = history(inside)
    client.close()
    again = inside.trader()
    assert again.number == 2
    again.send("2", (7, 1), (16, 0))
    assert [(m.type, m[34], m[36]) for m in again.take()] == [("4", "1", "2")]
    again.order()
    assert kinds(again.take()) == [("8", "2"), ("8", "3")]


def test_a_reset_amid_a_session_begins_both_numbers_anew(inside):
    client, _ = history(inside)
    client.send("A", (98, 0), (108, 30), (141, "Y"), number=1)
    assert kinds(client.take()) == [("A", "1")]
    client.number = 2
    client.order()
    assert kinds(client.take()) == [("8", "2"), ("8", "3")]
    client.send("2", (7, 1), (16, 0))
    assert [m.get(36) or m[34] for m in client.take()] == ["2", "2", "3"]


def test_used_order_ids_are_remembered_over_resets_unless_5030_forgets_them(inside):
    client = inside.trader()
    client.order(t11="1000")
    client.close()
    again = inside.trader()
    for used in ("1000", "999"):
        assert again.session_reject(t11=used)[0] == "11"
    again.close()
    third = inside.trader("ALICE", (5030, "Y"))
    for free in ("1", "1000"):
        third.order(t11=free)
    assert placed(third.take()) == ["1", "1000"]


def test_a_logon_after_a_connection_that_ended_amid_a_batch_is_answered_at_once(inside):
    client = inside.trader()
    client.session.more = True  # as the server says of all but the last message of a read
    client.send("5")
    assert client.closed
    assert kinds([inside.client().logon()]) == [("A", "1")]


def test_one_session_does_not_see_what_another_one_is_told(inside):
    alice, bob = inside.trader("ALICE"), inside.trader("BOB")
    alice.order()
    assert bob.take() == []
    bob.send("2", (7, 1), (16, 0))
    assert [m.type for m in bob.take()] == ["4"]
    assert inside.kraken.engine.markets[XBTUSD].book.bids.best is not None
