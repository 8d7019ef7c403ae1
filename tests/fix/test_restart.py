"""What is left of FIX sessions after the venue has stopped, in order or not (``--state``)."""

import signal

import pytest

from emulator.gateways.fix.logon import Member
from emulator.gateways.fix.wire import fields
from tests.fix.inside import FixVenue
from tests.fix.messages import states
from tests.fix.restarts import again_at, log_on, restarted, venue_with_state
from tests.running import kraken_emulator


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_session_goes_on_after_a_restart(accounts_profile, tmp_path, how):
    with venue_with_state(accounts_profile, tmp_path, "--state") as venue:
        member = venue.next_member()
        assert "earlier runs" not in venue.stdout()
        client, _ = log_on(venue, member, 1, (8674, 1))
        order = client.order()
        reports = client.reports(2)
        client.sync()
        if how == signal.SIGKILL:
            venue.process.kill()
            venue.process.wait()
        else:
            venue.stop(how)
        said = client.rest()
        client.close()
    number = 5 + len(said)
    with venue_with_state(accounts_profile, tmp_path, "--state") as venue:
        assert "orders and fills of earlier runs are gone" in venue.stdout()
        client, answer = log_on(venue, member, 4)
        assert (answer.type, answer[34]) == ("A", str(number))
        # The order is gone with the venue that had it, and its reports with it, but its id stays used.
        (gone,) = client.reports(1)
        assert (gone[150], gone[11], gone[37]) == ("4", order, reports[0][37])
        client.send("2", (7, 1), (16, 0))
        fill, again = client.read(), client.read()
        assert (fill[36], again[17], again[43]) == (str(number + 1), gone[17], "Y")
        client.order(t11=order)
        assert client.read()[371] == "11"
        client.order()
        new = client.reports(2)
        assert new[0][37] != reports[0][37], "an id of an order that the client knows"
        client.close()


def test_without_state_a_session_begins_anew(accounts_profile, tmp_path):
    with venue_with_state(accounts_profile, tmp_path) as venue:
        member = venue.next_member()
        client, _ = log_on(venue, member, 1)
        order = client.order()
        client.reports(2)
        client.logout()
        client.close()
    assert not (tmp_path / "fix").exists()
    with venue_with_state(accounts_profile, tmp_path) as venue:
        client, answer = log_on(venue, member, 1)
        assert (answer.type, answer[34]) == ("A", "1")
        client.order(t11=order)
        client.reports(2)
        client.close()


def test_a_second_emulator_with_the_same_state_is_refused(accounts_profile, tmp_path):
    with venue_with_state(accounts_profile, tmp_path, "--state"):
        second = kraken_emulator("up", "--ports", "auto", "--market", "off", "--state", "--state-folder",
                                 str(tmp_path))  # fmt: skip
    assert second.returncode == 2
    assert second.stderr == (
        "kraken-emulator: error: cannot keep FIX sessions (--state): another emulator keeps its own in "
        f"{tmp_path / 'fix'} (see --state-folder)\n"
    )


# -- in process -----------------------------------------------------------------------------------


def test_each_session_has_numbers_of_its_own(tmp_path):
    inside = FixVenue(state_folder=tmp_path)
    for name, orders in (("ALICE", 1), ("BOB", 3)):
        client = inside.trader(name)
        for _ in range(orders):
            client.order()
        client.send("5")
    listener = inside.client("ALICE", "spot_md")
    listener.logon()
    listener.send("5")
    inside = restarted(inside, tmp_path)
    for name, service, number, theirs in (
        ("ALICE", "spot_trading", 4, "5"),
        ("BOB", "spot_trading", 6, "9"),
        ("ALICE", "spot_md", 3, "3"),
    ):
        client = inside.client(name, service)
        client.number = number
        assert client.logon(reset=False)[34] == theirs
    inside.close()


