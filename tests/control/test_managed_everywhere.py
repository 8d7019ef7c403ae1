"""Managed mode over sockets: what a test makes happen is seen over REST, both WebSockets and FIX at once."""

import json
import subprocess
import time
import urllib.error
import urllib.request
from binascii import crc32
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kraken.spot import User
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as websocket

from emulator.testing import Control, ControlError
from tests.clients.pointing import PATIENCE_S, sdk_rest
from tests.fix.books import Book
from tests.fix.messages import Message, states
from tests.fix.sockets import SocketClient
from tests.running import COMMAND, ROOT, Running, environment, running

ACCOUNT, V1, V2, REST = "alice", "XBT/USD", "BTC/USD", "XBTUSD"
XBTUSD = "XXBTZUSD"
BOOK = {"bids": [("64000.0", "1.5"), ("63990.0", "2")], "asks": [("64010.0", "0.5")]}
Row = dict[str, Any]


class Feed:
    """A WebSocket connection, and all that has come on it."""

    def __init__(self, ws: ClientConnection) -> None:
        self.messages: list[Any] = []
        self._ws = ws

    def send(self, **message: Any) -> None:
        self._ws.send(json.dumps(message))

    def until(self, found: Callable[[Any], Any]) -> Any:
        """Return the first true value that ``found`` gives of a message; old ones count, once."""
        while True:
            for number, message in enumerate(self.messages):
                if value := found(message):
                    del self.messages[number]
                    return value
            self.messages.append(json.loads(self._ws.recv(PATIENCE_S), parse_float=str))

    def v2(self, channel: str, kind: str = "update") -> Row:
        """Return the first row of the next message of a channel."""

        def found(message: Any) -> Any:
            return (message.get("channel"), message.get("type")) == (channel, kind) and message["data"][0]

        return dict(self.until(found))

    def execution(self, kind: str, order_id: str) -> Row:
        """Return the next execution of an order."""

        def found(message: Any) -> Any:
            rows = message["data"] if message.get("channel") == "executions" else []
            return next((r for r in rows if (r["exec_type"], r["order_id"]) == (kind, order_id)), None)

        return dict(self.until(found))

    def v1(self, channel: str) -> Any:
        """Return the next data of a channel of v1."""

        def found(message: Any) -> Any:
            return isinstance(message, list) and channel in message[1:] and message

        return self.until(found)


def checksum(bids: dict[str, str], asks: dict[str, str]) -> int:
    """Return a book's checksum of v1 and v2, from numbers as they stand on the wire."""
    best = sorted(asks.items(), key=lambda level: float(level[0]))[:10]
    best += sorted(bids.items(), key=lambda level: -float(level[0]))[:10]
    return crc32("".join(n.replace(".", "").lstrip("0") for level in best for n in level).encode())


