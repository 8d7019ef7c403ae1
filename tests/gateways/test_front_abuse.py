"""Input of every wrong kind gets the venue's error or a clean end, and harms nobody else."""

import asyncio
import json
import logging
import random
from collections.abc import Awaitable, Callable

import pytest

from emulator.gateways import doors
from tests.gateways.sockets import (
    BINARY,
    CLOSE,
    CONTINUATION,
    GET_TIME,
    PING,
    PING_REQUEST,
    PONG,
    TEXT,
    UPGRADE,
    Served,
    masked,
    serving,
)
from tests.gateways.venue import Kraken

HELLO = bytes.fromhex("160301020001000001fc0303") + random.Random(1).randbytes(500)
BAD_ARGUMENTS = {"error": ["EGeneral:Invalid arguments"]}


class Bystander:
    """Another client, with a WebSocket and a REST connection, that must keep being served."""

    def __init__(self, served: Served) -> None:
        self.served = served

    async def start(self) -> None:
        self.socket = await self.served.websocket()
        self.http = await self.served.connect()

    async def check(self) -> None:
        assert (await self.socket.ask("ping"))["method"] == "pong"
        assert (await self.http.get("/0/public/Time"))["error"] == []


def harmless(caplog, act: Callable[[Served], Awaitable[None]]) -> None:
    """Run ``act`` against a venue with a bystander; nothing may be logged, by anybody."""

    async def run() -> None:
        async with serving(Kraken()) as served:
            bystander = Bystander(served)
            await bystander.start()
            await act(served)
            await bystander.check()

    with caplog.at_level(logging.INFO):
        asyncio.run(run())
    assert said(caplog) == []


def said(caplog) -> list[str]:
    """What was logged where a user sees it: the two libraries' own words are kept from him."""
    return [r.getMessage() for r in caplog.records if not r.name.endswith((".core", ".http"))]


# -- HTTP ------------------------------------------------------------------------------------------------


def post(body: bytes, *headers: str, length: str | None = None) -> bytes:
    lines = ["POST /0/private/Balance HTTP/1.1", "Host: api.kraken.com", *headers]
    if length != "":
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


