"""Why an order is refused, in numbers, to whoever reads the log at ``debug``: a table by Reject."""

import ast
import logging
from pathlib import Path
from typing import Any

import pytest

import emulator.gateways
from emulator.engine import commands
from emulator.engine.events import Reject
from emulator.engine.status import TradingStatus
from emulator.gateways import order_reasons
from emulator.gateways.errors import REJECT_TEXT, VenueError, explained
from tests.gateways.test_trading_errors import (
    busy,
    crowded,
    full,
    modest,
    poor,
    starter,
    status,
    waiting,
)
from tests.gateways.test_ws_v1 import V1
from tests.gateways.venue import START_NS, START_S, XBTUSD, Client, Kraken, refused

BUY = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "volume": "1", "price": "50000"}
SELL = BUY | {"type": "sell"}
MARKET = {"pair": "XBTUSD", "type": "buy", "ordertype": "market", "volume": "1"}
STOP = SELL | {"ordertype": "stop-loss", "price": "40000"}
MARGIN = BUY | {"leverage": "5"}
FOREVER = str(START_S + 40 * 86_400)


def traded(kraken: Kraken) -> None:
    """The last trade was at 50,000."""
    kraken.trade("0.001", "50000")


def asked(kraken: Kraken) -> None:
    """Bob sells 1 for 51,000."""
    kraken.place("bob", "sell", "1", "51000")


def short(kraken: Kraken) -> None:
    asked(kraken)
    kraken.private("AddOrder", **(MARKET | {"volume": "0.1", "leverage": "5"}))


def small(kraken: Kraken) -> None:
    """A position may hold half a bitcoin."""
    pair = kraken.engine.catalogue.pairs[XBTUSD]
    fields = {name: getattr(pair, name) for name in pair.__struct_fields__}
    kraken.engine.markets[XBTUSD].instrument = type(pair)(**fields | {"long_position_limit": 0})


def named(kraken: Kraken) -> None:
    kraken.private("AddOrder", **BUY, cl_ord_id="mine")


def allocated(kraken: Kraken) -> None:
    kraken.private("Earn/Allocate", strategy_id=_strategy(kraken), amount="10")


def _strategy(kraken: Kraken) -> str:
    rows = kraken.private("Earn/Strategies", asset="ETH")["items"]
    return str(next(row["id"] for row in rows if row["lock_type"]["type"] == "flex"))


def first(kraken: Kraken, **changes: Any) -> dict[str, Any]:
    """Return the parameters that change the only open order."""
    [txid] = kraken.engine.accounts["alice"].open
    return {"txid": txid} | changes


