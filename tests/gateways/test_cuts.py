"""Where TCP cuts what a client says does not matter: the same bytes get the same answers."""

import asyncio
import base64
import json
import re
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.gateways.access import OPEN
from emulator.gateways.front import proxy
from emulator.gateways.front.server import Server
from emulator.gateways.http_connection import CONTINUE
from emulator.gateways.keys import demo_credentials, sign
from tests.gateways.cuts import converse, pieces
from tests.gateways.sockets import (
    CLOSE,
    CONTINUATION,
    GET_TIME,
    PING,
    PING_REQUEST,
    UPGRADE,
    masked,
    serving,
)
from tests.gateways.venue import SEED, Kraken

HOST = "Host: api.kraken.com"
UPGRADED = UPGRADE.format(path="/v2", host="x").encode()
ORDER = {"ordertype": "limit", "type": "buy", "pair": "XBTUSD", "volume": "1", "price": "60000"}
GOODBYE = masked((1000).to_bytes(2, "big") + b"bye", CLOSE)


def private(
    method: str, nonce: int, *headers: str, as_json: bool = False, chunks: int = 0, **params: str
) -> bytes:
    """Return a signed call, its body in chunks of a size when one is given."""
    fields = {"nonce": str(nonce), **params}
    body = (json.dumps(fields) if as_json else urlencode(fields)).encode()
    path = f"/0/private/{method}"
    key, secret = demo_credentials(SEED, "alice")
    signature = sign(base64.b64decode(secret), path, str(nonce), body)
    kind = "application/json" if as_json else "application/x-www-form-urlencoded"
    length = "Transfer-Encoding: chunked" if chunks else f"Content-Length: {len(body)}"
    head = [
        f"POST {path} HTTP/1.1",
        HOST,
        f"Content-Type: {kind}",
        f"API-Key: {key}",
        f"API-Sign: {signature}",
    ]
    if chunks:
        parts = [body[at : at + chunks] for at in range(0, len(body), chunks)]
        body = b"".join(b"%x;a=b\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\nA: b\r\n\r\n"
    return "\r\n".join([*head, length, *headers, "", ""]).encode() + body


def chunked_body(body: bytes) -> bytes:
    return private("Balance", 1, chunks=99).partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + body


def with_body(body: bytes, request: bytes = GET_TIME) -> bytes:
    return request[:-2] + b"Content-Length: %d\r\n\r\n" % len(body) + body


FRAMES = (
    masked(PING_REQUEST)
    + masked(b"hello", PING)
    + masked(PING_REQUEST[:9], fin=False)
    + masked(b"", PING)
    + masked(PING_REQUEST[9:], CONTINUATION)
    + masked(b" " * 200 + PING_REQUEST)
)
CONVERSATIONS = {
    "GET": GET_TIME,
    "GET with empty lines before it": b"\r\n\r\n" + GET_TIME,
    "a form": private("AddOrder", 1, **ORDER),
    "JSON": private("AddOrder", 1, as_json=True, **ORDER),
    "chunks": private("AddOrder", 1, chunks=7, **ORDER) + GET_TIME,
    "Expect": private("AddOrder", 1, "Expect: 100-continue", **ORDER),
    "pipelined": private("AddOrder", 1, **ORDER) + GET_TIME + private("CancelAll", 2) + GET_TIME,
    "a body that looks like an upgrade": with_body(UPGRADED) + GET_TIME,
    "a body that ends like a head": with_body(b"x\r\n\r\n") + with_body(b"GET / HTTP/1.1\r\n\r\n") + GET_TIME,
    "a form that looks like an upgrade": private("Balance", 1, a=UPGRADED.decode()) + private("Balance", 2),
    "an upgrade": UPGRADED + FRAMES + GOODBYE,
    "an upgrade behind requests": GET_TIME + private("AddOrder", 1, **ORDER) + UPGRADED + FRAMES,
    "an upgrade to nowhere": UPGRADE.format(path="/nowhere", host="x").encode() + GET_TIME,
    "a bad upgrade": UPGRADED.replace(b"Version: 13", b"Version: 12") + FRAMES,
    "a bad header in an upgrade": UPGRADED.replace(b"Host", b"\xff\xfe") + FRAMES,
    "a good upgrade twice": UPGRADED * 2,
    "an upgrade with a Close behind it": UPGRADED + GOODBYE,
    "an upgrade with a bad frame behind it": UPGRADED + b"\x81\x05hello",
    "no UTF-8": UPGRADED + masked(PING_REQUEST) + masked(b'{"method":"\xff"}'),
    "a fragment that is no UTF-8": UPGRADED
    + masked(b"\xce\xba\xf4", fin=False)
    + masked(b"\x90", CONTINUATION),
    "wrong chunks": chunked_body(b"zz\r\nno chunks") + GET_TIME,
    "wrong chunks behind right ones": chunked_body(b"5\r\nnonce\r\n-1\r\n") + GET_TIME,
    **{
        f"a chunk with {what}": chunked_body(body) + GET_TIME
        for what, body in {
            "a blank behind its size": b"5 \r\nnonce\r\n0\r\n\r\n",
            "a blank before its size": b" 5\r\nnonce\r\n0\r\n\r\n",
            "no end of line": b"5\r\nnonceXX0\r\n\r\n",
            "a zero byte in its extension": b"5;\0\r\nnonce\r\n0\r\n\r\n",
            "a bad trailer behind it": b"5\r\nnonce\r\n0\r\nno colon\r\n\r\n",
        }.items()
    },
    "garbage behind a request": GET_TIME + b"\x00\x01",
    "a wrong length": GET_TIME + with_body(b"").replace(b": 0", b": 0x0") + GET_TIME,
    "a length twice": GET_TIME
    + with_body(b"abc").replace(b"Content", b"Content-Length: 2\r\nContent")
    + GET_TIME,
}
PROXIED = {
    "CONNECT": b"CONNECT api.kraken.com:80 HTTP/1.1\r\nHost: a\r\n\r\n" + GET_TIME,
    "CONNECT and an upgrade": b"CONNECT ws.kraken.com:80 HTTP/1.1\r\n\r\n" + UPGRADED + FRAMES,
    "CONNECT to elsewhere": b"CONNECT example.com:80 HTTP/1.1\r\n\r\n" + GET_TIME,
    "whole URLs": (GET_TIME + private("AddOrder", 1, **ORDER)).replace(b" /0", b" http://api.kraken.com/0"),
    "a whole URL to elsewhere": GET_TIME.replace(b" /0", b" http://example.com/0"),
}
WORDS = {**CONVERSATIONS, **PROXIED}


def heard(name: str, cuts: list[int], turns: int) -> tuple[bytes, bool]:
    """Return what a venue says to a conversation that is cut at these places."""

    async def talk() -> tuple[bytes, bool]:
        kraken = Kraken()

        async def until(_: int) -> None:
            """Nothing takes time."""

        front = Server(kraken.venue, 1, until)
        factory = front.protocols(OPEN)
        if name in PROXIED:
            factory = proxy.protocols(front, OPEN, proxy.places(factory, factory, {}))
        said, over = await converse(factory, pieces(WORDS[name], cuts), turns)
        await front.close()
        kraken.venue.close()
        return said.replace(CONTINUE, b""), over  # who has sent the body already need not hear that

    return asyncio.run(talk())


@pytest.mark.parametrize("name", WORDS)
def test_a_cut_at_any_byte_changes_no_answer(name):
    whole = heard(name, [], 1)
    assert whole[0]
    for cut in range(1, len(WORDS[name])):
        assert heard(name, [cut], 2) == whole, cut


@settings(max_examples=150)
@given(
    st.sampled_from(sorted(WORDS)),
    st.one_of(st.lists(st.integers(1, 900), max_size=12), st.just(list(range(2_000)))),
    st.integers(0, 4),
)
def test_pieces_of_any_size_at_any_pace_change_no_answer(name, cuts, turns):
    assert heard(name, cuts, turns) == heard(name, [], 1)


def test_who_asks_whether_to_send_a_body_is_told_so():
    request = CONVERSATIONS["Expect"]
    head = request.index(b"\r\n\r\n") + 4

    async def talk() -> bytes:
        async with serving(Kraken()) as served:
            peer = await served.connect()
            peer.send(request[:head])
            assert await peer.reader.readexactly(len(CONTINUE)) == CONTINUE
            peer.send(request[head:])
            return (await peer.response())[2]

    assert b'"txid"' in asyncio.run(talk())


def test_what_the_uncut_ones_are_answered():
    """So that what is compared is right as well."""
    said = {name: heard(name, [], 1) for name in WORDS}
    statuses = {
        name: [int(status) for status in re.findall(rb"HTTP/1\.[01] ([0-9]{3})", answer)]
        for name, (answer, _) in said.items()
    }
    assert statuses == {
        **{name: [200] for name in ("GET", "GET with empty lines before it", "a form", "JSON")},
        "chunks": [200, 200],
        "Expect": [200],
        "pipelined": [200] * 4,
        "a body that looks like an upgrade": [200, 200],
        "a body that ends like a head": [200] * 3,
        "a form that looks like an upgrade": [200, 200],
        "an upgrade": [101],
        "an upgrade behind requests": [200, 200, 101],
        "an upgrade to nowhere": [404, 200],
        "a bad upgrade": [400],
        "a bad header in an upgrade": [400],
        "a good upgrade twice": [101],
        "an upgrade with a Close behind it": [101],
        "an upgrade with a bad frame behind it": [101],
        "no UTF-8": [101],
        "a fragment that is no UTF-8": [101],
        "wrong chunks": [200],
        "wrong chunks behind right ones": [200],
        **{name: [200] for name in WORDS if name.startswith("a chunk with")},
        "garbage behind a request": [200, 400],
        "a wrong length": [200, 400],
        "a length twice": [200, 400],
        "CONNECT": [200, 200],
        "CONNECT and an upgrade": [200, 101],
        "CONNECT to elsewhere": [403],
        "whole URLs": [200, 200],
        "a whole URL to elsewhere": [403],
    }
    assert b"\x88\x05\x03\xe8bye" in said["an upgrade with a Close behind it"][0]
    assert b"\x03\xea" in said["an upgrade with a bad frame behind it"][0]
    assert b"\x03\xef" in said["no UTF-8"][0]
    assert b"\x03\xef" in said["a fragment that is no UTF-8"][0]
    ended = {name for name, (_, over) in said.items() if over}
    assert {"an upgrade", "no UTF-8", "a good upgrade twice", "CONNECT to elsewhere"} <= ended
    assert not ended & {"GET", "pipelined", "an upgrade behind requests", "CONNECT"}
