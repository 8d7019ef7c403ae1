"""API-Sign, nonces, and the order in which a private call is checked."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.gateways.keys import ApiKey, KeyRing, demo_credentials, sign
from emulator.gateways.parameters import Params
from emulator.gateways.permissions import allow
from emulator.gateways.spot_rest.session import authenticate
from emulator.gateways.tokens import Tokens
from tests.gateways.venue import Kraken, refused

SECRET = "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg=="
NONCE = "1616492376594"
VECTORS = [
    (
        "/0/private/AddOrder",
        "nonce=1616492376594&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25",
        "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ==",
    ),
    (
        "/0/private/AddOrder",
        '{"nonce": "1616492376594", "ordertype": "limit", "pair": "XBTUSD", "price": 37500, '
        '"type": "buy", "volume": 1.25}',
        "xojekerxRL59CSvi3027oZ1+nMQF0TgqD5QE569qR8tgSJ4tAhoVYVGhSEciXkufsn6foHHVi0N3Utiarvg74w==",
    ),
    (
        "/0/private/CancelOrderBatch",
        '{"nonce":1616492376594,"orders":["OABCDE-12345-FGHIJK","OLMNOP-67890-QRSTUV"]}',
        "OBU7uY9d02BtuWaRbUpA09BV6WlZ2sONepmbzofOuKCZiiZuuXl3BA9NSzQd6KaQNCShiTS1ETPCKw4VhMuyWw==",
    ),
    (
        "/0/private/Balance",
        "nonce=1616492376594",
        "1nH4vwR+8FHiYh1QT649xXkGd3JR3x0DWkgv3u9Ed/Qqv6KPtgQpEU4m+Emb/VgpEji3j1XNwI+HCbfXxmrTOg==",
    ),
]
MOST = (1 << 64) - 1


@pytest.mark.parametrize(("path", "body", "signature"), VECTORS, ids=["form", "json", "compact", "nonce"])
def test_published_signatures_are_reproduced_and_only_they_are_accepted(path, body, signature):
    key = ApiKey("alice", "public", SECRET)
    assert sign(base64.b64decode(SECRET), path, NONCE, body.encode()) == signature
    assert key.signed(path, NONCE, body.encode(), signature)
    assert not key.signed(path, NONCE, body.encode() + b" ", signature)
    assert not key.signed(path + "/", NONCE, body.encode(), signature)
    assert not key.signed(path, "1616492376595", body.encode(), signature)


@pytest.mark.parametrize(("path", "body", "signature"), VECTORS, ids=["form", "json", "compact", "nonce"])
def test_nonce_is_found_in_a_form_and_in_json_as_text_or_number(path, body, signature):
    key = ApiKey("alice", "public", SECRET)
    params = Params.from_body(body.encode(), "application/json" if body[0] == "{" else "")
    assert authenticate(KeyRing([key]), path, "public", signature, body.encode(), params) is key


def taken(window, nonces):
    key = ApiKey("alice", "public", SECRET, nonce_window=window)
    return [key.take_nonce(nonce) for nonce in nonces]


def test_nonce_must_rise_strictly_and_fit_64_bits():
    assert taken(0, [5, 5, 4, 6, MOST + 1, -1, MOST, MOST]) == [
        True,
        False,
        False,
        True,
        False,
        False,
        True,
        False,
    ]
    assert taken(0, [0, 0, 1]) == [True, False, True]


def test_nonce_window_accepts_late_nonces_once_and_down_to_its_edge():
    assert taken(10, [100, 95, 95, 100, 90, 89, 101, 90, 91]) == [
        *(True, True, False, False, True, False),
        *(True, False, True),
    ]


@given(st.integers(0, 20), st.lists(st.integers(0, 60), max_size=60))
def test_no_nonce_is_ever_accepted_twice_nor_below_the_window(window, nonces):
    highest, used = -1, set()
    for nonce, accepted in zip(nonces, taken(window, nonces), strict=True):
        fresh = nonce > highest or (window > 0 and nonce >= highest - window and nonce not in used)
        assert accepted is fresh
        if accepted:
            used.add(nonce)
            highest = max(highest, nonce)


class Caller:
    """Signs private calls with one key."""

    def __init__(self, **options):
        public, self.secret = demo_credentials(1, "alice")
        self.key = ApiKey("alice", public, self.secret, **options)

    def call(self, body, *, nonce=None, public=None, signature=None, path="/0/private/Balance"):
        params = Params.from_query(body)
        nonce = (params.get("nonce") or "") if nonce is None else nonce
        if signature is None:
            signature = sign(base64.b64decode(self.secret), path, nonce, body.encode())
        public = self.key.key if public is None else public
        return authenticate(KeyRing([self.key]), path, public, signature, body.encode(), params)


def test_checks_come_in_the_order_key_signature_nonce():
    caller = Caller()
    assert caller.call("nonce=10") is caller.key
    with refused("EAPI:Invalid key"):
        caller.call("nonce=9", public="nobody", signature="bad")
    with refused("EAPI:Invalid key"):
        caller.call("nonce=9", public="")
    with refused("EAPI:Invalid signature"):
        caller.call("nonce=9", signature="bad")
    with refused("EAPI:Invalid signature"):
        caller.call("nonce=11", signature="")
    with refused("EAPI:Invalid nonce"):
        caller.call("nonce=10")
    assert caller.call("nonce=11") is caller.key


@pytest.mark.parametrize("nonce", ["", "-1", "1.5", "+5", "1e3", "0x10", "٣", str(MOST + 1), "9" * 30, "1 "])
def test_odd_nonce_is_invalid_even_when_well_signed(nonce):
    with refused("EAPI:Invalid nonce"):
        Caller().call(f"nonce={nonce}".replace("+", "%2B"), nonce=nonce)


@pytest.mark.parametrize("signature", ["ÿ", "\udcff", "=", "x" * 10_000])
def test_signature_of_any_characters_is_just_wrong(signature):
    with refused("EAPI:Invalid signature"):
        Caller().call("nonce=1", signature=signature)


def test_wrong_signature_does_not_consume_the_nonce():
    caller = Caller()
    with refused("EAPI:Invalid signature"):
        caller.call("nonce=7", signature="bad")
    assert caller.call("nonce=7") is caller.key


def test_permission_is_needed_of_every_group():
    key = ApiKey("alice", "public", SECRET, permissions=["modify-trades"])
    modify, close = frozenset({"modify-trades"}), frozenset({"close-trades"})
    allow(key, ())
    allow(key, (modify | close,))
    with refused("EGeneral:Permission denied"):
        allow(key, (modify, close))


def test_tokens_are_43_characters_unguessable_from_each_other_and_live_900_seconds():
    kraken, tokens = Kraken(), Tokens(1)
    key = kraken.key()
    first, second = tokens.issue(key, 0), tokens.issue(key, 0)
    assert len(first) == len(second) == 43
    assert first != second
    assert tokens.find(first, 900 * 10**9 - 1).key is key
    assert tokens.find(first, 900 * 10**9) is None
    assert tokens.find("nonsense", 0) is None
