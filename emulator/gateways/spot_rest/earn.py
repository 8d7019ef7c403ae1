"""Private endpoints of Earn.  The table is in endpoints."""

from fractions import Fraction
from typing import Any

from emulator.engine import commands
from emulator.engine.instruments import Asset, scaled
from emulator.engine.wallets import DAY_NS, YEAR_DAYS, Allocation
from emulator.gateways.errors import VenueError, bad_argument, bad_value
from emulator.gateways.keys import ApiKey
from emulator.gateways.numbers import TooPreciseError, rfc3339, text, units
from emulator.gateways.offers import Strategy
from emulator.gateways.order_reasons import unknown_asset
from emulator.gateways.parameters import Params
from emulator.gateways.spot_rest import codec
from emulator.gateways.spot_rest.account import account_of
from emulator.gateways.spot_rest.funding import moved
from emulator.gateways.venue import Venue

_LOCKS = frozenset({"flex", "bonded", "timed", "instant"})
_INSUFFICIENT = "EEarnings:Insufficient funds:Insufficient funds to complete the (de)allocation request"
_OF_AMOUNT = "{!r:.40}: a decimal number of up to {} decimals is meant"
_WEEK_S = 7 * 86_400
_DAY_S = 86_400


def strategies(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``Earn/Strategies``: all of them on one page."""
    asset = params.get("asset")
    wanted = None if asset is None else venue.names.asset(asset)
    if asset is not None and wanted is None:
        raise VenueError("EQuery:Unknown asset", unknown_asset, venue.engine, asset)
    locks = params.items("lock_type")
    if not all(isinstance(lock, str) and lock in _LOCKS for lock in locks):
        raise bad_value("lock_type", locks, _LOCKS)
    found = [
        strategy
        for strategy in venue.offers.strategies
        if (wanted is None or strategy.asset == wanted.id) and (not locks or strategy.lock in locks)
    ]
    if params.flag("ascending"):
        found.reverse()
    return {"items": [_strategy(venue, strategy) for strategy in found], "next_cursor": None}


def _strategy(venue: Venue, strategy: Strategy) -> dict[str, Any]:
    asset = venue.engine.catalogue.assets[strategy.asset]
    row: dict[str, Any] = {
        "id": strategy.id,
        "asset": asset.altname,
        "lock_type": _lock(strategy),
        "apr_estimate": {"low": strategy.apr_low, "high": strategy.apr_high},
        "user_min_allocation": strategy.minimum,
        "allocation_fee": "0",
        "deallocation_fee": "0",
        "auto_compound": {"type": "disabled"},
        "yield_source": {"type": "staking" if strategy.lock != "flex" else "off_chain"},
        "can_allocate": True,
        "can_deallocate": True,
        "allocation_restriction_info": [],
    }
    if strategy.cap is not None:
        row["user_cap"] = strategy.cap
    return row


def _lock(strategy: Strategy) -> dict[str, Any]:
    lock: dict[str, Any] = {"type": strategy.lock}
    if strategy.lock != "flex":
        lock["payout_frequency"] = _WEEK_S
    if strategy.lock == "bonded":
        lock |= {
            "bonding_period": strategy.bonding_days * _DAY_S,
            "bonding_period_variable": False,
            "bonding_rewards": False,
            "unbonding_period": strategy.unbonding_days * _DAY_S,
            "unbonding_period_variable": False,
            "unbonding_rewards": False,
            "exit_queue_period": 0,
        }
    return lock


def _find(venue: Venue, params: Params) -> Strategy:
    strategy = venue.offers.strategy(params.get("strategy_id") or "")
    if strategy is None:
        asked = params.get("strategy_id")
        words = "EGeneral:Invalid arguments:Invalid strategy ID"
        raise VenueError(words, "{!r:.64} is no strategy_id of Earn/Strategies", asked)
    return strategy


def _amount(params: Params, asset: Asset) -> int:
    try:
        return units(params.required("amount"), asset.decimals)
    except (TooPreciseError, ValueError):
        raise bad_argument("amount", _OF_AMOUNT, params.get("amount"), asset.decimals) from None


def _change(venue: Venue, key: ApiKey, params: Params, sign: int) -> bool:
    strategy = _find(venue, params)
    asset = venue.engine.catalogue.assets[strategy.asset]
    amount = _amount(params, asset)
    if amount < scaled(strategy.minimum, asset.decimals):
        words = "EEarnings:Below min:(De)allocation operation amount less than minimum"
        raise VenueError(words, "{} {} is the minimum", strategy.minimum, asset.altname)
    allocation = account_of(venue, key).earn.get(strategy.id)
    held = 0 if allocation is None else allocation.amount
    if sign > 0 and strategy.cap is not None and held + amount > scaled(strategy.cap, asset.decimals):
        words = "EEarnings:Above max:The allocation exceeds user limit for the strategy"
        there = text(held, asset.decimals)
        raise VenueError(words, "{} {} are allocated, {} may be", there, asset.altname, strategy.cap)
    command = commands.Allocate(
        account=key.account,
        strategy=strategy.id,
        asset=strategy.asset,
        amount=sign * amount,
        rate_ppm=strategy.rate_ppm,
        unbonding_days=strategy.unbonding_days,
    )
    moved(venue, command, _INSUFFICIENT)
    return True


def allocate(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``Earn/Allocate``."""
    return _change(venue, key, params, 1)


def deallocate(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``Earn/Deallocate``."""
    return _change(venue, key, params, -1)


def _status(venue: Venue, key: ApiKey, params: Params, operation: str) -> Any:
    allocation = account_of(venue, key).earn.get(_find(venue, params).id)
    return {"pending": allocation is not None and allocation.pending == operation}


def allocate_status(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``Earn/AllocateStatus``."""
    return _status(venue, key, params, "allocate")


def deallocate_status(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``Earn/DeallocateStatus``."""
    return _status(venue, key, params, "deallocate")


# -- allocations -----------------------------------------------------------------------------------------


def allocations(venue: Venue, key: ApiKey, params: Params) -> Any:
    """``Earn/Allocations``: what is where, and what it is worth."""
    target = venue.names.asset(params.get("converted_asset") or "ZUSD")
    if target is None:
        asked = params.get("converted_asset")
        raise VenueError("EQuery:Unknown asset", unknown_asset, venue.engine, asked)
    found = list(account_of(venue, key).earn.values())
    if params.flag("hide_zero_allocations"):
        found = [a for a in found if a.amount or a.arriving or a.leaving]
    if not params.flag("ascending"):
        found.reverse()
    now_ns = venue.clock.now_ns()
    total = sum((_worth(venue, a, a.amount + a.arriving + a.leaving, target) for a in found), Fraction(0))
    rewarded = sum((_worth(venue, a, a.rewarded, target) for a in found), Fraction(0))
    return {
        "converted_asset": target.altname,
        "total_allocated": _decimal(total, target),
        "total_rewarded": _decimal(rewarded, target),
        "items": [_allocation(venue, a, target, now_ns) for a in found],
        "next_cursor": None,
    }


def _worth(venue: Venue, allocation: Allocation, amount: int, target: Asset) -> Fraction:
    asset = venue.engine.catalogue.assets[allocation.asset]
    rate = venue.engine.valuation.rate(allocation.asset, target.id) or Fraction(0)
    return Fraction(amount, 10**asset.decimals) * rate


def _decimal(value: Fraction, asset: Asset) -> str:
    return text(int(value * 10**asset.decimals), asset.decimals)


def _allocation(venue: Venue, allocation: Allocation, target: Asset, now_ns: int) -> dict[str, Any]:
    asset = venue.engine.catalogue.assets[allocation.asset]

    def both(amount: int) -> dict[str, str]:
        worth = _worth(venue, allocation, amount, target)
        return {"native": codec.amount(asset, amount), "converted": _decimal(worth, target)}

    def state(amount: int, expires_ns: int = 0) -> dict[str, Any]:
        one: dict[str, Any] = both(amount) | {"created_at": rfc3339(allocation.created_ns, 0)}
        if expires_ns:
            one["expires"] = rfc3339(expires_ns, 0)
        return both(amount) | {"allocation_count": 1, "allocations": [one]}

    parts: dict[str, Any] = {}
    if allocation.arriving:
        parts["pending"] = state(allocation.arriving)
    if allocation.leaving:
        parts["unbonding"] = state(allocation.leaving, allocation.leaving_until_ns)
    parts["total"] = both(allocation.amount + allocation.arriving + allocation.leaving)
    row: dict[str, Any] = {
        "strategy_id": allocation.strategy,
        "native_asset": asset.altname,
        "amount_allocated": parts,
        "total_rewarded": both(allocation.rewarded),
    }
    if allocation.amount:
        ends_ns = allocation.paid_ns + 7 * DAY_NS
        elapsed = min(now_ns - allocation.paid_ns, 7 * DAY_NS)
        accrued = allocation.amount * allocation.rate_ppm * elapsed // (YEAR_DAYS * DAY_NS * 10**6)
        whole = allocation.amount * allocation.rate_ppm * 7 // (YEAR_DAYS * 10**6)
        row["payout"] = {
            "period_start": rfc3339(allocation.paid_ns, 0),
            "period_end": rfc3339(ends_ns, 0),
            "accumulated_reward": both(accrued),
            "estimated_reward": both(whole),
        }
    return row
