"""python-kraken-sdk, unmodified: REST clients, and over TLS its WebSocket and order book clients."""

import asyncio
from contextlib import asynccontextmanager
from datetime import datetime

import pytest
from kraken import exceptions
from kraken.spot import (
    Market,
    SpotAsyncClient,
    SpotClient,
    SpotOrderBookClient,
    SpotWSClient,
    Trade,
    User,
)

from tests.clients.pointing import PATIENCE_S, sdk_rest, sdk_websocket
from tests.running import wait_until

pytestmark = pytest.mark.client


@pytest.fixture
def account(quiet_venue, monkeypatch):
    """The keyword arguments of REST clients of a new account."""
    monkeypatch.setattr(SpotClient, "URL", quiet_venue.tier()["rest"])
    return sdk_rest(quiet_venue)


@pytest.fixture
def trade(account):
    with Trade(**account) as client:
        yield client
        client.cancel_all_orders()


@pytest.fixture
def user(account):
    with User(**account) as client:
        yield client


# -- REST ------------------------------------------------------------------------------------------------


def test_raw_requests_public_and_private(quiet_venue, account):
    with SpotClient(**account) as client:
        assert client.request("GET", "/0/public/Time", auth=False).keys() == {"unixtime", "rfc1123"}
        assert client.request("POST", "/0/private/Balance")["XXBT"] == "25.0000000000"
        with pytest.raises(exceptions.KrakenUnknownMethodError):
            client.request("POST", "/0/private/Nonsense")

    async def scenario():
        async with SpotAsyncClient(**sdk_rest(quiet_venue)) as client:
            status = await client.request("GET", "/0/public/SystemStatus", auth=False)
            assert status["status"] == "online"
            token = await client.request("POST", "/0/private/GetWebSocketsToken")
            assert token["expires"] == 900

    asyncio.run(scenario())


def test_market_data_under_all_spellings_of_a_pair(busy_venue):
    with Market(url=busy_venue.tier()["rest"]) as market:
        assert len(market.get_asset_pairs()) == 51
        assert market.get_assets(assets="XBT,DOGE").keys() == {"XXBT", "XXDG"}
        for spelling, key in {"XBTUSD": "XXBTZUSD", "xxbtzusd": "XXBTZUSD", "BTC/USD": "BTC/USD"}.items():
            assert market.get_ticker(pair=spelling).keys() == {key}
            assert len(market.get_order_book(pair=spelling, count=7)[key]["asks"]) == 7
            assert len(market.get_ohlc(pair=spelling, interval=60)[key]) == 721
            assert len(market.get_recent_trades(pair=spelling)[key]) == 1000
            assert list(market.get_recent_spreads(pair=spelling)) == [key, "last"]
        assert market.get_system_status()["status"] == "online"
        with pytest.raises(exceptions.KrakenUnknownAssetError):
            market.get_ticker(pair="NOPAIR")


def test_an_order_truncated_amended_edited_and_cancelled(trade, user):
    checked = trade.create_order("limit", "buy", "XBTUSD", volume=0.01, price=50_000, validate=True)
    assert checked == {"descr": {"order": "buy 0.01000000 XBTUSD @ limit 50000.0"}}
    assert user.get_open_orders() == {"open": {}}

    placed = trade.create_order(
        "limit", "buy", "BTC/USD", volume="0.0123456789", price=50_000.19, userref=77, truncate=True
    )
    assert placed["descr"]["order"] == "buy 0.01234567 XBTUSD @ limit 50000.1"
    (txid,) = placed["txid"]
    assert user.get_open_orders(userref=77)["open"].keys() == {txid}
    assert user.get_balance("ZUSD")["available_balance"] < user.get_balance("ZUSD")["balance"] == 1_000_000

    assert trade.amend_order(txid=txid, order_qty=0.02, limit_price=50_100)["amend_id"].startswith("T")
    order = user.get_orders_info(txid)[txid]
    assert (order["vol"], order["descr"]["price"], order["misc"]) == ("0.02000000", "50100.0", "amended")

    edited = trade.edit_order(txid=txid, pair="XBTUSD", volume=0.03, price=50_200)
    assert (edited["status"], edited["originaltxid"], edited["volume"]) == ("ok", txid, "0.03000000")
    assert user.get_orders_info(txid)[txid]["reason"] == "Order replaced"
    assert user.get_open_orders()["open"].keys() == {edited["txid"]}
    assert trade.cancel_order(txid=edited["txid"]) == {"count": 1}
    assert user.get_closed_orders()["count"] == 2


