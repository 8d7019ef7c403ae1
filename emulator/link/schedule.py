"""What a path does over time: schedules (TOML) and traces (CSV), read into moments of change.

Nothing here reads a clock: a timeline says at which second what is to be done, and `live` does it.
"""

from __future__ import annotations

import csv
import io
import math
import re
import tomllib
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, NamedTuple

from msgspec import Meta, Struct

from emulator.link.tiers import Microseconds, Share
from emulator.reading import WrongValue, read

RAMP_STEP_S = 0.05
THIN_S = 0.005
"""Rows of a trace that are closer than this become one."""
MOST_ROWS = 1_000_000
LARGEST_BYTES = 64 << 20
_MOST_REPEATS = 100_000
_MOST_MOMENTS = 1_000_000
_STEP = re.compile(r"steps\[(\d+)\][.:]? *")
"""Steps are told by their numbers, from 1 on."""
_FOR_EVER = 10_000  # what has no end ends after so many turns

Seconds = Annotated[float, Meta(ge=0, le=10_000_000)]
Span = Annotated[float, Meta(gt=0, le=10_000_000)]
Changes = dict[str, Any]


class ScheduleError(ValueError):
    """A schedule or a trace that cannot be played. One line: the step or line, the field, what is wrong."""


class Moment(NamedTuple):
    """One change: `share` of the way (0 to 1] from what was when the step began to `changes`.

    `begins` says that step number `step` begins here; `undo` goes back to what was when it did.
    """

    at_s: float
    step: int
    changes: Changes
    share: float = 1.0
    begins: bool = True
    undo: bool = False


