"""The real front on a real port, and clients that speak to it in raw bytes."""

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlencode

from emulator.gateways.access import OPEN, Entrance, guarded
from emulator.gateways.front import server as front
from emulator.gateways.keys import demo_credentials, sign
from emulator.gateways.tls import ContextSource, over_tls
from emulator.link import stream
from emulator.link.tiers import Tier
from emulator.link.timer import DueQueue
from tests.gateways.venue import SEED, Kraken, wire

PATIENCE_S = 30
TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
GET_TIME = b"GET /0/public/Time HTTP/1.1\r\nHost: api.kraken.com\r\n\r\n"


class Served:
    """A front that listens; ``ws`` and ``front`` are its parts."""

    def __init__(self, kraken: Kraken, entrance: Entrance) -> None:
        self.kraken = kraken
        self.entrance = entrance
        self.queue = DueQueue(asyncio.get_running_loop())
        self.front = front.Server(kraken.venue, 1, self.queue.until)
        self.ws = self.front.ws_v2
        kraken.gateway = self.ws.gateway
        self.port = 0
        self._open: list[Peer] = []

    async def connect(self, **options: Any) -> "Peer":
        async with asyncio.timeout(PATIENCE_S):
            peer = Peer(*await asyncio.open_connection("127.0.0.1", self.port, **options))
        self._open.append(peer)
        return peer

    async def adopt(self, sock: socket.socket) -> "Peer":
        """Take a connected socket as a client."""
        peer = Peer(*await asyncio.open_connection(sock=sock, limit=4096))
        self._open.append(peer)
        return peer

    async def websocket(self, path: str = "/v2", host: str = "127.0.0.1", **options: Any) -> "Peer":
        """Open a WebSocket and read its status frame."""
        peer = await self.connect(**options)
        await peer.upgrade(path, host)
        return peer

    async def settle(self, condition: Any) -> None:
        """Wait until ``condition()`` holds."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await asyncio.sleep(0.001)

    async def close_clients(self) -> None:
        for peer in self._open:
            await peer.close()
        await self.settle(lambda: not self.ws.connections and not self.front.fronts)


@asynccontextmanager
async def serving(
    kraken: Kraken,
    contexts: ContextSource | None = None,
    entrance: Entrance = OPEN,
    tier: Tier | None = None,
    *,
    at_hand: bool = False,
) -> AsyncIterator[Served]:
    """Serve ``kraken`` on a port of its own, as far away as ``tier`` when one is given."""
    served = Served(kraken, entrance)
    make = served.front.protocols(entrance)
    make = guarded(make if contexts is None else over_tls(make, contexts), entrance, lambda: True)
    if at_hand:
        make = stream.at_hand(served.queue, make)
    if tier is not None:
        make = stream.wrap(tier, served.queue, make)
    listener = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    served.port = listener.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        await served.close_clients()
        listener.close()
        await served.front.close()
        served.queue.close()
        kraken.venue.close()


class Peer:
    """A client's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def close(self) -> None:
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()

    async def rest(self) -> bytes:
        """Read until the server ends the stream."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                return await self.reader.read(-1)
            except ConnectionError:
                return b""

    # -- HTTP -------------------------------------------------------------------------------------

    async def response(self) -> tuple[int, dict[str, str], bytes]:
        """Read one response: status, headers (lower case), body."""
        async with asyncio.timeout(PATIENCE_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head[:-4].split("\r\n")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return int(first.split()[1]), headers, body

    async def get(self, path: str) -> Any:
        self.send(f"GET {path} HTTP/1.1\r\nHost: api.kraken.com\r\n\r\n".encode())
        return json.loads((await self.response())[2])

    async def post(
        self, path: str, body: bytes, content_type: str = "application/x-www-form-urlencoded", **headers: str
    ) -> Any:
        lines = [f"POST {path} HTTP/1.1", "Host: api.kraken.com", f"Content-Length: {len(body)}"]
        if content_type:
            lines.append(f"Content-Type: {content_type}")
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
        status, headers, answer = await self.response()
        assert status == 200
        assert headers["content-type"] == "application/json; charset=utf-8"
        return json.loads(answer)

    async def private(self, method: str, nonce: int, account: str = "alice", **params: Any) -> Any:
        """Make a signed call with form parameters."""
        body = urlencode({"nonce": nonce, **params}).encode()
        path = f"/0/private/{method}"
        public, secret = demo_credentials(SEED, account)
        signature = sign(base64.b64decode(secret), path, str(nonce), body)
        return await self.post(path, body, API_Key=public, API_Sign=signature)

    # -- WebSocket --------------------------------------------------------------------------------

    async def upgrade(self, path: str = "/v2", host: str = "127.0.0.1") -> None:
        self.send(UPGRADE.format(path=path, host=host).encode())
        status, headers, _ = await self.response()
        assert status == 101
        assert headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert (await self.message())["channel"] == "status"

    async def frame(self) -> tuple[int, bytes]:
        """Read one frame: opcode and payload."""
        async with asyncio.timeout(PATIENCE_S):
            first, size = await self.reader.readexactly(2)
            assert first & 0xF0 == 0x80, "whole frames, no extension"
            if size > 125:
                size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
            return first & 0x0F, await self.reader.readexactly(size)

    async def message(self) -> Any:
        opcode, payload = await self.frame()
        assert opcode == TEXT, (opcode, payload)
        return wire(payload)

    async def ask(self, method: str, **params: Any) -> Any:
        """Make a request and return its first reply."""
        self.send(masked(json.dumps({"method": method} | ({"params": params} if params else {})).encode()))
        return await self.message()

    async def close_code(self) -> int:
        """Read what is left and return the code of the server's close frame; 0 when there is none."""
        try:
            while True:
                opcode, payload = await self.frame()
                if opcode == CLOSE:
                    return int.from_bytes(payload[:2], "big")
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0


def masked(
    payload: bytes, opcode: int = TEXT, *, fin: bool = True, rsv: int = 0, mask: bytes = b"\x01\x02\x03\x04"
) -> bytes:
    """Return a client's frame."""
    size = len(payload)
    head = bytes([fin << 7 | rsv << 4 | opcode])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 65_536:
        head += b"\xfe" + size.to_bytes(2, "big")
    else:
        head += b"\xff" + size.to_bytes(8, "big")
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


PING_REQUEST = b'{"method":"ping","req_id":5}'
