"""What can be traded: assets, pairs and their fee schedules, and the arithmetic of their units.

Inside the engine every number is an integer:

=================  ==========================================================================
price              ``10 ** -price_decimals`` of the quote asset
quantity           ``10 ** -lot_decimals`` of the base asset
cost (exact)       price x quantity, ``10 ** -(price_decimals + lot_decimals)`` of the quote asset
cost (reported)    ``10 ** -cost_decimals``
balance, hold      ``10 ** -asset.decimals`` of the asset
fee rate           parts per million
=================  ==========================================================================

Sources: Kraken's REST ``Assets`` and ``AssetPairs``; the data is ``profiles/instruments/spot.json``.
"""

from decimal import Decimal
from enum import StrEnum

import msgspec

from emulator.engine.fees import FeeSchedule


class Side(StrEnum):
    """Side of an order."""

    BUY = "buy"
    SELL = "sell"


BUY = Side.BUY
"""By a name of its own, as in ``orders``."""


class Asset(msgspec.Struct, frozen=True, kw_only=True):
    """One currency.  ``id`` is the REST id (``XXBT``), ``name`` the modern one (``BTC``)."""

    id: str
    altname: str
    name: str
    decimals: int
    display_decimals: int
    status: str = "enabled"
    collateral_value: str | None = None
    margin_rate: str | None = None


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """One spot pair, with its tick, lot and limits in its own integer units."""

    id: str
    altname: str
    wsname: str
    symbol: str
    base: Asset
    quote: Asset
    price_decimals: int
    lot_decimals: int
    cost_decimals: int
    exact_decimals: int
    """Decimals of an exact cost."""
    tick: int
    order_min: int
    cost_min: int
    """Least price x quantity, as an exact cost."""
    order_min_text: str
    cost_min_text: str
    tick_text: str
    fees: FeeSchedule
    leverage_buy: tuple[int, ...] = ()
    leverage_sell: tuple[int, ...] = ()
    long_position_limit: int | None = None
    short_position_limit: int | None = None

    def quote_amount(self, cost: int) -> int:
        """Return an exact cost as an amount of the quote asset, rounded down."""
        return rescale_floor(cost, self.price_decimals + self.lot_decimals, self.quote.decimals)

    def base_amount(self, quantity: int) -> int:
        """Return a quantity as an amount of the base asset, rounded down."""
        return rescale_floor(quantity, self.lot_decimals, self.base.decimals)

    def reported_cost(self, cost: int) -> int:
        """Return an exact cost at ``cost_decimals``, rounded half up as Kraken's ``cost`` is."""
        return rescale_half_up(cost, self.price_decimals + self.lot_decimals, self.cost_decimals)

    def average_price(self, cost: int, quantity: int, decimals: int) -> int:
        """Return cost / quantity at ``decimals``, rounded half up; 0 without a quantity."""
        if not quantity:
            return 0
        scaled = cost * _POWERS[max(decimals - self.price_decimals, 0)]
        scaled_quantity = quantity * _POWERS[max(self.price_decimals - decimals, 0)]
        return (2 * scaled + scaled_quantity) // (2 * scaled_quantity)


_POWERS: tuple[int, ...] = tuple(10**n for n in range(40))


def rescale_floor(value: int, decimals: int, target: int) -> int:
    """Change the decimals of a scaled integer, rounding down."""
    if target >= decimals:
        return value * _POWERS[target - decimals]
    return value // _POWERS[decimals - target]


def rescale_ceil(value: int, decimals: int, target: int) -> int:
    """Change the decimals of a scaled integer, rounding up."""
    return -rescale_floor(-value, decimals, target)


def rescale_half_up(value: int, decimals: int, target: int) -> int:
    """Change the decimals of a scaled integer, rounding half up."""
    if target >= decimals:
        return value * _POWERS[target - decimals]
    unit = _POWERS[decimals - target]
    return (2 * value + unit) // (2 * unit)


def scaled(text: str, decimals: int) -> int:
    """Return the decimal ``text`` as an integer in units of ``10 ** -decimals``; it must fit exactly."""
    value = Decimal(text).scaleb(decimals)
    if value != int(value):
        raise ValueError(f"{text} has more than {decimals} decimals")
    return int(value)


class Catalogue:
    """All assets and pairs of the venue, by id, in the order of the data."""

    def __init__(self, assets: dict[str, Asset], pairs: dict[str, Instrument], as_of: str = "") -> None:
        self.assets = assets
        self.pairs = pairs
        self.as_of = as_of
        """The day of which the data is, fees included: ``2026-10-06``."""

    @classmethod
    def from_json(cls, data: bytes) -> "Catalogue":
        """Read ``profiles/instruments/spot.json``; raises ``msgspec.DecodeError`` or ``ValueError``."""
        raw = msgspec.json.decode(data, type=_Data)
        assets = {name: Asset(id=name, **msgspec.structs.asdict(row)) for name, row in raw.assets.items()}
        schedules = {
            name: FeeSchedule(name, _ppm(row["taker"]), _ppm(row["maker"]))
            for name, row in raw.fee_schedules.items()
        }
        pairs = {name: row.instrument(name, assets, schedules) for name, row in raw.pairs.items()}
        return cls(assets, pairs, raw.as_of)


class _AssetRow(msgspec.Struct, forbid_unknown_fields=True):
    altname: str
    name: str
    decimals: int
    display_decimals: int
    status: str
    collateral_value: str | None = None
    margin_rate: str | None = None


class _PairRow(msgspec.Struct, forbid_unknown_fields=True):
    altname: str
    wsname: str
    symbol: str
    base: str
    quote: str
    price_decimals: int
    lot_decimals: int
    cost_decimals: int
    tick_size: str
    order_min: str
    cost_min: str
    fee_schedule: str
    leverage_buy: tuple[int, ...]
    leverage_sell: tuple[int, ...]
    long_position_limit: int | None = None
    short_position_limit: int | None = None

    def instrument(
        self, name: str, assets: dict[str, Asset], schedules: dict[str, FeeSchedule]
    ) -> Instrument:
        exact = self.price_decimals + self.lot_decimals
        return Instrument(
            id=name,
            altname=self.altname,
            wsname=self.wsname,
            symbol=self.symbol,
            base=assets[self.base],
            quote=assets[self.quote],
            price_decimals=self.price_decimals,
            lot_decimals=self.lot_decimals,
            cost_decimals=self.cost_decimals,
            exact_decimals=exact,
            tick=scaled(self.tick_size, self.price_decimals),
            order_min=scaled(self.order_min, self.lot_decimals),
            cost_min=scaled(self.cost_min, exact),
            order_min_text=self.order_min,
            cost_min_text=self.cost_min,
            tick_text=self.tick_size,
            fees=schedules[self.fee_schedule],
            leverage_buy=self.leverage_buy,
            leverage_sell=self.leverage_sell,
            long_position_limit=self.long_position_limit,
            short_position_limit=self.short_position_limit,
        )


class _Data(msgspec.Struct, forbid_unknown_fields=True):
    assets: dict[str, _AssetRow]
    fee_schedules: dict[str, dict[str, list[tuple[int, str]]]]
    pairs: dict[str, _PairRow]
    as_of: str = ""


def _ppm(rows: list[tuple[int, str]]) -> tuple[tuple[int, int], ...]:
    return tuple((volume, scaled(percent, 4)) for volume, percent in rows)
