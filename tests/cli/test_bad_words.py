"""Bad command lines, over every command and every option: one line with what was said and what is meant."""

import argparse

import pytest

from emulator import arguments, cli, ports
from emulator.link.tiers import load_tiers
from emulator.settings import PROFILES, Settings, SettingsError
from tests.running import kraken_emulator, running

ANYTHING = {
    "--json",
    "--quick",
    "--loop",
    "--rotate",
    "--quiet",
    "--allow-internet",
    "--version",
    "--help",
    "--no-advisories",
}
"""Options without a value."""
SWITCHES = {"--enforce-access", "--raw-delay", "--proxy", "--state"}
"""Those that are settings too, so that a variable can give them a bad value."""

# Of each option: a bad value, and what the line says of it besides the option's name and the value itself.
SETTINGS = {
    "--tier": [
        ("tokio", "did you mean 'tokyo'? There are: aws, "),
        ("us,us", "us is given twice"),
        (",", "no tier"),
        ("", "--tier '': no tier given"),
        ("us,,tokyo", "nothing stands beside a comma; tiers by name are meant"),
    ],
    "--link": [
        ("strem", "did you mean 'stream'? There are: auto, netem, "),
        ("", "--link '': unknown link ''; there are"),
    ],
    "--provider": [("bos", "there are: avelacom, beeks, bso")],
    "--allow-source": [("10.0.0", "does not appear to be an IPv4 or IPv6 network")],
    "--seed": [("lucky", "a whole number is meant"), ("1.5", "a whole number is meant")],
    "--market": [("bull", "one of synthetic, off is meant")],
    "--market-profile": [("none", "there are: default"), ("none.toml", "No such file")],
    "--accounts": [("none", "there are: default"), ("none.toml", "No such file")],
    "--instruments": [("krakn", "did you mean 'kraken'?"), ("none.toml", "No such file")],
    "--funding": [("none", "there are: default"), ("none.toml", "No such file")],
    "--earn": [("none", "there are: default"), ("none.toml", "No such file")],
    "--host": [
        ("999.1.1.1", "--host 999.1.1.1: "),
        ("8.8.8.8", "--host 8.8.8.8: cannot be listened at: Cannot assign requested address"),
        ("{path}.test", "only {tier} can stand in braces"),
    ],
    "--tls-names": [
        ("a..b", "'a..b' is none; names are meant"),
        ("*", "names are meant"),
        ("-x", "names are meant"),
    ],
    "--ports": [("some", "one of fixed, auto is meant")],
    "--http-port": [
        ("80000", "a port from 0 to 65535 is meant"),
        ("-1", "from 0 to 65535"),
        ("http", "a port from"),
    ],
    "--tls-port": [("80000", "a port from 0 to 65535 is meant")],
    "--control-port": [("80000", "a port from 0 to 65535 is meant")],
    "--proxy-port": [("80000", "a port from 0 to 65535 is meant")],
    "--fix-port": [("80000", "a port from 0 to 65535 is meant")],
    "--control-host": [
        ("999.1.1.1", "cannot be listened at: "),
        ("8.8.8.8", "--control-host 8.8.8.8: cannot be listened at: Cannot assign requested address"),
    ],
    "--fix": [("maybe", "one of on, off is meant")],
    "--fix-tls": [("maybe", "one of optional, only is meant")],
    "--fix-logon": [("maybe", "one of reject, displace is meant")],
    "--endpoints-file": [
        ("/dev/null/file", "Not a directory"),
        ("/nowhere/file", "No such file"),
        ("/tmp", "Is a directory"),
    ],
    "--tiers-folder": [("/nowhere", "no such folder")],
    "--state-folder": [("/dev/null/folder", "Not a directory"), ("/etc/passwd", "it is no folder")],
    "--trust-folder": [("/dev/null/folder", "Not a directory"), ("/etc/passwd", "it is no folder")],
    "--rate-limits": [("maybe", "one of on, off is meant")],
    "--certificate": [("forged", "one of valid, wrong-name, expired, untrusted is meant")],
    "--post-only": [("maybe", "one of cancel, reject is meant")],
    "--pair-fees": [("maybe", "one of empty, schedules is meant")],
    "--slashed-pairs": [("maybe", "one of modern, any is meant")],
    "--ticker": [("maybe", "one of trades, volume_usd is meant")],
    "--status-advisories": [("maybe", "one of on, off is meant")],
    "--advertise": [
        ("7480", "--advertise 7480: '7480' is none: [TIER=][HOST:]OUTSIDE:INSIDE is meant"),
        ("us=1:2", "unknown tier 'us'; there are: local"),
    ],
    "--log-level": [("loud", "one of debug, info, warning, error is meant")],
    "--config": [
        ("/nowhere.toml", "--config /nowhere.toml: No such file"),
        ("", "--config '': a file is meant"),
    ],
}
URL = [
    ("7490", "an address is meant, for example http://127.0.0.1:7490"),
    ("http://127.0.0.1:99999", "an address is meant"),
    ("http://127.0.0.1:port", "an address is meant"),
    ("https://127.0.0.1:7490", "an address is meant"),
    ("http://127.0.0.1:1", "no emulator answers"),
    ("", "--control '': an address is meant"),
]
CONTROL = {
    "--control": URL,
    "--endpoints-file": [
        ("/nowhere.json", "--endpoints-file /nowhere.json: no endpoints file with a control address"),
        ("", "--endpoints-file '': no endpoints file"),
    ],
}
REFUSED: dict[str, dict[str, list[tuple[str, str]]]] = {
    "up": SETTINGS,
    "run": SETTINGS,  # the same, so only a few are tried
    "link": CONTROL,
    "venue": {
        **CONTROL,
        "--pair": [("XBTUSX", "did you mean 'BTC/USD'? There are 51, BTC/USD, ")],
        "--maintenance-in": [
            *((bad, "a duration is meant, for example 90s") for bad in ("soon", "nan", "-1h")),
            *((bad, "a time within a year is meant, more than 0") for bad in ("99999999d", "0s")),
        ],
        "--emergency": [("", "a title of 1 to 200 characters is meant")],
    },
    "accounts": CONTROL,
    "endpoints": CONTROL,
    "deposit": {**CONTROL, "--method": [("pigeon", "unknown method 'pigeon'")]},
    "clock": CONTROL,
    "reset": CONTROL,
    "health": {**CONTROL, "--wait": [(bad, "seconds are meant") for bad in ("soon", "nan", "inf", "-1")]},
    "env": {
        **CONTROL,
        "--tier": [("mars", "there are: us, local")],
        "--shell": [("zsh", "there are: sh, fish, ")],
    },
    "measure": {
        "--tier": [("tokio", "did you mean 'tokyo'? There are: ")],
        "--link": [("strem", "did you mean 'stream'? There are: ")],
        "--samples": [(bad, "a number from 2 to 100000 is meant") for bad in ("many", "1", "100001", "1e3")],
        "--market": [("bull", "one of synthetic, off is meant")],
        "--output": [
            ("/dev/null/there", "cannot be written: Not a directory"),
            ("/dev/null", "cannot be written"),
        ],
        "--tiers-folder": [("/nowhere", "no such folder")],
    },
    "ca": {
        "--bundle": [("/nowhere/bundle.pem", "No such file")],
        "--state-folder": [("/dev/null/folder", "Not a directory")],
    },
    "paths": {
        "--config": [("/nowhere.toml", "No such file")],
        "--tiers-folder": [("/nowhere", "no such folder")],
        "--state-folder": [],  # any is told
        "--endpoints-file": [],
    },
    "tiers": {"--tiers-folder": [("/nowhere", "no such folder")]},
    "doctor": {},
    "version": {},
}
FURTHER = {
    "link": ["show"],
    "deposit": ["alice", "BTC", "1"],
    "venue": ["online"],
    "run": ["--", "true"],
}
"""What a command needs besides."""
WORDS = [
    ("link shwo us", ["shwo", "show, set, fail"]),
    ("link set", ["link set: TIER[/PATH] is missing"]),
    ("link set us", ["NAME=VALUE is missing, for example rtt=200ms"]),
    ("link set us rtt", ["'rtt': NAME=VALUE is meant"]),
    ("link set us foo=1", ["foo=1: unknown name 'foo'; there are: rtt, one_way, jitter, loss, "]),
    ("link set us los=1%", ["los=1%: unknown name 'los', did you mean 'loss'?"]),
    ("link set us loss=200%", ["loss=200%: a share from 0 to 1"]),
    ("link set us loss=nan", ["loss=nan: a number is meant, with a unit of: %"]),
    ("link set us rtt=-1ms", ["rtt=-1ms: a number is meant, with a unit of: us, µs, ms, s"]),
    ("link set us rtt=1.2.3ms", ["rtt=1.2.3ms: not a number"]),
    ("link set us rtt=200", ["rtt=200: a number is meant, with a unit of"]),
    ("link set us rtt=99999s", ["us"]),
    ("link set us rate=fast", ["rate=fast: a number is meant, with a unit of: bit"]),
    ("link set us jitter=1ms", ["jitter=1ms: p50/p99/p999 are meant"]),
    ("link set us down=maybe", ["down=maybe: true or false is meant"]),
    ("link set us to_venu.loss=1%", ["unknown direction 'to_venu', did you mean 'to_venue'?"]),
    ("link set us to_venue.rtt=1ms", ["to_venue.rtt=1ms: rtt is of both directions"]),
    ("link set uss rtt=1ms", ["unknown path 'uss'", "us/"]),
    ("link show a/b/c", ["a tier and a path are meant at most"]),
    ("link fail us now", ["link fail us: nothing is meant by now"]),
    ("link play us", ["a schedule is missing"]),
    ("link play us rerute", ["unknown schedule 'rerute', did you mean 'reroute'? There are: congestion"]),
    ("link play us nowhere.toml", ["nowhere.toml: No such file"]),
    ("link play us /etc/passwd", ["link play /etc/passwd: a file's name ends in .toml or .csv"]),
    ("link play us flap --loop", ["--loop: a trace is played"]),
    ("venue limit_only", ["status 'limit_only': a pair can have it, the venue cannot: name one (--pair)"]),
    ("venue onlin", ["unknown status 'onlin', did you mean 'online'? There are: "]),
    ("venue --emergency=" + "x" * 201, ["a title of 1 to 200 characters is meant"]),
    ("venue --emergency=fire --no-advisories", ["--no-advisories: ", "nothing can be announced beside it"]),
    ("venue --emergency=fire --pair XBTUSD", ["emergency: the venue has them, a pair has not"]),
    ("deposit nobody BTC 1", ["unknown account 'nobody'; there are: alice, bob, carol"]),
    ("deposit alicia BTC 1", ["did you mean 'alice'?"]),
    ("deposit alice DOG 1", ["unknown asset 'DOG'"]),
    ("deposit alice BTC lots", ["amount: 'lots' is not an amount of XBT"]),
    ("deposit alice BTC -1", ["amount: '-1' is not an amount of XBT: more than 0, with at most 10 decimals"]),
    ("deposit alice BTC", ["required: AMOUNT"]),
    ("accounts alise", ["unknown account 'alise', did you mean 'alice'? There are: "]),
    ("endpoints tokyo", ["unknown tier 'tokyo'; there are: us, local"]),
    ("clock step", ["clock step: a duration is missing, for example 1h30m"]),
    ("clock step soon", ["clock step 'soon': a duration is meant, for example 90s"]),
    ("clock step 400d", ["a year"]),
    ("clock scale", ["clock scale: a number is missing"]),
    ("clock scale -1", ["scale: from 0 to 1000 is meant, not -1"]),
    ("clock scale nan", ["clock scale 'nan': a number is meant"]),
    ("clock show 1h", ["clock show: nothing is meant by 1h"]),
    ("clock stop", ["stop", "show, step, scale"]),
    ("paths dictionry", ["dictionry", "dictionary, profiles"]),
    ("paths config", ["paths config: there is none"]),
    ("run --tier us", ["no COMMAND: kraken-emulator run --tier tokyo -- python bot.py"]),
    ("up --sed 7", ["unrecognized arguments: --sed 7; did you mean --seed?"]),
    (
        "up --port 7481",
        ["unrecognized arguments: --port 7481; did you mean --ports or --http-port or --tls-"],
    ),
    (
        "measure --sample 7 --speed 9",
        ["unrecognized arguments: --sample 7 --speed 9; did you mean --samples?"],
    ),
    (
        "venue --endpoints f.json",
        ["did you mean --endpoints-file?"],
    ),
    ("run true", ["put -- before the command: kraken-emulator run [OPTIONS] -- true …"]),
    (
        "run --tier us python bot.py -- x",
        ["put -- before the command: kraken-emulator run [OPTIONS] -- pyth"],
    ),
    ("up --http-port 65500 --tier us,tokyo --ports fixed --link none", ["port 65600: ports go up to 65535"]),
    ("env --spead", ["unrecognized arguments: --spead"]),
]


