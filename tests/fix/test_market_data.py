"""MarketDataRequest (V) and what answers it: W, X and Y (fix.md section 7)."""

import asyncio

import pytest

from emulator.engine import commands
from emulator.gateways.fix import market_data, publisher
from tests.fix.client import Message
from tests.fix.inside import Peer, Venue
from tests.gateways.venue import CATALOGUE

SECOND = 10**9
BOOK = (
    ("sell", "0.5", "64001.0"),
    ("sell", "1.25", "64002.5"),
    ("buy", "0.25", "64000.1"),
    ("buy", "2", "63999.9"),
)
TAGS = [55, 262, 268]


def tags(message: Message) -> list[int]:
    """Tags of the body."""
    return [int(tag) for tag, _ in message.pairs[7:-1]]


def rows(message: Message) -> list[tuple[str, ...]]:
    """Entries as (279, 269, 270, 271), or without 279 in a snapshot."""
    first = 279 if message.type == "X" else 269
    columns = (279, 269, 270, 271) if message.type == "X" else (269, 270, 271)
    return [tuple(entry[tag] for tag in columns) for entry in message.groups(first)]


def only(messages: list[Message]) -> Message:
    (message,) = messages
    return message


@pytest.fixture
def client(inside: Venue) -> Peer:
    """A client of L2; the book has two levels a side, each two seconds older than the next one."""
    for side, qty, price in BOOK:
        inside.kraken.place("bob", side, qty, price)
        inside.kraken.clock.ns += 2 * SECOND
    return inside.connect()


def cancel(inside: Venue, account: str, txid: str) -> None:
    inside.kraken.execute(commands.CancelOrder(account=account, txid=txid))


# -- snapshots --------------------------------------------------------------------------------------


def test_a_snapshot_has_offers_upwards_then_bids_downwards(client: Peer) -> None:
    snapshot = only(client.subscribe())
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
    assert tags(snapshot) == TAGS + [269, 278, 270, 271, 273] * 4


def test_a_level_that_is_days_old_has_a_time_of_day_all_the_same(inside: Venue, client: Peer) -> None:
    inside.kraken.clock.ns += 3 * 86_400 * SECOND + 1_234_567_890
    inside.kraken.place("bob", "buy", "1", "63000")
    assert only(client.subscribe()).all(273)[-2:] == ["10:00:06.000", "10:00:09.234"]


@pytest.mark.parametrize(
    ("depth", "levels"), [(0, 1000), (1, 1), (10, 10), (25, 25), (100, 100), (500, 500), (1000, 1000)]
)
def test_a_depth_is_a_number_of_levels_a_side(inside: Venue, depth: int, levels: int) -> None:
    for step in range(1, levels + 3):
        inside.quote(buy=True, price=640_000 - 10 * step)
    inside.quote(buy=False, price=640_010)
    snapshot = only(inside.connect().subscribe(depth=depth))
    assert snapshot[268] == str(levels + 1)
    assert snapshot.all(270) == ["64001.0", *(f"{64000 - step}.0" for step in range(1, levels + 1))]


def test_hidden_parts_of_icebergs_are_in_no_snapshot(inside: Venue) -> None:
    inside.kraken.place("bob", "buy", "1", "64000", display="0.1")
    assert rows(only(inside.connect().subscribe())) == [("0", "64000.0", "0.1")]


def test_numbers_are_as_short_as_can_be_with_one_decimal(inside: Venue) -> None:
    inside.kraken.place("bob", "buy", "0.00010000", "64000.0")
    inside.kraken.place("bob", "buy", "13", "0.6", pair="XDGUSD")
    inside.kraken.place("bob", "buy", "100", "0.0912340", pair="XDGUSD")
    client = inside.connect()
    assert rows(only(client.subscribe())) == [("0", "64000.0", "0.0001")]
    assert rows(only(client.subscribe("DOGE/USD", request="doge"))) == [
        ("0", "0.6", "13.0"),
        ("0", "0.091234", "100.0"),
    ]


