"""The private ``executions`` channel: which events, in which order, with which keys, to whom."""

import pytest

from emulator.engine.commands import AmendOrder, CancelOrder
from emulator.engine.orders import SelfTrade, TimeInForce
from emulator.gateways.keys import PERMISSIONS
from tests.gateways.venue import START_NS, Client, in_loop, refused

NOW = "2026-11-02T10:00:00.000000Z"
LIMIT = {"order_type": "limit", "side": "buy", "symbol": "BTC/USD", "order_qty": 0.5, "limit_price": 60000}


class Listener:
    """Alice's ``executions``, checked for its envelope and sequence."""

    def __init__(self, kraken, client: Client, account="alice", **params):
        self.client = client
        self.token = kraken.token(account)
        replies = client.subscribe("executions", token=self.token, **params)
        assert replies[0]["success"], replies
        self.snapshot = replies[1]["data"] if len(replies) > 1 else None
        self._sequence = len(replies) - 1
        assert [reply["sequence"] for reply in replies[1:]] == [1] * (len(replies) - 1)

    def rows(self, messages=None):
        rows = []
        for message in self.client.take() if messages is None else messages:
            self._sequence += 1
            assert list(message) == ["channel", "type", "data", "sequence"]
            assert (message["channel"], message["type"]) == ("executions", "update")
            assert message["sequence"] == self._sequence, "contiguous"
            assert len(message["data"]) == 1, "one row a message"
            rows += message["data"]
        return rows

    def kinds(self):
        return [row["exec_type"] for row in self.rows()]


@pytest.fixture
def listener(kraken, client):
    return Listener(kraken, client)


def test_all_that_one_command_does_is_one_write(kraken, listener):
    client = listener.client
    client.subscribe("balances", token=listener.token)
    kraken.place("bob", "sell", "0.1", "64000.1")
    client.take()
    before = client.writes
    kraken.place("alice", "buy", "0.1", "64000.1")
    channels = [message["channel"] for message in client.take()]
    assert channels == ["executions"] * 3 + ["balances"] * 2 + ["executions"]
    assert client.writes == before + 1


# -- rows ------------------------------------------------------------------------------------------------


def test_life_of_a_limit_order_that_is_hit_in_full(kraken, listener):
    order = kraken.place("alice", "sell", "0.1", "64000.1")
    pending, new = listener.rows()
    assert list(pending.items()) == [
        ("order_id", order.txid),
        ("symbol", "BTC/USD"),
        ("order_qty", "0.10000000"),
        ("cum_cost", "0.00000"),
        ("time_in_force", "GTC"),
        ("exec_type", "pending_new"),
        ("side", "sell"),
        ("order_type", "limit"),
        ("order_userref", 0),
        ("limit_price_type", "static"),
        ("limit_price", "64000.1"),
        ("stop_price", "0.0"),
        ("order_status", "pending_new"),
        ("fee_usd_equiv", "0.00000"),
        ("fee_ccy_pref", "fciq"),
        ("timestamp", NOW),
    ]
    assert list(new.items()) == [
        *(("timestamp", NOW), ("order_status", "new"), ("exec_type", "new")),
        *(("order_userref", 0), ("order_id", order.txid)),
    ]
    kraken.clock.ns += 5_200_000_000
    kraken.place("bob", "buy", "0.1", "64000.1")
    trade, filled = listener.rows()
    then = "2026-11-02T10:00:05.200000Z"
    assert list(trade.items()) == [
        ("order_id", order.txid),
        ("order_userref", 0),
        ("exec_id", order.trades[0]),
        ("exec_type", "trade"),
        ("trade_id", 1),
        ("symbol", "BTC/USD"),
        ("side", "sell"),
        ("last_qty", "0.10000000"),
        ("last_price", "64000.1"),
        ("liquidity_ind", "m"),
        ("cost", "6400.01000"),
        ("order_type", "limit"),
        ("timestamp", then),
        ("order_status", "partially_filled"),
        ("cum_qty", "0.10000000"),
        ("cum_cost", "6400.01000"),
        ("avg_price", "64000.1"),
        ("fee_usd_equiv", "16.00003"),
        ("fees", [{"asset": "USD", "qty": "16.00003"}]),
    ]
    assert list(filled.items()) == [
        *(("timestamp", then), ("order_status", "filled"), ("exec_type", "filled")),
        *(("cum_qty", "0.10000000"), ("cum_cost", "6400.01000"), ("fee_usd_equiv", "16.00003")),
        *(("avg_price", "64000.1"), ("order_userref", 0), ("order_id", order.txid)),
    ]


