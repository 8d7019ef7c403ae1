"""One pair as the engine trades it: its book, its last prices, what waits for them, its status."""

from emulator.engine.book import Book
from emulator.engine.instruments import Instrument
from emulator.engine.status import TradingStatus
from emulator.engine.triggers import Reference, TriggerQueue


class Market:
    """One pair as the engine trades it."""

    __slots__ = (
        "book",
        "index_price",
        "index_triggers",
        "instrument",
        "last_price",
        "last_trade_ns",
        "next_trade_id",
        "status",
        "triggers",
    )

    def __init__(self, instrument: Instrument, first_trade_id: int) -> None:
        self.instrument = instrument
        self.book = Book()
        self.last_price = 0
        self.last_trade_ns = 0
        self.next_trade_id = first_trade_id
        self.status = TradingStatus.ONLINE
        self.index_price = 0
        """0 while nobody tells one."""
        self.triggers = TriggerQueue()
        self.index_triggers = TriggerQueue()

    def queue(self, reference: Reference) -> TriggerQueue:
        """Return the queue of orders that wait for this reference."""
        return self.index_triggers if reference is Reference.INDEX else self.triggers
