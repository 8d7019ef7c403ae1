"""What is told of a running emulator: accounts, endpoints, mapped ports, and where files are."""

import http.client
import json
import socket
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from emulator import arguments, endpoints
from emulator.advertised import Advertised
from emulator.settings import PROFILES, Settings, SettingsError, load, strangers
from tests.running import kraken_emulator, running


@pytest.fixture(scope="module")
def venue():
    with running("--tier", "us,colo", "--market", "off", "--proxy", "--link", "stream") as started:
        yield started


def shown(venue, *words):
    done = kraken_emulator(*words, "--control", venue.endpoints["control"])
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_accounts_shows_every_key_of_every_account(venue):
    accounts = venue.endpoints["accounts"]
    head, *rows = [line.split() for line in shown(venue, "accounts").splitlines()]
    assert head[:2] == ["account", "for"]
    assert [row[0] for row in rows] == [account["name"] for account in accounts for _ in ("spot", "fix")]
    bob = accounts[1]
    assert rows[2] == ["bob", "spot", bob["spot"]["key"], bob["spot"]["secret"]]
    assert rows[3] == ["bob", "fix", "BOB", bob["fix"]["key"], bob["fix"]["secret"]]
    assert json.loads(shown(venue, "accounts", "--json")) == accounts
    assert json.loads(shown(venue, "accounts", "bob", "--json")) == [bob]
    assert "alice" not in shown(venue, "accounts", "bob")


def test_endpoints_shows_every_address_of_every_path(venue):
    tiers = venue.endpoints["tiers"]
    text = shown(venue, "endpoints")
    rows = [line.split() for line in text.splitlines()]
    assert {row[0] for row in rows[1:-1]} == {"us", "colo/A", "colo/B"}
    assert rows[-1][-1] == venue.endpoints["control"]
    for tier in (tiers["us"], *tiers["colo"]["paths"].values()):
        for address in (tier["rest"], tier["ws"], tier["tls"]["ws"], tier["proxy"], *tier["fix"].values()):
            assert address in text
    assert f"{tiers['us']['ws']}/v2" in text.split()
    told = json.loads(shown(venue, "endpoints", "--json"))
    assert told == {"tiers": tiers, "control": venue.endpoints["control"]}
    assert json.loads(shown(venue, "endpoints", "us", "--json"))["tiers"] == {"us": tiers["us"]}


def test_keys_of_an_account_besides_the_first_are_shown_too():
    from emulator.control.shown import account_rows

    rows = account_rows(
        [{"name": "a", "spot": {"key": "k", "secret": "s"}, "keys": {"watch": {"key": "l", "secret": "t"}}}]
    )
    assert rows[1:] == [("a", "spot", "", "k", "s"), ("a", "watch", "", "l", "t")]


def test_paths_tells_where_files_are(tmp_path):
    done = kraken_emulator(
        "paths", "--json", "--state-folder", str(tmp_path), KRAKEN_EMULATOR_ENDPOINTS_FILE="e.json"
    )
    told = json.loads(done.stdout)
    assert tuple(told) == arguments.PATHS
    assert told["dictionary"] == str(PROFILES / "fix" / "KRAKEN-FIX44.xml")
    assert (told["ca"], told["endpoints"], told["config"]) == (f"{tmp_path}/ca.pem", "e.json", "")
    assert kraken_emulator("paths", "dictionary").stdout == told["dictionary"] + "\n"
    lines = kraken_emulator("paths").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(arguments.PATHS)


def test_version_is_an_option_too():
    assert kraken_emulator("--version").stdout == kraken_emulator("version").stdout


# -- mapped ports ----------------------------------------------------------------------------------------


def endpoint(**more):
    about = {"tier": "us", "path": "direct", "rung": "stream", "rtt_us": 1.0, "host": "10.0.0.2"}
    return endpoints.Endpoint(**about, http_port=80, tls_port=443, fix_ports={"spot_md": 4000}, **more)


def test_mapped_ports_are_told_as_clients_outside_see_them():
    advertised = Advertised(["127.0.0.1:17480:80", "14000:4000/tcp", "[::1]:17443:443"], ["us"])
    (seen,) = advertised.seen([endpoint()], "gateway")
    assert seen.urls["rest"] == "http://127.0.0.1:17480"
    assert seen.tls_urls["ws"] == "wss://[::1]:17443"
    assert seen.fix == {"spot_md": "gateway:14000"}
    (seen,) = advertised.seen([endpoint()])
    assert seen.fix == {"spot_md": "10.0.0.2:14000"}
    assert Advertised(["0.0.0.0:1:80"], ["us"]).seen([endpoint()], "here")[0].urls["rest"] == "http://here:1"


