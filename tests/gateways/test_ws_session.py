"""WebSocket v2 sessions: envelopes, subscriptions, roles and every refusal."""

import pytest

from emulator.gateways.roles import Role
from tests.gateways.venue import Client

TIMES = {"time_in": "2026-11-02T10:00:00.000000Z", "time_out": "2026-11-02T10:00:00.000000Z"}
PUBLIC_ELSEWHERE = "Public market data subscriptions are unavailable on this endpoint. Try ws.kraken.com"
PRIVATE_ELSEWHERE = "Private data and trading are unavailable on this endpoint. Try ws-auth.kraken.com"
EXECUTIONS_WARNINGS = [
    "cancel_reason is deprecated, use reason",
    "stop_price is deprecated, use triggers.price",
    "trigger is deprecated use triggers.reference",
    "triggered_price is deprecated use triggers.last_price",
]


def test_first_frame_is_the_status(kraken):
    client = Client(kraken.gateway)
    assert client.raw == [
        '{"channel":"status","type":"update","data":[{"version":"2.0.10","system":"online",'
        '"api_version":"v2","connection_id":11754023117765420033,"upcoming_maintenance":[],"emergency":[]}]}'
    ]


def test_ping_is_answered_with_its_req_id_if_it_had_one(client):
    assert client.say('{"method":"ping"}') == [{"method": "pong", **TIMES}]
    assert client.ask("ping", req_id=0) == [{"method": "pong", "req_id": 0, **TIMES}]
    assert list(client.ask("ping", req_id=7)[0]) == ["method", "req_id", "time_in", "time_out"]
    assert client.error("ping", x=1) == "Unsupported field: 'params' for the given msg type: ping"
    assert client.say('{"method":"ping","params":{}}')[0]["success"] is False


@pytest.mark.parametrize("req_id", [0, 1, 2**31, 2**53 + 1, 2**63 - 1])
def test_req_id_is_echoed_digit_for_digit(client, req_id):
    client.say(f'{{"method":"ping","req_id":{req_id}}}')
    assert f'"req_id":{req_id},' in client.raw[-1]


@pytest.mark.parametrize("req_id", ["-1", str(2**63), "1.0", '"7"', "null", "true", "[7]", "{}", "9" * 5000])
def test_other_req_ids_are_left_out_and_the_request_still_answered(client, req_id):
    replies = client.say(f'{{"method":"ping","req_id":{req_id}}}')
    assert len(replies) == 1
    assert "req_id" not in replies[0]


def test_envelope_keys_are_in_alphabetical_order(client):
    done, _ = client.ask("subscribe", req_id=3, channel="book", symbol=["BTC/USD"])
    assert list(done.items()) == [
        ("method", "subscribe"),
        ("req_id", 3),
        ("result", {"channel": "book", "depth": 10, "snapshot": True, "symbol": "BTC/USD"}),
        ("success", True),
        *TIMES.items(),
    ]
    [failed] = client.ask("subscribe", req_id=3, channel="book", symbol=["XBT/USD"])
    assert list(failed.items()) == [
        ("error", "Currency pair not supported XBT/USD"),
        ("method", "subscribe"),
        ("req_id", 3),
        ("success", False),
        ("symbol", "XBT/USD"),
        *TIMES.items(),
    ]
    for reply in (done, failed):
        assert list(reply) == sorted(reply)


# -- odd input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "{",
            "[]",
            "5",
            "null",
            '"ping"',
            "{'method':'ping'}",
            '{"method":"ping"}x',
            "NaN",
            "\x00",
        ),
        *(
            '{"a":' * 5000,
            "[" * 100_000,
            b"\xff\xfe",
            b'{"method":"\xc3"}',
            '{"method":"\\ud800"}',
            "9" * 5000,
        ),
    ],
    ids=lambda text: repr(text[:20]),
)
def test_what_is_no_json_object_is_malformed_and_the_session_goes_on(client, text):
    [reply] = client.say(text)
    assert reply == {"error": "Malformed request", "method": "error", "success": False, **TIMES}
    assert list(reply) == sorted(reply)
    assert client.ask("ping")[0]["method"] == "pong"


@pytest.mark.parametrize(
    "message",
    [
        {"method": "dance"},
        {"method": "Ping"},
        {"method": "", "params": {}},
        {"method": "dance", "reqid": 5},
    ],
)
def test_unknown_method_is_answered_under_the_name_subscribe(client, message):
    [reply] = client.say(message | {"req_id": 5})
    assert reply == {
        "error": "Unsupported event",
        "method": "subscribe",
        "req_id": 5,
        "success": False,
        **TIMES,
    }


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ({}, "Method(s) not found"),
        ({"event": "ping"}, "Method(s) not found"),
        ({"method": None}, "Method(s) not found"),
        ({"method": ["subscribe"]}, "Method field must be a string"),
        ({"method": 5, "params": {}}, "Method field must be a string"),
    ],
    ids=str,
)
def test_request_without_a_method_is_answered_under_the_name_error(client, message, error):
    [reply] = client.say(message | {"req_id": 5})
    assert reply == {"error": error, "method": "error", "req_id": 5, "success": False, **TIMES}


