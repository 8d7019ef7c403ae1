"""ccxt pro, unmodified: its watchers and its WebSocket orders against the emulator's WebSocket v2."""

import asyncio

import ccxt.pro as ccxt
import pytest

from tests.clients.pointing import PATIENCE_S, ccxt_connected

pytestmark = pytest.mark.client


class Watcher:
    """Calls one watch method again and again, as programs do, and keeps what it returned."""

    def __init__(self, watch, *arguments):
        self.seen = []
        self._task = asyncio.create_task(self._run(watch, arguments))

    async def _run(self, watch, arguments):
        while True:
            result = await watch(*arguments)
            self.seen.extend(result if isinstance(result, list) else [result])

    async def until(self, condition):
        """Return the first thing seen that meets ``condition``."""
        async with asyncio.timeout(PATIENCE_S):
            while not (found := [item for item in self.seen if condition(item)]):
                if self._task.done():
                    self._task.result()
                await asyncio.sleep(0.005)
        return found[0]


def levels(book, depth=10):
    return {side: [list(row[:2]) for row in book[side][:depth]] for side in ("bids", "asks")}


async def until_equal(watched, fetch, depth=10):
    """Wait until the watched book is the one that REST shows."""
    async with asyncio.timeout(PATIENCE_S):
        while levels(watched, depth) != levels(await fetch(), depth):
            await asyncio.sleep(0.005)


# -- public channels -------------------------------------------------------------------------------------


def test_watched_book_follows_every_change_of_a_quiet_book(quiet_venue):
    symbol = "SOL/EUR"

    async def scenario():
        async with ccxt_connected(ccxt, quiet_venue) as maker, ccxt_connected(ccxt, quiet_venue) as taker:
            watched = await taker.watch_order_book(symbol, 10)
            watcher = Watcher(taker.watch_order_book, symbol, 10)

            async def settled():
                await until_equal(watched, lambda: maker.fetch_order_book(symbol, 10))

            orders = {}
            for level in range(13):
                for side, price in (("buy", 100 - level), ("sell", 101 + level)):
                    order = await maker.create_order(symbol, "limit", side, 1 + level / 8, price)
                    orders[price] = order["id"]
                await settled()
            for price in (100, 98, 103, 101):
                await maker.cancel_order(orders[price])
                await settled()
            await maker.edit_order(orders[99], symbol, "limit", "buy", 7.25, 99.5)
            await settled()
            for side, amount in (("sell", 9.5), ("buy", 3.125), ("sell", 0.5)):
                await taker.create_order(symbol, "market", side, amount)
                await settled()
            await maker.cancel_all_orders()
            await settled()
            assert levels(watched) == {"bids": [], "asks": []}
            assert len(watcher.seen) >= 20

    asyncio.run(scenario())


def test_watched_books_of_a_busy_market_stay_whole_and_never_cross(busy_venue):
    symbols = ["BTC/USD", "ETH/USD", "DOGE/USD", "XRP/USD"]

    async def scenario():
        async with ccxt_connected(ccxt, busy_venue) as exchange:
            counts = dict.fromkeys(symbols, 0)
            while sum(counts.values()) < 200 or min(counts.values()) < 5:
                book = await exchange.watch_order_book_for_symbols(symbols, 10)
                counts[book["symbol"]] += 1
                bids, asks = ([row[0] for row in book[side]] for side in ("bids", "asks"))
                assert len(bids) == len(asks) == 10
                assert bids == sorted(set(bids), reverse=True)
                assert asks == sorted(set(asks))
                assert bids[0] < asks[0]

    asyncio.run(scenario())


def test_watched_trades_of_a_busy_market_are_those_of_rest(busy_venue):
    async def scenario():
        async with ccxt_connected(ccxt, busy_venue) as exchange:
            watcher = Watcher(exchange.watch_trades, "BTC/USD")
            ticker = Watcher(exchange.watch_ticker, "BTC/USD")
            await exchange.watch_order_book("BTC/USD")  # answered after the other subscriptions
            for turn in range(20):
                await exchange.create_order_ws("BTC/USD", "market", "buy" if turn % 2 else "sell", 0.05)
            await watcher.until(lambda _: len(watcher.seen) >= 22)
            await ticker.until(lambda _: len(ticker.seen) >= 22)
            seen = {int(trade["id"]): trade for trade in watcher.seen}
            rows = {int(trade["id"]): trade for trade in await exchange.fetch_trades("BTC/USD")}
            assert sorted(seen) == list(range(min(seen), max(seen) + 1))
            for number in sorted(seen.keys() & rows.keys()):
                for field in ("price", "amount", "side", "type"):
                    assert seen[number][field] == rows[number][field]
                assert abs(seen[number]["timestamp"] - rows[number]["timestamp"]) <= 1
            assert len(seen.keys() & rows.keys()) >= 20
            assert all(row["bid"] < row["ask"] for row in ticker.seen)

    asyncio.run(scenario())


