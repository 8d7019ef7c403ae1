"""One venue behind all protocols: orders over FIX, REST and WebSocket meet, and each owner is told."""

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from kraken.exceptions import KrakenRateLimitExceededError
from kraken.spot import Trade, User
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as websocket

from tests.clients.pointing import PATIENCE_S, sdk_rest
from tests.fix.client import FixClient
from tests.fix.messages import new_id, states
from tests.running import Running, running

Account = dict[str, Any]
Connect = Callable[..., FixClient]


class Owner:
    """An account over REST, and over WebSocket v2 with its executions and a book."""

    def __init__(self, venue: Running, account: Account, symbol: str, ws: ClientConnection) -> None:
        options = sdk_rest(venue, account["spot"])
        self.user, self.trade = User(**options), Trade(**options)
        self.rows: list[dict[str, Any]] = []
        self.levels: list[dict[str, Any]] = []
        self._ws = ws
        self._token = self.user.request("POST", "/0/private/GetWebSocketsToken")["token"]
        self.ask("subscribe", channel="executions", token=self._token, snap_orders=False, snap_trades=False)
        self.ask("subscribe", channel="book", symbol=[symbol])

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Make a request and return its answer."""
        self._ws.send(json.dumps({"method": method, "params": params, "req_id": 1}))
        while True:
            message = self._read()
            if message.get("method") == method:
                assert message["success"], message
                return dict(message.get("result") or {})

    def request(self, method: str, **params: Any) -> dict[str, Any]:
        """Make a request about orders."""
        return self.ask(method, token=self._token, **params)

    def row(self, kind: str, order_id: str) -> dict[str, Any]:
        """Return the first row of this kind for an order."""

        def found() -> list[dict[str, Any]]:
            return [row for row in self.rows if (row["exec_type"], row["order_id"]) == (kind, order_id)]

        self._until(found)
        return found()[0]

    def level(self, price: float) -> float:
        """Return the quantity that the next change of a level in the book tells."""
        self._until(lambda: [level for level in self.levels if level["price"] == price])
        found = next(level for level in self.levels if level["price"] == price)
        self.levels.remove(found)
        return float(found["qty"])

    def _until(self, found: Callable[[], object]) -> None:
        while not found():
            self._read()

    def _read(self) -> dict[str, Any]:
        message = dict(json.loads(self._ws.recv(PATIENCE_S)))
        if message.get("channel") == "executions":
            self.rows += message["data"]
        elif message.get("channel") == "book":
            for data in message["data"]:
                self.levels += data["bids"] + data["asks"]
        return message


@pytest.fixture
def owner(quiet_venue: Running) -> Iterator[Callable[..., Owner]]:
    """Open an account's REST and WebSocket: ``owner(account, "SOL/USD")``."""
    with ExitStack() as stack:

        def make(account: Account, symbol: str) -> Owner:
            ws = stack.enter_context(websocket(f"{quiet_venue.tier()['ws']}/v2"))
            return Owner(quiet_venue, account, symbol, ws)

        yield make


def trader(connect: Connect, account: Account, **options: Any) -> FixClient:
    client = connect(account, **options)
    assert client.logon().type == "A"
    return client


# -- an order over FIX, seen from elsewhere -------------------------------------------------------


def test_a_fix_order_is_seen_over_rest_in_the_executions_and_in_the_book(
    quiet_venue: Running, connect: Connect, owner: Callable[..., Owner]
) -> None:
    account, symbol = quiet_venue.next_member(), "SOL/USD"
    seen, fix = owner(account, symbol), trader(connect, account)
    order = fix.resting(t55=symbol, t38="2.5", t44="101.25")
    assert seen.level(101.25) == 2.5
    row = seen.row("new", order[37])
    assert row["cl_ord_id"] == order[11]
    row = seen.row("pending_new", order[37])
    assert (row["symbol"], row["side"], row["order_type"]) == (symbol, "buy", "limit")
    assert (row["order_qty"], row["limit_price"], row["time_in_force"]) == (2.5, 101.25, "GTC")
    found = seen.user.get_open_orders()["open"]
    assert list(found) == [order[37]]
    assert found[order[37]]["cl_ord_id"] == order[11]
    assert found[order[37]]["descr"]["order"] == "buy 2.50000000 SOLUSD @ limit 101.25"

    id_ = fix.replace(order, t44="101.30", t38="3")
    assert states(fix.reports(1)) == ["55"]
    row = seen.row("amended", order[37])
    assert (row["limit_price"], row["order_qty"]) == (101.3, 3)
    assert [seen.level(101.25), seen.level(101.3)] == [0, 3]
    assert list(seen.user.get_open_orders(cl_ord_id=id_)["open"]) == [order[37]]

    fix.cancel(order[37])
    assert states(fix.reports(1)) == ["44"]
    row = seen.row("canceled", order[37])
    assert row["reason"] == "User requested"
    assert seen.level(101.3) == 0
    assert seen.user.get_open_orders()["open"] == {}


