"""FIX as bytes: framing, checksums, passwords, resends, times."""

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.gateways.fix import wire
from emulator.gateways.fix.wire import SOH, Framer, TooLargeError, encode

ORDER = encode("35=D\x0134=2\x0149=ALICE\x0152=20260302-12:00:01.000\x0156=KRAKEN-TRD\x0111=1\x01")
HEARTBEAT = encode("35=0\x0134=3\x0149=ALICE\x0152=20260302-12:00:01.000\x0156=KRAKEN-TRD\x01")
values = st.text(st.characters(codec="utf-8", exclude_characters=SOH), min_size=1, max_size=20)
contents = st.lists(st.tuples(st.integers(1, 9999), values), min_size=1, max_size=8).map(
    lambda fields: "".join(f"{tag}={value}{SOH}" for tag, value in fields)
)


def framed(*pieces: bytes) -> list[bytes]:
    framer = Framer()
    return [message for piece in pieces for message in framer.feed(piece)]


# -- framing --------------------------------------------------------------------------------------


def test_messages_come_out_whole_when_bytes_come_one_by_one():
    stream = ORDER + HEARTBEAT
    assert framed(*(stream[at : at + 1] for at in range(len(stream)))) == [ORDER, HEARTBEAT]


def test_many_messages_of_one_read_come_out_in_order():
    assert framed(ORDER + HEARTBEAT + ORDER) == [ORDER, HEARTBEAT, ORDER]


@given(st.lists(contents.map(encode), max_size=6), st.data())
def test_any_split_of_any_messages_gives_the_same_messages(messages, data):
    stream = b"".join(messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    pieces = [stream[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert framed(*pieces) == messages


@given(st.binary(max_size=200), st.binary(max_size=50))
def test_any_bytes_can_be_fed(first, second):
    framed(first, second, b"8=FIX", first)


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"8=FI",
        b"8=FIX",
        b"8=FIX.4.4\x01",
        b"8=FIX.4.4\x019=\x01",
        b"8=FIX.4.4\x019=ten\x01",
        b"8=FIX.4.4\x0135=0\x019=5\x01",
        b"8=FIX.4.4\x019=-5\x01",
        b"8=8=FIX8=FIX",
        b"\x00\x01\xff" * 100,
        b"8=FIX.4.4 and so on, for longer than any version is\x01",
    ],
)
def test_garbage_before_and_between_messages_is_skipped(garbage):
    stream = garbage + ORDER + garbage + HEARTBEAT
    assert framed(stream) == [ORDER, HEARTBEAT]
    assert framed(*(stream[at : at + 1] for at in range(len(stream)))) == [ORDER, HEARTBEAT]


@pytest.mark.parametrize("by", [-30, -1, 1, 5, 40])
def test_a_message_with_a_wrong_length_is_skipped_and_the_next_one_comes_out(by):
    size = int(wire.fields(ORDER.decode())["9"])
    wrong = ORDER.replace(b"\x019=%d\x01" % size, b"\x019=%d\x01" % (size + by))
    assert framed(wrong + HEARTBEAT + ORDER) == [HEARTBEAT, ORDER]


def test_a_length_beyond_the_end_swallows_nothing_but_waits_for_it():
    wrong = b"8=FIX.4.4\x019=300\x0135=0\x01"
    framer = Framer()
    assert framer.feed(wrong + HEARTBEAT) == []
    assert framer.feed(ORDER * 3) == [HEARTBEAT, ORDER, ORDER, ORDER]


@pytest.mark.parametrize("size", [wire.LARGEST_MESSAGE + 1, 10**8, 999_999_999])
def test_a_message_beyond_the_largest_ends_it_all(size):
    with pytest.raises(TooLargeError):
        framed(ORDER + b"8=FIX.4.4\x019=%d\x01" % size)


def test_the_largest_message_passes():
    largest = encode("58=" + "x" * (wire.LARGEST_MESSAGE - 4) + SOH)
    assert framed(largest[:100], largest[100:]) == [largest]


def test_garbage_without_end_is_not_kept():
    framer = Framer()
    for _ in range(100):
        assert framer.feed(b"8=FIX no message " * 4000) == []
    assert len(framer._buffer) < 100


# -- checksum -------------------------------------------------------------------------------------


@given(st.binary(max_size=2000))
def test_checksum_is_the_sum_of_all_bytes(data):
    assert wire.checksum(data) == sum(data) % 256


@pytest.mark.parametrize("byte", [0, 1, 127, 128, 255])
@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 514, 515, 516, 70_000])
def test_checksum_of_long_and_extreme_messages(byte, size):
    assert wire.checksum(bytes([byte]) * size) == byte * size % 256


def test_a_message_is_sound_when_its_checksum_is_right():
    assert wire.sound(ORDER)
    for at in (*range(len(ORDER) - 7), *range(len(ORDER) - 4, len(ORDER) - 1)):
        changed = bytearray(ORDER)
        changed[at] ^= 1
        assert not wire.sound(bytes(changed)), at