def test_one_trade_reaches_every_watcher(quiet_venue):
    symbol = "LTC/EUR"

    async def scenario():
        async with ccxt_connected(ccxt, quiet_venue) as maker, ccxt_connected(ccxt, quiet_venue) as taker:
            watchers = {
                name: Watcher(*call)
                for name, call in {
                    "trades": (maker.watch_trades, symbol),
                    "ticker": (maker.watch_ticker, symbol),
                    "tickers": (maker.watch_tickers, [symbol, "LTC/USD"]),
                    "tops": (taker.watch_bids_asks, [symbol]),
                    "candles": (maker.watch_ohlcv, symbol, "1m"),
                }.items()
            }
            await maker.watch_order_book(symbol)  # subscribed after the others, answered after the others
            await taker.watch_order_book(symbol)
            await maker.create_order(symbol, "limit", "sell", 2, 81.5)
            await maker.create_order(symbol, "limit", "buy", 3, 80.5)
            top = await watchers["tops"].until(lambda tops: tops[symbol]["bid"] == 80.5)
            assert top[symbol]["ask"] == 81.5
            await taker.create_order(symbol, "market", "buy", 0.75)

            trade = await watchers["trades"].until(lambda trade: trade["price"] == 81.5)
            assert (trade["amount"], trade["side"], trade["type"]) == (0.75, "buy", "market")
            for ticker in (
                await watchers["ticker"].until(lambda ticker: ticker["last"] == 81.5),
                (await watchers["tickers"].until(lambda ts: ts.get(symbol, {}).get("last") == 81.5))[symbol],
            ):
                assert (ticker["bid"], ticker["ask"], ticker["askVolume"]) == (80.5, 81.5, 1.25)
                assert ticker["baseVolume"] >= 0.75
            candle = await watchers["candles"].until(lambda candle: candle[4] == 81.5)
            assert candle[0] % 60_000 == 0
            assert candle[5] >= 0.75
            await watchers["tops"].until(lambda tops: tops[symbol]["askVolume"] == 1.25)

    asyncio.run(scenario())


# -- private channels and orders -------------------------------------------------------------------------


def test_orders_over_websocket_and_what_their_owner_watches(quiet_venue):
    symbol = "ADA/EUR"

    async def scenario():
        async with ccxt_connected(ccxt, quiet_venue) as maker, ccxt_connected(ccxt, quiet_venue) as taker:
            balance = await maker.watch_balance()
            assert balance["ADA"]["total"] == 100_000
            orders, trades = Watcher(maker.watch_orders), Watcher(maker.watch_my_trades)
            balances = Watcher(maker.watch_balance)
            other = Watcher(taker.watch_my_trades)
            await asyncio.gather(maker.watch_order_book(symbol), taker.watch_order_book(symbol))

            def event(kind, txid):
                return orders.until(lambda row: row["info"]["exec_type"] == kind and row["id"] == txid)

            placed = await maker.create_order_ws(symbol, "limit", "sell", 100, 0.7, {"clientOrderId": "ws-1"})
            txid = placed["id"]
            born = await event("pending_new", txid)
            assert (born["symbol"], born["side"], born["amount"], born["price"]) == (symbol, "sell", 100, 0.7)
            assert (await event("new", txid))["info"]["cl_ord_id"] == "ws-1"

            assert (await maker.edit_order_ws(txid, symbol, "limit", "sell", 80, 0.71))["id"] == txid
            amended = await event("amended", txid)
            assert (amended["amount"], amended["price"]) == (80, 0.71)

            await taker.create_order_ws(symbol, "market", "buy", 30)
            sold = await trades.until(lambda trade: trade["order"] == txid)
            bought = await other.until(lambda trade: trade["price"] == 0.71)
            assert (sold["amount"], sold["cost"], sold["takerOrMaker"]) == (30, 21.3, "maker")
            assert (bought["amount"], bought["takerOrMaker"]) == (30, "taker")
            assert sold["info"]["trade_id"] == bought["info"]["trade_id"]
            assert sold["fee"] == {"cost": 0.0852, "currency": "EUR"}
            changed = await balances.until(lambda balance: balance["ADA"]["total"] == 99_970)
            assert changed["ADA"]["total"] == 99_970

            await maker.cancel_order_ws(txid)
            gone = await event("canceled", txid)
            assert (gone["status"], gone["info"]["cum_qty"]) == ("canceled", 30)
            rest = await maker.fetch_order(txid)
            assert (rest["status"], rest["filled"]) == ("canceled", 30)

    asyncio.run(scenario())


def test_cancel_all_and_refusals_over_websocket(quiet_venue):
    symbol = "DOT/EUR"

    async def scenario():
        async with ccxt_connected(ccxt, quiet_venue) as exchange:
            for price in (3, 3.1, 3.2):
                await exchange.create_order_ws(symbol, "limit", "buy", 5, price)
            assert (await exchange.cancel_all_orders_ws())["result"] == {"count": 3}
            assert await exchange.fetch_open_orders() == []
            refusals = {
                "EOrder:Insufficient funds": exchange.create_order_ws(symbol, "limit", "buy", 1e7, 3),
                "volume minimum not met": exchange.create_order_ws(symbol, "limit", "buy", 0.01, 3),
                "EOrder:Unknown order": exchange.cancel_order_ws("OAAAAA-BBBBB-CCCCCC"),
            }
            for text, call in refusals.items():
                with pytest.raises(ccxt.ExchangeError, match=text):
                    await call
            assert await exchange.fetch_open_orders() == []

    asyncio.run(scenario())