@pytest.mark.parametrize("comp_id", ["A/B", "../A", "..", "%2F", "a b".replace(" ", "~")])
def test_any_comp_id_can_be_kept(tmp_path, comp_id):
    folder, inside = tmp_path / "fix", None
    for number in (1, 2):
        inside = again_at(inside, folder) if inside else FixVenue(state_folder=folder)
        key = inside.members["ALICE"].key
        inside.members[comp_id] = Member(comp_id, "alice", key)
        client = inside.client("ALICE")
        client.comp_id, client.number = comp_id, number
        assert client.logon(reset=False)[34] == str(number)
        client.close()
        inside.close()
    assert len(list(folder.iterdir())) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["fix"]


def test_a_reset_forgets_what_an_earlier_run_has_sent(tmp_path):
    inside = FixVenue(state_folder=tmp_path)
    inside.trader().order()
    inside = restarted(inside, tmp_path)
    client = inside.trader()
    assert states(client.take()) == ["44"]
    client.send("2", (7, 1), (16, 0))
    assert [m.get(36) or m[34] for m in client.take()] == ["2", "2"]
    client.close()
    inside = restarted(inside, tmp_path)
    client = inside.client()
    client.number = 3
    assert client.logon(reset=False)[34] == "3"
    client.send("2", (7, 1), (16, 0))
    assert [m.get(36) or m[34] for m in client.take()] == ["2", "2", "4"]
    inside.close()


def test_numbers_are_written_down_before_they_are_on_the_wire(tmp_path):
    inside = FixVenue(state_folder=tmp_path)
    client = inside.trader()
    seen = []

    def write(data: bytes) -> None:
        (file,) = tmp_path.glob("spot_trading-ALICE*.numbers")
        seen.append((int(fields(data.decode())["34"]), int(file.read_text().split()[1])))

    client.outlet.write = write
    client.order()
    client.send("1", (112, "x"))
    assert seen
    assert all(sent < written for sent, written in seen)
    inside.close()


@pytest.mark.parametrize("what", [b"", b"garbage", b"1 2", b"x y z", b"\x00" * 62])
def test_a_damaged_file_of_numbers_does_not_keep_the_client_out(tmp_path, what):
    inside = FixVenue(state_folder=tmp_path)
    inside.trader().order()
    inside.close()
    (file,) = tmp_path.glob("*.numbers")
    file.write_bytes(what)
    (sent,) = tmp_path.glob("*.sent")
    sent.write_bytes(b"8=FIX.4.4\x019=12\x01half" + sent.read_bytes()[10:])
    inside = again_at(inside, tmp_path)
    assert inside.trader().session is not None
    inside.close()


def test_a_report_that_was_half_written_does_not_hide_the_others(tmp_path):
    inside = FixVenue(state_folder=tmp_path)
    client = inside.trader()
    orders = [client.order(), client.order()]
    client.send("5")
    inside.close()
    (sent,) = tmp_path.glob("*.sent")
    sent.write_bytes(sent.read_bytes()[:-30])
    inside = again_at(inside, tmp_path)
    client = inside.client()
    client.number = 5
    assert client.logon(reset=False).type == "A"
    gone = [m[11] for m in client.take()]
    assert gone == orders
    # What is written after the half one can be read too.
    client.order()
    client.close()
    inside = restarted(inside, tmp_path)
    client = inside.client()
    client.number = 7
    client.logon(reset=False)
    client.send("2", (7, 7), (16, 8))
    assert [m[34] for m in client.take() if m.get(43)] == ["7", "8"]
    inside.close()


def test_what_is_kept_on_disk_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("emulator.gateways.fix.outbox.MOST_MESSAGES", 50)
    monkeypatch.setattr("emulator.gateways.fix.outbox._LARGEST_FILE", 50_000)
    inside = FixVenue(state_folder=tmp_path)
    client = inside.trader()
    for _ in range(400):
        client.order(t44="1.0", t38="0.01", t55="BTC/NIX")
    client.send("5")
    (sent,) = tmp_path.glob("*.sent")
    assert sent.stat().st_size < 60_000
    inside = restarted(inside, tmp_path)
    client = inside.client()
    client.number = 403
    client.logon(reset=False)
    client.send("2", (7, 1), (16, 0))
    fill, *kept = client.take()
    assert fill[36] == "352"
    assert [m.type for m in kept] == ["j"] * 50 + ["4"]
    inside.close()