class Everywhere:
    """One account over all protocols, and the public side of each."""

    def __init__(self, venue: Running, stack: ExitStack) -> None:
        self.venue = venue
        self._stack = stack
        self.member = next(row for row in venue.endpoints["accounts"] if row["name"] == ACCOUNT)
        self.user = User(**sdk_rest(venue, self.member["spot"]))
        token = self.ask("GetWebSocketsToken")["token"]
        ws = venue.tier()["ws"]
        self.v1, self.v2 = (Feed(stack.enter_context(websocket(url))) for url in (ws, f"{ws}/v2"))
        for channel in ("executions", "balances"):
            self.v2.send(method="subscribe", params={"channel": channel, "token": token})
            self.v2.until(lambda message: message.get("method") == "subscribe")
        for channel in ("book", "trade", "ticker", "ohlc"):
            params = {"channel": channel, "symbol": [V2]} | ({"interval": 1} if channel == "ohlc" else {})
            self.v2.send(method="subscribe", params=params)
            self.v2.until(lambda message: message.get("method") == "subscribe")
        for name in ("openOrders", "ownTrades"):
            self.v1.send(event="subscribe", subscription={"name": name, "token": token})
            self.v1.v1(name)
        for name in ("book", "trade"):
            self.v1.send(event="subscribe", pair=[V1], subscription={"name": name})
            self.v1.until(lambda message: isinstance(message, dict) and message.get("status"))
        self.fix, self.market_data = self.connect("spot_trading"), self.connect("spot_md")
        for request, kind in (("B", (0, 1)), ("T", (2,))):
            kinds = [(269, number) for number in kind]
            self.market_data.send(
                "V",
                (262, request),
                (263, 1),
                (264, 10),
                (265, 1),
                (267, len(kinds)),
                *kinds,
                (146, 1),
                (55, V2),
            )

    def connect(self, service: str) -> SocketClient:
        target = "KRAKEN-TRD" if service == "spot_trading" else "KRAKEN-MD"
        client = SocketClient(self.venue.tier()["fix"][service], self.member, target)
        self._stack.callback(client.close)
        assert client.logon().type == "A"
        return client

    def ask(self, method: str, **params: Any) -> Any:
        """Ask over REST for what is private."""
        return self.user.request("POST", f"/0/private/{method}", params=params)

    def look(self, method: str, **params: str) -> Any:
        """Ask over REST for what is public."""
        query = "&".join(f"{name}={value}" for name, value in params.items())
        with urllib.request.urlopen(f"{self.venue.tier()['rest']}/0/public/{method}?{query}") as answer:
            return json.loads(answer.read())["result"]

    def order(self, **fields: object) -> Message:
        """Place an order over FIX: by default a bid for 0.01 at 50000."""
        self.fix.order(**fields)
        reports = self.fix.reports(2)
        assert states(reports) == ["AA", "00"]
        return reports[-1]

    def row_of_v1(self, channel: str, id_: str) -> Row:
        """Return the next row of an order or a trade in a private channel of v1."""

        def found(message: Any) -> Any:
            rows = message[0] if isinstance(message, list) and channel in message[1:] else []
            return next((row[id_] for row in rows if id_ in row), None)

        return dict(self.v1.until(found))


@pytest.fixture(scope="module")
def venue() -> Iterator[Running]:
    with running("--market", "off") as up:
        yield up


@pytest.fixture
def control(venue: Running) -> Iterator[Control]:
    made = Control(venue.endpoints["control"])
    yield made
    made.reset()


def until_rollover(control: Control) -> timedelta:
    """Return what the venue's clock has still to go to FIX's next rollover."""
    now = datetime.fromisoformat(control.clock()["time"][:26] + "+00:00")
    rollover = now.replace(hour=22, minute=0, second=0, microsecond=0)
    return rollover - now + (timedelta(days=1) if now >= rollover else timedelta())


@pytest.fixture
def seen(venue: Running, control: Control) -> Iterator[Everywhere]:
    if (left := until_rollover(control)) < timedelta(hours=2):  # none comes in between
        control.step((left + timedelta(minutes=1)).total_seconds())
    with ExitStack() as stack:
        yield Everywhere(venue, stack)


def test_balances(control: Control, seen: Everywhere) -> None:
    assert control.set_balances(ACCOUNT, ZUSD=100, BTC="2.5")["balances"]["XBT"] == "2.5000000000"
    balances = seen.ask("Balance")
    assert (balances["ZUSD"], balances["XXBT"]) == ("100.0000", "2.5000000000")
    ledger = seen.ask("Ledgers", type="adjustment")["ledger"].values()
    assert {row["asset"]: row["balance"] for row in ledger} == {"ZUSD": "100.0000", "XXBT": "2.5000000000"}
    rows = [seen.v2.v2("balances") for _ in range(2)]
    assert [(row["asset"], row["type"], row["balance"]) for row in rows] == [
        ("USD", "adjustment", "100.0000"),
        ("BTC", "adjustment", "2.5000000000"),
    ]
    seen.fix.order(t38="0.01", t44="50000.0")
    refused = seen.fix.read()
    assert (refused.type, refused[58]) == ("j", "EOrder:Insufficient funds")
    seen.v1.send(event="ping", reqid=1)
    seen.v1.until(lambda message: isinstance(message, dict) and message["event"] == "pong")


