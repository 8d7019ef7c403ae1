"""What an account's verification tier allows (Kraken's trading rate limits guide)."""

from enum import StrEnum

import msgspec


class AccountTier(StrEnum):
    """Kraken's account tiers, in the names of its rate-limit tables."""

    STARTER = "starter"
    INTERMEDIATE = "intermediate"
    PRO = "pro"


class TierLimits(msgspec.Struct, frozen=True):
    """Limits of one account tier."""

    open_orders: int
    """Most open orders per pair."""
    engine_counter: int
    """Threshold of the matching-engine counter per pair (``maxratecount`` on WebSocket)."""


LIMITS = {
    AccountTier.STARTER: TierLimits(open_orders=60, engine_counter=60),
    AccountTier.INTERMEDIATE: TierLimits(open_orders=80, engine_counter=125),
    AccountTier.PRO: TierLimits(open_orders=225, engine_counter=180),
}
