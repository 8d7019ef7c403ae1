"""Every spelling of a pair or an asset that Kraken accepts (reference: spot REST, names)."""

from emulator.engine.instruments import Asset, Catalogue, Instrument


class Names:
    """Looks pairs and assets up by any accepted spelling, in any case."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._pairs: dict[str, Instrument] = {}
        self._symbols = {pair.symbol: pair for pair in catalogue.pairs.values()}
        self._wsnames = {pair.wsname: pair for pair in catalogue.pairs.values()}
        self._assets: dict[str, Asset] = {}
        for pair in catalogue.pairs.values():
            for base in _spellings(pair.base):
                for quote in _spellings(pair.quote):
                    self._pairs[f"{base}/{quote}"] = pair
                    self._pairs.setdefault(f"{base}{quote}", pair)
        for pair in catalogue.pairs.values():
            for name in (pair.id, pair.altname, pair.wsname, pair.symbol):
                self._pairs[name.upper()] = pair
        for asset in catalogue.assets.values():
            for name in _spellings(asset):
                self._assets[name] = asset

    def pair(self, name: str) -> Instrument | None:
        """Return the pair called ``name``: ``XXBTZUSD``, ``XBTUSD``, ``XBT/USD``, ``BTC/USD``, …"""
        return self._pairs.get(name.upper())

    def symbol(self, name: str) -> Instrument | None:
        """Return the pair with the WebSocket v2 symbol ``name``: ``BTC/USD`` only."""
        return self._symbols.get(name)

    def wsname(self, name: str) -> Instrument | None:
        """Return the pair with the WebSocket v1 name ``name``: ``XBT/USD`` only."""
        return self._wsnames.get(name)

    def asset(self, name: str) -> Asset | None:
        """Return the asset called ``name``: ``XXBT``, ``XBT`` or ``BTC``."""
        return self._assets.get(name.upper())


def _spellings(asset: Asset) -> tuple[str, ...]:
    return tuple(dict.fromkeys((asset.id.upper(), asset.altname.upper(), asset.name.upper())))
