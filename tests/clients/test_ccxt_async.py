"""ccxt's asyncio client: the same calls, many at a time, also over TLS."""

import asyncio

import ccxt.async_support as ccxt
import pytest

from tests.clients.pointing import ccxt_connected

pytestmark = pytest.mark.client


def test_public_calls_at_the_same_time_get_their_own_answers(busy_venue):
    async def scenario():
        async with ccxt_connected(ccxt, busy_venue) as exchange:
            symbols = sorted(exchange.markets)
            books, tickers, candles = await asyncio.gather(
                asyncio.gather(*(exchange.fetch_order_book(symbol, 5) for symbol in symbols)),
                asyncio.gather(*(exchange.fetch_ticker(symbol) for symbol in symbols)),
                asyncio.gather(*(exchange.fetch_ohlcv(symbol, "1d", limit=30) for symbol in symbols)),
            )
            assert [book["symbol"] for book in books] == symbols
            assert [ticker["symbol"] for ticker in tickers] == symbols
            for book, ticker, rows in zip(books, tickers, candles, strict=True):
                assert book["bids"][0][0] < book["asks"][0][0]
                assert ticker["bid"] == pytest.approx(book["bids"][0][0], rel=0.01)
                assert ticker["last"] == pytest.approx(rows[-1][4], rel=0.01)

    asyncio.run(scenario())


def test_two_accounts_trading_at_the_same_time_create_and_lose_nothing(quiet_venue):
    rounds, size = 15, 0.02

    async def trade(exchange, side):
        orders = []
        for turn in range(rounds):
            price = 2_000 + (turn % 3 - 1) * (5 if side == "buy" else -5)
            orders.append(await exchange.create_order("ETH/USD", "limit", side, size, price))
        return orders

    async def scenario():
        async with ccxt_connected(ccxt, quiet_venue) as buyer, ccxt_connected(ccxt, quiet_venue) as seller:
            placed = await asyncio.gather(trade(buyer, "buy"), trade(seller, "sell"))
            for exchange in (buyer, seller):
                await exchange.cancel_all_orders()
            filled = [
                sum([order["filled"] for order in await exchange.fetch_closed_orders("ETH/USD")])
                for exchange in (buyer, seller)
            ]
            trades = [await exchange.fetch_my_trades("ETH/USD") for exchange in (buyer, seller)]
            balances = [await exchange.fetch_balance() for exchange in (buyer, seller)]
        assert len({order["id"] for orders in placed for order in orders}) == 2 * rounds
        assert filled[0] == pytest.approx(filled[1])
        assert filled[0] > 0
        bought, sold = (sorted(trade["info"]["trade_id"] for trade in side) for side in trades)
        assert bought == sold
        fees = sum(trade["fee"]["cost"] for side in trades for trade in side)
        assert sum(balance["ETH"]["total"] for balance in balances) == pytest.approx(800, abs=1e-9)
        assert sum(balance["USD"]["total"] for balance in balances) == pytest.approx(2e6 - fees, abs=0.01)
        assert all(balance["USD"]["used"] == balance["ETH"]["used"] == 0 for balance in balances)

    asyncio.run(scenario())


def test_orders_over_tls_with_the_emulator_s_authority(quiet_venue):
    secure = quiet_venue.tier()["tls"]

    async def scenario():
        async with ccxt_connected(ccxt, quiet_venue, cafile=secure["ca"]) as exchange:
            exchange.urls["api"] |= {"public": secure["rest"], "private": secure["rest"]}
            order = await exchange.create_order("SOL/USD", "limit", "buy", 1, 100, {"clientOrderId": "tls"})
            assert (await exchange.fetch_order(order["id"]))["clientOrderId"] == "tls"
            await exchange.edit_order(order["id"], "SOL/USD", "limit", "buy", 2, 101)
            (open_order,) = await exchange.fetch_open_orders("SOL/USD")
            assert (open_order["amount"], open_order["price"]) == (2, 101)
            await exchange.cancel_order(order["id"])
            with pytest.raises(ccxt.OrderNotFound):
                await exchange.cancel_order(order["id"])
            with pytest.raises(ccxt.InsufficientFunds):
                await exchange.create_order("SOL/USD", "market", "sell", 1_000_000)
        async with ccxt_connected(ccxt, quiet_venue) as distrustful:
            distrustful.urls["api"] |= {"public": secure["rest"]}
            with pytest.raises(ccxt.NetworkError):
                await distrustful.fetch_time()

    asyncio.run(scenario())
