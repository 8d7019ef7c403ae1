"""The venue by the control API: what may be done in its pairs, and their index prices."""

from __future__ import annotations

from typing import Any

import msgspec

from emulator.engine.commands import SetIndex, SetStatus
from emulator.engine.events import Rejected
from emulator.engine.instruments import Instrument, scaled
from emulator.engine.status import SYSTEM, TradingStatus
from emulator.gateways.numbers import text
from emulator.gateways.venue import Venue


class VenueError(Exception):
    """What cannot be done: one line."""


class _Change(msgspec.Struct, forbid_unknown_fields=True):
    status: str | None = None
    index: str | None = None


class VenueControl:
    """Looks at the venue and changes it."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def show(self, pair: str | None) -> Any:
        """Return the venue's status and the pairs that differ from the usual, or one pair."""
        engine = self._venue.engine
        if pair is not None:
            return self._pair(self._find(pair))
        changed = {
            market.instrument.altname: market.status.value
            for market in engine.markets.values()
            if market.status is not TradingStatus.ONLINE
        }
        return {"status": engine.system.value, "pairs": changed}

    def set(self, pair: str | None, body: dict[str, Any]) -> Any:
        """Change the venue's or a pair's status, or the pair's index price."""
        try:
            change = msgspec.convert(body, _Change)
        except msgspec.ValidationError as error:
            raise VenueError(str(error)) from None
        found = None if pair is None else self._find(pair)
        if change.status is not None:
            known = SYSTEM if found is None else frozenset(TradingStatus)
            names = sorted(status.value for status in known)
            if change.status not in names:
                raise VenueError(f"unknown status {change.status!r}; there are {', '.join(names)}")
            status = TradingStatus(change.status)
            self._execute(SetStatus(status, None if found is None else found.id))
        if change.index is not None:
            if found is None:
                raise VenueError("index: a pair has one, the venue has not")
            self._execute(SetIndex(found.id, _index(change.index, found)))
        return self.show(pair)

    def _find(self, name: str) -> Instrument:
        pair = self._venue.names.pair(name)
        if pair is None:
            raise VenueError(f"unknown pair {name!r}")
        return pair

    def _pair(self, pair: Instrument) -> Any:
        market = self._venue.engine.markets[pair.id]
        index = text(market.index_price, pair.price_decimals) if market.index_price else None
        return {"pair": pair.altname, "status": market.status.value, "index": index}

    def _execute(self, command: SetStatus | SetIndex) -> None:
        for event in self._venue.execute(command):
            if isinstance(event, Rejected):
                raise VenueError(f"refused: {event.reason.name.lower()}")


def _index(value: str, pair: Instrument) -> int:
    try:
        price = scaled(value, pair.price_decimals)
    except (ValueError, ArithmeticError):
        price = -1
    if price < 0:
        raise VenueError(f"index: {value!r} is not a price of {pair.altname}")
    return price
