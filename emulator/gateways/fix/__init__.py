"""FIX 4.4: Spot trading, market data and level 3, as at ``colo-london.vip-fix.kraken.com``."""
