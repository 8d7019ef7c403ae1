"""What an amount is worth in another asset, at the last trades of the venue's own pairs."""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emulator.engine.market import Market

USD = "ZUSD"
_BRIDGE = "XXBT"


class Valuation:
    """Prices of assets in each other, from last trades, else the middle of the book."""

    def __init__(self, markets: "Mapping[str, Market]") -> None:
        self._by_assets = {(m.instrument.base.id, m.instrument.quote.id): m for m in markets.values()}
        self._decimals = {
            asset.id: asset.decimals
            for m in markets.values()
            for asset in (m.instrument.base, m.instrument.quote)
        }

    def rate(self, asset: str, target: str) -> Fraction | None:
        """Return how many whole ``target`` one whole ``asset`` is worth; None when nothing tells."""
        if asset == target:
            return Fraction(1)
        return self._direct(asset, target) or self._through(asset, target, USD, _BRIDGE)

    def markets(self, asset: str, target: str) -> "Iterator[Market]":
        """Return the markets whose prices ``rate`` may look at."""
        for one in (asset, USD, _BRIDGE):
            for other in (target, USD, _BRIDGE):
                for key in ((one, other), (other, one)):
                    if key in self._by_assets:
                        yield self._by_assets[key]

    def usd_cents(self, asset: str, amount: int) -> int:
        """Return ``amount`` (in units of ``asset``) in US cents, rounded down; 0 when it has no price."""
        if asset == USD:
            return amount // 100
        rate = self.rate(asset, USD)
        return 0 if rate is None else int(amount * 100 * rate / 10 ** self._decimals[asset])

    def _through(self, asset: str, target: str, *bridges: str) -> Fraction | None:
        for bridge in bridges:
            if bridge in (asset, target):
                continue
            first, second = self._direct(asset, bridge), self._direct(bridge, target)
            if first is not None and second is not None:
                return first * second
        return None

    def _direct(self, asset: str, target: str) -> Fraction | None:
        market = self._by_assets.get((asset, target))
        if market is not None:
            return self._price(market)
        market = self._by_assets.get((target, asset))
        price = None if market is None else self._price(market)
        return None if not price else 1 / price

    @staticmethod
    def _price(market: "Market") -> Fraction | None:
        price: int | Fraction = market.last_price
        if not price:
            bid, ask = market.book.bids.best(), market.book.asks.best()
            if bid is None or ask is None:
                return None
            price = Fraction(bid.price + ask.price, 2)
        return Fraction(price) / Fraction(10**market.instrument.price_decimals)
