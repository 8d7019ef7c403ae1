"""What can be traded: Kraken's assets and pairs, and those of an instruments profile (docs/instruments.md).

A profile adds rows to Kraken's, or changes fields of them.  What cannot be used is a SettingsError, one line
with file, row, field, and what it may be.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from errno import ENOENT
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from emulator.engine.instruments import Catalogue, scaled
from emulator.market.profile import AssetMarket
from emulator.reading import WrongValue, read
from emulator.settings import PROFILES, Settings, SettingsError, read_toml
from emulator.words import unknown

_SPOT = PROFILES / "instruments" / "spot.json"
KRAKEN = "kraken"
"""The name of the profile that comes along: Kraken's own pairs, no others."""
ASSET_STATES = ("enabled", "deposit_only", "withdrawal_only", "funding_temporarily_disabled")
_VOLATILITY = 0.04
"""Of an asset that has a price and says no more."""
_ID = re.compile(r"[A-Z0-9][A-Z0-9.]{1,15}")
_Decimals = Annotated[int, msgspec.Meta(ge=0, le=12)]
_NAME, _PAIR_NAME = (
    "text of 2 to 16 letters, digits and dots",
    "text of 3 to 33 letters, digits, dots and slashes",
)
_Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9.]{2,16}$", description=_NAME)]
_PairName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9./]{3,33}$", description=_PAIR_NAME)]
_Leverage = tuple[Annotated[int, msgspec.Meta(ge=2, le=100)], ...]
_Limit = Annotated[int, msgspec.Meta(ge=1)]
_T = TypeVar("_T")


