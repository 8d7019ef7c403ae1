"""WebSocket v1: control frames, public data as its clients rebuild it, private data, trading."""

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from zlib import crc32

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.engine import commands
from emulator.engine.commands import SetStatus
from emulator.engine.status import TradingStatus
from emulator.gateways.keys import PERMISSIONS
from emulator.gateways.roles import Role
from emulator.gateways.spot_ws_v1.session import Gateway, Session
from tests.gateways.sockets import UPGRADE, masked, serving
from tests.gateways.venue import START_S, XBTUSD, Kraken


class V1:
    """One v1 connection: what a session sends, in order."""

    peer = "127.0.0.1:40311"

    def __init__(self, kraken: Kraken, role: Role = Role.ANY) -> None:
        self.kraken = kraken
        self.raw: list[bytes] = []
        self.writes = 0
        self.closed: int | None = None
        self._taken = 0
        kraken.v1 = getattr(kraken, "v1", None) or Gateway(kraken.venue)
        self.session = Session(kraken.v1, self, role, 17_843_232_920_108_168_701)

    def send(self, *payloads: bytes) -> None:
        self.writes += 1
        self.raw += payloads

    def post(self, frame: bytes) -> None:
        size = frame[1]
        self.raw.append(frame[{126: 4, 127: 10}.get(size, 2) :])

    def subscribed(self) -> None:
        pass

    def later(self, callback: Callable[[], None]) -> None:
        callback()

    def close(self, code: int, reason: str = "") -> None:
        self.closed = code
        self.session.close()

    def take(self) -> list[Any]:
        new, self._taken = self.raw[self._taken :], len(self.raw)
        return [json.loads(text) for text in new]

    def say(self, message: Any) -> list[Any]:
        self.take()
        self.session.receive(message if isinstance(message, bytes) else json.dumps(message))
        return self.take()

    def subscribe(self, *pairs: str, **subscription: Any) -> list[Any]:
        message: dict[str, Any] = {"event": "subscribe", "reqid": 5, "subscription": subscription}
        if pairs:
            message["pair"] = list(pairs)
        return self.say(message)

    def trade(self, event: str, **fields: Any) -> Any:
        replies = self.say({"event": event, "reqid": 7, **fields})
        return next(reply for reply in replies if isinstance(reply, dict))


@pytest.fixture
def client(kraken):
    found = V1(kraken)
    found.take()
    return found


# -- control frames --------------------------------------------------------------------------------------


def test_first_frame_and_ping(kraken):
    client = V1(kraken)
    assert client.raw == [
        b'{"event":"systemStatus","version":"1.9.6","status":"online","connectionID":17843232920108168701,'
        b'"upcoming_maintenance":[],"emergency":[]}'
    ]
    client.take()
    client.session.receive(b'{"event":"ping","reqid":42}')
    assert client.raw[-1] == b'{"event":"pong","reqid":42}'
    assert client.say({"event": "ping"}) == [{"event": "pong"}]


