"""The connection under a session, fed by hand: bytes in any pieces, and the order of what goes out."""

import asyncio
import json
from itertools import count
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.gateways import websocket
from emulator.gateways.roles import Role
from emulator.gateways.spot_ws_v2.server import Server
from emulator.gateways.websocket import MOST_IGNORED
from tests.gateways.sockets import CLOSE, CONTINUATION, PING, PING_REQUEST, TEXT, UPGRADE, masked
from tests.gateways.venue import Kraken, in_loop


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self):
        super().__init__()
        self.written = bytearray()
        self.ended = False

    def write(self, data):
        self.written += data

    def write_eof(self):
        self.ended = True

    def can_write_eof(self):
        return True

    def get_write_buffer_size(self):
        return 0

    def pause_reading(self):
        self.paused = True

    def resume_reading(self):
        self.paused = False

    def is_closing(self):
        return self.ended

    def close(self):
        self.ended = True

    abort = close


class Connected:
    """One upgraded connection of a venue."""

    def __init__(self, kraken):
        self.kraken = kraken
        self.server = Server(kraken.gateway, count(1))
        self.wire = Wire()
        self.connection = self.server.connection(Role.ANY)
        self.connection.connection_made(self.wire)
        self.connection.data_received(UPGRADE.format(path="/v2", host="x").encode())
        self.frames()

    def frames(self):
        """Take what was written since: opcode and payload of each frame."""
        data, frames = bytes(self.wire.written), []
        self.wire.written.clear()
        if data.startswith(b"HTTP"):
            data = data.partition(b"\r\n\r\n")[2]
        while data:
            size, start = data[1], 2
            if size > 125:
                start = 4 if size == 126 else 10
                size = int.from_bytes(data[2:start], "big")
            frames.append((data[0] & 15, data[start : start + size]))
            data = data[start + size :]
        return frames

    def messages(self):
        return [json.loads(payload) for opcode, payload in self.frames() if opcode == TEXT]

    def ask(self, method, **params):
        self.connection.data_received(masked(json.dumps({"method": method, "params": params}).encode()))

    def close(self):
        self.connection.connection_lost(None)
        self.kraken.venue.close()


SMALL, LARGE = masked(PING_REQUEST), masked(b" " * 300 + PING_REQUEST)
HALVES = masked(PING_REQUEST[:9], fin=False) + masked(b"", PING) + masked(PING_REQUEST[9:], CONTINUATION)


@settings(max_examples=200)
@given(
    st.lists(st.sampled_from([SMALL, LARGE, HALVES]), min_size=1, max_size=6),
    st.lists(st.integers(1, 400), max_size=30),
)
def test_frames_are_answered_as_soon_as_they_are_whole_however_they_are_cut(frames, cuts):
    async def run():
        peer = Connected(Kraken())
        stream, ends = b"".join(frames), [sum(map(len, frames[: n + 1])) for n in range(len(frames))]
        position = answered = 0
        for cut in [*cuts, *[1] * len(stream)]:
            with patch.object(websocket, "SLICE_S", 60):  # or a busy machine takes some for more than a slice
                peer.connection.data_received(stream[position : position + cut])
            position += cut
            answered += len(peer.messages())
            assert answered == sum(end <= position for end in ends)
            if position >= len(stream):
                break
        peer.close()

    asyncio.run(run())


@pytest.mark.parametrize("length", [2**20 + 1, 2**32, 2**62, 2**63])
@in_loop
async def test_frame_that_announces_too_much_ends_the_connection(kraken, length):
    peer = Connected(kraken)
    peer.connection.data_received(b"\x81\xff" + length.to_bytes(8, "big") + b"\0\0\0\0" + b"x" * 100)
    [(opcode, payload)] = peer.frames()
    assert (opcode, int.from_bytes(payload[:2], "big")) == (CLOSE, 1009)
    peer.close()


