"""Managed mode by the control API, in this process: what it answers, and what it refuses in which words."""

import pytest

from emulator.control.managed import ManagedControl
from emulator.control.venue import VenueControl, VenueError
from emulator.engine.accounts import Account
from emulator.engine.commands import Deposit, PlaceOrder, SetStatus
from emulator.engine.instruments import Side
from emulator.engine.orders import OrderType, TimeInForce
from emulator.engine.status import TradingStatus
from emulator.reading import WrongValue
from tests.gateways.venue import XBTUSD, Kraken

DEPOSITS = (Deposit("alice", "ZUSD", 1_000_0000), Deposit("dave", "ZUSD", 100_0000))
TRADE = {"price": "60000.0", "qty": "0.1"}


@pytest.fixture
def kraken():
    made = Kraken()
    made.engine.accounts["market"] = Account("market", house=True)
    return made


@pytest.fixture
def control(kraken):
    return ManagedControl(kraken.venue, VenueControl(kraken.venue), DEPOSITS, keeps_market=False)


@pytest.fixture
def refuses():
    """Expect one line that says this."""

    def expect(words):
        return pytest.raises((VenueError, WrongValue), match=words)

    return expect


# -- balances --------------------------------------------------------------------------------------------


def test_balances_are_set_by_any_spelling_and_seen_over_rest(kraken, control):
    answer = control.set_balances("dave", {"ZUSD": "1000", "btc": "2.5", "SOL": "0"})
    assert answer["balances"] == {"USD": "1000.0000", "XBT": "2.5000000000"}
    balances = kraken.private("Balance", "dave")
    assert (balances["ZUSD"], balances["XXBT"]) == ("1000.0000", "2.5000000000")
    ledger = kraken.private("Ledgers", "dave", type="adjustment")["ledger"].values()
    assert sorted((row["asset"], row["amount"]) for row in ledger) == [
        ("XXBT", "2.5000000000"),
        ("ZUSD", "900.0000"),
    ]


def test_balances_are_seen_on_the_balances_channel(kraken, control):
    client = kraken.client()
    client.subscribe("balances", token=kraken.token("dave"))
    control.set_balances("dave", {"USD": "50"})
    [message] = client.take()
    [row] = message["data"]
    assert (row["type"], row["asset"], row["amount"], row["balance"]) == (
        "adjustment",
        "USD",
        "-50.0000",
        "50.0000",
    )


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"NOPE": "1"}, "unknown asset 'NOPE'"),
        ({"USD": "1", "ZUSD": "2"}, "ZUSD: this asset is named twice"),
        ({"USD": "-1"}, "USD: '-1' is no number from 0 with at most 4 decimals"),
        ({"USD": "0.00001"}, "at most 4 decimals"),
        ({"USD": 5}, 'USD = 5: text is meant, in quotes: "5"'),
    ],
)
def test_balances_that_cannot_be(kraken, control, refuses, body, words):
    before = kraken.private("Balance")
    with refuses(words):
        control.set_balances("alice", {"BTC": "1", **body})
    assert kraken.private("Balance") == before


def test_a_balance_below_what_is_on_hold_is_refused(kraken, control, refuses):
    kraken.place("alice", "sell", "2", "70000.0")
    with refuses("BTC: 2.0000000000 is on hold for open orders, so 1.9 is too little"):
        control.set_balances("alice", {"BTC": "1.9"})


@pytest.mark.parametrize("name", ["nobody", "market"])
def test_only_clients_have_balances_to_set(control, refuses, name):
    with refuses(f"unknown account '{name}'"):
        control.set_balances(name, {"USD": "1"})


# -- books -----------------------------------------------------------------------------------------------


