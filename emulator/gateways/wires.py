"""Which wire is served where an older and a newer one are seen: the newest, unless set otherwise."""

import msgspec


class Wires(msgspec.Struct, frozen=True, kw_only=True):
    """The choices of the settings of the same names."""

    pair_fees: str = "empty"
    """``fees`` and ``fees_maker`` of AssetPairs: ``empty`` since September 2026, ``schedules`` before."""
    slashed_pairs: str = "modern"
    """Pair names with a slash over REST: ``modern`` takes ``BTC/USD`` only, ``any`` ``XBT/USD`` too."""
    ticker: str = "trades"
    """What v2 ``ticker`` tells last: ``trades`` since September 2026, ``volume_usd`` in January."""
    status_advisories: str = "on"
    """Advisories in SystemStatus and the status frames: ``on`` since September 2026, ``off`` before."""
