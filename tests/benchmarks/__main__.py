"""``make bench``: min, p50 and p99 of order→ack, as ratios to bare servers measured in the same rounds.

Absolute figures drift by a factor of two within a minute on shared machines; ratios are what counts.
Server and client run on one CPU where the system lets them, so that idle wake-ups do not swamp all.
"""

import argparse
import base64
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.benchmarks import probes

Probe = Callable[[int], list[int]]


@contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a Python module; end it by its own pid."""
    with subprocess.Popen([sys.executable, "-m", *arguments], stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.terminate()
            child.wait(10)


@contextmanager
def bare(kind: str) -> Iterator[int]:
    """Run a bare server; yield its port."""
    with process("tests.benchmarks.bare", kind) as child:
        assert child.stdout is not None
        yield int(child.stdout.readline())


@contextmanager
def emulator(*arguments: str) -> Iterator[dict]:
    """Run the emulator; yield its endpoints."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "endpoints.json"
        options = ("--ports", "auto", "--endpoints-file", str(file), "--state-folder", folder)
        with process("emulator", "up", *options, *arguments) as child:
            for _ in range(600):
                if file.exists() or child.poll() is not None:
                    break
                time.sleep(0.05)
            yield json.loads(file.read_text())


def port_of(endpoints: dict) -> int:
    return int(next(iter(endpoints["tiers"].values()))["rest"].rpartition(":")[2])


def fix_port_of(endpoints: dict) -> int:
    return int(next(iter(endpoints["tiers"].values()))["fix"]["spot_trading"].rpartition(":")[2])


def pin() -> str:
    """Keep this process and its children on one CPU, where that can be done."""
    if not hasattr(os, "sched_setaffinity"):
        return "not pinned"
    cpu = min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpu})
    return f"pinned to CPU {cpu}"


def probes_of(stack: ExitStack) -> dict[str, Probe]:
    """Start every server; return what to measure, in the order of the table."""
    venue = stack.enter_context(emulator("--market", "off", "--rate-limits", "off"))
    busy = stack.enter_context(emulator("--market", "synthetic", "--rate-limits", "off"))
    echo, websockets, aiohttp, quickfix = (
        stack.enter_context(bare(kind)) for kind in ("echo", "websockets", "aiohttp", "quickfix")
    )
    spot = venue["accounts"][0]["spot"]
    key, secret = spot["key"], base64.b64decode(spot["secret"])
    port, busy_port = port_of(venue), port_of(busy)
    token, busy_token = (probes.token_for(p, key, secret) for p in (port, busy_port))
    return {
        "raw TCP echo, asyncio": lambda n: probes.echo(echo, n),
        "WebSocket, bare websockets": lambda n: probes.websocket_orders(websockets, n, ""),
        "WebSocket, emulator": lambda n: probes.websocket_orders(port, n, token),
        "WebSocket, emulator, market on": lambda n: probes.websocket_orders(busy_port, n, busy_token),
        "REST, bare aiohttp": lambda n: probes.rest_orders(aiohttp, n, key, secret, venue=False),
        "REST, emulator": lambda n: probes.rest_orders(port, n, key, secret, venue=True),
        "FIX, bare QuickFIX acceptor": probes.FixOrders(quickfix, None),
        "FIX, emulator": probes.FixOrders(fix_port_of(venue), venue["accounts"][1]),
        "FIX, emulator, market on": probes.FixOrders(fix_port_of(busy), busy["accounts"][1]),
        "FIX, emulator, New + Fill": probes.FixFills(fix_port_of(venue), venue["accounts"][2], port, token),
    }


YARDSTICKS = {
    "FIX": "FIX, bare QuickFIX acceptor",
    "FIX, emulator, New + Fill": "FIX, emulator",
    "WebSocket": "WebSocket, bare websockets",
    "REST": "REST, bare aiohttp",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--orders", type=int, default=500, help="per round")
    options = parser.parse_args()
    pinned = pin()
    with ExitStack() as stack:
        rows = probes_of(stack)
        figures: dict[str, list[tuple[float, float, float]]] = {name: [] for name in rows}
        for number in range(options.rounds + 1):
            for name, probe in rows.items():
                taken = sorted(probe(options.orders))
                if number:  # the first round warms up
                    p50, p99 = taken[len(taken) // 2], taken[int(len(taken) * 0.99)]
                    figures[name].append((taken[0] / 1e3, p50 / 1e3, p99 / 1e3))
            print(f"round {number}/{options.rounds}", end="\r", file=sys.stderr)
    print(f"order→ack, {options.rounds} rounds of {options.orders}, {pinned}\n")
    print(f"{'':34}{'min µs':>8}{'p50 µs':>8}{'p99 µs':>8}{'min/bare':>10}{'p50/bare':>10}{'p99/bare':>10}")
    for name, triples in figures.items():
        bare_name = YARDSTICKS.get(name) or YARDSTICKS.get(name.partition(",")[0], "")
        middle = "".join(f"{statistics.median(column):8.0f}" for column in zip(*triples, strict=True))
        ratios = "".join(f"{ratio(triples, figures.get(bare_name), column):>10}" for column in range(3))
        print(f"{name:34}{middle}{ratios}")


def ratio(triples: list, yardstick: list | None, column: int) -> str:
    """Return the median over rounds of each round's own ratio to the yardstick."""
    if yardstick is None:
        return ""
    rounds = zip(triples, yardstick, strict=True)
    return f"{statistics.median(ours[column] / bare[column] for ours, bare in rounds):.2f}"


if __name__ == "__main__":
    main()
