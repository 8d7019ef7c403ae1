"""What gateways write: straight to the transport while the client reads, kept up to a bound when not.

Nothing is asked of the transport per write: it says by itself when too much is unsent. What comes after
that is kept here as bytes, whatever size the writes have: a bound in bytes is one in memory too.
"""

import asyncio
import logging
from collections.abc import Callable

from emulator.gateways.doors import Doors
from emulator.words import counted

MOST_UNSENT = 16 << 20
"""Bytes that may wait for a slow client before it is cut off."""
_CHUNK = 256 << 10
_log = logging.getLogger(__name__)


class Outflow:
    """One connection's writes. ``name`` is what the log calls it, ``cut`` is called when it is cut off."""

    __slots__ = ("_cut", "_doors", "_end", "_kept", "_name", "_over", "_paused", "_transport")

    def __init__(
        self,
        transport: asyncio.Transport,
        doors: Doors,
        name: Callable[[], str],
        cut: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._doors = doors
        self._name = name
        self._cut = cut
        self._kept = bytearray()
        self._paused = False
        self._over = False
        self._end: Callable[[], None] | None = None

    def __len__(self) -> int:
        return len(self._kept)

    def write(self, data: bytes) -> None:
        """Send bytes behind all that was written before; nothing after the end."""
        if self._paused:
            self._keep(data)
        elif not self._over:
            self._transport.write(data)

    def end(self, *, half: bool = False) -> None:
        """Close the connection, or the way to the client only, when all that was written is out."""
        if self._end is None and not self._over:
            half = half and self._transport.can_write_eof()  # TLS has no half-close
            self._end = self._transport.write_eof if half else self._transport.close
            self._finish()

    def pause(self) -> None:
        """Keep what is written: the transport has enough."""
        self._paused = True

    def resume(self) -> None:
        """Give the transport what was kept, as much as it takes."""
        self._paused = False
        kept = self._kept
        while kept and not self._paused:
            chunk = bytes(kept[:_CHUNK])
            del kept[:_CHUNK]
            self._doors.unsent -= len(chunk)
            self._transport.write(chunk)  # which may pause again
        if not kept:
            self._doors.slow.discard(self)
            self._finish()

    def drop(self) -> None:
        """Forget what was kept: the connection is gone."""
        self._over = True
        self._doors.unsent -= len(self._kept)
        self._doors.slow.discard(self)
        self._kept.clear()

    def cut_off(self) -> None:
        """End a connection whose client does not read."""
        _log.warning("%s cut off: %s unsent", self._name(), counted(len(self._kept), "byte"))
        self.drop()
        self._transport.abort()
        self._cut()

    def _keep(self, data: bytes) -> None:
        if self._over or self._end is not None:
            return
        self._kept += data
        self._doors.unsent += len(data)
        self._doors.slow.add(self)
        if len(self._kept) > MOST_UNSENT:
            self.cut_off()
        else:
            self._doors.too_much_unsent()

    def _finish(self) -> None:
        """Do what comes after the last byte."""
        if self._end is not None and not self._kept and not self._over:
            self._over = True
            self._end()
