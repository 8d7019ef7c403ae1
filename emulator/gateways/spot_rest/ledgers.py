"""Private endpoints about the account: ledgers, volume and fees, its key.  The table is in endpoints."""

from collections.abc import Iterable
from typing import Any

from emulator.engine.fees import FeeSchedule
from emulator.engine.instruments import Instrument
from emulator.engine.ledger import LedgerEntry
from emulator.gateways.errors import VenueError, bad_value
from emulator.gateways.keys import ApiKey
from emulator.gateways.numbers import text
from emulator.gateways.offers import iiban
from emulator.gateways.order_reasons import unknown_asset
from emulator.gateways.ordering import unknown_order
from emulator.gateways.parameters import Params
from emulator.gateways.permissions import all_of, allow
from emulator.gateways.spot_rest import codec
from emulator.gateways.spot_rest.account import account_of, between, border, ids, page, slice_
from emulator.gateways.spot_rest.market_data import find_pair
from emulator.gateways.venue import Venue

MOST_ASKED = 20
_KINDS = frozenset(
    {
        *("all", "trade", "deposit", "withdrawal", "transfer", "margin", "adjustment", "rollover", "credit"),
        *("settled", "staking", "dividend", "sale", "nft_rebate"),
    }
)


def entry_object(venue: Venue, entry: LedgerEntry) -> dict[str, Any]:
    """Return a ledger entry as ``Ledgers`` prints it."""
    asset = venue.engine.catalogue.assets[entry.asset]
    return {
        "refid": entry.refid,
        "time": codec.seconds(entry.time_ns),
        "type": entry.type,
        "subtype": entry.subtype,
        "aclass": "currency",
        "asset": entry.asset,
        "amount": codec.amount(asset, entry.amount),
        "fee": codec.amount(asset, entry.fee),
        "balance": codec.amount(asset, entry.balance),
    }