def test_subscription_is_answered_per_pair_with_keys_in_order(client):
    [xbt, eth, bad, odd, *_] = client.subscribe("XBT/USD", "ETH/USD", "BTC/USD", "XBTUSD", name="trade")
    assert list(xbt) == [
        *("channelID", "channelName", "event", "pair", "reqid", "status", "subscription"),
    ]
    assert (xbt["channelName"], xbt["status"], xbt["subscription"]) == (
        *("trade", "subscribed", {"name": "trade"}),
    )
    assert xbt["channelID"] != eth["channelID"]
    assert bad == {
        "errorMessage": "Currency pair not supported BTC/USD",
        "event": "subscriptionStatus",
        "pair": "BTC/USD",
        "reqid": 5,
        "status": "error",
        "subscription": {"name": "trade"},
    }
    assert odd["errorMessage"] == "Currency pair not in ISO 4217-A3 format XBTUSD"
    [again] = client.subscribe("XBT/USD", name="trade")
    assert again["errorMessage"] == "Already subscribed"


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (b"{", "Malformed request"),
        (b"[]", "Malformed request"),
        ({}, "Event(s) not found"),
        ({"event": "nonsense"}, "Unsupported event"),
        ({"event": "subscribe"}, "Subscription field must be an object"),
        ({"event": "subscribe", "subscription": "book"}, "Subscription field must be an object"),
        ({"event": "subscribe", "subscription": {}}, "Malformed request"),
        ({"event": "subscribe", "subscription": {"name": "x"}}, "Subscription name invalid"),
        ({"event": "subscribe", "subscription": {"name": "ticker"}}, "Pair(s) not found"),
        (
            {"event": "subscribe", "pair": "XBT/USD", "subscription": {"name": "ticker"}},
            "Pair field must be an array",
        ),
        (
            {"event": "subscribe", "pair": ["XBT/USD"], "subscription": {"name": "book", "depth": 42}},
            "Subscription depth not supported",
        ),
        (
            {"event": "subscribe", "pair": ["XBT/USD"], "subscription": {"name": "book", "depth": "10"}},
            "Subscription book depth must be an integer",
        ),
        (
            {"event": "subscribe", "pair": ["XBT/USD"], "subscription": {"name": "ohlc", "interval": 2}},
            "Subscription ohlc interval not supported",
        ),
        (
            {"event": "subscribe", "pair": ["XBT/USD"], "subscription": {"name": "ohlc", "interval": "1"}},
            "Subscription ohlc interval must be an integer",
        ),
        (
            {"event": "subscribe", "pair": ["XBT/USD"], "subscription": {"name": "book", "interval": 1}},
            "Subscription book doesn't require interval",
        ),
        (
            {"event": "subscribe", "pair": ["XBT/USD"], "subscription": {"name": "spread", "depth": 10}},
            "Subscription spread doesn't require depth",
        ),
        (
            {"event": "subscribe", "pair": ["XBT/USD"], "subscription": {"name": "trade", "x": 1}},
            "Subscription object unsupported field",
        ),
        (
            {"event": "subscribe", "pair": ["XBT/USD"], "subscription": {"name": "ownTrades"}},
            "Pair field unsupported for this subscription type",
        ),
        ({"event": "subscribe", "subscription": {"name": "ownTrades"}}, "ESession:Invalid session"),
        (
            {"event": "subscribe", "subscription": {"name": "openOrders", "token": "x"}},
            "ESession:Invalid session",
        ),
        (
            {"event": "unsubscribe", "pair": ["XBT/USD"], "subscription": {"name": "trade"}},
            "Subscription Not Found",
        ),
        ({"event": "unsubscribe", "channelID": 1}, "Subscription Not Found"),
    ],
)
def test_refusals(client, message, error):
    [reply] = client.say(message)
    assert reply["errorMessage"] == error
    assert reply["event"] == ("subscriptionStatus" if "ubscri" in str(message) else "error")
    assert not client.session.busy


def test_hosts_have_their_roles(kraken):
    public, private = V1(kraken, Role.PUBLIC), V1(kraken, Role.PRIVATE)
    [reply] = public.subscribe(name="openOrders", token=kraken.token())
    assert reply["errorMessage"].endswith("Try ws-auth.kraken.com")
    assert public.trade("addOrder")["errorMessage"].endswith("Try ws-auth.kraken.com")
    [reply] = private.subscribe("XBT/USD", name="ticker")
    assert reply["errorMessage"].endswith("Try ws.kraken.com")


def test_unsubscribing_by_number_by_name_and_all_at_once(client):
    [book, *_] = client.subscribe("XBT/USD", name="book", depth=10)
    client.subscribe("XBT/USD", "ETH/USD", name="ticker")
    [reply] = client.say({"event": "unsubscribe", "channelID": book["channelID"]})
    assert (reply["status"], reply["channelName"]) == ("unsubscribed", "book-10")
    client.subscribe("XBT/USD", name="book", depth=25)
    leave = {"event": "unsubscribe", "pair": ["XBT/USD"], "subscription": {"name": "book"}}
    [reply] = client.say(leave)
    assert reply["channelName"] == "book-25"
    client.subscribe(name="ownTrades", token=client.kraken.token())
    replies = client.say({"event": "unsubscribe", "subscription": {"name": "*"}})
    assert sorted(reply["channelName"] for reply in replies) == ["ownTrades", "ticker", "ticker"]
    assert not client.session.busy
    client.kraken.trade("1", "60000")
    assert client.take() == []


