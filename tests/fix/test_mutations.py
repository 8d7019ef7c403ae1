"""Messages with one byte changed, or of anything at all: an answer or none, never an error of ours."""

import contextlib
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.gateways.fix.wire import SOH, encode
from tests.fix.inside import Direct, FixVenue
from tests.fix.messages import now

REPLACEMENTS = b"\x00\x01=0-9A\x7f\xff"
ORDER = [(11, 7), (38, "0.01"), (40, 2), (44, "50000.0"), (54, 1), (55, "BTC/USD"), (59, 1), (60, now())]
MESSAGES: dict[str, tuple[str, list[tuple[int, object]]]] = {
    "order": ("D", ORDER),
    "rich order": (
        "D",
        [*ORDER[:3], (18, "P"), *ORDER[3:], (62, now()), (126, now()), (388, 5), (1138, "0.01")],
    ),
    "cancel": ("F", [(11, 8), (37, "OABCDE-FGHIJ-KLMNOP"), (41, 7), (54, 1), (55, "BTC/USD"), (60, now())]),
    "mass cancel": ("q", [(11, 8), (60, now()), (530, 1), (55, "BTC/USD")]),
    "status": ("H", [(11, 8), (37, "OABCDE-FGHIJ-KLMNOP"), (55, "BTC/USD")]),
    "resend request": ("2", [(7, 1), (16, 0)]),
    "sequence reset": ("4", [(123, "Y"), (36, 9)]),
    "test request": ("1", [(112, "x")]),
    "reject": ("3", [(45, 2), (371, 11), (372, "8"), (373, 5), (58, "x")]),
    "logout": ("5", [(58, "x")]),
}
MARKET_DATA: dict[str, tuple[str, list[tuple[int, object]]]] = {
    "book": ("V", [(146, 1), (55, "BTC/USD"), (262, "a"), (263, 1), (264, 10), (267, 2), (269, 0), (269, 1)]),
    "instruments": ("x", [(320, "l"), (559, 0), (55, "BTC/USD"), (263, 1)]),
    "status": ("g", [(263, 1), (335, "s"), (336, "ALL")]),
}


@pytest.fixture(autouse=True)
def no_errors(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test during which anything of ours has failed."""
    with caplog.at_level(logging.WARNING):
        yield
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def resealed(message: bytes) -> bytes:
    """Return a message whose length and checksum fit its content again, as far as it has both."""
    head, found, rest = message.partition(b"\x019=")
    length, _, content = rest.partition(b"\x01")
    if not found or not length.isdigit():
        return message
    content = content[:-7]
    message = b"%b\x019=%d\x01%b" % (head, len(content), content)
    return b"%b10=%03d\x01" % (message, sum(message) % 256)


def mutations(message: bytes) -> Iterator[bytes]:
    """Every byte replaced, flipped, doubled, left out."""
    for at in range(len(message)):
        before, byte, after = message[:at], message[at : at + 1], message[at + 1 :]
        changed = [bytes([new]) for new in REPLACEMENTS] + [bytes([byte[0] ^ 1]), byte * 2, b""]
        for new in changed:
            if new != byte:
                yield before + new + after


class Survivor:
    """A client that comes back whenever its session has ended."""

    def __init__(self, inside: FixVenue, service: str) -> None:
        self._floor = inside
        self._service = service
        self.client: Direct

    def ready(self) -> Direct:
        """Return a client whose next number is 2, and which has nothing open."""
        self.client = client = self._floor.client("ALICE", self._service)
        assert client.logon((5030, "Y")).type == "A"
        self._floor.clients.clear()
        return client


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize(
    ("service", "msg_type", "fields"),
    [("spot_trading", *message) for message in MESSAGES.values()]
    + [("spot_md", *message) for message in MARKET_DATA.values()],
    ids=[*MESSAGES, *MARKET_DATA],
)
def test_no_change_of_one_byte_does_harm(inside, service, msg_type, fields, sealed):
    survivor = Survivor(inside, service)
    client = survivor.ready()
    for changed in mutations(client.message(msg_type, *fields, number=2)):
        client.raw(resealed(changed) if sealed else changed)
        assert client.session is None or not client.session.core.failed, changed
        client.close()
        client = survivor.ready()
    client.send("1", (112, "still there"))
    assert client.take()[-1][112] == "still there"


@pytest.mark.parametrize("sealed", [True, False])
def test_no_change_of_one_byte_of_a_logon_does_harm(inside, sealed):
    first = inside.client()
    fields = [(98, 0), (108, 30), (141, "Y"), *first.credentials(1), (5030, "Y"), (8674, 1)]
    for changed in mutations(first.message("A", *fields, number=1)):
        client = inside.client()
        inside.clients.clear()
        client.raw(resealed(changed) if sealed else changed)
        client.close()
    assert inside.trader().session is not None


def test_the_changed_orders_do_a_venue_no_harm(quiet_venue, connect):
    member = quiet_venue.next_member()
    client = connect(member)
    client.logon()
    changed = [resealed(message) for message in mutations(client.message(*order_of("order"), number=2))]
    client.close()
    for part in (changed[begin::50] for begin in range(50)):
        client = connect(member)
        client.send("A", (98, 0), (108, 30), (141, "Y"), *client.credentials(1), number=1)
        with contextlib.suppress(ConnectionError):
            client.raw(b"".join(part))
        client.close()
    assert connect(quiet_venue.next_member()).logon().type == "A"
    assert "Traceback" not in quiet_venue.output()


def order_of(name: str) -> tuple[object, ...]:
    msg_type, fields = MESSAGES[name]
    return (msg_type, *fields)


TAGS = sorted(
    {tag for _, fields in (MESSAGES | MARKET_DATA).values() for tag, _ in fields}
    | {34, 43, 49, 52, 56, 97, 122}
)
VALUES = st.one_of(
    st.sampled_from(
        ["", "0", "1", "2", "Y", "N", "-1", "1e5", "9" * 30, "BTC/USD", "7", "0.01", now(), "P v"]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters=SOH), max_size=12),
)
TYPES = st.sampled_from([*"0123458ADFGHVXYghjqxy", "AE", "", "\u00e9"])


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(TYPES, st.lists(st.tuples(st.sampled_from(TAGS), VALUES), max_size=12)),
        min_size=1,
        max_size=5,
    )
)
def test_no_sequence_of_strange_messages_does_harm(shared, messages):
    for service in ("spot_trading", "spot_md"):
        client = Survivor(shared, service).ready()
        for msg_type, fields in messages:
            client.raw(client.message(msg_type, *fields))
            assert client.session is None or not client.session.core.failed
        client.close()


@settings(max_examples=100)
@given(st.lists(st.tuples(st.sampled_from(TAGS), VALUES), max_size=15))
def test_no_strange_first_message_does_harm(shared, fields):
    for kind in ("A", "0"):
        client = shared.client()
        shared.clients.clear()
        client.raw(encode("".join(f"{tag}={value}{SOH}" for tag, value in [(35, kind), *fields])))
        client.raw(client.message(kind, *fields, number=1))
        client.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[FixVenue]:
    """A venue for all examples of the tests above."""
    with FixVenue() as inside:
        yield inside
