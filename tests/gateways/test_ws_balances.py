"""The private ``balances`` channel: totals first, then one ledger entry a message."""

import pytest

from emulator.engine.commands import CancelOrder, Deposit


def subscribe(kraken, client, account, **params):
    ack, *snapshot = client.subscribe("balances", token=kraken.token(account), **params)
    assert ack["success"]
    return snapshot


def test_snapshot_lists_every_asset_with_a_balance_at_its_ledger_decimals(kraken, client):
    kraken.place("dave", "buy", "0.001", "50000")
    [snapshot] = subscribe(kraken, client, "dave")
    assert client.raw[-1] == (
        '{"channel":"balances","type":"snapshot","data":[{"asset":"USD","asset_class":"currency",'
        '"wallets":[{"type":"spot","id":"main","balance":100.0000}],"balance":100.0000}],"sequence":1}'
    )
    assert snapshot["sequence"] == 1


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_fill_gives_two_entries_the_debit_first_that_add_up(kraken, client, side):
    subscribe(kraken, client, "alice")
    order = kraken.place("alice", side, "0.5", "60000")
    assert client.take() == [], "holds are not told"
    kraken.clock.ns += 10**9
    kraken.place("bob", "sell" if side == "buy" else "buy", "0.5", "60000")
    messages = client.take()
    assert [list(message) for message in messages] == [["channel", "type", "data", "sequence"]] * 2
    assert [message["sequence"] for message in messages] == [2, 3]
    debit, credit = (message["data"][0] for message in messages)
    assert list(debit) == [
        *("ledger_id", "ref_id", "timestamp", "type", "asset", "asset_class", "category"),
        *("wallet_type", "wallet_id", "amount", "fee", "balance"),
    ]
    assert debit["ref_id"] == credit["ref_id"] == order.trades[0]
    assert debit["timestamp"] == credit["timestamp"] == "2026-11-02T10:00:01.000000Z"
    for row in (debit, credit):
        fixed = [row[name] for name in ("type", "asset_class", "category", "wallet_type", "wallet_id")]
        assert fixed == ["trade", "currency", "trade", "spot", "main"]
    seen = [[row[name] for name in ("asset", "amount", "fee", "balance")] for row in (debit, credit)]
    if side == "buy":
        assert seen == [
            ["USD", "-30000.0000", "75.0000", "999969925.0000"],
            ["BTC", "0.5000000000", "0.0000000000", "1000000000.5000000000"],
        ]
    else:
        assert seen == [
            ["BTC", "-0.5000000000", "0.0000000000", "999999999.5000000000"],
            ["USD", "30000.0000", "75.0000", "1000029925.0000"],
        ]


def test_deposits_are_told_and_other_accounts_are_not(kraken, client):
    subscribe(kraken, client, "alice")
    kraken.execute(Deposit("bob", "ZUSD", 1))
    kraken.trade("1", "60000")
    assert client.take() == []
    kraken.execute(Deposit("alice", "ZUSD", 10_000))
    [message] = client.take()
    row = message["data"][0]
    assert [row[name] for name in ("type", "amount", "balance")] == ["deposit", "1.0000", "1000000001.0000"]


def test_each_subscription_counts_for_itself_and_alongside_executions(kraken, client):
    other = kraken.client()
    subscribe(kraken, client, "alice")
    client.subscribe("executions", token=kraken.token())
    assert subscribe(kraken, other, "alice", snapshot=False) == []
    for _ in range(2):
        kraken.place("bob", "sell", "0.1", "60000")
        kraken.place("alice", "buy", "0.1", "60000")
    both, single = client.take(), other.take()
    of_balances = [message for message in both if message["channel"] == "balances"]
    of_executions = [message for message in both if message["channel"] == "executions"]
    assert [message["sequence"] for message in of_balances] == [2, 3, 4, 5]
    assert [message["sequence"] for message in of_executions] == list(range(2, 10))
    assert [message["sequence"] for message in single] == [1, 2, 3, 4]
    assert [message["data"] for message in single] == [message["data"] for message in of_balances]


def test_orders_that_do_not_trade_move_no_balance(kraken, client):
    subscribe(kraken, client, "alice")
    order = kraken.place("alice", "buy", "0.1", "60000")
    kraken.execute(CancelOrder(account="alice", txid=order.txid))
    assert client.take() == []
    assert client.result("unsubscribe", channel="balances") == {"channel": "balances"}
    kraken.execute(Deposit("alice", "ZUSD", 10_000))
    assert client.take() == []
