"""A restart does not lie (``--state``): what clients hear of orders that the engine has no more."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fix.inside import FixVenue
from tests.fix.messages import Message, stamp, states
from tests.fix.restarts import again_at, back, killed, restarted
from tests.fix.test_orders import START_NS, uuid_at
from tests.fix.test_rollover import ROLLOVER_S
from tests.gateways.venue import START

START_S = START.timestamp()
PRICE = 500_000
"""50,000.0 in the pair's units."""
Again = Callable[[FixVenue, Path], FixVenue]
ways = pytest.mark.parametrize("again", [restarted, killed])


@pytest.fixture
def inside(tmp_path) -> FixVenue:
    return FixVenue(state_folder=tmp_path)


def told(messages: list[Message]) -> list[tuple[str, str, str]]:
    """Return 37, 14 and 58 of reports that orders are over, which all messages must be."""
    assert states(messages) == ["44"] * len(messages)
    return [(m[37], m[14], m[58]) for m in messages]


def resent(client, first: int = 1, last: int = 0) -> list[str]:
    """Return what answers a ResendRequest: the end of each gap fill, 150 and 39 of reports, other types."""
    found = client.ask("2", (7, first), (16, last))
    return [f"to {m[36]}" if m.type == "4" else states([m])[0] for m in found]


@ways
def test_each_order_that_was_open_is_reported_over_at_the_next_logon(inside, tmp_path, again):
    alice = inside.trader()
    resting = alice.resting(t44="40000.0")
    scheduled = alice.ordered(t168=stamp(START_S + 100))[0]
    trigger = alice.resting(t40="4", t54="2", t99="30000.0", t44="29000.0")
    amended = alice.replaced(alice.resting(t44="41000.0"), t38="0.02")[-1]
    alice.canceled(alice.resting(t44="42000.0")[37])
    inside.quote(False, PRICE)
    assert states(alice.ordered())[-1] == "F2"
    inside = again(inside, tmp_path)
    alice = back(inside, alice.number)
    notices = alice.take()
    assert told(notices) == [
        (order[37], "0.0", "Venue restarted") for order in (resting, scheduled, trigger, amended)
    ]
    assert [m[11] for m in notices] == [m[11] for m in (resting, scheduled, trigger, amended)]
    assert [m[38] for m in notices] == ["0.01", "0.01", "0.01", "0.02"]
    assert {m[151] for m in notices} == {"0.0"}
    assert {m[60] for m in notices} == {stamp(inside.gateway.started_ns / 1e9)}
    assert len({m[17] for m in notices}) == 4
    tags = [int(tag) for tag, _ in notices[0].pairs]
    assert tags == [8, 9, 35, 34, 49, 52, 56, 6, 11, 14, 17, 37, 38, 39, 40, 44, 54, 55, 58, 59, 60,
                    150, 151, 381, 10]  # fmt: skip
    assert (notices[2][99], notices[2][44]) == ("30000.0", "29000.0")
    assert notices[3].get(41) is None
    # The venue has none of them.
    for order in (resting, amended):
        (refusal,) = alice.status(order[37])
        assert (refusal.type, refusal[380]) == ("j", "101")
    assert alice.mass_cancel("7") == []
    inside.close()


@ways
def test_what_was_filled_of_an_order_stands_in_its_last_report(inside, tmp_path, again):
    alice = inside.trader()
    inside.quote(False, PRICE, 400_000)
    fill = alice.ordered()[-1]
    assert (fill[39], fill[14]) == ("1", "0.004")
    inside = again(inside, tmp_path)
    (notice,) = back(inside, alice.number).take()
    assert (notice[38], notice[14], notice[151]) == ("0.01", "0.004", "0.0")
    assert (notice[6], notice[381]) == ("50000.0", "200.0")
    assert all(notice.get(tag) is None for tag in (31, 32, 118, 136, 137, 527, 1003, 5050))
    inside.close()


@ways
def test_it_is_told_once(inside, tmp_path, again):
    alice = inside.trader()
    alice.resting()
    for told_now in (["44"], []):
        inside = again(inside, tmp_path)
        alice = back(inside, alice.number)
        assert states(alice.take()) == told_now
        alice.close()
        alice.logon(reset=False)
        assert alice.take() == []
    inside.close()


