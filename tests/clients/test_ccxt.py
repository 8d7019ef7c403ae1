"""ccxt, unmodified and synchronous, against the emulator's REST."""

import time

import ccxt
import msgspec
import pytest

from emulator.settings import PROFILES
from tests.clients.pointing import PATIENCE_S, ccxt_options
from tests.running import wait_until

pytestmark = pytest.mark.client

INTERVALS_S = {"1m": 60, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "4h": 14400, "1d": 86400}
INTERVALS_S |= {"1w": 604_800, "2w": 1_296_000}


@pytest.fixture
def connected():
    """Make exchanges of new accounts; what they leave in the book is cancelled at the end."""
    made = []

    def connect(venue, **more):
        exchange = ccxt.kraken(ccxt_options(venue) | more)
        exchange.load_markets()
        made.append(exchange)
        return exchange

    yield connect
    for exchange in made:
        exchange.cancel_all_orders()
        exchange.session.close()


@pytest.fixture
def watcher(connected, busy_venue):
    return connected(busy_venue)


@pytest.fixture
def maker(connected, quiet_venue):
    return connected(quiet_venue)


@pytest.fixture
def taker(connected, quiet_venue):
    return connected(quiet_venue)


# -- market data -----------------------------------------------------------------------------------------


def test_every_pair_comes_with_its_precision_and_limits(watcher):
    catalogue = msgspec.json.decode((PROFILES / "instruments" / "spot.json").read_bytes())
    assert len(watcher.markets) == len(catalogue["pairs"]) == 51
    for name, pair in catalogue["pairs"].items():
        market = watcher.market(pair["symbol"])
        leverage = max([1, *pair.get("leverage_buy", [])])
        # ccxt orders no finer than the base asset is kept: matters for EUR and GBP
        decimals = min(pair["lot_decimals"], catalogue["assets"][pair["base"]]["decimals"])
        assert (market["id"], market["active"]) == (name, True)
        assert market["precision"] == {"amount": 10**-decimals, "price": float(pair["tick_size"])}
        assert market["limits"]["amount"]["min"] == float(pair["order_min"])
        assert market["limits"]["cost"]["min"] == float(pair["cost_min"])
        assert market["limits"]["leverage"]["max"] == leverage


def test_status_and_time(watcher):
    assert watcher.fetch_status()["status"] == "ok"
    assert abs(watcher.fetch_time() - watcher.milliseconds()) < 5_000


def test_tickers_are_consistent(watcher):
    tickers = watcher.fetch_tickers()
    assert tickers.keys() == watcher.markets.keys()
    for ticker in tickers.values():
        assert 0 < ticker["bid"] < ticker["ask"]
        assert ticker["low"] <= ticker["last"] <= ticker["high"]
        assert ticker["low"] <= ticker["vwap"] <= ticker["high"]
        assert ticker["baseVolume"] > 0
        # A ticker's sizes have three decimals: what is left of an order may be less than half a thousandth.
        assert min(ticker["bidVolume"], ticker["askVolume"]) >= 0
    assert watcher.fetch_tickers(["BTC/USD", "DOGE/EUR"]).keys() == {"BTC/USD", "DOGE/EUR"}
    assert watcher.fetch_ticker("ETH/BTC")["symbol"] == "ETH/BTC"


@pytest.mark.parametrize("symbol", ["BTC/USD", "DOGE/USD", "BTC/JPY", "XRP/BTC"])
def test_order_book_is_sorted_and_not_crossed(watcher, symbol):
    book = watcher.fetch_order_book(symbol, 25)
    bids, asks = ([row[0] for row in book[side]] for side in ("bids", "asks"))
    assert 0 < len(bids) <= 25
    assert 0 < len(asks) <= 25
    assert bids == sorted(set(bids), reverse=True)
    assert asks == sorted(set(asks))
    assert bids[0] < asks[0]