def test_orders_over_rest_and_websocket_are_no_business_of_fix(
    quiet_venue: Running, connect: Connect, owner: Callable[..., Owner]
) -> None:
    account, symbol = quiet_venue.next_member(), "SOL/EUR"
    seen, fix = owner(account, symbol), trader(connect, account)
    rest = seen.trade.create_order(
        ordertype="limit", side="buy", pair=symbol, volume=1, price=90, extra_params={"cl_ord_id": new_id()}
    )["txid"][0]
    added = seen.request(
        "add_order", order_type="limit", side="buy", symbol=symbol, order_qty=1, limit_price=91,
        cl_ord_id=new_id(),
    )["order_id"]  # fmt: skip
    seen.request("amend_order", order_id=rest, limit_price=90.5)
    seen.row("amended", rest)
    assert fix.take() == []
    for txid, price in ((rest, "90.5"), (added, "91.0")):
        fix.send("H", (11, new_id()), (37, txid), (55, symbol))
        (report,) = fix.reports(1)
        assert (report[150], report[39], report[44]) == ("I", "0", price)
    fix.cancel(rest)
    refusal = fix.read()
    assert (refusal.type, refusal[380]) == ("j", "101")
    fix.send("q", (11, new_id()), (60, "20260101-00:00:00"), (530, 7))
    assert fix.take() == []
    assert set(seen.user.get_open_orders()["open"]) == {rest, added}
    seen.request("cancel_order", order_id=[rest, added])
    assert fix.take() == []


# -- fills between protocols ----------------------------------------------------------------------


def test_fix_makes_and_rest_takes(
    quiet_venue: Running, connect: Connect, owner: Callable[..., Owner]
) -> None:
    mine, symbol = quiet_venue.next_member(), "DOT/USD"
    seen, fix = owner(mine, symbol), trader(connect, mine)
    taker = Trade(**sdk_rest(quiet_venue, quiet_venue.next_account()))
    order = fix.resting(t55=symbol, t54="2", t38="10", t44="5.5")
    taker.create_order(ordertype="limit", side="buy", pair=symbol, volume=4, price=5.6)
    (fill,) = fix.reports(1)
    assert (fill[150], fill[39], fill[37], fill[11]) == ("F", "1", order[37], order[11])
    assert (fill[31], fill[32], fill[14], fill[151], fill[5050]) == ("5.5", "4.0", "4.0", "6.0", "0")
    row = seen.row("trade", order[37])
    assert (row["last_price"], row["last_qty"], row["liquidity_ind"]) == (5.5, 4, "m")
    assert (row["exec_id"], str(row["trade_id"])) == (fill[1003], fill[527])
    taker.create_order(ordertype="market", side="buy", pair=symbol, volume=6)
    (fill,) = fix.reports(1)
    assert (fill[39], fill[14], fill[151], fill[381], fill[6]) == ("2", "10.0", "0.0", "55.0", "5.5")
    trades = seen.user.get_trades_history()["trades"]
    assert sum(float(trade["fee"]) for trade in trades.values()) == pytest.approx(float(fill[137]))
    assert {trade["ordertxid"] for trade in trades.values()} == {order[37]}


def test_websocket_makes_and_fix_takes(
    quiet_venue: Running, connect: Connect, owner: Callable[..., Owner]
) -> None:
    symbol = "DOT/EUR"
    maker = owner(quiet_venue.next_member(), symbol)
    fix = trader(connect, quiet_venue.next_member())
    added = maker.request(
        "add_order", order_type="limit", side="sell", symbol=symbol, order_qty=10, limit_price=5.1
    )["order_id"]
    assert maker.level(5.1) == 10
    fix.order(t55=symbol, t38="4", t44="5.2")
    reports = fix.reports(3)
    assert states(reports) == ["AA", "00", "F2"]
    assert (reports[2][31], reports[2][32], reports[2][5050]) == ("5.1", "4.0", "1")
    row = maker.row("trade", added)
    assert (row["last_qty"], row["last_price"], row["cum_qty"]) == (4, 5.1, 4)
    assert str(row["trade_id"]) == reports[2][527]
    assert maker.level(5.1) == 6
    fix.order(t55=symbol, t40="1", t44=None, t38="6")
    assert states(fix.reports(3)) == ["AA", "00", "F2"]
    maker.row("filled", added)