@ways
def test_one_who_begins_at_1_is_told_too(inside, tmp_path, again):
    inside.trader().resting()
    inside = again(inside, tmp_path)
    assert [(m[34], m[150]) for m in inside.trader().take()] == [("2", "4")]
    inside.close()


def test_each_session_hears_of_its_own_orders(inside, tmp_path):
    placed = {name: inside.trader(name).resting()[37] for name in ("ALICE", "BOB", "ALICE2")}
    inside.kraken.place("carol", "buy", "0.01", "40000")
    inside = restarted(inside, tmp_path)
    for name, order in placed.items():
        assert [m[37] for m in back(inside, 3, name).take()] == [order]
    assert inside.trader("CAROL").take() == []
    assert inside.reader().take() == []
    inside.close()


def test_an_answer_to_a_status_request_is_no_order_of_this_session(inside, tmp_path):
    bobs = inside.trader("ALICE2").resting()
    alice = inside.trader()
    own = alice.resting()
    assert [states(alice.status(order[37])) for order in (own, bobs)] == [["I0"], ["I0"]]
    inside = restarted(inside, tmp_path)
    assert [(m[37], m[11]) for m in back(inside, 5).take()] == [(own[37], own[11])]
    inside.close()


# -- what was kept is enough ----------------------------------------------------------------------


@ways
def test_orders_outlast_the_numbers_they_were_reported_with(inside, tmp_path, again):
    """A client that begins at 1 again, and the rollover, make the venue forget what it has sent."""
    alice = inside.trader()
    first = alice.resting()
    alice.send("5")
    alice = inside.trader()
    second = alice.resting()
    inside.wait(ROLLOVER_S)
    assert alice.closed
    inside.wait(31)
    inside = again(inside, tmp_path)
    alice = back(inside, 1)
    assert [(m[34], m[37]) for m in alice.take()] == [("2", first[37]), ("3", second[37])]
    inside.close()


@ways
def test_orders_outlast_a_logon_that_was_refused(inside, tmp_path, again):
    """It has the venue read what was kept, and a rollover meanwhile has it written anew."""
    order = inside.trader().resting()
    inside.kraken.clock.ns += 86_400 * 10**9
    inside = again(inside, tmp_path)
    alice = inside.client()
    alice.send("A", (98, 0), (108, 30), (553, "wrong"), (554, "x"), (5025, "1"))
    assert alice.closed
    inside = again(inside, tmp_path)
    assert [m[37] for m in back(inside, 1).take()] == [order[37]]
    inside.close()


@ways
def test_orders_outlast_the_reports_that_are_kept(inside, tmp_path, monkeypatch, again):
    monkeypatch.setattr("emulator.gateways.fix.outbox.MOST_MESSAGES", 5)
    monkeypatch.setattr("emulator.gateways.fix.outbox._LARGEST_FILE", 5_000)
    alice = inside.trader()
    old = alice.resting(t44="40000.0")
    inside.quote(False, PRICE, 400_000)
    partly = alice.ordered()[-1]
    for _ in range(30):
        alice.refusal(t55="BTC/NIX", t38="1")
    alice.canceled(alice.resting()[37])
    (sent,) = tmp_path.glob("*.sent")
    assert sent.stat().st_size < 8_000
    for run in range(3):  # nobody comes for it twice
        inside = again(inside, tmp_path)
        if run == 1:
            inside.trader("BOB")
    notices = back(inside, alice.number).take()
    assert told(notices) == [
        (old[37], "0.0", "Venue restarted"),
        (partly[37], "0.004", "Venue restarted"),
    ]
    assert [m[11] for m in notices] == [old[11], partly[11]]
    inside.close()


def test_who_is_killed_while_a_file_is_written_anew_has_lost_nothing(inside, tmp_path, monkeypatch):
    alice = inside.trader()
    order = alice.resting()
    alice.send("5")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", die)
        with pytest.raises(KeyboardInterrupt):
            inside.gateway.sessions["spot_trading", "ALICE"].restart()
    assert len(list(tmp_path.glob("*.new"))) == 1
    inside = killed(inside, tmp_path)
    alice = inside.trader()
    assert [m[37] for m in alice.take()] == [order[37]]
    assert list(tmp_path.glob("*.new")) == []
    inside.close()