def commands() -> dict[str, argparse.ArgumentParser]:
    return arguments.subparsers(arguments.parser())


def options(command: argparse.ArgumentParser) -> set[str]:
    """Give the options that take a value."""
    return {
        text
        for action in command._actions
        for text in action.option_strings
        if text.startswith("--") and action.nargs != 0
    }


@pytest.fixture(scope="module")
def venue():
    with running("--tier", "us,local", "--market", "off", "--fix", "off") as started:
        yield started


def test_every_command_and_every_option_is_in_the_table():
    assert commands().keys() == REFUSED.keys() == cli._COMMANDS.keys()
    for name, command in commands().items():
        assert options(command) == REFUSED[name].keys(), name
    flags = {
        text
        for command in commands().values()
        for action in command._actions
        for text in action.option_strings
        if text.startswith("--") and action.nargs == 0
    }
    assert flags <= ANYTHING | SWITCHES


def test_no_option_may_be_abbreviated():
    for command in commands().values():
        for text in options(command):
            with pytest.raises(SystemExit):
                arguments.parse([command.prog.split()[-1], f"{text[:-1]}=1"])


def refusal(*words: str, **variables: str) -> str:
    """Return the one line by which a command line is refused."""
    done = kraken_emulator(*words, **variables)
    assert done.returncode == 2, done
    # What `eval "$(kraken-emulator env)" && bot` evaluates must fail.
    assert done.stdout == ("false\n" if words[0] == "env" else "")
    warned = [line for line in done.stderr.splitlines() if not line.startswith("warning: listening on ")]
    assert len(warned) == 1, done.stderr
    assert warned[0].startswith("kraken-emulator")
    assert ": error: " in warned[0]
    return warned[0]


