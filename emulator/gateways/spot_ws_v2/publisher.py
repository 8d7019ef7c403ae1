"""Publishing: events to the subscribers of public feeds and of private channels."""

from collections.abc import Callable
from fractions import Fraction

from emulator.engine.events import BookChanged, Event, StatusChanged, Traded
from emulator.engine.status import TradingStatus
from emulator.gateways import checksums
from emulator.gateways.feed import Feed, Subscriber
from emulator.gateways.market_events import gather
from emulator.gateways.outlet import Listener
from emulator.gateways.spot_ws_v2 import codec, feeds
from emulator.gateways.spot_ws_v2.level3 import Level3Feed
from emulator.gateways.spot_ws_v2.private import USD
from emulator.gateways.venue import Venue

GOING_AWAY = 1001
FeedKey = tuple[str, str, str | int]
"""Channel, pair id, and what tells subscriptions of one pair apart (depth, interval, trigger)."""


class _PairFeeds:
    """All feeds of one pair that have subscribers."""

    __slots__ = ("book", "level3", "ohlc", "ticker", "trade")

    def __init__(self) -> None:
        self.book: dict[int, feeds.BookFeed] = {}
        self.level3: dict[int, Level3Feed] = {}
        self.ohlc: dict[int, feeds.OhlcFeed] = {}
        self.ticker: dict[str, feeds.TickerFeed] = {}
        self.trade: dict[str, feeds.TradeFeed] = {}


