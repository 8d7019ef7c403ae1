"""Why funds, margin or positions do not allow a command, in numbers (see ``order_reasons``)."""

from fractions import Fraction

from emulator.engine import commands, margin
from emulator.engine.funds import cost_ahead
from emulator.engine.orders import SETTLE_POSITION
from emulator.engine.valuation import USD
from emulator.gateways.refused import Refused
from emulator.words import listed


def insufficient(case: Refused) -> str:
    """Tell which asset it was, what was needed, and what there is."""
    command = case.command
    if not isinstance(command, commands.PlaceOrder | commands.EditOrder | commands.AmendOrder):
        return _moved(case)
    order, market, pair = case.draft(), case.market, case.pair
    cost = (order.price or order.held_price) * order.remaining
    if not cost and order.buy:
        cost = cost_ahead(order, market)
    asset = pair.quote.id if order.buy else pair.base.id
    back = 0 if case.order is None else case.order.hold
    return _needed(case, asset, order.hold_needed(cost), back)


def _needed(case: Refused, asset: str, needed: int, back: int = 0) -> str:
    account = case.account
    free, held = account.available(asset) + back, account.holds.get(asset, 0) - back
    held_text = f", {case.amount(asset, held)} are on hold for open orders" if held else ""
    return (
        f"{case.amount(asset, needed)} needed, fees included; {case.amount(asset, free)} available{held_text}"
    )


def _moved(case: Refused) -> str:
    """Tell the same of funds that leave the account."""
    command = case.command
    amount, asset = getattr(command, "amount", None), getattr(command, "asset", None)
    if amount is None or asset is None:
        return f"{case.account.name} cannot pay that"
    if amount < 0:
        allocation = case.account.earn.get(command.strategy)
        there = 0 if allocation is None else allocation.amount
        return f"{case.amount(asset, -amount)} asked for, {case.amount(asset, there)} allocated"
    source = case.engine.accounts[getattr(command, "source", command.account)]
    needed, free = amount + getattr(command, "fee", 0), source.available(asset)
    told = f"{case.amount(asset, needed)} needed, {case.amount(asset, free)} available to {source.name}"
    if source.positions and needed <= free:
        told += "; its positions need what is missing as margin"
    return told


def leverage(case: Refused) -> str:
    """Tell which leverage came, and which there are."""
    place, pair = case.place, case.pair
    if not place.leverage:
        if place.type is SETTLE_POSITION:
            return "a settle-position order needs a leverage"
        return "volume 0 closes a position, and the order has no leverage"
    offered = pair.leverage_buy if place.side.value == "buy" else pair.leverage_sell
    return f"leverage {place.leverage} to {place.side} {pair.symbol}; there are: {listed(offered)}"


def tier(case: Refused) -> str:
    """Tell that the account's tier has no margin."""
    return f"{case.account.name} is of tier {case.account.tier}, which has no margin trading"


def _now(case: Refused) -> margin.Balance:
    """Return what the account has and owes in USD, the order aside that is changed."""
    engine = case.engine
    return margin.balance(
        case.account, engine.catalogue.assets, engine.markets, engine.valuation, USD, case.order
    )


def _opening(case: Refused) -> tuple[int, Fraction]:
    """Return what the order opens: its quantity, and its value in USD."""
    order, pair = case.draft(), case.pair
    closable = margin.closable(case.account, pair, buy=order.buy)
    opening = 0 if order.reduce_only else max(order.remaining - closable, 0)
    rate = case.engine.valuation.rate(pair.quote.id, USD) or Fraction(0)
    price = order.held_price or margin.market_price(case.market)
    return opening, Fraction(opening * price, 10**pair.exact_decimals) * rate


def _usd(value: Fraction) -> str:
    return f"{float(value):.2f} USD"


def margin_level(case: Refused) -> str:
    """Tell equity, the margin that would be used, and the level that this is."""
    now, (_, cost) = _now(case), _opening(case)
    used = now.margin + now.reserved + cost / case.place.leverage
    level = float(now.equity * 100 / used) if used else 0.0
    return (
        f"equity {_usd(now.equity)}, margin with this order {_usd(used)}: a level of {level:.1f} %, "
        f"{margin.OPENING_PERCENT} % at least is meant"
    )


def allowance(case: Refused) -> str:
    """Tell what positions would be worth, and may be."""
    now, (_, cost) = _now(case), _opening(case)
    most = case.account.margin_allowance_usd
    return f"positions of {_usd(now.value)} and this order's {_usd(cost)}; {most} USD are allowed"


def position_size(case: Refused) -> str:
    """Tell what would be held, and may be."""
    pair, buy = case.pair, case.place.side.value == "buy"
    held, (opening, _) = margin.closable(case.account, pair, buy=not buy), _opening(case)
    most = pair.long_position_limit if buy else pair.short_position_limit
    kind = "long" if buy else "short"
    return f"{case.size(held)} {kind} and {case.size(opening)} more; {most} {pair.base.altname} are allowed"


def positions(case: Refused) -> str:
    """Tell how many positions there are, and may be."""
    return f"{len(case.account.positions)} positions are open; {margin.MOST_POSITIONS} may be"


def no_position(case: Refused) -> str:
    """Tell that there is nothing to close."""
    kind = "short" if case.place.side.value == "buy" else "long"
    return (
        f"{case.account.name} has no {kind} position of {case.pair.symbol} for a {case.place.side} to close"
    )


def not_closing(case: Refused) -> str:
    """Tell why a reduce-only order reduces nothing."""
    place = case.place
    if not place.leverage:
        return "a reduce-only order needs a leverage: there is none without margin"
    kind = "long" if place.side.value == "buy" else "short"
    return f"the position of {case.pair.symbol} is {kind} itself: a {place.side} would add to it"