UNFINISHED = [
    b"\r\n\r\n",
    b"GET / HTTP/1.1\nHost: a\n\n",
    b"SSH-2.0-OpenSSH_9.6\r\n",
    post(b"5\r\nabc", "Transfer-Encoding: chunked", length=""),
    post(b"x", length="10"),
]
"""What might still become a request."""
UPGRADING = UPGRADE.format(path="/v2", host="x")
WRONG = [
    (b"\x00", 400),
    (b"\x00\xff" * 100, 400),
    (HELLO, 400),
    (b" GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET\r\n\r\n", 400),
    (b"GET /\r\n\r\n", 404),
    (b"GET / HTTP/9.9\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
    (b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET /0/public/Time%zz%00%ff HTTP/1.1\r\nHost: a\r\n\r\n", 200),
    (b"GET http://[/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: \xff\xfe\r\n\r\n", 404),
    (b"GET / HTTP/1.1\r\nA: " + b"x" * 20_000 + b"\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 5000, 400),
    (b"GET /" + b"x" * 20_000, 400),
    (b"G" * 40_000, 400),
    (b"DANCE / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 404),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    (GET_TIME.replace(b"GET", b"DELETE"), 200),
    (post(b"x", length="-1"), 400),
    (post(b"x", length="abc"), 400),
    (post(b"x", length="1_0"), 400),
    (post(b"x", length="9" * 40), 400),
    (post(b"x", "Content-Length: 5"), 400),
    (post(b"zz\r\nnot chunks", "Transfer-Encoding: chunked", length=""), 200),
    (post(b"x", "Transfer-Encoding: dance", length=""), 400),
    (post(b"\x1f\x8b not gzip", "Content-Encoding: gzip"), 200),
    (post(b"x" * ((1 << 20) + 1)), 413),
    (UPGRADING.replace("13", "12").encode(), 400),
    (UPGRADING.replace("dGhl", "short").encode(), 400),
    (UPGRADING.replace("Sec-WebSocket-Key", "Other").encode(), 400),
    (UPGRADING.replace("Connection: Upgrade", "Connection: close").encode(), 426),
    (UPGRADING.replace("1.1", "1.0", 1).encode(), 505),
    (UPGRADING.replace("Host", "\xff\xfe").encode("latin-1"), 400),
    (UPGRADING.replace("Host", "Host: a\r\n" * 200 + "Host").encode(), 431),
    (UPGRADING.replace("/v2", "/v2 x").encode(), 400),
]
"""Requests that are wrong, and the status they get."""


@pytest.mark.parametrize("used", [False, True], ids=["first", "after a request"])
def test_wrong_http_is_answered_with_an_error_or_ended(caplog, used):
    async def act(served):
        for data, status in WRONG:
            peer = await served.connect()
            if used:
                await peer.get("/0/public/Time")
            peer.send(data)
            if status:
                seen, _, body = await peer.response()
                assert seen == status, data[:60]
                assert status != 200 or b'"error":["EGeneral' in body, data[:60]
            else:
                assert await peer.rest() == b"", data[:60]
            await peer.close()
        for data in UNFINISHED:
            peer = await served.connect()
            peer.send(data)
            peer.writer.write_eof()
            assert await peer.rest() == b""
            await peer.close()

    harmless(caplog, act)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        *((body, "application/json") for body in (b"{", b"[]", b"5", b'"x"', b"\xff", b"NaN", b"{" * 10_000)),
        *(
            (body, "application/json")
            for body in (b'{"a":' * 10_000, b"[" * 60_000, b'{"nonce":1}{"nonce":2}')
        ),
        (b"&".join(b"a%d=1" % n for n in range(3000)), "application/x-www-form-urlencoded"),
    ],
    ids=lambda value: str(value[:12]),
)
def test_unreadable_body_is_an_invalid_argument(caplog, body, kind):
    async def act(served):
        peer = await served.connect()
        for _ in range(2):
            assert await peer.post("/0/private/Balance", body, kind) == BAD_ARGUMENTS
        assert (await peer.get("/0/public/Time"))["error"] == []

    harmless(caplog, act)


@pytest.mark.parametrize(
    "number", ["-1", "9" * 30, "9" * 5000, "1e999", "NaN", "0x10", "%00", "%FF", "[]", "1.5", "+5"]
)
def test_odd_numbers_in_a_query_are_invalid_arguments(caplog, number):
    async def act(served):
        peer = await served.connect()
        for name, path in (("count", "Depth"), ("count", "Trades"), ("interval", "OHLC")):
            answer = await peer.get(f"/0/public/{path}?pair=XBTUSD&{name}={number}")
            assert answer == {"error": [f"EGeneral:Invalid arguments:{name}"]}
        for name, path in (("since", "Trades"), ("since", "OHLC"), ("since", "Spread")):
            answer = await peer.get(f"/0/public/{path}?pair=XBTUSD&{name}={number}")
            assert set(answer["error"]) <= {f"EGeneral:Invalid arguments:{name}"}

    harmless(caplog, act)


def test_request_sent_byte_by_byte_is_answered(caplog):
    async def act(served):
        peer = await served.connect()
        for byte in GET_TIME:
            peer.send(bytes([byte]))
            await asyncio.sleep(0)
        assert (await peer.response())[0] == 200

    harmless(caplog, act)


def test_clients_that_leave_early_are_forgotten(caplog):
    starts = [
        b"",
        b"G",
        GET_TIME[:20],
        GET_TIME,
        post(b"", length="100"),
        UPGRADE.format(path="/v2", host="x").encode(),
    ]

    async def act(served):
        for start in starts:
            for abort in (False, True):
                peer = await served.connect()
                peer.send(start)
                await asyncio.sleep(0.002)
                if abort:
                    peer.writer.transport.abort()
                await peer.close()
        await served.settle(lambda: len(served.front.fronts) == len(served.ws.connections) == 1)

    harmless(caplog, act)


def test_connections_are_counted_and_one_too_many_is_refused(caplog, monkeypatch):
    monkeypatch.setattr(doors, "MOST_CONNECTIONS", 3)
    monkeypatch.setattr(doors, "LOOK_S", 1_000.0)  # nobody is known to wait

    async def run():
        async with serving(Kraken()) as served:
            keepers = [await served.connect() for _ in range(3)]
            for keeper in keepers:
                await keeper.get("/0/public/Time")
            assert await (await served.connect()).rest() == b""
            await keepers[0].close()
            await served.settle(lambda: len(served.front.fronts) == 2)
            assert (await (await served.connect()).get("/0/public/Time"))["error"] == []

    with caplog.at_level(logging.INFO):
        asyncio.run(run())
    assert said(caplog) == ["connection refused: 3 are open"]


# -- WebSocket -------------------------------------------------------------------------------------------


REFUSED = [
    (b"\x81\x05hello", 1002),
    *((masked(b"x", opcode), 1002) for opcode in (3, 7, 11, 15)),
    *((masked(PING_REQUEST, rsv=rsv), 1002) for rsv in (1, 2, 4)),
    (masked(b"x" * 126, PING), 1002),
    (masked(b"x", PING, fin=False), 1002),
    (masked(b"x", CONTINUATION), 1002),
    (masked(b"{", fin=False) + masked(PING_REQUEST), 1002),
    *((b"\x81\xff" + size.to_bytes(8, "big") + b"\0\0\0\0", 1009) for size in (2**20 + 1, 2**62, 2**63)),
    (masked(b"x" * 2**19, fin=False) + masked(b"x" * (2**19 + 1), CONTINUATION), 1009),
    (masked((1000).to_bytes(2, "big"), CLOSE), 1000),
    (masked(b"", CLOSE), 1005),
    (masked(b"x", CLOSE), 1002),
    (masked((1005).to_bytes(2, "big"), CLOSE), 1002),
    (masked((1000).to_bytes(2, "big") + b"\xff", CLOSE), 1007),
    (GET_TIME, 1002),
    (HELLO, 1002),
]


def test_wrong_frames_close_the_connection_with_the_protocols_code(caplog):
    async def act(served):
        for data, code in REFUSED:
            peer = await served.websocket()
            peer.send(masked(PING_REQUEST) + data + masked(PING_REQUEST))
            assert (await peer.message())["req_id"] == 5
            closed = await peer.close_code()
            assert closed == (0 if code == 1005 else code), data[:40]
            await peer.close()

    harmless(caplog, act)


def test_odd_but_lawful_frames_are_served(caplog):
    halves = masked(PING_REQUEST[:9], fin=False) + masked(PING_REQUEST[9:], CONTINUATION)
    around = (
        masked(PING_REQUEST[:9], fin=False) + masked(b"in", PING) + masked(PING_REQUEST[9:], CONTINUATION)
    )

    async def act(served):
        peer = await served.websocket()
        for data in (
            *(
                masked(PING_REQUEST),
                masked(PING_REQUEST, BINARY),
                masked(PING_REQUEST, mask=b"\0\0\0\0"),
                halves,
            ),
            masked(b"".join([b" "] * 200) + PING_REQUEST),
            masked(b" " * 70_000 + PING_REQUEST),
            masked(b" " * (2**20 - len(PING_REQUEST)) + PING_REQUEST),
            masked(b"", fin=False) + masked(PING_REQUEST, CONTINUATION),
            masked(b"late", PONG) + masked(PING_REQUEST),
        ):
            peer.send(data)
            assert (await peer.message())["req_id"] == 5
        peer.send(around)
        assert await peer.frame() == (PONG, b"in")
        assert (await peer.message())["req_id"] == 5
        peer.send(masked(b"") + masked(b"\xff", BINARY) + masked(b"{" * 100_000) + masked(b"", BINARY))
        for _ in range(4):
            assert (await peer.message())["error"] == "Malformed request"
        peer.send(masked(PING_REQUEST) * 500)
        assert [(await peer.message())["req_id"] for _ in range(500)] == [5] * 500

    harmless(caplog, act)


@pytest.mark.parametrize("seed", range(3))
def test_random_bytes_after_the_upgrade_end_in_a_close_or_in_silence(caplog, seed):
    rng = random.Random(seed)

    async def act(served):
        for _ in range(30):
            peer = await served.websocket()
            peer.send(rng.randbytes(rng.randrange(1, 300)))
            await asyncio.sleep(0)
            peer.writer.write_eof()
            assert await peer.close_code() in (0, 1000, 1002, 1007, 1009)
            await peer.close()

    harmless(caplog, act)


@pytest.mark.parametrize("seed", range(3))
def test_random_json_is_always_answered_and_never_ends_the_connection(caplog, seed):
    rng = random.Random(seed)
    names = (
        *(
            "channel",
            "symbol",
            "depth",
            "interval",
            "snapshot",
            "token",
            "order_id",
            "cl_ord_id",
            "order_userref",
        ),
        *("orders", "timeout", "order_type", "side", "order_qty", "limit_price", "deadline", "expire_time"),
        *("time_in_force", "validate", "triggers", "conditional", "stp_type", "display_qty", "event_trigger"),
    )
    methods = (
        *("subscribe", "unsubscribe", "ping", "add_order", "amend_order", "edit_order", "cancel_order"),
        *("cancel_all", "cancel_all_orders_after", "batch_add", "batch_cancel", "dance"),
    )

    async def act(served):
        token = served.kraken.token("alice")
        words = (
            *(
                "BTC/USD",
                "book",
                "ticker",
                "executions",
                "limit",
                "market",
                "buy",
                "gtd",
                "",
                "\ud83d\ude00",
                token,
            ),
            *(
                None,
                True,
                False,
                0,
                1,
                -1,
                10,
                2**31,
                2**63,
                10**40,
                0.1,
                1e300,
                "2026-11-02T10:00:05Z",
                "1e5",
            ),
        )

        def value(depth=0):
            kind = rng.random()
            if kind < 0.7 or depth > 2:
                return rng.choice(words)
            if kind < 0.85:
                return [value(depth + 1) for _ in range(rng.randrange(4))]
            return {rng.choice(names): value(depth + 1) for _ in range(rng.randrange(4))}

        peer = await served.websocket()
        for _ in range(400):
            params = {rng.choice(names): value() for _ in range(rng.randrange(6))}
            if rng.random() < 0.7:
                params |= {"token": token, "symbol": "BTC/USD", "order_id": value()}
            peer.send(masked(json.dumps({"method": rng.choice(methods), "params": params}).encode()))
        peer.send(masked(b'{"method":"ping","req_id":77}'))
        while (await peer.message()).get("req_id") != 77:
            pass

    harmless(caplog, act)


def test_half_open_client_still_gets_its_answers_or_an_end(caplog):
    async def act(served):
        peer = await served.websocket()
        peer.send(masked(PING_REQUEST))
        peer.writer.write_eof()
        opcode, payload = await peer.frame()
        assert opcode == TEXT
        assert json.loads(payload)["req_id"] == 5
        await peer.close_code()
        await peer.close()
        await served.settle(lambda: len(served.ws.connections) == 1)

    harmless(caplog, act)
