"""Parameters that docs/coverage.md calls taken without effect: the answer is the same without them."""

import pytest

from emulator.gateways.errors import VenueError
from emulator.gateways.offers import iiban
from tests.coverage import reference
from tests.gateways.venue import START_NS, Client, Kraken

ORDER = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "volume": "1", "price": "50000"}
MINIMAL = {
    "AssetPairs": {"pair": "XBTUSD"},
    "QueryOrders": {"txid": "{txid}"},
    "QueryTrades": {"txid": "{trade}"},
    "QueryLedgers": {"id": "{ledger}"},
    "AddOrder": ORDER,
    "AddOrderBatch": {"pair": "XBTUSD", "orders": [ORDER, ORDER]},
    "AmendOrder": {"txid": "{txid}", "order_qty": "2"},
    "EditOrder": {"txid": "{txid}", "pair": "XBTUSD", "price": "49000"},
    "DepositMethods": {"asset": "BTC"},
    "DepositAddresses": {"asset": "BTC", "method": "Bitcoin"},
    "Withdraw": {"asset": "BTC", "key": "btc-wallet", "amount": "1"},
    "AccountTransfer": {"asset": "BTC", "amount": "1", "from": "{from}", "to": "{to}"},
    "TradeVolume": {"pair": "XBTUSD"},
}
"""What a call needs at least; words in braces are filled in."""
VALUES = {
    "country_code": "DE",
    "rebase_multiplier": "base",
    "aclass": "currency",
    "asset_class": "currency",
    "consolidate_taker": "false",
    "trades": "true",
    "fee-info": "true",
    "broker": "AA01 AAAA AAAA AAAA",
    "trading_agreement": "agree",
    "pair": "XBTUSD",
    "cancel_response": "true",
    "cursor": "x",
    "limit": "10",
    "amount": "0.1",
}
CASES = [
    (method, word[1:])
    for table in (reference.PUBLIC, reference.PRIVATE)
    for method, words in table.items()
    for word in words.split()
    if word[0] == "-"
]


def answer(method, **extra):
    """Return what a fresh venue answers."""
    kraken = Kraken()
    order = kraken.place("alice", "buy", "1", "60000")
    kraken.trade("1", "61000")
    account = kraken.engine.accounts["alice" if method != "QueryTrades" else "carol"]
    kraken.private("CreateSubaccount", username="desk", email="a@example.com")
    fill = {"txid": order.txid, "from": iiban("alice"), "to": iiban("desk")}
    fill["trade"] = next(iter(account.trades), "")
    fill["ledger"] = next(iter(account.ledger), "")
    params = {
        name: value.format(**fill) if isinstance(value, str) else value
        for name, value in MINIMAL.get(method, {}).items()
    }
    if method in reference.PUBLIC:
        return kraken.public(method, **params, **extra)
    try:
        return kraken.submit(method, params | extra, account.name)
    except VenueError as error:
        pytest.fail(f"{method}: {error}")


@pytest.mark.parametrize(("method", "name"), CASES)
def test_rest_answers_the_same(method, name):
    assert answer(method, **{name: VALUES[name]}) == answer(method)


@pytest.mark.parametrize(
    ("request_", "extra"),
    [
        ({"method": "subscribe", "channel": "instrument"}, {"include_tokenized_assets": True}),
        ({"method": "subscribe", "channel": "instrument"}, {"execution_venue": "international"}),
        ({"method": "subscribe", "channel": "executions"}, {"rebased": False}),
        ({"method": "subscribe", "channel": "executions"}, {"users": "all"}),
        ({"method": "subscribe", "channel": "balances"}, {"rebased": False, "users": "all"}),
        ({"method": "add_order"}, {"no_mpp": True, "sender_sub_id": "desk-1"}),
        ({"method": "edit_order"}, {"no_mpp": True}),
        ({"method": "amend_order"}, {"symbol": "BTC/USD"}),
    ],
)
def test_websocket_answers_the_same(request_, extra):
    def replies(**more):
        kraken = Kraken()
        client = Client(kraken.gateway)
        order = kraken.place("alice", "buy", "1", "60000")
        params = dict(request_) | more
        method = params.pop("method")
        if method != "subscribe" or params["channel"] != "instrument":
            [key] = [key for key in kraken.ring if key.account == "alice"]
            params["token"] = kraken.venue.tokens.issue(key, START_NS)
        if method == "add_order":
            params |= {"order_type": "limit", "side": "buy", "order_qty": 1, "limit_price": 5000}
            params["symbol"] = "BTC/USD"
        if method in ("edit_order", "amend_order"):
            params |= {"order_id": order.txid, "order_qty": 2}
        if method == "edit_order":
            params["symbol"] = "BTC/USD"
        client.take()
        found = client.ask(method, **params)
        assert found[0]["success"], found
        return found

    assert replies(**extra) == replies()
