"""docker/, built and run by a container engine: `make containers`.

ENGINE is the engine's command, COMPOSE its compose command, BUILD further options of `build`.  Without ENGINE
nothing here runs: it takes minutes, and Python's image.
"""

import json
import os
import shlex
import subprocess
import time
from contextlib import contextmanager

import pytest
from ruamel.yaml import YAML

from tests.running import ROOT, wait_until

ENGINE = os.environ.get("ENGINE", "")
COMPOSE = shlex.split(os.environ.get("COMPOSE", ""))
BUILD = shlex.split(os.environ.get("BUILD", ""))
PROJECT = f"kraken-emulator-test-{os.getpid()}"
IMAGES = {"kraken-emulator": "Dockerfile", "kraken-emulator-clients": "clients/Dockerfile"}
RTT_MS = {"local": 0, "colo": 0.2, "colo-b": 0.2, "us": 60, "tokyo": 140}
BUILD_S, START_S = 400, 90

pytestmark = [
    pytest.mark.skipif(not ENGINE, reason="no container engine is named: make containers"),
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("containers"),
]

PROBE = """
import http.client, json, socket, ssl, statistics, time

trusting = ssl.create_default_context(cafile="/trust/bundle.pem")
took_ms, connecting_ms, reached = [], [], {}
for _ in range(3):
    began = time.monotonic()
    socket.create_connection(("api.kraken.com", 443), 10).close()
    connecting_ms.append((time.monotonic() - began) * 1e3)
client = http.client.HTTPSConnection("api.kraken.com", timeout=10, context=trusting)
for _ in range(8):
    began = time.monotonic()
    client.request("GET", "/0/public/Time")
    error = json.loads(client.getresponse().read())["error"]
    took_ms.append((time.monotonic() - began) * 1e3)
fix, control = ("colo-london.vip-fix.kraken.com", 4001), ("kraken", 7490)
places = ("192.0.2.1", 443), ("demo-futures.kraken.com", 443), fix, control
for host, port in places:
    try:
        socket.create_connection((host, port), 2).close()
        reached[host] = True
    except OSError:
        reached[host] = False
seen = {"took_ms": min(took_ms), "connecting_ms": min(connecting_ms), "reached": reached}
print(json.dumps({"error": error, **seen}))
"""


def command(*words, check=True, timeout=60):
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=timeout)
    assert not check or done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}{done.stderr}"
    return done


def engine(*words, **more):
    return command(ENGINE, *words, **more)


@pytest.fixture(scope="module")
def images():
    for name, file in IMAGES.items():
        engine("build", *BUILD, "-f", f"docker/{file}", "-t", name, ".", timeout=BUILD_S)
    tried = engine("run", "--rm", "kraken-emulator", "version", check=False)
    if tried.returncode:
        pytest.skip(f"{ENGINE} runs no container with a network here: {tried.stderr.strip()}")


@contextmanager
def up(folder, *files, demo=False):
    """The venue of the compose files, without what would get into the way of another one's."""
    own = []
    for file in files:
        read = YAML(typ="safe", pure=True).load(ROOT / "docker" / file)
        read.pop("name", None)
        for service in read["services"].values():
            service.pop("ports", None)
            service.pop("build", None)
        (folder / file).write_text(json.dumps(read))
        own += ["-f", str(folder / file)]
    compose = (*COMPOSE, "-p", PROJECT, *own, *(("--profile", "demo") if demo else ()))
    try:
        command(*compose, "up", "-d", timeout=120)
        wait_until(healthy, START_S, "the venue is healthy")
        yield
    finally:
        logs = engine("logs", container("kraken"), check=False)
        print(logs.stdout, logs.stderr)
        command(*compose, "down", "--volumes", timeout=120)


@contextmanager
def run_alone(*options):
    """The image by itself, healthy; its container's name."""
    name = f"{PROJECT}-alone"
    engine(
        "run", "-d", "--name", name, *options, "kraken-emulator", "up", "--tier", "local", "--market", "off"
    )
    try:
        wait_until(lambda: healthy(name), START_S, "the venue is healthy")
        yield name
    finally:
        print(engine("logs", name, check=False).stderr)
        engine("rm", "-f", "-v", name)


def container(service):
    for separator in "_-":
        name = f"{PROJECT}{separator}{service}{separator}1"
        if engine("inspect", name, check=False).returncode == 0:
            return name
    raise AssertionError(f"no container of {service}")