def test_batches_the_dead_man_s_switch_and_cancel_all(trade, user):
    def batch():
        rows = [
            {"ordertype": "limit", "type": "buy", "volume": 0.01, "price": 50_000, "cl_ord_id": "one"},
            {"ordertype": "limit", "type": "sell", "volume": 0.01, "price": 99_000, "oflags": "post"},
            {"ordertype": "limit", "type": "sell", "volume": 1_000, "price": 99_000},
        ]
        return trade.create_order_batch(rows, pair="XBTUSD")["orders"]

    orders = batch()
    assert orders[2] == {"error": "EOrder:Insufficient funds"}
    assert trade.cancel_order_batch([order["txid"] for order in orders[:2]]) == {"count": 2}
    batch()
    assert trade.cancel_order(cl_ord_id="one") == {"count": 1}
    assert trade.cancel_all_orders() == {"count": 1}
    batch()
    until = trade.cancel_all_orders_after_x(1)
    assert datetime.fromisoformat(until["currentTime"]) < datetime.fromisoformat(until["triggerTime"])
    wait_until(lambda: user.get_open_orders() == {"open": {}}, PATIENCE_S, "the switch")
    assert trade.cancel_all_orders_after_x(0)["triggerTime"] == "0"


def test_market_orders_and_the_history_they_leave(quiet_venue, trade, user):
    with Trade(**sdk_rest(quiet_venue)) as maker:
        maker.create_order("limit", "sell", "ETHEUR", volume=2, price="1800.5")
        (txid,) = trade.create_order("market", "buy", "ETHEUR", volume=0.5)["txid"]
        maker.cancel_all_orders()
    (row,) = user.get_trades_history()["trades"].values()
    assert (row["ordertxid"], row["pair"], row["price"]) == (txid, "XETHZEUR", "1800.50000")
    assert (row["vol"], row["cost"], row["fee"]) == ("0.50000000", "900.25000", "7.20200")
    assert user.get_balances()["XETH"] == {"balance": "400.5000000000", "hold_trade": "0.0000000000"}
    assert float(user.get_trade_balance()["eb"]) > 0


REFUSALS = [
    (exceptions.KrakenInsufficientFundsError, {"volume": 1_000, "price": 50_000}),
    (exceptions.KrakenInvalidArgumentsError, {"volume": 0.00001, "price": 50_000}),
    (exceptions.KrakenInvalidPriceError, {"volume": 0.01, "price": "50000.123"}),
    (exceptions.KrakenCostMinimumNotMetError, {"volume": 0.01, "price": 1}),
    (exceptions.KrakenInvalidArgumentsError, {"volume": 0.01, "price": 50_000, "ordertype": "nonsense"}),
    (exceptions.KrakenUnknownAssetError, {"volume": 0.01, "price": 50_000, "pair": "NOPAIR"}),
    (exceptions.KrakenInvalidArgumentsError, {"volume": 0.01, "price": 1, "userref": 1, "cl_ord_id": "a"}),
]


@pytest.mark.parametrize(("error", "order"), REFUSALS)
def test_refused_orders_become_the_sdk_s_errors(trade, error, order):
    with pytest.raises(error):
        trade.create_order(**{"ordertype": "limit", "side": "buy", "pair": "XBTUSD"} | order)


