"""The guard of live traffic: what the command tries to reach elsewhere is refused at once, and told.

Every foreign address is one of the command's own network, where nobody listens: so the kernel itself refuses
connections and datagrams, and we only look on. Names are refused by a name server that knows Kraken's.
"""

from __future__ import annotations

import asyncio
import collections
import socket
from collections.abc import Callable, Mapping, Sequence

from emulator.link import netns
from emulator.run import names, packets

MOST_PLACES = 1_000
"""Destinations that are told apart."""
MOST_SHOWN = 20
"""Destinations in the last line."""


class Tally:
    """What was refused, and how often; `tell` gets a destination when it is refused for the first time."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._times: dict[str, collections.Counter[int]] = {}

    def add(self, place: str, kind: int = 0) -> None:
        """Count; a destination was tried as often as what kind of question for it came most often."""
        if place not in self._times:
            if len(self._times) >= MOST_PLACES:
                return
            self._times[place] = collections.Counter()
            self._tell(place)
        self._times[place][kind] += 1

    def __str__(self) -> str:
        """Name every destination, in one line; empty when there is none."""
        shown = []
        for place, kinds in list(self._times.items())[:MOST_SHOWN]:
            times = max(kinds.values())
            shown.append(place if times == 1 else f"{place} ({times} times)")
        if (more := len(self._times) - len(shown)) > 0:
            shown.append(f"and {more} more")
        return ", ".join(shown)


class Guard:
    """Watches the network of the calling thread."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.refused = Tally(tell)
        self._watching: socket.socket | None = None
        self._names: asyncio.DatagramTransport | None = None

    async def start(self, known: Mapping[str, Sequence[str]]) -> None:
        """Begin, where `known` names lead to addresses; OSError when it cannot be done."""
        loop = asyncio.get_running_loop()
        with netns.Namespace.current() as here:
            await asyncio.to_thread(netns.refuse_the_rest, here)
        self._watching = packets.watch()
        loop.add_reader(self._watching, self._look)
        self._names, _ = await loop.create_datagram_endpoint(
            lambda: names.NameServer(known, self._asked), ("127.0.0.1", names.PORT)
        )

    def stop(self) -> None:
        """End; what has come is counted."""
        if self._watching is not None:
            self._look()
            asyncio.get_running_loop().remove_reader(self._watching)
            self._watching.close()
            self._watching = None
        if self._names is not None:
            self._names.close()

    def _look(self) -> None:
        assert self._watching is not None  # noqa: S101 - there is a reader as long as it is there
        for attempt in packets.received(self._watching):
            asked = names.question(attempt.payload) if attempt.port == names.PORT else None
            if asked is None:
                self.refused.add(attempt.place)
            else:
                self.refused.add(f"name {asked.name} at {attempt.address}", asked.kind)

    def _asked(self, asked: names.Question) -> None:
        if not asked.name.endswith(".arpa"):  # who belongs to an address is asked in passing
            self.refused.add(f"name {asked.name}", asked.kind)
