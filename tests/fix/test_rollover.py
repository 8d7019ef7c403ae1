"""22:00 UTC, when all sequences begin anew (reference: FIX 1.7)."""

import pytest

from tests.fix.inside import Direct, FixVenue
from tests.fix.restarts import again_at
from tests.gateways.venue import START

ROLLOVER_S = (22 - START.hour) * 3600.0
TEXT = "session rollover"


@pytest.fixture
def eve(inside) -> FixVenue:
    """A venue a second before the rollover."""
    inside.wait(ROLLOVER_S - 1)
    return inside


def test_everybody_is_logged_out_at_ten_in_the_evening(eve):
    clients = [eve.trader("ALICE"), eve.trader("BOB"), eve.client("ALICE", "spot_md")]
    clients[2].logon()
    eve.wait(0.5)
    assert not any(client.take() for client in clients)
    eve.wait(0.5)
    for client in clients:
        (goodbye,) = client.take()
        assert (goodbye.type, goodbye[34], goodbye[58]) == ("5", "2", TEXT)
        assert client.closed


@pytest.mark.parametrize("service", ["spot_trading", "spot_md"])
def test_nobody_may_log_on_for_half_a_minute(eve, service):
    eve.wait(1)
    for _ in range(3):
        client = eve.client("ALICE", service)
        client.send("A", (98, 0), (108, 30), (141, "Y"), *client.credentials(1), number=1)
        assert client.closed
        assert client.take() == []
        eve.wait(9.9)
    eve.wait(0.3)
    client = eve.client("ALICE", service)
    assert client.logon().type == "A"


def past_the_rollover(inside: FixVenue) -> Direct:
    """Wait until it is over and log on as one who has been told to begin at 1, without a reset."""
    inside.wait(1)
    inside.wait(30)
    client = inside.client()
    answer = client.logon(reset=False)
    assert answer.type == "A"
    return client


def test_both_numbers_are_1_afterwards_without_a_reset_flag(eve):
    client = eve.trader()
    for _ in range(5):
        client.order()
    client.take()
    again = past_the_rollover(eve)
    assert again.messages[0][34] == "1"
    again.order()
    assert [report[34] for report in again.take()] == ["2", "3"]
    again.send("2", (7, 1), (16, 0))
    assert [m.get(36) or m[34] for m in again.take()] == ["2", "2", "3"]


def test_who_was_not_connected_begins_at_1_too(eve):
    client = eve.trader()
    client.order()
    client.send("5")
    assert past_the_rollover(eve).messages[0][34] == "1"


def test_a_number_from_before_is_answered_with_a_resend_request(eve):
    client = eve.trader()
    client.order()
    eve.wait(1)
    eve.wait(30)
    late = eve.client()
    late.number = 3
    assert late.logon(reset=False)[34] == "1"
    (asked,) = late.take()
    assert (asked.type, asked[7]) == ("2", "1")


def test_orders_stay_and_can_be_worked_with(eve):
    client = eve.trader()
    order = client.order()
    client.take()
    again = past_the_rollover(eve)
    again.cancel(orig=order)
    (report,) = again.take()
    assert (report[150], report[41]) == ("4", order)


def test_reports_of_the_half_minute_are_numbered_from_1(eve):
    client = eve.trader()
    client.order()
    eve.wait(1)
    eve.kraken.place("bob", "sell", "0.01", "50000")
    eve.wait(30)
    again = eve.client()
    assert again.logon(reset=False)[34] == "2"
    again.send("2", (7, 1), (16, 1))
    (fill,) = again.take()
    assert (fill[34], fill[150]) == ("1", "F")


def test_used_order_ids_are_remembered(eve):
    client = eve.trader()
    client.order(t11="1000")
    again = past_the_rollover(eve)
    again.order(t11="1000")
    (refusal,) = again.take()
    assert (refusal.type, refusal[371]) == ("3", "11")


def test_it_happens_every_day(eve):
    for _ in range(3):
        client = past_the_rollover(eve)
        assert client.messages[0][34] == "1"
        eve.wait(86_400 - 31)
        assert not client.closed
        assert client.take() == []
    eve.wait(1)
    assert client.closed


def test_a_clock_that_jumps_over_days_makes_one_rollover(eve):
    client = eve.trader()
    client.order()
    client.take()
    eve.wait(5 * 86_400)
    assert [message.get(58) for message in client.take()] == [TEXT]
    assert past_the_rollover(eve).messages[0][34] == "1"


def test_a_rollover_while_the_venue_did_not_run_counts_too(tmp_path):
    inside = FixVenue(state_folder=tmp_path)
    client = inside.trader()
    client.order(t11="1000")
    inside.close()
    inside.kraken.clock.ns += int((ROLLOVER_S + 60) * 10**9)
    inside = again_at(inside, tmp_path)
    again = inside.client()
    assert again.logon(reset=False)[34] == "1"
    assert [(m[34], m[150], m[11]) for m in again.take()] == [("2", "4", "1000")]
    again.order(t11="1000")
    assert again.take()[0][371] == "11"
    inside.close()