def test_paging_through_trades_with_since_misses_none(watcher):
    newest = watcher.fetch_trades("BTC/USD", limit=700)
    ids, since, pages = {}, newest[0]["timestamp"], 0
    while int(newest[-1]["id"]) not in ids:
        page = watcher.fetch_trades("BTC/USD", since=since, limit=200)
        pages += 1
        assert page[-1]["timestamp"] > since
        ids |= {int(trade["id"]): trade["timestamp"] for trade in page}
        since = page[-1]["timestamp"]
    assert pages >= 4
    assert {int(trade["id"]) for trade in newest[1:]} <= ids.keys()
    assert sorted(ids) == list(range(min(ids), max(ids) + 1))
    assert [ids[number] for number in sorted(ids)] == sorted(ids.values())


@pytest.mark.parametrize("timeframe", INTERVALS_S)
def test_candles_of_every_timeframe_are_aligned_and_gapless(watcher, timeframe):
    assert list(watcher.timeframes) == list(INTERVALS_S)
    step_ms = INTERVALS_S[timeframe] * 1000
    rows = watcher.fetch_ohlcv("ETH/USD", timeframe)
    starts = [row[0] for row in rows]
    assert 40 < len(rows) <= 721
    assert all(start % step_ms == 0 for start in starts)
    assert starts == list(range(starts[0], starts[-1] + 1, step_ms))
    assert 0 <= watcher.milliseconds() - starts[-1] < step_ms + 5_000
    assert all(low <= min(start, end) <= max(start, end) <= high for _, start, high, low, end, _ in rows)
    later = watcher.fetch_ohlcv("ETH/USD", timeframe, since=starts[-5])
    assert [row[0] for row in later][:5] == starts[-5:]


# -- orders ----------------------------------------------------------------------------------------------


def test_a_limit_order_from_birth_to_cancellation(maker):
    order = maker.create_order("BTC/USD", "limit", "buy", 0.5, 40_000, {"clientOrderId": "first-1"})
    open_order = maker.fetch_order(order["id"])
    [listed] = maker.fetch_open_orders("BTC/USD")
    told = open_order["info"]
    assert told.pop("reason") is None  # QueryOrders tells it of open orders too
    assert listed == open_order
    assert (open_order["status"], open_order["clientOrderId"]) == ("open", "first-1")
    assert (open_order["price"], open_order["amount"], open_order["filled"]) == (40_000, 0.5, 0)
    funds = maker.fetch_balance()["USD"]
    assert funds["used"] >= 20_000
    assert funds["free"] + funds["used"] == pytest.approx(funds["total"]) == 1_000_000

    maker.edit_order(order["id"], "BTC/USD", "limit", "buy", 0.25, 41_000)
    amended = maker.fetch_order(order["id"])
    assert (amended["price"], amended["amount"], amended["status"]) == (41_000, 0.25, "open")
    assert amended["clientOrderId"] == "first-1"
    assert amended["info"]["misc"] == "amended"

    maker.cancel_order(order["id"])
    assert maker.fetch_open_orders() == []
    closed = maker.fetch_closed_orders()[0]
    assert (closed["id"], closed["status"], closed["filled"]) == (order["id"], "canceled", 0)
    assert closed["info"]["reason"] == "User requested"
    assert maker.fetch_balance()["USD"]["used"] == 0


def test_fees_are_told_by_the_account_not_with_the_markets(maker):
    assert maker.market("BTC/USD")["info"]["fees"] == []
    fee = maker.fetch_trading_fee("BTC/USD")
    assert (fee["taker"], fee["maker"]) == (0.008, 0.004)