def test_a_book_with_nothing_in_it_has_a_snapshot_too(inside: Venue) -> None:
    snapshot = only(inside.connect().subscribe())
    assert (snapshot[268], tags(snapshot)) == ("0", TAGS)


# -- updates of books -------------------------------------------------------------------------------


def test_a_new_level_a_changed_one_and_one_that_is_gone(inside: Venue, client: Peer) -> None:
    client.subscribe()
    order = inside.kraken.place("bob", "sell", "0.3", "64001.7")
    assert rows(only(client.take())) == [("0", "1", "64001.7", "0.3")]
    inside.kraken.clock.ns += SECOND
    inside.kraken.place("carol", "sell", "0.2", "64001.7")
    changed = only(client.take())
    assert rows(changed) == [("1", "1", "64001.7", "0.5")]
    assert changed[273] == "10:00:09.000"
    cancel(inside, "bob", order.txid)
    assert rows(only(client.take())) == [("1", "1", "64001.7", "0.2")]
    inside.kraken.clock.ns += SECOND
    inside.kraken.place("carol", "buy", "0.6", "64001.5")
    assert rows(only(client.take())) == [("2", "1", "64001.0", "0.0"), ("0", "0", "64001.5", "0.1")]


def test_a_level_that_is_pushed_out_of_the_depth_is_deleted_with_its_quantity(
    inside: Venue, client: Peer
) -> None:
    client.subscribe(depth=1)
    inside.kraken.place("bob", "buy", "3", "64000.5")
    assert rows(only(client.take())) == [("0", "0", "64000.5", "3.0"), ("2", "0", "64000.1", "0.25")]


def test_a_level_that_comes_into_the_depth_is_new_and_has_its_old_time(inside: Venue, client: Peer) -> None:
    best = inside.kraken.place("bob", "buy", "3", "64000.5")
    client.subscribe(depth=1)
    inside.kraken.clock.ns += SECOND
    cancel(inside, "bob", best.txid)
    update = only(client.take())
    assert rows(update) == [("2", "0", "64000.5", "0.0"), ("0", "0", "64000.1", "0.25")]
    assert update.all(273) == ["10:00:09.000", "10:00:04.000"]


def test_what_happens_below_the_depth_is_not_told(inside: Venue, client: Peer) -> None:
    client.subscribe(depth=1)
    inside.kraken.place("bob", "buy", "3", "63999")
    assert client.take() == []


def test_a_checksum_comes_once_and_last(inside: Venue, client: Peer) -> None:
    client.subscribe(types="012")
    inside.kraken.place("carol", "buy", "1", "64002.5")
    book, trades = client.take()
    assert tags(book) == TAGS + [279, 269, 278, 270, 271, 273] * 2 + [5041]
    assert len(book.all(5041)) == 1
    assert book[5041].isdecimal()
    assert tags(trades) == TAGS + [279, 269, 278, 270, 271, 273, 40, 2446] * 2


# -- trades -----------------------------------------------------------------------------------------


def test_trades_come_after_the_book_with_type_and_side_of_the_taker(inside: Venue, client: Peer) -> None:
    client.subscribe(types="012")
    inside.kraken.place("carol", "buy", "0.1", "64001.0")
    book, trade = client.take()
    assert rows(book) == [("1", "1", "64001.0", "0.4")]
    assert rows(trade) == [("0", "2", "64001.0", "0.1")]
    assert (trade[40], trade[2446], trade[273]) == ("2", "1", "10:00:08.000")
    first = int(trade[278])
    inside.kraken.place("carol", "sell", "1")
    book, trades = client.take()
    assert rows(trades) == [("0", "2", "64000.1", "0.25"), ("0", "2", "63999.9", "0.75")]
    assert (trades.all(40), trades.all(2446)) == (["1", "1"], ["2", "2"])
    assert trades.all(278) == [str(first + 1), str(first + 2)]


