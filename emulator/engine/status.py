"""What may be done in a pair, or on the whole venue (REST ``SystemStatus`` and ``AssetPairs``)."""

from enum import StrEnum


class TradingStatus(StrEnum):
    """Trading states, in Kraken's words."""

    ONLINE = "online"
    CANCEL_ONLY = "cancel_only"
    POST_ONLY = "post_only"
    LIMIT_ONLY = "limit_only"
    REDUCE_ONLY = "reduce_only"
    MAINTENANCE = "maintenance"

    @property
    def matches(self) -> bool:
        """Whether orders may trade with each other."""
        return self in (TradingStatus.ONLINE, TradingStatus.LIMIT_ONLY, TradingStatus.REDUCE_ONLY)


ONLINE, MAINTENANCE = TradingStatus.ONLINE, TradingStatus.MAINTENANCE
"""By names of their own, as in ``orders``."""

SYSTEM = frozenset(
    {TradingStatus.ONLINE, TradingStatus.CANCEL_ONLY, TradingStatus.POST_ONLY, TradingStatus.MAINTENANCE}
)
"""The states that the venue as a whole can have."""
