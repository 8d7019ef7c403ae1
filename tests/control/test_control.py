"""The control API and `kraken-emulator link`, against a running emulator with connected clients."""

import base64
import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from emulator.control.client import ControlError, changes
from emulator.gateways.keys import sign
from emulator.link import netns
from emulator.testing import Control
from tests.running import COMMAND, ROOT, environment, running, wait_until

PATIENCE_S = 30


@pytest.fixture(scope="module")
def venue():
    with running("--tier", "local,colo,us", "--market", "off", "--raw-delay") as running_venue:
        yield running_venue


@pytest.fixture
def reset(venue):
    yield
    link(venue, "reset", "us")
    link(venue, "reset", "colo")


def link(venue, *words, code=0):
    """Run `kraken-emulator link`; give its rows, or its one line of error."""
    where = ("--control", venue.endpoints["control"], "--json")
    done = subprocess.run(
        [*COMMAND, "link", *words, *where],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code, done.stderr
    if code:
        assert done.stderr.count("\n") == 1
        return done.stderr
    return {f"{row['tier']}/{row['path']}": row for row in json.loads(done.stdout)}


def request(venue, method, path, body=None, **headers):
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **headers}
    call = urllib.request.Request(venue.endpoints["control"] + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(call, timeout=PATIENCE_S) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def client(venue, tier, path=None):
    at = venue.tier(tier)
    return connect(f"{(at['paths'][path] if path else at)['ws']}/v2", open_timeout=PATIENCE_S)


def end_of(socket_):
    """Read what is left; give what it ends with."""
    try:
        while True:
            socket_.recv(timeout=PATIENCE_S)
    except (TimeoutError, ConnectionClosed) as end:
        return end


def ping_s(socket_):
    began = time.monotonic()
    socket_.send('{"method":"ping"}')
    while json.loads(socket_.recv(timeout=PATIENCE_S)).get("method") != "pong":
        pass
    return time.monotonic() - began


# On a connection that lives through all of it


def test_a_tiers_distance_changes_under_a_connected_client(venue, reset):
    with client(venue, "us") as ours:
        assert ping_s(ours) >= 0.059
        row = link(venue, "set", "us", "rtt=150ms", "jitter=0/0/0")["us/direct"]
        assert (row["rtt_us"], row["standing_rtt_us"], row["changed"]) == (150_000, 60_000, True)
        assert ping_s(ours) >= 0.149
        link(venue, "set", "us", "one_way=100ms", "to_venue.one_way=20ms")
        assert ping_s(ours) >= 0.119
        link(venue, "reset", "us")
        wait_until(lambda: ping_s(ours) < 0.1, PATIENCE_S, "the tier's own distance")


def test_a_tier_without_distance_has_all_of_it_too(venue):
    """Distance, loss, failure, schedules: on a connection that began without any of them, and on new ones."""
    with client(venue, "local") as ours:
        ping_s(ours)
        row = link(venue, "set", "local", "rtt=50ms")["local/direct"]
        assert (row["rtt_us"], row["standing_rtt_us"], row["changed"]) == (50_000, 0, True)
        assert ping_s(ours) >= 0.0495
        with client(venue, "local") as other:
            assert ping_s(other) >= 0.0495
        link(venue, "play", "local", "flap")
        rows = link(venue, "fail", "local")
        assert rows["local/direct"]["up"] is False
        assert isinstance(end_of(ours), ConnectionClosed)
    assert link(venue, "reset", "local")["local/direct"]["changed"] is False
    with client(venue, "local") as again:
        wait_until(lambda: ping_s(again) < 0.0495, PATIENCE_S, "no distance")


def test_one_direction_alone_can_be_lost(venue, reset):
    for tier in ("local", "us"):
        with client(venue, tier) as ours:
            ping_s(ours)
            row = link(venue, "set", tier, "to_venue.loss=100%")[f"{tier}/direct"]
            assert (row["up"], row["to_venue"]["loss"], row["to_client"]["loss"]) == (True, 1, 0)
            ours.send('{"method":"ping"}')
            with pytest.raises(TimeoutError):
                ours.recv(timeout=0.3)
            link(venue, "reset", tier)
            assert json.loads(ours.recv(timeout=PATIENCE_S))["method"] == "pong"


def test_a_schedule_and_a_trace_play_under_a_connected_client(venue, reset, tmp_path):
    schedule, trace = tmp_path / "slow.toml", tmp_path / "line.csv"
    schedule.write_text("[[steps]]\nat_s = 0\nfor_s = 600\nset = { rtt_us = 130_000 }\n")
    trace.write_text("time_s,one_way_us,loss\n0,80000,0\n600,80000,0\n")
    with client(venue, "us") as ours:
        for file, name, least_s in ((schedule, "schedule", 0.129), (trace, "trace", 0.159)):
            assert link(venue, "play", "us", str(file))["us/direct"]["playing"] == name
            wait_until(lambda least_s=least_s: ping_s(ours) >= least_s, PATIENCE_S, name)
            assert link(venue, "stop", "us")["us/direct"]["playing"] is None
        assert link(venue, "play", "us", "flap")["us/direct"]["playing"] == "flap"


def test_a_failed_path_resets_its_clients_who_find_the_other_one(venue, reset):
    with client(venue, "colo", "A") as on_a, client(venue, "colo", "B") as on_b:
        rows = link(venue, "fail", "colo/A")
        assert rows["colo/A"]["up"] is False
        assert isinstance(end_of(on_a), ConnectionClosed)
        host, _, port = venue.tier("colo")["paths"]["A"]["rest"].rpartition("/")[2].rpartition(":")
        with pytest.raises(ConnectionError), socket.create_connection((host, int(port)), PATIENCE_S) as new:
            new.recv(1)
        ping_s(on_b)
        with client(venue, "colo", "B") as moved:
            ping_s(moved)
        assert link(venue, "restore", "colo/A")["colo/A"]["up"] is True
        with client(venue, "colo", "A") as again:
            ping_s(again)


def test_on_real_packets_a_failed_path_is_silent_and_its_connection_lives_on():
    if reason := netns.possible():
        pytest.skip(reason)
    with (
        running("--tier", "colo", "--link", "packet", "--market", "off", "--raw-delay") as venue,
        client(venue, "colo", "A") as on_a,
    ):
        ping_s(on_a)
        link(venue, "fail", "colo/A")
        on_a.send('{"method":"ping"}')
        with client(venue, "colo", "B") as moved:
            ping_s(moved)
        with pytest.raises(TimeoutError):
            on_a.recv(timeout=0.3)
        link(venue, "restore", "colo/A")
        assert json.loads(on_a.recv(timeout=PATIENCE_S))["method"] == "pong"


# What is refused


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (
            ["set", "mars", "rtt=1s"],
            "unknown path 'mars'; there are: local/direct, colo/A, colo/B, us/direct",
        ),
        (["set", "us", "rtt=1us"], "rtt_us must be at least"),
        (["set", "us", "speed=1"], "unknown name 'speed'"),
        (["set", "us", "loss=200%"], "loss=200%: a share from 0 to 1, or 0% to 100%, is meant"),
        (["set", "us", "rtt"], "NAME=VALUE is meant"),
        (["set", "us"], "link set us: NAME=VALUE is missing"),
        (["play", "us", "nothing"], "unknown schedule 'nothing'; there are: congestion, flap"),
        (["play", "us", "/nowhere/x.csv"], "/nowhere/x.csv: No such file"),
        (["fail"], "link fail: TIER[/PATH] is missing"),
        (["fail", "colo/C"], "unknown path 'colo/C', did you mean 'colo/B'? There are: local/direct"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(venue, words, complaint):
    assert complaint in link(venue, *words, code=2)


def test_no_emulator_there_is_said_with_what_to_do():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = [*COMMAND, "link", "show", "--control", f"http://127.0.0.1:{port}"]
    done = subprocess.run(arguments, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "no emulator answers" in done.stderr


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("GET", "/control/health", None, {}, 200),
        ("GET", "/control/links/us/direct", None, {}, 200),
        ("GET", "/control/nothing", None, {}, 404),
        ("GET", "/control/links/us/direct/A/B", None, {}, 404),
        ("GET", "/control/links/mars", None, {}, 404),
        ("DELETE", "/control/links/us", None, {}, 405),
        ("PATCH", "/control/links/us", b"{", {}, 400),
        ("PATCH", "/control/links/us", b"[1]", {}, 400),
        ("PATCH", "/control/links/us", b"\xff", {}, 400),
        ("PATCH", "/control/links/us", {"loss": "1"}, {}, 400),
        (
            "POST",
            "/control/links/us/fail",
            b"a=b",
            {"Content-Type": "application/x-www-form-urlencoded"},
            415,
        ),
        ("PATCH", "/control/links/us", {}, {"Content-Type": "text/plain"}, 415),
        ("GET", "/control/links", None, {"Host": "evil.example:7490"}, 403),
        ("POST", "/control/links/us/play", b"time_s\n", {"Content-Type": "text/csv"}, 400),
        ("POST", "/control/links/us/play", {"schedule": "../accounts/default"}, {}, 400),
        ("POST", "/control/links/us/play", {"schedule": ["reroute"]}, {}, 400),
        ("POST", "/control/clock", b'{"a":' * 50_000, {}, 400),
    ],
)
def test_requests_that_are_wrong_are_answered_with_a_status_and_one_line(
    venue, method, path, body, headers, status
):
    got, answer = request(venue, method, path, body, **headers)
    assert got == status
    assert (status == 200) is ("error" not in answer)
    assert "\n" not in answer.get("error", "")


# Values on the command line


def test_values_have_units():
    assert changes(
        ["rtt=1.5s", "loss=2.5%", "rate=10mbit", "jitter=50us/0.4ms/2ms", "to_client.corrupt=0.1"]
    ) == {
        "rtt_us": 1_500_000,
        "loss": 0.025,
        "rate_bits_per_s": 10_000_000,
        "p50_us": 50,
        "p99_us": 400,
        "p999_us": 2_000,
        "to_client": {"corrupt": 0.1},
    }


@pytest.mark.parametrize(
    "setting", ["rtt=5", "rtt=5 miles", "loss=x", "jitter=5ms", "down=maybe", "rate=1.2.3mbit", "loss"]
)
def test_a_value_that_makes_no_sense_is_refused(setting):
    with pytest.raises(ControlError):
        changes([setting])


# Everything


def shown(venue, certificate="valid"):
    """What `/control/tls` answers while a certificate is presented."""
    return {"certificate": certificate, "ca": Path(venue.tier()["tls"]["ca"]).read_text()}


@pytest.mark.parametrize("by", ["POST", "the command", "Python"])
def test_a_reset_brings_back_links_the_certificate_and_nonces(venue, reset, by):
    key = venue.next_account()
    rest = venue.tier("local")["rest"]

    def balance(nonce):
        body = f"nonce={nonce}".encode()
        path = "/0/private/Balance"
        signed = sign(base64.b64decode(key["secret"]), path, str(nonce), body)
        headers = {"API-Key": key["key"], "API-Sign": signed}
        call = urllib.request.Request(rest + path, body, headers, method="POST")
        with urllib.request.urlopen(call, timeout=PATIENCE_S) as answer:
            return json.loads(answer.read())["error"]

    assert balance(5) == []
    assert balance(4) == ["EAPI:Invalid nonce"]
    link(venue, "set", "us", "rtt=150ms")
    link(venue, "fail", "colo/A")
    link(venue, "play", "colo/B", "flap")
    request(venue, "PATCH", "/control/tls", {"certificate": "expired"})
    if by == "POST":
        assert request(venue, "POST", "/control/reset", {}) == (200, {"status": "ok"})
    elif by == "Python":
        Control(venue.endpoints["control"]).reset()
    else:
        words = [*COMMAND, "reset", "--control", venue.endpoints["control"]]
        subprocess.run(words, cwd=ROOT, env=environment(), timeout=60, check=True)
    assert [(row["changed"], row["playing"]) for row in link(venue, "show").values()] == [(False, None)] * 4
    assert request(venue, "GET", "/control/tls") == (200, shown(venue))
    assert balance(4) == []


# TLS


def test_the_certificate_of_a_running_venue_is_shown_and_changed(venue):
    assert request(venue, "GET", "/control/tls") == (200, shown(venue))
    try:
        changed = request(venue, "PATCH", "/control/tls", {"certificate": "untrusted"})
        assert changed == (200, shown(venue, "untrusted"))
        assert request(venue, "GET", "/control/tls") == changed
    finally:
        assert request(venue, "PATCH", "/control/tls", {"certificate": "valid"})[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "reason"),
    [
        (
            "PATCH",
            "/control/tls",
            {"certificate": "forged"},
            400,
            "certificate: unknown value 'forged'; there are: ",
        ),
        ("PATCH", "/control/tls", {"certificat": "valid"}, 400, "unknown field 'certificat', did you mean "),
        ("PATCH", "/control/tls", {}, 400, "certificate: missing; one of "),
        ("POST", "/control/tls", {}, 405, "the method must be GET or PATCH"),
        ("GET", "/control/tls/fix", None, 404, "not found; there is /control/tls"),
    ],
)
def test_what_tls_cannot_be_changed_to_is_refused(venue, method, path, body, status, reason):
    code, answer = request(venue, method, path, body)
    assert (code, reason in answer["error"]) == (status, True), answer
    assert request(venue, "GET", "/control/tls") == (200, shown(venue))