def test_a_damaged_file_of_numbers_does_not_hide_orders(inside, tmp_path):
    order = inside.trader().resting()
    (numbers,) = tmp_path.glob("*.numbers")
    inside.close()
    numbers.write_bytes(b"garbage")
    inside = again_at(inside, tmp_path)
    alice = inside.trader()
    assert [m[37] for m in alice.take()] == [order[37]]
    # What was sent with other numbers is not there to be mixed up with these.
    alice.send("5")
    inside = restarted(inside, tmp_path)
    alice = back(inside, 3)
    assert resent(alice) == ["to 2", "44", "to 5"]
    inside.close()


@ways
def test_ids_that_were_used_stay_used(inside, tmp_path, again):
    alice = inside.trader()
    used = [uuid_at(START_NS, f"8f10-{n:012}") for n in range(3)]
    alice.resting(t11=used[0])
    alice.refusal(t11=used[1], t55="BTC/NIX")
    alice.mass_cancel("7", t11=used[2])
    alice.order(t11="1000")
    inside = again(inside, tmp_path)
    alice = back(inside, alice.number)
    alice.take()
    for value in used:
        assert alice.session_reject(t11=value) == ("11", "5", "ClOrdID invalid value (not unique)")
    assert alice.session_reject(t11="1000")[:2] == ("11", "5")
    alice.resting(t11=uuid_at(START_NS, "8f10-000000000009"))
    alice.send("5")
    inside = again(inside, tmp_path)
    alice = back(inside, alice.number, "ALICE", (5030, "Y"))
    assert [path.suffix for path in tmp_path.glob("*.ids")] == []
    alice.take()
    alice.resting(t11=used[0])
    inside.close()


def test_what_is_kept_of_ids_is_bounded(inside, tmp_path, monkeypatch):
    monkeypatch.setattr("emulator.gateways.fix.outbox._LARGEST_ID_FILE", 1_000)
    monkeypatch.setattr("emulator.gateways.fix.cl_ord_ids.MOST_REMEMBERED", 10)
    alice = inside.trader()
    used = [uuid_at(START_NS, f"8f10-{n:012}") for n in range(100)]
    for value in used:
        alice.refusal(t11=value, t55="BTC/NIX")
    (file,) = tmp_path.glob("*.ids")
    assert file.stat().st_size <= 1_000
    file.write_bytes(file.read_bytes()[:-5])  # the last one is half written
    inside = killed(inside, tmp_path)
    alice = back(inside, alice.number)
    assert alice.session_reject(t11=used[-2])[2] == "ClOrdID invalid value (not unique)"
    alice.resting(t11=used[-1], t44="40000.0")
    inside = killed(inside, tmp_path)
    alice = back(inside, alice.number)
    alice.take()
    assert alice.session_reject(t11=used[-1])[2] == "ClOrdID invalid value (not unique)"
    inside.close()


# -- asking for what was missed -------------------------------------------------------------------


@ways
def test_what_is_no_longer_true_is_gap_filled(inside, tmp_path, again):
    alice = inside.trader()
    alice.resting()
    order = alice.resting()
    alice.replaced(order, t38="0.02")
    alice.status(order[37])
    cancel = alice.canceled(order[37])[0]
    refused = alice.refusal(t55="BTC/NIX")
    inside = again(inside, tmp_path)
    alice = back(inside, alice.number)
    (notice,) = alice.take()
    found = alice.ask("2", (7, 1), (16, 0))
    number = int(cancel[34])
    numbers = [cancel[34], cancel[34], str(number + 1), notice[34], notice[34]]
    assert [m.get(36) or m[34] for m in found] == numbers
    assert found[1][17] == cancel[17]
    assert (found[2].type, found[2][58]) == ("j", refused[1])
    assert found[-1][17] == notice[17]
    assert all(m[43] == "Y" for m in found)
    inside.close()


@ways
@pytest.mark.parametrize(("heard", "knows"), [(1, "0.0"), (3, "0.0"), (4, "0.004")])
def test_an_order_whose_last_fill_was_not_heard_is_reported_over(inside, tmp_path, again, heard, knows):
    """The fill is gone with the balances, but the client still holds the order for open."""
    alice = inside.trader()
    inside.quote(False, PRICE, 400_000)
    order = alice.ordered()[-1]
    inside.quote(False, PRICE)
    assert [m[34] for m in alice.take()] == ["5"]
    inside = again(inside, tmp_path)
    alice = back(inside, alice.number)
    assert alice.take() == []
    fill, notice = alice.ask("2", (7, heard + 1), (16, 0))
    assert (fill[36], notice.get(43)) == (notice[34], None)
    assert told([notice]) == [(order[37], knows, "Venue restarted")]
    assert (notice[11], notice[151]) == (order[11], "0.0")
    # Asked again it tells the same, as the same message.
    _, same = alice.ask("2", (7, heard + 1), (16, 0))
    assert (same[17], same[43]) == (notice[17], "Y")
    inside.close()


