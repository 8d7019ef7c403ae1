"""The venue for clients that are not on this machine: addresses, names, trust, health."""

import asyncio
import json
import os
import socket
import ssl
import subprocess
import urllib.request

import pytest

from emulator import addresses
from emulator.endpoints import EndpointsFile
from emulator.settings import SettingsError, load
from emulator.testing import Emulator, EmulatorError
from tests.running import COMMAND, ROOT, START_S, STOP_S, environment, kraken_emulator, running, wait_until

NAMES = {"local.venue.test": "127.0.0.2", "colo.venue.test": "127.0.0.3", "colo-b.venue.test": "127.0.0.4"}


def get(url, host=None):
    """Answer of a GET that calls the machine by another name."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, headers={"Host": host} if host else {})
    with opener.open(request, timeout=20) as answer:
        return json.loads(answer.read())


@pytest.fixture
def names(monkeypatch):
    """A name server that knows NAMES, and learns what is added."""
    known, resolve = dict(NAMES), socket.getaddrinfo

    def lookup(host, *rest, **more):
        if host.endswith(".venue.test"):
            if host not in known:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            host = known[host]
        return resolve(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return known


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.2", 0)) for _ in range(count)]
    try:
        return [end.getsockname()[1] for end in sockets]
    finally:
        for end in sockets:
            end.close()


def test_each_path_has_the_address_of_its_name_and_all_use_the_same_ports(names):
    http, tls = free_ports(2)
    settings = {"ports": "fixed", "http_port": http, "tls_port": tls, "control_port": 0, "fix": "off"}
    with Emulator(tier="local,colo", host="{tier}.venue.test", **settings) as kraken:
        tiers = kraken.endpoints["tiers"]
        assert tiers["local"]["rest"] == f"http://127.0.0.2:{http}"
        assert tiers["colo"]["tls"]["ws"] == f"wss://127.0.0.3:{tls}"
        assert tiers["colo"]["paths"]["B"]["rest"] == f"http://127.0.0.4:{http}"
        for tier in (tiers["local"], tiers["colo"], tiers["colo"]["paths"]["B"]):
            assert get(tier["rest"] + "/0/public/Time")["error"] == []


def test_a_name_that_comes_to_be_known_is_waited_for(names, monkeypatch):
    async def found():
        asyncio.get_running_loop().call_later(0.05, names.__setitem__, "late.venue.test", "127.0.0.9")
        return await addresses._address("late.venue.test")

    assert asyncio.run(found()) == "127.0.0.9"


def test_a_name_without_an_address_is_said_in_one_line(names, monkeypatch):
    monkeypatch.setattr(addresses, "FOUND_WITHIN_S", 0)
    reason = r"^host: us\.venue\.test has no IPv4 address: Name or service not known$"
    with pytest.raises(EmulatorError, match=reason), Emulator(tier="us", host="{tier}.venue.test"):
        pass


@pytest.mark.parametrize("host", ["{path}.venue.test", "{tier}.{}", "{"])
def test_nothing_but_the_tier_stands_in_braces(host):
    with pytest.raises(SettingsError, match=r"only \{tier\} can stand in braces"):
        load({"host": host}, {})


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory):
    """An emulator as in a container: it listens on every address."""
    folder = tmp_path_factory.mktemp("trust") / "for clients"
    arguments = ("--host", "0.0.0.0", "--control-host", "0.0.0.0", "--tls-names", "kraken,venue.example")
    with running("--market", "off", "--trust-folder", str(folder), *arguments) as venue:
        yield venue, folder


@pytest.mark.parametrize(
    "name", ["kraken", "10.1.2.3", "[fd00::1]", "venue.example", "a.internal", "localhost"]
)
def test_endpoints_are_told_by_the_name_that_was_asked(everywhere, name):
    venue, _ = everywhere
    control = venue.endpoints["control"].rpartition(":")[2]
    told = get(f"http://127.0.0.1:{control}/control/endpoints", f"{name}:{control}")
    tier, own = told["tiers"]["local"], venue.tier("local")
    assert tier["rest"] == own["rest"].replace("127.0.0.1", name)
    assert tier["fix"]["spot_md"] == own["fix"]["spot_md"].replace("127.0.0.1", name)
    assert told["control"] == f"http://{name}:{control}"


@pytest.mark.parametrize("name", ["evil.example", "api.kraken.com", ""])
def test_a_page_of_the_world_cannot_call_the_control_api_by_its_own_name(everywhere, name):
    venue, _ = everywhere
    control = int(venue.endpoints["control"].rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", control), 20) as client:
        client.sendall(f"GET /control/endpoints HTTP/1.1\r\nHost: {name}:{control}\r\n\r\n".encode())
        assert client.recv(65_536).startswith(b"HTTP/1.1 403 ")


def test_the_warnings_say_who_may_do_what(everywhere):
    venue, _ = everywhere
    assert "warning: listening on 0.0.0.0: whoever reaches it can use the demo keys\n" in venue.output()
    assert "warning: listening on 0.0.0.0: whoever reaches it can do everything\n" in venue.output()


@pytest.mark.parametrize("name", ["kraken", "venue.example", "api.kraken.com", "127.0.0.1"])
def test_clients_elsewhere_trust_what_the_trust_folder_holds(everywhere, name):
    venue, folder = everywhere
    port = int(venue.tier("local")["tls"]["rest"].rpartition(":")[2])
    assert venue.tier("local")["tls"]["ca"] == str(folder / "ca.pem")
    assert get(venue.endpoints["control"] + "/control/tls")["ca"] == (folder / "ca.pem").read_text()
    for file in ("ca.pem", "bundle.pem"):
        assert (folder / file).stat().st_mode & 0o777 == 0o644
        trusting = ssl.create_default_context(cafile=folder / file)
        with (
            socket.create_connection(("127.0.0.1", port), 20) as plain,
            trusting.wrap_socket(plain, server_hostname=name),
        ):
            pass


def test_a_trust_folder_that_cannot_be_made_is_said_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    done = kraken_emulator(
        "up", "--ports", "auto", "--link", "none", "--trust-folder", str(tmp_path / "file" / "x")
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("kraken-emulator: error: --trust-folder ")
    assert "Traceback" not in done.stderr


def test_health_is_good_when_the_venue_answers_and_else_says_what_to_do(everywhere):
    venue, _ = everywhere
    assert kraken_emulator("health", "--control", venue.endpoints["control"]).returncode == 0
    (port,) = free_ports(1)
    done = kraken_emulator("health", KRAKEN_EMULATOR_CONTROL=f"http://127.0.0.2:{port}")
    assert done.returncode == 2
    assert done.stderr.startswith(
        f"kraken-emulator: error: no emulator answers at http://127.0.0.2:{port} (KRAKEN_EMULATOR_CONTROL="
    )


def test_health_asks_the_emulator_whose_settings_it_shares(everywhere, tmp_path):
    venue, _ = everywhere  # at a port of its own
    file = tmp_path / "endpoints.json"
    (port,) = free_ports(1)
    unreachable = {"KRAKEN_EMULATOR_CONTROL": f"http://127.0.0.2:{port}"}
    file.write_text(json.dumps(venue.endpoints))
    assert kraken_emulator("health", KRAKEN_EMULATOR_ENDPOINTS_FILE=str(file)).returncode == 0
    assert kraken_emulator("health", KRAKEN_EMULATOR_ENDPOINTS_FILE=str(file), **unreachable).returncode == 2


def test_health_waits_for_a_venue_that_is_starting(tmp_path):
    file = tmp_path / "endpoints.json"
    waiting = subprocess.Popen(
        [*COMMAND, "health", "--wait", "60", "--endpoints-file", str(file)], cwd=ROOT, env=environment()
    )
    try:
        with running("--market", "off") as venue:
            assert waiting.poll() is None  # there was no file yet
            file.write_text(json.dumps(venue.endpoints))
            assert waiting.wait(60) == 0
    finally:
        waiting.kill()
        waiting.wait()


def test_the_endpoints_file_is_there_while_the_venue_is(tmp_path):
    file = tmp_path / "endpoints.json"
    process = subprocess.Popen(
        [*COMMAND, "up", "--market", "off", "--ports", "auto", "--endpoints-file", str(file)],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until(file.exists, START_S, "the endpoints file")
        process.terminate()
        assert process.wait(STOP_S) == 0
        assert not file.exists()
    finally:
        process.kill()
        process.wait()


def test_an_endpoints_file_that_another_venue_wrote_meanwhile_stays(tmp_path):
    path = tmp_path / "endpoints.json"
    file = EndpointsFile(str(path))
    file.write({})
    path.write_bytes(b"another's")
    file.withdraw()
    assert path.read_bytes() == b"another's"


def mode(path):
    return path.stat().st_mode & 0o777


def test_files_with_keys_are_their_owners_only_but_where_clients_of_others_look(tmp_path):
    path = tmp_path / "endpoints.json"
    path.write_bytes(b"of an earlier version")
    path.chmod(0o666)
    before = os.umask(0)
    try:
        EndpointsFile(str(path)).write({})
        assert mode(path) == 0o600
        partial = path.with_name(f".{path.name}.{os.getpid()}")  # left by one that was killed
        partial.write_bytes(b"")
        EndpointsFile(str(path), str(tmp_path / "elsewhere")).write({})
        assert mode(path) == 0o600
        EndpointsFile(str(path), str(tmp_path)).write({})
        assert mode(path) == 0o644
    finally:
        os.umask(before)