def test_two_fix_sessions_trade_with_each_other(quiet_venue: Running, connect: Connect) -> None:
    symbol = "ADA/EUR"
    maker = trader(connect, quiet_venue.next_member())
    taker = trader(connect, quiet_venue.next_member())
    order = maker.resting(t55=symbol, t38="100", t44="0.5")
    taker.order(t55=symbol, t54="2", t38="40", t44="0.5")
    taken = taker.reports(3)[-1]
    (made,) = maker.reports(1)
    assert (made[37], made[39], taken[39]) == (order[37], "1", "2")
    assert made[527] == taken[527]
    assert (made[5050], taken[5050]) == ("0", "1")


# -- changes of FIX orders over other protocols ---------------------------------------------------


def test_a_fix_order_is_amended_and_cancelled_over_rest(
    quiet_venue: Running, connect: Connect, owner: Callable[..., Owner]
) -> None:
    account, symbol = quiet_venue.next_member(), "ADA/USD"
    seen, fix = owner(account, symbol), trader(connect, account)
    order = fix.resting(t55=symbol, t38="100", t44="0.4")
    seen.trade.amend_order(cl_ord_id=order[11], limit_price="0.41", order_qty="150")
    (report,) = fix.reports(1)
    assert (report[150], report[39], report[37], report[11]) == ("5", "5", order[37], order[11])
    assert (report[38], report[44], report[151], report.get(41)) == ("150.0", "0.41", "150.0", None)
    seen.trade.cancel_order(txid=order[37])
    (report,) = fix.reports(1)
    assert (report[150], report[39], report[11], report[58]) == ("4", "4", order[11], "User requested")
    fix.cancel(order[37])
    refusal = fix.read()
    assert (refusal.type, refusal[380], refusal[58]) == ("j", "101", "Open Order to cancel not found")


def test_a_fix_order_is_amended_and_cancelled_over_websocket(
    quiet_venue: Running, connect: Connect, owner: Callable[..., Owner]
) -> None:
    account, symbol = quiet_venue.next_member(), "XRP/USD"
    seen, fix = owner(account, symbol), trader(connect, account)
    order = fix.resting(t55=symbol, t38="100", t44="0.4")
    seen.request("amend_order", cl_ord_id=order[11], limit_price=0.41)
    (report,) = fix.reports(1)
    assert (report[39], report[44], report[11]) == ("5", "0.41", order[11])
    fix.replace(report, t44="0.42")
    (report,) = fix.reports(1)
    seen.request("cancel_order", cl_ord_id=[report[11]])
    (report,) = fix.reports(1)
    assert (report[39], report[58]) == ("4", "User requested")
    other = fix.resting(t55=symbol, t38="100", t44="0.4")
    assert seen.request("cancel_all")["count"] == 1
    (report,) = fix.reports(1)
    assert (report[37], report[39]) == (other[37], "4")
    fix.resting(t55=symbol, t38="100", t44="0.4")
    seen.request("cancel_all_orders_after", timeout=1)
    (report,) = fix.reports(1)
    assert (report[39], report[58]) == ("4", "CancelAllOrdersAfter Timeout")


# -- one set of limits and one status -------------------------------------------------------------