@pytest.mark.parametrize(
    ("method", "words"), [("subscribe", "subscribe"), ("cancel_all", "cancel all"), ("ping", "ping")]
)
def test_what_no_request_has_at_its_top_level_is_refused_with_the_pair_it_names(client, method, words):
    """Recorded in January 2026 of a subscription whose parameters stood at the top."""
    message = {"method": method, "channel": "ticker", "symbol": "ETH/USDC"}
    error = f"Unsupported field: 'channel' for the given msg type: {words}"
    [reply] = client.say(message)
    assert reply == {"error": error, "method": method, "success": False, "symbol": "ETH/USDC", **TIMES}
    assert list(reply) == sorted(reply)
    [reply] = client.say({"method": method, "reqid": 5, "req_id": 6})
    assert reply["error"] == error.replace("channel", "reqid")
    assert (reply["req_id"], "symbol" in reply) == (6, False)


def test_binary_messages_are_read_like_text(client):
    assert client.say(b'{"method":"ping","req_id":1}')[0]["req_id"] == 1


@pytest.mark.parametrize(
    ("message", "error"),
    [
        *(({"params": params}, "Params field must be an object") for params in (None, [], "x", 5, True)),
        ({}, "Channel(s) not found"),
        *(({"params": params}, "Channel(s) not found") for params in ({}, {"channel": None})),
        *(
            ({"params": {"channel": channel}}, "Channel field must be a string")
            for channel in (["book"], {}, 5, 1.5)
        ),
        ({"params": {"channel": "books"}}, "Subscription name invalid"),
    ],
    ids=str,
)
def test_params_that_name_no_channel_are_refused_by_what_is_wrong(client, message, error):
    for method in ("subscribe", "unsubscribe"):
        [reply] = client.say({"method": method} | message)
        assert (reply["error"], reply["method"]) == (error, method)


# -- subscriptions ---------------------------------------------------------------------------------------


def test_each_symbol_has_its_own_ack_in_order_with_the_same_req_id(client):
    symbols = ["ETH/USD", "NOPE/USD", "BTC/USD", "BTCUSD", "SOL/USD"]
    replies = client.ask("subscribe", req_id=9, channel="trade", symbol=symbols)
    assert [(r.get("symbol") or r["result"]["symbol"], r["success"], r["req_id"]) for r in replies] == [
        (symbol, symbol.split("/")[0] in ("ETH", "BTC", "SOL") and "/" in symbol, 9) for symbol in symbols
    ]


def test_acks_come_before_snapshots_and_snapshots_before_updates(kraken, client):
    replies = client.subscribe("book", "BTC/USD", "ETH/USD")
    assert [r.get("method") or r["type"] for r in replies] == [
        "subscribe",
        "subscribe",
        "snapshot",
        "snapshot",
    ]
    kraken.place("bob", "sell", "1", "64000")
    assert [message["type"] for message in client.take()] == ["update"]


@pytest.mark.parametrize(
    ("request_", "result"),
    [
        ({"channel": "ticker"}, {"channel": "ticker", "event_trigger": "trades", "snapshot": True}),
        (
            {"channel": "ticker", "event_trigger": "bbo", "snapshot": False},
            {"channel": "ticker", "event_trigger": "bbo", "snapshot": False},
        ),
        ({"channel": "trade"}, {"channel": "trade", "snapshot": False}),
        ({"channel": "book", "depth": 1000}, {"channel": "book", "depth": 1000, "snapshot": True}),
        (
            {"channel": "ohlc", "interval": 60},
            {
                "channel": "ohlc",
                "interval": 60,
                "snapshot": True,
                "warnings": ["timestamp is deprecated, use interval_begin"],
            },
        ),
    ],
    ids=lambda value: value["channel"],
)
def test_ack_carries_all_parameters_and_can_be_replayed_as_a_request(client, request_, result):
    ack = client.ask("subscribe", symbol=["BTC/USD"], **request_)[0]["result"]
    assert list(ack) == sorted(ack)
    assert ack == result | {"symbol": "BTC/USD"}
    ack.pop("warnings", None)
    ack["symbol"] = [ack["symbol"]]  # python-kraken-sdk does
    assert client.ask("subscribe", **ack)[0]["error"].startswith("Already subscribed")
    left = client.ask("unsubscribe", **ack)
    assert [reply["result"] for reply in left] == [
        {k: v for k, v in ack.items() if k != "snapshot"} | {"symbol": "BTC/USD"}
    ]
    assert client.ask("subscribe", **ack)[0]["result"]["symbol"] == "BTC/USD"


