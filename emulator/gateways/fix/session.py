"""One client's session on one FIX service: its numbers, its orders, its subscriptions.  No sockets here.

A session is a pair of CompIDs.  It outlives connections: reports that come while nobody is connected are
numbered and kept, and sent again when they are asked for.
"""

import logging
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from emulator.engine.commands import CancelOrders
from emulator.gateways.errors import RefusedError, VenueError, explained
from emulator.gateways.fix import past, refusals, reports, wire
from emulator.gateways.fix.cl_ord_ids import ClOrdIds
from emulator.gateways.fix.library import GarbledError
from emulator.gateways.fix.market_data import MARKET_DATA
from emulator.gateways.fix.outbox import Journal, Outbox, StateFolder
from emulator.gateways.fix.refusals import BusinessRejectError, SessionRejectError
from emulator.gateways.fix.reports import LiveOrder
from emulator.gateways.fix.services import Service
from emulator.gateways.fix.trading import TRADING
from emulator.words import counted

if TYPE_CHECKING:
    from emulator.gateways.fix.gateway import Gateway
    from emulator.gateways.fix.publisher import Subscription

MOST_IDLE_MESSAGES = 1_000
"""Messages that do not bring the session forward (out of turn, duplicates); then it is cut off."""
GOODBYE_NS = 2 * 10**9
"""How long a client may take to answer a Logout."""
_LOGOUT, _SEQUENCE_RESET = b"\x0135=5\x01", b"\x0135=4\x01"
_NUMBER = re.compile(rb"\x0134=([0-9]{1,18})\x01")
_REJECT, _GOODBYE = "\x0135=3\x01", "\x0135=5\x01"
_HEAD_BYTES = 48
_REFERENCES = (("11", "ClOrdID"), ("262", "MDReqID"), ("320", "SecurityReqID"), ("335", "TradSesReqID"))
"""What a client calls its request, by kinds of it."""
_log = logging.getLogger(__name__)


class Outlet(Protocol):
    """The connection under a session."""

    def write(self, data: bytes) -> None:
        """Send whole messages at once."""

    def close(self) -> None:
        """End the connection when all that was written is out."""


