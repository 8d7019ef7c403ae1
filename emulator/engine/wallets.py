"""Funds that move without trading: deposits, withdrawals, transfers, earn allocations.

Sources: Kraken's REST pages on funding, subaccounts and earn (reference: spot REST 6, 6b and 7).  How long
things take is ours: short, and the same every time.
"""

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from emulator.engine import commands, events
from emulator.engine.events import Event, Reject
from emulator.engine.history import remember
from emulator.engine.ids import IdSequence
from emulator.engine.settlement import Settlement
from emulator.engine.timers import Timers

if TYPE_CHECKING:
    from emulator.engine.accounts import Account

INITIAL_NS = 10 * 10**9
"""How long a withdrawal stays as it was asked for: it can be cancelled."""
PENDING_NS = 20 * 10**9
"""How long a withdrawal is then on its way."""
ALLOCATION_NS = 2 * 10**9
"""How long it takes to put funds into a strategy."""
DAY_NS = 86_400 * 10**9
YEAR_DAYS = 365
_PPM = 1_000_000


class Movement:
    """One deposit or withdrawal.  Amounts are in units of the asset's decimals."""

    __slots__ = (
        "address",
        "amount",
        "asset",
        "canceled",
        "fee",
        "key",
        "method",
        "network",
        "refid",
        "status",
        "time_ns",
        "txid",
    )

    def __init__(self, refid: str, asset: str, amount: int, fee: int, time_ns: int) -> None:
        self.refid = refid
        self.asset = asset
        self.amount = amount
        """What arrives: without the fee."""
        self.fee = fee
        self.time_ns = time_ns
        self.method = ""
        self.network = ""
        self.key = ""
        self.address = ""
        self.txid = ""
        self.status = "Success"
        self.canceled = False


class Allocation:
    """What an account has in one earn strategy."""

    __slots__ = (
        "amount",
        "arriving",
        "asset",
        "created_ns",
        "leaving",
        "leaving_until_ns",
        "paid_ns",
        "pending",
        "rate_ppm",
        "rewarded",
        "strategy",
    )

    def __init__(self, strategy: str, asset: str, rate_ppm: int, now_ns: int) -> None:
        self.strategy = strategy
        self.asset = asset
        self.rate_ppm = rate_ppm
        """Yearly reward."""
        self.created_ns = now_ns
        self.amount = 0
        """What earns rewards."""
        self.arriving = 0
        self.leaving = 0
        self.leaving_until_ns = 0
        self.pending = ""
        """The operation under way: ``allocate``, ``deallocate`` or none."""
        self.rewarded = 0
        self.paid_ns = now_ns


