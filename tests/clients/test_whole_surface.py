"""Every method of ccxt and of python-kraken-sdk that Kraken's spot venue supports, called once and more."""

import inspect
import io
import time
import zipfile

import ccxt
import pytest
from kraken.spot import Earn, Funding, Market, Trade, User

from emulator.gateways.offers import iiban
from tests.clients.pointing import PATIENCE_S, ccxt_options, sdk_rest
from tests.running import wait_until

pytestmark = [
    pytest.mark.client,
    pytest.mark.filterwarnings("ignore:.*uses a deprecated Kraken endpoint:DeprecationWarning"),
]

BTC = "BTC/USD"
ETH_STRATEGY = "ESDQCOL-WTZEU-NU55QF"


# -- ccxt ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exchange(busy_venue):
    client = ccxt.kraken(ccxt_options(busy_venue))
    client.load_markets()
    wait_until(lambda: client.fetch_ticker(BTC)["last"], PATIENCE_S, "no trade")
    yield client
    client.cancel_all_orders()
    client.session.close()


def far(exchange, side="buy"):
    """Return a price at which nothing trades."""
    last = exchange.fetch_ticker(BTC)["last"]
    return round(last * (0.5 if side == "buy" else 2))


def resting(exchange, **params):
    return exchange.create_order(BTC, "limit", "buy", 0.01, far(exchange), params)


def bought(exchange):
    """Buy a little; return the order."""
    order = exchange.create_market_order(BTC, "buy", 0.01)
    return exchange.fetch_order(order["id"])


def ledger_entry(exchange):
    bought(exchange)
    return exchange.fetch_ledger_entry(exchange.fetch_ledger("BTC")[-1]["id"])


def position(exchange):
    order = exchange.create_order(BTC, "market", "buy", 0.01, None, {"leverage": 2})
    [held] = exchange.fetch_positions()
    exchange.create_order(BTC, "market", "sell", 0.01, None, {"leverage": 2, "reduceOnly": True})
    assert exchange.fetch_positions() == []
    return order["id"] and (held["side"], held["contracts"]) == ("long", 0.01)


def sent(exchange):
    exchange.withdraw("BTC", 0.01, "bc1qkraken0emulator0example0address0000", {"key": "btc-wallet"})
    return exchange.fetch_withdrawals("BTC")[0]["amount"] == pytest.approx(0.0098)


