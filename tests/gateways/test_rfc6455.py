"""RFC 6455 case by case, where the Autobahn suite cannot be had (``make autobahn``): its groups, strictly.

What is sent behind the handshake in one piece and byte by byte, and the frames that come back.
"""

import asyncio
from collections.abc import Iterator
from itertools import count

import pytest

from tests.autobahn.echo import Server
from tests.gateways.cuts import Pipe
from tests.gateways.sockets import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, UPGRADE, masked

HANDSHAKE = UPGRADE.format(path="/", host="x").encode()
KOSME = "κόσμε".encode()
Said = list[tuple[int, bytes]]


def closing(code: int, reason: bytes = b"") -> bytes:
    return code.to_bytes(2, "big") + reason


def piece(payload: bytes, opcode: int = CONTINUATION) -> bytes:
    """Return a frame that is not its message's last."""
    return masked(payload, opcode, fin=False)


def last(payload: bytes) -> bytes:
    return masked(payload, CONTINUATION)


def frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        assert data[0] & 0xF0 == 0x80, "whole frames, no extension"
        size, start = data[1], 2
        if size > 125:
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start], "big")
        yield data[0] & 15, data[start : start + size]
        data = data[start + size :]


async def answered(data: bytes, step: int) -> tuple[Said, bool]:
    """Return the frames that come back, and whether the connection is over."""
    pipe = Pipe(Server(b"", count()).connection())
    pipe.feed(HANDSHAKE)
    assert bytes(pipe.written).startswith(b"HTTP/1.1 101 ")
    pipe.written.clear()
    for at in range(0, len(data), step):
        pipe.feed(data[at : at + step])
        while pipe.paused:
            await asyncio.sleep(0)
    for _ in range(3):
        await asyncio.sleep(0)
    said, over = pipe.heard
    pipe.lose()
    return list(frames(said)), over


def claimed(data: bytes, *expected: tuple[int, bytes]) -> None:
    """Claim that these frames come back, however the bytes come, and that only a Close ends it.

    A Close of ours for something wrong is compared by its code.
    """
    for step in (len(data), 1) if len(data) < 5_000 else (len(data), 1_021):
        said, over = asyncio.run(answered(data, step))
        shown = [
            (opcode, payload[:2] if opcode == CLOSE and payload[:2] in WRONG else payload)
            for opcode, payload in said
        ]
        assert shown == list(expected), step
        assert over is any(opcode == CLOSE for opcode, _ in expected)


WRONG = {closing(1002), closing(1007), closing(1009), closing(1008)}
FAILED, NO_TEXT = (CLOSE, closing(1002)), (CLOSE, closing(1007))


# -- 1: framing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("size", [0, 125, 126, 127, 128, 65_535, 65_536, 1 << 20])
def test_messages_of_every_size_come_back(opcode, size):
    claimed(masked(b"*" * size, opcode), (opcode, b"*" * size))


# -- 2: pings --------------------------------------------------------------------------------------------

PINGS = {
    "empty": (masked(b"", PING), [(PONG, b"")]),
    "text": (masked(b"Hello", PING), [(PONG, b"Hello")]),
    "binary": (masked(b"\x00\xff\xfe\xfd", PING), [(PONG, b"\x00\xff\xfe\xfd")]),
    "the largest": (masked(b"\xfe" * 125, PING), [(PONG, b"\xfe" * 125)]),
    "too large": (masked(b"\xfe" * 126, PING), [FAILED]),
    "unasked pongs": (masked(b"", PONG) + masked(b"x", PONG) + masked(b"y", PING), [(PONG, b"y")]),
    "ten": (
        b"".join(masked(b"%d" % n, PING) for n in range(10)),
        [(PONG, b"%d" % n) for n in range(10)],
    ),
}


@pytest.mark.parametrize("case", PINGS)
def test_pings_are_answered(case):
    data, expected = PINGS[case]
    claimed(data, *expected)


# -- 3, 4: reserved bits and opcodes ---------------------------------------------------------------------