def test_a_book(control: Control, seen: Everywhere) -> None:
    book = control.seed_book(V2, **BOOK)
    assert book["bids"] == [["64000.0", "1.50000000"], ["63990.0", "2.00000000"]]
    depth = seen.look("Depth", pair=REST)[XBTUSD]
    assert [row[:2] for row in depth["bids"]] == [["64000.00000", "1.500"], ["63990.00000", "2.000"]]
    row = seen.v2.v2("book")
    bids, asks = ({level["price"]: level["qty"] for level in row[side]} for side in ("bids", "asks"))
    assert bids == {"64000.0": "1.50000000", "63990.0": "2.00000000"}
    assert row["checksum"] == checksum(bids, asks)
    assert "as" in seen.v1.v1("book-10")[1], "the snapshot, empty"
    parts = [part for part in seen.v1.v1("book-10") if isinstance(part, dict)]
    sides = ({level[0]: level[1] for part in parts for level in part.get(side, ())} for side in "ba")
    assert parts[-1]["c"] == str(checksum(*sides))
    fix = Book()
    fix.take(seen.market_data.until("W"))
    fix.take(seen.market_data.until("X"))
    assert fix.updates == 1
    assert fix.side("0") == [(640000, [150000000]), (639900, [200000000])]


def test_a_trade(control: Control, seen: Everywhere) -> None:
    control.seed_book(V2, bids=[("59990.0", 1)])
    stop = seen.ask("AddOrder", pair=REST, ordertype="stop-loss", type="sell", volume="0.1", price="60000")
    txid = stop["txid"][0]
    trade = control.print_trade(V2, price=60_000, qty="0.25", side="sell")
    last = seen.look("Trades", pair=REST)[XBTUSD]
    assert (last[0][0], last[0][1], last[0][6]) == (
        "60000.00000",
        "0.25000000",
        trade["trade_id"],
    )
    assert seen.look("OHLC", pair=REST)[XBTUSD][-1][2] == "60000.0"
    row = seen.v2.v2("trade")
    assert (row["price"], row["qty"], row["side"]) == ("60000.0", "0.25000000", "sell")
    assert seen.v1.v1("trade")[1][0][:2] == ["60000.00000", "0.25000000"]
    [first, *_] = seen.market_data.until("X", "W").groups(279) or seen.market_data.until("X").groups(279)
    while first[269] != "2":
        [first, *_] = seen.market_data.until("X").groups(279)
    assert (first[270], first[271]) == ("60000.0", "0.25")
    # The stop at 60000 was set off, and sold to the bid that was there.
    assert seen.v2.execution("filled", txid)["cum_qty"] == "0.10000000"
    assert seen.ask("QueryOrders", txid=txid)[txid]["price"] == "59990.0"


def test_a_trade_that_a_better_order_forbids(control: Control, seen: Everywhere) -> None:
    order = seen.order(t44="61000.0")
    with pytest.raises(ControlError, match=f'{order[37]} would trade first.*"through": true'):
        control.print_trade(V2, price=60_000, qty=1)
    control.print_trade(V2, price=60_000, qty=1, through=True)
    assert states(seen.fix.reports(1)) == ["F2"]


def test_a_fill(control: Control, seen: Everywhere) -> None:
    order = seen.order(t38="0.02")
    txid = order[37]
    assert control.fill(txid, qty="0.005")["filled"] == "0.00500000"
    assert control.fill(order[11], account=ACCOUNT)["status"] == "closed"
    reports = seen.fix.reports(2)
    assert states(reports) == ["F1", "F2"]
    assert [report[31] for report in reports] == ["50000.0", "50000.0"]
    rows = [seen.v2.execution("trade", txid), seen.v2.execution("filled", txid)]
    assert [row.get("last_qty", row["cum_qty"]) for row in rows] == ["0.00500000", "0.02000000"]
    trade = seen.ask("TradesHistory")["trades"]
    assert {row["ordertxid"] for row in trade.values()} == {txid}
    assert seen.row_of_v1("openOrders", txid)["status"] == "pending"
    own = {id_ for _ in range(2) for row in seen.v1.v1("ownTrades")[0] for id_ in row}
    assert own == set(trade)
    types = [row["type"] for row in seen.ask("Ledgers", type="trade")["ledger"].values()]
    assert types == ["trade"] * 4


@pytest.mark.parametrize(
    ("action", "state", "status", "reason"),
    [("expire", "CC", "expired", "Order expired"), ("cancel", "44", "canceled", "User requested")],
)
def test_the_end_of_an_order(
    control: Control, seen: Everywhere, action: str, state: str, status: str, reason: str
) -> None:
    order = seen.order()
    txid = order[37]
    assert getattr(control, action)(txid)["reason"] == reason
    [report] = seen.fix.reports(1)
    assert (states([report]), report[58]) == ([state], reason)
    assert seen.v2.execution(status, txid)["reason"] == reason
    found = seen.ask("QueryOrders", txid=txid)[txid]
    assert (found["status"], found["reason"]) == (status, reason)
    assert [seen.row_of_v1("openOrders", txid)["status"] for _ in range(3)][-1] == status
    with pytest.raises(ControlError, match=f"order {txid} is not open any more: {status}"):
        control.fill(txid)


