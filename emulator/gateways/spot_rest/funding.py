"""Private endpoints of deposits, withdrawals and transfers between accounts.  The table is in endpoints."""

import re
from typing import Any

from emulator.engine import commands
from emulator.engine.events import FundsMoved, Reject, Rejected
from emulator.engine.instruments import Asset, scaled
from emulator.engine.wallets import Movement
from emulator.gateways.errors import VenueError, bad_argument, bad_value
from emulator.gateways.keys import ApiKey
from emulator.gateways.numbers import TooPreciseError, units
from emulator.gateways.offers import ADDRESSES, Method, SavedAddress, iiban
from emulator.gateways.order_params import time_ns
from emulator.gateways.order_reasons import unknown_asset
from emulator.gateways.ordering import refusal
from emulator.gateways.parameters import Params
from emulator.gateways.spot_rest import codec
from emulator.gateways.spot_rest.account import account_of, between
from emulator.gateways.spot_rest.market_data import how_many
from emulator.gateways.venue import Venue
from emulator.words import unknown

MOST_SUBACCOUNTS = 100
MOST_MOVEMENTS = 500
"""Deposits or withdrawals on one page."""
_CURSOR = re.compile(r"[0-9]{1,9}")
_NAME = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
_INSUFFICIENT = "EFunding:Insufficient funds"


def _asset(venue: Venue, params: Params) -> Asset:
    asset = venue.names.asset(params.required("asset"))
    if asset is None:
        raise VenueError("EFunding:Unknown asset", unknown_asset, venue.engine, params.get("asset"))
    return asset


def _asset_if_given(venue: Venue, params: Params) -> Asset | None:
    return None if params.get("asset") is None else _asset(venue, params)


def _amount(params: Params, asset: Asset) -> int:
    try:
        amount = units(params.required("amount"), asset.decimals)
    except TooPreciseError:
        amount = 0
    except ValueError:
        raise bad_value("amount", params.get("amount"), "a decimal number is meant") from None
    if amount <= 0:
        asked, most = params.get("amount"), asset.decimals
        why = "{!r:.40}: a number above 0 of up to {} decimals is meant"
        raise VenueError("EFunding:Invalid amount", why, asked, most)
    return amount


def _method(venue: Venue, params: Params, asset: Asset) -> Method:
    asked = params.required("method")
    method = venue.offers.method(asset.id, asked)
    if method is None:
        known = [each.name for each in venue.offers.of(asset)]
        raise VenueError("EFunding:No funding method", unknown, "method", asked, known)
    return method


def moved(venue: Venue, command: commands.Command, insufficient: str = _INSUFFICIENT) -> str:
    """Carry out a command that moves funds; return its reference."""
    for event in venue.execute(command):
        if isinstance(event, Rejected):
            short = event.reason is Reject.INSUFFICIENT_FUNDS
            raise refusal(event.reason, venue.engine, command, insufficient if short else None)
        if isinstance(event, FundsMoved):
            return event.refid
    raise AssertionError("an answer follows every command that moves funds")


# -- deposits --------------------------------------------------------------------------------------------


