"""Checksums of books: CRC-32 over the ten best levels a side, asks first (Kraken's book checksum guides).

The wire text of a number without its point and leading zeros is just the scaled integer.
"""

from zlib import crc32

from emulator.engine.market import Market

LEVELS = 10


def of_levels(market: Market, depth: int = LEVELS) -> int:
    """Return the checksum of price and quantity of each level; fewer for who sees no more than ``depth``."""
    book, levels = market.book, min(depth, LEVELS)
    best = (*book.asks.top(levels), *book.bids.top(levels))
    return crc32("".join([f"{level.price}{level.qty}" for level in best]).encode())


def of_orders(market: Market, depth: int = LEVELS) -> int:
    """Return the checksum of price and quantity of each order of these levels, in queue order."""
    parts, levels = [], min(depth, LEVELS)
    for side in (market.book.asks, market.book.bids):
        for level in side.top(levels):
            order = level.head
            while order is not None:
                parts.append(f"{level.price}{order.shown}")
                order = order.next
    return crc32("".join(parts).encode())
