"""WebSocket v2 ``level3``: snapshots, updates, checksums, depth and limits."""

from zlib import crc32

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.engine import commands
from emulator.engine.instruments import scaled
from emulator.gateways.keys import PERMISSIONS
from emulator.gateways.rate_limits import RateLimits
from emulator.gateways.roles import Role
from tests.gateways.venue import XBTUSD, Client, Kraken


def token(number):
    return number.replace(".", "").lstrip("0")


class Book:
    """A level 3 book as a client keeps it, of wire texts; every message's checksum is verified."""

    def __init__(self, kraken, depth=10, account="alice", role=Role.ANY):
        self.depth = depth
        self.client = Client(kraken.gateway, role)
        self.token = kraken.token(account)
        self.sides = {"bids": {}, "asks": {}}
        self.events = []
        self.client.take()
        [ack, *messages] = self.client.subscribe("level3", "BTC/USD", depth=depth, token=self.token)
        assert ack["success"], ack
        self.ack = ack
        self.take(messages)

    def take(self, messages=None):
        for message in self.client.take() if messages is None else messages:
            assert message["channel"] == "level3"
            [data] = message["data"]
            for name, side in self.sides.items():
                for row in data[name]:
                    self._apply(side, row, row.get("event", "add"))
                self._truncate(name, side)
            assert data["checksum"] == self.checksum(), message

    def _apply(self, side, row, event):
        self.events.append((event, row["order_id"]))
        level = side.setdefault(row["limit_price"], {})
        if event == "add":
            assert row["order_id"] not in level
            level[row["order_id"]] = row["order_qty"]
        elif event == "modify":
            assert row["order_id"] in level
            level[row["order_id"]] = row["order_qty"]
        else:
            del level[row["order_id"]]
            if not level:
                del side[row["limit_price"]]

    def _sorted(self, name):
        return sorted(self.sides[name], key=float, reverse=name == "bids")

    def _truncate(self, name, side):
        for price in self._sorted(name)[self.depth :]:
            del side[price]

    def checksum(self):
        parts = []
        for name in ("asks", "bids"):
            for price in self._sorted(name)[:10]:
                parts += [token(price) + token(qty) for qty in self.sides[name][price].values()]
        return crc32("".join(parts).encode())

    def levels(self):
        """What the client holds, in units of the pair."""
        return {
            name: [
                (scaled(price, 1), [scaled(qty, 8) for qty in self.sides[name][price].values()])
                for price in self._sorted(name)
            ]
            for name in self.sides
        }


def engine_levels(kraken, depth):
    book, found = kraken.engine.markets[XBTUSD].book, {}
    for name, side in (("bids", book.bids), ("asks", book.asks)):
        found[name] = []
        for level in side.top(depth):
            order, shown = level.head, []
            while order is not None:
                shown.append(order.shown)
                order = order.next
            found[name].append((level.price, shown))
    return found


def test_published_example(kraken):
    """Vector 4 of the reference, and the second checksum of its level 3 example."""
    for qty, price in (("0.3", "64000.1"), ("0.2", "64000.1"), ("1.25", "64000.5")):
        kraken.place("bob", "sell", qty, price)
    kraken.place("bob", "buy", "2", "63999.9")
    book = Book(kraken)
    assert book.checksum() == 2300810962
    kraken.place("carol", "buy", "0.05", "64000.1")
    book.take()
    assert book.checksum() == 3033029506
    assert [event for event, _ in book.events[4:]] == ["modify"]


def test_rows_have_the_documented_keys(kraken):
    order = kraken.place("bob", "buy", "2", "63999.9")
    client = Client(kraken.gateway)
    client.take()
    ack, snapshot = client.subscribe("level3", "BTC/USD", token=kraken.token("alice"))
    assert ack["result"] == {"channel": "level3", "depth": 10, "snapshot": True, "symbol": "BTC/USD"}
    [data] = snapshot["data"]
    assert list(data) == ["symbol", "checksum", "bids", "asks", "timestamp"]
    assert data["bids"] == [
        {
            "order_id": order.txid,
            "limit_price": "63999.9",
            "order_qty": "2.00000000",
            "timestamp": "2026-11-02T10:00:00.000000000Z",
        }
    ]
    kraken.execute(commands.CancelOrder(account="bob", txid=order.txid))
    [update] = client.take()
    [data] = update["data"]
    assert list(data) == ["checksum", "symbol", "bids", "asks", "timestamp"]
    [row] = data["bids"]
    assert (row["event"], row["order_qty"], data["checksum"]) == ("delete", "2.00000000", 0)


def test_priority_that_is_lost_is_a_deletion_and_an_addition(kraken):
    first = kraken.place("bob", "buy", "2", "63999.9")
    kraken.place("carol", "buy", "1", "63999.9")
    book = Book(kraken)
    kraken.execute(commands.AmendOrder(account="bob", txid=first.txid, qty=10**8))
    book.take()
    kraken.execute(commands.AmendOrder(account="bob", txid=first.txid, qty=3 * 10**8))
    book.take()
    assert [event for event, _ in book.events[2:]] == ["modify", "delete", "add"]
    assert book.levels() == engine_levels(kraken, 10)


