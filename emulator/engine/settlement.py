"""What a fill does to its two accounts: balances, fees, ledger entries, trade records."""

from emulator.engine import events
from emulator.engine.accounts import Account, remember
from emulator.engine.events import Event
from emulator.engine.ids import IdSequence
from emulator.engine.ledger import LedgerEntry, TradeRecord
from emulator.engine.orders import Order
from emulator.engine.valuation import Valuation


class Settlement:
    """Books fills and deposits, and tells of them."""

    def __init__(self, seed: int, valuation: Valuation) -> None:
        self.fees: dict[str, int] = {}
        """What the venue has earned, by asset."""
        self._valuation = valuation
        self._trades = IdSequence("T", seed, "trade")
        self._ledger = IdSequence("L", seed, "ledger")

    def fill(
        self, order: Order, trade_id: int, price: int, quantity: int, now_ns: int, *, maker: bool
    ) -> list[Event]:
        """Book one side of a fill; return what to tell."""
        account, pair = order.account, order.instrument
        base, quote = pair.base_amount(quantity), pair.quote_amount(price * quantity)
        if account.house:
            order.filled += quantity
            sign = 1 if order.buy else -1
            account.move(pair.base.id, sign * base)
            account.move(pair.quote.id, -sign * quote)
            return []
        maker_ppm, taker_ppm = pair.fees.rates_ppm(account.volume_usd(now_ns))
        rate_ppm = maker_ppm if maker else taker_ppm
        fee, fee_amount = order.charge(price, quantity, rate_ppm, base if order.buy else quote)
        self.fees[order.fee_asset] = self.fees.get(order.fee_asset, 0) + fee_amount
        exec_id = self._trades.next()
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
            order.type.value,
            maker,
            price,
            quantity,
            fee,
            order.fee_asset,
            order.filled,
            order.cost,
            order.fee,
            (ledgers[0].id, ledgers[1].id),
        )
        order.trades.append(exec_id)
        remember(account.trades, exec_id, trade)
        return [events.Filled(order, trade), *(events.Posted(account.name, entry) for entry in ledgers)]

    def deposit(self, account: Account, asset: str, amount: int, now_ns: int) -> Event:
        """Book a deposit; return what to tell."""
        entry = self.post(account, self._trades.next(), "deposit", asset, amount, 0, now_ns)
        return events.Posted(account.name, entry)

    def _post_trade(
        self, order: Order, exec_id: str, base: int, quote: int, fee: int, now_ns: int
    ) -> tuple[LedgerEntry, LedgerEntry]:
        """Write the two ledger entries of a fill, the debit first."""
        pair, account = order.instrument, order.account
        base_fee, quote_fee = (fee, 0) if order.fee_in_base else (0, fee)
        if order.buy:
            debit = self.post(account, exec_id, "trade", pair.quote.id, -quote, quote_fee, now_ns)
            return debit, self.post(account, exec_id, "trade", pair.base.id, base, base_fee, now_ns)
        debit = self.post(account, exec_id, "trade", pair.base.id, -base, base_fee, now_ns)
        return debit, self.post(account, exec_id, "trade", pair.quote.id, quote, quote_fee, now_ns)

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
        entry = LedgerEntry(self._ledger.next(), refid, now_ns, type_, asset, amount, fee, balance, subtype)
        remember(account.ledger, entry.id, entry)
        return entry
