"""The synthetic flow of one pair: a ladder of house orders that follows the mid, and small trades.

It keeps no list of its orders: it looks at the engine's book each time, so a client who takes,
covers or outbids the ladder leaves nothing stale behind.  Prices here are in ticks.
"""

import math
from bisect import bisect_left
from random import Random

from emulator.engine.book import BookSide, Level
from emulator.engine.commands import PlaceOrder, SetIndex
from emulator.engine.instruments import Side
from emulator.engine.market import Market
from emulator.engine.orders import Order, OrderType, TimeInForce
from emulator.engine.spot import SpotEngine
from emulator.market.model import Publish
from emulator.market.prices import on_tick
from emulator.market.profile import PairFlow
from emulator.market.sizes import least_qty, natural

SLACK = 16
"""Levels beyond the profile's number at which orders are only cancelled."""
_REACH = 2.5
"""The ladder reaches this many times ``levels`` steps away from the best price."""
_MEAN_DEPTH = 0.25
"""Mean distance of new orders from the best price, as a share of ``levels`` steps."""
_STALE_PER_STEP = 4
_LEFT_BEHIND_PER_STEP = 2
_REFILLS_PER_STEP = 8
_SWEEP_LEVELS = 5
_QUEUE = 3
"""Most house orders at one price."""
_LURE = 4
"""A client's order at the best price makes a trade this many times as likely."""
_ARBITRAGE = 10
"""An order that the mid walked through is hit with up to this many times ``top_usd`` a step."""


INDEX_NS = 10**9
"""How often a pair's index price is told: the middle that the whole market agrees on."""


