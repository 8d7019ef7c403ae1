"""Publishing of WebSocket v1: events to the subscribers of public feeds."""

from emulator.engine.events import BookChanged, Event, StatusChanged, Traded
from emulator.engine.status import TradingStatus
from emulator.gateways.feed import Subscriber
from emulator.gateways.market_events import gather
from emulator.gateways.outlet import Listener
from emulator.gateways.spot_ws_v1 import codec, feeds
from emulator.gateways.tape import INTERVALS
from emulator.gateways.venue import Venue

DEPTHS = (10, 25, 100, 500, 1000)
GOING_AWAY = 1001
FeedKey = tuple[str, str, int]
"""Channel, pair id, and depth or interval (0 for the others)."""
_IDS_PER_PAIR = 32
_FIRST_ID = 320
_OFFSETS: dict[tuple[str, int], int] = {
    **{("book", depth): place for place, depth in enumerate(DEPTHS)},
    ("trade", 0): 5,
    ("ticker", 0): 6,
    ("spread", 0): 7,
    **{("ohlc", interval): 8 + place for place, interval in enumerate(INTERVALS)},
}


class Publisher:
    """Keeps the public feeds and sends each event once to all who asked for it."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._numbers = {name: place for place, name in enumerate(venue.engine.catalogue.pairs)}
        self._pairs: dict[str, dict[tuple[str, int], feeds.V1Feed]] = {}
        self.sessions: dict[Listener, None] = {}
        """Everybody who is connected: who hears of the venue's status."""
        venue.listen(self.hear)
        venue.advisories.listen(self._advised)

    def channel_id(self, key: FeedKey) -> int:
        """Return the number of a channel: always the same for a pair and channel."""
        channel, pair, detail = key
        return _FIRST_ID + _IDS_PER_PAIR * self._numbers[pair] + _OFFSETS[channel, detail]

    def join(self, key: FeedKey, subscriber: Subscriber) -> bytes | None:
        """Subscribe; return what a new subscriber gets first."""
        channel, pair, detail = key
        of_pair = self._pairs.setdefault(pair, {})
        feed = of_pair.get((channel, detail))
        if feed is None:
            feed = of_pair[channel, detail] = self._make(key)
        feed.subscribers[subscriber] = None
        return feed.snapshot(self._venue.clock.now_ns())

    def leave(self, key: FeedKey, subscriber: Subscriber) -> None:
        """Unsubscribe; a feed that nobody listens to is dropped."""
        channel, pair, detail = key
        of_pair = self._pairs.get(pair, {})
        feed = of_pair.get((channel, detail))
        if feed is None:
            return
        feed.subscribers.pop(subscriber, None)
        if not feed.subscribers:
            del of_pair[channel, detail]
            if not of_pair:
                del self._pairs[pair]

    def hear(self, events: list[Event]) -> None:
        """Publish a batch of events; a book once, as it is after all of them."""
        for event in events:
            if type(event) is StatusChanged and event.pair is None:
                self._status_changed(event)
        if not self._pairs:
            return
        changed, traded = gather(events, self._pairs)
        for pair, change in changed.items():
            self._book_changed(self._pairs[pair], change)
        for pair, trades in traded.items():
            self._traded(self._pairs[pair], trades)

    def _book_changed(self, of_pair: dict[tuple[str, int], feeds.V1Feed], event: BookChanged) -> None:
        for feed in of_pair.values():
            payload = None
            if isinstance(feed, feeds.BookFeed | feeds.SpreadFeed):
                payload = feed.update(event)
            elif isinstance(feed, feeds.TickerFeed) and feed.moved(event):
                payload = feed.snapshot(event.time_ns)
            if payload is not None:
                feed.broadcast(payload)

    def _traded(self, of_pair: dict[tuple[str, int], feeds.V1Feed], trades: list[Traded]) -> None:
        now_ns = trades[-1].time_ns
        for feed in of_pair.values():
            payload = None
            if isinstance(feed, feeds.TradeFeed):
                payload = feed.update(trades)
            elif isinstance(feed, feeds.TickerFeed):
                payload = feed.snapshot(now_ns)
            elif isinstance(feed, feeds.OhlcFeed):
                payload = feed.update(now_ns)
            if payload is not None:
                feed.broadcast(payload)

    def _status_changed(self, event: StatusChanged) -> None:
        self._tell_status()
        if event.status is TradingStatus.MAINTENANCE:
            for session in list(self.sessions):
                session.end(GOING_AWAY)

    def _tell_status(self) -> None:
        """Tell everybody how the venue is, and what is announced."""
        told = self._venue.told(codec.ADVISORY_DECIMALS)
        frame = codec.system_status(self._venue.engine.system.value, None, told)
        for session in list(self.sessions):
            session.send(frame)

    def _advised(self) -> None:
        if self._venue.wires.status_advisories == "on":
            self._tell_status()

    def _make(self, key: FeedKey) -> feeds.V1Feed:
        channel, pair, detail = key
        market, number = self._venue.engine.markets[pair], self.channel_id(key)
        tape = self._venue.tape.pairs[pair]
        if channel == "book":
            return feeds.BookFeed(market, number, detail)
        if channel == "ohlc":
            return feeds.OhlcFeed(market, number, detail, tape)
        if channel == "ticker":
            return feeds.TickerFeed(market, number, tape)
        return {"trade": feeds.TradeFeed, "spread": feeds.SpreadFeed}[channel](market, number, 0)
