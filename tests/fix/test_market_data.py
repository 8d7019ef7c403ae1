"""Market data over FIX: snapshots (W), updates of books and trades (X), subscriptions (fix.md 7.1 to 7.3)."""

import pytest

from emulator.gateways.fix.session import Session
from tests.fix.inside import Direct, FixVenue
from tests.fix.reading import HEAD, SECOND, only, rows, tags

# -- snapshots -----------------------------------------------------------------------------------


def test_a_snapshot_has_offers_upwards_then_bids_downwards(reader: Direct) -> None:
    snapshot = only(reader.subscribed())
    assert snapshot.type == "W"
    assert (snapshot[55], snapshot[262], snapshot[268]) == ("BTC/USD", "md1", "4")
    assert rows(snapshot) == [
        ("1", "64001.0", "0.5"),
        ("1", "64002.5", "1.25"),
        ("0", "64000.1", "0.25"),
        ("0", "63999.9", "2.0"),
    ]
    assert snapshot.all(278) == ["O64001.0", "O64002.5", "B64000.1", "B63999.9"]
    assert snapshot.all(273) == ["10:00:00.000", "10:00:02.000", "10:00:04.000", "10:00:06.000"]
    assert tags(snapshot) == HEAD + [269, 278, 270, 271, 273] * 4


def test_a_level_that_is_days_old_has_a_time_of_day_all_the_same(inside: FixVenue, reader: Direct) -> None:
    inside.kraken.clock.ns += 3 * 86_400 * SECOND + 1_234_567_890
    inside.kraken.place("bob", "buy", "1", "63000")
    assert only(reader.subscribed()).all(273)[-2:] == ["10:00:06.000", "10:00:09.234"]


@pytest.mark.parametrize(
    ("depth", "levels"), [(0, 1000), (1, 1), (10, 10), (25, 25), (100, 100), (500, 500), (1000, 1000)]
)
def test_a_depth_is_a_number_of_levels_a_side(inside: FixVenue, depth: int, levels: int) -> None:
    for step in range(1, levels + 3):
        inside.quote(buy=True, price=640_000 - 10 * step)
    inside.quote(buy=False, price=640_010)
    snapshot = only(inside.reader().subscribed(depth=depth))
    assert snapshot[268] == str(levels + 1)
    assert snapshot.all(270) == ["64001.0", *(f"{64000 - step}.0" for step in range(1, levels + 1))]


def test_hidden_parts_of_icebergs_are_in_no_snapshot(inside: FixVenue) -> None:
    inside.kraken.place("bob", "buy", "1", "64000", display="0.1")
    assert rows(only(inside.reader().subscribed())) == [("0", "64000.0", "0.1")]


def test_numbers_are_as_short_as_can_be_with_one_decimal(inside: FixVenue) -> None:
    inside.kraken.place("bob", "buy", "0.00010000", "64000.0")
    inside.kraken.place("bob", "buy", "13", "0.6", pair="XDGUSD")
    inside.kraken.place("bob", "buy", "100", "0.0912340", pair="XDGUSD")
    reader = inside.reader()
    assert rows(only(reader.subscribed())) == [("0", "64000.0", "0.0001")]
    assert rows(only(reader.subscribed("DOGE/USD", request="doge"))) == [
        ("0", "0.6", "13.0"),
        ("0", "0.091234", "100.0"),
    ]


def test_a_book_with_nothing_in_it_has_a_snapshot_too(inside: FixVenue) -> None:
    snapshot = only(inside.reader().subscribed())
    assert (snapshot[268], tags(snapshot)) == ("0", HEAD)


# -- updates of books ----------------------------------------------------------------------------


