"""Shapes of what spot REST answers, an entry an endpoint: keys in order, types, decimals, null or absent.

They were compared, by hand, with public recordings; the source of each stands beside it:

=========  ==============================================================================================
XChange    knowm/XChange, xchange-kraken ``__files`` (live, September 2025; rows of two files are sorted)
Kraken.Net JKorf/Kraken.Net, ``Endpoints/Spot`` (documentation's examples, some live ones of 2025 and 2026)
Nautilus   nautechsystems/nautilus_trader, ``test_data/http_*`` (public calls live, November 2025)
SDK        krakenfx/kraken-api-sdk 0.1.0 (decoders and live rows of June 2026)
ccxt       ccxt's static responses and comments (2020 to 2024)
findings   measurements of September 2026 told in public repositories
=========  ==============================================================================================

Decimals go by name: ``price``, ``lot`` and ``cost`` of XBTUSD, ``usd`` and ``xbt`` of the assets.
"""

from typing import Any

from tests.wire.shape import Each, Some

TXID = "/[OTL][A-Z2-7]{5}-[A-Z2-7]{5}-[A-Z2-7]{6}/"
_ID = TXID[1:-1]
MOMENT = "/[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}Z/"

# -- orders (SDK: OpenOrders of 2026-06-04; XChange; Kraken.Net GetOrders2; ccxt: QueryOrders 2024-01) -----

DESCRIPTION = {
    "pair": "'XBTUSD'",
    "aclass": "'forex'",
    "type": "'buy' | 'sell'",
    "ordertype": "text",
    "price": "text.price | '0' | /[-+][0-9]+[.][0-9]{4}%/",
    "price2": "text.price | '0'",
    "leverage": "'none' | /[0-9]+:1/",
    "order": "text",
    "close": "text",
}


def order(reason: dict[str, Any], **average: str) -> dict[str, Any]:
    """Return the shape of an order; ``reason`` and what follows depend on the endpoint and its state."""
    return {
        "refid": f"null | {TXID}",
        "userref": "int | null",
        "cl_ord_id?": "text",
        "status": "'open' | 'closed' | 'canceled'",
        "opentm": "num.6",
        "starttm": "int",
        "expiretm": "int",
        "descr": DESCRIPTION,
        "vol": "text.lot",
        "vol_exec": "text.lot",
        "cost": "text.cost",
        "fee": "text.cost",
        # The average has the pair's decimals, a zero the cost's (ccxt PR #19449; id 43584865954).
        "price": average.get("price", "text.price | '0.00000'"),
        "stopprice": "text.cost",
        "limitprice": "text.cost",
        "trigger?": "'index'",
        "margin?": "true",
        "misc": "text",
        "oflags": "'fciq' | 'post,fciq' | 'fciq,viqc'",
        "time_in_force": "'gtc' | 'ioc'",
        "trades?": [TXID],
        **reason,
    }


OPEN = order({})
QUERIED = order({"reason": "null"})
CLOSED = order({"reason": "text | null", "closetm": "num.6"})

# -- trades and positions (SDK: 2026-06-27; XChange) ---------------------------------

TRADE = {
    "ordertxid": TXID,
    "postxid": "'TKH2SE-M7IF5-CFI7LT'",
    "pair": "'XXBTZUSD'",
    "aclass": "'forex'",
    "time": "num.6",
    "type": "'buy' | 'sell'",
    "ordertype": "text",
    "tradeordertype": "'market' | 'limit'",
    "price": "text.cost",
    "cost": "text.cost",
    "fee": "text.cost",
    "vol": "text.lot",
    "margin": "text.cost",
    "leverage": "'0'",
    "misc": "''",
    "trade_id": "int",
    "maker": "bool",
    "ledgers?": [TXID],
}
POSITION = {
    "ordertxid": TXID,
    "posstatus": "'open'",
    "pair": "'XXBTZUSD'",
    "class": "'forex'",
    "time": "num.6",
    "type": "'buy' | 'sell'",
    "ordertype": "text",
    "cost": "text.cost",
    "fee": "text.cost",
    "vol": "text.lot",
    "vol_closed": "text.lot",
    "margin": "text.cost",
    "value?": "text.cost",
    "net?": "+text.4",
    "terms": "/[0-9][.][0-9]{4}% per 4 hours/",
    "rollovertm": "text.0",
    "misc": "''",
    "oflags": "''",
}
TRADING_ENTRY = {
    "refid": TXID,
    "time": "num.6",
    "type": "'trade'",
    "subtype": "'tradespot'",
    "aclass": "'currency'",
    "asset": "'ZUSD' | 'XXBT'",
    "amount": "text.usd | text.xbt",
    "fee": "text.usd | text.xbt",
    "balance": "text.usd | text.xbt",
}
TIER = {
    "fee": "text.4",
    "minfee": "text.4",
    "maxfee": "text.4",
    "nextfee": "text.4 | null",
    "tiervolume": "text.4",
    "nextvolume": "text.4 | null",
}

