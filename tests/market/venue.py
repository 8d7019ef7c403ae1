"""An engine with a synthetic market and one rich client, driven through simulated time."""

from collections import Counter

from emulator.engine.accounts import Account
from emulator.engine.book import Book, BookSide
from emulator.engine.commands import Command, Deposit, PlaceOrder
from emulator.engine.events import Accepted, BookChanged, Ended, Event, Filled, Rejected, Traded
from emulator.engine.instruments import Catalogue, Side
from emulator.engine.orders import Order, OrderType, Status
from emulator.engine.spot import SpotEngine
from emulator.market.model import MarketModel
from emulator.market.profile import MarketProfile
from emulator.market.synthetic import SyntheticMarket

START_NS = 1_762_000_000 * 10**9 + 123
SECOND_NS = 10**9
BTC_USD = "XXBTZUSD"


class RecordingEngine(SpotEngine):
    """Keeps the house's commands and counts its cancels."""

    def __init__(self, catalogue: Catalogue) -> None:
        super().__init__(catalogue, [Account("house", house=True), Account("alice")])
        self.placed: list[PlaceOrder] = []
        self.cancels: Counter[str] = Counter()

    def apply(self, command: Command, now_ns: int) -> list[Event]:
        if isinstance(command, PlaceOrder) and command.account == "house":
            self.placed.append(command)
        return super().apply(command, now_ns)

    def cancel_house(self, order: Order, now_ns: int) -> list[Event]:
        self.cancels[order.instrument.id] += 1
        return super().cancel_house(order, now_ns)


class Venue:
    """``run`` calls the market whenever it is due; ``steps`` counts those calls."""

    def __init__(self, catalogue: Catalogue, profile: MarketProfile, seed: int = 7) -> None:
        self.engine = RecordingEngine(catalogue)
        self.events: list[Event] = []
        self.market: MarketModel = SyntheticMarket(self.engine, "house", profile, seed, self.events.extend)
        self.now_ns = START_NS
        self.steps = 0
        for asset in catalogue.assets.values():
            self.engine.apply(Deposit("alice", asset.id, 10 ** (asset.decimals + 9)), START_NS)

    def open(self) -> "Venue":
        self.market.open(self.now_ns)
        self.events.clear()
        return self

    def step(self) -> list[Event]:
        """Act once, when due; returns what happened."""
        self.now_ns = max(self.market.due_ns(), self.now_ns)
        first = len(self.events)
        self.market.act(self.now_ns)
        self.steps += 1
        return self.events[first:]

    def run(self, seconds: float) -> "Venue":
        until = self.now_ns + int(seconds * SECOND_NS)
        while self.market.due_ns() <= until:
            self.step()
        self.now_ns = until
        return self

    def run_until_ended(self, orders: list[Order], seconds: int) -> bool:
        """Run until one of ``orders`` is filled or cancelled; returns whether that happened in time."""
        for _ in range(seconds):
            if any(order.status is not Status.OPEN for order in orders):
                return True
            self.run(1)
        return any(order.status is not Status.OPEN for order in orders)

    def book(self, pair: str = BTC_USD) -> Book:
        return self.engine.markets[pair].book

    def place(self, side: Side, qty: int, price: int | None, pair: str = BTC_USD) -> Order:
        """Place a client's order; a market order without a price."""
        type_ = OrderType.MARKET if price is None else OrderType.LIMIT
        events = self.engine.apply(
            PlaceOrder(account="alice", pair=pair, side=side, type=type_, qty=qty, price=price), self.now_ns
        )
        accepted = events[0]
        assert isinstance(accepted, Accepted)
        return accepted.order


def best(side: BookSide) -> int:
    level = side.best()
    assert level is not None
    return level.price


def whole(book: Book, levels: int = 100) -> bool:
    """Tell whether each side holds so many prices, and bids are below asks."""
    return (
        len(book.bids.keys) >= levels and len(book.asks.keys) >= levels and best(book.bids) < best(book.asks)
    )


def line(event: Event) -> str:
    """Write an event as text, everything that could differ between two runs included."""
    match event:
        case Accepted(order) | Ended(order):
            side = "buy" if order.buy else "sell"
            return f"{order.instrument.id} {order.seq} {side} {order.type} {order.qty} {order.price}"
        case Filled(order, trade):
            return f"{order.txid} {trade}"
        case Traded() | BookChanged() | Rejected():
            return repr(event)
        case _:
            return type(event).__name__
