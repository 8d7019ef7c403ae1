"""Public endpoints: market data.  Each function answers one method; the table is in endpoints."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from emulator.engine.fees import FeeSchedule
from emulator.engine.instruments import Asset, Instrument, rescale_half_up
from emulator.gateways.errors import VenueError, bad_value
from emulator.gateways.numbers import rfc3339, text
from emulator.gateways.order_params import time_ns
from emulator.gateways.order_reasons import unknown_asset, unknown_pair
from emulator.gateways.parameters import Params
from emulator.gateways.spot_rest import codec
from emulator.gateways.tape import INTERVALS
from emulator.gateways.venue import Venue

DEEPEST = 500
MOST_TRADES = 1_000
_BOOK_DECIMALS = 3
"""Volumes of the old public book have exactly three decimals."""
_NO_TOKENIZED = "there are no tokenized assets here"
_CLASSES = ("currency", "forex", "tokenized_asset")
_COUNTRY = re.compile("[A-Za-z]{2}")
_SECONDS_BELOW = 10**12
"""A ``since`` below this is in seconds, else in nanoseconds."""


def time(venue: Venue, _: Params) -> Any:
    """``Time``."""
    now = venue.clock.now_ns() // 10**9
    stamp = datetime.fromtimestamp(now, UTC).strftime("%a, %e %b %y %H:%M:%S +0000")
    return {"unixtime": now, "rfc1123": stamp}


def system_status(venue: Venue, _: Params) -> Any:
    """``SystemStatus``."""
    now = rfc3339(venue.clock.now_ns(), 0)
    return {"status": venue.engine.system.value, "timestamp": now, **venue.told()}


def how_many(params: Params, name: str, usual: int, most: int) -> int:
    """Return how many rows are wanted: more than there may be is cut, less than one refused."""
    count = params.integer(name, usual)
    if count is None or count < 1:
        raise bad_value(name, count, "1 or more is meant")
    return min(count, most)


# -- names -----------------------------------------------------------------------------------------------


def find_pair(venue: Venue, name: str) -> Instrument:
    """Return the pair that a client calls ``name``."""
    pair = venue.names.pair(name)
    if pair is None or (
        "/" in name and name.upper() != pair.symbol.upper() and venue.wires.slashed_pairs == "modern"
    ):
        raise VenueError("EQuery:Unknown asset pair", unknown_pair, venue.engine, name)
    return pair


def _key(pair: Instrument, asked: str, params: Params) -> str:
    """Return the key of ``pair`` in a result: its id, or the slashed name that it was asked by."""
    if params.flag("assetVersion"):
        return pair.symbol
    return asked.upper() if asked.upper() in (pair.symbol, pair.wsname) else pair.id


def _tokenized(params: Params, name: str) -> bool:
    """Tell whether tokenized assets are asked for: there are none here."""
    value = params.get(name) or "currency"
    if value not in _CLASSES:
        raise bad_value(name, value, _CLASSES)
    return value == "tokenized_asset"


def one_pair(venue: Venue, params: Params) -> tuple[Instrument, str]:
    """Return the pair that was asked for, and its key in a result."""
    asked = params.required("pair")
    if _tokenized(params, "asset_class"):
        raise VenueError("EQuery:Unknown asset pair", _NO_TOKENIZED)
    pair = find_pair(venue, asked)
    return pair, _key(pair, asked, params)


def _pairs(venue: Venue, params: Params) -> dict[str, Instrument]:
    """Return the pairs that were asked for, by their key in the result; all when none was named."""
    asked = params.names("pair")
    if params.get("pair") is None:
        return {_key(pair, pair.id, params): pair for pair in venue.engine.catalogue.pairs.values()}
    if not asked:
        raise VenueError("EQuery:Unknown asset pair", "pair names none")
    found = ((find_pair(venue, name), name) for name in asked)
    return {_key(pair, name, params): pair for pair, name in found}


# -- assets and pairs ------------------------------------------------------------------------------------


def assets(venue: Venue, params: Params) -> Any:
    """``Assets``."""
    if _tokenized(params, "aclass"):
        return {}
    asked = params.names("asset")
    found: list[Asset] = []
    for name in asked:
        asset = venue.names.asset(name)
        if asset is None:
            raise VenueError("EQuery:Unknown asset", unknown_asset, venue.engine, name)
        found.append(asset)
    chosen = found if asked else list(venue.engine.catalogue.assets.values())
    modern = params.flag("assetVersion")
    return {asset.name if modern else asset.id: _asset(asset) for asset in chosen}


def _asset(asset: Asset) -> dict[str, Any]:
    row: dict[str, Any] = {
        "aclass": "currency",
        "altname": asset.altname,
        "decimals": asset.decimals,
        "display_decimals": asset.display_decimals,
    }
    if asset.collateral_value is not None:
        row["collateral_value"] = codec.raw(asset.collateral_value)
    if asset.margin_rate is not None:
        row["margin_rate"] = asset.margin_rate
    row["status"] = asset.status
    return row


def asset_pairs(venue: Venue, params: Params) -> Any:
    """``AssetPairs``."""
    view = _VIEWS.get(params.get("info") or "info")
    if view is None:
        raise bad_value("info", params.get("info"), _VIEWS)
    if not _COUNTRY.fullmatch(params.get("country_code") or "AA"):
        raise bad_value("country_code", params.get("country_code"), "two letters are meant")
    elsewhere = "international" not in (params.names("execution_venue") or ["international"])
    if _tokenized(params, "aclass_base") or elsewhere:
        return {}
    modern = params.flag("assetVersion")
    rows = {}
    for key, pair in _pairs(venue, params).items():
        row = rows[key] = view(venue, pair, modern)
        if "status" in row:
            row["status"] = venue.engine.markets[pair.id].status.value
    return rows


def _percent(ppm: int) -> msgspec.Raw:
    digits = text(ppm, 4).rstrip("0")
    return codec.raw(digits + "0" if digits.endswith(".") else digits)


def _schedule(venue: Venue, fees: FeeSchedule) -> dict[str, Any]:
    if venue.wires.pair_fees == "empty":
        return {"fees": [], "fees_maker": []}
    return {
        "fees": [[volume, _percent(ppm)] for volume, ppm in fees.taker],
        "fees_maker": [[volume, _percent(ppm)] for volume, ppm in fees.maker],
    }


def _full(venue: Venue, pair: Instrument, modern: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "altname": pair.altname,
        "wsname": pair.wsname,
        "aclass_base": "currency",
        "base": pair.base.name if modern else pair.base.id,
        "aclass_quote": "currency",
        "quote": pair.quote.name if modern else pair.quote.id,
        "lot": "unit",
        "cost_decimals": pair.cost_decimals,
        "pair_decimals": pair.price_decimals,
        "lot_decimals": pair.lot_decimals,
        "lot_multiplier": 1,
        **_leverage(venue, pair, modern),
        **_fees(venue, pair, modern),
        **_margin(venue, pair, modern),
        "ordermin": pair.order_min_text,
        "costmin": pair.cost_min_text,
        "tick_size": pair.tick_text,
        "status": "online",
        "execution_venue": "international",
    }
    if pair.long_position_limit is not None:
        row["long_position_limit"] = pair.long_position_limit
        row["short_position_limit"] = pair.short_position_limit
    return row


def _leverage(_: Venue, pair: Instrument, __: bool) -> dict[str, Any]:
    return {"leverage_buy": pair.leverage_buy, "leverage_sell": pair.leverage_sell}


def _fees(venue: Venue, pair: Instrument, modern: bool) -> dict[str, Any]:
    return {**_schedule(venue, pair.fees), "fee_volume_currency": "USD" if modern else "ZUSD"}


def _margin(_: Venue, __: Instrument, ___: bool) -> dict[str, Any]:
    return {"margin_call": 80, "margin_stop": 40}


_VIEWS: dict[str, Callable[[Venue, Instrument, bool], dict[str, Any]]] = {
    "info": _full,
    "leverage": _leverage,
    "fees": _fees,
    "margin": _margin,
}


# -- prices ----------------------------------------------------------------------------------------------


def ticker(venue: Venue, params: Params) -> Any:
    """``Ticker``."""
    if _tokenized(params, "asset_class"):
        if params.get("pair") is not None:
            raise VenueError("EQuery:Unknown asset pair", _NO_TOKENIZED)
        return {}
    return {key: _ticker(venue, pair) for key, pair in _pairs(venue, params).items()}


def _ticker(venue: Venue, pair: Instrument) -> dict[str, Any]:
    now_ns = venue.clock.now_ns()
    tape, book = venue.tape.pairs[pair.id], venue.engine.markets[pair.id].book
    today, day = tape.today(now_ns), tape.day(now_ns)
    last_price, last_qty = tape.last_price()
    first = today.open or last_price

    def best(side: Any) -> list[str]:
        level = side.best()
        if level is None:
            return [codec.at_cost_decimals(pair, 0), "0", "0.000"]
        lots = max(level.qty // 10**pair.lot_decimals, 1)  # whole ones, and one at least, as recorded
        return [codec.at_cost_decimals(pair, level.price), str(lots), f"{lots}.000"]

    def vwap(totals: Any) -> str:
        average = pair.average_price(totals.cost, totals.volume, pair.cost_decimals)
        return text(average, pair.cost_decimals)

    return {
        "a": best(book.asks),
        "b": best(book.bids),
        "c": [codec.at_cost_decimals(pair, last_price), codec.volume(pair, last_qty)],
        "v": [codec.volume(pair, today.volume), codec.volume(pair, day.volume)],
        "p": [vwap(today), vwap(day)],
        "t": [today.trades, day.trades],
        "l": [codec.at_cost_decimals(pair, today.low or first), codec.at_cost_decimals(pair, day.low)],
        "h": [codec.at_cost_decimals(pair, today.high or first), codec.at_cost_decimals(pair, day.high)],
        "o": codec.at_cost_decimals(pair, first),
    }


def ohlc(venue: Venue, params: Params) -> Any:
    """``OHLC``: up to 720 committed candles and the running one."""
    pair, key = one_pair(venue, params)
    interval = params.integer("interval", 1)
    if interval not in INTERVALS:
        raise bad_value("interval", interval, INTERVALS)
    since = _since_ns(params.get("since") or "0") // 10**9
    candles = venue.tape.pairs[pair.id].filled_candles(interval, venue.clock.now_ns())
    later = (candle for candle in candles if candle.start_s > since)
    rows = venue.candle_rows.rows(codec.candle, pair, interval, later)
    last = candles[-2].start_s if len(candles) > 1 else since
    return {key: codec.array(rows), "last": last}


def _book_volume(pair: Instrument, quantity: int) -> str:
    return text(rescale_half_up(quantity, pair.lot_decimals, _BOOK_DECIMALS), _BOOK_DECIMALS)


def depth(venue: Venue, params: Params) -> Any:
    """``Depth``."""
    pair, key = one_pair(venue, params)
    count = how_many(params, "count", 100, DEEPEST)
    book = venue.engine.markets[pair.id].book
    asks, bids = (
        [
            [
                codec.at_cost_decimals(pair, level.price),
                _book_volume(pair, level.qty),
                level.changed_ns // 10**9,
            ]
            for level in side.top(count)
        ]
        for side in (book.asks, book.bids)
    )
    return {key: {"asks": asks, "bids": bids}}


def trades(venue: Venue, params: Params) -> Any:
    """``Trades``: the oldest after ``since``, or the newest."""
    pair, key = one_pair(venue, params)
    count = how_many(params, "count", MOST_TRADES, MOST_TRADES)
    tape, since = venue.tape.pairs[pair.id], params.get("since")
    if since is None:
        found = tape.last_trades(count)
        since = str(venue.clock.now_ns())
    else:
        since_ns = _since_ns(since)
        found = tape.trades_after(since_ns, count)
        since = str(since_ns)
    return {key: codec.public_trades(pair, found), "last": str(found[-1].time_ns) if found else since}


def _since_ns(value: str) -> int:
    nanoseconds = time_ns(value, "since")
    return nanoseconds if nanoseconds < _SECONDS_BELOW * 10**9 else nanoseconds // 10**9


def spread(venue: Venue, params: Params) -> Any:
    """``Spread``: the newest changes of best bid and ask."""
    pair, key = one_pair(venue, params)
    since = _since_ns(params.get("since") or "0") // 10**9
    rows = [
        [second, codec.at_cost_decimals(pair, bid), codec.at_cost_decimals(pair, ask)]
        for second, bid, ask in venue.tape.pairs[pair.id].spreads
        if second >= since
    ]
    last = rows[-1][0] if rows else venue.clock.now_ns() // 10**9
    return {key: rows, "last": last}