def healthy(name=""):
    return (
        engine("exec", name or container("kraken"), "kraken-emulator", "health", check=False).returncode == 0
    )


def probe(network):
    """What a client sees that has joined a network, with the trust folder mounted."""
    words = ("run", "--rm", "--network", f"{PROJECT}_{network}", "-v", f"{PROJECT}_trust:/trust:ro")
    return json.loads(engine(*words, "--entrypoint", "python", "kraken-emulator", "-c", PROBE).stdout)


def log(service):
    done = engine("logs", container(service))
    return done.stdout + done.stderr


def test_each_network_is_a_tier_and_leads_nowhere_else(images, tmp_path):
    with up(tmp_path, "compose.yaml"):
        for network, rtt_ms in RTT_MS.items():
            seen = probe(network)
            assert seen["error"] == []
            assert rtt_ms * 0.95 <= seen["took_ms"] < rtt_ms + 60
            assert seen["reached"]["colo-london.vip-fix.kraken.com"]
            assert seen["reached"]["kraken"]  # the control API
            if network != "local":
                assert not seen["reached"]["192.0.2.1"]
                assert not seen["reached"]["demo-futures.kraken.com"]
        status = engine("exec", container("kraken"), "cat", "/proc/1/status").stdout
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert fields["Uid"].split()[1] == "10001"
        assert int(fields["CapEff"], 16) == 0
        assert int(fields["CapBnd"], 16) == 0
        keys = engine("exec", container("kraken"), "ls", "/trust").stdout.split()
        assert sorted(keys) == ["bundle.pem", "ca.pem", "endpoints.json"]
        began = time.monotonic()
        engine("stop", container("kraken"))
        assert time.monotonic() - began < 10  # it is told, not killed
        assert engine("inspect", "-f", "{{.State.ExitCode}}", container("kraken")).stdout.strip() == "0"


def test_with_capabilities_packets_themselves_take_the_distance(images, tmp_path):
    with up(tmp_path, "compose.yaml", "compose.packets.yaml"):
        if "link stream" in log("kraken"):
            pytest.skip("links of real packets cannot be had in this engine's containers")
        for network, rtt_ms in RTT_MS.items():
            seen = probe(network)
            assert seen["error"] == []
            assert seen["took_ms"] >= rtt_ms * 0.95
            assert seen["connecting_ms"] >= rtt_ms * 0.95
            assert not seen["reached"]["192.0.2.1"] or network == "local"
            assert seen["reached"]["kraken"]  # the control API


def test_the_volumes_serve_both_ways_of_making_the_distance(images, tmp_path):
    with up(tmp_path, "compose.yaml", "compose.packets.yaml"):
        volumes = ("-v", f"{PROJECT}_state:/var/lib/kraken-emulator", "-v", f"{PROJECT}_trust:/trust")
        ca = engine("exec", container("kraken"), "cat", "/trust/ca.pem").stdout
        engine("stop", container("kraken"))
        with run_alone(*volumes) as name:  # as a user without privileges
            assert engine("exec", name, "cat", "/trust/ca.pem").stdout == ca


@pytest.mark.parametrize("user", ["10001", "12345", "12345:12345"])
def test_the_image_runs_as_any_user_and_with_other_settings(images, user):
    with run_alone("--user", user, "--cap-drop", "ALL", "-e", "KRAKEN_EMULATOR_CONTROL_PORT=9000"):
        pass


def test_the_image_runs_with_nothing_to_write_on_but_memory(images):
    own = ("--tmpfs", "/tmp", "-e", "KRAKEN_EMULATOR_STATE_FOLDER=/tmp/state")
    shared = ("-e", "KRAKEN_EMULATOR_TRUST_FOLDER=", "-e", "KRAKEN_EMULATOR_ENDPOINTS_FILE=")
    with run_alone("--read-only", *own, *shared):
        pass


def test_the_demo_clients_trade(images, tmp_path):
    expected = {
        "market-maker": "market maker: quoting around ",
        "dashboard-feed": "dashboard: BTC/USD ",
        "fix-trader": "FIX trader: 50 orders, reported after ",
    }
    with up(tmp_path, "compose.yaml", demo=True):
        for service, line in expected.items():
            wait_until(lambda s=service, text=line: text in log(s), START_S, f"{service}: {line}")
        assert "Traceback" not in "".join(map(log, [*expected, "kraken"]))