def test_other_refusals_become_the_sdk_s_errors(quiet_venue, account, trade):
    with pytest.raises(exceptions.KrakenUnknownOrderError):
        trade.cancel_order(txid="OAAAAA-BBBBB-CCCCCC")
    with pytest.raises(exceptions.KrakenInvalidOrderError):
        trade.cancel_order(txid="nonsense")
    secret = quiet_venue.next_account()["secret"]
    for wrong, error in (
        ({"secret": secret}, exceptions.KrakenInvalidSignatureError),
        ({"key": "unknown"}, exceptions.KrakenInvalidAPIKeyError),
    ):
        with User(**account | wrong) as stranger, pytest.raises(error):
            stranger.get_account_balance()
    with User(**account) as late:
        late.get_nonce = lambda: "1"
        with pytest.raises(exceptions.KrakenInvalidNonceError):
            late.get_account_balance()


# -- WebSocket -------------------------------------------------------------------------------------------


class Listening(SpotWSClient):
    """A WebSocket client that keeps what it receives."""

    def __init__(self, **arguments):
        self.messages = []
        super().__init__(**arguments)

    async def on_message(self, message):
        self.messages.append(message)

    async def until(self, **fields):
        """Return the first message with these fields; fields of ``data[0]`` count as well."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for message in self.messages:
                    data = message.get("data")
                    first = data[0] if isinstance(data, list) and data else {}
                    if fields.items() <= {**first, **message}.items():
                        return message
                await asyncio.sleep(0.005)

    async def until_execution(self, **fields):
        """Return the first row of an executions message with these fields."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for message in self.messages:
                    if message.get("channel") == "executions":
                        for row in message["data"]:
                            if fields.items() <= row.items():
                                return row
                await asyncio.sleep(0.005)


@asynccontextmanager
async def listening(**arguments):
    async with asyncio.timeout(3 * PATIENCE_S):
        client = Listening(**arguments)
        try:
            await client.start()
            yield client
        finally:
            await client.close()
        assert not client.exception_occur


@pytest.fixture
def trusted(quiet_venue, busy_venue, monkeypatch):
    """Trust the emulator's own authority: the SDK's WebSocket client speaks TLS only."""

    def trust(venue):
        monkeypatch.setenv("SSL_CERT_FILE", venue.tier()["tls"]["ca"])
        return venue

    return trust


def test_public_channels_until_unsubscribed(busy_venue, trusted):
    arguments = sdk_websocket(trusted(busy_venue))

    async def scenario():
        async with listening(**arguments) as client:
            await client.until(channel="status", type="update")
            channels = {
                "ticker": {"event_trigger": "bbo"},
                "book": {"depth": 25},
                "ohlc": {"interval": 5},
                "trade": {"snapshot": True},
            }
            for channel, params in channels.items():
                await client.subscribe({"channel": channel, "symbol": ["BTC/USD", "ETH/USD"], **params})
            await client.subscribe({"channel": "instrument"})
            for channel in channels:
                for symbol in ("BTC/USD", "ETH/USD"):
                    await client.until(channel=channel, type="snapshot", symbol=symbol)
            for channel in ("ticker", "book", "heartbeat"):
                await client.until(
                    **{"channel": channel} | ({"type": "update"} if channel != "heartbeat" else {})
                )
            pairs = (await client.until(channel="instrument"))["data"]["pairs"]
            assert len(pairs) == 51
            assert len(client.active_public_subscriptions) == 9
            for subscription in client.active_public_subscriptions:
                if subscription["channel"] != "instrument":
                    symbol = subscription["symbol"]
                    only = {k: v for k, v in subscription.items() if k not in ("warnings", "snapshot")}
                    await client.unsubscribe(
                        only | {"symbol": symbol if isinstance(symbol, list) else [symbol]}
                    )
            async with asyncio.timeout(PATIENCE_S):
                while len(client.active_public_subscriptions) > 1:
                    await asyncio.sleep(0.005)
            client.messages.clear()
            await client.send_message({"method": "ping", "req_id": 99})
            await client.until(method="pong", req_id=99)
            assert {m.get("channel", m.get("method")) for m in client.messages} <= {"pong", "heartbeat"}

    asyncio.run(scenario())


