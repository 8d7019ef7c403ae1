"""Maintenance to come and incidents, as SystemStatus, MaintenanceSchedule and the status frames tell them.

Shapes: docs.kraken.com, get-system-status and get-maintenance-schedule; a v2 frame of 2026-10-03 with an
event in it.  They say why a state is there or comes; the status itself is the engine's.
"""

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

import msgspec

from emulator.gateways.numbers import parse_rfc3339, rfc3339
from emulator.reading import WrongValue

SECOND_NS = 10**9
TOLD_BEFORE_NS = 72 * 3600 * SECOND_NS
"""How long before its start an event comes to be told; MaintenanceSchedule tells it from the beginning."""
CANCEL_BEFORE_NS = 300 * SECOND_NS
"""How long before the start orders should be cancelled, unless an event says otherwise (as recorded)."""
LONGEST_S = 366 * 86_400
MOST = 20
"""Most events, and most incidents, at once."""

_Service = Literal[
    "spot_ws",
    "spot_rest",
    "spot_fix",
    "spot_trading",
    "futures_ws",
    "futures_rest",
    "futures_fix",
    "futures_trading",
    "all",
]
_Submission = Literal["allowed", "discouraged", "blocked"]
_Action = Literal["continue", "reduce_activity", "cancel_open_orders", "stop_new_orders"]
_Phase = Literal["announced", "reminder_24h", "approaching_30m", "imminent_5m", "final_warning_30s"]
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Seconds = Annotated[float, msgspec.Meta(gt=0, le=LONGEST_S)]

_PHASES: tuple[tuple[int, _Phase, _Submission, _Action], ...] = (
    (30, "final_warning_30s", "blocked", "stop_new_orders"),
    (300, "imminent_5m", "discouraged", "cancel_open_orders"),
    (1_800, "approaching_30m", "allowed", "reduce_activity"),
    (86_400, "reminder_24h", "allowed", "continue"),
)
"""Seconds before the start from which on an event has a phase, and what clients should do then."""
_FAR: tuple[_Phase, _Submission, _Action] = ("announced", "allowed", "continue")