def test_status_and_index(control: Control, seen: Everywhere) -> None:
    control.set_index(V2, 60_000)
    placed = {"pair": REST, "ordertype": "take-profit", "type": "sell", "volume": "0.1", "price": "61000"}
    txid = seen.ask("AddOrder", **placed, trigger="index")["txid"][0]
    control.set_index(V2, "61000.5")
    assert seen.v2.execution("canceled", txid)["reason"] == "Insufficient liquidity"
    control.set_status("cancel_only", V2)
    seen.fix.order()
    assert seen.fix.read()[58] == "EService:Market in cancel_only mode"
    control.set_status("maintenance")
    assert seen.look("SystemStatus")["status"] == "maintenance"
    control.reset()
    assert seen.look("SystemStatus")["status"] == "online"
    assert seen.look("AssetPairs", pair=REST)[XBTUSD]["status"] == "online"


def test_a_step_of_the_clock(control: Control, seen: Everywhere) -> None:
    ahead = control.clock()["ahead_s"]
    later = int(time.time() + ahead) + 3_000
    placed = {"pair": REST, "ordertype": "limit", "type": "buy", "volume": "0.1", "price": "50000"}
    txid = seen.ask("AddOrder", **placed, timeinforce="GTD", expiretm=str(later))["txid"][0]
    clock = control.step(3_600)
    assert (clock["ahead_s"], clock["scale"]) == (pytest.approx(ahead + 3_600), 1.0)
    assert abs(seen.look("Time")["unixtime"] - time.time() - ahead - 3_600) < 5
    row = seen.v2.execution("expired", txid)
    assert abs(datetime.fromisoformat(row["timestamp"]).timestamp() - later) < 1, "at its own time"
    assert seen.row_of_v1("openOrders", txid)["status"] == "pending"
    stamp = datetime.strptime(seen.order()[52], "%Y%m%d-%H:%M:%S.%f").replace(tzinfo=UTC)
    assert abs(stamp.timestamp() - time.time() - ahead - 3_600) < 5


def test_the_rollover_of_fix_comes_with_the_clock(control: Control, seen: Everywhere) -> None:
    control.step(until_rollover(control).total_seconds() + 1)
    assert seen.fix.read()[58] == "session rollover"
    control.step(60)
    again = seen.connect("spot_trading")
    assert again.messages[0][34] == "1"


def test_time_at_another_scale(control: Control, seen: Everywhere) -> None:
    control.scale(0)
    still = control.clock()["time"]
    assert control.clock()["time"] == still
    control.scale(600)
    txid = seen.ask(
        "AddOrder", pair=REST, ordertype="limit", type="buy", volume="0.1", price="50000",
        timeinforce="GTD", expiretm="+120",
    )["txid"][0]  # fmt: skip
    began = time.monotonic()
    seen.v2.execution("expired", txid)
    assert time.monotonic() - began < 10


def test_a_reset(control: Control, seen: Everywhere) -> None:
    control.seed_book(V2, **BOOK)
    order = seen.order()
    control.fill(order[37], qty="0.005")
    control.set_balances(ACCOUNT, ETH=1)
    control.step(3_600)
    seen.fix.sync()
    control.reset()
    assert seen.v2.execution("canceled", order[37])["reason"] == "User requested"
    while (row := seen.v2.v2("balances"))["asset"] != "ETH" or row["balance"] != "400.0000000000":
        pass
    statuses = [seen.row_of_v1("openOrders", order[37]).get("status") for _ in range(4)]
    assert statuses[-1] == "canceled"
    said = seen.fix.rest()
    assert [(m.type, m.get(58)) for m in said] == [("8", "User requested"), ("5", "the venue was reset")]
    assert abs(seen.look("Time")["unixtime"] - time.time()) < 5
    assert seen.look("Depth", pair=REST)[XBTUSD] == {"asks": [], "bids": []}
    assert seen.look("Trades", pair=REST)[XBTUSD] == []
    assert seen.ask("OpenOrders")["open"] == seen.ask("ClosedOrders")["closed"] == {}
    assert seen.ask("TradesHistory")["trades"] == {}
    assert {row["type"] for row in seen.ask("Ledgers")["ledger"].values()} == {"deposit"}
    balances = seen.ask("Balance")
    assert (balances["ZUSD"], balances["XETH"]) == ("1000000.0000", "400.0000000000")
    client = SocketClient(seen.venue.tier()["fix"]["spot_trading"], seen.member, "KRAKEN-TRD")
    answer = client.logon(reset=False)
    assert (answer.type, answer[34]) == ("A", "1")
    client.close()


