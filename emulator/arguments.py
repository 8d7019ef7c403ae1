"""The command line's arguments: what may be written, and the help that says so."""

import argparse
import math
from collections.abc import Sequence
from typing import Any, NoReturn

from emulator import __version__
from emulator.words import alike

PATHS = ("dictionary", "profiles", "tiers", "schedules", "state", "ca", "config", "endpoints")
"""What `paths` tells, by name."""
MOST_SAMPLES = 100_000
_EPILOG = """
examples:
  kraken-emulator up --tier tokyo              the venue, 140 ms away
  kraken-emulator up --tier us,tokyo           the same venue from two distances
  kraken-emulator up --market off --ports auto --endpoints-file endpoints.json
  kraken-emulator run --tier us -- python bot.py   an unmodified client, with Kraken's own hostnames
  kraken-emulator link set us rtt=90ms         a running emulator's link, changed
  kraken-emulator venue cancel_only --pair XBTUSD   what may be done in a pair, in every protocol at once
  kraken-emulator accounts                     a running emulator's accounts and all their keys
  kraken-emulator endpoints --json             where it is reached, for programs
  kraken-emulator deposit alice BTC 1.5        funds that arrive
  kraken-emulator clock step 1h                an hour passes at once
  eval "$(kraken-emulator env)"                what this shell starts calls Kraken here (up --proxy)
  kraken-emulator measure --quick              what round trips this machine gets, with plots
  kraken-emulator ca --bundle bundle.pem       the local CA joined with the system's, and who takes it how
  kraken-emulator tiers                        what the tiers are
"""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, like every other error here."""

    said_besides = ""
    """What stdout gets besides: of `env`, whose output is evaluated, that it failed."""

    def __init__(self, **named: Any) -> None:
        """Take whole option names only: an abbreviation is an option that somebody else meant."""
        super().__init__(**named, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        if self.said_besides:
            print(self.said_besides)
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Return the arguments; ends the program with one line where they cannot be used."""
    root = parser()
    found, unknown = root.parse_known_args(words)
    if unknown:
        command = subparsers(root)[found.command]
        options = [text for action in command._actions for text in action.option_strings]
        if found.command == "run" and not unknown[0].startswith("-"):
            command.error(f"put -- before the command: kraken-emulator run [OPTIONS] -- {unknown[0]} …")
        near = alike(next((w for w in unknown if w.startswith("-")), "").partition("=")[0], options)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        command.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    return found


