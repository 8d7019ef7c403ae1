"""A dashboard's feed: python-kraken-sdk as it is, showing prices and how old they are when they arrive."""

import asyncio
import signal
from contextlib import suppress
from datetime import UTC, datetime

from kraken.spot import SpotWSClient

SYMBOLS, SHOWN_EACH_S = ["BTC/USD", "ETH/USD", "SOL/USD"], 2.0


class Feed(SpotWSClient):
    """Keeps the last price of each pair."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[str, tuple[dict, float]] = {}

    async def on_message(self, message: dict) -> None:
        """Take a trade."""
        if message.get("channel") != "trade" or message.get("type") != "update":
            return
        for trade in message["data"]:
            made = datetime.fromisoformat(trade["timestamp"])
            self.rows[trade["symbol"]] = (trade, (datetime.now(UTC) - made).total_seconds() * 1e3)


async def main() -> None:
    """Show the last trades until stopped."""
    feed = Feed()
    try:
        await feed.start()
        await feed.subscribe(params={"channel": "trade", "symbol": SYMBOLS})
        await show(feed)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # once is enough: engines may pass it on twice
        await feed.close()


async def show(feed: Feed) -> None:
    """Show the last trades."""
    while not feed.exception_occur:
        await asyncio.sleep(SHOWN_EACH_S)
        shown = (
            f"{symbol} {trade['price']:,} ({age_ms:.0f} ms old)"
            for symbol, (trade, age_ms) in sorted(feed.rows.items())
        )
        print(f"dashboard: {', '.join(shown) or 'no trade yet'}")


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