class Maintenance(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One event as it is announced over the control API, in the words of the wire.

    It starts at a time, or so many seconds from now.
    """

    title: _Text = "Scheduled maintenance"
    expected_start_utc: str | None = None
    starts_in_s: _Seconds | None = None
    expected_end_utc: str | None = None
    lasts_s: _Seconds = 3_600
    cancel_before_utc: str | None = None
    affected_services: tuple[_Service, ...] = ("spot_trading", "spot_fix", "spot_ws")
    order_submission: _Submission | None = None
    """Else by its phase, like the next one."""
    recommended_action: _Action | None = None
    source_url: _Text = "https://status.kraken.com"


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is expected to happen during an incident."""

    applies_to: tuple[_Service, ...]
    type: _Text
    expected_at_utc: str


class Emergency(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One incident as it is told over the control API, in the words of the wire."""

    title: _Text
    incident_status: Literal["investigating", "identified", "monitoring", "resolved"] = "investigating"
    impact: Literal["none", "minor", "major", "critical"] = "major"
    affected_services: tuple[_Service, ...] = ("spot_trading",)
    started_at_utc: str | None = None
    next_steps: tuple[Step, ...] = ()
    source_url: _Text = "https://status.kraken.com"


class _Event(msgspec.Struct, frozen=True):
    """An event with its number and its times."""

    number: int
    said: Maintenance
    start_ns: int
    end_ns: int
    cancel_ns: int

    def row(self, now_ns: int, decimals: int) -> dict[str, Any]:
        left_s = (self.start_ns - now_ns) // SECOND_NS
        phase, submission, action = next((row[1:] for row in _PHASES if left_s <= row[0]), _FAR)
        return {
            "event_id": self.number,
            "title": self.said.title,
            "expected_start_utc": rfc3339(self.start_ns, decimals),
            "expected_end_utc": rfc3339(self.end_ns, decimals),
            "time_to_start_s": left_s,
            "phase": phase,
            "affected_services": self.said.affected_services,
            "order_submission": self.said.order_submission or submission,
            "recommended_action": self.said.recommended_action or action,
            "cancel_before_utc": rfc3339(self.cancel_ns, decimals),
            "source_url": self.said.source_url,
        }


class _Incident(msgspec.Struct, frozen=True):
    """An incident with its number and its times."""

    number: int
    said: Emergency
    start_ns: int
    steps_ns: tuple[int, ...]

    def row(self, decimals: int) -> dict[str, Any]:
        return {
            "event_id": self.number,
            "title": self.said.title,
            "incident_status": self.said.incident_status,
            "impact": self.said.impact,
            "affected_services": self.said.affected_services,
            "started_at_utc": rfc3339(self.start_ns, decimals),
            "next_steps": [
                {
                    "applies_to": step.applies_to,
                    "type": step.type,
                    "expected_at_utc": rfc3339(at_ns, decimals),
                }
                for step, at_ns in zip(self.said.next_steps, self.steps_ns, strict=True)
            ],
            "source_url": self.said.source_url,
        }


class Advisories:
    """What is announced now, and who is told when that changes."""

    def __init__(self) -> None:
        self._events: tuple[_Event, ...] = ()
        self._incidents: tuple[_Incident, ...] = ()
        self._number = 0
        self._listeners: list[Callable[[], None]] = []

    def listen(self, listener: Callable[[], None]) -> None:
        """Let ``listener`` be called whenever something is announced or taken back."""
        self._listeners.append(listener)

    def set(
        self,
        now_ns: int,
        maintenance: tuple[Maintenance, ...] | None = None,
        emergency: tuple[Emergency, ...] | None = None,
    ) -> None:
        """Announce these instead of those before; None leaves them.  WrongValue says what is wrong."""
        events, incidents = self._events, self._incidents
        if maintenance is not None:
            events = tuple(
                self._event(one, now_ns, f"upcoming_maintenance[{place}]")
                for place, one in enumerate(maintenance)
            )
        if emergency is not None:
            incidents = tuple(
                self._incident(one, now_ns, f"emergency[{place}]") for place, one in enumerate(emergency)
            )
        for at, many in (("upcoming_maintenance", events), ("emergency", incidents)):
            if len(many) > MOST:
                raise WrongValue(at, f"{len(many)} at once, {MOST} at most are meant")
        self._events, self._incidents = events, incidents
        for listener in self._listeners:
            listener()

    def clear(self) -> None:
        """Take everything back; those who listen are told when there was something."""
        if self._events or self._incidents:
            self.set(0, (), ())

    def schedule(self, now_ns: int, decimals: int = 0) -> list[dict[str, Any]]:
        """Return all events that have not begun; ``decimals`` are those of their times."""
        return [event.row(now_ns, decimals) for event in self._to_come(now_ns)]

    def fields(self, now_ns: int, decimals: int = 0) -> dict[str, list[dict[str, Any]]]:
        """Return what a status has at its end."""
        if not self._events and not self._incidents:
            return {"upcoming_maintenance": [], "emergency": []}
        soon_ns = now_ns + TOLD_BEFORE_NS
        return {
            "upcoming_maintenance": [
                event.row(now_ns, decimals) for event in self._to_come(now_ns) if event.start_ns <= soon_ns
            ],
            "emergency": [
                incident.row(decimals)
                for incident in self._incidents
                if incident.said.incident_status != "resolved"
            ],
        }

    def _to_come(self, now_ns: int) -> Iterator[_Event]:
        return (event for event in self._events if event.start_ns > now_ns)

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _event(self, said: Maintenance, now_ns: int, at: str) -> _Event:
        if (said.expected_start_utc is None) is (said.starts_in_s is None):
            raise WrongValue(at, "either expected_start_utc or starts_in_s is meant")
        start_ns = now_ns + int((said.starts_in_s or 0) * SECOND_NS)
        start_ns = _time(said.expected_start_utc, start_ns, f"{at}.expected_start_utc")
        end_ns = start_ns + int(said.lasts_s * SECOND_NS)
        end_ns = _time(said.expected_end_utc, end_ns, f"{at}.expected_end_utc")
        if end_ns <= start_ns:
            raise WrongValue.of(f"{at}.expected_end_utc", said.expected_end_utc, "it ends before it starts")
        cancel_ns = start_ns - CANCEL_BEFORE_NS
        cancel_ns = _time(said.cancel_before_utc, cancel_ns, f"{at}.cancel_before_utc")
        return _Event(self._next(), said, start_ns, end_ns, cancel_ns)

    def _incident(self, said: Emergency, now_ns: int, at: str) -> _Incident:
        steps = tuple(
            _time(step.expected_at_utc, now_ns, f"{at}.next_steps[{place}].expected_at_utc")
            for place, step in enumerate(said.next_steps)
        )
        start_ns = _time(said.started_at_utc, now_ns, f"{at}.started_at_utc")
        return _Incident(self._next(), said, start_ns, steps)


def _time(value: str | None, otherwise_ns: int, at: str) -> int:
    if value is None:
        return otherwise_ns
    try:
        return parse_rfc3339(value)
    except ValueError:
        raise WrongValue.of(at, value, "a time is meant, as in 2026-11-02T10:00:00Z") from None
