"""docker/: what its files name is there, whatever engine runs them."""

import re
import subprocess
import sys
import tomllib

import pytest
from ruamel.yaml import YAML

from emulator.addresses import name_of
from emulator.gateways.hosts import HOSTNAMES
from emulator.link.tiers import load_tiers
from emulator.settings import ENVIRONMENT, PROFILES, Settings, load
from tests.running import ROOT

DOCKER = ROOT / "docker"
FILES = ["compose.yaml", "compose.packets.yaml"]
OF_COMMANDS = {"KRAKEN_EMULATOR_ENDPOINTS"}


def read(name):
    return YAML(typ="safe", pure=True).load(DOCKER / name)


def filled(text):
    """What stands there where no variable is set."""
    return re.sub(r"\$\{\w+:-(.*?)\}", r"\1", text)


@pytest.fixture
def compose():
    return read("compose.yaml")


@pytest.mark.parametrize("name", FILES)
def test_compose_files_are_valid(name):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, str(DOCKER / name)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_each_path_of_each_tier_is_a_network_with_krakens_hostnames(compose):
    venue = compose["services"]["kraken"]
    host = venue["environment"]["KRAKEN_EMULATOR_HOST"]
    tiers = load_tiers(PROFILES / "tiers")
    for tier in tiers.values():
        for path in tier.paths:
            name = name_of(host, tier, path)
            network = name.partition(".")[0]
            assert venue["networks"][network]["aliases"] == [name, *HOSTNAMES]
            assert (compose["networks"][network] or {}).get("internal", False) is (network != "local")
    offered = set(
        venue["environment"]["KRAKEN_EMULATOR_TIER"].removeprefix("${TIERS:-").strip("}").split(",")
    )
    assert offered == set(tiers)
    assert venue["networks"].keys() == compose["networks"].keys()


@pytest.mark.parametrize("name", [*FILES, "Dockerfile", "clients/trusting"])
def test_every_variable_is_a_setting(name):
    named = set(re.findall(rf"{ENVIRONMENT}[A-Z_]+", (DOCKER / name).read_text())) - OF_COMMANDS
    known = {ENVIRONMENT + field.upper() for field in Settings.__struct_fields__}
    assert named <= known


def test_the_settings_of_the_compose_file_can_be_used(compose):
    environment = compose["services"]["kraken"]["environment"]
    settings = load({}, {name: filled(value) for name, value in environment.items()})
    assert (settings.http_port, settings.tls_port, settings.rate_limits) == (80, 443, "on")


def test_published_ports_are_for_this_machine_only_and_are_the_usual_ones(compose):
    usual = {Settings().http_port: 80, Settings().tls_port: 443}
    for published in compose["services"]["kraken"]["ports"]:
        address, outside, inside = filled(published).split(":")
        assert address == "127.0.0.1"
        assert int(inside) == usual.get(int(outside), int(outside))


def test_the_demo_takes_nobody_elses_volumes_away():
    done = subprocess.run(
        ["make", "-n", "demo", "COMPOSE=compose"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    removed = re.findall(r"[^;]* down --volumes", done.stdout)
    assert removed
    assert all("-p kraken-demo " in command for command in removed)


def test_the_image_is_made_of_what_the_wheel_needs_and_python_that_is_supported():
    ignored = (ROOT / ".dockerignore").read_text()
    dockerfile = (DOCKER / "Dockerfile").read_text()
    for copied in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE):
        for path in copied.split():
            assert (ROOT / path).exists()
            assert f"!{path}\n" in ignored
    version = re.search(r"^ARG PYTHON=(\S+)$", dockerfile, re.MULTILINE)[1]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    least = project["requires-python"].removeprefix(">=")
    assert tuple(map(int, version.split("."))) >= tuple(map(int, least.split(".")))


def test_the_demo_clients_library_versions_are_those_that_the_project_pins():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (pinned,) = [line for line in project["dependencies"] if line.startswith("quickfix")]
    assert pinned in (DOCKER / "clients" / "Dockerfile").read_text()
