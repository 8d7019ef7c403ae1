"""What all FIX sessions share: who may log on, whose orders are whose, and the clock of sessions."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from emulator.engine.commands import CancelOrders, Command, PlaceOrder
from emulator.engine.events import Accepted, Amended, Ended, Event, Rejected
from emulator.engine.ids import IdSequence
from emulator.gateways import ordering
from emulator.gateways.access import Entrance
from emulator.gateways.fix import logon, wire
from emulator.gateways.fix.dictionary import Dictionary
from emulator.gateways.fix.library import Library
from emulator.gateways.fix.logon import Member
from emulator.gateways.fix.outbox import StateFolder
from emulator.gateways.fix.publisher import Publisher
from emulator.gateways.fix.reports import WRITERS, LiveOrder
from emulator.gateways.fix.services import Service
from emulator.gateways.fix.session import Outlet, Session
from emulator.gateways.venue import Venue

DAY_NS = 86_400 * 10**9
ROLLOVER_NS = 22 * 3_600 * 10**9
"""Time of day, UTC, at which all sequences begin anew."""
ROLLOVER_TAKES_NS = 30 * 10**9
"""How long nobody may log on then."""
IDLE_NS = 60 * 10**9
"""A market data session that has asked for nothing for so long is dropped; Kraken's time is not known."""
_log = logging.getLogger(__name__)


