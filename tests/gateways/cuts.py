"""A connection without sockets: bytes go in, in whatever pieces, and what comes out is compared."""

import asyncio
import re
from collections.abc import Callable, Iterable, Sequence

PATIENCE = 20_000
QUIET = 12
"""Turns of the loop without a word, after which all has been said."""
_DATE = re.compile(rb"Date: [^\r]*\r\n")


class Pipe(asyncio.Transport):
    """The venue's end: keeps what is written, and what comes in while it does not read."""

    def __init__(self, protocol: asyncio.BaseProtocol) -> None:
        super().__init__()
        self.protocol = protocol
        self.written = bytearray()
        self.closed = self.ended = self.paused = self.lost = False
        self._incoming: list[bytes] = []
        protocol.connection_made(self)

    def feed(self, data: bytes) -> None:
        """Let bytes arrive."""
        self._incoming.append(data)
        self._deliver()

    def _deliver(self) -> None:
        while self._incoming and not self.paused and not self.closed:
            self.protocol.data_received(self._incoming.pop(0))

    def lose(self) -> None:
        """Let the connection end."""
        if not self.lost:
            self.lost = self.closed = True
            self.protocol.connection_lost(None)

    def get_extra_info(self, name, default=None):
        return ("127.0.0.1", 5) if name == "peername" else default

    def set_protocol(self, protocol):
        self.protocol = protocol

    def get_protocol(self):
        return self.protocol

    def write(self, data):
        assert not self.ended
        if not self.closed:
            self.written += data

    def write_eof(self):
        self.ended = True

    def can_write_eof(self):
        return True

    def get_write_buffer_size(self):
        return 0

    def is_reading(self):
        return not self.paused

    def pause_reading(self):
        self.paused = True

    def resume_reading(self):
        self.paused = False
        asyncio.get_running_loop().call_soon(self._deliver)

    def is_closing(self):
        return self.closed

    def close(self):
        self.closed = True

    abort = close

    @property
    def heard(self) -> tuple[bytes, bool]:
        """What was written, without what depends on the wall's clock, and whether it is over."""
        return _DATE.sub(b"", bytes(self.written)), self.closed or self.ended


def pieces(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """Cut ``data`` at these places."""
    places = sorted({cut for cut in cuts if 0 < cut < len(data)})
    return [data[begin:end] for begin, end in zip([0, *places], [*places, len(data)], strict=True)]


async def converse(
    factory: Callable[[], asyncio.BaseProtocol], parts: Sequence[bytes], turns: int = 1
) -> tuple[bytes, bool]:
    """Say parts, with so many turns of the loop between them; return what was heard in the end."""
    pipe = Pipe(factory())
    for part in parts:
        pipe.feed(part)
        for _ in range(turns):
            await asyncio.sleep(0)
    quiet = size = 0
    for _ in range(PATIENCE):
        quiet = quiet + 1 if len(pipe.written) == size else 0
        size = len(pipe.written)
        if quiet > QUIET:
            break
        await asyncio.sleep(0)
    heard = pipe.heard
    pipe.lose()
    await asyncio.sleep(0)
    return heard