CCXT = {
    "cancelAllOrders": lambda x: resting(x) and x.cancel_all_orders(),
    "cancelAllOrdersAfter": lambda x: x.cancel_all_orders_after(60_000) and x.cancel_all_orders_after(0),
    "cancelOrder": lambda x: x.cancel_order(resting(x)["id"]),
    "cancelOrders": lambda x: x.cancel_orders([resting(x)["id"], resting(x)["id"]]),
    "createDepositAddress": lambda x: x.create_deposit_address("BTC", {"method": "Bitcoin"})["address"],
    "createLimitOrder": lambda x: x.create_limit_order(BTC, "buy", 0.01, far(x))["id"],
    "createMarketBuyOrderWithCost": lambda x: x.create_market_buy_order_with_cost(BTC, 600)["id"],
    "createMarketOrder": lambda x: x.create_market_order(BTC, "sell", 0.01)["id"],
    "createMarketOrderWithCost": lambda x: x.create_market_order_with_cost(BTC, "buy", 600)["id"],
    "createOrder": lambda x: resting(x, postOnly=True)["id"],
    "createOrders": lambda x: x.create_orders(
        [
            {"symbol": BTC, "type": "limit", "side": "buy", "amount": 0.01, "price": far(x)},
            {"symbol": BTC, "type": "limit", "side": "buy", "amount": 0.02, "price": far(x)},
        ]
    ),
    "createStopLimitOrder": lambda x: x.create_stop_limit_order(BTC, "sell", 0.01, far(x) - 100, far(x))[
        "id"
    ],
    "createStopMarketOrder": lambda x: x.create_stop_market_order(BTC, "sell", 0.01, far(x))["id"],
    "createStopOrder": lambda x: x.create_stop_order(BTC, "limit", "sell", 0.01, far(x) - 100, far(x))["id"],
    "createTrailingAmountOrder": lambda x: x.create_trailing_amount_order(
        BTC, "market", "sell", 0.01, None, 5000, None, {"offset": "quote"}
    )["id"],
    "createTrailingPercentOrder": lambda x: x.create_trailing_percent_order(
        BTC, "market", "sell", 0.01, None, 10
    )["id"],
    "editOrder": lambda x: x.edit_order(resting(x)["id"], BTC, "limit", "buy", 0.02, far(x) + 1)["id"],
    "fetchBalance": lambda x: x.fetch_balance()["BTC"]["total"] > 1,
    "fetchClosedOrders": lambda x: bought(x) and x.fetch_closed_orders(BTC)[-1]["status"] == "closed",
    "fetchCurrencies": lambda x: x.fetch_currencies()["BTC"]["precision"],
    "fetchDepositAddress": lambda x: x.fetch_deposit_address("BTC", {"method": "Bitcoin"})["address"],
    "fetchDeposits": lambda x: x.fetch_deposits("BTC"),
    "fetchL2OrderBook": lambda x: x.fetch_l2_order_book(BTC)["bids"],
    "fetchLedger": lambda x: bought(x) and x.fetch_ledger("BTC")[-1]["type"] == "trade",
    "fetchLedgerEntry": lambda x: ledger_entry(x)["currency"] == "BTC",
    "fetchMarkets": lambda x: x.fetch_markets(),
    "fetchMyTrades": lambda x: bought(x) and x.fetch_my_trades(BTC)[-1]["amount"],
    "fetchOHLCV": lambda x: x.fetch_ohlcv(BTC, "1h"),
    "fetchOpenOrders": lambda x: resting(x) and x.fetch_open_orders(BTC)[-1]["id"],
    "fetchOrder": lambda x: x.fetch_order(resting(x)["id"])["status"] == "open",
    "fetchOrderBook": lambda x: x.fetch_order_book(BTC)["asks"],
    "fetchOrderTrades": lambda x: x.fetch_order_trades(bought(x)["id"], BTC, None, None, {"trades": ids(x)}),
    "fetchPositions": position,
    "fetchStatus": lambda x: x.fetch_status()["status"] == "ok",
    "fetchTicker": lambda x: x.fetch_ticker(BTC)["last"],
    "fetchTickers": lambda x: x.fetch_tickers()[BTC],
    "fetchTime": lambda x: x.fetch_time(),
    "fetchTrades": lambda x: x.fetch_trades(BTC),
    "fetchTradingFee": lambda x: x.fetch_trading_fee(BTC)["taker"],
    "fetchWithdrawals": sent,
    "transfer": lambda x: x.transfer("BTC", 0.1, "spot", "swap")["id"],
    "withdraw": sent,
}
"""What each method must give: something, and no error."""
CCXT_ELSEWHERE = {
    **dict.fromkeys(("margin", "spot", "privateAPI", "publicAPI"), "no methods"),
    "fetchCurrenciesWs": "ccxt.pro, in test_ccxt_pro.py",
}


def ids(exchange):
    return [trade["id"] for trade in exchange.fetch_my_trades(BTC)]


def test_every_method_that_ccxt_has_is_called():
    has = {name for name, there in ccxt.kraken().has.items() if there}
    assert has == CCXT.keys() | CCXT_ELSEWHERE.keys()


@pytest.mark.parametrize("name", CCXT)
def test_ccxt(exchange, name):
    result = CCXT[name](exchange)
    assert result or (name == "fetchDeposits" and result == []), result


def test_rest_of_ccxts_orders(exchange):
    """Conditional close, index triggers, relative prices and scheduled orders by ccxt's own parameters."""
    exchange.cancel_all_orders()
    price = far(exchange)
    closing = {"close": {"ordertype": "limit", "price": str(price * 3)}}
    assert exchange.create_order(BTC, "limit", "buy", 0.01, price, closing)["id"]
    stop = exchange.create_order(BTC, "market", "sell", 0.01, None, {"stopLossPrice": price})
    assert exchange.fetch_order(stop["id"])["stopPrice"] == price
    take = exchange.create_order(BTC, "market", "sell", 0.01, None, {"takeProfitPrice": price * 4})
    assert exchange.fetch_order(take["id"])["status"] == "open"
    orders = exchange.private_post_openorders()["result"]["open"]
    assert {row["descr"]["ordertype"] for row in orders.values()} == {"limit", "stop-loss", "take-profit"}


# -- python-kraken-sdk -----------------------------------------------------------------------------------