def test_a_new_level_a_changed_one_and_one_that_is_gone(inside: FixVenue, reader: Direct) -> None:
    reader.subscribed()
    order = inside.kraken.place("bob", "sell", "0.3", "64001.7")
    assert rows(only(reader.take())) == [("0", "1", "64001.7", "0.3")]
    inside.kraken.clock.ns += SECOND
    inside.kraken.place("carol", "sell", "0.2", "64001.7")
    changed = only(reader.take())
    assert rows(changed) == [("1", "1", "64001.7", "0.5")]
    assert changed[273] == "10:00:09.000"
    inside.cancel("bob", order.txid)
    assert rows(only(reader.take())) == [("1", "1", "64001.7", "0.2")]
    inside.kraken.clock.ns += SECOND
    inside.kraken.place("carol", "buy", "0.6", "64001.5")
    assert rows(only(reader.take())) == [("2", "1", "64001.0", "0.0"), ("0", "0", "64001.5", "0.1")]


def test_a_level_that_is_pushed_out_of_the_depth_is_deleted_with_its_quantity(
    inside: FixVenue, reader: Direct
) -> None:
    reader.subscribed(depth=1)
    inside.kraken.place("bob", "buy", "3", "64000.5")
    assert rows(only(reader.take())) == [("0", "0", "64000.5", "3.0"), ("2", "0", "64000.1", "0.25")]


def test_a_level_that_comes_into_the_depth_is_new_and_has_its_old_time(
    inside: FixVenue, reader: Direct
) -> None:
    best = inside.kraken.place("bob", "buy", "3", "64000.5")
    reader.subscribed(depth=1)
    inside.kraken.clock.ns += SECOND
    inside.cancel("bob", best.txid)
    update = only(reader.take())
    assert rows(update) == [("2", "0", "64000.5", "0.0"), ("0", "0", "64000.1", "0.25")]
    assert update.all(273) == ["10:00:09.000", "10:00:04.000"]


def test_what_happens_below_the_depth_is_not_told(inside: FixVenue, reader: Direct) -> None:
    reader.subscribed(depth=1)
    inside.kraken.place("bob", "buy", "3", "63999")
    assert reader.take() == []


def test_a_checksum_comes_once_and_last(inside: FixVenue, reader: Direct) -> None:
    reader.subscribed(types="012")
    inside.kraken.place("carol", "buy", "1", "64002.5")
    book, trades = reader.take()
    assert tags(book) == HEAD + [279, 269, 278, 270, 271, 273] * 2 + [5041]
    assert len(book.all(5041)) == 1
    assert book[5041].isdecimal()
    assert tags(trades) == HEAD + [279, 269, 278, 270, 271, 273, 40, 2446] * 2


# -- trades --------------------------------------------------------------------------------------


def test_trades_come_after_the_book_with_type_and_side_of_the_taker(inside: FixVenue, reader: Direct) -> None:
    reader.subscribed(types="012")
    inside.kraken.place("carol", "buy", "0.1", "64001.0")
    book, trade = reader.take()
    assert rows(book) == [("1", "1", "64001.0", "0.4")]
    assert rows(trade) == [("0", "2", "64001.0", "0.1")]
    assert (trade[40], trade[2446], trade[273]) == ("2", "1", "10:00:08.000")
    first = int(trade[278])
    inside.kraken.place("carol", "sell", "1")
    book, trades = reader.take()
    assert rows(trades) == [("0", "2", "64000.1", "0.25"), ("0", "2", "63999.9", "0.75")]
    assert (trades.all(40), trades.all(2446)) == (["1", "1"], ["2", "2"])
    assert trades.all(278) == [str(first + 1), str(first + 2)]


def test_trades_alone_have_no_snapshot_and_no_book(inside: FixVenue, reader: Direct) -> None:
    assert reader.subscribed(types="2") == []
    inside.kraken.place("bob", "buy", "1", "63000")
    inside.kraken.place("carol", "buy", "0.1", "64001.0")
    assert rows(only(reader.take())) == [("0", "2", "64001.0", "0.1")]


def test_a_book_without_trades(inside: FixVenue, reader: Direct) -> None:
    reader.subscribed(types="10")
    inside.kraken.place("carol", "buy", "0.1", "64001.0")
    assert rows(only(reader.take())) == [("1", "1", "64001.0", "0.4")]


# -- subscriptions -------------------------------------------------------------------------------


