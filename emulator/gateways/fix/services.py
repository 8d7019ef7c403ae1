"""Which FIX services there are: their ports and names, as at Kraken (reference: FIX 1.1)."""

import msgspec


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """One acceptor."""

    name: str
    """As the endpoints file calls it."""
    offset: int
    """Its port, counted from the first one (4000 at Kraken)."""
    target: str
    """Our CompID, which clients put in 56."""
    trading: bool = False
    level3: bool = False


SERVICES = (
    Service(name="spot_md", offset=0, target="KRAKEN-MD"),
    Service(name="spot_trading", offset=1, target="KRAKEN-TRD", trading=True),
    Service(name="spot_md_l3", offset=5, target="KRAKEN-MD", level3=True),
)
