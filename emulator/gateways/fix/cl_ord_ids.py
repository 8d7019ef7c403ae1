"""ClOrdID (11): its two forms, and what makes one new (reference: FIX section 2)."""

import re
from collections import deque
from typing import Any

from emulator.clock import Clock
from emulator.gateways.fix.outbox import IdFile
from emulator.gateways.fix.refusals import INCORRECT_VALUE, SessionRejectError

LONGEST_INTEGER = 18
WINDOW_NS = 120 * 10**9
"""How far the time in a UUID may lie from the venue's."""
MOST_REMEMBERED = 10_000
"""UUIDs of a CompID that are remembered; older ones are usually out of the window by then."""
_UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_UNIT_NS = 10_000
"""The first 48 bits of a UUID count these since the epoch."""
_FORMS = "{!r:.64}: an integer of up to {} digits or a UUID that carries its time is meant"
_OUT_OF_DATE = "ClOrdID invalid value (timestamp is out of date)"


class ClOrdIds:
    """What a CompID has used: integers ever increase, UUIDs carry their time and come once.

    UUIDs are kept in a ``file``, if there is one.
    """

    __slots__ = ("_file", "_order", "_used", "highest")

    def __init__(self, file: IdFile | None = None) -> None:
        self.highest = 0
        self._file = file
        kept = [] if file is None else file.read()[-MOST_REMEMBERED:]
        self._used: set[str] = set(kept)
        self._order: deque[str] = deque(kept)

    def take(self, value: str, clock: Clock) -> None:
        """Use an id; SessionRejectError when it is none or not new."""
        if len(value) <= LONGEST_INTEGER and value.isascii() and value.isdigit():
            number = int(value)
            if number <= self.highest:
                raise _refused(
                    _OUT_OF_DATE if number else "ClOrdID invalid value",
                    "{} is not above {}, the highest of this SenderCompID; a Logon with 5030=Y forgets it",
                    number,
                    self.highest,
                )
            self.highest = number
            return
        if not _UUID.fullmatch(value):
            raise _refused("ClOrdID invalid value", _FORMS, value, LONGEST_INTEGER)
        value = value.lower()
        made_ns = int(value[:8] + value[9:13], 16) * _UNIT_NS
        if not clock.near(made_ns, WINDOW_NS):
            off_s = (made_ns - clock.now_ns()) / 1e9
            raise _refused(
                _OUT_OF_DATE,
                "its first 48 bits are {:+.0f} s from the venue's time, {} s at the most are meant",
                off_s,
                WINDOW_NS // 10**9,
            )
        if value in self._used:
            raise _refused("ClOrdID invalid value (not unique)", "this SenderCompID has used it before")
        self._used.add(value)
        self._order.append(value)
        if len(self._order) > MOST_REMEMBERED:
            self._used.discard(self._order.popleft())
        if self._file is not None:
            self._file.add(value, self._order)

    def reset(self) -> None:
        """Begin again (5030=Y)."""
        self.highest = 0
        self._used.clear()
        self._order.clear()
        if self._file is not None:
            self._file.clear()


def _refused(text: str, why: str, *about: Any) -> SessionRejectError:
    return SessionRejectError(11, INCORRECT_VALUE, text, why, *about)