class PairMarket:
    """Trades one pair on the house account ``account``; ``publish`` gets the engine's events."""

    def __init__(
        self, engine: SpotEngine, account: str, market: Market, flow: PairFlow, rng: Random, publish: Publish
    ) -> None:
        self._engine = engine
        self._account = account
        self._pair = market.instrument
        self._market = market
        self._book = market.book
        self._flow = flow
        self._rng = rng
        self._publish = publish
        self._now_ns = 0
        self._index_due_ns = 0
        self._mid = 0.0
        self._step = 1.0
        self._reach = 0
        self._fair = (0, 0)
        self._lots_per_usd = 0.0

    # -- the interface ----------------------------------------------------------------------------

    def open(self, mid: float, base_usd: float, now_ns: int) -> None:
        """Fill both sides around ``mid`` (price units); ``base_usd`` is the base asset's price."""
        self._look(mid, base_usd, now_ns)
        for buy in (True, False):
            sign = 1 if buy else -1
            ticks = self._fair[0 if buy else 1]
            ladder = []
            for _ in range(self._flow.levels):
                ladder.append(ticks)
                ticks -= sign * max(round(self._step * (0.5 + self._rng.random())), 1)
            for rung in reversed(ladder):
                self._rest(buy, rung, abs(rung - ladder[0]))

    def act(self, mid: float, base_usd: float, now_ns: int) -> bool:
        """Take one step of the flow; returns whether both sides hold all their levels again."""
        self._look(mid, base_usd, now_ns)
        if not self._engine.status(self._market).matches:
            return True
        self._recentre(True)
        self._recentre(False)
        self._flow_step()
        bids = self._mend(True)
        return self._mend(False) and bids

    # -- where the market should be ---------------------------------------------------------------

    def _look(self, mid: float, base_usd: float, now_ns: int) -> None:
        pair, flow = self._pair, self._flow
        self._now_ns = now_ns
        if now_ns >= self._index_due_ns or now_ns < self._index_due_ns - INDEX_NS:
            self._index_due_ns = now_ns + INDEX_NS
            self._publish(self._engine.apply(SetIndex(pair.id, on_tick(pair, mid)), now_ns))
        self._mid = mid / pair.tick
        self._lots_per_usd = 10.0**pair.lot_decimals / base_usd
        half = self._mid * flow.spread_bps / 2e4
        bid = max(math.floor(self._mid - half), 1)
        self._fair = (bid, max(math.ceil(self._mid + half), bid + 1))
        self._step = max(self._mid * flow.step_bps / 1e4, 1.0)
        self._reach = int(_REACH * flow.levels * self._step)

    def _anchor(self, buy: bool) -> int:
        """Return the best price at which a house order of this side rests; below 1 there is none."""
        other = self._book.side(not buy).best()
        if buy:
            return self._fair[0] if other is None else min(self._fair[0], other.price // self._pair.tick - 1)
        return self._fair[1] if other is None else max(self._fair[1], other.price // self._pair.tick + 1)

    def _edge(self, side: BookSide, anchor: int) -> int:
        """Return the index of the first key of ``side`` within the ladder's reach."""
        return bisect_left(side.keys, (anchor * side.sign - self._reach) * self._pair.tick)

    # -- following the mid ------------------------------------------------------------------------

    def _recentre(self, buy: bool) -> None:
        """Cancel house orders that are too good now, and hit a client's that the mid walked through."""
        side = self._book.side(buy)
        fair = self._fair[0 if buy else 1] * side.sign * self._pair.tick
        for _ in range(_STALE_PER_STEP):
            level = side.best()
            if level is None or level.price * side.sign <= fair:
                return
            own = self._own(level)
            if own is not None:
                self._cancel(own)
            elif level.price * side.sign >= self._mid * self._pair.tick * side.sign:
                self._hit(buy, level)
                return
            else:
                return

    def _hit(self, buy: bool, level: Level) -> None:
        most = int(_ARBITRAGE * self._flow.top_usd * self._lots_per_usd)
        self._take(not buy, min(level.qty, most), level.price, market=False)

    # -- the flow itself --------------------------------------------------------------------------

    def _flow_step(self) -> None:
        bid, ask = self._book.bids.best(), self._book.asks.best()
        share, sell = self._flow.trade_share, 0.5
        lures = (self._lures(bid), self._lures(ask))
        if any(lures):
            share *= _LURE
            sell += 0.35 * (lures[0] - lures[1])
        if self._rng.random() < share:
            self._trade(self._rng.random() >= sell)
        else:
            self._add_or_cancel(self._rng.random() < 0.5)

    @staticmethod
    def _lures(level: Level | None) -> bool:
        return level is not None and level.head is not None and not level.head.account.house

    def _trade(self, buy: bool) -> None:
        """Take a lognormal quantity from the other side, a few levels of it at most."""
        levels = self._book.side(not buy).top(_SWEEP_LEVELS)
        if not levels:
            return
        usd = self._rng.lognormvariate(math.log(self._flow.trade_median_usd), self._flow.trade_sigma)
        qty = min(natural(usd * self._lots_per_usd, self._rng), sum(level.qty for level in levels))
        self._take(buy, qty, levels[-1].price, market=self._rng.random() < 0.5)

    def _add_or_cancel(self, buy: bool) -> None:
        side = self._book.side(buy)
        anchor = self._anchor(buy)
        if anchor < 1:
            return
        edge = self._edge(side, anchor)
        count = len(side.keys) - edge
        if count > self._flow.levels + SLACK or (count and self._rng.random() < 0.5):
            own = self._own(side.levels[side.keys[edge + int(self._rng.random() * count)]])
            if own is not None:
                self._cancel(own)
            return
        ticks = self._draw(anchor, side.sign)
        level = side.levels.get(ticks * side.sign * self._pair.tick)
        if level is not None and self._own(level, beyond=_QUEUE - 1) is not None:
            self._cancel(self._own(level))
        else:
            self._rest(buy, ticks, abs(ticks - anchor))

    def _draw(self, anchor: int, sign: int) -> int:
        """Draw a price for a new order, most often near the best."""
        away = self._rng.expovariate(1.0 / (_MEAN_DEPTH * self._flow.levels * self._step))
        return max(anchor - sign * min(int(away), self._reach), 1)

    # -- keeping the ladder whole -----------------------------------------------------------------

    def _mend(self, buy: bool) -> bool:
        """Close a gap at the top, refill missing levels, drop what was left behind."""
        side = self._book.side(buy)
        anchor = self._anchor(buy)
        if anchor < 1:
            return True
        best = side.best()
        if best is None or anchor * side.sign - best.price * side.sign // self._pair.tick > self._step:
            self._rest(buy, anchor, 0)
        edge = self._edge(side, anchor)
        self._drop_left_behind(side, edge)
        missing = self._flow.levels - (len(side.keys) - self._edge(side, anchor))
        for _ in range(min(missing, _REFILLS_PER_STEP)):
            self._refill(buy, side, anchor)
        return missing <= _REFILLS_PER_STEP

    def _refill(self, buy: bool, side: BookSide, anchor: int) -> None:
        """Add one price level that the ladder does not have yet."""
        ticks = self._draw(anchor, side.sign)
        for _ in range(4):
            if ticks * side.sign * self._pair.tick not in side.levels:
                self._rest(buy, ticks, abs(ticks - anchor))
                return
            ticks = max(anchor - side.sign * int(self._rng.random() * self._reach), 1)

    def _drop_left_behind(self, side: BookSide, edge: int) -> None:
        for key in side.keys[max(edge - _LEFT_BEHIND_PER_STEP, 0) : edge]:
            own = self._own(side.levels[key])
            if own is not None:
                self._cancel(own)

    # -- orders -----------------------------------------------------------------------------------

    @staticmethod
    def _own(level: Level, beyond: int = 0) -> Order | None:
        """Return the first house order at ``level`` after ``beyond`` others, if there is one."""
        order = level.head
        while order is not None:
            if order.account.house:
                if not beyond:
                    return order
                beyond -= 1
            order = order.next
        return None

    def _cancel(self, order: Order | None) -> None:
        if order is not None:
            self._publish(self._engine.cancel_house(order, self._now_ns))

    def _rest(self, buy: bool, ticks: int, depth: int) -> None:
        """Place a limit order at a price where nothing trades, sized for ``depth`` ticks from the best."""
        flow, pair = self._flow, self._pair
        usd = flow.top_usd * (1.0 + flow.depth_growth * depth / self._step)
        usd *= 4.0 ** (2.0 * self._rng.random() - 1.0)
        qty = natural(usd * self._lots_per_usd, self._rng)
        price = ticks * pair.tick
        self._place(buy, OrderType.LIMIT, max(qty, least_qty(pair, price)), price, TimeInForce.GTC)

    def _take(self, buy: bool, qty: int, price: int, *, market: bool) -> None:
        """Trade at once, at ``price`` or better; what is left does not rest."""
        qty = max(qty, least_qty(self._pair, price))
        if market:
            self._place(buy, OrderType.MARKET, qty, None, TimeInForce.GTC)
        else:
            self._place(buy, OrderType.LIMIT, qty, price, TimeInForce.IOC)

    def _place(self, buy: bool, type_: OrderType, qty: int, price: int | None, tif: TimeInForce) -> None:
        command = PlaceOrder(
            account=self._account,
            pair=self._pair.id,
            side=Side.BUY if buy else Side.SELL,
            type=type_,
            qty=qty,
            price=price,
            tif=tif,
        )
        self._publish(self._engine.apply(command, self._now_ns))