def deposit_methods(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``DepositMethods``."""
    asset = _asset(venue, params)
    methods = venue.offers.of(asset)
    if not methods:
        raise VenueError("EFunding:No funding method", "{} has none", asset.altname)
    rows = []
    for method in methods:
        row: dict[str, Any] = {"method": method.name, "limit": method.limit or False}
        if method.deposit_fee_percentage is None:
            row["fee"] = codec.amount(asset, scaled(method.deposit_fee, asset.decimals))
        else:
            row["fee-percentage"] = method.deposit_fee_percentage
        rows.append(row | {"gen-address": not method.fiat, "minimum": method.deposit_minimum})
    return rows


def deposit_addresses(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``DepositAddresses``: those there are, one at least; ``new`` makes another one."""
    asset = _asset(venue, params)
    method = _method(venue, params, asset)
    account = account_of(venue, key)
    counts = venue.addresses.setdefault(account.name, {})
    known = counts.get((asset.id, method.name), 0)
    new = params.flag("new") or not known
    if new:
        if known >= ADDRESSES:
            raise VenueError("EFunding:Too many addresses", "there are {}", known)
        known = counts[asset.id, method.name] = known + 1
    rows = []
    for number in range(known, 0, -1):
        row: dict[str, Any] = {
            "address": method.address_of(venue.seed, account.name, number),
            "expiretm": "0",
        }
        if new and number == known:
            row["new"] = True
        if method.tag:
            row["tag"] = str(1_000_000 + number)
        if method.memo:
            row["memo"] = str(2_000_000 + number)
        rows.append(row)
    return rows


def deposit_status(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``DepositStatus``."""
    deposits = account_of(venue, key).deposits.values()
    return _listed(venue, params, list(deposits), "deposit", 25)


def withdraw_status(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``WithdrawStatus``."""
    withdrawals = account_of(venue, key).withdrawals.values()
    return _listed(venue, params, list(withdrawals), "withdrawals", 500)


def _listed(venue: Venue, params: Params, movements: list[Movement], name: str, usual: int) -> Any:
    """Return movements, newest first; with ``cursor`` in pages."""
    asset, method = _asset_if_given(venue, params), params.get("method")
    start, end = (
        None if params.get(border) is None else time_ns(params.required(border), border)
        for border in ("start", "end")
    )
    found = [
        movement
        for movement in reversed(movements)
        if (asset is None or movement.asset == asset.id)
        and (method is None or movement.method == method)
        and between(start, movement.time_ns, end)
    ]
    limit = how_many(params, "limit", usual, MOST_MOVEMENTS)
    cursor = params.get("cursor")
    if cursor is None or cursor.lower() == "false":
        return [_movement(venue, movement, name) for movement in found[:limit]]
    first = 0
    if cursor.lower() != "true":
        if not _CURSOR.fullmatch(cursor):
            raise bad_value("cursor", cursor, "true, or next_cursor of the last page, is meant")
        first = int(cursor)
    rows = [_movement(venue, movement, name) for movement in found[first : first + limit]]
    following = str(first + limit) if first + limit < len(found) else None
    return {name: rows, "next_cursor": following}


def _movement(venue: Venue, movement: Movement, name: str) -> dict[str, Any]:
    asset = venue.engine.catalogue.assets[movement.asset]
    row: dict[str, Any] = {
        "method": movement.method or asset.name,  # a deposit always names one
        "aclass": "currency",
        "asset": movement.asset,
        "refid": movement.refid,
        "txid": movement.txid or None,
        "info": movement.address,
        "amount": codec.amount(asset, movement.amount),
        "fee": codec.amount(asset, movement.fee),
        "time": movement.time_ns // 10**9,
        "status": movement.status,
    }
    if movement.canceled:
        row["status-prop"] = "canceled"
    if name != "deposit":
        row |= {"network": movement.network, "key": movement.key}
    return row


# -- withdrawals -----------------------------------------------------------------------------------------


def withdraw_methods(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``WithdrawMethods``."""
    asset, network = _asset_if_given(venue, params), params.get("network")
    return [
        {
            "asset": method.asset,
            "method": method.name,
            "method_id": _id(method.asset, method.name),
            "network": method.network,
            "network_id": _id(method.network),
            "minimum": method.withdraw_minimum,
            "fee": {"aclass": "currency", "asset": method.asset, "fee": method.withdraw_fee},
            "limits": [],
        }
        for method in venue.offers.of(asset)
        if network is None or method.network == network
    ]


def _id(*names: str) -> str:
    """Return a made-up id that is always the same for the same names."""
    return iiban(":".join(names)).replace(" ", "").lower()


def withdraw_addresses(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``WithdrawAddresses``: those that the account has saved."""
    asset, verified = _asset_if_given(venue, params), params.get("verified")
    return [
        {
            "address": saved.address,
            "asset": venue.engine.catalogue.assets[saved.asset].altname,
            "method": saved.method,
            "key": saved.name,
            "verified": saved.verified,
        }
        for saved in venue.offers.keys
        if (asset is None or saved.asset == asset.id)
        and params.get("method") in (None, saved.method)
        and params.get("key") in (None, saved.name)
        and (verified is None or params.flag("verified") is saved.verified)
    ]


def _saved(venue: Venue, params: Params, asset: Asset) -> tuple[SavedAddress, Method]:
    name = params.required("key")
    saved = next((s for s in venue.offers.keys if (s.name, s.asset) == (name, asset.id)), None)
    method = None if saved is None else venue.offers.method(asset.id, saved.method)
    if saved is None or method is None or not saved.verified:
        known = [each.name for each in venue.offers.keys if each.asset == asset.id and each.verified]
        raise VenueError("EFunding:Unknown withdraw key", unknown, "verified key", name, known)
    return saved, method


def withdraw_info(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``WithdrawInfo``: what would arrive, and what it costs."""
    asset = _asset(venue, params)
    _, method = _saved(venue, params, asset)
    amount, fee = _amount(params, asset), scaled(method.withdraw_fee, asset.decimals)
    return {
        "method": method.name,
        "limit": codec.amount(asset, max(account_of(venue, key).available(asset.id) - fee, 0)),
        "amount": codec.amount(asset, max(amount - fee, 0)),
        "fee": codec.amount(asset, fee),
    }


def withdraw(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``Withdraw``: the amount is what leaves the account, fee included."""
    asset = _asset(venue, params)
    saved, method = _saved(venue, params, asset)
    amount, fee = _amount(params, asset), scaled(method.withdraw_fee, asset.decimals)
    if params.get("address") not in (None, saved.address):
        raise VenueError("Invalid withdrawal address", "it is not that of key {!r}", saved.name)
    most = params.get("max_fee")
    if most is not None and fee > _fee(most, asset):
        raise VenueError("EFunding:Max fee exceeded", "the fee is {} {}", method.withdraw_fee, asset.altname)
    if amount < scaled(method.withdraw_minimum, asset.decimals) or amount <= fee:
        why = "the minimum is {} {}, and more than the fee, {}"
        least = (method.withdraw_minimum, asset.altname, method.withdraw_fee)
        raise VenueError("EFunding:Invalid amount", why, *least)
    command = commands.Withdraw(
        account=key.account,
        asset=asset.id,
        amount=amount - fee,
        fee=fee,
        method=method.name,
        network=method.network,
        key=saved.name,
        address=saved.address,
    )
    return {"refid": moved(venue, command)}


def _fee(value: str, asset: Asset) -> int:
    try:
        return units(value, asset.decimals, truncate=True)
    except ValueError:
        raise bad_value("max_fee", value, "a decimal number is meant") from None


def withdraw_cancel(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``WithdrawCancel``: while it has not been sent."""
    asset, refid = _asset(venue, params), params.required("refid")
    moved(venue, commands.CancelWithdrawal(key.account, asset.id, refid))
    return True


# -- transfers -------------------------------------------------------------------------------------------


def wallet_transfer(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``WalletTransfer``: from spot to futures, the only way it goes here."""
    asset = _asset(venue, params)
    amount = _amount(params, asset)
    if params.required("from") != "Spot Wallet":
        raise bad_value("from", params.get("from"), "Spot Wallet is meant")
    if params.required("to") != "Futures Wallet":
        raise bad_value("to", params.get("to"), "Futures Wallet is meant")
    return {"refid": moved(venue, commands.TransferToFutures(key.account, asset.id, amount))}


def create_subaccount(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``CreateSubaccount``: for master accounts."""
    name, account = params.required("username"), account_of(venue, key)
    if not _NAME.fullmatch(name):
        raise bad_value("username", name, "1 to 64 letters, digits or _.@- are meant")
    if "@" not in params.required("email"):
        raise bad_argument("email", "there is no @ in it")
    own = [other for other in venue.engine.accounts.values() if other.master == account.name]
    if account.master != account.name or len(own) > MOST_SUBACCOUNTS:
        why = "{} is of master {}, which has {} of {} accounts; only a master makes more"
        about = (account.name, account.master, len(own), MOST_SUBACCOUNTS)
        raise VenueError("EGeneral:Permission denied", why, *about)
    moved(venue, commands.CreateSubaccount(account.name, name))
    return True


def account_transfer(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``AccountTransfer``: between a master account and its subaccounts, named by their IIBANs."""
    account, asset = account_of(venue, key), _asset(venue, params)
    if account.master != account.name:
        why = "{} is of master {}: only that one transfers"
        raise VenueError("EGeneral:Permission denied", why, account.name, account.master)
    own = {
        iiban(other.name).replace(" ", ""): other.name
        for other in venue.engine.accounts.values()
        if other.master == account.name
    }
    ends = [own.get(params.required(end).replace(" ", "").upper()) for end in ("from", "to")]
    for name, end in zip(("from", "to"), ends, strict=True):
        if end is None:
            raise bad_value(name, params.get(name), own)
    source, target = (str(end) for end in ends)
    if source == target:
        raise bad_value("to", params.get("to"), "another account than in from is meant")
    command = commands.TransferToAccount(account.name, source, target, asset.id, _amount(params, asset))
    return {"transfer_id": moved(venue, command), "status": "complete"}