def test_one_request_for_several_symbols_has_a_snapshot_for_each(inside: FixVenue, reader: Direct) -> None:
    inside.kraken.place("bob", "buy", "5", "3000", pair="XETHZUSD")
    snapshots = reader.subscribed("BTC/USD", "ETH/USD", "DOT/USD")
    assert [(w.type, w[55], w[262], w[268]) for w in snapshots] == [
        ("W", "BTC/USD", "md1", "4"),
        ("W", "ETH/USD", "md1", "1"),
        ("W", "DOT/USD", "md1", "0"),
    ]
    inside.kraken.place("bob", "buy", "5", "3000", pair="XETHZUSD")
    update = only(reader.take())
    assert (update[55], rows(update)) == ("ETH/USD", [("1", "0", "3000.0", "10.0")])


def test_a_symbol_that_is_named_twice_counts_once(reader: Direct) -> None:
    assert [w[55] for w in reader.subscribed("BTC/USD", "BTC/USD")] == ["BTC/USD"]


def test_two_subscriptions_of_one_symbol_are_independent(inside: FixVenue, reader: Direct) -> None:
    reader.subscribed(request="a", depth=1)
    reader.subscribed(request="b", depth=10)
    inside.kraken.place("bob", "buy", "3", "63000")
    assert [x[262] for x in reader.take()] == ["b"]
    inside.kraken.place("bob", "buy", "3", "64000.5")
    assert [x[262] for x in reader.take()] == ["a", "b"]
    assert reader.unsubscribed("b") == []
    inside.kraken.place("bob", "buy", "3", "64000.6")
    assert [x[262] for x in reader.take()] == ["a"]


def test_two_clients_hear_the_same(inside: FixVenue, reader: Direct) -> None:
    other = inside.reader("BOB")
    assert rows(only(reader.subscribed())) == rows(only(other.subscribed()))
    inside.kraken.place("bob", "buy", "3", "64000.5")
    mine, theirs = only(reader.take()), only(other.take())
    assert mine.pairs[7:-1] == theirs.pairs[7:-1]


def test_nothing_comes_after_unsubscribing_and_the_id_is_free_again(inside: FixVenue, reader: Direct) -> None:
    reader.subscribed(types="012")
    assert reader.unsubscribed() == []
    inside.kraken.trade("0.1", "64000.6")
    assert reader.take() == []
    assert only(reader.subscribed()).type == "W"


def test_subscriptions_do_not_survive_a_connection(inside: FixVenue, reader: Direct) -> None:
    reader.subscribed(types="012")
    reader.close()
    inside.kraken.place("bob", "buy", "3", "64000.5")
    assert reader.logon(reset=False).type == "A"
    inside.kraken.place("bob", "buy", "3", "64000.6")
    assert reader.take() == []
    assert rows(only(reader.subscribed()))[-4:-2] == [("0", "64000.6", "3.0"), ("0", "64000.5", "3.0")]


def test_market_data_is_not_sent_again_but_gap_filled(inside: FixVenue, reader: Direct) -> None:
    reader.subscribed()
    for price in ("64000.5", "64000.7", "64000.6"):
        inside.kraken.place("bob", "buy", "3", price)
    last = int(reader.take()[-1][34])
    for first in ("1", "2"):  # with the answer to the logon, and without
        (gap,) = reader.ask("2", (7, first), (16, 0))
        assert (gap.type, gap[123], gap[34], gap[36]) == ("4", "Y", first, str(last + 1))


def test_feeds_that_nobody_listens_to_are_dropped(inside: FixVenue, reader: Direct) -> None:
    reader.subscribed(types="012", depth=1)
    reader.subscribed("ETH/USD", request="b")
    reader.unsubscribed()
    reader.close()
    assert inside.gateway.publisher._pairs == {}


def test_a_client_that_leaves_amid_a_long_answer_leaves_nothing(
    inside: FixVenue, reader: Direct, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Session, "go_on", lambda _: reader.close())
    reader.subscribe("BTC/USD", "ETH/USD", "DOT/USD")
    assert inside.gateway.publisher._pairs == {}