def test_status_of_the_venue_is_told_and_maintenance_ends_it(client):
    client.kraken.execute(SetStatus(TradingStatus.POST_ONLY))
    told = {"event": "systemStatus", "version": "1.9.6", "status": "post_only"}
    assert client.take() == [told | {"upcoming_maintenance": [], "emergency": []}]
    client.kraken.execute(SetStatus(TradingStatus.MAINTENANCE))
    assert client.closed == 1001


# -- public data -----------------------------------------------------------------------------------------


class Book:
    """A book as cryptofeed and hummingbot keep it: indexed from the end, of the texts that came."""

    def __init__(self, client, depth, pair="XBT/USD"):
        self.depth = depth
        [status, snapshot] = client.subscribe(pair, name="book", depth=depth)
        assert snapshot[-2:] == [f"book-{depth}", pair]
        assert snapshot[0] == status["channelID"]
        self.sides = {"a": {}, "b": {}}
        for name, rows in (("a", snapshot[1]["as"]), ("b", snapshot[1]["bs"])):
            self.sides[name] = {Decimal(row[0]): row for row in rows}
        self.updates = self.again = self.both = 0

    def take(self, messages):
        for message in messages:
            assert message[-2].startswith("book-")
            parts = message[1:-2]
            self.updates += 1
            self.both += len(parts) == 2
            assert ["c" in part for part in parts] == [False] * (len(parts) - 1) + [True]
            for part in parts:
                for name in ("a", "b"):
                    for row in part.get(name, ()):
                        self._apply(name, row)
            self._truncate()
            assert str(self.checksum()) == parts[-1]["c"]

    def _apply(self, name, row):
        price, volume = Decimal(row[0]), Decimal(row[1])
        self.again += row[3:] == ["r"]
        if volume:
            self.sides[name][price] = row
        else:
            del self.sides[name][price]

    def _truncate(self):
        for name, sign in (("a", 1), ("b", -1)):
            for price in sorted(self.sides[name], key=lambda p: sign * p)[self.depth :]:
                del self.sides[name][price]

    def checksum(self):
        parts = []
        for name, sign in (("a", 1), ("b", -1)):
            for price in sorted(self.sides[name], key=lambda p: sign * p)[:10]:
                parts += [text.replace(".", "").lstrip("0") for text in self.sides[name][price][:2]]
        return crc32("".join(parts).encode())


def test_published_example(client):
    """Vector 5 of the reference: five decimals, after the bid at 63999 has gone."""
    kraken = client.kraken
    for side, qty, price in (
        ("sell", "0.5", "64000.1"),
        ("sell", "1.25", "64000.5"),
        ("buy", "2", "63999.9"),
    ):
        kraken.place("bob", side, qty, price)
    gone = kraken.place("bob", "buy", "0.075", "63999")
    book = Book(client, 10)
    assert book.sides["a"][Decimal("64000.1")] == ["64000.10000", "0.50000000", f"{START_S}.000000"]
    kraken.execute(commands.CancelOrder(account="bob", txid=gone.txid))
    [message] = client.take()
    assert message[1] == {"b": [["63999.00000", "0.00000000", f"{START_S}.000000"]], "c": "2875944193"}
    book.take([message])


def test_level_that_comes_back_into_the_depth_is_marked(client):
    kraken = client.kraken
    orders = [kraken.place("bob", "buy", "1", str(60000 - n)) for n in range(12)]
    book = Book(client, 10)
    kraken.execute(commands.CancelOrder(account="bob", txid=orders[0].txid))
    book.take(client.take())
    assert book.again == 1
    kraken.place("bob", "sell", "1", "60001")
    kraken.place("carol", "sell", "0.5", "59999")
    book.take(client.take())


STEPS = st.lists(
    st.tuples(
        st.booleans(), st.booleans(), st.integers(59_980, 60_020), st.integers(1, 9), st.integers(0, 99)
    ),
    max_size=60,
)