class _Asset(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    name: _Name
    altname: _Name
    decimals: _Decimals = 8
    display_decimals: _Decimals = 5
    status: str = "enabled"
    collateral_value: str | None = None
    margin_rate: str | None = None
    price_usd: Annotated[float, msgspec.Meta(gt=0, le=1e12)] | None = None
    daily_volatility: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None


class _Pair(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    base: str
    quote: str
    price_decimals: _Decimals
    altname: _PairName
    wsname: _PairName
    symbol: _PairName
    tick_size: str
    order_min: str
    lot_decimals: _Decimals = 8
    cost_decimals: _Decimals = 5
    cost_min: str = "0.5"
    fee_schedule: str = "standard"
    leverage_buy: _Leverage = ()
    leverage_sell: _Leverage = ()
    long_position_limit: _Limit | None = None
    short_position_limit: _Limit | None = None


class _Fees(msgspec.Struct, forbid_unknown_fields=True):
    taker: list[tuple[Annotated[int, msgspec.Meta(ge=0)], str]]
    maker: list[tuple[Annotated[int, msgspec.Meta(ge=0)], str]]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    assets: dict[str, Any] = {}
    fee_schedules: dict[str, Any] = {}
    pairs: dict[str, Any] = {}


class Instruments(msgspec.Struct, frozen=True):
    """The catalogue; what the market knows of assets of one's own; and pairs that it need not trade in."""

    catalogue: Catalogue
    prices: dict[str, AssetMarket] = {}
    """By asset id, of those that the profile gives a price."""
    own: frozenset[str] = frozenset()
    """Pairs of the profile: without a price nobody but clients trades in them."""
    rows: dict[str, str] = {}
    """Where the profile says what a pair is like, by pair id: its file and row."""


def kraken() -> Catalogue:
    """Return Kraken's own."""
    return Catalogue.from_json(_SPOT.read_bytes())


def load(settings: Settings) -> Instruments:
    """Return what the settings want; raises SettingsError."""
    name = settings.instruments
    if name == KRAKEN:
        return Instruments(kraken())
    with settings.blamed("instruments"):
        if not name.endswith(".toml"):
            words = unknown("instruments profile", name, [KRAKEN])
            raise SettingsError(f"{words}; or a path that ends in .toml")
        if not Path(name).is_file():
            raise SettingsError(os.strerror(ENOENT))
    return _Reader(Path(name), msgspec.json.decode(_SPOT.read_bytes())).read()


class _Reader:
    """Reads one file on top of Kraken's own data."""

    def __init__(self, path: Path, data: dict[str, dict[str, Any]]) -> None:
        self._path = path
        self._data = data
        self._kraken = frozenset(data["pairs"])

    def read(self) -> Instruments:
        file = self._convert(read_toml(self._path), _File, "")
        prices = dict(self._asset(id_, row) for id_, row in file.assets.items())
        for name, row in file.fee_schedules.items():
            self._fees(name, row)
        for id_, row in file.pairs.items():
            self._pair(id_, row)
        self._unique("assets", ("altname", "name"))
        self._unique("pairs", ("altname", "wsname", "symbol"))
        return Instruments(
            Catalogue.from_json(msgspec.json.encode(self._data)),
            {id_: price for id_, price in prices.items() if price is not None},
            frozenset(file.pairs) - self._kraken,
            dict(self._rows(file, {id_ for id_, price in prices.items() if price is not None})),
        )

    def _rows(self, file: _File, priced: set[str]) -> Iterator[tuple[str, str]]:
        """Give the pairs that the file has a say in, each with the row that has it."""
        for id_, row in self._data["pairs"].items():
            assets = [side for side in (row["base"], row["quote"]) if side in priced]
            if id_ in file.pairs:
                yield id_, f"{self._path}: pairs.{id_}"
            elif assets:
                yield id_, f"{self._path}: assets.{assets[0]}.price_usd"

    def _asset(self, id_: str, row: dict[str, Any]) -> tuple[str, AssetMarket | None]:
        """Take an asset in; return what the market is to know of it."""
        where, before = self._row("assets", id_, row), self._data["assets"].get(id_, {})
        own = {"name": id_, **before, **row}
        asset = self._convert({"altname": own["name"], **own}, _Asset, where)
        if asset.status not in ASSET_STATES:
            raise self._one_of(f"{where}.status", asset.status, ASSET_STATES)
        for name, most in (("collateral_value", 1), ("margin_rate", 100)):
            if (text := getattr(asset, name)) is not None:
                self._number(f"{where}.{name}", text, 6, least=0, most=most)
        if asset.display_decimals > asset.decimals:
            raise self._error(f"{where}.display_decimals", f"at most decimals, {asset.decimals}")
        fields = msgspec.structs.asdict(asset)
        price, volatility = fields.pop("price_usd"), fields.pop("daily_volatility")
        self._data["assets"][id_] = fields
        if price is None:
            if volatility is not None:
                raise self._error(f"{where}.daily_volatility", "price_usd is missing beside it")
            return id_, None
        return id_, AssetMarket(
            price_usd=price, daily_volatility=_VOLATILITY if volatility is None else volatility
        )

    def _fees(self, name: str, row: dict[str, Any]) -> None:
        fees = self._convert(row, _Fees, f"fee_schedules.{name}")
        for side in ("taker", "maker"):
            where, rows = f"fee_schedules.{name}.{side}", getattr(fees, side)
            volumes = [volume for volume, _ in rows]
            if volumes != sorted(set(volumes)) or volumes[:1] != [0]:
                raise self._error(where, "rows of a volume in USD and a percentage, from 0 upwards")
            for _, percent in rows:
                self._number(where, percent, 4, least=0, most=100)
        self._data["fee_schedules"][name] = {"taker": fees.taker, "maker": fees.maker}

    def _pair(self, id_: str, row: dict[str, Any]) -> None:
        where, before = self._row("pairs", id_, row), self._data["pairs"].get(id_, {})
        own = {**before, **row}
        for side in ("base", "quote"):
            if side in own:
                own[side] = self._asset_id(f"{where}.{side}", own[side])
            if before and own[side] != before[side]:
                assets = f"{before['symbol']} stays what it is; a pair of other assets has an ID of its own"
                raise SettingsError(f"{self._path}: {WrongValue.of(f'{where}.{side}', row[side], assets)}")
        if not before and {"base", "quote"} <= own.keys():
            base, quote = (self._data["assets"][own[side]] for side in ("base", "quote"))
            own = {
                "altname": f"{base['altname']}{quote['altname']}",
                "wsname": f"{base['altname']}/{quote['altname']}",
                "symbol": f"{base['name']}/{quote['name']}",
                **self._usual(own["quote"]),
                **own,
            }
        decimals = own.get("price_decimals")
        if not before and isinstance(decimals, int) and 0 <= decimals <= 12:
            own.setdefault("tick_size", f"{Decimal(1).scaleb(-decimals):f}")
        pair = self._convert(own, _Pair, where)
        self._check_pair(where, pair)
        self._data["pairs"][id_] = msgspec.structs.asdict(pair)

    def _usual(self, quote: str) -> dict[str, Any]:
        """Return what Kraken's first pair in a quote has that depends on it."""
        for id_, row in self._data["pairs"].items():
            if row["quote"] == quote and id_ in self._kraken:
                return {name: row[name] for name in ("cost_decimals", "cost_min")}
        return {}

    def _check_pair(self, where: str, pair: _Pair) -> None:
        if pair.base == pair.quote:
            raise self._error(f"{where}.quote", "another asset than the base is meant")
        if pair.fee_schedule not in self._data["fee_schedules"]:
            raise self._one_of(f"{where}.fee_schedule", pair.fee_schedule, self._data["fee_schedules"])
        most = self._data["assets"][pair.base]["decimals"]
        if pair.lot_decimals > most:
            raise self._error(f"{where}.lot_decimals", f"at most the decimals of {pair.base}, {most}")
        self._number(f"{where}.tick_size", pair.tick_size, pair.price_decimals)
        self._number(f"{where}.order_min", pair.order_min, pair.lot_decimals)
        self._number(f"{where}.cost_min", pair.cost_min, pair.price_decimals + pair.lot_decimals, least=0)
        if (pair.long_position_limit is None) is not (pair.short_position_limit is None):
            raise self._error(f"{where}.long_position_limit", "both limits of positions are meant, or none")
        for side in ("wsname", "symbol"):
            if getattr(pair, side).count("/") != 1:
                raise self._error(f"{where}.{side}", "one / is meant, as in BTC/USD")

    # -- what is wrong -----------------------------------------------------------------------------

    def _row(self, table: str, id_: str, row: object) -> str:
        """Return where a row is; it must have an id, and fields."""
        if not _ID.fullmatch(id_):
            raise self._error(f"{table}.{id_}", "capitals and digits are meant, 2 to 16, as in XXBTZUSD")
        if not isinstance(row, dict):
            raise self._error(f"{table}.{id_}", "fields are meant, as in [pairs.XXBTZUSD]")
        return f"{table}.{id_}"

    def _asset_id(self, where: str, name: object) -> str:
        """Return an asset's id by any of its names."""
        assets = self._data["assets"]
        for id_, row in assets.items():
            if name in (id_, row["altname"], row["name"]):
                return str(id_)
        raise self._one_of(where, name, assets)

    def _number(
        self, where: str, text: str, decimals: int, *, least: int | None = None, most: int = 10**15
    ) -> None:
        """Check that a text is a number with so many decimals, above 0 or from ``least`` on."""
        try:
            value = scaled(text, decimals)
        except (ValueError, ArithmeticError):
            value = -1
        lowest = 1 if least is None else least * 10**decimals
        if not lowest <= value <= most * 10**decimals:
            span = f"above 0 and up to {most}" if least is None else f"from {least} to {most}"
            raise self._error(where, f"{text!r} is no number {span} with at most {decimals} decimals")

    def _unique(self, table: str, fields: tuple[str, ...]) -> None:
        """Check that no name leads to two rows."""
        named: dict[str, str] = {}
        for id_, row in self._data[table].items():
            for name in {id_, *(row[field] for field in fields)}:
                other = named.setdefault(name.upper(), id_)
                if other != id_:
                    raise self._error(f"{table}.{id_}", f"{name} is a name of {other} already")

    def _one_of(self, where: str, value: object, known: Iterable[str]) -> SettingsError:
        return self._error(where, unknown("value", str(value), sorted(known)))

    def _error(self, where: str, what: str) -> SettingsError:
        return SettingsError(f"{self._path}: {where}: {what}")

    def _convert(self, row: Mapping[str, Any], kind: type[_T], where: str) -> _T:
        try:
            return read(row, kind, where)
        except WrongValue as error:
            raise SettingsError(f"{self._path}: {error}") from None