def test_level_that_comes_into_the_depth_brings_all_its_orders(kraken):
    for number in range(12):
        for _ in range(2):
            kraken.place("bob", "buy", "1", str(60000 - number))
    book = Book(kraken)
    best = next(iter(kraken.engine.accounts["bob"].open.values()))
    other = list(kraken.engine.accounts["bob"].open.values())[1]
    kraken.place("carol", "buy", "1", "60001")  # one level falls out, silently
    book.take()
    kraken.execute(commands.CancelOrder(account="bob", txid=best.txid))
    kraken.execute(commands.CancelOrder(account="bob", txid=other.txid))
    book.take()
    assert book.levels() == engine_levels(kraken, 10)
    assert [event for event, _ in book.events[20:]] == ["add", "delete", "delete", "add", "add"]


def test_hidden_part_of_an_iceberg_and_waiting_orders_are_not_there(kraken):
    kraken.place("bob", "sell", "10", "64000", display="1")
    book = Book(kraken)
    assert book.levels()["asks"] == [(640_000, [10**8])]
    kraken.place("carol", "buy", "1", "64000")
    book.take()
    assert book.levels()["asks"] == [(640_000, [10**8])]
    assert [event for event, _ in book.events[1:]] == ["delete", "add"]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["place", "place", "place", "cancel", "amend"]),
        st.booleans(),
        st.integers(59_980, 60_020),
        st.integers(1, 30),
        st.integers(0, 1000),
    ),
    max_size=60,
)


@given(STEPS, st.sampled_from([10, 100]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_client_holds_exactly_the_engines_book_to_its_depth(steps, depth):
    kraken = Kraken()
    book = Book(kraken, depth)
    accounts = [kraken.engine.accounts[name] for name in ("bob", "carol")]
    for number, (action, buy, price, qty, pick) in enumerate(steps):
        account = accounts[number % 2]
        orders = list(account.open.values())
        if action == "place":
            kraken.place(account.name, "buy" if buy else "sell", f"{qty / 10:.1f}", str(price))
        elif orders and action == "cancel":
            txid = orders[pick % len(orders)].txid
            kraken.execute(commands.CancelOrder(account=account.name, txid=txid))
        elif orders:
            txid = orders[pick % len(orders)].txid
            kraken.execute(commands.AmendOrder(account=account.name, txid=txid, qty=qty * 10**7))
        book.take()
        assert book.levels() == engine_levels(kraken, depth)


# -- who may, and how much -------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [Role.LEVEL3, Role.PRIVATE, Role.ANY])
def test_is_had_where_tokens_are(kraken, role):
    Book(kraken, role=role)


def test_is_refused_elsewhere_and_without_a_token(kraken):
    client = Client(kraken.gateway, Role.PUBLIC)
    error = client.error("subscribe", channel="level3", symbol=["BTC/USD"], token=kraken.token("alice"))
    assert error.startswith("Private data and trading are unavailable on this endpoint")
    level3 = Client(kraken.gateway, Role.LEVEL3)
    assert level3.error("subscribe", channel="book", symbol=["BTC/USD"]).startswith("Public market data")
    assert level3.error("subscribe", channel="balances", token=kraken.token("alice")).startswith("Private")
    assert level3.error("subscribe", channel="level3", symbol=["BTC/USD"]) == "Token(s) not found"
    ask = {"channel": "level3", "symbol": ["BTC/USD"]}
    [reply] = level3.ask("subscribe", **ask, token="nonsense")
    assert (reply["error"], reply["channel"]) == ("ESession:Invalid session", "level3")
    blind = kraken.token("alice", PERMISSIONS - {"query-open-trades"})
    assert level3.error("subscribe", **ask, token=blind) == "EGeneral:Permission denied"
    ask["token"] = kraken.token("alice")
    assert level3.error("subscribe", **ask, depth=25) == "Subscription depth not supported"


def test_one_depth_per_symbol(kraken):
    book = Book(kraken)
    ask = {"channel": "level3", "symbol": ["BTC/USD"], "token": book.token}
    for depth in (10, 100):
        assert book.client.error("subscribe", **ask, depth=depth) == "Already subscribed"
    assert book.client.result("unsubscribe", **ask)["depth"] == 10
    assert book.client.result("subscribe", **ask, depth=100)["depth"] == 100


def test_subscriptions_cost_what_the_guide_says(kraken):
    kraken.venue.limits = RateLimits()
    kraken.engine.accounts["alice"].tier = type(kraken.engine.accounts["alice"].tier).INTERMEDIATE
    client = Client(kraken.gateway)
    ask = {"channel": "level3", "token": kraken.token("alice")}
    client.result("subscribe", **ask, symbol=["BTC/USD"], depth=1000)
    client.result("subscribe", **ask, symbol=["ETH/USD"], depth=1000)
    assert client.error("subscribe", **ask, symbol=["SOL/USD"], depth=10) == "Exceeded msg rate"
    kraken.clock.ns += 10**9
    client.result("subscribe", **ask, symbol=["SOL/USD"], depth=10)