class Step(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One step: `set` from `at_s` on; slowly over `over_s`; for `for_s` only; `times` in all, `every_s`."""

    at_s: Seconds
    set: dict[str, Any]
    over_s: Span | None = None
    for_s: Span | None = None
    every_s: Span | None = None
    times: Annotated[int, Meta(ge=1, le=_MOST_REPEATS)] | None = None

    def parts(self) -> int:
        """Give in how many changes it is made."""
        return max(1, round(self.over_s / RAMP_STEP_S)) if self.over_s else 1


class Schedule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Steps, in the order of their times; all of it again every `repeat_s`."""

    title: str = ""
    steps: Annotated[tuple[Step, ...], Meta(min_length=1, max_length=10_000)]
    repeat_s: Span | None = None

    def moments(self) -> Iterator[Moment]:
        """Give the changes in the order of their times; without end when it repeats."""
        began_s = 0.0
        while True:
            for moment in self._once():
                yield moment._replace(at_s=began_s + moment.at_s)
            if self.repeat_s is None:
                return
            began_s += self.repeat_s

    def count(self) -> int:
        """Give how many changes there are in one turn."""
        return sum(self._turns(number) * step.parts() for number, step in enumerate(self.steps))

    def _once(self) -> Iterator[Moment]:
        moments = [moment for number, step in enumerate(self.steps) for moment in self._of(number, step)]
        return iter(sorted(moments, key=lambda moment: moment.at_s))

    def _of(self, number: int, step: Step) -> Iterator[Moment]:
        for turn in range(self._turns(number)):
            at_s = step.at_s + turn * (step.every_s or 0)
            parts = step.parts()
            for part in range(1, parts + 1):
                later_s = (part - 1) * (step.over_s or 0) / parts
                yield Moment(at_s + later_s, number, step.set, part / parts, begins=part == 1)
            if step.for_s:
                yield Moment(at_s + step.for_s, number, step.set, begins=False, undo=True)

    def _turns(self, number: int) -> int:
        """Give how often a step happens: as often as said, or until the next one or the repetition."""
        step = self.steps[number]
        if not step.every_s:
            return 1
        if step.times:
            return step.times
        end_s = self.steps[number + 1].at_s if number + 1 < len(self.steps) else self.repeat_s
        return _FOR_EVER if end_s is None else max(1, round((end_s - step.at_s) / step.every_s))


def read_schedule(text: str) -> Schedule:
    """Read a schedule; ScheduleError."""
    try:
        schedule = read(tomllib.loads(text), Schedule)
    except tomllib.TOMLDecodeError as error:
        raise ScheduleError(f"the schedule is no TOML: {error}") from None
    except WrongValue as error:
        raise ScheduleError(_STEP.sub(lambda found: f"step {int(found[1]) + 1}: ", str(error))) from None
    before_s = 0.0
    for number, step in enumerate(schedule.steps, 1):
        checks = (
            (not step.set, "set is empty"),
            (step.at_s < before_s, "at_s is before the step above"),
            (step.times is not None and not step.every_s, "times needs every_s"),
            (
                bool(step.for_s and step.over_s and step.for_s < step.over_s),
                "for_s is shorter than over_s",
            ),
            (
                bool(step.every_s and step.every_s < max(step.for_s or 0, step.over_s or 0)),
                "every_s is shorter than for_s or over_s",
            ),
            (bool(schedule.repeat_s and step.at_s >= schedule.repeat_s), "at_s is not before repeat_s"),
        )
        for wrong, what in checks:
            if wrong:
                raise ScheduleError(f"step {number}: {what}")
        before_s = step.at_s
    if schedule.count() > _MOST_MOMENTS:
        raise ScheduleError(f"more than {_MOST_MOMENTS} changes: make ramps shorter or repetitions fewer")
    return schedule


class Row(NamedTuple):
    """One line of a trace: from when, what both ways take and lose."""

    at_s: float
    to_venue_us: float
    to_client_us: float
    loss: float


class Trace(NamedTuple):
    """A recording of a line: what it says is all the delay there is, without jitter on top."""

    rows: Sequence[Row]
    loop: bool = False

    def moments(self) -> Iterator[Moment]:
        """Give the changes in the order of their times; without end when it loops."""
        rows, began_s = self.rows, 0.0
        # A loop goes on as if the last row had lasted as long as the others do on average.
        length_s = rows[-1].at_s * len(rows) / max(1, len(rows) - 1) or 1.0
        while True:
            for row in rows:
                still = {"p50_us": 0, "p99_us": 0, "p999_us": 0, "loss": row.loss}
                there = {"one_way_us": row.to_venue_us, **still}
                back = {"one_way_us": row.to_client_us, **still}
                yield Moment(began_s + row.at_s, 0, {"to_venue": there, "to_client": back})
            if not self.loop:
                return
            began_s += length_s


def read_trace(text: str, *, loop: bool = False) -> Trace:
    """Read a trace: a header of `time_s`, `one_way_us` or `to_venue_us` and `to_client_us`, maybe `loss`.

    Times may begin anywhere, the first row is the start. ScheduleError names the line.
    """
    lines = ((number, line) for number, line in enumerate(io.StringIO(text), 1) if _says_something(line))
    header = [name.strip() for name in next(lines, (0, ""))[1].split(",")]
    ways = ("one_way_us", "one_way_us") if "one_way_us" in header else ("to_venue_us", "to_client_us")
    unknown = set(header) - {"time_s", "loss", *ways}
    if missing := {"time_s", *ways} - set(header):
        raise ScheduleError(f"line 1: the header has no {', '.join(sorted(missing))}")
    if unknown:
        raise ScheduleError(f"line 1: unknown column {min(unknown)!r}")
    rows: list[Row] = []
    first_s = None
    for number, line in lines:
        if number > MOST_ROWS:
            raise ScheduleError(f"more than {MOST_ROWS} lines")
        cells = dict(zip(header, next(csv.reader([line])), strict=False))
        try:
            at_s = read(cells["time_s"].strip(), float, "time_s", strict=False)
            loss = read(cells.get("loss", "").strip() or 0.0, Share, "loss", strict=False)
            there_us, back_us = (read(cells[way].strip(), Microseconds, way, strict=False) for way in ways)
        except KeyError as error:
            raise ScheduleError(f"line {number}: no {error.args[0]}") from None
        except ValueError as error:
            raise ScheduleError(f"line {number}: {error}") from None
        if not math.isfinite(at_s):
            raise ScheduleError(f"line {number}: time_s is not a number")
        first_s = at_s if first_s is None else first_s
        if rows and at_s - first_s < rows[-1].at_s:
            raise ScheduleError(f"line {number}: time_s goes back")
        if rows and at_s - first_s - rows[-1].at_s < THIN_S:
            loss = max(loss, rows[-1].loss)
            rows[-1] = rows[-1]._replace(to_venue_us=there_us, to_client_us=back_us, loss=loss)
        else:
            rows.append(Row(at_s - first_s, there_us, back_us, loss))
    if not rows:
        raise ScheduleError("the trace has no rows")
    return Trace(rows, loop)


def _says_something(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")
