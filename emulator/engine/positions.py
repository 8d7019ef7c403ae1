"""What happens to margin positions on the trading floor: settled, rolled over, liquidated."""

from emulator.engine import commands, events, margin
from emulator.engine.accounts import Account
from emulator.engine.events import Reject
from emulator.engine.floor import Floor
from emulator.engine.instruments import Side
from emulator.engine.margin import Position
from emulator.engine.market import Market
from emulator.engine.orders import Order, OrderType, Reason, SelfTrade, Status


class Positions(Floor):
    """The floor, with positions looked after."""

    def _position_changed(self, order: Order) -> None:
        """Look after the position that a fill has opened, and the orders that were to close another one."""
        account = order.account
        self._shrunk[account] = None
        position = account.positions.get(order.trades[-1])
        if position is not None:
            self._timers.at(position.rollover_ns, self._roll_over, position)
        if account.positions and not account.margin_check_queued:
            account.margin_check_queued = True
            self._timers.at(self.now_ns + margin.CHECK_NS, self._check_margin, account)

    def _settle(self, command: commands.PlaceOrder, market: Market, account: Account) -> None:
        """Settle positions, oldest first, with the account's own funds: an order that is done at once."""
        pair, buy = market.instrument, command.side is Side.BUY
        order = self._new_order(command, market, account)
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
        """Close positions, the oldest first, while the account's margin level is too low."""
        account.margin_check_queued = False
        seen = (self.settlement.entries, self._trades)
        if account.positions and account.margin_seen != seen:
            # When all is well, nothing can change until somebody trades or pays.
            account.margin_seen = seen if self._made_safe(account) else (0, 0)
        if account.positions:
            account.margin_check_queued = True
            self._timers.at(self.now_ns + margin.CHECK_NS, self._check_margin, account)

    def _made_safe(self, account: Account) -> bool:
        """Liquidate positions until the margin level is high enough; False when nobody takes them."""
        while account.positions:
            level = self.balance(account).level
            if level is None or level >= margin.LIQUIDATION_PERCENT:
                return True
            position = next(iter(account.positions.values()))
            market, open_before = self.markets[position.instrument.id], position.open
            if not self.status(market).matches:
                return False
            self._liquidate(position, market)
            if position.open == open_before:
                return False
        return True

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
        order = self._new_order(command, market, position.account)
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
