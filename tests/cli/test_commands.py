"""The command line without a running venue: help, lists, settings, and everything that is refused."""

import os
import socket
import subprocess
import time
import tomllib

import pytest

from emulator import __version__, cli, settings
from emulator.link.ladder import RUNGS
from tests.running import COMMAND, ROOT, environment, kraken_emulator

QUICK_S = 15.0
"""Generous: the machine may be busy.  What is wrong must be said without waiting for anything."""


# -- what it says about itself ---------------------------------------------------------------------------


def test_help_names_every_command_and_every_setting():
    top = kraken_emulator("--help")
    assert top.returncode == 0
    assert all(name in top.stdout for name in cli._COMMANDS)
    up = kraken_emulator("up", "--help")
    names = {f"--{name.replace('_', '-')}" for name in settings.Settings.__struct_fields__}
    assert all(f"  {name} " in up.stdout for name in names | {"--config", "--json"})
    assert "KRAKEN_EMULATOR_" in up.stdout
    assert "--tiers-folder" in kraken_emulator("tiers", "--help").stdout
    assert kraken_emulator("version", "--help").returncode == 0


@pytest.mark.parametrize("buffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize(
    "words", ["tiers", "--help", "up --help", "version", "up --ports auto --market off --json"]
)
def test_a_pipe_that_nobody_reads_ends_it_without_a_word(tmp_path, words, buffered):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*COMMAND, *words.split()],
            cwd=ROOT,
            env=environment(PYTHONUNBUFFERED=buffered, XDG_DATA_HOME=str(tmp_path)),
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writing)
    # Unbuffered, argparse itself passes over what it could not print.
    assert done.returncode in ((141, 0) if buffered and "--help" in words else (141,))
    assert done.stderr == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_is_one_line():
    with open("/dev/full", "w") as full:
        done = subprocess.run([*COMMAND, "tiers"], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "No space left on device" in done.stderr


def test_version_is_printed_without_loading_what_only_the_venue_needs():
    done = subprocess.run(
        [COMMAND[0], "-X", "importtime", *COMMAND[1:], "version"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == f"kraken-emulator {__version__}\n"
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "emulator" in loaded
    assert not loaded & {"aiohttp", "asyncio", "msgspec", "trustme", "websockets"}


def test_doctor_tries_every_link_and_says_why_one_does_not_work():
    done = kraken_emulator("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    machine, empty, head, *rows = done.stdout.splitlines()
    assert f"{os.cpu_count()} CPUs" in machine
    assert not empty
    assert head.split() == ["link", "works", "here"]
    mends = [row for row in rows if row.strip().startswith("mend: ")]
    rows = [row for row in rows if row not in mends]
    assert [row.split()[0] for row in rows] == [rung.name for rung in RUNGS]
    assert bool(mends) == any(rung.works() for rung in RUNGS)
    for rung, row in zip(RUNGS, rows, strict=True):
        reason = rung.works()
        assert row.split()[1] == ("no" if reason else "yes")
        assert reason is None or row.endswith(reason)
    assert "what auto takes" in done.stdout


def test_tiers_lists_all_six_nearest_first(tmp_path):
    lines = kraken_emulator("tiers").stdout.splitlines()
    names = [line.split()[0] for line in lines]
    assert names[:2] == ["tier", "local"]
    assert set(names[2:4]) == {"beeks", "colo"}
    assert names[4:] == ["aws", "us", "tokyo"]
    assert "60 ms" in next(line for line in lines if line.startswith("us "))
    assert "estimated" in next(line for line in lines if line.startswith("tokyo "))

    own = (settings.PROFILES / "tiers" / "aws.toml").read_text().replace('name = "aws"', 'name = "mine"')
    (tmp_path / "mine.toml").write_text(own)
    assert "\nmine " in kraken_emulator("tiers", "--tiers-folder", str(tmp_path)).stdout


# -- refusals --------------------------------------------------------------------------------------------

ACCOUNT = '[[accounts]]\nname = "a"\n'
FILES = {
    "empty.toml": "",
    "broken.toml": "tier = [",
    "unknown_setting.toml": "speed = 9",
    "half_a_tier.toml": 'name = "mine"',
    "bad_balance.toml": f'{ACCOUNT}[accounts.balances]\nZUSD = "lots"\n',
    "debt.toml": f'{ACCOUNT}[accounts.balances]\nZUSD = "-5"\n',
    "bad_asset.toml": f'{ACCOUNT}[accounts.balances]\nGOLD = "1"\n',
    "bad_permission.toml": f'{ACCOUNT}permissions = ["everything"]\n',
    "number.toml": f"{ACCOUNT}[accounts.balances]\nZUSD = 1000\n",
    "twice.toml": ACCOUNT * 2,
    "the_markets.toml": '[[accounts]]\nname = "market"\n',
}
REFUSED = [
    ("up --tier nowhere", "unknown tier 'nowhere'; there are: aws, beeks, colo, local, tokyo, us"),
    ("up --tier us,us", "--tier us,us: us is given twice; a tier is opened once"),
    (
        "up --tiers-folder {0}/tiers",
        "half_a_tier.toml: title: missing; text of at least 1 characters is meant",
    ),
    ("up --tiers-folder {0}/none", "no such folder"),
    ("up --link carrier-pigeon", "unknown link 'carrier-pigeon'; there are: auto, "),
    ("up --market bull", "--market bull: one of synthetic, off is meant"),
    ("up --market-profile none", "unknown market profile 'none'; there are: default"),
    ("up --market-profile {0}/broken.toml", "broken.toml"),
    ("up --accounts none", "unknown accounts profile 'none'; there are: default"),
    ("up --accounts {0}/none.toml", "none.toml: No such file or directory"),
    ("up --accounts {0}/empty.toml", "empty.toml: accounts: missing; a list is meant"),
    ("up --accounts {0}/twice.toml", "account names must be unique"),
    ("up --accounts {0}/bad_balance.toml", "accounts[a].balances.ZUSD = 'lots': an amount"),
    (
        "up --accounts {0}/number.toml",
        'number.toml: accounts[a].balances.ZUSD = 1000: text is meant, in quotes: "1000"',
    ),
    ("up --accounts {0}/debt.toml", "accounts[a].balances.ZUSD = '-5': an amount"),
    ("up --accounts {0}/bad_asset.toml", "accounts[a].balances: unknown asset 'GOLD'; there are"),
    (
        "up --accounts {0}/bad_permission.toml",
        "accounts[a].permissions: unknown permission 'everything'; there are: ",
    ),
    ("up --accounts {0}/the_markets.toml", "account market: "),
    ("up --config {0}/none.toml", "none.toml: No such file or directory"),
    ("up --config {0}/broken.toml", "broken.toml: "),
    (
        "up --certificate forged",
        "--certificate forged: one of valid, wrong-name, expired, untrusted is meant",
    ),
    ("up --seed lucky", "--seed lucky: a whole number is meant"),
    ("up --http-port 70000", "--http-port 70000: a port from 0 to 65535 is meant"),
    ("up --ports fixed --http-port {port}", "port {port} on 127.0.0.1 is taken"),
    ("up --endpoints-file {0}/empty.toml/endpoints.json", "endpoints.json: Not a directory"),
    ("up --endpoints-file {0}", "Is a directory"),
    ("up --state-folder {0}/empty.toml/state", "cannot keep the certificate authority in "),
    ("up --state-folder {0}/damaged", "its files are damaged"),
    ("up --speed 9", "unrecognized arguments: --speed 9"),
    ("down", "invalid choice: 'down'"),
    ("", "the following arguments are required: COMMAND"),
    (
        "tiers --tiers-folder {0}/tiers",
        "half_a_tier.toml: title: missing; text of at least 1 characters is meant",
    ),
]


@pytest.fixture
def files(tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    for folder, names in {"tiers": ["half_a_tier.toml"], "damaged": ["ca.pem", "ca-key.pem"]}.items():
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).write_text(FILES.get(name, "not a certificate"))
    return tmp_path


@pytest.mark.parametrize(("line", "reason"), REFUSED, ids=[line for line, _ in REFUSED])
def test_what_cannot_be_done_is_said_in_one_line(files, line, reason):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        arguments = line.format(files, port=port).split()
        if arguments[:1] == ["up"]:
            arguments[1:1] = ["--ports", "auto", "--state-folder", str(files / "state")]
        before = sorted(files.rglob("*"))
        began = time.monotonic()
        done = kraken_emulator(*arguments)
    assert time.monotonic() - began < QUICK_S
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("kraken-emulator")
    assert reason.format(port=port) in done.stderr
    assert [path for path in sorted(files.rglob("*")) if "state" not in path.parts] == before


def test_an_endpoints_file_of_an_earlier_run_does_not_outlive_the_start_of_the_next(tmp_path):
    file = tmp_path / "endpoints.json"
    file.write_text("{}")
    places = ("--endpoints-file", str(file), "--state-folder", str(tmp_path / "state"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = kraken_emulator("up", "--market", "off", "--http-port", str(taken.getsockname()[1]), *places)
    assert done.returncode == 2
    assert not file.exists()


# -- settings --------------------------------------------------------------------------------------------


def test_settings_come_from_arguments_then_the_environment_then_the_file(tmp_path):
    config = tmp_path / "settings.toml"
    config.write_text('tier = ["us", "tokyo"]\nseed = 1\nmarket = "off"\nhttp_port = 1111\n')
    environ = {"KRAKEN_EMULATOR_SEED": "2", "KRAKEN_EMULATOR_HTTP_PORT": "2222", "OTHER": "x"}
    read = settings.load({"http_port": 3333, "seed": None}, environ, str(config))
    assert (read.tier, read.market, read.seed, read.http_port) == (("us", "tokyo"), "off", 2, 3333)
    assert read == settings.load({"http_port": 3333}, environ | {"KRAKEN_EMULATOR_CONFIG": str(config)})
    assert settings.load({"tier": "aws, colo"}, {}).tier == ("aws", "colo")
    assert settings.load({}, {}) == settings.Settings()


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({"SEED": "lucky"}, "KRAKEN_EMULATOR_SEED=lucky: a whole number is meant"),
        ({"TIER": ","}, "no tier"),
        ({"CONFIG": "none.toml"}, "none.toml: No such file"),
        ({"PORTS": "some"}, "KRAKEN_EMULATOR_PORTS=some: one of fixed, auto is meant"),
    ],
)
def test_bad_settings_in_the_environment_are_named(environ, reason):
    prefixed = {settings.ENVIRONMENT + name: value for name, value in environ.items()}
    with pytest.raises(settings.SettingsError, match=reason):
        settings.load({}, prefixed)


def test_unknown_names_in_a_settings_file_are_refused(tmp_path):
    (tmp_path / "settings.toml").write_text(FILES["unknown_setting.toml"])
    with pytest.raises(
        settings.SettingsError,
        match=r"settings.toml, line 1: unknown setting 'speed', did you mean 'seed'\? There are: tier",
    ):
        settings.load({}, {}, str(tmp_path / "settings.toml"))


def test_an_interrupt_while_starting_is_no_traceback(monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setitem(cli._COMMANDS, "version", interrupted)
    with pytest.raises(SystemExit) as ended:
        cli.main(["version"])
    assert ended.value.code == 130


def test_the_wheel_carries_the_profiles():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["scripts"] == {"kraken-emulator": "emulator.cli:main"}
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["only-include"] == ["emulator", "kraken_emulator_pytest.py"]
    # settings looks there first, then at the top of a checkout
    assert wheel["force-include"] == {"profiles": settings._PACKED.relative_to(ROOT).as_posix()}
    for kind, name in {"tiers": "tokyo", "accounts": "default", "market": "default"}.items():
        assert settings.profile(kind, name).is_file()
    assert (settings.PROFILES / "instruments" / "spot.json").is_file()
