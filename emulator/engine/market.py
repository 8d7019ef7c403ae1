"""One pair as the engine trades it: its book, its last prices, what waits for them, its status."""

from typing import TYPE_CHECKING

from emulator.engine import matching
from emulator.engine.book import Book
from emulator.engine.instruments import Instrument
from emulator.engine.status import TradingStatus
from emulator.engine.triggers import Reference, TriggerQueue

if TYPE_CHECKING:
    from emulator.engine.accounts import Account


class Market:
    """One pair as the engine trades it."""

    __slots__ = (
        "book",
        "index_price",
        "index_triggers",
        "instrument",
        "last_price",
        "last_trade_ns",
        "liquidations",
        "next_trade_id",
        "status",
        "triggers",
        "watchers",
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
        self.watchers: dict[Account, None] = {}
        """Accounts whose margin level depends on the price here."""
        self.liquidations: dict[Account, None] = {}
        """Those of them whose positions are to be closed, and nobody takes them."""

    def protection(self, *, buy: bool) -> int | None:
        """Return the worst price at which a market order still trades; None when nobody is so near."""
        own = self.book.side(buy)
        best = own.keys[-1] * own.sign if own.keys else 0
        return matching.protected(self.book.side(not buy), (self.last_price, self.index_price, best))

    def queue(self, reference: Reference) -> TriggerQueue:
        """Return the queue of orders that wait for this reference."""
        return self.index_triggers if reference is Reference.INDEX else self.triggers