CASES = [
    (command, option, bad, meant)
    for command, table in REFUSED.items()
    for option, rows in table.items()
    for bad, meant in rows
    if command != "run" or option in ("--tier", "--seed", "--config", "--log-level")
]


@pytest.mark.parametrize(
    ("command", "option", "bad", "meant"), CASES, ids=[" ".join(case[:3]) for case in CASES]
)
def test_a_bad_value_is_named_with_its_option_and_what_is_meant(command, option, bad, meant, venue, tmp_path):
    words = [*FURTHER.get(command, ()), f"{option}={bad}"]
    if "--" in words:
        words = [words[-1], *words[:-1]]  # options stand before the command
    if "--control" in REFUSED[command] and option not in ("--control", "--endpoints-file"):
        words += ["--control", venue.endpoints["control"]]
    if command in ("up", "run"):
        usual = {"--ports": "auto", "--state-folder": str(tmp_path), "--market": "off", "--link": "stream"}
        words = [*(f"{name}={value}" for name, value in usual.items() if name != option), *words]
    line = refusal(command, *words)
    assert option in line
    assert bad in line
    assert meant in line


@pytest.mark.parametrize(("words", "meant"), WORDS, ids=[words for words, _ in WORDS])
def test_bad_words_are_named_with_what_is_meant(words, meant, venue, tmp_path):
    words = words.split()
    if "--control" in REFUSED[words[0]] and words[0] != "env":
        words += ["--control", venue.endpoints["control"]]
    line = refusal(*words, XDG_DATA_HOME=str(tmp_path))
    assert all(
        each in line.replace("'shwo'", "shwo").replace("', '", ", ").replace("'", "'") for each in meant
    ), line


