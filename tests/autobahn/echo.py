"""What the suite asks for: a WebSocket application that says what it hears, on our connection class."""

import asyncio

from emulator.gateways import websocket
from emulator.gateways.framing import BINARY, TEXT, text_frame


class Nothing:
    """A session of a client that is never idle."""

    busy = True

    def receive(self, data: bytes) -> None:
        """Hear nothing: the connection itself answers."""

    def close(self) -> None:
        """Nothing is left."""


class Connection(websocket.Connection):
    """Sends every message back as it came."""

    def _message(self, payload: bytes, opcode: int = TEXT) -> None:
        frame = text_frame(payload)
        self._posted.append(frame if opcode == TEXT else bytes([0x80 | BINARY]) + frame[1:])
        self._write_posted()


class Server(websocket.Server):
    """Makes such connections."""

    def connection(self) -> Connection:
        return Connection(self, lambda outlet, connection_id: Nothing(), next(self._ids))

    async def listen(self, port: int = 0) -> asyncio.Server:
        return await asyncio.get_running_loop().create_server(self.connection, "127.0.0.1", port)
