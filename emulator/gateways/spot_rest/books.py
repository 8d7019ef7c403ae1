"""Books over REST: grouped, order by order, and for transparency.  The table is in endpoints."""

from collections.abc import Generator
from typing import Any

from emulator.engine.book import BookSide
from emulator.engine.events import Traded
from emulator.engine.instruments import Asset, Instrument
from emulator.gateways.errors import bad_argument, bad_value
from emulator.gateways.keys import ApiKey
from emulator.gateways.numbers import parse_rfc3339, rfc3339, text
from emulator.gateways.order_reasons import unknown_pair
from emulator.gateways.parameters import Params
from emulator.gateways.spot_rest import codec
from emulator.gateways.spot_rest.market_data import find_pair, how_many
from emulator.gateways.turns import in_turns
from emulator.gateways.venue import Venue

DEPTHS = (10, 25, 100, 250, 1000)
GROUPINGS = (1, 5, 10, 25, 50, 100, 250, 500, 1000)
"""Ticks to a group."""
TRANSPARENT_LEVELS = 10
MOST_TRADES = 1_000
_VENUE = "PGSL"
_NAMES = {"XXBT": "Bitcoin", "XETH": "Ethereum", "SOL": "Solana", "XXRP": "XRP"}


def _choice(params: Params, name: str, choices: tuple[int, ...], usual: int) -> int:
    value = params.integer(name, usual)
    if value not in choices:
        raise bad_value(name, value, choices)
    return value


def grouped_book(venue: Venue, params: Params) -> Any:
    """``GroupedBook``: levels joined into steps of so many ticks; bids rounded down, asks up."""
    pair = find_pair(venue, params.required("pair"))
    depth = _choice(params, "depth", DEPTHS, 10)
    grouping = _choice(params, "grouping", GROUPINGS, 1)
    book = venue.engine.markets[pair.id].book
    return {
        "pair": pair.symbol,
        "grouping": grouping,
        "bids": _grouped(pair, book.bids, depth, grouping * pair.tick),
        "asks": _grouped(pair, book.asks, depth, grouping * pair.tick),
    }


def _grouped(pair: Instrument, side: BookSide, depth: int, step: int) -> list[dict[str, str]]:
    groups: dict[int, int] = {}
    for key in reversed(side.keys):
        # Keys of asks are negative prices, so rounding a key down rounds an ask's price up.
        group = key // step * step
        if group not in groups and len(groups) == depth:
            break
        groups[group] = groups.get(group, 0) + side.levels[key].qty
    return [
        {"price": codec.at_cost_decimals(pair, key * side.sign), "qty": codec.volume(pair, qty)}
        for key, qty in groups.items()
    ]


def level3(venue: Venue, _: ApiKey, params: Params) -> Any:
    """``Level3``: every order of the best price levels; 0 for all of them."""
    pair = find_pair(venue, params.required("pair"))
    depth = _choice(params, "depth", (0, *DEPTHS), 100)
    book = venue.engine.markets[pair.id].book
    return {
        "pair": pair.symbol,
        "bids": _orders(venue, pair, book.bids, depth),
        "asks": _orders(venue, pair, book.asks, depth),
    }


def _orders(venue: Venue, pair: Instrument, side: BookSide, depth: int) -> list[dict[str, Any]]:
    rows = []
    for level in side.top(depth or len(side.keys)):
        order = level.head
        while order is not None:
            rows.append(
                {
                    "price": codec.at_cost_decimals(pair, level.price),
                    "qty": codec.volume(pair, order.shown),
                    "order_id": venue.engine.order_id(order),
                    "timestamp": order.touched_ns,
                }
            )
            order = order.next
    return rows


# -- transparency ----------------------------------------------------------------------------------------


def _symbol(venue: Venue, params: Params) -> Instrument | None:
    name = params.get("symbol")
    return None if name is None else find_pair(venue, name)


def _called(asset: Asset) -> str:
    return _NAMES.get(asset.id, asset.name)