VARIABLES = [
    (
        "venue cancel_only",
        "KRAKEN_EMULATOR_ENDPOINTS_FILE",
        "/nope",
        "=/nope: no endpoints file with a control address",
    ),
    ("venue cancel_only", "KRAKEN_EMULATOR_CONTROL", "nope", "=nope: an address is meant"),
    (
        "venue cancel_only",
        "KRAKEN_EMULATOR_CONTROL",
        "http://127.0.0.1:1",
        "no emulator answers at http://127.0.0.1:1 (KRAKEN_EMULATOR_CONTROL=http://127.0.0.1:1): start one",
    ),
    ("health --wait 999", "KRAKEN_EMULATOR_CONTROL", "nope", "=nope: an address is meant"),
    ("health --wait 0.1", "KRAKEN_EMULATOR_ENDPOINTS_FILE", "/nope", "=/nope: no endpoints file"),
    ("up", "KRAKEN_EMULATOR_TIER", "mars", "=mars: unknown tier 'mars'"),
    ("up", "KRAKEN_EMULATOR_LINK", "foo", "=foo: unknown link 'foo'"),
    ("up", "KRAKEN_EMULATOR_PROVIDER", "foo", "=foo: unknown provider 'foo'"),
    ("up", "KRAKEN_EMULATOR_ALLOW_SOURCE", "foo", "=foo: 'foo' does not appear to be"),
    ("up", "KRAKEN_EMULATOR_ADVERTISE", "foo", "=foo: 'foo' is none"),
    ("up", "KRAKEN_EMULATOR_ACCOUNTS", "foo", "=foo: unknown accounts profile"),
    ("up", "KRAKEN_EMULATOR_CONFIG", "/nope", "=/nope: No such file"),
    ("up", "KRAKEN_EMULATOR_STATE_FOLDER", "/etc/passwd", "=/etc/passwd: it is no folder"),
    (
        "up --control-port 7480",
        "KRAKEN_EMULATOR_HTTP_PORT",
        "7480",
        " and --control-port are both 7480",
    ),
]