def test_row_of_a_canceled_order_gives_the_reason_twice(kraken, listener):
    order = kraken.place("alice", "buy", "0.1", "60000", cl_ord_id="mine", post_only=True)
    assert [row["post_only"] for row in listener.rows()] == [True, True]
    kraken.execute(CancelOrder(account="alice", txid=order.txid))
    [row] = listener.rows()
    assert list(row.items()) == [
        *(("timestamp", NOW), ("order_status", "canceled"), ("exec_type", "canceled")),
        *(("cum_qty", "0.00000000"), ("cum_cost", "0.00000"), ("fee_usd_equiv", "0.00000")),
        *(("avg_price", "0.0"), ("cl_ord_id", "mine"), ("post_only", True)),
        *(("cancel_reason", "User requested"), ("reason", "User requested"), ("order_id", order.txid)),
    ]


def test_row_of_an_amended_order_tells_its_new_terms(kraken, listener):
    order = kraken.place("alice", "buy", "0.1", "60000", userref=-3)
    listener.rows()
    kraken.execute(AmendOrder(account="alice", txid=order.txid, qty=20_000_000, price=590_000))
    [row] = listener.rows()
    assert list(row.items()) == [
        *(("timestamp", NOW), ("exec_type", "amended"), ("order_status", "new")),
        *(("cum_qty", "0.00000000"), ("reason", "User requested"), ("amended", True)),
        *(("order_qty", "0.20000000"), ("limit_price", "59000.0"), ("limit_price_type", "static")),
        *(("order_userref", -3), ("order_id", order.txid)),
    ]


@pytest.mark.parametrize(
    ("ids", "echo"),
    [
        ({}, ("order_userref", 0)),
        ({"userref": 7}, ("order_userref", 7)),
        ({"cl_ord_id": "a"}, ("cl_ord_id", "a")),
    ],
)
def test_every_row_of_an_order_carries_the_id_it_was_given_and_no_other(kraken, listener, ids, echo):
    kraken.place("bob", "sell", "0.1", "60000")
    order = kraken.place("alice", "buy", "0.3", "60000", **ids)
    kraken.execute(AmendOrder(account="alice", txid=order.txid, qty=20_000_000))
    kraken.execute(CancelOrder(account="alice", txid=order.txid))
    rows = listener.rows()
    assert [row["exec_type"] for row in rows] == ["pending_new", "new", "trade", "amended", "canceled"]
    for row in rows:
        assert row["order_id"] == order.txid
        assert {k: v for k, v in row.items() if k in ("order_userref", "cl_ord_id")} == dict([echo])
        full = row["exec_type"] in ("pending_new", "trade")
        assert all((name in row) is full for name in ("symbol", "side", "order_type"))


def test_fee_in_base_is_valued_in_usd_with_all_its_digits(kraken, listener):
    kraken.place("bob", "sell", "0.001", "60000")
    kraken.place("alice", "buy", "0.001", "60000", fee_in_base=True)
    rows = listener.rows()
    assert rows[0]["fee_ccy_pref"] == "fcib"
    assert rows[2]["fees"] == [{"asset": "BTC", "qty": "0.00000400"}]
    assert rows[2]["fee_usd_equiv"] == rows[3]["fee_usd_equiv"] == "0.24000"


def test_numbers_have_the_decimals_of_their_pair(kraken, listener):
    kraken.place("bob", "sell", "20", "0.0000123", pair="DOTXBT")
    kraken.place("alice", "buy", "20", "0.0000123", pair="DOTXBT")
    trade = listener.rows()[2]
    numbers = [trade[name] for name in ("last_qty", "last_price", "cost", "avg_price")]
    assert numbers == ["20.00000000", "0.00001230", "0.0002460000", "0.00001230"]


# -- flows -----------------------------------------------------------------------------------------------


@in_loop
async def test_order_of_events_in_each_flow(kraken, listener):
    def flow(*args, **terms):
        order = kraken.place("alice", *args, **terms)
        return listener.kinds(), order

    for price in ("60000", "60001"):
        kraken.place("bob", "sell", "0.1", price)
    assert flow("buy", "0.2")[0] == ["pending_new", "new", "trade", "trade", "filled"]
    kraken.place("bob", "sell", "0.1", "60000")
    assert flow("buy", "0.2", "60000", tif=TimeInForce.IOC)[0] == ["pending_new", "new", "trade", "canceled"]
    kraken.place("bob", "sell", "0.1", "60000")
    assert flow("buy", "0.2", "60000", tif=TimeInForce.FOK)[0] == ["pending_new", "new", "canceled"]
    assert flow("buy", "0.2", "60000", post_only=True)[0] == ["pending_new", "canceled"]
    kinds, resting = flow("buy", "0.2", "60000")
    assert kinds == ["pending_new", "new", "trade"]
    kraken.execute(AmendOrder(account="alice", txid=resting.txid, qty=5_000_000))
    assert listener.kinds() == ["amended", "canceled"]
    kinds, iceberg = flow("sell", "0.3", "61000", display="0.1")
    kraken.place("bob", "buy", "0.1", "61000")
    rows = listener.rows()
    assert [row["exec_type"] for row in rows] == ["trade", "iceberg_refill"]
    assert rows[1]["display_qty_remain"] == "0.10000000"
    assert flow("buy", "0.1", "61000", self_trade=SelfTrade.CANCEL_OLDEST)[0] == [
        "pending_new",
        "new",
        "canceled",
    ]
    expires = {"tif": TimeInForce.GTD, "expire_ns": START_NS + 10**9}
    kinds, _ = flow("buy", "0.1", "50000", **expires)
    kraken.wait(1)
    assert listener.kinds() == ["expired"]
    kraken.venue.close()
    assert iceberg.status.value == "canceled"


