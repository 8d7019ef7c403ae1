"""`kraken-emulator measure`: from its arguments to the two files."""

import asyncio
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from emulator.endpoints import write_atomically
from emulator.link import netns
from emulator.link.tiers import ProfileError, Tier, load_tiers
from emulator.measure.command import Measurement, Plan, Stopped, measure, rungs_that_work, shortest_us
from emulator.measure.page import as_html
from emulator.measure.report import as_text
from emulator.settings import SettingsError, load, tier_folders
from emulator.words import no_folder, parted, spelled, unknown

SAMPLES, QUICK_SAMPLES = 1_000, 100
"""Orders per tier unless --samples says, and with --quick."""


class MeasureError(Exception):
    """What cannot be measured, or written: one line."""


def run(arguments: Mapping[str, Any], progress: Callable[[str, float], None], *, alone: bool) -> int | None:
    """Measure, print and write; give the exit code where a signal ended it.  MeasureError.

    ``alone`` in a network of its own, whose loopback is not up yet.
    """
    if alone:
        with netns.Namespace.current() as here:
            netns.loopback_up(here)
    folder = Path(arguments["output"])
    _must_be_writable(folder)
    plan, passed_over = _plan(arguments)
    for name, reason in passed_over:
        print(f"not link {name}: {reason}", file=sys.stderr)
    try:
        measurement = asyncio.run(measure(plan, progress))
    except Stopped as stopped:
        return stopped.exit_code
    finally:
        progress("", 1.0)
    if all(rung.reason is not None for rung in measurement.rungs):
        why = "; ".join(f"link {rung.rung}: {rung.reason}" for rung in measurement.rungs)
        raise MeasureError(f"nothing could be measured: {why or 'no link works here'}")
    print(msgspec.json.encode(measurement).decode() if arguments["json"] else as_text(measurement))
    _write(folder, measurement)  # last: what took minutes is said all the same
    return None


def _plan(arguments: Mapping[str, Any]) -> tuple[Plan, list[tuple[str, str]]]:
    """Return what to measure, and the links that are left out because they do not work here."""
    asked = {name: arguments[name] for name in ("tiers_folder", "tier", "market")}
    try:
        settings = load(asked, {})
        known = load_tiers(*tier_folders(settings))
        names = _names(settings.tier if arguments["tier"] is not None else None, known)
        rungs, passed_over = _rungs(arguments["link"])
    except (SettingsError, ProfileError) as error:
        raise MeasureError(str(error)) from None
    plan = Plan(
        tiers=tuple(names),
        rungs=rungs,
        samples=arguments["samples"] or (QUICK_SAMPLES if arguments["quick"] else SAMPLES),
        market=arguments["market"],
        tiers_folder=arguments["tiers_folder"] or "",
        without_fix=tuple(name for name in names if "fix" not in known[name].apis),
        shortest_us=shortest_us([known[name] for name in names]),
    )
    return plan, passed_over


def _names(asked: Sequence[str] | None, known: Mapping[str, Tier]) -> list[str]:
    if asked is None:
        return sorted(known, key=lambda name: known[name].rtt_us)
    for name in asked:
        if name not in known:
            raise SettingsError(f"{spelled('--tier', ','.join(asked))}: {unknown('tier', name, known)}")
    return list(asked)


def _rungs(asked: str | None) -> tuple[tuple[str, ...], list[tuple[str, str]]]:
    """Return the links to measure: those that are asked for, or all that work here."""
    if asked is None:
        return rungs_that_work(())
    try:
        if not (names := parted(asked)):
            raise ValueError("no link given")
        return rungs_that_work(names)
    except ValueError as error:
        raise SettingsError(f"{spelled('--link', asked)}: {error}") from None


def _must_be_writable(folder: Path) -> None:
    """End before anything is measured whose result could not be written; a folder is made at the end."""
    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise MeasureError(f"{spelled('--output', folder)}: cannot be written: {error.strerror}") from None


def _write(folder: Path, measurement: Measurement) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "measurement.json", msgspec.json.encode(measurement))
        write_atomically(folder / "measurement.html", as_html(measurement).encode())
    except SettingsError as error:
        raise MeasureError(str(error)) from None
    except OSError as error:
        raise MeasureError(f"{spelled('--output', folder)}: cannot be made: {no_folder(error)}") from None
    print(f"written: {folder / 'measurement.json'}, {folder / 'measurement.html'}", file=sys.stderr)
