"""What an account must be like to trade on margin."""

from fractions import Fraction

from emulator.engine import margin
from emulator.engine.accounts import Account
from emulator.engine.commands import PlaceOrder
from emulator.engine.events import Reject
from emulator.engine.instruments import BUY, Instrument
from emulator.engine.limits import AccountTier
from emulator.engine.orders import SETTLE_POSITION
from emulator.engine.valuation import Valuation


def order_fault(order: PlaceOrder, pair: Instrument, account: Account) -> Reject | None:
    """Return why ``account`` may not place such an order on margin; its level is not looked at."""
    if not order.leverage:
        if order.type is SETTLE_POSITION or (not order.qty and not order.cash):
            return Reject.INVALID_LEVERAGE
        return Reject.REDUCE_ONLY_NOT_CLOSING if order.reduce_only else None
    buy = order.side is BUY
    if account.tier is AccountTier.STARTER:
        return Reject.CANNOT_OPEN_POSITION
    if order.leverage not in (pair.leverage_buy if buy else pair.leverage_sell):
        return Reject.INVALID_LEVERAGE
    closable = margin.closable(account, pair, buy=buy)
    if (not order.qty or order.type is SETTLE_POSITION) and not closable:
        return Reject.UNKNOWN_POSITION
    if order.reduce_only and not closable and not order.type.triggered:
        same = margin.closable(account, pair, buy=not buy)
        return Reject.REDUCE_ONLY_NOT_CLOSING if same else Reject.REDUCE_ONLY_NO_POSITION
    return None


def opening_fault(
    account: Account,
    pair: Instrument,
    *,
    buy: bool,
    leverage: int,
    opening: int,
    price: int,
    now: margin.Balance,
    valuation: Valuation,
) -> Reject | None:
    """Return why the account may not open ``opening`` more at about ``price``; ``now`` is valued in USD."""
    if not opening:
        return None
    if len(account.positions) >= margin.MOST_POSITIONS:
        return Reject.POSITIONS_LIMIT
    most = pair.long_position_limit if buy else pair.short_position_limit
    held = margin.closable(account, pair, buy=not buy)
    if most is not None and held + opening > most * 10**pair.lot_decimals:
        return Reject.POSITION_SIZE
    rate = valuation.rate(pair.quote.id, "ZUSD") or Fraction(0)
    cost = Fraction(opening * price, 10**pair.exact_decimals) * rate
    if account.margin_allowance_usd is not None and now.value + cost > account.margin_allowance_usd:
        return Reject.MARGIN_ALLOWANCE
    used = now.margin + now.reserved + cost / leverage
    return Reject.MARGIN_LEVEL if now.equity * 100 < used * margin.OPENING_PERCENT else None
