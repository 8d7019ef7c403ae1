"""`kraken-emulator measure`: real probes through every tier on every link that works here."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from math import ceil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from emulator.link.shape import ways
from emulator.link.tiers import Tier
from emulator.measure import requests
from emulator.measure.figures import Figures
from emulator.measure.prober import ProbeError, Prober, send, to_the_end
from emulator.settings import ENVIRONMENT
from emulator.words import unknown as _unknown

VERSION = 1
START_S, STOP_S, TOKEN_S = 60.0, 20.0, 30.0
SETTLE_S = 1.0
"""After the start the venue prepares its past whenever nobody asks for anything."""
NEAR_US, FAR_US = 1_000, 10_000
SPACINGS_US = {"near": 300, "middle": 2_000, "far": 5_000}
"""Between messages, at least: near tiers are polled for, as a client there does; far ones overlap."""
UNDER_WAY = 8
"""Messages of one connection that are under way at once, at most: TCP sends ten packets into the unknown, and
what it takes to send more is not the tier's doing."""
SELDOM_US, SELDOM = 100_000, (20, 50)
"""Between orders of a client that trades seldom; so many with --quick, and at most."""
AT_ONCE = 40
"""Orders that a new connection begins with, all at once: they do find out what TCP takes to send more."""
WARM_UP = 200
"""Messages to near tiers before the first that counts: two programs that begin to poll share a CPU for some
milliseconds, until the system has noticed."""
COLD_THEORY_RTTS = {"rest": 3, "websocket": 4, "fix": 3}
"""TCP, TLS 1.3, then the request; or the upgrade and the subscription; or the Logon."""
SERVER_NAME, FIX_SERVER_NAME = "api.kraken.com", "colo-london.vip-fix.kraken.com"
TIMEOUT_S = 30

Progress = Callable[[str, float], None]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is measured: tiers by name, links by name, and how many orders per tier."""

    tiers: tuple[str, ...]
    rungs: tuple[str, ...]
    samples: int = 1_000
    market: str = "off"
    tiers_folder: str = ""
    without_fix: tuple[str, ...] = ()
    """Tiers where FIX is not offered."""
    shortest_us: dict[str, float] = {}
    """What a round trip takes at least, by tier or tier/path: without any jitter."""


class Measured(msgspec.Struct, kw_only=True):
    """One tier through one link: figures by probe, and the parts of first answers in microseconds."""

    tier: str
    path: str
    rtt_us: float
    floor_us: float
    reachable_us: float
    shortest_us: float = 0.0
    """What a round trip takes at least: an answer that comes sooner is too early."""
    probes: dict[str, Figures] = {}
    cold: dict[str, dict[str, float]] = {}
    """Per API, the medians of connect, tls, upgrade and answer."""


class Rung(msgspec.Struct, kw_only=True):
    """One link: why it could not be measured, or what was."""

    rung: str
    reason: str | None = None
    tiers: list[Measured] = []


class Measurement(msgspec.Struct, kw_only=True):
    """Everything that was measured in one go, the form of measurement.json."""

    version: int = VERSION
    made: str
    machine: dict[str, Any]
    plan: Plan
    rungs: list[Rung]


class Stopped(Exception):  # noqa: N818 - what became of it
    """A signal ended it."""

    def __init__(self, number: int) -> None:
        """Take the signal's number."""
        super().__init__(f"signal {number}")
        self.exit_code = 128 + number
        """What a shell says of who ended by it."""


async def measure(plan: Plan, progress: Progress) -> Measurement:
    """Measure as planned; a link that cannot be had is a row with its reason.

    Stopped when Ctrl-C, SIGTERM or SIGHUP came, behind the end of all that was started. The first one
    counts: who presses again while it ends does not make it leave anything behind.
    """
    came: list[int] = []
    work = asyncio.ensure_future(_measure(plan, progress))

    def stop(number: int) -> None:
        if not came:
            came.append(number)
            work.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(number, stop, number)
    try:
        measurement = await work
    except (asyncio.CancelledError, ProbeError, OSError, EOFError):
        if not came:
            raise
    if came:
        raise Stopped(came[0])
    return measurement


