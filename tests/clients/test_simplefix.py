"""A client of simplefix, written from Kraken's documents alone: none of the emulator's FIX code is used."""

import base64
import hashlib
import hmac
import socket
import time
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
import simplefix

from tests.clients.pointing import PATIENCE_S
from tests.running import Running

pytestmark = pytest.mark.client

SYMBOL = "BCH/USD"
"""Not traded by the other tests of a quiet venue."""
DECIMALS = 2, 8


def signed(secret: str, key: str, sender: str, target: str, number: int, nonce: str) -> str:
    """Return 554, by the formula of Kraken's FIX authentication guide."""
    plain = f"35=A\x0134={number}\x0149={sender}\x0156={target}\x01553={key}\x01{nonce}"
    digest = hashlib.sha256(plain.encode()).digest()
    return base64.b64encode(hmac.new(base64.b64decode(secret), digest, hashlib.sha512).digest()).decode()


def test_the_published_password() -> None:
    """The two vectors of the guide (fix.md 1.6): so that a refused logon is the venue's fault."""
    secret = base64.b64encode(bytes(range(64))).decode()
    assert signed(secret, "EMU-FIX-KEY-0001", "EMUTEST", "KRAKEN-TRD", 1, "1767225600000") == (
        "3s/ptCoxKmS0gTKW0xOVi5YZkwmyVLWACRjm/mKBW4rI94QI07eHF9+D7bYBeCRrUIhr2btYwtfKMZB489Vozg=="
    )
    assert signed(secret, "EMU-FIX-KEY-0001", "EMUTEST-DRV", "KRAKEN-DRV-TRD", 42, "1767225600123") == (
        "mFtr+4bv0QV0tDhCJAorqK4DH6JjOQIyYjJ3uWLQKOXJOAumEpuJGOLiqBbWOVNfp6aFNyahE03POFVQ9XLuKA=="
    )


class Connection:
    """One session over simplefix."""

    def __init__(self, place: str, account: dict[str, str], target: str) -> None:
        host, _, port = place.rpartition(":")
        self.account = account
        self.target = target
        self.sent = 0
        self.heard = 0
        self._parser = simplefix.FixParser()
        self._end = socket.create_connection((host, int(port)), timeout=PATIENCE_S)

    def send(self, msg_type: str, *fields: tuple[int, object]) -> None:
        self.sent += 1
        message = simplefix.FixMessage()
        message.append_pair(8, "FIX.4.4")
        message.append_pair(35, msg_type)
        message.append_pair(34, self.sent)
        message.append_pair(49, self.account["sender_comp_id"])
        message.append_utc_timestamp(52)
        message.append_pair(56, self.target)
        for tag, value in fields:
            message.append_pair(tag, value)
        self._end.sendall(message.encode())

    def read(self) -> Any:
        """Return the next message; its number must be the next one."""
        while (message := self._parser.get_message()) is None:
            data = self._end.recv(65536)
            assert data, "the venue closed the connection"
            self._parser.append_buffer(data)
        self.heard += 1
        assert message.get(34) == b"%d" % self.heard
        assert (message.get(49), message.get(56)) == (
            self.target.encode(),
            self.account["sender_comp_id"].encode(),
        )
        return message

    def expect(self, msg_type: str) -> Any:
        """Return the next message, which must be of this type."""
        message = self.read()
        assert message.get(35) == msg_type.encode(), message
        return message

    def logon(self) -> Any:
        body: list[tuple[int, object]] = [(98, 0), (108, 60), (141, "Y")]
        if self.target == "KRAKEN-TRD":
            nonce = str(time.time_ns() // 10**6)
            key, sender = self.account["key"], self.account["sender_comp_id"]
            password = signed(self.account["secret"], key, sender, self.target, 1, nonce)
            body += [(553, key), (554, password), (5025, nonce), (8674, 0)]
        self.send("A", *body)
        return self.expect("A")

    def logout(self) -> None:
        self.send("5")
        self.expect("5")
        assert self._end.recv(1) == b"", "the venue closes the connection then"

    def close(self) -> None:
        self._end.close()


@pytest.fixture
def sessions(quiet_venue: Running) -> Iterator[tuple[Connection, Connection]]:
    """Trading and market data with one SenderCompID, logged on."""
    account, places = quiet_venue.next_member()["fix"], quiet_venue.tier()["fix"]
    trading = Connection(places["spot_trading"], account, "KRAKEN-TRD")
    market_data = Connection(places["spot_md"], account, "KRAKEN-MD")
    for session in (trading, market_data):
        answer = session.logon()
        assert (answer.get(98), answer.get(108), answer.get(141)) == (b"0", b"60", b"Y")
        assert answer.get(553) is None
    yield trading, market_data
    for session in (trading, market_data):
        session.close()


def checksum(*levels: tuple[bytes, bytes]) -> bytes:
    """Return 5041 of a book: offers upwards, then bids downwards."""
    text = ""
    for level in levels:
        for number, decimals in zip(level, DECIMALS, strict=True):
            whole, _, fraction = number.decode().partition(".")
            text += (whole + fraction.ljust(decimals, "0")[:decimals]).lstrip("0")
    return b"%d" % zlib.crc32(text.encode())


def values(message: Any, *tags: int) -> list[bytes]:
    return [message.get(tag) for tag in tags]


def test_a_client_of_simplefix_trades_and_sees_itself(sessions: tuple[Connection, Connection]) -> None:
    trading, market_data = sessions
    market_data.send("x", (55, SYMBOL), (320, "list"), (559, 0))
    listed = market_data.expect("y")
    assert values(listed, 320, 560, 146, 55, 2349, 5010) == [b"list", b"0", b"1", SYMBOL.encode(), b"2", b"8"]
    market_data.send(
        "V", (146, 1), (55, SYMBOL), (262, "book"), (263, 1), (264, 10), (267, 2), (269, 0), (269, 1)
    )
    assert values(market_data.expect("W"), 55, 262, 268) == [SYMBOL.encode(), b"book", b"0"]

    placed, cancelled = (str(time.time_ns() // 1000 + later) for later in (0, 1))
    stamp = time.strftime("%Y%m%d-%H:%M:%S.000", time.gmtime())
    order = ((38, "2.5"), (40, 2), (44, "61.25"), (54, 1), (55, SYMBOL), (59, 1), (60, stamp))
    trading.send("D", (11, placed), *order)
    pending, live = trading.expect("8"), trading.expect("8")
    assert values(pending, 150, 39, 11) == [b"A", b"A", placed.encode()]
    assert values(live, 150, 39, 11, 151, 44) == [b"0", b"0", placed.encode(), b"2.5", b"61.25"]
    assert live.get(58) == b"buy 2.5 BCH/USD @ limit 61.25"
    update = market_data.expect("X")
    assert values(update, 268, 279, 269, 278, 270, 271) == [b"1", b"0", b"0", b"B61.25", b"61.25", b"2.5"]
    assert update.get(5041) == checksum((b"61.25", b"2.5"))

    trading.send("F", (11, cancelled), (37, live.get(37)), (41, placed), (54, 1), (55, SYMBOL), (60, stamp))
    gone = trading.expect("8")
    assert values(gone, 150, 39, 11, 41, 151) == [b"4", b"4", cancelled.encode(), placed.encode(), b"0.0"]
    update = market_data.expect("X")
    assert values(update, 279, 270, 271, 5041) == [b"2", b"61.25", b"0.0", checksum()]

    trading.logout()
    market_data.logout()