def test_private_acks_can_be_replayed_too(kraken, client):
    token = kraken.token()
    executions = client.result("subscribe", channel="executions", token=token, snap_trades=True)
    assert list(executions.items()) == [
        ("channel", "executions"),
        ("maxratecount", 180),
        ("snap_orders", True),
        ("snap_trades", True),
        ("snapshot", True),
        ("warnings", EXECUTIONS_WARNINGS),
    ]
    balances = client.result("subscribe", channel="balances", token=token)
    assert balances == {"channel": "balances", "snapshot": True}
    for ack in (executions, balances):
        replayed = {k: v for k, v in ack.items() if k not in ("maxratecount", "warnings")}
        assert client.error("subscribe", **replayed, token=token) == "Already subscribed"
        assert client.result("unsubscribe", **replayed, token=token) == {"channel": ack["channel"]}
        assert client.ask("subscribe", **replayed, token=token)[0]["success"]


@pytest.mark.parametrize("channel", ["ticker", "trade", "book", "ohlc"])
def test_second_subscription_is_refused_and_the_first_lives_on(kraken, client, channel):
    client.subscribe(channel, "BTC/USD")
    [reply] = client.subscribe(channel, "BTC/USD")
    assert (reply["error"], reply["symbol"], reply["success"]) == ("Already subscribed", "BTC/USD", False)
    kraken.trade("1", "64000")
    assert {message["channel"] for message in client.take()} == {channel}


def test_one_ohlc_interval_a_symbol_but_several_depths_and_triggers(client):
    assert client.subscribe("ohlc", "BTC/USD", interval=1)[0]["success"]
    [reply] = client.subscribe("ohlc", "BTC/USD", interval=5)
    assert reply["error"] == "Already subscribed to one ohlc interval on this symbol"
    assert reply["symbol"] == "BTC/USD"
    assert client.subscribe("ohlc", "ETH/USD", interval=5)[0]["success"]
    client.ask("unsubscribe", channel="ohlc", symbol=["BTC/USD"], interval=1)
    assert client.subscribe("ohlc", "BTC/USD", interval=5)[0]["success"]
    for depth in (10, 25):
        assert client.subscribe("book", "BTC/USD", depth=depth)[0]["success"]
    for trigger in ("trades", "bbo"):
        assert client.subscribe("ticker", "BTC/USD", event_trigger=trigger)[0]["success"]


def test_unsubscribe_ends_the_updates_of_exactly_what_it_names(kraken, client):
    for depth in (10, 25, 100):
        client.subscribe("book", "BTC/USD", depth=depth)
    [reply] = client.ask("unsubscribe", channel="book", symbol=["BTC/USD"], depth=25)
    assert reply["result"] == {"channel": "book", "depth": 25, "symbol": "BTC/USD"}
    client.take()
    kraken.place("bob", "sell", "1", "64000")
    assert len(client.take()) == 2
    replies = client.ask("unsubscribe", channel="book", symbol=["BTC/USD"])
    assert [reply["result"]["depth"] for reply in replies] == [10, 100]
    kraken.place("bob", "sell", "1", "64000")
    assert client.take() == []


@pytest.mark.parametrize(
    "params",
    [
        {"channel": "book", "symbol": ["BTC/USD"]},
        {"channel": "book", "symbol": ["ETH/USD"], "depth": 25},
        {"channel": "instrument"},
        {"channel": "executions", "token": "any"},
        {"channel": "balances", "token": "any"},
    ],
    ids=str,
)
def test_unsubscribing_from_nothing_is_refused_as_recorded(client, params):
    client.subscribe("book", "ETH/USD")
    [reply] = client.ask("unsubscribe", req_id=4, **params)
    expected = {
        "error": "Subscription Not Found",
        "method": "subscribe",
        "req_id": 4,
        "success": False,
        **TIMES,
    }
    assert reply == expected | ({"symbol": params["symbol"][0]} if "symbol" in params else {})


def test_closed_session_leaves_every_feed(kraken, client):
    for channel in ("book", "trade", "ticker", "ohlc"):
        client.subscribe(channel, "BTC/USD")
    client.subscribe("instrument")
    client.subscribe("executions", token=kraken.token("bob"))
    client.take()
    client.session.close()
    kraken.trade("1", "64000")
    assert client.take() == []
    client.session.close()


# -- refusals --------------------------------------------------------------------------------------------

