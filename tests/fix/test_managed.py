"""What tests make happen, as FIX sees it: level 3 books with their checksums, and sessions after a reset."""

from pathlib import Path

import pytest

from emulator.engine import commands
from tests.fix.books import Book
from tests.fix.inside import HOUSE, Direct, FixVenue
from tests.gateways.venue import XBTUSD

DEPOSITS = (commands.Deposit("alice", "ZUSD", 10**10),)


@pytest.fixture
def reader(inside: FixVenue) -> Direct:
    """A reader of level 3."""
    return inside.reader(service="spot_md_l3")


def seed(inside: FixVenue, *levels: tuple[int, int]) -> None:
    inside.kraken.execute(commands.SetBook(house=HOUSE, pair=XBTUSD, bids=levels))


def test_level_3_follows_seeded_books_fills_out_of_turn_and_a_reset(inside: FixVenue, reader: Direct) -> None:
    book = Book(level3=True)
    seed(inside, (640_000, 5), (639_000, 7))
    first = inside.kraken.place("alice", "buy", "1", "64000.0")
    second = inside.kraken.place("bob", "buy", "1", "64000.0")
    [snapshot] = reader.subscribed(level3=True)
    book.take(snapshot)

    def side() -> list[tuple[int, list[int]]]:
        for message in reader.take():
            if message.type != "5":
                book.take(message)  # which verifies its checksum
        return book.side("0")

    seed(inside, (640_000, 2), (639_000, 9))
    assert side() == [(640_000, [2, 10**8, 10**8]), (639_000, [7, 2])]
    command = commands.FillOrder(house=HOUSE, account="bob", txid=second.txid, qty=4 * 10**7)
    inside.kraken.execute(command)
    assert side() == [(640_000, [2, 10**8, 6 * 10**7]), (639_000, [7, 2])]
    inside.kraken.execute(commands.EndOrder(account="alice", txid=first.txid))
    assert side() == [(640_000, [2, 6 * 10**7]), (639_000, [7, 2])]
    inside.kraken.venue.reset(DEPOSITS, keeps_market=True)
    assert side() == [(640_000, [2]), (639_000, [7, 2])]


def test_after_a_reset_sequences_begin_at_1_and_client_ids_anew(inside: FixVenue) -> None:
    client = inside.trader()
    client.order(t11="7", t44="50000.0")
    client.take()
    inside.kraken.venue.reset(DEPOSITS, keeps_market=False)
    report, goodbye = client.take()
    assert (report.type, report[39], report[58]) == ("8", "4", "User requested")
    assert (goodbye.type, goodbye[58]) == ("5", "the venue was reset")
    assert client.outlet.closed
    client.close()
    assert inside.gateway.orders == {}
    again = inside.client()
    assert again.logon(reset=False)[34] == "1"
    again.order(t11="7", t44="50000.0")
    assert [report[39] for report in again.take()] == ["A", "0"]


def test_after_a_reset_any_nonce_will_do(inside: FixVenue, monkeypatch: pytest.MonkeyPatch) -> None:
    first = inside.next_nonce()
    monkeypatch.setattr(Direct, "nonce", lambda _: first)
    client = inside.client()
    assert client.logon().type == "A"
    inside.kraken.venue.reset(DEPOSITS, keeps_market=False)
    client.close()
    assert inside.client().logon().type == "A"


def test_a_reset_after_the_rollover_does_not_keep_anybody_out(inside: FixVenue) -> None:
    inside.wait(12 * 3_600)
    inside.kraken.venue.reset(DEPOSITS, keeps_market=False)
    assert inside.client().logon().type == "A"


def test_what_was_kept_for_another_run_is_forgotten(tmp_path: Path) -> None:
    floor = FixVenue(state_folder=tmp_path)
    client = floor.trader()
    client.order(t44="50000.0")
    floor.kraken.venue.reset(DEPOSITS, keeps_market=False)
    client.close()
    floor.gateway.close()
    assert not any(file.stat().st_size for file in tmp_path.glob("*.sent"))
    again = FixVenue(floor.kraken, state_folder=tmp_path)
    assert again.client().logon(reset=False)[34] == "1"
    again.gateway.close()


def test_a_stop_that_is_filled_is_reported_as_set_off_and_as_taker(inside: FixVenue) -> None:
    client = inside.trader()
    client.order(t40="3", t44=None, t54="2", t99="40000.0")
    placed = client.take()[-1]
    inside.kraken.execute(commands.FillOrder(house=HOUSE, account="alice", txid=placed[37]))
    set_off, filled = client.take()
    assert (set_off[150], set_off[40], set_off[1102]) == ("D", "1", "40000.0")
    assert (filled[39], filled[31], filled[5050]) == ("2", "40000.0", "1")
