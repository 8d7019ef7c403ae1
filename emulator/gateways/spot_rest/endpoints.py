"""Endpoints of spot REST: method name to function and permissions.

To add an endpoint: write its function in the module of its kind (``market_data``, ``account``,
``trading``, …), and add its row here.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from emulator.gateways.keys import ApiKey
from emulator.gateways.parameters import Params
from emulator.gateways.permissions import AMEND, CANCEL, PLACE, REPLACE, Deed
from emulator.gateways.rate_limits import HISTORY_COST
from emulator.gateways.spot_rest import (
    account,
    books,
    earn,
    exports,
    funding,
    ledgers,
    market_data,
    positions,
    trading,
)
from emulator.gateways.venue import Venue

PUBLIC: dict[str, Callable[[Venue, Params], Any]] = {
    "Time": market_data.time,
    "MaintenanceSchedule": books.maintenance_schedule,
    "SystemStatus": market_data.system_status,
    "Assets": market_data.assets,
    "AssetPairs": market_data.asset_pairs,
    "Ticker": market_data.ticker,
    "OHLC": market_data.ohlc,
    "Depth": market_data.depth,
    "GroupedBook": books.grouped_book,
    "PreTrade": books.pre_trade,
    "PostTrade": books.post_trade,
    "Trades": market_data.trades,
    "Spread": market_data.spread,
}


class Private(msgspec.Struct, frozen=True):
    """One private endpoint; the key needs at least one permission of every group in ``needs``."""

    call: Callable[[Venue, ApiKey, Params], Any]
    needs: tuple[frozenset[str], ...] = ()
    cost: int = 1
    """What a call adds to the key's counter; calls that the engine counts add nothing."""
    trades: bool = False
    """Whether a locked account may not make it."""


def _any(*permissions: str) -> frozenset[str]:
    return frozenset(permissions)


_FUNDS = (_any("query-funds"),)
_OPEN = (_any("query-open-trades"),)
_CLOSED = (_any("query-closed-trades"),)
_DEPOSIT = (_any("query-funds"), _any("add-funds"))
_WITHDRAWAL = (_any("query-funds"), _any("withdraw-funds"))
_WITHDRAW = (_any("withdraw-funds"),)
_WITHDRAWN = (_any("withdraw-funds", "query-ledger"),)
_LEDGER = (_any("query-ledger"),)
_EXPORT = (_any("export-data"),)
_EARN = (_any("earn-funds"),)
_EARN_STATUS = (_any("query-funds", "earn-funds"),)
_ORDERS = (_any("query-open-trades", "query-closed-trades"),)


def _trading(call: Callable[[Venue, ApiKey, Params], Any], deed: Deed, cost: int = 0) -> Private:
    return Private(call, deed.needs, cost, deed.trades)


PRIVATE: dict[str, Private] = {
    "Balance": Private(account.balance, _FUNDS),
    "BalanceEx": Private(account.balance_ex, _FUNDS),
    "TradeBalance": Private(positions.trade_balance, _OPEN),
    "Level3": Private(books.level3, _OPEN),
    "OpenPositions": Private(positions.open_positions, _OPEN),
    "OpenOrders": Private(account.open_orders, _OPEN),
    "ClosedOrders": Private(account.closed_orders, _CLOSED, HISTORY_COST),
    "QueryOrders": Private(account.query_orders, _ORDERS),
    "TradesHistory": Private(account.trades_history, _CLOSED, HISTORY_COST),
    "QueryTrades": Private(account.query_trades, _CLOSED, HISTORY_COST),
    "OrderAmends": Private(ledgers.order_amends, _ORDERS),
    "Ledgers": Private(ledgers.ledgers, _LEDGER, HISTORY_COST),
    "QueryLedgers": Private(ledgers.query_ledgers, _LEDGER, HISTORY_COST),
    "TradeVolume": Private(ledgers.trade_volume, _FUNDS),
    "CreditLines": Private(ledgers.credit_lines, _FUNDS),
    "GetApiKeyInfo": Private(ledgers.api_key_info),
    "AddExport": Private(exports.add_export, _EXPORT),
    "ExportStatus": Private(exports.export_status, _EXPORT),
    "RetrieveExport": Private(exports.retrieve_export, _EXPORT),
    "RemoveExport": Private(exports.remove_export, _EXPORT),
    "DepositMethods": Private(funding.deposit_methods, _DEPOSIT),
    "DepositAddresses": Private(funding.deposit_addresses, _FUNDS),
    "DepositStatus": Private(funding.deposit_status, _FUNDS),
    "WithdrawMethods": Private(funding.withdraw_methods, _WITHDRAWAL),
    "WithdrawAddresses": Private(funding.withdraw_addresses, _WITHDRAWAL),
    "WithdrawInfo": Private(funding.withdraw_info, _WITHDRAWAL),
    "Withdraw": Private(funding.withdraw, _WITHDRAW),
    "WithdrawStatus": Private(funding.withdraw_status, _WITHDRAWN),
    "WithdrawCancel": Private(funding.withdraw_cancel, _WITHDRAW),
    "WalletTransfer": Private(funding.wallet_transfer, _FUNDS),
    "CreateSubaccount": Private(funding.create_subaccount, _WITHDRAW),
    "AccountTransfer": Private(funding.account_transfer, _WITHDRAW),
    "Earn/Strategies": Private(earn.strategies),
    "Earn/Allocations": Private(earn.allocations, _FUNDS),
    "Earn/Allocate": Private(earn.allocate, _EARN),
    "Earn/Deallocate": Private(earn.deallocate, _EARN),
    "Earn/AllocateStatus": Private(earn.allocate_status, _EARN_STATUS),
    "Earn/DeallocateStatus": Private(earn.deallocate_status, _EARN_STATUS),
    "GetWebSocketsToken": Private(account.websockets_token, (_any("create-ws-token"),)),
    "AddOrder": _trading(trading.add_order, PLACE),
    "AddOrderBatch": _trading(trading.add_order_batch, REPLACE),
    "AmendOrder": _trading(trading.amend_order, AMEND),
    "EditOrder": _trading(trading.edit_order, REPLACE),
    "CancelOrder": _trading(trading.cancel_order, CANCEL),
    "CancelOrderBatch": _trading(trading.cancel_order_batch, CANCEL),
    "CancelAll": _trading(trading.cancel_all, CANCEL, cost=1),
    "CancelAllOrdersAfter": _trading(trading.cancel_all_orders_after, CANCEL, cost=1),
}
