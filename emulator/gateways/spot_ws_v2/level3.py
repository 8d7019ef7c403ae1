"""``level3``: every order of the best price levels, in queue order (Kraken's level 3 guide).

The depth counts price levels.  A level that comes into it brings all its orders; one that falls out
of it goes silently.  Nothing is kept for a pair that nobody listens to.
"""

from emulator.engine.events import BookChanged
from emulator.engine.market import Market
from emulator.engine.spot import SpotEngine
from emulator.gateways import checksums
from emulator.gateways.feed import Feed
from emulator.gateways.level3_view import Entry, Level3View
from emulator.gateways.numbers import rfc3339, text

DEPTHS = (10, 100, 1000)
_SILENT = "left"


class Level3Feed(Feed):
    """``level3`` of one pair at one depth."""

    __slots__ = ("_market", "_view")

    def __init__(self, engine: SpotEngine, market: Market, depth: int) -> None:
        super().__init__()
        self._market = market
        self._view = Level3View(engine, market, depth)

    def snapshot(self, now_ns: int) -> bytes:
        """Return the snapshot message."""
        bids, asks = (
            ",".join(self._row(price, entry) for price, entry in self._view.orders(buy=buy))
            for buy in (True, False)
        )
        return (
            f'{{"channel":"level3","type":"snapshot","data":[{{"symbol":"{self._market.instrument.symbol}",'
            f'"checksum":{checksums.of_orders(self._market)},"bids":[{bids}],"asks":[{asks}],'
            f'"timestamp":"{rfc3339(now_ns, 9)}"}}]}}'
        ).encode()

    def update(self, event: BookChanged) -> bytes | None:
        """Return the update message, or None when nothing within the depth changed."""
        rows: dict[bool, list[str]] = {True: [], False: []}
        for kind, buy, price, entry in self._view.update(event):
            if kind != _SILENT:
                rows[buy].append(self._row(price, entry, kind, event.time_ns if kind == "delete" else 0))
        if not rows[True] and not rows[False]:
            return None
        return (
            f'{{"channel":"level3","type":"update","data":[{{"checksum":{checksums.of_orders(self._market)},'
            f'"symbol":"{self._market.instrument.symbol}","bids":[{",".join(rows[True])}],'
            f'"asks":[{",".join(rows[False])}],"timestamp":"{rfc3339(event.time_ns, 9)}"}}]}}'
        ).encode()

    def _row(self, price: int, entry: Entry, event: str = "", time_ns: int = 0) -> str:
        pair = self._market.instrument
        kind = f'"event":"{event}",' if event else ""
        return (
            f'{{{kind}"order_id":"{entry.order_id}","limit_price":{text(price, pair.price_decimals)},'
            f'"order_qty":{text(entry.qty, pair.lot_decimals)},'
            f'"timestamp":"{rfc3339(time_ns or entry.time_ns, 9)}"}}'
        )
