"""Refusals that a developer hunts for say why, to whoever reads the log at ``debug``; never a secret."""

import base64
import hmac
import ipaddress
import json
import logging
from hashlib import sha256

import pytest

from emulator.gateways.access import Entrance
from emulator.gateways.errors import VenueError, explained
from emulator.gateways.keys import ApiKey, KeyRing, demo_credentials, fix_credentials, sign
from emulator.gateways.parameters import Params
from emulator.gateways.permissions import allow
from emulator.gateways.rate_limits import MOST_FAILURES, RateLimits
from emulator.gateways.roles import Role
from emulator.gateways.spot_rest.session import admit, authenticate
from tests.gateways.sockets import UPGRADE, masked, serving
from tests.gateways.test_ws_v1 import V1
from tests.gateways.venue import SEED, START_NS, in_loop

PUBLIC, PRIVATE = demo_credentials(SEED, "alice")
SECRET = base64.b64decode(PRIVATE)
PATH, BODY = "/0/private/Balance", b"nonce=7&asset=XBT"
DIGEST = sha256(b"7" + BODY).digest()


@pytest.fixture(autouse=True)
def log(caplog):
    caplog.set_level(logging.DEBUG, "emulator")
    return caplog


def lines(log) -> list[str]:
    told = [record.getMessage() for record in log.records]
    log.clear()
    return told


def why(function, *arguments, **options) -> str:
    with pytest.raises(VenueError) as caught:
        function(*arguments, **options)
    return explained(caught.value)


def hmac_of(message: bytes, path: str = PATH, secret: bytes = SECRET) -> str:
    return base64.b64encode(hmac.digest(secret, path.encode() + message, "sha512")).decode()


EXPECTED = f"expected of key 'default' of alice is path '{PATH}' + SHA256(nonce '7' + 17 bytes of body)"


@pytest.mark.parametrize(
    ("signature", "slip"),
    [
        ("%%%", "API-Sign is no base64"),
        (hmac.digest(SECRET, b"x", "sha512").hex(), "has 96 bytes: hexadecimal, base64 is meant"),
        (base64.b64encode(DIGEST).decode(), "API-Sign has 32 bytes instead of 64"),
        (hmac_of(DIGEST, "/private/Balance"), "is over path '/private/Balance'"),
        (hmac_of(DIGEST, "Balance"), "is over path 'Balance'"),
        (hmac_of(DIGEST, PATH + "/"), f"is over path '{PATH}/'"),
        (hmac_of(DIGEST, "https://api.kraken.com" + PATH), f"is over path 'https://api.kraken.com{PATH}'"),
        (hmac_of(sha256(BODY).digest()), "is over SHA256(body), without the nonce"),
        (hmac_of(sha256(b"7").digest()), "is over SHA256(nonce), without the body"),
        (hmac_of(sha256(BODY + b"7").digest()), "is over SHA256(body + nonce): the nonce comes first"),
        (hmac_of(b"7" + BODY), "is over nonce + body, without SHA256"),
        (hmac_of(DIGEST.hex().encode()), "is over SHA256 in hexadecimal"),
        (hmac_of(DIGEST, secret=PRIVATE.encode()), "is by the private key as it is written"),
        (hmac_of(DIGEST, secret=b"another"), "is over something else, or by another private key"),
    ],
)
def test_a_bad_signature_is_told_with_what_was_to_be_signed_and_what_was(signature, slip):
    ring, params = KeyRing([ApiKey("alice", PUBLIC, PRIVATE)]), Params.from_query(BODY.decode())
    told = why(authenticate, ring, PATH, PUBLIC, signature, BODY, params)
    assert told.startswith(f"EAPI:Invalid signature ({EXPECTED}; ")
    assert slip in told
    assert PRIVATE not in told


def test_a_signature_or_a_nonce_that_is_not_there_is_told():
    ring = KeyRing([ApiKey("alice", PUBLIC, PRIVATE)])
    told = why(authenticate, ring, PATH, PUBLIC, "", BODY, Params.from_query(BODY.decode()))
    assert told == "EAPI:Invalid signature (there is no API-Sign header)"
    told = why(authenticate, ring, PATH, PUBLIC, "x", b"asset=XBT", Params.from_query("asset=XBT"))
    assert told == "EAPI:Invalid signature (there is no nonce; API-Sign is no base64)"