ORDERS = [
    (Reject.INVALID_PRICE, traded, BUY | {"price": "600000"},
     "limit 600000.0: the most to buy at is 500000.0, 10 times the last price, 50000.0"),
    (Reject.INVALID_PRICE, traded, SELL | {"price": "4000"},
     "limit 4000.0: the least to sell at is 5000.0, 1/10 of the last price, 50000.0"),
    (Reject.INVALID_PRICE, traded, STOP | {"ordertype": "stop-loss-limit", "price2": "100"},
     "limit 100.0: the least to sell at is 4000.0, 1/10 of what it waits for, 40000.0"),
    (Reject.INVALID_PRICE, None, BUY | {"price": "+5"},
     "+5.0 is a distance from the last price, and BTC/USD has none"),
    (Reject.INVALID_QTY, None, BUY | {"volume": "0"}, "volume 0.00000000: more than 0 is meant"),
    (Reject.ORDER_MINIMUM, None, BUY | {"volume": "0.00001"},
     "volume 0.00001000; the least of BTC/USD is 0.00005 XBT"),
    (Reject.ORDER_MINIMUM, None, MARKET | {"volume": "1", "oflags": "viqc"},
     "1.00000 USD buy 0.00000000 now; the least of BTC/USD is 0.00005 XBT"),
    (Reject.COST_MINIMUM, None, BUY | {"price": "100", "volume": "0.001"},
     "0.00100000 at 100.0 cost 0.10000 USD; the least of BTC/USD is 0.5 USD"),
    (Reject.INVALID_DISPLAY, None, BUY | {"ordertype": "iceberg", "displayvol": "0.05"},
     "0.05000000 of 1.00000000 shown: 1/15 at least is meant"),
    (Reject.INVALID_DISPLAY, None, BUY | {"displayvol": "0.5"},
     "a limit order shows all: only an iceberg has a display quantity"),
    (Reject.INVALID_TIME_IN_FORCE, None, BUY | {"oflags": "post", "timeinforce": "IOC"},
     "a post-only order rests, and IOC lets nothing rest"),
    (Reject.INVALID_EXPIRY, None, BUY | {"timeinforce": "GTD"},
     "expiry none: after 2026-11-02T10:00:00.000000Z, by 31 days at the most, is meant"),
    (Reject.INVALID_START, None, BUY | {"starttm": FOREVER},
     "start 2026-12-12T10:00:00.000000Z: 31 days after 2026-11-02T10:00:00.000000Z at the most is meant"),
    (Reject.POST_ONLY_NEEDS_LIMIT, None, MARKET | {"oflags": "post"},
     "only orders with a limit price can be post-only, not a market order"),
    (Reject.CLIENT_ID_NOT_UNIQUE, named, BUY | {"cl_ord_id": "mine"}, "'mine' is the client order id of O"),
    (Reject.INVALID_TRIGGER, None, STOP | {"price": "-5"},
     "-5.0 is a distance from the last price, and there is none"),
    (Reject.INVALID_CLOSE, None, BUY | {"close[ordertype]": "market"}, "a close may not be a market order"),
    (Reject.INVALID_CLOSE, None, BUY | {"close[ordertype]": "limit", "close[price]": "1"},
     "at a fill of 50000.0: sell limit, limit 1.0, trigger none: limit 1.0: the least to sell at is 5000.0"),
    (Reject.INVALID_CASH, None, BUY | {"oflags": "viqc", "volume": "100"},
     "limit buy for 100.00000 USD: viqc is for market orders to buy, without leverage, for at least 0.5 USD"),
    (Reject.INDEX_UNAVAILABLE, None, STOP | {"trigger": "index"}, "nobody tells that of BTC/USD"),
    (Reject.SCHEDULED_LIMIT, waiting, BUY | {"starttm": "+60"}, "50 orders wait for their start; 50 may"),
    (Reject.ORDERS_LIMIT, crowded, BUY, "225 orders of BTC/USD are open; tier pro may have 225 of a pair"),
    (Reject.RATE_LIMIT, busy, BUY,
     "the counter of BTC/USD is at 5000.00, the limit of tier pro is 180; it loses 3.75 a second"),
    (Reject.INSUFFICIENT_FUNDS, poor, BUY, "50200.0000 USD needed, fees included; 0.0000 USD available"),
    (Reject.INSUFFICIENT_FUNDS, poor, SELL,
     "1.0000000000 XBT needed, fees included; 0.0000000000 XBT available"),
    (Reject.INVALID_LEVERAGE, None, BUY | {"leverage": "77"}, "leverage 77 to buy BTC/USD; there are: 2, 3"),
    (Reject.INVALID_LEVERAGE, None, MARKET | {"ordertype": "settle-position"},
     "a settle-position order needs a leverage"),
    (Reject.CANNOT_OPEN_POSITION, starter, MARGIN, "alice is of tier starter, which has no margin trading"),
    (Reject.MARGIN_LEVEL, poor, MARGIN,
     "equity 0.00 USD, margin with this order 10000.00 USD: a level of 0.0 %, 100 % at least is meant"),
    (Reject.MARGIN_ALLOWANCE, modest, MARGIN,
     "positions of 0.00 USD and this order's 50000.00 USD; 10 USD are allowed"),
    (Reject.POSITION_SIZE, small, MARGIN, "0.00000000 long and 1.00000000 more; 0 XBT are allowed"),
    (Reject.POSITIONS_LIMIT, full, MARGIN, "500 positions are open; 500 may be"),
    (Reject.UNKNOWN_POSITION, None, MARKET | {"ordertype": "settle-position", "leverage": "5", "volume": "0"},
     "alice has no short position of BTC/USD for a buy to close"),
    (Reject.REDUCE_ONLY_NO_POSITION, None, MARGIN | {"reduce_only": "true"},
     "alice has no short position of BTC/USD for a buy to close"),
    (Reject.REDUCE_ONLY_NOT_CLOSING, None, BUY | {"reduce_only": "true"},
     "a reduce-only order needs a leverage"),
    (Reject.REDUCE_ONLY_NOT_CLOSING, short, MARGIN | {"reduce_only": "true"},
     "the position of BTC/USD is long itself: a buy would add to it"),
    (Reject.UNAVAILABLE, status(TradingStatus.MAINTENANCE), BUY, "BTC/USD is in maintenance"),
    (Reject.CANCEL_ONLY, status(TradingStatus.CANCEL_ONLY), BUY, "BTC/USD is in cancel_only"),
    (Reject.POST_ONLY, status(TradingStatus.POST_ONLY), BUY, "BTC/USD is in post_only"),
    (Reject.LIMIT_ONLY, status(TradingStatus.LIMIT_ONLY), MARKET, "BTC/USD is in limit_only"),
    (Reject.REDUCE_ONLY, status(TradingStatus.REDUCE_ONLY), BUY, "BTC/USD is in reduce_only: only what "),
]  # fmt: skip
CHANGES = [
    (Reject.NOTHING_TO_AMEND, "AmendOrder", {}, {}, "all is as it is: O"),
    (Reject.UNKNOWN_ORDER, "AmendOrder", {}, {"txid": "OABCDE-FGHIJ-KLMNOP"},
     "alice has no open order with id 'OABCDE-FGHIJ-KLMNOP', of 1 open ones"),
    (Reject.AMEND_NOT_ALLOWED, "AmendOrder", {"close[ordertype]": "limit", "close[price]": "60000"},
     {"order_qty": "2"}, "has a conditional close: it cannot be amended"),
    (Reject.EDIT_NOT_ALLOWED, "EditOrder", {"cl_ord_id": "mine"}, {"pair": "XBTUSD", "volume": "2"},
     "cannot be edited: it has a client order id: amend it instead"),
    (Reject.INSUFFICIENT_FUNDS, "AmendOrder", {}, {"order_qty": "100000"},
     "5020000000.0000 USD needed, fees included; 1000000000.0000 USD available"),
    (Reject.INSUFFICIENT_FUNDS, "EditOrder", {}, {"pair": "XBTUSD", "volume": "100000"},
     "5020000000.0000 USD needed, fees included; 1000000000.0000 USD available"),
    (Reject.POST_ONLY_WOULD_CROSS, "AmendOrder", {"oflags": "post"}, {"limit_price": "52000"},
     "buy at 52000.0: the best ask is 51000.0"),
]  # fmt: skip
MOVES = [
    (Reject.INSUFFICIENT_FUNDS, None, "WalletTransfer",
     {"asset": "DOT", "amount": "1000000001", "from": "Spot Wallet", "to": "Futures Wallet"},
     "1000000001.0000000000 DOT needed, 1000000000.0000000000 DOT available to alice"),
    (Reject.UNKNOWN_REFERENCE, None, "WithdrawCancel", {"asset": "XBT", "refid": "AX"},
     "alice has no withdrawal of XXBT with reference 'AX'"),
    (Reject.NAME_TAKEN, None, "CreateSubaccount", {"username": "bob", "email": "a@b.c"},
     "there is an account 'bob' already"),
]  # fmt: skip