@in_loop
async def test_update_of_the_old_subscription_never_follows_the_snapshot_of_the_new_one(kraken):
    """python-kraken-sdk leaves and joins again to repair its book: a stale update would break it again."""
    peer = Connected(kraken)
    book = {"channel": "book", "symbol": ["BTC/USD"]}
    peer.ask("subscribe", **book)
    peer.frames()
    kraken.place("bob", "buy", "1", "60000")
    peer.ask("unsubscribe", **book)
    peer.ask("subscribe", **book)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    kinds = [message.get("method") or message["type"] for message in peer.messages()]
    assert kinds in (
        ["update", "unsubscribe", "subscribe", "snapshot"],
        ["unsubscribe", "subscribe", "snapshot"],
    )
    peer.close()


@in_loop
async def test_market_data_of_one_turn_is_written_once_and_in_order(kraken):
    peers = [Connected(kraken) for _ in range(40)]
    server = peers[0].server
    for peer in peers:
        peer.ask("subscribe", channel="trade", symbol=["BTC/USD"])
        peer.frames()
    assert len({id(peer.server) for peer in peers}) == len(peers)
    kraken.trade("1", "64000")
    kraken.trade("1", "64001")
    assert not any(peer.wire.written for peer in peers)
    for _ in range(10):
        await asyncio.sleep(0)
    for peer in peers:
        assert [message["data"][0]["trade_id"] for message in peer.messages()] == [1, 2]
    assert server.connections == {peers[0].connection}
    for peer in peers:
        peer.close()
    kraken.trade("1", "64000")
    await asyncio.sleep(0)
    assert not any(peer.wire.written for peer in peers)


@in_loop
async def test_client_that_says_goodbye_but_does_not_read_gets_nothing_more(kraken):
    peer = Connected(kraken)
    peer.ask("subscribe", channel="book", symbol=["BTC/USD"])
    peer.frames()
    peer.connection.data_received(masked((1000).to_bytes(2, "big"), CLOSE))
    kraken.place("bob", "buy", "1", "60000")
    await asyncio.sleep(0)
    assert [opcode for opcode, _ in peer.frames()] == [CLOSE]
    assert not kraken.gateway.publisher.hears("XXBTZUSD")
    peer.close()


@in_loop
async def test_a_flood_of_requests_leaves_turns_to_others(kraken):
    peer = Connected(kraken)
    peer.connection.data_received(SMALL * 1000)
    answered = len(peer.messages())
    assert 0 < answered < 1000
    assert peer.wire.paused
    while answered < 1000:
        await asyncio.sleep(0)
        answered += len(peer.messages())
    peer.close()


@in_loop
async def test_snapshots_of_many_pairs_come_one_a_turn_each_before_its_updates(kraken):
    peer = Connected(kraken)
    peer.ask("subscribe", channel="book", symbol=["BTC/USD", "ETH/USD", "SOL/USD"])
    first = [message.get("channel") or message["method"] for message in peer.messages()]
    assert first == ["subscribe", "subscribe", "subscribe", "book"]
    kraken.place("bob", "buy", "0.1", "60000")
    for _ in range(3):
        await asyncio.sleep(0)
    rest = [(message["data"][0]["symbol"], message["type"]) for message in peer.messages()]
    assert sorted(rest) == [("BTC/USD", "update"), ("ETH/USD", "snapshot"), ("SOL/USD", "snapshot")]
    peer.close()


@in_loop
async def test_who_goes_on_sending_after_the_end_is_not_read(kraken):
    peer = Connected(kraken)
    peer.connection.data_received(masked(b"x", 3))
    [(opcode, _)] = peer.frames()
    assert opcode == CLOSE
    peer.wire.paused = False
    peer.connection.data_received(bytes(MOST_IGNORED))
    assert not peer.wire.paused
    peer.connection.data_received(b"x")
    assert peer.wire.paused
    assert peer.frames() == []
    peer.close()