async def _measure(plan: Plan, progress: Progress) -> Measurement:
    rungs = []
    for place, name in enumerate(plan.rungs):

        def done(what: str, share: float, place: int = place) -> None:
            progress(what, (place + share) / len(plan.rungs))

        try:
            rungs.append(Rung(rung=name, tiers=await _rung(plan, name, done)))
        except (ProbeError, OSError, EOFError) as error:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise  # it went wrong because it was ended
            rungs.append(Rung(rung=name, reason=str(error) or type(error).__name__))
    machine = {
        "system": platform.platform(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "emulator": "kraken-emulator",
    }
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return Measurement(made=made, machine=machine, plan=plan, rungs=rungs)


async def _rung(plan: Plan, name: str, done: Progress) -> list[Measured]:
    rows = []
    done(f"{name}: starting", 0)
    async with _emulator(plan, name) as endpoints, Prober() as prober:
        ways_in = [
            (tier, path, at)
            for tier, row in endpoints["tiers"].items()
            for path, at in row.get("paths", {"": row}).items()
        ]
        for place, (tier, path, at) in enumerate(ways_in):

            def step(what: str, share: float, place: int = place, tier: str = tier) -> None:
                done(f"{name}: {tier}, {what}", (place + share) / len(ways_in))

            account = endpoints["accounts"][place % len(endpoints["accounts"])]
            spot, fix = requests.Account(**account["spot"]), None
            if "fix" in at and tier not in plan.without_fix:
                mine = account["fix"]
                fix = requests.FixAccount(mine["key"], mine["secret"], mine["sender_comp_id"])
            rows.append(await _tier(plan, prober, tier, path, at, spot, fix, step))
    return rows


async def _tier(
    plan: Plan,
    prober: Prober,
    tier: str,
    path: str,
    at: dict[str, Any],
    account: requests.Account,
    fix: requests.FixAccount | None,
    step: Progress,
) -> Measured:
    rtt_us = at["rtt_us"]
    plain = urlsplit(at["rest"])
    there = {"host": plain.hostname, "port": plain.port, "timeout_s": TIMEOUT_S, "rtt_us": rtt_us}
    measured = Measured(
        tier=tier,
        path=path,
        rtt_us=rtt_us,
        floor_us=at["floor_us"],
        reachable_us=at["reachable_us"],
        shortest_us=plan.shortest_us.get(f"{tier}/{path}" if path else tier, 0.0),
    )
    band = _band(rtt_us)
    fewer = max(5, min(plan.samples, {"near": 200, "middle": 200, "far": 30}[band]))
    paced = {"spacing_us": spacing_us(rtt_us), "spin": band == "near"}

    step("TCP connect", 0)
    job = {"kind": "connect", **there, "count": fewer, "pause_us": 1_000}
    measured.probes["connect"] = Figures.of((await prober.run(job))["took_us"])
    step("WebSocket ping", 0.1)
    first = WARM_UP if band == "near" else 0
    pings = requests.pings(first + plan.samples)
    job = {"kind": "websocket", **there, **paced, "path": "/v2", "messages": pings}
    measured.probes["ping"] = Figures.of((await prober.run(job))["took_us"][first:])
    step("order over WebSocket", 0.25)
    token = await _token(there, account)
    job["messages"] = requests.websocket_orders(first // 2 + plan.samples, token)
    measured.probes["websocket_order"] = Figures.of(_accepted(await prober.run(job))[first::2])
    step("seldom orders", 0.4)
    seldom = max(SELDOM[0], min(plan.samples // 5, SELDOM[1]))
    orders = requests.websocket_orders(seldom, token, cancelled="all")
    result = await prober.run({**job, "spacing_us": SELDOM_US, "messages": orders})
    measured.probes["seldom_order"] = Figures.of(_accepted(result)[:-1])
    if rtt_us:
        step("orders at once", 0.43)
        orders = requests.websocket_orders(AT_ONCE, token, cancelled="all")
        result = await prober.run({**job, "spacing_us": 1, "messages": orders})
        measured.probes["at_once_order"] = Figures.of(_accepted(result)[:-1])
    if fix is not None:
        step("order over FIX", 0.45)
        job = {"kind": "fix", **there, **_fix_place(at), **paced, **fix.session(first // 2 + plan.samples)}
        measured.probes["fix_order"] = Figures.of(_accepted(await prober.run(job))[first::2])
    step("Time over REST", 0.65)
    job = {"kind": "http", **there, "requests": [requests.TIME] * (fewer + 1), "pause_us": 500}
    measured.probes["rest_time"] = Figures.of((await prober.run(job))["took_us"][1:])  # the first is cold
    step("order over REST", 0.75)
    job = {"kind": "http", **there, "requests": list(account.rest_orders(fewer)), "pause_us": 500}
    measured.probes["rest_order"] = Figures.of(_accepted(await prober.run(job))[0::2])
    step("first answers", 0.9)
    measured.cold = await _cold(prober, at, fix, max(3, fewer // 10))
    return measured


def _band(rtt_us: float) -> str:
    return "near" if rtt_us < NEAR_US else "middle" if rtt_us < FAR_US else "far"


def spacing_us(rtt_us: float) -> int:
    """Give the time between messages on one connection of a tier, in microseconds."""
    return max(SPACINGS_US[_band(rtt_us)], ceil(rtt_us / UNDER_WAY))


async def _cold(
    prober: Prober, at: dict[str, Any], fix: requests.FixAccount | None, count: int
) -> dict[str, dict[str, float]]:
    """Measure first answers, each API's `count` times; give the medians of their parts."""
    tls = urlsplit(at["tls"]["rest"])
    secure = {"kind": "cold", "ca": at["tls"]["ca"], "timeout_s": TIMEOUT_S, "rtt_us": at["rtt_us"]}
    there = {**secure, "host": tls.hostname, "port": tls.port, "server_name": SERVER_NAME, "count": count}
    asked = {
        "rest": {"request": requests.TIME},
        "websocket": {"request": requests.subscription(), "path": "/v2"},
    }
    took_us = {api: (await prober.run({**there, **more}))["parts_us"] for api, more in asked.items()}
    if fix is not None:
        took_us["fix"] = {}
        there = {**secure, **_fix_place(at), "server_name": FIX_SERVER_NAME, "count": 1}
        for _ in range(count):  # a Logon is good for a moment, and once
            for part, (part_us,) in (await prober.run({**there, **fix.session()}))["parts_us"].items():
                took_us["fix"].setdefault(part, []).append(part_us)
    return {
        api: {part: Figures.of(took).p50_us for part, took in parts.items()} for api, parts in took_us.items()
    }


def _fix_place(at: dict[str, Any]) -> dict[str, Any]:
    """Give where FIX orders go, with TLS and without."""
    place = urlsplit(f"//{at['fix']['spot_trading']}")
    return {"host": place.hostname, "port": place.port}


def _accepted(result: dict[str, Any]) -> list[float]:
    if result["refused"]:
        raise ProbeError(f"{result['refused']} orders were refused: {result['first_refusal'][:200]}")
    return list(result["took_us"])


async def _token(there: dict[str, Any], account: requests.Account) -> str:
    """Get a WebSocket token over REST."""
    try:
        async with asyncio.timeout(TOKEN_S):
            reader, writer = await asyncio.open_connection(there["host"], there["port"])
            with contextlib.closing(writer):
                writer.write(account.signed("GetWebSocketsToken").encode())
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
                answer = json.loads(await reader.readexactly(length))
    except TimeoutError:
        raise ProbeError(f"no token within {TOKEN_S:g} s") from None
    if answer["error"]:
        raise ProbeError(f"no token: {answer['error']}")
    return str(answer["result"]["token"])


@contextlib.asynccontextmanager
async def _emulator(plan: Plan, rung: str) -> AsyncIterator[dict[str, Any]]:
    """Run an emulator of its own in another process; give its endpoints."""
    with tempfile.TemporaryDirectory(prefix="kraken-emulator-measure-") as folder:
        file = Path(folder) / "endpoints.json"
        arguments = [
            "--tier",
            ",".join(plan.tiers),
            "--link",
            rung,
            "--market",
            plan.market,
            "--ports",
            "auto",
            "--rate-limits",
            "off",
        ]
        arguments += ["--endpoints-file", str(file), "--state-folder", folder]
        if plan.tiers_folder:
            arguments += ["--tiers-folder", plan.tiers_folder]
        # A file for what it says: a pipe would be open as long as anything that it started.
        with (Path(folder) / "stderr").open("w+b") as said:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "emulator", "up", *arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=said,
                env={name: value for name, value in os.environ.items() if not name.startswith(ENVIRONMENT)},
                start_new_session=True,  # Ctrl-C is for us, who then end it
            )
            try:
                await _started(file, process, Path(said.name), rung)
                yield json.loads(file.read_bytes())
            finally:
                await to_the_end(_end(process))


async def _end(process: asyncio.subprocess.Process) -> None:
    """End an emulator, in order if it can."""
    send(process, signal.SIGTERM)  # before it listens to signals that just ends it
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _started(file: Path, process: asyncio.subprocess.Process, said: Path, rung: str) -> None:
    """Wait until the endpoints file is there and the venue has settled; ProbeError when it does not start."""
    try:
        async with asyncio.timeout(START_S):
            while not file.exists():
                if process.returncode is not None:
                    lines = said.read_text(errors="replace").strip().splitlines()
                    last = (
                        lines[-1].rpartition("error: ")[2].removeprefix(f"--link {rung}: ") if lines else ""
                    )
                    raise ProbeError(last or f"the emulator ended with exit code {process.returncode}")
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise ProbeError(f"the emulator did not start within {START_S:g} s") from None
    await asyncio.sleep(SETTLE_S)


def shortest_us(tiers: Sequence[Tier]) -> dict[str, float]:
    """Give what a round trip takes at least, by tier (its first path) and by tier/path: its fixed delays."""
    found = {}
    for tier in tiers:
        for path in tier.paths:
            fixed_us = sum(way.one_way_us + way.extra_us for way in ways(tier, path.name))
            found[f"{tier.name}/{path.name}"] = fixed_us
            found.setdefault(tier.name, fixed_us)
    return found


def rungs_that_work(names: Sequence[str]) -> tuple[tuple[str, ...], list[tuple[str, str]]]:
    """Give the links to measure: those named, else all that work here but `none`; and why not the others.

    ValueError for a name that is no link's.
    """
    from emulator.link.ladder import RUNGS

    known = [rung.name for rung in RUNGS]
    if unknown := set(names) - set(known):
        raise ValueError(_unknown("link", min(unknown), known))
    if names:
        return tuple(dict.fromkeys(names)), []
    tried = [(rung.name, rung.works()) for rung in RUNGS if rung.name != "none"]
    works = tuple(name for name, reason in tried if reason is None)
    return works, [(name, reason) for name, reason in tried if reason is not None]