def why(function: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(VenueError) as caught:
        function(*arguments, **options)
    assert caught.value.why is not None
    return explained(caught.value)


def names(rows: list[Any]) -> list[str]:
    return [f"{row[0].name}-{number}" for number, row in enumerate(rows)]


@pytest.mark.parametrize(("reject", "prepare", "order", "told"), ORDERS, ids=names(ORDERS))
def test_a_refused_order_is_told_with_the_numbers(kraken, reject, prepare, order, told):
    if prepare is not None:
        prepare(kraken)
    said = why(kraken.private, "AddOrder", **order)
    assert said.startswith(f"{REJECT_TEXT[reject]} ("), said
    assert told in said


@pytest.mark.parametrize(("reject", "method", "order", "change", "told"), CHANGES, ids=names(CHANGES))
def test_a_refused_change_is_told_with_the_numbers(kraken, reject, method, order, change, told):
    asked(kraken)
    kraken.private("AddOrder", **(BUY | order))
    said = why(kraken.private, method, **first(kraken, **change))
    assert said.startswith(f"{REJECT_TEXT[reject]} ("), said
    assert told in said


@pytest.mark.parametrize(("reject", "prepare", "method", "params", "told"), MOVES, ids=names(MOVES))
def test_a_refused_move_of_funds_is_told_with_the_numbers(kraken, reject, prepare, method, params, told):
    said = why(kraken.private, method, **params)
    assert f" ({told})" in said


def test_what_else_the_engine_refuses_is_told(kraken):
    allocated(kraken)
    kraken.wait(60)
    strategy = _strategy(kraken)
    assert "11.0000000000 ETH asked for, 10.0000000000 ETH allocated" in why(
        kraken.private, "Earn/Deallocate", strategy_id=strategy, amount="11"
    )
    kraken.private("Earn/Allocate", strategy_id=strategy, amount="10")
    assert f"to allocate is under way in strategy {strategy}" in why(
        kraken.private, "Earn/Allocate", strategy_id=strategy, amount="10"
    )
    kraken.engine.apply(commands.Withdraw(account="alice", asset="XXBT", amount=10**8, fee=0, method="",
                                          network="", key="", address=""), START_NS)  # fmt: skip
    [refid] = kraken.engine.accounts["alice"].withdrawals
    kraken.wait(86_400)
    assert "the withdrawal is Success; only an initial one can be given back" in why(
        kraken.private, "WithdrawCancel", asset="XBT", refid=refid
    )
    late = commands.PlaceOrder(account="alice", pair="none", side="buy", type="limit", qty=1)
    assert order_reasons.of_reject(Reject.UNKNOWN_PAIR, kraken.engine, late) == "there is no pair 'none'"
    order = kraken.place("alice", "buy", "1", "50000")
    command = commands.AmendOrder(account="alice", txid=order.txid, deadline_ns=kraken.clock.ns - 10**9)
    kraken.execute(command)
    assert order_reasons.of_reject(Reject.DEADLINE_ELAPSED, kraken.engine, command).startswith(
        "the order came 1.000000 s after its deadline, 2026-11-03T"
    )
    kraken.private("CancelOrder", txid=order.txid)
    assert f"order {order.txid} is canceled, User requested, since 2026-11-03T" in why(
        kraken.private, "CancelOrder", txid=order.txid
    )


def test_a_price_between_ticks_is_told_with_those_beside_it(kraken):
    pair = kraken.engine.catalogue.pairs[XBTUSD]
    fields = {name: getattr(pair, name) for name in pair.__struct_fields__}
    kraken.engine.markets[XBTUSD].instrument = type(pair)(**fields | {"tick": 5, "tick_text": "0.5"})
    said = why(kraken.private, "AddOrder", **(BUY | {"price": "50000.1"}))
    assert "(limit 50000.1 is no multiple of BTC/USD's tick, 0.5: 50000.0 or 50000.5 would be)" in said


def test_post_only_orders_that_cross_are_told_where_they_are_refused():
    kraken = Kraken(post_only_rejects=True)
    asked(kraken)
    said = why(kraken.private, "AddOrder", **(BUY | {"oflags": "post", "price": "51000"}))
    assert said == "EOrder:Post only order (buy at 51000.0: the best ask is 51000.0)"


def test_every_refusal_of_the_engine_has_a_reason():
    assert set(order_reasons._WHY) == set(Reject)
    shown = {row[0] for row in (*ORDERS, *CHANGES, *MOVES)}
    elsewhere = {Reject.UNKNOWN_PAIR, Reject.TICK_SIZE, Reject.DEADLINE_ELAPSED, Reject.TOO_LATE}
    assert set(Reject) - shown - elsewhere == {Reject.EARN_BUSY, Reject.WOULD_TRADE}


def test_a_reason_changes_nothing_of_the_venue(kraken):
    untold = Kraken()
    for each in (kraken, untold):
        poor(each)
    why(kraken.private, "AddOrder", **BUY)
    with refused("EOrder:Insufficient funds"):
        untold.private("AddOrder", **BUY)
    assert not kraken.engine.accounts["alice"].holds
    ids = [each.place("bob", "buy", "1", "50000").txid for each in (kraken, untold)]
    assert ids[0] == ids[1]


def test_a_reason_that_fails_leaves_the_refusal_as_it_is(kraken, monkeypatch, caplog):
    monkeypatch.setitem(order_reasons._WHY, Reject.INVALID_QTY, lambda _: str(1 // 0))
    assert why(kraken.private, "AddOrder", **(BUY | {"volume": "0"})) == "EGeneral:Invalid arguments:volume"
    assert "why something is refused cannot be told" in caplog.text


ARGUMENTS = [
    ({"ordertype": "limt"}, "ordertype (unknown ordertype 'limt', did you mean 'limit'? There are: "),
    ({"type": "bye"}, "type (unknown type 'bye'; there are: buy, sell)"),
    ({"volume": "1e-3"}, "volume ('1e-3': a decimal number is meant (0.25), without exponent or thousands)"),
    ({"price": "1,000"}, "(price '1,000': a decimal number is meant (61250.5), without exponent or "),
    ({"price": "0"}, "EOrder:Invalid price (price '0': a price above 0 is meant)"),
    ({"price": "+x"}, "(price 'x': a decimal number is meant"),
    ({"price": "50000.123"}, "decimals. (price '50000.123'; the tick is 0.1)"),
    ({"price": "+1e%"}, "(price '+1e%': a sign and a number above 0 are meant (+50, -1.5%))"),
    ({"oflags": "past"}, "oflags (unknown flag 'past', did you mean 'post'? There are: fcib, fciq, nompp, "),
    ({"oflags": "fcib,fciq"}, "oflags (fcib and fciq are both there)"),
    ({"leverage": "a"}, "leverage ('a': 5 or 5:1 are meant, or none)"),
    ({"timeinforce": "day"}, "timeinforce (unknown timeinforce 'DAY'; there are: GTC, IOC, GTD, FOK)"),
    ({"cl_ord_id": "x" * 19}, "cl_ord_id ('xxxxxxxxxxxxxxxxxxx': a UUID, 32 hexadecimal digits"),
    ({"userref": str(1 << 31)}, "userref (2147483648: a signed integer of 32 bits is meant)"),
    ({"userref": "1", "cl_ord_id": "x"}, "(a cl_ord_id goes with neither a userref nor a conditional close)"),
    ({"starttm": "x"}, "starttm ('x': a unix time in seconds is meant"),
    ({"expiretm": "+1"}, "expiretm ('+1': 5 s ahead at least are meant)"),
    ({"expiretm": "+60", "timeinforce": "IOC"}, "expiretm (an expiry goes with GTD only, and timein"),
    ({"deadline": "now"}, "deadline ('now': an RFC 3339 time is meant"),
    ({"deadline": "2026-11-02T10:00:01Z"}, "deadline (it is 1.000 s ahead: 2.0 to 60 s are meant)"),
    ({"deadline": "2026-11-02T09:59:59Z"}, "EService:Deadline elapsed (it was 1.000 s ago by the venue's "),
    ({"stptype": "x"}, "stptype (unknown stptype 'x'; there are: cancel-newest, cancel-oldest, cancel-both)"),
    ({"pair": "XBTUSDX"}, "EQuery:Unknown asset pair (there is no pair 'XBTUSDX', did you mean 'XBTUSD"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "told"), ARGUMENTS, ids=[told[:30] for _, told in ARGUMENTS])
def test_a_bad_argument_is_told_with_what_came_and_what_is_meant(kraken, fields, told):
    assert told in why(kraken.private, "AddOrder", **(BUY | fields))


def test_all_that_gateways_refuse_is_given_a_reason():
    """The words alone must say why, or a reason stands beside them; ``missing`` and ``field`` say it."""
    bare = []
    for path in sorted(Path(emulator.gateways.__path__[0]).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == 1:
                words = ast.unparse(node.args[0])
                if node.func.id == "bad_argument" or (node.func.id == "VenueError" and words[1:2] == "E"):
                    bare.append(f"{path.name}:{node.lineno}: {ast.unparse(node)}")
    assert [each for each in bare if "Exceeded" not in each] == []


ROWS = [
    {"ordertype": "limit", "type": "buy", "volume": volume, "price": "50000"} for volume in ("1", "x", "0")
]


def test_each_refused_order_of_a_batch_is_a_line_of_the_log(kraken, client, caplog):
    caplog.set_level(logging.DEBUG, "emulator")
    answer = kraken.submit("AddOrderBatch", {"pair": "XBTUSD", "orders": ROWS})
    assert [sorted(row)[-1] for row in answer["orders"]] == ["txid", "error", "error"]
    [bad, none] = [record.getMessage() for record in caplog.records]
    assert bad.startswith(
        "an order of alice in AddOrderBatch refused: EGeneral:Invalid arguments:volume ('x': "
    )
    assert none.endswith(
        "refused: EGeneral:Invalid arguments:volume (volume 0.00000000: more than 0 is meant)"
    )
    caplog.clear()
    row = {"order_type": "limit", "side": "buy", "limit_price": 50000}
    client.ask("batch_add", symbol="BTC/USD", token=kraken.token(),
               orders=[row | {"order_qty": qty} for qty in (1, 0)])  # fmt: skip
    [line] = [record.getMessage() for record in caplog.records]
    assert "'an order of batch_add' refused: EGeneral:Invalid arguments:volume (volume 0.0000" in line


def test_websockets_tell_the_same(kraken, client: Client, caplog):
    caplog.set_level(logging.DEBUG, "emulator")
    poor(kraken)
    order = {"symbol": "BTC/USD", "side": "buy", "order_type": "limit", "order_qty": 1, "limit_price": 50000}
    client.ask("add_order", **order, token=kraken.token())
    V1(kraken).say({"event": "addOrder", "token": kraken.token(), **BUY})
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    told = "refused: EOrder:Insufficient funds (50200.0000 USD needed, fees included; 0.0000 USD available)"
    assert all(line.endswith(told) for line in lines), lines


def test_cancels_that_the_venue_refuses_are_told(kraken):
    txid = kraken.private("AddOrder", **BUY)["txid"][0]
    kraken.execute(commands.SetStatus(TradingStatus.MAINTENANCE, XBTUSD))
    assert "(BTC/USD is in maintenance)" in why(kraken.private, "CancelOrder", txid=txid)
    kraken.execute(commands.SetStatus(TradingStatus.MAINTENANCE))
    assert "(the venue is in maintenance)" in why(kraken.private, "CancelAll")
    kraken.execute(commands.SetStatus(TradingStatus.ONLINE))
    kraken.execute(commands.SetStatus(TradingStatus.ONLINE, XBTUSD))
    busy(kraken)
    assert "the counter of BTC/USD is at 5000.00" in why(kraken.private, "CancelOrder", txid=txid)
