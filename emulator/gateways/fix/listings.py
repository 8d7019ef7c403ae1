"""Lists of instruments (y) and the venue's state (h) as FIX prints them.  Pure functions."""

from collections.abc import Iterator, Sequence

from emulator.engine.market import Market
from emulator.engine.spot import SpotEngine
from emulator.engine.status import TradingStatus
from emulator.gateways.fix.reports import shortest

PER_MESSAGE = 25
"""Instruments in one SecurityList; a longer list comes in fragments."""
SESSION = "SESSION"
"""The one TradingSessionID."""

PAIR_STATES = {
    TradingStatus.ONLINE: 1,
    TradingStatus.MAINTENANCE: 2,
    TradingStatus.CANCEL_ONLY: 3,
    TradingStatus.POST_ONLY: 4,
    TradingStatus.LIMIT_ONLY: 5,
    TradingStatus.REDUCE_ONLY: 7,
}
"""5032."""
VENUE_STATES = {
    TradingStatus.ONLINE: 2,
    TradingStatus.MAINTENANCE: 1,
    TradingStatus.CANCEL_ONLY: 101,
    TradingStatus.POST_ONLY: 102,
}
"""340."""


def security_lists(
    engine: SpotEngine, request_id: str, markets: Sequence[Market], now_ns: int
) -> Iterator[str]:
    """Give the bodies of the messages that list ``markets``."""
    fragments = range(0, len(markets), PER_MESSAGE)
    for begin in fragments:
        part = markets[begin : begin + PER_MESSAGE]
        head = f"320={request_id}\x01322={now_ns + begin}\x01560=0\x01"
        if len(fragments) > 1:
            last = "Y" if begin + PER_MESSAGE >= len(markets) else "N"
            head += f"393={len(markets)}\x01893={last}\x01"
        yield f"{head}146={len(part)}\x01{''.join(_row(engine, market) for market in part)}"


def _row(engine: SpotEngine, market: Market) -> str:
    pair = market.instrument
    return (
        f"55={pair.symbol}\x01562={shortest(1, pair.lot_decimals)}\x015010={pair.lot_decimals}\x01"
        f"5011={shortest(pair.order_min, pair.lot_decimals)}\x01"
        f"5013={shortest(pair.cost_min, pair.exact_decimals)}\x012349={pair.price_decimals}\x01"
        f"5022={shortest(pair.tick, pair.price_decimals)}\x015032={PAIR_STATES[engine.status(market)]}\x01"
    )


def refused_list(request_id: str, result: int, text: str, now_ns: int) -> str:
    """Return the body of a SecurityList that lists nothing, and says why."""
    return f"320={request_id}\x01322={now_ns}\x01560={result}\x0158={text}\x01"


def session_status(engine: SpotEngine, request_id: str) -> str:
    """Return the body of a TradingSessionStatus."""
    return f"335={request_id}\x01336={SESSION}\x01340={VENUE_STATES[engine.system]}\x01"