def test_response_comes_before_the_events_for_the_requester(kraken, client, listener):
    kraken.place("bob", "sell", "0.5", "60000")
    for method, params in (
        ("add_order", LIMIT | {"cl_ord_id": "a"}),
        ("add_order", LIMIT | {"cl_ord_id": "b"}),
        ("amend_order", {"cl_ord_id": "b", "order_qty": 0.4}),
        ("cancel_order", {"cl_ord_id": ["b"]}),
        (
            "batch_add",
            {"symbol": "BTC/USD", "orders": [{k: v for k, v in LIMIT.items() if k != "symbol"}] * 2},
        ),
        ("cancel_all", {}),
    ):
        reply, *events = client.ask(method, token=listener.token, **params)
        assert reply["success"], reply
        assert reply["method"] == method
        assert listener.rows(events)


def test_every_connection_of_the_account_hears_and_no_other_does(kraken, client, listener):
    second = Listener(kraken, kraken.client())
    bobs = Listener(kraken, kraken.client(), "bob")
    kraken.private("AddOrder", ordertype="limit", type="buy", volume="0.5", pair="XBTUSD", price="60000")
    assert listener.kinds() == second.kinds() == ["pending_new", "new"]
    assert bobs.kinds() == []
    client.ask("add_order", token=listener.token, **LIMIT)
    assert second.kinds() == ["pending_new", "new"]
    second.client.session.close()
    client.ask("cancel_all", token=listener.token)
    assert second.client.take() == []


def test_fill_against_an_order_placed_over_rest_shows_up(kraken, client, listener):
    [txid] = kraken.private(
        "AddOrder", ordertype="limit", type="buy", volume="0.5", pair="XBTUSD", price="60000"
    )["txid"]
    listener.rows()
    kraken.client().ask("add_order", token=kraken.token("bob"), **LIMIT | {"side": "sell"})
    assert [(row["exec_type"], row["order_id"]) for row in listener.rows()] == [
        ("trade", txid),
        ("filled", txid),
    ]


def test_without_order_status_only_trades_and_the_four_transitions_are_told(kraken, client):
    listener = Listener(kraken, client, order_status=False)
    order = kraken.place("alice", "buy", "0.5", "60000", display="0.1")
    kraken.execute(AmendOrder(account="alice", txid=order.txid, qty=40_000_000))
    kraken.place("bob", "sell", "0.1", "60000")
    kraken.execute(CancelOrder(account="alice", txid=order.txid))
    assert listener.kinds() == ["new", "trade", "canceled"]


# -- snapshots -------------------------------------------------------------------------------------------


def test_empty_snapshot_still_starts_the_sequence(kraken, client):
    _, snapshot = client.subscribe("executions", token=kraken.token("dave"))
    assert client.raw[-1] == '{"channel":"executions","type":"snapshot","data":[],"sequence":1}'
    assert snapshot["data"] == []


def test_snapshot_shows_open_orders_with_what_they_have_done(kraken, client):
    order = kraken.place("alice", "buy", "0.5", "60000")
    kraken.place("bob", "sell", "0.2", "60000")
    kraken.execute(AmendOrder(account="alice", txid=order.txid, qty=40_000_000))
    kraken.place("alice", "buy", "0.1", "59000", cl_ord_id="mine")
    partly, fresh = Listener(kraken, client).snapshot
    assert (partly["exec_type"], partly["order_status"], partly["amended"]) == (
        "new",
        "partially_filled",
        True,
    )
    numbers = [partly[name] for name in ("order_qty", "cum_qty", "cum_cost", "avg_price", "fee_usd_equiv")]
    assert numbers == ["0.40000000", "0.20000000", "12000.00000", "60000.0", "30.00000"]
    assert (fresh["exec_type"], fresh["order_status"], fresh["cl_ord_id"]) == ("new", "new", "mine")
    assert "amended" not in fresh


