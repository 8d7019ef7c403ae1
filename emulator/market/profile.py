"""The numbers of a market: what assets are worth, how they move, and how much trades in each pair.

The data is ``profiles/market/*.toml``; what each field means stands there and in ``docs/market.md``.
"""

import math
import tomllib
from collections.abc import Mapping, Set
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, TypeVar

import msgspec

from emulator.engine.instruments import Catalogue, Instrument
from emulator.reading import WrongValue, read

DAY_S = 86_400

_Positive = Annotated[float, msgspec.Meta(gt=0, le=1e12)]
_T = TypeVar("_T")


class MarketProfileError(ValueError):
    """A profile cannot be used; one line that names the file, the field and what is wrong with it."""


class AssetMarket(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One asset: its price at start in USD and the standard deviation of a day's return."""

    price_usd: _Positive
    daily_volatility: Annotated[float, msgspec.Meta(ge=0, le=1)]


class PairFlow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the others do in one pair."""

    events_per_second: Annotated[float, msgspec.Meta(gt=0, le=1000)]
    """Steps of the flow: an order added, cancelled, or traded against."""
    trade_share: Annotated[float, msgspec.Meta(gt=0, le=0.25)]
    """Share of those steps that are trades."""
    trade_median_usd: _Positive
    trade_sigma: Annotated[float, msgspec.Meta(ge=0, le=3)]
    """Standard deviation of the logarithm of a trade's size."""
    levels: Annotated[int, msgspec.Meta(ge=120, le=1000)]
    """Price levels kept on each side."""
    spread_bps: Annotated[float, msgspec.Meta(gt=0, le=500)]
    step_bps: Annotated[float, msgspec.Meta(gt=0, le=100)]
    """Distance between levels; a tick at least."""
    top_usd: _Positive
    """Typical size of an order at the best price."""
    depth_growth: Annotated[float, msgspec.Meta(ge=0, le=10)]
    """By how much of ``top_usd`` sizes grow per level away from the best."""

    @property
    def trades_per_day(self) -> float:
        """Mean number of trades a day."""
        return self.events_per_second * self.trade_share * DAY_S

    @property
    def mean_trade_usd(self) -> float:
        """Mean size of a trade in USD."""
        return self.trade_median_usd * math.exp(self.trade_sigma**2 / 2)


class MarketProfile(msgspec.Struct, frozen=True):
    """A whole market: every asset by asset id, every pair that is traded in by pair id (``XXBT``,
    ``XXBTZUSD``)."""

    assets: dict[str, AssetMarket]
    pairs: dict[str, PairFlow]

    def usd_per(self, asset_id: str) -> float:
        """Return the price of an asset at start in USD."""
        return self.assets[asset_id].price_usd


class _File(msgspec.Struct, forbid_unknown_fields=True):
    assets: dict[str, dict[str, Any]]
    defaults: dict[str, Any]
    pairs: dict[str, dict[str, Any]] = {}


def load(
    path: Path,
    catalogue: Catalogue,
    prices: Mapping[str, AssetMarket] = MappingProxyType({}),
    may_be_quiet: Set[str] = frozenset(),
    rows: Mapping[str, str] = MappingProxyType({}),
) -> MarketProfile:
    """Read a profile for the assets and pairs of ``catalogue``; raises ``MarketProfileError``.

    Assets in ``prices`` have that one.  Of pairs that ``may_be_quiet`` those without prices are left out:
    nobody but clients trades in them.  Pairs in ``rows`` are as another file says, in the row that is told.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MarketProfileError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise MarketProfileError(f"{path}: {error}") from error
    file = _convert(raw, _File, f"{path}: ")
    assets = {**_assets(file, catalogue, f"{path}: "), **prices}
    flows, loud = _pairs(file, catalogue, f"{path}: "), []
    for pair in catalogue.pairs.values():
        missing = [asset.name for asset in (pair.base, pair.quote) if asset.id not in assets]
        if not missing:
            loud.append(pair)
        elif pair.id not in may_be_quiet:
            raise MarketProfileError(f"{path}: assets.{missing[0]}: missing, needed by {pair.symbol}")
    profile = MarketProfile(assets=assets, pairs={pair.id: flows[pair.id] for pair in loud})
    for pair in loud:
        _check_room(pair, profile, rows.get(pair.id, f"{path}: pairs.{pair.symbol}.levels"))
    return profile


def _assets(file: _File, catalogue: Catalogue, where: str) -> dict[str, AssetMarket]:
    by_name = {asset.name: asset.id for asset in catalogue.assets.values()}
    assets = {}
    for name, row in file.assets.items():
        if name not in by_name:
            raise MarketProfileError(f"{where}assets.{name}: no such asset")
        assets[by_name[name]] = _convert(row, AssetMarket, where, f"assets.{name}")
    return assets


def _pairs(file: _File, catalogue: Catalogue, where: str) -> dict[str, PairFlow]:
    by_symbol = {pair.symbol: pair.id for pair in catalogue.pairs.values()}
    default = _convert(file.defaults, PairFlow, where, "defaults")
    pairs = dict.fromkeys(catalogue.pairs, default)
    for symbol, row in file.pairs.items():
        if symbol not in by_symbol:
            raise MarketProfileError(f"{where}pairs.{symbol}: no such pair")
        pairs[by_symbol[symbol]] = _convert({**file.defaults, **row}, PairFlow, where, f"pairs.{symbol}")
    return pairs


def _check_room(pair: Instrument, profile: MarketProfile, where: str) -> None:
    """A book needs several times as much room below the price as its levels take."""
    price = profile.usd_per(pair.base.id) / profile.usd_per(pair.quote.id)
    ticks = price * 10**pair.price_decimals / pair.tick
    flow = profile.pairs[pair.id]
    if flow.levels * max(ticks * flow.step_bps / 1e4, 1.0) * 4 > ticks:
        raise MarketProfileError(
            f"{where}: {flow.levels} levels of {pair.symbol} do not fit below a price of {int(ticks)} ticks"
            "; a smaller tick_size or a higher price_usd leaves room"
        )


def _convert(raw: object, type_: type[_T], where: str, at: str = "") -> _T:
    """Convert one table, which is ``at`` a place of the file that ``where`` names."""
    try:
        return read(raw, type_, at)
    except WrongValue as error:
        raise MarketProfileError(f"{where}{error}") from None
