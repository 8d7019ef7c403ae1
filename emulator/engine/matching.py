"""Matching: an incoming order against the other side of the book, price first, then time."""

from collections.abc import Callable, Iterable

from emulator.engine.accounts import Account
from emulator.engine.book import Book, BookSide
from emulator.engine.orders import CANCEL_NEWEST, CANCEL_OLDEST, Order, Reason

PROTECTION_PERCENT = 10
"""Market price protection: a market order trades no further than this from the best price, and no further
from what else tells the price: the last trade, the index or its own side's best,
whichever lets it go furthest.

Kraken tells 5 to 10 %, depending on the pair."""


class Listener:
    """What happens while an order matches; the engine fills these in."""

    __slots__ = ("completed", "prevented", "refilled", "traded")

    def __init__(
        self,
        traded: Callable[[Order, Order, int, int], None],
        completed: Callable[[Order], None],
        refilled: Callable[[Order], None],
        prevented: Callable[[Order], None],
    ) -> None:
        self.traded = traded
        """``(taker, maker, price, quantity)``: a fill, before either side knows of it."""
        self.completed = completed
        """A resting order has been filled and has left the book."""
        self.refilled = refilled
        """A resting iceberg shows its next slice, at the back of its queue."""
        self.prevented = prevented
        """A resting order of the taker's own account has left the book instead of trading."""


def crosses(book: Book, buy: bool, price: int) -> bool:
    """Tell whether an order at ``price`` would trade at once."""
    side = book.asks if buy else book.bids
    return bool(side.keys) and side.keys[-1] >= price * side.sign


def match(book: Book, taker: Order, limit: int | None, now_ns: int, listener: Listener) -> Reason | None:
    """Trade ``taker`` against the book up to ``limit`` (None: any price).

    Returns why the rest of the order may not go on, or None when it may rest.
    """
    side = book.asks if taker.buy else book.bids
    worst = None if limit is None else limit * side.sign
    keys, levels = side.keys, side.levels
    while taker.filled < taker.qty and keys:
        key = keys[-1]
        if worst is not None and key < worst:
            break
        maker = levels[key].head
        assert maker is not None  # noqa: S101 - a level without orders is never in the book
        if maker.account is taker.account and not taker.account.house:
            if taker.self_trade is not CANCEL_NEWEST:
                book.remove(maker, now_ns)
                listener.prevented(maker)
            if taker.self_trade is not CANCEL_OLDEST:
                return Reason.SELF_TRADE
            continue
        trade(book, taker, maker, maker.price, now_ns, listener)
    return None


def trade(book: Book, taker: Order, maker: Order, price: int, now_ns: int, listener: Listener) -> None:
    """Trade ``taker`` with as much of a resting ``maker`` as is shown."""
    quantity = taker.qty - taker.filled
    if maker.shown < quantity:
        quantity = maker.shown
    listener.traded(taker, maker, price, quantity)
    if maker.shown > quantity:
        book.reduce(maker, quantity, now_ns)
        return
    book.remove(maker, now_ns)
    left = maker.qty - maker.filled
    if left:
        maker.shown = min(maker.display, left)
        maker.touched_ns = now_ns
        book.add(maker, now_ns)
        listener.refilled(maker)
    else:
        maker.shown = 0
        listener.completed(maker)


def fillable(book: Book, taker: Order, limit: int) -> bool:
    """Tell whether all of ``taker`` would trade at ``limit`` or better (fill or kill)."""
    side = book.asks if taker.buy else book.bids
    worst = limit * side.sign
    wanted = taker.qty
    for key in reversed(side.keys):
        if key < worst:
            break
        hidden = 0  # icebergs refill at the back of the queue, behind whatever stands there now
        order = side.levels[key].head
        while order is not None:
            if order.account is not taker.account:
                wanted -= order.shown
                hidden += order.qty - order.filled - order.shown
            elif taker.self_trade is not CANCEL_OLDEST:
                return False
            if wanted <= 0:
                return True
            order = order.next
        wanted -= hidden
        if wanted <= 0:
            return True
    return False


def affordable(side: BookSide, account: Account, cash: int) -> int:
    """Return how much ``cash`` (an exact cost) buys from ``side``, other accounts' orders only.

    The last part is rounded half up: the amount is spent to its last digit (see ``spent``), and buys a little
    more or less than its price would have it (recorded 2025-09: 15 USDT at 111,993.3 buy 0.00013394).
    """
    quantity = 0
    for key in reversed(side.keys):
        level = side.levels[key]
        order = level.head
        while order is not None:
            if order.account is not account:
                part = min(order.qty - order.filled, (2 * cash + level.price) // (2 * level.price))
                quantity += part
                cash -= part * level.price
                if part < order.qty - order.filled:
                    return quantity
            order = order.next
    return quantity


def spent(taker: Order, price: int, quantity: int) -> int:
    """Return the exact cost of a fill: of an order for an amount, the last fill takes what is left of it."""
    cost = price * quantity
    if taker.filled + quantity == taker.qty:
        left = taker.cash - taker.cost
        if abs(left - cost) < price:  # else the book had less to sell
            return left
    return cost


def protected(side: BookSide, references: Iterable[int]) -> int | None:
    """Return the worst price at which a market order still trades; None when nothing of ``side`` is so near.

    ``references`` are what else tells the price, 0 for what there is not; without any the best price does.
    """
    if not side.keys:
        return None
    best = side.keys[-1]
    known = [_away(price * side.sign) for price in references if price]
    worst = max(_away(best), min(known)) if known else _away(best)
    return max(worst * side.sign, 1) if best >= worst else None


def _away(key: int) -> int:
    """Return the key at the distance that price protection allows (keys ascend towards the best)."""
    return key - abs(key) * PROTECTION_PERCENT // 100


def cost_to_take(side: BookSide, taker: Order, worst_price: int) -> int:
    """Return the exact cost of filling a market order from ``side``, as far as ``worst_price``."""
    cost, quantity, worst = 0, taker.qty - taker.filled, worst_price * side.sign
    for key in reversed(side.keys):
        if key < worst:
            break
        level = side.levels[key]
        order = level.head
        while order is not None:
            if order.account is not taker.account:
                part = min(order.qty - order.filled, quantity)
                cost += part * level.price
                quantity -= part
                if not quantity:
                    return cost
            order = order.next
    return cost
