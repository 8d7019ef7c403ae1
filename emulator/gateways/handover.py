"""One protocol steps aside for another on the same connection."""

import asyncio
from typing import cast


def hand_over(transport: asyncio.Transport, protocol: asyncio.BaseProtocol, data: bytes = b"") -> None:
    """Let ``protocol`` have a connection from now on, and the bytes that were read before it was chosen."""
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    if not isinstance(protocol, asyncio.BufferedProtocol):
        if data:
            cast(asyncio.Protocol, protocol).data_received(data)
        return
    while data:
        buffer = memoryview(protocol.get_buffer(len(data)))
        size = min(len(buffer), len(data))
        buffer[:size] = data[:size]
        protocol.buffer_updated(size)
        data = data[size:]