def test_trades_alone_have_no_snapshot_and_no_book(inside: Venue, client: Peer) -> None:
    assert client.subscribe(types="2") == []
    inside.kraken.place("bob", "buy", "1", "63000")
    inside.kraken.place("carol", "buy", "0.1", "64001.0")
    assert rows(only(client.take())) == [("0", "2", "64001.0", "0.1")]


def test_a_book_without_trades(inside: Venue, client: Peer) -> None:
    client.subscribe(types="10")
    inside.kraken.place("carol", "buy", "0.1", "64001.0")
    assert rows(only(client.take())) == [("1", "1", "64001.0", "0.4")]


# -- subscriptions ----------------------------------------------------------------------------------


def test_one_request_for_several_symbols_has_a_snapshot_for_each(inside: Venue, client: Peer) -> None:
    inside.kraken.place("bob", "buy", "5", "3000", pair="XETHZUSD")
    snapshots = client.subscribe("BTC/USD", "ETH/USD", "DOT/USD")
    assert [(w.type, w[55], w[262], w[268]) for w in snapshots] == [
        ("W", "BTC/USD", "md1", "4"),
        ("W", "ETH/USD", "md1", "1"),
        ("W", "DOT/USD", "md1", "0"),
    ]
    inside.kraken.place("bob", "buy", "5", "3000", pair="XETHZUSD")
    update = only(client.take())
    assert (update[55], rows(update)) == ("ETH/USD", [("1", "0", "3000.0", "10.0")])


def test_a_symbol_that_is_named_twice_counts_once(client: Peer) -> None:
    assert [w[55] for w in client.subscribe("BTC/USD", "BTC/USD")] == ["BTC/USD"]


def test_two_subscriptions_of_one_symbol_are_independent(inside: Venue, client: Peer) -> None:
    client.subscribe(request="a", depth=1)
    client.subscribe(request="b", depth=10)
    inside.kraken.place("bob", "buy", "3", "63000")
    assert [x[262] for x in client.take()] == ["b"]
    inside.kraken.place("bob", "buy", "3", "64000.5")
    assert [x[262] for x in client.take()] == ["a", "b"]
    assert client.unsubscribe("b") == []
    inside.kraken.place("bob", "buy", "3", "64000.6")
    assert [x[262] for x in client.take()] == ["a"]


def test_two_clients_hear_the_same(inside: Venue, client: Peer) -> None:
    other = inside.connect(account="bob")
    assert rows(only(client.subscribe())) == rows(only(other.subscribe()))
    inside.kraken.place("bob", "buy", "3", "64000.5")
    mine, theirs = only(client.take()), only(other.take())
    assert mine.pairs[7:-1] == theirs.pairs[7:-1]


def test_nothing_comes_after_unsubscribing_and_the_id_is_free_again(inside: Venue, client: Peer) -> None:
    client.subscribe(types="012")
    assert client.unsubscribe() == []
    inside.kraken.trade("0.1", "64000.6")
    assert client.take() == []
    assert only(client.subscribe()).type == "W"


def test_subscriptions_do_not_survive_a_connection(inside: Venue, client: Peer) -> None:
    client.subscribe(types="012")
    client.hang_up()
    inside.kraken.place("bob", "buy", "3", "64000.5")
    assert client.log_on(reset=False).type == "A"
    inside.kraken.place("bob", "buy", "3", "64000.6")
    assert client.take() == []
    assert rows(only(client.subscribe()))[-4:-2] == [("0", "64000.6", "3.0"), ("0", "64000.5", "3.0")]


def test_market_data_is_not_sent_again_but_gap_filled(inside: Venue, client: Peer) -> None:
    client.subscribe()
    for price in ("64000.5", "64000.7", "64000.6"):
        inside.kraken.place("bob", "buy", "3", price)
    last = int(client.take()[-1][34])
    (gap,) = client.send("2", (7, 2), (16, 0))
    assert (gap.type, gap[123], gap[34], gap[36]) == ("4", "Y", "2", str(last + 1))