class Sdk:
    """All REST clients of one account."""

    def __init__(self, venue):
        options = sdk_rest(venue)
        self.market = Market(url=options["url"])
        self.trade, self.user = Trade(**options), User(**options)
        self.funding, self.earn = Funding(**options), Earn(**options)

    def iiban(self):
        return self.user.request("POST", "/0/private/GetApiKeyInfo")["iban"]

    def order(self, **change):
        fields = {"ordertype": "limit", "side": "buy", "pair": "XBTUSD", "volume": 0.01, "price": 20000}
        return self.trade.create_order(**(fields | change))["txid"][0]

    def filled(self):
        self.order(ordertype="market", price=None)
        return next(iter(self.user.get_trades_history()["trades"]))

    def withdrawn(self):
        return self.funding.withdraw_funds(asset="XBT", key="btc-wallet", amount="0.1")["refid"]

    def export(self):
        return self.user.request_export_report(report="ledgers", description="x")["id"]

    def exported(self):
        id_ = self.export()
        wait_until(
            lambda: any(
                row["id"] == id_ and row["status"] == "Processed"
                for row in self.user.get_export_report_status("ledgers")
            ),
            PATIENCE_S,
            "the export is not written",
        )
        return id_

    def archive(self):
        answer = self.user.retrieve_export(self.exported())
        with zipfile.ZipFile(io.BytesIO(b"".join(answer.iter_content(1024)))) as packed:
            return packed.namelist() == ["ledgers.csv"]

    def subaccount(self):
        name = f"desk-{time.monotonic_ns()}"
        assert self.user.create_subaccount(username=name, email="desk@example.com") is True
        return name

    def batch(self):
        row = {"ordertype": "limit", "type": "buy", "volume": 0.01, "price": 20000}
        return self.trade.create_order_batch(orders=[row, row], pair="XBTUSD")["orders"]