@pytest.mark.parametrize("rsv", range(1, 8))
@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, CLOSE])
def test_reserved_bits_fail_the_connection_and_what_came_before_is_answered(rsv, opcode):
    data = masked(b"before") + masked(b"", opcode, rsv=rsv) + masked(b"x", PING)
    claimed(data, (TEXT, b"before"), FAILED)


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
@pytest.mark.parametrize("payload", [b"", b"x"])
def test_reserved_opcodes_fail_the_connection(opcode, payload):
    claimed(masked(b"before") + masked(payload, opcode) + masked(b"x", PING), (TEXT, b"before"), FAILED)


def test_a_frame_that_is_not_masked_fails_the_connection():
    claimed(b"\x81\x05hello", FAILED)


# -- 5: fragments ----------------------------------------------------------------------------------------

HELLO = piece(b"hel", TEXT)
FRAGMENTS = {
    "a ping in fragments": (masked(b"x", PING, fin=False) + last(b"y"), [FAILED]),
    "a pong in fragments": (masked(b"x", PONG, fin=False) + last(b"y"), [FAILED]),
    "two": (HELLO + last(b"lo"), [(TEXT, b"hello")]),
    "a ping between": (HELLO + masked(b"p", PING) + last(b"lo"), [(PONG, b"p"), (TEXT, b"hello")]),
    "many pings": (
        HELLO + masked(b"p", PING) + piece(b"l") + masked(b"q", PING) + last(b"o"),
        [(PONG, b"p"), (PONG, b"q"), (TEXT, b"hello")],
    ),
    "nothing to continue": (last(b"x") + masked(b"hello"), [FAILED]),
    "nothing to continue, not last": (piece(b"x") + masked(b"hello"), [FAILED]),
    "nothing to continue after a message": (masked(b"a") + last(b"x"), [(TEXT, b"a"), FAILED]),
    "after one that is whole": (HELLO + last(b"lo") + piece(b"x"), [(TEXT, b"hello"), FAILED]),
    "a new message amid one": (HELLO + masked(b"lo"), [FAILED]),
    "a new message in fragments amid one": (HELLO + piece(b"lo", BINARY), [FAILED]),
    "a Close between": (HELLO + masked(closing(1000), CLOSE) + last(b"lo"), [(CLOSE, closing(1000))]),
    "binary": (piece(b"\xff", BINARY) + last(b"\xfe"), [(BINARY, b"\xff\xfe")]),
    "empty ones": (piece(b"", TEXT) + piece(b"") + last(b""), [(TEXT, b"")]),
    "an empty one before the rest": (piece(b"", TEXT) + piece(b"x") + last(b""), [(TEXT, b"x")]),
    "a Close in fragments": (masked(b"", CLOSE, fin=False), [FAILED]),
}


@pytest.mark.parametrize("case", FRAGMENTS)
def test_fragments(case):
    data, expected = FRAGMENTS[case]
    claimed(data, *expected)


# -- 6: UTF-8 --------------------------------------------------------------------------------------------

