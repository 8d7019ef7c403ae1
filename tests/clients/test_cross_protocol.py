"""One venue behind all protocols: different libraries meet in the same book and the same account."""

import asyncio
import time

import ccxt.async_support
import ccxt.pro
import pytest
from kraken.spot import SpotWSClient, Trade, User

from tests.clients.pointing import PATIENCE_S, ccxt_options, sdk_rest, sdk_websocket

pytestmark = pytest.mark.client


class Executions(SpotWSClient):
    """The SDK's WebSocket client on an account's executions; keeps their rows."""

    def __init__(self, **arguments):
        self.rows = []
        self.answers = []
        super().__init__(no_public=True, **arguments)

    async def on_message(self, message):
        if message.get("channel") == "executions":
            self.rows.extend(message["data"])
        elif "method" in message:
            self.answers.append(message)

    async def until(self, found):
        """Wait until ``found`` returns something true, and return it."""
        async with asyncio.timeout(PATIENCE_S):
            while not (result := found()):
                await asyncio.sleep(0.005)
        return result

    async def row(self, kind, txid):
        rows = await self.until(
            lambda: [row for row in self.rows if row["exec_type"] == kind and row["order_id"] == txid]
        )
        return rows[0]

    async def __aenter__(self):
        await self.start()
        await self.subscribe({"channel": "executions"})
        await self.until(lambda: [a for a in self.answers if a["method"] == "subscribe" and a["success"]])
        return self

    async def __aexit__(self, *_):
        await self.close()


@pytest.fixture
def venue(quiet_venue, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", quiet_venue.tier()["tls"]["ca"])
    return quiet_venue


def test_a_ccxt_order_is_seen_by_the_sdk_and_filled_by_another_account_over_websocket(venue):
    symbol, ours, theirs = "LINK/EUR", venue.next_account(), venue.next_account()

    async def scenario():
        maker = ccxt.async_support.kraken(ccxt_options(venue, ours))
        maker.nonce = lambda: time.time_ns() // 10  # a key's nonces are of one scale: the SDK's
        taker = ccxt.pro.kraken(ccxt_options(venue, theirs))
        try:
            async with Executions(**sdk_websocket(venue, ours)) as seen:
                order = await maker.create_order(symbol, "limit", "sell", 4, 12.5, {"clientOrderId": "mine"})
                txid = order["id"]
                born = await seen.row("pending_new", txid)
                assert (born["symbol"], born["side"], born["limit_price"]) == (symbol, "sell", 12.5)
                assert born["cl_ord_id"] == "mine"

                await taker.create_order_ws(symbol, "limit", "buy", 4, 12.6)
                fill = await seen.row("trade", txid)
                assert (fill["last_qty"], fill["last_price"], fill["liquidity_ind"]) == (4, 12.5, "m")
                await seen.row("filled", txid)
                (trade,) = await maker.fetch_my_trades(symbol)
                assert trade["id"] == fill["exec_id"]
                assert int(trade["info"]["trade_id"]) == fill["trade_id"]
                assert (await maker.fetch_order(txid))["status"] == "closed"
        finally:
            await maker.close()
            await taker.close()

    asyncio.run(asyncio.wait_for(scenario(), 3 * PATIENCE_S))


def test_an_sdk_websocket_order_is_amended_by_its_rest_client_and_taken_through_ccxt(venue):
    symbol, ours = "ADA/USD", venue.next_account()
    rest = sdk_rest(venue, ours)

    async def scenario():
        taker = ccxt.async_support.kraken(ccxt_options(venue))
        try:
            async with Executions(**sdk_websocket(venue, ours)) as seen:
                params = {"order_type": "limit", "side": "buy", "symbol": symbol}
                params |= {"order_qty": 100.0, "limit_price": 0.6, "cl_ord_id": "over-ws"}
                await seen.send_message({"method": "add_order", "params": params})
                (answer,) = await seen.until(lambda: [a for a in seen.answers if a["method"] == "add_order"])
                txid = answer["result"]["order_id"]
                with User(**rest) as user, Trade(**rest) as trade:
                    assert user.get_open_orders(cl_ord_id="over-ws")["open"].keys() == {txid}
                    trade.amend_order(cl_ord_id="over-ws", limit_price="0.61", order_qty="150")
                assert (await seen.row("amended", txid))["limit_price"] == 0.61
                book = await taker.fetch_order_book(symbol)
                assert book["bids"][0][:2] == [0.61, 150]
                sold = await taker.create_order(symbol, "market", "sell", 150)
                assert (await seen.row("filled", txid))["cum_qty"] == 150
                assert (await taker.fetch_order(sold["id"]))["average"] == 0.61
        finally:
            await taker.close()

    asyncio.run(asyncio.wait_for(scenario(), 3 * PATIENCE_S))
