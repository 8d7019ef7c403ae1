"""What Kraken's spot documents list: endpoints, channels and methods with their parameters, error strings.

A ``-`` before a parameter: it is taken and has no effect here; ``NOTES`` says why.
"""

PUBLIC = {
    "Time": "",
    "SystemStatus": "",
    "MaintenanceSchedule": "",
    "Assets": "asset aclass assetVersion",
    "AssetPairs": "pair aclass_base info -country_code execution_venue assetVersion",
    "Ticker": "pair asset_class assetVersion",
    "OHLC": "pair interval since asset_class assetVersion",
    "Depth": "pair count asset_class assetVersion",
    "GroupedBook": "pair depth grouping",
    "Trades": "pair since count asset_class assetVersion",
    "Spread": "pair since asset_class assetVersion",
    "PreTrade": "symbol",
    "PostTrade": "symbol from_ts to_ts count",
}

_ORDER = (
    "ordertype type volume price price2 displayvol userref cl_ord_id trigger leverage reduce_only stptype "
    "oflags timeinforce starttm expiretm close"
)
PRIVATE = {
    "Balance": "assetVersion -rebase_multiplier",
    "BalanceEx": "-rebase_multiplier",
    "CreditLines": "-rebase_multiplier",
    "TradeBalance": "asset -rebase_multiplier",
    "OpenOrders": "trades userref cl_ord_id -rebase_multiplier",
    "ClosedOrders": "trades userref cl_ord_id start end ofs closetime without_count -consolidate_taker",
    "QueryOrders": "txid trades userref -consolidate_taker",
    "OrderAmends": "order_id",
    "TradesHistory": "type -trades start end ofs without_count ledgers -consolidate_taker",
    "QueryTrades": "txid -trades",
    "OpenPositions": "txid docalcs consolidation",
    "Ledgers": "asset -aclass type start end ofs without_count",
    "QueryLedgers": "id -trades",
    "TradeVolume": "pair fee_schedule -fee-info",
    "AddExport": "report description format fields starttm endtm",
    "ExportStatus": "report",
    "RetrieveExport": "id",
    "RemoveExport": "id type",
    "GetApiKeyInfo": "",
    "Level3": "pair depth",
    "GetWebSocketsToken": "",
    "AddOrder": f"pair {_ORDER} deadline validate -asset_class -broker -trading_agreement",
    "AddOrderBatch": f"pair orders {_ORDER} deadline validate -asset_class -broker",
    "AmendOrder": "txid cl_ord_id order_qty display_qty limit_price trigger_price post_only -pair deadline",
    "EditOrder": "txid pair volume displayvol price price2 oflags userref deadline -cancel_response validate",
    "CancelOrder": "txid cl_ord_id",
    "CancelOrderBatch": "orders cl_ord_ids",
    "CancelAll": "",
    "CancelAllOrdersAfter": "timeout",
    "DepositMethods": "asset -aclass",
    "DepositAddresses": "asset method new -aclass -amount",
    "DepositStatus": "asset -aclass method start end cursor limit",
    "WithdrawMethods": "asset -aclass network",
    "WithdrawAddresses": "asset -aclass method key verified",
    "WithdrawInfo": "asset key amount",
    "Withdraw": "asset key amount address max_fee -aclass",
    "WithdrawStatus": "asset -aclass method start end cursor limit",
    "WithdrawCancel": "asset refid",
    "WalletTransfer": "asset from to amount",
    "CreateSubaccount": "username email",
    "AccountTransfer": "asset amount from to -asset_class",
    "Earn/Strategies": "ascending asset -cursor -limit lock_type",
    "Earn/Allocations": "ascending converted_asset hide_zero_allocations",
    "Earn/Allocate": "amount strategy_id",
    "Earn/Deallocate": "amount strategy_id",
    "Earn/AllocateStatus": "strategy_id",
    "Earn/DeallocateStatus": "strategy_id",
}

_PRIVATE_CHANNEL = "snapshot -rebased -users token"
CHANNELS_V2 = {
    "ticker": "symbol event_trigger snapshot",
    "trade": "symbol snapshot",
    "book": "symbol depth snapshot",
    "level3": "symbol depth snapshot token",
    "ohlc": "symbol interval snapshot",
    "instrument": "snapshot -execution_venue -include_tokenized_assets",
    "executions": f"snap_orders snap_trades order_status ratecounter snapshot_trades {_PRIVATE_CHANNEL}",
    "balances": _PRIVATE_CHANNEL,
}