class Gateway:
    """Spot FIX, for all its sessions.

    ``members`` says who may log on, by SenderCompID.  ``displace`` lets a second logon take the place of the
    first one, which by default stays.  With a ``state_folder`` sessions go on where an earlier run left off;
    OSError when they cannot be kept there.
    """

    def __init__(
        self,
        venue: Venue,
        members: Mapping[str, Member],
        dictionary: Path,
        *,
        displace: bool = False,
        state_folder: Path | None = None,
    ) -> None:
        self.venue = venue
        self.started_ns = venue.clock.now_ns()
        self.state = None if state_folder is None else StateFolder(state_folder)
        self.library = Library(dictionary)
        self.dictionary = Dictionary(dictionary)
        self.orders: dict[str, LiveOrder] = {}
        """Open FIX orders of everybody, by OrderID."""
        self.sessions: dict[tuple[str, str], Session] = {}
        self.publisher = Publisher(venue)
        self._members = members
        venue.keys.fix = list({member.key.key: member.key for member in members.values()}.values())
        self.displace = displace
        self._told: Session | None = None
        """Who has had its reports of the batch of events that is being published."""
        self._all_told = False
        """Whether nobody else has any of it."""
        started = IdSequence("P", venue.seed ^ self.started_ns, "run").next()
        self._run = f"{started[:6]}{started[7]}"
        """What ids of reports begin with: another one after a restart."""
        self._reports = 0
        self.rollover_ns = _next_rollover(venue.clock.now_ns())
        """When all sequences begin anew next."""
        self._open_again_ns = 0
        venue.listen(self.hear)
        venue.clock.listen(self.tick)
        venue.on_reset(self.reset)

    # -- sessions ---------------------------------------------------------------------------------

    def log_on(
        self, service: Service, message: bytes, outlet: Outlet, entrance: Entrance, address: str
    ) -> Session | None:
        """Take the first message of a connection; return its session, or None when it is to end."""
        try:
            fields = wire.fields(message.decode())
        except (ValueError, UnicodeDecodeError):
            return None
        member = self._members.get(fields.get("49", ""))
        if fields.get("35") != "A" or fields.get("56") != service.target or not wire.sound(message):
            return None
        if fields.get("108", "").startswith("-"):  # which QuickFIX would answer before it hangs up
            return None
        if member is None or self.venue.clock.now_ns() < self._open_again_ns:
            _log.info("FIX logon of %.32r at %s refused: %s", fields.get("49"), service.target,
                      "unknown SenderCompID" if member is None else "session rollover")  # fmt: skip
            return None
        session = self._session(service, member)
        try:
            if session.outlet is not None and not self.displace:
                raise logon.LogonRefusedError("already logged on", closes_silently=True)
            logon.check(self.venue, service, member, fields, entrance, address)
        except logon.LogonRefusedError as refusal:
            _log.info("FIX logon of %s refused: %s", session, refusal)
            if not refusal.closes_silently:
                outlet.write(logon.refusal(service, member, session.core.next_number, fields, self.venue))
            return None
        if session.outlet is not None:
            self._displaced(session)
        return session if session.attach(outlet, message, fields) else None

    def _session(self, service: Service, member: Member) -> Session:
        key = (service.name, member.comp_id)
        session = self.sessions.get(key)
        if session is None:
            session = self.sessions[key] = Session(self, service, member.comp_id, member.account)
        return session

    def _displaced(self, session: Session) -> None:
        """Let a new connection take the place of the one that is there."""
        old = session.outlet
        assert old is not None  # noqa: S101 - the caller has looked
        session.log_out("displaced by another logon")
        session.detach()
        old.close()

    def tick(self) -> None:
        """Do what is due once a second."""
        now_ns = self.venue.clock.now_ns()
        if now_ns >= self.rollover_ns:
            self._roll_over(now_ns)
        for session in self.sessions.values():
            outlet = session.outlet
            if outlet is None:
                continue
            session.tick()
            if session.ended or self._idle(session, now_ns):
                outlet.close()

    @staticmethod
    def _idle(session: Session, now_ns: int) -> bool:
        return (
            not session.service.trading
            and not (session.subscriptions or session.requests or session.status_requests)
            and now_ns - max(session.logged_on_ns, session.asked_ns) > IDLE_NS
        )

    def _roll_over(self, now_ns: int) -> None:
        _log.info("FIX session rollover")
        self._open_again_ns = self.rollover_ns + ROLLOVER_TAKES_NS
        self.rollover_ns = _next_rollover(now_ns)
        for session in self.sessions.values():
            session.roll_over("session rollover")

    def reset(self) -> None:
        """Begin all sessions anew, as if nobody had ever logged on; who is connected is logged out."""
        self.rollover_ns, self._open_again_ns = _next_rollover(self.venue.clock.now_ns()), 0
        for member in self._members.values():
            member.key.reset()
        for session in self.sessions.values():
            session.forget()
        if self.state is not None:
            self.state.forget(but=self.sessions)

    def close(self) -> None:
        """End all sessions, in order as far as that can be said."""
        for session in self.sessions.values():
            session.close()
        self.library.close()
        if self.state is not None:
            self.state.close()
            self.state = None

    # -- orders -----------------------------------------------------------------------------------

    def place(self, session: Session, command: PlaceOrder, tif: str, allocation: str) -> None:
        """Place an order; its reports go out before anybody else hears of it.  VenueError when refused."""

        def reply(events: list[Event]) -> None:
            accepted = events[0]
            if type(accepted) is Accepted:
                cl_ord_id = command.cl_ord_id or ""
                live = LiveOrder(session, accepted.order, cl_ord_id, tif, allocation)
                self.orders[live.order.txid] = session.orders[cl_ord_id] = live
                self._answer(session, events)

        ordering.answer(self._execute(command, reply), self.venue.engine, command)

    def change(self, session: Session, command: Command, live: LiveOrder, request: str) -> None:
        """Cancel or amend an order for a request with this ClOrdID.  VenueError when refused."""

        def reply(events: list[Event]) -> None:
            if type(events[0]) is not Rejected:
                self._answer(session, events)

        live.request = request
        events = self._execute(command, reply)
        live.request = None
        ordering.answer(events, self.venue.engine, command)

    def _execute(self, command: Command, reply: Callable[[list[Event]], None]) -> list[Event]:
        events = self.venue.execute(command, reply)
        self._told = None
        return events

    def cancel(self, session: Session, command: CancelOrders) -> None:
        """Cancel several orders; their reports go out first.  VenueError when some cannot be cancelled."""
        events = self._execute(command, lambda events: self._answer(session, events))
        ordering.answer(events, self.venue.engine, command)

    def _answer(self, session: Session, events: Sequence[Event]) -> None:
        """Send the session its own reports."""
        self._all_told = True
        self._report(events, session, None)
        self._told = session
        if not session.more:
            session.flush()

    def hear(self, events: list[Event]) -> None:
        """Tell the owners of FIX orders what happened to them, whichever protocol caused it."""
        if self.orders and not self._all_told:
            for session in self._report(events, None, self._told):
                session.flush()
        self._all_told = False

    def _report(
        self, events: Sequence[Event], only: Session | None, told: Session | None
    ) -> dict[Session, None]:
        """Write reports for ``only`` one session, or for all but the one that was ``told``."""
        touched: dict[Session, None] = {}
        for event in events:
            write = WRITERS.get(type(event))
            if write is None:
                continue
            live = self.orders.get(event.order.txid)  # type: ignore[union-attr]  # every kind in it has one
            if live is None or live.session is told:
                continue
            if only is not None and live.session is not only:
                self._all_told = False
                continue
            session, before = live.session, live.cl_ord_id
            try:
                bodies = write(live, event, self.exec_id)
                if bodies:
                    session.post("8", *bodies)
            except Exception:  # a mistake of ours: this session ends, the others get their reports
                _log.exception("a report to %s failed", session)
                session.core.failed = session.outlet is not None
            if type(event) is Amended and live.cl_ord_id != before:
                session.orders[live.cl_ord_id] = session.orders.pop(before)
            elif type(event) is Ended:
                del self.orders[live.order.txid]
                session.orders.pop(live.cl_ord_id, None)
            touched[session] = None
        return touched

    def exec_id(self) -> str:
        """Return a new 17: ``XXXXXXX:XXXXXXXXXXXXX``."""
        self._reports += 1
        return f"{self._run}:{self._reports:013X}"


def _next_rollover(now_ns: int) -> int:
    day_ns = now_ns // DAY_NS * DAY_NS
    return day_ns + ROLLOVER_NS + (DAY_NS if now_ns >= day_ns + ROLLOVER_NS else 0)
