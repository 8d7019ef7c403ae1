"""Managed mode by the control API: a venue that is brought into the state that a test wants.

Numbers come as decimal text.  What cannot be done raises VenueError or WrongValue, one line, and changes
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any

import msgspec

from emulator.clock import PPM
from emulator.control.venue import LARGEST, VenueControl, VenueError
from emulator.engine.accounts import Account
from emulator.engine.commands import Command, Deposit, EndOrder, FillOrder, PrintTrade, SetBalances, SetBook
from emulator.engine.events import Event, Reject, Rejected, Traded
from emulator.engine.instruments import Instrument, Side
from emulator.engine.orders import Order, Reason
from emulator.gateways.numbers import rfc3339, text, units
from emulator.gateways.venue import Venue
from emulator.reading import read
from emulator.words import unknown

LONGEST_STEP_S = 366 * 86_400
LARGEST_SCALE = 1_000
END_NS = 7_258_118_400 * 10**9
"""The beginning of 2200: as far as the clock can be stepped."""
MOST_LEVELS = 5_000
"""Levels of each side that one request may seed: a book changes at one moment, while others wait."""
SHOWN_LEVELS = 1_000
"""Levels of each side that an answer shows."""
_REASONS = {reason.value: reason for reason in Reason if reason is not Reason.EXPIRED}


_Level = Annotated[tuple[str, str], msgspec.Meta(description='a price with a quantity, ["60000", "1"],')]


class _Book(msgspec.Struct, forbid_unknown_fields=True):
    bids: list[_Level] = []
    asks: list[_Level] = []
    match: bool = False


class _Trade(msgspec.Struct, forbid_unknown_fields=True):
    price: str
    qty: str
    side: str = "buy"
    through: bool = False


class _Fill(msgspec.Struct, forbid_unknown_fields=True):
    qty: str | None = None
    price: str | None = None
    account: str | None = None


class _End(msgspec.Struct, forbid_unknown_fields=True):
    account: str | None = None


class _Cancel(msgspec.Struct, forbid_unknown_fields=True):
    account: str | None = None
    reason: str = Reason.USER.value


class _Turn(msgspec.Struct, forbid_unknown_fields=True):
    step_s: float | None = None
    scale: float | None = None


class ManagedControl:
    """Carries out what tests want.  ``venue`` must have a house account.

    A reset gives clients ``deposits``; with ``keeps_market`` it leaves the house's books as they are.
    """

    def __init__(
        self, venue: Venue, control: VenueControl, deposits: Sequence[Deposit], *, keeps_market: bool
    ) -> None:
        self._venue = venue
        self._deposits = tuple(deposits)
        self._keeps_market = keeps_market
        self._control = control
        self._house = next(account.name for account in venue.engine.accounts.values() if account.house)

    # -- accounts ----------------------------------------------------------------------------------

    def set_balances(self, name: str, body: dict[str, Any]) -> Any:
        """Make these balances of an account what ``{"ZUSD": "1000"}`` says; the others stay."""
        account = self._control.account(name)
        wanted: dict[str, int] = {}
        for spelling, amount in read(body, dict[str, str]).items():
            asset = self._control.asset(spelling)
            if asset.id in wanted:
                raise VenueError(f"{spelling}: this asset is named twice")
            wanted[asset.id] = _units(spelling, amount, asset.decimals)
            held = account.holds.get(asset.id, 0)
            if wanted[asset.id] < held:
                on_hold = text(held, asset.decimals)
                raise VenueError(
                    f"{spelling}: {on_hold} is on hold for open orders, so {amount} is too little"
                )
        self._execute(SetBalances(account.name, tuple(wanted.items())), {})
        return self._control.show_account(name)

    # -- the book and the tape ---------------------------------------------------------------------

    def show_book(self, name: str) -> Any:
        """Return a pair's book, clients' orders and all."""
        pair = self._control.pair(name)
        book = self._venue.engine.markets[pair.id].book
        bids, asks = (
            [
                [text(level.price, pair.price_decimals), text(level.qty, pair.lot_decimals)]
                for level in side.top(SHOWN_LEVELS)
            ]
            for side in (book.bids, book.asks)
        )
        return {"pair": pair.altname, "bids": bids, "asks": asks}

    def seed_book(self, name: str, body: dict[str, Any], *, adds: bool) -> Any:
        """Make the house's orders in a pair exactly these, or add these to them."""
        pair, wanted = self._control.pair(name), read(body, _Book)
        bids, asks = _levels("bids", wanted.bids, pair), _levels("asks", wanted.asks, pair)
        if bids and asks and max(bids)[0] >= min(asks)[0]:
            raise VenueError("the best bid must be below the best ask")
        command = SetBook(
            house=self._house, pair=pair.id, bids=bids, asks=asks, adds=adds, match=wanted.match
        )
        in_the_way = "an order of a client" if not adds else "an order in the book"
        self._execute(
            command, {Reject.WOULD_TRADE: f'a level would trade with {in_the_way}; "match": true lets it'}
        )
        return self.show_book(name)

    def print_trade(self, name: str, body: dict[str, Any]) -> Any:
        """Print a public trade of the house with itself."""
        pair, wanted = self._control.pair(name), read(body, _Trade)
        price = _price("price", wanted.price, pair)
        if wanted.side not in ("buy", "sell"):
            raise VenueError(f"side: {wanted.side!r} is neither buy nor sell")
        command = PrintTrade(
            house=self._house,
            pair=pair.id,
            side=Side(wanted.side),
            price=price,
            qty=_qty("qty", wanted.qty, pair),
            through=wanted.through,
        )
        reasons: dict[Reject, str | Callable[[], str]] = {
            Reject.WOULD_TRADE: lambda: self._better(pair, price)
        }
        events = self._execute(command, reasons)
        trade = next(
            event
            for event in events
            if isinstance(event, Traded) and (event.pair, event.price) == (pair.id, price)
        )
        return {
            "pair": pair.altname,
            "trade_id": trade.trade_id,
            "price": text(trade.price, pair.price_decimals),
            "qty": text(trade.qty, pair.lot_decimals),
            "side": "buy" if trade.taker_buy else "sell",
            "time": rfc3339(trade.time_ns, 9),
        }

    def _better(self, pair: Instrument, price: int) -> str:
        """Say which orders a trade at ``price`` would have filled before."""
        orders = [
            order.txid
            for order in self._client_orders()
            if order.level is not None
            and order.instrument is pair
            and (order.price > price if order.buy else order.price < price)
        ]
        more = f" and {len(orders) - 1} more" if orders[1:] else ""
        return f'{orders[0]}{more} would trade first, at a better price; "through": true fills them before'

    # -- orders ------------------------------------------------------------------------------------

    def fill(self, id_: str, body: dict[str, Any]) -> Any:
        """Fill an open order, or a part of it."""
        wanted = read(body, _Fill)
        order = self._order(id_, wanted.account)
        pair = order.instrument
        limit = text(order.price, pair.price_decimals)
        command = FillOrder(
            house=self._house,
            account=order.account.name,
            txid=order.txid,
            qty=None if wanted.qty is None else _qty("qty", wanted.qty, pair),
            price=None if wanted.price is None else _price("price", wanted.price, pair),
        )
        no_price = "price: there is none yet, so it must be given"
        reasons: dict[Reject, str | Callable[[], str]] = {
            Reject.INVALID_QTY: f"qty: {text(order.remaining, pair.lot_decimals)} remains"
            + (", all of which a fill-or-kill order wants" if order.tif == "FOK" else ""),
            Reject.INVALID_PRICE: no_price if wanted.price is None else f"price: the limit is {limit}",
            Reject.INSUFFICIENT_FUNDS: f"{order.account.name} cannot pay that",
            Reject.REDUCE_ONLY_NO_POSITION: "the order is reduce-only, and there is no position to reduce",
        }
        self._execute(command, reasons)
        return _state(order)

    def expire(self, id_: str, body: dict[str, Any]) -> Any:
        """Let an open order expire."""
        return self._end(id_, read(body, _End).account, Reason.EXPIRED)

    def cancel(self, id_: str, body: dict[str, Any]) -> Any:
        """Cancel an open order, for a reason in the words of executions."""
        wanted = read(body, _Cancel)
        reason = _REASONS.get(wanted.reason)
        if reason is None:
            raise VenueError(unknown("reason", wanted.reason, _REASONS))
        return self._end(id_, wanted.account, reason)

    # -- time --------------------------------------------------------------------------------------

    def show_clock(self) -> Any:
        """Return the venue's time, and how it goes."""
        clock = self._venue.clock
        return {
            "time": rfc3339(clock.now_ns(), 9),
            "ahead_s": round(clock.ahead_ns / 1e9, 3),
            "scale": clock.scale_ppm / PPM,
        }

    async def turn_clock(self, body: dict[str, Any]) -> Any:
        """Let time pass at once, or as fast as is wanted from now on; answer when all of it has happened."""
        wanted, clock = read(body, _Turn), self._venue.clock
        if wanted.step_s is not None and not 0 <= wanted.step_s <= LONGEST_STEP_S:
            raise VenueError(
                f"step_s: from 0 to {LONGEST_STEP_S} is meant, a year of seconds, not {wanted.step_s:g}"
            )
        if wanted.scale is not None and not 0 <= wanted.scale <= LARGEST_SCALE:
            raise VenueError(f"scale: from 0 to {LARGEST_SCALE} is meant, not {wanted.scale:g}")
        step_ns = round((wanted.step_s or 0) * 10**9)
        if clock.reaches_ns() + step_ns >= END_NS:
            raise VenueError("step_s: the venue's time ends with the year 2199")
        if wanted.scale is not None:
            clock.set_scale(round(wanted.scale * PPM))
        if step_ns:
            clock.step(step_ns)
        await self._venue.caught_up()
        return self.show_clock()

    def reset(self) -> Any:
        """Begin anew."""
        self._venue.reset(self._deposits, keeps_market=self._keeps_market)
        return {"status": "ok"}

    # -- inside ------------------------------------------------------------------------------------

    def _end(self, id_: str, account: str | None, reason: Reason) -> Any:
        order = self._order(id_, account)
        self._execute(EndOrder(account=order.account.name, txid=order.txid, reason=reason), {})
        return _state(order)

    def _order(self, id_: str, name: str | None) -> Order:
        """Return an open order by its txid, or by its client order id with the account's name."""
        accounts: Iterable[Account] = self._venue.engine.accounts.values()
        if name is not None:
            account = self._control.account(name)
            accounts = (account,)
            named = account.find_open(None, id_)
            if named is not None:
                return named
        for account in accounts:
            order = account.find(id_)
            if order is not None:
                if order.txid not in account.open:
                    raise VenueError(f"order {id_} is not open any more: {order.status.value}")
                return order
        raise VenueError(f"unknown order {id_!r}")

    def _client_orders(self) -> Iterable[Order]:
        accounts = self._venue.engine.accounts.values()
        return (order for account in accounts if not account.house for order in account.open.values())

    def _execute(self, command: Command, reasons: dict[Reject, str | Callable[[], str]]) -> list[Event]:
        events = self._venue.execute(command)
        refused = events[0]
        if isinstance(refused, Rejected):
            reason = reasons.get(refused.reason) or _REFUSED.get(refused.reason)
            if reason is None:
                reason = f"refused: {refused.reason.name.lower()}"
            raise VenueError(reason if isinstance(reason, str) else reason())
        return events