def pre_trade(venue: Venue, params: Params) -> Any:
    """``PreTrade``: the ten best levels of a pair."""
    pair = _symbol(venue, params)
    if pair is None:
        raise bad_argument("symbol", unknown_pair, venue.engine, params.get("symbol") or "")
    book, now_ns = venue.engine.markets[pair.id].book, venue.clock.now_ns()
    return {
        "symbol": pair.symbol,
        "description": f"{_called(pair.base)} / {_called(pair.quote)}",
        "base_asset": pair.base.name,
        "base_notation": "UNIT",
        "quote_asset": pair.quote.name,
        "quote_notation": "MONE",
        "venue": _VENUE,
        "system": "CLOB",
        "bids": _levels(pair, book.bids, "BUY", now_ns),
        "asks": _levels(pair, book.asks, "SELL", now_ns),
    }


def _levels(pair: Instrument, side: BookSide, word: str, now_ns: int) -> list[dict[str, Any]]:
    rows = []
    for level in side.top(TRANSPARENT_LEVELS):
        count, order = 0, level.head
        while order is not None:
            count, order = count + 1, order.next
        rows.append(
            {
                "side": word,
                "price": codec.price(pair, level.price),
                "qty": codec.volume(pair, level.qty),
                "count": count,
                "submission_ts": rfc3339(level.changed_ns),
                "publication_ts": rfc3339(now_ns),
            }
        )
    return rows


def post_trade(venue: Venue, params: Params) -> Any:
    """``PostTrade``: trades after ``from_ts`` up to ``to_ts``, oldest first; the newest without either.

    The trades of all pairs are very many, so that others have their turns while they are gathered.
    """
    pair = _symbol(venue, params)
    count = how_many(params, "count", MOST_TRADES, MOST_TRADES)
    after, until = _moment(params, "from_ts"), _moment(params, "to_ts")
    names = [pair.id] if pair is not None else list(venue.engine.catalogue.pairs)
    return in_turns(_post_trades(venue, names, count, after, until))


def _post_trades(
    venue: Venue, names: list[str], count: int, after: int | None, until: int | None
) -> Generator[None, None, dict[str, Any]]:
    trades: list[Traded] = []
    for name in names:
        trades += (
            trade
            for trade in venue.tape.pairs[name].last_trades(MOST_TRADES)
            if (after is None or trade.time_ns > after) and (until is None or trade.time_ns <= until)
        )
        yield
    trades.sort(key=lambda trade: (trade.time_ns, trade.pair))
    shown = trades[:count] if after is not None else trades[-count:]
    last_ns = shown[-1].time_ns if shown else (after or venue.clock.now_ns())
    return {
        "last_ts": rfc3339(last_ns),
        "count": len(shown),
        "trades": [_trade(venue.engine.catalogue.pairs[trade.pair], trade) for trade in shown],
    }


def _trade(pair: Instrument, trade: Traded) -> dict[str, Any]:
    time = rfc3339(trade.time_ns)
    return {
        "trade_id": f"T{pair.altname}-{trade.trade_id}",
        "price": codec.price(pair, trade.price),
        "quantity": text(trade.qty, pair.lot_decimals),
        "symbol": pair.symbol,
        "description": f"{_called(pair.base)} / {_called(pair.quote)}",
        "base_asset": pair.base.name,
        "base_notation": "UNIT",
        "quote_asset": pair.quote.name,
        "quote_notation": "MONE",
        "trade_venue": _VENUE,
        "trade_ts": time,
        "publication_venue": _VENUE,
        "publication_ts": time,
    }


def _moment(params: Params, name: str) -> int | None:
    value = params.get(name)
    if value is None:
        return None
    try:
        return parse_rfc3339(value)
    except ValueError:
        raise bad_value(name, value, "an RFC 3339 time is meant, 2026-11-02T10:00:05Z") from None


def maintenance_schedule(venue: Venue, _: Params) -> Any:
    """``MaintenanceSchedule``: what is announced and has not begun."""
    return {"events": venue.advisories.schedule(venue.clock.now_ns())}