def ledgers(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``Ledgers``: 50 a page, newest first."""
    account, kind = account_of(venue, key), params.get("type") or "all"
    if kind not in _KINDS:
        raise bad_value("type", kind, _KINDS)
    assets = _assets(venue, params)
    after, until = (border(params, name, account, key) for name in ("start", "end"))
    found: Iterable[LedgerEntry] = reversed(account.ledger.values())
    wanted = [
        entry
        for entry in found
        if (kind in ("all", entry.type))
        and (assets is None or entry.asset in assets)
        and between(after, entry.time_ns, until)
    ]
    rows = {entry.id: entry_object(venue, entry) for entry in slice_(wanted, params)}
    return page("ledger", rows, len(wanted), params)


def _assets(venue: Venue, params: Params) -> frozenset[str] | None:
    if params.get("asset") in (None, "all"):
        return None
    found = set()
    for name in params.names("asset"):
        asset = venue.names.asset(name)
        if asset is None:
            raise VenueError("EQuery:Unknown asset", unknown_asset, venue.engine, name)
        found.add(asset.id)
    return frozenset(found)


def query_ledgers(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``QueryLedgers``: by id."""
    asked = ids(params, "id", MOST_ASKED)
    entries = account_of(venue, key).ledger
    rows = {id_: entry_object(venue, entries[id_]) for id_ in asked if id_ in entries}
    if not rows:
        raise VenueError("EQuery:Unknown ledger", "{} has none of these", key.account)
    return rows


# -- fees ------------------------------------------------------------------------------------------------


def trade_volume(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``TradeVolume``: the volume of 30 days, and the fees of the pairs that are asked for."""
    account = account_of(venue, key)
    volume = account.volume_usd(venue.clock.now_ns())
    pairs = _pairs(venue, params)
    result: dict[str, Any] = {
        "currency": "ZUSD",
        "asset_class": "currency",
        "volume": f"{volume}.0000",
        "inputs": {
            "domain_spot_volume_30d": f"{volume}.0000",
            "domain_futures_volume_30d": "0.0000",
            "domain_assets_on_platform": text(int(venue.engine.balance(account).equivalent * 10**4), 4),
        },
    }
    for name, rows in (("fees", _taker), ("fees_maker", _maker)):
        result[name] = {pair.id: _tier(rows(pair.fees), volume) for pair in pairs} if pairs else None
    if account.master == account.name:
        result["volume_subaccounts"] = [
            {"iiban": iiban(other.name), "volume": f"{other.volume_usd(venue.clock.now_ns())}.0000"}
            for other in venue.engine.accounts.values()
            if other.master == account.name and other is not account
        ]
    if params.flag("fee_schedule"):
        result["schedules"] = [_schedule(pair, volume) for pair in pairs]
    return result


def _pairs(venue: Venue, params: Params) -> list[Instrument]:
    """Return the pairs: a list of names in text, or of objects with an ``asset``."""
    try:
        names = params.names("pair")
    except VenueError:
        names = [str(item.get("asset", "")) for item in params.items("pair") if isinstance(item, dict)]
    return [find_pair(venue, name) for name in names]


def _taker(fees: FeeSchedule) -> tuple[tuple[int, int], ...]:
    return fees.taker


def _maker(fees: FeeSchedule) -> tuple[tuple[int, int], ...]:
    return fees.maker


def _tier(rows: tuple[tuple[int, int], ...], volume: int) -> dict[str, str | None]:
    level = max(index for index, (least, _) in enumerate(rows) if least <= volume)
    following = rows[level + 1] if level + 1 < len(rows) else None
    return {
        "fee": text(rows[level][1], 4),
        "minfee": text(rows[-1][1], 4),
        "maxfee": text(rows[0][1], 4),
        "nextfee": None if following is None else text(following[1], 4),
        "tiervolume": f"{rows[level][0]}.0000",
        "nextvolume": None if following is None else f"{following[0]}.0000",
    }


def _schedule(pair: Instrument, volume: int) -> dict[str, Any]:
    makers = dict(pair.fees.maker)
    level = pair.fees.level(volume)
    tiers, maker = [], 0
    for index, (least, taker) in enumerate(pair.fees.taker):
        maker = makers.get(least, maker)
        tiers.append(
            {
                "maker_fee": text(maker, 4),
                "taker_fee": text(taker, 4),
                "min_spot_volume": f"{least}.0000",
                "min_futures_volume": None,
                "min_assets_on_platform": None,
                "active": index == level,
            }
        )
    return {"pair": pair.id, "class": "currency_pair", "tiers": tiers}


# -- the rest --------------------------------------------------------------------------------------------


def order_amends(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``OrderAmends``: how an order was, and each change of it."""
    account, asked = account_of(venue, key), params.required("order_id")
    order = account.find(asked)
    if order is None:
        raise unknown_order(account, asked)
    allow(key, all_of("query-open-trades" if asked in account.open else "query-closed-trades"))
    pair = order.instrument
    rows = []
    for amend in order.history or [order.as_it_is("T" + order.txid[1:], "original", None, order.opened_ns)]:
        row: dict[str, Any] = {
            "amend_id": amend.id,
            "amend_type": amend.kind,
            "order_qty": codec.volume(pair, amend.qty),
            "remaining_qty": codec.volume(pair, max(amend.qty - amend.filled, 0)),
        }
        if amend.display:
            row["display_qty"] = codec.volume(pair, amend.display)
        if amend.price:
            row["limit_price"] = codec.price(pair, amend.price)
        if amend.trigger:
            row["trigger_price"] = codec.price(pair, amend.trigger)
        if amend.reason:
            row["reason"] = amend.reason
        if order.post_only:
            row["post_only"] = True
        row["timestamp"] = amend.time_ns
        rows.append(row)
    return {"amends": rows, "count": len(rows)}


def credit_lines(_: Venue, __: ApiKey, ___: Params) -> Any:
    """``CreditLines``: no account here has one."""
    return None


def api_key_info(_: Venue, key: ApiKey, __: Params) -> Any:
    """``GetApiKeyInfo``, in both spellings of its names: documents and recordings differ."""
    info: dict[str, Any] = {
        "api_key_name": key.name,
        "api_key": key.key,
        "nonce": str(key.nonce),
        "nonce_window": key.nonce_window,
        "permissions": sorted(key.permissions),
        "iban": iiban(key.account),
        "valid_until": str(key.valid_until_ns // 10**9),
        "query_from": str(key.query_from_ns // 10**9),
        "query_to": str(key.query_to_ns // 10**9),
        "created_time": str(key.created_ns // 10**9),
        "modified_time": str(key.created_ns // 10**9),
        "ip_allowlist": [str(network) for network in key.allowed_from],
        "last_used": str(key.last_used_ns // 10**9) if key.last_used_ns else None,
    }
    return {_camel(name): value for name, value in info.items()} | info


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