def test_a_reset_takes_milliseconds(control: Control) -> None:
    taken = []
    for _ in range(20):
        control.seed_book(V2, **BOOK)
        control.set_balances(ACCOUNT, ETH=1)
        began = time.monotonic()
        control.reset()
        taken.append(time.monotonic() - began)
    assert sorted(taken)[10] < 0.1, taken


def test_what_cannot_be_done_is_one_line(control: Control, venue: Running) -> None:
    with pytest.raises(ControlError, match="unknown pair 'NOPE'"):
        control.book("NOPE")
    with pytest.raises(ControlError, match="scale: from 0 to 1000 is meant"):
        control.scale(-1)
    with pytest.raises(ControlError, match="step_s: from 0"):
        control.step(-1)
    while control.clock()["time"] < "2199":
        control.step(366 * 86_400)
    with pytest.raises(ControlError, match="ends with the year 2199"):
        control.step(366 * 86_400)
    with pytest.raises(ControlError, match="no emulator answers at http"):
        Control("http://127.0.0.1:1").reset()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/control/venue/XBTUSD/trades", 405),
        ("GET", "/control/venue/XBTUSD/nothing", 404),
        ("GET", "/control/venue/XBTUSD/book/more", 404),
        ("GET", "/control/orders/O1/fill", 405),
        ("POST", "/control/orders/O1", 404),
        ("POST", "/control/orders/O1/fill", 400),
        ("DELETE", "/control/clock", 405),
        ("GET", "/control/clock/more", 404),
        ("GET", "/control/reset", 405),
        ("POST", "/control/reset/more", 404),
        ("PUT", "/control/accounts/alice/deposits", 405),
        ("PUT", "/control/accounts/alice/balances", 200),
    ],
)
def test_requests_that_are_wrong(control: Control, method: str, path: str, status: int) -> None:
    body = None if method in ("GET", "DELETE") else b"{}"
    request = urllib.request.Request(
        control.url + path, body, {"Content-Type": "application/json"}, method=method
    )
    if status == 200:
        urllib.request.urlopen(request).close()
        return
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    with refused.value as error:
        assert error.code == status
        assert list(json.loads(error.read())) == ["error"]


def tell(venue: Running, *words: str) -> tuple[int, str]:
    """Run the command line; return its exit code and what it said."""
    command = [*COMMAND, *words, "--control", venue.endpoints["control"]]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=30, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_the_command_line_turns_the_clock_and_resets(control: Control, venue: Running) -> None:
    code, said = tell(venue, "clock", "step", "1h30m")
    assert (code, said.split()[:3], said.split()[4:]) == (0, ["time", "ahead", "scale"], ["5400", "s", "1"])
    assert tell(venue, "clock", "scale", "0")[0] == 0
    first, second = tell(venue, "clock")[1].split(), tell(venue, "clock", "show")[1].split()
    assert first[3] == second[3], "it stands still"
    assert tell(venue, "reset") == (0, "")
    assert control.clock()["ahead_s"] == 0


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("clock", "step", "soon"), "'soon': a duration is meant, for example 90s, 1h30m or 2d"),
        (("clock", "step", "5"), "'5': a duration is meant"),
        (("clock", "step"), "clock step: a duration is missing, for example 1h30m"),
        (("clock", "show", "5"), "clock show: nothing is meant by 5"),
        (("clock", "scale", "fast"), "'fast': a number is meant"),
        (("clock", "scale", "5000"), "scale: from 0 to 1000 is meant"),
    ],
)
def test_what_the_command_line_cannot_do(venue: Running, words: tuple[str, ...], reason: str) -> None:
    code, said = tell(venue, *words)
    assert code == 2
    assert reason in said
    assert said.count("\n") == 1
