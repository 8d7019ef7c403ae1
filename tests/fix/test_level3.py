"""Level 3 over FIX: each order by its id, in queue order."""

import pytest

from emulator.engine import commands
from tests.fix.inside import Direct, FixVenue
from tests.fix.reading import HEAD, SECOND, only, rows, tags


@pytest.fixture
def orders(inside: FixVenue) -> Direct:
    """A reader of level 3."""
    return inside.reader(service="spot_md_l3")


def test_a_level_3_snapshot_has_orders_in_queue_order(inside: FixVenue, orders: Direct) -> None:
    first = inside.kraken.place("bob", "buy", "0.5", "64000.1")
    inside.kraken.clock.ns += 1_234_567_890
    second = inside.kraken.place("carol", "buy", "0.3", "64000.1")
    offer = inside.kraken.place("bob", "sell", "1", "64001.0")
    snapshot = only(orders.subscribed(level3=True))
    assert snapshot.all(278) == [offer.txid, first.txid, second.txid]
    assert rows(snapshot) == [("1", "64001.0", "1.0"), ("0", "64000.1", "0.5"), ("0", "64000.1", "0.3")]
    assert tags(snapshot) == HEAD + [269, 278, 270, 271, 273, 5060, 5273] * 3
    assert snapshot.all(273)[1:] == ["10:00:00.000", "10:00:01.234"]
    assert snapshot.all(5060)[1:] == ["2026-11-02T10:00:00.000000000Z", "2026-11-02T10:00:01.234567890Z"]


def test_level_3_tells_of_each_order(inside: FixVenue, orders: Direct) -> None:
    orders.subscribed(level3=True)
    order = inside.kraken.place("bob", "buy", "0.5", "64000.1")
    added = only(orders.take())
    assert (added[278], rows(added)) == (order.txid, [("0", "0", "64000.1", "0.5")])
    assert tags(added) == [*HEAD, 279, 269, 278, 270, 271, 273, 5060, 5273, 5041]
    inside.kraken.place("carol", "sell", "0.2", "64000.1")
    filled = only(orders.take())
    assert (filled[278], rows(filled)) == (order.txid, [("1", "0", "64000.1", "0.3")])
    inside.kraken.execute(commands.AmendOrder(account="bob", txid=order.txid, price=640_005))
    moved = only(orders.take())
    assert moved.all(278) == [order.txid] * 2
    assert rows(moved) == [("2", "0", "64000.1", "0.0"), ("0", "0", "64000.5", "0.3")]
    inside.cancel("bob", order.txid)
    assert rows(only(orders.take())) == [("2", "0", "64000.5", "0.0")]


def test_orders_of_a_level_that_leaves_the_depth_are_deleted_with_their_quantities(
    inside: FixVenue, orders: Direct
) -> None:
    for qty in ("0.5", "0.25"):
        inside.kraken.place("bob", "buy", qty, "64000.1")
    orders.subscribed(level3=True, depth=1)
    best = inside.kraken.place("bob", "buy", "3", "64000.5")
    assert rows(only(orders.take())) == [
        ("0", "0", "64000.5", "3.0"),
        ("2", "0", "64000.1", "0.5"),
        ("2", "0", "64000.1", "0.25"),
    ]
    inside.kraken.clock.ns += SECOND
    inside.cancel("bob", best.txid)
    back = only(orders.take())
    assert rows(back) == [
        ("2", "0", "64000.5", "0.0"),
        ("0", "0", "64000.1", "0.5"),
        ("0", "0", "64000.1", "0.25"),
    ]
    assert back.all(273) == ["10:00:01.000", "10:00:00.000", "10:00:00.000"]


def test_the_next_slice_of_an_iceberg_is_at_the_end_of_the_queue(inside: FixVenue, orders: Direct) -> None:
    iceberg = inside.kraken.place("bob", "buy", "1", "64000.1", display="0.1")
    other = inside.kraken.place("carol", "buy", "0.3", "64000.1")
    orders.subscribed(level3=True)
    inside.kraken.place("alice", "sell", "0.1", "64000.1")
    update = only(orders.take())
    assert [(row[279], row[278], row[271]) for row in update.groups(279)] == [
        ("2", iceberg.txid, "0.0"),
        ("0", iceberg.txid, "0.1"),
    ]
    assert only(orders.subscribed(level3=True, request="again")).all(278) == [other.txid, iceberg.txid]