def test_two_accounts_trade_and_pay_their_fees(maker, taker):
    resting = maker.create_order("BTC/USD", "limit", "sell", 0.3, 50_000)
    incoming = taker.create_order("BTC/USD", "limit", "buy", 0.1, 50_500)
    bought = taker.fetch_order(incoming["id"])
    assert (bought["status"], bought["filled"], bought["average"]) == ("closed", 0.1, 50_000)
    sold = maker.fetch_order(resting["id"])
    assert (sold["status"], sold["filled"], sold["remaining"]) == ("open", 0.1, 0.2)

    (theirs,), (ours,) = taker.fetch_my_trades("BTC/USD"), maker.fetch_my_trades("BTC/USD")
    assert (theirs["takerOrMaker"], ours["takerOrMaker"]) == ("taker", "maker")
    assert (theirs["order"], ours["order"]) == (incoming["id"], resting["id"])
    assert theirs["info"]["trade_id"] == ours["info"]["trade_id"]
    assert (theirs["cost"], ours["cost"]) == (5_000, 5_000)
    assert theirs["fee"] == {"currency": "USD", "cost": 40}
    assert ours["fee"] == {"currency": "USD", "cost": 20}
    public = taker.fetch_trades("BTC/USD")[-1]
    assert (public["id"], public["price"], public["amount"], public["side"]) == (
        str(theirs["info"]["trade_id"]),
        50_000,
        0.1,
        "buy",
    )
    assert taker.fetch_balance()["BTC"]["total"] == 25.1
    assert taker.fetch_balance()["USD"]["total"] == 994_960
    assert maker.fetch_balance()["USD"]["total"] == 1_004_980


def test_what_becomes_of_each_kind_of_order(maker, taker):
    for price in (50_000, 50_100):
        maker.create_order("BTC/USD", "limit", "sell", 0.1, price)

    def fate(kind, amount, price=None, **params):
        order = taker.create_order("BTC/USD", kind, "buy", amount, price, params)
        order = taker.fetch_order(order["id"])
        return order["status"], order["filled"], order["info"]["reason"]

    assert fate("limit", 0.1, 50_050, postOnly=True) == ("canceled", 0, "Post only order")
    assert fate("limit", 0.3, 50_200, timeInForce="FOK")[:2] == ("canceled", 0)
    assert fate("limit", 0.15, 50_050, timeInForce="IOC")[:2] == ("canceled", 0.1)
    assert fate("market", 0.05) == ("closed", 0.05, None)
    assert fate("limit", 0.05, 50_100, timeInForce="FOK") == ("closed", 0.05, None)
    assert taker.fetch_order_book("BTC/USD")["asks"] == []
    assert fate("market", 0.05)[:2] == ("canceled", 0)


def test_batches_and_mass_cancellation(maker):
    rows = [
        {"symbol": "BTC/USD", "type": "limit", "side": "buy", "amount": 0.01, "price": 30_000 + n}
        for n in range(3)
    ]
    orders = maker.create_orders(rows)
    assert [order["price"] for order in orders] == [30_000, 30_001, 30_002]
    assert {order["id"] for order in maker.fetch_open_orders()} == {order["id"] for order in orders}
    answer = maker.cancel_orders([order["id"] for order in orders[:2]])
    assert answer[0]["info"]["result"] == {"count": 2}
    with pytest.raises(ccxt.InsufficientFunds):
        maker.create_orders([rows[0], rows[1] | {"amount": 1_000}])
    assert [order["price"] for order in maker.fetch_open_orders()].count(30_000) == 1
    assert maker.cancel_all_orders()[0]["info"]["result"] == {"count": 2}
    assert maker.fetch_open_orders() == []


def test_dead_man_s_switch_cancels_when_it_is_not_renewed(maker):
    maker.create_order("BTC/USD", "limit", "buy", 0.01, 30_000)
    answer = maker.cancel_all_orders_after(60_000)["result"]
    assert answer["currentTime"] < answer["triggerTime"]
    assert maker.cancel_all_orders_after(0)["result"]["triggerTime"] == "0"
    maker.cancel_all_orders_after(1_000)
    wait_until(lambda: not maker.fetch_open_orders(), PATIENCE_S, "the switch")
    assert maker.fetch_closed_orders()[0]["status"] == "canceled"