def test_a_mapped_port_may_be_one_tiers_or_one_paths():
    of_us = Advertised(["us=1:80"], ["us", "colo"])
    assert of_us.seen([endpoint()])[0].urls["rest"] == "http://10.0.0.2:1"
    of_b = Advertised(["us/b=1:80"], ["us"])
    assert of_b.seen([endpoint()])[0].urls["rest"] == "http://10.0.0.2:80"
    with pytest.raises(SettingsError, match="unknown tier 'uss', did you mean 'us'"):
        Advertised(["uss=1:80"], ["us"])


@pytest.mark.parametrize("text", ["", "80", "a:b", "1:2:3:4", "0:80", "70000:80", "us=", "::1:1:80"])
def test_what_is_no_mapped_port_is_refused(text):
    with pytest.raises(SettingsError, match="OUTSIDE:INSIDE is meant"):
        Advertised([text], ["us"])


@pytest.mark.parametrize(
    ("mapped", "name", "port", "outside"),
    [
        (["1:80"], "localhost", 7490, True),  # the control API is not mapped: all are told what is
        (["17490:7490"], "127.0.0.1", 17490, True),
        (["17490:7490"], "kraken", 7490, False),  # another container
        (["127.0.0.1:7490:7490"], "localhost", 7490, True),
        (["127.0.0.1:7490:7490"], "kraken", 7490, False),
        ([], "127.0.0.1", 7490, False),
    ],
)
def test_who_asks_from_outside_is_known_by_the_place_that_was_asked(mapped, name, port, outside):
    assert Advertised(mapped, []).asked_outside(name, port, 7490) is outside


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def asked(control, host):
    """Ask by a Host header, as through a mapped port."""
    with closing(http.client.HTTPConnection(urlsplit(control).netloc, timeout=20)) as connection:
        connection.request("GET", "/control/endpoints", headers={"Host": host})
        return json.load(connection.getresponse())


def test_control_endpoints_tells_mapped_ports_outside_and_the_file_tells_those_inside():
    plain, control = free_ports(2)
    ports = ("--ports", "fixed", "--http-port", str(plain), "--control-port", str(control), "--tls-port", "0")
    mapped = f"17480:{plain},127.0.0.1:17490:{control}"
    with running("--advertise", mapped, "--market", "off", "--fix", "off", *ports) as venue:
        inside = venue.endpoints
        assert inside["tiers"]["local"]["rest"] == f"http://127.0.0.1:{plain}"
        outside = asked(inside["control"], "127.0.0.1:17490")
        assert outside["tiers"]["local"]["rest"] == "http://127.0.0.1:17480"
        assert outside["tiers"]["local"]["tls"]["rest"] == inside["tiers"]["local"]["tls"]["rest"]
        assert outside["control"] == "http://127.0.0.1:17490"
        assert asked(inside["control"], f"127.0.0.1:{control}") == inside
        assert "REST       http://127.0.0.1:17480" in venue.stdout()
        assert "control  http://127.0.0.1:17490" in venue.stdout()


# -- variables -------------------------------------------------------------------------------------------


def test_variables_that_are_no_settings_are_told_and_those_nearly_settings_refused():
    done = kraken_emulator("tiers", KRAKEN_EMULATOR_COLOUR="red")
    assert (done.returncode, done.stderr) == (
        0,
        "warning: KRAKEN_EMULATOR_COLOUR: no such setting, ignored\n",
    )
    done = kraken_emulator("tiers", KRAKEN_EMULATOR_TEIR="us")
    assert done.returncode == 2
    assert "KRAKEN_EMULATOR_TEIR: there is no such setting, did you mean KRAKEN_EMULATOR_TIER?" in done.stderr


def test_variables_that_programs_set_are_no_strangers():
    ours = ("SEED", "CONFIG", "CONTROL", "ENDPOINTS", "ENDPOINTS_FILE", "GUARD", "LOG_LEVEL")
    # What Kubernetes and Docker set beside a service of this name.
    services = (
        "SERVICE_HOST",
        "SERVICE_PORT",
        "SERVICE_PORT_REST",
        "PORT",
        "PORT_7480_TCP",
        "PORT_7480_TCP_ADDR",
        "NAME",
    )
    environ = {f"KRAKEN_EMULATOR_{name}": "x" for name in (*ours, *services)}
    assert strangers(environ) == []
    assert (
        load({}, {name: "x" for name in environ if name.rpartition("EMULATOR_")[2] in services}) == Settings()
    )