@pytest.mark.parametrize(
    ("words", "variable", "value", "meant"), VARIABLES, ids=[f"{row[0]} {row[1]}" for row in VARIABLES]
)
def test_what_the_environment_says_is_refused_by_its_variable(words, variable, value, meant, tmp_path):
    """None leads to the emulator at the default port instead, which others may use."""
    line = refusal(*words.split(), **{"XDG_DATA_HOME": str(tmp_path), variable: value})
    assert variable + meant in line or (meant in line and variable in meant)


PORTS = [
    ("--http-port 7490", "--http-port and --control-port are both 7490"),
    ("--tls-port 7480", "--http-port and --tls-port are both 7480"),
    ("--tls-port 4001", "--tls-port and --fix-port 4000 (+1, FIX spot_trading) both lead to 4001"),
    ("--proxy --proxy-port 7443", "--tls-port and --proxy-port are both 7443"),
    ("--proxy --control-port 7470", "--proxy-port and --control-port are both 7470"),
    ("--fix-port 7485 --control-port 7490", "--fix-port 7485 (+5, FIX spot_md_l3) and --control-port both"),
    ("--tier us,tokyo --tls-port 7580", "--tls-port and --http-port 7480 (+100, tier tokyo) both lead to"),
    ("--tier colo --http-port 7470", "--http-port 7470 (+20, tier colo) and --control-port both lead to"),
    ("--host 0.0.0.0 --http-port 7490", "--http-port and --control-port are both 7490"),
]


@pytest.mark.parametrize(("words", "meant"), PORTS, ids=[words for words, _ in PORTS])
def test_settings_that_lead_to_one_port_are_both_named(words, meant, tmp_path):
    usual = ("--market", "off", "--link", "none", "--state-folder", str(tmp_path))
    assert meant in refusal("up", *usual, *words.split())


def test_paths_with_addresses_of_their_own_share_ports():
    tiers = load_tiers(PROFILES / "tiers")
    shared = Settings(tier=("us", "colo"), http_port=7490, tls_port=7590)
    ports.check(shared, [tiers["us"], tiers["colo"]], apart=True)
    with pytest.raises(SettingsError, match="--http-port and --tls-port are both 7490"):
        ports.check(shared.but(tls_port=7490), [tiers["us"]], apart=True)


@pytest.mark.parametrize("option", sorted(SWITCHES))
def test_a_bad_value_of_a_switch_is_named_with_its_variable(option):
    variable = "KRAKEN_EMULATOR_" + option.removeprefix("--").replace("-", "_").upper()
    assert f"{variable}=perhaps: true or false is meant" in refusal("up", **{variable: "perhaps"})