TEXTS = [
    *("", "Hello-µ@ßöäüàá-UTF-8!!", "κόσμε", "\x00", "\x7f", "\x80", "\u07ff", "\u0800", "\uffff"),
    *("\U00010000", "\U0010ffff", "\ud7ff", "\ue000", "\ufffd", "\ufffe", "\ufdd0", "\U0001fffe"),
]
NO_TEXTS = [
    *(KOSME + b"\xed\xa0\x80edited", KOSME[:-1], b"\xce", b"\xce\xba\xe1\xbd", b"\xf4\x90\x80\x80"),
    *(b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80", b"\xf7\xbf\xbf\xbf", b"\xfe", b"\xff"),
    *(b"\xfe\xfe\xff\xff", b"\x80", b"\xbf", b"\x80\xbf\x80", b"\xc0 \xc1 ", b"\xe0 \xef ", b"\xf5 "),
    *(b"\xe0\x80", b"\xf0\x80\x80", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xc1\xbf"),
    *(b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xc0\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80"),
    *(b"\xed\xa0\x80", b"\xed\xad\xbf", b"\xed\xae\x80", b"\xed\xaf\xbf", b"\xed\xb0\x80", b"\xed\xbf\xbf"),
    *(b"\xed\xa0\x80\xed\xb0\x80", b"\xed\xaf\xbf\xed\xbf\xbf", b"\xf4\x8f\xbf", b"\xc3\x28", b"\xfd"),
]


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_texts_come_back_whole_and_in_pieces(text):
    payload = text.encode()
    claimed(masked(payload), (TEXT, payload))
    claimed(b"".join([piece(b"", TEXT), *(piece(bytes([b])) for b in payload), last(b"")]), (TEXT, payload))


@pytest.mark.parametrize("payload", NO_TEXTS, ids=ascii)
def test_what_is_no_utf_8_fails_the_connection(payload):
    claimed(masked(b"before") + masked(payload) + masked(b"x", PING), (TEXT, b"before"), NO_TEXT)
    claimed(piece(payload[:1], TEXT) + last(payload[1:]) + masked(b"x", PING), NO_TEXT)
    claimed(masked(closing(1000, payload), CLOSE), NO_TEXT)
    claimed(masked(payload, BINARY), (BINARY, payload))


@pytest.mark.parametrize("beginning", [b"\xff", KOSME + b"\xf4\x90", KOSME + b"\xe0\x80"])
def test_a_text_fails_as_soon_as_it_can_be_none_any_more(beginning):
    """Nothing behind the wrong byte is waited for: the rest of the frame, or of the message."""
    claimed(piece(beginning, TEXT), NO_TEXT)
    claimed(piece(b"", TEXT) + piece(beginning), NO_TEXT)
    whole = masked(beginning + b"x" * 100)
    claimed(whole[:-100], NO_TEXT)
    claimed(piece(KOSME, TEXT) + whole.replace(b"\x81", b"\x80", 1)[:-100], NO_TEXT)


# -- 7: closing ------------------------------------------------------------------------------------------

ALLOWED = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
FORBIDDEN = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535]


@pytest.mark.parametrize("code", ALLOWED)
def test_a_close_is_answered_with_its_code_and_nothing_comes_after_it(code):
    close = masked(closing(code, b"bye"), CLOSE)
    said, over = asyncio.run(answered(masked(b"a") + close + masked(b"b", PING) + masked(b"c") + close, 1))
    assert [(opcode, payload) for opcode, payload in said] == [(TEXT, b"a"), (CLOSE, closing(code, b"bye"))]
    assert over


@pytest.mark.parametrize("code", FORBIDDEN)
def test_codes_that_may_not_be_sent_fail_the_connection(code):
    claimed(masked(closing(code), CLOSE), FAILED)
    claimed(masked(closing(code, b"reason"), CLOSE), FAILED)


CLOSES = {
    "empty": (b"", (CLOSE, b"")),
    "one byte": (b"*", FAILED),
    "the longest reason": (closing(1000, b"*" * 123), (CLOSE, closing(1000, b"*" * 123))),
    "too long a reason": (closing(1000, b"*" * 124), FAILED),
    "no UTF-8": (closing(1000, b"\xce\xba\xe1\xbd"), NO_TEXT),
}


@pytest.mark.parametrize("case", CLOSES)
def test_closes(case):
    payload, expected = CLOSES[case]
    claimed(masked(payload, CLOSE) + masked(b"x", PING), expected)


# -- 9, 10: limits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("size", [1_024, 65_536])
def test_a_large_message_in_fragments_comes_back(opcode, size):
    parts = [b"x" * size] * ((1 << 20) // size)
    data = piece(parts[0], opcode) + b"".join(map(piece, parts[1:-1])) + last(parts[-1])
    claimed(data, (opcode, b"x" * (1 << 20)))


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_that_is_too_large_fails_the_connection_by_its_header(opcode):
    head = masked(b"", opcode)[:1] + b"\xff" + ((1 << 20) + 1).to_bytes(8, "big") + b"\0\0\0\0"
    claimed(head, (CLOSE, closing(1009)))
    claimed(piece(b"x" * (1 << 20), opcode) + last(b"x"), (CLOSE, closing(1009)))


def test_a_length_of_more_than_63_bits_fails_the_connection():
    claimed(b"\x82\xff" + b"\xff" * 8 + b"\0\0\0\0", (CLOSE, closing(1009)))