def test_a_book_is_seeded_and_added_to(kraken, control):
    kraken.place("alice", "buy", "1", "63990.0")
    control.seed_book("BTC/USD", {"bids": [["64000.0", "1.5"]], "asks": [["64010", "2"]]}, adds=False)
    answer = control.seed_book("XBTUSD", {"bids": [["63990.0", "0.5"]]}, adds=True)
    assert answer == {
        "pair": "XBTUSD",
        "bids": [["64000.0", "1.50000000"], ["63990.0", "1.50000000"]],
        "asks": [["64010.0", "2.00000000"]],
    }
    assert kraken.public("Depth", pair="XBTUSD")[XBTUSD]["bids"][1][:2] == ["63990.00000", "1.500"]
    assert control.seed_book("XBTUSD", {}, adds=False)["bids"] == [["63990.0", "1.00000000"]]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"bids": [["64000.0", "1"]], "asks": [["64000.0", "1"]]}, "the best bid must be below the best ask"),
        (
            {"bids": [["64000.01", "1"]]},
            r"bids\[0\]\[0\]: '64000.01' is no number from 0 with at most 1 decimals",
        ),
        ({"bids": [["64000.0", "0"]]}, r"bids\[0\]\[1\]: a quantity above 0 is meant"),
        ({"bids": [["0", "1"]]}, r"bids\[0\]\[0\]: 0 is no price of XBTUSD, whose tick is 0.1"),
        ({"bids": [["64000.0"]]}, r"bids\[0\] = .*: a price with a quantity, "),
        ({"bids": [["64000.0", "1"]] * 5_001}, "bids: at most 5000 levels at once"),
        ({"bid": []}, "unknown field 'bid', did you mean 'bids'"),
        ({"bids": [["70000.0", "1"]]}, 'would trade with an order of a client; "match": true lets it'),
    ],
)
def test_books_that_cannot_be(kraken, control, refuses, body, words):
    kraken.place("alice", "sell", "1", "70000.0")
    with refuses(words):
        control.seed_book("BTC/USD", body, adds=False)
    assert control.show_book("BTC/USD")["bids"] == []


def test_a_book_may_trade_with_clients(kraken, control):
    order = kraken.place("alice", "sell", "1", "64000.0")
    control.seed_book("BTC/USD", {"bids": [["64000.0", "3"]], "match": True}, adds=False)
    assert order.filled == order.qty
    assert control.show_book("BTC/USD")["bids"] == [["64000.0", "2.00000000"]]


# -- trades ----------------------------------------------------------------------------------------------


def test_a_trade_is_printed(kraken, control):
    answer = control.print_trade("XBTUSD", TRADE | {"side": "sell"})
    assert (answer["price"], answer["qty"], answer["side"]) == ("60000.0", "0.10000000", "sell")
    [row] = kraken.public("Trades", pair="XBTUSD")[XBTUSD]
    assert (row[:2], row[3], row[6]) == (["60000.00000", "0.10000000"], "s", answer["trade_id"])
    assert kraken.public("Ticker", pair="XBTUSD")[XBTUSD]["c"] == ["60000.00000", "0.10000000"]
    assert [candle[4] for candle in kraken.public("OHLC", pair="XBTUSD")[XBTUSD]] == ["60000.0"]


def test_a_trade_that_clients_orders_would_have_had_first(kraken, control, refuses):
    order = kraken.place("alice", "buy", "1", "61000.0")
    kraken.place("bob", "buy", "1", "61000.1")
    with refuses(
        f'{order.txid} and 1 more would trade first, at a better price; "through": true fills them before'
    ):
        control.print_trade("XBTUSD", TRADE)
    answer = control.print_trade("XBTUSD", TRADE | {"through": True})
    assert (order.filled, answer["price"]) == (order.qty, "60000.0")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"side": "up"}, "side: 'up' is neither buy nor sell"),
        ({"price": "x"}, "price: 'x' is no number"),
        ({"qty": "0.000000001"}, "qty: '0.000000001' is no number from 0 with at most 8 decimals"),
    ],
)
def test_trades_that_cannot_be(control, refuses, change, words):
    with refuses(words):
        control.print_trade("XBTUSD", TRADE | change)
    with refuses("unknown pair 'NOPE'"):
        control.print_trade("NOPE", TRADE)


def test_nothing_is_printed_while_nothing_trades(kraken, control, refuses):
    kraken.execute(SetStatus(TradingStatus.CANCEL_ONLY))
    with refuses("nothing trades now"):
        control.print_trade("XBTUSD", TRADE)


# -- orders ----------------------------------------------------------------------------------------------


def test_an_order_is_filled_by_txid_or_by_its_client_id(kraken, control):
    order = kraken.place("alice", "buy", "1", "50000.0", cl_ord_id="mine")
    assert control.fill(order.txid, {"qty": "0.25"}) == {
        "order": order.txid,
        "account": "alice",
        "pair": "XBTUSD",
        "status": "open",
        "qty": "1.00000000",
        "filled": "0.25000000",
        "reason": None,
    }
    assert control.fill("mine", {"account": "alice"})["status"] == "closed"
    trades = kraken.private("TradesHistory")["trades"].values()
    assert {(row["price"], row["maker"]) for row in trades} == {("50000.00000", True)}