@given(contents)
def test_what_is_encoded_is_framed_and_sound(content):
    message = encode(content)
    assert framed(message) == [message]
    assert wire.sound(message)


def test_encoding_of_the_published_example():
    # Section 16 of the reference.
    content = "35=5|34=1|49=KRAKEN-TRD|52=20260101-00:00:00.004|56=EMUTEST|58=authentication failure|"
    message = encode(content.replace("|", SOH))
    assert message.startswith(b"8=FIX.4.4\x019=86\x01")
    assert message.endswith(b"\x0110=076\x01")


# -- fields ---------------------------------------------------------------------------------------


@given(contents)
def test_fields_are_those_of_a_plain_reading(content):
    message = encode(content).decode()
    plain = [tuple(part.split("=", 1)) for part in message[:-1].split(SOH)]
    assert wire.fields(message) == dict(plain)
    assert wire.pairs(message) == plain


def test_values_may_hold_equals_signs():
    message = encode("35=A\x01554=abc==\x0158==\x01").decode()
    assert wire.fields(message)["554"] == "abc=="
    assert wire.fields(message)["58"] == "="
    assert ("554", "abc==") in wire.pairs(message)


def test_the_last_of_repeated_fields_counts_and_pairs_keep_all():
    message = encode("35=V\x01269=0\x01269=1\x01").decode()
    assert wire.fields(message)["269"] == "1"
    assert [value for tag, value in wire.pairs(message) if tag == "269"] == ["0", "1"]


# -- passwords ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sender", "target", "number", "nonce", "expected"),
    [
        (
            "EMUTEST", "KRAKEN-TRD", "1", "1767225600000",
            "3s/ptCoxKmS0gTKW0xOVi5YZkwmyVLWACRjm/mKBW4rI94QI07eHF9+D7bYBeCRrUIhr2btYwtfKMZB489Vozg==",
        ),
        (
            "EMUTEST-DRV", "KRAKEN-DRV-TRD", "42", "1767225600123",
            "mFtr+4bv0QV0tDhCJAorqK4DH6JjOQIyYjJ3uWLQKOXJOAumEpuJGOLiqBbWOVNfp6aFNyahE03POFVQ9XLuKA==",
        ),
    ],
)  # fmt: skip
def test_password_of_the_worked_examples(sender, target, number, nonce, expected):
    # Section 1.6 of the reference.
    secret = bytes(range(64))
    assert base64.b64encode(secret).startswith(b"AAECAwQFBgcICQ")
    assert wire.password(secret, "EMU-FIX-KEY-0001", sender, target, number, nonce) == expected


# -- resends --------------------------------------------------------------------------------------


def test_a_message_is_resent_with_its_first_time_and_marked():
    sent = encode("35=8\x0134=7\x0149=KRAKEN-TRD\x0152=20260302-12:00:01.006\x0156=ALICE\x0158=a=b\x01")
    again = wire.resent(sent, "20260302-13:00:00.000")
    assert wire.pairs(again.decode())[2:-1] == [
        ("35", "8"),
        ("34", "7"),
        ("43", "Y"),
        ("49", "KRAKEN-TRD"),
        ("52", "20260302-13:00:00.000"),
        ("56", "ALICE"),
        ("122", "20260302-12:00:01.006"),
        ("58", "a=b"),
    ]
    assert wire.sound(again)
    assert framed(again) == [again]


# -- times ----------------------------------------------------------------------------------------


@given(st.integers(0, 4_000_000_000_000))
def test_times_are_written_in_milliseconds_and_read_back(ms):
    stamp = wire.timestamp(ms * 10**6 + 999_999)
    when = datetime.fromtimestamp(ms // 1000, UTC)
    assert stamp == f"{when:%Y%m%d-%H:%M:%S}.{ms % 1000:03d}"
    assert wire.time_only(ms * 10**6) == stamp[9:]
    assert wire.parse_timestamp(stamp) == ms * 10**6


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("19700101-00:00:00", 0),
        ("19700101-00:00:01.5", 1_500_000_000),
        ("19700102-00:00:00.000000001", 86_400 * 10**9 + 1),
    ],
)
def test_times_may_have_any_precision(text, ns):
    assert wire.parse_timestamp(text) == ns


@pytest.mark.parametrize(
    "text",
    [
        "", "now", "20260302", "20260302-25:00:00", "20261302-12:00:00", "20260230-12:00:00",
        "20260302-12:00:60", "20260302-12:00:00.", "20260302-12:00:00.1234567890", "2026-03-02T12:00:00Z",
        "00000101-00:00:00", "20260302-12:00:00 ", "\u0662\u0660\u0662\u06660302-12:00:00",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError, match=r"UTCTimestamp|must be in|out of range"):
        wire.parse_timestamp(text)
