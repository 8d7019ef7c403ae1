"""Private endpoints about margin: ``TradeBalance`` and ``OpenPositions``.  The table is in endpoints."""

from collections import defaultdict
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from emulator.engine.instruments import Asset, Instrument, rescale_half_up
from emulator.engine.margin import Position, market_price
from emulator.gateways.errors import VenueError, bad_value
from emulator.gateways.keys import ApiKey
from emulator.gateways.numbers import text
from emulator.gateways.order_reasons import unknown_asset
from emulator.gateways.parameters import Params
from emulator.gateways.spot_rest import codec
from emulator.gateways.spot_rest.account import account_of
from emulator.gateways.venue import Venue


def _worth(asset: Asset, value: Fraction) -> str:
    return codec.amount(asset, int(value * 10**asset.decimals))


def trade_balance(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``TradeBalance``: what the account has, uses and may still use, valued in one asset at last prices."""
    asset = venue.names.asset(params.get("asset") or "ZUSD")
    if asset is None:
        asked = params.get("asset")
        raise VenueError("EQuery:Unknown asset", unknown_asset, venue.engine, asked)
    now = venue.engine.balance(account_of(venue, key), asset.id)
    values = {
        "eb": now.equivalent,
        "tb": now.trade,
        "m": now.margin,
        "uv": now.ordered,
        "n": now.profit,
        "c": now.cost,
        "v": now.value,
        "e": now.equity,
        "mf": now.free,
        "mfo": now.free - now.reserved,
    }
    row = {name: _worth(asset, value) for name, value in values.items()}
    if now.level is not None:
        row["ml"] = text(int(now.level * 100), 2)
    return row


def open_positions(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``OpenPositions``: one by one, or together per pair and side with ``consolidation=market``."""
    consolidation, wanted = params.get("consolidation"), params.names("txid")
    if consolidation not in (None, "market"):
        raise bad_value("consolidation", consolidation, "market, or nothing, is meant")
    calculate = params.flag("docalcs")
    positions = [p for p in account_of(venue, key).positions.values() if not wanted or p.id in wanted]
    if consolidation is None:
        return {p.id: _position(venue, p, calculate=calculate) for p in positions}
    groups: dict[tuple[str, bool, int], list[Position]] = defaultdict(list)
    for position in positions:
        groups[position.instrument.id, position.buy, position.leverage].append(position)
    return [_consolidated(venue, group, calculate=calculate) for group in groups.values()]


def _position(venue: Venue, position: Position, *, calculate: bool) -> dict[str, Any]:
    pair = position.instrument
    return {
        "ordertxid": position.order_txid,
        "posstatus": "open",
        "pair": pair.id,
        "class": "forex",
        "time": codec.seconds(position.opened_ns),
        "type": "buy" if position.buy else "sell",
        "ordertype": position.order_type.value,
        "cost": codec.cost(pair, position.cost),
        "fee": text(position.fee, pair.cost_decimals),
        "vol": codec.volume(pair, position.qty),
        "vol_closed": codec.volume(pair, position.closed),
        "margin": codec.cost(pair, int(position.margin(_price(venue, position)))),
        **(_calculated(venue, pair, [position]) if calculate else {}),
        "terms": f"{text(position.rate_ppm, 4)}% per 4 hours",
        "rollovertm": str(position.rollover_ns // 10**9),
        "misc": "",
        "oflags": "",
    }


def _consolidated(venue: Venue, group: list[Position], *, calculate: bool) -> dict[str, Any]:
    first = group[0]
    pair = first.instrument
    return {
        "pair": pair.altname,
        "positions": str(len(group)),
        "type": "buy" if first.buy else "sell",
        "leverage": text(first.leverage * 10**5, 5),
        "cost": codec.cost(pair, sum(p.cost for p in group)),
        "fee": text(sum(p.fee for p in group), pair.cost_decimals),
        "vol": codec.volume(pair, sum(p.qty for p in group)),
        "vol_closed": codec.volume(pair, sum(p.closed for p in group)),
        "margin": codec.cost(pair, int(sum(p.margin(_price(venue, p)) for p in group))),
        **(_calculated(venue, pair, group) if calculate else {}),
    }


def _calculated(venue: Venue, pair: Instrument, group: Iterable[Position]) -> dict[str, str]:
    """Return what positions are worth now, and what closing them would gain; the gain has a sign."""
    value = net = 0
    for position in group:
        price = _price(venue, position)
        value += position.open * price
        net += position.profit(price)
    gain = rescale_half_up(net, pair.exact_decimals, 4)
    return {"value": codec.cost(pair, value), "net": ("" if gain < 0 else "+") + text(gain, 4)}


def _price(venue: Venue, position: Position) -> int:
    return market_price(venue.engine.markets[position.instrument.id])