@pytest.fixture(scope="module")
def strict_venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A venue with rate limits, and with an account of each kind."""
    profile = tmp_path_factory.mktemp("strict") / "accounts.toml"
    rows = '[defaults.balances]\nZUSD = "1000000"\n'
    kinds = {"small": 'tier = "starter"', "fast": 'tier = "pro"', "plain": "", "locked": 'state = "locked"'}
    for name, more in kinds.items():
        rows += f'[[accounts]]\nname = "{name}"\n{more}\n'
    profile.write_text(rows)
    arguments = ("--tier", "local", "--market", "off", "--rate-limits", "on", "--accounts", str(profile))
    with running(*arguments) as venue:
        yield venue


def member(venue: Running, name: str) -> Account:
    return next(account for account in venue.endpoints["accounts"] if account["name"] == name)


def control(venue: Running, path: str, status: str) -> None:
    """Change the trading status of the venue, or of a pair."""
    request = urllib.request.Request(
        f"{venue.endpoints['control']}/control/venue{path}",
        json.dumps({"status": status}).encode(),
        {"Content-Type": "application/json"},
        method="PATCH",
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        assert answer.status == 200


def test_rest_orders_use_up_what_fix_orders_may_do(strict_venue: Running, connect: Connect) -> None:
    account = member(strict_venue, "fast")
    fix = trader(connect, account, venue=strict_venue)
    rest = Trade(**sdk_rest(strict_venue, account["spot"]))
    began_s = time.monotonic()
    for number in range(15):
        rest.create_order(ordertype="limit", side="buy", pair="BTC/USD", volume=0.001, price=40000 + number)
    answer, amends = fix.resting(t44="30000.0"), 0
    while answer.type == "8":
        fix.replace(answer, t44=f"{30001 + amends}.0")
        answer = fix.read()
        amends += 1
    assert (answer[372], answer[380], answer[58]) == ("G", "0", "EOrder:Rate limit exceeded")
    decayed = 3.75 * (time.monotonic() - began_s)
    assert (180 - 16) / 4 <= amends - 1 <= (180 - 16 + decayed) / 4 + 1, "15 of 180 went to REST orders"


def test_fix_orders_use_up_what_rest_orders_may_do(strict_venue: Running, connect: Connect) -> None:
    account = member(strict_venue, "plain")
    fix = trader(connect, account, venue=strict_venue)
    rest = Trade(**sdk_rest(strict_venue, account["spot"]))
    order = {"ordertype": "limit", "side": "buy", "pair": "ETH/USD", "volume": 0.1, "price": 1000}
    answer = fix.resting(t55="ETH/USD", t44="1000.0", t38="0.1")
    while answer.type == "8":
        fix.replace(answer, t44=f"{float(answer[44]) + 1}")
        answer = fix.read()
    with pytest.raises(KrakenRateLimitExceededError, match="EOrder:Rate limit exceeded"):
        rest.create_order(**order)
    assert len(User(**sdk_rest(strict_venue, account["spot"])).get_open_orders()["open"]) == 1


def test_rest_orders_count_towards_the_open_orders_of_a_pair(strict_venue: Running, connect: Connect) -> None:
    account = member(strict_venue, "small")
    fix = trader(connect, account, venue=strict_venue)
    rest = Trade(**sdk_rest(strict_venue, account["spot"]))
    for first in range(0, 60, 15):
        batch = [
            {"ordertype": "limit", "type": "buy", "volume": "0.01", "price": f"{1000 + number}"}
            for number in range(first, min(first + 15, 59))
        ]
        rest.create_order_batch(orders=batch, pair="ETH/USD")
    fix.resting(t55="ETH/USD", t44="1000.0")
    assert fix.refusal(t55="ETH/USD", t44="1000.0") == ("0", "EOrder:Orders limit exceeded")


def test_the_status_of_a_pair_and_of_the_venue_refuses_fix_orders(
    strict_venue: Running, connect: Connect
) -> None:
    fix = trader(connect, member(strict_venue, "plain"), venue=strict_venue)
    order = fix.resting(t44="45000.0")
    try:
        control(strict_venue, "/XBTUSD", "cancel_only")
        assert fix.refusal() == ("0", "EService:Market in cancel_only mode")
        fix.replace(order, t44="45001.0")
        assert fix.read()[58] == "EService:Market in cancel_only mode"
        fix.cancel(order[37])
        assert states(fix.reports(1)) == ["44"]
        control(strict_venue, "/XBTUSD", "post_only")
        assert fix.refusal() == ("0", "EService:Market in post_only mode")
        order = fix.resting(t18="P", t44="45000.0")
        control(strict_venue, "/XBTUSD", "online")
        control(strict_venue, "", "maintenance")
        assert fix.refusal() == ("0", "EService:Unavailable")
        fix.cancel(order[37])
        message = fix.read()
        assert (message.type, message[372], message[58]) == ("j", "F", "EService:Unavailable")
    finally:
        control(strict_venue, "/XBTUSD", "online")
        control(strict_venue, "", "online")
    fix.cancel(order[37])
    assert states(fix.reports(1)) == ["44"]


def test_a_locked_account_logs_on_but_does_not_trade(strict_venue: Running, connect: Connect) -> None:
    fix = trader(connect, member(strict_venue, "locked"), venue=strict_venue)
    assert fix.refusal() == ("0", "ETrade:User Locked")
    fix.send("q", (11, new_id()), (60, "20260101-00:00:00"), (530, 7))
    assert fix.take() == []