def test_orders_expire_and_are_cancelled_for_a_reason(kraken, control):
    first, second = (kraken.place("alice", "buy", "1", "50000.0") for _ in range(2))
    assert control.expire(first.txid, {})["status"] == "expired"
    answer = control.cancel(second.txid, {"reason": "CancelAllOrdersAfter Timeout"})
    assert (answer["status"], answer["reason"]) == ("canceled", "CancelAllOrdersAfter Timeout")
    orders = kraken.private("QueryOrders", txid=f"{first.txid},{second.txid}")
    assert [orders[order.txid]["status"] for order in (first, second)] == ["expired", "canceled"]


def test_what_cannot_be_done_to_an_order(kraken, control, refuses):
    order = kraken.place("alice", "buy", "1", "50000.0")
    later = kraken.place(
        "alice", "buy", "1", "50000.0", tif=TimeInForce.FOK, start_ns=kraken.clock.ns + 10**9
    )
    with refuses("qty: 1.00000000 remains$"):
        control.fill(order.txid, {"qty": "2"})
    with refuses("price: the limit is 50000.0"):
        control.fill(order.txid, {"price": "50000.1"})
    with refuses("qty: 1.00000000 remains, all of which a fill-or-kill order wants"):
        control.fill(later.txid, {"qty": "0.5"})
    with refuses("unknown order 'O1'"):
        control.fill("O1", {})
    with refuses("unknown order"):
        control.fill(order.txid, {"account": "bob"})
    with refuses("unknown account 'nobody'"):
        control.fill(order.txid, {"account": "nobody"})
    with refuses("unknown reason 'why'; there are: User requested, "):
        control.cancel(order.txid, {"reason": "why"})
    control.cancel(order.txid, {})
    with refuses(f"order {order.txid} is not open any more: canceled"):
        control.fill(order.txid, {})


def test_a_waiting_buy_that_its_account_cannot_pay(kraken, control, refuses):
    control.set_balances("dave", {"USD": "100"})
    command = PlaceOrder(
        account="dave",
        pair=XBTUSD,
        side=Side.BUY,
        type=OrderType.STOP_LOSS,
        qty=100_000,
        trigger=600_000,
    )
    order = kraken.execute(command)[0].order
    with refuses("dave cannot pay that"):
        control.fill(order.txid, {"price": "200000"})


# -- a reset ---------------------------------------------------------------------------------------------


def test_after_a_reset_accounts_own_what_they_began_with_and_have_done_nothing(kraken, control):
    control.seed_book("XBTUSD", {"asks": [["50000.0", "1"]]}, adds=False)
    kraken.place("alice", "buy", "0.5")
    order = kraken.place("alice", "buy", "1", "40000.0")
    assert control.reset() == {"status": "ok"}
    assert kraken.private("Balance") == {"ZUSD": "1000.0000"}
    assert kraken.private("OpenOrders")["open"] == {}
    assert kraken.private("ClosedOrders")["closed"] == {}
    assert kraken.private("TradesHistory")["trades"] == {}
    assert [row["type"] for row in kraken.private("Ledgers")["ledger"].values()] == ["deposit"]
    assert order.txid not in kraken.engine.accounts["alice"].closed
    assert kraken.public("Trades", pair="XBTUSD")[XBTUSD] == []
    assert kraken.public("Depth", pair="XBTUSD")[XBTUSD] == {"asks": [], "bids": []}
    assert kraken.public("OHLC", pair="XBTUSD")[XBTUSD] == []


def test_who_is_connected_sees_orders_end_and_balances_change(kraken, control):
    order = kraken.place("dave", "buy", "0.001", "50000.0")
    client = kraken.client()
    client.subscribe("executions", token=kraken.token("dave"))
    client.subscribe("balances", token=kraken.token("dave"))
    control.set_balances("dave", {"USD": "70", "BTC": "1"})
    client.take()
    control.reset()
    seen = client.take()
    ended = [row for m in seen if m["channel"] == "executions" for row in m["data"]]
    assert [(row["order_id"], row["exec_type"]) for row in ended] == [(order.txid, "canceled")]
    balances = [row for m in seen if m["channel"] == "balances" for row in m["data"]]
    assert [(row["asset"], row["balance"]) for row in balances] == [
        ("USD", "100.0000"),
        ("BTC", "0.0000000000"),
    ]
    assert client.closed is None
    assert client.ask("ping")[0]["method"] == "pong"


def test_a_book_is_whole_for_its_subscribers_after_a_reset(kraken, control):
    control.seed_book("XBTUSD", {"bids": [["49990.0", "1"]], "asks": [["50000.0", "1"]]}, adds=False)
    client = kraken.client()
    client.subscribe("book", "BTC/USD")
    control.reset()
    [message] = client.take()
    [data] = message["data"]
    assert [row["qty"] for row in data["bids"] + data["asks"]] == ["0.00000000"] * 2
    assert data["checksum"] == 0
