"""Changing links while clients are connected: single changes, failures, schedules and traces."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec.structs import asdict

from emulator.link.listener import Link
from emulator.link.schedule import Moment, Schedule, Trace
from emulator.link.shape import Shape, Ways
from emulator.link.tiers import Microseconds, Tier
from emulator.reading import WrongValue, read
from emulator.words import unknown

Key = tuple[str, str]
_FIELDS = frozenset(Shape.__struct_fields__) - {"floor_us", "extra_us"}
_RAMPED = frozenset({"one_way_us", "p50_us", "p99_us", "p999_us", "loss"})
_DIRECTIONS = ("to_venue", "to_client")


class ChangeError(ValueError):
    """A change that cannot be made. One line: what, and why not."""


class Path(NamedTuple):
    """One path of one tier."""

    tier: str
    name: str


class Live:
    """The paths of a link, and what is done to them. They go back to what they do when this is made.

    `beside` are links to the same tiers that follow: listeners at this machine's own address.
    """

    def __init__(
        self,
        link: Link,
        tiers: Sequence[Tier],
        beside: Sequence[Link] = (),
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._link = link
        self._beside = tuple(beside)
        self._now_s = now_s
        self._standing = {
            Path(tier.name, path.name): link.ways(tier.name, path.name)
            for tier in tiers
            for path in tier.paths
        }
        self._failed: dict[Path, Ways] = {}
        self._playing: dict[Path, tuple[str, asyncio.Task[None]]] = {}

    def paths(self, tier: str | None = None, path: str | None = None) -> list[Path]:
        """Give the paths that are meant: all, a tier's, or one; ChangeError when there is none."""
        found = [p for p in self._standing if tier in (None, p.tier) and path in (None, p.name)]
        if not found:
            known = [f"{p.tier}/{p.name}" for p in self._standing]
            raise ChangeError(unknown("path", f"{tier}/{path}" if path else f"{tier}", known))
        return found

    def show(self, path: Path) -> dict[str, Any]:
        """Give what a path does now, as plain values."""
        now = self._link.ways(*path)
        way = {name: asdict(getattr(now, name)) for name in _DIRECTIONS}
        return {
            "tier": path.tier,
            "path": path.name,
            "up": not now.cut,
            "rtt_us": round(now.rtt_us, 1),
            "standing_rtt_us": round(self._standing[path].rtt_us, 1),
            "changed": now != self._standing[path],
            "playing": self._playing[path][0] if path in self._playing else None,
            **way,
        }

    async def set(self, paths: Sequence[Path], changes: Mapping[str, Any]) -> None:
        """Change paths, all or none of them when a change makes no sense. Ends what is playing there.

        With `down` they fail or are restored.
        """
        down, others = changes.get("down"), {name: changes[name] for name in changes if name != "down"}
        if down not in (None, True, False):
            raise ChangeError(str(WrongValue.of("down", down, "true or false is meant")))
        changed = {path: with_changes(self._link.ways(*path), others) for path in paths}
        for path, ways in changed.items():
            await self._stop(path)
            if others:
                await self._put(path, ways)
        if down is not None:
            await (self.fail if down else self.restore)(paths)

    async def fail(self, paths: Sequence[Path]) -> None:
        """Cut paths: packets vanish, or on link stream connections are reset, until they are restored."""
        for path in paths:
            if path not in self._failed:
                before = self._link.ways(*path)
                await self._put(path, before.changed(loss=1.0))
                self._failed[path] = before

    async def restore(self, paths: Sequence[Path]) -> None:
        """Let failed paths do what they did before."""
        for path in paths:
            if path in self._failed:
                await self._put(path, self._failed.pop(path))

    async def reset(self, paths: Sequence[Path]) -> None:
        """Let paths do what they did at the start; ends what is playing, and failures."""
        for path in paths:
            await self._stop(path)
            await self._put(path, self._standing[path])

    async def reset_all(self) -> None:
        """The same for every path that was changed; links that cannot be changed have none."""
        for path, standing in self._standing.items():
            await self._stop(path)
            if self._link.ways(*path) != standing:
                await self._put(path, standing)

    async def play(self, paths: Sequence[Path], what: Schedule | Trace, name: str) -> None:
        """Play a schedule or a trace on paths from now on, instead of what is playing there.

        Its changes are tried first: ChangeError or LinkError before anything is done.
        """
        for path in paths:
            self._try(path, what)
            await self._put(path, self._link.ways(*path))  # what cannot be changed says so now
        for path in paths:
            await self._stop(path)
            self._playing[path] = name, asyncio.create_task(self._play(path, what))

    async def stop(self, paths: Sequence[Path]) -> None:
        """End what is playing; paths stay as they are at that moment."""
        for path in paths:
            await self._stop(path)

    async def close(self) -> None:
        """End everything that is playing."""
        await self.stop(list(self._standing))

    def _try(self, path: Path, what: Schedule | Trace) -> None:
        ways = self._link.ways(*path)
        steps = (step.set for step in what.steps) if isinstance(what, Schedule) else ()
        for number, changes in enumerate(steps, 1):
            try:
                with_changes(ways, changes)
            except ChangeError as error:
                raise ChangeError(f"step {number}: {error}") from None

    async def _play(self, path: Path, what: Schedule | Trace) -> None:
        began_s, before_trace = self._now_s(), self._link.ways(*path)
        befores: dict[int, Ways] = {}
        try:
            for moment in what.moments():
                wait_s = began_s + moment.at_s - self._now_s()
                if wait_s > 0:
                    await asyncio.sleep(wait_s)
                await self._put(path, self._at(path, moment, befores))
            if isinstance(what, Trace):
                await self._put(path, before_trace)
        finally:
            if self._playing.get(path, ("", None))[1] is asyncio.current_task():
                del self._playing[path]

    def _at(self, path: Path, moment: Moment, befores: dict[int, Ways]) -> Ways:
        """Give what a path does from a moment on; `befores` keeps what it did when each step began."""
        if moment.undo:
            return befores.pop(moment.step)
        if moment.begins:
            befores[moment.step] = self._link.ways(*path)
        before = befores[moment.step]
        target = with_changes(before, moment.changes)
        if moment.share < 1:
            return Ways(*(_between(a, b, moment.share) for a, b in zip(before, target, strict=True)))
        return target

    async def _put(self, path: Path, ways: Ways) -> None:
        await self._link.change(*path, ways)
        for link in self._beside:
            floor_us = link.ways(*path).to_venue.floor_us  # what a link takes itself stays its own
            await link.change(*path, ways.changed(floor_us=floor_us))
        if not ways.cut:
            self._failed.pop(path, None)

    async def _stop(self, path: Path) -> None:
        _, task = self._playing.pop(path, ("", None))
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def with_changes(ways: Ways, changes: Mapping[str, Any]) -> Ways:
    """Give ways that are changed as said; ChangeError.

    `rtt_us` is the median round trip, a shape's field both directions', `to_venue` and `to_client` are tables
    of fields of one direction, `down` cuts. A round trip is set last, with the jitter that is then.
    """
    both = {name: value for name, value in changes.items() if name in _FIELDS}
    tables = {name: changes.get(name, {}) for name in _DIRECTIONS}
    known = _FIELDS | {"rtt_us", "down", *_DIRECTIONS}
    if strange := [name for name in changes if name not in known]:
        raise ChangeError(unknown("field", str(strange[0]), sorted(known)))
    for direction, table in tables.items():
        if not isinstance(table, Mapping):
            raise ChangeError(str(WrongValue.of(direction, table, "fields of one direction are meant")))
        if strange := [name for name in table if name not in _FIELDS]:
            raise ChangeError(f"{direction}: {unknown('field', str(strange[0]), sorted(_FIELDS))}")
    try:
        ways = Ways(*(_changed(ways, direction, both, table) for direction, table in tables.items()))
        if "rtt_us" in changes:
            ways = ways.with_rtt(read(changes["rtt_us"], Microseconds, "rtt_us"))
        if read(changes.get("down") or False, bool, "down"):
            ways = ways.changed(loss=1.0)
    except ValueError as error:
        raise ChangeError(str(error)) from None
    return ways


def _changed(ways: Ways, direction: str, both: Mapping[str, Any], own: Mapping[str, Any]) -> Shape:
    """Give one direction with other fields; WrongValue names the direction where the field is its own."""
    shape: Shape = getattr(ways, direction)
    try:
        return shape.changed(**{**both, **own})
    except WrongValue as error:
        raise error.below(direction) if error.at in own else error from None


def _between(before: Shape, after: Shape, share: float) -> Shape:
    """Give a shape on the way from one to another; what cannot be halved is the other's at once."""
    moved = {
        name: getattr(before, name) + share * (getattr(after, name) - getattr(before, name))
        for name in _RAMPED
    }
    return after.changed(**moved)
