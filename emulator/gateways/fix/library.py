"""QuickFIX, the only place that imports it: sequence numbers, heartbeats, gaps, and validation by dictionary.

QuickFIX is used without its sockets and threads.  An acceptor that is never started makes its sessions all
the same; a session takes a whole message by ``next`` and hands over what it wants to say in ``toAdmin``.  So
everything happens inside one call on the event loop, and what goes on the wire is ours: session-level
messages as QuickFIX writes them, application messages as the codec does, numbered by QuickFIX's store.
QuickFIX stores no messages (``PersistMessages=N``): a gap that it would fill whole is handed over as a range
to send again, so that memory is bounded.

Any build of QuickFIX 1.16 will do; nothing depends on how it was compiled (TLS is not its business here).
"""

import atexit
import ctypes
import itertools
import logging
import signal
from pathlib import Path
from typing import Any, Protocol

from emulator.gateways.fix import wire

# Importing QuickFIX sets SIGINT to its default behind Python's back. It is put back there too, as Python's
# own signal.signal is for the main thread only, and an emulator can be started on any.
_handler = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int)(("PyOS_getsig", ctypes.pythonapi))
_set_handler = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)(
    ("PyOS_setsig", ctypes.pythonapi)
)
_interrupt = _handler(signal.SIGINT)
import quickfix  # noqa: E402 - what stands around it belongs to it

_set_handler(signal.SIGINT, _interrupt)

_SETTINGS = {
    "ConnectionType": "acceptor",
    "SocketAcceptPort": "1",  # never opened
    "NonStopSession": "Y",  # the rollover follows the venue's clock, not the machine's
    "StartTime": "00:00:00",
    "EndTime": "00:00:00",
    "UseDataDictionary": "Y",
    "CheckLatency": "N",
    "PersistMessages": "N",
    "SocketNodelay": "Y",
}
_NOW = quickfix.UtcTimeStamp()
"""QuickFIX asks whether a session is open at this time, which one that never stops always is."""
_numbers = itertools.count()
"""QuickFIX knows its sessions by name in the whole process: each gets a name of its own."""
_log = logging.getLogger(__name__)


class GarbledError(Exception):
    """A message that cannot be read: FIX has it ignored."""


class Handler(Protocol):
    """Whom a session's traffic is for."""

    def application(self, fields: dict[str, str], message: str) -> None:
        """Take an application message, valid and in its turn."""

    def say(self, message: str) -> None:
        """Send a session-level message of QuickFIX."""

    def resend(self, first: int, last: int) -> None:
        """Send messages again, or gap-fill them."""

    def restart(self) -> None:
        """Forget what was sent: numbers begin at 1 again."""


class Core:
    """One session: a pair of CompIDs with its two sequence numbers."""

    __slots__ = (
        "_ahead",
        "_callbacks",
        "_fed",
        "_handler",
        "_next",
        "_number",
        "_resending",
        "_session",
        "failed",
        "logged_on",
        "moved",
    )

    def __init__(self, callbacks: "_Callbacks", session: Any, handler: Handler) -> None:
        self._callbacks = callbacks
        self._session = session
        self._handler = handler
        self._next = session.next
        self._fed: str | None = None
        self._resending: int | None = None
        """Where what a ResendRequest asks for begins, while it is being answered."""
        self._number = 1
        self._ahead = False
        """Whether ``_number`` is ahead of QuickFIX's, which is told before it says or hears anything."""
        self.logged_on = False
        """Whether both sides have logged on."""
        self.moved = False
        """Whether the last message was in its turn, or was answered."""
        self.failed = False
        """Whether something went wrong on our side; the connection is to end then."""

    # -- what comes in ----------------------------------------------------------------------------

    def receive(self, message: str) -> None:
        """Take one whole message; GarbledError when it is none.  Callbacks come before this returns."""
        self._enter()
        self._fed = message
        self.moved = False
        try:
            self._next(message, _NOW, False)
        except (quickfix.FIXException, TypeError) as error:
            raise GarbledError(str(error)) from None
        finally:
            self._fed = None
            self._resending = None

    def tick(self) -> None:
        """Send the heartbeat or test request that is due; give up on a peer that is silent for too long."""
        self._enter()
        self._next(_NOW)

    def logout(self, reason: str) -> None:
        """Send Logout; the session ends when it is answered, or when nobody answers."""
        self._enter()
        self._session.logout(reason)
        self._next(_NOW)
        self._session.logon()  # open again for the next one

    def drop(self) -> None:
        """End the session at once: its connection is gone."""
        self._enter()
        self._session.disconnect()

    def _enter(self) -> None:
        """Let QuickFIX work for this session."""
        self._callbacks.core = self
        if self._ahead:
            self._session.setNextSenderMsgSeqNum(self._number)
            self._ahead = False

    # -- state ------------------------------------------------------------------------------------

    @property
    def expected(self) -> int:
        """The number that the peer's next message must have."""
        return int(self._session.getExpectedTargetNum())

    @property
    def next_number(self) -> int:
        """The number of our next message."""
        return self._number

    def take_number(self) -> int:
        """Return the number for an application message that is sent now."""
        number = self._number
        self._number = number + 1
        self._ahead = True
        return number

    def set_numbers(self, expected: int, next_number: int) -> None:
        """Go on with these sequence numbers."""
        self._session.setNextTargetMsgSeqNum(expected)
        self._session.setNextSenderMsgSeqNum(next_number)
        self._number, self._ahead = next_number, False

    @property
    def fed(self) -> str | None:
        """The message that is being taken in."""
        return self._fed

    # -- what QuickFIX calls ----------------------------------------------------------------------

    def from_application(self, message: Any) -> None:
        """Hand a message over; one that waited for a gap to close comes from QuickFIX's queue."""
        self.moved = True
        text = self._fed
        if text is not None:
            fields = wire.fields(text)
            if int(fields["34"]) == self._session.getExpectedTargetNum():
                self._handler.application(fields, text)
                return
        text = message.toString()
        self._handler.application(wire.fields(text), text)

    def from_admin(self, message: Any) -> None:
        """Remember that a gap fill that follows is the answer to a resend request; see numbers restart."""
        self.moved = True
        kind = message.getHeader().getField(35)
        if kind == "2":
            self._resending = int(message.getField(7))
        elif kind == "A" and message.isSetField(141) and message.getField(141) == "Y":
            self._handler.restart()

    def to_admin(self, message: Any) -> None:
        """Send a session-level message, or what was asked for instead of a gap fill of all of it."""
        self.moved = True
        header = message.getHeader()
        number = int(header.getField(34))
        if self._resending is not None and header.getField(35) == "4":
            # QuickFIX takes 0 for none, and a number for the gap fill: that is taken back.
            first, self._resending, self._ahead = max(self._resending, 1), None, True
            self._handler.resend(first, int(message.getField(36)) - 1)
            return
        self._number = number + 1
        self._handler.say(message.toString())


