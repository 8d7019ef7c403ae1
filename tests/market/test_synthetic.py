from collections import Counter, defaultdict
from hashlib import sha256

import pytest

from emulator.engine.events import BookChanged, Rejected, Traded
from emulator.engine.instruments import Catalogue, Side
from emulator.engine.orders import OrderType, Status, TimeInForce
from emulator.market.prices import initial_prices
from emulator.market.profile import MarketProfile
from emulator.market.synthetic import SyntheticMarket
from tests.market.venue import BTC_USD, SECOND_NS, Venue, best, line, whole

PEGGED = {"USDT", "USDC", "ZUSD"}


BUSY_S = 150


@pytest.fixture
def venue(catalogue: Catalogue, profile: MarketProfile) -> Venue:
    """A venue of a few pairs."""
    pairs = {name: catalogue.pairs[name] for name in (BTC_USD, "XETHZUSD", "SOLEUR")}
    return Venue(Catalogue(catalogue.assets, pairs), profile).open()


@pytest.fixture
def full(catalogue: Catalogue, profile: MarketProfile) -> Venue:
    return Venue(catalogue, profile).open()


@pytest.fixture(scope="module")
def busy(catalogue: Catalogue, profile: MarketProfile) -> Venue:
    """A venue after minutes of trading, whose books were checked after every step."""
    venue = Venue(catalogue, profile).open()
    until = venue.now_ns + BUSY_S * SECOND_NS
    while venue.now_ns < until:
        for event in venue.step():
            if isinstance(event, BookChanged):
                assert whole(venue.book(event.pair)), event.pair
    return venue


def digest(catalogue: Catalogue, profile: MarketProfile, seed: int) -> str:
    venue = Venue(catalogue, profile, seed)
    venue.market.open(venue.now_ns)
    venue.run(2)
    venue.place(Side.BUY, 10**9, None)
    venue.run(8)
    return sha256("\n".join(map(line, venue.events)).encode()).hexdigest()


def test_same_seed_and_times_give_the_same_events(catalogue: Catalogue, profile: MarketProfile) -> None:
    first = digest(catalogue, profile, 1)
    assert digest(catalogue, profile, 1) == first
    assert digest(catalogue, profile, 2) != first


def test_open_fills_every_book_around_its_initial_price(
    catalogue: Catalogue, profile: MarketProfile, full: Venue
) -> None:
    for name, price in initial_prices(profile, catalogue).items():
        book = full.book(name)
        assert whole(book, profile.pairs[name].levels)
        tick = catalogue.pairs[name].tick
        assert best(book.bids) - tick <= price <= best(book.asks) + tick


def test_only_a_house_account_can_be_the_market(
    catalogue: Catalogue, profile: MarketProfile, venue: Venue
) -> None:
    with pytest.raises(ValueError, match="alice is not a house account"):
        SyntheticMarket(venue.engine, "alice", profile, 1, venue.events.extend)


def test_every_pair_trades_and_its_price_moves(catalogue: Catalogue, busy: Venue) -> None:
    prices = defaultdict(set)
    for event in busy.events:
        if isinstance(event, Traded):
            prices[event.pair].add(event.price)
    for name, pair in catalogue.pairs.items():
        pegged = {pair.base.id, pair.quote.id} <= PEGGED
        assert len(prices[name]) >= (2 if pegged else 3), name


def test_cancels_outnumber_trades_in_every_pair(catalogue: Catalogue, busy: Venue) -> None:
    taken = Counter(
        command.pair
        for command in busy.engine.placed
        if command.type is OrderType.MARKET or command.tif is TimeInForce.IOC
    )
    for name in catalogue.pairs:
        assert busy.engine.cancels[name] > 3 * taken[name], name


def test_steps_come_at_the_rate_of_the_profile(profile: MarketProfile, busy: Venue) -> None:
    expected = BUSY_S * sum(flow.events_per_second for flow in profile.pairs.values())
    assert 0.95 * expected < busy.steps < 1.1 * expected


def test_turnover_is_about_the_profiles(profile: MarketProfile, busy: Venue) -> None:
    flow = profile.pairs[BTC_USD]
    usd = sum(e.price * e.qty for e in busy.events if isinstance(e, Traded) and e.pair == BTC_USD) / 1e9
    expected = flow.trades_per_day * flow.mean_trade_usd * BUSY_S / 86_400
    assert 0.4 * expected < usd < 2.0 * expected