def test_snapshot_of_trades_holds_the_last_fifty_after_the_orders(kraken, client):
    for _ in range(60):
        kraken.trade("0.1", "60000")
    kraken.place("carol", "buy", "0.1", "59000")
    rows = Listener(kraken, client, "carol", snap_trades=True).snapshot
    assert [row["exec_type"] for row in rows] == ["new"] + ["trade"] * 50
    assert [row["trade_id"] for row in rows[1:]] == list(range(11, 61))
    assert {row["order_status"] for row in rows[1:]} == {"filled"}
    assert not {"cum_qty", "cum_cost", "avg_price"} & rows[1].keys()
    only = Listener(kraken, kraken.client(), "carol", snap_orders=False, snap_trades=True).snapshot
    assert {row["exec_type"] for row in only} == {"trade"}
    older = Listener(kraken, kraken.client(), "carol", snapshot=False, snapshot_trades=True).snapshot
    assert older == only


def test_without_any_snapshot_updates_start_the_sequence(kraken, client):
    listener = Listener(kraken, client, snap_orders=False)
    assert listener.snapshot is None
    kraken.place("alice", "buy", "0.5", "60000")
    assert listener.kinds() == ["pending_new", "new"]


def test_sequence_restarts_with_a_new_subscription(kraken, client, listener):
    kraken.place("alice", "buy", "0.5", "60000")
    client.ask("unsubscribe", channel="executions", token=listener.token)
    kraken.place("alice", "buy", "0.5", "60000")
    assert client.take() == []
    assert len(Listener(kraken, client).snapshot) == 2


# -- tokens ----------------------------------------------------------------------------------------------


def test_bad_token_is_refused_in_the_recorded_form(kraken, client):
    for channel in ("executions", "balances"):
        [reply] = client.ask("subscribe", req_id=2, channel=channel, token="nonsense")
        assert list(reply.items()) == [
            *(("channel", channel), ("error", "ESession:Invalid session"), ("method", "subscribe")),
            *(("req_id", 2), ("status", "error"), ("success", False), ("time_in", NOW), ("time_out", NOW)),
        ]


def test_token_expires_after_900_seconds_unless_a_subscription_keeps_it_alive(kraken, client, listener):
    idle = kraken.token()
    kraken.clock.ns += 900 * 10**9 - 1
    assert client.ask("add_order", token=idle, validate=True, **LIMIT)[0]["success"]
    kraken.clock.ns += 1
    assert client.error("add_order", token=idle, **LIMIT) == "ESession:Invalid session"
    assert client.ask("add_order", token=listener.token, validate=True, **LIMIT)[0]["success"]
    other = kraken.client()
    assert other.subscribe("balances", token=listener.token)[0]["success"]
    client.session.close()
    assert other.ask("add_order", token=listener.token, validate=True, **LIMIT)[0]["success"]
    other.session.close()
    assert kraken.client().error("cancel_all", token=listener.token) == "ESession:Invalid session"


@pytest.mark.parametrize(
    ("channel", "needed"), [("executions", "query-open-trades"), ("balances", "query-funds")]
)
def test_private_channels_need_their_permission(kraken, client, channel, needed):
    token = kraken.token(permissions=PERMISSIONS - {needed})
    assert client.error("subscribe", channel=channel, token=token) == "EGeneral:Permission denied"
    token = kraken.token(permissions={needed})
    assert client.ask("subscribe", channel=channel, token=token)[0]["success"]


def test_amended_row_tells_what_was_true_before_the_fills_it_leads_to(kraken, listener):
    kraken.place("bob", "sell", "1", "60000")
    order = kraken.place("alice", "buy", "0.5", "50000")
    listener.rows()
    kraken.private("AmendOrder", txid=order.txid, limit_price="60000")
    rows = listener.rows()
    assert [row["exec_type"] for row in rows] == ["amended", "trade", "filled"]
    assert (rows[0]["order_status"], rows[0]["cum_qty"], rows[0]["limit_price"]) == (
        "new",
        "0.00000000",
        "60000.0",
    )


def test_market_order_with_a_far_expiry_is_heard_of(kraken, listener):
    kraken.place("bob", "sell", "1", "60000")
    order = {"ordertype": "market", "type": "buy", "volume": "0.1", "pair": "XBTUSD"}
    kraken.private("AddOrder", expiretm="1795384645000", **order)
    assert listener.kinds() == ["pending_new", "new", "trade", "filled"]


@in_loop
async def test_expiry_means_good_till_date_and_fits_no_other_time_in_force(kraken):
    order = {"ordertype": "limit", "type": "buy", "volume": "1", "pair": "XBTUSD", "price": "100"}
    with refused("EGeneral:Invalid arguments:expiretm"):
        kraken.private("AddOrder", timeinforce="GTC", expiretm="+60", **order)
    [txid] = kraken.private("AddOrder", expiretm="+60", **order)["txid"]
    assert kraken.private("OpenOrders")["open"][txid]["time_in_force"] == "gtd"
    kraken.venue.close()