_REFUSED = {Reject.UNAVAILABLE: "nothing trades now: see the status of the venue and of the pair"}


def _state(order: Order) -> Any:
    """Return what has become of an order."""
    decimals = order.instrument.lot_decimals
    return {
        "order": order.txid,
        "account": order.account.name,
        "pair": order.instrument.altname,
        "status": order.status.value,
        "qty": text(order.qty, decimals),
        "filled": text(order.filled, decimals),
        "reason": None if order.reason is None else order.reason.value,
    }


def _levels(side: str, rows: list[tuple[str, str]], pair: Instrument) -> tuple[tuple[int, int], ...]:
    if len(rows) > MOST_LEVELS:
        raise VenueError(f"{side}: at most {MOST_LEVELS} levels at once; further ones can be added (POST)")
    return tuple(
        (_price(f"{side}[{place}][0]", price, pair), _qty(f"{side}[{place}][1]", qty, pair))
        for place, (price, qty) in enumerate(rows)
    )


def _price(name: str, value: str, pair: Instrument) -> int:
    price = _units(name, value, pair.price_decimals)
    if not price or price % pair.tick:
        raise VenueError(f"{name}: {value} is no price of {pair.altname}, whose tick is {pair.tick_text}")
    return price


def _qty(name: str, value: str, pair: Instrument) -> int:
    qty = _units(name, value, pair.lot_decimals)
    if not qty:
        raise VenueError(f"{name}: a quantity above 0 is meant")
    return qty


def _units(name: str, value: str, decimals: int) -> int:
    try:
        number = units(value, decimals)
    except ValueError:
        number = -1
    if not 0 <= number < LARGEST:
        raise VenueError(f"{name}: {value!r} is no number from 0 with at most {decimals} decimals")
    return number