class Wallets:
    """Moves funds in and out of accounts, at once or in steps; ``tell`` gets the events."""

    def __init__(
        self,
        seed: int,
        accounts: "dict[str, Account]",
        settlement: Settlement,
        timers: Timers,
        tell: Callable[[Event], None],
        now: Callable[[], int],
    ) -> None:
        self._accounts = accounts
        self._settlement = settlement
        self._timers = timers
        self._tell = tell
        self._now = now
        self._ids = {kind: IdSequence(kind, seed, f"funds {kind}") for kind in "ABT"}

    def _refid(self, kind: str) -> str:
        """Return the next reference: 7-6-6 characters; A for withdrawals, B for deposits, T for transfers."""
        text = self._ids[kind].next().replace("-", "")
        text += text[2:4]
        return f"{text[:7]}-{text[7:13]}-{text[13:]}"

    def adjust(self, account: "Account", asset: str, amount: int) -> None:
        """Make a balance ``amount``, by a ledger entry of the difference."""
        change = amount - account.balances.get(asset, 0)
        if change:
            self._post(account, self._refid("T"), "adjustment", asset, change, 0)

    # -- deposits and withdrawals -----------------------------------------------------------------

    def deposit(self, command: commands.Deposit) -> None:
        """Credit a deposit."""
        account, now_ns = self._accounts[command.account], self._now()
        movement = Movement(self._refid("B"), command.asset, command.amount, command.fee, now_ns)
        movement.method = command.method
        movement.address = command.address
        movement.txid = hashlib.sha256(movement.refid.encode()).hexdigest()
        remember(account.deposits, movement.refid, movement)
        amount = command.amount + command.fee
        self._post(account, movement.refid, "deposit", command.asset, amount, command.fee)
        self._tell(events.FundsMoved(account.name, movement.refid))

    def withdraw(self, command: commands.Withdraw) -> Reject | None:
        """Take a withdrawal off the balance and let it go its way."""
        account, now_ns = self._accounts[command.account], self._now()
        if command.amount + command.fee > account.available(command.asset):
            return Reject.INSUFFICIENT_FUNDS
        movement = Movement(self._refid("A"), command.asset, command.amount, command.fee, now_ns)
        movement.method, movement.network = command.method, command.network
        movement.key, movement.address = command.key, command.address
        movement.status = "Initial"
        remember(account.withdrawals, movement.refid, movement)
        self._post(account, movement.refid, "withdrawal", command.asset, -command.amount, command.fee)
        self._settlement.earn(command.asset, command.fee)
        self._timers.at(now_ns + INITIAL_NS, self._sent, movement)
        self._tell(events.FundsMoved(account.name, movement.refid))
        return None

    def cancel_withdrawal(self, command: commands.CancelWithdrawal) -> Reject | None:
        """Give a withdrawal back that has not been sent."""
        account = self._accounts[command.account]
        movement = account.withdrawals.get(command.refid)
        if movement is None or movement.asset != command.asset:
            return Reject.UNKNOWN_REFERENCE
        if movement.status != "Initial":
            return Reject.TOO_LATE
        movement.status, movement.canceled = "Failure", True
        self._settlement.earn(movement.asset, -movement.fee)
        self._post(account, movement.refid, "withdrawal", movement.asset, movement.amount, -movement.fee)
        self._tell(events.FundsMoved(account.name, movement.refid))
        return None

    def _sent(self, movement: Movement) -> None:
        if movement.status == "Initial":
            movement.status = "Pending"
            movement.txid = hashlib.sha256(movement.refid.encode()).hexdigest()
            self._timers.at(self._now() + PENDING_NS, self._arrived, movement)

    @staticmethod
    def _arrived(movement: Movement) -> None:
        movement.status = "Success"

    # -- transfers --------------------------------------------------------------------------------

    def to_futures(self, command: commands.TransferToFutures) -> Reject | None:
        """Move funds to the account's futures wallet."""
        account = self._accounts[command.account]
        if command.amount > account.available(command.asset):
            return Reject.INSUFFICIENT_FUNDS
        refid = self._refid("T")
        account.futures[command.asset] = account.futures.get(command.asset, 0) + command.amount
        self._post(account, refid, "transfer", command.asset, -command.amount, 0, "spottofutures")
        self._tell(events.FundsMoved(account.name, refid))
        return None

    def transfer(self, command: commands.TransferToAccount) -> Reject | None:
        """Move funds between a master account and its subaccounts."""
        source, target = self._accounts[command.source], self._accounts[command.target]
        if command.amount > source.available(command.asset):
            return Reject.INSUFFICIENT_FUNDS
        refid = self._refid("T")
        self._post(source, refid, "transfer", command.asset, -command.amount, 0)
        self._post(target, refid, "transfer", command.asset, command.amount, 0)
        self._tell(events.FundsMoved(command.account, refid))
        return None

    # -- earn -------------------------------------------------------------------------------------

    def allocate(self, command: commands.Allocate) -> Reject | None:
        """Put funds into a strategy, or take them out; it is done a moment later."""
        account, now_ns = self._accounts[command.account], self._now()
        allocation = account.earn.get(command.strategy)
        if allocation is None:
            allocation = Allocation(command.strategy, command.asset, command.rate_ppm, now_ns)
        if allocation.pending:
            return Reject.EARN_BUSY
        if command.amount > 0:
            if command.amount > account.available(command.asset):
                return Reject.INSUFFICIENT_FUNDS
            refid = self._refid("T")
            self._post(account, refid, "transfer", command.asset, -command.amount, 0, "spottostaking")
            allocation.arriving, allocation.pending = command.amount, "allocate"
        else:
            if -command.amount > allocation.amount:
                return Reject.INSUFFICIENT_FUNDS
            allocation.amount += command.amount
            allocation.leaving += -command.amount
            allocation.pending = "deallocate"
        account.earn[command.strategy] = allocation
        self._timers.at(
            now_ns + ALLOCATION_NS, self._allocated, (account, allocation, command.unbonding_days)
        )
        self._tell(events.FundsMoved(account.name, command.strategy))
        return None

    def _allocated(self, subject: "tuple[Account, Allocation, int]") -> None:
        account, allocation, unbonding_days = subject
        first = not allocation.amount
        done, allocation.pending = allocation.pending, ""
        if done == "allocate":
            allocation.amount += allocation.arriving
            allocation.arriving = 0
            if first:
                allocation.paid_ns = self._now()
                self._timers.at(self._now() + 7 * DAY_NS, self._pay, (account, allocation))
        elif unbonding_days:
            allocation.leaving_until_ns = self._now() + unbonding_days * DAY_NS
            self._timers.at(allocation.leaving_until_ns, self._released, (account, allocation))
        else:
            self._released((account, allocation))

    def _released(self, subject: "tuple[Account, Allocation]") -> None:
        account, allocation = subject
        if allocation.leaving and allocation.leaving_until_ns <= self._now():
            amount, allocation.leaving = allocation.leaving, 0
            refid = self._refid("T")
            self._post(account, refid, "transfer", allocation.asset, amount, 0, "spotfromstaking")

    def _pay(self, subject: "tuple[Account, Allocation]") -> None:
        """Pay a week's reward."""
        account, allocation = subject
        if not allocation.amount:
            return
        reward = allocation.amount * allocation.rate_ppm * 7 // (YEAR_DAYS * _PPM)
        allocation.rewarded += reward
        allocation.paid_ns = self._now()
        if reward:
            self._settlement.earn(allocation.asset, -reward)
            self._post(account, self._refid("T"), "staking", allocation.asset, reward, 0)
        self._timers.at(self._now() + 7 * DAY_NS, self._pay, subject)

    def _post(
        self, account: "Account", refid: str, type_: str, asset: str, amount: int, fee: int, subtype: str = ""
    ) -> None:
        entry = self._settlement.post(account, refid, type_, asset, amount, fee, self._now(), subtype)
        self._tell(events.Posted(account.name, entry))