_ORDER_V2 = (
    "order_type side symbol order_qty cash_order_qty limit_price limit_price_type triggers time_in_force "
    "margin post_only reduce_only effective_time expire_time cl_ord_id order_userref conditional display_qty "
    "fee_preference -no_mpp stp_type -sender_sub_id stop_price trigger"
)
METHODS_V2 = {
    "add_order": f"{_ORDER_V2} deadline validate token",
    "amend_order": "order_id cl_ord_id order_qty display_qty limit_price limit_price_type post_only "
    "trigger_price trigger_price_type deadline -symbol token",
    "edit_order": "order_id symbol order_qty limit_price display_qty triggers fee_preference order_userref "
    "post_only reduce_only -no_mpp deadline validate price trigger stop_price token",
    "cancel_order": "order_id cl_ord_id order_userref token",
    "cancel_all": "token",
    "cancel_all_orders_after": "timeout token",
    "batch_add": f"symbol orders deadline validate token {_ORDER_V2}",
    "batch_cancel": "orders cl_ord_id token",
}

CHANNELS_V1 = {
    "ticker": "name",
    "ohlc": "name interval",
    "trade": "name",
    "spread": "name",
    "book": "name depth",
    "openOrders": "name token ratecounter -rebased",
    "ownTrades": "name token snapshot consolidate_taker -rebased",
}
EVENTS_V1 = {
    "addOrder": "ordertype type pair volume price price2 leverage margin reduce_only oflags starttm expiretm "
    "deadline userref cl_ord_id stp_type timeinforce close[ordertype] close[price] close[price2] validate "
    "-sender_sub_id",
    "editOrder": "orderid pair volume price price2 oflags newuserref deadline validate",
    "amendOrder": "txid cl_ord_id volume display_volume limit_price trigger_price post_only -pair deadline",
    "cancelOrder": "txid cl_ord_id",
    "cancelAll": "",
    "cancelAllOrdersAfter": "timeout",
}

FIX = {
    "D NewOrderSingle": "11 18 38 40 44 54 55 59 -60 62 78 79 99 126 168 388 1138 5001 7928",
    "F OrderCancelRequest": "11 37 41 -54 -55 -60",
    "G OrderCancelReplaceRequest": "11 18 37 38 40 41 44 54 55 59 -60 62 99 1138",
    "H OrderStatusRequest": "11 37 -54 -55 -60",
    "q OrderMassCancelRequest": "11 55 -60 530",
    "V MarketDataRequest": "55 262 263 264 265 266 269",
    "x SecurityListRequest": "55 167 263 320 559",
    "g TradingSessionStatusRequest": "263 335 336",
}
"""Messages of clients and their tags, but for session messages; what counts groups is left out."""

NOTES = {
    "54": "an order is known by its id",
    "55": "an order is known by its id",
    "60": "must be there; the venue's own time counts",
    "country_code": "every pair can be traded from everywhere",
    "rebase_multiplier": "there are no tokenised assets",
    "rebased": "there are no tokenised assets",
    "aclass": "every asset is a currency",
    "asset_class": "every asset is a currency; Ticker and the like answer `{}` or refuse tokenised ones",
    "include_tokenized_assets": "there are none",
    "execution_venue": "there is one venue; AssetPairs answers `{}` for others",
    "consolidate_taker": "how Kraken merges is not known; fills are told one by one",
    "trades": "on orders it lists fills; on trades and ledgers it has no documented effect",
    "fee-info": "fees are always told",
    "broker": "there are no partners",
    "trading_agreement": "historical",
    "pair": "the order is known by its id",
    "symbol": "the order is known by its id",
    "cancel_response": "historical",
    "cursor": "documented as not implemented",
    "limit": "documented as not implemented",
    "amount": "for Lightning invoices, which are made up here",
    "users": "a master account hears of its own orders",
    "no_mpp": "documented as ignored",
    "sender_sub_id": "self trades are prevented within the whole account",
}
"""Why a parameter has no effect."""