class Publisher:
    """Keeps the public feeds and sends each event once to all who asked for it."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._pairs: dict[str, _PairFeeds] = {}
        self._instruments = Feed()
        self._instrument_snapshot: bytes | None = None
        self.sessions: dict[Listener, None] = {}
        """Everybody who is connected: who hears of the venue's status."""
        venue.listen(self.hear)
        venue.advisories.listen(self._advised)

    def join(self, key: FeedKey, subscriber: Subscriber, *, snapshot: bool) -> bytes | None:
        """Subscribe; return the snapshot's payload when one was asked for."""
        feed = self._feed(key)
        payload = self._snapshot(key, feed) if snapshot else None
        feed.subscribers[subscriber] = None
        return payload

    def leave(self, key: FeedKey, subscriber: Subscriber) -> None:
        """Unsubscribe; a feed that nobody listens to is dropped."""
        channel, pair, detail = key
        if channel == "instrument":
            self._instruments.subscribers.pop(subscriber, None)
            return
        of_pair = self._pairs.get(pair)
        feed = None if of_pair is None else getattr(of_pair, channel).get(detail)
        if feed is None:
            return
        feed.subscribers.pop(subscriber, None)
        if not feed.subscribers:
            del getattr(of_pair, channel)[detail]
            if of_pair and not any(getattr(of_pair, name) for name in of_pair.__slots__):
                del self._pairs[pair]

    def hears(self, pair: str) -> bool:
        """Tell whether anybody listens to a feed of ``pair``."""
        return pair in self._pairs

    def hear(self, events: list[Event]) -> None:
        """Publish a batch of events."""
        for event in events:
            if type(event) is StatusChanged:
                self._status_changed(event)
        if not self._pairs:
            return
        changed, traded = gather(events, self._pairs)
        for pair, change in changed.items():
            self._book_changed(self._pairs[pair], change)
        for pair, trades in traded.items():
            self._traded(self._pairs[pair], trades)

    def _book_changed(self, of_pair: _PairFeeds, event: BookChanged) -> None:
        if of_pair.book:
            crc = checksums.of_levels(self._venue.engine.markets[event.pair])
            for book in of_pair.book.values():
                payload = book.update(event, crc)
                if payload is not None:
                    book.broadcast(payload)
        for level3 in of_pair.level3.values():
            payload = level3.update(event)
            if payload is not None:
                level3.broadcast(payload)
        ticker = of_pair.ticker.get("bbo")
        if ticker is not None and ticker.top_moved():
            ticker.broadcast(ticker.message("update", event.time_ns))

    def _traded(self, of_pair: _PairFeeds, trades: list[Traded]) -> None:
        now_ns = trades[-1].time_ns
        for feed in of_pair.trade.values():
            feed.broadcast(feed.message("update", trades))
        ticker = of_pair.ticker.get("trades")
        if ticker is not None:
            ticker.broadcast(ticker.message("update", now_ns))
        for ohlc in of_pair.ohlc.values():
            payload = ohlc.update(now_ns)
            if payload is not None:
                ohlc.broadcast(payload)

    def _status_changed(self, event: StatusChanged) -> None:
        """Tell of a pair's status on its channel, of the venue's everybody; maintenance ends connections."""
        self._instrument_snapshot = None
        if event.pair is not None:
            market = self._venue.engine.markets[event.pair]
            self._instruments.broadcast(feeds.instrument_update(market))
            return
        self._tell_status()
        if event.status is TradingStatus.MAINTENANCE:
            for session in list(self.sessions):
                session.end(GOING_AWAY)

    def _tell_status(self) -> None:
        """Tell everybody how the venue is, and what is announced."""
        told = self._venue.told(codec.ADVISORY_DECIMALS)
        frame = codec.status(self._venue.engine.system.value, None, told)
        for session in list(self.sessions):
            session.send(frame)

    def _advised(self) -> None:
        if self._venue.wires.status_advisories == "on":
            self._tell_status()

    def _feed(self, key: FeedKey) -> Feed:
        channel, pair, detail = key
        if channel == "instrument":
            return self._instruments
        of_pair = self._pairs.setdefault(pair, _PairFeeds())
        feed: Feed | None = getattr(of_pair, channel).get(detail)
        if feed is None:
            feed = getattr(of_pair, channel)[detail] = self._makers[channel](self, pair, detail)
        return feed

    def _snapshot(self, key: FeedKey, feed: Feed) -> bytes:
        now_ns = self._venue.clock.now_ns()
        if isinstance(feed, feeds.TradeFeed):
            return feed.message("snapshot", self._venue.tape.pairs[key[1]].last_trades(feeds.SNAPSHOT_TRADES))
        if isinstance(feed, feeds.TickerFeed):
            return feed.message("snapshot", now_ns)
        if isinstance(feed, feeds.BookFeed | feeds.OhlcFeed | Level3Feed):
            return feed.snapshot(now_ns)
        if self._instrument_snapshot is None:
            self._instrument_snapshot = feeds.instrument_snapshot(self._venue.engine)
        return self._instrument_snapshot

    def _make_book(self, pair: str, depth: int) -> Feed:
        return feeds.BookFeed(self._venue.engine.markets[pair], depth)

    def _make_level3(self, pair: str, depth: int) -> Feed:
        return Level3Feed(self._venue.engine, self._venue.engine.markets[pair], depth)

    def _make_trade(self, pair: str, _: str) -> Feed:
        return feeds.TradeFeed(self._venue.engine.catalogue.pairs[pair])

    def _make_ticker(self, pair: str, _: str) -> Feed:
        venue, market = self._venue, self._venue.engine.markets[pair]
        quote = market.instrument.quote.id

        def in_usd() -> Fraction | None:
            if venue.wires.ticker == "trades":
                return None
            return venue.engine.valuation.rate(quote, USD) or Fraction(0)

        return feeds.TickerFeed(market, venue.tape.pairs[pair], in_usd)

    def _make_ohlc(self, pair: str, interval: int) -> Feed:
        instrument = self._venue.engine.catalogue.pairs[pair]
        tape = self._venue.tape.pairs[pair]
        return feeds.OhlcFeed(instrument, interval, tape, self._venue.candle_rows)

    _makers: dict[str, Callable[..., Feed]] = {  # noqa: RUF012 - a table, never changed
        "book": _make_book,
        "level3": _make_level3,
        "trade": _make_trade,
        "ticker": _make_ticker,
        "ohlc": _make_ohlc,
    }