def test_orders_and_executions_over_websocket(quiet_venue, trusted):
    arguments = sdk_websocket(trusted(quiet_venue), quiet_venue.next_account())

    async def scenario():
        async with listening(no_public=True, **arguments) as client:
            await client.subscribe({"channel": "executions", "snap_trades": True})
            await client.subscribe({"channel": "balances"})
            assert (await client.until(channel="executions", type="snapshot"))["data"] == []
            balances = (await client.until(channel="balances", type="snapshot"))["data"]
            assert {row["asset"]: row["balance"] for row in balances}["BTC"] == 25

            async def send(method, req_id, **params):
                await client.send_message({"method": method, "params": params, "req_id": req_id})
                return await client.until(method=method, req_id=req_id)

            order = {"order_type": "limit", "side": "buy", "symbol": "XRP/EUR", "order_qty": 20.0}
            placed = await send("add_order", 1, **order, limit_price=0.5, order_userref=7)
            txid = placed["result"]["order_id"]
            row = await client.until_execution(exec_type="pending_new", order_id=txid)
            assert (row["symbol"], row["limit_price"], row["order_userref"]) == ("XRP/EUR", 0.5, 7)
            await client.until_execution(exec_type="new", order_id=txid)

            amended = await send("amend_order", 2, order_id=txid, order_qty=25.0, limit_price=0.51)
            assert amended["success"]
            row = await client.until_execution(exec_type="amended", order_id=txid)
            assert (row["order_qty"], row["limit_price"]) == (25, 0.51)

            edited = await send("edit_order", 3, order_id=txid, symbol="XRP/EUR", order_qty=30.0)
            new = edited["result"]["order_id"]
            await client.until_execution(exec_type="canceled", order_id=txid, reason="Order replaced")
            rows = [{**order, "limit_price": 0.4}, {**order, "limit_price": 0.41}]
            for row in rows:
                del row["symbol"]
            batch = await send("batch_add", 4, symbol="XRP/EUR", orders=rows)
            assert len(batch["result"]) == 2
            assert (await send("cancel_order", 5, order_id=[new]))["result"] == {"order_id": new}
            assert (await send("cancel_all", 6))["result"] == {"count": 2}
            refused = await send("add_order", 7, **order | {"order_qty": 1e9}, limit_price=0.5)
            assert (refused["success"], refused["error"]) == (False, "EOrder:Insufficient funds")
            sequence = [m["sequence"] for m in client.messages if m.get("channel") == "executions"]
            assert sequence == list(range(1, len(sequence) + 1))

            await client.unsubscribe({"channel": "executions"})
            await client.until(method="unsubscribe", success=True)
            assert [s["channel"] for s in client.active_private_subscriptions] == ["balances"]

    asyncio.run(scenario())


def test_hundreds_of_book_updates_keep_their_checksums(busy_venue, trusted, monkeypatch):
    at = trusted(busy_venue).tier()
    monkeypatch.setattr(SpotClient, "URL", at["rest"])
    monkeypatch.setattr(SpotOrderBookClient, "WS_URL", at["tls"]["ws"])
    symbols = ["BTC/USD", "ETH/USD", "DOGE/USD", "XRP/EUR", "SOL/BTC"]
    updates = dict.fromkeys(symbols, 0)
    wrong = []

    class Books(SpotOrderBookClient):
        async def on_book_update(self, pair, message):
            updates[pair] += message.get("type") == "update"
            if not self.get(pair)["valid"]:
                wrong.append(message)

    async def scenario():
        async with asyncio.timeout(3 * PATIENCE_S):
            books = Books(depth=10)
            await books.start()
            await books.add_book(pairs=symbols)
            while not wrong and (sum(updates.values()) < 300 or min(updates.values()) < 3):
                await asyncio.sleep(0.01)
            for symbol in symbols:
                book = books.get(symbol)
                assert len(book["bid"]) == len(book["ask"]) == 10
                assert float(next(iter(book["bid"]))) < float(next(iter(book["ask"])))
            await books.close()
            assert not books.exception_occur

    asyncio.run(scenario())
    assert wrong == []