ERRORS = (
    *("EGeneral:Invalid arguments", "EGeneral:Invalid arguments:volume minimum not met"),
    *("EGeneral:Invalid arguments:cl_ord_id not unique", "EGeneral:Invalid arguments:Index unavailable"),
    *("EGeneral:Invalid arguments:Invalid strategy ID", "EGeneral:Permission denied"),
    *("EGeneral:Unknown method", "EGeneral:Temporary lockout", "EGeneral:Too many requests"),
    *("EGeneral:Internal error", "EAPI:Invalid key", "EAPI:Invalid signature", "EAPI:Invalid nonce"),
    *("EAPI:Rate limit exceeded", "EAPI:Bad request", "EAPI:Feature disabled"),
    *("EAuth:Account temporary disabled", "EAuth:Account unconfirmed", "EAuth:Rate limit exceeded"),
    *("EAuth:Too many requests", "EAccount:Invalid permissions", "ESession:Invalid session"),
    *("EQuery:Unknown asset", "EQuery:Unknown asset pair", "EOrder:Unknown order", "EOrder:Invalid order"),
    *("EOrder:Invalid price:Invalid price argument.", "EOrder:No amendable parameters specified"),
    *(
        "EOrder:Invalid price:Invalid secondary price argument.",
        "EGeneral:Invalid timeout argument:above max",
    ),
    *("EOrder:Invalid price", "EOrder:Tick size check failed", "EOrder:Order minimum not met"),
    *("EOrder:Cost minimum not met", "EOrder:Insufficient funds", "EOrder:Insufficient margin"),
    *("EOrder:Margin allowance exceeded", "EOrder:Margin level too low"),
    *("EOrder:Margin position size exceeded", "EOrder:Cannot open position"),
    *("EOrder:Cannot open opposing position", "EOrder:Positions limit exceeded", "EOrder:Unknown position"),
    *("EOrder:Orders limit exceeded", "EOrder:Rate limit exceeded", "EOrder:Domain rate limit exceeded"),
    *("EOrder:Scheduled orders limit exceeded", "EOrder:Reduce only:No position exists"),
    *("EOrder:Reduce only:Position is closed", "EOrder:Reduce only:Non-PC", "EOrder:Post only order"),
    *("EOrder:Trading agreement required", "ETrade:Invalid request", "ETrade:Locked", "ETrade:User Locked"),
    *("EService:Unavailable", "EService:Busy", "EService:Market in cancel_only mode"),
    *("EService:Market in post_only mode", "EService:Market in limit_only mode"),
    *("EService:Deadline elapsed", "EService:Throttled", "EFunding:Unknown asset"),
    *("EFunding:No funding method", "EFunding:Unknown withdraw key", "EFunding:Invalid amount"),
    *("EFunding:Insufficient funds", "EFunding:Max fee exceeded", "EFunding:Unknown reference id"),
    *("EFunding:Invalid reference id", "EFunding:Too many addresses", "Invalid withdrawal address"),
    "EEarnings:Below min:(De)allocation operation amount less than minimum",
    "EEarnings:Busy:Another (de)allocation for the same strategy is in progress",
    "EEarnings:Permission denied:The user's tier is not high enough",
    "EEarnings:Insufficient funds:Insufficient funds to complete the (de)allocation request",
    "EEarnings:Above max:The allocation exceeds user limit for the strategy",
    "EEarnings:Above max:The allocation exceeds the total strategy limit",
    *("EExport:Not ready", "EDatabase:Internal error", "WDatabase:No change", "EBM:limit exceeded:CAL"),
)
ERRORS_V2 = (
    *("Already subscribed", "Already subscribed to one ohlc interval on this symbol"),
    *("Currency pair not supported", "Currency pair not in ISO 4217-A3 format"),
    *("Subscription depth not supported", "Subscription ohlc interval not supported"),
    *("Subscription Not Found", "Subscription name invalid", "Symbol(s) not found", "Unsupported event"),
    *("Unsupported field: '", "field must be", "Token(s) not found", "ESession:Invalid session"),
    "Private data and trading are unavailable on this endpoint. Try ws-auth.kraken.com",
    "Public market data subscriptions are unavailable on this endpoint. Try ws.kraken.com",
    *("Malformed request", "Exceeded msg rate", "EAPI:Invalid token"),
)
ERRORS_V1 = (
    *("Event(s) not found", "Pair field must be an array", "Pair(s) not found", "Malformed request"),
    "Pair field unsupported for this subscription type",
    *("Subscription book depth must be an integer", "Subscription field must be an object"),
    *("Subscription object unsupported field", "Subscription ohlc interval must be an integer"),
    *("Subscription ohlc requires interval", "Subscription book doesn't require interval"),
    *("Subscription spread doesn't require depth", "Subscription Not Found", "Unsupported event"),
)
NEVER = {
    "Subscription ohlc requires interval": "the interval is 1 unless it is given",
    "EAPI:Bad request": "seen in client tables only",
    "EAPI:Feature disabled": "seen in client tables only",
    "EAuth:Rate limit exceeded": "sign-in at Kraken's website",
    "EAuth:Too many requests": "sign-in at Kraken's website",
    "EAccount:Invalid permissions": "no account is restricted to a region",
    "EOrder:Order minimum not met": "live refusals say `EGeneral:Invalid arguments:volume minimum not met`",
    "EOrder:Insufficient margin": "the margin pool never runs dry",
    "EOrder:Cannot open opposing position": "opposing orders close positions for every tier",
    "EOrder:Domain rate limit exceeded": "no numbers are published",
    "EOrder:Reduce only:Position is closed": "such an order ends with the reason `Reduce only`",
    "EOrder:Trading agreement required": "historical",
    "ETrade:Invalid request": "no case is known",
    "ETrade:Locked": "`ETrade:User Locked` is said",
    "EService:Busy": "the engine is never overloaded",
    "EService:Throttled": "calls are never carried out concurrently",
    "EEarnings:Permission denied:The user's tier is not high enough": "every tier may allocate",
    "EEarnings:Above max:The allocation exceeds the total strategy limit": "strategies have no total limit",
    "EDatabase:Internal error": "rare",
    "WDatabase:No change": "rare",
    "EBM:limit exceeded:CAL": "no account is Canadian",
    "EAPI:Invalid token": "`ESession:Invalid session` is said, as it was recorded",
}
"""Errors that are never raised here, and why."""