def test_one_who_has_heard_of_the_last_fill_is_told_nothing(inside, tmp_path):
    alice = inside.trader()
    inside.quote(False, PRICE)
    assert states(alice.ordered()) == ["AA", "00", "F2"]
    inside = restarted(inside, tmp_path)
    alice = back(inside, alice.number)
    assert alice.take() == []
    assert resent(alice, 5) == ["to 7"]  # both logons
    inside.close()


@ways
def test_a_notice_that_was_lost_is_sent_again_by_the_run_after(inside, tmp_path, again):
    order = inside.trader().resting()
    inside = again(inside, tmp_path)
    alice = inside.client()
    alice.number = 3
    alice.logon(reset=False)
    alice.outlet.written = b""
    inside = again(inside, tmp_path)
    alice = back(inside, 4)
    assert alice.take() == []
    gap, notice, *_ = alice.ask("2", (7, 4), (16, 0))
    assert (gap[36], notice[37], notice[150], notice[43]) == (notice[34], order[37], "4", "Y")
    inside.close()


def test_this_runs_reports_are_sent_again_as_ever(inside, tmp_path):
    inside.trader().resting()
    inside = restarted(inside, tmp_path)
    alice = back(inside, 3)
    inside.quote(False, PRICE)
    assert states(alice.ordered())[-1] == "F2"
    assert resent(alice, 1) == ["to 6", "44", "AA", "00", "F2"]
    inside.close()


def test_reports_of_numbers_that_began_again_are_this_runs(inside, tmp_path):
    alice = inside.trader()
    for _ in range(5):
        alice.resting(t44="40000.0")
    inside = restarted(inside, tmp_path)
    alice = inside.trader()
    alice.take()
    alice.resting()
    assert resent(alice) == ["to 2", *["44"] * 5, "AA", "00"]
    inside.close()


# -- beginning anew, and others ------------------------------------------------------------------


def test_a_reset_forgets_sessions_that_have_not_come_back(inside, tmp_path):
    for name in ("ALICE", "BOB"):
        inside.trader(name).resting()
    inside = restarted(inside, tmp_path)
    back(inside, 3, "BOB").take()
    inside.kraken.venue.reset([], keeps_market=False)
    assert {path.stem for path in tmp_path.iterdir()} == {"spot_trading-BOB"}
    inside.wait(1)
    for name in ("ALICE", "BOB"):
        client = inside.client(name)
        assert client.logon(reset=False)[34] == "1"
        assert client.take() == []
    inside.close()


def test_a_reset_forgets_orders_of_which_a_client_was_not_told(inside, tmp_path):
    inside.trader().resting()
    inside = restarted(inside, tmp_path)
    alice = inside.client()
    alice.send("A", (98, 0), (108, 30), (553, "wrong"), (554, "x"), (5025, "1"))
    assert alice.closed  # the session is there now, and nobody has logged on
    inside.kraken.venue.reset([], keeps_market=False)
    assert inside.trader().take() == []
    inside.close()


def test_a_clock_that_was_turned_forward_leaves_the_numbers(inside, tmp_path):
    """The run before had its rollovers: what it wrote down is what the client knows."""
    inside.wait(3 * 86_400)
    alice = inside.trader()
    alice.resting()
    inside.kraken.clock.ns -= 3 * 86_400 * 10**9
    inside._nonce = 0
    inside = restarted(inside, tmp_path)
    alice = inside.client()
    alice.number = 3
    assert alice.logon(reset=False)[34] == "5"
    inside.close()


def test_a_folder_is_for_one_emulator_at_a_time(inside, tmp_path):
    with pytest.raises(OSError, match=r"another emulator keeps its own in .* \(see --state-folder\)"):
        FixVenue(state_folder=tmp_path)
    inside = restarted(inside, tmp_path)
    inside.close()