def subparsers(root: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of the commands, by name."""
    return next(
        dict(action.choices) for action in root._actions if isinstance(action, argparse._SubParsersAction)
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r}: seconds are meant, for example 30")
    return seconds


def _samples(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 2 <= int(text[:9]) <= MOST_SAMPLES:
        raise argparse.ArgumentTypeError(f"{text!r}: a number from 2 to {MOST_SAMPLES} is meant")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """Return the argument parser."""
    root = _Parser(
        prog="kraken-emulator",
        description="A whole Kraken on one machine, at a distance you choose.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument("--version", action="version", version=f"kraken-emulator {__version__}")
    commands = root.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_up(commands.add_parser("up", help="start the venue and keep it running"))
    _add_run(commands.add_parser("run", help="run a command whose network is a tier, as if it called Kraken"))
    _add_link(commands.add_parser("link", help="look at and change the links of a running emulator"))
    _add_venue(commands.add_parser("venue", help="look at and change a running emulator's trading status"))
    _add_accounts(commands.add_parser("accounts", help="show a running emulator's accounts, with all keys"))
    _add_endpoints(commands.add_parser("endpoints", help="show where a running emulator is reached"))
    _add_deposit(commands.add_parser("deposit", help="let a deposit arrive in a running emulator"))
    _add_clock(commands.add_parser("clock", help="look at and turn a running emulator's clock"))
    _add_reset(commands.add_parser("reset", help="bring a running emulator back to how it started"))
    _add_health(commands.add_parser("health", help="tell whether an emulator answers"))
    _add_env(
        commands.add_parser("env", help="print what a shell sets to call Kraken by the emulator's proxy")
    )
    _add_measure(
        commands.add_parser("measure", help="measure every tier on every link, beside what Kraken publishes")
    )
    _add_ca(commands.add_parser("ca", help="show the local certificate authority, and how clients take it"))
    _add_paths(commands.add_parser("paths", help="show where the files are: dictionary, profiles, state, CA"))
    table = commands.add_parser("tiers", help="list the connectivity tiers")
    table.add_argument("--tiers-folder", metavar="DIR", help="also read the tier profiles in DIR")
    commands.add_parser("doctor", help="try every way to make a link, and say what works here")
    commands.add_parser("version", help="print the version")
    return root


def _add_up(up: argparse.ArgumentParser) -> None:
    up.description = "Start the venue and keep it running until Ctrl-C."
    _add_settings(up)
    up.add_argument("--json", action="store_true", help="print the endpoints as one line of JSON")


def _add_run(run: argparse.ArgumentParser) -> None:
    run.usage = "kraken-emulator run [OPTIONS] -- COMMAND [ARGUMENT ...]"
    run.description = (
        "Start the venue, and COMMAND in a network of its own whose only way out is the tier. Kraken's "
        "hostnames lead to the venue there, on their real ports, and its certificates are trusted. No root."
    )
    _add_settings(run)
    add = run.add_argument
    add("--allow-internet", action="store_true", help="leave COMMAND in the machine's own network")
    add("--quiet", action="store_true", help="print nothing of our own, but at the end what was refused")


def _add_link(link: argparse.ArgumentParser) -> None:
    link.formatter_class = argparse.RawDescriptionHelpFormatter
    link.epilog = """
actions:
  show [TIER[/PATH]]                  what paths do now
  set TIER[/PATH] NAME=VALUE ...      rtt=200ms one_way=35ms jitter=50us/400us/2ms loss=1% rate=10mbit
                                      duplicate=1% reorder=1% corrupt=1% to_venue.loss=2% down=true
  fail TIER[/PATH]                    cut it; connections on it end, new ones find another path
  restore TIER[/PATH]                 end the failure
  play TIER[/PATH] NAME|FILE          a schedule by name (reroute, flap, microbursts, congestion) or as a
                                      .toml file, or a recorded trace as a .csv file
  stop TIER[/PATH]                    end what is playing
  reset [TIER[/PATH]]                 back to the profile
"""
    add = link.add_argument
    add("action", choices=["show", "set", "fail", "restore", "play", "stop", "reset"])
    add("target", nargs="?", metavar="TIER[/PATH]")
    add("words", nargs="*", metavar="NAME=VALUE")
    add("--loop", action="store_true", help="play a trace over and over")
    add("--control", metavar="URL", help="the emulator's control API (default: http://127.0.0.1:7490)")
    add("--endpoints-file", metavar="FILE", help="take the control API's address from there")
    add("--json", action="store_true", help="print JSON")


def _add_venue(venue: argparse.ArgumentParser) -> None:
    venue.description = (
        "Show or change what may be done on the venue (online, cancel_only, post_only, maintenance) or in "
        "one pair (also limit_only, reduce_only). It takes effect in every protocol at once."
    )
    add = venue.add_argument
    add("status", nargs="?", metavar="STATUS", help="the new status; none shows the present one")
    add("--pair", metavar="PAIR", help="the pair that is meant, by any of its names (default: the venue)")
    add("--maintenance-in", metavar="DURATION", help="announce maintenance that begins then: 2h, 90s, 3d")
    add("--emergency", metavar="TITLE", help="tell of an incident")
    add("--no-advisories", action="store_true", help="take back all that is announced")
    _add_control(venue)


def _add_accounts(accounts: argparse.ArgumentParser) -> None:
    accounts.description = "Show a running emulator's accounts, with their keys for REST, WebSocket and FIX."
    add = accounts.add_argument
    add("account", nargs="?", metavar="ACCOUNT", help="this one alone (default: all)")
    add("--json", action="store_true", help="print JSON")
    _add_control(accounts)


def _add_endpoints(endpoints: argparse.ArgumentParser) -> None:
    endpoints.description = "Show where a running emulator is reached, by tier and protocol."
    add = endpoints.add_argument
    add("tier", nargs="?", metavar="TIER", help="this one alone (default: all)")
    add(
        "--json",
        action="store_true",
        help="print JSON: tiers and control of the endpoints file, without its keys",
    )
    _add_control(endpoints)


def _add_paths(paths: argparse.ArgumentParser) -> None:
    paths.description = (
        "Show where files are, or are looked for: the FIX dictionary, profiles, schedules, the state folder, "
        "the CA, the settings file. With a NAME its path alone: $(kraken-emulator paths dictionary)."
    )
    add = paths.add_argument
    add("name", nargs="?", metavar="NAME", choices=PATHS, help=", ".join(PATHS))
    add("--state-folder", metavar="DIR", help="as `up` has it")
    add("--tiers-folder", metavar="DIR", help="as `up` has it")
    add("--endpoints-file", metavar="FILE", help="as `up` has it")
    add("--config", metavar="FILE", help="as `up` has it")
    add("--json", action="store_true", help="print JSON")


def _add_deposit(deposit: argparse.ArgumentParser) -> None:
    deposit.description = "Let a deposit arrive: balances, ledgers, DepositStatus and clients show it."
    add = deposit.add_argument
    add("account", metavar="ACCOUNT", help="account of the accounts profile: alice")
    add("asset", metavar="ASSET", help="by any of its names: BTC, XBT, XXBT")
    add("amount", metavar="AMOUNT")
    add("--method", metavar="NAME", help="deposit method (default: the asset's first)")
    _add_control(deposit)


def _add_clock(clock: argparse.ArgumentParser) -> None:
    clock.description = (
        "Show the venue's time, let it step on (90s, 1h30m, 2d) or run at another scale (60 times as fast; "
        "0 stands still). What is due happens at its own time, in order."
    )
    add = clock.add_argument
    add("action", nargs="?", choices=["show", "step", "scale"], default="show")
    add("value", nargs="?", metavar="DURATION|SCALE")
    _add_control(clock)


def _add_reset(reset: argparse.ArgumentParser) -> None:
    reset.description = (
        "Accounts own what their profile gives them and have done nothing yet, everything is online, and the "
        "clock tells the real time. Clients stay connected, but for FIX, whose sessions begin anew."
    )
    _add_control(reset)


def _add_control(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--control", metavar="URL", help="the emulator's control API (default: http://127.0.0.1:7490)")
    add("--endpoints-file", metavar="FILE", help="take the control API's address from there")


def _add_health(health: argparse.ArgumentParser) -> None:
    health.description = (
        "Tell whether an emulator answers: exit code 0 when all its listeners do, 2 when there is none."
    )
    add = health.add_argument
    add("--wait", metavar="SECONDS", type=_seconds, default=0.0, help="wait for it so long (default: 0)")
    _add_control(health)


def _add_env(env: argparse.ArgumentParser) -> None:
    env.formatter_class = argparse.RawDescriptionHelpFormatter
    env.description = (
        "Print what a shell sets so that clients who honour proxies take Kraken's own hostnames to a\n"
        "running emulator (up --proxy), reach nothing else, and trust its certificates. Python, Node and\n"
        "Java programs that ignore the proxy are stopped; for others (docs/proxy.md) there is `run`."
    )
    env.epilog = """
examples:
  eval "$(kraken-emulator env)"                              sh, bash, zsh
  kraken-emulator env --shell fish | source
  kraken-emulator env --shell powershell | Out-String | Invoke-Expression
"""
    if isinstance(env, _Parser):
        env.said_besides = "false"
    add = env.add_argument
    add("--tier", metavar="NAME", help="tier whose proxy is meant (default: the emulator's first)")
    add("--shell", metavar="NAME", default="sh", help="sh, fish or powershell (default: sh)")
    add("--control", metavar="URL", help="the emulator's control API (default: http://127.0.0.1:7490)")
    add("--endpoints-file", metavar="FILE", help="read the endpoints there instead of asking an emulator")


def _add_measure(measure: argparse.ArgumentParser) -> None:
    measure.description = (
        "Start the venue on every link that works here and send real probes through every tier: TCP connect, "
        "WebSocket ping, orders over WebSocket, FIX and REST, first answers on cold connections. Prints a "
        "table and writes measurement.json and measurement.html."
    )
    add = measure.add_argument
    add("--tier", metavar="NAME[,NAME]", help="tiers to measure (default: all)")
    add("--link", metavar="RUNG[,RUNG]", help="links to measure (default: all that work here, but none)")
    add("--samples", type=_samples, metavar="N", help="orders per tier (default: 1000, with --quick 100)")
    add("--quick", action="store_true", help="100 orders per tier, unless --samples says: no p99.9")
    add("--market", default="off", metavar="WHO", help="who else trades meanwhile (default: off)")
    add(
        "--output",
        default=".",
        metavar="DIR",
        help="where the two files go; made when it is not there (default: here)",
    )
    add("--tiers-folder", metavar="DIR", help="also read the tier profiles in DIR")
    add("--json", action="store_true", help="print the JSON instead of the table")


def _add_ca(ca: argparse.ArgumentParser) -> None:
    ca.description = (
        "Show the local certificate authority, which is made when it is not there yet: where it is, its "
        "fingerprint, until when it is valid, and how Python, Node, curl, Go, Rust, Java and others take it."
    )
    add = ca.add_argument
    add("--bundle", metavar="FILE", help="write the system's authorities and ours to FILE")
    add(
        "--rotate",
        action="store_true",
        help="make a new authority and certificate; a running emulator takes them, clients need the new CA",
    )
    add("--state-folder", metavar="DIR", help="where the authority lives (default: user's data)")
    add("--json", action="store_true", help="print one line of JSON")


def _add_settings(up: argparse.ArgumentParser) -> None:
    up.epilog = "Each option can also be set as KRAKEN_EMULATOR_<NAME> or in a TOML file given by --config."
    add = up.add_argument
    add("--tier", metavar="NAME[,NAME]", help="connectivity tiers to open (default: local, no delay)")
    add(
        "--link",
        metavar="RUNG",
        help="how tiers are made real: auto, netem, packet, stream or none (default: auto)",
    )
    add(
        "--enforce-access",
        action="store_true",
        default=None,
        help="refuse clients that do not meet what their tier requires (docs/tiers.md)",
    )
    add(
        "--provider",
        metavar="NAME",
        help="our network provider, for tiers that require one: bso, avelacom, beeks",
    )
    add("--allow-source", metavar="CIDR[,CIDR]", help="addresses given to Kraken, for tiers that list them")
    add(
        "--raw-delay",
        action="store_true",
        default=None,
        help="leave the venue's own time on top of each tier's RTT instead of measuring and subtracting it",
    )
    add("--seed", metavar="N", help="decides ids, keys, market and jitter (default: 0)")
    add("--market", metavar="WHO", help="who else trades: synthetic or off (default: synthetic)")
    add("--market-profile", metavar="NAME|FILE", help="prices and rates of the synthetic market")
    add("--accounts", metavar="NAME|FILE", help="accounts profile (default: default, 16 funded accounts)")
    add("--funding", metavar="NAME|FILE", help="funding profile: ways in and out (default: default)")
    add("--earn", metavar="NAME|FILE", help="earn profile: strategies (default: default)")
    add(
        "--host",
        metavar="ADDR",
        help="address to bind (default: 127.0.0.1; anything else is a risk); with {tier} in it, a name that "
        "each tier's own address is found by",
    )
    add("--tls-names", metavar="NAME[,NAME]", help="further names that the certificate is valid for")
    add("--ports", metavar="HOW", help="fixed, or auto for free ones (default: fixed)")
    add("--http-port", metavar="N", help="first tier's plain port (default: 7480, next tier +100)")
    add("--tls-port", metavar="N", help="first tier's TLS port (default: 7443, next tier +100)")
    add("--control-host", metavar="ADDR", help="address of the control API (default: 127.0.0.1)")
    add("--control-port", metavar="N", help="port of the control API (default: 7490)")
    add(
        "--proxy",
        action="store_true",
        default=None,
        help="open an HTTP proxy that takes Kraken's hostnames to the venue and refuses all else",
    )
    add("--proxy-port", metavar="N", help="first tier's proxy port (default: 7470, next tier +100)")
    add("--fix", metavar="on|off", help="FIX acceptors (default: on)")
    add(
        "--fix-port",
        metavar="N",
        help="first tier's FIX market data port; +1 trading, +5 level 3 (default: 4000, next tier +100)",
    )
    add("--fix-tls", metavar="HOW", help="FIX over TLS: optional, or only as at Kraken (default: optional)")
    add(
        "--fix-logon",
        metavar="HOW",
        help="a second FIX logon: reject it, or displace the first one (default: reject)",
    )
    add(
        "--state",
        action="store_true",
        default=None,
        help="FIX sessions outlast a restart (numbers and ClOrdIDs, not orders), in the state folder",
    )
    add("--endpoints-file", metavar="FILE", help="write the endpoints as JSON when everything answers")
    add("--tiers-folder", metavar="DIR", help="also read the tier profiles in DIR")
    add("--state-folder", metavar="DIR", help="where the local CA and --state live (default: user's data)")
    add("--trust-folder", metavar="DIR", help="write ca.pem and bundle.pem there, for clients elsewhere")
    add(
        "--instruments",
        metavar="FILE",
        help="pairs and assets of your own, besides Kraken's (docs/instruments.md)",
    )
    add("--rate-limits", metavar="on|off", help="Kraken's rate limits (default: on; off for load tests)")
    add(
        "--certificate",
        metavar="HOW",
        help="what TLS ports present: valid, wrong-name, expired or untrusted (default: valid)",
    )
    add("--post-only", metavar="HOW", help="a crossing post-only order: cancel or reject (default: cancel)")
    add(
        "--advertise",
        metavar="[HOST:]PORT:PORT[,…]",
        help="mapped ports as clients outside see them, in the words of docker's -p: 17480:7480",
    )
    add("--log-level", metavar="LEVEL", help="debug (each refusal, and why), info, warning or error")
    add(
        "--pair-fees",
        metavar="HOW",
        help="fees in AssetPairs: empty, as since September 2026, or schedules (default: empty)",
    )
    add(
        "--slashed-pairs",
        metavar="HOW",
        help="pair names with a slash over REST: modern (BTC/USD) or any (XBT/USD too) (default: modern)",
    )
    add(
        "--ticker",
        metavar="WHAT",
        help="what ticker tells last: trades, or volume_usd as in January 2026 (default: trades)",
    )
    add(
        "--status-advisories",
        metavar="on|off",
        help="upcoming_maintenance and emergency in SystemStatus and status frames (default: on)",
    )
    add("--config", metavar="FILE", help="settings file (TOML, the same names)")