@given(STEPS, st.sampled_from([10, 25]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_clients_keep_every_book_in_step(steps, depth):
    kraken = Kraken()
    client = V1(kraken)
    book = Book(client, depth)
    bob = kraken.engine.accounts["bob"]
    for cancel, buy, price, qty, pick in steps:
        if cancel and bob.open:
            txid = list(bob.open)[pick % len(bob.open)]
            kraken.execute(commands.CancelOrder(account="bob", txid=txid))
        else:
            name = "bob" if pick % 3 else "carol"
            kraken.place(name, "buy" if buy else "sell", f"{qty / 10:.1f}", str(price))
        book.take(client.take())
    engine = kraken.engine.markets[XBTUSD].book
    assert sorted(book.sides["b"], reverse=True) == [
        Decimal(level.price) / 10 for level in engine.bids.top(depth)
    ]


def test_trades_of_one_taker_are_one_message(client):
    kraken = client.kraken
    [_] = client.subscribe("XBT/USD", name="trade")
    kraken.place("bob", "sell", "1", "60000")
    kraken.place("bob", "sell", "1", "60001")
    kraken.place("carol", "buy", "1.5")
    [[_, rows, name, pair]] = client.take()
    assert (name, pair) == ("trade", "XBT/USD")
    assert [row[:2] + row[3:] for row in rows] == [
        ["60000.00000", "1.00000000", "b", "m", ""],
        ["60001.00000", "0.50000000", "b", "m", ""],
    ]


def test_spread_ticker_and_candles(client):
    kraken = client.kraken
    kraken.place("bob", "buy", "1", "59999")
    kraken.place("bob", "sell", "2.5", "60001")
    [_, spread] = client.subscribe("XBT/USD", name="spread")
    assert spread[1] == ["59999.00000", "60001.00000", f"{START_S}.000000", "1.00000000", "2.50000000"]
    [_, ticker] = client.subscribe("XBT/USD", name="ticker")
    assert list(ticker[1]) == ["a", "b", "c", "v", "p", "t", "l", "h", "o"]
    assert ticker[1]["a"] == ["60001.00000", 2, "2.50000000"]
    [_] = client.subscribe("XBT/USD", name="ohlc", interval=5)
    kraken.place("carol", "buy", "0.5", "60001")
    named = {message[-2]: message[1] for message in client.take()}
    assert named["spread"][4] == "2.00000000"
    assert (named["ticker"]["c"], named["ticker"]["t"]) == (["60001.00000", "0.50000000"], [1, 1])
    assert named["ticker"]["o"] == ["60001.00000", "60001.00000"]
    candle = named["ohlc-5"]
    assert candle[1:] == [
        f"{START_S + 300}.000000",
        *["60001.00000"] * 5,
        "0.50000000",
        1,
    ]


# -- private data ----------------------------------------------------------------------------------------


def orders_of(messages):
    return [list(message[0][0].items())[0] for message in messages if message[1] == "openOrders"]  # noqa: RUF015


def test_life_of_an_order(client):
    kraken = client.kraken
    [status, snapshot] = client.subscribe(name="openOrders", token=kraken.token())
    assert status["subscription"] == {"maxratecount": 180, "name": "openOrders"}
    assert "pair" not in status
    assert snapshot == [[], "openOrders", {"sequence": 1}]
    order = kraken.place("alice", "buy", "0.1", "64000.1", userref=3)
    messages = client.take()
    assert [message[2]["sequence"] for message in messages] == [2, 3]
    (txid, full), (_, live) = orders_of(messages)
    assert txid == order.txid
    assert (full["status"], full["vol"], full["userref"], full["timeinforce"]) == (
        *("pending", "0.10000000", 3, "GTC"),
    )
    assert full["descr"]["order"] == "buy 0.10000000 XBT/USD @ limit 64000.1"
    assert full["descr"]["price"] == "64000.10000"
    assert live == {"status": "open", "userref": 3}
    kraken.place("bob", "sell", "0.04", "64000.1")
    [(_, part)] = orders_of(client.take())
    assert part == {
        "vol_exec": "0.04000000",
        "cost": "2560.00400",
        "fee": "6.40001",
        "avg_price": "64000.10000",
        "userref": 3,
    }
    kraken.execute(commands.CancelOrder(account="alice", txid=order.txid))
    [(_, ended)] = orders_of(client.take())
    assert (ended["status"], ended["cancel_reason"], ended["lastupdated"]) == (
        *("canceled", "User requested", f"{START_S}.000000"),
    )


def test_snapshot_of_orders_and_counter(client):
    kraken = client.kraken
    kraken.engine.rate_limits = True
    kraken.place("alice", "buy", "0.1", "50000", cl_ord_id="mine")
    [_, snapshot] = client.subscribe(name="openOrders", token=kraken.token(), ratecounter="true")
    [(_, row)] = snapshot[0][0].items()
    assert (row["status"], row["cl_ord_id"], row["userref"]) == ("open", "mine", 0)
    kraken.place("alice", "buy", "0.1", "50001")
    [(_, full), _] = orders_of(client.take())
    assert full["ratecount"] == "2.00"


def test_own_trades_come_with_the_last_fifty_and_are_consolidated(client):
    kraken = client.kraken
    for _ in range(3):
        kraken.trade("0.1", "60000")
    token = kraken.token("carol")
    [_, snapshot] = client.subscribe(name="ownTrades", token=token)
    assert (len(snapshot[0]), snapshot[2]) == (3, {"sequence": 1})
    for price in ("60000", "60002"):
        kraken.place("bob", "sell", "1", price)
    order = kraken.place("carol", "buy", "2")
    [message] = client.take()
    [(_, row)] = message[0][0].items()
    assert (row["vol"], row["price"], row["ordertxid"], row["userref"]) == (
        *("2.00000000", "60001.00000", order.txid, 0),
    )
    other = V1(kraken)
    other.take()
    [_] = other.subscribe(name="ownTrades", token=token, snapshot=False, consolidate_taker=False)
    for price in ("60000", "60002"):
        kraken.place("bob", "sell", "1", price)
    kraken.place("carol", "buy", "2")
    assert len(other.take()) == 2


def test_private_channels_need_permissions(client):
    token = client.kraken.token("alice", PERMISSIONS - {"query-open-trades", "query-closed-trades"})
    for name in ("openOrders", "ownTrades"):
        [reply] = client.subscribe(name=name, token=token)
        assert reply["errorMessage"] == "EGeneral:Permission denied"


# -- trading ---------------------------------------------------------------------------------------------

ORDER = {"ordertype": "limit", "type": "buy", "pair": "XBT/USD", "volume": "0.1", "price": "64000.1"}


@pytest.fixture
def trader(client):
    client.token = client.kraken.token()
    return client


def test_order_is_added_amended_edited_and_cancelled(trader):
    token = trader.token
    added = trader.trade("addOrder", **ORDER, token=token)
    assert list(added) == ["descr", "event", "reqid", "status", "txid"]
    assert (added["descr"], added["event"], added["status"]) == (
        *("buy 0.10000000 XBTUSD @ limit 64000.1", "addOrderStatus", "ok"),
    )
    amended = trader.trade("amendOrder", txid=added["txid"], volume="0.2", token=token)
    assert (amended["status"], amended["txid"]) == ("ok", added["txid"])
    edited = trader.trade("editOrder", orderid=added["txid"], pair="XBT/USD", price="63000", token=token)
    assert (edited["originaltxid"], edited["descr"]) == (
        *(added["txid"], "buy 0.20000000 XBTUSD @ limit 63000.0"),
    )
    assert trader.trade("cancelOrder", txid=[edited["txid"]], token=token)["status"] == "ok"
    assert not trader.kraken.engine.accounts["alice"].open


def test_iceberg_of_another_protocol_is_amended(trader):
    order = trader.kraken.place("alice", "buy", "10", "60000", display="2")
    reply = trader.trade("amendOrder", txid=order.txid, display_volume="1", token=trader.token)
    assert (reply["status"], order.display) == ("ok", 10**8)


def test_one_status_per_cancelled_order(trader):
    kraken = trader.kraken
    first = kraken.place("alice", "buy", "1", "50000")
    kraken.place("alice", "buy", "1", "50000", cl_ord_id="mine")
    ask = {"event": "cancelOrder", "reqid": 1, "token": trader.token}
    replies = trader.say(ask | {"txid": [first.txid, "OQCLML-BW3P3-BUCMWZ"], "cl_ord_id": ["mine"]})
    ok = {"event": "cancelOrderStatus", "reqid": 1, "status": "ok"}
    unknown = {"event": "cancelOrderStatus", "reqid": 1, "status": "error"}
    assert replies == [ok, unknown | {"errorMessage": "EOrder:Unknown order"}, ok]


def test_all_orders_are_cancelled_at_once_or_later(trader):
    for _ in range(2):
        trader.kraken.place("alice", "buy", "1", "50000")
    assert trader.trade("cancelAll", token=trader.token)["count"] == 2
    later = trader.trade("cancelAllOrdersAfter", timeout=60, token=trader.token)
    assert (later["currentTime"], later["triggerTime"]) == ("2026-11-02T10:00:00Z", "2026-11-02T10:01:00Z")
    assert trader.trade("cancelAllOrdersAfter", timeout=0, token=trader.token)["triggerTime"] == "0"


def test_everything_that_rest_takes_is_taken(trader):
    trader.kraken.trade("0.001", "64000")
    stop = ORDER | {"ordertype": "stop-loss-limit", "type": "sell", "price": "-1%", "price2": "-10"}
    close = {"close[ordertype]": "limit", "close[price]": "70000"}
    for order, line in (
        (stop, "sell 0.10000000 XBTUSD @ stop loss -1.0000% -> limit -10.0"),
        (ORDER | close, "buy 0.10000000 XBTUSD @ limit 64000.1"),
        (ORDER | {"leverage": "5"}, "buy 0.10000000 XBTUSD @ limit 64000.1 with 5:1 leverage"),
        (ORDER | {"starttm": "+60"}, "buy 0.10000000 XBTUSD @ limit 64000.1"),
        (ORDER | {"validate": "true"}, "buy 0.10000000 XBTUSD @ limit 64000.1"),
    ):
        assert trader.trade("addOrder", **order, token=trader.token)["descr"] == line


@pytest.mark.parametrize(
    ("event", "fields", "error"),
    [
        ("addOrder", ORDER | {"volume": "0.00001"}, "EGeneral:Invalid arguments:volume minimum not met"),
        ("addOrder", ORDER | {"pair": "NO/PAIR"}, "EQuery:Unknown asset pair"),
        ("addOrder", ORDER | {"ordertype": "iceberg"}, "EGeneral:Invalid arguments:ordertype"),
        ("addOrder", ORDER | {"volume": "10000000000"}, "EOrder:Insufficient funds"),
        ("amendOrder", {"txid": "OQCLML-BW3P3-BUCMWZ"}, "EOrder:Unknown order"),
        ("editOrder", {"orderid": "x", "pair": "XBT/USD"}, "EOrder:Invalid order"),
        ("cancelOrder", {}, "EGeneral:Invalid arguments"),
        ("cancelAllOrdersAfter", {"timeout": -1}, "EGeneral:Invalid arguments:timeout"),
    ],
)
def test_trading_refusals(trader, event, fields, error):
    reply = trader.trade(event, **fields, token=trader.token)
    assert reply == {
        "errorMessage": error,
        "event": f"{event}Status",
        "reqid": 7,
        "status": "error",
    }
    assert trader.trade(event, **fields)["errorMessage"] == "ESession:Invalid session"


def test_unknown_field_is_refused_with_the_pair_and_without_a_number(trader):
    reply = trader.trade("addOrder", **ORDER, refid="x", token=trader.token)
    assert reply == {
        "errorMessage": "Unsupported field: 'refid' for the given msg type: add order",
        "event": "addOrderStatus",
        "pair": "XBT/USD",
        "status": "error",
    }


def test_over_sockets():
    async def scenario():
        async with serving(Kraken()) as served:
            for path in ("/", "/?x=1"):
                peer = await served.connect()
                peer.send(UPGRADE.format(path=path, host="ws.kraken.com").encode())
                assert (await peer.response())[0] == 101
                assert (await peer.message())["event"] == "systemStatus"
                ask = {"event": "subscribe", "pair": ["XBT/USD"], "subscription": {"name": "book"}}
                peer.send(masked(json.dumps(ask).encode()))
                assert (await peer.message())["channelName"] == "book-10"
                assert (await peer.message())[1] == {"as": [], "bs": []}
                await peer.close()

    asyncio.run(asyncio.wait_for(scenario(), 30))