REFUSALS = [
    ({"channel": "status"}, "Symbol(s) not found"),
    ({"channel": "level3", "symbol": ["BTC/USD"]}, "Token(s) not found"),
    ({"channel": "spread", "symbol": ["BTC/USD"]}, "Subscription name invalid"),
    ({"channel": "book", "symbol": []}, "Symbol(s) not found"),
    *(
        ({"channel": channel, "symbol": symbol}, "Symbol field must be an array")
        for channel in ("book", "ticker", "trade", "ohlc")
        for symbol in ("BTC/USD", None, {}, 5, 1.5, [5], [1.5], [None], [["BTC/USD"]])
    ),
    ({"channel": "ticker"}, "Symbol(s) not found"),
    *(
        ({"channel": "book", "symbol": ["BTC/USD"], "depth": depth}, "Subscription depth not supported")
        for depth in (27, 0, -10, 2**70)
    ),
    ({"channel": "ohlc", "symbol": ["BTC/USD"], "interval": 2}, "Subscription ohlc interval not supported"),
    (
        {"channel": "book", "symbol": ["BTC/USD"], "req_id": 1},
        "Unsupported field: 'req_id' for subscription type: 'book'",
    ),
    (
        {"channel": "trade", "symbol": ["BTC/USD"], "depth": 10},
        "Unsupported field: 'depth' for subscription type: 'trade'",
    ),
    (
        {"channel": "executions", "symbol": ["BTC/USD"]},
        "Unsupported field: 'symbol' for subscription type: 'executions'",
    ),
    ({"channel": "executions"}, "Token(s) not found"),
    ({"channel": "balances", "token": ""}, "Token(s) not found"),
]


@pytest.mark.parametrize(("params", "error"), REFUSALS, ids=[f"{p}" for p, _ in REFUSALS])
def test_request_is_refused_once_and_without_a_symbol(client, params, error):
    [reply] = client.say({"method": "subscribe", "req_id": 8, "params": params})
    assert reply == {"error": error, "method": "subscribe", "req_id": 8, "success": False, **TIMES}
    assert not client.session.joined


@pytest.mark.parametrize("value", ["10", 10.0, True, None, [10]])
def test_number_of_another_json_type_is_refused(client, value):
    for name, channel in (("depth", "book"), ("interval", "ohlc")):
        error = client.error("subscribe", channel=channel, symbol=["BTC/USD"], **{name: value})
        assert error == f"{name.capitalize()} field must be an integer"


@pytest.mark.parametrize(
    ("symbol", "error"),
    [
        ("XBT/USD", "Currency pair not supported XBT/USD"),
        ("XDG/USD", "Currency pair not supported XDG/USD"),
        ("btc/usd", "Currency pair not supported btc/usd"),
        ("BTCUSD", "Currency pair not in ISO 4217-A3 format BTCUSD"),
        ("*", "Currency pair not in ISO 4217-A3 format *"),
        ("BTC/*", "Currency pair not in ISO 4217-A3 format BTC/*"),
        ("", "Currency pair not in ISO 4217-A3 format "),
        ('"\\', 'Currency pair not in ISO 4217-A3 format "\\'),
    ],
)
def test_symbol_is_refused_by_itself_and_named_at_top_level(client, symbol, error):
    reply, good, _ = client.subscribe("book", symbol, "BTC/USD")
    assert (reply["error"], reply["symbol"]) == (error, symbol)
    assert good["success"]


def test_hosts_have_roles(kraken):
    public, private = kraken.client(Role.PUBLIC), kraken.client(Role.PRIVATE)
    token = kraken.token()
    for method in ("subscribe", "unsubscribe"):
        for channel in ("executions", "balances"):
            assert public.error(method, channel=channel, token=token) == PRIVATE_ELSEWHERE
        for channel in ("ticker", "trade", "book", "ohlc", "instrument"):
            [reply] = private.ask(method, channel=channel, symbol=["BTC/USD"])
            assert reply["error"] == PUBLIC_ELSEWHERE
            assert "symbol" not in reply
    assert public.error("add_order", token=token) == PRIVATE_ELSEWHERE
    assert public.ask("subscribe", channel="trade", symbol=["BTC/USD"])[0]["success"]
    assert private.ask("subscribe", channel="balances", token=token)[0]["success"]
    for client in (public, private):
        assert client.ask("ping")[0]["method"] == "pong"


def test_heartbeat_starts_with_the_first_subscribe_request_even_a_refused_one(client):
    client.ask("ping")
    client.say("x")
    assert not client.heartbeat
    client.subscribe("dance")
    assert client.heartbeat


def test_a_request_names_a_symbol_once_and_not_more_than_500(client):
    assert len(client.ask("subscribe", channel="trade", symbol=["BTC/USD"] * 3)) == 1
    assert client.error("subscribe", channel="trade", symbol=["X/Y"] * 501) == "Exceeded msg rate"
