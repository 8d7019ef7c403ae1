"""Publishing over FIX: events to the subscribers of books, trades, lists and states."""

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from emulator.engine.events import BookChanged, Event, StatusChanged, Traded
from emulator.gateways.fix import feeds, listings
from emulator.gateways.market_events import gather
from emulator.gateways.venue import Venue

if TYPE_CHECKING:
    from emulator.gateways.fix.session import Session

BOOK, LEVEL3, TRADES = "book", "level3", "trades"
FLUSH_CHUNK = 16
"""Sessions written to before the loop gets a turn."""


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """What one MarketDataRequest asked for."""

    request_id: str
    pairs: tuple[str, ...]
    depth: int
    kinds: tuple[str, ...]
    """``book`` or ``level3``, and ``trades``."""


class _Feed:
    """A book, or the trades, of one pair, and who hears of it."""

    __slots__ = ("source", "subscribers")

    def __init__(self, source: feeds.BookFeed | feeds.Level3Feed | None) -> None:
        self.source = source
        """None for trades, which need no state."""
        self.subscribers: dict[tuple[Session, str], None] = {}


class Publisher:
    """Keeps the feeds that somebody listens to."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._pairs: dict[str, dict[tuple[str, int], _Feed]] = {}
        self._listeners: dict[Session, None] = {}
        """Who has standing requests for lists or for the venue's state."""
        self._waiting: deque[Session] = deque()
        self._queued: set[Session] = set()
        venue.listen(self.hear)

    # -- who listens ------------------------------------------------------------------------------

    def subscribe(self, session: "Session", wanted: Subscription) -> Iterator[None]:
        """Begin a subscription: a snapshot for each pair's book, then updates; one pair after the other."""
        session.subscriptions[wanted.request_id] = wanted
        for place, pair in enumerate(wanted.pairs):
            if place:
                yield
            for kind in wanted.kinds:
                feed = self._feed(pair, kind, wanted.depth)
                if feed.source is not None:
                    self._send(session, "W", pair, wanted.request_id, feed.source.snapshot())
                feed.subscribers[session, wanted.request_id] = None

    def unsubscribe(self, session: "Session", request_id: str) -> None:
        """End a subscription; a feed that nobody listens to is dropped."""
        ended = session.subscriptions.pop(request_id)
        for pair in ended.pairs:
            of_pair = self._pairs.get(pair, {})
            for kind in ended.kinds:
                key = kind, 0 if kind == TRADES else ended.depth
                feed = of_pair.get(key)  # there is none when the connection has ended before its turn
                if feed is not None:
                    feed.subscribers.pop((session, request_id), None)
                    if not feed.subscribers:
                        del of_pair[key]
            if not of_pair:
                self._pairs.pop(pair, None)

    def leave_all(self, session: "Session") -> None:
        """End everything that a session has asked for."""
        session.unfinished = None
        for request_id in list(session.subscriptions):
            self.unsubscribe(session, request_id)
        session.requests.clear()
        session.status_requests.clear()
        self._listeners.pop(session, None)

    def listens(self, session: "Session") -> None:
        """Let a session hear of trading states; it has a standing request, or has just ended its last."""
        if session.requests or session.status_requests:
            self._listeners[session] = None
        else:
            self._listeners.pop(session, None)

    def _feed(self, pair: str, kind: str, depth: int) -> _Feed:
        of_pair = self._pairs.setdefault(pair, {})
        key = kind, 0 if kind == TRADES else depth
        feed = of_pair.get(key)
        if feed is None:
            engine = self._venue.engine
            source: feeds.BookFeed | feeds.Level3Feed | None = None
            if kind == BOOK:
                source = feeds.BookFeed(engine.markets[pair], depth)
            elif kind == LEVEL3:
                source = feeds.Level3Feed(engine, engine.markets[pair], depth)
            feed = of_pair[key] = _Feed(source)
        return feed

    # -- what happens -----------------------------------------------------------------------------

    def hear(self, events: list[Event]) -> None:
        """Publish a batch of events: books first, then trades."""
        if self._listeners:
            for event in events:
                if type(event) is StatusChanged:
                    self._status_changed(event)
        if not self._pairs:
            return
        changed, traded = gather(events, self._pairs)
        for pair, change in changed.items():
            self._book_changed(pair, change)
        for pair, trades in traded.items():
            self._traded(pair, trades)

    def _book_changed(self, pair: str, event: BookChanged) -> None:
        for feed in self._pairs[pair].values():
            body = feed.source.update(event) if feed.source is not None else None
            if body is not None:
                self._broadcast(feed, pair, body)

    def _traded(self, pair: str, trades: list[Traded]) -> None:
        feed = self._pairs[pair].get((TRADES, 0))
        if feed is not None:
            self._broadcast(feed, pair, feeds.trades(self._venue.engine.catalogue.pairs[pair], trades))

    def _status_changed(self, event: StatusChanged) -> None:
        """Tell of trading states: pairs in lists of instruments, the venue's in its own message."""
        engine = self._venue.engine
        for session in self._listeners:
            if not session.core.logged_on:
                continue
            for request_id, wanted in session.requests.items():
                pairs = [pair for pair in engine.catalogue.pairs if wanted in ("", pair)]
                if event.pair is not None:
                    pairs = [pair for pair in pairs if pair == event.pair]
                if pairs:
                    markets = [engine.markets[pair] for pair in pairs]
                    for body in listings.security_lists(engine, request_id, markets, event.time_ns):
                        session.post("y", body)
            if event.pair is None:
                for request_id in session.status_requests:
                    session.post("h", listings.session_status(engine, request_id))
            self._soon(session)

    def _broadcast(self, feed: _Feed, pair: str, body: str) -> None:
        for session, request_id in feed.subscribers:
            if session.core.logged_on:  # not when it has logged out and its connection is about to end
                self._send(session, "X", pair, request_id, body)
                self._soon(session)

    def _send(self, session: "Session", msg_type: str, pair: str, request_id: str, body: str) -> None:
        symbol = self._venue.engine.catalogue.pairs[pair].symbol
        session.post(msg_type, f"55={symbol}\x01262={request_id}\x01{body}")

    # -- writing ----------------------------------------------------------------------------------

    def _soon(self, session: "Session") -> None:
        """Write to a session at the end of this turn of the loop, with whatever else there is by then."""
        if session in self._queued:
            return
        self._queued.add(session)
        self._waiting.append(session)
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        try:
            for _ in range(min(FLUSH_CHUNK, len(self._waiting))):
                session = self._waiting.popleft()
                self._queued.discard(session)
                session.flush()
        finally:  # one that cannot be written to (its journal's disk is full) must not hold the others up
            if self._waiting:
                asyncio.get_running_loop().call_soon(self._flush)