def test_every_house_order_is_one_the_venue_would_take(catalogue: Catalogue, busy: Venue) -> None:
    for command in busy.engine.placed:
        pair = catalogue.pairs[command.pair]
        assert command.qty >= pair.order_min
        if command.price is not None:
            assert command.price > 0
            assert command.price % pair.tick == 0
            assert command.price * command.qty >= pair.cost_min
    assert not any(isinstance(event, Rejected) for event in busy.events)


def test_books_do_not_grow_without_bound(catalogue: Catalogue, busy: Venue) -> None:
    for name in catalogue.pairs:
        for side in (busy.book(name).bids, busy.book(name).asks):
            assert len(side.keys) < 170
            assert sum(1 for level in side.levels.values() if level.head is not level.tail) < 130


def test_pairs_stay_coherent(catalogue: Catalogue, busy: Venue) -> None:
    def middle(name: str) -> float:
        book, decimals = busy.book(name), catalogue.pairs[name].price_decimals
        return (best(book.bids) + best(book.asks)) / 2 / float(10**decimals)

    assert middle(BTC_USD) / middle("XXBTZEUR") == pytest.approx(middle("ZEURZUSD"), rel=1e-3)
    assert middle("XETHZUSD") / middle(BTC_USD) == pytest.approx(middle("XETHXXBT"), rel=1e-3)


@pytest.mark.parametrize("pair", [BTC_USD, "XETHZUSD", "SOLEUR"])
@pytest.mark.parametrize("side", Side)
def test_order_one_tick_inside_the_spread_is_filled_within_a_minute(
    catalogue: Catalogue, venue: Venue, pair: str, side: Side
) -> None:
    venue.run(5)
    instrument, book = catalogue.pairs[pair], venue.book(pair)
    while best(book.asks) - best(book.bids) < 2 * instrument.tick:
        venue.step()
    price = best(book.bids) + instrument.tick if side is Side.BUY else best(book.asks) - instrument.tick
    order = venue.place(side, instrument.order_min * 2, price, pair)
    assert venue.run_until_ended([order], 60)
    assert order.status is Status.CLOSED


def test_order_that_the_mid_walks_through_is_filled(venue: Venue) -> None:
    book = venue.book()
    low = venue.place(Side.BUY, 10**7, best(book.bids) - 60)
    high = venue.place(Side.SELL, 10**7, best(book.asks) + 60)
    assert venue.run_until_ended([low, high], 300)


def test_swept_book_is_whole_again_within_seconds(venue: Venue) -> None:
    for side in Side:
        venue.place(side, 10**8 * 100_000, None)
        assert not venue.book().side(side is Side.SELL).keys
        venue.run(3)
        assert whole(venue.book())


def test_huge_order_inside_the_spread_does_not_stop_the_market(venue: Venue) -> None:
    book = venue.book()
    order = venue.place(Side.BUY, 10**8 * 10_000, best(book.asks) - 1)
    venue.run(60)
    assert order.filled > 0
    assert whole(book)
    assert best(book.asks) > order.price


def test_huge_order_far_beyond_the_price_is_traded_against_until_it_is_gone(venue: Venue) -> None:
    order = venue.place(Side.BUY, 10**8 * 100, 700_000)
    assert order.level is not None
    venue.run(30)
    assert order.status is Status.CLOSED
    venue.run(5)
    assert whole(venue.book())
    assert best(venue.book().bids) < 650_000


def test_absurdly_cheap_offer_does_not_break_the_ladder(venue: Venue) -> None:
    venue.place(Side.SELL, 10**8 * 900_000, 1)
    venue.run(5)
    book = venue.book()
    assert best(book.asks) == 1
    assert not book.bids.keys


def test_a_clients_far_orders_do_not_displace_the_ladder(venue: Venue) -> None:
    for step in range(200):
        venue.place(Side.BUY, 10**7, 1_000 + step)
    venue.run(60)
    assert len(venue.book().bids.keys) >= 300


def test_nothing_happens_before_it_is_due(venue: Venue) -> None:
    venue.market.act(venue.market.due_ns() - 1)
    assert not venue.events


@pytest.mark.parametrize("jump_s", [600, -600])
def test_clock_jump_is_skipped_and_not_replayed(full: Venue, jump_s: int) -> None:
    full.run(2)
    full.events.clear()
    bid = best(full.book().bids)
    full.now_ns += jump_s * SECOND_NS
    full.market.act(full.now_ns)
    assert not full.events
    assert full.market.due_ns() > full.now_ns
    before = full.steps
    full.run(1)
    assert 100 < full.steps - before < 320
    assert best(full.book().bids) == pytest.approx(bid, rel=2e-3)