@pytest.mark.parametrize(
    ("public", "told"),
    [
        ("", "there is no API-Key header"),
        ("nonsense", "no key of this venue is like API-Key, which has 8 characters"),
        (f"'{PUBLIC}'", "API-Key has blanks or quotes around it"),
        (PRIVATE, "API-Key has the private key of key 'default' of alice: the public one is meant"),
        (
            fix_credentials(SEED, "alice")[0],
            "API-Key is the FIX key of alice, which serves FIX only: "
            "REST and WebSocket have key 'default' of alice",
        ),
        (
            fix_credentials(SEED, "carol")[1],
            "API-Key has the private FIX key of carol, which serves FIX only: "
            "REST and WebSocket have none of carol",
        ),
    ],
)
def test_a_key_that_nobody_has_is_told(public, told):
    ring = KeyRing([ApiKey("alice", PUBLIC, PRIVATE)])
    ring.fix = [ApiKey(name, *fix_credentials(SEED, name), name="fix") for name in ("alice", "carol")]
    assert why(authenticate, ring, PATH, public, "x", BODY, Params({})) == f"EAPI:Invalid key ({told})"


@pytest.mark.parametrize(
    ("window", "nonce", "told"),
    [
        (0, "5", "nonce 5 is not above 7, the highest so far of key 'default' of alice"),
        (0, "x5", "nonce 'x5': a whole number of 64 bits without a sign is meant"),
        (0, str(1 << 64), f"nonce '{1 << 64}': a whole number of 64 bits without a sign is meant"),
        (1, "5", "nonce 5 is not above 7, the highest so far of key 'default' of alice: too far below it for "
         "its nonce window of 1, or used before"),
    ],
)  # fmt: skip
def test_a_bad_nonce_is_told_with_the_highest_so_far(window, nonce, told):
    key = ApiKey("alice", PUBLIC, PRIVATE, nonce_window=window)
    key.take_nonce(7)
    body = f"nonce={nonce}".encode()
    signature = sign(SECRET, PATH, nonce, body)
    refusal = why(
        authenticate, KeyRing([key]), PATH, PUBLIC, signature, body, Params.from_query(body.decode())
    )
    assert refusal == f"EAPI:Invalid nonce ({told})"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"disabled": True}, "EAPI:Invalid key (key 'default' of alice is disabled)"),
        ({"valid_until_ns": START_NS - 2 * 10**9}, "EAPI:Invalid key "
         "(key 'default' of alice has ended 2 s ago)"),
        ({"allowed_from": [ipaddress.ip_network("10.0.0.0/8")]}, "EGeneral:Permission denied "
         "(key 'default' of alice may be used from 10.0.0.0/8, not from 127.0.0.1)"),
        ({"otp": "hush"}, "EGeneral:Permission denied "
         "(key 'default' of alice needs a one-time password (otp))"),
    ],
)  # fmt: skip
def test_a_key_that_may_not_be_used_is_told(options, told):
    key = ApiKey("alice", PUBLIC, PRIVATE, **options)
    assert why(admit, key, Params({}), "127.0.0.1", START_NS) == told


def test_a_wrong_one_time_password_is_told_without_it():
    key = ApiKey("alice", PUBLIC, PRIVATE, otp="hush")
    told = why(admit, key, Params({"otp": "loud"}), "127.0.0.1", START_NS)
    assert told == (
        "EGeneral:Permission denied (key 'default' of alice has another one-time password (otp) now)"
    )


def test_permissions_that_are_missing_are_told_with_those_there_are():
    key = ApiKey("alice", PUBLIC, PRIVATE, permissions=["query-funds"])
    needed = (frozenset({"modify-trades", "close-trades"}),)
    assert why(allow, key, needed) == (
        "EGeneral:Permission denied (permission missing: close-trades or modify-trades; "
        "key 'default' of alice has query-funds)"
    )