class Session:
    """A pair of CompIDs on one service."""

    def __init__(self, gateway: "Gateway", service: Service, comp_id: str, account: str) -> None:
        self.gateway = gateway
        self.venue = gateway.venue
        self.service = service
        self.comp_id = comp_id
        self.name = (service.name, comp_id)
        self.account = gateway.venue.engine.accounts[account]
        self.core = gateway.library.session(service.target, comp_id, self)
        self.outlet: Outlet | None = None
        self.logons = 0
        """How often it has logged on: "this session" in Kraken's words is the time since the last one."""
        self.keep_orders = False
        """8674=1: orders stay when the connection is lost."""
        self.more = False
        """Whether further messages of the same read follow, so that answers can wait for theirs."""
        self.cl_ord_ids = ClOrdIds()
        self.orders: dict[str, LiveOrder] = {}
        """Open orders by their last ClOrdID."""
        self.subscriptions: dict[str, Subscription] = {}
        self.unfinished: Iterator[None] | None = None
        """What is left of a long answer; until then nothing further is heard."""
        """Market data by MDReqID."""
        self.requests: dict[str, str] = {}
        """Standing requests for lists and states, by id: what they are for (a pair, or nothing for all)."""
        self.status_requests: dict[str, None] = {}
        self.asked_ns = 0
        """When it last asked for market data, lists or states."""
        self.logged_on_ns = 0
        self._handlers = TRADING if service.trading else MARKET_DATA
        self._clean = False
        self._idle = self._gap_ends = self._goodbye_ns = 0
        self._out: list[bytes] = []
        self._ours, self._theirs = f"\x0149={service.target}\x0152=", f"\x0156={comp_id}\x01"
        self._outbox = Outbox()
        self._journal: Journal | None = None
        self._written: tuple[int, ...] = ()
        self._gone: dict[str, past.Report] = {}
        """Orders that ended with an earlier run and whose client has not been told, as they stood then."""
        self._run_begins = 0
        """The number of this run's first message; smaller ones are of earlier runs."""
        if gateway.state is not None:
            self._go_on(gateway.state)

    # -- connections ------------------------------------------------------------------------------

    def attach(self, outlet: Outlet, logon: bytes, fields: Mapping[str, str]) -> bool:
        """Log on over a new connection; tell whether that went well."""
        self.outlet = outlet
        self.more = self._clean = False
        self._idle = self._gap_ends = self._goodbye_ns = 0
        self.receive(logon)
        if not self.core.logged_on:
            self.outlet = None
            return False
        if fields.get("5030") == "Y":
            self.cl_ord_ids.reset()
            self._save()
        self.keep_orders = fields.get("8674") == "1"
        self.logons += 1
        self.logged_on_ns = self.venue.clock.now_ns()
        if self._gone:
            _log.info("FIX %s: %s ended with the run before", self, counted(len(self._gone), "order"))
            self._tell_ends(self._gone.values())
            self._gone.clear()
            self.flush()
        return True

    def receive(self, message: bytes) -> None:
        """Take one whole message, and answer it."""
        core = self.core
        try:  # without suppress(), which takes its time on an order's road
            core.receive(message.decode())
        except (GarbledError, UnicodeDecodeError) as error:
            _log.debug("FIX %s: garbled message ignored: %s", self, error)
        if not core.moved or self._idle:
            self._count_idle(message)
        if not self.more or not core.logged_on:
            self._clean = not core.logged_on and _LOGOUT in message[:_HEAD_BYTES]
            self.flush()

    def _count_idle(self, message: bytes) -> None:
        """Count messages that were ignored or wait for their turn; begin anew when none waits any more."""
        if self.core.moved:
            if _SEQUENCE_RESET in message[:_HEAD_BYTES]:
                self._gap_ends = sys.maxsize  # what it has skipped QuickFIX keeps: no beginning anew
            elif self.core.expected > self._gap_ends:
                self._idle = 0
            return
        number = _NUMBER.search(message)
        if number is not None:
            self._gap_ends = max(self._gap_ends, int(number[1]))
        self._idle += 1
        if self._idle > MOST_IDLE_MESSAGES:
            _log.warning("FIX %s: cut off, too many messages out of sequence", self)
            self.core.drop()

    @property
    def ended(self) -> bool:
        """Whether the connection has no purpose any more."""
        return self.core.failed or not self.core.logged_on

    def detach(self) -> None:
        """The connection is gone: subscriptions end, and orders unless they are to stay."""
        self.outlet = None
        self._out.clear()
        self.core.failed = False
        if self.core.logged_on:
            self.core.drop()
        self.gateway.publisher.leave_all(self)
        if self.orders and not self._clean and not self.keep_orders:
            mine = [live for live in self.orders.values() if live.logon == self.logons]
            _log.info("FIX %s: disconnected, %s to be cancelled", self, counted(len(mine), "order"))
            with suppress(VenueError):  # what cannot be cancelled now stays
                self.cancel(mine)
        self._save()

    def tick(self) -> None:
        """Do what is due once a second: heartbeats, test requests, giving up."""
        self.core.tick()
        if self._goodbye_ns and self.venue.clock.now_ns() - self._goodbye_ns > GOODBYE_NS:
            self.core.drop()  # QuickFIX does so by itself, but not when there are no heartbeats
        self.flush()

    def roll_over(self, reason: str) -> None:
        """Begin both sequences anew; who is connected is logged out."""
        outlet = self.outlet
        if outlet is not None:
            self.core.logout(reason)
            self._clean = True
            self.flush()
            self.core.drop()
            outlet.close()
        self.restart()
        self.core.set_numbers(1, 1)
        self._save()

    def log_out(self, reason: str) -> None:
        """Say goodbye; the connection ends when it is answered or nobody answers."""
        self.core.logout(reason)
        self._clean = True
        self.flush()

    # -- sending ----------------------------------------------------------------------------------

    def post(self, msg_type: str, *bodies: str, keep: bool = True) -> None:
        """Number messages and have them sent with the next ``flush``; ``keep`` them for resends."""
        stamp = wire.timestamp(self.venue.clock.now_ns())
        who_and_when = f"{self._ours}{stamp}{self._theirs}"
        keep = keep and self.service.trading
        for body in bodies:
            number = self.core.take_number()
            message = wire.encode(f"35={msg_type}\x0134={number}{who_and_when}{body}")
            if keep:
                self._outbox.add(number, message)
                if self._journal is not None:
                    self._journal.append(message, self._kept)
            if self.outlet is not None:
                self._out.append(message)

    def flush(self) -> None:
        """Write what is to be sent; what is on the wire has been written down before."""
        if self._journal is not None:
            self._save()
        if self._out:
            out, self._out = self._out, []
            if self.outlet is not None:
                self.outlet.write(out[0] if len(out) == 1 else b"".join(out))

    def say(self, message: str) -> None:
        """Send a session-level message of QuickFIX, in Kraken's words."""
        if _REJECT in message[:_HEAD_BYTES]:
            message = self.gateway.dictionary.reworded(message)
            if _log.isEnabledFor(logging.DEBUG):
                self._log_reject(message)
        elif _GOODBYE in message[:_HEAD_BYTES]:
            self._goodbye_ns = self.venue.clock.now_ns()
        self._out.append(message.encode())

    def _log_reject(self, reject: str) -> None:
        """Tell of a Reject by the dictionary: what came in the field, and what may be there."""
        fed, about = wire.fields(self.core.fed or ""), wire.fields(reject)
        kind, tag = about.get("372") or fed.get("35", ""), about.get("371", "")
        why = self.gateway.dictionary.meant(tag, fed.get(tag))
        self.log_refusal({**fed, "35": kind}, RefusedError(about.get("58", ""), why))

    def resend(self, first: int, last: int) -> None:
        """Send application messages again that are still there; all others are gap-filled."""
        stamp = wire.timestamp(self.venue.clock.now_ns())
        number = first
        for place, message in self._outbox.between(first, last):
            if place < self._run_begins and not past.still_true(message):
                continue
            if place > number:
                self._fill_gap(number, place, stamp)
            self._out.append(wire.resent(message, stamp))
            number = place + 1
        if number <= last:
            self._fill_gap(number, last + 1, stamp)
        if first < self._run_begins:
            sent = self._outbox.between(1, self.core.next_number)
            self._tell_ends(past.unheard_ends(sent, first, min(last, self._run_begins - 1)))
        self.flush()  # one small request can ask for much: a batch of them is not gathered

    def _fill_gap(self, number: int, next_number: int, stamp: str) -> None:
        head = f"35=4\x0134={number}\x0143=Y{self._ours}{stamp}{self._theirs}"
        self._out.append(wire.encode(f"{head}122={stamp}\x0136={next_number}\x01123=Y\x01"))

    def _tell_ends(self, orders: Iterable[past.Report]) -> None:
        """Tell of orders that they ended with the run that had them."""
        stamp = wire.timestamp(self.gateway.started_ns)
        self.post("8", *[past.end(order, self.gateway.exec_id(), stamp) for order in orders])

    # -- application messages ---------------------------------------------------------------------

    def application(self, fields: dict[str, str], message: str) -> None:
        """Carry a message out, or refuse it."""
        handler = self._handlers.get(fields["35"])
        try:
            if handler is None:
                raise BusinessRejectError(
                    refusals.UNSUPPORTED_TYPE,
                    "Unsupported message type",
                    _served,
                    self.service,
                    self._handlers,
                )
            handler(self, fields, message)
        except SessionRejectError as refusal:
            self.log_refusal(fields, refusal)
            self.post(
                "3",
                f"45={fields['34']}\x0158={refusal}\x01371={refusal.tag}\x01372={fields['35']}\x01"
                f"373={refusal.reason}\x01",
                keep=False,
            )
        except BusinessRejectError as refusal:
            self.log_refusal(fields, refusal)
            self.refuse(fields, refusal.reason, str(refusal))
        except VenueError as refusal:
            self.log_refusal(fields, refusal)
            self.refuse(fields, refusals.business_reason(str(refusal)), str(refusal))

    def begin(self, answer: Iterator[None]) -> None:
        """Give the first piece of a long answer; the connection asks for the others when it is its turn."""
        if next(answer, self) is None:
            self.unfinished = answer

    def go_on(self) -> None:
        """Give the next piece of an unfinished answer."""
        if self.unfinished is not None and next(self.unfinished, self) is self:
            self.unfinished = None
        self.flush()

    def log_refusal(self, fields: Mapping[str, str], refusal: RefusedError) -> None:
        """Tell whoever reads the log which message is refused, and why."""
        if _log.isEnabledFor(logging.DEBUG):
            names = [f" {label} {fields[tag]!r:.64}" for tag, label in _REFERENCES if tag in fields]
            kind = self.gateway.dictionary.message(fields.get("35", ""))
            _log.debug("FIX %s: %.64s%s refused: %s", self, kind, "".join(names[:1]), explained(refusal))

    def refuse(self, fields: Mapping[str, str], reason: int, text: str) -> None:
        """Send a BusinessMessageReject; 45 is 0, as in every sample of Kraken's."""
        reference = f"379={fields['11']}\x01" if "11" in fields else ""
        self.post("j", f"45=0\x0158={text}\x01372={fields['35']}\x01{reference}380={reason}\x01")

    def cancel(self, orders: list[LiveOrder]) -> None:
        """Cancel orders of ours; each is reported by itself.  VenueError when some cannot be."""
        if orders:
            txids = tuple(live.order.txid for live in orders)
            self.gateway.cancel(self, CancelOrders(account=self.account.name, txids=txids))

    # -- what outlasts a run ----------------------------------------------------------------------

    def _go_on(self, state: StateFolder) -> None:
        """Go on where an earlier run has left off; its orders are gone."""
        self._journal = state.journal(self.name)
        self.cl_ord_ids = ClOrdIds(self._journal.ids)
        numbers, sent = self._journal.read()
        self._gone = past.open_orders(sent)
        whole = len(numbers) == 4
        if whole:
            self.cl_ord_ids.highest = numbers[2]
        if not whole or numbers[3] < self.gateway.rollover_ns:  # there has been one meanwhile
            self.restart()
            return
        self.core.set_numbers(*numbers[:2])
        self._run_begins = self.core.next_number
        self._written = numbers
        for number, message in sent:
            if number:
                self._outbox.add(number, message)

    def _save(self) -> None:
        if self._journal is None:
            return
        core, gateway = self.core, self.gateway
        numbers = (core.expected, core.next_number, self.cl_ord_ids.highest, gateway.rollover_ns)
        if numbers != self._written:
            self._journal.write_numbers(*numbers)
            self._written = numbers

    def restart(self) -> None:
        """Forget what was sent: numbers begin at 1 again."""
        self._outbox.clear()
        self._run_begins = 0
        if self._journal is not None:
            self._journal.rewrite(self._kept())

    def _kept(self) -> list[bytes]:
        """Return what outlasts a run besides numbers: where open orders stand, and what was sent."""
        now_ns, who = self.venue.clock.now_ns(), f"35=8\x0134=0{self._ours}\x01"
        open_now = [
            wire.encode(who + reports.status(live, "", live.cl_ord_id, now_ns))
            for live in self.orders.values()
        ]
        return [*map(past.standing, self._gone.values()), *open_now, *self._outbox.all()]

    def forget(self) -> None:
        """Be as if nobody had ever logged on, with a client that is there logged out."""
        self.cl_ord_ids.reset()
        self._gone.clear()
        self.roll_over("the venue was reset")

    def close(self) -> None:
        """Say goodbye, and close what is open besides the connection."""
        if self.outlet is not None:
            self.log_out("the venue stops")
            self.outlet = None
        self._save()
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def __str__(self) -> str:
        return f"{self.comp_id}→{self.service.target}"


def _served(service: Service, handlers: Mapping[str, object]) -> str:
    """Tell which messages there are on a service, besides those of the session."""
    return f"{service.target} takes {', '.join(handlers)}"