SDK = {
    "Market.get_asset_pairs": lambda s: s.market.get_asset_pairs("XBTUSD"),
    "Market.get_assets": lambda s: s.market.get_assets("XBT,USD"),
    "Market.get_ohlc": lambda s: s.market.get_ohlc("XBTUSD", interval=60),
    "Market.get_order_book": lambda s: s.market.get_order_book("XBTUSD", count=5),
    "Market.get_recent_spreads": lambda s: s.market.get_recent_spreads("XBTUSD"),
    "Market.get_recent_trades": lambda s: s.market.get_recent_trades("XBTUSD"),
    "Market.get_system_status": lambda s: s.market.get_system_status(),
    "Market.get_ticker": lambda s: s.market.get_ticker("XBTUSD"),
    "Trade.amend_order": lambda s: s.trade.amend_order(txid=s.order(), order_qty=0.02)["amend_id"],
    "Trade.cancel_all_orders": lambda s: s.order() and s.trade.cancel_all_orders()["count"],
    "Trade.cancel_all_orders_after_x": lambda s: s.trade.cancel_all_orders_after_x(0),
    "Trade.cancel_order": lambda s: s.trade.cancel_order(s.order())["count"],
    "Trade.cancel_order_batch": lambda s: s.trade.cancel_order_batch([s.order(), s.order()])["count"] == 2,
    "Trade.create_order": lambda s: s.order(
        ordertype="stop-loss-limit",
        side="sell",
        price=20000,
        price2=19990,
        trigger="last",
        timeinforce="GTC",
    ),
    "Trade.create_order_batch": lambda s: all("txid" in row for row in s.batch()),
    "Trade.edit_order": lambda s: s.trade.edit_order(txid=s.order(), pair="XBTUSD", price=19000)["txid"],
    "User.account_transfer": lambda s: s.user.account_transfer(
        asset="XBT", amount=0.1, from_=s.iiban(), to_=iiban(s.subaccount())
    )["transfer_id"],
    "User.create_subaccount": lambda s: s.subaccount(),
    "User.delete_export_report": lambda s: s.user.delete_export_report(id_=s.exported()),
    "User.get_account_balance": lambda s: s.user.get_account_balance()["XXBT"],
    "User.get_balance": lambda s: s.user.get_balance("XBT"),
    "User.get_balances": lambda s: s.user.get_balances(),
    "User.get_closed_orders": lambda s: s.filled() and s.user.get_closed_orders()["count"],
    "User.get_export_report_status": lambda s: s.export() and s.user.get_export_report_status("ledgers"),
    "User.get_ledgers": lambda s: (
        s.filled() and s.user.get_ledgers(id_=next(iter(s.user.get_ledgers_info()["ledger"])))
    ),
    "User.get_ledgers_info": lambda s: s.user.get_ledgers_info(asset=["XBT", "USD"])["ledger"],
    "User.get_open_orders": lambda s: s.order() and s.user.get_open_orders(trades=True)["open"],
    "User.get_open_positions": lambda s: (
        s.order(ordertype="market", price=None, leverage=2) and s.user.get_open_positions(docalcs=True)
    ),
    "User.get_order_amends": lambda s: s.user.get_order_amends(order_id=s.order())["count"],
    "User.get_orders_info": lambda s: s.user.get_orders_info(txid=[s.order(), s.order()]),
    "User.get_trade_balance": lambda s: s.user.get_trade_balance(asset="EUR")["eb"],
    "User.get_trade_volume": lambda s: s.user.get_trade_volume(pair="XBTUSD")["fees"]["XXBTZUSD"],
    "User.get_trades_history": lambda s: s.filled() and s.user.get_trades_history(ledgers=True)["trades"],
    "User.get_trades_info": lambda s: s.user.get_trades_info(txid=s.filled()),
    "User.request_export_report": lambda s: s.export(),
    "User.retrieve_export": lambda s: s.archive(),
    "Funding.cancel_withdraw": lambda s: s.funding.cancel_withdraw(asset="XBT", refid=s.withdrawn()),
    "Funding.get_deposit_address": lambda s: s.funding.get_deposit_address(asset="XBT", method="Bitcoin"),
    "Funding.get_deposit_methods": lambda s: s.funding.get_deposit_methods(asset="XBT"),
    "Funding.get_recent_deposits_status": lambda s: s.funding.get_recent_deposits_status(cursor=True),
    "Funding.get_recent_withdraw_status": lambda s: s.withdrawn() and s.funding.get_recent_withdraw_status(),
    "Funding.get_withdrawal_info": lambda s: s.funding.get_withdrawal_info("XBT", "btc-wallet", "1"),
    "Funding.wallet_transfer": lambda s: s.funding.wallet_transfer(
        "XBT", from_="Spot Wallet", to_="Futures Wallet", amount="0.1"
    ),
    "Funding.withdraw_addresses": lambda s: s.funding.withdraw_addresses(asset="XBT"),
    "Funding.withdraw_funds": lambda s: s.withdrawn(),
    "Funding.withdraw_methods": lambda s: s.funding.withdraw_methods(asset="XBT"),
    "Earn.allocate_earn_funds": lambda s: s.earn.allocate_earn_funds(amount=1, strategy_id=ETH_STRATEGY),
    "Earn.deallocate_earn_funds": lambda s: taken_out(s),
    "Earn.get_allocation_status": lambda s: s.earn.get_allocation_status(strategy_id=ETH_STRATEGY),
    "Earn.get_deallocation_status": lambda s: s.earn.get_deallocation_status(strategy_id=ETH_STRATEGY),
    "Earn.list_earn_allocations": lambda s: s.earn.list_earn_allocations(),
    "Earn.list_earn_strategies": lambda s: s.earn.list_earn_strategies(asset="DOT")["items"],
}


def taken_out(sdk):
    if not sdk.earn.get_allocation_status(ETH_STRATEGY)["pending"]:
        sdk.earn.allocate_earn_funds(amount=1, strategy_id=ETH_STRATEGY)
    status = sdk.earn.get_allocation_status
    wait_until(lambda: not status(ETH_STRATEGY)["pending"], PATIENCE_S, "still pending")
    return sdk.earn.deallocate_earn_funds(amount=1, strategy_id=ETH_STRATEGY)


def test_every_method_that_the_sdk_has_is_called():
    has = {
        f"{kind.__name__}.{name}"
        for kind in (Market, Trade, User, Funding, Earn)
        for name, function in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_") and function.__qualname__.startswith(kind.__name__)
    }
    assert has == SDK.keys()


@pytest.fixture(scope="module")
def sdk(busy_venue):
    clients = Sdk(busy_venue)
    wait_until(lambda: clients.market.get_ticker("XBTUSD")["XXBTZUSD"]["c"], PATIENCE_S, "no trade")
    yield clients
    clients.trade.cancel_all_orders()


@pytest.mark.parametrize("name", SDK)
def test_python_kraken_sdk(sdk, name):
    result = SDK[name](sdk)
    assert result is not None
    assert result is not False