def test_limits_and_lockouts_are_told():
    limits, tier = RateLimits(), RateLimits()
    for _ in range(MOST_FAILURES):
        limits.authenticated("::1", START_NS, well=False)
    assert "::1 failed 50 times to authenticate; 900 s are left" in why(limits.check_lockout, "::1", START_NS)
    for _ in range(30):
        tier.public("::1", "Time", "", START_NS)
    with pytest.raises(VenueError) as caught:
        tier.public("::1", "Time", "", START_NS)
    assert "(::1 made 30 public calls at once; it regains one a second)" in explained(caught.value)
    assert "VIP status" in why(Entrance(vip=True).check, vip=False)


@in_loop
async def test_refusals_over_rest_are_lines_of_the_log(kraken, log):
    async with serving(kraken) as served:
        peer = await served.connect()
        body = b"nonce=1&otp=hush"
        await peer.post(PATH, body, API_Key=PUBLIC, API_Sign=PRIVATE)
        [line] = lines(log)
        assert line.startswith(
            f"POST '{PATH}' of 127.0.0.1 refused: EAPI:Invalid signature (expected of key "
        )
        assert "+ SHA256(nonce '1' + 16 bytes of body)" in line
        assert PRIVATE not in line
        assert "hush" not in line
        cases = {
            "/0/private/Balanse": "EGeneral:Unknown method (unknown method 'Balanse', did you mean 'Balance'",
            "/0/public/Balance": "EGeneral:Unknown method (Balance is not under /0/public/)",
            "/0/public/OHLC?pair=XBTUSD": None,
            "/0/public/OHLC": "EGeneral:Invalid arguments:pair (it is missing; there are: none)",
            "/0/public/OHLC?pair=XBTUSD&interval=x": "arguments:interval ('x': a whole number is meant)",
        }
        for path, told in cases.items():
            await peer.post(path, b"") if "private" in path else await peer.get(path)
            said = lines(log)
            assert not said if told is None else told in said[0], (path, said)
        await peer.get("/0/private/Balance")
        assert "(Balance is called by POST, not by GET)" in lines(log)[0]
        await peer.post("/0/public/Depth", b'{"pair": ', "application/json")
        assert "(the body of 9 bytes, application/json, is not JSON: " in lines(log)[0]
        await peer.post("/0/public/Depth", b"[1]", "application/json")
        assert "(the body is JSON, but no object)" in lines(log)[0]
        peer.send(b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n")
        await peer.response()
        assert "'/ws' of 127.0.0.1 refused: 404 (there are REST below /0/public/" in lines(log)[0]


def test_refusals_over_websocket_v2_are_lines_of_the_log(kraken, client, log):
    token, poor = kraken.token(), kraken.token(permissions=["query-funds"])
    order = {"order_type": "limit", "side": "buy", "order_qty": 1, "symbol": "BTC/USD", "limit_price": 1}
    cases = [
        ("{", "'a message' refused: Malformed request (1 bytes: Input data was truncated)"),
        ("[]", "'a message' refused: Malformed request (2 bytes: it is JSON, but no object)"),
        ({"method": "subscirbe"}, "'subscribe' refused: Unsupported event (unknown method 'subscirbe', "),
        (
            {"method": "subscribe", "params": {"channel": "tiker"}},
            "unknown channel 'tiker', did you mean 'ticker'",
        ),
        (
            {"method": "subscribe", "params": {"channel": "book", "symbol": ["BTC/USD"], "depth": 7}},
            "Subscription depth not supported (depth 7; there are: 10, 25, 100, 500, 1000)",
        ),
        (
            {"method": "subscribe", "params": {"channel": "executions", "token": "no such one"}},
            "'subscribe executions' refused: ESession:Invalid session (no token of this venue has these 11 ",
        ),
        (
            {"method": "subscribe", "params": {"channel": "executions", "token": poor}},
            "permission missing: query-open-trades; key 'default' of alice has query-funds)",
        ),
        (
            {"method": "subscribe", "params": {"channel": "level3", "symbol": ["BTC/USD"], "token": poor}},
            "permission missing: query-open-trades; key 'default' of alice has query-funds)",
        ),
        ({"method": "add_order", "params": order}, "Token(s) not found (there is no token in the request"),
        (
            {"method": "add_order", "params": {**order, "token": poor}},
            "'add_order' refused: EGeneral:Permission denied (permission missing: modify-trades; key ",
        ),
        (
            {"method": "cancel_order", "params": {"order_id": ["x"], "token": token}},
            "'cancel_order' refused: EOrder:Invalid order",
        ),
    ]  # fmt: skip
    for message, told in cases:
        client.say(message)
        [line] = lines(log)
        assert line.startswith("WebSocket v2 connection 11754023117765420033 of 127.0.0.1:40312: ")
        assert told in line
        assert token not in line
        assert poor not in line
    kraken.wait(901)
    client.ask("cancel_all", token=token)
    assert "the token of alice is 901 s old, and was to be used within 900 s" in lines(log)[0]
    client.ask("ping")
    assert lines(log) == []


def test_refusals_over_websocket_v1_are_lines_of_the_log(kraken, log):
    client, token, poor = V1(kraken), kraken.token(), kraken.token(permissions=["query-funds"])
    cases = [
        (b"{", "'a message' refused: Malformed request (1 bytes: Input data was truncated)"),
        (
            {"event": "subscirbe"},
            "'subscirbe' refused: Unsupported event (unknown event 'subscirbe', did you",
        ),
        ({"event": "subscribe", "subscription": {"name": "tiker"}}, "unknown channel 'tiker', did you mean"),
        (
            {"event": "subscribe", "pair": ["XBT/USD"], "subscription": {"name": "book", "depth": 7}},
            "Subscription depth not supported (depth 7; there are: 10, 25, 100, 500, 1000)",
        ),
        (
            {"event": "subscribe", "subscription": {"name": "openOrders", "token": "no such one"}},
            "'subscribe' refused: ESession:Invalid session (no token of this venue has these 11 characters",
        ),
        ({"event": "cancelAll"}, "'cancelAll' refused: ESession:Invalid session (there is no token in the"),
        ({"event": "cancelAll", "token": poor}, "permission missing: close-trades or modify-trades; key "),
        ({"event": "cancelOrder", "token": token, "txid": ["x"]}, "'cancelOrder' refused: EOrder:"),
        ({"event": "cancelAll", "token": token, "all": 1}, "'cancelAll' refused: Unsupported field: 'all'"),
    ]
    for message, told in cases:
        client.say(message)
        [line] = lines(log)
        assert line.startswith("WebSocket v1 connection 17843232920108168701 of 127.0.0.1:40311: ")
        assert told in line
        assert token not in line
        assert poor not in line


def test_nothing_is_looked_for_while_nobody_reads(kraken, client, log, monkeypatch):
    log.set_level(logging.INFO, "emulator")
    monkeypatch.setattr("emulator.gateways.reasons.of_permissions", None)
    monkeypatch.setattr("emulator.gateways.tokens.Tokens.fault", None)
    poor = kraken.token(permissions=["query-funds"])
    assert client.error("cancel_all", token=poor) == "EGeneral:Permission denied"
    assert client.error("cancel_all", token="x") == "ESession:Invalid session"
    assert lines(log) == []


def test_a_format_in_what_a_client_says_is_just_text(client, log):
    client.say(json.dumps({"method": "{0.__class__}%s"}))
    assert "refused: Unsupported event (unknown method '{0.__class__}%s'; " in lines(log)[0]


@in_loop
async def test_no_two_websockets_have_the_same_id_and_the_log_tells_where_each_is_from(kraken, log):
    ids = set()
    async with serving(kraken) as served:
        for path in ("/", "/v2", "/", "/v2"):
            peer = await served.connect()
            peer.send(UPGRADE.format(path=path, host="localhost").encode())
            await peer.response()
            state = await peer.message()
            ids.add(state["connectionID"] if path == "/" else state["data"][0]["connection_id"])
            peer.send(masked(b"{"))
            await peer.message()
            host, port = peer.writer.get_extra_info("sockname")[:2]
            assert f" of {host}:{port}: 'a message' refused: Malformed request" in lines(log)[-1]
    assert len(ids) == 4


def test_hosts_without_private_data_say_where_it_is(kraken, log):
    kraken.client(Role.PUBLIC).ask("add_order")
    assert "Try ws-auth.kraken.com" in lines(log)[0]