# -- refusals --------------------------------------------------------------------------------------------


def _order(*arguments):
    return lambda exchange: exchange.create_order("BTC/USD", *arguments)


UNKNOWN = "OAAAAA-BBBBB-CCCCCC"
REFUSALS = [
    (_order("limit", "buy", 1_000, 50_000), ccxt.InsufficientFunds, "EOrder:Insufficient funds"),
    (_order("limit", "sell", 1_000, 50_000), ccxt.InsufficientFunds, "EOrder:Insufficient funds"),
    (
        _order("limit", "buy", 0.00001, 50_000),
        ccxt.InvalidOrder,
        "EGeneral:Invalid arguments:volume minimum not met",
    ),
    (
        lambda exchange: exchange.private_post_addorder(
            {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "volume": "0.01", "price": "0"}
        ),
        ccxt.ExchangeError,
        "EOrder:Invalid price",
    ),
    (_order("limit", "buy", 0.01, 1), ccxt.ExchangeError, "EOrder:Cost minimum not met"),
    (_order("nonsense", "buy", 0.01, 5), ccxt.ExchangeError, "EGeneral:Invalid arguments:ordertype"),
    (lambda exchange: exchange.cancel_order(UNKNOWN), ccxt.OrderNotFound, "EOrder:Unknown order"),
    (lambda exchange: exchange.fetch_order(UNKNOWN), ccxt.InvalidOrder, "EOrder:Unknown order"),
    (lambda exchange: exchange.cancel_order("nonsense"), ccxt.InvalidOrder, "EOrder:Invalid order"),
    (lambda exchange: exchange.fetch_ticker("NO/PAIR"), ccxt.BadSymbol, "market symbol NO/PAIR"),
    (
        lambda exchange: exchange.public_get_ticker({"pair": "NOPAIR"}),
        ccxt.ExchangeError,
        "EQuery:Unknown asset pair",
    ),
    (
        lambda exchange: exchange.public_get_assets({"asset": "NOASSET"}),
        ccxt.BadSymbol,
        "EQuery:Unknown asset",
    ),
]


@pytest.mark.parametrize(("call", "error", "text"), REFUSALS)
def test_refusals_become_ccxt_s_exact_exceptions(maker, call, error, text):
    with pytest.raises(ccxt.BaseError) as refused:
        call(maker)
    assert type(refused.value) is error
    assert text in str(refused.value)
    assert maker.fetch_open_orders() == []


def test_a_client_order_id_can_rest_only_once(maker):
    place = _order("limit", "buy", 0.01, 30_000, {"clientOrderId": "twice"})
    order = place(maker)
    with pytest.raises(ccxt.ExchangeError, match="cl_ord_id not unique"):
        place(maker)
    maker.cancel_order(order["id"])
    assert place(maker)["id"] != order["id"]


def test_bad_credentials_are_refused(connected, maker, taker):
    key, secret = maker.apiKey, maker.secret
    maker.secret = taker.secret
    with pytest.raises(ccxt.ExchangeError, match="EAPI:Invalid signature"):
        maker.fetch_balance()
    maker.secret, maker.apiKey = secret, "unknown"
    with pytest.raises(ccxt.AuthenticationError, match="EAPI:Invalid key"):
        maker.fetch_balance()
    maker.apiKey = key
    assert maker.fetch_balance()["BTC"]["total"] == 25


def test_a_nonce_below_the_last_one_is_refused(connected, quiet_venue, maker):
    maker.fetch_balance()
    behind = connected(quiet_venue, apiKey=maker.apiKey, secret=maker.secret)
    behind.nonce = lambda: int(time.time() * 1000) - 60_000
    with pytest.raises(ccxt.InvalidNonce, match="EAPI:Invalid nonce"):
        behind.fetch_balance()
    # Both have one key and count milliseconds, and a call may take less.
    behind.nonce = lambda: behind.milliseconds() + 1_000