def test_feeds_that_nobody_listens_to_are_dropped(inside: Venue, client: Peer) -> None:
    client.subscribe(types="012", depth=1)
    client.subscribe("ETH/USD", request="b")
    client.unsubscribe()
    client.hang_up()
    assert inside.gateway.publisher._pairs == {}


# -- refusals ---------------------------------------------------------------------------------------

REFUSED = {
    "unknown symbol": ({"symbols": ("TEST/TEST",)}, "0", "unsupported symbol: TEST/TEST"),
    "a name of REST": ({"symbols": ("XBT/USD",)}, "0", "unsupported symbol: XBT/USD"),
    "one of two symbols": ({"symbols": ("BTC/USD", "NO/WAY")}, "0", "unsupported symbol: NO/WAY"),
    "snapshot only": ({"t263": "0"}, "4", "unsupported subscription type: 0"),
    "depth": ({"depth": 7}, "5", "unsupported market depth: 7"),
    "negative depth": ({"depth": -1}, "5", "unsupported market depth: -1"),
    "full refresh": ({"t265": "0"}, "6", "unsupported update type: 0"),
    "bid without offer": ({"types": "0"}, "8", "unsupported entry types: 0"),
    "offer without bid": ({"types": "12"}, "8", "unsupported entry types: 1 2"),
    "another entry type": ({"types": "017"}, "8", "unsupported entry types: 0 1 7"),
    "level 3 here": ({"level3": True}, "B", "level 3 not being available here"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_with_its_reason(inside: Venue, client: Peer, case: str) -> None:
    request, reason, text = REFUSED[case]
    refusal = only(client.subscribe(*request.pop("symbols", ()), **request, request="bk2"))  # type: ignore[arg-type]
    assert refusal.type == "Y"
    assert refusal.pairs[7:-1] == [
        ("58", f"MarketData subscription failed due to {text}"),
        ("262", "bk2"),
        ("281", reason),
    ]
    inside.kraken.trade("0.1", "64000.6")
    assert client.take() == []


def test_an_id_in_use_is_refused_and_its_subscription_stays(inside: Venue, client: Peer) -> None:
    client.subscribe()
    refusal = only(client.subscribe("ETH/USD"))
    assert (refusal.type, refusal[262], refusal[281]) == ("Y", "md1", "1")
    inside.kraken.place("bob", "buy", "3", "64000.5")
    assert only(client.take())[55] == "BTC/USD"


def test_ending_a_subscription_that_is_not_there_is_refused(client: Peer) -> None:
    refusal = only(client.unsubscribe("nothing"))
    assert (refusal.type, refusal[262], refusal[281]) == ("Y", "nothing", "0")


@pytest.mark.parametrize(
    ("request_", "reason"),
    [({"types": "012"}, "C"), ({"types": "2"}, "C"), ({"level3": False}, "A"), ({"types": "0"}, "8")],
)
def test_level_3_has_orders_only(inside: Venue, request_: dict[str, object], reason: str) -> None:
    refusal = only(inside.connect("spot_md_l3").subscribe(**{"level3": True} | request_))  # type: ignore[arg-type]
    assert (refusal.type, refusal[281]) == ("Y", reason)


def test_a_session_may_be_subscribed_to_so_many_pairs(client: Peer) -> None:
    every = [pair.symbol for pair in CATALOGUE.pairs.values()]
    whole, rest = divmod(market_data.MOST_PAIRS, len(every))
    for number in range(whole):
        assert {w.type for w in client.subscribe(*every, request=f"r{number}")} == {"W"}
    assert {w.type for w in client.subscribe(*every[:rest], request="rest")} == {"W"}
    refusal = only(client.subscribe(request="more"))
    assert (refusal.type, refusal[281]) == ("Y", "A")
    assert refusal[58] == "MarketData subscription failed due to too many symbols: more than 500"
    client.unsubscribe("rest")
    assert only(client.subscribe(request="more")).type == "W"


REQUIRED = {262: "MDReqID", 263: "SubscriptionRequestType", 264: "MarketDepth"}


@pytest.mark.parametrize("tag", REQUIRED)
def test_a_request_without_a_field_that_must_be_there_is_a_session_reject(client: Peer, tag: int) -> None:
    reject = only(client.subscribe(**{f"t{tag}": None}))  # type: ignore[arg-type]
    assert (reject.type, reject[371], reject[373], reject[372]) == ("3", str(tag), "1", "V")
    assert reject[58] == f"Missing mandatory field: {REQUIRED[tag]} ({tag})"


@pytest.mark.parametrize(("field", "value"), [("t263", "5"), ("t266", "x"), ("t265", "7"), ("depth", "x")])
def test_a_value_that_no_field_can_have_is_a_session_reject(client: Peer, field: str, value: str) -> None:
    reject = only(client.subscribe(**{field: value}))  # type: ignore[arg-type]
    assert (reject.type, reject[372]) == ("3", "V")
    assert reject[373] in ("5", "6")


# -- the wrong service ------------------------------------------------------------------------------


def test_orders_are_not_for_market_data_sessions(inside: Venue, client: Peer) -> None:
    refusal = only(client.order(t11="17"))
    assert refusal.type == "j"
    assert refusal.pairs[7:-1] == [
        ("45", "0"),
        ("58", "Unsupported message type"),
        ("372", "D"),
        ("379", "17"),
        ("380", "3"),
    ]
    assert not inside.kraken.engine.accounts["alice"].open


def test_market_data_is_not_for_trading_sessions(inside: Venue) -> None:
    trader = inside.connect("spot_trading")
    answers = [
        *trader.subscribe(),
        *trader.send("x", (320, "a"), (559, 4)),
        *trader.send("g", (263, 1), (335, "a"), (336, "SESSION")),
    ]
    assert [(j.type, j[372], j[380]) for j in answers] == [("j", "V", "3"), ("j", "x", "3"), ("j", "g", "3")]


@pytest.mark.parametrize("kind", ["W", "X", "Y", "y", "h", "8"])
def test_what_only_the_venue_sends_cannot_be_sent_to_it(inside: Venue, client: Peer, kind: str) -> None:
    answer = only(client.send(kind, (55, "BTC/USD")))
    assert answer.type in ("3", "j")
    assert client.subscribe()[0].type == "W"


# -- level 3 ----------------------------------------------------------------------------------------


@pytest.fixture
def orders(inside: Venue) -> Peer:
    """A client of level 3."""
    return inside.connect("spot_md_l3")


def test_a_level_3_snapshot_has_orders_in_queue_order(inside: Venue, orders: Peer) -> None:
    first = inside.kraken.place("bob", "buy", "0.5", "64000.1")
    inside.kraken.clock.ns += 1_234_567_890
    second = inside.kraken.place("carol", "buy", "0.3", "64000.1")
    offer = inside.kraken.place("bob", "sell", "1", "64001.0")
    snapshot = only(orders.subscribe(level3=True))
    assert snapshot.all(278) == [offer.txid, first.txid, second.txid]
    assert rows(snapshot) == [("1", "64001.0", "1.0"), ("0", "64000.1", "0.5"), ("0", "64000.1", "0.3")]
    assert tags(snapshot) == TAGS + [269, 278, 270, 271, 273, 5060, 5273] * 3
    assert snapshot.all(273)[1:] == ["10:00:00.000", "10:00:01.234"]
    assert snapshot.all(5060)[1:] == ["2026-11-02T10:00:00.000000000Z", "2026-11-02T10:00:01.234567890Z"]


def test_level_3_tells_of_each_order(inside: Venue, orders: Peer) -> None:
    orders.subscribe(level3=True)
    order = inside.kraken.place("bob", "buy", "0.5", "64000.1")
    added = only(orders.take())
    assert (added[278], rows(added)) == (order.txid, [("0", "0", "64000.1", "0.5")])
    assert tags(added) == [*TAGS, 279, 269, 278, 270, 271, 273, 5060, 5273, 5041]
    inside.kraken.place("carol", "sell", "0.2", "64000.1")
    filled = only(orders.take())
    assert (filled[278], rows(filled)) == (order.txid, [("1", "0", "64000.1", "0.3")])
    inside.kraken.execute(commands.AmendOrder(account="bob", txid=order.txid, price=640_005))
    moved = only(orders.take())
    assert moved.all(278) == [order.txid] * 2
    assert rows(moved) == [("2", "0", "64000.1", "0.0"), ("0", "0", "64000.5", "0.3")]
    cancel(inside, "bob", order.txid)
    assert rows(only(orders.take())) == [("2", "0", "64000.5", "0.0")]


def test_orders_of_a_level_that_leaves_the_depth_are_deleted_with_their_quantities(
    inside: Venue, orders: Peer
) -> None:
    for qty in ("0.5", "0.25"):
        inside.kraken.place("bob", "buy", qty, "64000.1")
    orders.subscribe(level3=True, depth=1)
    best = inside.kraken.place("bob", "buy", "3", "64000.5")
    assert rows(only(orders.take())) == [
        ("0", "0", "64000.5", "3.0"),
        ("2", "0", "64000.1", "0.5"),
        ("2", "0", "64000.1", "0.25"),
    ]
    inside.kraken.clock.ns += SECOND
    cancel(inside, "bob", best.txid)
    back = only(orders.take())
    assert rows(back) == [
        ("2", "0", "64000.5", "0.0"),
        ("0", "0", "64000.1", "0.5"),
        ("0", "0", "64000.1", "0.25"),
    ]
    assert back.all(273) == ["10:00:01.000", "10:00:00.000", "10:00:00.000"]


def test_the_next_slice_of_an_iceberg_is_at_the_end_of_the_queue(inside: Venue, orders: Peer) -> None:
    iceberg = inside.kraken.place("bob", "buy", "1", "64000.1", display="0.1")
    other = inside.kraken.place("carol", "buy", "0.3", "64000.1")
    orders.subscribe(level3=True)
    inside.kraken.place("alice", "sell", "0.1", "64000.1")
    update = only(orders.take())
    assert [(row[279], row[278], row[271]) for row in update.groups(279)] == [
        ("2", iceberg.txid, "0.0"),
        ("0", iceberg.txid, "0.1"),
    ]
    assert only(orders.subscribe(level3=True, request="again")).all(278) == [other.txid, iceberg.txid]


# -- when it is written -----------------------------------------------------------------------------


def as_in_a_loop(inside: Venue) -> None:
    """Let the publisher wait for the loop, as it does when there is one."""
    del inside.gateway.publisher._soon


def test_updates_of_one_turn_of_the_loop_are_written_at_once(inside: Venue, client: Peer) -> None:
    client.subscribe()
    as_in_a_loop(inside)
    writes = []
    client.write = writes.append  # type: ignore[method-assign]

    async def turn() -> None:
        for price in ("64000.5", "64000.6"):
            inside.kraken.place("bob", "buy", "3", price)
        assert writes == []
        await asyncio.sleep(0)

    asyncio.run(turn())
    (data,) = writes
    assert data.count(b"\x0135=X\x01") == 2


def test_many_sessions_are_written_to_in_several_turns(
    inside: Venue, client: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "FLUSH_CHUNK", 1)
    clients = [client, inside.connect(account="bob"), inside.connect(account="carol")]
    for one in clients:
        one.subscribe()
    as_in_a_loop(inside)

    async def turns() -> list[int]:
        inside.kraken.place("bob", "buy", "3", "64000.5")
        heard = []
        for _ in clients:
            await asyncio.sleep(0)
            heard.append(sum(len(one.take()) for one in clients))
        return heard

    assert asyncio.run(turns()) == [1, 1, 1]
