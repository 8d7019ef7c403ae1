"""Transcripts: bytes of connections become lines, whatever way they are cut into pieces."""

import pytest
from websockets.frames import Frame, Opcode

from emulator.testing.transcript import LINES, SHOWN_BYTES, Transcript

REQUEST = (
    b"POST /0/private/Balance HTTP/1.1\r\nHost: h\r\nAPI-Sign: s3cr3t\r\nContent-Length: 24\r\n\r\n"
    b"nonce=1&otp=123456&x=yyy"
)
ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"error":[]}'
UPGRADE = b"GET /v2 HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n"
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"


def frame(text: bytes, opcode: Opcode = Opcode.TEXT, *, mask: bool = False) -> bytes:
    return Frame(opcode, text).serialize(mask=mask)


def said(transcript: Transcript) -> list[str]:
    """Return the lines without their times."""
    return [line.partition("s  ")[2].partition("  (")[0] for line in transcript.lines()]


def feed(hear, data: bytes, size: int) -> None:
    for at in range(0, len(data), size):
        hear(data[at : at + size])


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_request_and_its_answer_are_one_line(size):
    transcript = Transcript()
    http = transcript("http")
    for _ in range(2):
        feed(http.received, REQUEST, size)
        feed(http.sent, ANSWER, size)
    http.closed()
    line = '#1 POST /0/private/Balance nonce=1&otp=1234…&x=yyy -> 200 OK {"error":[]}'
    assert said(transcript) == [line, line]
    assert "ms)" in transcript.lines()[0]
    assert "s3cr3t" not in str(transcript)


def test_requests_without_an_answer_say_so():
    transcript = Transcript()
    http = transcript("http")
    http.received(REQUEST * 2)
    assert [line.partition(" -> ")[2] for line in transcript.lines()] == ["(no answer yet)"] * 2
    http.sent(ANSWER)
    http.closed()
    assert [line.partition(" -> ")[2] for line in said(transcript)] == [
        '200 OK {"error":[]}',
        "closed without an answer",
    ]


@pytest.mark.parametrize("size", [1, 3, 10_000])
def test_messages_of_a_websocket_in_both_directions(size):
    transcript = Transcript()
    http = transcript("http")
    http.received(REQUEST)
    http.sent(ANSWER)
    feed(http.received, UPGRADE, size)
    feed(http.sent, SWITCHING + frame(b'{"channel":"status"}'), size)
    asked = b'{"method":"subscribe","params":{"token":"abcdefgh"}}'
    feed(http.received, frame(asked, mask=True) + frame(b"", Opcode.PING, mask=True), size)
    feed(http.sent, frame(b"x" * 70_000) + frame(b"y" * 200) + frame(b"\x03\xe9bye", Opcode.CLOSE), size)
    http.closed()
    assert said(transcript)[1:] == [
        "#1 GET /v2 -> 101 Switching Protocols",
        '#1 < {"channel":"status"}',
        '#1 > {"method":"subscribe","params":{"token":"abcd…"}}',
        "#1 > ping",
        f"#1 < {'x' * SHOWN_BYTES} … (70000 bytes)",
        f"#1 < {'y' * 200}",
        "#1 < close 1001 bye",
        "#1 closed",
    ]


def test_an_upgrade_that_is_refused():
    transcript = Transcript()
    http = transcript("http")
    http.received(UPGRADE)
    http.sent(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    http.received(REQUEST)
    http.sent(ANSWER)
    assert [line[:14] for line in said(transcript)] == ["#1 GET /v2 -> ", "#1 POST /0/pri"]


@pytest.mark.parametrize("size", [1, 9, 1000])
def test_fix_messages_are_whole_and_passwords_short(size):
    transcript = Transcript()
    fix = transcript("fix")
    logon = b"8=FIX.4.4\x019=20\x0135=A\x01553=me\x01554=verysecret\x0110=123\x01"
    feed(fix.received, logon + logon, size)
    feed(fix.sent, b"8=FIX.4.4\x019=5\x0135=5\x0110=001\x01", size)
    fix.received(b"8=FIX.4.4\x01")
    fix.closed()
    shown = "#1 > 8=FIX.4.4|9=20|35=A|553=me|554=very…|10=123|"
    assert said(transcript) == [
        shown,
        shown,
        "#1 < 8=FIX.4.4|9=5|35=5|10=001|",
        "#1 > 8=FIX.4.4|",
        "#1 closed",
    ]


def test_the_last_lines_are_kept_and_the_others_counted():
    transcript = Transcript()
    connection = transcript("http")
    for number in range(LINES + 7):
        transcript.add(connection, f"line {number}")
    lines = transcript.lines()
    assert len(lines) == LINES + 1
    assert lines[0] == "(7 earlier lines are left out)"
    assert lines[1].endswith("#1 line 7")
    transcript.begin()
    assert str(transcript) == ""


def test_connections_are_numbered_as_they_appear():
    transcript = Transcript()
    first, second = transcript("http"), transcript("fix")
    second.closed()
    first.received(REQUEST)
    assert [line[:3] for line in said(transcript)] == ["#1 ", "#2 "]
    transcript.begin()
    first.sent(ANSWER)
    first.received(REQUEST)
    assert [line[:8] for line in said(transcript)] == ["#1 POST "], "answers of earlier requests are not told"


@pytest.mark.parametrize(
    "garbage", [b"\xff" * 300_000, b"\r\n\r\n" * 50, b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"]
)
@pytest.mark.parametrize("protocol", ["http", "fix"])
def test_garbage_raises_nothing_and_takes_no_memory(protocol, garbage):
    listener = Transcript()(protocol)
    for hear in (listener.received, listener.sent) * 3:
        hear(garbage)
    listener.closed()
