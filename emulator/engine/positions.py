"""What happens to margin positions on the trading floor: settled, rolled over, liquidated."""

from emulator.engine import commands, events, margin
from emulator.engine.accounts import Account
from emulator.engine.events import Reject
from emulator.engine.floor import Floor
from emulator.engine.instruments import Side
from emulator.engine.margin import Position
from emulator.engine.market import Market
from emulator.engine.orders import Order, OrderType, Reason, SelfTrade, Status
from emulator.engine.valuation import USD


class Positions(Floor):
    """The floor, with positions looked after."""

    def _position_changed(self, order: Order) -> None:
        """Look after the position that a fill has opened, and the orders that were to close another one."""
        account = order.account
        self._shrunk[account] = None
        position = account.positions.get(order.trades[-1])
        if position is not None:
            self._timers.at(position.rollover_ns, self._roll_over, position)
        self._watch.changed(account)

    def _settle(self, command: commands.PlaceOrder, market: Market, account: Account) -> None:
        """Settle positions, oldest first, with the account's own funds: an order that is done at once."""
        pair, buy = market.instrument, command.side is Side.BUY
        order = self.draft(command, market, account, self._orders.next())
        closable = margin.closable(account, pair, buy=buy)
        order.qty = min(command.qty or closable, closable)
        parts, left = [], order.qty
        for position in margin.opposite(account, pair, buy=buy):
            part = min(position.open, left)
            left -= part
            if part:
                parts.append((position, part))
        owed = sum(p.open_cost * part // p.open if p.buy else part for p, part in parts)
        if buy:
            short = pair.base_amount(owed) > account.available(pair.base.id)
        else:
            short = pair.quote_amount(owed) + len(parts) > account.available(pair.quote.id)
        if short:
            self._refuse(Reject.INSUFFICIENT_FUNDS)
            return
        self._out.append(events.Accepted(order))
        account.opened(order)
        for position, part in parts:
            self._out += self.settlement.settle(position, part, self.now_ns)
        order.filled = order.qty
        self._finish(order, Status.CLOSED, None)

    def _roll_over(self, position: Position) -> None:
        """Charge an open position for its next period."""
        if position.open:
            self._out.append(self.settlement.roll_over(position, self.now_ns))
            self._timers.at(position.rollover_ns, self._roll_over, position)

    def _check_margin(self, account: Account) -> None:
        """Close a position, the oldest first, when the account's margin level is too low.

        Where somebody takes it the level is looked at again at once, else when a book is another one.
        """
        safe = self._safe(account)
        position = None if safe else self._liquidable(account)
        if position is not None:
            self._liquidate(position, self.markets[position.instrument.id])
            self._watch.look_at(account, self.now_ns)
        else:
            self._watch.follow(account, stuck=not safe)

    def _safe(self, account: Account) -> bool:
        assets, markets = self.catalogue.assets, self.markets
        level = margin.worth(account, assets, markets, self.valuation, USD).level
        return level is None or level >= margin.LIQUIDATION_PERCENT

    def _liquidable(self, account: Account) -> Position | None:
        """Return the oldest position that somebody would take now, as far as price protection lets them."""
        for position in account.positions.values():
            market = self.markets[position.instrument.id]
            if self.status(market).matches and market.protection(buy=not position.buy) is not None:
                return position
        return None

    def _liquidate(self, position: Position, market: Market) -> None:
        command = commands.PlaceOrder(
            account=position.account.name,
            pair=market.instrument.id,
            side=Side.SELL if position.buy else Side.BUY,
            type=OrderType.MARKET,
            qty=position.open,
            leverage=position.leverage,
            self_trade=SelfTrade.CANCEL_OLDEST,
        )
        order = self.draft(command, market, position.account, self._orders.next())
        order.liquidation = True
        self._out.append(events.Accepted(order))
        position.account.opened(order)
        self._run(order, market)
        self._conclude(market)

    def _cancel_reductions(self, account: Account, market: Market) -> None:
        """Cancel resting reduce-only orders that there is nothing left for, the least aggressive first."""
        for buy in (True, False):
            orders = [
                order
                for order in account.open.values()
                if order.reduce_only
                and order.buy is buy
                and order.level is not None
                and order.instrument is market.instrument
            ]
            if not orders:
                continue
            orders.sort(key=lambda order: -order.price if order.buy else order.price)
            left = margin.closable(account, market.instrument, buy=buy)
            for order in orders:
                left -= order.remaining
                if left < 0:
                    self._finish(order, Status.CANCELED, Reason.REDUCE_ONLY)