# -- the table: endpoint and what is asked, its shape ---------------------------------

PUBLIC: list[tuple[str, dict[str, str], Any]] = [
    ("Time", {}, {"unixtime": "int", "rfc1123": "/.* [+]0000/"}),  # Nautilus
    (  # Kraken.Net; findings: all pairs without fees since September 2026
        "AssetPairs",
        {"pair": "XBTUSD"},
        {
            "XXBTZUSD": {
                "altname": "'XBTUSD'",
                "wsname": "'XBT/USD'",
                "aclass_base": "'currency'",
                "base": "'XXBT'",
                "aclass_quote": "'currency'",
                "quote": "'ZUSD'",
                "lot": "'unit'",
                "cost_decimals": "int",
                "pair_decimals": "int",
                "lot_decimals": "int",
                "lot_multiplier": "int",
                "leverage_buy": Some("int"),
                "leverage_sell": Some("int"),
                "fees": (),
                "fees_maker": (),
                "fee_volume_currency": "'ZUSD'",
                "margin_call": "int",
                "margin_stop": "int",
                "ordermin": "text.*",
                "costmin": "text.*",
                "tick_size": "text.*",
                "status": "'online'",
                "execution_venue": "'international'",
                "long_position_limit": "int",
                "short_position_limit": "int",
            }
        },
    ),
    (  # Kraken.Net, XChange
        "Assets",
        {"asset": "XBT"},
        {
            "XXBT": {
                "aclass": "'currency'",
                "altname": "'XBT'",
                "decimals": "int",
                "display_decimals": "int",
                "collateral_value": "num.*",
                "margin_rate": "text.*",
                "status": "'enabled'",
            }
        },
    ),
    (  # Nautilus; whole lots: freqtrade #4151, ccxt PR #11252
        "Ticker",
        {"pair": "XBTUSD"},
        {
            "XXBTZUSD": {
                "a": ("text.cost", "/[1-9][0-9]*/", "/[1-9][0-9]*[.]000/"),
                "b": ("text.cost", "/[1-9][0-9]*/", "/[1-9][0-9]*[.]000/"),
                "c": ("text.cost", "text.lot"),
                "v": ("text.lot", "text.lot"),
                "p": ("text.cost", "text.cost"),
                "t": ("int", "int"),
                "l": ("text.cost", "text.cost"),
                "h": ("text.cost", "text.cost"),
                "o": "text.cost",
            }
        },
    ),
    (  # Nautilus
        "OHLC",
        {"pair": "XBTUSD"},
        {
            "XXBTZUSD": Some(("int", *("text.price",) * 5, "text.lot", "int")),
            "last": "int",
        },
    ),
    (  # Nautilus
        "Depth",
        {"pair": "XBTUSD"},
        {
            "XXBTZUSD": {
                "asks": Some(("text.cost", "text.3", "int")),
                "bids": Some(("text.cost", "text.3", "int")),
            }
        },
    ),
    (  # Nautilus: times of public trades have seven decimals
        "Trades",
        {"pair": "XBTUSD"},
        {
            "XXBTZUSD": Some(
                ("text.cost", "text.lot", "num.7", "'b' | 's'", "'m' | 'l'", "''", "int"),
            ),
            "last": "/[0-9]{19}/",
        },
    ),
    (  # Kraken.Net
        "Spread",
        {"pair": "XBTUSD"},
        {"XXBTZUSD": Some(("int", "text.cost", "text.cost")), "last": "int"},
    ),
]
PRIVATE: list[tuple[str, dict[str, str], Any]] = [
    ("Balance", {}, Each("text.*", "[A-Z0-9]+")),
    (  # XChange, SDK: no credit of a plain account
        "BalanceEx",
        {},
        Each({"balance": "text.*", "hold_trade": "text.*"}),
    ),
    (  # XChange: ml only with a position
        "TradeBalance",
        {},
        dict.fromkeys(["eb", "tb", "m", "uv", "n", "c", "v", "e", "mf", "mfo", "ml"], "text.*"),
    ),
    ("OpenOrders", {"trades": "true"}, {"open": Each(OPEN, _ID)}),
    ("ClosedOrders", {"trades": "true"}, {"closed": Each(CLOSED, _ID), "count": "int"}),
    ("TradesHistory", {"type": "no position"}, {"trades": Each(TRADE, _ID), "count": "int"}),
    (
        "TradesHistory",
        {"type": "no position", "ledgers": "true", "without_count": "true"},
        {"trades": Each(TRADE, _ID)},
    ),
    ("Ledgers", {"type": "trade"}, {"ledger": Each(TRADING_ENTRY, _ID), "count": "int"}),
    ("OpenPositions", {}, Each(POSITION, _ID)),
    ("OpenPositions", {"docalcs": "true"}, Each(POSITION | {"value": "text.cost", "net": "+text.4"}, _ID)),
    (  # ccxt: consolidated, an array
        "OpenPositions",
        {"consolidation": "market"},
        Some(
            {
                "pair": "'XBTUSD'",
                "positions": "text.0",
                "type": "'buy' | 'sell'",
                "leverage": "text.5",
                "cost": "text.cost",
                "fee": "text.cost",
                "vol": "text.lot",
                "vol_closed": "text.lot",
                "margin": "text.cost",
            }
        ),
    ),
    (  # two clients made from the API description of 2026; Kraken.Net for a tier
        "TradeVolume",
        {"pair": "XBTUSD"},
        {
            "currency": "'ZUSD'",
            "asset_class": "'currency'",
            "volume": "text.4",
            "inputs": {
                "domain_spot_volume_30d": "text.4",
                "domain_futures_volume_30d": "text.4",
                "domain_assets_on_platform": "text.4",
            },
            "fees": {"XXBTZUSD": TIER},
            "fees_maker": {"XXBTZUSD": TIER},
            "volume_subaccounts": [{"iiban": "text", "volume": "text.4"}],
        },
    ),
    (
        "TradeVolume",
        {},
        {
            "currency": "'ZUSD'",
            "asset_class": "'currency'",
            "volume": "text.4",
            "inputs": Each("text.4"),
            "fees": "null",
            "fees_maker": "null",
            "volume_subaccounts": "any",
        },
    ),
    (  # Kraken.Net; XChange has methods without a fee too
        "DepositMethods",
        {"asset": "XBT"},
        Some(
            {
                "method": "text",
                "limit": "false | text.*",
                "fee": "text.xbt",
                "gen-address": "bool",
                "minimum": "text.*",
            }
        ),
    ),
    (  # Kraken.Net; a method in every row: ccxt's live suite
        "DepositStatus",
        {"asset": "XBT"},
        Some(
            {
                "method": "/.+/",
                "aclass": "'currency'",
                "asset": "'XXBT'",
                "refid": "text",
                "txid": "text",
                "info": "text",
                "amount": "text.xbt",
                "fee": "text.xbt",
                "time": "int",
                "status": "'Success'",
            }
        ),
    ),
    ("GetWebSocketsToken", {}, {"token": "text", "expires": "int"}),
    ("CancelAllOrdersAfter", {"timeout": "60"}, {"currentTime": MOMENT, "triggerTime": MOMENT}),
    ("CancelAllOrdersAfter", {"timeout": "0"}, {"currentTime": MOMENT, "triggerTime": "'0'"}),
]
PLACED = {"txid": (TXID,), "descr": {"order": "text", "close?": "text"}}
"""AddOrder (XChange: txid first)."""
BATCH_ROW = {"txid": TXID, "descr": {"order": "text"}, "close?": "text"}
REFUSED_ROW = {"error": "/E[A-Z][a-z]+:.+/"}