class _Callbacks(quickfix.Application):  # type: ignore[misc]  # QuickFIX has no types
    """What QuickFIX calls, for the session that is at work.

    No exception may leave these: one that does ends the process.
    """

    def __init__(self) -> None:
        super().__init__()
        self.core: Core

    def onCreate(self, _: Any) -> None:  # noqa: N802 - QuickFIX's names, here and below
        """Nothing to do."""

    def onLogon(self, _: Any) -> None:  # noqa: N802
        """Remember it."""
        self.core.logged_on = True

    def onLogout(self, _: Any) -> None:  # noqa: N802
        """Remember it."""
        self.core.logged_on = False

    def toApp(self, _message: Any, _: Any) -> None:  # noqa: N802
        """Nothing to do: application messages are not sent by QuickFIX."""

    def toAdmin(self, message: Any, _: Any) -> None:  # noqa: N802
        """Take a session-level message to send."""
        try:
            self.core.to_admin(message)
        except Exception:
            self._failed()

    def fromAdmin(self, message: Any, _: Any) -> None:  # noqa: N802
        """Take a session-level message from the peer."""
        try:
            self.core.from_admin(message)
        except Exception:
            self._failed()

    def fromApp(self, message: Any, _: Any) -> None:  # noqa: N802
        """Take an application message from the peer."""
        try:
            self.core.from_application(message)
        except Exception:
            self._failed()

    def _failed(self) -> None:
        _log.exception("a FIX message failed")
        self.core.failed = True


class Library:
    """Makes sessions.  ``close`` it before the interpreter ends, or QuickFIX's own clean-up crashes."""

    def __init__(self, dictionary: Path) -> None:
        self.dictionary = dictionary
        self._callbacks = _Callbacks()
        self._stores = quickfix.MemoryStoreFactory()
        self._acceptors: list[Any] = []
        self._cores: list[Core] = []
        atexit.register(self.close)

    def session(self, target: str, sender: str, handler: Handler) -> Core:
        """Return a new session of ours (``target``, as clients call us) with a client (``sender``)."""
        own = quickfix.Dictionary()
        for name, value in {**_SETTINGS, "DataDictionary": str(self.dictionary)}.items():
            own.setString(name, value)
        settings = quickfix.SessionSettings()
        id_ = quickfix.SessionID("FIX.4.4", target, sender, str(next(_numbers)))
        settings.set(id_, own)
        self._acceptors.append(quickfix.SocketAcceptor(self._callbacks, self._stores, settings))
        core = Core(self._callbacks, quickfix.Session.lookupSession(id_), handler)
        self._cores.append(core)
        return core

    def close(self) -> None:
        """End all sessions.  Idempotent."""
        atexit.unregister(self.close)
        for core in self._cores:
            core._session = core._next = None
        self._cores.clear()
        self._acceptors.clear()
