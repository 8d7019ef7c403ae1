"""What a fill does to its two accounts: balances, positions, fees, ledger entries, trade records."""

from collections.abc import Callable

from emulator.engine import events
from emulator.engine.accounts import Account
from emulator.engine.events import Event
from emulator.engine.history import remember
from emulator.engine.ids import IdSequence
from emulator.engine.instruments import Instrument, rescale_ceil, rescale_floor
from emulator.engine.ledger import LedgerEntry, TradeRecord
from emulator.engine.margin import ROLLOVER_NS, Position, margin_fee, opposite
from emulator.engine.orders import Order
from emulator.engine.valuation import Valuation

SPOT = "tradespot"
"""Subtype of what a spot trade writes in the ledger."""


class _Margin:
    """What a margin fill closed and opened."""

    __slots__ = ("closed", "opened", "position", "profit")

    def __init__(self) -> None:
        self.closed = 0
        self.opened = 0
        self.profit = 0
        self.position: Position | None = None


class Settlement:
    """Books fills, deposits and what positions cost, and tells of them.

    ``funds_changed`` is told of accounts with positions whose balances have changed.
    """

    def __init__(self, seed: int, valuation: Valuation, funds_changed: Callable[[Account], None]) -> None:
        self.fees: dict[str, int] = {}
        """What the venue has earned, by asset."""
        self.pool: dict[str, int] = {}
        """What the margin pool has gained and lent, by asset."""
        self._valuation = valuation
        self._funds_changed = funds_changed
        self._trades = IdSequence("T", seed, "trade")
        self._ledger = IdSequence("L", seed, "ledger")

    def fill(
        self, order: Order, trade_id: int, price: int, quantity: int, cost: int, now_ns: int, *, maker: bool
    ) -> list[Event]:
        """Book one side of a fill; return what to tell."""
        account, pair, fee_asset = order.account, order.instrument, order.fee_asset
        base, quote = pair.base_amount(quantity), pair.quote_amount(cost)
        if account.house:
            order.filled += quantity
            sign = 1 if order.buy else -1
            account.move(pair.base.id, sign * base)
            account.move(pair.quote.id, -sign * quote)
            return []
        maker_ppm, taker_ppm = pair.fees.rates_ppm(account.volume_usd(now_ns))
        rate_ppm = maker_ppm if maker else taker_ppm
        proceeds = base if order.buy else quote
        fee, fee_amount = order.charge(cost, quantity, rate_ppm, 1 << 127 if order.leverage else proceeds)
        exec_id = self._trades.next()
        margin = None
        if order.leverage:
            margin = self._trade_position(order, exec_id, price, quantity, fee, now_ns)
            self._lend(pair, base, quote, buy=order.buy)
            ledgers = self._post_margin(order, margin, exec_id, price, fee_amount, now_ns)
        else:
            self.earn(fee_asset, fee_amount)
            ledgers = self._post_trade(order, exec_id, base, quote, fee_amount, now_ns)
            if maker:
                account.hold(order, order.hold_needed(order.price * order.remaining))
        account.add_volume(now_ns, self._valuation.usd_cents(pair.quote.id, quote))
        trade = TradeRecord(
            exec_id,
            order.txid,
            pair.id,
            trade_id,
            now_ns,
            order.buy,
            "liquidation market" if order.liquidation else order.type.word,
            maker,
            price,
            quantity,
            cost,
            fee,
            fee_asset,
            order.filled,
            order.cost,
            order.fee,
            tuple([entry.id for entry in ledgers]),
            *_margin_fields(order, margin, price),
        )
        order.trades.append(exec_id)
        remember(account.trades, exec_id, trade)
        return [events.Filled(order, trade), *[events.Posted(account.name, entry) for entry in ledgers]]

    # -- positions --------------------------------------------------------------------------------

    def roll_over(self, position: Position, now_ns: int) -> Event:
        """Charge the fee of the next period; return what to tell."""
        position.rollover_ns += ROLLOVER_NS
        pair = position.instrument
        fee = margin_fee(pair, position.open_cost, position.rate_ppm)
        position.fee += fee
        amount = rescale_floor(fee, pair.cost_decimals, pair.quote.decimals)
        self.earn(pair.quote.id, amount)
        entry = self.post(position.account, position.id, "rollover", pair.quote.id, 0, amount, now_ns)
        return events.Posted(position.account.name, entry)

    def settle(self, position: Position, quantity: int, now_ns: int) -> list[Event]:
        """Pay back what a position borrowed and receive what it bought; return what to tell."""
        pair, account = position.instrument, position.account
        cost = position.open_cost
        position.closed += quantity
        cost -= position.open_cost
        position.closed_cost += cost
        base = pair.base_amount(quantity)
        sign = 1 if position.buy else -1
        quote = pair.quote_amount(cost) if not position.buy else _ceil_quote(pair, cost)
        self._move_pool(pair.base.id, -sign * base)
        self._move_pool(pair.quote.id, sign * quote)
        if not position.open:
            account.position_closed(position)
        refid = self._trades.next()
        entries = (
            self.post(account, refid, "settled", pair.quote.id, -sign * quote, 0, now_ns),
            self.post(account, refid, "settled", pair.base.id, sign * base, 0, now_ns),
        )
        return [events.Posted(account.name, entry) for entry in entries]

    def _trade_position(
        self, order: Order, exec_id: str, price: int, quantity: int, fee: int, now_ns: int
    ) -> _Margin:
        """Close opposite positions, oldest first, and open one with the rest: it has the fill's id."""
        account, result = order.account, _Margin()
        for position in list(opposite(account, order.instrument, buy=order.buy)):
            part = min(position.open, quantity - result.closed)
            if not part:
                break
            result.profit += position.take(part, price)
            result.closed += part
            position.closed_fee += fee * part // quantity
            position.trades.append(exec_id)
            if not position.open:
                account.position_closed(position)
        result.opened = quantity - result.closed
        if result.opened:
            opened = account.positions[exec_id] = Position(exec_id, order, now_ns)
            opened.qty = result.opened
            opened.cost = result.opened * price
            opened.fee = fee * result.opened // quantity
            opened.trades.append(exec_id)
            result.position = opened
        return result

    def _post_margin(
        self, order: Order, margin: _Margin, exec_id: str, price: int, fee: int, now_ns: int
    ) -> tuple[LedgerEntry, ...]:
        """Write the ledger entry of a margin fill: profit or loss, and all fees, in the quote asset."""
        pair = order.instrument
        if margin.position is not None:
            opening = margin_fee(pair, margin.opened * price, margin.position.rate_ppm)
            margin.position.fee += opening
            fee += rescale_floor(opening, pair.cost_decimals, pair.quote.decimals)
        profit = pair.quote_amount(margin.profit)
        self.earn(pair.quote.id, fee)
        self._move_pool(pair.quote.id, -profit)
        return (self.post(order.account, exec_id, "margin", pair.quote.id, profit, fee, now_ns),)

    def _lend(self, pair: Instrument, base: int, quote: int, *, buy: bool) -> None:
        """Let the pool take part in a fill in the place of the account."""
        self._move_pool(pair.base.id, base if buy else -base)
        self._move_pool(pair.quote.id, -quote if buy else quote)

    def _move_pool(self, asset: str, change: int) -> None:
        self.pool[asset] = self.pool.get(asset, 0) + change

    def earn(self, asset: str, amount: int) -> None:
        """Count what the venue has taken."""
        self.fees[asset] = self.fees.get(asset, 0) + amount

    # -- the ledger -------------------------------------------------------------------------------

    def _post_trade(
        self, order: Order, exec_id: str, base: int, quote: int, fee: int, now_ns: int
    ) -> tuple[LedgerEntry, LedgerEntry]:
        """Write the two ledger entries of a fill, the debit first."""
        pair, account = order.instrument, order.account
        base_fee, quote_fee = (fee, 0) if order.fee_in_base else (0, fee)
        if order.buy:
            debit = self.post(account, exec_id, "trade", pair.quote.id, -quote, quote_fee, now_ns, SPOT)
            return debit, self.post(account, exec_id, "trade", pair.base.id, base, base_fee, now_ns, SPOT)
        debit = self.post(account, exec_id, "trade", pair.base.id, -base, base_fee, now_ns, SPOT)
        return debit, self.post(account, exec_id, "trade", pair.quote.id, quote, quote_fee, now_ns, SPOT)

    def post(
        self,
        account: Account,
        refid: str,
        type_: str,
        asset: str,
        amount: int,
        fee: int,
        now_ns: int,
        subtype: str = "",
    ) -> LedgerEntry:
        """Change a balance by ``amount - fee`` and write it in the account's ledger."""
        balance = account.move(asset, amount - fee)
        if account.positions:
            self._funds_changed(account)
        entry = LedgerEntry(self._ledger.next(), refid, now_ns, type_, asset, amount, fee, balance, subtype)
        remember(account.ledger, entry.id, entry)
        return entry


def _margin_fields(order: Order, margin: _Margin | None, price: int) -> tuple[int, int, str | None, bool]:
    """Return initial margin, leverage, position and whether it closed, for the trade's record."""
    if margin is None:
        return 0, 0, None, False
    position = None if margin.position is None else margin.position.id
    return margin.opened * price // order.leverage, order.leverage, position, bool(margin.closed)


def _ceil_quote(pair: Instrument, cost: int) -> int:
    return rescale_ceil(cost, pair.exact_decimals, pair.quote.decimals)
