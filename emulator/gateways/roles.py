"""Which of Kraken's hosts a WebSocket client believes to talk to, and what it may not do there."""

from enum import Enum


class Role(Enum):
    """One kind of host; ``ANY`` is a host of another name, where everything can be had."""

    PUBLIC = "ws.kraken.com"
    PRIVATE = "ws-auth.kraken.com"
    LEVEL3 = "ws-l3.kraken.com"
    ANY = ""


PRIVATE_ELSEWHERE = "Private data and trading are unavailable on this endpoint. Try ws-auth.kraken.com"
PUBLIC_ELSEWHERE = "Public market data subscriptions are unavailable on this endpoint. Try ws.kraken.com"
